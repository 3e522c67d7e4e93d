# SPDX-License-Identifier: MIT
"""PHY, link and resets."""

from __future__ import annotations

import pytest
from tests.unit.pci.e1000.stand import US, Card, Stand, ethernet

from r4l.pci.models.e1000 import E1000
from r4l.pci.models.e1000 import phy as numbers
from r4l.pci.models.e1000.interrupts import LSC, MDAC

MDIC, CTRL, STATUS, ICR, IMS = E1000.MDIC, E1000.CTRL, E1000.STATUS, E1000.ICR, E1000.IMS


def phy_read(stand: Stand, register: int, address: int = 1) -> int:
    stand.write(MDIC, MDIC.value(OP=2, PHYADD=address, REGADD=register))
    value = stand.read(MDIC)
    assert value & 1 << 28, "ready"
    assert not value & 1 << 30, "no error"
    return value & 0xFFFF


def phy_write(stand: Stand, register: int, value: int) -> None:
    stand.write(MDIC, MDIC.value(OP=1, PHYADD=1, REGADD=register, DATA=value))


def test_who_the_phy_is(stand: Stand) -> None:
    assert (phy_read(stand, 2), phy_read(stand, 3)) == (0x0141, 0x0C20)


@pytest.mark.parametrize("value", [MDIC.value(OP=2, PHYADD=2), MDIC.value(OP=0, PHYADD=1), MDIC.value(OP=3, PHYADD=1)])
def test_who_does_not_answer_on_the_bus(stand: Stand, value: int) -> None:
    stand.write(MDIC, value)
    assert (stand.card.MDIC.R, stand.card.MDIC.E) == (1, 1)


def test_an_operation_on_the_bus_interrupts_if_asked(stand: Stand) -> None:
    stand.write(IMS, MDAC)
    stand.write(MDIC, MDIC.value(OP=2, PHYADD=1, I=1))
    assert stand.card.interrupts.level
    assert stand.read(ICR) == MDAC


def test_the_link_needs_time_and_the_mac() -> None:
    card = Card()
    stand = Stand(card)
    card.advance(1.0)
    assert card.phy.link
    assert not card.link_up, "software has not set SLU"
    stand.write(CTRL, CTRL.value(SLU=1))
    assert card.link_up
    assert stand.read(ICR) & LSC
    assert (card.STATUS.SPEED, card.STATUS.FD) == (2, 1)
    phy_write(stand, numbers.CONTROL, numbers.NEGOTIATES | numbers.RESTART)
    assert not card.link_up
    assert phy_read(stand, numbers.CONTROL) == numbers.NEGOTIATES, "the bit clears itself"
    card.advance(card.negotiation_seconds / 2)
    assert not card.link_up
    card.advance(card.negotiation_seconds)
    assert card.link_up


def test_a_phy_without_power_has_no_link(stand: Stand) -> None:
    control = phy_read(stand, numbers.CONTROL)
    phy_write(stand, numbers.CONTROL, control | numbers.POWER_DOWN)
    assert not stand.card.link_up
    assert stand.read(ICR) & LSC
    stand.card.advance(5)
    assert not stand.card.link_up
    phy_write(stand, numbers.CONTROL, control)
    stand.card.advance(1)
    assert stand.card.link_up


def test_the_lost_link_is_seen_once_more(stand: Stand) -> None:
    phy_read(stand, numbers.STATUS)
    assert phy_read(stand, numbers.STATUS) & numbers.LINK
    stand.card.flap()
    stand.card.advance(1)
    # Negotiated anew: the bit was set with the link.
    assert phy_read(stand, numbers.STATUS) & numbers.LINK


def test_the_cable(stand: Stand) -> None:
    stand.write(IMS, LSC)
    stand.card.set_cable(False)
    assert not stand.card.link_up
    assert stand.read(ICR) == LSC
    assert phy_read(stand, numbers.SPECIFIC_STATUS) & numbers.LINK_NOW == 0
    stand.card.set_cable(True)
    stand.card.advance(1)
    assert stand.card.link_up
    assert stand.read(ICR) == LSC
    assert phy_read(stand, numbers.SPECIFIC_STATUS) >> 14 == 2


@pytest.mark.parametrize(("bits", "speed"), [(0, 0), (numbers.SPEED_LOW, 1), (numbers.SPEED_HIGH, 2)])
def test_a_forced_speed(stand: Stand, bits: int, speed: int) -> None:
    phy_write(stand, numbers.CONTROL, numbers.RESET | bits)
    assert stand.card.link_up
    assert (speed, 0) == (stand.card.STATUS.SPEED, stand.card.STATUS.FD)


NEGOTIATED = numbers.NEGOTIATES | numbers.SPEED_HIGH | numbers.FULL_DUPLEX


@pytest.mark.parametrize(
    ("written", "event", "takes_effect"),
    [
        ([numbers.SPEED_LOW], None, False),
        ([numbers.SPEED_LOW, numbers.SPEED_LOW | numbers.RESET], None, True),
        ([numbers.SPEED_LOW, numbers.SPEED_LOW | numbers.RESTART], None, True),
        ([numbers.SPEED_LOW | numbers.POWER_DOWN, numbers.SPEED_LOW], None, True),
        ([numbers.SPEED_LOW], "flap", True),
    ],
)
def test_a_choice_takes_effect_by_certain_events(
    stand: Stand, written: list[int], event: str | None, takes_effect: bool
) -> None:
    """Speed, duplex mode and negotiation (11.1.3)."""
    phy = stand.card.phy
    assert phy_read(stand, numbers.CONTROL) == NEGOTIATED
    for value in written:
        phy_write(stand, numbers.CONTROL, value)
    if event:
        stand.card.call(getattr(stand.card, event))
    stand.card.advance(1)
    assert phy_read(stand, numbers.CONTROL) == numbers.SPEED_LOW
    assert (phy.speed, phy.full_duplex) == ((100, False) if takes_effect else (1000, True))
    assert stand.card.STATUS.LU
    speed = stand.card.STATUS.SPEED
    assert speed == 2 - takes_effect


def test_a_reset_of_the_mac(stand: Stand) -> None:
    stand.receive_ring()
    stand.write(IMS, 0x1F)
    stand.write(E1000.RAH[3], 1 << 31 | 0x1234)
    stand.write(E1000.RAL[0], 0)
    stand.write(CTRL, CTRL.value(RST=1, SLU=1))
    assert stand.read(CTRL) == 0x201
    assert (stand.read(E1000.RCTL), stand.read(IMS), stand.read(E1000.RDLEN), stand.read(E1000.RAH[3])) == (0, 0, 0, 0)
    assert stand.read(E1000.RAL[0]) == int.from_bytes(US[:4], "little"), "read from the EEPROM again"
    assert stand.card.phy.link, "the PHY is not reset"
    stand.write(CTRL, CTRL.value(SLU=1))
    assert stand.card.link_up


def test_a_reset_while_the_phy_negotiates(stand: Stand) -> None:
    stand.card.flap()
    stand.write(CTRL, CTRL.value(RST=1))
    stand.write(CTRL, CTRL.value(SLU=1))
    stand.card.advance(1)
    assert stand.card.link_up


def test_a_reset_of_the_phy(stand: Stand) -> None:
    phy_write(stand, numbers.ADVERTISED, 0)
    stand.write(CTRL, CTRL.value(SLU=1, PHY_RST=1))
    stand.write(CTRL, CTRL.value(SLU=1))
    assert phy_read(stand, numbers.ADVERTISED) == 0x0DE1
    assert not stand.card.link_up
    stand.card.advance(1)
    assert stand.card.link_up


def test_nothing_is_received_without_a_link(stand: Stand) -> None:
    stand.receive_ring()
    stand.card.set_cable(False)
    stand.card.receive(ethernet(bytes(60)))
    assert stand.read(E1000.RDH) == 0
