# SPDX-License-Identifier: MIT
"""However a test ends, an exception of its device's model is shown, with its traceback."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from r4l import pci
from r4l.errors import GuestTimeout
from r4l.pci import ModelError
from r4l.vm import VM

CONFTEST = """
import pytest
from r4l import pci
from r4l.errors import GuestTimeout
from r4l.klog import KernelLog
from r4l.testing import fixtures

class Model(pci.Device):
    vendor_id = 1

    def breaks(self):
        self.call(self.divide)

    def divide(self):
        return 1 // 0

class Machine:
    def __init__(self, *_, **words):
        self.devices, self.cards, self.klog = [Model()], {}, KernelLog()
        self.running, self.floods, self.begun, self.pid, self.workdir = False, [], 0, 0, words["workdir"]

    def start(self):
        self.devices[0].plugged()
        if hasattr(self, "starts"):
            self.starts()

    def close(self, **_):
        if hasattr(self, "ends"):
            self.ends()

    def save_traces(self):
        pass

    def model_errors(self):
        return [one for one in self.devices[0].errors if one.__traceback__ is None]

    def check(self):
        for one in self.model_errors():
            raise one

    def untold(self):
        return next(iter(self.model_errors()), None)

@pytest.fixture(scope="session")
def kernel():
    return None

fixtures.VM = Machine
"""
TESTS = """
import time
import pytest
from conftest import Machine

@pytest.fixture
def broken(vm, device):
    device.breaks()

def test_assert(broken):
    assert False, "no interrupt came"

def test_fail(broken):
    pytest.fail("no interrupt came")

def test_raises(broken):
    with pytest.raises(ValueError):
        pass

@pytest.mark.timeout(1)
def test_timeout(broken):
    time.sleep(50)

def test_exit(broken):
    raise SystemExit(3)

def test_passes(broken):
    pass

@pytest.fixture
def address(broken):
    return int("0xffffffff and no address", 16)

def test_setup(address):
    pass

@pytest.fixture
def fails(broken):
    pytest.fail("no address")

def test_setup_fails(fails):
    pass

@pytest.fixture
def late(vm, device):
    yield
    device.breaks()

@pytest.fixture
def late_and_wrong(vm, device):
    yield
    device.breaks()
    pytest.fail("the counter is wrong")

def test_teardown(late):
    pass

def test_teardown_fails(late_and_wrong):
    pass

def test_teardown_after_a_failure(late):
    pytest.fail("by itself")

@pytest.fixture
def slow(monkeypatch):
    def starts(self):
        self.devices[0].breaks()
        time.sleep(50)
    monkeypatch.setattr(Machine, "starts", starts, raising=False)

@pytest.mark.timeout(1)
def test_start(slow, vm):
    pass

@pytest.fixture
def unplugged(monkeypatch):
    monkeypatch.setattr(Machine, "ends", lambda self: self.devices[0].breaks(), raising=False)

def test_end(unplugged, vm):
    pytest.fail("by itself")
"""
OTHERS = """
import pytest

@pytest.fixture
def broken(vm, device):
    device.breaks()

def test_skipped_first(vm):
    pytest.skip("no such card")

def test_expected(broken):
    pytest.xfail("known")

def test_interrupted(broken):
    raise KeyboardInterrupt
"""


def run(folder: Path, text: str, *arguments: str) -> str:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(text)
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(folder)]
    done = subprocess.run([*argv, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_each_end_of_a_test_shows_it(tmp_path: Path) -> None:
    names = re.findall(r"^def (test_\w+)", TESTS, re.M)
    said = run(tmp_path, TESTS, "-rfE", "--tb=long")
    parts = re.split(r"^_{3,} (?:ERROR at (?:setup|teardown) of )?(test_\w+) _{3,}$", said, flags=re.M)
    shown: dict[str, str] = {}
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        shown[name] = shown.get(name, "") + text.partition("short test summary")[0]
    assert sorted(shown) == sorted(names), said
    for name, text in shown.items():
        assert "raised ZeroDivisionError" in text, name
        assert "return 1 // 0" in text, f"{name}: the model's own line"
    assert "After that the test itself has failed: Failed: DID NOT RAISE" in shown["test_raises"]
    assert "After that its set-up has failed: Failed: Timeout (>1" in shown["test_start"]
    assert "Failed: the counter is wrong" in shown["test_teardown_fails"]


def test_skips_interrupts_and_expected_failures_stay_what_they_are(tmp_path: Path) -> None:
    said = run(tmp_path, OTHERS, "-k", "not interrupted")
    assert "1 skipped, 1 deselected, 1 xfailed, 1 error" in said, "what the model raised is the teardown's"
    said = run(tmp_path, OTHERS, "-k", "interrupted")
    assert "! KeyboardInterrupt !" in said
    assert "After that" not in said


class Silent(pci.Device):
    vendor_id = 1

    def on_plug(self) -> None:
        raise ValueError("no table")


def test_a_machine_that_does_not_start_because_of_its_model_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Regression: a model that raised or hung while the machine was made was a guest that noticed no device."""
    device = Silent()
    vm = VM.__new__(VM)
    vm._launched, vm._wanted_workdir, vm.devices, vm.cards = False, tmp_path, [device], {}

    def begin(*_: Any) -> None:
        device.plugged()
        raise GuestTimeout("the guest does not notice the device")

    monkeypatch.setattr(VM, "_begin", begin)
    with pytest.raises(ModelError, match="raised ValueError: no table") as caught:
        vm.start()
    assert isinstance(caught.value.__cause__, ValueError)
    assert "does not notice" in caught.value.__notes__[0]


def test_an_exception_that_leaves_a_machine_has_its_models_errors_beside_it() -> None:
    """Regression: only a block without any other failure told them."""
    device = Silent()
    vm = VM.__new__(VM)
    vm._launched, vm.devices, vm.cards = False, [device], {}
    device.plugged()
    error = AssertionError("no interrupt came")
    vm.__exit__(AssertionError, error, None)
    (note,) = error.__notes__
    assert "Before that, the model Silent raised ValueError: no table" in note
    assert 'raise ValueError("no table")' in note
