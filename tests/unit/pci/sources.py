# SPDX-License-Identifier: MIT
"""Models given as source text: defined, or refused with the line."""

from __future__ import annotations

import pytest

from r4l import pci
from r4l.pci import DefinitionError, Device

HEAD = "class Model(Device):\n    vendor_id = 0x1234\n    bars = (Bar(0x100), None, Bar(0x20, io=True))\n"


def define(source: str) -> type[Device]:
    """Run a model's source as the file model.py."""
    names = {name: getattr(pci, name) for name in pci.__all__}
    exec(compile(source, "/somewhere/model.py", "exec"), names)
    model: type[Device] = names["Model"]
    return model


def refused(source: str) -> DefinitionError:
    """Define a wrong model, and return the error, which names the source's last line and a remedy."""
    with pytest.raises(DefinitionError) as caught:
        define(source)
    assert caught.value.cause.startswith(f"model.py:{source.count(chr(10))}: "), caught.value.cause
    assert caught.value.remedy
    assert "\n" not in caught.value.cause + caught.value.remedy
    return caught.value
