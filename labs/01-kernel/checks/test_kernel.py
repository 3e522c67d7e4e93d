# SPDX-License-Identifier: MIT
"""Lab 1. Properties of the student's kernel, asked of the running kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import r4l
from r4l.camp.labs import see
from r4l.camp.labs.configured import name
from r4l.net import Nic

OWN = name("kernel")
LEVELS = ("Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Info")


@pytest.fixture(scope="module")
def booted(kernel: r4l.Kernel) -> Iterator[r4l.VM]:
    """The student's kernel on a machine with the camp's card and the wanted module."""
    with r4l.VM(
        kernel, nics=[Nic("e1000")], modules=[module for module in ("rust_print",) if there(kernel, module)]
    ) as vm:
        yield vm


def there(kernel: r4l.Kernel, module: str) -> bool:
    """True if the kernel has that module as a file."""
    return any(path.stem == module for path in kernel.modules.rglob("*.ko"))


def option(vm: r4l.VM, wanted: str) -> str:
    """Return the value of an option in the running kernel's configuration."""
    lines = vm.run("zcat /proc/config.gz", check=True).stdout.splitlines()
    values = [line.partition("=")[2] for line in lines if line.startswith(f"CONFIG_{wanted}=")]
    return values[0] if values else "n"


@pytest.mark.checkpoint("boots")
def test_boots(booted: r4l.VM, kernel: r4l.Kernel) -> None:
    see("uname -r", booted.run("uname -r", check=True).stdout.strip(), kernel.release)


@pytest.mark.checkpoint("name")
def test_name(booted: r4l.VM) -> None:
    release = booted.run("uname -r", check=True).stdout.strip()
    own = option(booted, "LOCALVERSION").strip('"')
    wanted = f"the version, and behind it a name of yours in the place of -{OWN}"
    see("uname -r", release, wanted, bool(own) and own != f"-{OWN}" and release.endswith(own))


@pytest.mark.checkpoint("rust")
def test_rust(booted: r4l.VM) -> None:
    see("CONFIG_RUST in /proc/config.gz", option(booted, "RUST"), "y")


@pytest.mark.checkpoint("asked")
def test_asked(kernel: r4l.Kernel) -> None:
    dropped = kernel.manifest["dropped"]
    said = "; ".join(
        f"{entry['option']}={entry['wanted']} became {entry['got']}: {entry['reason']}" for entry in dropped
    )
    see("options that were asked for and dropped", said or "none", "none")


@pytest.mark.checkpoint("built-in")
def test_built_in(booted: r4l.VM) -> None:
    said = [line.partition("rust_minimal: ")[2] for line in lines(booted) if "rust_minimal: " in line]
    wanted = "Am I built-in? true"
    see("what rust_minimal says at boot", said or "nothing", wanted, wanted in said)


@pytest.mark.checkpoint("module")
def test_module(booted: r4l.VM, kernel: r4l.Kernel) -> None:
    value = option(booted, "SAMPLE_RUST_PRINT")
    see("CONFIG_SAMPLE_RUST_PRINT in /proc/config.gz", value, "m")
    see("rust_print.ko among the kernel's modules", there(kernel, "rust_print"), True)
    booted.run("modprobe rust_print", check=True)
    see("rust_print in /proc/modules", "rust_print" in booted.run("cut -d' ' -f1 /proc/modules").stdout.split(), True)
    booted.run("rmmod rust_print", check=True)
    said = "\n".join(lines(booted))
    missing = [word for word in LEVELS if f"rust_print: {word} message" not in said]
    see("levels of printk that rust_print did not speak at", missing, [])


@pytest.mark.checkpoint("free")
def test_free(booted: r4l.VM) -> None:
    ids = booted.run("cat /sys/bus/pci/devices/*/vendor /sys/bus/pci/devices/*/device", check=True).stdout.split()
    see("8086:100e on the PCI bus", {"0x8086", "0x100e"} <= set(ids), True)
    see("interfaces in /sys/class/net", sorted(booted.run("ls /sys/class/net").stdout.split()), ["lo"])
    see("CONFIG_E1000 in /proc/config.gz", option(booted, "E1000"), "n")


def lines(vm: r4l.VM) -> list[str]:
    """Return the kernel log from boot on."""
    return vm.run("dmesg", check=True).stdout.splitlines()
