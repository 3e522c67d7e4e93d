# SPDX-License-Identifier: MIT
"""Two threads at the same time: one waits for the guest, the other reports its end."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from r4l.errors import R4LError
from r4l.guest import Guest, Link
from r4l.guest.channel import Channel, Query
from r4l.guest.frames import Reply
from r4l.guest.output import IN_MEMORY, Sink
from r4l.guest.process import GuestProcess


@pytest.fixture
def link() -> Iterator[Link]:
    ours, theirs = socket.socketpair()
    link = Link(ours)
    yield link
    link.close()
    theirs.close()


class Failing(Link):
    """A link that fails as soon as a channel has its number, as after a panic on the console at that moment."""

    def register(self, channel: Channel) -> int:
        number = super().register(channel)
        self.fail(R4LError("the kernel panicked"))
        return number


class Answering(Link):
    """A link whose guest answers before the request."""

    def register(self, channel: Channel) -> int:
        number = super().register(channel)
        with self.changed:
            channel.on_frame(Reply.PONG, b"too early")
        return number


def test_a_channel_that_begins_as_the_link_fails_has_failed() -> None:
    ours, theirs = socket.socketpair()
    link = Failing(ours)
    question = Query(link)
    with pytest.raises(R4LError, match="the kernel panicked"):
        question.wait(time.monotonic() + 0.5)
    link.close()
    theirs.close()


def test_an_answer_before_the_question_is_an_answer() -> None:
    ours, theirs = socket.socketpair()
    link = Answering(ours)
    question = Query(link)
    assert question.wait(time.monotonic() + 0.5)
    assert question.answer == b"too early"
    assert not link.waiting()
    link.close()
    theirs.close()


def test_the_end_of_what_a_closed_sink_kept() -> None:
    sink = Sink()
    sink.write(b"x" * 5000 + b"the end")
    sink.close()
    assert sink.tail().endswith(b"the end")
    assert len(sink.tail()) == 2000
    assert sink.tail(3) == b"end"


def test_a_sink_is_read_while_it_grows() -> None:
    """Reading moves the file position at which the next piece is written."""
    sink = Sink()
    pieces = [bytes([65 + number % 26]) * 1000 for number in range(2 * IN_MEMORY // 1000)]
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            sink.tail(700)

    reader = threading.Thread(target=read)
    reader.start()
    for piece in pieces:
        sink.write(piece)
    done.set()
    reader.join()
    assert sink.value() == b"".join(pieces)


def test_a_command_that_ends_at_its_time_out_has_ended(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its EXIT arrives after the end of the wait and before its output is read."""

    def ends_late(process: GuestProcess, _timeout: float | None = None) -> None:
        with link.changed:
            process.on_frame(Reply.STDOUT, b"all of it")
            process.on_frame(Reply.EXIT, struct.pack("<BiQ", 0, 7, 1000))

    monkeypatch.setattr(GuestProcess, "wait_done", ends_late)
    monkeypatch.setattr(link, "send", lambda *_arguments: None)
    done = Guest(link, lambda: "").run("x", timeout=1)
    assert (done.exit_code, done.stdout) == (7, "all of it")
