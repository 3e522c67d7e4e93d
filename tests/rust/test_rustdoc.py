# SPDX-License-Identifier: MIT
"""rustdoc has nothing to say about the kit, whose documentation is that of the series, too: links that lead nowhere, or
to private items, and texts that are no Markdown."""

from __future__ import annotations

import shlex
from pathlib import Path

from r4l import resources
from r4l.kernel import Kernel
from r4l.module import Module
from r4l.toolchain import Grant

OF_RUSTC = {"--out-dir", "--crate-type"}
"""Options with a value that rustdoc does not take."""


def rustdoc_of(command: str) -> tuple[list[str], list[str]]:
    """Return the environment and the arguments of rustdoc for a crate, by make's command that compiled it."""
    words = shlex.split(command.partition(" := ")[2])
    compiler = next(at for at, word in enumerate(words) if word in ("rustc", "clippy-driver"))
    arguments = iter(words[compiler + 1 :])
    kept: list[str] = []
    for word in arguments:
        if word in OF_RUSTC:
            next(arguments)
        elif not word.startswith(("--emit", "-Cdebuginfo")):
            kept.append(word)
    return words[:compiler], kept


def test_rustdoc_has_nothing_to_say_about_the_kit(kernel: Kernel, tmp_path: Path) -> None:
    made = Module(resources.rust("drivers", "e1000")).build(kernel).path.parent / "r4l"
    environment, arguments = rustdoc_of((made / ".kit.o.cmd").read_text().splitlines()[0])
    # As the kernel's Makefile sets it for its compilers; and what the kit's makefile exports.
    environment += ["RUSTC_BOOTSTRAP=1", f"R4L_GEN={made}"]
    argv: list[str | Path] = ["env", *environment, "rustdoc", *arguments]
    argv += ["--crate-name", "kit", "--out-dir", tmp_path, "-Wrustdoc::all", "-Arustdoc::private_doc_tests"]
    grant = Grant("test", writes=(tmp_path,), reads=(made.parent, resources.kit(), kernel.source, kernel.build))
    done = kernel.toolchain.run(argv, grant, check=False, cwd=made.parent)
    said = done.stderr.decode()
    assert done.returncode == 0, said
    assert "warning" not in said, said
    assert (tmp_path / "kit/net/trait.Driver.html").is_file()
