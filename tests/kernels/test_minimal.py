# SPDX-License-Identifier: MIT
"""The kernel that boots in about a second, built from source."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from r4l import home, inuse, resources
from r4l.camp.demo.rig import NETWORK, Rig
from r4l.kernel import Kernel
from r4l.kernel.describe import describe
from r4l.module import Module
from r4l.net import Nic
from r4l.toolchain import Grant
from r4l.vm import VM

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]


@pytest.mark.row("A2")
@pytest.mark.parametrize("fast", [True, False], ids=["vmlinux", "bzImage"])
def test_it_has_rust_and_boots(minimal: Kernel, fast: bool) -> None:
    assert minimal.config["CONFIG_RUST"] == "y"
    vmlinux, bzimage = describe(minimal).images
    assert (vmlinux.kind, bzimage.kind) == ("vmlinux", "bzImage")
    assert vmlinux.path.read_bytes()[:4] == b"\x7fELF"
    with VM(minimal, fast=fast) as vm:
        assert vm.run("uname -r").stdout.strip() == minimal.release == f"{minimal.release.split('-')[0]}-minimal"
        assert "CONFIG_RUST=y" in vm.run("zcat /proc/config.gz").stdout
        vm.klog.check()


@pytest.mark.row("A2")
def test_the_driver_for_the_stock_kernel_pings_here_too(minimal: Kernel) -> None:
    hello, e1000 = (Module(resources.rust("drivers", name)).build(minimal) for name in ("hello", "e1000"))
    with VM(minimal, nics=[Nic("e1000", options=NETWORK)]) as vm:
        rig = Rig(vm, minimal, hello, e1000)
        rig.begin()
        rig.load(hello)
        rig.load(e1000)
        rig.up()
        rig.ping("10.0.2.2")
        vm.klog.check()


@contextmanager
def compiled(kernel: Kernel) -> Iterator[list[str]]:
    """Return the compile and link steps of a kernel's make during the context."""
    log = home.room("logs") / f"build-{kernel.build.parent.name}.log"
    before = log.stat().st_size
    steps: list[str] = []
    yield steps
    told = log.read_bytes()[before:].decode(errors="replace")
    assert "modules_install" in told or "DEPMOD" in told, "make ran"
    steps += [line for line in told.splitlines() if line.split()[:1] and line.split()[0] in ("CC", "RUSTC", "LD")]


def test_a_build_of_a_kernel_that_is_used_leaves_it_as_it_is(minimal: Kernel) -> None:
    modules = (minimal.build.parent / "modules").stat()
    argv = [sys.executable, "-m", "r4l", "kernel", "build", "minimal", "--json"]
    subprocess.run(argv, capture_output=True, check=True)
    now = (minimal.build.parent / "modules").stat()
    assert (now.st_ino, now.st_mtime_ns) == (modules.st_ino, modules.st_mtime_ns)


def test_a_second_build_compiles_nothing(minimal: Kernel) -> None:
    inuse.let_go(minimal.build.parent)
    if inuse.users(minimal.build.parent):
        pytest.skip("another process uses the kernel, which is left as it is then")
    before = (minimal.build / "vmlinux").stat().st_mtime_ns
    argv = ["kernel", "build", "minimal", "--json"]
    with compiled(minimal) as steps:
        done = subprocess.run([sys.executable, "-m", "r4l", *argv], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["release"] == minimal.release
    assert (minimal.build / "vmlinux").stat().st_mtime_ns == before
    assert steps == []


@pytest.mark.row("A26")
def test_a_build_from_source_asks_for_no_keys(minimal: Kernel) -> None:
    # Debian's configuration names a key file that only Debian has: a build with it stops at certs/.
    assert not minimal.config.get("CONFIG_SYSTEM_TRUSTED_KEYS", "").strip('"')
    assert not minimal.config.get("CONFIG_SYSTEM_REVOCATION_KEYS", "").strip('"')
    hello = Module(resources.rust("drivers/hello")).build(minimal)
    with VM(minimal) as vm:
        vm.insmod(hello)
        assert int(vm.run("cat /proc/sys/kernel/tainted").stdout) & 1 << 13 == 0, "no signature is missed"


def test_a_build_that_was_interrupted_goes_on(minimal: Kernel) -> None:
    # An interrupted build has no manifest; what make had done by then stays.
    manifest = minimal.build.parent / "kernel.json"
    manifest.unlink()
    with compiled(minimal) as steps:
        assert Kernel.get("minimal").release == minimal.release
    assert manifest.exists()
    assert steps == []


def test_a_tree_that_is_built_inside_is_used_as_it_is(minimal: Kernel) -> None:
    found = Kernel.get(str(minimal.build))
    assert found.release == minimal.release
    assert found.build == minimal.build


def test_the_build_folder_is_known_by_make(minimal: Kernel, tmp_path: Path) -> None:
    """Plain make works with the arguments that `r4l kernel show` prints."""
    (tmp_path / "Kbuild").write_text("obj-m := r4l_plain.o\n")
    (tmp_path / "r4l_plain.rs").write_text((minimal.source / "samples/rust/rust_minimal.rs").read_text())
    minimal.toolchain.run(
        ["make", "-C", minimal.build, *minimal.make_arguments, f"M={tmp_path}"],
        Grant("test", writes=(tmp_path,), reads=(minimal.source, minimal.build)),
    )
    assert (tmp_path / "r4l_plain.ko").exists()
