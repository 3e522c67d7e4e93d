# SPDX-License-Identifier: MIT
"""Lab 7. Seeds and channels are drawn at random each time; the sensor's values are computed here again."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

import r4l
from r4l.camp.labs import see
from r4l.vm.loading import FOLDER

DRAW = random.SystemRandom()
NAME = "c_from_rust"
FILE = f"{FOLDER}/{NAME}.ko"
HELPER = "c_from_rust_millidegrees"
CHANNELS = 12
READY = 1 << 3
BROKEN = 0xFFFFFF00
FAILURES = (errno.EIO, errno.EBUSY, errno.ETIMEDOUT, errno.EPROTO, errno.EREMOTEIO, errno.EBADMSG, errno.ENOLINK)


@dataclass(frozen=True)
class Reading:
    """Values that sensor.c reads from a channel."""

    seed: int
    channel: int

    @property
    def raw(self) -> int:
        raw = (self.seed * 0x9E3779B97F4A7C15 + self.channel * 0xD1342543DE82EF95) % (1 << 64)
        return raw ^ raw >> 29

    @property
    def flags(self) -> int:
        return self.raw >> 37 & 0x1F

    @property
    def ready(self) -> bool:
        return bool(self.flags & READY)

    @property
    def millidegrees(self) -> int:
        low = self.raw & 0xFFFF
        return (low - ((low & 0x8000) << 1)) * 125


def drawn() -> Iterator[Reading]:
    """Yield random readings without end."""
    while True:
        yield Reading(DRAW.randrange(1000, BROKEN), DRAW.randrange(1, CHANNELS))


def read(vm: r4l.VM, module: r4l.BuiltModule, reading: Reading) -> list[str]:
    """Load the module for a reading, return its log lines, and unload it."""
    vm.klog.sync()
    mark = vm.klog.mark()
    if vm.run(f"test -e {FILE}").ok:
        vm.run(insmod(reading), check=True)
    else:
        vm.insmod(module, seed=reading.seed, channel=reading.channel)
    vm.rmmod(NAME)
    return said(vm, mark)


def refused(vm: r4l.VM, module: r4l.BuiltModule, reading: Reading) -> str:
    """Return insmod's error for a load that must fail."""
    if not vm.run(f"test -e {FILE}").ok:
        vm.put(module.path, FILE)
    tried = vm.run(insmod(reading))
    return tried.stderr.strip().rpartition(": ")[2] if tried.exit_code else "nothing: the module was loaded"


def said(vm: r4l.VM, mark: int = 0) -> list[str]:
    """Return the log lines of the module's Rust and C parts."""
    vm.klog.sync()
    texts = [record.text for record in vm.klog.records(mark)]
    return [text.removeprefix(f"{NAME}: ") for text in texts if text.startswith(f"{NAME}: ")]


def channel_lines(lines: list[str], what: str = "") -> list[str]:
    """Return the lines that name a channel, and that channel."""
    return [line for line in lines if line.startswith("channel ") and what in line]


def insmod(reading: Reading) -> list[str]:
    """Return the command, copying the file first if needed; it has megabytes of debug information."""
    return ["insmod", FILE, f"seed={reading.seed}", f"channel={reading.channel}"]


def command(reading: Reading) -> str:
    """Return the command for doing the same by hand."""
    return f"insmod {NAME}.ko seed={reading.seed} channel={reading.channel}"


@pytest.mark.checkpoint("loads")
def test_loads(vm: r4l.VM, module: r4l.BuiltModule) -> None:
    vm.insmod(module)
    see(f"{NAME} in /proc/modules", NAME in vm.run("cut -d' ' -f1 /proc/modules").stdout.split(), True)


@pytest.mark.checkpoint("bindings")
def test_bindings(vm: r4l.VM, module: r4l.BuiltModule) -> None:
    for reading, _ in zip(drawn(), range(3), strict=False):
        lines = channel_lines(read(vm, module, reading), " of ")
        wanted = [f"channel {reading.channel} of {CHANNELS}: raw {reading.raw}"]
        see(f"`channel C of N: raw R` after {command(reading)}", lines, wanted)


@pytest.mark.checkpoint("ready")
def test_ready(vm: r4l.VM, module: r4l.BuiltModule) -> None:
    # Other bits of flags are set where this one is not, and beside it.
    no = next(reading for reading in drawn() if not reading.ready and reading.flags)
    yes = next(reading for reading in drawn() if reading.ready and reading.flags != READY)
    for reading in (no, yes):
        lines = channel_lines(read(vm, module, reading), "ready")
        wanted = [f"channel {reading.channel} is {'' if reading.ready else 'not '}ready"]
        see(f"`channel C is (not) ready`, flags being {reading.flags:#x}, after {command(reading)}", lines, wanted)


@pytest.mark.checkpoint("helper")
def test_helper(vm: r4l.VM, module: r4l.BuiltModule) -> None:
    with module.path.open("rb") as file:
        elf = ELFFile(file)
        table = elf.get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        symbols = table.get_symbol_by_name(HELPER) or []
        functions = [symbol for symbol in symbols if symbol["st_shndx"] != "SHN_UNDEF"]
        see(f"functions {HELPER} in {NAME}.ko's symbol table", len(functions), 1)
        calls = [
            relocation
            for section in elf.iter_sections()
            if isinstance(section, RelocationSection) and section.name.startswith((".rela.text", ".rela.init"))
            for relocation in section.iter_relocations()
            if table.get_symbol(relocation["r_info_sym"]).name == HELPER
        ]
        see(f"calls of {HELPER} in {NAME}.ko's relocations", len(calls), "at least one", bool(calls))
    cold = next(reading for reading in drawn() if reading.millidegrees < 0)
    warm = next(reading for reading in drawn() if reading.millidegrees > 0)
    for reading in (cold, warm):
        lines = channel_lines(read(vm, module, reading), "millidegrees")
        wanted = [f"channel {reading.channel}: {reading.millidegrees} millidegrees"]
        see(f"`channel C: T millidegrees` after {command(reading)}", lines, wanted)


@pytest.mark.checkpoint("errors")
def test_errors(vm: r4l.VM, module: r4l.BuiltModule) -> None:
    missing = Reading(DRAW.randrange(1000, BROKEN), DRAW.randrange(CHANNELS, 1 << 32))
    none = Reading(0, DRAW.randrange(CHANNELS))
    first, second = (Reading(BROKEN + number, DRAW.randrange(CHANNELS)) for number in DRAW.sample(FAILURES, 2))
    cases = [(missing, errno.ECHRNG), (none, errno.ENODEV)]
    cases += [(reading, reading.seed - BROKEN) for reading in (first, second)]
    for reading, number in cases:
        what = f"{command(reading)} (C returns -{errno.errorcode[number]})"
        see(f"what insmod says of {what}", refused(vm, module, reading), os.strerror(number))
        see(f"{NAME} in /proc/modules after {what}", NAME in vm.run("cut -d' ' -f1 /proc/modules").stdout, False)
    see("readings that are printed though C returned an error", channel_lines(said(vm)), [])


@pytest.mark.checkpoint("closes")
def test_closes(vm: r4l.VM, module: r4l.BuiltModule) -> None:
    right = next(drawn())
    lines = read(vm, module, right)
    see(f"times that sensor {right.seed} was opened, by insmod and rmmod", opened(right, lines), 1)
    see_closed(right, lines, "insmod and rmmod")
    mark = vm.klog.mark()
    broken = Reading(BROKEN + DRAW.choice(FAILURES), 0)
    refused(vm, module, broken)
    see_closed(broken, said(vm, mark), f"{command(broken)}, which fails")


def opened(reading: Reading, lines: list[str]) -> int:
    """Return how often a sensor was opened."""
    return lines.count(f"sensor {reading.seed} opened")


def see_closed(reading: Reading, lines: list[str], after: str) -> None:
    """Check that a sensor was closed as often as it was opened."""
    closed = lines.count(f"sensor {reading.seed} closed")
    see(f"times that sensor {reading.seed} was closed, as it was opened, after {after}", closed, opened(reading, lines))
