# SPDX-License-Identifier: MIT
"""A machine as data, and the one function that turns it into QEMU's command line.

The description of a machine (`Machine`) is separate from the sockets and files of a run (`Endpoints`), so that two runs
of the same machine have equal descriptions, on which a snapshot's key, a log and a test rely.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from r4l import home
from r4l.arch import DEFAULT, architecture
from r4l.errors import UsageError
from r4l.limits import UNLIMITED
from r4l.net import Nic
from r4l.pci.load import in_python
from r4l.rootfs import AGENT_PORT
from r4l.toolchain import Grant, Toolchain
from r4l.vm import cards
from r4l.vm.share import Share, place
from r4l.vm.share import arguments as share_arguments

Accel = Literal["kvm", "tcg"]

FAST = ("nokaslr", "cryptomgr.notests", "damon_stat.enabled=N")
"""Kernel options that save time: no random layout (0.1 s of a boot, and addresses stay readable), no self-tests of
crypto algorithms (0.65 s of a boot), no statistics of the use of memory (mm/damon/stat.c; with them an idle guest takes
2.5 % of a processor under TCG, without 0.6 %). `VM(fast=False)` boots without these options, and from the bzImage."""

KVM = Path("/dev/kvm")
SHARED = "shared"
"""QEMU's id of memory that other processes can map."""

SECCOMP = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
"""System calls that QEMU gives up: a guest that takes QEMU over can neither start programs nor change its user."""

NAMED_FILE = re.compile(r"""(?:^|[=,"])(/(?:[^,"]|,,)+)""")
"""A path in an argument of QEMU in QEMU's own syntax, where a comma is doubled."""

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
        path: the file, never written to. The guest's writes go to an unnamed file in the run's folder, which vanishes
            with QEMU.
        serial: serial number for the guest (/sys/block/*/serial).
        format: of the file.
    """

    path: Path
    serial: str
    format: Literal["qcow2", "raw"] = "qcow2"


@dataclass(frozen=True)
class Machine:
    """A virtual machine, complete and reproducible.

    Attributes:
        arch: the guest's architecture, as for `--arch`.
        kernel: file that QEMU starts.
        initrd: the initramfs.
        append: kernel command line.
        memory: MiB.
        cpus: number of virtual CPUs.
        accel: `kvm` or `tcg`.
        nics: network cards, in order.
        drives: disks, in order, after the cards on the PCI bus.
        agent: True to have the agent's port.
        shares: folders of the host that the guest may mount.
        shared_memory: True to let devices in other processes (`r4l.pci`) map the guest's memory.
        icount: True for a guest clock that counts instructions, one per nanosecond, independent of the host's: QEMU's
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
            raise UsageError(f"a VM cannot have {self.memory} MiB of memory", "give 32 to 1048576")
        if not 1 <= self.cpus <= 255:
            raise UsageError(f"a VM cannot have {self.cpus} CPUs", "give 1 to 255")
        if self.icount and (self.accel != "tcg" or self.cpus != 1):
            raise UsageError("instructions are counted on one CPU under TCG only", 'use cpus=1 and accel="tcg"')

    @property
    def key(self) -> str:
        """Key of this machine for caches."""
        return home.content_key(json.dumps(asdict(self), sort_keys=True, default=str))

    @property
    def named_files(self) -> tuple[Path, ...]:
        """Existing host files and devices that `extra` names by their absolute paths."""
        paths = (Path(text) for word in self.extra for text in _named_in(word))
        return tuple(path for path in paths if path.exists())


def _named_in(word: str) -> Iterator[str]:
    """Yield the absolute paths in an argument of QEMU, in QEMU's own syntax or in JSON."""
    try:
        data = json.loads(word) if word.lstrip().startswith("{") else None
    except (ValueError, RecursionError):
        data = None
    if data is None:
        yield from (found[1].replace(",,", ",") for found in NAMED_FILE.finditer(word))
        return
    parts = [data]
    while parts:
        part = parts.pop(0)
        if isinstance(part, dict | list):
            parts += part.values() if isinstance(part, dict) else part
        elif isinstance(part, str):
            # A file name, or a text in QEMU's own syntax.
            yield from [part] if part.startswith("/") else _named_in(part)


@dataclass(frozen=True)
class Endpoints:
    """The connections of one run of a machine to the host.

    Attributes:
        qmp, console, agent: descriptors of connected sockets, open in QEMU; None if a person starts QEMU with console
            and monitor on the terminal (^A c switches between them, ^A x ends QEMU).
        captures: for each card by its index, the file for its packets.
        cables: for each card with a cable, by its index, its descriptor, open in QEMU.
        lines: for each card in Python by its index, the descriptor of its line, open in QEMU (`r4l.vm.cards`).
        devices: devices in other processes, as arguments of `-device`.
    """

    qmp: int | None
    console: int | None
    agent: int | None
    captures: Mapping[int, Path] = field(default_factory=dict)
    cables: Mapping[int, int] = field(default_factory=dict)
    lines: Mapping[int, int] = field(default_factory=dict)
    devices: Sequence[Mapping[str, Any]] = ()


def kernel_line(arch: str, extra: str = "", *, fast: bool = True) -> tuple[str, ...]:
    """Return the kernel command line, in words. Later words win, so `extra` can override all others."""
    return (f"console={architecture(arch).console}", *ALWAYS, *(FAST if fast else ()), *extra.split())


def grant(machine: Machine, workdir: Path | None = None, state: Path | None = None) -> Grant:
    """Return QEMU's grant: its own files, KVM if used, the network if a card needs it.

    Of the user's files, it contains those shared with the guest, and those named by the user's own arguments for QEMU.
    """
    drives = (drive.path for drive in machine.drives)
    shares = {place(index): share for index, share in enumerate(machine.shares)}
    devices = [path for path in machine.named_files if path.is_relative_to("/dev")]
    files = [path for path in machine.named_files if path not in devices]
    own = dict.fromkeys(device for nic in machine.nics for device in nic.host_devices if device not in devices)
    return Grant(
        "vm: QEMU",
        writes=(*([workdir] if workdir else []), *files),
        reads=(machine.kernel, machine.initrd, *drives, *([state] if state else [])),
        over={there: share.host for there, share in shares.items() if share.writable},
        over_reads={there: share.host for there, share in shares.items() if not share.writable},
        network=any(nic.needs_network for nic in machine.nics),
        devices=(*([KVM] if machine.accel == "kvm" else []), *devices, *own),
        limits=UNLIMITED,
    )


def pasteable(machine: Machine, toolchain: Toolchain) -> str:
    """Return a machine's command line for a person's shell: its console is on the terminal, ^A x ends it.

    Unlike the command line of a `VM`, it has no descriptors of sockets for monitor, console, agent and cables.
    """
    argv = command_line(machine, Endpoints(None, None, None), seccomp=toolchain.isolates)
    # The guest's writes to its disks go to the sandbox's own /tmp.
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
    """Return QEMU's complete command line for one run of `machine`.

    Args:
        state: a snapshot of the same machine to continue, instead of booting.
        seccomp: make QEMU give up system calls. Not usable under PRoot, which makes its own calls in QEMU's process.
    """
    arch = architecture(machine.arch)
    accelerator = "tcg,thread=multi" if machine.accel == "tcg" and not machine.icount else machine.accel
    argv = [arch.qemu, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    argv += ["-run-with", "exit-with-parent=on", *(["-sandbox", SECCOMP] if seccomp else [])]
    memory = f",memory-backend={SHARED}" if machine.shared_memory else ""
    argv += ["-machine", arch.machine + memory, "-accel", accelerator, "-cpu", arch.cpu[machine.accel]]
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
        if in_python(nic.model):
            # The card itself is among the devices in other processes, or is plugged in later.
            if index not in ends.lines:
                continue
            for one in cards.netdevs(index, netdev, ends.lines[index]):
                argv += _json("-netdev", one)
        else:
            if netdev is not None:
                argv += _json("-netdev", netdev)
            argv += _json("-device", nic.qemu_device(index))
        if netdev is not None and index in ends.captures:
            dump = {"qom-type": "filter-dump", "id": f"dump{index}", "netdev": f"net{index}", "maxlen": 262144}
            argv += _json("-object", {**dump, "file": str(ends.captures[index])})
    for index, drive in enumerate(machine.drives):
        # QEMU has no JSON form for snapshot=on. In its own syntax a comma in a value is doubled.
        file = str(drive.path).replace(",", ",,")
        argv += ["-drive", f"if=none,id=disk{index},format={drive.format},snapshot=on,cache=unsafe,file={file}"]
        argv += _json("-device", {"driver": "virtio-blk-pci", "drive": f"disk{index}", "serial": drive.serial})
    for index, share in enumerate(machine.shares):
        argv += share_arguments(index, share)
    for device in ends.devices:
        argv += _json("-device", device)
    if state:
        # Suppress announcements after a migration: frames that the guest never sent.
        argv += ["-global", "migration.announce-rounds=0", "-incoming", f"file:{state}"]
    return [*argv, *machine.extra]


def _chardev(name: str, descriptor: int | None) -> list[str]:
    return ["-chardev", f"null,id={name}" if descriptor is None else f"socket,id={name},fd={descriptor}"]


def _json(option: str, settings: Mapping[str, Any]) -> list[str]:
    """Return an option in JSON; QEMU's own syntax would need escaped commas in paths."""
    return [option, json.dumps(settings)]
