# SPDX-License-Identifier: MIT
"""A cell's machine, and the demands on a life without a fault."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.sweep.test_as_test import driver

from r4l.errors import UsageError
from r4l.klog import KernelLog, Record
from r4l.module import BuiltModule
from r4l.pci import Bar, Device, Fault, Register, trace
from r4l.pci.models.e1000 import E1000
from r4l.pci.models.edu import Edu
from r4l.sweep import SweepCell, SweptMachine, life, machines, run
from r4l.sweep.cells import EventPlace, cells, trigger
from r4l.sweep.life import Life
from r4l.sweep.phases import phases_of
from r4l.sweep.subject import Ready


def module(name: str) -> BuiltModule:
    built = BuiltModule(Path(f"/{name}.ko"))
    built.__dict__["modinfo"] = {"name": [name]}
    return built


class FakeVM:
    """A machine that writes down how it was made and what is done in it."""

    def __init__(self, _kernel: object, **words: Any) -> None:
        self.words = words
        self.done: list[Any] = []

    def run(self, argv: list[str], **_: Any) -> SimpleNamespace:
        self.done.append(argv)
        return SimpleNamespace(exit_code=0, stdout="", stderr="")

    def insmod(self, one: BuiltModule, **parameters: str) -> None:
        self.done.append((one.name, parameters))

    def put(self, path: Path, place: str, mode: int) -> None:
        self.done.append((str(path), place, mode))


@pytest.mark.parametrize("cpus", [None, 1])
def test_a_machine_has_the_modules_and_what_the_user_wants(cpus: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "VM", FakeVM)
    subject = driver(
        depends=("mii",),
        loads={"base": {"depth": "3"}, "mine": {"debug": "1"}},
        machine=SweptMachine(512, 4, "quiet", ("crc",)),
    )
    ready: Any = Ready(subject, SimpleNamespace(), [module("base"), module("mine")], Edu)  # type: ignore[arg-type]
    vm: Any = machines.machine(ready, cpus)
    assert (vm.words["memory"], vm.words["cpus"], vm.words["append"]) == (512, cpus or 4, "quiet")
    assert vm.words["modules"] == ("mii", "crc")
    vm.words["prepare"](vm, *vm.words["prepare_with"])
    assert vm.done[:2] == [["modprobe", "mii"], ("base", {"depth": "3"})]
    assert [one[0] for one in vm.done[2:]] == ["/mine.ko"]


def test_the_drivers_parameters_are_arguments_of_each_script() -> None:
    subject = driver(loads={"mine": {"debug": "1", "text": "a b"}})
    ready: Any = Ready(subject, SimpleNamespace(), [module("mine")], Edu)  # type: ignore[arg-type]
    vm: Any = FakeVM(None)
    vm.pid = 1
    life.do_phase(vm, ready, Edu(), subject.phases[0], Life())
    assert vm.done[0][3:] == ["probe", "debug=1", "text=a b"]


@pytest.mark.parametrize(
    ("given", "said", "wrong"),
    [
        ({"debug": "1"}, [], ""),
        ({"debug": "1"}, ["mine: unknown parameter 'debug' ignored"], "one has no parameter debug:"),
        ({"a-b": "1", "c": "2"}, ["mine: unknown parameter 'a_b' ignored"], "one has no parameter a-b:"),
        ({"a": "1", "b": "2"}, [f"mine: unknown parameter '{one}' ignored" for one in "ab"], "no a|a and no b"),
        ({"a": "1"}, ["other: unknown parameter 'b' ignored"], ""),
    ],
)
def test_a_parameter_that_the_driver_does_not_have_is_refused(
    given: dict[str, str], said: list[str], wrong: str
) -> None:
    """The kernel only warns, and all cells would be about another driver than the user meant."""
    subject = driver(parameters=given)
    one = Life(records=[Record(text, 1.0, 4, kernel=True) for text in said])
    if not wrong:
        run._require_parameters(subject, one)
        return
    with pytest.raises(UsageError, match=wrong):
        run._require_parameters(subject, one)


def test_the_places_of_a_life() -> None:
    """Registers of BARs and of the configuration space, each that an access reaches, as faults count them."""
    device = Edu()
    one = Life(device=device)
    life.EventLog(device, one.happened).begin("probe")
    device.bar_read(0, Edu.ID.offset, 4)
    device.bar_read(0, Edu.ID.offset, 8)
    device.config_read(4, 4)
    device.config_write(4, b"\x06\0")
    device.config_read(0, 256)
    device.raise_irq()
    found = {(place.event, place.name): (place.count, place.bits) for place in one.places()}
    assert found == {
        ("read", "ID"): (2, 32),
        ("read", "LIVENESS"): (1, 32),
        ("read", "config.COMMAND"): (1, 16),
        ("read", "config.STATUS"): (1, 16),
        ("write", "config.COMMAND"): (1, 16),
        ("interrupt", "0"): (1, 0),
    }
    # Each of them is a place at which a fault can be.
    for place in one.places():
        if place.event != "interrupt":
            device.faults.add(Fault("unplug", place.name))


class Halves(Device):
    """A wide register, and one whose bytes are read by themselves."""

    vendor_id = 1
    bars = (Bar(0x100),)
    BASE = Register(0x08, 64)
    BYTES = Register(0x20)


def test_each_cell_of_bits_comes_and_changes_something() -> None:
    """Also for registers that are reached in parts, by the accesses of the life that the cells are of."""

    def drive(device: Halves) -> list[int]:
        for offset, size in ((8, 4), (12, 4), (8, 8), (12, 4)):
            device.bar_write(0, offset, size, 0)
        device.config_write(5, b"\0")
        return [device.bar_read(0, offset, 1) for offset in (0x20, 0x23, 0x20)] + [device.bar_read(0, 0x1C, 8)]

    def places_until(device: Halves, number: int) -> list[EventPlace]:
        happened = [
            life.Happening(event.kind, event.bar, event.offset, event.size, 0, "")
            for event in device.trace
            if event.number < number and event.kind in ("read", "write", "config-write")
        ]
        return Life(device=device, happened={"probe": happened}).places()

    device = Halves()
    one = Life(device=device)
    life.EventLog(device, one.happened).begin("probe")
    plain = drive(device)
    assert one.places() == places_until(device, device.trace.end)
    assert {place.name: place.parts for place in one.places()} == {
        "BASE": ((0, 32), (32, 32), (0, 64), (32, 32)),
        "BYTES": ((0, 8), (24, 8), (0, 8), (0, 32)),
        "config.COMMAND": ((8, 8),),
    }
    for seed in range(5):
        for cell in cells(one.places(), ["flipped-write", "flipped-bit", "stuck-at-one"], seed=seed):
            device = Halves()
            device.faults.add(cell.fault)
            seen = drive(device)
            begin = next(event.number for event in device.trace if event.kind == "fault")
            before = places_until(device, begin)
            event = trigger(cell.fault.kind)
            count = sum(place.count for place in before if (place.event, place.name) == (event, cell.fault.place))
            # A write is in the trace before its fault, a read after it.
            assert count == cell.fault.nth - (event == "read")
            assert seen != plain or event == "write"


def test_the_places_of_dma_are_its_purposes() -> None:
    device = E1000()
    one = Life(device=device)
    life.EventLog(device, one.happened).begin("traffic")
    trace = device.trace
    for name in ("receive", "receive.buffer", "receive"):
        trace.add("dma-write", None, -1, 0x1000, 16, b"", name)
    trace.add("dma-read", None, -1, 0x1000, 16, b"", "transmit")
    assert {(place.event, place.name): place.count for place in one.places()} == {
        ("dma-write", "receive"): 2,
        ("dma-write", "receive.buffer"): 1,
        ("dma-read", "transmit"): 1,
    }
    for place in one.places():
        device.faults.add(Fault("lost-dma" if place.event == "dma-write" else "garbled-dma", place.name))


def test_no_phase_is_forgotten_for_a_driver_that_polls() -> None:
    """Regression: the trace keeps its last 200,000 events, and the phases before had no places."""
    device = Edu()
    one = Life(device=device)
    count = life.EventLog(device, one.happened)
    count.begin("probe")
    device.bar_read(0, Edu.ID.offset, 4)
    device.bar_write(0, Edu.LIVENESS.offset, 4, 7)
    count.begin("traffic")
    polls = trace.KEPT + 5
    device.bar_read(0, Edu.LIVENESS.offset, 4)
    for _ in range(polls):
        device.trace.add("read", None, 0, Edu.ID.offset, 4)
    assert len(device.trace) == trace.KEPT
    found = {(place.phase, place.event, place.name): place.count for place in one.places()}
    assert found == {
        ("probe", "read", "ID"): 1,
        ("probe", "write", "LIVENESS"): 1,
        ("traffic", "read", "LIVENESS"): 1,
        ("traffic", "read", "ID"): polls,
    }


@pytest.mark.parametrize("config", [False, True])
def test_the_trace_around_a_fault(config: bool) -> None:
    """With the accesses to the configuration space if the fault is at one."""
    device = Edu()
    device.faults.add("all-ones@config.COMMAND#2" if config else "all-ones@ID#2")
    for _ in range(3):
        device.bar_read(0, Edu.ID.offset, 4)
        device.config_read(4, 2)
    lines, at = run._around(Life(device=device, trace=list(device.trace)), config=config)
    assert "fault" in lines[at]
    assert any("COMMAND" in line and "config-read" in line for line in lines) == config
    assert len(lines) == (7 if config else 4)


@pytest.mark.parametrize("network", [False, True])
@pytest.mark.parametrize("exercise", ["", "true"])
@pytest.mark.parametrize("suspend", [False, True])
def test_the_phases_of_a_life(network: bool, exercise: str, suspend: bool) -> None:
    if network and exercise:
        with pytest.raises(UsageError, match="exercised by traffic"):
            phases_of(network=network, exercise=exercise, suspend=suspend)
        return
    names = [phase.name for phase in phases_of(network=network, exercise=exercise, suspend=suspend)]
    service = ["open", "traffic"] if network else ["traffic"] if exercise else []
    assert names == ["probe", *service, *["suspend"] * suspend, *["stop"] * network, "remove"]


def test_a_life_with_a_suspend_is_another_subject() -> None:
    """Its results are not those of lives without one; neither are those of another machine or other parameters."""
    others = [
        driver(),
        driver(suspend=True),
        driver(machine=SweptMachine(cpus=1)),
        driver(loads={"mine": {"debug": "1"}}),
        driver(loads={"base": {"debug": "1"}, "mine": {}}),
        driver(depends=("mii",)),
    ]
    assert len({one.key for one in others}) == len(others)
    assert driver(config={"MINE": "m"}).key == driver().key, "for commands only"


class LivingVM:
    """A machine in which a driver lives that does what its script, a function for each phase, does."""

    begun = 0.0

    def __init__(self, device: Edu, scripts: dict[str, list[Callable[[], object]]]) -> None:
        self.pid, self.klog, self.devices = os.getpid(), KernelLog(), [device]
        self._scripts = scripts
        self.replugged = False

    def run(self, argv: list[str], **_: Any) -> SimpleNamespace:
        if found := self._scripts.get(argv[3]):
            found.pop(0)()
        return SimpleNamespace(exit_code=0, stdout="", stderr="")

    def unplug(self, device: Edu) -> None:
        device.unplugged()

    def plug(self, device: Edu) -> None:
        self.klog.feed(f"<3>[   20.000000] pci {device!r}: repaired")
        device.plugged()
        self.replugged = True


@pytest.mark.parametrize("pulled", [False, True])
def test_what_is_held_and_said_before_the_device_is_repaired(pulled: bool) -> None:
    """Regression: I/O memory that was held in the device's BARs went with these when the device was plugged in anew; a
    message of the second life was one of the first, and a complaint before the fault was the fault's."""
    device = Edu()
    device.plugged()
    unloaded = False

    def says(text: str) -> None:
        vm.klog.feed(f"<3>[   10.000000] {text}")

    def remove() -> None:
        nonlocal unloaded
        unloaded = True
        if pulled:
            device.pull()

    scripts: dict[str, list[Callable[[], object]]] = {
        "probe": [lambda: says("BUG: KASAN: early"), lambda: says("BUG: KASAN: late")],
        "traffic": [lambda: says("swept: no service"), lambda: says("swept: again")],
        "remove": [remove, lambda: None],
    }
    vm: Any = LivingVM(device, scripts)
    leaks: Any = SimpleNamespace(
        kmemleak=False,
        forget=lambda: None,
        held=lambda: {"I/O memory": ["mine"] if unloaded and not vm.replugged else []},
        unreferenced=lambda: "",
    )
    ready: Any = Ready(driver(exercise="true"), SimpleNamespace(), [module("mine")], Edu)  # type: ignore[arg-type]
    one = Life()
    life.live(vm, device, leaks, ready, SweepCell.parse("traffic:reset@ID#1"), one, with_memory=False, alone=True)
    assert one.held == "I/O memory: new: mine"
    assert vm.replugged == pulled
    assert [splat.headline for splat in one.early] == ["BUG: KASAN: early"]
    assert [splat.headline for splat in one.splats] == ["BUG: KASAN: late"]
    assert not one.leaves_nothing
    assert one.before == 1
    assert [record.text for record in one.records[one.armed : one.mended]] == ["swept: no service"]


def test_each_script_that_waits_says_for_how_long() -> None:
    waits = {phase.name: phase.waits for phase in phases_of(network=True, exercise="", suspend=True)}
    assert waits == {"probe": 0, "open": 6, "traffic": 15, "suspend": 15, "stop": 0, "remove": 0}
