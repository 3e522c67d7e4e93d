# SPDX-License-Identifier: MIT
"""Write rust-project.json: the kernel's crates from its own generator, a module's crates from its build commands.

For a module, the kernel's generator guesses crates from names in the Kbuild file, and lacks edges to crates outside the
kernel, environment variables and generated files. The commands that Kbuild ran contain all of this. Format: the section
"Non-Cargo Based Projects" of rust-analyzer's manual.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from r4l.errors import BuildError
from r4l.ide.commands import CompileCommand
from r4l.kernel import Kernel
from r4l.toolchain import Grant

NAME = "rust-project.json"
KERNEL_CRATE = "kernel"
GENERATED = "r4l"
"""Folder for generated bindings in a module's output; Rust files name it as R4L_GEN (rust/kit/bindgen.mk)."""

RECIPE = re.compile(
    r"^(MAKEFLAGS= \S*generate_rust_analyzer\.py(?:.*\\\n)*.*?)\s*>\s*\S*rust-project\.json\s*$", re.MULTILINE
)
"""The recipe of rust/Makefile as make prints it, without the redirection to its output file."""

EXPORTED = {"RUSTC": "rustc"}
"""Environment variables that the generator reads; the kernel's top Makefile exports them."""

Project = dict[str, Any]
Crate = dict[str, Any]


def of_kernel(kernel: Kernel) -> Project:
    """Return the project of the kernel's tree: the crates `core` to `kernel`, the samples and the Rust drivers.

    `make rust-analyzer` would write into the build folder, where the user may have a file of that name. So make only
    prints the recipe (rust/Makefile), which is then run with its output captured.

    Raises:
        BuildError: the kernel's generator failed.
    """
    # All products of `prepare` exist; checking them again would take most of the time.
    argv: list[str | Path] = ["make", "-C", kernel.build, *kernel.make_arguments, "--no-print-directory", "-n"]
    grant = Grant("ide: crates of the kernel", reads=(kernel.source, kernel.build))
    plan = kernel.toolchain.run([*argv, "-o", "prepare", "rust-analyzer"], grant, check=False)
    recipe = RECIPE.search(plan.stdout.decode(errors="replace"))
    if recipe is None:
        raise _generator_failed(kernel, "make names no recipe for it", plan.stderr)
    done = kernel.toolchain.run(["sh", "-c", recipe[1]], grant, cwd=kernel.build, env=EXPORTED, check=False)
    try:
        project: Project = json.loads(done.stdout)
    except ValueError as error:
        raise _generator_failed(kernel, f"it ended with {done.returncode}", done.stderr) from error
    return project


def _generator_failed(kernel: Kernel, why: str, said: bytes) -> BuildError:
    return BuildError(
        f"the generator of {NAME} in the kernel {kernel.release} failed: {why}",
        "the text below is what it says; try a kernel of another release with --kernel",
        detail=said.decode(errors="replace"),
    )


def on_host(project: Project, tree: Path) -> Project:
    """Return the project with paths in the toolchain (`/usr/…`) replaced by their paths on the host.

    Args:
        tree: root of the toolchain.
    """

    def outside(path: str) -> str:
        return str(tree / path.lstrip("/")) if path.startswith("/usr/") or path == "/usr" else path

    crates = [{**crate, "root_module": outside(crate["root_module"])} for crate in project["crates"]]
    return {**project, "crates": crates, "sysroot": outside(project["sysroot"])}


def of_module(kernel_project: Project, commands: Iterable[CompileCommand], output: Path, folder: Path) -> Project:
    """Return the project of a module: its own crates and the kernel's crates that it is built with.

    Paths in the module's folder are relative to it, as rust-analyzer takes them, so that the project stays right where
    the folder is moved.

    Args:
        kernel_project: result of `of_kernel`.
        commands: the commands that compile the module's Rust objects.
        output: folder of the module's build.
        folder: folder of the module, where the project is written.
    """
    crates = _with_dependencies(kernel_project["crates"], KERNEL_CRATE)
    configuration = next(crate["cfg"] for crate in crates if crate["display_name"] == KERNEL_CRATE)
    known = {crate["display_name"]: index for index, crate in enumerate(crates)}
    built = list(commands)
    by_metadata = {
        metadata: len(crates) + index
        for index, command in enumerate(built)
        for metadata in [_emitted(command, "metadata")]
        if metadata
    }
    own = [_crate(command, configuration, known, by_metadata, output / GENERATED, folder) for command in built]
    return {**kernel_project, "crates": [*crates, *own]}


def _with_dependencies(crates: list[Crate], root: str) -> list[Crate]:
    """Return one crate and all crates it depends on, renumbered."""
    wanted: set[int] = set()
    open_ends = [index for index, crate in enumerate(crates) if crate["display_name"] == root]
    while open_ends:
        index = open_ends.pop()
        if index not in wanted:
            wanted.add(index)
            open_ends += [dependency["crate"] for dependency in crates[index]["deps"]]
    number = {old: new for new, old in enumerate(sorted(wanted))}
    return [
        {**crates[old], "deps": [{**edge, "crate": number[edge["crate"]]} for edge in crates[old]["deps"]]}
        for old in sorted(wanted)
    ]


def _crate(
    command: CompileCommand,
    configuration: list[str],
    known: Mapping[str, int],
    by_metadata: Mapping[Path, int],
    generated: Path,
    folder: Path,
) -> Crate:
    """Return the entry of a crate from the command that compiles it."""
    source = command.source
    assert source is not None
    edges = [{"crate": known["core"], "name": "core"}] if "core" in known else []
    for extern in _values(command.argv, "--extern"):
        name, equals, path = extern.partition("=")
        index = by_metadata.get(_absolute(command, path)) if equals else known.get(name)
        if index is not None:
            edges.append({"crate": index, "name": name})
    environment = dict(command.environment)
    folders = [_seen_from(folder, source.parent)]
    if generated.is_dir():
        environment["R4L_GEN"] = str(generated)
        folders.append(str(generated))
    return {
        "display_name": next(iter(_values(command.argv, "--crate-name")), source.stem.replace("-", "_")),
        "root_module": _seen_from(folder, source),
        "edition": next(iter(_values(command.argv, "--edition")), "2021"),
        "cfg": [*configuration, *_values(command.argv, "--cfg")],
        "deps": edges,
        "env": environment,
        "is_workspace_member": True,
        "source": {"include_dirs": folders, "exclude_dirs": []},
    }


def _seen_from(folder: Path, path: Path) -> str:
    """Return a path inside a folder relative to it, any other path whole."""
    whole = os.path.normpath(path)
    return os.path.relpath(whole, folder) if Path(whole).is_relative_to(folder) else str(path)


def _values(argv: Iterable[str], option: str) -> list[str]:
    """Return the values of an option given as `--option value` or `--option=value`."""
    words = list(argv)
    apart = [value for word, value in itertools.pairwise(words) if word == option]
    return apart + [word.removeprefix(f"{option}=") for word in words if word.startswith(f"{option}=")]


def _emitted(command: CompileCommand, emit: str) -> Path | None:
    """Return the file of the given kind that rustc writes, or None."""
    for value in _values(command.argv, "--emit"):
        if value.startswith(f"{emit}="):
            return _absolute(command, value.removeprefix(f"{emit}="))
    return None


def _absolute(command: CompileCommand, path: str) -> Path:
    return command.place(path).resolve()


def paths(project: Project, folder: Path = Path("/")) -> list[Path]:
    """Return every path that a project names.

    Args:
        folder: folder with the project's file, where relative paths begin.
    """
    found = [project["sysroot"]]
    for crate in project["crates"]:
        found.append(crate["root_module"])
        found += [path for part in crate.get("source", {}).values() for path in part]
        if "proc_macro_dylib_path" in crate:
            found.append(crate["proc_macro_dylib_path"])
    return [folder / path for path in found]
