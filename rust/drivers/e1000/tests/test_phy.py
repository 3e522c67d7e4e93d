# SPDX-License-Identifier: MIT
"""The PHY: its power."""

from __future__ import annotations


import pytest

import r4l
from r4l.net import Interface
from r4l.pci.models.e1000 import E1000

pytestmark = pytest.mark.machine(nics=["python:e1000"])

MANC = 0x5820
SMBUS_EN = 1
"""Bit of MANC: a management controller is connected."""


@pytest.fixture
def card(online: r4l.VM) -> E1000:
    """The card, with its interface up."""
    card = online.cards[0]
    assert isinstance(card, E1000)
    return card


def test_a_management_controller_keeps_its_link(
    card: E1000, interface: Interface, gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has one if the EEPROM says so, from which the card takes the bit in each reset."""
    load = card.load_eeprom

    def load_for_management() -> None:
        load()
        card.bar_write(0, MANC, 4, SMBUS_EN)

    monkeypatch.setattr(card, "load_eeprom", load_for_management)
    for has_controller in (True, False):
        if not has_controller:
            monkeypatch.undo()
        interface.down()
        assert card.phy.powered == has_controller
        interface.up(address=None)
        interface.ping(gateway, count=1)
