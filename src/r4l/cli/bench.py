# SPDX-License-Identifier: MIT
"""`r4l bench`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from r4l.cli.json_option import json_option
from r4l.cli.options import kernel_option, timeout_option
from r4l.cli.screen import screen
from r4l.debian import choice
from r4l.module.named import SHIPPED, named
from r4l.settings import Settings
from r4l.setup import set_up
from r4l.stages import Stages

EPILOG = """\b
Examples:
  r4l bench rust/drivers/e1000 --against kernel:e1000
  r4l bench . --workload pktgen-60 --workload udp --runs 5
  r4l bench rust/drivers/cicv --script writes.sh
"""


@click.command(epilog=EPILOG)
@click.argument("folder", default=".", metavar="[DIR]")
@click.option(
    "--against",
    metavar="OTHER",
    help=f"A second driver for the same card: a folder, a .ko, or {SHIPPED}NAME for a module of the kernel's own.",
)
@click.option("--workload", "names", multiple=True, metavar="NAME", help="Only this workload; may be repeated.")
@click.option(
    "--script",
    "scripts",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Your own shell script, run in the guest with the driver loaded, whose instructions are counted. May be "
    "repeated.",
)
@click.option("--runs", type=click.IntRange(1, 1000), default=2, show_default=True, help="Runs of each workload.")
@click.option("--clock/--no-clock", default=True, help="Also run each workload once by the host's clock, as a check.")
@click.option("--nic-model", default="e1000", show_default=True, help="QEMU's name of the card.")
@timeout_option("Seconds that one workload may take.")
@json_option("Print all figures as JSON.")
@kernel_option
def command(
    folder: str,
    against: str | None,
    names: tuple[str, ...],
    scripts: tuple[Path, ...],
    runs: int,
    clock: bool,
    nic_model: str,
    timeout: float,
    as_json: bool,
    kernel_name: str | None,
    arch: str,
) -> None:
    """Count the instructions that a driver needs for a workload, beside another driver's.

    DIR is a driver's folder, by default the current one. The guest's clock counts instructions, so the figures do not
    depend on other load of this machine; ratios are exact to about a part in a thousand. They include neither cache
    misses nor the cost of a register's access. The column `clock` checks that by the host's clock, and is only as good
    as this machine is quiet.

    The workloads are for network drivers: two cards on one cable, the driver at both ends. For any other driver, write
    a script.
    """
    # Imported here, not above: `r4l --help` must not import the virtual machine.
    from r4l.bench.compare import as_dict, table
    from r4l.bench.measure import Subject, measured
    from r4l.bench.workloads import chosen

    choice.prefer(Settings.near(Path(folder)))
    workloads = chosen(names, scripts)
    with Stages() as stages:
        kernel = set_up(stages, kernel_name, arch=arch)
        subjects: list[Subject] = []
        for text in filter(None, (folder, against)):
            with stages.stage(f"building {text}") as say:
                module = named(kernel, text, say=say)
            # Two drivers for a card may have the same name.
            label = module.name if all(module.name != subject.name for subject in subjects) else text
            subjects.append(Subject(label, module))
        with stages.stage("measuring") as say:
            found = measured(
                kernel,
                subjects,
                workloads,
                runs=runs,
                timed=clock,
                nic_model=nic_model,
                timeout=timeout or None,
                say=say,
            )
    if as_json:
        facts = {"kernel": kernel.release, "arch": kernel.arch, "runs": runs}
        click.echo(json.dumps({**facts, **as_dict(workloads, found)}, indent=1))
    else:
        screen().print(table(workloads, found))
