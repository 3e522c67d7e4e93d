# SPDX-License-Identifier: MIT
"""The kernel of a student who configures one: a profile, the lab's fragment over it, the student's over that.

There is one for each lab in a home, and make does what differs from the student before: a kernel takes minutes.
"""

from __future__ import annotations

from r4l.camp.labs.workspace import Workspace
from r4l.errors import BuildError, UsageError
from r4l.kernel import Kernel, kconfig, own
from r4l.kernel.profile import profile
from r4l.process import Say


def name(lab: str) -> str:
    """What --kernel calls the kernel of a lab."""
    return f"lab-{lab}"


def build(workspace: Workspace, base: Kernel, say: Say) -> Kernel:
    """Build the kernel that a workspace configures.

    Args:
        base: of the profile that it starts from.

    Raises:
        BuildError: it does not build, or the fragment has a line or an option that is none, or a value that is not
            taken.
    """
    lab = workspace.lab
    assert lab.config
    texts = [(lab.config.base, (lab.folder / lab.config.base).read_text(encoding="utf-8"))]
    file = workspace.folder / lab.config.students
    try:
        text = file.read_text(encoding="utf-8")
        kconfig.require_plain(text, file.name)
        texts.append((str(file), text))
        recipe = own.Recipe(
            name(lab.name),
            profile(str(base.manifest["profile"])),
            base.source,
            str(base.manifest["version"]),
            base.arch,
            tuple(texts),
        )
        return own.build(recipe, base.toolchain, say)
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise BuildError(f"{file} cannot be read: {error}", "write CONFIG_NAME=y, a line for each option") from error
    except UsageError as error:
        raise BuildError(error.cause, error.remedy, detail=error.remedy) from error
