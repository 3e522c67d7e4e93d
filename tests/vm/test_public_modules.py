# SPDX-License-Identifier: MIT
"""Modules as other people write them: each builds with `r4l build`, is loaded, has its effect, and is unloaded."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from r4l.kernel import Kernel
from r4l.module import Module
from r4l.vm import VM

pytestmark = pytest.mark.vm

FOLDERS = Path(__file__).parents[1] / "fixtures/public"
EFFECTS: dict[str, dict[str, Any]] = tomllib.loads((FOLDERS / "effects.toml").read_text(encoding="utf-8"))
SHARED = [name for name, effect in EFFECTS.items() if "devices" not in effect]
"""Those that need no device: they are loaded into one machine, one after the other."""


def marked(name: str) -> Any:
    """A folder as the parameter of a test."""
    return pytest.param(name, marks=[] if EFFECTS[name].get("default") else [pytest.mark.thorough])


@pytest.fixture(scope="module")
def machine(kernel: Kernel) -> Iterator[VM]:
    """One machine for all."""
    with VM(kernel, snapshot=True) as vm:
        yield vm


def see(kernel: Kernel, vm: VM, name: str) -> None:
    """Build a folder's modules, load them, look at the effect, unload them."""
    effect = EFFECTS[name]
    built = Module(FOLDERS / name, effect.get("config")).build_all(kernel)
    assert [module.name for module in built] == effect["modules"]
    if "before" in effect:
        vm.run(effect["before"], check=True)
    since = vm.klog.mark()
    for module in built:
        vm.insmod(module, **(effect.get("parameters", {}) if module is built[-1] else {}))
    if "command" in effect:
        said = vm.run(effect["command"])
        assert re.search(effect["shows"], said.stdout), said
    if "log" in effect:
        vm.klog.wait_for(effect["log"], since=since)
    leaving = vm.klog.mark()
    for module in reversed(built):
        vm.rmmod(module.name)
    if "unload" in effect:
        vm.klog.wait_for(effect["unload"], since=leaving)
    vm.klog.sync()
    vm.klog.check()
    loaded = {line.split()[0] for line in vm.run("cat /proc/modules", check=True).stdout.splitlines()}
    assert not loaded & set(effect["modules"])


def test_each_folder_has_its_effect() -> None:
    assert sorted(EFFECTS) == sorted(folder.name for folder in FOLDERS.iterdir() if folder.is_dir())
    assert len(EFFECTS) >= 20


@pytest.mark.parametrize("name", [marked(name) for name in SHARED])
def test_a_public_module(kernel: Kernel, machine: VM, name: str) -> None:
    see(kernel, machine, name)


@pytest.mark.parametrize("name", [marked(name) for name in EFFECTS if name not in SHARED])
def test_a_public_module_with_its_device(kernel: Kernel, name: str) -> None:
    with VM(kernel, devices=EFFECTS[name]["devices"]) as vm:
        see(kernel, vm, name)
