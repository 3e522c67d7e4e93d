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
from dataclasses import asdict, dataclass
from pathlib import Path

from r4l import home, inuse
from r4l.errors import UsageError
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


def every() -> tuple[list[Kept], list[Kept]]:
    """Return the machines that run, oldest first, and those that ended without being stopped.

    The latter are reported once: their remains are removed, except for the logs.
    """
    there: list[Kept] = []
    lost: list[Kept] = []
    with home.lock(ROOM):
        for folder in sorted(home.room(ROOM).iterdir()):
            with inuse.exclusively(folder) as alone:
                record = _read(folder / RECORD)
                if not alone:
                    there += [record] if record else []
                    continue
                lost += [record] if record else []
                shutil.rmtree(folder, ignore_errors=True)
    return sorted(there, key=lambda kept: kept.since), lost


def find(name: str | None) -> Kept:
    """Return the machine of a name, or without a name the only one.

    Raises:
        UsageError: there is no such machine, or there are several.
    """
    there, lost = every()
    names = [kept.name for kept in there]
    if name is None and len(there) == 1:
        return there[0]
    for kept in there:
        if kept.name == name:
            return kept
    for kept in lost:
        if name in (None, kept.name):
            raise UsageError(f"the machine {kept.why_gone}", "start it again: `r4l run --keep …`")
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
    return Kept(**{**data, "modules": tuple(data["modules"]), "shell": tuple(data["shell"])})
