# SPDX-License-Identifier: MIT
"""The command lines of bubblewrap and PRoot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from r4l.limits import UNLIMITED, Limits
from r4l.toolchain import Grant
from r4l.toolchain.enter import CALLS, FILTERED, bwrap, limited, mounts, proot
from r4l.toolchain.filtered import REFUSED


def folders(where: Path, *names: str) -> tuple[Path, ...]:
    for name in names:
        (where / name).mkdir(parents=True)
    return tuple(where / name for name in names)


def test_tree_is_read_only_and_folders_keep_their_paths(tmp_path: Path) -> None:
    tree, inner, other = folders(tmp_path, "tree", "a/b", "c")
    grant = Grant("test", writes=(inner, tmp_path / "a"), reads=(other,), limits=UNLIMITED)
    command = bwrap(tree, ["make", "-C", other], grant)
    assert command[-4:] == ["--", "make", "-C", str(other)]
    text = " ".join(command)
    assert f"--ro-bind {tree}/usr /usr" in text
    assert f"--bind {tmp_path}/a {tmp_path}/a" in text
    assert f"{tmp_path}/a/b" not in text, "a folder inside a bound folder is bound with it"
    assert "--die-with-parent" in command
    assert "--clearenv" in command


def test_what_is_not_granted_is_not_there(tmp_path: Path) -> None:
    text = " ".join(bwrap(tmp_path, ["true"], Grant("test")))
    for option in ("--unshare-user", "--disable-userns", "--unshare-pid", "--unshare-net", "--unshare-ipc"):
        assert option in text
    assert "--cap-drop ALL" in text
    assert "--new-session" in text
    assert "--dev /dev" in text
    assert "--bind" not in text.replace("--ro-bind", "")
    assert "--dev-bind" not in text


def test_what_is_granted_is_there(tmp_path: Path) -> None:
    place, stand_in = folders(tmp_path, "place", "stand-in")
    grant = Grant(
        "test",
        network=True,
        terminal=True,
        devices=(Path("/dev/kvm"),),
        over={place: stand_in},
        over_reads={place: place},
    )
    text = " ".join(bwrap(tmp_path, ["true"], grant))
    assert "--unshare-net" not in text
    assert "--new-session" not in text
    assert "--dev-bind /dev/kvm /dev/kvm" in text
    assert f"--bind {stand_in} {place}" in text
    assert f"--ro-bind {place} {place}" in text


def test_a_folder_over_the_root_takes_the_place_of_the_tree(tmp_path: Path) -> None:
    tree, root, shared = folders(tmp_path, "tree", "root", "shared")
    grant = Grant("test", over={Path("/"): root, Path("/run/x"): shared})
    text = " ".join(bwrap(tree, ["true"], grant))
    assert f"--bind {root} / " in text
    assert str(tree) not in text
    assert "--tmpfs / " not in text
    assert "--remount-ro / " not in text
    assert text.index("--tmpfs /run") < text.index(f"--bind {shared} /run/x")
    command = proot(tree, ["true"], grant, program=("proot",))
    assert command[command.index("-r") + 1] == str(root)
    assert f"{shared}:/run/x" in command
    assert f"{root}:/" not in command


def test_of_two_folders_in_each_other_each_has_what_is_said_of_it(tmp_path: Path) -> None:
    outer, inner, deep = folders(tmp_path, "a", "a/b", "a/b/c")
    assert mounts(Grant("test", reads=(outer, deep), writes=(inner,))) == [
        ("--ro-bind", outer),
        ("--bind", inner),
        ("--ro-bind", deep),
    ]
    assert mounts(Grant("test", reads=(outer, inner), writes=(inner,))) == [("--ro-bind", outer), ("--bind", inner)]


def test_as_root_without_user_namespaces_no_capability_is_left(tmp_path: Path) -> None:
    command = bwrap(tmp_path, ["true"], Grant("test", named=True), user_namespace=False)
    assert "--unshare-user" not in command
    assert "--uid" not in command, "bubblewrap takes it with a user namespace only"
    assert command[command.index("--cap-drop") + 1] == "ALL"


def test_proot_sees_the_same_paths(tmp_path: Path) -> None:
    place, stand_in, own = folders(tmp_path, "place", "stand-in", "own")
    grant = Grant("test", writes=(own,), over={place: stand_in}, limits=UNLIMITED)
    command = proot(tmp_path, ["make", own], grant, cwd=own, env={"A": "b"})
    text = " ".join(command)
    assert f"-r {tmp_path} " in text
    assert f"-b {own} " in text
    assert f"-b {stand_in}:{place}" in text
    assert f"-w {own} /usr/bin/env -i " in text
    assert command[-2:] == ["make", str(own)]
    assert "A=b" in command


def test_under_proot_mount_points_outlive_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PRoot would remove the mount points that it made while other commands use them."""
    monkeypatch.setattr(Path, "is_relative_to", lambda *_: False)
    tree, own = folders(tmp_path, "tree", "own")
    (own / "file").touch()
    proot(tree, ["true"], Grant("test", writes=(own,), over={Path("/a/b"): own}, over_reads={Path("/c"): own / "file"}))
    assert (tree / str(own).lstrip("/")).is_dir()
    assert (tree / "a/b").is_dir()
    assert (tree / "c").is_file()


def test_the_kernel_keeps_limits_of_each_process() -> None:
    limits = Limits(memory=1 << 30, file=1 << 20, processes=10)
    options = limited(limits)
    assert options[0] == "prlimit"
    assert f"--as={limits.address_space}" in options
    assert f"--fsize={1 << 20}" in options
    assert any(option.startswith("--nofile=") and int(option.partition(":")[2]) <= 4096 for option in options)
    assert ("--nproc=10" in options) == (os.geteuid() != 0)
    assert limited(UNLIMITED) == []


def test_system_calls_are_filtered_where_the_tree_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/setpriv").touch()
    for grant in (Grant("test"), Grant("test", limits=UNLIMITED), Grant("test", terminal=True, limits=UNLIMITED)):
        command = bwrap(tmp_path, ["true"], grant)
        assert command[-5:] == ["setpriv", "--seccomp-filter", CALLS, "--", "true"]
        file = Path(command[command.index(CALLS) - 1])
        assert file.is_relative_to(tmp_path / "home/bin")
        assert len(file.read_bytes()) % 8 == 0
        file.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_system_calls_are_filtered_in_a_home_that_is_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/setpriv").touch()
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("R4L_HOME", str(home))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", str(home)], check=True)
    try:
        command = bwrap(tmp_path, ["true"], Grant("test"))
    finally:
        subprocess.run(["umount", str(home)], check=True)
    file = Path(command[command.index(CALLS) - 1])
    assert not file.is_relative_to(home)
    assert len(file.read_bytes()) % 8 == 0


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_call_fails_in_a_process(name: str) -> None:
    """In a process of this machine's own, without a sandbox."""
    call = f"import ctypes; c = ctypes.CDLL(None, use_errno=True); c.syscall({REFUSED[name]}, 0, 0, 0, 0, 0)"
    argv = [*FILTERED, "bare", sys.executable, "-c", f"{call}; print(ctypes.get_errno())"]
    assert subprocess.run(argv, capture_output=True, check=True).stdout == b"38\n"


def test_no_process_hides_its_files_from_its_user() -> None:
    """PR_SET_DUMPABLE does nothing, which no honest program notices; other calls of prctl(2) do what they do."""
    calls = "c = ctypes.CDLL(None); print(c.prctl(4, 0), c.prctl(3), c.prctl(38, 1, 0, 0, 0), c.prctl(39, 0, 0, 0, 0))"
    argv = [*FILTERED, "bare", sys.executable, "-c", f"import ctypes; {calls}"]
    assert subprocess.run(argv, capture_output=True, check=True).stdout == b"0 1 0 1\n"
