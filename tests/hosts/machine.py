# SPDX-License-Identifier: MIT
"""A machine to try r4l on: Debian's packages in a folder, entered with bubblewrap."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r4l import home
from r4l.debian import Archive, Rules, apt
from r4l.toolchain import table, tree
from r4l.toolchain.enter import USR_LINKS, bwraps

ROOT = Path(__file__).parents[2]
HOSTS: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_name("hosts.toml").read_text(encoding="utf-8"))
CHECKOUT = "/srv/r4l"
"""Path at which the machine sees this checkout, read-only."""
WHEELS = "/srv/wheels"
"""Folder of the machine with r4l's wheel."""
VENV = "venv"
"""Virtual environment in the user's home."""
CERTIFICATES = "/srv/certificates.crt"
WITH_CERTIFICATES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
"""Variables that name this machine's own certificates, where pip needs such."""
OF_PIP = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
APT_CACHE = "var/cache/apt/archives/partial"
SOURCES = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {address} {suite} main\n"


def is_boxed() -> bool:
    """Return True if this process is in a sandbox already: sudo and mounts of a user's own fail, also in machines made
    here (no_new_privs, prctl(2))."""
    return "NoNewPrivs:\t1" in Path("/proc/self/status").read_text(encoding="ascii")


@dataclass(frozen=True)
class Machine:
    """A machine that was made.

    Attributes:
        name: in hosts.toml.
        root: the folder with its files.
        of: its entry.
    """

    name: str
    root: Path
    of: dict[str, Any]

    @classmethod
    def make(cls, name: str, root: Path, of: dict[str, Any]) -> Machine:
        """Unpack a machine's packages and change what its entry says.

        Args:
            name: in its table.
            root: folder for its files.
            of: its entry.

        Raises:
            EnvironmentFault: the network or disk space is missing.
        """
        archive = Archive(of["suite"], "", ("main",), "amd64", ())
        archive.update()
        found = archive.resolve(dict.fromkeys([*archive.essential(), *of["packages"]]))
        base = found.pop(tree.FIRST)
        # Debian 12's own packages do not make them; its installer does.
        for link in USR_LINKS:
            (root / "usr" / link).mkdir(parents=True)
            (root / link).symlink_to(f"usr/{link}")
        rules = Rules(LEFT_OUT)
        archive.unpack_found([base], root, rules=rules)
        archive.unpack_found(list(found.values()), root, rules=rules)
        tree.finish(root, [base, *found.values()], table()["alternatives"])
        machine = cls(name, root, of)
        machine._adapt(archive)
        return machine

    def _adapt(self, archive: Archive) -> None:
        for folder in (
            "srv/r4l",
            "root",
            "home",
            "tmp",
            "run",
            "proc",
            "sys",
            "dev",
            "var/tmp",
            "var/cache/apt/archives/partial",
        ):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        (self.root / CERTIFICATES.lstrip("/")).touch()
        # What the script of ca-certificates does; Debian's pip does not start without.
        bundle = self.root / "etc/ssl/certs/ca-certificates.crt"
        bundle.parent.mkdir(parents=True, exist_ok=True)
        known = sorted((self.root / "usr/share/ca-certificates").rglob("*.crt"))
        bundle.write_bytes(b"".join(path.read_bytes() for path in known))
        if "sources" in self.of:
            for name, text in self.of["sources"].items():
                (self.root / "etc/apt" / name).write_text(text, encoding="utf-8")
        elif "apt" in self.of["packages"]:
            lines = SOURCES.format(address=archive.mirror.address, suite=self.of["suite"])
            (self.root / "etc/apt/sources.list").write_text(lines, encoding="utf-8")
            inherited = apt.settings().items()
            settings = [f'{setting} "{value}";\n' for setting, value in inherited]
            (self.root / "etc/apt/apt.conf.d/90inherited").write_text("".join(settings), encoding="utf-8")
        for pattern in self.of.get("without", ()):
            for path in self.root.glob(pattern):
                home.remove(path)
        if "release" in self.of:
            text = "".join(f'{name}="{value}"\n' for name, value in self.of["release"].items())
            (self.root / "usr/lib/os-release").write_text(text, encoding="utf-8")
        user = self.of.get("user", 0)
        if user:
            with (self.root / "etc/passwd").open("a", encoding="utf-8") as file:
                file.write(f"{self.login}:x:{user}:{user}::/home/{self.login}:/bin/sh\n")
        writable = self.root / str(self.home).lstrip("/")
        writable.mkdir(parents=True, exist_ok=True)
        for path in (writable, *writable.parents):
            if path != self.root and path.is_relative_to(self.root / "home"):
                os.chown(path, user, user)

    @property
    def login(self) -> str:
        """Name of its user."""
        return str(self.of.get("login", "student"))

    @property
    def home(self) -> Path:
        """R4L_HOME in the machine."""
        folder = f"/home/{self.login}" if self.of.get("user") else "/root"
        return Path(self.of.get("home", f"{folder}/.cache/r4l"))

    def command(self, *argv: str, proxy: Path | None = None) -> list[str]:
        """The command line that runs a command in the machine.

        Args:
            proxy: the socket of the proxy, which is all that a machine with `proxy` has of a network.
        """
        user = self.of.get("user", 0)
        # A /proc of bubblewrap's own is masked in part: no user namespace in it could have one (user_namespaces(7)).
        command = [bwraps()[0], "--die-with-parent", "--bind", str(self.root), "/", "--bind", "/proc", "/proc"]
        command += ["--dev-bind", "/dev", "/dev"]
        command += [] if "installed" in self.of else ["--ro-bind", str(ROOT), CHECKOUT]
        command += ["--ro-bind", "/sys", "/sys", "--perms", "1777", "--tmpfs", "/tmp", "--tmpfs", "/run"]
        command += ["--bind", str(self.root / str(self.home).lstrip("/")), str(self.home)]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.home.parents[1])}
        environment |= {name: os.environ[name] for name in OF_PIP if name in os.environ}
        certificates = next((os.environ[name] for name in WITH_CERTIFICATES if name in os.environ), None)
        if certificates:
            command += ["--ro-bind", certificates, CERTIFICATES]
            environment |= dict.fromkeys(WITH_CERTIFICATES, CERTIFICATES)
        if "home" in self.of:
            environment["R4L_HOME"] = self.of["home"]
        if not apt.checks_dates():
            environment["R4L_CHECK_VALID_UNTIL"] = "false"
        if proxy:
            command += ["--unshare-net", "--bind", str(proxy), "/run/proxy"]
            environment |= dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:3128")
            argv = ("python3", f"{CHECKOUT}/tests/hosts/proxy.py", "inside", "/run/proxy", *argv)
        # What holds for the commands in the machine, root's or a user's.
        command += ["--clearenv", *(word for item in environment.items() for word in ("--setenv", *item))]
        options = self.of.get("options", [])
        command += options if "--unshare-user" in options else [*options, "--cap-add", "ALL"]
        drop = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        folder = environment["HOME"] if "installed" in self.of else CHECKOUT
        mask = f"umask {self.of.get('umask', '022')}"
        return [*command, *drop, "sh", "-c", f'{mask}; cd {folder}; exec "$@"', "sh", *argv]

    def run(self, *argv: str, proxy: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in the machine to its end."""
        return subprocess.run(
            self.command(*argv, proxy=proxy), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )

    @property
    def program(self) -> str:
        """Path of the program r4l in the machine."""
        return f"{self.home.parents[1]}/{VENV}/bin/r4l" if "installed" in self.of else "./r4l"

    def install(self, wheels: Path) -> None:
        """Install r4l from its wheel, as the machine's user, in a virtual environment in their home.

        Args:
            wheels: folder with the wheel.
        """
        target = self.root / WHEELS.lstrip("/")
        shutil.copytree(wheels, target).chmod(0o755)
        (wheel,) = target.glob("r4l-*.whl")
        wheel.chmod(0o644)
        venv = f"{self.home.parents[1]}/{VENV}"
        for argv in (["python3", "-m", "venv", venv], [f"{venv}/bin/pip", "install", "-q", f"{WHEELS}/{wheel.name}"]):
            done = self.run(*argv)
            assert done.returncode == 0, done.stdout + done.stderr

    def sandbox(self, proxy: Path | None = None) -> str:
        """Return the words of `r4l doctor` about the sandbox."""
        done = self.run(self.program, "doctor", "--json", proxy=proxy)
        return str(next(entry["found"] for entry in json.loads(done.stdout) if entry["name"] == "sandbox"))

    def remove(self) -> None:
        """Remove it: one takes 4 GB."""
        shutil.rmtree(self.root)
