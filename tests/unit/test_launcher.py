# SPDX-License-Identifier: MIT
"""`./r4l` on machines with missing parts."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from r4l.toolchain.enter import bwraps

LAUNCHER = Path(__file__).parents[2] / "r4l"
ALWAYS = ("sh", "python3", "dirname", "readlink", "mkdir", "cat", "tr", "cksum", "tail", "rm", "flock")


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A PATH with the programs of every Debian, for a user who is not root."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ALWAYS:
        # Not whatever stands in front on this machine's PATH: a version manager's python3 is a script of its own.
        found = str(Path(sys.executable).resolve()) if name == "python3" else shutil.which(name)
        assert found, name
        # A link would break python3's search for its own library; a script does not.
        (folder / name).write_text(f'#!{shutil.which("sh")}\nexec {found} "$@"\n')
        (folder / name).chmod(0o755)
    (folder / "id").write_text(f"#!{shutil.which('sh')}\necho 1000\n")
    (folder / "id").chmod(0o755)
    return folder


def launch(path: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(LAUNCHER), *arguments],
        env={"PATH": str(path), "HOME": str(home), "R4L_HOME": str(home / "r4l")},
        capture_output=True,
        text=True,
        check=False,
    )


LACKS_VENV = """#!{shell}
case "$*" in
*ensurepip*) exit 1 ;;
*) exec {python} "$@" ;;
esac
"""


@pytest.mark.parametrize(
    ("apt", "remedy"),
    [
        (True, "remedy: as root: apt-get install python3 python3-venv; or install uv"),
        (False, "remedy: install python3 python3-venv with this machine's package manager; or install uv"),
    ],
)
def test_a_python_without_venv(apt: bool, remedy: str, bare_path: Path, tmp_path: Path) -> None:
    (bare_path / "python3").write_text(
        LACKS_VENV.format(shell=shutil.which("sh"), python=Path(sys.executable).resolve())
    )
    if apt:
        (bare_path / "apt-get").symlink_to("/bin/true")
    done = launch(bare_path, tmp_path, "demo")
    assert done.returncode == 120
    assert "python3 lacks its modules venv and ensurepip" in done.stderr
    assert remedy in done.stderr
    assert apt or "apt" not in done.stderr


def test_no_place_for_what_is_made(bare_path: Path, tmp_path: Path) -> None:
    homeless = subprocess.run([str(LAUNCHER), "demo"], env={"PATH": str(bare_path)}, capture_output=True, text=True)
    assert homeless.returncode == 120
    assert "HOME is not set" in homeless.stderr
    assert "remedy: set HOME" in homeless.stderr
    (tmp_path / "r4l").write_text("a file is in the way")
    refused = launch(bare_path, tmp_path, "demo")
    assert refused.returncode == 120
    assert f"cannot write {tmp_path}/r4l" in refused.stderr
    assert "mkdir" not in refused.stderr


def test_no_python(bare_path: Path, tmp_path: Path) -> None:
    (bare_path / "python3").unlink()
    done = launch(bare_path, tmp_path, "demo")
    assert done.returncode == 120
    assert "install python3 python3-venv with this machine's package manager" in done.stderr


OLD = '[ "$1" = --version ] && echo Python 3.9.2; exit 1'


def test_an_old_python(bare_path: Path, tmp_path: Path) -> None:
    (bare_path / "python3").write_text(f"#!{shutil.which('sh')}\n{OLD}\n")
    done = launch(bare_path, tmp_path, "demo")
    assert done.returncode == 120
    assert "python3 is too old: Python 3.9.2" in done.stderr
    assert "install uv" in done.stderr


UV = """#!{shell}
case "$*" in
"venv "*) mkdir -p "$5/bin" && cp {python} "$5/bin/python" && echo 'version_info = {version}' >"$5/pyvenv.cfg" ;;
"pip install "*) echo "in $PWD: $*" ;;
*) exit 2 ;;
esac
"""
UVS_PYTHON = """#!{shell}
case "$*" in
--version) echo "Python {version}" ;;
*libc_ver*) echo "{libc}" ;;
*) echo "ran $*" ;;
esac
"""


def give_uv(path: Path, version: str = "3.14.0rc2", libc: str = "glibc 2.28") -> Path:
    """An old Python, and a uv which copies a newer one; the path of that one."""
    shell, pythons = shutil.which("sh"), path.parent / "uvs-python"
    texts = {
        path / "python3": f"#!{shell}\n{OLD}\n",
        path / "uv": UV.format(shell=shell, python=pythons, version=version),
        pythons: UVS_PYTHON.format(shell=shell, version=version, libc=libc),
    }
    for file, text in texts.items():
        file.write_text(text)
        file.chmod(0o755)
    (path / "cp").symlink_to(str(shutil.which("cp")))
    return pythons


def test_an_old_python_and_uv(bare_path: Path, tmp_path: Path) -> None:
    """uv finds or fetches a Python that is new enough."""
    give_uv(bare_path)
    done = launch(bare_path, tmp_path, "demo")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ran -P -m r4l demo\n"
    said = (tmp_path / "r4l/logs/venv.log").read_text()
    assert said.startswith("in /: pip install"), "uv reads uv.toml and pyproject.toml of the current folder"


def test_a_relative_home(bare_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give_uv(bare_path)
    monkeypatch.chdir(tmp_path)
    env = {"PATH": str(bare_path), "HOME": str(tmp_path), "R4L_HOME": "below/r4l"}
    done = subprocess.run([str(LAUNCHER), "demo"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("below/r4l/venv/*/complete"))


MAKING = "r4l: making the Python environment (once)\n"


@pytest.mark.parametrize("loss", ["removed", "does not start", "another version"])
def test_the_python_of_the_environment_goes_away(loss: str, bare_path: Path, tmp_path: Path) -> None:
    """As when uv's Pythons are removed, or the system's is upgraded in its place."""
    give_uv(bare_path)
    assert launch(bare_path, tmp_path, "demo").stderr == MAKING
    again = launch(bare_path, tmp_path, "demo")
    assert (again.stdout, again.stderr) == ("ran -P -m r4l demo\n", ""), "what is whole is used"
    (python,) = (tmp_path / "r4l/venv").glob("*/bin/python")
    python.unlink()
    if loss == "removed":
        python.symlink_to(tmp_path / "gone")
    else:
        number = "3.13.9" if loss == "another version" else "3.14.0"
        said = f"echo Python {number}; exit {0 if loss == 'another version' else 127}"
        python.write_text(f"#!{shutil.which('sh')}\n{said}\n")
        python.chmod(0o755)
    mended = launch(bare_path, tmp_path, "demo")
    assert (mended.returncode, mended.stdout, mended.stderr) == (0, "ran -P -m r4l demo\n", MAKING)


@pytest.mark.parametrize(
    ("libc", "said"),
    [
        ("glibc 2.28", ""),
        ("glibc 2.36.9000", ""),
        ("glibc 2.27", "this machine has glibc 2.27"),
        ("glibc 2.5", "this machine has glibc 2.5"),
        ("musl 1.2.5", "this machine has another C library than glibc"),
        (" ", "this machine has another C library than glibc"),
    ],
)
def test_the_c_library(libc: str, said: str, bare_path: Path, tmp_path: Path) -> None:
    give_uv(bare_path, libc=libc)
    done = launch(bare_path, tmp_path, "demo")
    assert done.returncode == (120 if said else 0), done.stderr
    assert said in done.stderr
    assert ("remedy: r4l needs glibc 2.28 or newer" in done.stderr) == bool(said)
    assert ("pip install" in (tmp_path / "r4l/logs/venv.log").read_text()) == (not said)


def test_no_locks(bare_path: Path, tmp_path: Path) -> None:
    """As on NFS without its lock service."""
    give_uv(bare_path)
    (bare_path / "flock").write_text(f"#!{shutil.which('sh')}\necho 'flock: 9: No locks available' >&2\nexit 1\n")
    done = launch(bare_path, tmp_path, "demo")
    assert done.returncode == 120
    assert f"files in {tmp_path}/r4l/venv cannot be locked: flock: 9: No locks available" in done.stderr
    assert "local_lock=flock" in done.stderr


IN_THE_WAY = {"the lock": "venv/lock", "the log": "logs/venv.log"}


@pytest.mark.parametrize("what", IN_THE_WAY)
def test_a_file_that_cannot_be_written(what: str, bare_path: Path, tmp_path: Path) -> None:
    give_uv(bare_path)
    # Root can write everywhere but into a folder's name.
    (tmp_path / "r4l" / IN_THE_WAY[what]).mkdir(parents=True)
    done = launch(bare_path, tmp_path, "demo")
    assert done.returncode == 120
    assert f"r4l: cannot write {tmp_path}/r4l/{IN_THE_WAY[what]}\nr4l: remedy: remove it" in done.stderr


FULL = """#!{shell}
case "$*" in
"-I -m venv "*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python"{venv} ;;
*libc_ver*) echo glibc 2.36 ;;
"-I -m pip "*) cat /dev/zero >"${{0%/*}}/zero" ;;
*) exec {python} "$@" ;;
esac
"""


@pytest.mark.parametrize("stage", ["venv", "pip"])
def test_a_full_disk(stage: str, bare_path: Path, tmp_path: Path) -> None:
    """A real one, of 2 MiB."""
    (home := tmp_path / "r4l").mkdir()
    try:
        room = [
            *bwraps()[:1],
            "--bind",
            "/",
            "/",
            "--dev-bind",
            "/dev",
            "/dev",
            "--size",
            "2097152",
            "--tmpfs",
            str(home),
        ]
        subprocess.run([*room, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine gives no mount namespace")
    fill = ' && cat /dev/zero 2>/dev/null >"$4/zero"' if stage == "venv" else ""
    (bare_path / "python3").write_text(
        FULL.format(shell=shutil.which("sh"), python=Path(sys.executable).resolve(), venv=fill)
    )
    for name in ("cp", "cat", "df"):
        (bare_path / name).unlink(missing_ok=True)
        (bare_path / name).symlink_to(str(shutil.which(name)))
    done = subprocess.run(
        [*room, str(LAUNCHER), "demo"],
        env={"PATH": str(bare_path), "HOME": str(tmp_path), "R4L_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 120, done.stderr
    assert f"r4l: the disk is full: the Python environment does not fit into {home}" in done.stderr
    assert "trying the newest" not in done.stderr
    assert "remedy: free some space" in done.stderr


@pytest.mark.parametrize(
    ("words", "dask"),
    [
        (["sweep", "."], True),
        (["lab", "grade", "a.zip", "--on", "tcp://host1:8786"], True),
        (["lab", "grade", "--on=tcp://host1:8786", "a.zip"], True),
        (["lab", "grade", "a.zip"], False),
        (["lab", "list"], False),
        (["run", "grade", "--", "--on", "x"], False),
    ],
)
def test_dask_is_for_those_who_ask_for_it(words: list[str], dask: bool, bare_path: Path, tmp_path: Path) -> None:
    give_uv(bare_path)
    assert launch(bare_path, tmp_path, *words).stdout == f"ran -P -m r4l {' '.join(words)}\n"
    assert ("[sweep]" in (tmp_path / "r4l/logs/venv.log").read_text()) == dask


def test_a_newer_python_by_its_own_name(bare_path: Path, tmp_path: Path) -> None:
    """Enterprise distributions have one beside the `python3` that belongs to the system."""
    (bare_path / "python3").rename(bare_path / "python3.12")
    (bare_path / "python3").write_text(f"#!{shutil.which('sh')}\n{OLD}\n")
    (bare_path / "python3").chmod(0o755)
    (bare_path / "python3.12").write_text(
        PYTHON.format(shell=shutil.which("sh"), python=Path(sys.executable).resolve())
    )
    (bare_path / "cp").symlink_to(str(shutil.which("cp")))
    done = launch(bare_path, tmp_path, "lab", "list")
    assert done.stdout == f"called {LAUNCHER}\n", done.stderr


def test_no_index_to_install_from(tmp_path: Path) -> None:
    """pip cannot reach its index: the error names the log, and no partial environment is used."""
    done = subprocess.run(
        [str(LAUNCHER), "--version"],
        env={
            **os.environ,
            "R4L_HOME": str(tmp_path),
            "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
            "PIP_RETRIES": "0",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_FIND_LINKS": "",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 120, done.stderr
    assert "the Python environment could not be made" in done.stderr
    assert "venv.log" in done.stderr
    assert not list((tmp_path / "venv").glob("*/complete"))


PYTHON = """#!{shell}
case "$*" in
"-I -m venv "*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
"-I -m pip "* | *"import r4l.cli") ;;
"-P -m r4l "*) echo "called $R4L_COMMAND" ;;
*) exec {python} "$@" ;;
esac
"""


def test_the_program_knows_how_it_was_called(bare_path: Path, tmp_path: Path) -> None:
    (bare_path / "python3").write_text(PYTHON.format(shell=shutil.which("sh"), python=Path(sys.executable).resolve()))
    (bare_path / "cp").symlink_to(str(shutil.which("cp")))
    done = launch(bare_path, tmp_path, "lab", "list")
    assert done.stdout == f"called {LAUNCHER}\n", done.stderr
    (bare_path / "r4l").symlink_to(LAUNCHER)
    env = {"PATH": str(bare_path), "HOME": str(tmp_path), "R4L_HOME": str(tmp_path / "r4l")}
    found = subprocess.run(["sh", "-c", "r4l lab list"], env=env, capture_output=True, text=True)
    assert found.stdout == "called r4l\n", found.stderr


PIP = """#!{shell}
case "$*" in
"-I -m venv "*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
"-I -m pip "*) echo "$@" >> {log}; case "$*" in {fails}) exit 1 ;; esac ;;
*"import r4l.cli") ;;
"-P -m r4l "*) echo called ;;
*) exec {python} "$@" ;;
esac
"""


@pytest.mark.parametrize(
    ("fails", "calls", "said"),
    [("nothing", 1, ""), ("*constraints.txt*", 2, "trying the newest"), ("*", 2, "could not be made")],
)
def test_the_tested_versions_are_tried_first(
    bare_path: Path, tmp_path: Path, fails: str, calls: int, said: str
) -> None:
    log = tmp_path / "pip.log"
    python = Path(sys.executable).resolve()
    (bare_path / "python3").write_text(PIP.format(shell=shutil.which("sh"), python=python, log=log, fails=fails))
    (bare_path / "cp").symlink_to(str(shutil.which("cp")))
    done = launch(bare_path, tmp_path, "lab", "list")
    assert (done.returncode, done.stdout) == ((120, "") if fails == "*" else (0, "called\n")), done.stderr
    assert said in done.stderr
    lines = log.read_text().splitlines()
    assert [f"-c {LAUNCHER.parent}/constraints.txt" in line for line in lines] == [True, False][:calls]
    assert len(list((tmp_path / "r4l/venv").glob("*/complete"))) == (0 if fails == "*" else 1)


SETTINGS = """#!{shell}
case "$*" in
"-I -m venv "*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" && echo "version = {version}" >"$4/pyvenv.cfg" ;;
"-I -m pip "*) echo "path ${{PYTHONPATH-unset}}, home ${{PYTHONHOME-unset}}" >> {log} ;;
*"import r4l.cli") exit {works} ;;
--version) [ -z "${{PYTHONHOME+set}}" ] && exec {python} "$@" ;;
"-P -m r4l "*) echo "path ${{PYTHONPATH-unset}}, home ${{PYTHONHOME-unset}}, lib ${{PYTHONPLATLIBDIR-unset}}" ;;
*) exec {python} "$@" ;;
esac
"""


@pytest.mark.parametrize("works", [True, False])
def test_settings_of_python_do_not_break_the_environment(works: bool, bare_path: Path, tmp_path: Path) -> None:
    """Regression: pip counted what PYTHONPATH has as installed, and the environment was complete for good."""
    python, log = Path(sys.executable).resolve(), tmp_path / "pip.log"
    facts = {"python": python, "version": platform.python_version(), "log": log, "works": 0 if works else 1}
    (bare_path / "python3").write_text(SETTINGS.format(shell=shutil.which("sh"), **facts))
    (bare_path / "cp").symlink_to(str(shutil.which("cp")))
    env = {"PATH": str(bare_path), "HOME": str(tmp_path), "R4L_HOME": str(tmp_path / "r4l")}
    env |= {"PYTHONPATH": "/mine", "PYTHONHOME": "/gone", "PYTHONPLATLIBDIR": "gone"}
    for _ in range(2):
        done = subprocess.run([str(LAUNCHER), "lab"], env=env, capture_output=True, text=True, check=False)
    if works:
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "path /mine, home unset, lib unset\n", "the program itself has the user's modules"
        assert log.read_text() == "path unset, home unset\n"
    else:
        assert done.returncode == 120
        assert "the Python environment could not be made" in done.stderr
        assert not list((tmp_path / "r4l/venv").glob("*/complete")), "pip may have installed elsewhere"
