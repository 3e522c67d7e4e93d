# SPDX-License-Identifier: MIT
"""The test that a cell is printed as, and the command that prints it."""

from __future__ import annotations

import ast
import os
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from r4l.cluster import SharedKernel
from r4l.pci.load import model_class
from r4l.sweep import SweepCell, SweptDriver, SweptMachine
from r4l.sweep.as_test import as_test, command
from r4l.sweep.phases import PHASES, PRELUDE, Phase

KERNEL = SharedKernel("stock", "x86_64", '{"kernel": "7.3.4+deb13-amd64", "packages": {"a": "1"}}')
MODEL = "from r4l import pci\nclass Mine(pci.Device):\n    vendor_id = 1\n    bars = (pci.Bar(64),)\n"


def driver(**words: Any) -> SweptDriver:
    usual = {
        "label": "one",
        "named": "a folder/one",
        "kernel": KERNEL,
        "modules": {"m.ko": b""},
        "spec": "python:edu",
        "model": "python:edu",
        "files": {},
        "network": False,
        "exercise": "true",
        "loads": {"mine": {}},
    }
    return SweptDriver(**{**usual, **words})


NETWORK = driver(spec="python:e1000", model="python:e1000", network=True, exercise="")


def executed(text: str, file: str = "test_it.py") -> dict[str, Any]:
    """Execute a printed test as pytest imports it; return its names."""
    names: dict[str, Any] = {"__file__": file, "__name__": "test_it"}
    exec(compile(text, file, "exec", dont_inherit=True), names)
    return names


def marks(names: dict[str, Any]) -> dict[str, pytest.Mark]:
    """The markers of the test in it."""
    (function,) = [value for name, value in names.items() if name.startswith("test_")]
    return {mark.name: mark for mark in function.pytestmark}


@pytest.mark.parametrize("verdict", ["", "handled", "degraded", "leak"])
def test_it_is_python(verdict: str) -> None:
    text = as_test(driver(), SweepCell.parse("probe:flipped-bit@STATUS#2 bits=0x80"), verdict, ["usual #\n"])
    names = executed(text)
    assert "test_probe_flipped_bit_status_2_bits_0x80" in names
    assert "device.faults.add('flipped-bit@STATUS#2 bits=0x80')" in text
    assert ("and no error reported" in text) == (verdict == "degraded")
    assert names.get("USUAL") == (("usual #\n",) if verdict == "degraded" else None)


def test_a_failing_allocation() -> None:
    text = as_test(driver(), SweepCell.parse("probe:no-memory#7"))
    executed(text)
    assert "memory.fail(7)" in text
    assert "memory = GuestMemory.of(vm, module)" in text


@pytest.mark.parametrize("register", ["DEFAULT", "MONTH", "NTH", "FAULT"])
def test_a_registers_name_stays(register: str) -> None:
    text = as_test(driver(exercise="cat FAULT NTH"), SweepCell.parse(f"probe:lost-write@{register}#3"))
    assert f"device.faults.add('lost-write@{register}#3')" in text
    assert ast.get_docstring(ast.parse(text)) == f"probe:lost-write@{register}#3: from `r4l sweep`."
    assert "exercise='cat FAULT NTH'" in text


ALL = [(kind, phase) for kind, phases in PHASES.items() for phase in phases]


@pytest.mark.parametrize(("kind", "phase"), ALL, ids=[f"{kind}-{phase.name}" for kind, phase in ALL])
def test_each_script_has_all_its_variables(kind: str, phase: Phase) -> None:
    """In the printed test as in the sweep: of each phase in phases.toml."""
    swept = replace(NETWORK if kind == "network" else driver(), suspend=True)
    names = executed(as_test(swept, SweepCell.parse("probe:unplug#1")))
    seen: dict[str, Any] = {}

    def run(argv: list[str], **words: Any) -> SimpleNamespace:
        seen.update(words, script=argv[2], arguments=argv[4:])
        return SimpleNamespace(exit_code=0)

    vm, module = SimpleNamespace(run=run, pid=os.getpid()), SimpleNamespace(name="mine")
    assert names["live"](vm, phase.name, module, SimpleNamespace(address="0000:00:03.0")) == 0
    assert (seen["script"], seen["timeout"]) == (PRELUDE + phase.script, phase.seconds)
    used = set(re.findall(r"\$\{?([A-Z_]+)", seen["script"]))
    assigned = set(re.findall(r"\b([A-Z_]+)=|\bfor ([A-Z_]+) in|\bread ([A-Z_ ]+) <", seen["script"]))
    assert used <= set(seen["env"]) | {word for found in assigned for one in found for word in one.split()}
    assert seen["env"]["DEVICE"] == "/sys/bus/pci/devices/0000:00:03.0"


@pytest.mark.parametrize("model", ["mine_device.py", "tests/mine_device.py", "../models/mine_device.py"])
@pytest.mark.parametrize("place", [".", "tests", "tests/sweep"])
def test_the_model_is_found_from_anywhere(
    model: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The printed test lies in the driver's folder, or below it."""
    folder = tmp_path / "mine"
    (folder / place).mkdir(parents=True)
    file = folder / model
    file.parent.resolve().mkdir(exist_ok=True)
    file.write_text(MODEL)
    monkeypatch.chdir(folder)
    swept = driver(named=".", spec=f"{model}:Mine", model="m:Mine", files={"m": b""})
    text = as_test(swept, SweepCell.parse("probe:unplug#1"))
    assert str(tmp_path) not in text
    monkeypatch.chdir("/")
    (device,) = marks(executed(text, str(folder / place / "test_it.py")))["machine"].kwargs["devices"]
    assert model_class(device).__name__ == "Mine"


def test_a_model_from_elsewhere_is_named_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine_device.py"
    file.write_text(MODEL)
    monkeypatch.chdir("/usr")
    swept = driver(named="kernel:mine", spec=f"{file}:Mine", model="m:Mine", files={"m": b""})
    (device,) = marks(executed(as_test(swept, SweepCell.parse("probe:unplug#1"))))["machine"].kwargs["devices"]
    assert device == f"{file}:Mine"


class Stopped(Exception):
    """The test has come to what it is asked for."""


class FakeVM:
    """A machine that writes down what is done in it, until the driver's file comes."""

    def __init__(self) -> None:
        self.done: list[Any] = []

    def run(self, argv: list[str], **_: Any) -> None:
        self.done.append(argv)

    def insmod(self, module: Any, **parameters: str) -> None:
        self.done.append((module.name, parameters))

    def put(self, path: Path, place: str) -> None:
        self.done.append((str(path), place))
        raise Stopped


@pytest.mark.parametrize(
    ("loads", "depends", "before"),
    [
        ({"mine": {}}, (), []),
        ({"mine": {}}, ("mii",), [["modprobe", "mii"]]),
        ({"base": {"depth": "3"}, "mine": {}}, (), [("base", {"depth": "3"})]),
        (
            {"base": {}, "upper": {"a": "x y"}, "mine": {}},
            ("mii", "crc"),
            [["modprobe", "mii"], ["modprobe", "crc"], ("base", {}), ("upper", {"a": "x y"})],
        ),
    ],
)
def test_modules_that_are_loaded_before_the_driver(
    loads: dict[str, dict[str, str]], depends: tuple[str, ...], before: list[Any]
) -> None:
    """Of all those that the folder has: some are for others. The kernel's own come from the machine."""
    names = executed(as_test(driver(depends=depends, loads=loads), SweepCell.parse("probe:unplug#1")))
    assert marks(names)["machine"].kwargs["modules"] == list(depends)
    others = [SimpleNamespace(name=name, needs=(), path=Path(f"/b/{name}.ko")) for name in ("stray", *loads)]
    others[-1].needs = tuple(others[1:-1])
    vm = FakeVM()
    (test,) = [value for name, value in names.items() if name.startswith("test_")]
    with pytest.raises(Stopped):
        test(vm, others, SimpleNamespace(), lambda: None)
    assert vm.done == [*before, ("/b/mine.ko", "/tmp/driver.ko")]


def test_the_machine_and_the_parameters() -> None:
    machine = SweptMachine(memory=512, cpus=4, append="quiet", modules=("mii",))
    swept = driver(machine=machine, loads={"mine": {"debug": "1", "text": "a b"}})
    names = executed(as_test(swept, SweepCell.parse("probe:unplug#1")))
    words = marks(names)["machine"].kwargs
    assert {name: words[name] for name in words if name != "devices"} == {
        "modules": ["mii"],
        "memory": 512,
        "cpus": 4,
        "append": "quiet",
        "nics": [],
    }
    given: list[str] = []

    def run(argv: list[str], **_: Any) -> SimpleNamespace:
        given.extend(argv)
        return SimpleNamespace(exit_code=0)

    vm = SimpleNamespace(run=run, pid=os.getpid())
    names["live"](vm, "probe", SimpleNamespace(name="mine"), SimpleNamespace(address="0000:00:03.0"))
    assert given[3:] == ["probe", "debug=1", "text=a b"]
    assert 'insmod $KO "$@"' in given[2]


@pytest.mark.parametrize(
    ("named", "how"),
    [("kernel:igb", "--r4l-module kernel:igb"), ("a b/mine.ko", "--r4l-module 'a b/mine.ko'"), (".", ""), ("mine", "")],
)
def test_a_driver_without_a_folder_is_named_for_the_test(named: str, how: str) -> None:
    text = ast.get_docstring(ast.parse(as_test(driver(named=named), SweepCell.parse("probe:unplug#1")))) or ""
    assert text.startswith("probe:unplug#1: from `r4l sweep`.")
    assert text.endswith(how or "`r4l sweep`.")


def test_a_transmit_timeout_is_no_failure() -> None:
    """As in the sweep, where it is a report; for network drivers only."""
    cell = SweepCell.parse("probe:unplug#1")
    (pattern,) = marks(executed(as_test(NETWORK, cell)))["klog_allow"].args
    assert re.search(pattern, "e1000 0000:00:03.0 eth0: NETDEV WATCHDOG: CPU: 1: transmit queue 0 timed out 5276 ms")
    assert re.search(pattern, "WARNING: CPU: 0 PID: 0 at net/sched/sch_generic.c:525 dev_watchdog+0x1/0x2")
    assert "klog_allow" not in marks(executed(as_test(driver(), cell)))


def test_the_command_names_what_the_sweep_was_told() -> None:
    cell = "probe:unplug@STATUS#1 times=0"
    assert command(driver(), cell, Path("sweep-one")) == (
        "r4l sweep 'a folder/one' --device python:edu --into sweep-one --as-test 'probe:unplug@STATUS#1 times=0' "
        "--exercise true"
    )
    other = SharedKernel("debug", "arm64", KERNEL.lock)
    assert command(driver(kernel=other, exercise=""), "probe:unplug#1", Path("into here")) == (
        "r4l sweep 'a folder/one' --device python:edu --into 'into here' --as-test 'probe:unplug#1' "
        "--kernel debug --arch arm64"
    )
    more = driver(
        exercise="",
        parameters={"debug": "1", "text": "a b"},
        config={"MINE": "m"},
        machine=SweptMachine(512, 4, "quiet", ("mii", "crc")),
        suspend=True,
    )
    assert command(more, "probe:unplug#1", Path("into")).partition("probe:unplug#1' ")[2] == (
        "--append quiet --memory 512 --cpus 4 --suspend --param debug=1 --param 'text=a b' --config MINE=m "
        "--with-module mii --with-module crc"
    )
