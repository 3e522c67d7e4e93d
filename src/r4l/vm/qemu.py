# SPDX-License-Identifier: MIT
"""One QEMU process with its sockets, files and end."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from r4l.arch import architecture
from r4l.errors import EnvironmentFault, R4LError
from r4l.net import Cable
from r4l.threads import Failed, guarded
from r4l.toolchain import Toolchain
from r4l.vm.console import SerialConsole
from r4l.vm.machine import Endpoints, Machine, command_line, grant
from r4l.vm.qmp import Event, Monitor
from r4l.vm.spawn import kill_session, spawn

SOCKET_BUFFER = 1 << 20
UNLESS_ALONE = 'read -rt 0 -u "$0" || exec "$@"'
"""Script of bash that runs a program unless the other end of a socket, on which nothing was sent, is closed.

If r4l is killed before the sandbox has asked for a signal at its parent's death (PR_SET_PDEATHSIG in prctl(2)), the
signal never comes. The script runs in the sandbox, which has asked by then: a later death ends it.
"""


class Qemu:
    """A running machine. Its sockets are pairs that QEMU inherits, so no name is left in the file system.

    Args:
        machine: the machine to run.
        toolchain: toolchain that contains QEMU.
        workdir: folder for console.log, qmp.log, qemu.log and the captures.
        cables: of the machine's cards, by their index.
        lines: of its cards in Python, by their index.
        devices: in other processes, as arguments of `-device`.
        state: a snapshot to continue (see `snapshot.resume`).
        on_line: called with each line of the console, on the console's thread.
        on_event: called with each QMP event, on the monitor's thread.
        on_exit: called with the exit code, after the console's last line, on a thread of its own.
        failed: called with an exception that ends a thread which follows QEMU.

    Raises:
        EnvironmentFault: bubblewrap is missing, or QEMU in the toolchain.
    """

    def __init__(
        self,
        machine: Machine,
        toolchain: Toolchain,
        workdir: Path,
        *,
        cables: Mapping[int, Cable] | None = None,
        lines: Mapping[int, Cable] | None = None,
        devices: Sequence[Mapping[str, Any]] = (),
        state: Path | None = None,
        on_line: Callable[[str], None],
        on_event: Callable[[Event], None],
        on_exit: Callable[[int], None],
        failed: Failed,
    ) -> None:
        self.machine = machine
        self.toolchain = toolchain
        self.workdir = workdir
        self.log = workdir / "qemu.log"
        self.captures = {i: workdir / f"nic{i}.pcap" for i, nic in enumerate(machine.nics) if nic.capture}
        program = architecture(machine.arch).qemu
        if not (toolchain.root / "usr/bin" / program).exists():
            raise EnvironmentFault(f"{program} is not in the toolchain", "run `r4l setup --update`")
        cables, lines = cables or {}, lines or {}
        pairs = console, monitor, self.agent_socket = _Pair(), _Pair(), _Pair()
        started: list[subprocess.Popen[bytes]] = []
        try:
            plugs = {index: cable.plug() for index, cable in cables.items()}
            line_ends = {index: line.plug() for index, line in lines.items()}
            ends = Endpoints(
                monitor.number,
                console.number,
                self.agent_socket.number,
                captures=self.captures,
                cables=plugs,
                lines=line_ends,
                devices=devices,
            )
            qemu = command_line(machine, ends, state, seccomp=toolchain.isolates)
            argv = toolchain.command(
                ["/bin/bash", "-c", UNLESS_ALONE, str(monitor.number), *qemu],
                grant(machine, workdir, state),
                cwd=workdir,
                # Folder for the guest's writes to its disks; the default would be a tmpfs, in memory.
                env={"TMPDIR": str(workdir)},
            )
            inherited = [*(pair.number for pair in pairs), *plugs.values(), *line_ends.values()]
            self.process = spawn(argv, log=self.log, descriptors=inherited, started=started.append)
            for pair in pairs:
                pair.theirs.close()
            self.exit_code: int | None = None
            self._on_exit = on_exit
            self.console = SerialConsole(console.ours, workdir / "console.log", on_line, lambda: None, failed)
            self.monitor = Monitor(monitor.ours, workdir / "qmp.log", on_event, failed)
            self._waiter = threading.Thread(target=guarded(self._wait, failed), name="r4l-qemu-exit", daemon=True)
            self._waiter.start()
        except BaseException as error:
            for process in started:
                kill_session(process)
                process.wait()
            for pair in pairs:
                with contextlib.suppress(OSError):
                    pair.ours.shutdown(socket.SHUT_RDWR)
                pair.ours.close()
            if isinstance(error, FileNotFoundError) and not started:
                raise EnvironmentFault(f"{error.filename} is not installed", "run `r4l doctor`") from error
            raise
        finally:
            for pair in pairs:
                pair.theirs.close()
            for cable in (*cables.values(), *lines.values()):
                cable.plugged()

    def _wait(self) -> None:
        code = self.process.wait()
        # All output of guest and QEMU is in the sockets now; read it before the verdict.
        self.console.join(5)
        self.monitor.drain(5)
        self.exit_code = code
        self._on_exit(code)

    @property
    def running(self) -> bool:
        """True while the process exists."""
        return self.process.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the sandbox that QEMU runs in; killing it kills QEMU."""
        return self.process.pid

    def output(self) -> str:
        """Return QEMU's own output."""
        return self.log.read_text(errors="replace", encoding="utf-8").strip() if self.log.exists() else ""

    def wait(self, timeout: float | None) -> int | None:
        """Wait for the end; return the exit code, or None after `timeout` seconds."""
        self._waiter.join(timeout)
        return self.exit_code

    def end(self, grace: float = 2.0) -> int | None:
        """End QEMU by QMP's `quit`, or by SIGKILL after `grace` seconds; return the exit code."""
        if self.running:
            with contextlib.suppress(R4LError):
                self.monitor.execute("quit", timeout=grace)
                self.wait(grace)
        if self.running:
            self.kill()
        self.wait(5)
        return self.exit_code

    def kill(self) -> None:
        """Send SIGKILL to the sandbox and everything in it."""
        kill_session(self.process)

    def close(self) -> None:
        """End QEMU and release all resources."""
        self.end()
        self.monitor.close()
        self.console.close()

    def __repr__(self) -> str:
        return f"<Qemu pid {self.pid}, {'running' if self.running else f'ended with {self.exit_code}'}>"


class _Pair:
    """A socket pair: the host's end, and the one that QEMU inherits."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        for end in (self.ours, self.theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)

    @property
    def number(self) -> int:
        return self.theirs.fileno()


def returncode_text(code: int) -> str:
    """Describe an exit code in words; bubblewrap reports a signal as 128 + its number."""
    number = signal_of(code)
    return f"was killed by {number.name}" if number else f"ended with exit code {code}"


def signal_of(code: int) -> signal.Signals | None:
    """Return the signal in an exit code, as `returncode_text` reads it; None if a program ended by itself."""
    number = -code if code < 0 else code - 128 if code > 128 else 0
    with contextlib.suppress(ValueError):
        return signal.Signals(number)
    return None
