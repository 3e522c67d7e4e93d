# SPDX-License-Identifier: MIT
"""Messages that QEMU, and whoever says it is QEMU, should not send: refused, and the next one is done."""

from __future__ import annotations

import errno
import struct
from pathlib import Path

import pytest
from tests.unit.pci.client import Client, Refusal
from tests.unit.pci.models import Model

from r4l.pci import Server, happened
from r4l.pci.protocol import DMA_MAP, ERROR, HEADER, MAX_MESSAGE, NO_REPLY, REGION_ACCESS, REGION_INFO, Command, Region


@pytest.fixture
def device() -> Model:
    return Model()


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
