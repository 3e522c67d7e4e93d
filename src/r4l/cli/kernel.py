# SPDX-License-Identifier: MIT
"""`r4l kernel`."""

from __future__ import annotations

import json
import os
import subprocess
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import click
from rich.markup import escape

from r4l.arch import DEFAULT, architecture
from r4l.cli.commands import ProjectCommand
from r4l.cli.json_option import json_option
from r4l.cli.options import kernel_option
from r4l.debian import choice
from r4l.errors import EnvironmentFault, UsageError
from r4l.kernel import Kernel, debian, named, own, stock, tree
from r4l.kernel import recipe as recipes
from r4l.kernel.describe import Description, describe
from r4l.kernel.kconfig import Dropped
from r4l.kernel.manifest import MANIFEST
from r4l.kernel.profile import profiles
from r4l.limits import UNLIMITED
from r4l.report import kernel as kernel_page
from r4l.settings import Settings
from r4l.stages import Stages, is_quiet
from r4l.terminal import Console
from r4l.toolchain import Grant, Toolchain


@click.group()
def command() -> None:
    """List, describe, configure and build kernels."""
    choice.prefer(Settings.near(Path()))


@command.command("list")
@click.option("--available", is_flag=True, help="List what can be made: profiles, and the Debian mirror's kernels.")
@click.option(
    "--arch", envvar="R4L_ARCH", default=DEFAULT, show_default=True, help="For --available: the guest's architecture."
)
@json_option("As JSON.")
def list_kernels(available: bool, arch: str, as_json: bool) -> None:
    """List the kernels that are ready, or with --available those that can be made."""
    rows: list[tuple[str, str, str]] = []
    listed: set[str] = set()
    stale: list[tuple[str, str, str]] = []
    if available:
        table = architecture(arch)
        # Of an architecture whose kernels have no Rust, none can be made.
        for suite, archive in () if table.no_stock else stock.archives(table.debian):
            if isinstance(archive, EnvironmentFault):
                click.echo(f"r4l: Debian {suite} is left out: {archive.cause}", err=True)
                continue
            there = [release for release in debian.available(archive, table.debian) if release not in listed]
            rows += [(release, table.name, _from(suite, release)) for release in there]
            listed.update(there)
        rows += [(profile.name, table.name, profile.about) for profile in profiles().values()]
    else:
        toolchain = Toolchain.existing()
        debians = [kernel for made in Toolchain.all_made() for kernel in stock.all_ready(made)]
        kernels = [*debians, *own.all_ready(toolchain)]
        rows = [
            (kernel.release if kernel.name == "stock" else kernel.name, kernel.arch, _origin(kernel))
            for kernel in kernels
        ]
        stale = own.all_stale(toolchain)
    if as_json:
        data = [{"name": name, "arch": arch, "what": what} for name, arch, what in rows]
        data += [{"name": name, "arch": arch, "what": "", "stale": why} for name, arch, why in stale]
        click.echo(json.dumps(data, indent=1))
        return
    width = max((len(row[0]) for row in [*rows, *stale]), default=0)
    for name, machine, what in rows:
        click.echo(f"{name:<{width}}  {machine:<7}  {what}")
    for name, machine, why in stale:
        again = own.can_be_built_again(name, machine)
        remedy = f"--kernel {name} builds it again" if again else f"r4l clean --kernel {name} removes it"
        click.echo(f"{name:<{width}}  {machine:<7}  stale: {why}; {remedy}")


def _from(suite: str, release: str) -> str:
    flavour = debian.flavour_of(release)
    return " ".join(filter(None, ("Debian", suite))) + (f", flavour {flavour}" if flavour else "")


def _origin(kernel: Kernel) -> str:
    if kernel.name == "stock":
        return " ".join(filter(None, ("Debian", kernel.toolchain.suite, kernel.version)))
    return f"{kernel.release}, profile {kernel.manifest['profile']}, from {kernel.manifest['version']}"


@command.command("show", cls=ProjectCommand, epilog="Example: make -C $(r4l kernel show --kdir) M=$PWD")
@click.argument("name", required=False)
@kernel_option
@click.option("--kdir", is_flag=True, help="Print only the build folder, for `make -C KDIR M=$PWD`.")
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), help="Write all of it as a page (HTML).")
@json_option("As JSON.")
def show(name: str | None, kernel_name: str | None, arch: str, kdir: bool, page: Path | None, as_json: bool) -> None:
    """Describe a kernel: compilers, images, options, and the safe Rust interfaces for drivers in it and in the kit."""
    wanted = name or kernel_name or "stock"
    kernel = named.ready(wanted, arch=arch)
    if kernel is None:
        made = Toolchain.made()
        stale = own.all_stale(made) if made else []
        called = (wanted, architecture(arch).name)
        why = next((f": {why}" for known, machine, why in stale if (known, machine) == called), "")
        remedy = f"run `r4l setup --kernel {wanted} --arch {arch}`"
        if not own.can_be_built_again(*called):
            remedy = f"bring the folder back, or remove the kernel with `r4l clean --kernel {wanted}`"
        raise EnvironmentFault(f"the kernel {wanted} is not ready{why}", remedy)
    if kdir:
        click.echo(str(kernel.build))
        return
    description = describe(kernel)
    if page:
        page.write_text(kernel_page.page(description), encoding="utf-8")
        click.echo(f"page: {page.resolve()}", err=True)
    elif as_json:
        click.echo(json.dumps(description.as_data(), indent=1))
    else:
        _show(description)


def _show(description: Description) -> None:
    width = max(map(len, description.facts))
    for key, value in description.facts.items():
        click.echo(f"{key:<{width}}  {value}")
    for image in description.images:
        click.echo(f"{image.kind:<{width}}  {image.size:,} bytes: {image.about}")
    for group, entries in groupby(description.options, key=attrgetter("group")):
        click.echo(f"\n{group}")
        for option in entries:
            click.echo(f"  {option.value[:8]:<8} {option.name:<26} {option.about}")
    for group, topics in groupby(description.topics, key=attrgetter("group")):
        click.echo(f"\nRust: {group}")
        for topic in topics:
            where = f"rust/kernel/{topic.kernel}" if topic.kernel else f"kit: {topic.kit}" if topic.kit else ""
            needs = f" ({topic.missing})" if topic.state == "off" else ""
            click.echo(f"  {topic.state:<8} {topic.name:<44} {where}{needs}")
    off = [module for module in description.rust if not module.on]
    click.echo(f"\nkernel crate: {len(description.rust) - len(off)} modules; off in this configuration:")
    for module in off:
        click.echo(f"  {module.name:<26} needs {module.condition}")


BUILD_EPILOG = """\b
Examples:
  r4l kernel build minimal
  r4l kernel build minimal --fragment usb.config --name usb
  r4l kernel build minimal --kdir ~/linux --name mine     your own clean tree
  r4l kernel build --kdir ~/linux/build                   a configured tree, unchanged
"""


@command.command("build", epilog=BUILD_EPILOG)
@click.argument("profile", required=False)
@click.option("--fragment", "fragments", multiple=True, type=click.Path(path_type=Path), help="File of more options.")
@click.option("--kdir", type=click.Path(path_type=Path), help="Your source tree or build folder; Debian's by default.")
@click.option("--name", help="Name for --kernel; the profile's name by default.")
@click.option("--arch", envvar="R4L_ARCH", default=DEFAULT, show_default=True, help="The guest's architecture.")
@json_option("As JSON.")
def build(
    profile: str | None,
    fragments: tuple[Path, ...],
    kdir: Path | None,
    name: str | None,
    arch: str,
    as_json: bool,
) -> None:
    """Build a kernel from source: a PROFILE, with your own fragments laid over it.

    An existing kernel is built incrementally: make does only what has changed. Options that the kernel does not accept
    are named with the reason. A configured folder (`--kdir`) is built in place with its own configuration.
    """
    arch = architecture(arch).name
    with Stages() as stages:
        with stages.stage("toolchain (Debian tree)") as say:
            toolchain = Toolchain.get(say)
        found = tree.folders_of(kdir) if kdir else None
        if found and found.build:
            if profile or fragments or name:
                raise UsageError(
                    f"{kdir} is configured already, so it is built as it is, without a profile, fragments or a name",
                    f"leave them out, or clean the tree: `make -C {kdir} mrproper`",
                )
            with stages.stage("building the kernel") as say:
                kernel = tree.build_in_place(found, toolchain, say)
        else:
            base = _require_profile(profile)
            if (fragments or found) and not name:
                raise UsageError("a kernel with fragments or a tree of your own needs a name", "give --name NAME")
            called = name or base
            if found:
                recipe = recipes.recipe(
                    called, found.source, str(found.source), arch=arch, base=base, fragments=fragments
                )
            else:
                with stages.stage("kernel source") as say:
                    recipe = named.debian_recipe(called, arch, base=base, fragments=fragments, say=say)
            with stages.stage(f"building kernel {called}") as say:
                kernel = own.build(recipe, toolchain, say, again=True)
    _tell(kernel, as_json)


def _require_profile(profile: str | None) -> str:
    if profile is None:
        raise UsageError("no profile is given", f"give one of {', '.join(profiles())}")
    return profile


def _tell(kernel: Kernel, as_json: bool) -> None:
    dropped = [Dropped(**entry) for entry in kernel.manifest.get("dropped", [])]
    if as_json:
        click.echo(json.dumps({**kernel.manifest, "build": str(kernel.build), "image": str(kernel.image)}, indent=1))
        return
    console = Console(highlight=False, soft_wrap=True)
    for entry in dropped:
        console.print(
            f"[yellow]dropped[/] {entry.option}={escape(entry.wanted)} (it is {escape(entry.got)})",
            highlight=False,
        )
        console.print(f"        {entry.reason}", markup=False)
    if is_quiet():
        return
    console.print(f"[green]✓[/] kernel {escape(kernel.release)} ({kernel.arch})")
    console.print(f"  KDIR:  {escape(str(kernel.build))}")
    console.print(f"  image: {escape(str(kernel.image))}")


@command.command("menuconfig", epilog="Example: r4l kernel menuconfig minimal && r4l kernel build minimal")
@click.argument("name")
@click.option("--arch", envvar="R4L_ARCH", default=DEFAULT, show_default=True)
def menuconfig(name: str, arch: str) -> None:
    """Open the kernel's configuration menu, for a kernel that was built from source.

    Changes made there stay until its profile or a fragment changes. `r4l kernel build NAME` then builds it.
    """
    toolchain = Toolchain.existing()
    folder = home_of(name, architecture(arch).name)
    with Stages() as stages, stages.stage("menuconfig") as say:
        toolchain = toolchain.extended("menuconfig", say=say)
    mark = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    argv: list[str | Path] = ["make", "-C", mark["source"], f"O={folder / 'build'}"]
    argv += [*own.make_arguments(architecture(arch)), "menuconfig"]
    grant = Grant(
        "kernel: menuconfig",
        writes=(folder / "build",),
        reads=(Path(mark["source"]),),
        terminal=True,
        limits=UNLIMITED,
    )
    inside = toolchain.command(argv, grant, env={"TERM": os.environ.get("TERM", "linux")})
    raise SystemExit(subprocess.run(inside, check=False).returncode)


def home_of(name: str, arch: str) -> Path:
    """Return the folder of a kernel that was built from source.

    Raises:
        UsageError: no kernel of that name was built from source.
    """
    ready = own.ready(name, arch, Toolchain.existing())
    if ready is None:
        raise UsageError(f"the kernel {name} was not built from source for {arch}", f"run `r4l kernel build {name}`")
    return ready.build.parent
