# SPDX-License-Identifier: MIT
"""Captures."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from r4l.errors import UsageError
from r4l.net import Packet, read_pcap
from r4l.net.pcap import PcapWriter


def capture(*packets: bytes, order: str = "<", kind: int = 1) -> bytes:
    head = struct.pack(order + "IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65536, kind)
    return head + b"".join(struct.pack(order + "IIII", 7, 500000, len(p), len(p)) + p for p in packets)


@pytest.mark.parametrize("order", ["<", ">"])
def test_packets_in_either_byte_order(tmp_path: Path, order: str) -> None:
    file = tmp_path / "x.pcap"
    file.write_bytes(capture(b"abc", b"de", order=order))
    assert [(p.time, p.data, p.length) for p in read_pcap(file)] == [(7.5, b"abc", 3), (7.5, b"de", 2)]


def test_a_packet_still_being_written_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "x.pcap"
    file.write_bytes(capture(b"abc", b"defgh")[:-2])
    assert [p.data for p in read_pcap(file)] == [b"abc"]


def test_scapy_dissects_it(tmp_path: Path) -> None:
    from scapy.layers.inet import ICMP, IP
    from scapy.layers.l2 import Ether

    file = tmp_path / "x.pcap"
    file.write_bytes(capture(bytes(Ether() / IP(dst="10.0.2.2") / ICMP())))
    (packet,) = read_pcap(file)
    assert packet.scapy()[IP].dst == "10.0.2.2"


@pytest.mark.parametrize("data", [b"", b"no pcap at all, but long enough", capture(kind=113)])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "x"
    file.write_bytes(data)
    with pytest.raises(UsageError):
        list(read_pcap(file))


def test_damage_is_named(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(capture() + b"\xff" * 40)
    with pytest.raises(UsageError, match="damaged"):
        list(read_pcap(file))


def test_what_is_written_is_read_by_us_and_by_scapy(tmp_path: Path) -> None:
    from scapy.utils import rdpcap

    file = tmp_path / "x.pcap"
    packets = [Packet(1.9999996, b"a" * 60, 60), Packet(2.25, b"b" * 14, 1514)]
    writer = PcapWriter(file)
    for packet in packets:
        writer.write(packet)
    writer.flush()
    assert [(p.time, p.data, p.length) for p in read_pcap(file)] == [(2.0, b"a" * 60, 60), (2.25, b"b" * 14, 1514)]
    writer.close()
    assert [(float(p.time), bytes(p), p.wirelen) for p in rdpcap(str(file))] == [
        (p.time, p.data, p.length) for p in read_pcap(file)
    ]


@pytest.mark.parametrize("order", ["<", ">"])
def test_times_in_nanoseconds(tmp_path: Path, order: str) -> None:
    """tcpdump writes them with `--time-stamp-precision=nano`."""
    file = tmp_path / "x.pcap"
    head = struct.pack(order + "IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65536, 1)
    file.write_bytes(head + struct.pack(order + "IIII", 7, 250_000_000, 3, 3) + b"abc")
    assert [(packet.time, packet.data) for packet in read_pcap(file)] == [(7.25, b"abc")]
