# SPDX-License-Identifier: MIT
"""`r4l graft`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click
from rich.markup import escape

from r4l import graft
from r4l.cli.called import called
from r4l.cli.json_option import json_option
from r4l.graft.series import SeriesResult, series
from r4l.terminal import Console

EPILOG = """\b
Examples:
  r4l graft rust/drivers/hello --into ~/linux                 samples/rust/hello.rs, CONFIG_SAMPLE_RUST_HELLO
  r4l graft my_driver --into ~/linux --as drivers/misc        a commit, where ~/linux is a git repository
  r4l graft rust/drivers/e1000 --into ~/linux --patch e1000.patch
  r4l graft rust/drivers/e1000 --into ~/linux --series out    a series with cover letter, for the kernel's lists
  r4l graft r4l_e1000 --into ~/linux --remove                 removes exactly what graft added
"""


@click.command(epilog=EPILOG)
@click.argument("driver")
@click.option(
    "--into",
    "tree",
    required=True,
    metavar="TREE",
    type=click.Path(path_type=Path),
    help="The top folder of a kernel's source, or a build folder of it.",
)
@click.option(
    "--as",
    "wanted",
    metavar="PATH",
    help="Folder in the tree, made if missing. By default samples/rust for a single file, "
    "else drivers/net or drivers/misc.",
)
@click.option("--symbol", metavar="NAME", help="Name of the Kconfig option; by default from the module's name.")
@click.option(
    "--commit/--no-commit",
    default=None,
    help="Make a commit in the tree; the default if it is a git repository.",
)
@click.option(
    "--patch", metavar="FILE", type=click.Path(path_type=Path), help="Write a patch, and leave the tree unchanged."
)
@click.option(
    "--series",
    "out",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Write driver and kit as a patch series in the kernel's own layout into a new folder, and leave the tree "
    "unchanged. For drivers with a series.toml.",
)
@click.option("--remove", "removing", is_flag=True, help="Take DRIVER (a folder or a module's name) out again.")
@json_option("Print what was done as JSON.")
def command(
    driver: str,
    tree: Path,
    wanted: str | None,
    symbol: str | None,
    commit: bool | None,
    patch: Path | None,
    out: Path | None,
    removing: bool,
    as_json: bool,
) -> None:
    """Put a driver's folder into a kernel's own tree.

    The tree gets an option in Kconfig, with which the driver is built in (y), built as a module (m), or not built (n),
    a line in the Makefile, and the driver's sources: as a commit if the tree is a git repository. The kernel features
    that the driver needs become dependencies of the option. A driver that uses the kit brings it along, as a crate in
    rust/kit that all such drivers share.
    """
    if commit and patch:
        raise click.UsageError("--commit and --patch exclude each other")
    if removing and (wanted or symbol or patch):
        raise click.UsageError("--remove finds the driver by itself: leave out --as, --symbol and --patch")
    if out and (wanted or symbol or commit or patch or removing):
        raise click.UsageError("--series takes place and option from series.toml: leave out the other options")
    if out:
        _print_series(series(Path(driver), tree, out), as_json=as_json)
        return
    if removing:
        done = graft.remove(driver, tree, commit=commit)
    else:
        done = graft.graft(Path(driver), tree, wanted=wanted, symbol=symbol, commit=commit, patch=patch)
    if as_json:
        entry = {**dataclasses.asdict(done), "removed": removing, "patch": str(patch) if patch else None}
        click.echo(json.dumps(entry, indent=1))
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    sign = "-" if removing else "+"
    verb = "is out of" if removing else f"is in {patch}, for" if patch else "is in"
    console.print(
        f"[green]✓[/] {escape(done.name)} {verb} {escape(str(tree))}"
        + (f", commit {escape(done.commit[:12])}" if done.commit else "")
    )
    files = [file for file in done.new if file.startswith(done.folder) or not done.kit]
    for file in files:
        console.print(f"  [dim]{sign}[/] {escape(file)}", markup=True)
    if done.kit:
        console.print(f"  [dim]{sign}[/] rust/kit/ ({len(done.new) - len(files)} files)")
    for file in done.changed:
        console.print(f"  [dim]~[/] {escape(file)}")
    if removing:
        return
    if done.author:
        console.print(
            f"[yellow]note:[/] git knows no name and address of yours, and the patch is from {escape(done.author)}: "
            "git config user.name and user.email, then write it again"
        )
    first = f"cd {tree} && {done.apply} {patch.absolute()}; then set" if patch else "next: set"
    console.print(
        f"{escape(first)} CONFIG_{done.symbol}=y or =m, and build the kernel: "
        f"{called(anywhere=True)} kernel build --help"
    )
    click.echo(f"CONFIG_{done.symbol}")


def _print_series(done: SeriesResult, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(done), indent=1))
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[green]✓[/] {len(done.subjects)} patches and a cover letter are in {escape(done.folder)}")
    for subject in done.subjects:
        console.print(f"  [dim]+[/] {escape(subject)}")
    console.print(f"next: git am --empty=drop {escape(done.folder)}/*.patch, and CONFIG_{done.symbol}=m")
