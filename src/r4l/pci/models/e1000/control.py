# SPDX-License-Identifier: MIT
"""RCTL, decoded once for each of its values, since each frame asks for most of it (13.4.22)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

BUFFER_SIZES = (2048, 1024, 512, 256)
"""RCTL.BSIZE; with BSEX 16 times as many, but for the first."""


class Control(NamedTuple):
    """Meaning of a value of RCTL.

    Attributes:
        enabled: EN: frames are received.
        bad: SBP: bad ones, too.
        unicast, multicast, broadcast: UPE, MPE, BAM: all of them.
        long: LPE: up to 16,384 bytes.
        loopback: LBM: what is sent comes back.
        few: shift from the ring's size to the number of descriptors that RXDMT0 tells (RDMTS).
        hash: MO: bits of an address that index the multicast table.
        size: bytes of a buffer (BSIZE, BSEX).
        vlans, canonical, wanted: VFE, CFIEN, CFI: the filter of VLANs.
        flow: PMCF: flow control frames are passed on.
        strips: SECRC: the frame's checksum is not stored.
    """

    enabled: bool
    bad: bool
    unicast: bool
    multicast: bool
    broadcast: bool
    long: bool
    loopback: bool
    few: int
    hash: int
    size: int
    vlans: bool
    canonical: bool
    wanted: int
    flow: bool
    strips: bool

    @classmethod
    @lru_cache(maxsize=64)
    def of(cls, value: int) -> Control:
        """Decode a value of RCTL."""
        bits = [bool(value >> number & 1) for number in range(32)]
        code = value >> 16 & 3
        return cls(
            enabled=bits[1],
            bad=bits[2],
            unicast=bits[3],
            multicast=bits[4],
            broadcast=bits[15],
            long=bits[5],
            loopback=value >> 6 & 3 == 3,
            few=(value >> 8 & 3) + 1,
            hash=value >> 12 & 3,
            size=BUFFER_SIZES[code] * (16 if bits[25] and code else 1),
            vlans=bits[18],
            canonical=bits[19],
            wanted=value >> 20 & 1,
            flow=bits[23],
            strips=bits[26],
        )
