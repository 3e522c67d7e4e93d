# SPDX-License-Identifier: MIT
"""The kernel configured by a student: a profile, the lab's fragment, then the student's.

A home has one such kernel per lab, and make builds the differences from the previous student: a full build takes
minutes.
"""

from __future__ import annotations

from pathlib import Path

from r4l import home, inuse, limits
from r4l.camp.labs.workspace import Workspace
from r4l.errors import BuildError, UsageError
from r4l.kernel import Kernel, kconfig, own
from r4l.kernel import recipe as recipes
from r4l.kernel.manifest import MANIFEST
from r4l.kernel.profile import profile
from r4l.process import Say


def name(lab: str) -> str:
    """Return the name of a lab's kernel for `--kernel`."""
    return f"lab-{lab}"


def build(workspace: Workspace, base: Kernel, say: Say) -> Kernel:
    """Build the kernel that a workspace configures.

    Args:
        base: kernel of the profile to start from.

    Raises:
        BuildError: the build failed or exceeded a limit, or the fragment has an invalid line, an unknown option or a
            refused value.
    """
    lab = workspace.lab
    assert lab.config
    texts = [(lab.config.base, (lab.folder / lab.config.base).read_text(encoding="utf-8"))]
    file = workspace.folder / lab.config.students
    try:
        text = file.read_text(encoding="utf-8")
        kconfig.require_plain(text, file.name)
        texts.append((str(file), text))
        recipe = recipes.Recipe(
            name(lab.name),
            profile(str(base.manifest["profile"])),
            base.source,
            str(base.manifest["version"]),
            base.arch,
            tuple(texts),
        )
        with limits.of_students():
            _make_room(recipe.folder)
            return own.build(recipe, base.toolchain, say)
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise BuildError(f"{file} cannot be read: {error}", "write CONFIG_NAME=y, a line for each option") from error
    except UsageError as error:
        raise BuildError(error.cause, error.remedy, detail=error.remedy) from error


def _make_room(folder: Path) -> None:
    """Remove the kernel of an earlier student that has grown so much that the next one would be over the limit."""
    most = limits.kernel().disk
    if not folder.is_dir() or most is None or home.disk_usage(folder) <= most // 2:
        return
    with home.lock(f"build-{folder.name}"), inuse.but_here(folder) as alone:
        if alone:
            (folder / MANIFEST).unlink(missing_ok=True)
            home.remove(folder)
