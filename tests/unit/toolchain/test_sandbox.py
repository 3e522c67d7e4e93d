# SPDX-License-Identifier: MIT
"""A command's real view and rights in the sandbox: run in it, with this machine's own files as the tree."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from r4l.errors import BuildError, EnvironmentFault, R4LError
from r4l.limits import MIB, UNLIMITED, LimitExceeded, Limits
from r4l.toolchain import Grant, Toolchain, ladder, tree
from r4l.toolchain.ladder import RUNGS, Name

TREE = Path("/")


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


def test_a_command_with_a_network_has_the_hosts_name_servers_of_now(
    toolchain: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: guests asked the name servers of the day on which the toolchain was made."""
    (tmp_path / "run").mkdir()
    (tmp_path / "resolv.conf").symlink_to("run/stub")
    assert tree.of_the_host(tmp_path) == {}, "a host without them"
    monkeypatch.setattr(tree, "of_the_host", partial(tree.of_the_host, tmp_path))
    for server in ("192.0.2.1", "192.0.2.2"):
        (tmp_path / "run/stub").write_text(f"nameserver {server}\n")
        argv = ["cat", "/etc/resolv.conf"]
        seen = toolchain.run(argv, Grant("test", network=True, limits=UNLIMITED)).stdout.decode()
        assert seen == f"nameserver {server}\n"
        assert server not in toolchain.run(argv, Grant("test", limits=UNLIMITED)).stdout.decode()
