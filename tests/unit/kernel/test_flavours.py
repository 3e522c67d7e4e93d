# SPDX-License-Identifier: MIT
"""Flavours of Debian's kernels: `--kernel rt`, `--kernel cloud`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from r4l.errors import EnvironmentFault, UsageError
from r4l.kernel import debian, profile, stock
from r4l.kernel import recipe as recipes
from r4l.toolchain import Archive

RELEASES = [
    "7.3.4+deb13-amd64",
    "7.3.4+deb13-rt-amd64",
    "7.3.5+deb13-rt-amd64",
    "7.2.9+deb13-cloud-amd64",
    "7.2.12+deb13-cloud-amd64",
    "7.3.4+deb13-arm64",
    "7.3.4+deb13-rt-arm64",
]


class Packages:
    """The part of an archive's interface that finding a kernel uses."""

    def __init__(self, releases: Sequence[str]) -> None:
        self.packages = [f"linux-{part}-{name}" for name in releases for part in ("headers", "image")]

    def names(self, beginning: str) -> list[str]:
        return [name for name in self.packages if name.startswith(beginning)]

    def versions(self, name: str) -> list[str]:
        return ["1-1"] if name in self.packages else []

    def update(self, _say: object) -> None:
        pass


ARCHIVE = cast("Archive", Packages(RELEASES))


@pytest.mark.parametrize(
    ("flavour", "arch", "release"),
    [
        (None, "amd64", "7.3.4+deb13-amd64"),
        ("rt", "amd64", "7.3.5+deb13-rt-amd64"),
        ("cloud", "amd64", "7.2.12+deb13-cloud-amd64"),
        (None, "arm64", "7.3.4+deb13-arm64"),
        ("rt", "arm64", "7.3.4+deb13-rt-arm64"),
    ],
)
def test_the_newest_of_a_flavour(flavour: str | None, arch: str, release: str) -> None:
    assert debian.newest(ARCHIVE, arch, flavour).name == release


def test_a_flavour_that_the_mirror_does_not_have() -> None:
    with pytest.raises(EnvironmentFault, match="no kernel of the flavour cloud for arm64"):
        debian.newest(ARCHIVE, "arm64", "cloud")


def test_all_flavours_are_listed() -> None:
    assert debian.available(ARCHIVE, "arm64") == RELEASES[-2:]
    assert set(debian.available(ARCHIVE, "amd64")) == set(RELEASES[:5])


@pytest.mark.parametrize(
    ("wanted", "release"),
    [
        (None, "7.3.4+deb13-amd64"),
        ("rt", "7.3.5+deb13-rt-amd64"),
        ("cloud", "7.2.12+deb13-cloud-amd64"),
        ("7.3.4+deb13-rt-amd64", "7.3.4+deb13-rt-amd64"),
    ],
)
def test_a_kernel_that_is_there_is_taken_by_its_flavour(
    wanted: str | None, release: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: a newer kernel of another flavour was taken for the default one."""
    monkeypatch.setenv("R4L_HOME", str(tmp_path))
    monkeypatch.setattr(stock, "archive_for", lambda *_: ARCHIVE)
    for name in RELEASES:
        (tmp_path / "kernels" / f"{name}_1-1" / "packages").mkdir(parents=True)
    folder, found = stock.fetch(wanted, "x86_64")
    assert (folder.name, found.name) == (f"{release}_1-1", release)


@pytest.mark.parametrize("name", ["stock", "rt", "cloud"])
def test_a_kernel_of_ones_own_has_another_name(name: str) -> None:
    with pytest.raises(UsageError, match="none of stock, rt, cloud"):
        recipes.Recipe(name, profile.profile("minimal"), Path("/src"), "1", "x86_64")
