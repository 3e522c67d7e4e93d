# SPDX-License-Identifier: MIT
"""A machine's kernel log is checked to the last line, however the machine ended."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from r4l import resources
from r4l.camp.demo import endings
from r4l.errors import GuestTimeout, R4LError
from r4l.guest import GuestGone
from r4l.kernel import Kernel
from r4l.klog import Splat
from r4l.module import BuiltModule, Module
from r4l.vm import VM, ModuleRefused

pytestmark = pytest.mark.vm
HELLO = str(resources.rust("drivers/hello"))
OOPS = Path(__file__).parents[1] / "fixtures/oops_init"

ENDS = """
import os, signal, time
import pytest
import r4l

def over(vm):
    end = time.monotonic() + 60
    while vm.running:
        assert time.monotonic() < end
        time.sleep(0.01)

def test_panic_in_the_background(vm):
    vm.guest.popen("sh -c 'sleep 0.3; echo c > /proc/sysrq-trigger'")
    over(vm)

def test_warning_during_poweroff(vm, module):
    vm.put(module.path, "/tmp/m.ko")
    vm.popen("insmod /tmp/m.ko kind=warn; poweroff -f")
    over(vm)

def test_warning_during_reboot(vm, module):
    vm.put(module.path, "/tmp/m.ko")
    vm.popen("insmod /tmp/m.ko kind=warn; reboot -f")
    over(vm)

def test_reset_without_a_word(vm):
    # The reset control register of a PC's south bridge (arch/x86/kernel/reboot.c, native_machine_emergency_restart).
    vm.popen("printf '\\\\006' | dd of=/dev/port bs=1 seek=3321 conv=notrunc")
    over(vm)

def test_killed_by_somebody(vm):
    os.kill(vm.pid, signal.SIGKILL)
    over(vm)

def test_closed_by_the_test(vm, module):
    vm.put(module.path, "/tmp/m.ko")
    vm.run("insmod /tmp/m.ko kind=warn")
    vm.close()

def test_a_machine_of_its_own(kernel, module):
    with r4l.VM(kernel, snapshot=True) as vm:
        vm.put(module.path, "/tmp/m.ko")
        vm.run("insmod /tmp/m.ko kind=warn")

@pytest.fixture
def cleared(vm, module):
    yield vm
    vm.put(module.path, "/tmp/m.ko")
    vm.run("insmod /tmp/m.ko kind=warn")

def test_left_running_at_teardown(cleared):
    pass
"""

FINE = """
import pytest
from r4l.klog import Splat
from r4l.vm import QemuDied
import os, signal

def test_poweroff(vm):
    assert vm.poweroff() == 0

def test_reboot(vm):
    vm.popen("reboot -f")
    assert vm.wait() == 0

def test_halt(vm):
    vm.halt()

def test_halt_f(vm):
    vm.popen("halt -f")
    vm.klog.wait_for("System halted")

def test_killed_on_purpose(vm):
    process = vm.popen("sleep 1000")
    os.kill(vm.pid, signal.SIGKILL)
    with pytest.raises(QemuDied):
        process.wait_done(60)

@pytest.mark.klog_allow("sysrq triggered crash", reason="asked for")
@pytest.mark.klog_allow("NULL pointer|Oops", reason="asked for")
def test_allowed(vm):
    vm.popen("echo c > /proc/sysrq-trigger")
    vm.wait(60)
"""


def run(folder: Path, test: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(test)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "Kbuild").write_text((OOPS / "Kbuild").read_text())
    (folder / "oops_init.c").write_text((OOPS / "oops_init.c").read_text())
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", *arguments]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)


def test_no_test_passes_whose_kernel_or_machine_broke_down(tmp_path: Path) -> None:
    said = run(tmp_path, ENDS).stdout
    names = re.findall(r"def (test_\w+)", ENDS)
    outcomes = dict(re.findall(r"^(?:FAILED|ERROR) test_it.py::(\w+) - (.*)$", said, re.MULTILINE))
    assert set(outcomes) == set(names), said
    assert "QemuDied" in outcomes["test_killed_by_somebody"]
    assert "MachineReset" in outcomes["test_reset_without_a_word"]
    assert all("Splat" in outcomes[name] for name in names if "killed" not in name and "word" not in name), outcomes


@pytest.mark.thorough
def test_a_machine_may_end_as_its_guest_asks(tmp_path: Path) -> None:
    done = run(tmp_path, FINE)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def warn(kernel: Kernel) -> BuiltModule:
    return Module(OOPS).build(kernel)


@pytest.fixture
def machine(kernel: Kernel) -> Iterator[VM]:
    vm = VM(kernel, snapshot=True).start()
    yield vm
    vm.close()


def test_what_was_told_is_not_told_again(kernel: Kernel, warn: BuiltModule) -> None:
    with VM(kernel, snapshot=True) as vm:
        vm.put(warn.path, "/tmp/m.ko")
        vm.run("insmod /tmp/m.ko kind=warn")
        with pytest.raises(Splat, match="on purpose"):
            vm.check()
    with VM(kernel, snapshot=True) as vm:
        vm.put(warn.path, "/tmp/m.ko")
        vm.run("insmod /tmp/m.ko kind=warn")
        assert len(vm.klog.splats(settle=True)) == 1
    with VM(kernel, snapshot=True) as vm, pytest.raises(Splat):
        vm.run("echo c > /proc/sysrq-trigger")


def test_the_demos_ends_are_judged_too(machine: VM, warn: BuiltModule) -> None:
    machine.put(warn.path, "/tmp/m.ko")
    machine.run("insmod /tmp/m.ko kind=warn")
    with pytest.raises(Splat, match="on purpose"):
        endings.poweroff(machine)


def test_a_halted_guest_ends_what_waits_for_it_at_once(machine: VM) -> None:
    with pytest.raises(GuestGone, match="halted") as caught:
        machine.run("halt -f; sleep 1000", timeout=300)
    assert isinstance(caught.value, R4LError)
    with pytest.raises(GuestGone, match="halted"):
        machine.run("true")
    machine.check()


SAY = "echo '<0>{}' >/dev/kmsg; sleep 1000"


@pytest.mark.parametrize(
    "words", ["reboot: Power off not available: System halted instead", "Reboot failed -- System halted"]
)
def test_each_way_to_halt_ends_what_waits_for_the_guest_at_once(machine: VM, words: str) -> None:
    """Regression: only `reboot: System halted` did. The lines are those of a kernel without ACPI or PSCI."""
    begun = time.monotonic()
    with pytest.raises(GuestGone, match=words) as caught:
        machine.run(SAY.format(words), timeout=300)
    assert "no driver" in caught.value.remedy
    with pytest.raises(GuestGone, match=words):
        machine.wait(300)
    assert time.monotonic() - begun < 60


def test_a_machine_that_does_not_go_off_is_not_waited_for(machine: VM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("r4l.vm.last_words.PATIENCE", 1.0)
    with pytest.raises(GuestGone, match=r"Power down\), and its machine has not"):
        machine.run(SAY.format("reboot: Power down"), timeout=300)


@pytest.mark.thorough
def test_a_kernel_that_cannot_power_off_says_so(kernel: Kernel) -> None:
    """Regression: the power-off of a kernel without ACPI waited for the end of the command's time."""
    with VM(kernel, append="acpi=off", cpus=1) as vm, pytest.raises(GuestGone, match="Power off not available"):
        vm.poweroff(300)


def r4l_run(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "r4l", "run", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize(
    "end",
    [
        "echo said; insmod /lib/modules/r4l/oops_init.ko kind=warn",
        "echo said; insmod /lib/modules/r4l/oops_init.ko kind=warn; poweroff -f; sleep 100",
        "echo said; insmod /lib/modules/r4l/oops_init.ko kind=null",
    ],
    ids=["warns", "powers off", "oops"],
)
def test_run_as_json_has_the_output_and_the_complaint(end: str) -> None:
    # `kind=fine` is none that the module knows, so loading it does nothing.
    done = r4l_run("--snapshot", str(OOPS), "-p", "kind=fine", "--json", "--", f"rmmod oops_init; {end}")
    assert done.returncode == 123, done.stderr
    data = json.loads(done.stdout)
    assert data["stdout"] == "said\n"
    assert data["error"] == data["complaint"]["error"] == "splat"
    assert data["complaint"]["exit_code"] == 123
    assert Path(data["complaint"]["log"]).is_file()
    assert any("about to do" in line for line in data["log"])


def test_a_parameter_that_the_module_does_not_have(machine: VM, warn: BuiltModule) -> None:
    with pytest.raises(ModuleRefused, match="oops_init has no parameter no-such") as caught:
        machine.insmod(warn, **{"kind": "fine", "no-such": 1})
    assert caught.value.remedy.startswith("it has kind")
    machine.rmmod("oops_init")
    machine.insmod(warn, kind="fine")


@pytest.mark.thorough
def test_a_module_that_spins_is_named_with_its_line(machine: VM, warn: BuiltModule) -> None:
    machine.put(warn.path, "/tmp/m.ko")
    machine.sources.add(warn.path)
    # A lockup is reported after twice as many seconds (Documentation/admin-guide/lockup-watchdogs.rst).
    machine.run("echo 2 > /proc/sys/kernel/watchdog_thresh", check=True)
    with pytest.raises(Splat) as caught:
        machine.run("insmod /tmp/m.ko kind=spin", timeout=9)
    splat = caught.value
    assert splat.splat_kind in ("soft-lockup", "rcu-stall")
    assert isinstance(splat.__cause__, GuestTimeout)
    assert "[oops_init]" in splat.cause
    assert "oops_init.c:" in splat.cause


def test_warnings_of_a_build_are_shown_each_time(tmp_path: Path, kernel: Kernel) -> None:
    source = (OOPS / "oops_init.c").read_text().replace("pr_info(", "int unused;\n\n\tpr_info(", 1)
    (tmp_path / "oops_init.c").write_text(source)
    (tmp_path / "Kbuild").write_text((OOPS / "Kbuild").read_text())
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "r4l", "build", str(tmp_path), "--json"], capture_output=True, text=True, check=True
        )
        assert done.stderr.count("unused variable") == 1
        assert "unused variable" in json.loads(done.stdout)["warnings"]
    assert "unused variable" in Module(tmp_path).build(kernel).warnings
    (tmp_path / "oops_init.c").write_text((OOPS / "oops_init.c").read_text())
    assert Module(tmp_path).build(kernel).warnings == ""
