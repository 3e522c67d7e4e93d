# SPDX-License-Identifier: MIT
"""Drivers in the kernel's own tree: built as modules and built in, booted, and taken out again.

The kernel `minimal` and its source are copied, and make does only what the drivers add. The compiler's command lines
hold the source's path, so inside the sandbox the copy stands at the original's place.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from r4l import home, resources
from r4l.graft import graft, remove
from r4l.kernel import Kernel
from r4l.kernel.config import read_config
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
        kernel: the original.
        folder: holds the copies `source` and `build`, and what was built.
    """

    kernel: Kernel
    folder: Path

    @property
    def source(self) -> Path:
        return self.folder / "source"

    @property
    def build(self) -> Path:
        return self.folder / "build"

    def make(self, *arguments: str) -> None:
        """The kernel's make."""
        argv: list[str | Path] = ["nice", "-n", "10", "make", "-C", self.kernel.source, f"O={self.build}", "-j2"]
        command = self.kernel.toolchain.command([*argv, *self.kernel.make_arguments, *arguments])
        at = command.index("--clearenv")
        command[at:at] = ["--ro-bind", str(self.source), str(self.kernel.source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-4000:])

    def built(self, name: str, options: dict[str, str]) -> Kernel:
        """The kernel with these options."""
        with (self.build / ".config").open("a") as config:
            config.writelines(f"CONFIG_{option}={value}\n" for option, value in options.items())
        self.make("olddefconfig")
        config_now = read_config(self.build / ".config")
        assert {option: config_now.get(f"CONFIG_{option}", "n") for option in options} == options
        result = self.folder / name
        self.make("all")
        self.make(f"INSTALL_MOD_PATH={result}", "modules_install")
        for made in ("vmlinux", "modules.builtin", "modules.order"):
            shutil.copy2(self.build / made, result)
        return dataclasses.replace(
            self.kernel,
            name=f"graft-{name}",
            version=str(result),
            build=self.build,
            image=self.build / "arch/x86/boot/bzImage",
            vmlinux=result / "vmlinux",
            modules=result / "lib/modules" / self.kernel.release,
        )


def copy(kernel: Kernel, folder: Path) -> None:
    """The source by hard links, which nothing here writes to: graft renames, and make sees it read-only."""
    subprocess.run(["cp", "-al", kernel.source, folder / "source"], check=True)
    subprocess.run(["cp", "-a", "--reflink=auto", kernel.build, folder / "build"], check=True)


@pytest.fixture(scope="module")
def grafted(minimal: Kernel) -> Iterator[Grafted]:
    """A copy of `minimal` with three drivers put into its tree."""
    with tempfile.TemporaryDirectory(dir=home.room("builds"), prefix=".graft-") as name:
        grafted = Grafted(minimal, Path(name))
        copy(minimal, grafted.folder)
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
    """Built where `as_modules` was, so only what differs."""
    del as_modules
    return grafted.built("y", BUILT_IN)


def listed(kernel: Kernel, table: str) -> set[str]:
    """The names of the modules in modules.order or modules.builtin."""
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


@pytest.mark.row("B3", "B4")
def test_as_modules(as_modules: Kernel) -> None:
    names = ["hello", "rust_print", "rust_minimal", "r4l_e1000"]
    with VM(as_modules, nics=[Nic("e1000")], modules=names) as vm:
        assert "c_from_rust" in vm.klog.text(), "built in"
        for name in names:
            vm.run(f"modprobe {name}", check=True)
        loaded = vm.run("lsmod", check=True).stdout
        assert all(name in loaded for name in names)
        vm.run("ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0", check=True)
        vm.run("until [ $(cat /sys/class/net/eth0/carrier) = 1 ]; do sleep 0.1; done; ping -c2 10.0.2.2", check=True)
        for name in reversed(names):
            vm.run(f"rmmod {name}", check=True)
        vm.klog.sync()
        print(vm.klog.text())
        vm.guest.popen(["reboot"])
        assert vm.wait() == 0


@pytest.mark.row("B3")
def test_built_in(built_in: Kernel) -> None:
    with VM(built_in, nics=[Nic("e1000")]) as vm:
        log = vm.klog.text()
        assert "hello: Hello, world, from Rust!" in log
        assert "Am I built-in? true" in log
        assert "r4l_e1000: init" in log
        vm.run("ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0", check=True)
        vm.run("until [ $(cat /sys/class/net/eth0/carrier) = 1 ]; do sleep 0.1; done; ping -c2 10.0.2.2", check=True)
        vm.klog.check()


def test_out_again_the_tree_is_as_it_was(minimal: Kernel, grafted: Grafted, built_in: Kernel) -> None:
    del built_in
    for driver in (HELLO, E1000, BINDGEN):
        remove(str(driver), grafted.source)
    assert differing(minimal.source, grafted.source) == []


def differing(one: Path, other: Path) -> list[str]:
    """The paths that two trees do not have in common, or not with the same bytes."""
    different: list[str] = []
    for folder, folders, files in os.walk(one):
        twin = other / Path(folder).relative_to(one)
        if sorted(path.name for path in twin.iterdir()) != sorted([*folders, *files]):
            different.append(str(twin))
        for name in files:
            mine, its = Path(folder, name), twin / name
            same = its.is_symlink() or os.path.samefile(mine, its) or mine.read_bytes() == its.read_bytes()
            different += [] if same else [str(its)]
    return different
