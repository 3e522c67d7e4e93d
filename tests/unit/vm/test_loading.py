# SPDX-License-Identifier: MIT
"""Modules are loaded after those that they need, the kernel's own among them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from tests.unit.module.test_shipped import built

from r4l.cli.run import first_of
from r4l.guest import Completed
from r4l.module import BuiltModule
from r4l.module.order import in_load_order
from r4l.process import quiet
from r4l.vm import loading
from r4l.vm.live import LiveVM


class Guest:
    """A guest that loads whatever it is given, with some modules loaded already."""

    def __init__(self, *there: str) -> None:
        self.loaded = list(there)
        self.needed: set[str] = set()
        self.klog = SimpleNamespace(mark=lambda: 0)
        self.sources = SimpleNamespace(add=quiet)

    def put(self, source: Path, target: str, mode: int) -> None:
        assert (target, mode) == (f"{loading.FOLDER}/{source.name}", 0o644)

    def run(self, command: str | Sequence[str], **_words: object) -> Completed:
        text = ""
        if command == "cat /proc/modules":
            text = "".join(f"{name} 16384 0 - Live 0x0\n" for name in self.loaded)
        else:
            assert command[0] == "insmod"
            self.loaded.append(Path(command[1]).stem)
        return Completed(str(command), 0, text.encode(), b"", 0.0)


def family(folder: Path) -> dict[str, BuiltModule]:
    """Modules by their names: `nic` needs `core` of its folder, and the kernel's `mii` and `ptp`, which needs `pps`."""
    modules = [
        built(folder, "pps"), built(folder, "ptp", "pps"), built(folder, "mii"), built(folder, "core", "mii"),
        built(folder, "nic", "core,mii,ptp"),
    ]  # fmt: skip
    return {module.name: module for module in in_load_order(modules)}


def insmod(guest: Guest, module: object) -> None:
    loading.insmod(cast(LiveVM, guest), module, {})


def test_what_a_module_needs_is_loaded_before_it(tmp_path: Path) -> None:
    guest, nic = Guest(), family(tmp_path)["nic"]
    insmod(guest, nic)
    assert sorted(guest.loaded) == ["core", "mii", "nic", "pps", "ptp"]
    assert guest.loaded[-1] == "nic"
    assert guest.loaded.index("mii") < guest.loaded.index("core")
    assert guest.loaded.index("pps") < guest.loaded.index("ptp")
    assert guest.needed == {"core", "mii", "pps", "ptp"}


def test_what_is_loaded_is_not_loaded_again(tmp_path: Path) -> None:
    guest, modules = Guest("mii", "pps"), family(tmp_path)
    insmod(guest, modules["core"])
    insmod(guest, modules["nic"])
    assert guest.loaded == ["mii", "pps", "core", "ptp", "nic"]
    assert guest.needed == {"ptp"}
    insmod(guest, modules["nic"].path)
    assert guest.loaded[-1] == "nic", "a path has no needs"


def test_modules_that_are_loaded_otherwise_are_left_out(tmp_path: Path) -> None:
    guest, modules = Guest(), family(tmp_path)
    given = [modules["core"], modules["nic"]]
    loading.load_needs(cast(LiveVM, guest), modules["nic"], {module.name for module in given})
    assert sorted(guest.loaded) == ["mii", "pps", "ptp"]
    assert sorted(guest.needed) == sorted(other.name for other in first_of(given)) == ["mii", "pps", "ptp"]
