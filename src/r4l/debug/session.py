# SPDX-License-Identifier: MIT
"""A debug session: a running machine, modules to load into it, and gdb attached to it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path

from r4l import resources
from r4l.debug import symbols
from r4l.debug.plan import plan
from r4l.errors import GuestTimeout, R4LError, VerdictError
from r4l.limits import UNLIMITED
from r4l.module import BuiltModule
from r4l.threads import guarded, thread_failure
from r4l.toolchain import Grant, Toolchain
from r4l.vm import VM, loading
from r4l.vm.loading import FOLDER

SOCKET = "gdb.socket"
"""Name of gdb's socket in the run's folder. The short path keeps below the 107 bytes of a Unix socket's path."""


REST = 0.5
"""Seconds that a batch goes on after the guest's command has ended; then a waiting `continue` is interrupted."""


class Session:
    """gdb on modules in a VM.

    Args:
        vm: a running machine with the agent.
        modules: built and not yet loaded.
        tools: the toolchain with the extra `debugger`.
        sources: folders on the host to show sources from.
        parameters: the modules' parameters.
        guest_command: command run in the guest after the modules are loaded.
    """

    def __init__(
        self,
        vm: VM,
        modules: Sequence[BuiltModule],
        tools: Toolchain,
        sources: Sequence[Path],
        parameters: Mapping[str, str],
        guest_command: Sequence[str] = (),
    ) -> None:
        self.vm = vm
        self.modules = modules
        self.tools = tools
        self.sources = sources
        self.parameters = parameters
        self.guest_command = guest_command
        self.failure: BaseException | None = None
        self._over = threading.Event()

    def run(self, breaks: Sequence[str], commands: Sequence[str], *, batch: bool, timeout: float | None) -> int:
        """Load the modules under gdb's control, and return gdb's exit code when gdb ends.

        Args:
            breaks: arguments of gdb's `break` (see `functions.places`).
            commands: gdb commands run at the first stop.
            batch: end gdb after the commands; otherwise gdb gets the terminal.
            timeout: seconds that a batch may take.

        Raises:
            GuestTimeout: the batch took longer.
            VerdictError: a module was not loaded, or the guest's command failed.
        """
        names = symbols.of(self.vm)
        at = symbols.address(names, "do_init_module")
        file = self.vm.workdir / "plan.json"
        file.write_text(plan(self.modules, names, at, self.vm.kernel.arch, breaks, SOCKET), encoding="utf-8")
        for module in self.modules:
            loading.load_needs(self.vm, module, {own.name for own in self.modules})
            self.vm.put(module.path, f"{FOLDER}/{module.path.name}", 0o644)
        self.vm.qmp("human-monitor-command", command_line=f"gdbserver unix:{SOCKET},server=on,wait=off")
        # The guest is stopped: it handles the following commands after gdb's `continue`.
        self.vm.qmp("stop")
        work = partial(self._in_the_guest, batch)
        threading.Thread(target=guarded(work, self._failed), name="r4l-debug", daemon=True).start()
        try:
            code = self._gdb(file, names, commands, batch, timeout)
        finally:
            self._over.set()
        if batch and self.failure:
            raise thread_failure("what the guest does for gdb", self.failure)
        return code

    def _gdb(self, file: Path, names: Path, commands: Sequence[str], batch: bool, timeout: float | None) -> int:
        script = self.vm.workdir / "in_gdb.py"
        script.write_bytes((files(__package__) / "in_gdb.py").read_bytes())
        argv: list[str | Path] = ["gdb-multiarch", "-nx", "-q", *(["-batch"] if batch else []), "-x", script]
        for command in commands:
            argv += ["-ex", command]
        built = {module.path.parent for module in self.modules}
        grant = Grant(
            "debug: gdb",
            writes=(self.vm.workdir,),
            reads=(names, *self.sources, *built, resources.kit(), self.vm.kernel.source, self.vm.kernel.build),
            terminal=not batch,
            limits=UNLIMITED,
        )
        inside = self.tools.command(
            argv,
            grant,
            cwd=self.vm.workdir,
            env={"TERM": os.environ.get("TERM", "linux"), "R4L_PLAN": str(file)},
        )
        with _interrupts_are_gdbs() if not batch else contextlib.nullcontext():
            try:
                return subprocess.run(
                    inside, stdin=subprocess.DEVNULL if batch else None, timeout=timeout if batch else None, check=False
                ).returncode
            except subprocess.TimeoutExpired:
                raise GuestTimeout(
                    f"gdb did not end within {timeout:g} s",
                    "check that the guest's command ends: the last `continue` waits for it",
                ) from None

    def _in_the_guest(self, batch: bool) -> None:
        """Load the modules and run the command, at the pace that gdb allows; then keep the guest from running on."""
        guarded(self._load_and_run, self._failed)()
        if self.failure and not batch and self.vm.running:
            _emit(f"{thread_failure('what the guest does for gdb', self.failure)}\n".encode())
        while batch and not self._over.wait(REST):
            # gdb may wait in a `continue` although no breakpoint can be hit any more: stop the guest to return from it.
            with contextlib.suppress(R4LError):
                self.vm.qmp("stop")

    def _failed(self, error: BaseException) -> None:
        self.failure = self.failure or error

    def _load_and_run(self) -> None:
        for module in self.modules:
            since = self.vm.klog.mark()
            done = self.vm.run(
                ["insmod", f"{FOLDER}/{module.path.name}", *loading.parameter_words(self.parameters)], timeout=None
            )
            if done.exit_code:
                raise VerdictError(
                    f"the guest's kernel did not load {module.path.name}: {done.stderr.strip()}",
                    "the kernel's log tells why",
                    detail=self.vm.klog.tail(),
                )
            if self.parameters:
                loading.require_known(self.vm, module.path, self.parameters, since)
        if self.guest_command:
            line: str | Sequence[str] = self.guest_command
            done = self.vm.run(
                line[0] if len(line) == 1 else line, timeout=None, on_stdout=_emit, on_stderr=_emit, check=True
            )


def _emit(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


@contextlib.contextmanager
def _interrupts_are_gdbs() -> Iterator[None]:
    """Leave SIGINT to gdb, which then stops the guest: r4l and bubblewrap ignore it. SIGTERM still ends the session."""
    before = {signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN)}
    before[signal.SIGTERM] = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(*_: object) -> None:
    raise KeyboardInterrupt
