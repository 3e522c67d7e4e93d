# SPDX-License-Identifier: MIT
"""The configuration space: identity, BARs, and the list of capabilities."""

from __future__ import annotations

import pytest
from tests.unit.pci.client import Client
from tests.unit.pci.models import Model

from r4l.pci import Bar, Device, Express, Msi, Msix, PowerManagement, Vendor


@pytest.fixture
def device() -> Model:
    return Model()


def test_every_capability_is_found_by_its_pointer() -> None:
    class Listed(Device):
        vendor_id = 0x1234
        bars = (Bar(0x1000, bits=64, prefetchable=True),)
        capabilities = (PowerManagement(), Msi(vectors=4, maskable=True), Express(), Msix(vectors=3), Vendor(b"r4l"))

    data = Listed().config.data
    found, place = [], data[0x34]
    while place:
        found.append((data[place], place))
        place = data[place + 1]
    assert [number for number, _ in found] == [0x01, 0x05, 0x10, 0x11, 0x09]
    assert all(place % 4 == 0 for _, place in found)
    assert data[0x06] & 0x10, "Status says that there is a list"
    assert data[0x10] == 0x0C, "64 bits wide, prefetchable"
    msix = dict(found)[0x11]
    assert int.from_bytes(data[msix + 2 : msix + 4], "little") == 2, "three vectors"


def test_identity_in_the_configuration_space(client: Client) -> None:
    assert client.config(0) == 0x56781234
    client.set_config(0, 0xFFFF)
    assert client.config(0) == 0x56781234, "nobody writes that"
    client.set_config(0x10, 0xFFFFFFFF, 4)
    assert client.config(0x10) == 0xFFFFF000, "4 KiB"
    client.set_config(0x14, 0xFFFFFFFF, 4)
    assert client.config(0x14) == 0xFFFFFFE1, "32 ports"
