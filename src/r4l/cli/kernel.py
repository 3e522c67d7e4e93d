# SPDX-License-Identifier: MIT
"""`r4l kernel`."""

from __future__ import annotations

import json

import click

from r4l.errors import EnvironmentFault
from r4l.kernel import Kernel, debian
from r4l.toolchain import Toolchain, archive_for


def require_ready(release: str | None = None) -> Kernel:
    """The kernel that is ready.

    Raises:
        EnvironmentFault: there is none.
    """
    kernel = Kernel.ready(release)
    if kernel is None:
        raise EnvironmentFault(f"the kernel {release or ''} is not set up".replace("  ", " "), "run `r4l setup`")
    return kernel


@click.group()
def command() -> None:
    """The kernels: those that are ready, and what they are."""


@command.command("list")
@click.option("--available", is_flag=True, help="Ask the Debian mirror which kernels it has.")
@click.option("--json", "as_json", is_flag=True)
def list_kernels(available: bool, as_json: bool) -> None:
    """List the kernels that are ready, or those the mirror has."""
    if available:
        archive = archive_for()
        archive.update()
        names = debian.available(archive, "amd64")
    else:
        names = [kernel.release for kernel in Kernel.all_ready(Toolchain.existing())]
    if as_json:
        click.echo(json.dumps(names))
        return
    for name in names:
        click.echo(name)


@command.command("show", epilog="Example: make -C $(r4l kernel show --kdir) M=$PWD")
@click.argument("release", required=False)
@click.option("--kdir", is_flag=True, help="Print only the build folder, for `make -C KDIR M=$PWD`.")
@click.option("--json", "as_json", is_flag=True)
def show(release: str | None, kdir: bool, as_json: bool) -> None:
    """What a kernel is: release, compiler, proof of its Rust metadata, folders."""
    kernel = require_ready(release)
    if kdir:
        click.echo(str(kernel.build))
        return
    facts = {
        "release": kernel.release,
        "package version": kernel.version,
        "machine": kernel.arch,
        "vermagic": kernel.vermagic,
        "built by": kernel.config.get("CONFIG_CC_VERSION_TEXT", ""),
        "rustc": kernel.config.get("CONFIG_RUSTC_VERSION_TEXT", ""),
        "Rust symbols": f"{kernel.manifest['rust_symbols']['matching']} match",
        "KDIR": str(kernel.build),
        "source": str(kernel.source),
        "image": str(kernel.image),
        "vmlinux (PVH)": str(kernel.vmlinux),
        "modules": str(kernel.modules),
    }
    if as_json:
        click.echo(json.dumps(facts, indent=1))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        click.echo(f"{name:<{width}}  {value}")
