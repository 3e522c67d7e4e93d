# SPDX-License-Identifier: MIT
"""Options that several commands share."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import math
import os
import shlex
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from click.shell_completion import CompletionItem

from r4l.arch import DEFAULT, architecture, architectures
from r4l.cluster import PATIENCE
from r4l.errors import UsageError
from r4l.kernel import Kernel, own, stock
from r4l.kernel.named import is_path
from r4l.paths import followed, leads_to_file, leads_to_folder
from r4l.rootfs import disk
from r4l.rootfs.disk import DiskImage
from r4l.rootfs.first_stage import require_fit
from r4l.settings import Settings
from r4l.stages import Stages, is_quiet
from r4l.toolchain import Toolchain

if TYPE_CHECKING:
    from r4l.vm import VM
    from r4l.vm.snapshot import Snapshot


def complete_kernel(_context: click.Context, _option: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the kernels' names for the shell's completion: those that are ready, and those that can be made."""
    if is_path(begun):
        return [CompletionItem(begun, type="dir")]
    ready = [kernel.release for toolchain in Toolchain.all_made() for kernel in stock.all_ready(toolchain)]
    return [CompletionItem(name) for name in dict.fromkeys([*own.names(), *ready]) if name.startswith(begun)]


F = TypeVar("F", bound=Callable[..., Any])

LONGEST = 1e9
"""Seconds, thirty years, from which a time-out is none: the system's clocks do not take all numbers."""


class Seconds(click.FloatRange):
    """Seconds; `nan`, which no comparison ever ends, is refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds of a text."""
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return seconds


def kernel_option(function: F) -> F:
    """Add `--kernel NAME` and `--arch`, given to the command as `kernel_name` and `arch`."""
    return _kernel_option(function, DEFAULT)


def lab_kernel_option(function: F) -> F:
    """Add `--kernel NAME` and `--arch` for a lab: None without the option, so that the lab decides."""
    return _kernel_option(function, None)


def on_option(function: F) -> F:
    """Add `--on tcp://HOST:PORT`, given to the command as `address`, empty without the option, and `--wait SECONDS`, as
    `patience`."""
    about = "Run them on a cluster of Dask's: the address of its scheduler."
    on = click.option("--on", "address", default="", metavar="tcp://HOST:PORT", help=about)
    wait = click.option(
        "--wait",
        "patience",
        type=Seconds(min=0, min_open=True),
        default=PATIENCE,
        show_default=True,
        metavar="SECONDS",
        help="With --on: the time for which the cluster may be without any worker that holds virtual machines.",
    )
    return on(wait(function))


def kernels_option(function: F) -> F:
    """Add a repeatable `--kernel NAME`, given to the command as `kernel_names`, and `--arch`."""
    return _kernel_option(function, DEFAULT, several=True)


def _kernel_option(function: F, default: str | None, *, several: bool = False) -> F:
    first = "stock (the default)" if default else "Instead of the lab's own kernel: stock"
    name = click.option(
        "--kernel",
        "kernel_names" if several else "kernel_name",
        metavar="NAME",
        multiple=several,
        envvar="R4L_KERNEL",
        shell_complete=complete_kernel,
        help=f"{first}, rt, cloud, testing, sid or a release of Debian's, minimal, debug, samples or another profile, "
        "one that was built under a NAME, or the PATH of a build folder."
        + (" May be repeated: each test runs on each." if several else ""),
    )
    arch = click.option(
        "--arch",
        type=click.Choice(list(architectures())),
        default=default,
        show_default=True,
        envvar="R4L_ARCH",
        # Parsed before the options that depend on it.
        is_eager=True,
        help="The guest's architecture.",
    )
    return name(arch(function))


def config_option(function: F) -> F:
    """Add `--config NAME=VALUE`, given to the command as `config`, a dictionary."""

    def parsed(_context: click.Context, _parameter: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
        wrong = [pair for pair in pairs if "=" not in pair]
        if wrong:
            raise UsageError(
                f"{wrong[0]} gives an option of Kconfig no value", "write NAME=m, y or n, or another value"
            )
        return dict(pair.split("=", 1) for pair in pairs)

    return click.option(
        "--config",
        multiple=True,
        metavar="NAME=VALUE",
        callback=parsed,
        help="Option of Kconfig that the module's Makefile asks for, as in obj-$(CONFIG_NAME); may be repeated.",
    )(function)


def config_for(driver: str, config: Mapping[str, str]) -> dict[str, str]:
    """Return the options of Kconfig for one of several drivers: those of `--config`, and those of its own project file.

    Args:
        driver: the user's name of the driver, as `r4l.module.named` takes it.
        config: options for all of them, which come first.
    """
    own = Settings.near(Path(driver)).config if Path(driver).is_dir() else {}
    return {**own, **config}


@dataclass(frozen=True)
class MachineOptions:
    """The user's options for the virtual machine."""

    nics: int
    nic_model: str
    with_module: tuple[str, ...]
    memory: int | None
    snapshot: bool | None
    cpus: int
    append: str
    image: str | None
    ssh_port: int
    devices: tuple[str, ...]
    qemu: tuple[str, ...]
    put: tuple[str, ...]
    share: tuple[str, ...]
    verbose: bool

    def start(
        self, kernel: Kernel, stages: Stages, usual: Snapshot = None, *, before: Callable[[VM], object] | None = None
    ) -> VM:
        """Return the virtual machine, booted or restored, with the files of `--put` in it.

        Args:
            kernel: kernel to boot.
            stages: receives the progress.
            usual: what `VM` is told about snapshots if the user says nothing.
            before: called with the machine before it starts.

        Raises:
            R4LError: the machine does not boot, or rejects a file; it is closed then.
        """
        from r4l.guest.put import Put
        from r4l.vm.boot import crowding

        files = [Put.parse(text) for text in self.put]
        vm = self.vm(kernel, stages, usual)
        if before:
            before(vm)
        if self.verbose:
            stages.console.print(vm.command_line, markup=False, highlight=False, soft_wrap=True, style="dim")
        if (factor := crowding(vm.machine)) > 1 and not is_quiet():
            stages.console.print(
                f"[yellow]note:[/] {os.cpu_count()} processors of this computer emulate {self.cpus}: a boot may take "
                f"{factor:.0f} times as long"
            )
        with stages.stage("booting"):
            vm.start()
        if vm.saved is not None and not is_quiet():
            when = time.strftime("%-d %b %H:%M", time.localtime(vm.saved))
            stages.console.print(f"[green]✓[/] restored as it booted on {when} [dim](--boot boots it again)[/]")
        try:
            for file in files:
                file.into(vm.guest)
        except BaseException:
            vm.close(keep=True)
            raise
        return vm

    def vm(self, kernel: Kernel, stages: Stages, usual: Snapshot = None) -> VM:
        """Return the virtual machine, not yet started; its disk image is made first if missing."""
        image = None
        if self.image:
            # Checked before the image is made, which takes a minute.
            require_fit(kernel, self.image)
            with stages.stage(f"{self.image} image") as say:
                image = DiskImage.get(self.image, kernel.toolchain, say)
        elif self.ssh_port:
            raise UsageError("the small guest has no sshd", "add --image debian")
        # Imported here, not above: that saves commands without a machine a tenth of a second.
        from r4l.net import Nic
        from r4l.vm import VM
        from r4l.vm.share import Share

        return VM(
            kernel,
            image=image,
            ssh_port=self.ssh_port,
            nics=[Nic(self.nic_model) for _ in range(self.nics)],
            memory=self.memory,
            snapshot=usual if self.snapshot is None else self.snapshot,
            cpus=self.cpus,
            append=self.append,
            modules=self.with_module,
            devices=self.devices,
            shares=[Share.parse(text) for text in self.share],
            extra=[word for text in self.qemu for word in words_of(text)],
        )


def machine_options(function: F) -> F:
    """Add the options of a virtual machine, given to the command together as `machine`."""

    @functools.wraps(function)
    def gathered(**values: Any) -> Any:
        fields = [field.name for field in dataclasses.fields(MachineOptions)]
        machine = MachineOptions(**{name: values.pop(name) for name in fields})
        # Malformed values are reported before the work begins.
        for text in machine.qemu:
            words_of(text)
        if machine.put:
            from r4l.guest.put import Put

            for text in machine.put:
                Put.parse(text)
        if machine.share:
            from r4l.vm.share import Share

            for text in machine.share:
                Share.parse(text)
        return function(machine=machine, **values)

    options = (
        click.option(
            "--nics", type=click.IntRange(0, 8), default=1, show_default=True, help="Number of network cards."
        ),
        click.option(
            "--nic-model",
            default="e1000",
            show_default=True,
            help="QEMU's name of the card; or a model in Python: python:e1000, or FILE.py:CLASS.",
        ),
        click.option(
            "--with-module",
            multiple=True,
            metavar="NAME",
            help="A module of the kernel's own, to provide for modprobe.",
        ),
        click.option(
            "--memory",
            type=click.IntRange(min=1),
            metavar="MIB",
            help="Memory of the guest in MiB; enough for its kernel by default.",
        ),
        click.option(
            "--snapshot/--no-snapshot",
            " /--boot",
            default=None,
            help="Go on from the state of an equal machine that was booted before, or boot. By default, `run` and "
            "`shell` restore the machines that QEMU can save (no --image, --device or --qemu), other commands those of "
            "kernels that boot slowly.",
        ),
        click.option("--cpus", type=click.IntRange(min=1), default=2, show_default=True, help="Virtual CPUs."),
        click.option("--append", default="", help="Added to the kernel command line."),
        click.option(
            "--image",
            type=click.Choice(disk.names()),
            help="Start from a disk image with systemd and sshd instead of the small guest; made at the first use.",
        ),
        click.option(
            "--ssh-port",
            type=click.IntRange(0, 65535),
            default=0,
            help="Port on 127.0.0.1 for ssh into the image; by default a free one.",
        ),
        click.option(
            "--device",
            "devices",
            multiple=True,
            metavar="SPEC",
            callback=_describe,
            help="One more device, as QEMU's -device takes it: edu, or nvme,serial=1. `help` lists all, "
            "`NAME,help` the properties of one. Or one in Python: FILE.py:CLASS. May be repeated.",
        ),
        click.option(
            "--qemu",
            multiple=True,
            metavar="ARGUMENTS",
            help="More arguments for QEMU, quoted as for a shell; files by absolute paths. May be repeated.",
        ),
        click.option(
            "--put",
            multiple=True,
            metavar="HOST:GUEST",
            help="Copy a file or a folder into the guest, to an absolute path there. May be repeated.",
        ),
        click.option(
            "--share",
            multiple=True,
            metavar="HOST:GUEST[:rw]",
            help="Mount a folder in the guest; the guest can change it only with :rw. May be repeated.",
        ),
        click.option("--verbose", "-v", is_flag=True, help="Show QEMU's command line, to be pasted into a shell."),
    )
    result: Any = gathered
    for option in reversed(options):
        result = option(result)
    return cast(F, result)


def words_of(text: str) -> list[str]:
    """Return the words of `--qemu`, split as a shell does.

    Raises:
        UsageError: a quote is not closed.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--qemu {text!r} cannot be read: {error}", "close the quote") from error


def _describe(context: click.Context, _option: click.Parameter, specs: tuple[str, ...]) -> tuple[str, ...]:
    """Print QEMU's own answer to `-device help` and end if the user asked for it; else return the specs unchanged.

    Raises:
        UsageError: QEMU has no such device.
    """
    asked = next((spec for spec in specs if spec in ("help", "?") or spec.endswith(",help")), None)
    if asked is None or context.resilient_parsing:
        return specs
    from r4l.vm import refusal

    arch = context.params["arch"]
    toolchain = Toolchain.get().extended(*architecture(arch).extras)
    said = refusal.described(asked, toolchain, arch)
    if not said:
        raise refusal.no_device(asked.removesuffix(",help"), toolchain, arch)
    click.echo(said, nl=False)
    raise click.exceptions.Exit


def timeout_option(text: str) -> Callable[[F], F]:
    """Return the option `--timeout SECONDS`, where 0 is no limit, as the command gets it for `inf`, too."""

    def finite(_context: click.Context, _option: click.Parameter, seconds: float) -> float:
        return seconds if seconds < LONGEST else 0.0

    return click.option("--timeout", type=Seconds(min=0), default=300.0, show_default=True, callback=finite, help=text)


def require_writable(path: Path) -> None:
    """Refuse, before the work, a file that could not be written at its end; the check leaves no trace.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        if leads_to_file(path):
            path.open("ab").close()
        elif leads_to_folder(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        elif not path.exists():
            # Only an attempt tells: root has the right to write in /proc, and still cannot.
            tempfile.TemporaryFile(dir=followed(path).parent).close()
            # A name that is too long, a link that leads in a circle.
            with contextlib.suppress(FileNotFoundError):
                path.stat()
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}", "name a file in a folder you can write to"
        ) from error


def show_door(vm: VM) -> None:
    """Print the ssh and scp commands for the machine if it has an sshd."""
    if vm.image:
        click.echo(f"ssh:  {vm.ssh.line}\nscp:  scp -F {vm.ssh.config} FILE guest:", err=True)
