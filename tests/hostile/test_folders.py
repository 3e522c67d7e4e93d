# SPDX-License-Identifier: MIT
"""Folders with links, pipes and names that lead elsewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.hostile.conftest import World

from r4l import home, resources
from r4l.camp.labs import configured
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.workspace import Workspace
from r4l.errors import BuildError, UsageError
from r4l.graft import driver
from r4l.ide.commands import recorded
from r4l.kernel import Kernel
from r4l.module import Module, view
from r4l.module.make_setup import MakeSetup
from r4l.toolchain import Toolchain
from r4l.watch.project import Project

SECRET = "a secret of the user's"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the user."""
    file = tmp_path / "user/secret.rs"
    file.parent.mkdir()
    file.write_text(SECRET)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A module's folder."""
    return Path(shutil.copytree(resources.rust("drivers/hello"), tmp_path / "stranger"))


def test_a_graft_publishes_nothing_of_the_users(folder: Path, secret: Path) -> None:
    """Regression: the target of a link in a subfolder was put into the kernel's tree and the patch."""
    (folder / "sub").mkdir()
    (folder / "sub/more.rs").write_text("// its own\n")
    assert "sub/more.rs" in driver.read_driver(folder).sources
    (folder / "sub/link.rs").symlink_to(secret)
    with pytest.raises(UsageError, match=r"link\.rs is a link to"):
        driver.read_driver(folder)
    (folder / "sub/link.rs").unlink()
    (folder / "Kbuild").unlink()
    (folder / "Kbuild").symlink_to(secret)
    with pytest.raises(UsageError, match="Kbuild is a link to"):
        driver.read_driver(folder)


OUTPUTS: dict[str, Callable[[Path, Path], object]] = {
    "the module of another": lambda output, other: _listed(output, str(other)),
    "the same by ..": lambda output, other: _listed(output, os.path.relpath(other, output)),
    "a link to it": lambda output, other: (output / "hello.ko").symlink_to(other),
    "a list of the user's": lambda output, other: _linked(output / "modules.order", other),
    "symbols of the user's": lambda output, other: _linked(output / "Module.symvers", other),
    "a list without end": lambda output, _: _pipe(output / "modules.order"),
}


def _listed(output: Path, module: str) -> None:
    (output / "modules.order").write_text(f"{module.removesuffix('.ko')}.o\n")


def _linked(path: Path, to: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(to)


def _pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


@pytest.mark.parametrize("trick", OUTPUTS)
def test_an_output_leads_nowhere_else(
    world: World, kernel: Kernel, folder: Path, monkeypatch: pytest.MonkeyPatch, trick: str
) -> None:
    """Regression: every link was followed, and its target taken for the folder's module. The compiler is left out."""

    output = Module(folder).output(kernel)

    def make(*_: object, **__: object) -> str:
        for name in ("modules.order", "hello.ko", "Module.symvers"):
            (output / name).unlink(missing_ok=True)
        (output / "modules.order").write_text("hello.o\n")
        if trick != "a link to it":
            shutil.copy(world.module.path, output / "hello.ko")
        OUTPUTS[trick](output, world.module.path)
        return ""

    monkeypatch.setattr(Toolchain, "run_logged", make)
    with pytest.raises(BuildError, match=r"the build left .*, which is|names a file outside"):
        Module(folder).build(kernel)


@pytest.fixture
def pair(kernel: Kernel, tmp_path: Path) -> Iterator[tuple[MakeSetup, Path]]:
    """A module that uses a source of the one beside it, with its copy of that folder."""
    (tmp_path / "repo/.git").mkdir(parents=True)
    for name, text in {"common": "obj-m := a.o\n", "mod": "obj-m := m.o\nm-y := b.o ../common/a.o\n"}.items():
        (tmp_path / "repo" / name).mkdir()
        (tmp_path / "repo" / name / "Kbuild").write_text(text)
    (tmp_path / "repo/common/a.c").touch()
    made = [Module(tmp_path / "repo" / name) for name in ("common", "mod")]
    for module in made:
        module.lock(kernel)
    (made[0].output(kernel) / "Module.symvers").write_text("0x1\tstrangers\ta\tEXPORT_SYMBOL\n")
    setup = MakeSetup(made[1].folder, (), kernel)
    yield setup, setup.grant().over[made[0].folder]
    for module in made:
        home.remove(module.output(kernel).parent)


@pytest.mark.parametrize("trick", [_linked, lambda path, _: _pipe(path), lambda path, _: (path.unlink(), path.mkdir())])
def test_a_copy_beside_leads_nowhere_else(
    pair: tuple[MakeSetup, Path], secret: Path, trick: Callable[[Path, Path], object]
) -> None:
    """Regression: a link that a build left there was followed, and any file of the user's overwritten."""
    setup, copy = pair
    assert "strangers" in (copy / "Module.symvers").read_text()
    trick(copy / "Module.symvers", secret)
    setup.grant()
    assert "strangers" in (copy / "Module.symvers").read_text()
    assert not (copy / "Module.symvers").is_symlink()
    assert secret.read_text() == SECRET


def test_symbols_of_the_module_beside_are_its_own(pair: tuple[MakeSetup, Path], secret: Path, kernel: Kernel) -> None:
    """Regression: the target of a link was copied to where the next build reads it."""
    setup, copy = pair
    _linked(Module(setup.folder.parent / "common").output(kernel) / "Module.symvers", secret)
    setup.grant()
    assert SECRET not in (copy / "Module.symvers").read_text()


def test_what_a_build_left_beside_its_folder_is_checked(
    pair: tuple[MakeSetup, Path], secret: Path, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: only the copy of the module's own folder was."""
    setup, copy = pair
    monkeypatch.setattr(Toolchain, "run_logged", lambda *_, **__: _linked(copy / "modules.order", secret))
    with pytest.raises(BuildError, match=r"the build left .*modules\.order, which is a link to"):
        Module(setup.folder).build(kernel)


REPOSITORIES = (
    "repo/group/secret/.git",
    "repo/mod/vendor/lib/.git",
    "repo/mod/store",
    "repo/common/x/.git",
    "repo/b.git",
)
"""git's own folders beside a module, below it, and in a folder with sources of its own."""


def test_a_build_reads_no_configuration_of_gits(pair: tuple[MakeSetup, Path], kernel: Kernel, tmp_path: Path) -> None:
    """Regression: only those of the work tree's top and of the folders right below it were hidden."""
    setup, _ = pair
    for name in REPOSITORIES:
        for part in ("objects", "refs"):
            (tmp_path / name / part).mkdir(parents=True)
        (tmp_path / name / "HEAD").touch()
        (tmp_path / name / "config").write_text(SECRET)
    view._last.clear()
    grant = setup.grant()
    views = [str(place) for place in grant.over_reads if place.name == "source" or place.suffix == ".view"]
    tools = kernel.toolchain
    told = tools.run(["grep", "-rs", SECRET, tmp_path / "repo", *views], grant, cwd=setup.folder, check=False)
    assert told.stdout == b""
    there = tools.run(["ls", *views, tmp_path / "repo"], grant, cwd=setup.folder).stdout
    assert len(views) == 2
    assert b"group" in there
    assert b"vendor" in there


def test_a_build_changes_nothing_in_the_users_folder(kernel: Kernel, folder: Path) -> None:
    """It writes to a copy in the folder's place; the folder as it is can be read elsewhere, and only read."""
    seen = Module(folder).output(kernel).parent / "source"
    tricks = [
        "echo '// changed' >>$(src)/hello.rs",
        "rm -f $(PWD)/Makefile",
        "mkdir -p new && echo x >new/file",
        f"echo x >{seen}/new; rm -f {seen}/Makefile; ls {seen} >seen",
    ]
    with (folder / "Kbuild").open("a") as kbuild:
        kbuild.writelines(f"_ := $(shell {trick} 2>/dev/null)\n" for trick in tricks)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    built = Module(folder).build(kernel)
    try:
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
        copy = built.path.parent
        assert (copy / "hello.rs").read_text().endswith("// changed\n")
        assert "Makefile" in (copy / "seen").read_text(), "the tricks were tried"
    finally:
        home.remove(built.path.parents[1])


def test_what_a_build_keeps_of_its_commands_is_its_own(tmp_path: Path) -> None:
    """Regression: a pipe blocked `r4l ide` forever, and a link was followed."""
    (tmp_path / "user").write_text("savedcmd_a.o := cc secret.c\n")
    (tmp_path / ".a.o.cmd").symlink_to(tmp_path / "user")
    os.mkfifo(tmp_path / ".b.o.cmd")
    (tmp_path / ".c.o.cmd").write_text("savedcmd_c.o := cc c.c\n")
    assert [command.target for command in recorded(tmp_path)] == ["c.o"]


def test_a_watched_folder_is_not_left(folder: Path, tmp_path: Path) -> None:
    """Regression: a link to / scanned every file of the machine, and tests behind a link were run."""
    (tmp_path / "user").mkdir()
    (tmp_path / "user/test_more.py").write_text("")
    project = Project.of(folder)
    (folder / "test_own.py").write_text("")
    (folder / "link").symlink_to(tmp_path / "user")
    assert not project.affected([folder / "link"])
    assert project.affected([folder / "test_own.py"])


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_answers_without_end_stop_nobody(tmp_path: Path, make: Callable[[Path], object]) -> None:
    """Regression: endless answers blocked the check."""
    workspace = Workspace.start(Lab.named("hello"), tmp_path / "work")
    (workspace.folder / "answers.toml").unlink()
    make(workspace.folder / "answers.toml")
    with pytest.raises(UsageError, match="is not a plain file"):
        workspace.answers()


@pytest.mark.parametrize(
    "line",
    [
        'CONFIG_INITRAMFS_SOURCE="$(shell touch {canary})"',
        'CONFIG_INITRAMFS_SOURCE="x; touch {canary}"',
        'CONFIG_INITRAMFS_SOURCE="`touch {canary}`"',
        'CONFIG_INITRAMFS_SOURCE="/etc/shadow"',
        'CONFIG_EXTRA_FIRMWARE_DIR="/etc"',
        'CONFIG_SYSTEM_TRUSTED_KEYS="../../user/secret.rs"',
        'CONFIG_LOCALVERSION="$(shell touch {canary})"',
    ],
)
def test_a_students_fragment_runs_and_names_nothing(
    world: World, tmp_path: Path, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: all values were accepted; the first one ran a command in the kernel's build (usr/Makefile)."""
    canary = world.user / "ran"
    workspace = Workspace.start(Lab.named("kernel"), tmp_path / "work")
    fragment = workspace.folder / "kernel.config"
    harmless = fragment.read_text(encoding="utf-8")
    fragment.write_text(f"{harmless}\n{line.format(canary=canary)}\n", encoding="utf-8")
    option = line.partition("=")[0]
    with pytest.raises(BuildError, match=option):
        configured.build(workspace, world.kernel, print)
    assert not canary.exists()


def test_a_fragment_of_the_users_runs_nothing(world: World, tmp_path: Path) -> None:
    """Regression: it ran at the first make that read include/config/auto.conf."""
    fragment = tmp_path / "f.config"
    fragment.write_text(f'CONFIG_IPV6=n\nCONFIG_INITRAMFS_SOURCE="$(shell touch {world.user}/ran)"\n')
    before = len(world.shown)
    assert world.r4l("kernel", "build", "minimal", "--name", "hostile", "--fragment", str(fragment)) == 2
    world.settle()
    assert b"CONFIG_INITRAMFS_SOURCE" in world.shown[before:]
    assert not (world.user / "ran").exists()
