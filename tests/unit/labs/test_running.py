# SPDX-License-Identifier: MIT
"""Ends of a lab's checks that need no machine."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from r4l.camp.labs.lab import Lab
from r4l.camp.labs.running import WORKERS, Checks
from r4l.errors import R4LError
from r4l.kernel import Kernel

MARK = 'import pytest\n\n@pytest.mark.checkpoint("one")\n'


def begin(folder: Path, text: str, *hidden: Path, timeout: int = 60) -> Checks:
    """Start the checks of a lab with the given check."""
    checks, evidence = folder / "checks", folder / "evidence"
    checks.mkdir()
    evidence.mkdir()
    (checks / "test_one.py").write_text(text)
    lab = cast(Lab, SimpleNamespace(checks=checks, timeout=timeout, builds=True, config=None))
    kernel = cast(Kernel, SimpleNamespace(name="stock", arch="x86_64"))
    return Checks(lab, kernel, hidden, evidence, folder)


def run(folder: Path, text: str, *hidden: Path) -> dict[str, dict[str, Any]]:
    with begin(folder, text, *hidden) as begun:
        return begun.run(None)


def test_what_a_check_saw(tmp_path: Path) -> None:
    found = run(tmp_path, f"{MARK}def test_one():\n    assert not 'this'\n")
    assert not found["one"]["passed"]
    assert "assert not 'this'" in found["one"]["seen"]


@pytest.mark.parametrize(
    ("text", "said"),
    [("import nothing_of_the_kind\n", "nothing_of_the_kind"), ("def test_one():\n    pass\n", "checkpoint")],
    ids=["that cannot be read", "without a mark"],
)
def test_checks_that_do_not_run(tmp_path: Path, text: str, said: str) -> None:
    """A failed start is not reported as a hang of the student's machine."""
    with pytest.raises(R4LError, match="did not run") as caught:
        run(tmp_path, text)
    assert said in caught.value.detail


SHARED = """
import os, pathlib, time, pytest

@pytest.mark.checkpoint("shared")
@pytest.mark.parametrize("number", range(5))
def test_shared(number):
    pathlib.Path(f"../ran-{number}").mkdir()
    pathlib.Path(f"../by-{os.getpid()}").touch()
    time.sleep(0.3)
    assert number != 3, "the third"

@pytest.mark.checkpoint("last")
def test_last():
    pass
"""


def test_several_processes_share_the_checks(tmp_path: Path) -> None:
    """Each check runs once, and the result does not depend on the order."""
    found = run(tmp_path, SHARED)
    assert list(found) == ["shared", "last"]
    assert not found["shared"]["passed"]
    assert "the third" in found["shared"]["seen"]
    assert found["last"]["passed"]
    assert len(list(tmp_path.glob("ran-*"))) == 5
    assert len(list(tmp_path.glob("by-*"))) == min(os.cpu_count() or 1, WORKERS)


MODULES = """
import time, pytest

@pytest.fixture(scope="module")
def owned():
    yield __name__

@pytest.mark.checkpoint("{0}")
@pytest.mark.parametrize("number", range(6))
def test_of_a_module(owned, number):
    time.sleep(0.2)
    assert owned == __name__
"""


def test_what_the_checks_of_a_file_share_ends_with_them(tmp_path: Path) -> None:
    """A process that takes the last check of one file and the first of the next tears down between them."""
    more = tmp_path / "more"
    more.mkdir()
    (more / "test_more.py").write_text(MODULES.format("more"))
    found = run(tmp_path, MODULES.format("own"), more)
    assert {name: result["passed"] for name, result in found.items()} == {"own": True, "more": True}


HANGS = """
import time, pytest
from r4l.errors import GuestTimeout

@pytest.mark.checkpoint("hangs")
def test_hangs():
    raise GuestTimeout("no answer", "none")

@pytest.mark.checkpoint("others")
@pytest.mark.parametrize("number", range(100))
def test_others(number):
    time.sleep(1)

@pytest.mark.checkpoint("last")
def test_last():
    pass
"""


def test_what_hangs_ends_the_checks_of_all_processes(tmp_path: Path) -> None:
    found = run(tmp_path, HANGS)
    assert not found["hangs"]["passed"]
    assert "last" not in found


LATE = """
import time, pytest

@pytest.fixture
def booting():
    time.sleep(100)

@pytest.mark.checkpoint("one")
def test_one({}):
    time.sleep(100)
"""


def test_a_time_out_before_there_is_a_machine_is_not_the_student_s(tmp_path: Path) -> None:
    for name, arguments in (("boots", "booting"), ("runs", "")):
        (tmp_path / name).mkdir()
        with begin(tmp_path / name, LATE.format(arguments), timeout=1) as begun:
            result = begun.run(None)["one"]
            if arguments:
                assert result["passed"] is None
                assert result["fault"] == begun.fault == "a time-out while this computer made the check's machine"
            else:
                assert result["passed"] is False


SLEEPS = """def test_one():
    import os, pathlib, time

    pathlib.Path("../pid").write_text(str(os.getpid()))
    time.sleep(600)
"""


def test_checks_end_with_whoever_began_them(tmp_path: Path) -> None:
    """Otherwise the machines of a killed `r4l lab check` would keep running."""
    pid = tmp_path / "pid"
    owner = multiprocessing.get_context("spawn").Process(target=run, args=(tmp_path, f"{MARK}{SLEEPS}"))
    owner.start()
    wait_until(lambda: pid.exists() and pid.read_text() != "")
    owner.kill()
    owner.join()
    wait_until(lambda: not Path("/proc", pid.read_text()).exists())


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, at most 30 s."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


STRAY = """
import pytest
from types import SimpleNamespace
from r4l.errors import GuestTimeout
from r4l.klog import KernelLog
from r4l.testing import verdict
from r4l.vm.one_cpu import number_of

@pytest.fixture
def cpus(request):
    number = number_of(2, "tcg")
    log = KernelLog()
    log.feed("<4>[    3.000000] Oops: int3: 0000 [#1]")
    log.finish()
    verdict.watch(request.node, SimpleNamespace(
        begun=1.0, machine=SimpleNamespace(accel="tcg", cpus=number), klog=log, cards={}, devices=[], workdir="",
        running=False, floods=[], check=lambda: None, model_errors=lambda: [],
    ))
    return number

@pytest.mark.checkpoint("qemus")
def test_qemus(cpus):
    assert cpus == 1

@pytest.mark.checkpoint("hangs")
def test_hangs(cpus):
    if cpus == 2:
        raise GuestTimeout("it does not answer")

@pytest.mark.checkpoint("drivers")
def test_drivers(cpus):
    assert False

@pytest.mark.checkpoint("last")
def test_last():
    assert number_of(2, "tcg") == 2
"""


def test_a_line_of_the_guest_s_does_not_keep_a_check_from_its_verdict(tmp_path: Path) -> None:
    """Regression: after a printed `Oops: int3:` no failure counted. One processor, where QEMU has no such fault,
    decides."""
    found = run(tmp_path, STRAY)
    assert {name: (one["passed"], one["fault"]) for name, one in found.items()} == {
        "qemus": (True, ""),
        "hangs": (True, ""),
        "drivers": (False, ""),
        "last": (True, ""),
    }
