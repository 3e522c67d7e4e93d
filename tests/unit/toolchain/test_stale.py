# SPDX-License-Identifier: MIT
"""Kernels of a toolchain: stale with another one, and good again with the first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.unit.toolchain.conftest import Debian
from tests.unit.toolchain.trees import NEWER, legacy, lock_file

from r4l.cli.kernel import command as kernel_command
from r4l.errors import EnvironmentFault, UsageError
from r4l.kernel import manifest, own, stock
from r4l.kernel import recipe as recipes
from r4l.toolchain import Toolchain


def kernel_of(toolchain: Toolchain, tmp_path: Path, release: str = "7.3.4-amd64") -> Path:
    ready = tmp_path / f"home/kernels/{release}_1/{toolchain.key}"
    ready.mkdir(parents=True)
    data = {"release": release, "version": "1", "arch": "x86_64", "tools": toolchain.identity}
    manifest.write(ready, data)
    return ready


def test_a_kernels_metadata_is_of_one_toolchain(debian: Debian, tmp_path: Path) -> None:
    first = Toolchain.get()
    kernel_of(first, tmp_path)
    before = stock.ready()
    assert before
    debian.versions |= NEWER
    Toolchain.get(update=True)
    assert stock.ready() is None
    Toolchain.get(lock_file=lock_file(tmp_path / "lock.json", packages=first.packages))
    after = stock.ready()
    assert after
    assert after.key == before.key, "modules and snapshots of it are good again"


def test_a_kernel_of_before_whose_compiler_is_gone(debian: Debian, tmp_path: Path) -> None:
    """Old versions' `setup --update` replaced the tree in place, and kept its products."""
    root = legacy(tmp_path / "home", debian.versions)
    ready = tmp_path / f"home/kernels/7.3.4-amd64_1/{root.name}"
    ready.mkdir(parents=True)
    data = {"release": "7.3.4-amd64", "version": "1", "arch": "x86_64", "toolchain": {"rustc": "1.85.1"}}
    manifest.write(ready, data)
    assert stock.ready()
    manifest.write(ready, {**data, "toolchain": {"rustc": "1.84.0"}})
    assert stock.ready() is None


def test_the_locked_kernel_is_the_stock_one(debian: Debian, tmp_path: Path) -> None:
    first = Toolchain.get()
    for release in ("7.3.4-amd64", "7.3.9-amd64"):
        kernel_of(first, tmp_path, release)
    found = stock.ready()
    assert found
    assert found.release == "7.3.9-amd64"
    Toolchain.get(lock_file=lock_file(tmp_path / "lock.json", packages=first.packages, kernel="7.3.4-amd64"))
    found = stock.ready()
    assert found
    assert found.release == "7.3.4-amd64"
    assert stock.ready("7.3.9-amd64")


def own_kernel(toolchain: Toolchain, tmp_path: Path, **changed: Any) -> Path:
    recipe = recipes.recipe("minimal", tmp_path, "7.3.4-1")
    data = {
        "name": "minimal", "release": "7.3.4-minimal", "version": "7.3.4-1", "arch": "x86_64", "profile": "minimal",
        "source": str(tmp_path), "recipe": recipe.key(toolchain), "fragments": [], "steps": 10, "toolchain": {},
        "tools": toolchain.identity, **changed,
    }  # fmt: skip
    folder = recipe.folder
    (folder / "build").mkdir(parents=True, exist_ok=True)
    manifest.write(folder, data)
    return folder


def test_a_kernel_from_source_is_of_one_toolchain(debian: Debian, tmp_path: Path) -> None:
    first = Toolchain.get()
    own_kernel(first, tmp_path)
    assert own.ready("minimal", "x86_64", first)
    debian.versions |= NEWER
    second = Toolchain.get(update=True)
    assert own.ready("minimal", "x86_64", second) is None
    assert own.all_ready(second) == []
    [(name, arch, why)] = own.all_stale(second)
    assert (name, arch) == ("minimal", "x86_64")
    assert "other compilers" in why


@pytest.mark.parametrize(
    "changed", [{"recipe": "0123456789abcdef"}, {"fragments": [["mine.config", "CONFIG_IPV6=n\n"]]}]
)
def test_a_kernel_from_source_whose_recipe_has_changed(debian: Debian, tmp_path: Path, changed: dict[str, Any]) -> None:
    toolchain = Toolchain.get()
    own_kernel(toolchain, tmp_path, **changed)
    assert own.ready("minimal", "x86_64", toolchain) is None
    assert "has changed" in own.all_stale(toolchain)[0][2]


def test_a_kernel_that_was_built_on_is_another_to_modules(debian: Debian, tmp_path: Path) -> None:
    """After `r4l kernel build --kdir` with a changed source the recipe is the same and the exports differ."""
    toolchain = Toolchain.get()
    keys = set()
    for exported in ("one", "one\ttwo"):
        folder = own_kernel(toolchain, tmp_path)
        (folder / "build/Module.symvers").write_text(exported, encoding="utf-8")
        own_kernel(toolchain, tmp_path, built=own._interface(folder / "build"))
        kernel = own.ready("minimal", "x86_64", toolchain)
        assert kernel
        keys.add(kernel.key)
    assert len(keys) == 2


def test_a_kernel_of_before_with_fragments_that_nobody_wrote_down(debian: Debian, tmp_path: Path) -> None:
    toolchain = Toolchain.get()
    folder = own_kernel(toolchain, tmp_path, recipe="unknown", name="mine")
    data = json.loads((folder / "kernel.json").read_text(encoding="utf-8"))
    del data["fragments"]
    manifest.write(folder, data)
    assert own.ready("minimal", "x86_64", toolchain)


def test_a_kernel_whose_source_has_gone(debian: Debian, tmp_path: Path) -> None:
    """Regression: it was ready, and had no modules in its crate `kernel`; a build said "run the command again"."""
    toolchain = Toolchain.get()
    gone = tmp_path / "linux"
    wanted = recipes.recipe("minimal", gone, str(gone))
    own_kernel(toolchain, tmp_path, source=str(gone), version=str(gone), recipe=wanted.key(toolchain))
    assert own.ready("minimal", "x86_64", toolchain) is None
    assert own.all_stale(toolchain) == [("minimal", "x86_64", f"its source {gone} is gone")]
    for again in (False, True):
        with pytest.raises(EnvironmentFault, match="the source of the kernel minimal is gone") as caught:
            own.build(wanted, toolchain, again=again)
        assert "--kdir" in caught.value.remedy
    done = CliRunner().invoke(kernel_command, ["show", "minimal"])
    assert isinstance(done.exception, EnvironmentFault)
    assert f"not ready: its source {gone} is gone" in done.exception.cause
    assert "r4l clean --kernel minimal" in done.exception.remedy
    listed = CliRunner().invoke(kernel_command, ["list"]).output
    assert f"stale: its source {gone} is gone; r4l clean --kernel minimal removes it\n" in listed
    gone.mkdir()
    assert own.ready("minimal", "x86_64", toolchain)


def test_a_kernel_stays_where_a_fragment_is_refused(
    debian: Debian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: after a value of the wrong type there was no kernel of that name any more."""
    toolchain = Toolchain.get()
    build = own_kernel(toolchain, tmp_path) / "build"
    (build / ".config").write_text("CONFIG_OLD=y\n", encoding="utf-8")
    os.utime(build / ".config", ns=(5, 5))
    (tmp_path / "x.config").write_text("CONFIG_NR_CPUS=abc\n", encoding="utf-8")
    monkeypatch.setattr("r4l.kernel.kconfig.require_known", lambda *_: None)

    def make(
        _wanted: object, _folder: object, _arch: object, _toolchain: object, targets: list[str], *_: object
    ) -> str:
        if targets == ["olddefconfig"]:
            return ".config:1:warning: symbol value 'abc' invalid for NR_CPUS"
        (build / ".config").write_text("CONFIG_NR_CPUS=abc\n", encoding="utf-8")
        return ""

    monkeypatch.setattr(own, "_make", make)
    with pytest.raises(UsageError, match="not of the option's type: CONFIG_NR_CPUS=abc"):
        own.build(recipes.recipe("minimal", tmp_path, "7.3.4-1", fragments=[tmp_path / "x.config"]), toolchain)
    assert own.ready("minimal", "x86_64", toolchain)
    assert (build / ".config").read_text(encoding="utf-8") == "CONFIG_OLD=y\n"
    assert (build / ".config").stat().st_mtime_ns == 5


HOLDER = "import sys, pathlib; from r4l import inuse; print(inuse.hold(pathlib.Path(sys.argv[1])), flush=True); input()"


@contextmanager
def used(entry: Path) -> Iterator[None]:
    """Have another process use an entry of the home in the context."""
    argv = [sys.executable, "-c", HOLDER, str(entry)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"True\n"
        try:
            yield
        finally:
            process.communicate(b"\n")


def test_a_kernel_that_another_process_uses_is_not_replaced(
    debian: Debian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: make ran in the folder of a kernel on which tests of another process ran, or removed it."""
    toolchain = Toolchain.get()
    folder = own_kernel(toolchain, tmp_path)
    (folder / "build/vmlinux").touch()
    (tmp_path / "x.config").write_text("CONFIG_IPV6=n\n", encoding="utf-8")
    wanted = recipes.recipe("minimal", tmp_path, "7.3.4-1", fragments=[tmp_path / "x.config"])
    monkeypatch.setattr("r4l.kernel.kconfig.require_known", lambda *_: None)
    kernel = own.ready("minimal", "x86_64", toolchain)
    assert kernel, "this process uses it, too"
    with (
        used(folder),
        pytest.raises(EnvironmentFault, match="the kernel minimal cannot be replaced: used by") as caught,
    ):
        own.build(wanted, toolchain)
    assert "--name" in caught.value.remedy
    assert manifest.read(folder)
    assert (folder / "build/vmlinux").exists()

    def begins(*_: object) -> None:
        raise RuntimeError("it begins")

    monkeypatch.setattr(own, "_seed", begins)
    with pytest.raises(RuntimeError, match="it begins"):
        own.build(wanted, toolchain)


def test_a_kernel_that_another_process_uses_and_that_has_not_changed_is_left_as_it_is(
    debian: Debian, tmp_path: Path
) -> None:
    toolchain = Toolchain.get()
    source = tmp_path / "home/kernels/7.3.4_1/source"
    source.mkdir(parents=True)
    wanted = recipes.recipe("minimal", source, "7.3.4-1")
    folder = own_kernel(toolchain, tmp_path, source=str(source), recipe=wanted.key(toolchain))
    (folder / "build/include/config").mkdir(parents=True)
    (folder / "build/.config").touch()
    (folder / "build/include/config/auto.conf").touch()
    said: list[str] = []
    with used(folder):
        assert own.build(wanted, toolchain, said.append, again=True).build == folder / "build"
        assert said[0].startswith("left as it is: used by process ")
        os.utime(folder / "build/.config", ns=(2**62, 2**62))
        with pytest.raises(EnvironmentFault, match="cannot be replaced"):
            own.build(wanted, toolchain, again=True)


def test_other_compilers_build_all_anew_and_keep_what_menuconfig_changed(debian: Debian, tmp_path: Path) -> None:
    first = Toolchain.get()
    folder = own_kernel(first, tmp_path)
    (folder / "tools").write_text(first.identity, encoding="utf-8")
    (folder / "build/.config").write_text("CONFIG_MINE=y\n", encoding="utf-8")
    (folder / "build/vmlinux.o").touch()
    known = manifest.read(folder)
    own._renew(folder, known, first, print)
    assert (folder / "build/vmlinux.o").exists()
    debian.versions |= NEWER
    second = Toolchain.get(update=True)
    own._renew(folder, known, second, print)
    assert [path.name for path in (folder / "build").iterdir()] == [".config"]
    assert not (folder / "kernel.json").exists()
    # Interrupted now, what the second build left is not taken for the first toolchain's.
    (folder / "build/vmlinux.o").touch()
    own._renew(folder, None, second, print)
    assert (folder / "build/vmlinux.o").exists()
    own._renew(folder, None, first, print)
    assert not (folder / "build/vmlinux.o").exists()
