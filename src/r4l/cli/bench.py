# SPDX-License-Identifier: MIT
"""`r4l bench`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from r4l.cli.commands import ProjectCommand
from r4l.cli.json_option import json_option
from r4l.cli.options import config_for, config_option, kernel_option, timeout_option
from r4l.cli.screen import screen
from r4l.errors import UsageError
from r4l.module import BuiltModule
from r4l.module.named import SHIPPED, labels, named
from r4l.module.parameters import parameters_for, parameters_of
from r4l.setup import set_up
from r4l.stages import Stages

EPILOG = """\b
Examples:
  r4l bench rust/drivers/e1000 --against kernel:e1000
  r4l bench . --workload pktgen-60 --workload udp --runs 5
  r4l bench rust/drivers/cicv --script writes.sh
"""


@click.command(cls=ProjectCommand, epilog=EPILOG)
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
    help="Your own shell script, run in the guest with the driver loaded, whose instructions are counted; a nanosecond "
    "in which the guest idles counts as one. May be repeated.",
)
@click.option("--runs", type=click.IntRange(1, 1000), default=2, show_default=True, help="Runs of each workload.")
@click.option("--clock/--no-clock", default=True, help="Also run each workload once by the host's clock, as a check.")
@click.option("--nic-model", default="e1000", show_default=True, help="QEMU's name of the card.")
@click.option(
    "--param",
    "-p",
    multiple=True,
    metavar="NAME=VALUE",
    help="Module parameter, for each of the drivers that has it; may be repeated.",
)
@config_option
@click.option(
    "--with-module",
    multiple=True,
    metavar="NAME",
    help="A module of the kernel's own, to provide for modprobe. Those that a driver needs are loaded anyway.",
)
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
    param: tuple[str, ...],
    config: dict[str, str],
    with_module: tuple[str, ...],
    timeout: float,
    as_json: bool,
    kernel_name: str | None,
    arch: str,
) -> None:
    """Count the instructions that a driver needs for a workload, beside another driver's.

    DIR is a driver's folder, by default the current one. The guest's clock counts instructions, so the figures do not
    depend on other load of this machine; ratios are exact to about a part in a thousand with a card such as e1000, and
    with others as far as the column `spread` says. The figures include neither cache misses nor the cost of a
    register's access. The column `clock` checks that by the host's clock, and is only as good as this machine is quiet.

    The workloads are for network drivers: two cards on one cable, the driver at both ends. For any other driver, write
    a script.
    """
    # Imported here, not above: `r4l --help` must not import the virtual machine.
    from r4l.bench import compare, measure
    from r4l.bench.measure import Subject
    from r4l.bench.workloads import chosen_workloads
    from r4l.pci.load import in_python

    parameters = parameters_of(param)
    if in_python(nic_model):
        raise UsageError(
            f"the card {nic_model} is a model in Python, and the time of its Python is no driver's",
            "name a card of QEMU's with --nic-model",
        )
    workloads = chosen_workloads(names, scripts)
    with Stages() as stages:
        kernel = set_up(stages, kernel_name, arch=arch)
        texts = list(filter(None, (folder, against)))
        modules: list[BuiltModule] = []
        for text in texts:
            with stages.stage(f"building {text}") as say:
                modules.append(named(kernel, text, config=config_for(text, config), say=say))
        subjects = [
            Subject(label, module, parameters_for(module, modules, parameters))
            for label, module in zip(labels(texts, modules), modules, strict=True)
        ]
        with stages.stage("measuring") as say:
            found = measure.measured(
                kernel,
                subjects,
                workloads,
                runs=runs,
                timed=clock,
                nic_model=nic_model,
                with_modules=with_module,
                timeout=timeout or None,
                say=say,
            )
    if as_json:
        facts = {"kernel": kernel.release, "arch": kernel.arch, "runs": runs}
        click.echo(json.dumps({**facts, **compare.as_dict(workloads, found)}, indent=1))
    else:
        screen().print(compare.table(workloads, found))
