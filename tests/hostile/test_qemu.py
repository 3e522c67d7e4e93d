# SPDX-License-Identifier: MIT
"""QEMU sees its own files only: a guest that has taken it over reaches nothing else of the host.

The machine is not started (`-S`): its monitor does what a guest could have QEMU do.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.hostile.conftest import HERE, NAME, World
from tests.unit.unhandled import unhandled

from r4l import home
from r4l.errors import R4LError
from r4l.vm.machine import Machine
from r4l.vm.qemu import Qemu
from r4l.vm.qmp import QmpError

ATTEMPTS = tomllib.loads((HERE / "qemu.toml").read_text(encoding="utf-8"))["attempt"]
EXEC = "exec:echo hostile >{}"


def ignore(_: object) -> None:
    """Take a line, an event or an exit code."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """QEMU's own folder."""
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def qemu(world: World, folder: Path) -> Iterator[Qemu]:
    """A machine that stands still."""
    (folder / "initrd").touch()
    machine = Machine(kernel=world.kernel.vmlinux, initrd=folder / "initrd", extra=("-S",))
    made = Qemu(
        machine, world.kernel.toolchain, folder, on_line=ignore, on_event=ignore, on_exit=ignore, failed=unhandled
    )
    try:
        yield made
    finally:
        made.close()


def filled(value: Any, facts: dict[str, object]) -> Any:
    """Return an attempt's arguments with the facts in their places."""
    if isinstance(value, dict):
        return {key: filled(one, facts) for key, one in value.items()}
    return value.format(**facts) if isinstance(value, str) else value


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt["reach"])
def test_qemu_does_not_reach(attempt: dict[str, Any], world: World, qemu: Qemu) -> None:
    facts = {
        "secret": world.user / "secret",
        "student": world.student / "hello.rs",
        "lock": world.module.path,
        "target": world.targets["the venv: code at the next call"][0],
        "kernel": world.kernel.vmlinux,
        "port": world.service.server_address[1],
        "abstract": NAME,
        "terminal": world.terminal,
        "victim": world.victim.pid,
    }
    before = world.kernel.vmlinux.stat()
    with pytest.raises(QmpError):
        qemu.monitor.execute(attempt["command"], filled(attempt["arguments"], facts))
    assert qemu.running
    assert [target for target in world.targets if not world.unchanged(target)] == []
    assert (world.kernel.vmlinux.stat().st_mtime_ns, world.kernel.vmlinux.stat().st_size) == (
        before.st_mtime_ns,
        before.st_size,
    )
    assert world.service.reached == []
    assert world.victim.poll() is None


def test_qemu_reaches_its_own_folder(qemu: Qemu, folder: Path) -> None:
    """The attempts fail for their files, not for their form."""
    (folder / "disk").write_bytes(bytes(4096))
    own = {"driver": "file", "node-name": "own", "filename": str(folder / "disk"), "read-only": True}
    qemu.monitor.execute("blockdev-add", own)
    qemu.monitor.execute("pmemsave", {"val": 0, "size": 4096, "filename": str(folder / "saved")})
    assert (folder / "saved").stat().st_size == 4096


def test_qemu_starts_no_program(world: World, qemu: Qemu, folder: Path) -> None:
    """The last test of this machine, which the kernel may end for the system call."""
    for place in (folder / "made", world.user / "made"):
        try:
            qemu.monitor.execute("migrate", {"uri": EXEC.format(place)})
        except R4LError:
            continue
    qemu.wait(1)
    assert not (folder / "made").exists()
    assert not (world.user / "made").exists()
    assert home.home().is_dir()
