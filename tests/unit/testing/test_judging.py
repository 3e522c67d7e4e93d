# SPDX-License-Identifier: MIT
"""A fault of the host that keeps a test from its verdict is an error, not a failure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

TESTS = """
import errno
import pytest
from r4l.errors import EnvironmentFault, VerdictError
from r4l.vm import QemuDied

def test_space():
    raise OSError(errno.ENOSPC, "No space left on device")

def test_qemu():
    raise QemuDied("QEMU was killed by SIGKILL")

@pytest.fixture
def tools():
    raise EnvironmentFault("no tools", "run setup")

def test_tools(tools):
    pass

def test_fine():
    pass
"""
FAILS = """
def test_fails():
    raise VerdictError("the kernel complained")
"""


def run(folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(text)
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(folder)]
    return subprocess.run([*argv, *arguments], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "shared"])
def test_a_host_fault_is_an_error_with_a_code_of_its_own(tmp_path: Path, workers: tuple[str, ...]) -> None:
    done = run(tmp_path, TESTS, *workers, "--junitxml=it.xml", "--r4l-ktap=it.ktap")
    assert "1 passed, 3 errors" in done.stdout, done.stdout
    assert "could not be judged" in done.stdout
    assert done.returncode == 120
    suite = ElementTree.parse(tmp_path / "it.xml").getroot()[0]
    assert (suite.get("errors"), suite.get("failures")) == ("3", "0")
    ktap = (tmp_path / "it.ktap").read_text()
    assert "test_space # ERROR [Errno 28] No space left on device" in ktap


def test_a_failure_beside_it_is_the_verdict(tmp_path: Path) -> None:
    done = run(tmp_path, TESTS + FAILS)
    assert "1 failed, 1 passed, 3 errors" in done.stdout
    assert done.returncode == 1


COUNTED = """
import errno
from pathlib import Path
import pytest

@pytest.fixture(scope="session")
def shared():
    begun("shared")

def begun(name):
    with open(name, "a") as file:
        file.write("x")
    if Path(name).read_text() == "x":
        raise OSError(errno.ENOSPC, "No space left on device")

def test_once():
    begun("once")

def test_shared(shared):
    pass

def test_always():
    raise OSError(errno.ENOMEM, "Cannot allocate memory")

def test_wrong():
    begun("wrong")
    assert False, "the second attempt counts"

def test_fine():
    with open("fine", "a") as file:
        file.write("x")
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "shared"])
def test_a_test_without_a_verdict_is_run_once_more(tmp_path: Path, workers: tuple[str, ...]) -> None:
    done = run(tmp_path, COUNTED, *workers, "--r4l-again", "--junitxml=it.xml")
    assert "1 failed, 3 passed, 4 warnings, 1 error" in done.stdout, done.stdout
    assert "test_once is run again, since it could not be judged: [Errno 28] No space left on device" in done.stdout
    assert [(tmp_path / name).read_text() for name in ("once", "shared", "wrong", "fine")] == ["xx", "xx", "xx", "x"]
    suite = ElementTree.parse(tmp_path / "it.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("errors"), suite.get("failures")) == ("5", "1", "1")


def test_a_second_attempt_has_a_timeout_of_its_own(tmp_path: Path) -> None:
    text = (
        COUNTED
        + """
@pytest.mark.timeout(2)
def test_slow():
    begun("slow")
    import time
    time.sleep(60)
"""
    )
    done = run(tmp_path, text, "--r4l-again", "-k", "slow")
    assert "1 failed" in done.stdout, done.stdout
    assert "Timeout (>2" in done.stdout


STRAY = """
from types import SimpleNamespace
import pytest
from r4l.klog import KernelLog
from r4l.testing import verdict
from r4l.vm.one_cpu import number_of

@pytest.fixture(scope="module")
def shared():
    return number_of(2, "tcg")

def machine(item, cpus):
    log = KernelLog()
    log.feed("<4>[    3.000000] Oops: int3: 0000 [#1]")
    log.finish()
    verdict.watch(item, SimpleNamespace(
        begun=1.0, machine=SimpleNamespace(accel="tcg", cpus=cpus), klog=log, cards={}, devices=[], workdir="",
        running=False, floods=[], check=lambda: None, model_errors=lambda: [],
    ))

def note(name, cpus):
    with open(name, "a") as file:
        file.write(str(cpus))

def test_qemus(request, shared):
    cpus = number_of(2, "tcg")
    note("qemus", cpus)
    machine(request.node, cpus)
    assert cpus == shared == 1, "only with several does it fail"

def test_drivers(request):
    cpus = number_of(2, "tcg")
    note("drivers", cpus)
    machine(request.node, cpus)
    assert False, "the driver prints the line, and fails"

def test_after(shared):
    assert shared == number_of(2, "tcg") == 2
    assert number_of(2, "kvm") == 2
"""


def test_where_qemu_may_be_to_blame_one_processor_decides(tmp_path: Path) -> None:
    """Regression: one printed line made each failure one of the host."""
    done = run(tmp_path, STRAY, "--r4l-again")
    assert "1 failed, 2 passed" in done.stdout, done.stdout
    assert "FAILED test_it.py::test_drivers" in done.stdout
    assert [(tmp_path / name).read_text() for name in ("qemus", "drivers")] == ["21", "21"]
    done = run(tmp_path, STRAY)
    assert "1 passed, 2 errors" in done.stdout, done.stdout
    assert "run the test again with --r4l-again" in done.stdout
