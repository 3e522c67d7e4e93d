# SPDX-License-Identifier: MIT
"""The option `r4l run --keep`, and access to a kept machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

import click
from click.shell_completion import CompletionItem

from r4l import kept
from r4l.cli import session, show
from r4l.cli.called import called
from r4l.cli.screen import emit, input_of_command
from r4l.errors import EnvironmentFault, VerdictError
from r4l.guest.shell import on_terminal
from r4l.kept.client import Ended, RemoteGuest
from r4l.kept.keeper import READY
from r4l.own_python import OWN_PYTHON
from r4l.stages import is_quiet
from r4l.terminal import Console


def begin(guest_command: tuple[str, ...], timeout: float, *, shell: bool) -> int:
    """Start a keeper with this process's own arguments, continue in its machine, and return the exit code.

    Raises:
        KeyboardInterrupt: the user interrupted the start; the keeper has ended.
        EnvironmentFault: the keeper was killed before its machine was ready.
    """
    # The name of one that is told of is free again.
    tell_of_lost()
    reading, writing = os.pipe()
    keeper = subprocess.Popen(
        [*OWN_PYTHON, "-m", "r4l", *sys.argv[1:]],
        stdin=subprocess.DEVNULL,
        env={**os.environ, READY: str(writing)},
        pass_fds=(writing,),
        # ^C reaches only this process, which ends the keeper as long as its machine is not ready.
        start_new_session=True,
    )
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as stream:
            ready = stream.read()
    except BaseException:
        keeper.terminate()
        keeper.wait()
        raise
    if not ready:
        code = keeper.wait()
        if code < 0:
            raise EnvironmentFault(
                f"the process that starts the machine was ended from outside: {signal.strsignal(-code)}",
                "run the command again; `dmesg` tells whether this machine had no memory left",
            )
        return code
    machine = kept.find(json.loads(ready)["name"])
    if not is_quiet():
        tell(machine)
    code = execute(machine, guest_command, timeout) if guest_command else 0
    return join(machine) if shell else code


def tell(machine: kept.Kept) -> None:
    """Print the commands for using and ending a machine."""
    program = called()
    click.echo(
        f"{machine.name} keeps running: {program} exec {machine.name} -- COMMAND, "
        f"{program} shell --join {machine.name}; {program} stop {machine.name} ends it",
        err=True,
    )


def execute(machine: kept.Kept, guest_command: tuple[str, ...], timeout: float) -> int:
    """Run a command in a kept machine, with this process's standard streams, and return the exit code."""
    words: str | list[str] = guest_command[0] if len(guest_command) == 1 else list(guest_command)
    guest = RemoteGuest(machine)
    try:
        done = guest.run(
            words,
            timeout=timeout or None,
            input=input_of_command(),
            on_stdout=lambda data: emit(sys.stdout, data),
            on_stderr=lambda data: emit(sys.stderr, data),
        )
    finally:
        tell_earlier(guest.earlier, machine)
    if done.complaint:
        show(done.complaint)
    return _exit_code(done, guest)


def join(machine: kept.Kept) -> int:
    """Run a shell in a kept machine; print what the kernel complained of meanwhile; return the exit code."""
    guest = RemoteGuest(machine)
    try:
        done: Ended = on_terminal(guest, machine.shell)
    finally:
        tell_earlier(guest.earlier, machine)
    if done.complaint:
        session.tell(done.causes, console_of(machine))
    return _exit_code(done, guest)


def _exit_code(done: Ended, guest: RemoteGuest) -> int:
    """Return the command's exit code, or if that is 0 the verdict on it, or else on the time before it."""
    if done.exit_code or done.complaint:
        return done.exit_code or (done.complaint.exit_code if done.complaint else 0)
    return VerdictError.exit_code if guest.earlier else 0


def console_of(machine: kept.Kept) -> str:
    """Return the path of a machine's console log."""
    return f"{machine.run}/console.log"


def tell_earlier(causes: Sequence[str], machine: kept.Kept) -> None:
    """Print complaints of a machine's kernel that came while no command ran there, if there are any."""
    if causes:
        note(f"in {machine.name}, while no command ran there:")
        session.tell(causes, console_of(machine))


def tell_of_lost() -> int:
    """Print which machines have ended without being stopped, each once; return the exit code of their complaints."""
    codes = []
    for machine in kept.lost():
        note(machine.why_gone)
        if machine.complaints:
            session.tell(machine.complaints, console_of(machine))
        codes.append(machine.exit_code)
    return next(filter(None, codes), 0)


def note(text: str) -> None:
    """Print a line to stderr; a guest may have worded it."""
    screen = Console(stderr=True, highlight=False, soft_wrap=True)
    screen.print(f"note: {text}", markup=False)


def complete_name(_context: click.Context, _option: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the names of the kept machines, for the shell's completion."""
    return [CompletionItem(machine.name) for machine in kept.running() if machine.name.startswith(begun)]
