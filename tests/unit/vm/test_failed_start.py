# SPDX-License-Identifier: MIT
"""A start of QEMU that fails or is interrupted, and an end that is: no QEMU stays."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.unhandled import unhandled

from r4l.vm import qemu as module
from r4l.vm.machine import Machine
from r4l.vm.qemu import Qemu
from r4l.vm.running import RunningMachine
from r4l.vm.spawn import spawn


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The programs that were started."""
    programs: list[subprocess.Popen[bytes]] = []

    def noted(*arguments: Any, started: Callable[[Any], object], **words: Any) -> Any:
        def both(program: subprocess.Popen[bytes]) -> None:
            programs.append(program)
            started(program)

        return spawn(*arguments, started=both, **words)

    monkeypatch.setattr(module, "spawn", noted)
    yield programs
    for program in programs:
        program.kill()
        program.wait()


@pytest.fixture
def toolchain(tmp_path: Path) -> Any:
    """A toolchain whose QEMU does nothing for long."""
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/qemu-system-x86_64").touch()
    command = ["sleep", "1000"]
    return SimpleNamespace(root=tmp_path, isolates=False, command=lambda *_, **__: command)


def run_of(toolchain: Any, folder: Path) -> RunningMachine:
    machine = Machine(kernel=Path("/k"), initrd=Path("/i"))
    sources: Any = SimpleNamespace()
    return RunningMachine(machine, toolchain, folder, sources, [], {})


def fail(*_: object) -> None:
    raise OSError(24, "Too many open files")


PARTS: dict[str, tuple[type[BaseException], Callable[..., object]]] = {
    "Monitor": (OSError, fail),
    "SerialConsole": (KeyboardInterrupt, lambda *_: signal.raise_signal(signal.SIGINT)),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_cannot_be_made_leaves_no_qemu(
    part: str, toolchain: Any, tmp_path: Path, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: QEMU ran until the end of this process."""
    error, does = PARTS[part]
    monkeypatch.setattr(module, part, does)
    machine = Machine(kernel=Path("/k"), initrd=Path("/i"))
    with pytest.raises(error):
        Qemu(
            machine,
            toolchain,
            tmp_path,
            on_line=lambda _: None,
            on_event=lambda _: None,
            on_exit=lambda _: None,
            failed=unhandled,
        )
    assert started[0].wait(20) == -9


@pytest.mark.parametrize("part", ["WrittenBound", "Link", "Guest"])
def test_a_launch_that_fails_late_leaves_no_qemu(
    part: str, toolchain: Any, tmp_path: Path, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"r4l.vm.running.{part}", fail)
    run = run_of(toolchain, tmp_path)
    with pytest.raises(OSError, match="Too many"):
        run.launch({})
    assert started[0].wait(20) == -9


def test_ctrl_c_while_a_program_starts_leaves_none(tmp_path: Path) -> None:
    programs: list[subprocess.Popen[bytes]] = []

    def interrupt(program: subprocess.Popen[bytes]) -> None:
        programs.append(program)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        # The signal comes while the other thread waits for the program.
        time.sleep(1)

    with pytest.raises(KeyboardInterrupt):
        spawn(["sleep", "1000"], log=tmp_path / "log", started=interrupt)
    assert programs[0].wait(20) == -9


def test_an_end_that_is_interrupted_is_ended_by_the_next_call(
    toolchain: Any, tmp_path: Path, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: the second call did nothing, and QEMU went on."""
    run = run_of(toolchain, tmp_path)
    run.launch({})

    def interrupted() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run.qemu, "end", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run.close()
    assert started[0].wait(20) == -9
    assert run.close()
    assert not run.close()
