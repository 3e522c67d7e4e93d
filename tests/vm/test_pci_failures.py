# SPDX-License-Identifier: MIT
"""Devices in Python when something goes wrong: models that raise or hang, cards pulled out, a QEMU that is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from r4l.errors import UsageError
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module
from r4l.pci import Device, ModelError, happened
from r4l.pci.models.edu import Edu
from r4l.vm import VM
from r4l.vm.errors import QemuDied

pytestmark = pytest.mark.vm
FIXTURE = Path(__file__).parents[1] / "fixtures/edu"

MODEL = """
import threading
import pytest
from r4l import pci


class Bad(pci.Device):
    vendor_id = 0x1234
    bars = (pci.Bar(64),)
    patience = 1.0
    FINE = pci.Register(0x00, reset=7)
    RAISES = pci.Register(0x04)
    HANGS = pci.Register(0x08)

    @RAISES.on_read
    def fail(self, value):
        return value // 0

    @HANGS.on_read
    def hang(self, value):
        threading.Event().wait()


pytestmark = pytest.mark.machine(devices=[Bad])


def look(vm, device, offset):
    folder = f"/sys/bus/pci/devices/{device.address}"
    bar = int(vm.run(f"echo 1 > {folder}/enable; cat {folder}/resource", check=True).stdout.split()[0], 16)
    return vm.run(f"devmem {bar + offset:#x}; devmem {bar:#x}").stdout.split()


def test_a_model_that_raises(vm, device):
    assert look(vm, device, 4) == ["0xFFFFFFFF", "0x00000007"]


def test_a_model_that_hangs(vm, device):
    assert look(vm, device, 8) == ["0xFFFFFFFF", "0xFFFFFFFF"]
    vm.run("true", check=True)


def test_that_fails_because_of_it(vm, device):
    assert look(vm, device, 4)[0] == "0x00000000"


def test_that_fails_by_itself(vm, device):
    assert look(vm, device, 0)[0] == "0x00000000"


def test_that_passes(vm, device):
    assert look(vm, device, 0)[0] == "0x00000007"
"""


def test_a_model_s_errors_are_the_test_s(tmp_path: Path, kernel: Kernel) -> None:
    (tmp_path / "test_bad.py").write_text(MODEL)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "4 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    raises, hangs, because, alone = done.stdout.split("FAILURES")[1].split("\n____")[1:5]
    for part in (raises, because):
        assert "return value // 0" in part, "the model's own line"
        assert "the model Bad raised ZeroDivisionError" in part
    assert "After that the test itself has failed: AssertionError" in because
    assert "has not returned for 1 s" in hangs
    assert "threading.Event().wait()" in hangs
    assert "read         FINE → 0x00000007" in alone, "the trace"
    assert "ModelError" not in alone.partition("short test summary")[0]


def test_outside_of_pytest_leaving_the_machine_raises(kernel: Kernel) -> None:
    class Raises(Edu):
        def invert(self, old: object, new: object) -> None:
            raise ValueError("never")

    def run() -> None:
        with VM(kernel, devices=[Raises], snapshot=True) as vm:
            device = vm.devices[0]
            with device.lock:
                device.bar_write(0, 4, 4, 1)

    with pytest.raises(ModelError, match="raised ValueError: never") as caught:
        run()
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.fixture(scope="module")
def edu_check(kernel: Kernel) -> BuiltModule:
    return Module(FIXTURE).build(kernel)


@pytest.mark.machine(devices=[Edu])
def test_unplugged_plugged_in_and_pulled_out_under_a_driver(vm: VM, device: Edu, edu_check: BuiltModule) -> None:
    vm.insmod(edu_check)
    vm.klog.wait_for("has seen all", timeout=60)
    begin = vm.klog.mark()
    vm.unplug(device)
    vm.klog.wait_for("edu_check .*: removed", since=begin)
    assert device.address == ""
    # The device's server notices the end of the connection on a thread of its own.
    device.trace.expect(happened("unplugged"))
    with pytest.raises(UsageError, match="is not plugged in"):
        vm.unplug(device)
    begin = vm.klog.mark()
    vm.plug(device)
    vm.klog.wait_for("has seen all", timeout=60, since=begin)
    with pytest.raises(UsageError, match="is plugged in already"):
        vm.plug(device)
    begin = vm.klog.mark()
    vm.unplug(device, surprise=True)
    vm.klog.wait_for("edu_check .*: removed", since=begin)
    other = Edu()
    vm.plug(other)
    assert vm.run(f"cat /sys/bus/pci/devices/{other.address}/vendor").stdout == "0x1234\n"


@pytest.mark.thorough
@pytest.mark.machine(devices=[Edu, Edu])
def test_two_devices_of_a_model_and_a_reset_of_the_machine(
    vm: VM, devices: list[Device], edu_check: BuiltModule
) -> None:
    first, second = devices
    assert first.address != second.address
    vm.insmod(edu_check)
    vm.klog.wait_for(f"{first.address}: has seen all", timeout=60)
    vm.klog.wait_for(f"{second.address}: has seen all", timeout=60)
    assert first.errors == second.errors == []


def test_two_machines_with_a_model(kernel: Kernel, edu_check: BuiltModule) -> None:
    with VM(kernel, devices=[Edu], snapshot=True) as one, VM(kernel, devices=[Edu], snapshot=True) as two:
        workers = [threading.Thread(target=vm.insmod, args=(edu_check,)) for vm in (one, two)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        for vm in (one, two):
            vm.klog.wait_for("has seen all", timeout=60)
        with pytest.raises(UsageError, match="another machine"):
            two.plug(one.devices[0])
        with pytest.raises(UsageError, match="another machine"):
            VM(kernel, devices=[one.devices[0]], snapshot=True).start()
        assert one.devices[0].address, "and its own machine has it still"


def open_files() -> list[str]:
    """The names of this process's open files."""
    names = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            names.append(str(link.readlink()))
    return names


def test_a_qemu_that_is_killed_leaves_nothing(kernel: Kernel, edu_check: BuiltModule) -> None:
    vm = VM(kernel, devices=[Edu], snapshot=True).start()
    device = vm.devices[0]
    vm.guest.popen(["sh", "-c", "while true; do cat /sys/bus/pci/devices/*/config > /dev/null; done"])
    os.killpg(vm.pid, signal.SIGKILL)
    vm.wait()
    device.trace.expect(happened("unplugged"))
    with pytest.raises(QemuDied):
        vm.check()
    vm.close()
    assert device.dma.mappings == ()
    assert device.errors == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("r4l-pci")]
    assert not [name for name in open_files() if "eventfd" in name or "memfd" in name or ".sock" in name]


@pytest.mark.thorough  # The command of docs/devices.md boots with its device, too.
def test_a_machine_that_boots_has_the_device_from_the_start(kernel: Kernel, edu_check: BuiltModule) -> None:
    with VM(kernel, devices=[Edu]) as vm:
        assert not vm.restored
        vm.insmod(edu_check)
        vm.klog.wait_for(f"{vm.devices[0].address}: has seen all", timeout=60)
