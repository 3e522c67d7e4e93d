# SPDX-License-Identifier: MIT
"""`cd FOLDER && r4l …` in a stranger's folder runs nothing of the folder.

folders.toml lists the files that the folder has. `r4l test`, `r4l watch` and `r4l sweep` run the Python of the folder
that they are given on purpose.
"""

from __future__ import annotations

import shutil
import site
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.hostile.conftest import HERE, Answer, Tcp, some

from r4l import resources
from r4l.cli.ide import not_ignored

FILES = {file["name"]: file for file in tomllib.loads((HERE / "folders.toml").read_text(encoding="utf-8"))["file"]}
TELL = "open({told!r}, 'a').write({name!r} + chr(10))\n"
"""Python that records that it ran."""
PROGRAMS = ("sh", "python3", "dirname", "readlink", "mkdir", "cat", "tr", "cksum", "tail", "rm", "flock", "id")


@dataclass(frozen=True)
class Caller:
    """A user who calls r4l in strangers' folders.

    Attributes:
        top: folder for everything.
        index: a stranger's package index, with a list of its callers.
    """

    top: Path
    index: Tcp

    @property
    def told(self) -> list[str]:
        """Names of the files that ran."""
        file = self.top / "told"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []

    def stranger(self, *names: str) -> Path:
        """Create a folder with these files."""
        folder = self.top / f"stranger-{len(list(self.top.iterdir()))}"
        facts = {
            "told": str(self.top / "told"),
            "folder": folder,
            "index": f"http://127.0.0.1:{self.index.server_address[1]}/",
        }
        for name in names:
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(FILES[name].get("text", TELL).format(**facts, name=name), encoding="utf-8")
        return folder

    def call(self, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
        """Call the launcher in a folder."""
        launcher = resources.checkout()
        assert launcher is not None
        env = {"PATH": str(self.top / "bin"), "HOME": str(self.top), "R4L_HOME": str(self.top / "home")}
        argv = [str(launcher / "r4l"), *words]
        return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """A user whose Python environment was made in a stranger's folder; its packages are those of the tests."""
    top = tmp_path_factory.mktemp("caller")
    (top / "bin").mkdir()
    for name in PROGRAMS:
        found = str(Path(sys.executable).resolve()) if name == "python3" else shutil.which(name)
        (top / "bin" / name).write_text(f'#!{shutil.which("sh")}\nexec {found} "$@"\n')
        (top / "bin" / name).chmod(0o755)
    own = top / ".config/pip/pip.conf"
    own.parent.mkdir(parents=True)
    own.write_text("[global]\nindex-url = http://127.0.0.1:9/\nretries = 0\n")
    with Tcp(("127.0.0.1", 0), Answer) as index:
        threading.Thread(target=index.serve_forever, daemon=True).start()
        made = Caller(top, index)
        done = made.call(made.stranger(*FILES), "--version")
        assert done.returncode == 120, done.stderr
        assert "environment could not be made" in done.stderr, "the user's own index has nothing"
        (venv,) = (path for path in (top / "home/venv").iterdir() if path.is_dir())
        (packages,) = venv.glob("lib/python*/site-packages")
        (packages / "tests.pth").write_text(
            "".join(f"import site; site.addsitedir({p!r})\n" for p in site.getsitepackages())
        )
        (venv / "complete").touch()
        yield made
        index.shutdown()


def test_the_environment_is_made_without_the_folder(caller: Caller) -> None:
    assert caller.told == []
    assert caller.index.reached == []


@pytest.mark.parametrize("name", some(FILES, 4))
def test_r4l_starts_without_the_folders(caller: Caller, name: str) -> None:
    """Regression: the current folder was first in Python's path."""
    before = caller.told
    done = caller.call(caller.stranger(name), "--version")
    assert caller.told == before
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("r4l"), done.stdout


def test_a_work_tree_names_a_program_for_git(caller: Caller) -> None:
    """Regression: `r4l ide` asked git whether its files are ignored, and git ran core.fsmonitor."""
    folder = caller.stranger()
    folder.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    (folder / ".git/config").write_text(
        f'[core]\n\trepositoryformatversion = 0\n\tfsmonitor = "touch {caller.top}/monitor; false"\n'
    )
    subprocess.run(["git", "-c", "core.fsmonitor=false", "add", "."], cwd=folder, check=True)
    file = folder / "rust-project.json"
    file.write_text("{}")
    assert not_ignored(folder, [file]) == [file]
    assert not (caller.top / "monitor").exists()
