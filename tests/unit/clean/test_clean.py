# SPDX-License-Identifier: MIT
"""`r4l clean` removes entries that nothing points to, and keeps those in use or not made by r4l."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from tests.unit.toolchain.conftest import Debian

from r4l import clean, home, inuse
from r4l.camp.labs import grade
from r4l.clean import points
from r4l.cli.clean import command
from r4l.errors import EnvironmentFault, UsageError
from r4l.kernel import manifest
from r4l.kernel import recipe as recipes
from r4l.toolchain import Toolchain

NEWER = {"rustc": "1.90.0-1"}
LONG_AGO = time.time() - 30 * 86400
USER = """
import sys
from r4l.toolchain import Toolchain
print(Toolchain.existing().key, flush=True)
sys.stdin.read()
"""
MAKER = """
import sys
from r4l import home
with home.lock(sys.argv[1]):
    print("locked", flush=True)
    sys.stdin.read()
"""


def run(*arguments: str) -> dict[str, dict[str, Any]]:
    """Return the output of `r4l clean` for each entry, by room/name."""
    done = CliRunner().invoke(command, [*arguments, "--json"], catch_exceptions=False, standalone_mode=False)
    return {f"{entry['room']}/{entry['name']}": entry for entry in json.loads(done.stdout)["entries"]}


def shown(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), catch_exceptions=False, standalone_mode=False)


def make(name: str, *, used: float | None = None) -> Path:
    """Create an entry of the home: a folder with a file, or a file if the name has a suffix."""
    path = home.home() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if ("." in path.name and not path.name[0].isdigit()) or path.suffix in (".state", ".cpio", ".qcow2", ".seal"):
        path.write_text("content", encoding="utf-8")
    else:
        path.mkdir()
        (path / "file").write_text("content", encoding="utf-8")
    if used:
        os.utime(path, (used, used))
    return path


def kernel_of(toolchain: Toolchain, release: str = "7.3.4+deb13-amd64", version: str = "7.3.4-1") -> Path:
    folder = home.room("kernels") / f"{release}_{version}"
    (folder / "source").mkdir(parents=True, exist_ok=True)
    (folder / "packages").mkdir(exist_ok=True)
    (folder / toolchain.key / "build").mkdir(parents=True)
    data = {"release": release, "version": version, "arch": "x86_64", "tools": toolchain.identity}
    manifest.write(folder / toolchain.key, data)
    return folder


def own_kernel(toolchain: Toolchain, source: Path, name: str = "minimal") -> Path:
    recipe = recipes.recipe(name, source, "7.3.4-1", base="minimal")
    (recipe.folder / "build").mkdir(parents=True)
    data = {
        "name": name, "release": "7.3.4", "version": "7.3.4-1", "arch": "x86_64", "profile": "minimal", "fragments": [],
        "source": str(source), "recipe": recipe.key(toolchain), "steps": 10, "toolchain": {},
        "tools": toolchain.identity,
    }  # fmt: skip
    manifest.write(recipe.folder, data)
    return recipe.folder


Other = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def other() -> Iterator[Other]:
    """Start another process, and wait for its first output."""
    started: list[subprocess.Popen[bytes]] = []

    def start(code: str, *arguments: str) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-c", code, *arguments]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout
        assert process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def end(process: subprocess.Popen[bytes]) -> None:
    process.communicate(b"", timeout=30)


def test_after_an_update_the_old_toolchain_and_what_it_built_go(debian: Debian, other: Other) -> None:
    first = Toolchain.get()
    folder = kernel_of(first)
    user = other(USER)
    debian.versions |= NEWER
    second = Toolchain.get(update=True)
    kernel_of(second)
    # Our own first use of it is over; the other process goes on.
    from r4l import inuse

    inuse.let_go(first.root)
    found = run()
    old = found[f"toolchain/{first.key}"]
    assert old["state"] == "in use"
    assert old["why"] == f"used by process {user.pid}"
    assert first.root.is_dir()
    assert found[f"toolchain/{second.key}"]["state"] == "kept"
    assert found[f"kernels/{folder.name}/{first.key}"]["state"] == "removed"
    assert found[f"kernels/{folder.name}/{second.key}"]["state"] == "kept"
    assert (folder / "source").is_dir()
    end(user)
    assert run()[f"toolchain/{first.key}"]["state"] == "removed"
    assert not first.root.exists()
    assert Toolchain.existing() == second


def test_what_is_in_force_by_a_lock_file_says_so(debian: Debian, tmp_path: Path) -> None:
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps({"packages": {"rustc": "1.84.0-1"}}), encoding="utf-8")
    toolchain = Toolchain.get(lock_file=lock)
    assert run()[f"toolchain/{toolchain.key}"]["why"] == f"in force, by the lock file {lock}"
    run("--all")
    assert Toolchain.get().packages["rustc"] == "1.84.0-1", "the lock file governs still"


def test_a_dry_run_removes_nothing(debian: Debian) -> None:
    first = Toolchain.get()
    debian.versions |= NEWER
    Toolchain.get(update=True)
    found = run("--dry-run", "--all")
    assert {entry["state"] for entry in found.values() if entry["room"] == "toolchain"} == {"unused"}
    assert first.root.is_dir()
    assert "would be freed" in shown("--dry-run").stderr


def test_the_list_names_everything_with_size_and_age(debian: Debian) -> None:
    make("snapshots/0123456789abcdef.state", used=LONG_AGO)
    make("rootfs/0123456789abcdef.cpio")
    found = run("--dry-run")
    old = found["snapshots/0123456789abcdef.state"]
    assert (old["state"], old["why"], old["last_used"]) == ("unused", "not used for a week", int(LONG_AGO))
    assert old["bytes"] > 0
    assert found["rootfs/0123456789abcdef.cpio"]["state"] == "kept"
    said = shown("--dry-run").stdout
    assert "30 days ago" in said
    assert "not used for a week" in said


def test_a_list_is_no_use(debian: Debian) -> None:
    toolchain = Toolchain.get()
    made = [make("agent/0123456789abcdef"), make("runs/20261101-101010-12-ab"), make("modules/hello-12345678/key")]
    made += [kernel_of(toolchain), home.home() / "modules/hello-12345678"]
    for path in made:
        for one in (path, *path.rglob("*")):
            os.utime(one, (LONG_AGO, LONG_AGO))
    first = run("--dry-run")
    assert first["agent/0123456789abcdef"]["last_used"] == int(LONG_AGO)
    assert first["agent/0123456789abcdef"]["bytes"] > 0
    assert run("--dry-run") == first


THEIRS = ("logs/thesis.log", "logs/build-thesis.log", "matrix/data", "dask/results", "runs/20261101-101010-12-ab")


def test_a_folder_of_logs_is_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R4L_HOME", str(tmp_path))
    (tmp_path / "logs").mkdir()
    make("logs/build-thesis.log", used=LONG_AGO)
    assert run()["logs/build-thesis.log"]["state"] == "unknown"


@pytest.mark.parametrize("beside", [(), ("thesis.tex",), ("locks", "thesis.tex"), ("locks", ".profile")])
def test_nothing_is_removed_from_a_folder_that_is_not_only_r4ls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: tuple[str, ...]
) -> None:
    shared = tmp_path / "shared"
    for name in (*THEIRS, *beside):
        (shared / name).parent.mkdir(parents=True, exist_ok=True)
        (shared / name).write_text("precious", encoding="utf-8")
        os.utime(shared / name, (LONG_AGO, LONG_AGO))
    monkeypatch.setenv("R4L_HOME", str(shared))
    for option in ([], ["--all"]):
        assert {entry["state"] for entry in run(*option).values()} == {"unknown"}
    assert all((shared / name).read_text(encoding="utf-8") == "precious" for name in THEIRS)


@pytest.mark.parametrize("before", [None, (), ("venv/1-1", "logs/venv.log"), ("locks", "rootfs")])
def test_a_home_that_was_empty_or_that_has_only_r4ls_files_is_cleaned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: tuple[str, ...] | None
) -> None:
    """One that r4l makes; an empty folder; one that the launcher has made; that of an earlier r4l."""
    for name in before or ():
        (tmp_path / "own" / name).mkdir(parents=True)
    if before == ():
        (tmp_path / "own").mkdir()
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "own"))
    with home.lock("any"):
        make("runs/20261101-101010-12-ab", used=LONG_AGO)
    if before is None or "locks" not in before:
        make("note.txt")
    assert run()["runs/20261101-101010-12-ab"]["state"] == "removed"
    assert (home.home() / home.TAG).read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55\n")
    # Then other files beside do not matter.
    make("thesis.tex")
    make("runs/20261101-101010-12-ac", used=LONG_AGO)
    assert run()["runs/20261101-101010-12-ac"]["state"] == "removed"


def test_what_belongs_to_an_entry_goes_with_it(debian: Debian) -> None:
    state = make("snapshots/0123456789abcdef.state", used=LONG_AGO)
    state.with_suffix(".inputs").write_text("{}", encoding="utf-8")
    for name in ("debian-0123456789abcdef.qcow2", "debian-aaaaaaaaaaaaaaaa.qcow2"):
        make(f"images/{name}", used=LONG_AGO if "aaaa" in name else None)
        make(f"images/{name}.seal")
        make(f"images/{name}.packages")
    make("images/ssh")
    found = run()
    assert list(home.room("snapshots").iterdir()) == []
    assert found["images/debian-aaaaaaaaaaaaaaaa.qcow2"]["state"] == "removed"
    left = sorted(path.name for path in home.room("images").iterdir())
    assert left == [*("debian-0123456789abcdef.qcow2" + end for end in ("", ".packages", ".seal")), "ssh"]


@pytest.mark.parametrize("name", ["thesis.pdf", "kernels/my notes", "toolchain/backup-of-tree", "rootfs/mine.txt"])
@pytest.mark.parametrize("option", [(), ("--all",)])
def test_what_r4l_did_not_make_is_left_and_named(debian: Debian, name: str, option: tuple[str, ...]) -> None:
    Toolchain.get()
    path = home.home() / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("precious", encoding="utf-8")
    os.utime(path, (LONG_AGO, LONG_AGO))
    found = run(*option)
    assert found[f"{'/' if '/' not in name else ''}{name}"]["state"] == "unknown"
    assert path.read_text(encoding="utf-8") == "precious"


def test_a_link_is_not_followed(debian: Debian, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "builds").mkdir(parents=True)
    (outside / "file").touch()
    home.room("toolchain")
    (home.home() / "toolchain/0123456789abcdef").symlink_to(outside)
    (home.home() / "builds").symlink_to(outside / "builds")
    found = run("--all")
    assert found["toolchain/0123456789abcdef"]["state"] == "unknown"
    assert found["/builds"]["state"] == "unknown"
    assert (outside / "file").exists()
    assert (outside / "builds").is_dir()


def test_records_of_what_is_in_the_users_folders_stay(debian: Debian) -> None:
    for name in ("grafts", "ide", "bin"):
        home.room(name)
        (home.home() / name / "record.json").write_text("{}", encoding="utf-8")
    (home.home() / "lock.json").write_text("{}", encoding="utf-8")
    run("--all")
    assert all((home.home() / name / "record.json").exists() for name in ("grafts", "ide", "bin"))
    assert (home.home() / "lock.json").exists()


def test_a_toolchain_that_an_editor_runs_in_stays(debian: Debian) -> None:
    first = Toolchain.get()
    script = home.room("bin") / "clangd"
    script.write_text(f"exec bwrap --ro-bind {first.root}/usr /usr clangd\n", encoding="utf-8")
    debian.versions |= NEWER
    Toolchain.get(update=True)
    assert run()[f"toolchain/{first.key}"]["why"] == "an editor's clangd runs in it"


def test_extras_go_with_their_tree(debian: Debian, monkeypatch: pytest.MonkeyPatch) -> None:
    def extend(final: Path, base: Path, *_: object) -> None:
        final.mkdir()
        (final / "r4l-packages.json").write_bytes((base / "r4l-packages.json").read_bytes())

    monkeypatch.setattr("r4l.toolchain.make_extended", extend)
    from r4l import inuse

    first = Toolchain.get()
    old = first.extended("arm64")
    debian.versions |= NEWER
    new = Toolchain.get(update=True).extended("arm64")
    stale = make(f"toolchain/{new.key}+arm64+0000")
    for path in (first.root, old.root, new.root):
        inuse.let_go(path)
    found = run()
    assert found[f"toolchain/{old.root.name}"]["state"] == "removed"
    assert found[f"toolchain/{stale.name}"]["state"] == "removed", "the recipe of the extra has changed"
    assert found[f"toolchain/{new.root.name}"]["state"] == "kept"


def test_the_trees_of_other_suites_stay(debian: Debian) -> None:
    from r4l import inuse

    trees = [Toolchain.get(suite=suite) for suite in ("", "sid")]
    for tree in trees:
        inuse.let_go(tree.root)
    found = run()
    assert [found[f"toolchain/{tree.key}"]["why"] for tree in trees] == ["in force", "in force for sid"]


def test_older_kernels_go_but_for_the_source_of_others(debian: Debian) -> None:
    toolchain = Toolchain.get()
    old, built_from, newest = (
        home.room("kernels") / f"7.3.{number}+deb13-amd64_7.3.{number}-1" for number in (2, 3, 4)
    )
    for folder in (old, built_from, newest):
        (folder / "source").mkdir(parents=True)
    own_kernel(toolchain, built_from / "source")
    found = run()
    assert found[f"kernels/{old.name}"]["state"] == "removed"
    assert found[f"kernels/{built_from.name}"]["why"] == "the source of the kernel minimal"
    assert found[f"kernels/{newest.name}"]["why"] == "the newest for amd64"
    assert found["builds/minimal-x86_64"]["state"] == "kept"


def test_a_kernel_by_its_name(debian: Debian) -> None:
    toolchain = Toolchain.get()
    older = kernel_of(toolchain, "7.3.2+deb13-amd64", "7.3.2-1")
    kernel_of(toolchain)
    build = own_kernel(toolchain, older / "source")
    with pytest.raises(UsageError, match="is the source of the kernel minimal"):
        run("--kernel", "7.3.2+deb13-amd64")
    assert older.is_dir()
    with pytest.raises(UsageError, match="there is no kernel nosuch") as caught:
        run("--kernel", "nosuch")
    assert "minimal" in caught.value.remedy
    assert list(run("--kernel", "minimal")) == ["builds/minimal-x86_64"]
    assert not build.exists()
    run("--kernel", "7.3.2+deb13-amd64")
    assert not older.exists()
    assert (home.home() / "kernels/7.3.4+deb13-amd64_7.3.4-1").is_dir()


def test_an_image_by_its_name(debian: Debian) -> None:
    image = make("images/debian-0123456789abcdef.qcow2")
    with pytest.raises(UsageError, match="there is no image nosuch"):
        run("--image", "nosuch")
    run("--image", "debian")
    assert not image.exists()


def test_what_was_named_and_is_in_use_is_an_error(debian: Debian, other: Other) -> None:
    build = own_kernel(Toolchain.get(), home.room("kernels"))
    maker = other(MAKER, "build-minimal-x86_64")
    with pytest.raises(EnvironmentFault, match="minimal-x86_64 is in use: another r4l works on it"):
        CliRunner().invoke(command, ["--kernel", "minimal"], catch_exceptions=False, standalone_mode=False)
    assert build.is_dir()
    end(maker)
    run("--kernel", "minimal")
    assert not build.exists()


def test_all_removes_all_but_what_is_in_use(debian: Debian, other: Other) -> None:
    from r4l import inuse

    toolchain = Toolchain.get()
    kernel_of(toolchain)
    own_kernel(toolchain, home.room("kernels"))
    make("snapshots/0123456789abcdef.state")
    inuse.let_go(toolchain.root)
    user = other(USER)
    found = run("--all")
    assert {name for name, entry in found.items() if entry["state"] == "in use"} == {f"toolchain/{toolchain.key}"}
    for room in ("kernels", "builds", "snapshots"):
        assert list((home.home() / room).iterdir()) == []
    end(user)


def test_what_modules_were_built_to(debian: Debian, tmp_path: Path) -> None:
    ready = kernel_of(Toolchain.get())
    assert ready
    from r4l.kernel import stock

    kernel = stock.ready()
    assert kernel
    (tmp_path / "hello").mkdir()
    for place, folder in (("hello-01234567", tmp_path / "hello"), ("gone-01234567", tmp_path / "gone")):
        for key in (kernel.key, "0" * 16):
            made = home.home() / "modules" / place / key
            made.mkdir(parents=True)
            os.utime(made, (LONG_AGO, LONG_AGO))
        (home.home() / "modules" / place / "folder").write_text(str(folder), encoding="utf-8")
        (home.home() / "modules" / place / "nothing").mkdir()
        (home.home() / "modules" / place / "source").symlink_to(folder)
    found = run()
    assert found[f"modules/hello-01234567/{kernel.key}"]["state"] == "kept"
    assert not [name for name in found if name.endswith(("/nothing", "/source"))], "parts of the builds"
    assert found[f"modules/hello-01234567/{'0' * 16}"]["state"] == "removed"
    assert found["modules/gone-01234567"]["why"] == f"{tmp_path}/gone is gone"
    assert not (home.home() / "modules/gone-01234567").exists()


def test_an_interrupt_leaves_nothing_that_is_taken_for_whole(debian: Debian, monkeypatch: pytest.MonkeyPatch) -> None:
    state = make("snapshots/0123456789abcdef.state", used=LONG_AGO)

    def interrupt(_path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(home, "remove", interrupt)
        with pytest.raises(click.Abort):
            run()
    assert not state.exists()
    [left] = home.room("snapshots").iterdir()
    left.rename(left.with_name(left.name.replace(str(os.getpid()), "999999999")))
    run()
    assert list(home.room("snapshots").iterdir()) == []


def test_what_is_being_made_stays_and_what_was_killed_goes(debian: Debian, other: Other) -> None:
    alive = home.room("images") / f".debian-0123456789abcdef.qcow2.partial-{os.getppid()}"
    dead = home.room("toolchain") / ".0123456789abcdef.partial-999999999"
    locked = home.room("builds") / ".minimal-x86_64.partial-999999999"
    for path in (alive, dead, locked):
        path.mkdir()
    maker = other(MAKER, "build-minimal-x86_64")
    run()
    assert alive.is_dir()
    assert not dead.exists()
    assert locked.is_dir(), "in another container its number means another process"
    end(maker)
    run()
    assert not locked.exists()


@pytest.mark.parametrize(
    ("name", "lock"),
    [
        ("labs/hello-0123456789abcdef", "lab-hello-0123456789abcdef"),
        ("labs/hello-0123456789abcdef.evidence", "lab-hello-0123456789abcdef"),
        ("matrix/c-from-rust", "matrix-c-from-rust"),
        ("matrix/c-from-rust.kit", "matrix-c-from-rust"),
        ("rootfs/0123456789abcdef.cpio", "rootfs-0123456789abcdef"),
        ("agent/0123456789abcdef", "agent-0123456789abcdef"),
        ("traffic/0123456789abcdef", "traffic-0123456789abcdef"),
    ],
)
def test_what_its_maker_has_locked_stays(debian: Debian, other: Other, name: str, lock: str) -> None:
    """Regression: a lab's folder was removed while it was checked."""
    path = make(name, used=LONG_AGO)
    maker = other(MAKER, lock)
    assert run()[name]["state"] == "in use"
    assert path.exists()
    end(maker)
    # The look at its size was a use.
    os.utime(path, (LONG_AGO, LONG_AGO))
    assert run()[name]["state"] == "removed"


def test_bundles_that_are_graded_stay(debian: Debian, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: two containers with one home graded in the same folder, since both had the same thread's number."""
    monkeypatch.setattr("threading.get_native_id", lambda: 1)
    with grade._own_folder() as one, grade._own_folder() as another:
        assert one != another
        (left := home.room("grading") / "1").mkdir()
        found = run()
        assert {found[f"grading/{path.name}"]["state"] for path in (one, another)} == {"in use"}
        assert found["grading/1"]["state"] == "removed"
        assert not left.exists()
    assert not list(home.room("grading").iterdir())


@pytest.mark.parametrize("look", ["last_used", "names", "exclusively", "by_whom"])
@pytest.mark.parametrize(
    "name",
    [
        "modules/foo-01234567/0123456789abcdef",
        "modules/foo-01234567",
        "snapshots/0123456789abcdef.state",
        "runs/20261130-120000-12-abcd",
        "kernels/7.2.0-amd64_1",
        "copies/a-b",
        "images/ssh",
    ],
)
def test_an_entry_that_another_process_removes_meanwhile_is_gone(
    look: str, name: str, debian: Debian, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: the survey ended with FileNotFoundError."""
    there = make(name)
    ours = getattr(inuse, look)

    def other(path: Path) -> Any:
        if path in (there, there.parent):
            home.remove(there)
        return ours(path)

    monkeypatch.setattr(inuse, look, other)
    found = run("--all")
    assert "unknown" not in [entry["state"] for entry in found.values()]


@pytest.mark.parametrize("room", ["bin", "venv", "kernels", "builds", "toolchain"])
def test_references_that_another_process_removes_meanwhile_are_none(
    room: str, debian: Debian, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = make(f"{room}/0123456789abcdef")
    looks = []

    def other(*arguments: Any) -> Any:
        looks.append(1)
        if len(looks) == 1:
            home.remove(there)
            there.stat()
        return collected()

    collected = points._collected
    monkeypatch.setattr(points, "_collected", other)
    assert f"{room}/0123456789abcdef" not in run("--dry-run")
    assert len(looks) == 2


@pytest.mark.parametrize("name", ["selftest.json", "rows.json", "lock.json"])
def test_records_in_the_homes_top_folder_stay(debian: Debian, name: str) -> None:
    make(name, used=LONG_AGO)
    assert run("--all")[f"/{name}"]["why"] == "a record"


def test_environments_of_checkouts(debian: Debian, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "src").mkdir(parents=True)
    (checkout / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    from r4l.clean import points

    current = sorted(points._launcher_keys(checkout))
    for key, source in ((current[0], checkout / "src"), ("1-2", checkout / "src"), ("3-4", tmp_path / "gone/src")):
        packages = home.room("venv") / key / "lib/python3.11/site-packages"
        packages.mkdir(parents=True)
        (packages / "_editable_impl_r4l.pth").write_text(str(source), encoding="utf-8")
    found = run()
    assert found[f"venv/{current[0]}"]["why"] == f"the launcher in {checkout} uses it"
    assert found["venv/1-2"]["state"] == found["venv/3-4"]["state"] == "removed"


@pytest.mark.parametrize("extra", ["", "[test]", "[sweep]"])
@pytest.mark.parametrize("version", [f"Python {platform.python_version()}", "uv"])
def test_the_launchers_key_is_the_launchers(version: str, extra: str) -> None:
    """`points` computes the same key as the shell script."""
    from r4l.clean import points

    root = Path(__file__).parents[3]
    line = next(text for text in (root / "r4l").read_text(encoding="utf-8").splitlines() if text.startswith("key=$("))
    script = f"set -eu; here={root}; extra='{extra}'; version='{version}'; {line}; echo $key"
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True, encoding="utf-8")
    assert done.stdout.strip() in points._launcher_keys(root)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_what_is_mounted_is_never_removed(debian: Debian) -> None:
    inside = make("toolchain/0123456789abcdef") / "mnt"
    inside.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(inside)], check=True)
    try:
        (inside / "precious").touch()
        with pytest.raises(EnvironmentFault, match="is mounted inside"):
            run()
        assert (inside / "precious").exists()
    finally:
        subprocess.run(["umount", str(inside)], check=True)


def test_every_room_that_the_program_makes_is_known() -> None:
    source = Path(clean.__file__).parents[1]
    import re

    texts = [path.read_text(encoding="utf-8") for path in source.rglob("*.py")]
    made = {name for text in texts for name in re.findall(r'home\.(?:room\(|home\(\) / )"([a-z]+)["/]', text)}
    assert made <= clean.rooms().keys()
