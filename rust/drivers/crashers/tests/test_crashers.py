# SPDX-License-Identifier: MIT
"""Rules of the kernel, broken one by one: its complaint, and the source line found for it."""

from __future__ import annotations

import contextlib
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import r4l
from r4l.vm.loading import ModuleRefused

pytestmark = pytest.mark.timeout(600)
HERE = Path(__file__).parent
SOURCES = HERE.parent
CRASHES: dict[str, dict[str, Any]] = tomllib.loads((HERE / "crashes.toml").read_text(encoding="utf-8"))
KINDS = [pytest.param(kind, marks=[pytest.mark.row(*crash.get("rows", ()))]) for kind, crash in CRASHES.items()]


@pytest.fixture(autouse=True)
def _the_table_is_of(kernel: r4l.Kernel) -> None:
    if kernel.arch != "x86_64":
        pytest.skip("crashes.toml tells what happens on x86_64")


@pytest.fixture
def expected(kernel: r4l.Kernel, kind: str) -> list[str]:
    """Return the kinds of complaints that this kernel makes."""
    checked = kernel.config.get("CONFIG_KASAN") == "y"
    complaints: list[str] | None = CRASHES[kind].get("debug" if checked else "stock")
    if complaints is None:
        pytest.skip("only the debug kernel notices it: --kernel debug")
    return complaints


def crash(vm: r4l.VM, module: r4l.BuiltModule, kind: str) -> list[r4l.Splat]:
    """Break a rule; return the kernel's complaint. Slow checkers run as soon as possible."""
    vm.run("echo 1 >/proc/sys/kernel/hung_task_timeout_secs; echo 1 >/proc/sys/kernel/hung_task_warnings", check=True)
    vm.run("echo 3 >/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout", check=True)
    if kind == "hung-task":
        # Its insmod never ends, and who complains is another task, a line at a time.
        vm.sources.add(module.path)
        vm.put(module.path, "/tmp/crashers.ko")
        vm.popen(["insmod", "/tmp/crashers.ko", f"kind={kind}"])
        vm.klog.wait_for("</TASK>", 60)
    else:
        with contextlib.suppress(r4l.Splat):
            vm.insmod(module, kind=kind)
    if kind == "leak":
        find_leaks(vm)
    vm.klog.sync()
    splats = vm.klog.splats(settle=True)
    vm.klog.allow(".", reason="it complains, as it shall")
    return splats


def find_leaks(vm: r4l.VM) -> None:
    """Run kmemleak until it reports a leak: objects must be older than 5 s and seen twice."""
    vm.run("echo 1 >/sys/module/kmemleak/parameters/verbose", check=True)
    for _ in range(4):
        vm.run("sleep 6; echo scan >/sys/kernel/debug/kmemleak", timeout=180, check=True)
        vm.klog.sync()
        if "new suspected memory leaks" in vm.klog.text():
            return


def marked(name: str) -> str:
    """Return the statement in the sources below `marker: NAME`, as `file.rs:12: text`."""
    for path in sorted(path for path in SOURCES.iterdir() if path.suffix in (".rs", ".c")):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if re.search(rf"/[/*] marker: {re.escape(name)}(?: \*/)?$", line):
                at = next(n for n in range(number + 1, len(lines)) if not lines[n].strip().startswith("//"))
                return f"{path.name}:{at + 1}: {lines[at].strip()}"
    raise AssertionError(f"there is no marker {name}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_rule_is_found_and_its_line_named(
    vm: r4l.VM, module: r4l.BuiltModule, kind: str, expected: list[str]
) -> None:
    splats = crash(vm, module, kind)
    assert [splat.splat_kind for splat in splats] == expected, [splat.headline for splat in splats]
    first, culprit = splats[0], splats[0].culprit
    assert culprit is not None
    line = marked(CRASHES[kind].get("line", kind))
    # gcc moves what is unlikely into a part of its own, NAME.cold.
    function = culprit.symbol.removesuffix(".cold")
    found = (function, culprit.module, culprit.where)
    assert found == (CRASHES[kind]["function"], "crashers", line), vm.sources.notes
    assert str(first).startswith(f"{line} — the kernel complained")
    assert any(frame and frame.where == marked(kind) for frame in (culprit, first.place, *first.trace))


def test_a_word_that_is_no_kind_and_the_words_that_are(vm: r4l.VM, module: r4l.BuiltModule) -> None:
    with pytest.raises(ModuleRefused):
        vm.insmod(module, kind="nonsense")
    said = vm.klog.text()
    assert all(f"there is {kind}\n" in f"{said}\n" for kind in CRASHES)


def test_no_kind_is_left_out() -> None:
    source = (SOURCES / "crash.rs").read_text(encoding="utf-8")
    assert set(CRASHES) == set(re.findall(r'^    \("([\w-]+)", \w+::', source, re.MULTILINE))
