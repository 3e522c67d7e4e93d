# SPDX-License-Identifier: MIT
"""The card on its stand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.pci.e1000.stand import Card, Stand


@pytest.fixture
def stand() -> Iterator[Stand]:
    """A card with power, a link and memory; rings and receiver are off."""
    card = Card()
    stand = Stand(card)
    stand.link_up()
    yield stand
    assert not card.errors, card.errors[0]
    card.dma.unmap_all()
