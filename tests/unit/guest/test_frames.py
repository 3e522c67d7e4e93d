# SPDX-License-Identifier: MIT
"""Frames that the decoder accepts, skips and refuses."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r4l.guest.errors import ProtocolError
from r4l.guest.frames import GARBAGE_LIMIT, MAX_PAYLOAD, Decoder, Frame, Reply, Request, encode, fresh_session


def reply(payload: bytes = b"", *, session: int = 7, channel: int = 1, kind: int = Reply.STDOUT) -> bytes:
    head = struct.pack("<4sIII", b"R4L1", session, channel, len(payload) | kind << 24)
    return head + payload + struct.pack("<I", session ^ 0xFFFFFFFF)


def test_a_frame_in_any_pieces() -> None:
    data = reply(b"hello") + reply(b"", kind=Reply.PONG)
    for size in (1, 3, len(data)):
        decoder = Decoder()
        frames = [frame for i in range(0, len(data), size) for frame in decoder.feed(data[i : i + size])]
        assert frames == [Frame(7, 1, Reply.STDOUT, b"hello"), Frame(7, 1, Reply.PONG, b"")]


def test_noise_between_frames_is_skipped() -> None:
    decoder = Decoder()
    assert [f.payload for f in decoder.feed(b"boot noise R4L" + reply(b"a") + b"\0\0R4" + reply(b"b"))] == [b"a", b"b"]


def test_a_half_frame_filled_up_with_zeros_is_dropped() -> None:
    decoder = Decoder()
    begun = reply(b"x" * 1000)[:40]
    assert decoder.feed(begun + bytes(MAX_PAYLOAD + 20) + reply(b"new"))[-1].payload == b"new"
    assert decoder.garbage == 0


@pytest.mark.parametrize("drawn", [0, 1, 0xFEFF_FFFE, 0xFEFF_FFFF, 0xFF00_0000, 0xFFFF_FFFF])
def test_zeros_complete_no_frame_of_any_session(monkeypatch: pytest.MonkeyPatch, drawn: int) -> None:
    monkeypatch.setattr("r4l.guest.frames.randbits", lambda bits: drawn)
    session = fresh_session()
    assert session
    for missing in range(1, 5):
        frame = encode(session, 9, Request.PING, b"half")
        assert frame[:-missing] + bytes(missing) != frame


def test_a_length_over_the_limit_is_no_frame() -> None:
    head = struct.pack("<4sIII", b"R4L1", 7, 1, (MAX_PAYLOAD + 1) | Reply.STDOUT << 24)
    assert [f.payload for f in Decoder().feed(head + reply(b"ok"))] == [b"ok"]


def test_unknown_kind_is_named() -> None:
    with pytest.raises(ProtocolError, match="0x99"):
        Decoder().feed(reply(kind=0x99))


def test_garbage_without_end_is_refused() -> None:
    decoder = Decoder()
    with pytest.raises(ProtocolError, match="outside of frames"):
        decoder.feed(b"\xaa" * (GARBAGE_LIMIT + 100))


def test_memory_is_bounded_whatever_comes() -> None:
    decoder = Decoder()
    for _ in range(100):
        decoder.feed(b"R" * 5000)
    assert len(decoder._buffer) <= 16 + MAX_PAYLOAD + 5000


def test_payloads_of_ours_are_bounded_too() -> None:
    with pytest.raises(ValueError, match="at most"):
        encode(1, 1, Request.STDIN, bytes(MAX_PAYLOAD + 1))


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_any_noise_leaves_the_decoder_working(noise: list[bytes]) -> None:
    decoder = Decoder()
    try:
        for piece in noise:
            decoder.feed(piece)
    except ProtocolError:
        return
    frames = decoder.feed(bytes(MAX_PAYLOAD + 20) + reply(b"alive"))
    assert frames[-1].payload == b"alive"
