# SPDX-License-Identifier: MIT
"""`r4l run`."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from rich.markup import escape

from r4l.cli import editor_files, kept, show
from r4l.cli.commands import NOTHING, GuestCommand
from r4l.cli.json_option import json_option
from r4l.cli.options import (
    MachineOptions,
    config_option,
    kernel_option,
    machine_options,
    require_writable,
    show_door,
    timeout_option,
)
from r4l.cli.screen import emit, input_of_command, show_warnings
from r4l.errors import EnvironmentFault, GuestTimeout, R4LError, UsageError, VerdictError
from r4l.guest.output import Sink
from r4l.guest.shell import require_terminal
from r4l.kept.keeper import Keeper, die_with_parent, is_keeper
from r4l.kernel import Kernel
from r4l.klog import Splat
from r4l.module import BuiltModule, Module
from r4l.module.parameters import parameters_for, parameters_of
from r4l.module.shipped import with_kernels_own
from r4l.setup import set_up
from r4l.stages import Stages, is_quiet
from r4l.terminal import Console
from r4l.vm import VM
from r4l.vm.snapshot import AS_BOOTED


def modules_of(target: Path, kernel: Kernel, stages: Stages, config: Mapping[str, str]) -> list[BuiltModule]:
    """Return the modules of a folder, built; or a .ko file itself, checked against the kernel.

    Args:
        target: folder or .ko file.
        kernel: kernel to build for.
        stages: receives the progress.
        config: options of Kconfig that the folder is built with.
    """
    if target.suffix == ".ko":
        if not target.is_file():
            raise UsageError(f"no such module: {target}", "give a module folder, or a .ko file")
        module = BuiltModule(target.absolute())
        module.check(kernel)
        return [with_kernels_own(kernel, module)]
    source = Module(target, config)
    with stages.stage(f"building {target.absolute().name}") as say:
        built = source.build_all(kernel, say=say)
    editor_files.follow(source, kernel, stages)
    return built


EPILOG = """\b
Examples:
  r4l run rust/drivers/hello -- dmesg
  r4l run rust/drivers/e1000 -- 'ip link set eth0 up && ip addr'
  r4l run . --shell --pcap out.pcap
  r4l run --kernel minimal -- uname -a     no module, only the command
  r4l run . --image debian --shell     a whole Debian, with ssh
"""


@click.command(cls=GuestCommand, epilog=EPILOG)
@click.argument("target", type=click.Path(path_type=Path))
@click.argument("guest_command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
@click.option("--shell", is_flag=True, help="Open a shell in the guest after the command.")
@click.option("--keep", is_flag=True, help="Leave the machine running: `r4l exec`, `r4l shell --join`, `r4l stop`.")
@click.option("--param", "-p", multiple=True, metavar="NAME=VALUE", help="Module parameter; may be repeated.")
@config_option
@machine_options
@timeout_option("Seconds that COMMAND may take; 0 for no limit.")
@click.option(
    "--pcap", type=click.Path(dir_okay=False, path_type=Path), help="Keep the first card's packets in this file."
)
@click.option("--console", type=click.Path(dir_okay=False, path_type=Path), help="Keep the console in this file.")
@json_option("Print everything as JSON at the end, nothing before.")
@kernel_option
def command(
    target: Path,
    guest_command: tuple[str, ...],
    shell: bool,
    keep: bool,
    machine: MachineOptions,
    param: tuple[str, ...],
    config: dict[str, str],
    timeout: float,
    pcap: Path | None,
    console: Path | None,
    as_json: bool,
    kernel_name: str | None,
    arch: str,
) -> None:
    """Load a module in a fresh virtual machine and run a command there.

    TARGET is a module folder (built first) or a .ko file; with none before `--`, no module is loaded. The output and
    the exit code are those of COMMAND in the guest, and piped input goes to COMMAND. One word is a shell line, several
    are a program and its arguments: options that follow the program are its own. If COMMAND succeeds but the kernel
    complained (oops, warning), up to the log's last line, the exit code is 123.
    """
    parameters = parameters_of(param)
    if shell and not is_keeper():
        require_terminal()
    if keep and (as_json or pcap or console):
        raise UsageError("--keep goes without --json, --pcap and --console", "what is kept lies in the run's folder")
    for file in filter(None, (pcap, console)):
        require_writable(file)
    has_module = str(target) != NOTHING
    if parameters and not has_module:
        raise UsageError("--param needs a module, and none is given", "name a module before `--`")
    if has_module and target.suffix != ".ko":
        Module(target).require_kbuild()
    if keep and not is_keeper():
        raise SystemExit(kept.begin(guest_command, timeout, shell=shell))
    if keep:
        die_with_parent()
    with Stages() as stages:
        kernel = set_up(stages, kernel_name, arch=arch)
        modules = modules_of(target, kernel, stages, config) if has_module else []
        vm = machine.start(kernel, stages, AS_BOOTED)
    show_warnings(module.warnings for module in modules)
    if keep:
        _stay(vm, modules, parameters)
        return
    seen: dict[str, object] = {"kernel": kernel.release, "accelerator": vm.accel.name}
    seen["warnings"] = modules[0].warnings if modules else ""
    trouble: R4LError | None = None
    begin = time.monotonic()
    code = 0
    try:
        try:
            code = _serve(vm, modules, parameters, guest_command, shell, timeout, seen if as_json else None)
        except R4LError as error:
            trouble = error
        trouble = judged(vm, trouble)
        _keep(vm, pcap, console)
    finally:
        vm.close(keep=trouble is not None)
    # Complaints logged while the machine was closed.
    trouble = trouble or vm.untold()
    if as_json:
        seen["seconds"] = round(time.monotonic() - begin, 3)
        seen["log"] = [record.text for record in vm.klog.records()]
        told = {name: trouble.as_dict()[name] for name in ("error", "cause", "remedy")} if trouble else {}
        click.echo(json.dumps({**seen, **told, "complaint": trouble.as_dict() if trouble else None}, indent=1))
    elif trouble:
        show(trouble)
    # The command's own exit code comes first; the kernel's complaint has been shown in any case.
    raise SystemExit(code or (trouble.exit_code if trouble else 0))


def _stay(vm: VM, modules: list[BuiltModule], parameters: dict[str, str]) -> None:
    """Load the modules, and keep the machine until it ends; this process is its keeper."""
    try:
        load_modules(vm, modules, parameters, quiet=False)
        vm.check()
        name = modules[-1].name if modules else vm.kernel.name
        keeper = Keeper(vm, re.sub(r"[^A-Za-z0-9_.-]", "_", name), [module.name for module in modules])
    except BaseException:
        vm.close(keep=True)
        raise
    keeper.serve()


def judged(vm: VM, trouble: R4LError | None) -> R4LError | None:
    """Return the error of the whole run: the kernel's complaint takes precedence over the command's error.

    A fault of the host comes first: a kernel whose disk is full or whose host is starved complains of that, too.
    """
    if isinstance(trouble, EnvironmentFault | GuestTimeout | VerdictError):
        return trouble
    try:
        vm.check()
    except Splat as splat:
        return splat
    except R4LError as error:
        return trouble or error
    return trouble


def _serve(
    vm: VM,
    modules: list[BuiltModule],
    parameters: dict[str, str],
    guest_command: tuple[str, ...],
    shell: bool,
    timeout: float,
    seen: dict[str, object] | None,
) -> int:
    """Load the modules, run the command, open the shell; return the exit code of the last of these.

    Args:
        seen: receives all results; None: they are shown.
    """
    if seen is not None:
        seen |= {
            "boot_seconds": vm.boot_seconds,
            "restored": vm.restored,
            "modules": [module.name for module in modules],
        }
        seen |= {"ssh": vm.ssh.line} if vm.image else {}
    load_modules(vm, modules, parameters, quiet=seen is not None)
    code = run_command(vm, guest_command, timeout, seen) if guest_command else 0
    return vm.shell() if shell else code


def first_of(modules: Sequence[BuiltModule]) -> list[BuiltModule]:
    """Return the kernel's own modules that are loaded before these, in their order."""
    own = {module.name for module in modules}
    needed = {other.name: other for module in modules for other in module.needs if other.name not in own}
    return list(needed.values())


def load_modules(vm: VM, modules: list[BuiltModule], parameters: dict[str, str], *, quiet: bool) -> None:
    screen = Console(stderr=True, highlight=False, soft_wrap=True)
    vm.klog.sync()
    before = vm.klog.mark()
    for module in modules:
        vm.insmod(module, **parameters_for(module, modules, parameters))
    vm.klog.sync()
    if quiet or is_quiet():
        return
    show_door(vm)
    if modules:
        names = escape(", ".join(module.name for module in modules))
        others = ", ".join(other.name for other in first_of(modules))
        screen.print(f"[green]✓[/] loaded {names} on {escape(vm.kernel.release)}", end="")
        screen.print(f", and of the kernel's own {others}" if others else "", markup=False)
    # All lines logged meanwhile: not all of the module's have its name in them, and other lines may have.
    for line in vm.klog.text(before).splitlines():
        screen.print(f"  {line}", markup=False, style="dim")


def run_command(vm: VM, guest_command: tuple[str, ...], timeout: float, seen: dict[str, object] | None) -> int:
    """Run the command and return its exit code.

    Args:
        seen: receives the output, also if the command does not end; None: output is shown as it comes.
    """
    words: str | list[str] = guest_command[0] if len(guest_command) == 1 else list(guest_command)
    if seen is None:
        return vm.run(
            words,
            timeout=timeout or None,
            input=input_of_command(),
            on_stdout=lambda data: emit(sys.stdout, data),
            on_stderr=lambda data: emit(sys.stderr, data),
        ).exit_code
    out, err = Sink(), Sink()
    seen |= {"command": guest_command, "exit_code": None}
    try:
        done = vm.run(
            words, timeout=timeout or None, input=input_of_command(), on_stdout=out.write, on_stderr=err.write
        )
        seen["exit_code"] = done.exit_code
        return done.exit_code
    finally:
        for name, sink in (("stdout", out), ("stderr", err)):
            seen[name] = sink.value().decode("utf-8", "replace")
            sink.close()


def _keep(vm: VM, pcap: Path | None, console: Path | None) -> None:
    """Copy the files that the user asked for out of the run's folder."""
    if pcap and 0 in vm.captures and vm.captures[0].exists():
        pcap.write_bytes(vm.captures[0].read_bytes())
    if console and (vm.workdir / "console.log").exists():
        console.write_bytes((vm.workdir / "console.log").read_bytes())
