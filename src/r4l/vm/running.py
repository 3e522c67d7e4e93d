# SPDX-License-Identifier: MIT
"""A running machine: QEMU, its kernel's log, the guest's agent, and the check of its end."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from r4l.errors import BootError, GuestTimeout, R4LError
from r4l.guest import Guest, GuestGone, Link
from r4l.klog import KernelLog, Sources, Splat
from r4l.klog.records import LineSplitter
from r4l.net import Cable
from r4l.pci import Device, ModelError, NetworkCard
from r4l.threads import thread_failure
from r4l.toolchain import Toolchain
from r4l.vm import boot, cards
from r4l.vm import cables as cabling
from r4l.vm import image as images
from r4l.vm import snapshot as snapshots
from r4l.vm.blame import RunTime, starved
from r4l.vm.devices import Plugs, unreported
from r4l.vm.errors import MachineReset, NoAgent, NoOutput, QemuDied
from r4l.vm.last_words import LastWords
from r4l.vm.machine import Machine
from r4l.vm.oops import OopsTimer
from r4l.vm.qemu import Qemu
from r4l.vm.qmp import Event
from r4l.vm.written import WrittenBound

DRAIN = 2.0
"""Seconds of its own time in which a guest must answer before it is ended, so that its log is complete."""
LOG = logging.getLogger(__name__)


class RunningMachine:
    """One run of a machine: `launch`, then `boot` or `resume`, and at the end `close`.

    Args:
        machine: QEMU's description.
        toolchain: toolchain that contains QEMU.
        workdir: folder for its logs and captures.
        sources: source lines of the loaded modules.
        devices: the VM's list of devices in Python.
        cards: its network cards in Python, by their index.

    Attributes:
        klog: the kernel's log.
        qemu, link, guest, cables, plugs: set by `launch`.
        begun: monotonic time of the start.
        shutdown_reason: from QMP's event SHUTDOWN.
        ended_by: reason of its end, if it ended before `close`.
    """

    qemu: Qemu
    link: Link
    guest: Guest
    cables: Mapping[int, Cable]
    written: WrittenBound
    plugs: Plugs

    def __init__(
        self,
        machine: Machine,
        toolchain: Toolchain,
        workdir: Path,
        sources: Sources,
        devices: Sequence[Device],
        cards: Mapping[int, NetworkCard],
    ) -> None:
        self.machine = machine
        self.workdir = workdir
        self.devices = devices
        self._cards = cards
        self._ends: list[Cable] = []
        self.klog = KernelLog(workdir / "console.log", self._sync_mark, sources)
        self.begun = time.monotonic()
        self.shutdown_reason: str | None = None
        self._toolchain = toolchain
        self._launched = threading.Event()
        self._guard = threading.Lock()
        self._oops = OopsTimer(self._after_oops, self._failed)
        self._last_words = LastWords(self._on_still, lambda: RunTime(self.qemu.pid).now, self._failed)
        self._still: GuestGone | None = None
        self._over = threading.Event()
        self._ending = threading.Lock()
        self._closing = self._closed = self._undone = False
        self._mute = self._paused = False
        self._mark_timeout = 5.0
        self._judged = 0
        self._failure: R4LError | None = None
        self.ended_by: R4LError | None = None

    # -- life ---------------------------------------------------------------------------------------------------

    def launch(self, given: Mapping[int, Cable], state: Path | None = None) -> None:
        """Start QEMU.

        Args:
            given: cables, by the card's index.
            state: a snapshot to continue with `resume`.

        Raises:
            EnvironmentFault: QEMU is missing, or this machine does not permit a tap.
        """
        self.cables = cabling.lay(self.machine.nics, given, self.workdir)
        with contextlib.ExitStack() as undo:
            undo.callback(self._undo)
            undo.callback(cabling.close, self.cables.values())
            lines, self._ends = cards.connect(self._cards, self.machine.nics, self.cables)
            undo.callback(cabling.close, [*lines.values(), *self._ends])
            self.plugs = Plugs([*self._cards.values(), *self.devices], self.workdir)
            undo.callback(self.plugs.close)
            self.qemu = Qemu(
                self.machine,
                self._toolchain,
                self.workdir,
                cables={index: one for index, one in self.cables.items() if index in lines or index not in self._cards},
                lines=lines,
                devices=[] if state else self.plugs.arguments(),
                state=state,
                on_line=self._on_line,
                on_event=self._on_event,
                on_exit=self._on_exit,
                failed=self._failed,
            )
            self.written = WrittenBound(self.qemu.monitor, self.qemu.captures, self.qemu.log, self._failed)
            self.link = Link(self.qemu.agent_socket.ours)
            self.guest = Guest(self.link, self.context)
            self._launched.set()
            undo.pop_all()

    def abandon(self) -> None:
        """End the machine if `launch` has finished, and nobody has got to know that."""
        if self._launched.is_set() and not self._undone:
            self.close()

    def _undo(self) -> None:
        """End what `launch` has begun, and did not finish."""
        self._closing = self._undone = True
        # Threads that follow the machine wait for its launch.
        self._launched.set()
        for part in ("written", "link"):
            if part in vars(self):
                getattr(self, part).close()
        if "qemu" in vars(self):
            self.qemu.kill()
            self.qemu.close()

    def begin_with(self, log: Path) -> None:
        """Have the console begin with that of the boot before the state which the machine goes on from."""
        text = log.read_bytes()
        (self.workdir / "console.log").write_bytes(text)
        for line in LineSplitter().feed(text):
            self.klog.feed(line)

    def boot(self, patience: boot.Patience) -> None:
        """Wait for the agent.

        Raises:
            BootError: as `boot.wait_for_agent`.
        """
        try:
            boot.wait_for_agent(self.link, self.qemu, self.klog, patience)
        except (NoOutput, NoAgent) as error:
            error.starved = starved(self.qemu.pid, self.begun)
            raise
        if self.plugs.devices:
            self.plugs.locate(self.qemu.monitor)

    def resume(self, state: Path) -> None:
        """Continue the machine from a snapshot.

        Raises:
            snapshots.Useless: the snapshot cannot be restored.
        """
        snapshots.resume(state, self.qemu, self.link)

    def worth_another_boot(self, error: BootError) -> bool:
        """True if the boot failed for a reason that will not recur."""
        stray = self.machine.accel == "tcg" and any(splat.stray_breakpoint for splat in self.klog.complaints())
        return stray or isinstance(error, snapshots.Useless)

    def close(self) -> bool:
        """End the machine in any state, which completes its log; return False if it was closed before."""
        with self._ending:
            if self._closed:
                return False
            try:
                self._close()
            except BaseException:
                # Ctrl-C, for one. The machine does not outlive it; a further call does the rest.
                self.qemu.kill()
                raise
            self._closed = True
            return True

    def _close(self) -> None:
        with self._guard:
            self._closing = True
            self._oops.close()
            self._last_words.close()
        self.written.close()
        # End QEMU first: it would log an error if the agent's socket were closed while it runs.
        self.qemu.end()
        self.link.close()
        self.qemu.close()
        self.plugs.close()
        cabling.close([*self.cables.values(), *self._ends])
        self.klog.finish()

    @property
    def running(self) -> bool:
        """True while QEMU runs."""
        return self.qemu.running

    def wait(self, timeout: float | None) -> int | None:
        """Wait until QEMU has ended; return its exit code, or None after `timeout` seconds.

        Raises:
            GuestGone: the guest has halted, and QEMU goes on.
        """
        self._over.wait(timeout)
        self._raise_failure()
        if self._still and self.running:
            raise GuestGone(self._still.cause, self._still.remedy, detail=self.context(), log=self.klog.file)
        return self.qemu.wait(timeout) if self._still else self.qemu.exit_code

    def context(self) -> str:
        """Return the console's end and the number of complaints, for an error's detail."""
        said = f"end of the console:\n{self.qemu.console.tail()}"
        complaints = [splat.headline for splat in self.klog.complaints()]
        if complaints:
            said = f"the kernel complained {len(complaints)} times, last: {complaints[-1]}\n{said}"
        return said

    # -- the verdict on its end ---------------------------------------------------------------------------------

    def check(self) -> None:
        """Check the kernel's log; see `VM.check`."""
        for problem in self._model_errors():
            raise problem
        self._raise_failure()
        if self.running and not self._still:
            try:
                self.klog.check()
                self._judged = self.link.last
                return
            except Splat:
                raise
            except R4LError as error:
                self._mute = isinstance(error, GuestTimeout)
                if self.running and not self._still:
                    raise
        if not self._still:
            # Wait for the rest of its log.
            self.qemu.wait(None)
        for splat in self.klog.splats(settle=True):
            raise splat
        if untold := self.untold():
            raise untold

    def untold(self) -> R4LError | None:
        """Return the first unreported problem; see `VM.untold`."""
        for problem in self._model_errors():
            return problem
        splat = self.klog.untold()
        if not splat and self._failure and self._failure.__traceback__ is None:
            return self._failure
        end = self.ended_by
        # A panic is in the log, where it may be allowed.
        lost = isinstance(end, QemuDied | MachineReset) and end.__traceback__ is None
        return splat or (end if lost else None)

    def _model_errors(self) -> list[ModelError]:
        return unreported((*self._cards.values(), *self.devices))

    def drain(self) -> None:
        """Wait for the guest's remaining log before QEMU is ended.

        A guest that had processor time enough for an answer and gave none is ended all the same; that is logged.
        """
        if self._closing or self._mute or self._paused or self._still or not self.running or not self.link.connected:
            return None
        if self._judged == self.link.last:
            # No request was sent since the log was read.
            return None
        self._mark_timeout = DRAIN
        clock = RunTime(self.qemu.pid).now
        # An error of another kind ends the machine, and is told as its end.
        with contextlib.suppress(R4LError):
            while True:
                try:
                    return self.klog.sync(DRAIN)
                except GuestTimeout:
                    if clock() < DRAIN:
                        continue
                LOG.warning("the guest did not answer at its end; the last messages of its kernel may be missing")
                return None

    # -- what happens meanwhile ---------------------------------------------------------------------------------

    def _on_line(self, line: str) -> None:
        records = self.klog.feed(line)
        if self._undone:
            return
        if self._launched.is_set():
            for record in records:
                self._last_words.feed(record)
        if self.klog.dying:
            self._oops.begin(self.link.waiting() if self._launched.is_set() else frozenset())

    def _on_still(self, error: GuestGone) -> None:
        error.log = self.klog.file
        self._still = error
        self.link.fail(error)
        self._over.set()

    def _after_oops(self, waiting: frozenset[int]) -> None:
        fatal = [splat for splat in self.klog.complaints() if splat.fatal]
        if fatal:
            self.link.interrupt(fatal[-1], waiting)
        elif self.klog.begun:
            self._oops.begin(waiting)

    def _failed(self, error: BaseException) -> None:
        """Have all fail that wait for the guest: one of the threads that follow the machine has ended."""
        self._failure = self._failure or thread_failure("following the machine", error)
        if self._launched.wait(5) and not self._undone:
            self.link.fail(self._failure)
        self._over.set()

    def _raise_failure(self) -> None:
        if self._failure:
            raise self._failure

    def _on_event(self, event: Event) -> None:
        self.plugs.on_event(event)
        if event["event"] == "SHUTDOWN":
            self.shutdown_reason = event["data"]["reason"]
        elif event["event"] in ("STOP", "RESUME"):
            self._paused = event["event"] == "STOP"
        elif event["event"] == "BLOCK_IO_ERROR" and event["data"].get("nospace"):
            # QEMU has stopped the guest: pending waits would last until their time-out.
            self._launched.wait(5)
            self.link.fail(images.writes_failed(self.workdir))

    def _on_exit(self, code: int) -> None:
        # QEMU can end before its constructor has returned.
        if not self._launched.wait(5) or self._undone:
            # `launch` raises why.
            return
        try:
            self._note_end(code)
        finally:
            self._over.set()

    def _note_end(self, code: int) -> None:
        self.klog.finish()
        booted = self.link.agent_pid != 0
        why = boot.why_it_ended(code, self.shutdown_reason, self.qemu, self.klog, booted=booted)
        if not self._closing:
            self.ended_by = why
        self._last_words.close()
        self.link.fail(why)

    def _sync_mark(self, text: str) -> bool:
        if not self._launched.is_set() or self._undone or not self.link.connected:
            return False
        self.guest.mark(f"<7>{text}", self._mark_timeout)
        return True
