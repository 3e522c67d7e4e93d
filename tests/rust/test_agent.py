# SPDX-License-Identifier: MIT
"""The real agent as a process on the host, on a pty in place of the virtio port."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from r4l.errors import GuestTimeout
from r4l.guest import CommandFailed, Guest, GuestError, Link, Terminal
from r4l.guest.frames import Request, encode
from r4l.guest.process import encode_exec
from r4l.rootfs.program import build
from r4l.toolchain import Toolchain


@pytest.fixture(scope="session")
def program() -> Path:
    return build(Toolchain.existing(), "agent")


class Port:
    """A pty whose slave the agent opens; its master is copied to and from a socket pair, whose other end is `ours`."""

    def __init__(self) -> None:
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        self._slave = slave
        self.ours, self._inner = socket.socketpair()
        threading.Thread(target=self._out, daemon=True).start()
        threading.Thread(target=self._in, daemon=True).start()

    def _out(self) -> None:
        while data := self._inner.recv(4096):
            while data:
                data = data[os.write(self.master, data) :]

    def _in(self) -> None:
        try:
            while data := os.read(self.master, 65536):
                self._inner.sendall(data)
        except OSError:
            return

    def close(self) -> None:
        os.close(self._slave)
        self._inner.close()


@pytest.fixture(scope="module")
def port(program: Path) -> Iterator[Port]:
    port = Port()
    process = subprocess.Popen([program, port.path])
    yield port
    process.kill()
    process.wait()
    port.close()


@pytest.fixture(scope="module")
def guest(port: Port) -> Iterator[Guest]:
    link = Link(port.ours)
    assert link.connect(5)
    yield Guest(link)
    link.close()


def test_streams_exit_code_and_environment(guest: Guest) -> None:
    done = guest.run("echo out; echo err >&2; echo $WHO; pwd; exit 7", env={"WHO": "me"}, cwd="/usr")
    assert (done.exit_code, done.stdout, done.stderr) == (7, "out\nme\n/usr\n", "err\n")


def test_arguments_without_a_shell(guest: Guest) -> None:
    assert guest.run(["printf", "%s|", "a b", "$HOME", "*"]).stdout == "a b|$HOME|*|"


def test_bytes_that_are_no_text(guest: Guest) -> None:
    data = bytes(range(256)) * 300
    assert guest.run("cat", input=data).stdout_bytes == data


def test_more_input_than_the_window_and_a_command_that_closes_it(guest: Guest) -> None:
    data = os.urandom(1 << 20)
    assert guest.run("cat | wc -c", input=data).stdout.strip() == str(len(data))
    assert guest.run("head -c 3", input=b"abc" * 1_000_000).stdout == "abc"


def test_signal(guest: Guest) -> None:
    done = guest.run("kill -TERM $$")
    assert (done.exit_code, done.signal) == (143, 15)


def test_no_such_program(guest: Guest) -> None:
    with pytest.raises(GuestError) as caught:
        guest.run(["/no/such/program", "-x"])
    assert caught.value.errno == 2
    assert caught.value.cause == "in the guest: /no/such/program -x: No such file or directory"


def test_check(guest: Guest) -> None:
    with pytest.raises(CommandFailed, match="exit code 3") as caught:
        guest.run("echo because >&2; exit 3", check=True)
    assert "because" in caught.value.detail


def test_time_out_kills_the_whole_session(guest: Guest, tmp_path: Path) -> None:
    beat = tmp_path / "beat"
    beat.touch()
    # Children in the same process group, and one in a group of its own, as a job-control shell makes them.
    loop = f"while :; do echo x >> {beat}; sleep 0.05; done"
    group = f"import os; os.setpgid(0, 0); os.execvp('sh', ['sh', '-c', '{loop}'])"
    with pytest.raises(GuestTimeout, match="the guest still answers"):
        guest.run(f"(trap '' HUP TERM; {loop}) & {sys.executable} -c \"{group}\" & {loop}", timeout=1)
    time.sleep(0.3)
    size = beat.stat().st_size
    time.sleep(0.3)
    assert beat.stat().st_size == size


def test_what_is_left_in_the_background_does_not_hold_the_command_up(guest: Guest) -> None:
    begun = time.monotonic()
    # `yes` may have the last word before it is killed.
    assert "done\n" in guest.run("sleep 60 & yes & echo done; kill %2 2>/dev/null; exit 0").stdout
    assert time.monotonic() - begun < 30
    assert guest.ping() < 10


def test_output_comes_as_it_is_written(guest: Guest) -> None:
    seen: list[tuple[float, bytes]] = []
    begun = time.monotonic()
    guest.run("echo a; sleep 2; echo b", on_stdout=lambda data: seen.append((time.monotonic() - begun, data)))
    assert b"".join(data for _, data in seen) == b"a\nb\n"
    assert seen[0][0] < 1.9 < seen[-1][0]


def test_several_at_once(guest: Guest) -> None:
    processes = [guest.popen(f"sleep 1; echo {i}") for i in range(20)]
    begun = time.monotonic()
    assert guest.run("echo quick").stdout == "quick\n"
    results = [process.wait_done(30) for process in processes]
    assert [done.stdout for done in results if done] == [f"{i}\n" for i in range(20)]
    assert time.monotonic() - begun < 15, "one after the other they take 20 s"


def test_terminal(guest: Guest) -> None:
    with guest.popen("tty; stty size; read line; echo got $line", terminal=Terminal(33, 99)) as process:
        process.write(b"words\n")
        done = process.wait_done(5)
    assert done is not None
    # The terminal echoes what is typed, before or after the command's first words.
    lines = [line for line in done.stdout.replace("\r", "").splitlines() if line != "words"]
    assert lines[0].startswith("/dev/pts/")
    assert lines[1:] == ["33 99", "got words"]


def test_interrupt_by_key_and_new_size(guest: Guest) -> None:
    with guest.popen(
        "trap 'stty size; exit 5' INT; echo ready; while :; do sleep 0.05; done", terminal=Terminal()
    ) as p:
        while b"ready" not in p.stdout.value():
            time.sleep(0.02)
        p.resize(Terminal(10, 20))
        p.write(b"\x03")
        done = p.wait_done(5)
    assert done is not None
    assert done.exit_code == 5
    assert "10 20" in done.stdout


def test_files_both_ways_with_their_mode(guest: Guest, tmp_path: Path) -> None:
    data = os.urandom(3_000_001)
    source = tmp_path / "source"
    source.write_bytes(data)
    source.chmod(0o750)
    target = tmp_path / "new" / "folder" / "target"
    guest.put(source, str(target))
    assert target.read_bytes() == data
    assert target.stat().st_mode & 0o777 == 0o750
    back = guest.get(str(target), tmp_path / "back")
    assert back.read_bytes() == data
    assert back.stat().st_mode & 0o777 == 0o750
    assert sorted(path.name for path in target.parent.iterdir()) == ["target"]


def test_empty_file_and_in_place_device(guest: Guest, tmp_path: Path) -> None:
    guest.put(b"", str(tmp_path / "empty"), 0o600)
    assert (tmp_path / "empty").read_bytes() == b""
    guest.put(b"gone", "/dev/null")
    assert Path("/dev/null").is_char_device()


def test_files_that_cannot_be(guest: Guest, tmp_path: Path) -> None:
    with pytest.raises(GuestError) as caught:
        guest.read("/no/such/file")
    assert caught.value.errno == 2
    assert caught.value.cause == "in the guest: /no/such/file: No such file or directory"
    with pytest.raises(GuestError):
        guest.read(str(tmp_path))
    with pytest.raises(GuestError, match="/proc/nowhere/file: "):
        guest.put(b"x" * 1_000_000, "/proc/nowhere/file")
    assert guest.alive()


def test_malformed_requests_are_answered_with_an_error(guest: Guest) -> None:
    for kind in (Request.EXEC, Request.PUT, Request.GET, Request.WAKE):
        with pytest.raises(GuestError, match="malformed"):
            guest._ask(kind, b"\1", 5)


def test_a_new_host_takes_over_in_the_middle_of_a_frame(program: Path, tmp_path: Path) -> None:
    port = Port()
    process = subprocess.Popen([program, port.path])
    try:
        first = Link(port.ours)
        assert first.connect(5)
        running = Guest(first).popen("exec sleep 1000")
        while running.pid is None:
            time.sleep(0.01)
        command = encode_exec(["touch", str(tmp_path / "x")], stdin=False, terminal=None, cwd="", env={})
        # All but its last byte: what fills it up must not make it valid.
        first._send_raw(encode(first._session, 9, Request.EXEC, command)[:-1], 5)
        # What a restored snapshot's host does: a fresh session on the same port.
        first._session ^= 0x5555
        first._connected = False
        assert first.connect(10, stale=True)
        assert Guest(first).run("echo new").stdout == "new\n"
        assert not (tmp_path / "x").exists()
        with pytest.raises(ProcessLookupError):
            os.kill(running.pid, 0)
        first.close()
    finally:
        process.kill()
        process.wait()
        port.close()
