# SPDX-License-Identifier: MIT
"""Recordings: the state of a device at each of its events."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.pci.e1000.stand import RX_BUFFERS, TX_BUFFERS, TX_RING, US, Card, Stand, ethernet, legacy

from r4l import pci
from r4l.pci.arrays import MOST_REGISTERS
from r4l.pci.models.e1000 import E1000
from r4l.pci.network import NetworkCard
from r4l.pci.recording import Recorder, check, of_trace

Data = dict[str, Any]
FRAME = ethernet(bytes(60))
MANY, ACCESSES = 1 << 17, 3000


class OnTheWire(Card):
    """The card on its stand, whose frames are recorded like those on a cable."""

    def send_frame(self, frame: bytes) -> None:
        NetworkCard.send_frame(self, frame)


def sent_and_received(stand: Stand) -> None:
    """Send one frame, and receive one."""
    stand.receive_ring()
    stand.transmit_ring()
    stand.write(E1000.IMS, 0x9D)
    stand.put(TX_BUFFERS, FRAME)
    stand.push(legacy(TX_BUFFERS, len(FRAME), 0x0B))
    stand.read(E1000.ICR)
    stand.card.call(stand.card._take, FRAME)
    stand.read(E1000.ICR)


def with_link() -> Stand:
    """A stand with power and a link."""
    stand = Stand(OnTheWire())
    stand.link_up()
    return stand


@pytest.fixture
def stand() -> Stand:
    return with_link()


def slot(data: Data, name: str) -> int:
    """Slot of a register."""
    return next(int(one["slot"]) for one in data["registers"] if one["name"] == name)


def state(data: Data, until: Callable[[Data], bool]) -> tuple[list[int | None], list[dict[int, str]]]:
    """Registers and descriptors after the first event that a condition holds for."""
    values = [None if value is None else int(value, 16) for value in data["base"]["values"]]
    rings: list[dict[int, str]] = [dict(ring["entries"]) for ring in data["base"]["rings"]]
    for event in data["events"]:
        for number, value in event.get("values", []):
            values[number] = int(value, 16)
        for change in event.get("rings", []):
            if "address" in change:
                rings[change["ring"]] = {}
            rings[change["ring"]].update(dict(change["entries"]))
        if until(event):
            return values, rings
    raise AssertionError("no such event")


def last(data: Data) -> tuple[list[int | None], list[dict[int, str]]]:
    """Registers and descriptors after the last event."""
    return state(data, lambda event: event is data["events"][-1])


def test_the_state_at_each_event_of_a_frame_that_is_sent(stand: Stand) -> None:
    recorder = Recorder(stand.card)
    sent_and_received(stand)
    data = recorder.as_data()
    head, tail = slot(data, "TDH"), slot(data, "TDT")

    # The tail is written: the descriptor is in memory, and the card has not begun.
    values, rings = state(
        data, lambda one: one["kind"] == "write" and one["register"] == "TDT" and one["value"] == "0x1"
    )
    assert (values[head], values[tail]) == (0, 1)
    assert bytes.fromhex(rings[0][0]) == TX_BUFFERS.to_bytes(8, "little") + bytes([len(FRAME), 0, 0, 0x0B, 0, 0, 0, 0])

    # The status is written back, with the interrupt the head has moved, and the cause is read.
    done = next(one for one in data["events"] if one["kind"] == "dma-write" and one["offset"] == hex(TX_RING + 12))
    _, rings = state(data, lambda one: one is done)
    assert bytes.fromhex(rings[0][0])[12] == 1
    interrupt = next(one for one in data["events"] if one["kind"] == "interrupt")
    values, _ = state(data, lambda one: one is interrupt)
    assert values[head] == 1
    assert values[slot(data, "ICR")] == 3
    assert interrupt["level"] is True
    values, _ = state(data, lambda one: one["kind"] == "read" and one["register"] == "ICR" and one["value"] == "0x3")
    assert values[slot(data, "ICR")] == 0


def test_a_write_has_its_own_effects_even_before_the_next_event(stand: Stand) -> None:
    recorder = Recorder(stand.card)
    stand.write(E1000.IMS, 0x9D)
    stand.write(E1000.IMC, 0x80)
    mask = slot(recorder.as_data(), "IMS")
    first, second = recorder.as_data()["events"]
    assert first["values"] == [[mask, "0x9d"]]
    assert second["values"] == [[mask, "0x1d"]]


def test_frames_are_events_with_their_first_bytes(stand: Stand) -> None:
    recorder = Recorder(stand.card)
    sent_and_received(stand)
    frames = [one for one in recorder.as_data()["events"] if one["kind"].startswith("frame")]
    assert [(one["kind"], one["size"]) for one in frames] == [
        ("frame-sent", len(FRAME)),
        ("frame-received", len(FRAME)),
    ]
    assert bytes.fromhex(frames[0]["data"])[:6] == US


def test_a_recorder_leaves_no_access_in_the_trace(stand: Stand) -> None:
    recorder = Recorder(stand.card)
    sent_and_received(stand)
    recorder.close()
    recorded = len(stand.card.trace)
    other = with_link()
    sent_and_received(other)
    assert len(other.card.trace) == recorded
    stand.write(E1000.IMS, 1)
    assert len(recorder.as_data()["events"]) < len(stand.card.trace)


def test_old_events_are_folded_into_the_first_state(stand: Stand) -> None:
    whole = Recorder(stand.card)
    sent_and_received(stand)
    data = whole.as_data()
    other = with_link()
    short = Recorder(other.card, most=5)
    sent_and_received(other)
    few = short.as_data()
    assert len(few["events"]) == 5
    assert few["folded"] == len(data["events"]) - 5
    assert last(few) == last(data)


def test_a_guest_that_rewrites_its_rings_does_not_fill_the_memory(stand: Stand) -> None:
    recorder = Recorder(stand.card, most_bytes=2000)
    stand.transmit_ring()
    for number in range(100):
        stand.put(TX_RING, bytes([number + 1]) * 128)
        stand.write(E1000.ITR, number)
    data = recorder.as_data()
    assert len(data["events"]) < 20
    assert bytes.fromhex(last(data)[1][0][7]) == bytes([100]) * 16


def test_a_ring_outside_of_memory_has_no_descriptors(stand: Stand) -> None:
    recorder = Recorder(stand.card)
    stand.write(E1000.TDLEN, 0xFFF80)
    stand.write(E1000.TDBAH, 0xFFFFFFFF)
    stand.write(E1000.TDBAL, 0xFFFFFFF0)
    data = recorder.as_data()
    assert not check(data)
    last = data["events"][-1]["rings"][0]
    assert (last["address"], last["count"], last["entries"]) == ("0xfffffffffffffff0", 65528, [])


def test_a_live_reader_gets_each_event_once_with_its_effects(stand: Stand) -> None:
    recorder = Recorder(stand.card)
    stand.write(E1000.IMS, 0x9D)
    first = recorder.since(0)
    stand.write(E1000.IMC, 0x9D)
    second = recorder.since(first[-1]["number"] + 1)
    assert [one["register"] for one in (*first, *second)] == ["IMS", "IMC"]
    mask = slot(recorder.as_data(), "IMS")
    assert (first[0]["values"], second[0]["values"]) == ([[mask, "0x9d"]], [[mask, "0x0"]])


def test_a_trace_alone_makes_a_recording_of_what_was_seen(stand: Stand) -> None:
    sent_and_received(stand)
    data = of_trace(stand.card)
    assert not check(data)
    values, rings = last(data)
    assert values[slot(data, "TDT")] == 1
    assert values[slot(data, "IMS")] == 0x9D
    assert values[slot(data, "EERD")] is None or values[slot(data, "EERD")] == 0
    assert bytes.fromhex(rings[0][0])[12] & 1
    few = of_trace(stand.card, most=4)
    assert len(few["events"]) == 4
    assert last(few) == (values, rings)


def test_a_register_is_unknown_until_it_was_seen() -> None:
    card = Card()
    card.trace.config = False
    card.bar_read(0, E1000.STATUS.offset, 4)
    data = of_trace(card)
    values, _ = state(data, lambda one: True)
    assert values[slot(data, "STATUS")] is not None
    assert values[slot(data, "CTRL")] is None


class Table(pci.Device):
    """A large array of registers."""

    vendor_id = 0x1234
    bars = (pci.Bar(8 * MANY),)
    TABLE = pci.RegisterArray(0, count=MANY)
    BASE = pci.Register(4 * MANY)
    HEAD = pci.Register(4 * MANY + 4)
    rings = (pci.DescriptorRing("jobs", base=("BASE",), count=8, head="HEAD", tail="HEAD"),)


@pytest.fixture(scope="module")
def table() -> pci.Device:
    """The device, at which some registers were accessed."""
    device = Table()
    for number in range(ACCESSES):
        device.bar_write(0, 4 * number, 4, number)
    return device


def test_an_event_costs_what_it_changes_however_many_registers_there_are(table: pci.Device) -> None:
    before = time.process_time()
    data = of_trace(table)
    # A look at each register for each event takes more than 10 s.
    assert time.process_time() - before < 3
    begin = slot(data, "TABLE")
    assert last(data)[0][begin : begin + ACCESSES + 1] == [*range(ACCESSES), None]


def test_a_large_array_has_a_recording_that_is_read(table: pci.Device) -> None:
    data = json.loads(json.dumps(of_trace(table)))
    assert MANY <= MOST_REGISTERS
    assert check(data) == ""


def test_a_reset_changes_only_what_has_moved_since_the_last(stand: Stand) -> None:
    for _ in range(2):
        stand.card.reset()
        stand.write(E1000.IMS, 0x9D)
        stand.write(E1000.TDBAL, 0x1000)
    stand.card.reset()
    data = of_trace(stand.card)
    resets = [one for one in data["events"] if one["kind"] == "reset"]
    assert len(resets[0]["values"]) > 400
    assert {slot(data, "IMS"), slot(data, "TDBAL")} <= {number for number, _ in resets[-1]["values"]}
    assert len(resets[-1]["values"]) < 10
    assert last(data)[0][slot(data, "IMS")] == 0


def access(data: Data) -> Data:
    """Return the first access of a recording."""
    found: Data = next(one for one in data["events"] if one["kind"] == "write")
    return found


def broken(data: Data) -> list[tuple[str, Callable[[Data], object]]]:
    """Changes that make a recording invalid."""
    event = next(index for index, one in enumerate(data["events"]) if "values" in one)
    return [
        ("format", lambda one: one.update(format="2")),
        ("kind", lambda one: one["events"][0].update(kind="<script>")),
        ("slot", lambda one: one["events"][event].update(values=[[100_000, "0x0"]])),
        ("value", lambda one: one["events"][event].update(value="alert(1)")),
        ("long value", lambda one: one["events"][event].update(value="0x" + "f" * 400)),
        ("text", lambda one: one["events"][0].update(text=["a"])),
        ("data", lambda one: one["events"][0].update(data="zz")),
        ("negative", lambda one: one["events"][0].update(number=-1)),
        ("ring", lambda one: one["events"][0].update(rings=[{"ring": 9, "entries": []}])),
        ("descriptor", lambda one: one["events"][0].update(rings=[{"ring": 0, "entries": [[0, "00"]]}])),
        ("index", lambda one: one["events"][0].update(rings=[{"ring": 0, "entries": [[1 << 30, "00" * 16]]}])),
        ("field", lambda one: one["registers"][0].update(fields={"A": [99, 0]})),
        ("head", lambda one: one["rings"][0].update(head="NONE")),
        ("base", lambda one: one["base"].update(values=[])),
        ("events", lambda one: one.update(events=None)),
        ("list", lambda one: one.update(registers=7)),
        ("events as a table", lambda one: one.update(events={})),
        ("values as a text", lambda one: one["base"].update(values="0x0" * len(one["base"]["values"]))),
        ("a slot of nowhere", lambda one: one["registers"][0].update(slot=4_000_000_000)),
        ("a slot twice", lambda one: one["registers"][0].update(slot=one["registers"][1]["slot"])),
        ("an offset without end", lambda one: one["registers"][0].update(offset=10**400)),
        ("a width without end", lambda one: one["registers"][0].update(width=1 << 40)),
        ("a register without a name", lambda one: one["registers"][0].update(name="")),
        ("a mask of nowhere", lambda one: one["device"].update(interrupt_mask="constructor")),
        ("a time without end", lambda one: one["events"][0].update(time=10**400)),
        ("a time that is none", lambda one: one["events"][0].update(time=True)),
        ("a number without end", lambda one: one["events"][0].update(number=1 << 60)),
        ("a ring without a name", lambda one: one["rings"][0].update(name="")),
        ("a part of a descriptor", lambda one: one["rings"][0].update(size=16.5)),
        ("a buffer that is no list", lambda one: one["rings"][0].update(buffer="")),
        ("a ring without end", lambda one: one["base"]["rings"][0].update(count=10**30)),
        ("an access without a value", lambda one: access(one).pop("value")),
        ("an access without a size", lambda one: access(one).pop("size")),
    ]


def test_a_recording_is_checked_before_it_is_drawn(stand: Stand) -> None:
    recorder = Recorder(stand.card)
    sent_and_received(stand)
    data = json.loads(json.dumps(recorder.as_data()))
    assert check(data) == ""
    for name, change in broken(data):
        other = copy.deepcopy(data)
        change(other)
        assert check(other), name
    assert all(map(check, ([], "text", None)))


def test_an_access_to_the_first_byte_of_the_configuration_space_has_a_place(stand: Stand) -> None:
    recorder = Recorder(stand.card)
    stand.card.config_read(0, 4)
    assert [one["offset"] for one in recorder.as_data()["events"] if one["kind"] == "config-read"] == ["0x0"]


def ring(**changes: Any) -> type[pci.Device]:
    """A model with a ring, which is described wrongly."""
    words = {"base": ("BASE",), "head": "HEAD", "tail": "TAIL", "count": 8, "fields": {"address": (63, 0), "DD": 64}}

    class Model(pci.Device):
        vendor_id = 0x1234
        bars = (pci.Bar(64),)
        BASE = pci.Register(0x0, 64)
        HEAD = pci.Register(0x8)
        TAIL = pci.Register(0xC)
        MANY = pci.RegisterArray(0x10, count=2)
        rings = (pci.DescriptorRing("jobs", **{**words, **changes}),)

    return Model


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"head": "NONE"}, "the register 'NONE'"),
        ({"tail": "MANY"}, "array"),
        ({"length": "HEAD"}, "length and count"),
        ({"count": 0}, "neither length nor count"),
        ({"size": 4}, "field address of the bits 63:0"),
        ({"size": 0}, "descriptors of 0 bytes"),
        ({"done": "NONE"}, "field NONE"),
        ({"buffer": ("address", "length")}, "field length"),
        ({"base": ()}, "no register in base"),
    ],
)
def test_a_ring_that_contradicts_its_device_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(pci.DefinitionError, match=words):
        ring(**changes)
    assert ring(done="DD", buffer=("address",))


def test_a_mask_that_is_no_register_is_refused() -> None:
    with pytest.raises(pci.DefinitionError, match="the interrupt_mask NONE, which is no register"):

        class Model(pci.Device):
            vendor_id = 0x1234
            interrupt_mask = "NONE"


def test_a_frame_that_comes_is_stored_by_dma(stand: Stand) -> None:
    recorder = Recorder(stand.card)
    sent_and_received(stand)
    data = recorder.as_data()
    stored = next(one for one in data["events"] if one["kind"] == "dma-write" and one["offset"] == hex(RX_BUFFERS))
    came = next(one for one in data["events"] if one["kind"] == "frame-received")
    assert came["number"] < stored["number"]
    values, rings = last(data)
    assert values[slot(data, "RDH")] == 1
    assert bytes.fromhex(rings[1][0])[12] & 3 == 3


def test_transfers_are_named_by_ring_and_purpose(stand: Stand) -> None:
    """One frame sent and one received, in the order of the card's transfers."""
    stand.card.dma.named = True
    sent_and_received(stand)
    found = [(one.kind, one.text) for one in stand.card.trace if one.kind.startswith("dma")]
    assert found == [
        ("dma-read", "transmit"),
        ("dma-read", "transmit.buffer"),
        ("dma-write", "transmit"),
        ("dma-read", "receive"),
        ("dma-write", "receive.buffer"),
        ("dma-write", "receive"),
    ]
    stand.card.dma.read(0x100, 4)
    assert stand.card.trace[-1].text == "data"


def test_transfers_have_no_names_unless_asked(stand: Stand) -> None:
    sent_and_received(stand)
    assert {one.text for one in stand.card.trace if one.kind.startswith("dma")} == {""}


@pytest.mark.parametrize(
    ("fault", "came"),
    [
        ("lost-dma@receive", 1),
        ("lost-dma@receive.buffer", 1),
        ("lost-dma@transmit", 1),
        ("lost-dma@data", 1),
        ("lost-dma", 3),
        ("lost-dma@transmit.buffer", 0),
        ("garbled-dma@transmit", 1),
        ("garbled-dma@transmit.buffer", 1),
        ("garbled-dma@receive.buffer", 0),
    ],
)
def test_a_fault_at_one_purpose_comes_at_no_other(stand: Stand, fault: str, came: int) -> None:
    stand.card.faults.add(f"{fault}#1 times=0")
    sent_and_received(stand)
    assert list(stand.card.faults.came.values()) == [came]


def test_a_buffer_in_two_rings_belongs_to_the_one_that_works_on_it(stand: Stand) -> None:
    """An old descriptor of the transmit ring has the address of a buffer that receives by now."""
    stand.card.dma.named = True
    stand.receive_ring()
    stand.transmit_ring()
    for _ in range(3):
        stand.push(legacy(RX_BUFFERS, len(FRAME), 0x0B))
    stand.card.call(stand.card._take, FRAME)
    assert [one.text for one in stand.card.trace if one.kind == "dma-write"][-2:] == ["receive.buffer", "receive"]


def test_a_ring_of_any_length_is_searched_in_little_time(stand: Stand) -> None:
    stand.card.dma.named = True
    stand.transmit_ring()
    stand.write(E1000.TDLEN, 0xFFF80)
    stand.card.dma.read(0x100, 4)
    assert stand.card.trace[-1].text == "data"
