# SPDX-License-Identifier: MIT
"""The keeper's verdict on a command in its machine."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner

from r4l import home, kept
from r4l.cli import kept as cli_kept
from r4l.cli import stop as cli_stop
from r4l.errors import EnvironmentFault, GuestTimeout, R4LError, UsageError
from r4l.guest.shell import on_terminal
from r4l.kept import client
from r4l.kept.frames import DONE, EARLIER, HEADER, INPUT, OUTPUT, FrameSocket
from r4l.kept.frames import REQUEST as ASK
from r4l.kept.keeper import Keeper, Reports
from r4l.klog import KernelLog, Splat
from r4l.vm import VM

REQUEST = {"command": "insmod it.ko", "stdin": False, "terminal": None, "env": {}, "timeout": 0.1}
LINES = {
    "soft-lockup": "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [insmod:104]",
    "hard-lockup": "watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 0",
    "workqueue-lockup": "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 33s!",
    "hung-task": "INFO: task insmod:104 blocked for more than 120 seconds.",
}


class Hangs:
    """A command that does not end; meanwhile the kernel logs some lines."""

    title = "insmod it.ko"

    def __init__(self, klog: KernelLog, lines: list[str]) -> None:
        self.klog, self.lines = klog, lines

    def wait_done(self, timeout: float) -> None:
        for line in self.lines:
            self.klog.feed(f"<4>[   30.000000] {line}")

    def kill(self) -> None:
        pass


def keeper_of(vm: Any) -> Keeper:
    """A keeper of a machine, without a process and a folder of its own."""
    keeper = Keeper.__new__(Keeper)
    keeper._vm, keeper._reports = vm, Reports(vm.klog)
    return keeper


@pytest.fixture
def run() -> Iterator[Any]:
    """Runs a command that hangs, while the kernel logs the lines, in a keeper's machine."""
    ours, theirs = socket.socketpair()

    def run_it(*lines: str) -> dict[str, Any]:
        klog = KernelLog()
        klog.feed("<4>[    1.000000] WARNING: at an older place")
        vm: Any = SimpleNamespace(
            klog=klog,
            popen=lambda *_, **__: contextlib.nullcontext(Hangs(klog, list(lines))),
        )
        vm.why_it_hangs = lambda seen: VM.why_it_hangs(vm, seen)
        return keeper_of(vm)._run(FrameSocket(ours), dict(REQUEST), [])

    yield run_it
    theirs.close()
    ours.close()


@pytest.mark.parametrize("kind", LINES)
def test_a_command_that_hangs_is_told_by_the_kernels_complaint(run: Any, kind: str) -> None:
    """Regression: the answer was to give the command more time."""
    with pytest.raises(Splat) as caught:
        run(LINES[kind])
    assert caught.value.splat_kind == kind
    assert isinstance(caught.value.__cause__, GuestTimeout)


def test_a_slow_command_gets_more_time(run: Any) -> None:
    with pytest.raises(GuestTimeout, match="within"):
        run("it: at work")


class Ends:
    """A command that does something and ends."""

    title = "true"

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act

    def wait_done(self, timeout: float) -> Any:
        self.act()
        return SimpleNamespace(exit_code=0)

    def kill(self) -> None:
        pass


class Kept:
    """A machine with a keeper, whose kernel complains when a test says so."""

    def __init__(self) -> None:
        self.klog = KernelLog()
        self.act: Callable[[], object] = lambda: None
        vm: Any = SimpleNamespace(klog=self.klog, popen=lambda *_, **__: contextlib.nullcontext(Ends(self.act)))
        self.keeper = keeper_of(vm)

    def complain(self, number: int, more: str = "") -> None:
        self.klog.feed(f"<4>[    {number}.000000] INFO: task at{number}:104 blocked for more than 120 seconds. {more}")

    def ask(self, **request: Any) -> tuple[list[str], dict[str, Any]]:
        """Return the complaints of earlier that a client is told, and its answer."""
        ours, theirs = socket.socketpair()
        client = FrameSocket(theirs)
        client.send_json(ASK, request)
        thread = threading.Thread(target=self.keeper._client, args=(FrameSocket(ours),))
        thread.start()
        earlier: list[str] = []
        while frame := client.receive():
            if frame[0] == EARLIER:
                earlier += json.loads(frame[1])["complaints"]
            if frame[0] == DONE:
                thread.join()
                client.close()
                return earlier, json.loads(frame[1])
        raise AssertionError("no answer")

    def command(self) -> tuple[list[str], list[str]]:
        """Run a command; return the places of complaints before it, and of its own."""
        earlier, done = self.ask(do="exec", **REQUEST)
        return places(earlier), places(done["complaints"])


def places(sentences: list[str]) -> list[str]:
    return [re.findall(r"task at(\d+):", sentence)[0] for sentence in sentences]


def test_a_complaint_between_two_commands_is_told_by_the_next_once() -> None:
    """Regression: no command told it."""
    machine = Kept()
    assert machine.command() == ([], [])
    machine.complain(1)
    machine.klog.finish()
    machine.complain(2)
    machine.act = lambda: machine.complain(3)
    assert machine.command() == (["1", "2"], ["3"])
    machine.act = lambda: None
    assert machine.command() == ([], [])


def test_a_question_for_complaints_tells_them_once() -> None:
    machine = Kept()
    machine.complain(1)
    machine.klog.finish()
    assert places(machine.ask(do="tell")[1]["complaints"]) == ["1"]
    assert machine.ask(do="tell")[1]["complaints"] == []
    assert machine.command() == ([], [])


def test_what_a_client_did_not_hear_is_told_to_the_next() -> None:
    machine = Kept()
    machine.complain(1)
    machine.klog.finish()
    for do in ("tell", "exec"):
        ours, theirs = socket.socketpair()
        FrameSocket(theirs).send_json(ASK, {"do": do, **REQUEST})
        connection = FrameSocket(ours)
        request = connection.receive_json()
        theirs.close()
        with pytest.raises(BrokenPipeError):
            machine.keeper._tell_earlier(connection, DONE if request and request["do"] == "tell" else EARLIER)
    assert machine.command() == (["1"], [])


def test_what_a_command_did_not_live_to_tell_is_told_by_the_next() -> None:
    machine = Kept()

    def vanish() -> None:
        machine.complain(1)
        raise OSError

    machine.act = vanish
    ours, theirs = socket.socketpair()
    FrameSocket(theirs).send_json(ASK, {"do": "exec", **REQUEST})
    machine.keeper._client(FrameSocket(ours))
    machine.act = lambda: None
    assert machine.command() == (["1"], [])


def test_a_complaint_while_a_command_runs_is_that_commands() -> None:
    machine = Kept()
    heard: list[Any] = []

    def others_meanwhile() -> None:
        machine.act = lambda: None
        machine.complain(1)
        heard.append(machine.command())
        heard.append(machine.ask(do="tell")[1]["complaints"])

    machine.act = others_meanwhile
    assert machine.command() == ([], ["1"])
    assert heard == [([], []), []]


@pytest.mark.parametrize("character", ["x", "é", "\U0001f980"])
def test_a_long_sentence_of_a_guest_fits_into_a_message(character: str) -> None:
    """Regression: the escapes of other letters than ASCII's did not, and the client could not read the answer."""
    machine = Kept()
    for number in range(200):
        machine.complain(number, character * 20_000)
        machine.klog.finish()
    told = machine.command()[0]
    assert len(told) == 100


def test_the_longest_command_reaches_the_guest() -> None:
    """Regression: one of more than a mebibyte was cut, and the client heard that the keeper had ended."""
    words = ["echo", *map(str, range(250_000))]
    given: list[list[str]] = []

    def popen(command: list[str], **_: object) -> contextlib.AbstractContextManager[Ends]:
        given.append(command)
        return contextlib.nullcontext(Ends(lambda: None))

    ours, theirs = socket.socketpair()
    vm: Any = SimpleNamespace(klog=KernelLog(), popen=popen)
    keeper_of(vm)._begin(FrameSocket(theirs))
    ours.settimeout(20)
    asking = FrameSocket(ours)
    asking.send_json(ASK, {**REQUEST, "do": "exec", "command": words})
    answer = asking.receive_json()
    assert answer
    assert answer["exit_code"] == 0
    assert given == [words]
    asking.close()


class Ended:
    """A machine that has ended by itself, as the keeper sees it."""

    def __init__(self, cause: str, untold: R4LError | None) -> None:
        self.klog = KernelLog()
        self.ended_by = R4LError(cause)
        self.untold = lambda: untold

    def wait(self, timeout: float | None) -> None:
        pass

    def close(self, *, keep: bool) -> None:
        self.klog.finish()


@pytest.mark.parametrize(("complains", "code"), [(True, 123), (False, 0)])
def test_the_record_of_a_machine_that_ended_has_what_nobody_was_told(
    complains: bool, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home, "room", lambda name: tmp_path)
    (tmp_path / "it").mkdir()
    vm: Any = Ended("the guest ended its virtual machine", None)
    if complains:
        vm.klog.feed("<4>[    1.000000] INFO: task at1:104 blocked for more than 120 seconds.")
    keeper = keeper_of(vm)
    keeper.record = kept.Kept("it", 1, "7.3", "x86_64", (), 0.0, "/run", ())
    keeper._note_end()
    (gone,) = kept.lost()
    assert (gone.end, places(list(gone.complaints)), gone.exit_code) == (vm.ended_by.cause, ["1"] * complains, code)
    assert not kept.lost()


def test_a_machine_that_is_gone_is_told_of_by_a_command_that_means_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: a command for another machine, or a shell's completion, took the note with it."""
    monkeypatch.setattr(home, "room", lambda name: tmp_path)
    for name, complaints in (("one", ("it broke",)), ("two", ())):
        (tmp_path / name).mkdir()
        record = kept.Kept(name, 1, "7.3", "x86_64", (), 0.0, "/run", (), "over", complaints, 123 * len(complaints))
        record.write()
    assert kept.running() == []
    with pytest.raises(UsageError, match="two is gone: over") as plain:
        kept.find("two")
    with pytest.raises(UsageError, match="one is gone: over") as bad:
        kept.find("one")
    assert (plain.value.exit_code, bad.value.exit_code, bad.value.detail) == (2, 123, "it broke")
    with pytest.raises(UsageError, match="no machine is kept"):
        kept.find(None)


def test_a_machine_that_ends_meanwhile_does_not_save_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: `r4l stop --all` ended with the first machine that was gone, and left those behind it running."""
    machines = [kept.Kept(name, 1, "7.3", "x86_64", (), 0.0, "/run", ()) for name in ("one", "two", "three")]
    stopped: list[str] = []

    def stop_one(machine: kept.Kept) -> client.Stopped:
        if machine.name == "two":
            kept.connect(machine)
        stopped.append(machine.name)
        return client.Stopped(True)

    monkeypatch.setattr(home, "room", lambda name: tmp_path)
    monkeypatch.setattr(kept, "running", lambda: machines)
    monkeypatch.setattr(cli_stop, "stop", stop_one)
    done = CliRunner().invoke(cli_stop.command, ["--all"])
    assert (done.exit_code, stopped) == (0, ["one", "three"]), done.output
    monkeypatch.setattr(kept, "find", lambda _: machines[1])
    assert isinstance(CliRunner().invoke(cli_stop.command, ["two"]).exception, UsageError)


@pytest.mark.parametrize(("script", "code"), [("exit 121", 121), ("kill -9 $$", None)])
def test_a_keeper_that_is_killed_at_its_start_is_an_error(
    script: str, code: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: the command ended without a word, with an exit code that is none."""
    monkeypatch.setattr(cli_kept, "tell_of_lost", lambda: 0)
    monkeypatch.setattr(cli_kept, "OWN_PYTHON", ("sh", "-c", script))
    with contextlib.nullcontext() if code else pytest.raises(EnvironmentFault, match="ended from outside: Killed"):
        assert cli_kept.begin((), 1.0, shell=False) == code


def test_a_fault_of_the_keepers_is_told_to_the_client() -> None:
    """Regression: the client waited for an answer for ever."""
    ours, theirs = socket.socketpair()
    vm: Any = SimpleNamespace(klog=KernelLog(), popen=lambda *_, **__: 1 / 0)
    keeper_of(vm)._begin(FrameSocket(theirs))
    asking = FrameSocket(ours)
    asking.send_json(ASK, REQUEST)
    ours.settimeout(20)
    answer = asking.receive_json()
    assert answer
    assert answer["exit_code"] is None
    assert "the keeper has failed: ZeroDivisionError" in answer["error"]["cause"]
    asking.close()


def test_an_answer_without_sense_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: an assertion failed, or a thread died."""
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(kept, "connect", lambda _: ours)
    with client.RemoteProcess(cast(Any, None), dict(REQUEST), None, None, []) as process:
        FrameSocket(theirs).send(DONE, b"[")
        with pytest.raises(R4LError, match="keeper's answer has failed: JSONDecodeError"):
            process.wait_done(20)
    theirs.close()


class Late(client.RemoteProcess):
    """A command whose reader is slow to tell of its end."""

    def _fail(self, error: BaseException) -> None:
        time.sleep(0.3)
        super()._fail(error)


def test_a_reader_of_the_output_that_goes_is_no_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: on a busy host the wait was over before its reason was there, and the command counted as late."""
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(kept, "connect", lambda _: ours)

    def show(_data: bytes) -> None:
        raise BrokenPipeError

    with Late(cast(Any, None), dict(REQUEST), show, None, []) as process:
        FrameSocket(theirs).send(OUTPUT, b"y\n")
        with pytest.raises(BrokenPipeError):
            process.wait_done(20)
    theirs.close()


def test_a_shell_ends_with_the_reader_of_its_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: `r4l shell --join | head` stayed for ever, with the terminal in raw mode, where ^C is input."""
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(kept, "connect", lambda _: ours)
    ended: list[BaseException] = []

    def enter() -> None:
        try:
            on_terminal(client.RemoteGuest(cast(Any, None)), ("/bin/sh",))
        except OSError as error:
            ended.append(error)

    terminal, users = os.openpty()
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(users, encoding="utf-8") as stdin, os.fdopen(writer, "w", encoding="utf-8") as stdout:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "stdout", stdout)
        shell = threading.Thread(target=enter, daemon=True)
        shell.start()
        FrameSocket(theirs).send(OUTPUT, b"# ")
        shell.join(20)
    os.close(terminal)
    theirs.close()
    assert [type(error) for error in ended] == [BrokenPipeError]


class Unread:
    """A command that takes no input.

    Attributes:
        killed: set when it is killed.
    """

    title = "sleep 1000"

    def __init__(self) -> None:
        self.killed = threading.Event()

    def write(self, data: bytes, timeout: float) -> None:
        self.killed.wait(60)

    def wait_done(self, timeout: float) -> Any:
        self.killed.wait(60)
        return SimpleNamespace(exit_code=137)

    def kill(self) -> None:
        self.killed.set()


@pytest.mark.parametrize("sent", [0, 1, 300_000])
def test_a_client_that_goes_takes_its_command_along(sent: int) -> None:
    """Regression: with input that the command had not read, the command stayed for ever."""
    command = Unread()
    vm: Any = SimpleNamespace(klog=KernelLog(), popen=lambda *_, **__: contextlib.nullcontext(command))
    ours, theirs = socket.socketpair()
    asking = FrameSocket(ours)
    asking.send_json(ASK, {**REQUEST, "do": "exec", "stdin": True, "timeout": None})
    keeper_of(vm)._begin(FrameSocket(theirs))
    if sent:
        ours.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(20):
                ours.send(HEADER.pack(INPUT, sent) + bytes(sent))
    assert not command.killed.wait(0.5)
    ours.close()
    assert command.killed.wait(20)


def test_a_keeper_is_killed_by_its_connection_and_not_by_a_number(tmp_path: Path) -> None:
    """Regression: the number in the record may be another process's."""
    path = str(tmp_path / "socket")
    script = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print(flush=1);"
    with subprocess.Popen([sys.executable, "-c", script + "s.accept(); input()", path], stdout=-1, stdin=-1) as keeper:
        assert keeper.stdout
        keeper.stdout.readline()
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        connection = FrameSocket(sock)
        assert connection.peer == keeper.pid
        client._kill(client._descriptor(connection.peer), connection.peer)
        assert keeper.wait(20) == -9
        connection.close()
