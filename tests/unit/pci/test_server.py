# SPDX-License-Identifier: MIT
"""The server's answers to what QEMU, and whoever says it is QEMU, sends."""

from __future__ import annotations

import collections
import errno
import itertools
import os
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.pci.client import Client, Refusal

from r4l import shortage
from r4l.errors import UsageError
from r4l.pci import (
    RC,
    RO,
    Bar,
    Device,
    Express,
    Memory,
    ModelError,
    Msi,
    Msix,
    Partial,
    PowerManagement,
    Register,
    RegisterArray,
    Reset,
    Server,
    Word,
    happened,
    interrupt,
    read,
    write,
)
from r4l.pci.protocol import (
    DEVICE_INFO,
    DMA_MAP,
    ERROR,
    HEADER,
    IRQ_INFO,
    IRQ_SET,
    MAX_MESSAGE,
    NO_REPLY,
    REGION_ACCESS,
    REGION_INFO,
    Command,
    Irq,
    IrqSet,
    Refused,
    Region,
    StreamBroken,
)

Serve = Callable[[Device], Client]


class Model(Device):
    """One of everything."""

    vendor_id = 0x1234
    device_id = 0x5678
    bars = (Bar(0x1000), Bar(0x20, io=True))
    capabilities = (PowerManagement(keeps=False), Msi(vectors=4), Express(), Msix(vectors=2, table=0x800))

    ID = Register(0x00, access=RO, reset=0xCAFE0001)
    CONTROL = Register(0x04, fields={"go": 0, "irq": 1, "speed": (7, 4)})
    CAUSE = Register(0x08, access=RC)
    WIDE = Register(0x10, 64)
    EXACT = Register(0x18, partial=Partial.REFUSE)
    KEPT = Register(0x1C, sticky=True)
    TABLE = RegisterArray(0x40, count=4, stride=8)
    RAM = Memory(0x200, 64)
    PORT = Register(0x00, 8, bar=1)

    seen: tuple[int, int] | None = None

    @CONTROL.on_write
    def control(self, old: Word, new: Word) -> None:
        if new.irq:
            self.raise_irq(new.speed)
        elif old.irq:
            self.lower_irq()

    @TABLE.on_write
    def table(self, index: int, old: Word, new: Word) -> None:
        self.seen = (index, int(new))

    @PORT.on_read
    def port(self, value: Word) -> int:
        return 0x5A


@pytest.fixture
def device() -> Model:
    return Model()


def eventfd() -> int:
    return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)


def rung(fd: int) -> int:
    """Return the number of writes to an eventfd since the last look."""
    try:
        return os.eventfd_read(fd)
    except BlockingIOError:
        return 0


# -- what QEMU asks first ---------------------------------------------------------------------------------------------


def test_version_and_what_there_is(client: Client) -> None:
    assert client.agree()["max_data_xfer_size"] == 1 << 20
    _, flags, regions, irqs = DEVICE_INFO.unpack(client.call(Command.DEVICE_GET_INFO, DEVICE_INFO.pack(16, 0, 0, 0)))
    assert (flags, regions, irqs) == (3, 9, 5)
    sizes = []
    for index in range(9):
        answer = client.call(Command.DEVICE_GET_REGION_INFO, REGION_INFO.pack(32, 0, index, 0, 0, 0))
        sizes.append(REGION_INFO.unpack(answer)[4])
    assert sizes == [0x1000, 0x20, 0, 0, 0, 0, 0, 4096, 0]
    counts = []
    for index in (Irq.INTX, Irq.MSI, Irq.MSIX):
        counts.append(IRQ_INFO.unpack(client.call(Command.DEVICE_GET_IRQ_INFO, IRQ_INFO.pack(16, 0, index, 0)))[1::2])
    assert counts == [(7, 1), (9, 4), (9, 2)]
    for index in (Irq.ERROR, Irq.REQUEST, 77):
        with pytest.raises(Refusal) as refused:
            client.call(Command.DEVICE_GET_IRQ_INFO, IRQ_INFO.pack(16, 0, index, 0))
        assert refused.value.errno == errno.EINVAL


def test_identity_in_the_configuration_space(client: Client) -> None:
    assert client.config(0) == 0x56781234
    client.set_config(0, 0xFFFF)
    assert client.config(0) == 0x56781234, "nobody writes that"
    client.set_config(0x10, 0xFFFFFFFF, 4)
    assert client.config(0x10) == 0xFFFFF000, "4 KiB"
    client.set_config(0x14, 0xFFFFFFFF, 4)
    assert client.config(0x14) == 0xFFFFFFE1, "32 ports"


# -- registers --------------------------------------------------------------------------------------------------------


def test_accesses_by_every_width(client: Client, device: Model) -> None:
    assert client.read(0) == 0xCAFE0001
    assert (client.read(0, 1), client.read(2, 2), client.read(3, 1)) == (0x01, 0xCAFE, 0xCA)
    client.write(0x10, 0x1122334455667788, 8)
    client.write(0x12, 0xABCD, 2)
    assert client.read(0x10, 8) == 0x11223344ABCD7788
    assert client.read(0x14) == 0x11223344
    client.write(0x18, 0x11, 1)
    assert (client.read(0x18, 1), client.read(0x18)) == (0xFF, 0), "an access that is not its width is refused"
    assert client.read(0x30) == 0, "nothing is there"
    assert client.read(0, 1, region=1) == 0x5A
    client.write(0x204, 0x01020304)
    assert client.read(0x206, 2) == 0x0102
    assert device.RAM[4:8] == bytes([4, 3, 2, 1])


def test_an_array_knows_which_of_it_is_meant(client: Client, device: Model) -> None:
    client.write(0x58, 7)
    client.read(0)
    assert device.seen == (3, 7)
    assert list(device.TABLE) == [0, 0, 0, 7]
    device.TABLE[1] = 9
    assert client.read(0x48) == 9
    assert write(Model.TABLE, 7) in device.trace
    assert device.trace.find(write(Model.TABLE))[0].register == "TABLE[3]"
    assert (write(Model.TABLE[3]) in device.trace, write(Model.TABLE[2]) in device.trace) == (True, False)
    with pytest.raises(IndexError):
        write(Model.TABLE[4])
    with pytest.raises(IndexError, match="TABLE has 4 registers"):
        device.TABLE[4]


def test_a_posted_write_has_no_answer_and_comes_before_what_follows(client: Client) -> None:
    for value in range(100):
        client.write(0x10, value, 8, posted=True)
    assert client.read(0x10, 8) == 99


def test_a_write_is_answered_before_it_takes_effect(serve: Serve) -> None:
    class Slow(Model):
        def control(self, old: Word, new: Word) -> None:
            assert released.wait(10)

    released = threading.Event()
    device = Slow()
    client = serve(device)
    client.write(4, 1)  # The answer is here, and the method waits still.
    released.set()
    assert client.read(4) == 1


# -- interrupts -------------------------------------------------------------------------------------------------------


def test_intx_is_signalled_once_until_it_is_unmasked(client: Client, device: Model) -> None:
    fd = eventfd()
    client.irq(Irq.INTX, [fd])
    client.write(4, 0x2)
    client.write(4, 0x2)
    client.read(0)
    assert rung(fd) == 1, "masked by itself"
    client.irq(Irq.INTX, flags=IrqSet.DATA_NONE | IrqSet.UNMASK, count=1)
    assert rung(fd) == 1, "the level is high still"
    client.write(4, 0)
    client.read(0)
    client.irq(Irq.INTX, flags=IrqSet.DATA_NONE | IrqSet.UNMASK, count=1)
    assert rung(fd) == 0
    assert client.config(6, 2) & 0x8 == 0, "Interrupt Status"
    device.raise_irq()
    assert client.config(6, 2) & 0x8


def test_intx_that_the_guest_has_disabled_waits(client: Client, device: Model) -> None:
    fd = eventfd()
    client.irq(Irq.INTX, [fd])
    client.set_config(4, 0x400)
    device.raise_irq()
    assert rung(fd) == 0
    client.set_config(4, 0)
    client.read(0)
    assert rung(fd) == 1


def test_messages_take_the_place_of_intx(client: Client, device: Model) -> None:
    intx, vectors = eventfd(), [eventfd() for _ in range(2)]
    client.irq(Irq.INTX, [intx])
    client.irq(Irq.MSI, vectors)
    client.write(4, 0x12)
    client.write(4, 0x32)
    client.read(0)
    assert (rung(intx), rung(vectors[0]), rung(vectors[1])) == (0, 0, 2), "the last one stands for those not enabled"
    client.irq(Irq.MSI, flags=IrqSet.DATA_NONE | IrqSet.TRIGGER, count=0)
    device.raise_irq()
    assert (rung(intx), rung(vectors[1])) == (1, 0)
    assert [one.text for one in device.trace.find(interrupt())] == ["MSI", "MSI", "INTX"]


def test_a_vector_of_msix_without_an_eventfd_is_pending(client: Client, device: Model) -> None:
    first, second = eventfd(), eventfd()
    client.irq(Irq.MSIX, [first])
    device.raise_irq(1)
    assert client.read(0x820, 8) == 0b10
    client.irq(Irq.MSIX, [second], start=1)
    assert (rung(first), rung(second)) == (0, 1)
    assert client.read(0x820, 8) == 0


def test_msix_whose_vectors_are_all_masked(client: Client, device: Model) -> None:
    """As while a driver requests its interrupts: QEMU has wired none, and the device must not drive INTx (6.8.2.3)."""
    intx, vector = eventfd(), eventfd()
    client.irq(Irq.INTX, [intx])
    control = device.config.places[-1] + 2
    client.write(control, 0x8001, 2, region=Region.CONFIG)
    device.raise_irq(1)
    assert (device.interrupts.level, rung(intx)) == (False, 0)
    assert client.read(0x820, 8) == 0b10
    client.irq(Irq.MSIX, [vector], start=1)
    assert rung(vector) == 1
    client.write(control, 0x0001, 2, region=Region.CONFIG)
    client.call(Command.DEVICE_SET_IRQS, IRQ_SET.pack(20, IrqSet.DATA_NONE | IrqSet.TRIGGER, Irq.MSIX, 0, 0))
    device.raise_irq(1)
    assert (device.interrupts.level, rung(intx)) == (True, 1), "MSI-X is off again"


@pytest.mark.parametrize(
    ("index", "flags", "start", "count", "number_of_fds"),
    [
        (0, IrqSet.DATA_EVENTFD | IrqSet.TRIGGER, 0, 2, 2),
        (0, IrqSet.DATA_EVENTFD | IrqSet.TRIGGER, 0, 1, 2),
        (0, IrqSet.DATA_EVENTFD | IrqSet.UNMASK, 0, 1, 1),
        (0, IrqSet.DATA_NONE | IrqSet.DATA_BOOL | IrqSet.TRIGGER, 0, 1, 0),
        (0, IrqSet.DATA_NONE, 0, 1, 0),
        (0, 0x100, 0, 1, 0),
        (0, IrqSet.DATA_BOOL | IrqSet.TRIGGER, 0, 1, 0),
        (2, IrqSet.DATA_NONE | IrqSet.TRIGGER, 0xFFFFFFFF, 0xFFFFFFFF, 0),
        (3, IrqSet.DATA_NONE | IrqSet.TRIGGER, 0, 0, 0),
        (9, IrqSet.DATA_NONE | IrqSet.TRIGGER, 0, 0, 0),
    ],
)
def test_interrupts_that_there_are_not(
    client: Client, index: int, flags: int, start: int, count: int, number_of_fds: int
) -> None:
    fds = [eventfd() for _ in range(number_of_fds)]
    with pytest.raises(Refusal):
        client.irq(index, fds, start=start, flags=flags, count=count)
    client.read(0)
    ours = [eventfd_id(fd) for fd in fds]
    there = [eventfd_id(int(link.name)) for link in Path("/proc/self/fd").iterdir()]
    assert sorted(found for found in there if found in ours) == sorted(ours), "the server's copies are closed"


def eventfd_id(fd: int) -> str:
    """Return the kernel's number of an eventfd (proc_pid_fdinfo(5)); empty for another file or one that was closed."""
    try:
        lines = Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split()[1] for line in lines if line.startswith("eventfd-id:")), "")


def test_what_is_no_eventfd_is_refused(client: Client, tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file, pytest.raises(Refusal):
        client.irq(Irq.INTX, [file.fileno()])
    assert client.read(0)


# -- resets and power -------------------------------------------------------------------------------------------------


def test_a_reset(client: Client, device: Model) -> None:
    client.write(0x10, 5, 8)
    client.write(0x1C, 6)
    client.set_config(4, 7)
    client.call(Command.DEVICE_RESET)
    assert (client.read(0x10, 8), client.read(0x1C), client.config(4, 2)) == (0, 6, 0)
    assert [one.text for one in device.trace.find(happened("reset"))] == ["power on", "bus reset"]


def test_a_function_level_reset(client: Client, device: Model) -> None:
    place = device.config.places[2]
    client.write(0x10, 5, 8)
    client.set_config(place + 8, 0x8000)
    assert client.read(0x10, 8) == 0
    assert client.config(place + 8, 2) & 0x8000 == 0
    assert device.trace[-3].text == Reset.FUNCTION.value


def test_a_function_that_sleeps_answers_nothing_and_wakes_up_new(client: Client, device: Model) -> None:
    place = device.config.places[0]
    client.write(0x10, 5, 8)
    client.set_config(place + 4, 3)
    client.write(0x10, 6, 8)
    assert client.read(0x10, 8) == (1 << 64) - 1
    client.set_config(place + 4, 0)
    assert client.read(0x10, 8) == 0


def test_a_card_that_is_pulled_out_is_gone(client: Client, device: Model) -> None:
    fd = eventfd()
    client.irq(Irq.INTX, [fd])
    device.pull()
    device.raise_irq()
    assert (client.read(0), client.config(0), rung(fd)) == (0xFFFFFFFF, 0xFFFFFFFF, 0)
    client.write(0x10, 1, 8)
    client.read(0)
    assert device.WIDE == 0


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "payload"),
    [
        (0, b""),
        (14, b""),
        (99, b"x" * 100),
        (0xFFFF, b""),
        (Command.VERSION, b"\0\0"),
        (Command.VERSION, struct.pack("=HH", 7, 1)),
        (Command.DMA_MAP, b"short"),
        (Command.DMA_MAP, DMA_MAP.pack(32, 3, 0, 0, 0)),
        (Command.DMA_MAP, DMA_MAP.pack(32, 3, 0, 1, 4096)),
        (Command.DMA_MAP, DMA_MAP.pack(32, 3, 0, (1 << 64) - 4096, 8192)),
        (Command.DMA_UNMAP, b""),
        (Command.DMA_UNMAP, struct.pack("=IIQQ", 24, 0, 0, 4096)),
        (Command.DEVICE_GET_INFO, b""),
        (Command.DEVICE_GET_REGION_INFO, REGION_INFO.pack(32, 0, 9, 0, 0, 0)),
        (Command.DEVICE_GET_REGION_IO_FDS, bytes(16)),
        (Command.REGION_READ, b""),
        (Command.REGION_READ, REGION_ACCESS.pack(0, 0, 0)),
        (Command.REGION_READ, REGION_ACCESS.pack(0, 0, 3)),
        (Command.REGION_READ, REGION_ACCESS.pack(0x1000, 0, 4)),
        (Command.REGION_READ, REGION_ACCESS.pack(0xFFE, 0, 4)),
        (Command.REGION_READ, REGION_ACCESS.pack((1 << 64) - 1, 0, 4)),
        (Command.REGION_READ, REGION_ACCESS.pack(0, 0, 0xFFFFFFFF)),
        (Command.REGION_READ, REGION_ACCESS.pack(0, 5, 4)),
        (Command.REGION_READ, REGION_ACCESS.pack(0, Region.ROM, 4)),
        (Command.REGION_READ, REGION_ACCESS.pack(0, Region.VGA, 4)),
        (Command.REGION_READ, REGION_ACCESS.pack(0, Region.CONFIG, 4097)),
        (Command.REGION_WRITE, REGION_ACCESS.pack(0, 0, 4) + b"abc"),
        (Command.REGION_WRITE, REGION_ACCESS.pack(0, 0, 4) + b"abcde"),
        (Command.REGION_WRITE_MULTI, bytes(64)),
        (Command.DEVICE_SET_IRQS, b""),
    ],
)
def test_a_message_that_means_nothing_is_refused_and_the_next_one_done(
    client: Client, command: int, payload: bytes
) -> None:
    with pytest.raises(Refusal) as refused:
        client.call(command, payload)
    assert refused.value.errno
    assert client.read(0) == 0xCAFE0001
    client.send(command, payload, flags=NO_REPLY)
    assert client.read(0) == 0xCAFE0001, "and where no answer is wanted there is none"


def test_a_message_that_is_too_long_is_read_over(client: Client) -> None:
    size = MAX_MESSAGE + 1
    client.socket.sendall(HEADER.pack(7, Command.REGION_WRITE, size, 0, 0) + bytes(size - HEADER.size))
    number, _, flags, error, _ = client.receive()
    assert (number, flags & ERROR, error) == (7, ERROR, errno.EMSGSIZE)
    assert client.read(0) == 0xCAFE0001


def test_a_message_that_is_shorter_than_its_header_ends_the_connection(client: Client, device: Model) -> None:
    client.socket.sendall(HEADER.pack(1, Command.REGION_READ, 5, 0, 0))
    with pytest.raises(EOFError):
        client.receive()
    device.trace.expect(happened("refused"))


def test_a_message_in_pieces(client: Client) -> None:
    data = HEADER.pack(9, Command.REGION_READ, HEADER.size + 16, 0, 0) + REGION_ACCESS.pack(0, 0, 4)
    for byte in data:
        client.socket.send(bytes([byte]))
    assert client.receive()[4][16:] == (0xCAFE0001).to_bytes(4, "little")


def test_before_the_version_nothing_is_answered(tmp_path: Path, device: Model) -> None:
    server = Server(device, tmp_path / "early.sock")
    client = Client(tmp_path / "early.sock")
    try:
        with pytest.raises(Refusal) as refused:
            client.read(0)
        assert refused.value.errno == errno.EPROTO
    finally:
        client.close()
        server.close()


def test_a_path_longer_than_a_socket_s_name_can_be(tmp_path: Path, device: Model) -> None:
    folder = tmp_path / ("x" * 120) / ("y" * 120)
    folder.mkdir(parents=True)
    Server(device, folder / "long.sock").close()


def test_one_client_after_the_other(serve: Serve, device: Model, tmp_path: Path) -> None:
    client = serve(device)
    client.write(0x10, 1, 8)
    fds = len(list(Path("/proc/self/fd").iterdir()))
    client.close()
    device.trace.expect(happened("unplugged"))
    again = Client(next(tmp_path.glob("*.sock")))
    again.agree()
    assert again.read(0x10, 8) == 0, "power was off meanwhile"
    assert len(list(Path("/proc/self/fd").iterdir())) == fds
    again.close()


# -- models that fail -------------------------------------------------------------------------------------------------


class Broken(Model):
    patience: float | None = 0.3

    def __init__(self) -> None:
        self.released = threading.Event()

    def control(self, old: Word, new: Word) -> None:
        if new.speed == 1:
            raise KeyError("no such speed")
        if new.speed == 2:
            raise SystemExit("enough")
        if new.speed == 3:
            self.released.wait(20)

    def port(self, value: Word) -> int:
        if self.CONTROL.speed == 4:
            self.released.wait(20)
        return "five"  # type: ignore[return-value]


def test_what_a_model_raises_is_kept_with_its_traceback(serve: Serve) -> None:
    device = Broken()
    client = serve(device)
    client.write(4, 0x10)
    client.write(4, 0x20)
    assert client.read(0) == 0xCAFE0001, "the guest goes on"
    assert client.read(0, 1, region=1) == 0xFF
    first, second, third = device.errors
    assert "raised KeyError: 'no such speed'" in first.cause
    assert "test_server.py" in first.cause
    assert isinstance(first.__cause__, KeyError)
    assert 'raise KeyError("no such speed")' in first.detail
    assert "SystemExit" in second.cause
    assert "port has to return what is read of PORT, and returned 'five'" in third.cause
    for _ in range(100):
        client.write(4, 0x10)
    client.read(0)
    assert len(device.errors) == 20, "as many as anybody reads"


class Untold(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


CIRCLE = ValueError("circle")
CIRCLE.__cause__ = CIRCLE


@pytest.mark.parametrize(
    "error",
    [
        Untold(),
        KeyboardInterrupt(),
        GeneratorExit(),
        MemoryError(),
        BrokenPipeError(32, "as of the connection"),
        Refused(5, "as of the server"),
        StreamBroken("as of the channel"),
        ExceptionGroup("two", [ValueError(1), Untold()]),
        CIRCLE,
        ValueError("x" * 10_000_000),
        ValueError("\udcff"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("how", ["read", "write", "timer", "frame", "reset", "plug", "unplug"])
def test_whatever_a_model_raises_the_guest_goes_on(serve: Serve, error: BaseException, how: str) -> None:
    class Raises(Model):
        armed = how == "plug"

        def fail(self, *_: object) -> int:
            if self.armed:
                raise error
            return 0

        control = fail  # type: ignore[assignment]
        port = fail  # type: ignore[assignment]
        on_plug = fail  # type: ignore[assignment]
        on_unplug = fail  # type: ignore[assignment]
        on_reset = fail  # type: ignore[assignment]

    device = Raises()
    client = serve(device)
    device.armed = True
    if how == "read":
        assert client.read(0, 1, region=1) == 0xFF
    elif how == "write":
        client.write(4, 1)
    elif how == "timer":
        device.after(0, device.fail)
        device.trace.expect(happened("note"))
    elif how == "frame":
        device.call(device.fail)
    elif how == "reset":
        client.call(Command.DEVICE_RESET)
    if how == "unplug":
        client.close()
        until = time.monotonic() + 10
        while not device.errors and time.monotonic() < until:
            time.sleep(0.01)
    else:
        assert client.read(0) == 0xCAFE0001
    problem = device.errors[0]
    assert "the model Raises raised " in problem.cause
    assert type(error).__name__ in problem.cause
    assert "raise error" in problem.detail
    assert len(problem.cause) + len(problem.detail) < 20_000
    assert problem.__cause__ is error
    assert not device.dead


def test_a_mistake_in_the_server_itself_is_answered(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, device: Model
) -> None:
    """A thread that ends with an exception would have QEMU wait for ten minutes."""
    client = serve(device)
    monkeypatch.setattr(device, "config_read", lambda *_: 1 // 0)
    with pytest.raises(Refusal) as refused:
        client.config(0)
    assert refused.value.errno == errno.EIO
    assert client.read(0) == 0xCAFE0001
    assert "ZeroDivisionError" in device.errors[0].detail


@pytest.mark.parametrize("command", [Command.REGION_READ, Command.REGION_WRITE])
def test_a_qemu_that_reads_no_answers_makes_no_model_late(serve: Serve, command: Command) -> None:
    """Its socket is full, and the server waits; the model's method does not."""

    class Quick(Model):
        patience: float | None = 0.3

    device = Quick()
    client = serve(device)
    client.socket.settimeout(0.5)
    data = b"1234" if command == Command.REGION_WRITE else b""
    payload = REGION_ACCESS.pack(0x10 if data else 0, 0, 4) + data
    with pytest.raises(TimeoutError):
        collections.deque((client.send(command, payload) for _ in itertools.count()), maxlen=0)
    # Longer than the patience, and two looks at it.
    time.sleep(2.5)
    assert device.errors == []
    client.close()
    device.trace.expect(happened("unplugged"))
    assert (device.ID, device.dead) == (0xCAFE0001, False)


@pytest.mark.parametrize("reset", ["bus", "function", "power"])
def test_a_reset_that_does_not_return(serve: Serve, reset: str) -> None:
    device = Stuck()
    client = serve(device)
    device.where = "reset"
    power, _, express, _ = device.config.places
    if reset == "bus":
        client.call(Command.DEVICE_RESET)
    elif reset == "function":
        client.set_config(express + 8, 0x8000)
    else:
        client.set_config(power + 4, 3)
        client.set_config(power + 4, 0)
    assert client.read(0) == 0xFFFFFFFF
    no_longer_serving(device)
    device.released.set()


def test_a_qemu_that_is_killed_while_a_method_runs(serve: Serve, tmp_path: Path) -> None:
    """The method ends in peace, and the next machine has a device that answers."""
    device = Stuck()
    device.patience = 20
    client = serve(device)
    device.after(0, device.wait)
    assert device.begun.wait(10)
    client.send(Command.REGION_READ, REGION_ACCESS.pack(0, 0, 4))
    client.close()
    device.released.set()
    device.trace.expect(happened("unplugged"))
    again = Client(next(tmp_path.glob("*.sock")))
    again.agree()
    assert again.read(0) == 0xCAFE0001
    assert device.errors == []
    again.close()


def test_two_machines_at_once_share_no_state_of_a_model(serve: Serve) -> None:
    devices = [Model(), Model()]
    clients = [serve(device) for device in devices]
    fds = [eventfd(), eventfd()]

    def drive(which: int) -> None:
        client = clients[which]
        client.irq(Irq.INTX, [fds[which]])
        for value in range(200):
            client.write(0x10, value * 2 + which, 8)
            client.write(0x40 + 8 * (value % 4), value + 1000 * which)
            assert client.read(0x10, 8) == value * 2 + which
        client.write(0x200, which + 1)

    threads = [threading.Thread(target=drive, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [int(device.WIDE) for device in devices] == [398, 399]
    assert [list(device.TABLE) for device in devices] == [[196, 197, 198, 199], [1196, 1197, 1198, 1199]]
    assert [client.read(0x200) for client in clients] == [1, 2]
    devices[0].faults.add("all-ones@ID#1 times=0")
    devices[0].raise_irq()
    assert [rung(fd) for fd in fds] == [1, 0]
    assert [client.read(0) for client in clients] == [0xFFFFFFFF, 0xCAFE0001]
    devices[0].pull()
    assert (clients[1].read(0), devices[1].present) == (0xCAFE0001, True)


@pytest.mark.parametrize("how", ["read", "write", "posted"])
def test_a_method_that_does_not_return_makes_the_device_dead_and_no_one_waits(serve: Serve, how: str) -> None:
    device = Broken()
    client = serve(device)
    begun = time.monotonic()
    if how == "read":
        client.write(4, 0x40)
        assert client.read(0, 1, region=1) == 0xFF
    else:
        client.write(4, 0x30, posted=how == "posted")
    assert client.read(0) == 0xFFFFFFFF
    client.write(0x10, 1, 8)
    client.call(Command.DEVICE_RESET)
    assert time.monotonic() - begun < 10
    (error,) = device.errors
    assert "has not returned for 0.3 s" in error.cause
    assert "self.released.wait(20)" in error.detail, "where it is"
    device.released.set()
    with device.lock:
        assert client.read(0) == 0xFFFFFFFF, "and its late answer is nobody's"


@pytest.mark.parametrize(("grows", "starved"), [(0.0, False), (100.0, True)])
def test_only_waits_since_the_method_began_make_the_machine_too_busy(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, grows: float, starved: bool
) -> None:
    """Regression: a thread that had waited for a processor in its life excused every model that hung."""
    device = Broken()
    waited = 100.0
    monkeypatch.setattr(shortage, "tasks", lambda pid: [(Path("/proc/1/task/1"), 1.0, waited)])
    # Its first look.
    device.waits = shortage.OwnWaits()
    client = serve(device)
    waited += grows
    client.write(4, 0x30)
    assert client.read(0) == 0xFFFFFFFF
    device.released.set()
    (error,) = device.errors
    assert bool(error.starved) == starved


@pytest.mark.parametrize(
    ("patience", "ran", "wanted"),
    [(3.0, None, 3.0), (60.0, None, 5.0), (None, None, 5.0), (None, 9.0, 5.0), (3.0, 2.0, 1.0), (3.0, 4.0, 0.05)],
)
def test_nobody_looks_after_a_model_before_it_can_be_late(
    patience: float | None, ran: float | None, wanted: float, device: Model, tmp_path: Path
) -> None:
    """An idle device takes no time of the processor, and a late one is given up as soon as it is late."""
    server = Server(device, tmp_path / "socket")
    device.patience = patience
    device.running = (time.monotonic() - ran, 0) if ran else None
    assert server._until_look() == pytest.approx(wanted, abs=0.5)
    device.running = None
    server.close()


class Stuck(Model):
    """Its methods for other causes than an access of the guest do not return."""

    patience: float | None = 0.3

    def __init__(self, where: str = "") -> None:
        self.released, self.begun, self.where = threading.Event(), threading.Event(), where

    def wait(self) -> None:
        self.begun.set()
        self.released.wait(20)

    def on_plug(self) -> None:
        if self.where == "plug":
            self.wait()

    def on_reset(self, reason: Reset) -> None:
        if self.where == "reset":
            self.wait()


def no_longer_serving(device: Device) -> ModelError:
    """Wait until the model is given up; the error that says so."""
    until = time.monotonic() + 10
    while not device.errors and time.monotonic() < until:
        time.sleep(0.01)
    (error,) = device.errors
    assert "has not returned for 0.3 s" in error.cause
    assert "self.released.wait(20)" in error.detail, "the model's line, not that of the access which waits for it"
    return error


@pytest.mark.parametrize("accessed", [True, False])
@pytest.mark.parametrize("cause", ["timer", "frame"])
def test_a_method_for_another_cause_that_does_not_return(serve: Serve, cause: str, accessed: bool) -> None:
    device = Stuck()
    client = serve(device)
    if cause == "timer":
        device.after(0, device.wait)
    else:
        threading.Thread(target=device.call, args=(device.wait,), daemon=True).start()
    assert device.begun.wait(10)
    if accessed:
        assert client.read(0) == 0xFFFFFFFF
    no_longer_serving(device)
    client.write(0x10, 1, 8)
    client.call(Command.DEVICE_RESET)
    assert client.read(0) == 0xFFFFFFFF
    device.released.set()
    with device.lock:
        assert client.read(0) == 0xFFFFFFFF
    assert len(device.errors) == 1


@pytest.mark.parametrize("where", ["plug", "reset"])
def test_a_method_that_does_not_return_while_the_device_is_plugged_in(serve: Serve, where: str) -> None:
    """QEMU gets a description of the device, and the guest one that does not answer."""
    device = Stuck(where)
    client = serve(device)
    no_longer_serving(device)
    assert DEVICE_INFO.unpack(client.call(Command.DEVICE_GET_INFO, DEVICE_INFO.pack(16, 0, 0, 0)))[2:] == (9, 5)
    assert client.read(0) == 0xFFFFFFFF
    device.released.set()
    with device.lock:
        assert client.read(0) == 0xFFFFFFFF, "and the thread that has plugged it in does not answer, too"


def test_a_method_that_has_not_returned_when_the_machine_ends(tmp_path: Path) -> None:
    device = Stuck()
    server = Server(device, tmp_path / "socket")
    client = Client(tmp_path / "socket")
    client.agree()
    device.after(0, device.wait)
    assert device.begun.wait(10)
    client.close()
    server.close()
    no_longer_serving(device)
    device.released.set()


def test_an_answer_for_which_qemu_has_not_waited(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after ten minutes in a debugger."""
    monkeypatch.setattr("r4l.pci.server.QEMU_WAITS", 0.2)
    device = Broken()
    device.patience = None
    client = serve(device)
    client.write(4, 0x10)
    client.read(0)
    assert len(device.errors) == 1, "one that raises at once is not late"
    client.write(4, 0x30, posted=True)
    time.sleep(0.3)
    device.released.set()
    assert client.read(0) == 0xCAFE0001
    late = device.errors[1]
    assert "has returned after 0 s" in late.cause
    assert "QEMU never speaks to it again" in late.cause


def test_one_device_is_in_one_machine_at_a_time(device: Model, tmp_path: Path) -> None:
    first = Server(device, tmp_path / "first.sock")
    with pytest.raises(UsageError, match="is in another machine"):
        Server(device, tmp_path / "second.sock")
    assert not (tmp_path / "second.sock").exists()
    first.close()
    first.close()
    Server(device, tmp_path / "second.sock").close()


def test_a_dead_device_takes_no_other_machine(serve: Serve, tmp_path: Path) -> None:
    device = Broken()
    client = serve(device)
    client.write(4, 0x30)
    assert client.read(0) == 0xFFFFFFFF
    client.close()
    with pytest.raises((EOFError, ConnectionError)):
        Client(next(tmp_path.glob("*.sock"))).agree()
    assert not device.released.is_set(), "and the model's method still has not returned"
    device.released.set()


def test_questions_about_what_has_happened(client: Client, device: Model) -> None:
    client.write(4, 0x51)
    client.read(0)
    device.trace.expect(write(Model.CONTROL.go))
    access = device.trace.expect(read(Model.ID))
    assert (access.register, access.value, access.who, access.size) == ("ID", 0xCAFE0001, "guest", 4)
    assert write(Model.CONTROL, speed=5) in device.trace
    assert write(Model.CONTROL, speed=4) not in device.trace
    assert write(Model.CONTROL.irq) not in device.trace
    assert device.trace.count(read(0)) == 1
    with pytest.raises(AttributeError, match="CONTROL has no field sped"):
        write(Model.CONTROL, sped=5)
    with pytest.raises(TypeError, match="use the class"):
        read(device.CONTROL)
