# SPDX-License-Identifier: MIT
"""The camp's scenario as a list of steps. The tests of the rows run the same functions."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from r4l.camp.demo.rig import INTERFACE, Rig, StepFailed
from r4l.errors import BuildError
from r4l.module import BuiltModule
from r4l.net.addresses import BEYOND, GATEWAY, GUEST_ADDRESS

RELOADS = 5
UPS = 3


@dataclass(frozen=True)
class ScenarioStep:
    """One step.

    Attributes:
        rows: ids of the rows that it proves.
        check: function that performs the step and returns a description of what it observed; raises if that was not
            expected.
    """

    rows: tuple[str, ...]
    title: str
    expected: str
    check: Callable[[Rig], str]


def foreign_module(rig: Rig) -> str:
    """Refuse a module of another kernel before any VM boots."""
    foreign = rig.vm.workdir / "foreign.ko"
    ours = rig.kernel.release.encode()
    theirs = b"6.1.44-1-MANJARO".ljust(len(ours), b"x")[: len(ours)]
    foreign.write_bytes(rig.hello.path.read_bytes().replace(b"vermagic=" + ours, b"vermagic=" + theirs))
    try:
        BuiltModule(foreign).check(rig.kernel)
    except BuildError as error:
        named = theirs.decode() in error.cause and rig.kernel.vermagic in error.cause
        rig.expect(named, f"the error does not name both version magics: {error.cause}")
        return error.cause
    finally:
        foreign.unlink()
    raise StepFailed("a module with another version magic was accepted")


def no_driver(rig: Rig) -> str:
    """Check that there is no interface without a driver, though the card is present."""
    interfaces = rig.run("ls /sys/class/net").split()
    rig.expect(interfaces == ["lo"], f"interfaces: {' '.join(interfaces)}")
    return "only lo"


def card_on_the_bus(rig: Rig) -> str:
    """Find the card in sysfs, with or without a driver (busybox's lspci has no database)."""
    output = rig.run("cd /sys/bus/pci/devices; for d in *; do echo $d $(cat $d/vendor $d/device); done")
    cards = [line.split()[0] for line in output.splitlines() if line.endswith("0x8086 0x100e")]
    rig.expect(bool(cards), "no device 8086:100e under /sys/bus/pci/devices")
    return f"8086:100e at {', '.join(cards)}"


def hello(rig: Rig) -> str:
    """Load and unload the smallest Rust module."""
    rig.load(rig.hello)
    rig.run(f"rmmod {rig.hello.name}")
    return rig.logged(f"{rig.hello.name}: Hello", f"{rig.hello.name}: Goodbye")[0]


def driver_loads(rig: Rig) -> str:
    """Load the driver: init, probe, an interface."""
    rig.load(rig.driver)
    lines = rig.logged(rf"{rig.driver.name}: .*init", r"probe")
    interfaces = rig.run("ls /sys/class/net").split()
    rig.expect(INTERFACE in interfaces, f"interfaces: {' '.join(interfaces)}")
    return f"{lines[1]}; {INTERFACE} is there"


def invalid_address(rig: Rig) -> str:
    """Repeat the camp's own mistake: a broadcast without an address."""
    done = rig.result(f"ip addr add broadcast 10.0.2.255 dev {INTERFACE}")
    rig.expect(done.exit_code == 2, f"exit code {done.exit_code}: {done.stderr.strip()}")
    rig.expect("RTNETLINK answers: Invalid argument" in done.stderr, done.stderr.strip())
    return f"{done.stderr.strip()}, exit 2"


def ping(rig: Rig) -> str:
    """Bring the link up, set an address, ping the gateway."""
    rig.run(f"ip link set {INTERFACE} up")
    rig.logged(r"open")
    rig.run(f"ip addr add 10.0.2.15/255.255.255.0 dev {INTERFACE}")
    rig.wait_for_carrier()
    return rig.ping(GATEWAY)


def route(rig: Rig) -> str:
    """Reach a host behind the gateway: unreachable at first, then through the default route."""
    before = rig.result(f"ping -c1 -W2 {BEYOND}")
    rig.expect("Network is unreachable" in before.stderr, f"before the route: {before.stderr or before.stdout}".strip())
    rig.run(f"ip route add default via {GATEWAY}")
    return f"with the default route: {rig.ping(BEYOND)}; without it: Network is unreachable"


def up_and_down(rig: Rig) -> str:
    """Close and open the interface several times; the second open crashed the camp's driver."""
    for _ in range(UPS):
        rig.run(f"ip link set {INTERFACE} down")
        rig.run(f"ip link set {INTERFACE} up")
        rig.wait_for_carrier()
        rig.ping(GATEWAY, count=1)
    rig.logged(*[r"stop", r"open"] * UPS)
    rig.vm.klog.check()
    return f"{UPS} times down, up, ping; nothing in the log"


def reload(rig: Rig) -> str:
    """Unload and load the driver several times: all resources are released, and it still pings at the end."""
    name = rig.driver.name
    rig.run(f"rmmod {name}")
    rig.logged(r"stop", r"remove", r"exit")
    path = "/tmp/driver.ko"
    rig.vm.put(rig.driver.path, path)
    rig.run(
        f"i=0; while [ $i -lt {RELOADS - 1} ]; do insmod {path} && ip link set {INTERFACE} up && "
        f"ip link set {INTERFACE} down && rmmod {name} || exit 1; i=$((i+1)); done",
        timeout=120,
    )
    leftovers = rig.run(f"grep -E '{name}|{INTERFACE}' /proc/interrupts /proc/iomem /proc/modules", exit_code=None)
    rig.expect(not leftovers.strip(), f"left behind: {leftovers.strip()}")
    rig.run(f"insmod {path} && ip link set {INTERFACE} up && ip addr add {GUEST_ADDRESS} dev {INTERFACE}")
    rig.wait_for_carrier()
    rig.ping(GATEWAY, count=1)
    rig.vm.klog.check()
    return f"{RELOADS} reloads; no interrupt line, no BAR claim left; ping again"


def counters(rig: Rig) -> str:
    """Check that the interface counted the packets on the wire."""
    values = {}
    for name in ("rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_errors", "tx_errors"):
        values[name] = int(rig.run(f"cat /sys/class/net/{INTERFACE}/statistics/{name}"))
    rig.expect(values["rx_packets"] > 0 and values["tx_packets"] > 0, f"counters: {values}")
    rig.expect(values["rx_errors"] == values["tx_errors"] == 0, f"errors: {values}")
    interrupts = rig.run(f"grep -E '{INTERFACE}|{rig.driver.name}' /proc/interrupts").split()
    fired = sum(int(word) for word in interrupts[1:3] if re.fullmatch(r"\d+", word))
    rig.expect(fired > 0, "the card's interrupt never fired")
    return f"rx {values['rx_packets']}, tx {values['tx_packets']} packets, {fired} interrupts, no errors"


STEPS: tuple[ScenarioStep, ...] = (
    ScenarioStep(
        ("A13",), "a module of another kernel", "refused before boot, both version magics named", foreign_module
    ),
    ScenarioStep(("A4",), "no driver, no interface", "only lo in /sys/class/net", no_driver),
    ScenarioStep(("A10",), "the card is on the bus all the same", "8086:100e in /sys/bus/pci/devices", card_on_the_bus),
    ScenarioStep(("A8",), "hello from Rust", "its line in the log", hello),
    ScenarioStep(("A5", "E5"), "insmod the Rust driver", "lines of init and probe; an interface", driver_loads),
    ScenarioStep(
        ("A6",), "a broadcast without an address", "RTNETLINK answers: Invalid argument, exit 2", invalid_address
    ),
    ScenarioStep(("A7", "E5"), "address and ping", "0% packet loss", ping),
    ScenarioStep(("E6",), "behind the gateway", "unreachable before the default route, replies after", route),
    ScenarioStep(("A9",), "down, up, ping", "a ping after each up, nothing in the log", up_and_down),
    ScenarioStep(("A31",), "statistics", "packets counted, interrupts fired, no errors", counters),
    ScenarioStep(("A25",), "unload and load again", "nothing left behind, ping works", reload),
)
"""The steps in one VM, in this order. A22 (poweroff and halt) ends VMs and is in `r4l.camp.demo.endings`."""
