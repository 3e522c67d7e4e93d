# SPDX-License-Identifier: MIT
"""The kernels that a lab is checked on."""

from __future__ import annotations

from r4l.camp.labs.lab import Lab
from r4l.kernel import Kernel
from r4l.setup import set_up
from r4l.stages import Stages


def prepare_kernels(lab: Lab, stages: Stages, name: str | None = None, arch: str | None = None) -> list[Kernel]:
    """Prepare and return the kernels that lab.toml or the user names.

    Raises:
        R4LError: a kernel cannot be made, as for `set_up`.
    """
    return [set_up(stages, one, arch=its) for one, its in wanted(lab, name, arch)]


def wanted(lab: Lab, name: str | None = None, arch: str | None = None) -> list[tuple[str, str]]:
    """Return name and architecture of each kernel that `prepare_kernels` returns."""
    names = (name,) if name else lab.kernels
    arches = (arch,) if arch else lab.arches
    return [(one, its) for one in names for its in arches]
