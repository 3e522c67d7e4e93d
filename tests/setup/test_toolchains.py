# SPDX-License-Identifier: MIT
"""With Debian's real packages: a lock file replayed, also by a worker with an empty home, and a home cleaned while a
machine runs in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.setup_faults, pytest.mark.timeout(1500)]

MACHINE = """
import sys
from r4l import VM, Kernel, Module, resources
kernel = Kernel.stock()
hello = Module(resources.rust("drivers/hello")).build(kernel)
with VM(kernel, snapshot=True) as vm:
    print("up", flush=True)
    sys.stdin.read()
    vm.insmod(hello)
    vm.klog.check()
    assert Module(resources.rust("drivers/alloc_demo")).build(kernel).path.is_file()
    print(vm.run("uname -r").stdout)
"""

SWEPT = Path(__file__).parents[1] / "fixtures/swept"
EXERCISE = '[ "$(cat $DEVICE/value)" = 42 ] || exit 3'


def r4l(home: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "R4L_HOME": str(home)}
    return subprocess.run([sys.executable, "-m", "r4l", *arguments], env=environment, capture_output=True, check=False)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a toolchain and a kernel."""
    home = tmp_path_factory.mktemp("toolchains") / "home"
    done = r4l(home, "setup")
    assert done.returncode == 0, done.stderr.decode()
    return home


def test_a_lock_file_is_replayed_and_governs(ready: Path, tmp_path: Path) -> None:
    lock = tmp_path / "lock.json"
    lock.write_bytes((ready / "lock.json").read_bytes())
    # Where it is there already, nothing is made.
    trees = sorted(path.name for path in (ready / "toolchain").iterdir() if path.is_dir())
    assert r4l(ready, "setup", "--lock", str(lock)).returncode == 0
    assert sorted(path.name for path in (ready / "toolchain").iterdir() if path.is_dir()) == trees
    assert f"as the lock file {lock} says".encode() in r4l(ready, "doctor").stdout


def test_a_worker_with_an_empty_home_makes_it_by_the_lock_file(ready: Path, tmp_path: Path) -> None:
    """The very same toolchain and kernel come of it, before the worker takes a cell; and the cell is judged there."""
    from distributed import LocalCluster

    there = tmp_path / "there" / "home"
    words = ["--exercise", EXERCISE, "--cell", "probe:lost-write@LOCK#1", "--into", str(tmp_path / "out"), "--json"]
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        resources={"vm": 1},
        env={"R4L_HOME": str(there)},
        local_directory=str(tmp_path),
        dashboard_address="127.0.0.1:0",
    ) as cluster:
        done = r4l(ready, "sweep", str(SWEPT), *words, "--on", cluster.scheduler_address)
    assert done.returncode == 0, done.stderr.decode()
    ((result,),) = (driver["results"] for driver in json.loads(done.stdout)["drivers"])
    assert (result["verdict"], result["reason"]) == ("handled", "service went on")
    for home in (ready, there):
        assert json.loads((home / "lock.json").read_text()) == json.loads((ready / "lock.json").read_text())
        assert json.loads(r4l(home, "setup", "--json").stdout)["toolchain_key"] == tree_of(ready)
    assert list((there / "snapshots").glob("*.state")), "the machine was booted there"


def tree_of(home: Path) -> str:
    """The name of the toolchain in force."""
    (file,) = (home / "toolchain").glob("*.json")
    return str(json.loads(file.read_text())["tree"])


def test_nothing_is_cleaned_that_a_running_machine_uses(ready: Path) -> None:
    environment = {**os.environ, "R4L_HOME": str(ready)}
    argv = [sys.executable, "-c", MACHINE]
    with subprocess.Popen(argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as machine:
        assert machine.stdout
        assert machine.stdout.readline() == b"up\n"
        found = json.loads(r4l(ready, "clean", "--all", "--json").stdout)["entries"]
        used = {entry["room"] for entry in found if entry["state"] == "in use"}
        assert used >= {"toolchain", "kernels", "modules", "rootfs", "snapshots", "runs"}
        out, _ = machine.communicate(b"", timeout=300)
        assert machine.returncode == 0
        assert out.strip()
    found = json.loads(r4l(ready, "clean", "--all", "--json").stdout)["entries"]
    assert not [entry for entry in found if entry["state"] == "in use" and entry["room"] != "venv"]
    assert not list((ready / "kernels").iterdir())
