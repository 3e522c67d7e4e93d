# SPDX-License-Identifier: MIT
"""Lab 2 keeps a student's kernels, and judges none by one of an earlier Kconfig, Makefile or driver."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from r4l import limits, resources
from r4l.camp.labs.lab import Lab

BEFORE = 'CONFIG_RUST=y\nCONFIG_LOCALVERSION="-camp"\n'
AFTER = {"CONFIG_RUST": "y", "CONFIG_LOCALVERSION": "-camp", "CONFIG_CAMP_GREETER": "m"}


@pytest.fixture(scope="module")
def checks(pytestconfig: pytest.Config) -> ModuleType:
    """The lab's own checks."""
    pytestconfig.addinivalue_line("markers", "checkpoint(id): as the labs' plugin has it")
    spec = importlib.util.spec_from_file_location(
        "configure_checks", resources.labs() / "02-configure/checks/test_configure.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        # Its dataclass looks for its own module.
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
    return module


def key(checks: ModuleType, folder: Path, config: dict[str, str], **files: str) -> str:
    """Return the key of a tree with some files of the student's, whose Kconfig leads to a configuration."""
    place = folder / "source" / checks.PLACE
    place.mkdir(parents=True, exist_ok=True)
    (folder / checks.CONFIG).mkdir(exist_ok=True)
    (folder / checks.CONFIG / checks.CONFIG).write_text(BEFORE)
    (place / "Makefile").write_text(files.get("makefile", "obj-m := camp_greeter.o\n"))
    (place / "camp_greeter.rs").write_text(files.get("driver", "x"))
    copy = SimpleNamespace(source=folder / "source", folder=folder)
    return str(checks.InTree(copy, None).key(config))


@pytest.mark.parametrize(
    "config",
    [
        {**AFTER, "CONFIG_EXTRA": "y"},
        {**AFTER, "CONFIG_EXTRA": "n"},
        {**AFTER, "CONFIG_EXTRA": "3"},
        {**AFTER, "CONFIG_CAMP_GREETER": "y"},
        {**AFTER, "CONFIG_LOCALVERSION": ""},
        {name: value for name, value in AFTER.items() if name != "CONFIG_RUST"},
    ],
)
def test_what_kconfig_makes_of_it_is_in_the_key(checks: ModuleType, tmp_path: Path, config: dict[str, str]) -> None:
    """Regression: with another default of a further option, the kernel of the earlier one was judged."""
    assert key(checks, tmp_path, config) != key(checks, tmp_path, AFTER)


def test_what_changes_nothing_is_not(checks: ModuleType, tmp_path: Path) -> None:
    same = key(checks, tmp_path, dict(reversed(AFTER.items())), makefile="# mine\nobj-m  := camp_greeter.o # it\n")
    assert same == key(checks, tmp_path, AFTER)
    assert key(checks, tmp_path, AFTER, makefile="obj-y := camp_greeter.o\n") != same
    assert key(checks, tmp_path, AFTER, driver="y") != same


def test_the_students_files_are_built_in_less_time_than_a_check_has(
    checks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: a source whose compilation does not end ended the check before it had a machine, unjudged."""
    for name in limits.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    lab = Lab.named("configure")
    seen: list[tuple[str, float | None]] = []
    key(checks, tmp_path, AFTER)
    (tmp_path / "build").mkdir()
    (tmp_path / "build/.config").write_text(f"{BEFORE}CONFIG_CAMP_GREETER=m\n")
    copy = SimpleNamespace(
        source=tmp_path / "source",
        folder=tmp_path,
        build=tmp_path / "build",
        config=BEFORE,
        kept=lambda _: None,
        configure=lambda _: seen.append(("configure", limits.kernel().seconds)),
        make=lambda what: seen.append((what, limits.kernel().seconds)),
        built=lambda *_, **__: seen.append(("the kernel", limits.kernel().seconds)),
    )
    checks.InTree(copy, None).built("m", AFTER)
    own = dict(seen)
    assert own["the kernel"] == 12 * 3600, "which the student's files do not prolong"
    # One for Kconfig tried, one for the configuration, one for the compiler.
    seconds = (limits.tool().seconds, own["configure"], own[f"{checks.PLACE}/"])
    assert None not in seconds
    assert sum(filter(None, seconds)) <= lab.timeout
