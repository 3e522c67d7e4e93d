# SPDX-License-Identifier: MIT
"""The kernel's own check of the tools: `make rustavailable` (scripts/rust_is_available.sh)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from r4l import known
from r4l.known import Explanation
from r4l.toolchain import Grant, Toolchain

AVAILABLE = "Rust is available!"
"""Message of the kernel's Makefile for success."""

BUILD = "/tmp/rustavailable"
"""Build folder in the sandbox's own /tmp, discarded with it."""


@dataclass(frozen=True)
class RustAvailable:
    """Result of the check.

    Attributes:
        ok: True if Rust can be built for this kernel with these tools.
        text: complete output.
        explanation: of a known failure or warning; None otherwise.
    """

    ok: bool
    text: str
    explanation: Explanation | None


def rust_available(
    source: Path,
    toolchain: Toolchain,
    arguments: Sequence[str] = ("LLVM=1",),
    *,
    readable: Sequence[Path] = (),
    env: Mapping[str, str] | None = None,
) -> RustAvailable:
    """Run the check for a kernel's source in a temporary build folder.

    Args:
        arguments: for make.
        readable: further folders that the tools need.
        env: added to the environment of the tools.
    """
    done = toolchain.run(
        ["make", "-C", source, f"O={BUILD}", *arguments, "rustavailable"],
        Grant("kernel: rustavailable", reads=(source, *readable)),
        env=env,
        check=False,
    )
    text = (done.stdout + done.stderr).decode(errors="replace")
    return RustAvailable(
        done.returncode == 0 and AVAILABLE in text, text, known.explain("rustavailable", text, order="position")
    )
