# SPDX-License-Identifier: MIT
"""The extended configuration space of PCI Express, as a driver and QEMU see it."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import pytest
from tests.unit.pci.client import Client, Refusal

from r4l.pci import (
    AdvancedErrors,
    Bar,
    Capability,
    Device,
    Express,
    ExtendedVendor,
    PowerManagement,
    SerialNumber,
    Vendor,
    config_write,
    happened,
)
from r4l.pci.protocol import REGION_INFO, Command, Region
from r4l.sweep.life import EventLog, Life

Serve = Callable[[Device], Client]
SERIAL = 0x0011_2233_4455_6677


class Plain(Device):
    """A device of conventional PCI."""

    vendor_id = 0x1234
    bars = (Bar(0x100),)
    capabilities: ClassVar[Sequence[Capability]] = (PowerManagement(),)


class Bare(Plain):
    """One of PCI Express without any extended capability."""

    capabilities = (Express(),)


class Model(Plain):
    """One with all of them, two of the vendor's."""

    capabilities = (
        AdvancedErrors(ecrc=True),
        PowerManagement(),
        ExtendedVendor(b"r4l", id=0x1234, revision=2, writable=b"\xff\x0f"),
        Express(),
        SerialNumber(SERIAL),
        Vendor(b"old"),
        ExtendedVendor(),
    )


@pytest.fixture
def device() -> Model:
    return Model()


def size_of_config(client: Client) -> int:
    answer = client.call(Command.DEVICE_GET_REGION_INFO, REGION_INFO.pack(32, 0, Region.CONFIG, 0, 0, 0))
    return int(REGION_INFO.unpack(answer)[4])


def extended(client: Client) -> Iterator[tuple[int, int, int]]:
    """ID, version and place of each capability, as the kernel's pci_find_next_ext_capability finds them."""
    place = 0x100
    while place:
        head = client.config(place)
        if head:
            yield head & 0xFFFF, head >> 16 & 0xF, place
        place = head >> 20


@pytest.mark.parametrize(("model", "size"), [(Plain, 256), (Bare, 4096), (Model, 4096)])
def test_the_size_is_that_of_the_bus(serve: Serve, model: type[Device], size: int) -> None:
    client = serve(model())
    assert size_of_config(client) == size
    assert client.config(size - 4) == 0
    # QEMU reads all of it at once.
    assert client.config(0, size) & 0xFFFFFFFF == 0x1234
    for offset, count in ((size, 4), (size - 2, 4), (size, 1), (0, size + 1)):
        with pytest.raises(Refusal) as refused:
            client.config(offset, count)
        assert refused.value.errno == errno.EINVAL
        with pytest.raises(Refusal) as refused:
            client.set_config(offset, 0, count)
        assert refused.value.errno == errno.EINVAL


def test_both_lists_are_found(client: Client, device: Model) -> None:
    found = list(extended(client))
    assert [(number, version) for number, version, _ in found] == [(1, 1), (0xB, 1), (3, 1), (0xB, 1)]
    assert [place for *_, place in found] == [0x100, 0x12C, 0x138, 0x144]
    assert [device.config.places[index] for index in (0, 2, 4, 6)] == [place for *_, place in found]
    place, conventional = client.config(0x34, 1), []
    while place:
        conventional.append(client.config(place, 1))
        place = client.config(place + 1, 1)
    assert conventional == [0x01, 0x10, 0x09]


def test_a_device_without_any_says_so(serve: Serve) -> None:
    assert list(extended(serve(Bare()))) == []


def test_what_they_hold(client: Client) -> None:
    assert client.config(0x13C, 8) == SERIAL
    assert client.config(0x130) == 0x1234 | 2 << 16 | 11 << 20
    assert client.config(0x134, 3) == int.from_bytes(b"r4l", "little")
    assert client.config(0x148) == 8 << 20
    assert [client.config(0x104 + 4 * number) for number in range(6)] == [0, 0, 0x62030, 0, 0x2000, 0xA0]


def test_errors_are_cleared_by_ones(client: Client, device: Model) -> None:
    device.config["AER_UNCORRECTABLE_STATUS"] = 1 << 20 | 1 << 12
    device.config["AER_CORRECTABLE_STATUS"] |= 1
    client.set_config(0x106, 1 << 4)
    assert client.config(0x104) == 1 << 12
    client.set_config(0x104, 0xFFFFFFFF, 4)
    client.set_config(0x110, 0xFFFFFFFF, 4)
    assert (client.config(0x104), client.config(0x110)) == (0, 0)
    client.set_config(0x108, 0xFFFFFFFF, 4)
    client.set_config(0x118, 0xFFFFFFFF, 4)
    client.set_config(0x11C, 0xFFFFFFFF, 4)
    assert (client.config(0x108), client.config(0x118), client.config(0x11C)) == (0x1FF030, 0x1E0, 0)


def test_a_register_by_its_name(device: Model) -> None:
    assert (device.config["VENDOR_ID"], device.config["SERIAL_HIGH"]) == (0x1234, SERIAL >> 32)
    with pytest.raises(KeyError):
        device.config["AER_NOTHING"] = 1
    with pytest.raises(OverflowError):
        device.config["AER_CONTROL"] = 1 << 32
    with pytest.raises(OverflowError):
        device.config["AER_CONTROL"] = -1


@pytest.mark.parametrize("reset", ["bus", "function"])
def test_errors_survive_all_resets_but_power_on(client: Client, device: Model, reset: str) -> None:
    device.config["AER_UNCORRECTABLE_STATUS"] = 1 << 20
    client.set_config(0x108, 0x10, 4)
    client.set_config(0x134, 0, 1)
    if reset == "bus":
        client.call(Command.DEVICE_RESET)
    else:
        client.set_config(device.config.places[3] + 8, 0x8000)
    assert happened("reset") in device.trace
    assert (client.config(0x104), client.config(0x108)) == (1 << 20, 0x10)
    assert client.config(0x134, 3) == int.from_bytes(b"r4l", "little"), "only the errors do"
    device.plugged()
    assert (client.config(0x104), client.config(0x108)) == (0, 0)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_every_access_of_a_cpu(client: Client, device: Model, size: int) -> None:
    """Random writes at all offsets, compared with the rules for each bit."""
    dice = random.Random(size)
    writable: dict[int, int] = {}
    cleared: dict[int, int] = {}
    for place, one in zip(device.config.places, device.capabilities, strict=True):
        begin = place + (4 if place >= 0x100 else 2)
        writable.update(enumerate(one.body()[1], begin))
        cleared.update(enumerate(one.cleared, begin))
    for _ in range(3000):
        offset = dice.choice((dice.randrange(0x100, 0x150), dice.randrange(0x100, 0x1000))) & -size
        if dice.random() < 0.2:
            name = dice.choice(("AER_UNCORRECTABLE_STATUS", "AER_CORRECTABLE_STATUS"))
            device.config[name] = dice.getrandbits(32)
        before = client.config(offset, size).to_bytes(size, "little")
        data = dice.randbytes(size)
        client.set_config(offset, int.from_bytes(data, "little"), size)
        masks = [(writable.get(place, 0), cleared.get(place, 0)) for place in range(offset, offset + size)]
        wanted = bytes(
            old & ~write & 0xFF & ~(new & clear) | new & write
            for old, new, (write, clear) in zip(before, data, masks, strict=True)
        )
        assert client.config(offset, size).to_bytes(size, "little") == wanted, hex(offset)
    assert [number for number, *_ in extended(client)] == [1, 0xB, 3, 0xB]


def test_faults_and_the_trace_know_their_names(client: Client, device: Model) -> None:
    device.faults.add("lost-write@config.AER_UNCORRECTABLE_MASK#2", "flipped-bit@config.SERIAL_LOW bits=0x80")
    for value in (0x10, 0x20, 0x1000):
        client.set_config(0x108, value, 4)
        assert client.config(0x108) == (0x10 if value < 0x1000 else value)
    assert client.config(0x13C) == (SERIAL & 0xFFFFFFFF) ^ 0x80
    assert client.config(0x13C) == SERIAL & 0xFFFFFFFF
    assert device.trace.find(config_write(0x108))[0].text == "AER_UNCORRECTABLE_MASK"
    assert {"EXTENDED_VENDOR_DATA", "EXTENDED_VENDOR_HEADER[2]", "AER_HEADER_LOG_3"} <= set(device.config.registers)


def test_a_card_that_is_gone_has_none(client: Client, device: Model) -> None:
    device.pull()
    client.set_config(0x108, 0, 4)
    assert client.config(0x100) == 0xFFFFFFFF


def test_the_longest_one_ends_where_the_space_ends(serve: Serve) -> None:
    class Long(Plain):
        capabilities = (Express(), ExtendedVendor(bytes(3831) + b"\x07"))

    client = serve(Long())
    assert client.config(0xFFC) == 0x0700_0000
    assert client.config(0x104) == 3840 << 20


def test_sweeps_have_cells_for_them(device: Model) -> None:
    life = Life(device=device)
    EventLog(device, life.happened).begin("probe")
    device.config_write(0x108, bytes(4))
    (place,) = life.places()
    assert (place.event, place.name, place.bits) == ("write", "config.AER_UNCORRECTABLE_MASK", 32)
