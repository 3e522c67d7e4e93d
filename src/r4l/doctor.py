# SPDX-License-Identifier: MIT
"""Look at everything that r4l stands on, from the host's packages to the accelerator."""

from __future__ import annotations

import shutil

from r4l import home
from r4l.errors import EnvironmentFault
from r4l.kernel import Kernel
from r4l.toolchain import Toolchain, archive, host
from r4l.toolchain.host import Finding
from r4l.vm import accel

NEEDED_GIB = 4


def findings() -> list[Finding]:
    """Everything found, in the order in which it is needed."""
    result = host.findings()
    result.append(_mirror())
    result.append(_space())
    try:
        toolchain = Toolchain.existing()
    except EnvironmentFault as error:
        result.append(Finding("toolchain", False, error.cause, error.remedy))
        return result
    versions = ", ".join(f"{name} {version}" for name, version in toolchain.versions().items())
    result.append(Finding("toolchain", "does not run" not in versions, versions, ""))
    kernel = Kernel.ready()
    if kernel is None:
        result.append(Finding("kernel", False, "no kernel is set up", "run `r4l setup`"))
        return result
    symbols = kernel.manifest["rust_symbols"]["matching"]
    result.append(Finding("kernel", True, f"{kernel.release}, Rust metadata proven by {symbols} symbols"))
    choice = accel.choose(kernel)
    result.append(Finding("accelerator", True, f"{choice.name}: {choice.reason}"))
    return result


def _mirror() -> Finding:
    try:
        return Finding("Debian mirror", True, archive.mirror())
    except EnvironmentFault as error:
        return Finding("Debian mirror", False, error.cause, error.remedy)


def _space() -> Finding:
    free = shutil.disk_usage(home.home()).free / 2**30
    used = home.disk_usage(home.home()) / 2**30
    found = f"{used:.1f} GiB used, {free:.1f} GiB free under {home.home()}"
    enough = used + free >= NEEDED_GIB
    return Finding(
        "disk", enough, found, "" if enough else f"r4l needs {NEEDED_GIB} GiB: set R4L_HOME to a larger disk"
    )
