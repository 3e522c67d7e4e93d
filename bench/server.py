# SPDX-License-Identifier: MIT
"""Processor time of r4l's server for one access of the guest, without QEMU: `python bench/server.py [--against SRC]`.

Another process sends the messages that QEMU sends, and waits for the answers that QEMU waits for. Only the server's
processor time counts, so other work of the computer changes little. With `--against`, the folder `src` of another
checkout is measured in turn with this one, run by run, and the ratios are printed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path

READS, WRITES = 20_000, 60_000
BURST = 64
"""Posted writes between two reads, by which the sender waits for the server."""
HEADER, ACCESS = struct.Struct("=HHIII"), struct.Struct("=QII")
READ, WRITE, NO_REPLY, VERSION = 9, 10, 0x10, 1
CONFIG = 7


def message(command: int, payload: bytes, flags: int = 0) -> bytes:
    """A message of vfio-user."""
    return HEADER.pack(7, command, HEADER.size + len(payload), flags, 0) + payload


def access(command: int, offset: int, data: bytes = b"", *, region: int = 0, size: int = 4, flags: int = 0) -> bytes:
    """A message for an access of a region."""
    return message(command, ACCESS.pack(offset, region, size) + data, flags)


def client(sock: socket.socket, work: str) -> None:
    """Send the messages of one kind of work, in a process of its own, and report the seconds of each read."""
    sock.sendall(message(VERSION, struct.pack("=HH", 0, 1) + b"{}\0"))
    sock.recv(4096)
    read = access(READ, 0x08 if work.startswith("e1000") else 0)
    write = access(WRITE, 0x04 if work == "write" else 0x10, b"\x40\0\0\0", flags=NO_REPLY)
    if work == "config":
        read = access(READ, 4, region=CONFIG, size=2)
    if work in ("write", "e1000 write"):
        for _ in range(WRITES // BURST):
            # QEMU sends each by a call of its own.
            for _ in range(BURST):
                sock.sendall(write)
            sock.sendall(read)
            sock.recv(4096)
    else:
        for _ in range(READS):
            sock.sendall(read)
            sock.recv(4096)
    sock.close()


def measured(work: str) -> float:
    """Microseconds of a processor in the server for one access."""
    from r4l.pci.channel import MessageSocket
    from r4l.pci.models.e1000 import E1000
    from r4l.pci.models.edu import Edu

    ours, theirs = socket.socketpair()
    if not (child := os.fork()):
        ours.close()
        client(theirs, work)
        os._exit(0)
    theirs.close()
    device = (E1000 if work.startswith("e1000") else Edu)()
    # By the module that has it in older checkouts, too.
    connection = importlib.import_module("r4l.pci.server").Connection(device, MessageSocket(ours))
    begin = time.thread_time()
    connection.serve()
    seconds = time.thread_time() - begin
    os.waitpid(child, 0)
    return seconds / (WRITES if "write" in work else READS) * 1e6


WORKS = ("read", "write", "config", "e1000 read", "e1000 write")


def one_run(src: Path) -> dict[str, float]:
    """The figures of one checkout, in a new process."""
    done = subprocess.run(
        [sys.executable, __file__, "--json"],
        env={**os.environ, "PYTHONPATH": str(src)},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--against", type=Path)
    arguments = parser.parse_args()
    if arguments.json:
        print(json.dumps({work: measured(work) for work in WORKS}))
        return
    here = Path(__file__).resolve().parents[1] / "src"
    folders = [here, *([arguments.against.resolve()] if arguments.against else [])]
    runs = [[one_run(folder) for folder in folders] for _ in range(arguments.runs)]
    for work in WORKS:
        values = [run[0][work] for run in runs]
        line = f"{work:<12} {statistics.median(values):6.2f} µs  ({min(values):.2f} to {max(values):.2f})"
        if arguments.against:
            others = [run[1][work] for run in runs]
            ratios = [run[0][work] / run[1][work] for run in runs]
            line += f"; there {statistics.median(others):6.2f} µs; ratio {statistics.median(ratios):.3f} "
            line += f"({min(ratios):.3f} to {max(ratios):.3f})"
        print(line)


if __name__ == "__main__":
    main()
