# SPDX-License-Identifier: MIT
"""Lab 9, run once per architecture. CPUs, host name, the card's address and slot are drawn at random."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

import r4l
from r4l import Nic, resources
from r4l.camp.labs import see
from r4l.errors import R4LError
from r4l.kernel import Kernel
from r4l.net.pcap import read_pcap
from r4l.testing import verdict
from r4l.vm import workdirs
from r4l.vm.loading import FOLDER

DRAW = random.SystemRandom()
NAME = "beacon"
FILE = f"{FOLDER}/{NAME}.ko"
ELF_MACHINE = {"arm64": "EM_AARCH64", "x86_64": "EM_X86_64"}
VIRTIO, E1000 = 0, 1
"""The two cards, by their index."""
ADDRESS, GATEWAY = "10.0.2.20", "10.0.2.2"
TICK = 20
"""Milliseconds that /proc/uptime may lag behind, with a margin."""
EVERYBODY = b"\xff" * 6
ECHO_REQUEST, ECHO_REPLY = 8, 0


class Rig:
    """A machine with random properties and two cards."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.name = "linux,dummy-virt"
        extra = []
        if kernel.arch == "x86_64":
            self.name = f"Camp {DRAW.randrange(1000, 10000)}"
            extra = ["-smbios", f"type=1,product={self.name}"]
        slot = DRAW.randint(0x10, 0x1E)
        self.slot = f"0000:00:{slot:02x}.0"
        self.mac = f"52:54:00:{DRAW.randrange(256):02x}:{DRAW.randrange(256):02x}:{DRAW.randrange(256):02x}"
        card = Nic("e1000", mac=self.mac, device={"addr": f"{slot:#x}"})
        self.vm = r4l.VM(
            kernel,
            nics=[Nic("virtio-net-pci"), card],
            cpus=DRAW.randint(1, 3),
            modules=["virtio_net"],
            extra=extra,
            snapshot=False,
            workdir=workdirs.make(None),
        )
        self.cpus = self.vm.machine.cpus
        self.vm.start()

    def close(self) -> None:
        """End the machine."""
        self.vm.close()
        workdirs.remove(self.vm.workdir)

    def load(self, module: r4l.BuiltModule, number: int) -> None:
        """Load the driver, unloading it first if needed."""
        self.unload()
        if self.vm.run(f"test -e {FILE}").ok:
            self.vm.run(f"insmod {FILE} number={number}", check=True)
        else:
            self.vm.insmod(module, number=number)

    def unload(self) -> None:
        """Unload the driver, which releases both cards."""
        self.vm.run(f"! grep -q '^{NAME} ' /proc/modules || rmmod {NAME}", check=True)

    def mark(self) -> int:
        """Return a position in the kernel log, after all earlier lines have arrived."""
        self.vm.klog.sync()
        return self.vm.klog.mark()

    def said(self, since: int) -> list[str]:
        """Return the driver's log lines on a card."""
        self.vm.klog.sync()
        texts = [record.text for record in self.vm.klog.records(since)]
        return [text for text in texts if text.startswith(f"{NAME} {self.slot}: ")]

    def driver(self) -> str:
        """Return the driver bound to a card."""
        link = self.vm.run(f"readlink /sys/bus/pci/devices/{self.slot}/driver").stdout.strip()
        return link.rpartition("/")[2] or "none"

    def frames(self, card: int, since: int = 0) -> list[bytes]:
        """Return the frames on a card's wire."""
        return [packet.data for packet in read_pcap(self.vm.captures[card])][since:]


@pytest.fixture(scope="module")
def rigs(kernel: Kernel) -> Iterator[list[Rig]]:
    """The machine shared by the checks while its kernel is well; at most one."""
    shared: list[Rig] = []
    yield shared
    for rig in shared:
        rig.close()
        if untold := rig.vm.untold():
            # What the kernel complained of since the last check, up to its last line.
            raise untold


@pytest.fixture
def rig(request: pytest.FixtureRequest, kernel: Kernel, rigs: list[Rig]) -> Iterator[Rig]:
    """The machine."""
    if not rigs:
        rigs.append(Rig(kernel))
    taken = rigs[0]
    verdict.watch(request.node, taken.vm)
    yield taken
    if verdict.failed(request.node) and not is_well(taken):
        rigs.clear()
        taken.close()


def is_well(rig: Rig) -> bool:
    """True if another check can use the machine."""
    try:
        rig.unload()
        rig.vm.klog.sync()
    except R4LError:
        return False
    return not rig.vm.klog.splat_count


@pytest.fixture
def vm(rig: Rig) -> r4l.VM:
    """The machine, for the evidence."""
    return rig.vm


@pytest.mark.checkpoint("builds")
def test_builds(kernel: Kernel, module: r4l.BuiltModule) -> None:
    with module.path.open("rb") as file:
        machine = ELFFile(file)["e_machine"]
    see(f"e_machine in the ELF header of {NAME}.ko for {kernel.arch}", machine, ELF_MACHINE[kernel.arch])
    magic = str(module.modinfo["vermagic"])
    see("vermagic", magic, f"one that begins with {kernel.release}", kernel.release in magic)


@pytest.mark.checkpoint("binds")
def test_binds(rig: Rig, vm: r4l.VM, module: r4l.BuiltModule) -> None:
    mark = rig.mark()
    rig.load(module, DRAW.randrange(1 << 32))
    driver = rig.driver()
    said = "; ".join(rig.said(mark))
    what = f"the driver of the card at {rig.slot} after `insmod {NAME}.ko`"
    see(what, driver if driver == NAME else f"{driver} ({said})", NAME, driver == NAME)


@pytest.mark.checkpoint("time")
def test_time(rig: Rig, vm: r4l.VM, module: r4l.BuiltModule) -> None:
    rig.load(module, 0)
    rig.unload()
    mark = rig.mark()
    wait = DRAW.randrange(200_000, 700_000)
    # Somebody sets the clock meanwhile.
    set_clock = f"date -s @{DRAW.randrange(1_000_000_000, 1_700_000_000)}"
    now = "cut -d' ' -f1 /proc/uptime"
    script = f"{now}; insmod {FILE}; {now}; {set_clock} >/dev/null; usleep {wait}; {now}; rmmod {NAME}; {now}"
    before, loaded, waited, after = (float(line) * 1000 for line in vm.run(script, check=True).stdout.split())
    lines = [line.partition(": ")[2] for line in rig.said(mark)]
    found = [int(match[1]) for line in lines if (match := re.fullmatch(r"had the card for (-?\d+) ms", line))]
    see("lines `had the card for N ms`", lines if len(found) != 1 else found, "one", len(found) == 1)
    least, most = waited - loaded - TICK, after - before + TICK
    see(
        f"N in `had the card for N ms` (the clock was set meanwhile: `{set_clock}`)",
        found[0],
        f"{least:.0f} to {most:.0f}, by /proc/uptime",
        least <= found[0] <= most,
    )


@pytest.mark.checkpoint("beacon")
def test_beacon(rig: Rig, vm: r4l.VM, module: r4l.BuiltModule) -> None:
    begin = len(rig.frames(E1000))
    # No byte twice: an order is seen.
    number = int.from_bytes(bytes(DRAW.sample(range(1, 256), 4)))
    rig.load(module, number)
    sent = [frame for frame in rig.frames(E1000, begin) if frame[12:14] == b"\x88\xb5"]
    see("frames of type 88b5 that have left the card", len(sent), 1)
    frame = sent[0]
    see("where the frame goes", frame[:6].hex(":"), EVERYBODY.hex(":"))
    see("where it comes from: the card's own address", frame[6:12].hex(":"), rig.mac)
    wanted = number.to_bytes(4, "big").hex(" ")
    see(f"bytes 14 to 17: the number {number} = {number:#x} in network order", frame[14:18].hex(" "), wanted)
    see("the rest of the 60 bytes", frame[18:].hex(), bytes(42).hex())


@pytest.mark.checkpoint("machine")
def test_machine(rig: Rig, vm: r4l.VM, work: Path) -> None:
    done = script(vm, work / "machine.sh")
    by = "acpi" if rig.kernel.arch == "x86_64" else "devicetree"
    wanted = [f"name {rig.name}", f"cpus {rig.cpus}", f"described by {by}"]
    seen = done.stdout.splitlines()
    what = f"what `sh machine.sh` prints on this {rig.kernel.arch} machine"
    said = f"; and as errors: {done.stderr.strip()}" if done.stderr.strip() else ""
    see(what, f"{seen}{said}", wanted, seen == wanted)


@pytest.mark.checkpoint("network")
def test_network(rig: Rig, vm: r4l.VM, work: Path) -> None:
    driver = r4l.Module(resources.rust("drivers/e1000")).build(rig.kernel)
    rig.unload()
    for card in DRAW.sample((VIRTIO, E1000), 2):
        if card == E1000:
            vm.insmod(driver)
        else:
            vm.run("modprobe virtio_net", check=True)
    names = [interface(vm, vm.machine.nics[card].address(card)) for card in (VIRTIO, E1000)]
    reaches(rig, work, names)
    swap(vm, names)
    reaches(rig, work, names[::-1])


def script(vm: r4l.VM, file: Path) -> r4l.Completed:
    """Run a script of the student's in the guest."""
    see(f"{file.name} in the workspace", file.is_file(), True)
    vm.put(file, f"/tmp/{file.name}")
    return vm.run(f"sh /tmp/{file.name}", timeout=40)


def interface(vm: r4l.VM, mac: str) -> str:
    """Return the name of a card's interface."""
    return vm.run(f"grep -l {mac} /sys/class/net/*/address", check=True).stdout.split("/")[4]


def swap(vm: r4l.VM, names: list[str]) -> None:
    """Exchange the cards' names, and undo all effects of the script."""
    one, other = names
    clear = "".join(f"ip link set {name} down; ip addr flush dev {name}; " for name in names)
    rename = f"ip link set {one} name swap; ip link set {other} name {one}; ip link set swap name {other}"
    vm.run(clear + rename, check=True)


def reaches(rig: Rig, work: Path, names: list[str]) -> None:
    """Run net.sh and inspect both wires."""
    vm = rig.vm
    begin = {card: len(rig.frames(card)) for card in (VIRTIO, E1000)}
    done = script(vm, work / "net.sh")
    here = f"on {rig.kernel.arch}, the e1000 card being {names[E1000]}, the virtio card {names[VIRTIO]}"
    requests = {card: len(echoes(rig.frames(card, begin[card]), ECHO_REQUEST)) for card in (VIRTIO, E1000)}
    said = (done.stderr or done.stdout).strip().splitlines()[-1:]
    see(
        f"pings of {GATEWAY} from {ADDRESS} {here}",
        f"{requests[E1000]} through the e1000 card, {requests[VIRTIO]} through the virtio card; {' '.join(said)}",
        "some through the e1000 card, none through the virtio card",
        requests[E1000] > 0 and not requests[VIRTIO],
    )
    answers = len(echoes(rig.frames(E1000, begin[E1000]), ECHO_REPLY))
    see(f"answers {here}", answers, "one at least", answers > 0)
    addresses = vm.run(f"ip -4 -o addr show dev {names[E1000]}").stdout.split()
    see(f"the address {here}", " ".join(addresses[2:4]) or "none", f"inet {ADDRESS}/24", f"{ADDRESS}/24" in addresses)
    mac = bytes.fromhex(vm.machine.nics[VIRTIO].address(VIRTIO).replace(":", ""))
    touched = sum(frame[6:12] == mac for frame in rig.frames(VIRTIO, begin[VIRTIO]))
    see(f"frames that left through the virtio card, which is somebody else's, {here}", touched, 0)
    see(f"exit code of `sh net.sh` {here}", done.exit_code, 0)


def echoes(frames: list[bytes], kind: int) -> list[bytes]:
    """Return ICMP echo requests or replies between the two addresses, without options in the IP header."""
    us, gateway = (bytes(map(int, address.split("."))) for address in (ADDRESS, GATEWAY))
    ends = us + gateway if kind == ECHO_REQUEST else gateway + us
    return [
        frame
        for frame in frames
        if (frame[12:15], frame[23:24], frame[26:34], frame[34:35]) == (b"\x08\x00\x45", b"\x01", ends, bytes([kind]))
    ]
