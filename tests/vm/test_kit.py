# SPDX-License-Identifier: MIT
"""The kit keeps what its types promise, with drivers that try to break it (fixtures/kit)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import r4l
from r4l.arch import architecture
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module
from r4l.toolchain import Grant

pytestmark = [pytest.mark.vm, pytest.mark.machine(nics=["e1000"])]

FIXTURES = Path(__file__).parent.parent / "fixtures" / "kit"
LOOP, STALL, LOSE, UNFINISHED, CHECKS, PAD, KEEP = range(7)
"""Treatment of a frame by looped/main.rs."""
FRAME = "arping -c1 -w1 -I eth0 192.0.2.2"
"""Sends a frame; nobody answers."""
GDRVINFO, GLINK, GRINGPARAM, SRINGPARAM, GFEATURES, GET_TS_INFO = 0x3, 0xA, 0x10, 0x11, 0x3A, 0x41
"""Requests of ethtool(8): ETHTOOL_* of the kernel's include/uapi/linux/ethtool.h."""
OF_E1000 = {*range(0x04, 0x0A), 0x0B, 0x0C, *range(0x0E, 0x14), *range(0x1A, 0x1E), 0x4C, 0x4D}
"""Registers, wake-on-LAN, messages, negotiation again; EEPROM; interval of interrupts, rings, pauses; self-test, names,
lamp, counters; link settings."""
IS_UP = "ip link show eth0 | grep -q '[<,]UP'"
UNTIL_DOWN = f"i=0; while {IS_UP}; do i=$((i+1)); [ $i -lt 100 ] || exit 1; usleep 50000; done"


@pytest.fixture(scope="module")
def looped(kernel: Kernel) -> BuiltModule:
    return Module(FIXTURES / "looped").build(kernel)


@pytest.fixture(scope="module")
def program(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`probe.c`, for the guest."""
    folder = tmp_path_factory.mktemp("probe")
    compiler = f"{architecture(kernel.arch).gnu}-gcc"
    grant = Grant("test", writes=(folder,), reads=(FIXTURES,))
    argv: list[str | Path] = [
        compiler,
        "-static",
        "-D_GNU_SOURCE",
        "-Wall",
        "-Werror",
        "-O1",
        "-o",
        folder / "probe",
        FIXTURES / "probe.c",
    ]
    kernel.toolchain.run(argv, grant)
    return folder / "probe"


@pytest.fixture
def quiet(vm: r4l.VM) -> r4l.VM:
    """A machine whose interfaces send nothing by themselves."""
    vm.run("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6", check=True)
    return vm


def up(vm: r4l.VM, looped: BuiltModule, mode: int) -> None:
    """Load the driver and set its interface up."""
    vm.insmod(looped, mode=mode)
    vm.run("ip link set eth0 up && ip addr add 192.0.2.1/24 dev eth0", check=True)


@pytest.mark.thorough
def test_a_module_is_initialised_once(vm: r4l.VM, kernel: Kernel) -> None:
    """Safe code of a driver can call the `init` that the kit wrote for its module; it gets an error."""
    modules = Module(FIXTURES / "again").build_all(kernel)
    assert len(modules) == 5
    for module in modules:
        vm.insmod(module)
        vm.klog.wait_for(rf"^{module.name}: the second time: EBUSY$")
        vm.rmmod(module.name)
    assert vm.run("cat /sys/class/net/again0/address; cat /proc/devices /proc/misc").stdout.count("again") == 0


def test_a_frame_that_comes_back_is_not_changed_under_others(quiet: r4l.VM, looped: BuiltModule, program: Path) -> None:
    """A packet socket holds clones of what was sent. GRO merges frames in place, and takes the memory of others."""
    quiet.insmod(looped, mode=LOOP)
    # Without an address: the kernel would answer the segments, and its answers would come back and be counted.
    quiet.run("ip link set eth0 up", check=True)
    quiet.put(program, "/tmp/probe", 0o755)
    done = quiet.run(["/tmp/probe", "clones", "eth0"])
    assert done.exit_code == 0, done.stdout + done.stderr
    received = quiet.run("cat /sys/class/net/eth0/statistics/rx_packets", check=True)
    assert received.stdout.strip() == "8"


@pytest.mark.klog_allow(r"transmit queue 0 timed out", reason="the driver has this bug on purpose")
def test_a_restart_that_fails_sets_the_interface_down(quiet: r4l.VM, looped: BuiltModule) -> None:
    up(quiet, looped, STALL)
    quiet.run(FRAME)
    # The transmit watchdog waits for five seconds.
    quiet.klog.wait_for(r"eth0: open failed: ENOMEM, going down$", timeout=60)
    quiet.run(
        "i=0; while ip link show eth0 | grep -q '[<,]UP'; do i=$((i+1)); [ $i -lt 100 ]; usleep 50000; done", check=True
    )
    quiet.run("ip link set eth0 up && ip link show eth0 | grep -q LOWER_UP", check=True)
    quiet.rmmod(looped.name)


@pytest.mark.klog_allow("kit_helper_netdev_warn_frame_lost", reason="the driver has this bug on purpose")
def test_a_frame_that_is_lost_to_bql_is_told(quiet: r4l.VM, looped: BuiltModule) -> None:
    up(quiet, looped, LOSE)
    quiet.run(FRAME)
    quiet.klog.wait_for(r"eth0: a frame was dropped that was counted as sent, and is not completed$")


@pytest.mark.klog_allow("kit_helper_netdev_warn_not_finished", reason="the driver has this bug on purpose")
def test_completions_that_are_not_finished_are_told_to_bql(quiet: r4l.VM, looped: BuiltModule) -> None:
    up(quiet, looped, UNFINISHED)
    quiet.run(FRAME)
    quiet.klog.wait_for(r"eth0: frames were completed, and the transmit queue was not looked at$")
    path = "/sys/class/net/eth0/queues/tx-0/byte_queue_limits/inflight"
    assert quiet.run(f"cat {path}", check=True).stdout.strip() == "0"


def test_frames_on_the_ring_may_be_dropped_by_stop(quiet: r4l.VM, looped: BuiltModule) -> None:
    """That is no loss: BQL begins anew with the next open."""
    up(quiet, looped, STALL)
    quiet.run(FRAME)
    quiet.run("ip link set eth0 down", check=True)
    quiet.rmmod(looped.name)


def test_a_driver_says_of_each_frame_what_the_card_can_do(quiet: r4l.VM, looped: BuiltModule, program: Path) -> None:
    """The card fills in the checksums of short frames only; those of the long ones the kernel does."""
    up(quiet, looped, CHECKS)
    quiet.put(program, "/tmp/probe", 0o755)
    quiet.run("arp -i eth0 -s 192.0.2.2 02:00:00:00:00:02", check=True)
    for size, told in ((100, "142 bytes, unchecked"), (900, "942 bytes, checked")):
        quiet.run(f"/tmp/probe send {size}", check=True)
        quiet.klog.wait_for(rf"eth0: {told}$")


def test_a_frame_is_not_padded_without_end(quiet: r4l.VM, looped: BuiltModule) -> None:
    """`skb_put_padto` would clear as many bytes, as the difference is negative where it is an `int`."""
    up(quiet, looped, PAD)
    quiet.run(FRAME)
    quiet.klog.wait_for(r"eth0: padded: Some\(EINVAL\)$")
    quiet.rmmod(looped.name)


def test_the_checksum_of_a_frame_whose_card_is_gone(quiet: r4l.VM, looped: BuiltModule, program: Path) -> None:
    """A frame does not hold its device, whose name the kernel prints when it warns of one that is to be segmented."""
    up(quiet, looped, KEEP)
    quiet.put(program, "/tmp/probe", 0o755)
    quiet.run("/tmp/probe large eth0", check=True)
    quiet.klog.wait_for("eth0: kept$")
    quiet.run("cd /sys/bus/pci/drivers/looped && echo 0000:* > unbind", check=True)
    assert quiet.run("ls /sys/class/net").stdout.split() == ["lo"]
    quiet.rmmod(looped.name)
    quiet.klog.wait_for(r"checksum of the kept frame: Err\(EINVAL\)$")


def test_the_interrupt_is_the_one_that_the_card_has_now(quiet: r4l.VM, e1000: BuiltModule, kernel: Kernel) -> None:
    """A card that was disabled and enabled again, after an error of the bus, may have another number."""
    rerouted = Module(FIXTURES / "rerouted").build(kernel)

    def number() -> int:
        quiet.run("ip link set eth0 up", check=True)
        line = quiet.run("grep eth0 /proc/interrupts", check=True).stdout
        quiet.run("ip link set eth0 down", check=True)
        assert "eth0" not in quiet.run("cat /proc/interrupts").stdout
        return int(line.partition(":")[0])

    quiet.insmod(e1000)
    former = number()
    quiet.insmod(rerouted, irq=5)
    assert (number(), former == 5) == (5, False)
    quiet.rmmod(rerouted.name)
    assert number() == former
    quiet.rmmod(e1000.name)


@pytest.mark.parametrize(
    ("steps", "there"),
    [
        ("srr", "-++"),
        pytest.param("exd", "--+", marks=pytest.mark.thorough),
        # The system goes to sleep while the card recovers.
        ("esxdr", "----+"),
        pytest.param("esxrd", "----+", marks=pytest.mark.thorough),
        # The card is lost, and does not come back with the system.
        ("esrsr", "-----"),
    ],
)
def test_a_card_is_back_when_no_reason_keeps_it_away(
    quiet: r4l.VM, e1000: BuiltModule, kernel: Kernel, steps: str, there: str
) -> None:
    quiet.insmod(e1000)
    quiet.run("ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0", check=True)
    absent = Module(FIXTURES / "absent").build(kernel)
    quiet.insmod(absent, steps=steps)
    quiet.klog.sync()
    log = quiet.klog.text()
    said = re.findall(r"absent: (\w): (there|absent)$", log, re.MULTILINE)
    assert "".join(letter for letter, _ in said) == steps
    assert "".join({"there": "+", "absent": "-"}[place] for _, place in said) == there
    assert re.findall(r"absent: resumed: (-?\d+)$", log, re.MULTILINE) == ["0"] * steps.count("r")
    assert log.count("eth0: open") == 1 + ("+" in there)
    if "+" in there:
        quiet.run("ping -c1 -W5 10.0.2.2", check=True)
    quiet.rmmod(absent.name)
    quiet.rmmod(e1000.name)


@pytest.mark.thorough
@pytest.mark.klog_allow(r"Driver 'pcieport' is already registered", reason="the driver has that name on purpose")
def test_a_module_whose_driver_is_not_registered_is_told_that_it_goes(vm: r4l.VM, kernel: Kernel) -> None:
    vm.put(Module(FIXTURES / "clash").build(kernel).path, "/tmp/clash.ko")
    assert vm.run("insmod /tmp/clash.ko").exit_code != 0
    vm.klog.sync()
    said = re.findall(r"clash: (load|unloaded)$", vm.klog.text(), re.MULTILINE)
    # BusyBox tries it by both system calls.
    assert said
    assert said == ["load", "unloaded"] * (len(said) // 2)


@pytest.mark.thorough
@pytest.mark.machine(nics=[], extra=("-device", "nvme,serial=1"), snapshot=False)
def test_the_interrupt_of_a_device_is_requested_once(vm: r4l.VM, kernel: Kernel) -> None:
    """The kernel would free the vectors of the first request when the second one fails."""
    twice = Module(FIXTURES / "twice").build(kernel)
    for _ in range(2):
        vm.insmod(twice)
        assert vm.run("grep -c twice /proc/interrupts").stdout.strip() == "1"
        vm.rmmod(twice.name)
    assert re.findall(r"request: (.*)$", vm.klog.text(), re.MULTILINE) == ["Ok(())", "Err(EBUSY)"] * 2


def test_rings_that_cannot_be_had_leave_the_old_ones(quiet: r4l.VM, looped: BuiltModule, program: Path) -> None:
    """The kit has other rings made before it closes the device; this driver has none whose size is no power of two."""
    quiet.insmod(looped, mode=LOOP)
    quiet.run("ip link set eth0 up", check=True)
    quiet.put(program, "/tmp/probe", 0o755)

    def opened() -> int:
        quiet.klog.sync()
        return quiet.klog.text().count("eth0: other rings")

    for size, answer, times in (
        (100, "Cannot allocate memory", 0),
        (128, "yes", 1),
        (128, "yes", 1),
        (30, "Cannot", 1),
    ):
        assert quiet.run(f"/tmp/probe rings {size}", check=True).stdout.startswith(answer)
        assert opened() == times
        assert quiet.run("ip link show eth0").stdout.count("LOWER_UP") == 1
        done = quiet.run(["/tmp/probe", "clones", "eth0"])
        assert done.exit_code == 0, done.stdout + done.stderr
    quiet.run("ip link set eth0 down", check=True)
    assert quiet.run("/tmp/probe rings 256", check=True).stdout.strip() == "yes"
    assert opened() == 1
    quiet.run("ip link set eth0 up", check=True)
    quiet.rmmod(looped.name)


def operations(vm: r4l.VM, interface: str) -> set[int]:
    """Return the requests of ethtool(8) that the kernel supports for an interface."""
    answer = vm.run(f"/tmp/probe ethtool {interface}", timeout=60, check=True).stdout
    return {int(number, 16) for number in answer.split()}


def test_operations_that_a_driver_does_not_have_are_absent(
    vm: r4l.VM, looped: BuiltModule, e1000: BuiltModule, program: Path, kernel: Kernel
) -> None:
    vm.put(program, "/tmp/probe", 0o755)
    # The loopback device has the two operations that the kit gives each device (drivers/net/loopback.c). The core tells
    # the driver of a device on a bus.
    everybody = operations(vm, "lo")
    assert everybody >= {GLINK, GFEATURES, GET_TS_INFO}
    vm.insmod(looped)
    assert operations(vm, "eth0") - everybody == {GDRVINFO, GRINGPARAM, SRINGPARAM}
    vm.rmmod(looped.name)
    vm.insmod(e1000)
    assert operations(vm, "eth0") - everybody >= OF_E1000
    vm.insmod(next(module for module in Module(FIXTURES / "again").build_all(kernel) if module.name == "again_virt"))
    assert operations(vm, "again0") - everybody == set()
