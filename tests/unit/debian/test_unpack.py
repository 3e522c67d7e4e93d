# SPDX-License-Identifier: MIT
"""Packages laid into a folder."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import zstandard
from tests.unit.debian.conftest import SmallArchive, ar, deb, send

from r4l import home
from r4l.debian import Archive, Rules
from r4l.debian.extract import Broken, extract
from r4l.errors import EnvironmentFault


def lay(tmp_path: Path, content: bytes, rules: Rules | None = None) -> Path:
    (tmp_path / "a.deb").write_bytes(content)
    (tmp_path / "tree").mkdir(exist_ok=True)
    extract(str(tmp_path / "a.deb"), str(tmp_path / "tree"), rules or Rules())
    return tmp_path / "tree"


@pytest.mark.parametrize("compression", ["xz", "gz", "none"])
def test_files_links_modes_and_times(compression: str, tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "usr/bin/a": b"a",
        "usr/bin/b": "->a",
        "usr/bin/c": "=>./usr/bin/a",
        "usr/bin/suid": b"s",
    }
    previous = os.umask(0o077)
    try:
        tree = lay(tmp_path, deb(files, compression))
    finally:
        os.umask(previous)
    assert (tree / "usr/bin/b").readlink() == Path("a")
    assert (tree / "usr/bin/c").samefile(tree / "usr/bin/a")
    assert stat.S_IMODE((tree / "usr/bin/suid").stat().st_mode) == 0o755, "nothing is set-user-ID"
    assert stat.S_IMODE((tree / "usr/bin").stat().st_mode) == 0o755, "whatever the user's umask is"
    assert (tree / "usr/bin/a").stat().st_mtime == 1_700_000_000


def test_zstd(tmp_path: Path) -> None:
    plain = deb({"usr/bin/a": b"a" * 100_000}, "none")
    data = plain[plain.index(b"data.tar") + 60 :]
    packed = ar({"debian-binary": b"2.0\n", "data.tar.zst": zstandard.compress(data)})
    assert (lay(tmp_path, packed) / "usr/bin/a").read_bytes() == b"a" * 100_000


def test_what_is_left_out(tmp_path: Path) -> None:
    rules = Rules(["/usr/share/doc/*", "/usr/lib/llvm-*/lib/*.a"], ["/usr/share/doc/*/copyright"])
    files = {"usr/share/doc/a/copyright": b"c", "usr/share/doc/a/README": b"r", "usr/lib/llvm-19/lib/x/y.a": b"a"}
    tree = lay(tmp_path, deb({**files, "usr/lib/llvm-19/lib/y.so": b"so"}), rules)
    found = sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file())
    assert found == ["usr/lib/llvm-19/lib/y.so", "usr/share/doc/a/copyright"]


def test_a_file_is_replaced_and_never_written_into(tmp_path: Path) -> None:
    tree = lay(tmp_path, deb({"usr/bin/a": b"old"}))
    (tmp_path / "other").hardlink_to(tree / "usr/bin/a")
    lay(tmp_path, deb({"usr/bin/a": b"new"}))
    assert (tmp_path / "other").read_bytes() == b"old"
    assert (tree / "usr/bin/a").read_bytes() == b"new"


def test_links_lead_nowhere_outside(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    tree = lay(tmp_path, deb({"absolute": f"->{outside}", "up": "->../../outside", "lib": "->usr/lib"}))
    lay(tmp_path, deb({"absolute/file": b"x", "up/file": b"x", "lib/file": b"x"}))
    assert list(outside.iterdir()) == []
    assert (tree / "usr/lib/file").is_file(), "a link in the tree is followed"
    assert (tree / str(outside).lstrip("/") / "file").is_file(), "from its root"


@pytest.mark.parametrize("name", ["../evil", "usr/../../evil", "a/../../evil"])
def test_paths_lead_nowhere_outside(name: str, tmp_path: Path) -> None:
    with pytest.raises(Broken, match="leads out of its folder"):
        lay(tmp_path, deb({name: b"x"}))
    assert not (tmp_path / "evil").exists()


BROKEN = {
    "no package": b"<html>",
    "empty": b"",
    "cut off": deb({"usr/bin/a": bytes(range(256)) * 1000})[:400],
    "no files": ar({"debian-binary": b"2.0\n"}),
    "unknown compression": ar({"data.tar.rar": b"x"}),
    "no tar": ar({"data.tar.xz": b"x" * 100}),
    "broken header": b"!<arch>\n" + b"\xff" * 60,
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_package(what: str, tmp_path: Path) -> None:
    with pytest.raises(Broken):
        lay(tmp_path, BROKEN[what])


def test_many_packages_at_once(small: SmallArchive, view: Archive, tmp_path: Path) -> None:
    names = [f"p{number}" for number in range(30)]
    for name in names:
        small.add(name, content=deb({f"usr/share/common/{name}": b"x" * 1000, "usr/share/same": b"same"}))
    small.publish()
    view.update()
    said: list[str] = []
    view.unpack(dict.fromkeys(names, "1"), tmp_path / "tree", said.append)
    assert len(list((tmp_path / "tree/usr/share/common").iterdir())) == len(names)
    assert (tmp_path / "tree/usr/share/same").read_bytes() == b"same"
    assert any(line.startswith("100 % downloaded") for line in said)
    assert list((home.home() / "downloads").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_disk(small: SmallArchive, view: Archive, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    small.add("large", content=deb({"usr/large": os.urandom(3_000_000)}))
    small.publish()
    view.update()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("no mounting here")
    try:
        with pytest.raises(EnvironmentFault, match="the disk is full") as caught:
            view.unpack({"large": "1"}, disk / "tree")
        assert "R4L_HOME" in caught.value.remedy
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
    # What was downloaded is there for the next time.
    small.asked.clear()
    view.unpack({"large": "1"}, tmp_path / "tree")
    assert small.asked == []


def test_a_full_disk_while_downloading(
    small: SmallArchive, view: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.add("make")
    small.publish()
    view.update()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("r4l.debian.mirror.os.write", full)
    with pytest.raises(EnvironmentFault, match="the disk is full"):
        view.unpack({"make": "1"}, tmp_path / "tree")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_disk_while_the_lists_are_fetched(small: SmallArchive, view: Archive) -> None:
    for number in range(2000):
        small.add(f"p{number}", os.urandom(200).hex(), content=b"x")
    small.publish()
    room = home.room("lists")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "none", str(room)], check=False).returncode != 0:
        pytest.skip("no mounting here")
    try:
        with pytest.raises(EnvironmentFault, match="the disk is full") as caught:
            view.update()
        assert "R4L_HOME" in caught.value.remedy
    finally:
        subprocess.run(["umount", "-l", str(room)], check=True)
    again = Archive("small", "backports", ("main",), "amd64", ())
    again.update()
    assert again.names("p1999") == ["p1999"]


def test_downloaded_packages_can_be_kept_and_unpacked_one_after_the_other(
    small: SmallArchive, view: Archive, tmp_path: Path
) -> None:
    small.add("a")
    small.add("b", content=deb({"usr/share/a": b"of b"}))
    small.publish()
    view.update()
    found = view.resolve({"a": None, "b": None})
    debs = view.download(list(found.values()), tmp_path / "debs")
    assert set(debs) == {"a", "b"}
    view.extract([debs["a"], debs["b"]], tmp_path / "tree", Rules())
    assert (tmp_path / "tree/usr/share/a").read_bytes() == b"of b"
    assert all(path.is_file() for path in debs.values())
    small.add("c")
    small.publish()
    view.update()
    small.files = {path: content for path, content in small.files.items() if "/c_" not in path}
    with pytest.raises(EnvironmentFault, match="has no pool/c_1"):
        view.download(list(view.resolve({"c": None}).values()), tmp_path / "debs")


UNPACK = """
import sys
from pathlib import Path
from r4l.debian import Archive
Archive("small", "backports", ("main",), "amd64", ()).unpack({"slow": "1", "make": "1"}, Path(sys.argv[1]))
"""


def test_a_killed_process_leaves_nobody_and_what_it_had(small: SmallArchive, view: Archive, tmp_path: Path) -> None:
    small.add("make")
    small.add("slow", content=deb({"usr/slow": b"slow"}))
    small.publish()
    view.update()
    reached, go_on = threading.Event(), threading.Event()

    def slowly(request: object, content: bytes) -> None:
        reached.set()
        go_on.wait(20)
        send(request, 200, content)  # type: ignore[arg-type]

    small.faults = {"slow_1_amd64.deb": slowly}
    with subprocess.Popen([sys.executable, "-c", UNPACK, str(tmp_path / "tree")]) as process:
        assert reached.wait(30)
        until = time.monotonic() + 30
        while not (tmp_path / "tree/usr/share/make").exists() and time.monotonic() < until:
            time.sleep(0.02)
        workers = Path(f"/proc/{process.pid}/task").glob("*/children")
        children = [int(pid) for path in workers for pid in path.read_text().split()]
        assert children
        process.send_signal(signal.SIGKILL)
    go_on.set()
    while any(Path("/proc", str(pid)).exists() for pid in children) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(Path("/proc", str(pid)).exists() for pid in children)
    small.faults, small.asked = {}, []
    view.unpack({"slow": "1", "make": "1"}, tmp_path / "tree")
    assert [path.rpartition("/")[2] for path, _ in small.asked] == ["slow_1_amd64.deb"]


@pytest.mark.parametrize("what", ["InRelease", "list"])
def test_a_process_killed_while_lists_are_fetched_leaves_what_the_next_goes_on_with(
    what: str, small: SmallArchive, view: Archive
) -> None:
    small.add("make", "1" + "0" * 3000)
    small.publish()
    view.update()
    small.add("make", "2", content=deb({"usr/make": os.urandom(9000)}))
    small.publish()
    reached = threading.Event()

    def half(request: BaseHTTPRequestHandler, content: bytes) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[: len(content) // 2])
        request.wfile.flush()
        reached.set()
        time.sleep(3)
        request.close_connection = True

    small.faults = {
        path: half for path in small.files if "small/" in path and ("InRelease" in path) == (what != "list")
    }
    # The signing key is believed in this process only, so the child is a fork of it.
    child = os.fork()
    if child == 0:
        try:
            Archive("small", "backports", ("main",), "amd64", ()).update()
        finally:
            os._exit(0)
    assert reached.wait(30)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert view.versions("make") == ["1" + "0" * 3000], "the lists from before are whole"
    small.faults = {}
    view.update()
    assert "2" in Archive("small", "backports", ("main",), "amd64", ()).versions("make")


def test_two_processes_at_once_share_a_download(small: SmallArchive, view: Archive, tmp_path: Path) -> None:
    small.add("slow", content=deb({"usr/slow": b"slow" * 1000}))
    small.publish()
    view.update()

    def slowly(request: object, content: bytes) -> None:
        time.sleep(0.5)
        send(request, 200, content)  # type: ignore[arg-type]

    small.faults = {"slow_1_amd64.deb": slowly}
    threads = [
        threading.Thread(target=view.unpack, args=({"slow": "1"}, tmp_path / f"tree{number}")) for number in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert all((tmp_path / f"tree{number}/usr/slow").exists() for number in range(3))
