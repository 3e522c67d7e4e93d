# SPDX-License-Identifier: MIT
"""Find faults of a build folder (KDIR) by inspection.

A Rust module needs there: the crates and proc-macro libraries made by `rust/Makefile`, the target `scripts/target.json`
(on some architectures), the linker script `scripts/module.lds`, and the exports in Module.symvers.
"""

from __future__ import annotations

from pathlib import Path

from r4l import known
from r4l.arch import architectures
from r4l.kernel.config import read_config
from r4l.kernel.release import release_or_none
from r4l.known import Explanation
from r4l.toolchain import Grant, Toolchain

CRATES = ("libcore.rmeta", "libkernel.rmeta", "libbindings.rmeta", "libmacros.so")
PREPARED = ("include/config/auto.conf", "include/generated/autoconf.h", "scripts/module.lds")


def explain_kdir(kdir: Path, toolchain: Toolchain | None = None) -> Explanation | None:
    """Explain why no Rust module can be built against a build folder; None if no fault is found.

    Args:
        kdir: argument of `make -C`.
        toolchain: toolchain whose rustc will build; None to skip that comparison.
    """
    if not kdir.is_dir():
        return known.explain_entry("kdir", "no-folder", {"kdir": kdir})
    if not (kdir / "Makefile").is_file() or not ((kdir / ".config").exists() or _is_source(kdir)):
        return known.explain_entry("kdir", "no-kernel", {"kdir": kdir})
    if not (kdir / ".config").is_file():
        return known.explain_entry("kdir", "not-configured", {"kdir": kdir})
    config = read_config(kdir / ".config")
    facts: dict[str, object] = {"kdir": kdir, "release": _release(kdir)}
    if config.get("CONFIG_RUST") != "y":
        return known.explain_entry("kdir", "rust-off", facts)
    absent = [f"rust/{name}" for name in CRATES if not (kdir / "rust" / name).exists()]
    if len(absent) == len(CRATES):
        return known.explain_entry("kdir", "no-metadata", {**facts, "missing": _some(absent)})
    absent += [name for name in _prepared(config) if not (kdir / name).exists()]
    if absent:
        return known.explain_entry("kdir", "not-prepared", {**facts, "missing": _some(absent)})
    theirs = config.get("CONFIG_RUSTC_VERSION_TEXT", "")
    ours = rustc_version(toolchain) if toolchain else ""
    # rustc compares its whole version line, with commit and origin: E0514 (rustc_metadata/src/locator.rs).
    if theirs and ours and theirs != ours:
        return known.explain_entry("kdir", "other-rustc", {**facts, "rustc": theirs, "ours": ours})
    if not (kdir / "Module.symvers").exists():
        return known.explain_entry("kdir", "no-symvers", facts)
    return None


def _is_source(kdir: Path) -> bool:
    return (kdir / "Kconfig").is_file() and (kdir / "scripts").is_dir()


def _prepared(config: dict[str, str]) -> list[str]:
    from_file = any(config.get(arch.option) == "y" for arch in architectures().values() if arch.target_file)
    return [*PREPARED, *(["scripts/target.json"] if from_file else [])]


def _some(names: list[str]) -> str:
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"


def _release(kdir: Path) -> str:
    """Return the release with a leading blank, ` 7.2.12`, for the middle of a sentence; empty if unknown."""
    release = release_or_none(kdir)
    return f" {release}" if release else ""


def rustc_version(toolchain: Toolchain) -> str:
    """Return the version line of a toolchain's rustc, as in a kernel's CONFIG_RUSTC_VERSION_TEXT."""
    done = toolchain.run(["rustc", "--version"], grant=Grant("kernel: rustc's version"), check=False)
    return done.stdout.decode(errors="replace").strip()
