# SPDX-License-Identifier: MIT
"""`r4l setup` from an empty home, interrupted in each stage, then completed by two processes at once; and on a disk
that becomes full while the metadata is built."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from r4l.home import remove

pytestmark = [pytest.mark.setup_faults, pytest.mark.timeout(1500)]

STAGES = {
    "the package lists are fetched": ("lists/*/*", "lists/[!.]*"),
    "the packages are downloaded": ("downloads/*.part", "downloads/[!.]*"),
    "the tree is unpacked": ("toolchain/.*.partial-*/usr/bin/dpkg", "toolchain/[!.]*"),
    "the source is unpacked": ("kernels/.*.partial-*/source/*", "kernels/[!.]*"),
    "the metadata is configured": ("logs/metadata-*.log", "kernels/[!.]*"),
    "the metadata is built": ("kernels/*/*/build/rust/*.o", "kernels/[!.]*"),
}
"""Files that each stage writes, and those without which it has to run: an earlier run may have come further."""
FULL = """
mount -t tmpfs -o size=450m none "$1"
"$2" -m r4l setup &
run=$!
while kill -0 $run && ! ls "$1"/rust/*.o; do sleep 0.2; done >/dev/null 2>&1
cat /dev/zero >"$1/filler"
wait $run
"""
"""A setup whose build folder becomes full once the metadata is being built."""


def start(home: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "r4l", "setup", "--json"],
        env={**os.environ, "R4L_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def r4l(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "r4l", *arguments],
        env={**os.environ, "R4L_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


def processes_of(home: Path) -> Iterator[str]:
    """Return the command lines of all processes that name the home."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(home) in text:
            yield text


def is_newer(file: Path, begin: float) -> bool:
    """Return True if a file has changed since then; the time of its content may be that of a package."""
    try:
        return file.lstat().st_ctime >= begin
    except FileNotFoundError:
        return False


def wait_for(pattern: str, home: Path, run: subprocess.Popen[bytes], begin: float, seconds: float) -> bool:
    """Wait for a file that the run writes; earlier runs may have left others."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and run.poll() is None:
        if any(is_newer(file, begin) for file in home.glob(pattern)):
            return True
        time.sleep(0.05)
    return False


@pytest.fixture(scope="module")
def fresh_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("interrupted") / "home"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("doing", STAGES)
def test_an_interrupted_setup_leaves_nothing_running(fresh_home: Path, doing: str, number: signal.Signals) -> None:
    written, products = STAGES[doing]
    for made in fresh_home.glob(products):
        remove(made)
    begin = time.time() - 0.01  # the clock of a file system is coarser
    run = start(fresh_home)
    reached = wait_for(written, fresh_home, run, begin, 900)
    run.send_signal(number)
    _, errors = run.communicate(timeout=60)
    assert reached, f"{doing}: not seen before the run ended: {errors.decode()}"
    assert run.returncode == (130 if number == signal.SIGINT else -number), errors.decode()
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and any(processes_of(fresh_home)):
        time.sleep(0.2)
    assert not list(processes_of(fresh_home))


def test_two_setups_at_once_go_on_from_there(fresh_home: Path) -> None:
    runs = [start(fresh_home), start(fresh_home)]
    outputs = [run.communicate(timeout=900) for run in runs]
    for run, (_, errors) in zip(runs, outputs, strict=True):
        assert run.returncode == 0, errors.decode()
    first, second = (json.loads(out) for out, _ in outputs)
    assert first["build"] == second["build"]
    symbols = first["rust_symbols"]
    assert symbols["matching"] == sum(symbols["exported"].values()) > 1000
    leftovers = [path for name in ("toolchain", "kernels") for path in (fresh_home / name).glob(".*.partial-*")]
    assert not leftovers


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted")
def test_a_disk_that_becomes_full_while_the_metadata_is_built(fresh_home: Path) -> None:
    (ready,) = fresh_home.glob("kernels/*/*/kernel.json")
    ready.unlink()
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", FULL, "sh", str(ready.with_name("build")), sys.executable],
        env={**os.environ, "R4L_HOME": str(fresh_home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 120, done.stderr
    assert "the disk is full" in done.stderr
    assert "remedy: free some space" in done.stderr
    assert not ready.exists()
    done = r4l(fresh_home, "setup")
    assert done.returncode == 0, done.stderr
    assert ready.exists()


def test_what_is_ready_takes_no_time_and_builds_a_module(fresh_home: Path) -> None:
    done = r4l(fresh_home, "build", "rust/drivers/hello", "--json")
    assert json.loads(done.stdout)["modules"][0]["name"] == "hello"


def test_a_kernel_without_rust_is_refused_before_it_is_downloaded(fresh_home: Path) -> None:
    listed = r4l(fresh_home, "kernel", "list", "--available", "--json")
    oldest = json.loads(listed.stdout)[0]["name"]
    assert oldest.startswith("6.12."), "Debian's 6.12 has no CONFIG_RUST"
    done = r4l(fresh_home, "setup", "--kernel", oldest)
    assert done.returncode == 2
    assert "was built without Rust" in done.stderr
    assert not list((fresh_home / "kernels").glob("6.12*"))


def test_a_version_that_the_mirror_lacks(fresh_home: Path) -> None:
    done = r4l(fresh_home, "setup", "--kernel", "7.0.0-never-amd64")
    assert done.returncode == 120
    assert "does not have the kernel 7.0.0-never-amd64" in done.stderr
    lock = fresh_home / "lock.json"
    data = json.loads(lock.read_text())
    data["packages"]["make"] = "0.0-never"
    wrong = fresh_home / "wrong.json"
    wrong.write_text(json.dumps(data))
    done = r4l(fresh_home, "setup", "--lock", str(wrong))
    assert done.returncode == 120
    assert "make" in done.stderr
    assert "0.0-never" in done.stderr
