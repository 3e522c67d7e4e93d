# SPDX-License-Identifier: MIT
"""/dev/cicv as a device: its name, its number, its node, loading and unloading."""

from __future__ import annotations

import re

import pytest

import r4l
from r4l.testing import Leaks
from r4l.vm import ModuleRefused

KO = "/tmp/cicv.ko"


def majors(vm: r4l.VM) -> dict[str, int]:
    """Return the major numbers of the character devices in /proc/devices, by name."""
    text = vm.run("cat /proc/devices", check=True).stdout.partition("Block devices:")[0]
    return {name: int(number) for number, name in re.findall(r"^ *(\d+) (\S+)$", text, re.MULTILINE)}


def node(vm: r4l.VM) -> tuple[int, int]:
    """Return the major and minor number of /dev/cicv."""
    major, minor = vm.run("stat -c '%t %T' /dev/cicv", check=True).stdout.split()
    return int(major, 16), int(minor, 16)


def works(vm: r4l.VM) -> bool:
    return vm.run("echo hello >/dev/cicv; head -c6 /dev/cicv", check=True).stdout == "hello\n"


@pytest.mark.row("C5")
def test_hello(cicv: r4l.VM) -> None:
    assert works(cicv)
    assert "cicv" in majors(cicv)
    assert cicv.run("cat /dev/cicv; cat /dev/cicv", check=True).stdout == "hello\nhello\n", "a read takes nothing away"


@pytest.mark.row("C6")
def test_the_node_has_the_number_that_the_kernel_gave(cicv: r4l.VM) -> None:
    assert node(cicv) == (majors(cicv)["cicv"], 0)
    in_class = cicv.run("cat /sys/class/cicv/cicv/dev", check=True).stdout.strip()
    assert in_class == "{}:{}".format(*node(cicv))
    assert cicv.run("stat -c '%F %a' /dev/cicv").stdout == "character special file 600\n"


@pytest.mark.row("C6")
def test_a_node_made_by_hand_is_the_same_device(cicv: r4l.VM) -> None:
    cicv.run(f"mknod /tmp/mine c {majors(cicv)['cicv']} 0; echo hello >/tmp/mine", check=True)
    assert cicv.run("cat /dev/cicv", check=True).stdout == "hello\n"
    cicv.rmmod("cicv")
    gone = cicv.run("cat /tmp/mine")
    assert "No such device" in gone.stderr


@pytest.mark.row("C6")
def test_a_number_that_is_taken_is_left_alone(vm: r4l.VM, module: r4l.BuiltModule, taken: r4l.BuiltModule) -> None:
    before = majors(vm)
    vm.insmod(module)
    first = majors(vm)["cicv"]
    assert first not in before.values()
    vm.rmmod("cicv")
    assert majors(vm) == before
    vm.insmod(taken, major=first)
    vm.insmod(module)
    assert majors(vm)["taken"] == first
    assert majors(vm)["cicv"] not in {first, *before.values()}
    assert node(vm) == (majors(vm)["cicv"], 0)
    assert works(vm)


def test_an_open_file_keeps_the_module(cicv: r4l.VM) -> None:
    tried = cicv.run("echo hello >/dev/cicv; exec 3</dev/cicv; rmmod cicv; head -c6 <&3")
    assert "Resource temporarily unavailable" in tried.stderr
    assert tried.stdout == "hello\n"
    cicv.rmmod("cicv")
    assert cicv.run("ls /dev/cicv /sys/class/cicv").exit_code != 0


@pytest.mark.parametrize(("rounds", "times"), [(2, 5), pytest.param(4, 20, marks=pytest.mark.thorough)])
def test_it_leaves_nothing_behind(vm: r4l.VM, module: r4l.BuiltModule, leaks: Leaks, rounds: int, times: int) -> None:
    vm.put(module.path, KO)
    before = majors(vm)

    def reload(times: int) -> None:
        once = f"insmod {KO} && echo hello >/dev/cicv && head -c6 /dev/cicv >/dev/null && rmmod cicv || exit 1"
        vm.run(f"for i in $(seq {times}); do {once}; done", check=True)

    leaks.across_rounds(reload, rounds=rounds, times=times)
    assert majors(vm) == before
    assert vm.run("ls -d /dev/cicv /sys/class/cicv").stdout == ""


@pytest.mark.parametrize("capacity", [0, (16 << 20) + 1])
def test_a_capacity_that_cannot_be(vm: r4l.VM, module: r4l.BuiltModule, leaks: Leaks, capacity: int) -> None:
    with leaks():
        with pytest.raises(ModuleRefused, match="Invalid argument"):
            vm.insmod(module, capacity=capacity)
        assert "cicv" not in majors(vm)
    vm.insmod(module, capacity=16 << 20)
    assert works(vm)


@pytest.mark.klog_allow("cannot create duplicate filename", reason="sysfs dumps the stack of whom it refuses a name")
def test_a_load_that_fails_half_way_is_undone(
    vm: r4l.VM, module: r4l.BuiltModule, taken: r4l.BuiltModule, leaks: Leaks
) -> None:
    """The module has its number already when it finds the class name occupied."""
    vm.insmod(taken, name="cicv")
    with leaks():
        with pytest.raises(ModuleRefused):
            vm.insmod(module)
        assert "kobject_add_internal failed for cicv with -EEXIST" in vm.klog.text()
        assert "cicv" not in majors(vm)
    vm.rmmod("taken")
    vm.insmod(module)
    assert works(vm)


def test_it_is_loaded_and_unloaded_while_others_open_it(cicv: r4l.VM, module: r4l.BuiltModule) -> None:
    """A process that opens it at the wrong moment gets an error and does not hold the module."""
    cicv.put(module.path, KO)
    open_it = "until test -e /tmp/over; do head -c1 /dev/cicv; done >/dev/null 2>&1"
    reload = f"n=0; until test $n = 15; do rmmod cicv 2>/dev/null && insmod {KO} && n=$((n+1)); done; touch /tmp/over"
    cicv.run(f"rm -f /tmp/over; {open_it} & {open_it} & {reload}; wait", check=True, timeout=120)
    assert works(cicv)
