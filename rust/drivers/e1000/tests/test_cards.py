# SPDX-License-Identifier: MIT
"""The cards of the family: QEMU has three, and so has r4l in Python."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

import r4l
from r4l.net import Interface

if TYPE_CHECKING:
    from rust.drivers.e1000.tests.conftest import Ethtool

GCOALESCE = 0x0E
MODELS = {"e1000": "0x100e", "e1000-82544gc": "0x100c", "e1000-82545em": "0x100f"}
"""The cards, by QEMU's names, and their device IDs."""
CARDS = [
    pytest.param(
        device,
        marks=[
            pytest.mark.machine(nics=[place + model]),
            *([] if place == "" and model == "e1000-82544gc" else [pytest.mark.thorough]),
        ],
        id=place + model,
    )
    for model, device in MODELS.items()
    for place in ("", "python:")
]


@pytest.mark.parametrize("device", CARDS)
def test_each_card_of_the_family_works(
    online: r4l.VM,
    interface: Interface,
    ethtool: Ethtool,
    gateway: str,
    module: r4l.BuiltModule,
    device: str,
) -> None:
    found = online.run(f"cat /sys/class/net/{interface.name}/device/device", check=True).stdout
    assert found.strip() == device
    assert interface.mac == "52:54:00:12:34:56"
    interface.ping(gateway, count=3, size=2000)
    _, magic = ethtool.eeprom()
    assert magic == int(device, 16) << 16 | 0x8086
    if module.name != "e1000":
        throttles = device != MODELS["e1000-82544gc"]
        assert struct.unpack_from("<I", ethtool.ask(GCOALESCE, bytes(88))) == (3 if throttles else 0,)
    interface.down()
    interface.up(address=None)
    interface.ping(gateway, count=1)
    online.rmmod(module.name)
    assert online.run("ls /sys/class/net").stdout.split() == ["lo"]
