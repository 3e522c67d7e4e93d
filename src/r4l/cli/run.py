# SPDX-License-Identifier: MIT
"""`r4l run`."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import IO, TextIO

import click
from rich.console import Console
from rich.markup import escape

from r4l.cli.options import MachineOptions, kernel_option, machine_options, require_writable, show_door, timeout_option
from r4l.errors import UsageError
from r4l.guest.shell import require_terminal
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module
from r4l.setup import set_up
from r4l.stages import Stages
from r4l.vm import VM


def modules_of(target: Path, kernel: Kernel, stages: Stages) -> list[BuiltModule]:
    """The modules of a folder, built; or the .ko itself, checked against the kernel."""
    if target.suffix == ".ko":
        if not target.is_file():
            raise UsageError(f"no such module: {target}", "give a module folder, or a .ko file")
        module = BuiltModule(target.absolute())
        module.check(kernel)
        return [module]
    with stages.stage(f"building {target.absolute().name}") as say:
        return Module(target).build_all(kernel, say=say)


def parameters_of(pairs: tuple[str, ...]) -> dict[str, str]:
    """`NAME=VALUE` pairs as module parameters."""
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise UsageError(f"{wrong[0]} is no module parameter", "write NAME=VALUE")
    return dict(pair.split("=", 1) for pair in pairs)


EPILOG = """\b
Examples:
  r4l run rust/drivers/hello -- dmesg
  r4l run rust/drivers/e1000 -- 'ip link set eth0 up && ip addr'
  r4l run . --shell --pcap out.pcap
  r4l run . --image debian --shell     a whole Debian, with ssh
"""


@click.command(epilog=EPILOG)
@click.argument("target", type=click.Path(path_type=Path))
@click.argument("guest_command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
@click.option("--shell", is_flag=True, help="Open a shell in the guest after the command.")
@click.option("--param", "-p", multiple=True, metavar="NAME=VALUE", help="Module parameter; may be repeated.")
@machine_options
@timeout_option("Seconds that COMMAND may take; 0 for no limit.")
@click.option(
    "--pcap", type=click.Path(dir_okay=False, path_type=Path), help="Keep the first card's packets in this file."
)
@click.option("--console", type=click.Path(dir_okay=False, path_type=Path), help="Keep the console in this file.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON at the end, nothing before.")
@kernel_option
def command(
    target: Path,
    guest_command: tuple[str, ...],
    shell: bool,
    machine: MachineOptions,
    param: tuple[str, ...],
    timeout: float,
    pcap: Path | None,
    console: Path | None,
    as_json: bool,
    kernel_name: str | None,
    arch: str,
) -> None:
    """Load a module in a fresh virtual machine and run a command there.

    TARGET is a module folder (built first) or a .ko file. The output and the exit code are those of COMMAND in the
    guest, and it gets what is piped in. One word is a shell line, several are a program and its arguments (with `--`
    before them where there are options among them). Where COMMAND succeeds but the kernel complained (oops, warning),
    the exit code is 123.
    """
    parameters = parameters_of(param)
    if shell:
        require_terminal()
    for file in filter(None, (pcap, console)):
        require_writable(file)
    if target.suffix != ".ko":
        Module(target).require_kbuild()
    with Stages() as stages:
        kernel = set_up(stages, kernel_name, arch=arch)
        modules = modules_of(target, kernel, stages)
        vm = machine.vm(kernel, stages)
        with stages.stage("booting"):
            vm.start()
    try:
        code = _serve(vm, modules, parameters, guest_command, shell, timeout, as_json)
    finally:
        try:
            _keep(vm, pcap, console)
        finally:
            vm.close()
    raise SystemExit(code)


def _serve(
    vm: VM,
    modules: list[BuiltModule],
    parameters: dict[str, str],
    guest_command: tuple[str, ...],
    shell: bool,
    timeout: float,
    as_json: bool,
) -> int:
    screen = Console(stderr=True, highlight=False, soft_wrap=True)
    begin = time.monotonic()
    vm.klog.sync()
    before = vm.klog.mark()
    for module in modules:
        vm.insmod(module, **parameters)
    vm.klog.sync()
    # Whatever was logged meanwhile: not all of it has the module's name in it, and other lines may have.
    said = vm.klog.text(before).splitlines()
    if not as_json:
        show_door(vm)
        screen.print(
            f"[green]✓[/] loaded {escape(', '.join(module.name for module in modules))} on {escape(vm.kernel.release)}"
        )
        for line in said:
            screen.print(f"  {line}", markup=False, style="dim")
    code = 0
    entry: dict[str, object] = {}
    if guest_command:
        words: str | list[str] = guest_command[0] if len(guest_command) == 1 else list(guest_command)
        done = vm.run(
            words,
            timeout=timeout or None,
            input=_input(),
            on_stdout=None if as_json else lambda data: _emit(sys.stdout, data),
            on_stderr=None if as_json else lambda data: _emit(sys.stderr, data),
        )
        code = done.exit_code
        entry = {"command": guest_command, "exit_code": code, "stdout": done.stdout, "stderr": done.stderr}
    if shell:
        code = vm.shell()
    if vm.running and code == 0:
        vm.klog.check()
    if as_json:
        facts: dict[str, object] = {
            "kernel": vm.kernel.release,
            "accelerator": vm.accel.name,
            "boot_seconds": vm.boot_seconds,
        }
        if vm.image:
            facts["ssh"] = vm.ssh.line
        facts |= {"modules": [module.name for module in modules], "seconds": round(time.monotonic() - begin, 3)}
        click.echo(json.dumps({**facts, **entry, "log": [record.text for record in vm.klog.records()]}, indent=1))
    return code


def _input() -> IO[bytes] | None:
    """What is piped in; a terminal stays the user's own."""
    return None if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer


def _emit(stream: TextIO | None, data: bytes) -> None:
    """Bytes as they are: the guest's output may be no text.

    Args:
        stream: None where the user closed it.

    Raises:
        OSError: nobody reads any more, or the disk is full.
    """
    if stream is None:
        return
    stream.flush()
    # Not through the stream's buffer: what cannot be written would be tried once more at exit.
    while data:
        data = data[os.write(stream.fileno(), data) :]


def _keep(vm: VM, pcap: Path | None, console: Path | None) -> None:
    """Copy what the user wants to keep out of the run's folder."""
    if pcap and 0 in vm.captures and vm.captures[0].exists():
        pcap.write_bytes(vm.captures[0].read_bytes())
    if console and (vm.workdir / "console.log").exists():
        console.write_bytes((vm.workdir / "console.log").read_bytes())
