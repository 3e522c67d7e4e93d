# SPDX-License-Identifier: MIT
"""Lab 3. The numbers are drawn at random each time, so that constant output does not pass."""

from __future__ import annotations

import random

import pytest

import r4l
from r4l.camp.labs import see

DRAW = random.SystemRandom()
KERNELS_OWN = ("loading out-of-tree module taints kernel", "module verification failed:")
"""Messages of the kernel itself that begin with a module's name (kernel/module/main.c)."""


def said(vm: r4l.VM) -> list[str]:
    """Return the module's lines in the kernel log."""
    vm.klog.sync()
    texts = [record.text.removeprefix("hello: ") for record in vm.klog.records() if record.text.startswith("hello: ")]
    return [text for text in texts if not text.startswith(KERNELS_OWN)]


@pytest.mark.checkpoint("loads")
def test_loads(vm: r4l.VM, module: r4l.BuiltModule) -> None:
    vm.insmod(module)
    see("hello in /proc/modules", "hello" in vm.run("cut -d' ' -f1 /proc/modules").stdout.split(), True)


@pytest.mark.checkpoint("greets")
def test_greets(vm: r4l.VM, module: r4l.BuiltModule) -> None:
    vm.insmod(module)
    see("lines of the module in the kernel log", said(vm), ["Hello, 42"])


@pytest.mark.checkpoint("parameter")
def test_parameter(vm: r4l.VM, module: r4l.BuiltModule) -> None:
    number = DRAW.randrange(1000, 1 << 32)
    vm.insmod(module, answer=number)
    see(f"the greeting after insmod hello.ko answer={number}", said(vm), [f"Hello, {number}"])


@pytest.mark.checkpoint("leaves")
def test_leaves(vm: r4l.VM, module: r4l.BuiltModule) -> None:
    number = DRAW.randrange(1000, 1 << 32)
    vm.insmod(module, answer=number)
    vm.rmmod("hello")
    see("the last line after rmmod", said(vm)[-1:], [f"Goodbye, {number}"])
    see("how often it said goodbye", sum(line.startswith("Goodbye") for line in said(vm)), 1)


@pytest.mark.checkpoint("refuses")
def test_refuses(vm: r4l.VM, module: r4l.BuiltModule) -> None:
    vm.guest.put(module.path, "/tmp/hello.ko")
    tried = vm.run(["insmod", "/tmp/hello.ko", "answer=0"])
    words = tried.stderr.strip() if tried.exit_code else "nothing: the module was loaded"
    see("what insmod says of answer=0", words, "Invalid argument", "Invalid argument" in words)
    see("hello in /proc/modules", "hello" in vm.run("cut -d' ' -f1 /proc/modules").stdout.split(), False)
    see("goodbyes of a module that was never there", [line for line in said(vm) if line.startswith("Goodbye")], [])
