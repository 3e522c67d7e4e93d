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
"""What the kernel's Makefile prints where all is well."""

BUILD = "/tmp/rustavailable"
"""A build folder in the sandbox's own /tmp, which goes with it."""


@dataclass(frozen=True)
class RustAvailable:
    """What the check said.

    Attributes:
        ok: Rust can be built for this kernel with these tools.
        text: all it printed.
        explanation: of the failure, or of the warning; None where there is none, or it is not a known one.
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
    """Run it for a kernel source, in a build folder of its own of which nothing is left.

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
