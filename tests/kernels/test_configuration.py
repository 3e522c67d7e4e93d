# SPDX-License-Identifier: MIT
"""Kernel configuration: y, m and n, options dropped by olddefconfig, samples as modules and built in."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from r4l.errors import UsageError
from r4l.kernel import Kernel, own
from r4l.kernel.recipe import recipe
from r4l.vm import VM

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]

FRAGMENT = """\
# a driver as a module, and an option that x86 cannot have
CONFIG_BONDING=m
CONFIG_KASAN_SW_TAGS=y
"""


@pytest.fixture(scope="module")
def samples(minimal: Kernel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Output of `r4l kernel build samples --fragment ...`, continued from `minimal`."""
    fragment = tmp_path_factory.mktemp("fragment") / "mine.config"
    fragment.write_text(FRAGMENT)
    argv = ["kernel", "build", "samples", "--fragment", str(fragment), "--name", "test-samples", "--json"]
    done = subprocess.run([sys.executable, "-m", "r4l", *argv], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told: dict[str, object] = json.loads(done.stdout)
    return told


@pytest.mark.row("A3")
def test_y_m_and_n(minimal: Kernel, samples: dict[str, object]) -> None:
    kernel = Kernel.get("test-samples")
    assert (kernel.config["CONFIG_VIRTIO_NET"], kernel.config["CONFIG_BONDING"]) == ("y", "m")
    assert "CONFIG_KASAN_SW_TAGS" not in kernel.config
    assert "CONFIG_BONDING" not in minimal.config
    built = {path.name for path in kernel.modules.rglob("*.ko")}
    assert "bonding.ko" in built
    assert "virtio_net.ko" not in built
    with VM(kernel, modules=["bonding"]) as vm:
        assert vm.run("ls /sys/class/net").stdout.split() == ["lo"]
        vm.run("modprobe bonding max_bonds=1", check=True)
        assert "bond0" in vm.run("ls /sys/class/net").stdout


@pytest.mark.row("A3")
def test_a_dropped_option_is_named_with_its_reason(samples: dict[str, object]) -> None:
    dropped = samples["dropped"]
    assert isinstance(dropped, list)
    (entry,) = (entry for entry in dropped if entry["option"] == "CONFIG_KASAN_SW_TAGS")
    assert (entry["wanted"], entry["got"]) == ("y", "n")
    assert "HAVE_ARCH_KASAN_SW_TAGS" in entry["reason"]


def test_an_option_that_no_kernel_has_costs_nothing(samples: dict[str, object], tmp_path: Path) -> None:
    fragment = tmp_path / "odd.config"
    fragment.write_text("CONFIG_DUMY=m\n")
    kernel = Kernel.get("test-samples")
    wanted = recipe("test-samples", kernel.source, str(samples["version"]), base="samples", fragments=[fragment])
    with pytest.raises(UsageError, match=r"odd.config: this kernel has no option CONFIG_DUMY; there is .*CONFIG_DUMMY"):
        own.build(wanted, kernel.toolchain)
    assert Kernel.get("test-samples").release == kernel.release, "the kernel that was there is still there"


@pytest.mark.row("B4")
def test_the_kernels_samples_come_and_go(samples: dict[str, object]) -> None:
    kernel = Kernel.get("test-samples")
    with VM(kernel, modules=["rust_print", "rust_minimal"]) as vm:
        for name in ("rust_print", "rust_minimal"):
            vm.run(f"modprobe {name}", check=True)
            vm.run(f"rmmod {name}", check=True)
        vm.klog.sync()
        records = [record for record in vm.klog.records() if record.text.startswith("rust_print: ")]
        log = vm.klog.text()
        for level, word in enumerate(("Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Info")):
            record = next(record for record in records if f"{word} message (level {level})" in record.text)
            assert record.level == level
        for line in (
            "rust_minimal: Am I built-in? false",
            "rust_minimal: My numbers are [72, 108, 200]",
            "rust_minimal: Rust minimal sample (exit)",
            "rust_print: Rust printing macros sample (exit)",
        ):
            assert line in log
        assert vm.poweroff() == 0


@pytest.mark.row("E2")
def test_built_in_samples_speak_at_boot(minimal: Kernel) -> None:
    kernel = Kernel.get("builtin")
    assert kernel.config["CONFIG_SAMPLE_RUST_MINIMAL"] == "y"
    assert kernel.config["CONFIG_E1000"] == "m"
    with VM(kernel) as vm:
        vm.klog.sync()
        log = vm.klog.text()
    assert "rust_minimal: Am I built-in? true" in log
    assert "rust_print: Rust printing macros sample (init)" in log
