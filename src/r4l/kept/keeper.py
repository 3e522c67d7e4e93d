# SPDX-License-Identifier: MIT
"""The keeper: the process that owns a kept machine, and serves the commands that use it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from r4l import kept
from r4l.errors import GuestTimeout, R4LError
from r4l.guest import GuestProcess
from r4l.guest.process import Terminal
from r4l.kept.frames import DONE, EARLIER, END_OF_INPUT, ERRORS, INPUT, OUTPUT, SIZE, FrameSocket
from r4l.klog import KernelLog, Splat
from r4l.paths import socket_address
from r4l.pdeathsig import on_parents_death
from r4l.threads import guarded, thread_failure
from r4l.vm import VM

READY = "R4L_KEEPER"
"""Environment variable with the descriptor on which a keeper reports that its machine is ready."""
LOOK = 0.5
"""Seconds between checks that the machine still runs."""
TOLD = 100
"""Complaints of one command whose sentences are reported."""
SENTENCE = 2000
"""Characters of a reported sentence: a guest's line may be long, and a message's length is limited."""


def is_keeper() -> bool:
    """True if this process must keep the machine that it starts."""
    return READY in os.environ


def die_with_parent() -> None:
    """Have this process end with the one that started it, until its machine is ready."""
    on_parents_death(signal.SIGTERM)


class Keeper:
    """A booted machine, kept until a user stops it or it ends.

    Args:
        vm: the machine.
        wanted: its name, which gets a number if the name is taken.
        modules: names of the modules that are loaded.
    """

    def __init__(self, vm: VM, wanted: str, modules: Sequence[str]) -> None:
        self._vm = vm
        self._reports = Reports(vm.klog)
        self._stopped = threading.Event()
        self._stoppers: list[FrameSocket] = []
        self._name = kept.claim(wanted)
        self.record = kept.Kept(
            self._name,
            os.getpid(),
            vm.kernel.release,
            vm.kernel.arch,
            tuple(modules),
            time.time(),
            str(vm.workdir),
            vm.shell_command,
        )

    def serve(self) -> None:
        """Report that the machine is ready, and serve until its end. The machine is closed then."""
        try:
            listener = socket.socket(socket.AF_UNIX)
            with socket_address(self.record.folder / kept.SOCKET) as address:
                listener.bind(address)
            listener.listen()
            listener.settimeout(LOOK)
            self.record.write()
            self._detach()
            while self._vm.running and not self._stopped.is_set():
                with contextlib.suppress(TimeoutError):
                    sock, _ = listener.accept()
                    self._begin(FrameSocket(sock))
            if not self._stopped.is_set():
                self._note_end()
        except KeyboardInterrupt:
            # SIGTERM: a request to end the machine.
            self._stopped.set()
        finally:
            self._vm.close(keep=not self._stopped.is_set())
            if self._stopped.is_set():
                self._tell_stoppers()
                kept.release(self._name)

    def _begin(self, connection: FrameSocket) -> None:
        serve = guarded(self._client, lambda _: connection.close())
        threading.Thread(target=serve, args=(connection,), daemon=True).start()

    def _note_end(self) -> None:
        """Record why the machine ended, for the next command that lists the machines."""
        self._vm.wait(None)
        end = self._vm.ended_by
        self._vm.close(keep=True)
        causes, code = self._last_complaints()
        why = end.cause if end else "QEMU has ended"
        others = tuple(cause for cause in causes if cause != why)
        replace(self.record, end=why, complaints=others, exit_code=code).write()

    def _last_complaints(self) -> tuple[list[str], int]:
        """Return the sentences of all that nobody was told of in the life of the closed machine, and the exit code."""
        found: list[R4LError] = [*self._reports.take(settle=True)]
        last = self._vm.untold()
        if last and last not in found:
            found.append(last)
        return sentences(found), found[0].exit_code if found else 0

    def _tell_stoppers(self) -> None:
        causes, code = self._last_complaints()
        answer = {"complaints": causes, "exit_code": code, "log": str(self._vm.klog.file or "")}
        for connection in self._stoppers:
            # One that is gone asks no more.
            with contextlib.suppress(OSError):
                connection.send_json(DONE, answer)

    def _detach(self) -> None:
        """Leave the terminal to the process that started this one, and live on without it."""
        log = os.open(self._vm.workdir / "keeper.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        ready = int(os.environ.pop(READY))
        sys.stdout.flush()
        sys.stderr.flush()
        for number in (1, 2):
            os.dup2(log, number)
        os.close(log)
        on_parents_death(0)
        # If the process that started this one was killed, BrokenPipeError ends this one and its machine.
        os.write(ready, json.dumps({"name": self._name}).encode())
        os.close(ready)

    def _client(self, connection: FrameSocket) -> None:
        try:
            request = connection.receive_json() or {}
            if request.get("do") == "stop":
                # The connection ends with the process, when all resources are released.
                self._stoppers.append(connection)
                self._stopped.set()
                return
            if request.get("do") == "tell":
                self._tell_earlier(connection, DONE)
                connection.close()
                return
            own: list[Splat] = []
            done: dict[str, Any]
            try:
                done = self._run(connection, request, own)
            except OSError:
                raise
            except Exception as error:  # noqa: BLE001 (told to the client, which waits)
                done = {"exit_code": None, "error": thread_failure("the keeper", error).as_dict()}
            connection.send_json(DONE, done)
            for splat in own:
                splat.told = True
            connection.close()
        except (OSError, ValueError, KeyError):
            # The client is gone, or does not speak this protocol.
            connection.close()

    def _tell_earlier(self, connection: FrameSocket, frame_type: bytes) -> None:
        """Tell a client of the complaints that came while no command ran; another client is told if this one is gone.

        Raises:
            OSError: the client is gone.
        """
        found = self._reports.take(settle=frame_type == EARLIER)
        if not found and frame_type == EARLIER:
            return
        try:
            connection.send_json(frame_type, {"complaints": sentences(found)})
        except OSError:
            for splat in found:
                splat.told = False
            raise

    def _run(self, connection: FrameSocket, request: dict[str, Any], own: list[Splat]) -> dict[str, Any]:
        """Run a client's command to its end.

        Args:
            own: receives the complaints that came meanwhile.
        """
        # Without a sync, a complaint that is on its way would be taken for the command's own.
        with contextlib.suppress(R4LError):
            self._vm.klog.sync()
        self._tell_earlier(connection, EARLIER)
        with self._reports.command() as seen:
            return self._run_command(connection, request, seen, own)

    def _run_command(
        self, connection: FrameSocket, request: dict[str, Any], seen: int, own: list[Splat]
    ) -> dict[str, Any]:
        klog = self._vm.klog
        with self._vm.popen(
            request["command"],
            stdin=request["stdin"],
            terminal=Terminal(*request["terminal"]) if request["terminal"] else None,
            env=request["env"],
            on_stdout=lambda data: connection.send(OUTPUT, data),
            on_stderr=lambda data: connection.send(ERRORS, data),
            limit=0,
        ) as process:
            for work in (_feed, _watch):
                threading.Thread(
                    target=guarded(work, lambda _: _kill(process)), args=(connection, process), daemon=True
                ).start()
            done = process.wait_done(request["timeout"])
        if done is None:
            late = GuestTimeout(
                f"{process.title!r} did not end within {request['timeout']:g} s in the guest", "give it more --timeout"
            )
            if why := self._vm.why_it_hangs(seen):
                raise why from late
            raise late
        with contextlib.suppress(GuestTimeout):
            klog.sync()
        own += klog.complaints(seen, settle=True)
        return {
            "exit_code": done.exit_code,
            "error": own[0].as_dict() if own else None,
            "complaints": sentences(own),
        }


class Reports:
    """The complaints of a kernel that no client was told of, and none will be at the end of its command.

    Args:
        klog: the kernel's log.
    """

    def __init__(self, klog: KernelLog) -> None:
        self._klog = klog
        self._lock = threading.Lock()
        self._running: list[int] = []

    @contextlib.contextmanager
    def command(self) -> Iterator[int]:
        """Yield the number of complaints before a command that tells of those that come while it runs."""
        with self._lock:
            seen = self._klog.splat_count
            self._running.append(seen)
        try:
            yield seen
        finally:
            with self._lock:
                self._running.remove(seen)

    def take(self, *, settle: bool) -> list[Splat]:
        """Return these complaints, which count as told then.

        Args:
            settle: include complaints whose lines may still be coming.
        """
        with self._lock:
            found = self._klog.complaints(settle=settle)
            others = self._klog.complaints(min(self._running)) if self._running else []
            found = [splat for splat in found if not splat.told and splat not in others]
            for splat in found:
                splat.told = True
        return found


def sentences(errors: Sequence[R4LError]) -> list[str]:
    """Return the causes of the first errors, each cut at a length that a message can hold."""
    return [error.cause[:SENTENCE] for error in errors[:TOLD]]


def _feed(connection: FrameSocket, process: GuestProcess) -> None:
    """Pass a client's input to its command; kill the command if it makes no sense."""
    with contextlib.suppress(R4LError):
        while frame := connection.receive():
            frame_type, payload = frame
            if frame_type == INPUT:
                process.write(payload, float("inf"))
            elif frame_type == END_OF_INPUT:
                process.close_stdin()
            elif frame_type == SIZE:
                process.resize(Terminal(*json.loads(payload)))
    _kill(process)


def _watch(connection: FrameSocket, process: GuestProcess) -> None:
    """Kill a client's command when the client goes, also while the command does not take the input that it sent."""
    connection.wait_for_end()
    _kill(process)


def _kill(process: GuestProcess) -> None:
    # Whoever waits for the command gets the same error.
    with contextlib.suppress(R4LError):
        process.kill()
