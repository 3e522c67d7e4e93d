# SPDX-License-Identifier: MIT
"""The series of e1000 and the kit for the kernel's own source: as the kernel's own scripts want patches."""

from __future__ import annotations

import re
import shutil
import subprocess
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


@pytest.fixture
def states(kernel: Kernel, mails: list[Path], tmp_path: Path) -> list[dict[str, str]]:
    """The new Rust files of the series, as they are after each of its mails was applied by git."""
    there = tmp_path / "tree"
    there.mkdir()
    touched = {path for mail in mails for path in re.findall(r"^--- a/(\S+)$", mail.read_text(), re.MULTILINE)}
    for path in touched:
        if (kernel.source / path).is_file():
            (there / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(kernel.source / path, there / path)
    for argv in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "base"]):
        git(there, *argv)
    found: list[dict[str, str]] = []
    new: set[str] = set()
    for mail in mails:
        git(there, "am", "--quiet", str(mail))
        new |= {*git(there, "diff", "--name-only", "--diff-filter=A", "HEAD~").split()}
        found.append({path: (there / path).read_text() for path in new if path.endswith(".rs")})
    return found


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_rustfmt_changes_nothing_after_any_patch(kernel: Kernel, states: list[dict[str, str]], tmp_path: Path) -> None:
    assert len(states[-1]) > 40
    folder = tmp_path / "states"
    texts = {folder / f"{at:02}" / path: text for at, state in enumerate(states) for path, text in state.items()}
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    argv: list[str | Path] = ["rustfmt", "--check", "--edition", "2021", "--config-path"]
    done = kernel.toolchain.run(
        [*argv, kernel.source / ".rustfmt.toml", *texts], Grant("test", reads=(folder, kernel.source)), check=False
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


def test_no_line_is_wider_than_the_kernel_wants(states: list[dict[str, str]]) -> None:
    """rustfmt leaves comments and texts as wide as they are."""
    wide = [
        f"{at:02}/{path}: {line}"
        for at, state in enumerate(states)
        for path, text in state.items()
        for line in text.splitlines()
        if len(line) > 100
    ]
    assert not wide, "\n".join(wide)
