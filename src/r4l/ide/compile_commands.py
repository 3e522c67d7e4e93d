# SPDX-License-Identifier: MIT
"""Write compile_commands.json: the compile command of each C file, limited to flags that clangd knows.

The kernel's own generator (scripts/clang-tools/gen_compile_commands.py) lists compiled files only, and of a
distribution's kernel nothing is compiled here. A dry run of Kbuild gives the same commands without compiling.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from r4l.errors import UsageError
from r4l.ide.commands import CompileCommand, planned
from r4l.kernel import Kernel
from r4l.paths import leads_to_file, leads_to_folder
from r4l.toolchain import Grant, Toolchain

NAME = "compile_commands.json"
REJECTED = re.compile(r"(?:unknown argument|unsupported option|unknown warning option|optimization flag):? '([^']+)'")
REJECTED_VALUE = re.compile(r"unsupported argument '([^']+)' to option '([^']+)'")
CROSS = re.compile(r"(.+)-gcc(?:-\d+)?")
"""Name of a cross compiler, which contains its target, as in `aarch64-linux-gnu-gcc-14`."""

RELATIVE = re.compile(r"(-I|-iquote)([^/].*)")
"""A flag for a folder of headers that lies in the folder of the build."""
OUTPUT_ONLY = re.compile(r"^-W[pa],|^-(?:c|M.*)$")
"""Flags for output files and for the assembler; a language server writes no files."""

DatabaseEntry = dict[str, Any]


def of_subsystems(kernel: Kernel, folders: Sequence[str]) -> list[CompileCommand]:
    """Return the commands for all C files in some folders of the kernel that its configuration builds and that are not
    yet built.

    Raises:
        UsageError: the kernel has no such folder, or its configuration builds nothing there.
    """
    goals = [f"{folder.strip('/')}/" for folder in folders]
    for goal in goals:
        if not any((kernel.source / goal / name).is_file() for name in ("Makefile", "Kbuild")):
            raise UsageError(f"the kernel has no subsystem {goal}", "name a folder of its source, such as drivers/pci")
    argv: list[str | Path] = ["make", "-C", kernel.build, *kernel.make_arguments, "--no-print-directory", "-n", "V=1"]
    grant = Grant("ide: commands of the kernel", reads=(kernel.source, kernel.build))
    done = kernel.toolchain.run([*argv, "-o", "prepare", *goals], grant, check=False)
    if done.returncode != 0:
        raise UsageError(
            f"Kbuild cannot go through {' '.join(goals)} of the kernel",
            "name folders that its configuration builds",
            detail=done.stderr.decode(errors="replace"),
        )
    return list(planned(done.stdout.decode(errors="surrogateescape"), kernel.build))


def entries(commands: Iterable[CompileCommand], toolchain: Toolchain) -> list[DatabaseEntry]:
    """Return the entries for the commands that compile C, without the flags of gcc that clang does not know.

    Files in the kernel's tools/ are left out: separate makefiles build them, with other working folders.
    """
    made = []
    of_c = [
        command for command in commands if command.language == "c" and command.source and leads_to_file(command.source)
    ]
    unknown = _rejected({word for command in of_c for word in command.argv}, toolchain)
    for command in of_c:
        assert command.source is not None
        made.append(
            {
                "directory": str(command.folder),
                "file": str(command.source.resolve()),
                "output": command.target,
                "arguments": [
                    word
                    for own in command.argv
                    if own not in unknown and not OUTPUT_ONLY.match(own)
                    for word in (own, *_of_made(own, command))
                ],
            }
        )
    return sorted(made, key=lambda entry: (entry["file"], entry["output"]))


def _of_made(word: str, command: CompileCommand) -> Iterator[str]:
    """For a flag that names a folder of headers, the flag for those that the build has made in that folder."""
    match = RELATIVE.fullmatch(word)
    if match and command.made and leads_to_folder(command.made / match[2]):
        yield f"{match[1]}{command.made / match[2]}"


def _rejected(words: set[str], toolchain: Toolchain) -> set[str]:
    """Return the flags among `words` that clang itself rejects."""
    flags = sorted(word for word in words if word.startswith(("-f", "-m", "-W", "--param", "--target=")))
    if not flags:
        return set()
    targets = {match[1] for match in (CROSS.fullmatch(word.rpartition("/")[2]) for word in words) if match}
    argv = ["clang", *(f"--target={target}" for target in targets), "-fsyntax-only", "-x", "c", "/dev/null"]
    rejected: set[str] = set()
    while True:
        # Repeat after each answer: clang checks warning flags only once it accepts all other flags.
        asked = [flag for flag in flags if flag not in rejected]
        done = toolchain.run([*argv, *asked], Grant("ide: flags that clang takes"), check=False)
        text = done.stderr.decode(errors="replace")
        said = set(REJECTED.findall(text)) | {option + value for value, option in REJECTED_VALUE.findall(text)}
        new = {flag for flag in flags if flag in said or flag.partition("=")[0] in said} - rejected
        if not new:
            return rejected
        rejected |= new
