# SPDX-License-Identifier: MIT
"""Checks of everything that r4l depends on, from the host's system to the accelerator."""

from __future__ import annotations

import shutil

from r4l import home
from r4l.debian import choice
from r4l.errors import EnvironmentFault, UsageError
from r4l.kernel import Kernel
from r4l.kernel.rustavailable import AVAILABLE, rust_available
from r4l.kernel.tools import tools
from r4l.toolchain import Toolchain, host
from r4l.toolchain.host import Finding
from r4l.vm import accel

NEEDED_GIB = 4
NAMES = {
    "bindgen": " (the command: crate bindgen-cli, Debian's package bindgen; the crate bindgen is only its library)",
    "llvm": " (clang, and the libclang that bindgen parses C with)",
}
"""Notes on tools that are often confused with another package."""


def findings() -> list[Finding]:
    """Return all findings, in the order in which the parts are needed."""
    made = Toolchain.made()
    result = host.findings(made.root) if made else host.findings()
    result.append(_mirror())
    result.append(_space())
    try:
        toolchain = Toolchain.existing()
    except EnvironmentFault as error:
        result.append(Finding("toolchain", False, error.cause, error.remedy))
        return result
    found = toolchain.versions()
    versions = ", ".join(f"{name} {version}" for name, version in found.items())
    result.append(Finding("toolchain", "does not run" not in versions, f"{versions}; {toolchain.in_force}"))
    kernel = Kernel.ready()
    if kernel is None:
        result.append(Finding("kernel", False, "no kernel is set up", "run `r4l setup`"))
        return result
    result += _tools(kernel, found)
    symbols = kernel.manifest["rust_symbols"]["matching"]
    result.append(Finding("kernel", True, f"{kernel.release}, Rust metadata proven by {symbols} symbols"))
    choice = accel.choose(kernel, afresh=True)
    result.append(Finding("accelerator", True, f"{choice.name}: {choice.reason}"))
    return result


def _tools(kernel: Kernel, versions: dict[str, str]) -> list[Finding]:
    """Check the tools for the kernel's Rust: found and wanted versions, and the kernel's own check."""
    result = [
        Finding(
            tool.name,
            tool.ok,
            f"{tool.found} found, Linux {kernel.release} wants {tool.wanted} or newer{NAMES.get(tool.name, '')}",
            "" if tool.ok else "run `r4l setup --update`, or use an older kernel: `r4l setup --kernel RELEASE`",
            version=tool.found,
            wanted=tool.wanted,
        )
        for tool in tools(kernel.source, kernel.toolchain, kernel.arch, versions)
    ]
    check = rust_available(kernel.source, kernel.toolchain)
    said = check.explanation
    ours = AVAILABLE if check.ok else check.text.strip().splitlines()[-1]
    cause, remedy = (said.cause, said.remedy) if said else (ours, "" if check.ok else "run `r4l setup --update`")
    result.append(Finding("rustavailable", check.ok, f"make LLVM=1 rustavailable: {cause}", remedy))
    return result


def _mirror() -> Finding:
    try:
        return Finding("Debian mirror", True, choice.mirror())
    except UsageError as error:
        return Finding("Debian mirror", False, error.cause, error.remedy)


def _space() -> Finding:
    free = shutil.disk_usage(home.home()).free / 2**30
    used = home.disk_usage(home.home()) / 2**30
    found = f"{used:.1f} GiB used, {free:.1f} GiB free under {home.home()}"
    enough = used + free >= NEEDED_GIB
    return Finding(
        "disk", enough, found, "" if enough else f"r4l needs {NEEDED_GIB} GiB: set R4L_HOME to a larger disk"
    )
