# SPDX-License-Identifier: MIT
"""The series of e1000 and the kit for the kernel's own source: as the kernel's own scripts want patches."""

from __future__ import annotations

from pathlib import Path

import pytest

from r4l import resources
from r4l.graft.series import series
from r4l.kernel import Kernel
from r4l.toolchain import Grant


@pytest.fixture
def mails(kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The mails of the series, without the cover letter."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Hua Li")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "li@example.org")
    done = series(resources.rust("drivers", "e1000"), kernel.source, tmp_path / "out")
    return [tmp_path / "out" / name for name in done.mails[1:]]


def test_checkpatch_has_nothing_to_say(kernel: Kernel, mails: list[Path]) -> None:
    argv: list[str | Path] = [
        "perl",
        kernel.source / "scripts/checkpatch.pl",
        "--strict",
        "--no-tree",
        "--root",
        kernel.source,
        *mails,
    ]
    grant = Grant("test", reads=(kernel.source, mails[0].parent))
    done = kernel.toolchain.run(argv, grant, check=False)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    assert done.stdout.decode().count("total: 0 errors, 0 warnings, 0 checks") == len(mails)


def test_what_the_series_writes_is_formatted_as_the_kernel_wants(
    kernel: Kernel, mails: list[Path], tmp_path: Path
) -> None:
    added: dict[str, list[str]] = {}
    for mail in mails:
        for part in mail.read_text().split("diff --git ")[1:]:
            if "\nnew file mode" in part:
                path = part.partition("\n+++ b/")[2].partition("\n")[0]
                added[path] = [line[1:] for line in part.splitlines() if line.startswith("+")][1:]
    rust = {path: "\n".join(lines) + "\n" for path, lines in added.items() if path.endswith(".rs")}
    assert len(rust) > 20
    assert max(len(line) for text in rust.values() for line in text.splitlines()) <= 100
