# SPDX-License-Identifier: MIT
"""The saving of a machine's state: only under the key of its inputs, and never at the run's cost."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from r4l import home
from r4l.vm import snapshot
from r4l.vm.errors import MonitorTimeout
from r4l.vm.machine import Machine
from r4l.vm.prepare import Preparation
from r4l.vm.qmp import QmpError


class Saved:
    """A machine that writes its state as QEMU does, or fails to.

    Attributes:
        said: commands of QMP.
        answers: answers to `query-migrate`, in their order; the last one again and again.
    """

    def __init__(self, folder: Path) -> None:
        self.workdir = folder / "work"
        self.workdir.mkdir()
        (self.workdir / "console.log").write_text("the boot")
        (folder / "kernel").write_text("k")
        self.machine = Machine(kernel=folder / "kernel", initrd=folder / "kernel")
        self.kernel: Any = SimpleNamespace(key="K", toolchain=SimpleNamespace(packages={}))
        self.said: list[str] = []
        self.answers: list[Any] = [{"status": "completed"}]
        self.stuck = 0
        self.klog = SimpleNamespace(
            sync=lambda: None, complaints=lambda settle: [], splats=lambda *_, settle: [], splat_count=0
        )

    def qmp(self, command: str, **_: object) -> Any:
        self.said.append(command)
        if command == "migrate":
            (self.workdir / "state").write_bytes(b"state")
        if command == "cont" and self.stuck:
            self.stuck -= 1
            raise MonitorTimeout("QEMU did not answer cont within 10 s")
        if command == "query-migrate":
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(answer, Exception):
                raise answer
            return answer
        return {}

    def keep(self, meanwhile: Callable[[], object] = lambda: None) -> bool:
        """Boot, with something else at the same time, and save; return True if a state is there."""
        vm: Any = self
        place = snapshot.place_as_booted(self.machine, self.kernel)
        meanwhile()
        snapshot.keep(vm, self.machine, self.kernel, place)
        return snapshot.existing(self.machine, self.kernel) is not None


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Saved:
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(snapshot, "_make_room", lambda: None)
    return Saved(tmp_path)


def test_a_state_is_saved_and_the_machine_goes_on(saved: Saved) -> None:
    saved.answers = [{"status": "active"}, MonitorTimeout("late"), {"status": "completed"}]
    saved.stuck = 2
    assert saved.keep()
    assert saved.said[-3:] == ["cont"] * 3
    assert not (saved.workdir / "state").exists()


def test_a_work_folder_on_another_disk(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: the rename failed, and the run with it."""

    def across(_old: object, _new: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    rename = os.rename
    monkeypatch.setattr("os.rename", lambda old, new: (across if Path(old).name == "state" else rename)(old, new))
    assert saved.keep()
    assert next(snapshot.folder().glob("*.state")).read_bytes() == b"state"
    assert not (saved.workdir / "state").exists()


FAULTS: dict[str, Any] = {
    "a full disk": {"status": "failed", "error-desc": "Unable to write to file: No space left on device"},
    "a refusal": QmpError("migrate", "State blocked by device", "GenericError"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_state_that_cannot_be_saved_costs_the_run_nothing(saved: Saved, fault: str) -> None:
    """Regression: the run failed, and half a state stayed in its folder."""
    saved.answers = [FAULTS[fault]]
    assert not saved.keep()
    assert saved.said[-1] == "cont"
    assert sorted(path.name for path in saved.workdir.iterdir()) == ["console.log"]
    assert list(snapshot.folder().iterdir()) == []


def test_a_disk_that_cannot_hold_the_log(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    write = home.replace_text

    def full(path: Path, text: str) -> None:
        if path.suffix == snapshot.BOOT_LOG:
            raise OSError(28, "No space left on device")
        write(path, text)

    monkeypatch.setattr(home, "replace_text", full)
    assert not saved.keep()
    assert saved.said == ["cont"]


def test_a_kernel_that_is_replaced_while_it_boots_leaves_no_state(saved: Saved) -> None:
    """Regression: the old kernel's state got the new one's key."""
    assert not saved.keep(lambda: saved.machine.kernel.write_text("another"))
    assert saved.keep()


@pytest.mark.parametrize("changes", [True, False])
def test_a_module_that_is_built_while_the_twin_boots(
    saved: Saved, tmp_path: Path, changes: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Regression: the state with the new module got the old one's key; the next user of the old one had the new one."""
    module: Any = SimpleNamespace(path=tmp_path / "m.ko")
    module.path.write_text("old")

    @contextlib.contextmanager
    def twin() -> Iterator[Any]:
        if changes:
            module.path.write_text("new")
            module.path.write_text("old")
        yield saved

    state = snapshot.ensure(saved.machine, saved.kernel, twin(), Preparation(lambda vm, module: None, [module]))
    assert (state is None) == changes
    assert ("has changed" in caplog.text) == changes
    assert len(list(snapshot.folder().glob("*"))) == (0 if changes else 2)
