# SPDX-License-Identifier: MIT
"""Every file states its license."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
SUFFIXES = {".py", ".rs", ".c", ".h", ".mk", ".toml", ".sh", ".j2", ".css", ".js"}
NAMES = {"Makefile", "Kbuild", "r4l", "run"}


def tracked() -> list[Path]:
    """Return the project's files. git is not asked, since a bare machine lacks it; generated files have other
    suffixes."""
    hidden = (path.relative_to(ROOT).parts for path in ROOT.rglob("*"))
    names = [Path(*parts) for parts in hidden if not any(part.startswith(".") and part != ".ci" for part in parts)]
    return [ROOT / name for name in names if (ROOT / name).is_file() and name.parts[0] not in ("dist", "build")]


def test_every_source_file_has_an_spdx_line() -> None:
    files = [path for path in tracked() if path.is_file() and (path.suffix in SUFFIXES or path.name in NAMES)]
    assert len(files) > 50
    without = [str(path) for path in files if "SPDX-License-Identifier: " not in path.read_text()[:400]]
    assert not without


def test_python_is_mit_and_rust_is_gpl() -> None:
    wrong = [
        str(path)
        for path in tracked()
        if (path.suffix == ".py" and "Identifier: MIT" not in path.read_text()[:200])
        or (path.suffix == ".rs" and "Identifier: GPL-2.0-only" not in path.read_text()[:200])
    ]
    assert not wrong
