# SPDX-License-Identifier: MIT
"""A machine as data, and the one function that turns it into QEMU's command line.

What a machine *is* (`Machine`) is separate from where this run of it keeps its sockets and files (`Endpoints`), so that
two runs of the same machine have the same description: a snapshot's key, a log, a test can rely on it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from r4l import home
from r4l.arch import DEFAULT, architecture
from r4l.errors import UsageError
from r4l.limits import UNLIMITED
from r4l.net import Nic
from r4l.rootfs import AGENT_PORT
from r4l.toolchain import Grant, Toolchain
from r4l.vm.share import Share, place
from r4l.vm.share import arguments as share_arguments

Accel = Literal["kvm", "tcg"]

FAST = ("nokaslr", "cryptomgr.notests")
"""Kernel options that save time at boot: no random layout (0.1 s, and addresses stay readable), no self-tests of
crypto algorithms (0.65 s). `VM(fast=False)` boots without them, and by the bzImage."""

KVM = Path("/dev/kvm")
SHARED = "shared"
"""QEMU's name of memory that other processes can map."""

SECCOMP = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
"""System calls that QEMU itself gives up: a guest that takes it over starts no program and becomes nobody else."""

NAMED_FILE = re.compile(r"""(?:^|[=,"])(/(?:[^,"]|,,)+)""")
"""A path in an argument of QEMU's, in its own syntax, where a comma is doubled, or in JSON."""

ALWAYS = (
    "console_msg_format=syslog",  # <LEVEL> before each line: klog wants to know it
    "ignore_loglevel",  # `dmesg -n 1` in the guest must not blind us
    "printk.devkmsg=on",  # klog.sync writes marks to /dev/kmsg, which the kernel would ration
    "hostname=r4l",  # a program less to start at boot
    "panic=-1",  # a panic ends QEMU at once (with -no-reboot), and is thus never mistaken for a hang
)


@dataclass(frozen=True)
class Drive:
    """A disk of a VM.

    Attributes:
        path: never written to; what the guest writes goes into a file without a name in the run's folder, and is gone
            with QEMU, however that ends.
        serial: what the guest finds it by (/sys/block/*/serial).
        format: of the file.
    """

    path: Path
    serial: str
    format: Literal["qcow2", "raw"] = "qcow2"


@dataclass(frozen=True)
class Machine:
    """A virtual machine, complete and reproducible.

    Attributes:
        arch: the guest's, as `--arch` names it.
        kernel: what QEMU starts.
        initrd: the initramfs.
        append: kernel command line.
        memory: MiB.
        cpus: number of virtual CPUs.
        accel: `kvm` or `tcg`.
        nics: network cards, in order.
        drives: disks, in order, after the cards on the PCI bus.
        agent: have the agent's port.
        shares: folders of the host's that the guest may mount.
        shared_memory: the guest's memory can be mapped by devices in other processes (`r4l.pci`).
        icount: the guest's clock counts instructions, one for a nanosecond, and knows nothing of the host's: QEMU's
            docs/devel/tcg-icount.rst. TCG and one CPU only.
        extra: further arguments for QEMU.
    """

    kernel: Path
    initrd: Path
    append: tuple[str, ...] = ()
    arch: str = DEFAULT
    memory: int = 256
    cpus: int = 2
    accel: Accel = "tcg"
    nics: tuple[Nic, ...] = ()
    drives: tuple[Drive, ...] = ()
    agent: bool = True
    shares: tuple[Share, ...] = ()
    shared_memory: bool = False
    icount: bool = False
    extra: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        architecture(self.arch)
        if not 32 <= self.memory <= 1 << 20:
            raise UsageError(f"{self.memory} MiB of memory make no VM", "give 32 to 1048576")
        if not 1 <= self.cpus <= 255:
            raise UsageError(f"{self.cpus} CPUs make no VM", "give 1 to 255")
        if self.icount and (self.accel != "tcg" or self.cpus != 1):
            raise UsageError("instructions are counted on one CPU under TCG only", 'use cpus=1 and accel="tcg"')

    @property
    def key(self) -> str:
        """Names this machine in cache keys."""
        return home.content_key(json.dumps(asdict(self), sort_keys=True, default=str))

    @property
    def named_files(self) -> tuple[Path, ...]:
        """The host's files and devices that `extra` names by their absolute paths, as far as they exist."""
        paths = (Path(found[1].replace(",,", ",")) for word in self.extra for found in NAMED_FILE.finditer(word))
        return tuple(path for path in paths if path.exists())


@dataclass(frozen=True)
class Endpoints:
    """Where one run of a machine meets the host.

    Attributes:
        qmp, console, agent: descriptors of connected sockets, open in QEMU; None where a person starts QEMU, who has
            the console and the monitor in their terminal (^A c goes from one to the other, ^A x ends QEMU).
        captures: for each card by its index, the file for its packets.
        cables: for each card with a cable, by its index, its descriptor, open in QEMU.
        devices: in other processes, as `-device` gets them.
    """

    qmp: int | None
    console: int | None
    agent: int | None
    captures: Mapping[int, Path] = field(default_factory=dict)
    cables: Mapping[int, int] = field(default_factory=dict)
    devices: Sequence[Mapping[str, Any]] = ()


def kernel_line(arch: str, extra: str = "", *, fast: bool = True) -> tuple[str, ...]:
    """The kernel command line, in words; later ones win, so `extra` can override anything."""
    return (f"console={architecture(arch).console}", *ALWAYS, *(FAST if fast else ()), *extra.split())


def grant(machine: Machine, workdir: Path | None = None, state: Path | None = None) -> Grant:
    """What QEMU may touch: its own files, KVM where it runs under it, the network where a card needs it.

    Files and folders of the user's are those that they share with the guest, or that their own arguments for QEMU name.
    """
    drives = (drive.path for drive in machine.drives)
    shares = {place(index): share for index, share in enumerate(machine.shares)}
    devices = [path for path in machine.named_files if path.is_relative_to("/dev")]
    files = [path for path in machine.named_files if path not in devices]
    return Grant(
        "vm: QEMU",
        writes=(*([workdir] if workdir else []), *files),
        reads=(machine.kernel, machine.initrd, *drives, *([state] if state else [])),
        over={there: share.host for there, share in shares.items() if share.writable},
        over_reads={there: share.host for there, share in shares.items() if not share.writable},
        network=any(nic.needs_network for nic in machine.nics),
        devices=(*([KVM] if machine.accel == "kvm" else []), *devices),
        limits=UNLIMITED,
    )


def pasteable(machine: Machine, toolchain: Toolchain) -> str:
    """The command line of a machine for a person's shell: its console is on their terminal, ^A x ends it.

    It differs from the one that a `VM` runs where that has descriptors of sockets: monitor, console, agent, cables.
    """
    argv = command_line(machine, Endpoints(None, None, None), seccomp=toolchain.isolates)
    # What a guest writes to its disks is kept in the sandbox's own /tmp.
    entered = toolchain.command(argv, grant(machine))
    sandbox, program = entered[: -len(argv)], entered[-len(argv) :]
    lines = [shlex.join(sandbox), program[0]]
    for word in program[1:]:
        if word.startswith("-") and " " not in word:
            lines.append(f"  {shlex.quote(word)}")
        else:
            lines[-1] += f" {shlex.quote(word)}"
    return " \\\n".join(lines)


def command_line(machine: Machine, ends: Endpoints, state: Path | None = None, *, seccomp: bool = True) -> list[str]:
    """QEMU's whole command line for one run of `machine`.

    Args:
        state: a snapshot of the same machine to go on from, instead of booting.
        seccomp: have QEMU give up system calls; not under PRoot, whose own calls it would make in QEMU's place.
    """
    arch = architecture(machine.arch)
    accelerator = "tcg,thread=multi" if machine.accel == "tcg" and not machine.icount else machine.accel
    argv = [arch.qemu, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    argv += ["-run-with", "exit-with-parent=on", *(["-sandbox", SECCOMP] if seccomp else [])]
    memory = f",memory-backend={SHARED}" if machine.shared_memory else ""
    kind = arch.machine if machine.cpus <= arch.few_cpus else arch.machine_for_more
    argv += ["-machine", kind + memory, "-accel", accelerator, "-cpu", arch.cpu[machine.accel]]
    if machine.shared_memory:
        size = machine.memory << 20
        argv += _json("-object", {"qom-type": "memory-backend-memfd", "id": SHARED, "size": size, "share": True})
    argv += ["-m", f"{machine.memory}M", "-smp", str(machine.cpus)]
    if machine.icount:
        argv += ["-icount", "shift=0,sleep=off"]
    argv += ["-kernel", str(machine.kernel), "-initrd", str(machine.initrd), "-append", " ".join(machine.append)]
    if ends.qmp is not None:
        argv += _chardev("qmp", ends.qmp)
        argv += _json("-object", {"qom-type": "monitor-qmp", "id": "monitor", "chardev": "qmp"})
    if ends.console is None:
        argv += ["-serial", "mon:stdio"]
    else:
        argv += [*_chardev("console", ends.console), "-serial", "chardev:console"]
    if machine.agent:
        argv += _chardev("agent", ends.agent)
        argv += _json("-device", {"driver": "virtio-serial-pci", "id": "agentbus", "max_ports": 2})
        argv += _json(
            "-device", {"driver": "virtserialport", "bus": "agentbus.0", "chardev": "agent", "name": AGENT_PORT}
        )
    for index, nic in enumerate(machine.nics):
        if nic.has_cable and index not in ends.cables:
            nic = replace(nic, backend="none")
        netdev = nic.netdev(index, ends.cables.get(index))
        if netdev is not None:
            argv += _json("-netdev", netdev)
        argv += _json("-device", nic.qemu_device(index))
        if netdev is not None and index in ends.captures:
            dump = {"qom-type": "filter-dump", "id": f"dump{index}", "netdev": f"net{index}", "maxlen": 262144}
            argv += _json("-object", {**dump, "file": str(ends.captures[index])})
    for index, drive in enumerate(machine.drives):
        # QEMU has no JSON for a throw-away layer. In its own syntax a comma in a value is doubled.
        file = str(drive.path).replace(",", ",,")
        argv += ["-drive", f"if=none,id=disk{index},format={drive.format},snapshot=on,cache=unsafe,file={file}"]
        argv += _json("-device", {"driver": "virtio-blk-pci", "drive": f"disk{index}", "serial": drive.serial})
    for index, share in enumerate(machine.shares):
        argv += share_arguments(index, share)
    for device in ends.devices:
        argv += _json("-device", device)
    if state:
        # After a migration QEMU announces the guest to the switches: frames that the guest has never sent.
        argv += ["-global", "migration.announce-rounds=0", "-incoming", f"file:{state}"]
    return [*argv, *machine.extra]


def _chardev(name: str, descriptor: int | None) -> list[str]:
    return ["-chardev", f"null,id={name}" if descriptor is None else f"socket,id={name},fd={descriptor}"]


def _json(option: str, settings: Mapping[str, Any]) -> list[str]:
    """JSON, because QEMU's own syntax would need commas in paths escaped."""
    return [option, json.dumps(settings)]
