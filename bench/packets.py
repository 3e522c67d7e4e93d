# SPDX-License-Identifier: MIT
"""Packets per second of the e1000 in Python beside QEMU's, in a guest, each way: `python bench/packets.py [--runs N]`.

The kernel's own driver and pktgen send packets of 60 bytes from the measured card to an address that nobody has, and
from a card of QEMU's to the measured one. Time is the host's clock: other work on the machine counts, and so does the
guest, which shares the processors with the model. The median of the runs is printed, with the smallest and the largest.
"""

from __future__ import annotations

import argparse
import statistics

from r4l import resources
from r4l.kernel import Kernel
from r4l.net import Nic
from r4l.setup import set_up
from r4l.stages import Stages
from r4l.vm import VM

CARDS = {"Python": "python:e1000", "QEMU": "e1000"}
NOBODY = "02:00:00:00:a5:5a"
COUNT = 100_000
SCRIPT = """
counter() { cat /sys/class/net/$1/statistics/rx_packets; }
sender=$1 receiver=$2
for name in $sender $receiver; do ip link set $name up; done
until [ "$(cat /sys/class/net/$sender/carrier)$(cat /sys/class/net/$receiver/carrier)" = 11 ]; do usleep 10000; done
before=$(counter $receiver)
taken=$(MAC=$3 COUNT=$4 pktgen $sender 60)
echo $taken $(($(counter $receiver) - before))
"""
"""Run after prelude.sh of `r4l bench`: prints the nanoseconds that it took, and the packets that arrived."""


def measured(kernel: Kernel, model: str) -> dict[str, float]:
    """Packets per second that a card sends, and that it receives."""
    prelude = resources.text("r4l.bench", "prelude.sh")
    cards = [Nic("e1000", backend="hub", capture=False), Nic(model, backend="hub", capture=False)]
    with VM(kernel, nics=cards, modules=["e1000", "pktgen"]) as vm:
        vm.run("modprobe e1000 && modprobe pktgen", check=True)
        names = {
            vm.run(f"cat /sys/class/net/{name}/address", check=True).stdout.strip(): name for name in ("eth0", "eth1")
        }
        other, card = (nic.address(index) for index, nic in enumerate(cards))

        def run(sender: str, receiver: str, mac: str) -> tuple[float, int]:
            words = ["sh", "-c", prelude + SCRIPT, "sh", names[sender], names[receiver], mac, str(COUNT)]
            taken, received = map(int, vm.run(words, check=True, timeout=300).stdout.split())
            return taken / 1e9, received

        seconds, _ = run(card, other, NOBODY)
        taken, received = run(other, card, card)
        return {"sent": COUNT / seconds, "received": received / taken}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with Stages() as stages:
        kernel = set_up(stages)
    figures: dict[tuple[str, str], list[float]] = {}
    for _ in range(arguments.runs):
        for name, model in CARDS.items():
            for way, value in measured(kernel, model).items():
                figures.setdefault((way, name), []).append(value)
    for (way, name), values in figures.items():
        low, middle, high = min(values), statistics.median(values), max(values)
        print(f"packets {way}, {name}: {middle:,.0f}/s ({low:,.0f} to {high:,.0f})")


if __name__ == "__main__":
    main()
