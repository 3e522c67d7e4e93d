# SPDX-License-Identifier: MIT
"""The guest's memory: mapped or by messages, and never more of it than the device has been given."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.pci.client import Client, Refusal, open_files

from r4l.pci import Bar, Device, DmaFault, Register, Word, dma_read, dma_write, happened
from r4l.pci.protocol import (
    DMA_ACCESS,
    DMA_MAP,
    DMA_UNMAP,
    ERROR,
    HEADER,
    IRQ_SET,
    NO_REPLY,
    REGION_ACCESS,
    REPLY,
    UNMAP_ALL,
    Command,
    MapFlag,
    Region,
)

Serve = Callable[[Device], Client]
SIZE = 0x10000


class Copier(Device):
    """Copies 8 bytes from SOURCE to SOURCE + 8 where it is told to."""

    vendor_id = 0x1234
    bars = (Bar(0x100),)
    SOURCE = Register(0x00, 64)
    READ = Register(0x08)
    LATER = Register(0x0C)

    @SOURCE.on_write
    def copy(self, old: Word, new: Word) -> None:
        self.dma.write(int(new) + 8, self.dma.read(int(new), 8))

    @READ.on_read
    def read_now(self, value: Word) -> int:
        return int.from_bytes(self.dma.read(self.SOURCE, 4), "little")

    @LATER.on_write
    def later(self, old: Word, new: Word) -> None:
        self.after(0, lambda: self.copy(Word(Copier.SOURCE, 0), Word(Copier.SOURCE, int(new))))


@pytest.fixture
def device() -> Copier:
    return Copier()


@pytest.fixture
def client(serve: Serve, device: Copier) -> Client:
    client = serve(device)
    client.master()
    return client


@pytest.fixture
def memory() -> Iterator[int]:
    """Memory as of QEMU's memory-backend-memfd: sealed, so that it does not shrink."""
    fd = os.memfd_create("guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, SIZE)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    yield fd
    os.close(fd)


def test_mapped_memory(client: Client, device: Copier, memory: int) -> None:
    client.map(0x100000, 0x8000, memory, offset=0x1000)
    os.pwrite(memory, b"12345678", 0x1100)
    client.write(0, 0x100100, 8)
    client.read(0x30)
    assert os.pread(memory, 8, 0x1108) == b"12345678"
    assert (dma_read(0x100100) in device.trace, dma_write(0x100108) in device.trace) == (True, True)
    assert device.dma.unpack("<HB", 0x100100) == (0x3231, 0x33)
    device.dma.pack("<I", 0x100200, 0xDEADBEEF)
    assert os.pread(memory, 4, 0x1200) == b"\xef\xbe\xad\xde"


def test_scatter_lists_and_neighbours(client: Client, device: Copier, memory: int) -> None:
    client.map(0x1000, 0x1000, memory)
    client.map(0x2000, 0x1000, memory, offset=0x4000)
    device.dma.write(0x1FFC, b"abcdefgh")
    assert (os.pread(memory, 4, 0xFFC), os.pread(memory, 4, 0x4000)) == (b"abcd", b"efgh")
    assert device.dma.gather([(0x1FFE, 4), (0x1FFC, 1)]) == b"cdefa"
    assert device.dma.scatter([(0x1000, 2), (0x2000, 100)], b"xyz") == 3
    assert device.dma.scatter([(0x1000, 2)], b"xyz") == 2
    assert device.dma.read(0x1000, 2) + device.dma.read(0x2000, 1) == b"xyz"


@pytest.mark.parametrize(
    ("address", "size"),
    [(0, 1), (0xFFF, 2), (0x1FFF, 2), (0x2000, 1), ((1 << 64) - 1, 1), ((1 << 64) - 1, 100), (-8, 8)],
)
def test_nothing_beyond_what_is_mapped(client: Client, device: Copier, memory: int, address: int, size: int) -> None:
    client.map(0x1000, 0x1000, memory)
    with pytest.raises(DmaFault, match="the guest has no memory"):
        device.dma.read(address, size)
    with pytest.raises(DmaFault, match="the guest has no memory"):
        device.dma.write(address, bytes(size))
    assert os.pread(memory, SIZE, 0) == bytes(SIZE), "nothing of it was written"


def test_a_model_s_fault_is_the_driver_s(client: Client, device: Copier) -> None:
    client.write(0, 0xBAD000, 8)
    client.read(0x30)
    assert device.errors == []
    assert "DMA at 0xbad000, where the guest has no memory" in device.trace.find(happened("refused"))[0].text
    assert client.config(6, 2) & 0x2000, "Received Master Abort"


def test_bus_mastering_is_asked_for(client: Client, device: Copier, memory: int) -> None:
    client.map(0x1000, 0x1000, memory)
    client.set_config(4, 0)
    with pytest.raises(DmaFault, match="pci_set_master"):
        device.dma.read(0x1000, 1)
    client.master()
    assert device.dma.read(0x1000, 1) == b"\0"


def test_memory_that_may_only_be_read(client: Client, device: Copier, memory: int) -> None:
    client.map(0x1000, 0x1000, memory, flags=MapFlag.READ)
    assert device.dma.read(0x1000, 1) == b"\0"
    with pytest.raises(DmaFault, match="read-only"):
        device.dma.write(0x1000, b"x")


def test_unmapped_memory_is_not_touched_any_more(client: Client, device: Copier, memory: int) -> None:
    client.map(0x1000, 0x1000, memory)
    client.unmap(0x1000, 0x1000)
    with pytest.raises(DmaFault):
        device.dma.read(0x1000, 1)
    for size in (0x1000, 0x2000):
        with pytest.raises(Refusal) as refused:
            client.unmap(0x1000, size)
        assert refused.value.errno == errno.ENOENT


@pytest.mark.parametrize(("address", "size"), [(0x2000, 0x1000), (0x1000, 0x2000), (0x3000, 0x1000), (0x0000, 0x9000)])
def test_no_mapping_over_another(client: Client, memory: int, address: int, size: int) -> None:
    client.map(0x2000, 0x2000, memory)
    with pytest.raises(Refusal) as refused:
        client.map(address, size, memory)
    assert refused.value.errno == errno.EEXIST


def test_memory_beyond_the_file_s_end_is_refused(client: Client, memory: int) -> None:
    for offset, size in ((0, SIZE + 0x1000), (SIZE, 0x1000), (0x800, 0x1000), ((1 << 64) - 0x1000, 0x1000)):
        with pytest.raises(Refusal):
            client.map(0x100000, size, memory, offset=offset)
    assert client.read(0x30) == 0


def test_a_file_that_could_shrink_is_not_mapped(client: Client, device: Copier) -> None:
    fd = os.memfd_create("unsealed", os.MFD_CLOEXEC)
    os.ftruncate(fd, 0x1000)
    client.map(0x1000, 0x1000, fd)
    os.ftruncate(fd, 0)
    os.close(fd)
    assert device.dma.mappings[0].memory is None, "by messages, then"


def test_no_end_of_mappings(client: Client) -> None:
    for number in range(4096):
        client.map(number << 12, 0x1000)
    with pytest.raises(Refusal) as refused:
        client.map(4096 << 12, 0x1000)
    assert refused.value.errno == errno.ENOSPC


# -- by messages ------------------------------------------------------------------------------------------------------


def answer_dma(client: Client, memory: bytearray, *, error: int = 0) -> int:
    """As QEMU answers a DMA message; its command."""
    number, command, flags, _, payload = client.receive()
    address, count = DMA_ACCESS.unpack_from(payload)
    assert flags == 0
    said = payload[: DMA_ACCESS.size]
    if command == Command.DMA_READ:
        said += memory[address : address + count]
    else:
        memory[address : address + count] = payload[DMA_ACCESS.size :]
    flags = REPLY | (ERROR if error else 0)
    body = b"" if error else said
    client.socket.sendall(HEADER.pack(number, command, HEADER.size + len(body), flags, error) + body)
    return command


def test_by_messages_while_the_guest_goes_on(client: Client, device: Copier) -> None:
    memory = bytearray(b"12345678").ljust(0x1000, b"\0")
    client.map(0, 0x1000)
    client.write(0x00, 0, 8)
    # A CPU's read that comes between does not wait for the device's business.
    asked = client.send(Command.REGION_READ, bytes(8) + (0).to_bytes(4, "little") + (4).to_bytes(4, "little"))
    commands = [answer_dma(client, memory)]
    number, *_ = client.receive()
    assert number == asked
    commands.append(answer_dma(client, memory))
    assert commands == [Command.DMA_READ, Command.DMA_WRITE]
    assert memory[8:16] == b"12345678"


def test_by_messages_from_a_timer(client: Client, device: Copier) -> None:
    memory = bytearray(b"12345678").ljust(0x1000, b"\0")
    client.map(0, 0x1000)
    client.write(0x0C, 0)
    answer_dma(client, memory)
    answer_dma(client, memory)
    client.read(0x30)
    assert memory[8:16] == b"12345678"


def test_by_messages_amid_a_read_would_be_a_deadlock(client: Client, device: Copier) -> None:
    client.map(0, 0x1000)
    assert client.read(0x08) == 0xFFFFFFFF
    assert "QEMU would wait for us and we for it" in device.trace.find(happened("refused"))[0].text


def test_a_refused_message_is_a_fault(client: Client, device: Copier) -> None:
    client.map(0, 0x1000)
    client.write(0x0C, 0)
    answer_dma(client, bytearray(0x1000), error=errno.EFAULT)
    device.trace.expect(happened("refused"))
    assert "Bad address" in device.trace.find(happened("refused"))[0].text


def test_an_answer_to_nothing(client: Client, device: Copier) -> None:
    client.send(Command.DMA_READ, bytes(16), flags=REPLY)
    assert client.read(0x30) == 0
    assert "no request of ours" in device.trace[-2].text


def test_a_guest_that_maps_and_unmaps_while_dma_runs(client: Client, device: Copier, memory: int) -> None:
    over = threading.Event()
    done = faults = 0

    def work() -> None:
        nonlocal done, faults
        while not over.is_set():
            try:
                device.dma.write(0x1000, b"x" * 0x1000)
                done += 1
            except DmaFault:
                faults += 1

    worker = threading.Thread(target=work)
    worker.start()
    for _ in range(300):
        client.map(0x1000, 0x1000, memory)
        client.unmap(0x1000, 0x1000)
    over.set()
    worker.join()
    assert done + faults
    assert device.errors == []


class Mover(Device):
    """Reads or writes two pages at 0x1000: at once, or from a timer."""

    vendor_id = 0x1234
    bars = (Bar(0x100),)
    HOW = Register(0x00, fields={"late": 0, "reads": 1})

    @HOW.on_write
    def choose(self, old: Word, new: Word) -> None:
        if new.late:
            self.after(0, lambda: self.move(new.reads))
        else:
            self.move(new.reads)

    def move(self, reads: int) -> None:
        if reads:
            self.dma.read(0x1000, 0x2000)
        else:
            self.dma.write(0x1000, b"x" * 0x2000)
        self.note("done")


@pytest.mark.parametrize("how", range(4), ids=["write", "late write", "read", "late read"])
@pytest.mark.parametrize("unmap", ["one", "all", "nothing"])
def test_a_guest_that_unmaps_the_rest_while_a_part_goes_by_messages(
    serve: Serve, memory: int, how: int, unmap: str
) -> None:
    """It is the guest's fault, and neither the model's nor an access to memory that is gone."""
    device = Mover()
    client = serve(device)
    client.master()
    client.map(0x1000, 0x1000)
    client.map(0x2000, 0x1000, memory)
    client.write(0x00, how, posted=True)
    number, command, _, _, asked = client.receive()
    if unmap == "one":
        client.unmap(0x2000, 0x1000)
    elif unmap == "all":
        client.call(Command.DMA_UNMAP, DMA_UNMAP.pack(DMA_UNMAP.size, UNMAP_ALL, 0, 0))
    said = asked[: DMA_ACCESS.size] + (bytes(0x1000) if command == Command.DMA_READ else b"")
    client.socket.sendall(HEADER.pack(number, command, HEADER.size + len(said), REPLY, 0) + said)
    if unmap == "nothing":
        assert device.trace.expect(happened("note")).text == "done"
        assert os.pread(memory, 1, 0) == (b"\0" if how & 2 else b"x")
    else:
        refused = device.trace.expect(happened("refused"))
        assert "0x2000, which the guest has unmapped meanwhile" in refused.text
        assert os.pread(memory, 1, 0) == b"\0"
        assert happened("note") not in device.trace
    assert client.read(0x80) == 0
    assert device.errors == []


def test_descriptors_go_to_the_message_that_they_came_with(client: Client, device: Copier, memory: int) -> None:
    write = REGION_ACCESS.pack(0x30, 0, 4) + bytes(4)
    with device.lock:
        # The first one waits for the lock; what follows is one chunk up to each descriptor.
        for number in range(3):
            for _ in range(3):
                client.send(Command.REGION_WRITE, write, flags=NO_REPLY)
            address = 0x1000 * (number + 1)
            client.send(Command.DMA_MAP, DMA_MAP.pack(DMA_MAP.size, 3, address, address, 0x1000), fds=[memory])
        client.send(Command.REGION_WRITE, write, flags=NO_REPLY)
    for _ in range(3):
        assert client.receive()[2] == REPLY
    for mapping in device.dma.mappings:
        os.pwrite(memory, b"here", mapping.address)
        assert device.dma.read(mapping.address, 4) == b"here"
    assert len(device.dma.mappings) == 3


# -- a QEMU that is killed --------------------------------------------------------------------------------------------


def message(command: int, payload: bytes = b"") -> bytes:
    return HEADER.pack(7, command, HEADER.size + len(payload), 0, 0) + payload


def test_a_qemu_that_ends_at_any_byte(serve: Serve, device: Copier, memory: int, tmp_path: Path) -> None:
    """Nothing is left of it, and the next one is served."""
    event = os.eventfd(0, os.EFD_CLOEXEC)

    def access(offset: int, region: int, data: bytes) -> bytes:
        return REGION_ACCESS.pack(offset, region, len(data)) + data

    life: list[tuple[bytes, list[int]]] = [
        (message(Command.VERSION, struct.pack("=HH", 0, 1) + b'{"capabilities":{}}\0'), []),
        (message(Command.DMA_MAP, DMA_MAP.pack(DMA_MAP.size, 3, 0, 0, SIZE)), [memory]),
        # As a fixed number of eventfds: one, for INTx.
        (message(Command.DEVICE_SET_IRQS, IRQ_SET.pack(IRQ_SET.size, 0x24, 0, 0, 1)), [event]),
        (message(Command.REGION_WRITE, access(4, Region.CONFIG, b"\6\0")), []),
        (message(Command.REGION_WRITE, access(0, 0, (0x100).to_bytes(8, "little"))), []),
        (message(Command.REGION_READ, REGION_ACCESS.pack(8, 0, 4)), []),
    ]
    client = serve(device)
    path = next(tmp_path.glob("*.sock"))
    client.close()
    before = open_files()
    ends = [(number, cut) for number, (data, _) in enumerate(life) for cut in range(1, len(data) + 1)]
    for number, cut in ends:
        with socket.socket(socket.AF_UNIX) as qemu:
            qemu.connect(str(path))
            for data, fds in [*life[:number], (life[number][0][:cut], life[number][1])]:
                extra = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
                qemu.sendmsg([data], extra)
    again = Client(path)
    again.agree()
    assert again.read(0x30) == 0
    again.close()
    until = time.monotonic() + 20
    while (left := open_files() - before) and time.monotonic() < until:
        time.sleep(0.01)
    assert not left, "files stay open"
    assert device.dma.mappings == ()
    assert device.errors == []
    assert device.trace.count(happened("plugged")) == len(ends) + 2
    os.close(event)


@pytest.mark.parametrize(("region", "place", "data"), [(0, 0, b"\0\1\0\0\0\0\0\0"), (Region.CONFIG, 0x3C, b"\x2a")])
def test_a_write_whose_sender_is_gone_takes_effect(
    client: Client, device: Copier, memory: int, region: int, place: int, data: bytes
) -> None:
    """It was complete; that nobody takes the acknowledgement is no fault of the model's."""
    client.map(0, SIZE, memory)
    client.set_config(4, 6)
    os.pwrite(memory, b"ABCDEFGH", 0x100)
    # From here on the server's answers fail, and what is sent arrives.
    client.socket.shutdown(socket.SHUT_RD)
    client.send(Command.REGION_WRITE, REGION_ACCESS.pack(place, region, len(data)) + data)
    client.close()
    device.trace.expect(happened("unplugged"))
    assert device.errors == []
    assert device.config_read(place, 1) == data if region else os.pread(memory, 8, 0x108) == b"ABCDEFGH"


def test_a_qemu_that_ends_while_the_device_waits_for_its_memory(client: Client, device: Copier, tmp_path: Path) -> None:
    client.map(0, 0x1000)
    client.write(0x00, 0, 8)
    _, command, *_ = client.receive()
    assert command == Command.DMA_READ
    client.close()
    device.trace.expect(happened("unplugged"))
    assert "QEMU is gone" in device.trace.find(happened("refused"))[0].text
    again = Client(next(tmp_path.glob("*.sock")))
    again.agree()
    assert again.read(0x30) == 0
    again.close()
    assert device.errors == []


@pytest.mark.parametrize(
    "data",
    [
        bytearray(b"abcdefgh"),
        memoryview(b"abcdefgh"),
        memoryview(array.array("I", b"abcdefgh")),
        memoryview(b"a-b-c-d-e-f-g-h-")[::2],
    ],
    ids=["bytearray", "memoryview", "of integers", "with gaps"],
)
def test_bytes_of_any_type_are_transferred_and_traced_as_they_are_now(
    client: Client, device: Copier, memory: int, data: bytearray | memoryview
) -> None:
    client.map(0x1000, 0x2000, memory)
    for fault in ((), ("late-dma seconds=1000",), ("swapped-dma#1",)):
        device.faults.add(*fault)
        device.dma.write(0x1FFC, data)
        device.faults.clear()
        event = device.trace.find(dma_write())[-1]
        assert (type(event.data), event.data, event.size) == (bytes, b"abcdefgh", 8), fault
    if isinstance(data, bytearray):
        data[:] = bytes(8)
    device.dma.write(0x2FF0, b"next")
    assert os.pread(memory, 8, 0xFFC) == b"abcdefgh"
    assert device.dma.scatter([(0x1000, 3), (0x1800, 100)], memoryview(b"abcdefgh")) == 8
    assert os.pread(memory, 3, 0) + os.pread(memory, 5, 0x800) == b"abcdefgh"


@pytest.mark.parametrize("data", ["text", 8, [1, 2], None])
def test_what_is_no_bytes_is_not_written(client: Client, device: Copier, memory: int, data: object) -> None:
    client.map(0x1000, 0x1000, memory)
    with pytest.raises(TypeError, match="DMA writes bytes, not"):
        device.dma.write(0x1000, data)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="DMA writes bytes, not"):
        device.dma.scatter([(0x1000, 8)], data)  # type: ignore[arg-type]
