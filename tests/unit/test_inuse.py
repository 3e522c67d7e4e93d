# SPDX-License-Identifier: MIT
"""Use of the home's entries by real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from r4l import inuse
from r4l.errors import EnvironmentFault

HOLDER = """
import sys
from pathlib import Path
from r4l import inuse
print(inuse.hold(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""

WORKER = """
import sys, time
from pathlib import Path
from r4l import inuse
entry, lost, used = Path(sys.argv[1]), 0, 0
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    inuse.make(entry)
    used += 1
    for _ in range(20):
        lost += not entry.is_dir()
    inuse.let_go(entry)
    time.sleep(0.002)
print(used, lost)
"""

CLEANER = """
import sys, time
from pathlib import Path
from r4l import inuse
entry, removed = Path(sys.argv[1]), 0
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    try:
        with inuse.exclusively(entry) as alone:
            if alone:
                gone = entry.with_name(f".gone-{removed}")
                entry.rename(gone)
                removed += 1
                gone.rmdir()
    except FileNotFoundError:
        pass
print(removed)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that uses `tmp_path/entry`."""
    (tmp_path / "entry").mkdir()
    argv = [sys.executable, "-c", HOLDER, str(tmp_path / "entry")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"True\n"
        yield process
        process.kill()


def test_what_another_uses_is_not_had_alone(holder: subprocess.Popen[bytes], tmp_path: Path) -> None:
    entry = tmp_path / "entry"
    with inuse.exclusively(entry) as alone:
        assert not alone
    assert inuse.users(entry) == [holder.pid]
    assert inuse.hold(entry), "it can be used by many"
    inuse.let_go(entry)


def test_what_only_this_process_uses_can_be_replaced_by_it(tmp_path: Path) -> None:
    assert inuse.hold(tmp_path)
    assert not inuse.by_others(tmp_path)
    with inuse.withdrawn(tmp_path, "it", ""), inuse.exclusively(tmp_path) as alone:
        assert not alone, "no other process begins to use it"
    with inuse.exclusively(tmp_path) as alone:
        assert not alone, "it is used by this process as before"
    inuse.let_go(tmp_path)


def test_what_another_uses_is_not_replaced(holder: subprocess.Popen[bytes], tmp_path: Path) -> None:
    entry = tmp_path / "entry"
    assert inuse.hold(entry)
    assert inuse.by_others(entry)
    with (
        pytest.raises(EnvironmentFault, match=f"the kernel x cannot be replaced: used by .*{holder.pid}") as caught,
        inuse.withdrawn(entry, "the kernel x", "wait"),
    ):
        pytest.fail("it was withdrawn")
    assert caught.value.remedy == "wait"
    inuse.let_go(entry)


def test_what_does_not_exist_is_used_by_nobody(tmp_path: Path) -> None:
    assert not inuse.by_others(tmp_path / "none")
    with inuse.withdrawn(tmp_path / "none", "it", ""):
        pass


@pytest.mark.parametrize("how", ["end", "kill"])
def test_it_is_free_when_its_user_has_ended(holder: subprocess.Popen[bytes], tmp_path: Path, how: str) -> None:
    if how == "kill":
        holder.kill()
    else:
        assert holder.stdin
        holder.stdin.close()
    holder.wait(30)
    with inuse.exclusively(tmp_path / "entry") as alone:
        assert alone
    assert inuse.users(tmp_path / "entry") == []


def test_a_program_that_we_start_does_not_use_it(tmp_path: Path) -> None:
    assert inuse.hold(tmp_path)
    with subprocess.Popen(["sleep", "60"]) as child:
        inuse.let_go(tmp_path)
        with inuse.exclusively(tmp_path) as alone:
            assert alone
        child.kill()


def test_what_is_gone_cannot_be_used(tmp_path: Path) -> None:
    assert not inuse.hold(tmp_path / "none")
    inuse.note(tmp_path / "none")


def test_the_last_use_is_noted_whatever_the_mount_says(tmp_path: Path) -> None:
    os.utime(tmp_path, (1e9, 1e9))
    assert inuse.hold(tmp_path)
    assert time.time() - inuse.last_used(tmp_path) < 60
    assert tmp_path.stat().st_mtime == 1e9, "make and snapshots go by the time of the change"
    inuse.let_go(tmp_path)
    os.utime(tmp_path, (1e9, 1e9))
    inuse.note(tmp_path)
    assert time.time() - inuse.last_used(tmp_path) < 60


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_home_that_cannot_be_written_can_be_used(tmp_path: Path) -> None:
    os.utime(tmp_path, (1e9, 1e9))
    script = f'mount --bind {tmp_path} {tmp_path} && mount -o remount,ro,bind {tmp_path} && exec "$@"'
    argv = ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-c", HOLDER, str(tmp_path)]
    done = subprocess.run(argv, input=b"", capture_output=True, check=False)
    assert done.stdout == b"True\n", done.stderr.decode()


def test_nobody_loses_what_it_uses(tmp_path: Path) -> None:
    """Three processes use an entry and make it again, a fourth removes it, all at the same time."""
    seconds = "1.5"
    entry = str(tmp_path / "entry")
    start = [
        subprocess.Popen([sys.executable, "-c", code, entry, seconds], stdout=subprocess.PIPE)
        for code in (WORKER, WORKER, WORKER, CLEANER)
    ]
    *workers, cleaner = [process.communicate(timeout=60)[0].split() for process in start]
    assert int(cleaner[0]) > 0, "it was removed at times"
    for used, lost in workers:
        assert int(used) > 0
        assert int(lost) == 0


def test_an_entry_that_its_user_removes_can_be_made_again(tmp_path: Path) -> None:
    entry = tmp_path / "entry"
    inuse.make(entry)
    entry.rmdir()
    assert not inuse.hold(entry)
    inuse.make(entry)
    assert entry.is_dir()
    with inuse.exclusively(entry) as alone:
        assert not alone, "and the new one is held"
    inuse.let_go(entry)
