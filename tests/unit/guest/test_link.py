# SPDX-License-Identifier: MIT
"""The host's half against an agent played by the test: a good one, a dead one, an evil one."""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from r4l.errors import EnvironmentFault, GuestTimeout, R4LError
from r4l.guest import Guest, GuestError, GuestGone, Link, ProtocolError
from r4l.guest import link as link_module
from r4l.guest.frames import MAX_PAYLOAD, OUTPUT_WINDOW, STDIN_WINDOW, VERSION, Reply, Request
from r4l.vm.blame import host_fault

Handler = Callable[["Actor", int, int, bytes], None]


class Actor:
    """The other end: answers HELLO, and passes everything else to a handler."""

    def __init__(self, sock: socket.socket, handler: Handler) -> None:
        self.sock, self.handler, self.session = sock, handler, 0
        self.requests: list[int] = []
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def say(self, channel: int, kind: int, payload: bytes = b"", session: int | None = None) -> None:
        session = self.session if session is None else session
        head = struct.pack("<4sIII", b"R4L1", session, channel, len(payload) | kind << 24)
        with contextlib.suppress(BrokenPipeError):  # the host may have hung up over what came before
            self.sock.sendall(head + payload + struct.pack("<I", session ^ 0xFFFFFFFF))

    def _serve(self) -> None:
        # The host hangs up in the middle of what it does not like.
        with contextlib.suppress(ConnectionResetError):
            self._answer(self.sock.makefile("rb"))

    def _answer(self, stream: io.BufferedReader) -> None:
        while head := stream.read(16):
            _, session, channel, word = struct.unpack("<4sIII", head)
            payload = stream.read(word & 0xFFFFFF)
            stream.read(4)
            self.requests.append(word >> 24)
            if word >> 24 == Request.HELLO:
                self.session = session
                self.say(0, Reply.HELLO, struct.pack("<II", VERSION, 99))
            else:
                self.handler(self, channel, word >> 24, payload)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    theirs.close()


Connect = Callable[[Handler], tuple[Guest, Actor]]


@pytest.fixture
def connect(pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    monkeypatch.setattr(link_module, "VERDICT_PATIENCE", 0.1)
    links: list[Link] = []

    def made(handler: Handler) -> tuple[Guest, Actor]:
        actor = Actor(pair[1], handler)
        link = Link(pair[0])
        links.append(link)
        assert link.connect(5)
        return Guest(link, lambda: "end of the console"), actor

    yield made
    for link in links:
        link.close()


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def silent(*_: object) -> None:
    """Answer nothing."""


def exit_frame(code: int, how: int = 0) -> bytes:
    return struct.pack("<BiQ", how, code, 1000)


def test_a_command(connect: Connect) -> None:
    def handler(actor: Actor, channel: int, kind: int, _payload: bytes) -> None:
        if kind == Request.EXEC:
            actor.say(channel, Reply.STARTED, struct.pack("<I", 5))
            actor.say(channel, Reply.STDOUT, b"\xff\xfe out")
            actor.say(channel, Reply.STDERR, b"err")
            actor.say(channel, Reply.EXIT, exit_frame(3))

    done = connect(handler)[0].run("x", timeout=5)
    assert (done.exit_code, done.stdout_bytes, done.stdout, done.stderr) == (
        3,
        b"\xff\xfe out",
        "\ufffd\ufffd out",
        "err",
    )


def test_signal_is_told_as_a_shell_tells_it(connect: Connect) -> None:
    def handler(actor: Actor, channel: int, _kind: int, _payload: bytes) -> None:
        actor.say(channel, Reply.EXIT, exit_frame(9, how=1))

    done = connect(handler)[0].run("x", timeout=5)
    assert (done.exit_code, done.signal) == (137, 9)


def test_output_without_end_is_counted_and_not_kept(connect: Connect) -> None:
    def handler(actor: Actor, channel: int, kind: int, _payload: bytes) -> None:
        if kind == Request.EXEC:
            for _ in range(100):
                actor.say(channel, Reply.STDOUT, bytes(65536))
            actor.say(channel, Reply.EXIT, exit_frame(0))

    done = connect(handler)[0].run("x", timeout=20, limit=100_000)
    assert (len(done.stdout_bytes), done.dropped) == (100_000, 100 * 65536 - 100_000)


def test_time_out_says_that_the_guest_is_well_otherwise(connect: Connect) -> None:
    def handler(actor: Actor, channel: int, kind: int, _payload: bytes) -> None:
        if kind == Request.EXEC:
            actor.say(channel, Reply.STDOUT, b"working...")
        elif kind == Request.SIGNAL:
            actor.say(channel, Reply.EXIT, exit_frame(9, how=1))

    with pytest.raises(GuestTimeout, match="the guest still answers") as caught:
        connect(handler)[0].run("x", timeout=0.2)
    assert "working..." in caught.value.detail
    assert "end of the console" in caught.value.detail


@pytest.mark.parametrize(("answers", "words"), [(True, "cannot be killed"), (False, "no longer answers")])
def test_time_out_of_what_cannot_be_killed(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, answers: bool, words: str
) -> None:
    monkeypatch.setattr("r4l.guest.process.KILL_PATIENCE", 0.1)

    def handler(actor: Actor, channel: int, kind: int, payload: bytes) -> None:
        if kind == Request.PING and answers:
            actor.say(channel, Reply.PONG, payload)

    with pytest.raises(GuestTimeout, match=words):
        connect(handler)[0].run("x", timeout=0.2)


def test_interrupt_ends_what_waits_and_nothing_else(connect: Connect) -> None:
    def handler(actor: Actor, channel: int, kind: int, payload: bytes) -> None:
        if kind == Request.PING:
            actor.say(channel, Reply.PONG, payload)

    guest, _ = connect(handler)

    def interrupt() -> None:
        guest.link.interrupt(R4LError("oops seen"), guest.link.waiting())

    threading.Timer(0.2, interrupt).start()
    begun = time.monotonic()
    with pytest.raises(R4LError, match="oops seen"):
        guest.run("x", timeout=30)
    assert time.monotonic() - begun < 20
    assert guest.ping() < 2


def test_what_begins_after_an_oops_is_not_interrupted_for_it(connect: Connect) -> None:
    """The oops was reported for the command that it killed, and not for the next one."""
    guest, _ = connect(lambda *_: None)
    then = guest.link.waiting()
    later = guest.popen("x")
    assert not guest.link.interrupt(R4LError("oops seen"), then)
    assert guest.link.interrupt(R4LError("oops seen"), guest.link.waiting())
    with pytest.raises(R4LError, match="oops seen"):
        later.wait_done(5)


def test_verdict_on_the_end_wins_over_the_bare_fact(
    connect: Connect, pair: tuple[socket.socket, socket.socket]
) -> None:
    guest, actor = connect(silent)
    threading.Timer(0.2, lambda: pair[1].shutdown(socket.SHUT_RDWR)).start()
    with pytest.raises(GuestGone, match="ended"):
        guest.run("x", timeout=30)
    assert actor.session


def test_agent_that_starts_again_is_found_again(connect: Connect) -> None:
    def handler(actor: Actor, channel: int, kind: int, payload: bytes) -> None:
        if kind == Request.EXEC:
            actor.say(0, Reply.READY, struct.pack("<I", 1), session=0)
        elif kind == Request.PING:
            actor.say(channel, Reply.PONG, payload)

    guest, actor = connect(handler)
    with pytest.raises(GuestGone, match="started again"):
        guest.run("x", timeout=30)
    assert guest.ping() < 2
    assert actor.requests.count(Request.HELLO) >= 2


def test_answers_of_an_older_session_are_ignored(connect: Connect) -> None:
    def handler(actor: Actor, channel: int, _kind: int, payload: bytes) -> None:
        actor.say(channel, Reply.PONG, b"old", session=actor.session ^ 1)
        actor.say(channel, Reply.PONG, payload)

    guest, _ = connect(handler)
    assert guest.ping() < 2


@pytest.mark.parametrize(
    ("kind", "payload", "words"),
    [
        (Reply.EXIT, b"short", "belong"),
        (Reply.CREDIT, b"", "belong"),
        (Reply.PONG, b"", "for a command"),
        (0x42, b"", "unknown type"),
    ],
)
def test_evil_frames_end_the_connection_with_their_name(
    connect: Connect, kind: int, payload: bytes, words: str
) -> None:
    def handler(actor: Actor, channel: int, _kind: int, _payload: bytes) -> None:
        actor.say(channel, kind, payload)

    guest, _ = connect(handler)
    with pytest.raises(ProtocolError, match=words):
        guest.run("x", timeout=5)
    with pytest.raises(ProtocolError):
        guest.ping()


def test_answer_on_a_channel_never_opened(connect: Connect) -> None:
    def handler(actor: Actor, channel: int, _kind: int, _payload: bytes) -> None:
        actor.say(channel + 1000, Reply.STDOUT, b"")

    with pytest.raises(ProtocolError, match="never opened"):
        connect(handler)[0].run("x", timeout=5)


def test_a_full_disk_is_told_to_the_command_whose_output_it_is(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: the connection ended without naming the host's fault, and a student was judged by it."""

    def handler(actor: Actor, channel: int, kind: int, _payload: bytes) -> None:
        if kind == Request.PING:
            actor.say(channel, Reply.PONG)
        elif kind == Request.EXEC:
            actor.say(channel, Reply.STDOUT, b"out")
            actor.say(channel, Reply.EXIT, exit_frame(0))
        elif kind == Request.GET:
            actor.say(channel, Reply.DATA, b"out")

    guest, _ = connect(handler)
    with Path("/dev/full").open("wb", buffering=0) as full, monkeypatch.context() as patch:
        patch.setattr("r4l.guest.output.tempfile.SpooledTemporaryFile", lambda **_: full)
        with pytest.raises(EnvironmentFault, match="the disk is full") as caught:
            guest.run("x", timeout=5)
    assert host_fault(caught.value)
    with Path("/dev/full").open("wb", buffering=0) as full:
        with pytest.raises(EnvironmentFault, match="the disk is full"):
            guest._get("/x", cast(io.BufferedIOBase, full), 5, 100)
    assert guest.ping() >= 0, "the connection goes on"


def test_a_fault_of_the_reader_ends_all_waits(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: the thread ended in silence, and each wait lasted to its time-out."""

    def fail(*_: object) -> None:
        raise KeyError("x")

    guest, actor = connect(silent)
    monkeypatch.setattr(Link, "_dispatch", fail)
    with guest.popen("x") as process:
        actor.say(process.number, Reply.STDOUT, b"out")
        with pytest.raises(R4LError, match="agent has failed: KeyError: 'x'"):
            process.wait_done(20)


def test_input_that_cannot_be_read_ends_the_command(connect: Connect, tmp_path: Path) -> None:
    """Regression: the command waited for it."""
    (tmp_path / "closed").touch()
    guest, _ = connect(silent)
    with (tmp_path / "closed").open("rb") as source:
        source.close()
        with pytest.raises(R4LError, match="input has failed: ValueError"):
            guest.run("x", timeout=20, input=source)


def test_file_larger_than_allowed(connect: Connect) -> None:
    """Regression: the connection ended."""

    def handler(actor: Actor, channel: int, kind: int, _payload: bytes) -> None:
        for _ in range(20 * (kind == Request.GET)):
            actor.say(channel, Reply.DATA, bytes(60000))

    guest, actor = connect(handler)
    with pytest.raises(GuestError, match="larger"):
        guest.read("/x", limit=100_000)
    assert guest.link.connected, "an honest guest may have a large file"
    wait_for(lambda: Request.CANCEL in actor.requests)


def test_guest_that_takes_no_data(pair: tuple[socket.socket, socket.socket]) -> None:
    link = Link(pair[0])
    link._connected = True

    def flood() -> None:
        for _ in range(1000):
            link.send(1, Request.STDIN, bytes(65536), timeout=0.2)

    with pytest.raises(GuestTimeout):
        flood()
    link.close()


def test_nobody_there(pair: tuple[socket.socket, socket.socket]) -> None:
    link = Link(pair[0])
    assert not link.connect(0.3)
    link.close()


@pytest.mark.parametrize("raised", [BrokenPipeError(32, "Broken pipe"), OSError(28, "No space"), AttributeError("x")])
def test_what_a_callback_raises_is_not_the_guests_fault(connect: Connect, raised: Exception) -> None:
    """The endless command is killed; the guest goes on serving."""

    def handler(actor: Actor, channel: int, kind: int, _payload: bytes) -> None:
        if kind == Request.EXEC:
            actor.say(channel, Reply.STARTED, struct.pack("<I", 5))
            actor.say(channel, Reply.STDOUT, b"some")
            actor.say(channel, Reply.STDOUT, b"more")
        elif kind == Request.SIGNAL:
            actor.say(channel, Reply.EXIT, struct.pack("<BiQ", 1, 9, 1))

    seen: list[bytes] = []

    def callback(data: bytes) -> None:
        seen.append(data)
        raise raised

    guest, actor = connect(handler)
    with pytest.raises(type(raised)) as caught:
        guest.run("yes", on_stdout=callback)
    assert caught.value is raised
    assert seen == [b"some"]
    assert Request.SIGNAL in actor.requests
    assert guest.popen("yes").wait_done(0.1) is None, "the connection is as it was"


class Answers:
    """A guest with some commands, each known by its channel.

    Attributes:
        kinds: kinds of the requests on a channel.
        taken: bytes that the host has said to have passed on.
    """

    def __init__(self) -> None:
        self.kinds: dict[int, list[int]] = {}
        self.taken = 0

    def __call__(self, actor: Actor, channel: int, kind: int, payload: bytes) -> None:
        self.kinds.setdefault(channel, []).append(kind)
        match kind:
            case Request.PING:
                actor.say(channel, Reply.PONG, payload)
            case Request.EXEC:
                actor.say(channel, Reply.STARTED, struct.pack("<I", 5))
                if b"yes" in payload:
                    for _ in range(OUTPUT_WINDOW // MAX_PAYLOAD):
                        actor.say(channel, Reply.STDOUT, bytes(MAX_PAYLOAD))
                elif b"quick" in payload:
                    actor.say(channel, Reply.STDOUT, b"quick")
                    actor.say(channel, Reply.EXIT, exit_frame(0))
            case Request.TAKEN:
                self.taken += struct.unpack("<I", payload)[0]
            case Request.SIGNAL:
                actor.say(channel, Reply.EXIT, exit_frame(9, how=1))


def test_a_reader_that_does_not_read_holds_up_its_own_command_only(connect: Connect) -> None:
    """Regression: the thread that reads from the agent stood in the callback with the link's lock: no time-out came."""
    answers, reads = Answers(), threading.Event()
    guest, _ = connect(answers)
    seen: list[bytes] = []

    def late(data: bytes) -> None:
        reads.wait(60)
        seen.append(data)

    begun = time.monotonic()
    with pytest.raises(GuestTimeout, match="nobody on this side takes its output"):
        guest.run("yes", on_stdout=late, timeout=0.5)
    assert guest.ping() < 10
    assert guest.run("quick", on_stdout=seen.append).stdout == "quick"
    assert time.monotonic() - begun < 20
    assert answers.taken == 0, "the command waits, too"
    reads.set()


def test_a_reader_that_is_slow_gets_all_before_the_end(connect: Connect) -> None:
    guest, _ = connect(Answers())
    seen: list[bytes] = []

    def slow(data: bytes) -> None:
        time.sleep(0.3)
        seen.append(data)

    assert guest.run("quick", on_stdout=slow).stdout == "quick"
    assert seen == [b"quick"]


def test_what_was_passed_on_is_told_to_the_agent(connect: Connect) -> None:
    answers = Answers()
    guest, _ = connect(answers)
    with guest.popen("yes", on_stdout=lambda _: None, limit=0) as process:
        wait_for(lambda: answers.taken >= OUTPUT_WINDOW // 2)
    assert process.ended


def test_a_guest_that_does_not_heed_the_window_is_no_agent(connect: Connect) -> None:
    def handler(actor: Actor, channel: int, _kind: int, _payload: bytes) -> None:
        for _ in range(6 * OUTPUT_WINDOW // MAX_PAYLOAD):
            actor.say(channel, Reply.STDOUT, bytes(MAX_PAYLOAD))

    with pytest.raises(ProtocolError, match="than its window allows"):
        connect(handler)[0].run("x", on_stdout=lambda _: time.sleep(30), timeout=20)


def test_a_callback_may_use_the_guest(connect: Connect) -> None:
    guest, _ = connect(Answers())
    pings: list[float] = []
    guest.run("quick", on_stdout=lambda _: pings.append(guest.ping()), timeout=10)
    assert len(pings) == 1


@pytest.mark.parametrize("why", ["an oops", "its input"])
def test_a_command_that_nobody_waits_for_any_more_is_killed(connect: Connect, why: str, tmp_path: Path) -> None:
    """Regression: it ran on, and held what it had open."""
    answers = Answers()
    guest, _ = connect(answers)
    if why == "an oops":
        threading.Timer(
            0.2, lambda: guest.link.interrupt(R4LError("the input of an oops"), guest.link.waiting())
        ).start()
    (tmp_path / "closed").touch()
    source = (tmp_path / "closed").open("rb")
    source.close()
    with pytest.raises(R4LError, match="input"):
        guest.run("x", timeout=30, input=source if why == "its input" else None)
    wait_for(lambda: [Request.SIGNAL in kinds for kinds in answers.kinds.values()] == [True])


def test_input_that_is_taken_slowly_ends_with_the_time_out(connect: Connect) -> None:
    """Regression: each piece that was taken began the time anew."""

    def handler(actor: Actor, channel: int, kind: int, payload: bytes) -> None:
        if kind == Request.STDIN:
            time.sleep(0.3)
            actor.say(channel, Reply.CREDIT, struct.pack("<I", len(payload)))
        elif kind == Request.SIGNAL:
            actor.say(channel, Reply.EXIT, exit_frame(9, how=1))

    begun = time.monotonic()
    with pytest.raises(GuestTimeout, match="did not end within 1 s"):
        connect(handler)[0].run("x", input=bytes(100 * STDIN_WINDOW), timeout=1)
    assert time.monotonic() - begun < 20


def test_an_interrupt_amid_a_request_costs_that_request_only(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: the agent took the next request for the rest of the half one, and nothing was answered any more."""
    link, answers = Link(pair[0]), Answers()
    guest, push = Guest(link), link._push
    link._connected = True

    def interrupted(view: memoryview, until: float) -> int:
        if len(view) < MAX_PAYLOAD:
            return push(view, until)
        monkeypatch.setattr(link, "_push", push)
        push(view[:1000], until)
        raise KeyboardInterrupt

    monkeypatch.setattr(link, "_push", interrupted)
    received: list[int] = []

    def agent() -> None:
        decoder = HostsFrames()
        while data := pair[1].recv(1 << 16):
            for kind, channel, payload in decoder.feed(data):
                received.append(kind)
                answers(actor, channel, kind, payload)

    actor = Actor.__new__(Actor)
    actor.sock, actor.session = pair[1], link._session
    threading.Thread(target=agent, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        guest.put(bytes(5 * MAX_PAYLOAD), "/x")
    assert guest.ping() < 10
    assert received == [Request.PUT, Request.CANCEL, Request.PING]
    link.close()


class HostsFrames:
    """The agent's decoder (rust/agent/src/frame.rs), for frames of the host."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        self._data += data
        while len(self._data) >= 16:
            magic, session, channel, word = struct.unpack_from("<4sIII", self._data)
            end = 16 + (word & 0xFFFFFF)
            if magic == b"R4L1" and len(self._data) < end + 4:
                return
            if magic != b"R4L1" or self._data[end : end + 4] != struct.pack("<I", session ^ 0xFFFFFFFF):
                found = self._data.find(b"R", 1)
                self._data = self._data[found:] if found > 0 else b""
                continue
            yield word >> 24, channel, self._data[16:end]
            self._data = self._data[end + 4 :]
