# SPDX-License-Identifier: MIT
"""Modules that have moved and names that have changed: the old names work and warn."""

from __future__ import annotations

import importlib
import sys

import pytest

import r4l
from r4l import moved
from r4l.errors import R4LError, UsageError
from r4l.kernel import Kernel


@pytest.fixture(autouse=True)
def not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if moved.present_name(name):
            monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize("old", moved.MOVED)
def test_the_old_name_warns_and_gives_the_same_module(old: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"^{old} is now {moved.MOVED[old]}$") as caught:
        module = importlib.import_module(old)
    assert module is importlib.import_module(moved.MOVED[old])
    assert module.__name__ == moved.MOVED[old]
    assert module.__spec__ is not None
    assert module.__spec__.name == moved.MOVED[old]
    assert [str(warning.message) for warning in caught].count(f"{old} is now {moved.MOVED[old]}") == 1


def test_what_a_package_holds_is_the_same_too() -> None:
    namespace: dict[str, object] = {}
    with pytest.warns(DeprecationWarning, match="is now r4l.camp.labs") as caught:
        exec(compile("from r4l.labs.lab import Lab\nfrom r4l.labs import see", __file__, "exec"), namespace)
    from r4l.camp.labs import see
    from r4l.camp.labs.lab import Lab

    assert namespace["Lab"] is Lab
    assert namespace["see"] is see
    assert {warning.filename for warning in caught} == {__file__}, "the warning is about the line that imports"


def test_a_name_that_never_was_is_not_found() -> None:
    with (
        pytest.warns(DeprecationWarning, match="is now r4l.camp.labs"),
        pytest.raises(ModuleNotFoundError, match=r"r4l.*labs\.nonsense"),
    ):
        importlib.import_module("r4l.labs.nonsense")
    with pytest.raises(AttributeError):
        _ = r4l.labs_and_more


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("r4l.pci", "Access", "TraceEvent"),
        ("r4l.pci", "KINDS", "FAULT_KINDS"),
        ("r4l.pci", "Question", "Condition"),
        ("r4l.report", "Command", "CommandRun"),
    ],
)
def test_an_old_name_in_a_package_warns_and_gives_the_same_object(module: str, old: str, new: str) -> None:
    package = importlib.import_module(module)
    namespace: dict[str, object] = {}
    with pytest.warns(DeprecationWarning, match=f"^{module}.{old} is now {new}$") as caught:
        exec(compile(f"from {module} import {old}", __file__, "exec"), namespace)
    assert namespace[old] is getattr(package, new)
    assert {warning.filename for warning in caught} == {__file__}
    with pytest.raises(AttributeError, match=f"module '{module}' has no attribute 'nonsense'"):
        _ = package.nonsense


def test_an_error_has_a_category_that_was_its_kind() -> None:
    error = UsageError("cause")
    with pytest.warns(DeprecationWarning, match="now R4LError.category"):
        assert error.kind == error.category == error.as_dict()["error"] == "usage"


def test_the_class_of_an_error_has_its_old_name_too() -> None:
    for category in (UsageError, R4LError):
        with pytest.warns(DeprecationWarning, match="now R4LError.category") as caught:
            assert category.kind == category.category
        assert [warning.filename for warning in caught] == [__file__]


def test_a_user_s_own_error_may_still_say_kind() -> None:
    with pytest.warns(DeprecationWarning, match="now R4LError.category"):
        mine = type("Mine", (R4LError,), {"kind": "mine"})
    assert mine("cause").as_dict()["error"] == mine("cause").category == "mine"


def test_kernel_find_is_kernel_get(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(Kernel, "get", lambda name, **options: asked.append((name, options["arch"])))
    with pytest.warns(DeprecationWarning, match="^Kernel.find is now Kernel.get$"):
        Kernel.find("minimal", arch="arm64")
    assert asked == [("minimal", "arm64")]
