# SPDX-License-Identifier: MIT
"""Kernels of Debian's other suites: `--kernel testing`, `--kernel sid`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner
from tests.unit.kernel.test_flavours import Packages

from r4l.cli.kernel import command
from r4l.debian.mirror import Absent
from r4l.errors import EnvironmentFault, UsageError
from r4l.kernel import debian, manifest, metadata, profile, stock
from r4l.kernel import recipe as recipes
from r4l.setup import set_up
from r4l.stages import Stages
from r4l.toolchain import Archive, Toolchain, archive_for, recipe, recipe_key, suites, table

RELEASES = {
    "": ["7.3.4+deb13-amd64", "7.3.4+deb13-rt-amd64"],
    "testing": ["7.2.12+deb14-amd64", "7.2.12+deb14-rt-amd64"],
    "sid": ["7.2.12+deb14-amd64", "7.2.13+deb14-amd64", "7.9.1+deb14-amd64", "7.9.2+deb14-rt-amd64"],
}
each = pytest.mark.parametrize("suite", suites())


@pytest.fixture
def faults() -> dict[str, EnvironmentFault]:
    """Suites whose lists cannot be had, with the reasons."""
    return {}


@pytest.fixture
def updated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faults: dict[str, EnvironmentFault]) -> list[str]:
    """A home of its own and three archives; the suites whose lists were fetched."""
    asked: list[str] = []

    class Suite(Packages):
        def __init__(self, suite: str) -> None:
            super().__init__(RELEASES[suite])
            self.suite = suite

        def update(self, _say: object) -> None:
            asked.append(self.suite)
            if self.suite in faults:
                raise faults[self.suite]

    monkeypatch.setenv("R4L_HOME", str(tmp_path))
    monkeypatch.setattr(stock, "archive_for", lambda _arch, suite="": cast("Archive", Suite(suite)))
    monkeypatch.setattr(debian, "unpack", unpack)
    return asked


def unpack(_archive: Archive, release: debian.PackagedKernel, final: Path, _say: object) -> None:
    (final / "packages").mkdir(parents=True)
    if release.suite:
        (final / debian.SUITE).write_text(release.suite, encoding="utf-8")


@each
def test_a_suite_has_its_own_archive_and_tree(suite: str) -> None:
    archive = archive_for(suite=suite)
    assert archive.suite not in ("", archive_for().suite)
    assert (archive.backports, archive.pinned_sources) == ("", ())
    keys = {recipe_key(recipe(name, table())) for name in ("", *suites())}
    assert len(keys) == 1 + len(suites()), "each suite has its own tree"
    assert debian.is_debian(suite)


def test_a_suite_more_or_less_leaves_the_default_tree() -> None:
    fewer = {**table(), "suites": {}}
    assert recipe_key(fewer) == recipe_key(table())


@pytest.mark.parametrize(
    ("wanted", "release", "suite"),
    [
        (None, "7.3.4+deb13-amd64", ""),
        ("rt", "7.3.4+deb13-rt-amd64", ""),
        ("testing", "7.2.12+deb14-amd64", "testing"),
        ("sid", "7.9.1+deb14-amd64", "sid"),
        # By their releases: the first suite that has it.
        ("7.3.4+deb13-rt-amd64", "7.3.4+deb13-rt-amd64", ""),
        ("7.2.12+deb14-amd64", "7.2.12+deb14-amd64", "testing"),
        ("7.9.2+deb14-rt-amd64", "7.9.2+deb14-rt-amd64", "sid"),
    ],
)
def test_the_kernel_that_a_name_means(wanted: str | None, release: str, suite: str, updated: list[str]) -> None:
    folder, found = stock.fetch(wanted, "x86_64")
    assert (found.name, found.suite, debian.suite_in(folder)) == (release, suite, suite)
    if wanted in (None, *debian.names()):
        assert updated == [suite], "no other suite's lists are fetched"
        assert stock.fetch(wanted, "x86_64") == (folder, dataclasses.replace(found, binary=""))
        assert updated == [suite], "no list is fetched for a kernel that is there"


def test_a_release_that_no_suite_has(updated: list[str]) -> None:
    with pytest.raises(EnvironmentFault, match=r"does not have the kernel 7\.8\.1\+deb14-amd64"):
        stock.fetch("7.8.1+deb14-amd64", "x86_64")
    assert updated == ["", *suites()]


ABSENT = Absent("the Debian mirror http://mirror.example/debian does not have it")
EXPIRED = EnvironmentFault("its list was valid until yesterday")


def test_a_mirror_without_some_suites_is_searched_in_the_others(
    updated: list[str], faults: dict[str, EnvironmentFault]
) -> None:
    faults["testing"] = ABSENT
    assert stock.fetch("7.9.2+deb14-rt-amd64", "x86_64")[1].suite == "sid"
    assert stock.fetch("7.2.12+deb14-amd64", "x86_64")[1].suite == "sid", "sid has it too"
    with pytest.raises(
        EnvironmentFault, match=r"the kernel 7\.8\.1\+deb14-amd64, and has no testing\nremedy"
    ) as caught:
        stock.fetch("7.8.1+deb14-amd64", "x86_64")
    assert "kernel list --available" in caught.value.remedy
    faults["sid"] = ABSENT
    with pytest.raises(EnvironmentFault, match=r"the kernel 7\.8\.1\+deb14-amd64, and has no testing, sid\nremedy"):
        stock.fetch("7.8.1+deb14-amd64", "x86_64")
    assert updated[-3:] == ["", "testing", "sid"]


def test_a_suite_that_cannot_be_read_is_named_with_the_reason(
    updated: list[str], faults: dict[str, EnvironmentFault]
) -> None:
    faults["testing"] = EXPIRED
    assert stock.fetch("7.9.2+deb14-rt-amd64", "x86_64")[1].suite == "sid"
    with pytest.raises(
        EnvironmentFault, match=r"have the kernel 7\.8\.1.*testing was not searched: .*valid until yest"
    ):
        stock.fetch("7.8.1+deb14-amd64", "x86_64")
    assert updated[-3:] == ["", "testing", "sid"]


@pytest.mark.parametrize("wanted", [None, "rt", "sid", "7.9.2+deb14-rt-amd64"])
def test_a_suite_that_is_needed_is_an_error(
    wanted: str | None, updated: list[str], faults: dict[str, EnvironmentFault]
) -> None:
    needed = "sid" if wanted == "sid" else ""
    faults[needed] = ABSENT
    with pytest.raises(Absent):
        stock.fetch(wanted, "x86_64")
    assert updated == [needed]


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("fault", [ABSENT, EXPIRED])
def test_suites_that_cannot_be_listed_are_told_and_left_out(
    fault: EnvironmentFault, as_json: bool, updated: list[str], faults: dict[str, EnvironmentFault]
) -> None:
    faults["testing"] = fault
    done = CliRunner().invoke(command, ["list", "--available", *(["--json"] if as_json else [])])
    assert done.exit_code == 0, done.output
    assert done.stderr == f"r4l: Debian testing is left out: {fault.cause}\n"
    rows = [entry["name"] for entry in json.loads(done.stdout)] if as_json else done.stdout.split()
    assert {"7.3.4+deb13-rt-amd64", "7.2.12+deb14-amd64", "7.9.1+deb14-amd64", "minimal"} <= set(rows)
    assert updated == ["", *suites()]


def test_one_suites_kernel_is_not_anothers(updated: list[str]) -> None:
    """A newer kernel of sid that lies in the home is not the default one, nor testing's."""
    for wanted in ("sid", None, "testing"):
        stock.fetch(wanted, "x86_64")
    found = {wanted: stock.fetch(wanted, "x86_64")[1].name for wanted in (None, "testing", "sid")}
    assert found == {None: "7.3.4+deb13-amd64", "testing": "7.2.12+deb14-amd64", "sid": "7.9.1+deb14-amd64"}


@pytest.mark.parametrize(
    ("wanted", "release"),
    [
        (None, "7.3.4+deb13-amd64"),
        ("sid", "7.9.1+deb14-amd64"),
        ("testing", None),
        ("7.9.1+deb14-amd64", "7.9.1+deb14-amd64"),
        ("7.3.4+deb13-amd64", "7.3.4+deb13-amd64"),
        ("7.2.12+deb14-amd64", None),
    ],
)
def test_a_kernel_that_is_ready_has_the_tree_of_its_suite(
    wanted: str | None, release: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("R4L_HOME", str(tmp_path))
    monkeypatch.setattr(manifest, "fits", lambda *_: True)
    trees = {suite: f"{recipe_key(recipe(suite, table()))}" for suite in ("", "sid")}
    for suite, name in (("", "7.3.4+deb13-amd64"), ("sid", "7.9.1+deb14-amd64")):
        (tmp_path / "toolchain" / trees[suite]).mkdir(parents=True)
        folder = tmp_path / f"kernels/{name}_1/{trees[suite]}"
        folder.mkdir(parents=True)
        (tmp_path / f"kernels/{name}_1/source").mkdir()
        manifest.write(folder, {"release": name, "version": "1", "arch": "x86_64"})
    found = stock.ready(wanted)
    assert (found.release if found else None) == release
    if found:
        assert found.toolchain.key == trees["sid" if "deb14" in found.release else ""]
        assert found.toolchain.suite == ("sid" if "deb14" in found.release else "")
    assert [tree.suite for tree in Toolchain.all_made()] == ["", "sid"]


@each
def test_a_kernel_of_ones_own_has_another_name(suite: str) -> None:
    with pytest.raises(UsageError, match="none of stock, rt, cloud, testing, sid"):
        recipes.Recipe(suite, profile.profile("minimal"), Path("/src"), "1", "x86_64")


@each
def test_a_lock_file_is_for_the_default_suite(suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R4L_HOME", str(tmp_path))
    lock = tmp_path / "lock.json"
    lock.write_text('{"packages": {"rustc": "1.85.1-1"}}', encoding="utf-8")
    with Stages() as stages, pytest.raises(UsageError, match=f"does not hold versions of Debian's {suite}"):
        set_up(stages, suite, lock_file=lock)


def test_an_architecture_whose_kernels_have_no_rust(updated: list[str]) -> None:
    with pytest.raises(UsageError, match=r"Debian's kernels for riscv64 have no Rust: .*clang") as caught:
        stock.fetch(None, "riscv64")
    assert "--kernel minimal" in caught.value.remedy
    assert updated == [], "no list is fetched for what no list can have"


def test_a_kernel_that_another_rustc_built_is_refused_at_once(tmp_path: Path) -> None:
    ours, theirs = (f"rustc 1.{minor}.1 (Debian)" for minor in (97, 96))
    (tmp_path / ".config").write_text(f'CONFIG_RUSTC_VERSION_TEXT="{theirs}"\n', encoding="utf-8")
    said = SimpleNamespace(stdout=f"{ours}\n".encode())
    toolchain: Any = SimpleNamespace(run=lambda *_, **__: said)
    with pytest.raises(EnvironmentFault, match=r"was built by rustc 1\.96\.1 .* the toolchain has rustc 1\.97\.1"):
        metadata.generate(tmp_path / "build", tmp_path, tmp_path, toolchain, (), 1)
    assert not (tmp_path / "build").exists()
