# SPDX-License-Identifier: MIT
"""Commands under PRoot, which isolates nothing and has faults of its own."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from r4l.limits import UNLIMITED
from r4l.toolchain import Grant, enter
from r4l.toolchain.enter import FILTERED
from r4l.toolchain.ladder import RUNGS

TREE = Path("/")
PACKAGES = str(Path(enter.__file__).parents[2])
"""Folder that r4l is imported from."""
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
