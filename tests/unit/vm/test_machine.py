# SPDX-License-Identifier: MIT
"""QEMU's command line as data."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from r4l.errors import UsageError
from r4l.net import Nic
from r4l.net.backends.tap import TUN
from r4l.vm import Endpoints, Machine, Share, command_line
from r4l.vm.machine import grant, kernel_line

MACHINE = Machine(kernel=Path("/k/vmlinux"), initrd=Path("/r/x.cpio"), append=kernel_line("x86_64", "quiet"))
ENDS = Endpoints(qmp=10, console=11, agent=12)


def after(argv: list[str], option: str) -> list[str]:
    return [value for name, value in itertools.pairwise(argv) if name == option]


def objects(argv: list[str], option: str) -> list[dict[str, Any]]:
    return [json.loads(value) for value in after(argv, option)]


def test_plain_machine() -> None:
    argv = command_line(MACHINE, ENDS)
    assert argv[0] == "qemu-system-x86_64"
    assert after(argv, "-accel") == ["tcg,thread=multi"]
    assert after(argv, "-cpu") == ["max"]
    assert after(argv, "-m") == ["256M"]
    assert after(argv, "-kernel") == ["/k/vmlinux"]
    assert {"-nodefaults", "-no-user-config", "-no-reboot"} <= set(argv)
    assert after(argv, "-run-with") == ["exit-with-parent=on"]


def test_descriptors_stand_where_they_belong() -> None:
    channels = after(command_line(MACHINE, ENDS), "-chardev")
    assert channels == ["socket,id=qmp,fd=10", "socket,id=console,fd=11", "socket,id=agent,fd=12"]


def test_same_machine_same_line_and_key() -> None:
    twin = replace(MACHINE)
    assert command_line(MACHINE, ENDS) == command_line(twin, ENDS)
    assert MACHINE.key == twin.key
    assert MACHINE.key != replace(MACHINE, memory=512).key
    assert MACHINE.key != replace(MACHINE, nics=(Nic(),)).key


def test_fast_options_can_be_switched_off_and_overridden() -> None:
    assert {"nokaslr", "cryptomgr.notests", "damon_stat.enabled=N"} <= set(kernel_line("x86_64"))
    assert not {"nokaslr", "cryptomgr.notests"} & set(kernel_line("x86_64", fast=False))
    # The kernel takes the last word.
    assert kernel_line("x86_64", "panic=0")[-1] == "panic=0"


def test_cards_wires_and_captures() -> None:
    machine = replace(MACHINE, nics=(Nic(), Nic(backend="hub", hub=2, capture=False), Nic(backend="none")))
    ends = replace(ENDS, captures={0: Path("/w/a,b/nic0.pcap")})
    argv = command_line(machine, ends)
    assert [netdev["type"] for netdev in objects(argv, "-netdev")] == ["user", "hubport"]
    cards = [device for device in objects(argv, "-device") if device["driver"] == "e1000"]
    assert [card.get("netdev") for card in cards] == ["net0", "net1", None]
    assert len({card["mac"] for card in cards}) == 3
    (dump,) = [thing for thing in objects(argv, "-object") if thing["qom-type"] == "filter-dump"]
    assert (dump["netdev"], dump["file"]) == ("net0", "/w/a,b/nic0.pcap")


def test_no_agent_no_port() -> None:
    argv = command_line(replace(MACHINE, agent=False), ENDS)
    assert not any("virtio" in word or "agent" in word for word in argv)


def test_a_person_has_the_console_in_their_terminal_and_needs_no_descriptor() -> None:
    machine = replace(MACHINE, nics=(Nic(), Nic(backend="socket"), Nic(backend="tap")))
    argv = command_line(machine, Endpoints(None, None, None))
    assert after(argv, "-serial") == ["mon:stdio"]
    assert not any("fd=" in word or '"fd"' in word for word in argv)
    cards = [device for device in objects(argv, "-device") if device["driver"] == "e1000"]
    assert [card.get("netdev") for card in cards] == ["net0", None, None]


def test_qemu_sees_of_the_host_what_its_user_named(tmp_path: Path) -> None:
    folder, disk, other = tmp_path / "a,b", tmp_path / "x,y.img", tmp_path / "other"
    folder.mkdir()
    disk.touch()
    other.touch()
    drive = f"file={str(disk).replace(',', ',,')},if=none,id=d"
    machine = replace(
        MACHINE,
        shares=(Share(folder, "/ro"), Share(folder, "/rw", writable=True)),
        extra=("-drive", drive, "-device", json.dumps({"driver": "edu", "romfile": str(other)}), "-bios", "/none"),
    )
    given = grant(machine, tmp_path / "run")
    assert given.writes == (tmp_path / "run", disk, other)
    assert given.over_reads == {Path("/share0"): folder}
    assert given.over == {Path("/share1"): folder}
    servers = after(command_line(machine, ENDS), "-fsdev")
    assert ["readonly=on" in server for server in servers] == [True, False]


def test_qemu_has_the_network_and_the_node_of_a_tap_of_the_users_own() -> None:
    own = Nic(backend="tap", options={"ifname": "t0"})
    given = grant(replace(MACHINE, nics=(own, own)))
    assert given.network
    assert [device for device in given.devices if device == TUN] == [TUN] * TUN.exists()
    assert not grant(replace(MACHINE, nics=(Nic(backend="tap"), Nic(backend="hub")))).network


def test_extra_arguments_come_last() -> None:
    assert command_line(replace(MACHINE, extra=("-s",)), ENDS)[-1] == "-s"


@pytest.mark.parametrize("wrong", [{"memory": 1}, {"cpus": 0}, {"arch": "vax"}])
def test_machines_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        replace(MACHINE, **wrong)


@pytest.mark.parametrize(("name", "least", "most"), [("cpus", 1, 255), ("memory", 32, 1 << 20)])
def test_the_remedy_names_the_range(name: str, least: int, most: int) -> None:
    def machine(number: int) -> Machine:
        numbers: dict[str, Any] = {name: number}
        return replace(MACHINE, **numbers)

    for number in (least - 1, most + 1):
        with pytest.raises(UsageError) as caught:
            machine(number)
        assert caught.value.remedy == f"give {least} to {most}"
    machine(least)
    machine(most)


@pytest.mark.parametrize("name", ["plain", "a,b.img", "ü x.img", 'with " it'])
def test_files_that_arguments_name_in_either_syntax(name: str, tmp_path: Path) -> None:
    """Regression: in JSON, a path with a comma or a character beyond ASCII was not found, and QEMU did not see it."""
    path = tmp_path / name
    path.touch()
    words = [
        json.dumps({"driver": "file", "node-name": "n", "filename": str(path)}),
        json.dumps({"driver": "raw", "file": {"driver": "file", "filename": str(path)}}, ensure_ascii=False),
        json.dumps({"a": [1, None, {"b": str(path)}]}),
    ]
    if '"' not in name:
        words.append(f"file={str(path).replace(',', ',,')},if=none")
    for word in words:
        machine = Machine(kernel=Path("/k"), initrd=Path("/i"), extra=("-blockdev", word))
        assert machine.named_files == (path,), word
