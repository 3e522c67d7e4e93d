# SPDX-License-Identifier: MIT
"""Shared by the tests of an e1000 driver.

They pass with any driver for the card, including the kernel's own in C: `r4l test rust/drivers/e1000 -- --r4l-module
kernel:e1000`.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import r4l
from r4l.arch import architecture
from r4l.net import Interface
from r4l.toolchain import Grant

GATEWAY = "10.0.2.2"
"""QEMU's own router."""


SIOCETHTOOL = 0x8946
GSET, SSET, GDRVINFO, GWOL, SWOL, GEEPROM, SEEPROM = 0x01, 0x02, 0x03, 0x05, 0x06, 0x0B, 0x0C
GRINGPARAM, SRINGPARAM = 0x10, 0x11
TEST = 0x1A
OFFLINE = 1
GSTRINGS, GSTATS, GSSET_INFO, GFEATURES, SFEATURES = 0x1B, 0x1D, 0x37, 0x3A, 0x3B
SS_TEST, SS_STATS, SS_FEATURES = 0, 1, 4
UNTIL = "i=0; until {}; do i=$((i+1)); [ $i -gt 300 ] && exit 1; usleep 50000; done"
"""Command line that waits for another one to succeed, at most 15 s."""


class Ethtool:
    """Requests to an interface, as ethtool(8) makes them: commands and structures of the kernel's
    include/uapi/linux/ethtool.h."""

    def __init__(self, vm: r4l.VM, name: str) -> None:
        self.vm = vm
        self.name = name

    def ask(self, command: int, rest: bytes) -> bytes:
        """Make a request and return the structure after `cmd`.

        Raises:
            OSError: the kernel refuses it.
        """
        data = (struct.pack("<I", command) + rest).hex()
        answer = self.vm.run(["/tmp/relay", self.name, str(SIOCETHTOOL), data], timeout=60, check=True).stdout.split()
        if answer[0] == "error":
            raise OSError(int(answer[1]), errno.errorcode[int(answer[1])])
        return bytes.fromhex(answer[0])[4:]

    def names(self, string_set: int, count: int) -> list[str]:
        """Return the strings of a set."""
        data = self.ask(GSTRINGS, struct.pack("<II", string_set, count) + bytes(32 * count))[8:]
        return [data[at : at + 32].split(b"\0")[0].decode() for at in range(0, 32 * count, 32)]

    def information(self) -> tuple[str, str, tuple[int, int, int, int]]:
        """Return the driver's name, its bus address, and the lengths: statistics, tests, EEPROM, registers."""
        data = self.ask(GDRVINFO, bytes(192))
        n_stats, testinfo_len, eedump_len, regdump_len = struct.unpack_from("<IIII", data, 176)
        text = [data[at : at + 32].split(b"\0")[0].decode() for at in range(0, 128, 32)]
        return text[0], text[3], (n_stats, testinfo_len, eedump_len, regdump_len)

    def statistics(self) -> dict[str, int]:
        """Return what `ethtool -S` shows."""
        count = self.information()[2][0]
        values = struct.unpack_from(f"<{count}Q", self.ask(GSTATS, struct.pack("<I", count) + bytes(8 * count)), 4)
        return dict(zip(self.names(SS_STATS, count), values, strict=True))

    def self_test(self, *, offline: bool) -> tuple[int, dict[str, int]]:
        """Return what `ethtool -t` shows: the flags ETH_TEST_FL_* and the tests' results, 0 where one passed."""
        tests = self.information()[2][1]
        data = self.ask(TEST, struct.pack("<III", OFFLINE if offline else 0, 0, 0) + bytes(8 * tests))
        flags, _, count = struct.unpack_from("<III", data)
        return flags, dict(zip(self.names(SS_TEST, count), struct.unpack_from(f"<{count}Q", data, 12), strict=True))

    def eeprom(self, offset: int = 0, length: int = 128) -> tuple[bytes, int]:
        """Return what `ethtool -e` shows, and the number that writing wants to hear."""
        answer = self.ask(GEEPROM, struct.pack("<III", 0, offset, length) + bytes(length))
        return answer[12:], int(struct.unpack_from("<I", answer)[0])

    def write_eeprom(self, offset: int, data: bytes, magic: int) -> None:
        """Write what `ethtool -E` writes."""
        self.ask(SEEPROM, struct.pack("<III", magic, offset, len(data)) + data)

    def features(self) -> dict[str, tuple[bool, bool]]:
        """Return what `ethtool -k` shows: of each feature, whether it can be switched and whether it is on."""
        (count,) = struct.unpack_from("<I", self.ask(GSSET_INFO, struct.pack("<IQI", 0, 1 << SS_FEATURES, 0)), 12)
        names, blocks = self.names(SS_FEATURES, count), -(-count // 32)
        answer = self.ask(GFEATURES, struct.pack("<I", blocks) + bytes(16 * blocks))
        words = [struct.unpack_from("<IIII", answer, 4 + 16 * block) for block in range(blocks)]

        def bit(index: int, which: int) -> bool:
            return bool(words[index // 32][which] >> index % 32 & 1)

        return {name: (bit(index, 0), bit(index, 2)) for index, name in enumerate(names) if name}

    def switch(self, name: str, on: bool) -> None:
        """Switch a feature as `ethtool -K` does."""
        (count,) = struct.unpack_from("<I", self.ask(GSSET_INFO, struct.pack("<IQI", 0, 1 << SS_FEATURES, 0)), 12)
        index = self.names(SS_FEATURES, count).index(name)
        blocks = [[0, 0] for _ in range(-(-count // 32))]
        blocks[index // 32] = [1 << index % 32, on << index % 32]
        self.ask(
            SFEATURES, struct.pack(f"<I{2 * len(blocks)}I", len(blocks), *(word for both in blocks for word in both))
        )

    def rings(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return what `ethtool -g` shows: the sizes of the receive and the transmit ring, and the largest ones."""
        words = struct.unpack("<8I", self.ask(GRINGPARAM, bytes(32)))
        return (words[4], words[7]), (words[0], words[3])

    def set_rings(self, rx: int, tx: int) -> None:
        """Set what `ethtool -G` sets."""
        self.ask(SRINGPARAM, struct.pack("<8I", 0, 0, 0, 0, rx, 0, 0, tx))

    def wake(self) -> tuple[int, int]:
        """Return what `ethtool` shows as "Supports Wake-on" and "Wake-on", as bits WAKE_*."""
        supported, wanted = struct.unpack_from("<II", self.ask(GWOL, bytes(16)))
        return supported, wanted

    def set_wake(self, wanted: int) -> None:
        """Set what `ethtool -s eth0 wol` sets, by bits WAKE_*."""
        self.ask(SWOL, struct.pack("<II", 0, wanted) + bytes(8))

    def settings(self) -> tuple[int, int, int, int]:
        """Return the modes supported and advertised, the speed, and whether it is negotiated."""
        supported, advertising, speed, _duplex, _port, _phy, _transceiver, autoneg = struct.unpack_from(
            "<IIHBBBBB", self.ask(GSET, bytes(40))
        )
        return supported, advertising, speed, autoneg

    def set_link(self, *, autoneg: bool, advertising: int = 0, speed: int = 0, full: bool = False) -> None:
        """Set what `ethtool -s` sets."""
        body = struct.pack("<IIHBBBBB", 0, advertising, speed, full, 0, 0, 0, autoneg)
        self.ask(SSET, body.ljust(40, b"\0"))


@pytest.fixture
def ethtools(loaded: r4l.VM, relay: Path) -> tuple[Ethtool, Ethtool]:
    """Requests to the interfaces `eth0` and `eth1`, of which the second may not exist."""
    loaded.put(relay, "/tmp/relay", 0o755)
    return Ethtool(loaded, "eth0"), Ethtool(loaded, "eth1")


@pytest.fixture
def ethtool(ethtools: tuple[Ethtool, Ethtool]) -> Ethtool:
    """Requests to the interface `eth0`."""
    return ethtools[0]


@dataclass(frozen=True)
class Heard:
    """A frame that came in.

    Attributes:
        length: bytes.
        tag: the VLAN tag that the card took out; None without one.
        verified: True if somebody has verified its checksum.
        data: bytes of the frame.
    """

    length: int
    tag: int | None
    verified: bool
    data: bytes


Hear = Callable[[int], Callable[[], list[Heard]]]


@pytest.fixture
def hear(loaded: r4l.VM, relay: Path) -> Hear:
    """Begin to listen for frames of an Ethertype, and return the function that returns those that have come."""
    loaded.put(relay, "/tmp/relay", 0o755)

    def begin(ethertype: int) -> Callable[[], list[Heard]]:
        file = f"/tmp/heard.{ethertype:x}"
        loaded.run(
            f"/tmp/relay eth0 hear {ethertype:x} > {file} & {UNTIL.format(f'grep -q listening {file}')}", check=True
        )

        def come() -> list[Heard]:
            # The last line may be written right now.
            whole = loaded.run(f"cat {file}", check=True).stdout.rpartition("\n")[0]
            lines = [line.split() for line in whole.splitlines()[1:]]
            return [
                Heard(int(length), int(tag) if int(tag) >= 0 else None, verified == "1", bytes.fromhex(data))
                for length, tag, verified, data in lines
            ]

        return come

    return begin


@pytest.fixture
def gateway() -> str:
    """Address that answers at the other end of QEMU's user network."""
    return GATEWAY


@pytest.fixture
def loaded(vm: r4l.VM, module: r4l.BuiltModule) -> r4l.VM:
    """The virtual machine with the driver loaded."""
    vm.insmod(module)
    return vm


@pytest.fixture
def registers(loaded: r4l.VM) -> int:
    """Physical address of the card's registers."""
    intel = "grep -q 0x8086 $d/vendor && grep -q 0x0200 $d/class"
    find = f"for d in /sys/bus/pci/devices/*; do {intel} && head -n1 $d/resource; done"
    return int(loaded.run(find, check=True).stdout.split()[0], 16)


@pytest.fixture
def register(loaded: r4l.VM, registers: int) -> Callable[[int], int]:
    """Reads a register of the card, by its offset, from outside the guest."""
    if card := loaded.cards.get(0):
        return lambda offset: card.peek(offset)

    def read(offset: int) -> int:
        answer = loaded.qmp("human-monitor-command", command_line=f"xp /1wx {registers + offset:#x}")
        return int(str(answer).split()[-1], 16)

    return read


@pytest.fixture(scope="session")
def poking(kernel: r4l.Kernel) -> r4l.BuiltModule:
    """The module that writes a register."""
    return r4l.Module(Path(__file__).parent / "poke").build(kernel)


@pytest.fixture
def poke(loaded: r4l.VM, registers: int, poking: r4l.BuiltModule) -> Callable[[int, int], None]:
    """Writes a register of the card, by its offset, behind the driver's back."""

    def write(offset: int, value: int) -> None:
        loaded.insmod(poking, at=registers + offset, value=value)
        loaded.rmmod(poking.name)

    return write


@pytest.fixture
def online(loaded: r4l.VM, interface: Interface) -> r4l.VM:
    """The virtual machine with the driver loaded, an address and carrier."""
    interface.up()
    return loaded


@pytest.fixture(scope="session")
def relay(kernel: r4l.Kernel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program for the guest."""
    folder, source = tmp_path_factory.mktemp("relay"), Path(__file__).parent
    compiler = f"{architecture(kernel.arch).gnu}-gcc"
    argv: list[str | Path] = [
        compiler,
        "-static",
        "-Wall",
        "-Werror",
        "-O1",
        "-o",
        folder / "relay",
        source / "relay.c",
    ]
    kernel.toolchain.run(argv, Grant("test", writes=(folder,), reads=(source,)))
    return folder / "relay"
