# SPDX-License-Identifier: MIT
"""Lay out the packets of a capture as a sequence diagram with time stamps and round-trip times.

Vertical positions are pixels, horizontal ones percent (in the template), so the drawing fits any width.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from r4l.report.packets import Capture, DecodedPacket

MAX_RUNGS = 40
_TOP = 84
_RUNG = 42
_NOISE = 28
_PAUSE = 26
# A silence at least this long (seconds) is drawn as a pause.
_SILENCE = 0.25
_LANES = 4


@dataclass(frozen=True)
class Rung:
    """One arrow, one group of housekeeping packets, or one pause.

    Attributes:
        kind: as in `DecodedPacket`, or `noise`, or `pause`.
        rightward: True from guest to gateway.
        label: above the arrow; `detail` below it.
        lost: True for an echo request without reply.
    """

    y: int
    kind: str
    time: str
    label: str
    detail: str = ""
    rightward: bool = True
    lost: bool = False


@dataclass(frozen=True)
class Trip:
    """A bracket from an echo request to its reply; brackets that overlap stand in different lanes."""

    top: int
    bottom: int
    lane: int
    label: str


@dataclass
class Ladder:
    """A sequence diagram.

    Attributes:
        left_out: packets that follow the last rung.
    """

    rungs: list[Rung] = field(default_factory=list)
    trips: list[Trip] = field(default_factory=list)
    height: int = _TOP
    left_out: int = 0


def draw(capture: Capture) -> Ladder:
    """Lay out the first packets of a capture."""
    ladder = Ladder()
    asked: dict[tuple[str, str, int, int], tuple[int, DecodedPacket]] = {}
    noise: list[DecodedPacket] = []
    y, shown, previous = _TOP, 0, 0.0

    def flush() -> None:
        nonlocal y
        if noise:
            names = dict.fromkeys(packet.info for packet in noise)
            label = f"{len(noise)} × IPv6: {', '.join(names)}" if len(noise) > 1 else f"IPv6: {noise[0].info}"
            ladder.rungs.append(Rung(y, "noise", _clock(noise[0].time), label))
            y += _NOISE
            noise.clear()

    for packet in capture.packets:
        if len(ladder.rungs) >= MAX_RUNGS:
            break
        if shown and packet.time - previous >= _SILENCE:
            flush()
            ladder.rungs.append(Rung(y, "pause", "", f"{packet.time - previous:.2f} s of silence"))
            y += _PAUSE
        shown, previous = shown + 1, packet.time
        if packet.kind == "noise":
            noise.append(packet)
            continue
        flush()
        ladder.rungs.append(_rung(packet, y, capture))
        if packet.echo is not None and packet.kind == "request":
            asked[packet.echo] = (y, packet)
        elif packet.echo in asked:
            top, request = asked.pop(packet.echo)
            lane = sum(trip.bottom > top for trip in ladder.trips) % _LANES
            ladder.trips.append(Trip(top, y, lane, f"{1000 * (request.rtt or 0.0):.3f} ms"))
        y += _RUNG
    flush()
    ladder.left_out = capture.total - shown
    ladder.height = y + 8
    return ladder


def _rung(packet: DecodedPacket, y: int, capture: Capture) -> Rung:
    time, rightward = _clock(packet.time), packet.mac == capture.guest
    if packet.echo is not None:
        identifier, sequence = packet.echo[2:]
        # A host behind the gateway has the gateway's MAC and another IP address.
        far = packet.destination if rightward else packet.source
        by = "" if far == capture.peer_ip else f"{'to' if rightward else 'from'} {far}, "
        lost = packet.kind == "request" and packet.rtt is None
        detail = f"{by}id 0x{identifier:04x}, {packet.length} bytes"
        return Rung(y, packet.kind, time, f"echo {packet.kind}, seq {sequence}", detail, rightward, lost)
    if packet.kind == "arp":
        return Rung(y, "arp", time, packet.info, f"ARP, {packet.length} bytes", rightward)
    return Rung(y, "other", time, f"{packet.protocol}: {packet.info}"[:64], f"{packet.length} bytes", rightward)


def _clock(seconds: float) -> str:
    return f"{seconds:.4f}"
