# SPDX-License-Identifier: MIT
"""`r4l setup`."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.markup import escape

from r4l.arch import DEFAULT, architecture
from r4l.cli.commands import ProjectCommand
from r4l.cli.json_option import json_option
from r4l.cli.options import kernel_option
from r4l.module import unfetched
from r4l.setup import lock_file_of, note_extras, set_up
from r4l.stages import Stages
from r4l.terminal import Console


@click.command(
    cls=ProjectCommand,
    epilog=f"Examples: r4l setup;  r4l setup --kernel 7.2.11+deb13-{architecture(DEFAULT).debian};  "
    "r4l setup --lock lock.json",
)
@kernel_option
@click.option(
    "--lock",
    "lock_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Use the versions of a lock file, in this and every later command, until --update or another --lock.",
)
@click.option("--update", is_flag=True, help="Make the newest toolchain and kernel beside the existing ones.")
@json_option("Print what is ready as JSON.")
def command(kernel_name: str | None, arch: str, lock_file: Path | None, update: bool, as_json: bool) -> None:
    """Make the toolchain and the kernel ready.

    Downloads about 1 GB from Debian and needs about 4 GB of disk. Finished parts are kept: a second call takes no time,
    and after an interrupt the next call continues. Products of another toolchain are built again when they are used;
    `r4l clean` removes them.
    """
    with Stages() as stages:
        kernel = set_up(stages, kernel_name, arch=arch, lock_file=lock_file, update=update)
    unfetched.forget()
    note_extras(kernel)
    lock = lock_file_of(kernel)
    if as_json:
        times = {stage.name: round(stage.seconds, 1) for stage in stages.done}
        data = {
            **kernel.manifest,
            "toolchain_key": kernel.toolchain.key,
            "build": str(kernel.build),
            "lock": str(lock) if lock else None,
            "seconds": times,
        }
        click.echo(json.dumps(data, indent=1))
        return
    console = Console(highlight=False)
    console.print(f"[green]✓[/] kernel {escape(kernel.release)} ({kernel.arch}) is ready")
    symbols = kernel.manifest.get("rust_symbols")
    if symbols:
        crates = ", ".join(f"{name} {count}" for name, count in symbols["exported"].items())
        console.print(
            f"  proof: all {symbols['matching']} exported Rust symbols match Debian's Module.symvers ({crates})"
        )
    console.print(f"  KDIR:  {escape(str(kernel.build))}", soft_wrap=True)
    console.print(f"  toolchain: {escape(kernel.toolchain.in_force)}", soft_wrap=True)
    if lock:
        console.print(f"  lock:  {escape(str(lock))}", soft_wrap=True)
