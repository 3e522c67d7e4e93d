# SPDX-License-Identifier: MIT
"""The key of a preparation contains everything that it depends on, or the preparation is refused with the reason."""

from __future__ import annotations

import functools
import importlib
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from r4l.errors import UsageError
from r4l.vm.fingerprint import fingerprint
from r4l.vm.prepare import Preparation

Load = Callable[[str, str], ModuleType]
NUMBERS = [1]
LOCK = threading.Lock()
COUNT = itertools.count()


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Write a Python file and import it again."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(name: str, text: str) -> ModuleType:
        (tmp_path / f"{name}.py").write_text(text)
        # Before the import, so that the module is gone after the test.
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
        del sys.modules[name]
        importlib.invalidate_caches()
        return importlib.import_module(name)

    return write


def run(vm: Any, *words: object) -> None:
    vm.run(words)


def by_default(n: object) -> Callable[..., object]:
    return lambda vm, n=n: vm.run(n)


def by_keyword(n: object) -> Callable[..., object]:
    def prepare(vm: Any, *, n: object = n) -> None:
        vm.run(n)

    return prepare


def by_closure(n: object) -> Callable[..., object]:
    return lambda vm: vm.run(n)


def by_inner_closure(n: object) -> Callable[..., object]:
    def inner(vm: Any) -> None:
        run(vm, n)

    return lambda vm: inner(vm)


def by_partial(n: object) -> Callable[..., object]:
    return functools.partial(lambda n, vm: run(vm, n), n)


def by_wrapper(n: object) -> Callable[..., object]:
    def prepare(vm: Any) -> None:
        run(vm)

    @functools.wraps(prepare)
    def wrapper(vm: Any) -> None:
        prepare(vm)
        run(vm, n)

    return wrapper


@dataclass
class Setup:
    n: object

    def prepare(self, vm: Any) -> None:
        vm.run(self.n)

    def __call__(self, vm: Any) -> None:
        self.prepare(vm)


class Slotted:
    __slots__ = ("n",)

    def __init__(self, n: object) -> None:
        self.n = n

    def prepare(self, vm: Any) -> None:
        vm.run(self.n)


WAYS: list[Callable[[Any], Callable[..., object]]] = [
    by_default,
    by_keyword,
    by_closure,
    by_inner_closure,
    by_partial,
    by_wrapper,
    lambda n: Setup(n).prepare,
    Setup,
    lambda n: Slotted(n).prepare,
    lambda n: by_closure(Setup({"a": [n]})),
    lambda n: functools.lru_cache(by_default(n)),
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=4)
    | st.binary(max_size=4)
    | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("way", WAYS)
@hypothesis.given(one=VALUES, other=VALUES)
@hypothesis.settings(max_examples=25)
def test_keys_differ_exactly_where_the_values_do(
    way: Callable[[Any], Callable[..., object]], one: Any, other: Any
) -> None:
    # repr tells 1, 1.0 and True apart, which a guest does too.
    assert (fingerprint(way(one)) == fingerprint(way(other))) == (repr(one) == repr(other))


def test_two_lambdas_of_a_loop_have_two_keys() -> None:
    assert len({Preparation(lambda vm, n=n: vm.run(f"echo {n}")).key for n in range(3)}) == 3


def test_a_variable_of_the_loop_counts_as_it_is_when_the_machine_starts() -> None:
    preparations = []
    for n in range(2):
        preparations.append(Preparation(lambda vm: vm.run(f"echo {n}")))  # noqa: B023 (what is tested)
    assert len({preparation.key for preparation in preparations}) == 1


@pytest.mark.parametrize(
    "use",
    [
        "import helper\ndef prepare(vm): helper.load(vm)",
        "from helper import load\ndef prepare(vm): load(vm)",
        "import helper as h\ndef prepare(vm):\n    def deep(): h.load(vm)\n    deep()",
        "def prepare(vm):\n    import helper\n    helper.load(vm)",
        "def prepare(vm):\n    from helper import load as l\n    l(vm)",
        "import helper\nclass S:\n    def go(self, vm): helper.load(vm)\ndef prepare(vm): S().go(vm)",
        "import middle\ndef prepare(vm): middle.go(vm)",
        "import helper, functools\nprepare = functools.partial(helper.load)",
        "import helper\nTABLE = {'x': [helper.load]}\ndef prepare(vm): TABLE['x'][0](vm)",
    ],
)
@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("def load(vm): vm.run('a')", "def load(vm): vm.run('b')", False),
        ("N = 1\ndef load(vm): vm.run(N)", "N = 2\ndef load(vm): vm.run(N)", False),
        (
            "def inner(): return 1\ndef load(vm): vm.run(inner())",
            "def inner(): return 2\ndef load(vm): vm.run(inner())",
            False,
        ),
        ("def load(vm): vm.run('a')", "# a comment\n\n\ndef load(vm):\n    vm.run('a')", True),
    ],
)
def test_a_helper_in_another_file_is_followed(load: Load, use: str, before: str, after: str, same: bool) -> None:
    def key(text: str) -> str:
        load("helper", text)
        load("middle", "import helper\ndef go(vm): helper.load(vm)")
        return fingerprint(load("driver", use).prepare)

    assert (key(before) == key(after)) == same


def test_state_of_a_module_counts(load: Load) -> None:
    helper = load("helper", "N = [1]\ndef load(vm): vm.run(N)")
    driver = load("driver", "import helper\ndef prepare(vm): helper.load(vm)")
    before = fingerprint(driver.prepare)
    helper.N.append(2)
    assert fingerprint(driver.prepare) != before


@pytest.mark.parametrize(
    ("text", "change"),
    [
        (
            "class Meta(type):\n    def __call__(cls): return {}\n"
            "class M(metaclass=Meta): pass\ndef prepare(vm): vm.run(M())",
            ("1", "2"),
        ),
        ("def prepare(vm): vm.run(prepare.word)\nprepare.word = {}", ("1", "2")),
        ("def load(vm): vm.run(load.word)\nload.word = [{}]\ndef prepare(vm): load(vm)", ("1", "2")),
    ],
)
def test_what_a_call_depends_on_besides_its_code(load: Load, text: str, change: tuple[str, str]) -> None:
    """Regression: a metaclass, and the attributes of a function, did not count."""
    keys = {fingerprint(load("driver", text.format(word)).prepare) for word in change}
    assert len(keys) == 2
    assert fingerprint(load("driver", text.format("1")).prepare) in keys


@pytest.mark.parametrize(
    "text",
    [
        "import importlib\ndef prepare(vm): vm.run(importlib.import_module('helper').N)",
        "from importlib import import_module as get\ndef prepare(vm): vm.run(get('helper').N)",
        "def prepare(vm):\n    import importlib\n    vm.run(importlib.import_module('helper').N)",
        "import runpy\ndef prepare(vm): vm.run(runpy.run_path('helper.py')['N'])",
    ],
)
def test_a_module_that_the_code_does_not_name_is_refused(load: Load, text: str) -> None:
    """Regression: one that was imported before was read without an event, and without a trace in the key."""
    with pytest.raises(UsageError, match="whose module the code does not name"):
        fingerprint(load("driver", text).prepare)


def test_a_key_holds_in_another_process() -> None:
    code = (
        "import runpy, sys; sys.path.insert(0, 'tests/unit/vm'); import test_fingerprint as t;"
        "print(t.fingerprint(t.Setup({'x': {3, 'a', None}, 'p': t.Path('/x')}).prepare))"
    )
    root = Path(__file__).parents[3]
    keys = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(keys) == 1


def reads_environment(vm: Any) -> None:
    vm.run(os.environ["HOME"])


def asks_environment(vm: Any) -> None:
    vm.run(os.getenv("HOME"))


def evaluates(vm: Any) -> None:
    eval("vm.run('x')")


def holds_lock(vm: Any) -> None:
    with LOCK:
        vm.run("x")


class Locked:
    def __init__(self) -> None:
        self.inner = {"lock": threading.Lock()}

    def prepare(self, vm: Any) -> None:
        vm.run("x")


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (holds_lock, r"LOCK is a lock"),
        (Locked().prepare, r"the object of .*prepare\.inner\['lock'\] is a lock"),
        (by_closure(n for n in range(3)), r"n of the function around .* is a generator"),
        (reads_environment, r"os\.environ is the environment"),
        (asks_environment, r"os\.getenv is the environment"),
        (evaluates, r"evaluates calls eval"),
        (by_closure([object] * 3 + [list(range(30_000)), [[n] for n in range(30_000)]]), r"more than 20000 values"),
    ],
)
def test_what_has_no_key_is_named(function: Callable[..., object], named: str) -> None:
    with pytest.raises(UsageError, match=named) as caught:
        fingerprint(function)
    assert "snapshot=False" in caught.value.remedy


def test_values_that_hold_themselves() -> None:
    ring: list[Any] = []
    ring.append(ring)
    assert fingerprint(by_closure(ring)) == fingerprint(by_closure(ring))
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(UsageError, match="nested too deeply"):
        fingerprint(by_closure(deep))


def test_what_only_libraries_do_is_not_gone_through() -> None:
    from r4l.testing import interface_of

    assert fingerprint(lambda vm: interface_of(vm).up("10.0.2.15/24"))
