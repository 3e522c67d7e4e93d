# SPDX-License-Identifier: MIT
"""The interactive shell between a user's terminal and the real agent."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

from r4l.rootfs import program
from r4l.toolchain import Toolchain

USER = """
import os, pty, socket, subprocess, sys, threading, tty
from r4l.guest import Guest, Link
from r4l.guest.shell import interactive
os.environ["PS1"] = "ask: "
master, slave = pty.openpty()
tty.setraw(slave)
process = subprocess.Popen([sys.argv[1], os.ttyname(slave)])
ours, inner = socket.socketpair()
def out():
    while data := inner.recv(4096):
        os.write(master, data)
def back():
    while data := os.read(master, 65536):
        inner.sendall(data)
for work in (out, back):
    threading.Thread(target=work, daemon=True).start()
link = Link(ours)
assert link.connect(5)
code = interactive(Guest(link), ["/bin/sh"])
process.kill()
print("ended with", code, flush=True)
os._exit(0)
"""


def test_shell_on_a_users_terminal() -> None:
    agent = program.build(Toolchain.existing(), "agent")
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        os.execv(sys.executable, [sys.executable, "-c", USER, str(agent)])
    seen = b""

    def expect(text: bytes) -> None:
        nonlocal seen
        until = time.monotonic() + 15
        while text not in seen:
            assert time.monotonic() < until, seen
            if select.select([terminal], [], [], 0.1)[0]:
                seen += os.read(terminal, 4096)

    expect(b"ask: ")
    # In raw mode ^C goes to the guest's command, and not to us.
    # A shell looks at its traps between commands: short sleeps, or a ^C just before a long one would wait for its end.
    os.write(terminal, b'trap \'echo caught it; end=1\' INT; echo rea""dy; while [ -z "$end" ]; do sleep 0.1; done\n')
    expect(b"ready\r\n")
    os.write(terminal, b"\x03")
    expect(b"caught it\r\n")
    os.write(terminal, b"exit 7\n")
    expect(b"ended with 7")
    os.waitpid(pid, 0)


def test_without_a_terminal_it_is_refused(tmp_path: Path) -> None:
    code = "from r4l.guest.shell import interactive; interactive(None)"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, check=False
    )
    assert "UsageError: a shell needs a terminal" in done.stderr
