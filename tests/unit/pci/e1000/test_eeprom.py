# SPDX-License-Identifier: MIT
"""The EEPROM by EERD, by Microwire, and when it is late."""

from __future__ import annotations

import pytest
from tests.unit.pci.e1000.stand import Card, Stand

from r4l.pci.models.e1000 import E1000, E1000Gc, Errata
from r4l.pci.models.e1000.eeprom import Microwire, contents

EERD, EECD = E1000.EERD, E1000.EECD


class Pins:
    """A driver that moves the pins by EECD, as 5.3.2 says."""

    def __init__(self, stand: Stand) -> None:
        self.stand = stand
        stand.write(EECD, EECD.value(EE_REQ=1))

    def clock(self, bits: str) -> str:
        """Clock bits in, and return those that come out."""
        out = ""
        for bit in bits:
            for level in (0, 1):
                self.stand.write(EECD, EECD.value(EE_REQ=1, CS=1, SK=level, DI=int(bit)))
            out += str(self.stand.card.EECD.DO)
            self.stand.write(EECD, EECD.value(EE_REQ=1, CS=1, DI=int(bit)))
        return out

    def command(self, bits: str, more: int = 0) -> int:
        """Select the chip, clock a command in and some bits out; their value."""
        self.clock(bits)
        value = int(self.clock("0" * more) or "0", 2)
        self.stand.write(EECD, EECD.value(EE_REQ=1))
        return value


def test_all_words_add_up_by_eerd(stand: Stand) -> None:
    words = []
    for address in range(64):
        stand.write(EERD, EERD.value(START=1, ADDR=address))
        assert stand.card.EERD.DONE
        words.append(stand.read(EERD) >> 16)
    assert sum(words) & 0xFFFF == 0xBABA
    assert words[:3] == [0x5452, 0x1200, 0x5634]
    assert words[0x0D] == 0x100E


def test_all_words_by_microwire(stand: Stand) -> None:
    pins = Pins(stand)
    assert [pins.command(f"110{address:06b}", 16) for address in range(64)] == stand.card.eeprom.words


def test_microwire_reads_on_into_the_next_word(stand: Stand) -> None:
    assert Pins(stand).command("110000000", 48) == 0x5452_1200_5634


def test_writes_need_to_be_enabled(stand: Stand) -> None:
    pins = Pins(stand)
    pins.command(f"101{0x30:06b}{0x1234:016b}")
    assert stand.card.eeprom.words[0x30] == 0xFFFF
    pins.command("100110000")
    pins.command(f"101{0x30:06b}{0x1234:016b}")
    assert pins.command(f"110{0x30:06b}", 16) == 0x1234
    pins.command(f"111{0x30:06b}")
    assert stand.card.eeprom.words[0x30] == 0xFFFF
    pins.command("100000000")
    pins.command(f"101{0x30:06b}{0x1234:016b}")
    assert stand.card.eeprom.words[0x30] == 0xFFFF


def test_the_pins_do_nothing_without_the_grant(stand: Stand) -> None:
    stand.write(EECD, EECD.value(CS=1, SK=1, DI=1))
    assert not stand.card.EECD.EE_GNT
    stand.write(EECD, EECD.value(EE_REQ=1))
    assert stand.card.EECD.EE_GNT
    stand.write(EECD, 0)
    assert not stand.card.EECD.EE_GNT


def test_the_82544_has_no_arbiter() -> None:
    class Gc(Card, E1000Gc):
        pass

    stand = Stand(Gc())
    chip = stand.card.eeprom
    for bit in "110000000":
        for level in (0, 1):
            stand.write(EECD, EECD.value(CS=1, SK=level, DI=int(bit)))
    assert chip.out == 0, "the zero before the data"


def test_an_eeprom_that_answers_late() -> None:
    card = Card(errata=Errata(eeprom_seconds=0.5))
    stand = Stand(card)
    stand.write(EERD, EERD.value(START=1, ADDR=0))
    stand.write(EECD, EECD.value(EE_REQ=1))
    assert (card.EERD.DONE, card.EECD.EE_GNT) == (0, 0)
    card.advance(0.49)
    assert (card.EERD.DONE, card.EECD.EE_GNT) == (0, 0)
    card.advance(0.02)
    assert (card.EERD.DONE, card.EERD.DATA, card.EECD.EE_GNT) == (1, 0x5452, 1)


@pytest.mark.parametrize("mac", ["000000000000", "ffffffffffff", "52540012345a"])
def test_the_checksum_of_any_contents(mac: str) -> None:
    assert sum(contents(bytes.fromhex(mac), 0x100E)) & 0xFFFF == 0xBABA


def test_erase_all_and_write_all() -> None:
    chip = Microwire([1] * 64)

    def command(bits: str) -> None:
        for bit in bits:
            for level in (False, True):
                chip.drive(select=True, clock=level, data=bit == "1")
        chip.drive(select=False, clock=False, data=False)

    command("100110000")
    command("100100000")
    assert chip.words == [0xFFFF] * 64
    command(f"100010000{0xBEEF:016b}")
    assert chip.words == [0xBEEF] * 64
