# SPDX-License-Identifier: MIT
"""A cell's machine, and the demands on a life without a fault."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.sweep.test_as_test import driver

from r4l.errors import UsageError
from r4l.klog import Record
from r4l.module import BuiltModule
from r4l.pci.models.edu import Edu
from r4l.sweep import SweptMachine, life, run
from r4l.sweep.life import Life
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
    monkeypatch.setattr(life, "VM", FakeVM)
    subject = driver(
        depends=("mii",),
        loads={"base": {"depth": "3"}, "mine": {"debug": "1"}},
        machine=SweptMachine(512, 4, "quiet", ("crc",)),
    )
    ready: Any = Ready(subject, SimpleNamespace(), [module("base"), module("mine")], Edu)  # type: ignore[arg-type]
    vm: Any = life.machine(ready, cpus)
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
