# SPDX-License-Identifier: MIT
"""The commands that build a module: recorded by its build, or, if that fails, planned by make."""

from __future__ import annotations

import os
from pathlib import Path

from r4l.errors import BuildError
from r4l.ide.commands import CompileCommand, latest, planned, recorded
from r4l.kernel import Kernel
from r4l.module import Module
from r4l.paths import leads_to_file, own_bytes
from r4l.process import Say, quiet


def commands_of(module: Module, kernel: Kernel, say: Say = quiet) -> tuple[list[CompileCommand], BuildError | None]:
    """Build a module, so that all generated files exist, and return the command for each of its objects.

    A driver that does not compile is a normal case in an editor: the build's error is returned, not raised.

    Raises:
        UsageError: the folder holds no module.
        BuildError: the module was built, but Kbuild recorded no commands.
    """
    broken = None
    output = module.output(kernel)
    try:
        module.build_all(kernel, say=say)
    except BuildError as error:
        broken = error
    found: list[CompileCommand] = []
    for folder in module.kbuild_folders(kernel):
        place = output / folder.relative_to(module.folder)
        if broken:
            found += latest(recorded(place, folder), planned(module.plan(kernel, folder), folder, place)).values()
        else:
            found += built(place, folder).values()
    if not found and not broken:
        raise BuildError(
            f"{module.folder.name} was built, but Kbuild left no record of how (.cmd files in {output})",
            "remove that folder and try again",
        )
    there = [command for command in found if command.source and leads_to_file(command.source)]
    return [command for command in there if not _of_kbuild(command)], broken


def built(output: Path, folder: Path) -> dict[str, CompileCommand]:
    """Return the recorded commands of the objects that a folder's modules are made of, by object.

    Args:
        output: folder of the build.
        folder: path that the build saw it at.
    """
    record = latest(recorded(output, folder))
    parts = _parts(output)
    parts |= {member for part in parts & record.keys() for member in _linked(record[part])}
    return {target: command for target, command in record.items() if target in parts}


def _parts(output: Path) -> set[str]:
    """Return the objects of a folder's modules, from `modules.order` and each `.mod` (scripts/Makefile.build)."""
    modules = [output / name for name in _words(output / "modules.order")]
    lists = [_words(module.with_suffix(".mod")) for module in modules]
    return {os.path.normpath(part) for parts in lists for part in parts}


def _words(file: Path) -> list[str]:
    # Names of files are in any encoding.
    return (own_bytes(file) or b"").decode(errors="surrogateescape").split()


def _linked(command: CompileCommand) -> set[str]:
    """Return the objects whose bitcode the command links into one (rust/kit/inline.mk); empty for other commands."""
    return {os.path.normpath(word.removesuffix(".bc") + ".o") for word in command.argv if word.endswith(".bc")}


def _of_kbuild(command: CompileCommand) -> bool:
    """True for objects that Kbuild adds to each module: NAME.mod.o and .module-common.o."""
    return command.target.endswith((".mod.o", ".module-common.o"))
