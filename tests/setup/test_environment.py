# SPDX-License-Identifier: MIT
"""The Python environment that `./r4l` makes: interrupted, on a full disk, and by uv; and `uvx r4l`. With the real pip,
uv and index."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from r4l.toolchain.enter import bwraps

pytestmark = [pytest.mark.setup_faults, pytest.mark.timeout(900)]

LAUNCHER = Path(__file__).parents[2] / "r4l"
VERSION = "r4l, version "
STAGES = {"venv": "venv/*/pyvenv.cfg", "pip": "venv/*/lib/python*/site-packages/rich"}
"""Files that each stage writes."""
MIB = 1 << 20
SIZES = {"venv": 4 * MIB, "pip": 48 * MIB}
"""Sizes of a disk that becomes full in each stage."""
OF_SYSTEM = ("sh", "dirname", "readlink", "mkdir", "cat", "tr", "cksum", "tail", "rm", "flock")
OLD = '#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2; exit 1\n'


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a user whose home is below the given folder."""
    found = {**os.environ, "HOME": str(home), "R4L_HOME": str(home / "r4l"), **more}
    if "PIP_CERT" in found:
        found.setdefault("SSL_CERT_FILE", found["PIP_CERT"])
    return found


def launch(home: Path, *before: str, **more: str) -> subprocess.CompletedProcess[str]:
    argv = [*before, str(LAUNCHER), "--version"]
    return subprocess.run(argv, env=environment(home, **more), capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("interrupted")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("stage", STAGES)
def test_an_interrupt_leaves_nothing_that_is_taken_for_whole(
    stage: str, number: signal.Signals, interrupted: Path
) -> None:
    home = interrupted / "r4l"
    shutil.rmtree(home / "venv", ignore_errors=True)
    run = subprocess.Popen(
        [str(LAUNCHER), "--version"],
        env=environment(interrupted),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 600
    while not list(home.glob(STAGES[stage])):
        assert run.poll() is None, "the stage was not seen"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    # As the terminal and the kernel do, to all of its processes.
    os.killpg(run.pid, number)
    assert run.wait(60) in (-number, 128 + number)
    assert not list(home.glob("venv/*/complete"))


def test_the_next_run_makes_it(interrupted: Path) -> None:
    done = launch(interrupted)
    assert done.stdout.startswith(VERSION), done.stderr
    assert "making the Python environment" in done.stderr
    assert launch(interrupted).stderr == ""


@pytest.mark.parametrize("stage", SIZES)
def test_a_full_disk(stage: str, tmp_path: Path) -> None:
    (home := tmp_path / "r4l").mkdir()
    small = [bwraps()[0], "--dev-bind", "/", "/", "--size", str(SIZES[stage]), "--tmpfs", str(home), "--"]
    done = launch(tmp_path, *small)
    assert done.returncode == 120, done.stderr
    assert f"the disk is full: the Python environment does not fit into {home}" in done.stderr


@pytest.fixture(scope="module")
def uv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs uv and uvx."""
    folder = tmp_path_factory.mktemp("uv")
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", str(folder), "uv"], check=True)
    return folder / "bin"


def test_uvx(uv: Path, wheels: Path, tmp_path: Path) -> None:
    """`uvx r4l`, with the wheel in the place of an index that has r4l."""
    (wheel,) = wheels.glob("r4l-*.whl")

    def uvx(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [str(uv / "uvx"), "--from", str(wheel), "--python", sys.executable, "r4l", *words]
        found = environment(tmp_path, UV_PYTHON_DOWNLOADS="never")
        return subprocess.run(argv, env=found, cwd=tmp_path, capture_output=True, text=True, check=False)

    listed = uvx("--help")
    assert listed.returncode == 0, listed.stderr
    assert "demo" in listed.stdout
    # bubblewrap of uv's environment works, and nothing but toolchain and kernel is missing.
    found = {entry["name"]: entry["ok"] for entry in json.loads(uvx("doctor", "--json").stdout)}
    assert [name for name, ok in found.items() if not ok] == ["toolchain"]


def test_the_launcher_with_uv(uv: Path, tmp_path: Path) -> None:
    """The only Python on the PATH by a name that the launcher knows is too old; uv finds one by another name."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in OF_SYSTEM:
        (programs / name).symlink_to(str(shutil.which(name)))
    (programs / "uv").symlink_to(uv / "uv")
    (programs / "python3").write_text(OLD, encoding="utf-8")
    (programs / "python3").chmod(0o755)
    python = programs / "python"
    python.symlink_to(Path(sys.executable).resolve())
    variables = {"PATH": str(programs), "UV_PYTHON_DOWNLOADS": "never", "VIRTUAL_ENV": ""}
    done = launch(tmp_path, **variables)
    assert done.stdout.startswith(VERSION), done.stderr
    assert launch(tmp_path, **variables).stderr == ""
    python.unlink()
    gone = launch(tmp_path, **variables)
    assert gone.returncode == 120
    assert "the Python environment could not be made" in gone.stderr
    assert "interpreter" in gone.stderr
    python.symlink_to(Path(sys.executable).resolve())
    assert launch(tmp_path, **variables).stdout.startswith(VERSION)
