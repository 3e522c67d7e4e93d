# SPDX-License-Identifier: MIT
"""`r4l setup` from an empty home, interrupted in each stage, then completed by two processes at once."""

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

pytestmark = [pytest.mark.setup_faults, pytest.mark.timeout(1500)]

STAGES: list[tuple[str, str, signal.Signals]] = [
    ("the package lists are fetched", "lists/*/*.packages", signal.SIGINT),
    ("the packages are downloaded", "downloads/*.part", signal.SIGINT),
    ("the tree is unpacked", "toolchain/.*.partial-*/usr/bin/dpkg", signal.SIGKILL),
    ("the source is unpacked", "kernels/.*.partial-*/source/*", signal.SIGKILL),
    ("the metadata is configured", "kernels/*/*/build/.config", signal.SIGKILL),
    ("the metadata is built", "kernels/*/*/build/rust/*.o", signal.SIGINT),
]
"""Description, a file that appears during the stage, and the signal that ends the run."""


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


def wait_for(condition: str, home: Path, run: subprocess.Popen[bytes], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and run.poll() is None:
        if any(home.glob(condition)):
            return True
        time.sleep(0.05)
    return False


@pytest.fixture(scope="module")
def fresh_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("interrupted") / "home"


@pytest.mark.parametrize(("doing", "seen_by", "number"), STAGES, ids=[stage[0] for stage in STAGES])
def test_an_interrupted_setup_leaves_nothing_running(
    fresh_home: Path, doing: str, seen_by: str, number: signal.Signals
) -> None:
    run = start(fresh_home)
    reached = wait_for(seen_by, fresh_home, run, 900)
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
