# SPDX-License-Identifier: MIT
"""The build folder before make runs: the packaged configuration, evaluated or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from r4l.errors import BuildError
from r4l.kernel import kbuild, metadata
from r4l.toolchain import Toolchain


class Called(Exception):
    """make was called, with these targets."""


class Tools:
    """The part of a toolchain that is used: it stops where make would begin."""

    def run_logged(self, argv: list[str], *_: object, **__: object) -> None:
        raise Called([str(word) for word in argv[6:]])


def packaged(folder: Path) -> Path:
    for name in (*metadata.PACKAGED, *metadata.CONFIGURED):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"packaged {name}\n")
    return folder


def generate(tmp_path: Path, headers: Path, build: Path) -> Any:
    with pytest.raises(Called) as called:
        metadata.generate(build, tmp_path / "source", headers, cast(Toolchain, Tools()), [], 3)
    return called.value.args[0]


def with_conf(build: Path) -> Path:
    (build / kbuild.CONF).parent.mkdir(parents=True)
    (build / kbuild.CONF).touch()
    return build


def test_a_packaged_configuration_is_not_evaluated_again(tmp_path: Path) -> None:
    headers, build = packaged(tmp_path / "headers"), with_conf(tmp_path / "build")
    assert generate(tmp_path, headers, build) == ["prepare", "modules_prepare"]
    for name in (*metadata.PACKAGED, *metadata.CONFIGURED):
        assert (build / name).read_text() == f"packaged {name}\n"
    config = (build / ".config").stat().st_mtime_ns
    for name in (*metadata.CONFIGURED, metadata.SETTLED):
        assert (build / name).stat().st_mtime_ns >= config, "make evaluates Kconfig where .config is newer"


@pytest.mark.parametrize("missing", metadata.CONFIGURED)
def test_an_incomplete_configuration_is_evaluated(tmp_path: Path, missing: str) -> None:
    headers, build = packaged(tmp_path / "headers"), with_conf(tmp_path / "build")
    (headers / missing).unlink()
    assert generate(tmp_path, headers, build)[0] == "olddefconfig"
    assert not (build / metadata.SETTLED).exists()


def test_without_a_packaged_conf_the_configuration_is_evaluated(tmp_path: Path) -> None:
    """make builds `conf` for that, which r4l needs later."""
    assert generate(tmp_path, packaged(tmp_path / "headers"), tmp_path / "build")[0] == "olddefconfig"


def test_a_second_call_leaves_what_is_there(tmp_path: Path) -> None:
    """After an interrupt make goes on: a file that is newer would be a reason to begin again."""
    headers, build = packaged(tmp_path / "headers"), with_conf(tmp_path / "build")
    generate(tmp_path, headers, build)
    before = {path: path.stat().st_mtime_ns for path in build.rglob("*") if path.is_file()}
    generate(tmp_path, headers, build)
    assert {path: path.stat().st_mtime_ns for path in build.rglob("*") if path.is_file()} == before


class Ending(Tools):
    """make ends with an error, before it has written a Makefile."""

    def run_logged(self, argv: list[str], *rest: Any, **_: object) -> None:
        raise rest[2](2, f"{argv[0]}: the source tree is not clean")

    def run(self, *_: object, **__: object) -> None:
        raise AssertionError("there is no Makefile that could be asked for rustavailable")


def test_what_ends_make_early_is_not_taken_for_a_toolchain_without_rust(tmp_path: Path) -> None:
    headers, build = packaged(tmp_path / "headers"), with_conf(tmp_path / "build")
    with pytest.raises(BuildError, match="did not build") as caught:
        metadata.generate(build, tmp_path / "source", headers, cast(Toolchain, Ending()), [], 3)
    assert "not clean" in caught.value.detail
