# SPDX-License-Identifier: MIT
"""Build the guest's agent from rust/agent with the toolchain's rustc, once per source."""

from __future__ import annotations

from pathlib import Path

from r4l import home, inuse, resources
from r4l.arch import DEFAULT, architecture
from r4l.errors import BuildError
from r4l.toolchain import Grant, Toolchain

FLAGS = (
    "--edition=2021",
    "-Ctarget-feature=+crt-static",
    "-Cpanic=abort",
    "-Copt-level=2",
    "-Cstrip=symbols",
    "-Dwarnings",
)


def build(toolchain: Toolchain, arch: str = DEFAULT) -> Path:
    """Return the static program `r4l-agent`, building it first if the home lacks it (about a second).

    Raises:
        BuildError: rustc fails, which is a bug of r4l or of the toolchain.
    """
    folder = resources.rust("agent", "src")
    sources = sorted(folder.glob("*.rs"))
    flags = (*FLAGS, *architecture(arch).rustc)
    key = home.content_key(toolchain.identity, *flags, *(part for path in sources for part in (path.name, path)))
    final = home.room("agent") / key / "r4l-agent"
    if inuse.hold(final.parent) and final.exists():
        return final
    with home.lock(f"agent-{key}"):
        if final.exists():
            return final
        partial = home.temporary(final)
        argv: list[str | Path] = ["rustc", *flags, "-o", partial, folder / "main.rs"]
        done = toolchain.run(argv, Grant("agent", writes=(partial.parent,), reads=(folder,)), check=False)
        if done.returncode != 0:
            raise BuildError(
                "the guest agent does not build", "run `r4l doctor`", detail=done.stderr.decode(errors="replace")
            )
        home.publish(partial, final)
    return final
