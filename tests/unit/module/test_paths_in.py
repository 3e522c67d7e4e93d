# SPDX-License-Identifier: MIT
"""Compilers' messages name the files of the user's folder by their whole paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from r4l.module.paths_in import entered, whole


@pytest.mark.parametrize(
    "line",
    [
        "{}a.c:3:1: error: unknown type name 'in'",
        "{}src/b.c: In function 'f':",
        "In file included from {}src/b.c:3:",
        "                 from {}a.c:4,",
        " --> {}m.rs:9:5",
        "  --> {}m.rs:9:5",
        "\x1b[01m\x1b[K{}a.c:3:1:\x1b[m\x1b[K \x1b[01;31m\x1b[Kerror: \x1b[m\x1b[Kno",
        "\x1b[0m \x1b[0m\x1b[0m\x1b[1m\x1b[38;5;12m--> \x1b[0m\x1b[0m{}m.rs:9:5\x1b[0m",
        "\x1b[1m\x1b[94m--> \x1b[0m{}m.rs:9:5",
    ],
)
def test_a_place_in_the_folder(tmp_path: Path, line: str) -> None:
    (tmp_path / "src").mkdir()
    for name in ("a.c", "src/b.c", "m.rs"):
        (tmp_path / name).write_text("")
    relative = f"make: x\n{line.format('')}\nrest"
    wanted = relative if ": In function" in line else f"make: x\n{line.format(f'{tmp_path}/')}\nrest"
    assert whole(relative, tmp_path) == wanted


@pytest.mark.parametrize(
    "line", ["/usr/a.c:3:1: error", "gone.c:3:1: error", "9 |  a.c:3", "./include/linux/a.h:3:1: error", "", "a.c"]
)
def test_all_else_stays(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.c").write_text("")
    assert whole(line, tmp_path) == line


def test_folders_that_make_enters(tmp_path: Path) -> None:
    said = f"make[1]: Entering directory '/kdir'\nmake[2]: Entering directory '{tmp_path}/src'\nmake[2]: Leaving\n"
    assert entered(said, tmp_path) == [tmp_path / "src"]
    for name in ("a.c", "src/a.c", "b.c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert whole("a.c:1: x\nb.c:2: y\nc.c:3: z\n", tmp_path / "src", tmp_path) == (
        f"{tmp_path}/src/a.c:1: x\n{tmp_path}/b.c:2: y\nc.c:3: z\n"
    )
