# SPDX-License-Identifier: MIT
"""Assemble a VM from the user's arguments before any part of it runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from r4l.errors import UsageError
from r4l.kernel import Kernel
from r4l.klog import Sources
from r4l.net import Cable, Nic
from r4l.pci import Device, NetworkCard
from r4l.rootfs import Rootfs, Source
from r4l.rootfs.disk import DiskImage
from r4l.vm import accel as accelerators
from r4l.vm import boot, cards, checkers, guest_clock, least, loading
from r4l.vm import cables as cabling
from r4l.vm import image as images
from r4l.vm import snapshot as snapshots
from r4l.vm.accel import Choice
from r4l.vm.devices import DeviceLike, fixed, split
from r4l.vm.loading import HasPath
from r4l.vm.machine import Accel, Machine, kernel_line
from r4l.vm.one_cpu import number_of
from r4l.vm.prepare import Preparation
from r4l.vm.share import Share, modules_for

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Assembly:
    """All parts of one run of a VM.

    Attributes:
        kernel: the kernel.
        image: disk image to start from; None with an initramfs.
        parts: parts that belong to the image.
        rootfs: the initramfs.
        accel: the accelerator, and the reason for it.
        machine: QEMU's description.
        cables: the host's ends given by the caller, by the card's index.
        patience: seconds after which a boot has failed.
        sources: source lines of the loaded modules.
        devices: devices written in Python.
        cards: network cards written in Python, by their index among the machine's.
        shares: folders of the host mounted after the boot.
        from_snapshot: boot once, and start from that state.
        as_booted: start from the state that an equal machine left behind, or boot and leave one.
        preparation: actions after the boot.
    """

    kernel: Kernel
    image: DiskImage | None
    parts: images.Parts | None
    rootfs: Rootfs
    accel: Choice
    machine: Machine
    cables: Mapping[int, Cable]
    patience: boot.Patience
    sources: Sources
    devices: tuple[Device, ...]
    cards: Mapping[int, NetworkCard]
    shares: tuple[Share, ...]
    from_snapshot: bool
    as_booted: bool
    preparation: Preparation

    def booted(self) -> Assembly:
        """Return the same machine, to be booted, without restoring and preparation.

        Given cables are left out, since a cable has only one end in a VM, and the other end is no part of a state. QEMU
        saves no device in Python, and no state of a machine with a mounted share.
        """
        return replace(
            self,
            from_snapshot=False,
            as_booted=False,
            preparation=Preparation(None),
            cables={},
            devices=(),
            cards={},
            shares=(),
        )


def assemble(
    kernel: Kernel,
    *,
    nics: Sequence[Nic],
    cables: Mapping[int, Cable] | None,
    memory: int | None,
    cpus: int,
    image: DiskImage | None,
    ssh_port: int,
    rootfs: Rootfs | None,
    modules: Sequence[str],
    files: Mapping[str, Source] | None,
    accel: Accel | None,
    append: str,
    fast: bool,
    silence: float | None,
    boot_timeout: float | None,
    devices: Sequence[str | DeviceLike],
    shares: Sequence[Share],
    icount: bool,
    extra: Sequence[str],
    snapshot: snapshots.Snapshot,
    prepare: Callable[..., object] | None,
    prepare_with: Sequence[HasPath],
) -> Assembly:
    """Assemble a VM from its arguments, which `r4l.VM` describes, and make its initramfs.

    Raises:
        UsageError: arguments exclude each other, or one is invalid.
        EnvironmentFault: the image does not fit the kernel.
    """
    if rootfs is not None and (modules or files):
        raise UsageError("a rootfs of your own and modules or files for the default one exclude each other")
    if image is not None and (rootfs is not None or files):
        raise UsageError("a disk image and a rootfs, or files for one, exclude each other", "use `put` after boot")
    for name, number in (("memory", memory), ("cpus", cpus), ("silence", silence), ("boot_timeout", boot_timeout)):
        if number is not None and number <= 0:
            raise UsageError(f"no machine can have {name}={number:g}", "give more than 0, or leave it out")
    if image is not None and snapshot is True:
        raise UsageError("a VM with a disk image cannot start from a snapshot, which holds no disk", "ask for none")
    specs, own_devices = split(devices)
    own_cards = cards.make(nics)
    needed = modules_for(kernel, shares)
    parts = images.parts(kernel, image, modules, ssh_port) if image else None
    if parts:
        rootfs = parts.rootfs
        nics = (*nics, parts.management)
        append = f"{parts.append} {append}"
    elif rootfs is None:
        modules = (*modules, *(name for name in needed if name not in modules))
        rootfs = Rootfs.build(kernel, modules=modules, files=files)
    choice = accelerators.choose(kernel, accel or ("tcg" if icount else None))
    cpus = number_of(cpus, choice.name)
    slow = snapshots.is_slow(kernel)
    clock = " ".join(guest_clock.words(kernel)) if choice.name == "tcg" and fast and not icount else ""
    plugs = bool(own_devices or own_cards)
    checked = " ".join(checkers.words(kernel, own_hardware=plugs or bool(extra)))
    machine = Machine(
        kernel=kernel.vmlinux if fast else kernel.image,
        initrd=rootfs.path,
        append=kernel_line(kernel.arch, f"{clock} {checked} {append}", fast=fast),
        arch=kernel.arch,
        memory=max(768 if slow else 256, least.for_cpus(cpus)) if memory is None else memory,
        cpus=cpus,
        accel=choice.name,
        nics=cabling.isolated(nics),
        drives=parts.drives if parts else (),
        agent=rootfs.agent,
        shared_memory=plugs,
        shares=tuple(shares),
        icount=icount,
        extra=(*(word for spec in specs for word in ("-device", spec)), *extra),
    )
    least.require(machine, kernel)
    given = dict(cables or {})
    cabling.check(machine.nics, given)
    unfit = not rootfs.agent or image is not None or machine.extra
    # A machine whose devices are plugged in after its boot is not as booted.
    as_booted = snapshot == snapshots.AS_BOOTED and not (unfit or own_devices or own_cards or given or prepare)
    from_snapshot = slow and not unfit and not as_booted if snapshot in (None, snapshots.AS_BOOTED) else bool(snapshot)
    if from_snapshot and (own_devices or own_cards) and (why := fixed(kernel)):
        LOG.info("the machine boots: %s", why)
        from_snapshot = False
    preparation = Preparation(prepare, prepare_with)
    if from_snapshot:
        # Compute the key here, so that a refusal's traceback shows the caller. A closure may change before the start.
        _ = preparation.key
    return Assembly(
        kernel=kernel,
        image=image,
        parts=parts,
        rootfs=rootfs,
        accel=choice,
        machine=machine,
        cables=given,
        patience=_patience(machine, image, slow, silence, boot_timeout),
        sources=loading.sources(kernel),
        devices=tuple(own_devices),
        cards=own_cards,
        shares=machine.shares,
        from_snapshot=from_snapshot,
        as_booted=as_booted,
        preparation=preparation,
    )


def _patience(
    machine: Machine, image: DiskImage | None, slow: bool, silence: float | None, total: float | None
) -> boot.Patience:
    usual = images.PATIENCE if image else boot.Patience()
    factors = (6, 2) if slow else (1, 1)
    crowd = boot.crowding(machine)
    quiet_for = usual.silence if silence is None else silence
    in_all = usual.total if total is None else total
    return boot.Patience(quiet_for * factors[0] * crowd, in_all * factors[1] * crowd)
