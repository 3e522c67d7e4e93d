# SPDX-License-Identifier: MIT
"""Bytes from a model: in any of Python's types, and as they are at the moment of the call."""

from __future__ import annotations

from r4l.pci.declared import shown

Buffer = bytes | bytearray | memoryview
"""Types of the bytes that a model transfers."""


def as_bytes(data: object, wanted: str, remedy: str) -> bytes:
    """Return bytes of a model that later changes of its buffer do not affect: a trace, and a transfer that a fault
    delays, keep them.

    Args:
        data: the bytes, as the model has them.
        wanted: a sentence that says what is accepted, for an error.
        remedy: a sentence that says what to do, for an error.

    Raises:
        TypeError: the data are no bytes. A number is none: `bytes` would take it for that many zeros.
    """
    if not isinstance(data, Buffer):
        raise TypeError(f"{wanted}, not {shown(data)}; {remedy}")
    return bytes(data)
