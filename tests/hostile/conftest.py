# SPDX-License-Identifier: MIT
"""Targets of attacks, and a folder whose Makefile runs an attacker's program; built once for all tests."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import secrets
import shutil
import socketserver
import subprocess
import sys
import termios
import threading
import time
import tomllib
import tty
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from r4l import home, resources
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module

HERE = Path(__file__).parent
NAME = f"hostile-{os.getpid()}"
"""Part of the name of every file that an attack makes, and of no other file."""

ADD_KEY, KEYCTL, KEYCTL_JOIN_SESSION_KEYRING, SESSION_KEYRING = 248, 250, 1, -3
"""Numbers from asm/unistd_64.h and linux/keyctl.h."""
ATTEMPTS = tomllib.loads((HERE / "attempts.toml").read_text())["attempt"]

KBUILD = """\
obj-m := hello.o
ifeq ($(wildcard attack.out),)
_ := $(shell python3 {attack} $(CURDIR) >attack.out 2>attack.err)
endif
"""


def some(names: Iterable[str], count: int) -> list[Any]:
    """Return names as parameters of a test, those after the first `count` for `selftest --all` only."""
    marks = ((), (pytest.mark.thorough,))
    return [pytest.param(name, marks=marks[index >= count]) for index, name in enumerate(names)]


class _Told:
    """A service's answer, and a record of its callers."""

    daemon_threads = True
    allow_reuse_address = True
    secret = ""

    def __init__(self, *arguments: Any) -> None:
        self.reached: list[object] = []
        super().__init__(*arguments)


class Tcp(_Told, socketserver.ThreadingTCPServer):
    """A TCP service that answers every caller with the secret."""


class Unix(_Told, socketserver.ThreadingUnixStreamServer):
    """A service that answers every caller with the secret, at a Unix socket."""


class Answer(socketserver.BaseRequestHandler):
    """A connection, which gets the secret."""

    server: Tcp | Unix

    def handle(self) -> None:
        self.server.reached.append(self.client_address)
        self.request.sendall(self.server.secret.encode())


@dataclass
class World:
    """The host with everything worth attacking.

    Attributes:
        secret: text in the user's environment, in files, behind the services, in shared memory.
        user: a folder of the user.
        student: folder of another student, where labs are built.
        module: another built module.
        service: on the host's loopback; `service.reached` lists the callers.
        victim: a process of the user.
        terminal: r4l's terminal.
        shown: all output on the terminal.
        targets: files that attacks try to create or change, with their bytes; None for a missing file.
    """

    kernel: Kernel
    secret: str
    user: Path
    student: Path
    module: BuiltModule
    service: Tcp
    victim: subprocess.Popen[bytes]
    shared_memory: int
    ours: int
    theirs: int
    shown: bytearray = field(default_factory=bytearray)
    targets: dict[str, tuple[Path, bytes | None]] = field(default_factory=dict)

    @property
    def terminal(self) -> str:
        """Device of the terminal."""
        return os.ttyname(self.theirs)

    def keys(self) -> int:
        """Number of bytes waiting in the terminal's input as if typed."""
        return int.from_bytes(fcntl.ioctl(self.theirs, termios.FIONREAD, bytes(4)), "little")

    def settle(self) -> None:
        """Wait until all printed output has arrived in `shown`."""
        end = f"end of {len(self.shown)}".encode()
        os.write(self.theirs, end)
        until = time.monotonic() + 30
        while end not in self.shown and time.monotonic() < until:
            time.sleep(0.01)

    def unchanged(self, target: str) -> bool:
        """True if a target is unchanged."""
        path, before = self.targets[target]
        return (path.read_bytes() if path.exists() else None) == before

    def attempts(self) -> dict[str, list[str]]:
        """Return all attempts for attack.py: a function and its argument."""
        secret = {
            "the user's secret": self.user / "secret",
            "the credentials of the git work tree": self.user / "src/.git/config",
            "the credentials of a repository far below": self.user / "src/group/deep/down/.git/config",
            "the credentials of a repository without a work tree": self.user / "src/group/bare/config",
            "another student's source": self.student / "hello.rs",
            "the environment of the user's process": Path(f"/proc/{self.victim.pid}/environ"),
        }
        paths = {**secret, **{name: path for name, (path, _) in self.targets.items()}}
        found = {}
        for attempt in ATTEMPTS:
            path = attempt.get("path") or paths.get(attempt["reach"])
            found[attempt["reach"]] = [attempt["by"], *([str(path)] if path else [])]
        return found

    def folder(self, place: Path) -> Path:
        """Create a module's folder with the attack in it."""
        shutil.copytree(resources.rust("drivers/hello"), place, ignore=shutil.ignore_patterns("tests"))
        shutil.copy(HERE / "attack.py", place)
        world = {
            "port": self.service.server_address[1],
            "abstract": NAME,
            "key": NAME,
            "terminal": self.terminal,
            "victim": self.victim.pid,
            "shared_memory": self.shared_memory,
            "attempts": self.attempts(),
        }
        (place / "attack.json").write_text(json.dumps(world))
        (place / "Kbuild").write_text(KBUILD.format(attack=place / "attack.py"))
        return place

    def r4l(self, *arguments: str) -> int:
        """Run r4l at the terminal, with the secret in its environment; return its exit code."""
        return subprocess.run(
            [sys.executable, "-m", "r4l", *arguments],
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            env={**os.environ, "HOSTILE_SECRET": self.secret},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            check=False,
            timeout=120,
        ).returncode


@pytest.fixture(scope="session")
def world(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Everything worth attacking; removed afterwards, with all files made by attacks."""
    top = tmp_path_factory.mktemp("user")
    secret = secrets.token_hex(16)
    (top / "secret").write_text(secret)
    for name in ("src/.git", "src/group/deep/down/.git", "src/group/bare"):
        for part in ("objects", "refs"):
            (top / name / part).mkdir(parents=True)
        (top / name / "HEAD").touch()
        (top / name / "config").write_text(f"[http]\n\textraHeader = {secret}\n")
    student = home.room("labs", NAME)
    (student / "hello.rs").write_text(f"// {secret}\n")
    shutil.copytree(resources.rust("drivers/hello"), top / "src/other", ignore=shutil.ignore_patterns("tests"))
    module = Module(top / "src/other").build(kernel)
    libc = ctypes.CDLL(None)
    libc.shmat.restype = ctypes.c_void_p
    shared = libc.shmget(0, 4096, 0o1666)
    ctypes.memmove(libc.shmat(shared, None, 0), secret.encode(), len(secret))
    # Without keys in the kernel, nothing can be read.
    libc.syscall(KEYCTL, KEYCTL_JOIN_SESSION_KEYRING, None)
    libc.syscall(ADD_KEY, b"user", NAME.encode(), secret.encode(), len(secret), SESSION_KEYRING)
    victim = subprocess.Popen(["sleep", "600"], env={"HOSTILE_SECRET": secret})
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    with Tcp(("127.0.0.1", 0), Answer) as service, Unix("\0" + NAME, Answer) as other:
        made = World(kernel, secret, top, student, module, service, victim, shared, ours, theirs)
        for server in (service, other):
            server.secret = secret
            threading.Thread(target=server.serve_forever, daemon=True).start()
        threading.Thread(target=_show, args=(ours, made.shown), daemon=True).start()
        made.targets |= {name: (path, path.read_bytes() if path.exists() else None) for name, path in _targets(made)}
        try:
            yield made
        finally:
            victim.kill()
            victim.wait()
            libc.shmctl(shared, 0, None)
            home.remove(student)
            for folder in (top / "src").glob("[!.]*"):
                home.remove(Module(folder).output(kernel).parent)
            for path, before in made.targets.values():
                if before is None:
                    path.unlink(missing_ok=True)
            for server in (service, other):
                server.shutdown()
    os.close(theirs)


def _targets(world: World) -> Iterator[tuple[str, Path]]:
    """Return the files worth writing to."""
    base = home.home()
    packages = Path(sys.prefix) / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    yield "the venv: code at the next call", packages / f"{NAME}.pth"
    yield "the toolchain", world.kernel.toolchain.root / "usr" / NAME
    yield "the kernel's metadata", world.kernel.build / NAME
    yield "the kernel's source", world.kernel.source / NAME
    yield "another module's output", world.module.path
    yield "another student's folder", world.student / "hello.rs"
    yield "a later build", base / "modules" / NAME
    yield "the home's bin: programs that editors start", home.room("bin") / NAME
    yield "the home's snapshots", home.room("snapshots") / NAME
    yield "the home's locks", home.room("locks") / NAME
    yield "the home's logs", home.room("logs") / NAME
    yield "bundles that are being graded", home.room("grading") / NAME
    yield "the home", base / NAME
    yield "the compilers, mounted anew", world.kernel.toolchain.root / "usr" / NAME
    yield "the user's file", world.user / "secret"
    yield "r4l's own code", resources.kit() / NAME
    yield "the folder beside", world.user / "src/other" / NAME


def _show(ours: int, shown: bytearray) -> None:
    while True:
        try:
            data = os.read(ours, 1 << 16)
        except OSError:
            return
        if not data:
            return
        shown += data


@pytest.fixture(scope="session")
def output(world: World) -> Path:
    """Output folder of the attacker's module, built at the terminal."""
    folder = world.folder(world.user / "src/attacker")
    module = Module(folder)
    output = module.output(world.kernel)
    home.remove(output)
    assert world.r4l("build", str(folder)) == 0, world.shown.decode(errors="replace")
    return output


@pytest.fixture(scope="session")
def built(output: Path) -> dict[str, str]:
    """Result of each attempt of the Makefile's program."""
    found: dict[str, str] = json.loads((output / "attack.out").read_text())
    return found
