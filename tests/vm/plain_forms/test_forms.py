# SPDX-License-Identifier: MIT
"""A folder that plain make builds is built by r4l: the ways in which public Makefiles name their own files."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.vm.plain_forms.folders import MINE, OTHER, VERSIONED, C, Make, described, linked, listing, write
from tests.vm.plain_forms.forms import FORMS

from r4l.errors import BuildError
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module

pytestmark = pytest.mark.vm

STAND_FOR = {"@module": C, "@mine": MINE, "@other": OTHER, "@versioned": VERSIONED}
"""Texts that the shapes below have names for."""
SHAPES: dict[str, dict[str, Any]] = tomllib.loads(
    (Path(__file__).parents[2] / "fixtures/makefiles.toml").read_text(encoding="utf-8")
)
"""Folders in the shapes of public modules."""
AT_ONCE = ["PWD", "wildcard", "include", "objects beside"]
"""Of the forms those that the short tests look at."""


@pytest.mark.parametrize(
    "form", [pytest.param(name, marks=[] if name in AT_ONCE else [pytest.mark.thorough]) for name in FORMS]
)
def test_a_form(kernel: Kernel, place: Path, form: str) -> None:
    write(place, FORMS[form])
    before = listing(place.parents[1])
    built = Module(place).build(kernel)
    assert described(built) == "mine"
    assert listing(place.parents[1]) == before, "the folder and the files around it stay clean"
    parts = linked(built)
    change = next(path for path in place.rglob("*.c") if path.name != "gen.c")
    change.write_text(change.read_text(encoding="utf-8") + "/* changed */\n", encoding="utf-8")
    again = Module(place).build(kernel)
    assert described(again) == "mine"
    assert linked(again) == parts, "the second build links what the first one did"


@pytest.mark.thorough
@pytest.mark.parametrize("form", FORMS)
def test_plain_make_builds_the_same_and_harms_nothing(kernel: Kernel, place: Path, plain: Make, form: str) -> None:
    write(place, FORMS[form])
    plain(place)
    [other] = place.rglob("*.ko")
    theirs = BuiltModule(other).modinfo
    built = Module(place).build(kernel)
    assert described(built) == "mine"
    assert built.modinfo == theirs
    parts = linked(built)
    # With a wildcard, make takes its own NAME.mod.c for a source from now on; r4l does not.
    plain(place)
    again = Module(place).build(kernel)
    assert again.modinfo == theirs
    assert linked(again) == parts


SOME_SHAPES = ["wifi-vendor", "laptop"]
"""Of the shapes those that the short tests look at."""


@pytest.mark.parametrize(
    "shape", [pytest.param(name, marks=[] if name in SOME_SHAPES else [pytest.mark.thorough]) for name in SHAPES]
)
def test_a_folder_in_the_shape_of_a_public_module(kernel: Kernel, place: Path, plain: Make, shape: str) -> None:
    """Plain make builds it, in the folder itself, as r4l did before and does afterwards."""
    files = SHAPES[shape]["files"]
    write(place, {name: STAND_FOR.get(text, text) for name, text in files.items()})
    before = listing(place.parents[1])
    names = SHAPES[shape].get("modules", ["x"])

    def build() -> list[BuiltModule]:
        built = Module(place).build_all(kernel)
        assert sorted(one.path.stem for one in built) == names
        assert {described(one) for one in built} == {"mine"}
        assert not [note for note in built[0].notes if note.name.startswith("outer")]
        return built

    parts = [linked(one) for one in build()]
    assert listing(place.parents[1]) == before, "the folder and the files around it stay clean"
    assert [linked(one) for one in build()] == parts
    plain(place)
    assert sorted(file.stem for file in place.rglob("*.ko")) == names
    assert [one.modinfo for one in sorted(build(), key=lambda one: one.path.stem)] == [
        BuiltModule(file).modinfo for file in sorted(place.rglob("*.ko"), key=lambda file: file.stem)
    ]


@pytest.mark.thorough
def test_an_edit_compiles_what_it_touches(kernel: Kernel, place: Path) -> None:
    write(place, FORMS["folders of the parts"])
    module = Module(place)

    def compiled() -> list[str]:
        module.build(kernel)
        lines = module.log(kernel).read_text(encoding="utf-8").splitlines()
        return sorted(line.split()[-1] for line in lines if line.startswith("  CC") and ".mod" not in line)

    assert "src/main.o" in compiled()
    assert compiled() == []
    (place / "c/other.c").write_text("int other(void);\nint other(void) { return 2; }\n")
    assert compiled() == ["c/other.o"]
    (place / "inc/mine.h").write_text('#define MINE  "mine"\n')
    assert compiled() == ["src/main.o"]
    (place / "c/other.c").unlink()
    with pytest.raises(BuildError, match=r"other\.o"):
        module.build(kernel)
    (place / "Kbuild").write_text("obj-m := x.o\nx-y := src/main.o\n")
    assert described(module.build(kernel)) == "mine"


@pytest.mark.parametrize("sandbox", ["root", pytest.param("proot", marks=pytest.mark.thorough)])
def test_in_the_other_sandboxes(kernel: Kernel, place: Path, sandbox: str) -> None:
    """The folder stays clean there too."""
    write(place, FORMS["host program"])
    before = listing(place.parent)
    done = subprocess.run(
        [sys.executable, "-m", "r4l", "build", str(place), "--kernel", kernel.name],
        env={**os.environ, "R4L_SANDBOX": sandbox},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert described(BuiltModule(Path(done.stdout.strip()))) == "mine"
    assert listing(place.parent) == before
