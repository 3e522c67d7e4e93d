# SPDX-License-Identifier: MIT
"""Causes, mask, throttling and delays."""

from __future__ import annotations

from tests.unit.pci.e1000.stand import Stand, ethernet

from r4l.pci.models.e1000 import E1000
from r4l.pci.models.e1000.interrupts import LSC, RXT0, TXDW

ICR, ICS, IMS, IMC, ITR = E1000.ICR, E1000.ICS, E1000.IMS, E1000.IMC, E1000.ITR


def test_a_cause_interrupts_while_it_is_unmasked(stand: Stand) -> None:
    card = stand.card
    stand.write(ICS, TXDW)
    assert not card.interrupts.level
    stand.write(IMS, TXDW)
    assert card.interrupts.level
    stand.write(IMC, TXDW)
    assert not card.interrupts.level
    stand.write(IMS, TXDW | LSC)
    assert card.interrupts.level
    assert stand.read(IMS) == TXDW | LSC
    assert stand.read(ICR) == TXDW
    assert not card.interrupts.level
    assert stand.read(ICR) == 0


def test_ones_written_to_icr_clear_causes(stand: Stand) -> None:
    stand.write(IMS, TXDW | LSC)
    stand.write(ICS, TXDW | LSC)
    stand.write(ICR, TXDW)
    assert stand.card.interrupts.level
    stand.write(ICR, LSC)
    assert not stand.card.interrupts.level
    assert stand.read(ICR) == 0


def test_the_mask_has_no_reserved_bits(stand: Stand) -> None:
    stand.write(IMS, 0xFFFFFFFF)
    assert stand.read(IMS) == 0x1FFFF
    stand.write(IMC, 0xFFFFFFFF)
    assert stand.read(IMS) == 0


def test_throttling(stand: Stand) -> None:
    """An interval of 1 ms: ten causes, and 3.5 ms, are four interrupts."""
    stand.write(ITR, int(1e-3 / 256e-9))
    stand.write(IMS, TXDW)
    before = stand.interrupts()
    for _ in range(10):
        stand.write(ICS, TXDW)
        if stand.card.interrupts.level:
            assert stand.read(ICR) == TXDW
        stand.card.advance(0.25e-3)
    stand.card.advance(1e-3)
    assert stand.interrupts() - before == 4
    stand.write(ITR, 0)
    stand.read(ICR)
    for _ in range(5):
        stand.write(ICS, TXDW)
        stand.read(ICR)
    assert stand.interrupts() - before == 9


def test_the_receive_delay_is_begun_anew_by_each_frame(stand: Stand) -> None:
    stand.receive_ring()
    stand.write(E1000.RDTR, 100)
    stand.write(IMS, RXT0)
    for _ in range(4):
        stand.card.receive(ethernet(bytes(60)))
        stand.card.advance(90 * 1.024e-6)
    assert stand.interrupts() == 0
    stand.card.advance(20 * 1.024e-6)
    assert stand.interrupts() == 1


def test_the_absolute_delay_bounds_it(stand: Stand) -> None:
    stand.receive_ring()
    stand.write(E1000.RDTR, 100)
    stand.write(E1000.RADV, 200)
    stand.write(IMS, RXT0)
    for _ in range(3):
        stand.card.receive(ethernet(bytes(60)))
        stand.card.advance(70 * 1.024e-6)
    assert stand.interrupts() == 1


def test_a_small_frame_does_not_wait(stand: Stand) -> None:
    stand.receive_ring()
    stand.write(E1000.RDTR, 100)
    stand.write(E1000.RSRPD, 100)
    stand.write(IMS, RXT0)
    stand.card.receive(ethernet(bytes(200)))
    assert stand.interrupts() == 0
    stand.card.receive(ethernet(bytes(60)))
    assert stand.interrupts() == 1


def test_the_delay_is_flushed_by_hand(stand: Stand) -> None:
    stand.receive_ring()
    stand.write(E1000.RDTR, 100)
    stand.write(IMS, RXT0)
    stand.card.receive(ethernet(bytes(60)))
    stand.write(E1000.RDTR, 100 | 1 << 31)
    assert stand.interrupts() == 1
    assert stand.read(E1000.RDTR) == 100
