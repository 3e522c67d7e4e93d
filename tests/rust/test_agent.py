# SPDX-License-Identifier: MIT
"""The real agent as a process on the host, on a pty in place of the virtio port."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from r4l.errors import GuestTimeout, R4LError, UsageError
from r4l.guest import CommandFailed, Guest, GuestError, Link, Terminal
from r4l.guest.frames import OUTPUT_WINDOW, Request, encode
from r4l.guest.process import encode_exec
from r4l.guest.transfer import PutTransfer
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


def test_files_that_block_hold_up_nothing_else(guest: Guest, tmp_path: Path) -> None:
    """Regression: the agent opened and read them itself, in its one thread, and never answered again."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for _ in range(2):
        with pytest.raises(GuestTimeout, match="did not send"):
            guest.read(str(fifo), timeout=0.5)
        # Its reader would have the next writer begin.
        gone(str(fifo))
        with pytest.raises(GuestTimeout, match="did not finish"):
            guest.put(b"x", str(fifo), timeout=0.5)
        assert guest.run("echo hi", timeout=20).stdout == "hi\n"
        gone(str(fifo))
    transfer = PutTransfer(guest.link, str(fifo))
    try:
        with pytest.raises(GuestTimeout, match="took no data"):
            transfer.send_all(io.BytesIO(bytes(1 << 20)), 0o644, 0.5)
    finally:
        transfer.give_up()
    assert guest.alive()


def processes(word: str) -> Iterator[int]:
    """Yield the processes that have the word in their command line."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if word.encode() in (folder / "cmdline").read_bytes():
                yield int(folder.name)


def gone(word: str) -> None:
    """Wait until no process has the word in its command line."""
    until = time.monotonic() + 20
    while any(processes(word)):
        assert time.monotonic() < until, "what is given up ends"
        time.sleep(0.1)


def test_a_fifo_both_ways(guest: Guest, tmp_path: Path) -> None:
    fifo, data = tmp_path / "fifo", os.urandom(1_000_001)
    os.mkfifo(fifo)
    reader = guest.popen(["cat", str(fifo)])
    guest.put(data, str(fifo), timeout=20)
    done = reader.wait_done(20)
    assert done
    assert done.stdout_bytes == data
    (tmp_path / "data").write_bytes(data)
    writer = guest.popen(f"cat {tmp_path}/data > {fifo}")
    assert guest.read(str(fifo), timeout=20) == data
    assert writer.wait_done(20)


def test_files_of_the_kernels(guest: Guest, tmp_path: Path) -> None:
    assert guest.read("/proc/sys/kernel/ostype") == b"Linux\n"
    (tmp_path / "link").symlink_to("/proc/self/oom_score_adj")
    guest.put(b"0", str(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    with pytest.raises(GuestError, match="Invalid argument") as caught:
        guest.put(b"no number", "/proc/self/oom_score_adj")
    assert caught.value.errno == 22
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tmp_path / "door"))
        with pytest.raises(GuestError, match="No such device or address") as caught:
            guest.read(str(tmp_path / "door"))
    assert caught.value.errno == 6
    (tmp_path / "empty").touch()
    assert guest.read(str(tmp_path / "empty")) == b""


def test_a_file_without_end(guest: Guest) -> None:
    """Regression: the connection ended, and the agent sent on."""
    with pytest.raises(GuestError, match="larger than the 100 bytes"):
        guest.read("/dev/zero", limit=100)
    assert guest.run("echo hi", timeout=20).stdout == "hi\n"


def test_a_shorter_file_in_memory(guest: Guest) -> None:
    """Regression: a file below /dev was written in place, and kept its mode and the end of its content."""
    file = Path(f"/dev/shm/r4l-test-{os.getpid()}")
    try:
        guest.put(b"A" * 20, str(file))
        guest.put(b"new", str(file), 0o750)
        assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"new", 0o750)
    finally:
        file.unlink(missing_ok=True)


def test_names_of_the_greatest_length(guest: Guest, tmp_path: Path) -> None:
    there, here = tmp_path / ("n" * 255), tmp_path / ("m" * 255)
    guest.put(b"data", str(there))
    assert guest.get(str(there), here).read_bytes() == b"data"
    with pytest.raises(UsageError, match="is a folder"):
        guest.get(str(there), tmp_path)
    assert sorted(path.name[0] for path in tmp_path.iterdir()) == ["m", "n"]


def test_output_that_nobody_takes_stops_its_command_only(guest: Guest) -> None:
    reads = threading.Event()
    sizes: list[int] = []

    def late(data: bytes) -> None:
        reads.wait(60)
        sizes.append(len(data))

    with guest.popen("head -c 30000000 /dev/zero; echo end", on_stdout=late, limit=10) as process:
        assert guest.run("echo hi", timeout=20).stdout == "hi\n"
        time.sleep(0.5)
        assert not process.ended, "it waits"
        assert process._delivery
        assert process._delivery.backlog <= OUTPUT_WINDOW
        reads.set()
        assert process.wait_done(60)
    assert sum(sizes) == 30_000_004
    reads.clear()
    begun = time.monotonic()
    with pytest.raises(GuestTimeout, match="nobody on this side"):
        guest.run("yes", on_stdout=late, timeout=1)
    assert time.monotonic() - begun < 20
    reads.set()


@pytest.mark.parametrize("terminal", [None, Terminal()])
def test_output_of_a_command_that_has_ended_before_it_was_taken(guest: Guest, terminal: Terminal | None) -> None:
    seen: list[bytes] = []

    def slow(data: bytes) -> None:
        time.sleep(0.05)
        seen.append(data)

    with guest.popen("head -c 1200000 /dev/zero; echo end", on_stdout=slow, terminal=terminal) as process:
        assert process.wait_done(60)
    assert b"".join(seen).replace(b"\r", b"") == bytes(1_200_000) + b"end\n"


@pytest.mark.parametrize("why", ["oops", "input"])
def test_a_command_that_nobody_waits_for_any_more_ends(guest: Guest, why: str, tmp_path: Path) -> None:
    (tmp_path / "closed").touch()
    source = (tmp_path / "closed").open("rb")
    source.close()
    mark = f"4{os.getpid()}.{why == 'oops':d}"
    if why == "oops":
        threading.Timer(0.5, lambda: guest.link.interrupt(R4LError("no input"), guest.link.waiting())).start()
    with pytest.raises(R4LError, match="input"):
        guest.run(["sleep", mark], timeout=30, input=None if why == "oops" else source)
    gone(mark)


def test_commands_that_leave_others_behind(guest: Guest) -> None:
    """Regression: each kept two of the agent's descriptors, until it had none."""
    agent = guest.link.agent_pid
    for _ in range(300):
        guest.run(f"(exec sleep 3{os.getpid()}) &", timeout=60)
    assert len(list(Path(f"/proc/{agent}/fd").iterdir())) < 300
    for process in processes(f"3{os.getpid()}"):
        os.kill(process, signal.SIGKILL)


def test_an_interrupted_transfer_leaves_nothing(guest: Guest, tmp_path: Path) -> None:
    """Regression: half a request was sent, after which no other was answered."""
    agent = guest.link.agent_pid

    def interrupt() -> None:
        time.sleep(0.3)
        os.kill(agent, signal.SIGSTOP)
        time.sleep(0.7)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(0.3)
        os.kill(agent, signal.SIGCONT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        guest.put(bytes(1 << 30), str(tmp_path / "big"))
    assert guest.run("echo hi", timeout=20).stdout == "hi\n"
    assert list(tmp_path.iterdir()) == []


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
