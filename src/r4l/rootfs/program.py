# SPDX-License-Identifier: MIT
"""Build the guest's programs from rust/NAME with the toolchain's rustc, once per source."""

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


def build(toolchain: Toolchain, name: str, arch: str = DEFAULT) -> Path:
    """Build the static program `r4l-NAME` from rust/NAME if it is not in the home yet (about a second).

    Args:
        toolchain: its rustc builds the program.
        name: the folder below rust/.
        arch: the guest's architecture.

    Returns:
        The program's path on the host.

    Raises:
        BuildError: rustc refuses it, which is a bug of r4l or of the toolchain.
    """
    folder = resources.rust(name, "src")
    sources = sorted(folder.glob("*.rs"))
    flags = (*FLAGS, *architecture(arch).rustc)
    key = home.content_key(toolchain.identity, *flags, *(part for path in sources for part in (path.name, path)))
    final = home.room(name) / key / f"r4l-{name}"
    if inuse.hold(final.parent) and final.exists():
        return final
    with home.lock(f"{name}-{key}"):
        if final.exists():
            return final
        partial = home.temporary(final)
        argv: list[str | Path] = ["rustc", *flags, "-o", partial, folder / "main.rs"]
        done = toolchain.run(argv, Grant("guest program", writes=(partial.parent,), reads=(folder,)), check=False)
        if done.returncode != 0:
            raise BuildError(
                f"the guest's program r4l-{name} does not build",
                "run `r4l doctor`",
                detail=done.stderr.decode(errors="replace"),
            )
        home.publish(partial, final)
    return final
