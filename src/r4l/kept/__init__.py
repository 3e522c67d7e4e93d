# SPDX-License-Identifier: MIT
"""Machines that keep running after the command that started them (`r4l run --keep`), found by name.

Each has a process of its own, its keeper (`keeper`), which owns the VM and dies with it. Other commands reach the guest
through the keeper's socket (`client`). The remains of a killed keeper are removed by the next command that lists the
machines.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from r4l import home, inuse
from r4l.errors import UsageError, VerdictError
from r4l.paths import socket_address

ROOM = "kept"
RECORD = "vm.json"
SOCKET = "socket"


@dataclass(frozen=True)
class Kept:
    """A machine that keeps running.

    Attributes:
        name: name for `r4l exec` and `r4l stop`.
        pid: process id of its keeper, on the host.
        kernel: release of its kernel.
        arch: the guest's architecture.
        modules: names of the modules that were loaded when it was started.
        since: start, in seconds since the epoch.
        run: folder with console.log and qemu.log.
        shell: command for `r4l shell --join`.
        end: reason why it ended by itself; empty while it runs, and if its keeper was killed.
        complaints: sentences of what its kernel or QEMU complained of and nobody was told, when it ended by itself.
        exit_code: exit code of the command that tells these; 0 if there are none.
    """

    name: str
    pid: int
    kernel: str
    arch: str
    modules: tuple[str, ...]
    since: float
    run: str
    shell: tuple[str, ...]
    end: str = ""
    complaints: tuple[str, ...] = ()
    exit_code: int = 0

    @property
    def why_gone(self) -> str:
        """Clause for a machine that ended without being stopped."""
        return f"{self.name} is gone: {self.end or 'its keeper was killed'}; its log: {self.run}/console.log"

    @property
    def folder(self) -> Path:
        """Folder of the machine in the home."""
        return home.room(ROOM) / self.name

    def write(self) -> None:
        """Write the record, for others to find."""
        home.replace_text(self.folder / RECORD, json.dumps(asdict(self), indent=1))


class MachineGone(UsageError):
    """The machine that a command needs has ended. The exit code is that of a complaint which nobody was told of.

    Args:
        machines: the machine, or all that the command may have meant.
    """

    def __init__(self, machines: Sequence[Kept]) -> None:
        super().__init__(
            f"the machine {'; '.join(machine.why_gone for machine in machines)}",
            "start it again: `r4l run --keep …`",
            detail="\n".join(text for machine in machines for text in machine.complaints),
        )
        if codes := [machine.exit_code for machine in machines if machine.exit_code]:
            self.exit_code, self.category = codes[0], VerdictError.category


def running() -> list[Kept]:
    """Return the machines that run, oldest first. Those that have ended stay for a command that tells of them."""
    with home.lock(ROOM):
        there = [record for folder in _folders() if not _is_over(folder) and (record := _read(folder / RECORD))]
    return sorted(there, key=lambda kept: kept.since)


def lost(name: str | None = None) -> list[Kept]:
    """Return the machines that ended without being stopped, all or the one of a name, for the caller to tell of.

    They are returned once: their remains are removed, except for the logs.
    """
    found: list[Kept] = []
    with home.lock(ROOM):
        for folder in _folders():
            with inuse.exclusively(folder) as alone:
                record = _read(folder / RECORD)
                if alone and (record is None or name in (None, record.name)):
                    found += [record] if record else []
                    shutil.rmtree(folder, ignore_errors=True)
    return found


def _folders() -> list[Path]:
    return sorted(home.room(ROOM).iterdir())


def _is_over(folder: Path) -> bool:
    """True if no keeper holds a machine's folder."""
    with inuse.exclusively(folder) as alone:
        return alone


def find(name: str | None) -> Kept:
    """Return the machine of a name, or without a name the only one.

    Raises:
        MachineGone: the machine has ended.
        UsageError: there is no such machine, or there are several.
    """
    there = running()
    names = [kept.name for kept in there]
    if name is None and len(there) == 1:
        return there[0]
    for kept in there:
        if kept.name == name:
            return kept
    if (name or not there) and (gone := lost(name)):
        raise MachineGone(gone)
    if not there:
        raise UsageError(
            f"there is no machine {name}" if name else "no machine is kept", "start one with `r4l run --keep …`"
        )
    cause = f"there is no machine {name}" if name else f"{len(there)} machines are kept"
    raise UsageError(cause, f"name one of {', '.join(names)}")


def claim(wanted: str) -> str:
    """Make the folder of a new machine, held by this process, and return its name: `wanted`, or that with a number."""
    with home.lock(ROOM):
        number = 1
        while True:
            name = wanted if number == 1 else f"{wanted}-{number}"
            folder = home.room(ROOM) / name
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
                inuse.hold(folder)
                return name
            number += 1


def release(name: str) -> None:
    """Remove the folder of a machine of this process."""
    folder = home.room(ROOM) / name
    with home.lock(ROOM):
        shutil.rmtree(folder, ignore_errors=True)
        inuse.let_go(folder)


def connect(kept: Kept) -> socket.socket:
    """Return a connection to a machine's keeper.

    Raises:
        UsageError: the machine is gone.
    """
    sock = socket.socket(socket.AF_UNIX)
    try:
        with socket_address(kept.folder / SOCKET) as address:
            sock.connect(address)
    except OSError as error:
        sock.close()
        raise UsageError(f"the machine {kept.name} is gone", "see `r4l ps`") from error
    return sock


def _read(file: Path) -> Kept | None:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # The machine is being started.
        return None
    return Kept(**{**data, **{name: tuple(data.get(name, ())) for name in ("modules", "shell", "complaints")}})
