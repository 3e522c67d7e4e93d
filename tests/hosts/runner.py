# SPDX-License-Identifier: MIT
"""Machines of CI and containers (runners.toml), in which steps run one after the other and files stay."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.hosts import apparmor, confined
from tests.hosts.machine import CERTIFICATES, OF_PIP, WHEELS, WITH_CERTIFICATES, Machine

from r4l.debian import apt
from r4l.toolchain.enter import bwraps

RUNNERS: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_name("runners.toml").read_text(encoding="utf-8"))
SETTING = "srv/apparmor"
"""File with the content of the setting that this kernel does not have."""
SYSCTL = f"""\
#!/bin/sh
# AppArmor's setting, which this kernel does not have; everything else is sysctl's.
case $1$2 in
-w{apparmor.SETTING}=*) echo "${{2#*=}}" >/{SETTING} && echo "{apparmor.SETTING} = ${{2#*=}}" ;;
*) exec /usr/sbin/sysctl "$@" ;;
esac
"""
SUDOERS = "Defaults env_reset\nroot ALL=(ALL:ALL) ALL\n{login} ALL=(ALL:ALL) NOPASSWD:ALL\n"
PAM = {
    "common-auth": "auth",
    "common-account": "account",
    "common-session": "session",
    "common-session-noninteractive": "session",
    "common-password": "password",
}
"""Files of /etc/pam.d that a script of libpam-runtime makes, with the management group of each."""
MOUNTS = """\
root=$1
shift
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount -t tmpfs -o mode=755 dev "$root/dev"
for name in null zero full random urandom tty; do cp -a "/dev/$name" "$root/dev/"; done
[ ! -e /dev/kvm ] || { cp -a /dev/kvm "$root/dev/"; chmod 0660 "$root/dev/kvm"; }
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"
ln -s fd/1 "$root/dev/stdout"
ln -s fd/2 "$root/dev/stderr"
mkdir -p "$root/srv/host"
cd "$root"
pivot_root . srv/host
umount -l /srv/host
exec "$@"
"""
"""Script that makes a machine of a folder without no_new_privs, which bubblewrap sets: sudo must work in it."""


class Runner:
    """A machine with what its steps share.

    Attributes:
        machine: the machine.
        environment: the variables of all steps.
        refused: processes that AppArmor's restriction has refused a user namespace.
    """

    def __init__(self, machine: Machine, wheels: Path, supervisor: Path | None, refused: list[int]) -> None:
        self.machine, self.refused, self._supervisor = machine, refused, supervisor
        root, of = machine.root, machine.of
        shutil.copytree(wheels, root / WHEELS.lstrip("/")).chmod(0o755)
        user = of["user"]
        path = f"{of['python']}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        # The folder stands for a package index with r4l in it.
        self.environment = {"PATH": path, "CI": "true", "PIP_FIND_LINKS": WHEELS}
        self.environment |= {name: os.environ[name] for name in OF_PIP if name in os.environ}
        certificates = next((os.environ[name] for name in WITH_CERTIFICATES if name in os.environ), None)
        if certificates:
            shutil.copyfile(certificates, root / CERTIFICATES.lstrip("/"))
            self.environment |= dict.fromkeys(WITH_CERTIFICATES, CERTIFICATES)
        if not apt.checks_dates():
            self.environment["R4L_CHECK_VALID_UNTIL"] = "false"
        (root / "tmp").chmod(0o1777)
        if of.get("sudo"):
            self._let_sudo()
        # A Python that is on the PATH as `python`, and that pip installs into.
        self.run(["/usr/bin/python3", "-m", "venv", of["python"]], user=0).check_returncode()
        if user:
            self.run(["chown", "-R", str(user), of["python"]], user=0).check_returncode()

    def _let_sudo(self) -> None:
        root = self.machine.root
        (root / "etc/sudoers").write_text(SUDOERS.format(login=self.machine.login), encoding="utf-8")
        (root / "etc/sudoers").chmod(0o440)
        for name, group in PAM.items():
            (root / "etc/pam.d" / name).write_text(f"{group} required pam_permit.so\n", encoding="utf-8")
        (root / "usr/bin/sudo").chmod(0o4755)
        (root / SETTING).write_text("1\n", encoding="utf-8")
        shim = root / "usr/local/sbin/sysctl"
        shim.parent.mkdir(parents=True, exist_ok=True)
        shim.write_text(SYSCTL, encoding="utf-8")
        shim.chmod(0o755)

    def place(self, source: Path, target: str) -> None:
        """Copy a folder into the machine; it belongs to the user, as a checkout does."""
        place = self.machine.root / target.lstrip("/")
        shutil.copytree(source, place, symlinks=True)
        for parent in place.parents:
            if parent.is_relative_to(self.machine.root / "home") and parent.name != "home":
                os.chown(parent, self.machine.of["user"], self.machine.of["user"])
        self.give(target, self.machine.of["user"])

    def give(self, folder: str, user: int) -> None:
        """Let a folder of the machine belong to a user."""
        place = self.machine.root / folder.lstrip("/")
        for path in (place, *place.rglob("*")):
            os.chown(path, user, user, follow_symlinks=False)

    def number(self, login: str) -> int:
        """Return the number of a user by its name; 0 for no name."""
        return next(int(account[2]) for account in self._accounts() if account[0] == (login or "root"))

    def _accounts(self) -> list[list[str]]:
        lines = (self.machine.root / "etc/passwd").read_text(encoding="utf-8").splitlines()
        return [line.split(":") for line in lines]

    def run(
        self,
        argv: Sequence[str],
        *,
        folder: str = "/",
        env: Mapping[str, str] | None = None,
        user: int | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end.

        Args:
            folder: where.
            env: variables beside those of all steps.
            user: the user's number; the machine's by default.
        """
        user = self.machine.of["user"] if user is None else user
        command = ["sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", folder, *argv]
        if user:
            # What login(1) gives: no group of root's, and no capability.
            command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command]
        home = next(account[5] for account in self._accounts() if account[2] == str(user))
        variables = {"HOME": home, **self.environment, **(env or {})}
        with tempfile.TemporaryFile() as profile:
            if self.machine.of.get("confined"):
                profile.write(confined.profile())
                profile.seek(0)
                command = [*self._confined(profile.fileno()), *command]
            else:
                command = [*self._pivoted(), *command]
            return subprocess.run(
                command,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                pass_fds=(profile.fileno(),),
            )

    def _pivoted(self) -> list[str]:
        space = ["/usr/bin/unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child=KILL"]
        command = [*space, "/bin/sh", "-ec", MOUNTS, "sh", str(self.machine.root)]
        if self._supervisor:
            # The supervisor is outside of the machine's process numbers, and the kernel translates them.
            return [shutil.which("python3") or "python3", apparmor.__file__, "inside", str(self._supervisor), *command]
        return command

    def _confined(self, profile: int) -> list[str]:
        command = [bwraps()[0], "--die-with-parent", "--bind", str(self.machine.root), "/"]
        command += ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "runner"]
        command += ["--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys", "--ro-bind", "/sys", "/sys"]
        command += ["--dev", "/dev", "--size", str(64 << 20), "--perms", "1777", "--tmpfs", "/dev/shm"]
        return [*command, *confined.options(profile), "--"]


@contextmanager
def runner(name: str, folder: Path, wheels: Path, sockets: Path) -> Iterator[Runner]:
    """Make a machine, and remove it in the end.

    Args:
        name: in runners.toml.
        folder: place for its files, which must not be in memory.
        wheels: folder of wheels that its pip finds.
        sockets: folder for the supervisor's socket.

    Raises:
        EnvironmentFault: the network or disk space is missing.
    """
    root = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder))
    root.chmod(0o755)
    machine = Machine.make(name, root, RUNNERS[name])
    try:
        if machine.of.get("sudo"):
            with apparmor.restricted(sockets / "supervisor", root / SETTING) as refused:
                yield Runner(machine, wheels, sockets / "supervisor", refused)
        else:
            yield Runner(machine, wheels, None, [])
    finally:
        machine.remove()
