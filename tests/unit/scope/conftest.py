# SPDX-License-Identifier: MIT
"""A small device and its recording."""

from __future__ import annotations

from typing import Any

import pytest

from r4l import pci
from r4l.pci.recording import Recorder

HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>\x1b[31m\u202e"


class Lamp(pci.Device):
    """1234:1a39: a lamp."""

    vendor_id = 0x1234
    device_id = 0x1A39
    bars = (pci.Bar(64),)
    LIGHT = pci.Register(0x0, fields={"on": 0, "colour": (15, 8)})
    BASE = pci.Register(0x8, 64)
    HEAD = pci.Register(0x10)
    TAIL = pci.Register(0x14)
    rings = (pci.DescriptorRing("jobs", base=("BASE",), head="HEAD", tail="TAIL", count=8),)


@pytest.fixture
def lamp() -> Lamp:
    return Lamp()


@pytest.fixture
def recorder(lamp: Lamp) -> Recorder:
    """A recorder of a lamp that was switched on."""
    recorder = Recorder(lamp)
    lamp.bar_write(0, 0, 4, 0x4201)
    lamp.bar_write(0, 0x14, 4, 3)
    return recorder


@pytest.fixture
def recording(recorder: Recorder) -> dict[str, Any]:
    return recorder.as_data()
