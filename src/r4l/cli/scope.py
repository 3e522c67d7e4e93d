# SPDX-License-Identifier: MIT
"""`r4l scope`."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from r4l.cli import show
from r4l.cli.commands import NOTHING, GuestCommand
from r4l.cli.options import (
    MachineOptions,
    config_option,
    kernel_option,
    machine_options,
    require_writable,
    timeout_option,
)
from r4l.cli.run import judged, load_modules, modules_of, run_command
from r4l.cli.screen import show_warnings
from r4l.errors import R4LError, UsageError
from r4l.guest.shell import require_terminal
from r4l.module import Module
from r4l.module.parameters import parameters_of
from r4l.net.addresses import GUEST_ADDRESS
from r4l.net.interface import Interface
from r4l.paths import leads_to_file, write_named
from r4l.setup import set_up
from r4l.stages import Stages, is_quiet
from r4l.terminal import Console

if TYPE_CHECKING:
    from r4l.pci.recording import Recorder
    from r4l.scope import Heading, LiveScope
    from r4l.vm import VM

EPILOG = """\b
Examples:
  r4l scope rust/drivers/e1000 -- ping -c3 10.0.2.2            live, on 127.0.0.1
  r4l scope rust/drivers/e1000 --output scope.html -- ping -c3 10.0.2.2
  r4l scope . --device my_device.py:MyDevice --shell
  r4l scope --from .../pci0.json                               a failed test's device
"""


@click.command(cls=GuestCommand, epilog=EPILOG)
@click.argument("target", required=False, type=click.Path(path_type=Path))
@click.argument("guest_command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the page into this file, and serve none; or the recording itself, if FILE ends in .json.",
)
@click.option(
    "--from",
    "source",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw this recording, such as the pciN.json of a failed test, into a page beside it, which replaces only "
    "a page of r4l's, or --output.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1; by default a free one.")
@click.option(
    "--events",
    type=click.IntRange(1, 200_000),
    default=10_000,
    show_default=True,
    help="Number of events to keep, the last ones.",
)
@click.option("--up/--no-up", default=True, help=f"Bring the cards' interfaces up, the first with {GUEST_ADDRESS}.")
@click.option("--shell", is_flag=True, help="Open a shell in the guest after the command.")
@click.option("--param", "-p", multiple=True, metavar="NAME=VALUE", help="Module parameter; may be repeated.")
@config_option
@machine_options
@timeout_option("Seconds that COMMAND may take; 0 for no limit.")
@kernel_option
def command(
    target: Path | None,
    guest_command: tuple[str, ...],
    output: Path | None,
    source: Path | None,
    port: int,
    events: int,
    up: bool,
    shell: bool,
    machine: MachineOptions,
    param: tuple[str, ...],
    config: dict[str, str],
    timeout: float,
    kernel_name: str | None,
    arch: str,
) -> None:
    """Draw a driver at work: rings, registers, packets and interrupts, step by step.

    The module of the folder TARGET drives a device written in Python, by default an e1000 (python:e1000), and COMMAND
    runs in the guest. The page is served on 127.0.0.1 while that happens, until Ctrl-C; or written into --output. The
    exit code is that of COMMAND; the page is also made if the driver fails.
    """
    # Imported here, not above: that saves other commands a tenth of a second.
    from r4l.scope import Heading

    if source:
        _draw(source, output)
        return
    if target is None:
        raise UsageError("no driver is given", "name a module folder, or a recording by --from")
    if shell:
        require_terminal()
    if output:
        require_writable(output)
    parameters = parameters_of(param)
    has_module = str(target) != NOTHING
    if has_module and target.suffix != ".ko":
        Module(target).require_kbuild()
    machine, usual = _in_python(machine)
    recorders: list[Recorder] = []
    with Stages() as stages:
        kernel = set_up(stages, kernel_name, arch=arch)
        modules = modules_of(target, kernel, stages, config) if has_module else []
        vm = machine.start(kernel, stages, usual, before=lambda vm: recorders.extend(_recorders(vm, events)))
    show_warnings(module.warnings for module in modules)
    heading = Heading(modules[-1].name if modules else "", kernel.release, " ".join(guest_command))
    code, trouble = 0, None
    try:
        with _page(recorders, heading, output, port) as live:
            try:
                load_modules(vm, modules, parameters, quiet=False)
                if up:
                    _bring_up(vm)
                code = run_command(vm, guest_command, timeout, None) if guest_command else 0
                code = vm.shell() if shell else code
            except R4LError as error:
                trouble = error
            trouble = judged(vm, trouble)
            if trouble:
                show(trouble)
            if live and not shell:
                _stay(live, vm, trouble)
    finally:
        vm.close(keep=trouble is not None)
    untold = None if trouble else vm.untold()
    if untold:
        show(untold)
    trouble = trouble or untold
    raise SystemExit(code or (trouble.exit_code if trouble else 0))


def _in_python(machine: MachineOptions) -> tuple[MachineOptions, bool | None]:
    """Return the machine with devices that can be recorded, and whether it can start from a state.

    Raises:
        UsageError: none of its devices is written in Python.
    """
    from r4l.pci.load import MODELS, SHIPPED, in_python

    ours = [spec for spec in machine.devices if in_python(spec)]
    card = machine.nic_model
    if machine.nics and not in_python(card) and not ours:
        if card not in MODELS:
            raise UsageError(
                f"{card} is a device of QEMU's, which nobody can look into", "take --nic-model python:e1000"
            )
        machine = replace(machine, nic_model=SHIPPED + card)
    elif not ours and not (machine.nics and in_python(card)):
        raise UsageError("the machine has no device that is written in Python", "add --device FILE.py:CLASS")
    # QEMU saves not all of its own devices.
    saved = not machine.image and not machine.qemu and len(ours) == len(machine.devices)
    return machine, True if saved else None


def _recorders(vm: VM, events: int) -> list[Recorder]:
    from r4l.pci.recording import Recorder

    return [Recorder(device, events) for device in (*vm.cards.values(), *vm.devices)]


def _bring_up(vm: VM) -> None:
    """Bring up the interfaces that the drivers have made for the cards. A driver that cannot is a note, not an end."""

    def run(command: str, *, timeout: float = 30.0) -> str:
        return vm.run(command, timeout=timeout, check=True).stdout

    for number, card in vm.cards.items():
        found = vm.run(f"ls /sys/bus/pci/devices/{card.address}/net 2>/dev/null").stdout.split()
        for name in found[:1]:
            try:
                Interface(run, name).up(GUEST_ADDRESS if number == min(vm.cards) else None)
            except R4LError as error:
                Console(stderr=True, highlight=False, soft_wrap=True).print(
                    f"[yellow]note:[/] {escape(name)} has not come up: {escape(error.cause)}"
                )


@contextmanager
def _page(recorders: list[Recorder], heading: Heading, output: Path | None, port: int) -> Iterator[LiveScope | None]:
    """Serve the page; or write it at the end, whatever happens."""
    from r4l.scope import LiveScope

    if output is None:
        with LiveScope(recorders, heading, port) as live:
            click.echo(f"scope:  {live.url}", err=True)
            yield live
        return
    try:
        yield None
    finally:
        _write(output, [one.as_data() for one in recorders], heading)


def _stay(live: LiveScope, vm: VM, trouble: R4LError | None) -> None:
    """Serve the page until Ctrl-C; the machine goes on meanwhile if it is well."""
    if trouble:
        vm.close(keep=True)
        live.end("the machine has ended")
    if not is_quiet():
        click.echo("        Ctrl-C ends it", err=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return


def _draw(source: Path, output: Path | None) -> None:
    from r4l import scope

    recordings = scope.load(source)
    page = output or source.with_suffix(".html")
    if leads_to_file(page) and page.samefile(source):
        raise UsageError(f"{page} is the recording itself", "name another file with --output")
    if output is None and os.path.lexists(page) and not scope.is_page(page):
        raise UsageError(f"{page} is there already, and not made by r4l scope", "name the page with --output")
    _write(page, recordings, scope.Heading())


def _write(output: Path, recordings: list[dict[str, object]], heading: Heading) -> None:
    from r4l import scope

    require_writable(output)
    if output.suffix == ".json":
        write_named(output, json.dumps(recordings) + "\n")
    else:
        scope.write(output, recordings, heading)
    click.echo(f"scope:  {output}", err=True)
