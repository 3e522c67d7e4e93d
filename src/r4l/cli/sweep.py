# SPDX-License-Identifier: MIT
"""`r4l sweep`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from r4l.cli.commands import ProjectCommand
from r4l.cli.json_option import json_option
from r4l.cli.options import config_for, config_option, kernel_option, on_option
from r4l.errors import EnvironmentFault, VerdictError
from r4l.limits import GIB, machine_memory
from r4l.module.named import SHIPPED, labels, named
from r4l.module.parameters import parameters_for, parameters_of
from r4l.setup import set_up
from r4l.stages import Stages, is_quiet
from r4l.terminal import Console

if TYPE_CHECKING:
    from r4l.sweep import SweptDriver

EPILOG = """\b
Examples:
  r4l sweep rust/drivers/e1000 --cells 200
  r4l sweep rust/drivers/e1000 --against kernel:e1000 --faults lost-write,unplug
  r4l sweep . --device tests/mine_device.py:Mine --exercise 'cat /dev/mine'
  r4l sweep . --cell probe:lost-write@CTRL#3
  r4l sweep . --as-test probe:lost-write@CTRL#3 > test_lost_write.py
"""


def default_jobs() -> int:
    """Number of machines at once that keep this computer's processors busy, and fit into its memory.

    A machine sleeps for most of a cell. Under TCG twelve left a fifth of two processors idle.
    """
    return max(1, min(8 * (os.cpu_count() or 1), machine_memory() // GIB))


@click.command(cls=ProjectCommand, epilog=EPILOG)
@click.argument("folder", default=".", metavar="[DIR]")
@click.option("--device", metavar="SPEC", help="The model: FILE.py:CLASS or python:NAME. By default the folder's own.")
@click.option(
    "--exercise",
    default="",
    metavar="COMMAND",
    help="Command that uses the driver in the guest, for others than network cards.",
)
@click.option("--suspend", is_flag=True, help="One more phase: all devices are suspended and resumed.")
@click.option(
    "--against", metavar="OTHER", help=f"A second driver for the same device: a folder, a .ko, or {SHIPPED}NAME."
)
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
@click.option("--memory", type=click.IntRange(min=1), metavar="MIB", help="Memory of a machine; enough by default.")
@click.option("--cpus", type=click.IntRange(min=1), default=2, show_default=True, help="Virtual CPUs of a machine.")
@click.option("--append", default="", help="Added to the kernel command line.")
@click.option("--faults", default="", metavar="KIND,…", help="Only these kinds of faults.")
@click.option("--phase", "phases", multiple=True, metavar="NAME", help="Only faults in this phase; may be repeated.")
@click.option(
    "--cells",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="Number of cells, a sample of all; 0 for all.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the sample.")
@click.option("--cell", "named_cells", multiple=True, metavar="CELL", help="Only this cell; may be repeated.")
@click.option("--again", is_flag=True, help="Run cells again that have a result.")
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(1, 256),
    default=default_jobs,
    show_default="eight for each processor, where there is 1 GiB for each",
    help="Machines at once; they wait for most of their time.",
)
@on_option
@click.option(
    "--into", type=click.Path(path_type=Path, file_okay=False), help="Folder for results and page [default: sweep-NAME]"
)
@click.option("--as-test", metavar="CELL", help="Print a test that does what a cell does, and end.")
@json_option("Print the results as JSON.")
@kernel_option
def command(
    folder: str,
    device: str | None,
    exercise: str,
    suspend: bool,
    against: str | None,
    param: tuple[str, ...],
    config: dict[str, str],
    with_module: tuple[str, ...],
    memory: int | None,
    cpus: int,
    append: str,
    faults: str,
    phases: tuple[str, ...],
    cells: int,
    seed: int,
    named_cells: tuple[str, ...],
    again: bool,
    jobs: int,
    address: str,
    patience: float,
    into: Path | None,
    as_test: str | None,
    as_json: bool,
    kernel_name: str | None,
    arch: str,
) -> None:
    """Break a driver's device at each access, and see what becomes of the driver.

    DIR is a driver's folder, by default the current one; its device is a model in Python (docs/devices.md), which runs
    as you, outside the sandbox. The driver is loaded, opened, used, stopped and unloaded once without a fault. Each
    event of that life (a read or write of a register, an interrupt, a transfer of DMA) with each fault is a cell: a
    fresh machine, the life with that fault, the verdict, and a second life after unload and reload.

    Results are kept as they come: after an interrupt the same command goes on. Exit code 123 if the driver has a
    splat, a hang, a leak, or is not healed by a reload; 120 if not all cells could be judged.
    """
    # Imported here, not above: `r4l --help` must not import the virtual machine.
    from r4l import cluster
    from r4l.sweep import Results, SweepCell, SweptMachine, Wanted, find_model, page, subject, sweep
    from r4l.sweep.model import made
    from r4l.sweep.sweep import counts, defects_found, require_wanted, summary

    parameters = parameters_of(param)
    if as_test is None:
        cluster.require()
    for text in (*named_cells, *filter(None, [as_test])):
        # A text that is no cell needs neither kernel nor driver to say so.
        SweepCell.parse(text)
    wanted = Wanted(tuple(filter(None, faults.split(","))), phases, cells, seed, named_cells)
    name = kernel_name or "stock"
    with Stages() as stages:
        kernel = set_up(stages, kernel_name, arch=arch)
        modules = []
        for text in filter(None, (folder, against)):
            with stages.stage(f"building {text}") as say:
                modules.append((text, named(kernel, text, config=config_for(text, config), say=say)))
        model = device or find_model(folder, modules[0][1])
        names = labels([text for text, _ in modules], [module for _, module in modules])
        drivers = [module for _, module in modules]
        machine = SweptMachine(memory, cpus, append, with_module)
        subjects = [
            subject(
                kernel,
                name,
                text,
                module,
                model,
                exercise,
                label=label,
                parameters=parameters_for(module, drivers, parameters),
                machine=machine,
                config=config_for(text, config),
                suspend=suspend,
            )
            for (text, module), label in zip(modules, names, strict=True)
        ]
        into = into or Path(f"sweep-{modules[0][1].name}")
        if as_test is not None:
            require_wanted(subjects[0], Wanted(named=[as_test]), made(model))
            _print_test(subjects[0], as_test, into)
            return
        for one in subjects:
            require_wanted(one, wanted, made(model))
        with Results(into) as results:
            chosen: dict[str, list[str]] = {}
            try:
                with stages.stage("sweeping") as say:
                    chosen = sweep(
                        subjects, wanted, results, address=address, jobs=jobs, patience=patience, again=again, say=say
                    )
            finally:
                # Also after an interrupt: the cells so far took minutes.
                shown = page.write(into, subjects, results)
    if as_json:
        data = [
            {
                "driver": one.label,
                "cells": len(chosen[one.key]),
                "counts": counts(results, one.key, chosen[one.key]),
                "results": [results.cells[one.key, cell].__dict__ for cell in chosen[one.key]],
            }
            for one in subjects
        ]
        click.echo(json.dumps({"kernel": kernel.release, "drivers": data, "page": str(shown)}, indent=1))
    else:
        console = Console(highlight=False, soft_wrap=True)
        for one in subjects:
            console.print(f"{escape(one.label)}: {escape(summary(results, one.key, chosen[one.key]))}")
            if not is_quiet():
                for result in defects_found(results, one.key, chosen[one.key]):
                    console.print(
                        f"  [red]{result.verdict:<9}[/] {escape(result.cell)}  [dim]{escape(result.reason)}[/]"
                    )
        click.echo(str(shown))
    bad = sum(len(defects_found(results, one.key, chosen[one.key])) for one in subjects)
    unjudged = sum(counts(results, one.key, chosen[one.key]).get("unjudged", 0) for one in subjects)
    if as_json:
        raise SystemExit(VerdictError.exit_code if bad else EnvironmentFault.exit_code if unjudged else 0)
    if bad:
        raise VerdictError(f"{_cells(bad)} with a defect", f"open {shown}; `--as-test CELL` prints a test")
    if unjudged:
        raise EnvironmentFault(f"{_cells(unjudged)} could not be judged", "run the command again: it tries them again")


def _cells(number: int) -> str:
    return "one cell" if number == 1 else f"{number} cells"


def _print_test(driver: SweptDriver, text: str, into: Path) -> None:
    """Print the test of a cell, as its result in a folder has it."""
    from r4l.sweep import Results, SweepCell
    from r4l.sweep.as_test import as_test

    cell, results = SweepCell.parse(text), Results(into)
    known, baseline = results.cells.get((driver.key, str(cell))), results.baselines.get(driver.key)
    if known is None:
        click.echo(
            f"r4l: {into} has no result of {cell} for this driver, so the test does not ask for service or an error: "
            f"`--cell` makes one, `--into` names another folder",
            err=True,
        )
    click.echo(as_test(driver, cell, known.verdict if known else "", baseline.messages if baseline else ()), nl=False)
