# SPDX-License-Identifier: MIT
"""Drivers in the kernel's own tree: built as modules and built in, booted, and removed.

The kernel `minimal` and its source are copied, and make only builds the drivers.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from r4l import home, resources
from r4l.graft import graft, remove
from r4l.kernel import Kernel
from r4l.kernel.copy import Copy
from r4l.net import Nic
from r4l.vm import VM

pytestmark = [pytest.mark.vm, pytest.mark.timeout(3600)]

HELLO = resources.rust("drivers", "hello")
E1000 = resources.rust("drivers", "e1000")
BINDGEN = resources.rust("drivers", "c_from_rust")

SAMPLES = {"SAMPLES": "y", "SAMPLES_RUST": "y"}
MODULES = {
    **SAMPLES,
    "SAMPLE_RUST_HELLO": "m",
    "SAMPLE_RUST_PRINT": "m",
    "SAMPLE_RUST_MINIMAL": "m",
    "R4L_E1000": "m",
    "C_FROM_RUST": "y",
}
BUILT_IN = {**SAMPLES, "SAMPLE_RUST_HELLO": "y", "SAMPLE_RUST_MINIMAL": "y", "R4L_E1000": "y", "C_FROM_RUST": "n"}


@dataclass
class Grafted:
    """A copy of the kernel with drivers in its tree.

    Attributes:
        copy: of the kernel.
        before: the source's files before the graft.
    """

    copy: Copy
    before: dict[str, int]

    @property
    def source(self) -> Path:
        return self.copy.source

    def built(self, name: str, options: dict[str, str]) -> Kernel:
        """Build the kernel with the given options."""
        asked = {f"CONFIG_{option}": value for option, value in options.items()}
        config = self.copy.settled(name, asked)
        assert not self.copy.dropped(config, asked)
        self.copy.configure(config.read_text())
        return self.copy.built(name)


def inodes(tree: Path) -> dict[str, int]:
    """Return the inode of every file of a tree; a rewritten file gets a new one."""
    paths = (Path(folder, name) for folder, _, names in os.walk(tree) for name in names)
    return {str(path.relative_to(tree)): path.lstat().st_ino for path in paths}


@pytest.fixture(scope="module")
def grafted(minimal: Kernel) -> Iterator[Grafted]:
    """A copy of `minimal` with three drivers put into its tree."""
    with tempfile.TemporaryDirectory(dir=home.room("copies"), prefix=".graft-") as name:
        copy = Copy.make_at(Path(name) / "copy", minimal)
        grafted = Grafted(copy, inodes(copy.source))
        for driver in (HELLO, E1000, BINDGEN):
            graft(driver, grafted.source)
        yield grafted
        for driver in (HELLO, E1000, BINDGEN):
            if (grafted.source / "rust/kit").exists():
                remove(str(driver), grafted.source)


@pytest.fixture(scope="module")
def as_modules(grafted: Grafted) -> Kernel:
    return grafted.built("m", MODULES)


@pytest.fixture(scope="module")
def built_in(grafted: Grafted, as_modules: Kernel) -> Kernel:
    """The kernel built in the same folder as `as_modules`, so that only differences are built."""
    del as_modules
    return grafted.built("y", BUILT_IN)


def listed(kernel: Kernel, table: str) -> set[str]:
    """Return the names of the modules in modules.order or modules.builtin."""
    return {Path(line).stem for line in (kernel.vmlinux.parent / table).read_text().splitlines()}


@pytest.mark.row("B3", "C3")
def test_a_driver_is_a_module_or_built_in_or_left_out(as_modules: Kernel, built_in: Kernel) -> None:
    modules, within = listed(as_modules, "modules.order"), listed(as_modules, "modules.builtin")
    assert {"hello", "r4l_e1000", "rust_print", "rust_minimal"} <= modules
    assert "c_from_rust" in within
    assert not {"hello", "r4l_e1000"} & within
    modules, within = listed(built_in, "modules.order"), listed(built_in, "modules.builtin")
    assert {"hello", "r4l_e1000", "rust_minimal"} <= within
    assert not {"hello", "r4l_e1000", "c_from_rust"} & modules
    assert "c_from_rust" not in within
    assert "e1000" in modules, "the C driver is as it was"


LEVELS = ("Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Info")


@pytest.mark.row("B4")
def test_samples_and_a_grafted_one_load_print_and_leave(as_modules: Kernel) -> None:
    names = ["rust_print", "rust_minimal", "hello"]
    with VM(as_modules, modules=names) as vm:
        for name in names:
            vm.run(f"insmod $(find /lib/modules -name {name}.ko)", check=True)
        for name in names:
            vm.rmmod(name)
        said = vm.run("dmesg -r", check=True).stdout
        for level, word in enumerate(LEVELS):
            assert re.search(rf"^<{level}>.*rust_print: {word} message \(level {level}\) without args$", said, re.M)
        assert "rust_print: Rust printing macros sample (exit)" in said
        assert "rust_minimal: Am I built-in? false" in said
        assert "rust_minimal: My numbers are [72, 108, 200]" in said
        assert "rust_minimal: Rust minimal sample (exit)" in said
        assert "hello: Hello, world, from Rust!" in said
        assert "hello: Goodbye, world." in said
        assert "c_from_rust: hweight32(0xf0f0) = 8" in said, "built in, with its bindings and its C"
        vm.klog.check()
        vm.guest.popen(["reboot"])
        assert vm.wait() == 0


@pytest.mark.row("B3")
def test_a_network_driver_as_a_module_uses_the_kit_in_the_kernel(as_modules: Kernel) -> None:
    with VM(as_modules, nics=[Nic("e1000")], modules=["r4l_e1000"]) as vm:
        assert "r4l_e1000" not in vm.klog.text()
        vm.run("modprobe r4l_e1000", check=True)
        ping(vm)
        vm.rmmod("r4l_e1000")
        vm.klog.sync()
        assert "r4l_e1000: exit" in vm.klog.text()
        vm.klog.check()


@pytest.mark.row("B3")
def test_built_in_they_are_there_at_boot(built_in: Kernel) -> None:
    with VM(built_in, nics=[Nic("e1000")]) as vm:
        vm.klog.sync()
        log = vm.klog.text()
        assert "hello: Hello, world, from Rust!" in log
        assert "rust_minimal: Am I built-in? true" in log
        assert "r4l_e1000: init" in log
        assert "c_from_rust" not in log
        ping(vm)
        vm.klog.check()


def ping(vm: VM) -> None:
    """Check that the driver's card carries packets."""
    vm.run("ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0", check=True)
    vm.run("until [ $(cat /sys/class/net/eth0/carrier) = 1 ]; do sleep 0.1; done", check=True)
    assert " 0% packet loss" in vm.run("ping -c 3 -W 5 10.0.2.2", check=True).stdout


def test_out_again_the_tree_is_as_it_was(minimal: Kernel, grafted: Grafted, built_in: Kernel) -> None:
    del built_in
    for driver in (HELLO, E1000, BINDGEN):
        remove(str(driver), grafted.source)
    now = inodes(grafted.source)
    assert now.keys() == grafted.before.keys()
    written = [path for path, inode in now.items() if inode != grafted.before[path]]
    assert "samples/rust/Kconfig" in written, "it was changed, and changed back"
    different = [
        path for path in written if (grafted.source / path).read_bytes() != (minimal.source / path).read_bytes()
    ]
    assert different == []
