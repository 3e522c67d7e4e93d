# SPDX-License-Identifier: MIT
"""A lock file replayed, and a home cleaned while a machine runs in it, with Debian's real packages."""

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
    # Where nothing is there yet, the very same tree comes of it.
    again = tmp_path / "again"
    code = "from pathlib import Path; from r4l.toolchain import Toolchain; "
    code += f"print(Toolchain.get(lock_file=Path({str(lock)!r})).key)"
    environment = {**os.environ, "R4L_HOME": str(again)}
    made = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True).stdout.strip()
    first = json.loads(r4l(ready, "setup", "--json").stdout)
    assert made.decode() == first["toolchain_key"]
    # Where it is there already, nothing is made.
    trees = sorted(path.name for path in (ready / "toolchain").iterdir() if path.is_dir())
    assert r4l(ready, "setup", "--lock", str(lock)).returncode == 0
    assert sorted(path.name for path in (ready / "toolchain").iterdir() if path.is_dir()) == trees
    assert f"as the lock file {lock} says".encode() in r4l(ready, "doctor").stdout


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
