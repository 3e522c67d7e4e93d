# SPDX-License-Identifier: MIT
"""QEMU's e1000 and the one in Python do the same: with random registers, descriptors and frames, always the same ones.

Intended differences are data (differences.toml).
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from tests.unit.pci.e1000.stand import context, data, legacy, place
from tests.vm.e1000.qtest import Qtest
from tests.vm.e1000.twins import DIFFERENCES, Bench, Ours, aligned

from r4l.kernel import Kernel
from r4l.pci import Register
from r4l.pci.arrays import RegisterElement
from r4l.pci.models.e1000 import E1000
from r4l.pci.models.e1000.descriptors import EOP, IFCS, IXSM, RS, TSE, TUCMD_IP, TUCMD_TCP, TUCMD_TSE, TXSM, VLE

pytestmark = pytest.mark.vm

RX_RING, TX_RING, RX_BUFFERS, TX_BUFFERS = 0x200000, 0x210000, 0x300000, 0x400000
COUNT = 16
BUFFER = 4096
US, OTHER = bytes.fromhex("525400123456"), bytes.fromhex("5254006789ab")
LAST = EOP | IFCS | RS
COUNTERS = (
    *(E1000.GPRC, E1000.TPR, E1000.GPTC, E1000.TPT, E1000.BPRC, E1000.MPRC, E1000.PRC64, E1000.PTC64),
    *(E1000.GORCL, E1000.GORCH, E1000.GOTCL, E1000.GOTCH, E1000.TORL, E1000.TORH, E1000.TOTL, E1000.TOTH),
)
"""Counters that both cards have."""
SIZES = (0x0, 0x10000, 0x20000, 0x30000)
"""RCTL.BSIZE: 2048, 1024, 512 and 256 bytes."""


class Twins:
    """Both cards, with a driver's state, and a generator of what is done to them."""

    def __init__(self, benches: tuple[Bench, Bench], seed: int) -> None:
        self.benches = benches
        self.random = random.Random(seed)
        self.log: list[str] = []
        self.table = [0] * 128
        self.rx_tail = self.tx_tail = self.control = 0
        self.begin()

    # -- both at once -------------------------------------------------------------------------------------------------

    def write(self, what: Register | RegisterElement, value: int) -> None:
        self.log.append(f"write {_name(what)} {value:#x}")
        for bench in self.benches:
            bench.write(place(what), value)

    def read(self, what: Register | RegisterElement, mask: int = 0) -> int:
        """A register of both; bits of `mask` and of differences.toml may differ."""
        register = what.register if isinstance(what, RegisterElement) else what
        mask |= DIFFERENCES["registers"].get(register.name, {}).get("mask", 0)
        qemu, ours = (bench.read(place(what)) for bench in self.benches)
        self.log.append(f"read {_name(what)} {qemu:#x}")
        self.same(qemu & ~mask, ours & ~mask, f"{_name(what)}: {qemu:#x} of QEMU's, {ours:#x} of ours")
        return ours

    def put(self, address: int, content: bytes) -> None:
        for bench in self.benches:
            bench.put(address, content)

    def step(self, seconds: float) -> None:
        for bench in self.benches:
            bench.step(seconds)

    def same(self, qemu: object, ours: object, what: str) -> None:
        """Fail with the last things that were done."""
        if qemu != ours:
            last = "\n".join(self.log[-25:])
            pytest.fail(f"{what}\n\nQEMU: {_short(qemu)}\nours: {_short(ours)}\n\nafter\n{last}", pytrace=False)

    # -- a driver -----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Reset, rings, receiver and transmitter on."""
        self.write(E1000.CTRL, E1000.CTRL.value(RST=1))
        self.write(E1000.IMC, 0xFFFFFFFF)
        self.write(E1000.CTRL, E1000.CTRL.value(SLU=1, FD=1, ASDE=1))
        self.step(2.0)
        for index in range(COUNT):
            self.put(RX_RING + 16 * index, struct.pack("<QQ", RX_BUFFERS + BUFFER * index, 0))
        self.put(TX_RING, bytes(16 * COUNT))
        for prefix, ring in (("RD", RX_RING), ("TD", TX_RING)):
            registers = E1000.layout.registers
            self.write(registers[f"{prefix}BAL"], ring)
            self.write(registers[f"{prefix}BAH"], 0)
            self.write(registers[f"{prefix}LEN"], 16 * COUNT)
            self.write(registers[f"{prefix}H"], 0)
            self.write(registers[f"{prefix}T"], 0)
        for index in range(1, 16):
            self.write(E1000.RAH[index], 0)
        for index in range(128):
            self.write(E1000.MTA[index], 0)
            self.write(E1000.VFTA[index], 0)
        self.rx_tail, self.tx_tail = COUNT - 1, 0
        self.write(E1000.TCTL, E1000.TCTL.value(EN=1, PSP=1))
        self.filters()
        self.write(E1000.RDT, self.rx_tail)
        for bench in self.benches:
            # QEMU's statistics outlive its reset.
            for register in (E1000.ICR, *COUNTERS):
                bench.read(register.offset)
            bench.sent()

    def filters(self) -> None:
        """Other settings of the receiver."""
        pick = self.random.random
        control = E1000.RCTL.value(EN=1, SECRC=1, UPE=pick() < 0.3, MPE=pick() < 0.3, BAM=pick() < 0.7)
        control |= self.random.choice(SIZES) | self.random.choice((0, 1, 2, 3)) << 12 | (pick() < 0.3) << 18
        self.control = control
        self.write(E1000.RCTL, control)
        # QEMU's card is deaf for a second after it.
        self.step(1.1)

    def tables(self) -> None:
        """Other addresses and bits in the tables."""
        index = self.random.randrange(1, 16)
        self.write(E1000.RAL[index], int.from_bytes(OTHER[:4], "little"))
        self.write(E1000.RAH[index], int.from_bytes(OTHER[4:], "little") | self.random.choice((0, 1 << 31)))
        row = self.random.randrange(128)
        self.table[row] = self.random.getrandbits(32)
        self.write(E1000.MTA[row], self.table[row])
        self.write(E1000.VFTA[self.random.randrange(4)], self.random.getrandbits(32))
        vme = self.random.random() < 0.5
        self.write(E1000.CTRL, E1000.CTRL.value(SLU=1, FD=1, ASDE=1, VME=vme))

    def registers(self) -> None:
        """Values written to registers of the interrupts, and read again."""
        for register in self.random.sample([E1000.IMS, E1000.IMC, E1000.ICS], 2):
            self.write(register, self.random.getrandbits(17) & 0x82D7)
        self.read(E1000.IMS)
        self.read(E1000.ICR)
        for register in (E1000.STATUS, E1000.RDH, E1000.TDH, E1000.RDT, E1000.TDT, E1000.RCTL, E1000.TCTL, E1000.VET):
            self.read(register)
        self.read(E1000.RAL[0])
        self.read(E1000.RAH[0])

    def eeprom_and_phy(self) -> None:
        """A word of the EEPROM, and a register of the PHY."""
        self.write(E1000.EERD, E1000.EERD.value(START=1, ADDR=self.random.randrange(3)))
        self.read(E1000.EERD)
        number = self.random.choice((0, 1, 2, 3, 4, 5, 9, 10, 16, 17, 20, 21))
        self.write(E1000.MDIC, E1000.MDIC.value(OP=2, PHYADD=1, REGADD=number))
        self.read(E1000.MDIC, DIFFERENCES["phy"].get(str(number), {}).get("mask", 0))

    def statistics(self) -> None:
        """Counters that both have."""
        for register in (
            E1000.GPRC,
            E1000.TPR,
            E1000.GPTC,
            E1000.TPT,
            E1000.GORCL,
            E1000.GORCH,
            E1000.TOTL,
            E1000.TOTH,
        ):
            self.read(register)

    def buffers(self) -> None:
        """Give the buffers back that were filled."""
        head = self.read(E1000.RDH)
        self.rx_tail = (head + COUNT - 1) % COUNT
        for index in range(COUNT):
            self.put(RX_RING + 16 * index + 8, bytes(8))
        self.write(E1000.RDT, self.rx_tail)

    def receive(self) -> None:
        """A frame from the line; there are always buffers for it."""
        if (self.rx_tail - self.read(E1000.RDH)) % COUNT < 7:
            self.buffers()
        group = bytes.fromhex("01005e") + self.random.randbytes(3)
        to = self.random.choice((US, US, OTHER, self.random.randbytes(6), b"\xff" * 6, group))
        if to[0] == 0xFF and self.control & 1 << 4 and not self.control & 1 << 15:
            # For QEMU a broadcast is not among all multicasts (MPE); the manual has no such exception (3.2.1).
            to = group
        if not to[0] & 1 and self.hashed(to):
            # For QEMU the multicast table is about the addresses of single stations, too.
            to = US
        tag = b"\x81\x00" + self.random.choice((0, 5, 0x2003)).to_bytes(2, "big") if self.random.random() < 0.3 else b""
        size = self.random.choice((60, 64, 100, 511, 1000, 1514)) - 14 - len(tag)
        frame = to + OTHER + tag + b"\x88\xb5" + self.random.randbytes(size)
        self.log.append(f"receive {len(frame)} B {frame[:18].hex()}")
        for bench in self.benches:
            bench.receive(frame)
        self.compare_received()

    def hashed(self, address: bytes) -> bool:
        """The bit of the multicast table for an address (13.5.1)."""
        place = int.from_bytes(address[4:6], "little") >> (4, 3, 2, 0)[self.control >> 12 & 3] & 0xFFF
        return bool(self.table[place >> 5] >> (place & 31) & 1)

    def compare_received(self) -> None:
        """Descriptors and buffers of the receive ring."""
        self.read(E1000.RDH)
        rings = [bench.memory(RX_RING, 16 * COUNT) for bench in self.benches]
        for index in range(COUNT):
            qemu, ours = (struct.unpack_from("<QHHBBH", ring, 16 * index) for ring in rings)
            # The packet checksum: see differences.toml.
            self.same(
                (*qemu[:2], *_masked(qemu[3:])), (*ours[:2], *_masked(ours[3:])), f"receive descriptor {index} differs"
            )
            if qemu[3]:
                stored = [bench.memory(RX_BUFFERS + BUFFER * index, qemu[1]) for bench in self.benches]
                self.same(stored[0], stored[1], f"buffer {index} differs")

    # -- sending --------------------------------------------------------------------------------------------------

    def send(self) -> None:
        """A packet by one of the kinds of descriptors."""
        kind: Callable[[], list[tuple[int, int]]] = self.random.choice((self.plain, self.checked, self.large))
        for first, second in kind():
            self.put(TX_RING + 16 * self.tx_tail, struct.pack("<QQ", first, second))
            self.tx_tail = (self.tx_tail + 1) % COUNT
        self.write(E1000.TDT, self.tx_tail)
        frames = [[frame.ljust(60, b"\0") for frame in bench.sent()] for bench in self.benches]
        self.same(len(frames[0]), len(frames[1]), "another number of frames was sent")
        for qemu, ours in zip(*frames, strict=True):
            self.same(qemu, ours, "a frame that was sent differs")
        rings = [bench.memory(TX_RING, 16 * COUNT) for bench in self.benches]
        self.same(rings[0], rings[1], "the transmit ring differs")
        self.read(E1000.TDH)

    def pieces(self, raw: bytes, command: int, options: int = 0, special: int = 0) -> list[tuple[int, int]]:
        """Data descriptors for a packet that is cut at random."""
        self.put(TX_BUFFERS, raw)
        many = min(self.random.choice((0, 0, 1, 3)), max(0, len(raw) - 20))
        cuts = sorted(self.random.sample(range(20, max(20, len(raw))), many))
        ends = [*cuts, len(raw)]
        starts = [0, *cuts]
        return [
            data(TX_BUFFERS + start, end - start, command | (EOP if end == len(raw) else 0), options, special)
            for start, end in zip(starts, ends, strict=True)
        ]

    def plain(self) -> list[tuple[int, int]]:
        """A frame as it is."""
        raw = OTHER + US + b"\x88\xb5" + self.random.randbytes(self.random.choice((1, 46, 47, 100, 1000, 1500)))
        self.log.append(f"send {len(raw)} B")
        if self.random.random() < 0.5:
            vle = VLE if self.random.random() < 0.5 else 0
            return self.pieces(raw, IFCS | RS | vle, special=self.random.getrandbits(12))
        self.put(TX_BUFFERS, raw)
        return [legacy(TX_BUFFERS, len(raw), self.random.choice((LAST, EOP | IFCS)))]

    def checked(self) -> list[tuple[int, int]]:
        """A packet whose checksums the card inserts."""
        packet = self.packet(self.random.choice((1, 100, 999)))
        start = 34 if IP in packet else 54
        raw = bytearray(bytes(packet))
        self.log.append(f"send {packet.summary()}")
        tcp = TCP in packet
        options = TXSM | (IXSM if IP in packet else 0)
        return [
            context((14, 24, start - 1), (start, start + (16 if tcp else 6), 0), TUCMD_TCP if tcp else 0),
            *self.pieces(bytes(raw), IFCS | RS, options),
        ]

    def large(self) -> list[tuple[int, int]]:
        """A packet that the card cuts into segments."""
        size, mss = self.random.choice((10, 1001, 3001)), self.random.choice((100, 536, 1460))
        ip = IP(src="10.0.0.1", dst="10.0.0.2", id=self.random.getrandbits(16), len=0, chksum=0)
        tcp = TCP(seq=self.random.getrandbits(32), flags=self.random.choice(("A", "PA", "FPA")), chksum=0x1234)
        header = Ether(src=US, dst=OTHER) / ip / tcp
        raw = bytes(header) + self.random.randbytes(size)
        self.log.append(f"send {size} B in segments of {mss}")
        command = TUCMD_TCP | TUCMD_TSE | TUCMD_IP
        self.put(TX_BUFFERS, raw)
        return [
            context((14, 24, 33), (34, 50, 0), command, payload=size, header=len(header), mss=mss),
            data(TX_BUFFERS, len(header), IFCS | TSE, TXSM | IXSM),
            data(TX_BUFFERS + len(header), size, LAST | TSE, TXSM | IXSM),
        ]

    def packet(self, size: int) -> Packet:
        """A packet of IP 4 or 6 with TCP or UDP, and with fields for the checksums as a driver leaves them."""
        version4 = self.random.random() < 0.5
        ip = IP(src="10.0.0.1", dst="10.0.0.2", chksum=0) if version4 else IPv6(src="fe80::1", dst="fe80::2")
        above = self.random.choice((TCP, UDP))(chksum=self.random.getrandbits(16))
        return Ether(src=US, dst=OTHER) / ip / above / Raw(self.random.randbytes(size))


def _name(what: Register | RegisterElement) -> str:
    return f"{what.register.name}[{what.index}]" if isinstance(what, RegisterElement) else what.name


def _masked(values: tuple[int, ...]) -> tuple[int, ...]:
    """Status, errors and special of a receive descriptor, without the bits that may differ."""
    status, errors, special = values
    masks = DIFFERENCES["descriptor"]
    return status & ~masks["status"]["mask"], errors & ~masks["errors"]["mask"], special


def _short(value: object) -> str:
    return value.hex(" ") if isinstance(value, bytes) else str(value)


@pytest.fixture(scope="module")
def qemu(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Qtest]:
    """QEMU's card."""
    bench = Qtest(kernel.toolchain, tmp_path_factory.mktemp("qtest"))
    yield bench
    bench.close()


COMMANDS = ("CTRL", "CTRL_EXT", "EECD", "EERD", "MDIC")
"""Registers whose writes are commands; they are compared by their effects."""


def test_registers_keep_the_same_bits(kernel: Kernel, tmp_path: Path) -> None:
    # A card of its own: QEMU's keeps the patterns through a reset.
    qemu, ours = Qtest(kernel.toolchain, tmp_path), Ours()
    for bench in (qemu, ours):
        bench.write(E1000.CTRL.offset, E1000.CTRL.value(RST=1))
        bench.write(E1000.IMC.offset, 0xFFFFFFFF)
        bench.step(2.0)
    differ = {}
    for name, register in E1000.layout.registers.items():
        if register.bar or name in COMMANDS or name in DIFFERENCES["unknown"]["names"]:
            continue
        for value in (0, 0xFFFFFFFF, 0x55555555, 0xAAAAAAAA):
            found = []
            for bench in (qemu, ours):
                bench.write(register.offset, value)
                found.append(bench.read(register.offset))
            if (found[0] ^ found[1]) & ~DIFFERENCES["kept"].get(name, {}).get("mask", 0):
                differ[f"{name} {value:#x}"] = [hex(one) for one in found]
    qemu.close()
    assert not differ, "QEMU's, ours"


@pytest.mark.parametrize("name", DIFFERENCES["unknown"]["names"])
def test_a_register_that_qemu_does_not_have(qemu: Qtest, name: str) -> None:
    offset = E1000.layout.registers[name].offset
    qemu.write(offset, 0xFFFFFFFF)
    assert qemu.read(offset) == 0


FEW, MANY = 3, 60


@pytest.mark.parametrize(
    "seed", [*range(FEW), *(pytest.param(seed, marks=pytest.mark.thorough) for seed in range(FEW, MANY))]
)
def test_both_cards_do_the_same(qemu: Qtest, seed: int) -> None:
    ours = Ours()
    twins = Twins((qemu, ours), seed)
    deeds = [twins.send] * 6 + [twins.receive] * 6 + [twins.filters, twins.tables, twins.registers]
    deeds += [twins.statistics, twins.eeprom_and_phy, twins.buffers]
    for _ in range(100):
        twins.random.choice(deeds)()
    assert not ours.card.errors


PAIRS: tuple[Register | RegisterElement, ...] = (
    E1000.RDBAL,
    E1000.TDBAL,
    *(E1000.RAL[index] for index in range(1, 4)),
    *(E1000.MTA[index] for index in (0, 2, 126)),
    *(E1000.VFTA[index] for index in (0, 2)),
)
"""Registers of 32 bits without side effects, each the lower one of two."""
BITS = {"RDBAL": 0xFFFFFFFFFFFFFFF0, "TDBAL": 0xFFFFFFFFFFFFFFF0, "RAL": 0x8003FFFFFFFFFFFF}
"""Bits of the pairs that both cards keep (`kept` in differences.toml)."""


@pytest.mark.parametrize("seed", range(FEW))
def test_accesses_of_every_width(qemu: Qtest, seed: int) -> None:
    """Of 64 bits as two of 32; of narrower ones each card has its own idea, as differences.toml says."""
    chance, ours = random.Random(seed), Ours()
    twins = Twins((qemu, ours), seed)
    for _ in range(200):
        low = chance.choice(PAIRS)
        name, begin = _name(low), place(low)
        register = low.register if isinstance(low, RegisterElement) else low
        bits = BITS.get(register.name, (1 << 64) - 1)
        value = chance.getrandbits(64) & bits
        for bench in twins.benches:
            bench.write(begin, value, 8)
            assert [bench.read(begin + 4 * half) & bits >> 32 * half for half in (0, 1)] == [
                value & 0xFFFFFFFF,
                value >> 32,
            ], f"{name}: a write of 64 bits is one to each half"
            assert bench.read(begin, 8) & bits == value
        size = chance.choice((1, 2, 4))
        offset = chance.randrange(0, 8 - size + 1)
        new = chance.getrandbits(8 * size)
        whole = value.to_bytes(8, "little")
        ours_read, qemu_read = ours.read(begin + offset, size), qemu.read(begin + offset, size)
        assert ours_read == int.from_bytes(whole[offset : offset + size], "little"), f"{name}+{offset}, {size} bytes"
        lowest = b"".join(
            whole[at & 4 : (at & 4) + step] if step < 4 else whole[at : at + step] for at, step in aligned(offset, size)
        )
        assert qemu_read & _mask(bits, offset, size) == int.from_bytes(lowest, "little") & _mask(bits, offset, size)
        for bench in twins.benches:
            bench.write(begin + offset, new, size)
        merged = bytearray(whole)
        merged[offset : offset + size] = new.to_bytes(size, "little")
        assert ours.read(begin, 8) == int.from_bytes(merged, "little") & bits
        if size < 4:
            halves = [value & 0xFFFFFFFF, value >> 32]
            for at, step in aligned(offset, size):
                halves[at // 4] = new >> 8 * (at - offset) & (1 << 8 * step) - 1
            assert qemu.read(begin, 8) & bits == (halves[1] << 32 | halves[0]) & bits
    assert not ours.card.errors


def _mask(bits: int, offset: int, size: int) -> int:
    """All bits of an access whose registers keep all of them; else those of none."""
    return (1 << 8 * size) - 1 if bits == (1 << 64) - 1 else 0


def test_counters_of_64_bits_are_read_at_once(qemu: Qtest) -> None:
    """The upper half is read last, and that read clears both (13.7.31)."""
    frame = US + OTHER + b"\x88\xb5" + bytes(100)
    for bench in Twins((qemu, Ours()), 5).benches:
        bench.receive(frame)
        assert bench.read(E1000.TORL.offset, 8) == len(frame) + 4
        assert bench.read(E1000.TORL.offset, 8) == 0


def test_the_differences_are_told(tmp_path: Path) -> None:
    """Each one has its reason, and its register exists."""
    for name, one in DIFFERENCES["registers"].items():
        assert name in E1000.layout.registers
        assert one["why"]
    for part in ("kept", "phy", "descriptor", "behaviour"):
        assert all(one["why"] for one in DIFFERENCES[part].values())
