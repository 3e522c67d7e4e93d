# SPDX-License-Identifier: MIT
"""Programs that exceed a limit are ended in bounded time, memory and disk, with the limit named."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from r4l import limits, watchdog
from r4l.errors import BuildError, EnvironmentFault, R4LError, UsageError
from r4l.limits import GIB, MIB, LimitExceeded, Limits
from r4l.process import run_captured, run_logged
from r4l.watchdog import MemoryUse

SECONDS = 20.0
"""Time in which a runaway program must have ended, on a busy machine too."""


def broken(code: int, tail: str) -> R4LError:
    return BuildError(f"it ended with {code}", detail=tail)


def logged(argv: list[str], log: Path, **bounds: float) -> None:
    run_logged(argv, log, broken, limits=Limits(**bounds), what="the build of x")  # type: ignore[arg-type]


@pytest.mark.parametrize("color", [False, True])
def test_a_program_that_prints_for_ever(tmp_path: Path, color: bool) -> None:
    log = tmp_path / "x.log"
    begun = time.monotonic()
    with pytest.raises(LimitExceeded, match="the build of x printed more than 1 MiB") as caught:
        run_logged(["yes"], log, broken, limits=Limits(output=MIB), what="the build of x", color=color)
    assert time.monotonic() - begun < SECONDS
    assert caught.value.exit_code == 121
    assert "R4L_BUILD_OUTPUT" in caught.value.remedy
    assert caught.value.log == log
    assert log.stat().st_size < 2 * MIB


def test_a_line_without_an_end(tmp_path: Path) -> None:
    longest: list[int] = []
    with pytest.raises(LimitExceeded, match="printed more than"):
        run_logged(
            ["sh", "-c", "yes | tr -d '\\n'"],
            tmp_path / "x.log",
            broken,
            limits=Limits(output=4 * MIB),
            say=lambda line: longest.append(len(line)),
        )
    assert max(longest) < MIB


def test_a_program_that_does_not_end(tmp_path: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(LimitExceeded, match=r"took longer than 0\.5 s.* ended") as caught:
        logged(["sleep", "1000"], tmp_path / "x.log", seconds=0.5)
    assert time.monotonic() - begun < SECONDS
    assert "R4L_BUILD_SECONDS" in caught.value.remedy


def test_processes_that_end_while_they_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look meets some that are there when the family is counted and gone when their threads are listed."""
    monkeypatch.setattr(watchdog, "INTERVAL", 0.001)
    monkeypatch.setattr(watchdog, "PART", 0)
    with pytest.raises(LimitExceeded, match="took longer than 3 s"):
        logged(["sh", "-c", "while :; do true & true & true & wait; done"], tmp_path / "x.log", seconds=3)


def test_a_watchdog_that_fails_ends_its_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that nobody watches would have no limits."""

    def fail(pid: int) -> list[int]:
        raise OSError(f"process {pid} cannot be looked at")

    monkeypatch.setattr(watchdog, "descendants", fail)
    begun = time.monotonic()
    with pytest.raises(OSError, match="cannot be looked at"):
        logged(["sleep", "600"], tmp_path / "x.log", seconds=600)
    assert time.monotonic() - begun < SECONDS


def test_what_it_started_and_left_behind_does_not_keep_us(tmp_path: Path) -> None:
    """A daemon that it started holds the other end of the pipe."""
    script = tmp_path / "x.py"
    pid = tmp_path / "pid"
    script.write_text(
        "import os, sys, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        f"    open({str(pid)!r}, 'w').write(str(os.getpid()))\n"
        "    time.sleep(60)\n"
    )
    begun = time.monotonic()
    assert run_logged([sys.executable, str(script)], tmp_path / "x.log", broken) == ""
    assert time.monotonic() - begun < SECONDS
    assert run_captured([sys.executable, str(script)]).returncode == 0
    assert time.monotonic() - begun < SECONDS
    os.kill(int(pid.read_text()), 9)


def test_memory_of_all_processes_together(tmp_path: Path) -> None:
    hog = "import time; x = b'x' * (80 << 20); time.sleep(60)"
    both = f'{sys.executable} -c "{hog}" & {sys.executable} -c "{hog}"; wait'
    begun = time.monotonic()
    with pytest.raises(LimitExceeded, match="took more than 120 MiB of memory"):
        logged(["sh", "-c", both], tmp_path / "x.log", memory=120 * MIB)
    assert time.monotonic() - begun < SECONDS


HOLD = """import mmap, os, socket, time
def sent(data):
    pair = socket.socketpair()
    pair[0].send(data)
    return pair
n = {size}; {take}; time.sleep(60)
"""
SHARED = {
    "an anonymous mapping": "m = mmap.mmap(-1, n); m.write(bytes(n))",
    "a mapping with a child": "m = mmap.mmap(-1, n); m.write(bytes(n)); os.fork()",
    "a file of memfd_create": "f = os.memfd_create('x'); os.write(f, bytes(n))",
    "a mapping that was given back": "m = mmap.mmap(-1, n); m.write(bytes(n)); m.madvise(mmap.MADV_DONTNEED)",
    "a mapped file, never touched there": "f = os.memfd_create('x'); os.write(f, bytes(n)); "
    "m = mmap.mmap(f, n); os.close(f)",
    "a file in flight": "f = os.memfd_create('x'); os.write(f, bytes(n)); s = socket.socketpair(); "
    "socket.send_fds(s[0], [b'x'], [f]); os.close(f)",
    "what waits in sockets": "s = [sent(bytes(150_000)) for _ in range(900)]",
    "a mapped file": "f = os.memfd_create('x'); os.truncate(f, n); m = mmap.mmap(f, n); m.write(bytes(n))",
}
"""Ways to hold memory that is not a process's own."""


@pytest.mark.parametrize("how", SHARED)
def test_shared_memory(how: str, tmp_path: Path) -> None:
    """Regression: memory that no process has to itself did not count."""
    hog = HOLD.format(size=160 * MIB, take=SHARED[how])
    with pytest.raises(LimitExceeded, match="took more than 120 MiB of memory"):
        logged([sys.executable, "-c", hog], tmp_path / "x.log", memory=120 * MIB, seconds=SECONDS)


THREADS = """import threading, time
threading.stack_size(65536)
over = threading.Event()
[threading.Thread(target=over.wait, daemon=True).start() for _ in range(2000)]
time.sleep(60)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="others may have few threads")
def test_the_kernels_memory_of_threads(tmp_path: Path) -> None:
    with pytest.raises(LimitExceeded, match="took more than 60 MiB of memory"):
        logged([sys.executable, "-c", THREADS], tmp_path / "x.log", memory=60 * MIB, seconds=SECONDS)


HIDES = {
    "by its own will": "import ctypes; ctypes.CDLL(None).prctl(4, 0); ",
    "as a program that nobody may read": "import shutil, sys\n"
    "if len(sys.argv) == 2:\n"
    "    shutil.copy(os.path.realpath(sys.executable), sys.argv[1]); os.chmod(sys.argv[1], 0o111)\n"
    "    os.execv(sys.argv[1], [sys.executable, '-c', sys.orig_argv[2], sys.argv[1], '2'])\n",
}


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is hidden from root")
@pytest.mark.parametrize("how", HIDES)
def test_a_process_that_hides_its_files(how: str, tmp_path: Path) -> None:
    """Regression: they did not count."""
    hog = f"import os, time\n{HIDES[how]}f = os.memfd_create('x'); os.write(f, bytes({160 * MIB})); time.sleep(60)"
    argv = [sys.executable, "-c", hog, str(tmp_path / "own")]
    with pytest.raises(LimitExceeded, match="took more than 120 MiB of memory"):
        logged(argv, tmp_path / "x.log", memory=120 * MIB, seconds=SECONDS)


OPENS = """import os, resource, time
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
for _ in range(16):
    if not os.fork():
        try:
            while True: os.dup(0)
        except OSError: time.sleep(60)
time.sleep(3)
x = b"x" * ({size})
time.sleep(60)
"""


def test_open_files_do_not_keep_the_watchdog_from_looking(tmp_path: Path) -> None:
    """Regression: a look at them took seconds, and the next one came twenty times as long after."""
    begun = time.monotonic()
    with pytest.raises(LimitExceeded, match="took more than 120 MiB of memory"):
        logged([sys.executable, "-c", OPENS.format(size=160 * MIB)], tmp_path / "x.log", memory=120 * MIB)
    assert time.monotonic() - begun < 3 + SECONDS


def test_shared_memory_counts_once(tmp_path: Path) -> None:
    share = "m = mmap.mmap(-1, n); m.write(bytes(n)); [os.fork() or (time.sleep(2), os._exit(0)) for _ in range(6)]"
    hog = HOLD.format(size=60 * MIB, take=f"{share}; [m[i] for i in range(0, n, 4096)]").replace(
        "sleep(60)", "sleep(2)"
    )
    logged([sys.executable, "-c", hog], tmp_path / "x.log", memory=200 * MIB, seconds=SECONDS)


def test_files_on_the_disk(tmp_path: Path) -> None:
    """Regression: any number of files of the largest size was written, and stayed."""
    own = tmp_path / "own"
    (own / "sub").mkdir(parents=True)
    (own / "before").write_bytes(bytes(MIB))
    time.sleep(0.05)
    script = f"i=0; while :; do i=$((i+1)); head -c 4M /dev/zero > {own}/sub/$i; done"
    with pytest.raises(LimitExceeded, match="wrote more than 24 MiB in all") as caught:
        run_logged(
            ["sh", "-c", script], tmp_path / "x.log", broken, limits=Limits(disk=24 * MIB, seconds=60), folders=[own]
        )
    assert "R4L_BUILD_DISK" in caught.value.remedy
    assert [path.name for path in own.rglob("*") if path.is_file()] == ["before"]


WRITES = {
    "files without a name": "exec 3>{own}/x; rm {own}/x; head -c 64M /dev/zero >&3; sleep 60",
    "empty files": "cd {own}; seq 1200 | xargs touch; sleep 60",
    "folders": "cd {own}; seq 1200 | xargs mkdir; sleep 60",
    "a file whose path nobody can name": "cd {own}; for i in $(seq 40); do mkdir {long}; cd {long}; done; "
    "head -c 64M /dev/zero >x; sleep 60",
    "a file in a thousand folders": "cd {own}; for i in $(seq 1200); do mkdir b; cd b; done; "
    "head -c 64M /dev/zero >x; sleep 60",
    "a file in a folder without rights": "mkdir {own}/d; cd {own}/d; head -c 64M /dev/zero >x; chmod {mode} .; "
    "sleep 60",
    "links": "cd {own}; mkdir a; seq 1200 | xargs ln -s -t a; sleep 60",
}


@pytest.mark.parametrize("mode", ["300", "600"])
@pytest.mark.parametrize("how", WRITES)
def test_the_disk_is_also_taken_by(how: str, mode: str, tmp_path: Path) -> None:
    """Regression: files in folders that could not be listed, or had paths of more than 4096 bytes, did not count."""
    if mode != "300" and "{mode}" not in WRITES[how]:
        pytest.skip("no folder is closed")
    own = tmp_path / "own"
    own.mkdir()
    bounds = Limits(disk=4 * MIB, seconds=SECONDS)
    # A folder that its owner may not list, and one that its owner may not enter. Nothing is closed to root.
    argv = ["sh", "-c", WRITES[how].format(own=own, long="d" * 200, mode=mode)]
    with pytest.raises(LimitExceeded, match="wrote more than 4 MiB in all"):
        run_logged(argv, tmp_path / "x.log", broken, limits=bounds, folders=[own])
    assert list(own.iterdir()) == []


def test_folders_that_were_there_stay(tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "empty/folders").mkdir(parents=True)
    time.sleep(0.05)
    script = f"mkdir {own}/new; head -c 64M /dev/zero > {own}/new/x"
    with pytest.raises(LimitExceeded, match="wrote more than 24 MiB in all"):
        run_logged(["sh", "-c", script], tmp_path / "x.log", broken, limits=Limits(disk=24 * MIB), folders=[own])
    assert [str(path.relative_to(own)) for path in own.rglob("*")] == ["empty", "empty/folders"]


def test_files_of_a_program_that_ends_before_it_is_looked_at(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    script = f"head -c 64M /dev/zero > {own}/x"
    with pytest.raises(LimitExceeded, match="wrote more than 24 MiB in all"):
        run_logged(["sh", "-c", script], tmp_path / "x.log", broken, limits=Limits(disk=24 * MIB), folders=[own])
    assert list(own.iterdir()) == []


@pytest.mark.parametrize("seconds", [0, SECONDS])
def test_what_others_free_meanwhile_hides_nothing(
    seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: the files of a build were not looked at where another process had removed as much."""
    own, freed = tmp_path / "own", [0]
    own.mkdir()
    of = watchdog._Free.of

    def and_freed(folder: Path) -> watchdog._Free:
        real = of(folder)
        return watchdog._Free(real.bytes + freed[0], real.files)

    def say(line: str) -> None:
        freed[0] = 1024 * MIB

    monkeypatch.setattr(watchdog._Free, "of", and_freed)
    monkeypatch.setattr(watchdog, "INTERVAL", 0.05)
    writes = (f"head -c 64M /dev/zero >{own}/{name}" for name in "xy")
    script = f"echo begun; {'; sleep 0.5; '.join(writes)}; sleep {seconds}"
    begun = time.monotonic()
    with pytest.raises(LimitExceeded, match="wrote more than 24 MiB in all"):
        run_logged(
            ["sh", "-c", script], tmp_path / "x.log", broken, say=say, limits=Limits(disk=24 * MIB), folders=[own]
        )
    assert time.monotonic() - begun < SECONDS
    assert list(own.iterdir()) == []


def test_files_of_others_do_not_count(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir()
    other.mkdir()
    script = f"head -c 64M /dev/zero > {other}/x; echo one > {own}/x; sleep 1"
    run_logged(["sh", "-c", script], tmp_path / "x.log", broken, limits=Limits(disk=24 * MIB), folders=[own])
    assert (own / "x").read_text() == "one\n"


BUSY = """
import os, time
end = time.monotonic() + {seconds}
[os.fork() for _ in range({forks})]
while time.monotonic() < end: pass
"""


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the kernel keeps no account")
def test_a_busy_machine_is_not_the_programs_fault(tmp_path: Path) -> None:
    """Regression: a build that the host kept from its processors missed all checkpoints."""
    mine = min(os.sched_getaffinity(0))
    # A session each: the kernel may share a processor between sessions first (autogroup, sched(7)).
    crowd = [
        subprocess.Popen(
            ["taskset", "-c", str(mine), sys.executable, "-c", BUSY.format(forks=0, seconds=SECONDS)],
            start_new_session=True,
        )
        for _ in range(12)
    ]
    one = ["taskset", "-c", str(mine), sys.executable, "-c", "while True: pass"]
    try:
        with pytest.raises(EnvironmentFault, match=r"took longer than 3 s.*too busy") as caught:
            logged(one, tmp_path / "x.log", seconds=3)
        assert "less busy" in caught.value.remedy
        # Its own choice of a low priority is no fault of the host's.
        with pytest.raises(LimitExceeded, match="took longer than 2 s"):
            logged(["nice", "-n", "19", *one], tmp_path / "x.log", seconds=2)
    finally:
        for member in crowd:
            member.kill()
            member.wait()


def test_a_program_that_keeps_the_processors_busy_itself_had_them(tmp_path: Path) -> None:
    mine = min(os.sched_getaffinity(0))
    crowd = ["taskset", "-c", str(mine), sys.executable, "-c", BUSY.format(forks=4, seconds=60)]
    with pytest.raises(LimitExceeded, match="took longer than 3 s"):
        logged(crowd, tmp_path / "x.log", seconds=3)


@pytest.mark.parametrize(
    ("machine", "need", "error"),
    [(160, 200, EnvironmentFault), (160, 100, LimitExceeded), (1 << 20, 200, LimitExceeded)],
)
def test_a_machine_that_is_too_small_is_not_the_programs_fault(
    machine: int, need: int, error: type[R4LError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: on a machine with enough memory for a build, but less than the largest limit, a build that took all
    could not be judged."""
    monkeypatch.setattr(limits, "machine_memory", lambda: machine * MIB)
    hog = [sys.executable, "-c", HOLD.format(size=200 * MIB, take="m = b'x' * n")]
    with pytest.raises(error, match="took more than 120 MiB of memory"):
        logged(hog, tmp_path / "x.log", memory=120 * MIB, need=need * MIB)
    with pytest.raises(LimitExceeded, match="took more than 120 MiB of memory"):
        logged(
            ["sh", "-c", "echo memory allocation of 9999999999 bytes failed; exit 1"],
            tmp_path / "y.log",
            memory=120 * MIB,
            need=need * MIB,
        )


def test_processes(tmp_path: Path) -> None:
    with pytest.raises(LimitExceeded, match="started more than 20 processes"):
        logged(["sh", "-c", "for i in $(seq 40); do sleep 60 & done; wait"], tmp_path / "x.log", processes=20)


@pytest.mark.parametrize(
    ("said", "limit"),
    [
        ("cc1: out of memory allocating 65536 bytes", "memory"),
        ("memory allocation of 8589934592 bytes failed", "memory"),
        ("make: *** virtual memory exhausted.  Stop.", "memory"),
        ("File size limit exceeded (core dumped)", "file"),
        ("error: this line is wrong", None),
    ],
)
def test_a_limit_of_the_kernels_is_known_by_what_the_programs_say(said: str, limit: str | None, tmp_path: Path) -> None:
    bounds = Limits(memory=GIB, file=GIB)
    assert limits.met(said, bounds) == limit
    assert limits.met(said, Limits()) is None
    with pytest.raises(LimitExceeded if limit else BuildError) as caught:
        run_logged(["sh", "-c", f"echo '{said}'; exit 1"], tmp_path / "x.log", broken, limits=bounds)
    assert type(caught.value) is (LimitExceeded if limit else BuildError)


def test_captured_output_has_a_bound_too() -> None:
    with pytest.raises(LimitExceeded, match="printed more than 1 MiB"):
        run_captured(["yes"], limits=Limits(output=MIB))
    with pytest.raises(LimitExceeded, match="printed more than 1 MiB"):
        run_captured(["sh", "-c", "yes >&2"], limits=Limits(output=MIB))
    with pytest.raises(LimitExceeded, match=r"sleep took longer than 0\.5 s"):
        run_captured(["sleep", "1000"], limits=Limits(seconds=0.5))


def test_captured_output_is_whole() -> None:
    data = os.urandom(3 * MIB)
    done = run_captured(["sh", "-c", "cat; echo on the other >&2; exit 7"], input=data, limits=Limits(seconds=60))
    assert done.stdout == data
    assert done.stderr == b"on the other\n"
    assert done.returncode == 7


def test_input_that_nobody_reads() -> None:
    assert run_captured(["true"], input=b"x" * MIB).returncode == 0


def test_the_user_raises_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in limits.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    before = limits.build()
    monkeypatch.setenv("R4L_BUILD_SECONDS", "3600")
    monkeypatch.setenv("R4L_BUILD_MEMORY", "6G")
    monkeypatch.setenv("R4L_BUILD_OUTPUT", "1.5 MiB")
    assert limits.build() == replace(before, seconds=3600.0, memory=6 * GIB, output=3 * MIB // 2)
    assert limits.kernel().seconds == 3600


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("R4L_BUILD_SECONDS", "soon"),
        ("R4L_BUILD_SECONDS", "0"),
        ("R4L_BUILD_SECONDS", "inf"),
        ("R4L_BUILD_SECONDS", "nan"),
        ("R4L_BUILD_MEMORY", "-1"),
        ("R4L_BUILD_MEMORY", "4 elephants"),
        ("R4L_BUILD_PROCESSES", "-3"),
    ],
)
def test_a_limit_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=name):
        limits.build()


@pytest.mark.parametrize("gibibytes", [2, 4, 24, 256])
def test_a_build_leaves_memory_to_the_machine(monkeypatch: pytest.MonkeyPatch, gibibytes: int) -> None:
    monkeypatch.setattr(limits, "machine_memory", lambda: gibibytes * GIB)
    for name in limits.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for kind in (limits.build(), limits.kernel(), limits.tool()):
        assert kind.memory is not None
        assert kind.memory <= gibibytes * GIB * 0.75


@pytest.mark.parametrize(("gibibytes", "cpus", "scant"), [(0.5, 1, True), (1, 2, False), (4, 2, False), (4, 64, True)])
def test_which_machines_are_too_small_for_a_module(
    gibibytes: float, cpus: int, scant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in limits.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(limits, "machine_memory", lambda: int(gibibytes * GIB))
    monkeypatch.setattr(os, "cpu_count", lambda: cpus)
    build = limits.build()
    assert build.scant == scant
    assert build.address_space
    assert scant or build.address_space > 1044 * MIB, "what the e1000's compiler maps"
    assert limits.kernel().scant
    monkeypatch.setenv("R4L_BUILD_MEMORY", "100M")
    assert not limits.build().scant, "the user's own limit is no fault of the machine's"


@pytest.mark.parametrize("told", [True, False])
def test_descendants_are_found_however_deep(told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test includes kernels that do not list a process's children."""
    if not told:
        monkeypatch.setattr(Path, "exists", lambda _: False)
    with subprocess.Popen(["sh", "-c", "sh -c 'sleep 60; :' & wait"], start_new_session=True) as process:
        try:
            until = time.monotonic() + SECONDS
            while len(watchdog.descendants(process.pid)) < 3 and time.monotonic() < until:
                time.sleep(0.02)
            family = watchdog.descendants(process.pid)
            assert len(family) == 3
            assert family[0] == process.pid
            assert sum(MemoryUse.of(pid).private for pid in family) > 0
        finally:
            os.killpg(process.pid, 9)
    assert MemoryUse.of(process.pid) == MemoryUse()


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group of 48 MiB, as a container has one."""
    for room, bound in (("memory", "memory.limit_in_bytes"), ("", "memory.max")):
        group = Path("/sys/fs/cgroup", room, f"r4l-test-{os.getpid()}")
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if (group / bound).exists():
                (group / bound).write_text(str(48 * MIB))
                yield group
                return
        finally:
            until = time.monotonic() + SECONDS
            while group.exists() and time.monotonic() < until:
                # Processes that were killed leave it a moment later.
                with contextlib.suppress(OSError):
                    group.rmdir()
    pytest.skip("no control group can be made here")


@pytest.mark.skipif(os.geteuid() != 0, reason="making a control group needs root")
@pytest.mark.parametrize(("bound", "error"), [(GIB, EnvironmentFault), (60 * MIB, BuildError)])
def test_a_compiler_that_the_host_kills_for_lack_of_memory(
    bound: int, error: type[R4LError], small_group: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: the program's end counted as its own. One that took half of its bound is not excused."""
    monkeypatch.setattr(watchdog, "INTERVAL", 0.01)
    hog = f"{sys.executable} -c \"import time; x = b'x' * (40 << 20); time.sleep(1); y = b'x' * (40 << 20)\""
    script = f"echo $$ >{small_group}/cgroup.procs; {hog} && echo it lives"
    with pytest.raises(error, match="no memory left" if error is EnvironmentFault else "it ended with 137") as caught:
        logged(["sh", "-c", f"{script}; exit $?"], tmp_path / "x.log", memory=bound)
    assert type(caught.value) is error
    assert "Killed" in caught.value.detail


def test_a_students_kernel_has_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: a student's options could keep a grading machine busy for 12 hours."""
    for name in limits.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with limits.of_students():
        own = limits.kernel()
        monkeypatch.setenv("R4L_BUILD_SECONDS", "9999")
        assert limits.kernel().seconds == 9999, "the user can raise it"
        monkeypatch.delenv("R4L_BUILD_SECONDS")
    most = limits.kernel()
    assert own == replace(most, seconds=7200, disk=16 << 30)
    with limits.of_students(600):
        assert limits.kernel().seconds == 600
    assert most.seconds == 12 * 3600
