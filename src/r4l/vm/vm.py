# SPDX-License-Identifier: MIT
"""A virtual machine: boots a kernel with an initramfs, serves commands, and ends with its owner."""

from __future__ import annotations

import contextlib
import copy
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r4l.errors import BootError, GuestTimeout, R4LError, UsageError
from r4l.guest import Completed, Guest, GuestGone, GuestProcess, Link
from r4l.guest.shell import interactive
from r4l.kernel import Kernel
from r4l.klog import KernelLog, Splat
from r4l.net import Cable, Nic, Wire
from r4l.net.pcap import LARGEST
from r4l.pci import Device, ModelError
from r4l.rootfs import Rootfs, Source
from r4l.rootfs.disk import DiskImage
from r4l.vm import accel as accelerators
from r4l.vm import boot, loading, workdirs
from r4l.vm import cables as cabling
from r4l.vm import image as images
from r4l.vm import snapshot as snapshots
from r4l.vm.blame import starved
from r4l.vm.captures import CaptureBound
from r4l.vm.console import LOG_LIMIT, Console
from r4l.vm.devices import WAIT, DeviceLike, Plugs, split
from r4l.vm.errors import MachineReset, NoAgent, NoOutput, QemuDied
from r4l.vm.loading import HasPath
from r4l.vm.machine import Accel, Machine, kernel_line, pasteable
from r4l.vm.oops import OopsTimer
from r4l.vm.prepare import Preparation
from r4l.vm.qemu import Qemu
from r4l.vm.qmp import Event
from r4l.vm.share import Share, modules_for, mount
from r4l.vm.ssh import Ssh, forwarded_port

LOG = logging.getLogger(__name__)
HALTED = re.compile(r"^reboot: System halted$")
HANGS = ("soft-lockup", "rcu-stall", "hung-task", "lockdep", "atomic-sleep")
"""Kinds of complaints that tell why something does not end, the surest first."""
DRAIN = 2.0
"""Seconds in which a guest must answer before it is ended: what it has logged is then here to its last line."""


class VM:
    """A virtual machine. As a context manager it boots on entry and is gone on exit.

    Its end is judged by the kernel's log to the last line: `check` raises what the kernel complained of, whether the
    machine still runs or how it ended, and leaving a `with` statement raises what nobody has been told of.

    Args:
        kernel: what to boot.
        nics: network cards, in PCI order.
        cables: the host's ends of cards with the back ends socket and tap, by the card's index; the VM closes them with
            itself. A card that has none here gets a new `Wire` or `Tap`.
        memory: MiB; 256 where None, and 768 for a kernel with KASAN.
        cpus: virtual CPUs. Two boot faster than one under TCG.
        image: a disk image to start from, instead of an initramfs. The cards of `nics` are then followed by one for
            ssh; no module is loaded by itself.
        ssh_port: port on 127.0.0.1 for ssh into the image; one that is free where 0.
        rootfs: the initramfs; the default one, with `modules` and `files`, where None.
        modules: the kernel's own modules to have in the default rootfs, ready for `modprobe`.
        files: more files for the default rootfs: absolute guest path to source.
        accel: `kvm` or `tcg`; decided by trial where None (see `r4l.vm.accel`).
        append: added to the kernel command line; later words win.
        fast: boot by PVH without KASLR and crypto self-tests; False boots the bzImage as it comes.
        workdir: folder for console.log, qmp.log, qemu.log and nicN.pcap. A new one under the home where None, which is
            removed on a clean exit.
        silence: seconds without a sign of life after which a boot has failed; with an image, more where None.
        boot_timeout: seconds after which it has failed in any case; likewise.
        devices: more devices, after the cards on the PCI bus: as QEMU's `-device` takes them (`edu`, `nvme,serial=1`,
            or JSON), or written in Python (`r4l.pci`): a class, an instance, or `FILE.py:CLASS`. A machine that
            starts from a snapshot gets the latter after that, by hot plug.
        shares: folders of the host's, mounted in the guest after its boot, or after it was restored.
        extra: further arguments for QEMU.
        snapshot: boot such a machine once and start from its state from then on: its console then has no boot in it.
            Where None, this is done for kernels that boot slowly (KASAN, kmemleak), without `devices` or `extra`: QEMU
            has devices (such as `edu`) whose state it does not save, and does not say so. A state that cannot be kept
            or is of no use is said in the log; the machine boots then.
        prepare: called with the machine and each of `prepare_with` after its boot, and before its state is kept: what
            it did is there in every machine that starts from the state. All that it depends on makes the state's key:
            code, defaults, closures, a bound object, the functions that it calls, the host's files that it read, the
            modules. A function whose dependencies cannot be told is refused (UsageError).
        prepare_with: the modules that `prepare` loads.
    """

    def __init__(
        self,
        kernel: Kernel,
        *,
        nics: Sequence[Nic] = (),
        cables: Mapping[int, Cable] | None = None,
        memory: int | None = None,
        cpus: int = 2,
        image: DiskImage | None = None,
        ssh_port: int = 0,
        rootfs: Rootfs | None = None,
        modules: Sequence[str] = (),
        files: Mapping[str, Source] | None = None,
        accel: Accel | None = None,
        append: str = "",
        fast: bool = True,
        workdir: Path | None = None,
        silence: float | None = None,
        boot_timeout: float | None = None,
        devices: Sequence[str | DeviceLike] = (),
        shares: Sequence[Share] = (),
        extra: Sequence[str] = (),
        snapshot: bool | None = None,
        prepare: Callable[..., object] | None = None,
        prepare_with: Sequence[HasPath] = (),
    ) -> None:
        if rootfs is not None and (modules or files):
            raise UsageError("a rootfs of your own and modules or files for the default one exclude each other")
        if image is not None and (rootfs is not None or files):
            raise UsageError("a disk image and a rootfs, or files for one, exclude each other", "use `put` after boot")
        if image is not None and snapshot:
            raise UsageError("a VM with a disk image cannot start from a snapshot, which holds no disk", "ask for none")
        specs, self.devices = split(devices)
        needed = modules_for(kernel, shares)
        self.kernel = kernel
        self.image = image
        self._parts = images.parts(kernel, image, modules, ssh_port) if image else None
        if self._parts:
            self.rootfs = self._parts.rootfs
            nics = (*nics, self._parts.management)
            append = f"{self._parts.append} {append}"
        else:
            modules = (*modules, *(name for name in needed if name not in modules))
            self.rootfs = rootfs or Rootfs.build(kernel, modules=modules, files=files)
        self.accel = accelerators.choose(kernel, accel)
        slow = snapshots.is_slow(kernel)
        self.machine = Machine(
            kernel=kernel.vmlinux if fast else kernel.image,
            initrd=self.rootfs.path,
            append=kernel_line(kernel.arch, append, fast=fast),
            arch=kernel.arch,
            memory=memory or (768 if slow else 256),
            cpus=cpus,
            accel=self.accel.name,
            nics=cabling.isolated(nics),
            drives=self._parts.drives if self._parts else (),
            agent=self.rootfs.agent,
            shared_memory=bool(self.devices),
            shares=tuple(shares),
            extra=(*(word for spec in specs for word in ("-device", spec)), *extra),
        )
        self._given_cables = dict(cables or {})
        cabling.check(self.machine.nics, self._given_cables)
        usual = images.PATIENCE if image else boot.Patience()
        factors = (6, 2) if slow else (1, 1)
        self._patience = boot.Patience(
            (silence or usual.silence) * factors[0], (boot_timeout or usual.total) * factors[1]
        )
        self.sources = loading.sources(kernel)
        unfit = not self.rootfs.agent or image is not None or self.machine.extra
        self._from_snapshot = slow and not unfit if snapshot is None else snapshot
        self._preparation = Preparation(prepare, prepare_with)
        if self._from_snapshot:
            # Refused here, where the caller's line is in the traceback. A closure may hold something else by the start.
            _ = self._preparation.key
        self._to_mount = self.machine.shares
        self._own_workdir = workdir is None
        self._wanted_workdir = workdir
        self._guard = threading.Lock()
        self._oops = OopsTimer(self._after_oops)
        self._closing = False
        self._mute = self._paused = self._halted = False
        self._mark_timeout = 5.0
        self._judged = 0
        self._ended_by: R4LError | None = None
        self._started = threading.Event()
        self.shutdown_reason: str | None = None
        self.begun = 0.0
        self.boot_seconds: float | None = None
        self.restored = False

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            if name == "ssh" and self._started.is_set() and self.image is None:
                raise UsageError("there is no sshd in an initramfs", "start the VM from an image: VM(…, image=…)")
            if name in ("workdir", "klog", "guest", "ssh", "cables", "_qemu", "_link", "_bound", "_plugs"):
                raise UsageError("the VM has not been started", "use it in a `with` statement, or call start()")
            raise AttributeError(name)

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> VM:
        """Boot, and wait for the agent (without one in the rootfs: for nothing).

        Raises:
            BootError: one of `r4l.vm.errors`, by what went wrong, with the console's end.
            EnvironmentFault: QEMU is missing.
        """
        if self._started.is_set():
            raise UsageError("a VM can be started once", "make another one")
        self.workdir = workdirs.make(self._wanted_workdir)
        self.begun = begun = time.monotonic()
        try:
            try:
                self._begin()
            except BootError as error:
                # Cables that were given were plugged in, and are gone with the machine that was.
                if self._given_cables or not self._worth_another_boot(error):
                    raise
                LOG.warning("%s; the machine boots anew", error.cause)
                self._end()
                self._started.clear()
                self._ended_by = None
                self._begin()
            if self.rootfs.agent:
                self.boot_seconds = time.monotonic() - begun
            if not self.restored:
                self._preparation(self)
            mount(self, self._to_mount)
            if self.image:
                usernet = self.qmp("human-monitor-command", command_line="info usernet")
                tools = self.kernel.toolchain.extended("image")
                self.ssh = Ssh.open(forwarded_port(usernet), self.image.keys, self.workdir, tools)
        except BaseException:
            if self._started.is_set():
                self._shut(keep=True)
            elif self._own_workdir:
                workdirs.remove(self.workdir)
            raise
        return self

    def _begin(self) -> None:
        """Boot, or go on from the state that was kept."""
        self.klog = KernelLog(self.workdir / "console.log", self._sync_mark, self.sources)
        state = None
        if self._from_snapshot:
            state = snapshots.ensure(self.machine, self.kernel, self._twin(), self._preparation)
        self.cables = cabling.lay(self.machine.nics, self._given_cables, self.workdir)
        with contextlib.ExitStack() as undo:
            undo.callback(cabling.close, self.cables.values())
            self._plugs = Plugs(self.devices, self.workdir)
            undo.callback(self._plugs.close)
            self._qemu = self._launch(state)
            undo.pop_all()
        self._bound = CaptureBound(self._qemu.monitor, self._qemu.captures)
        self._link = Link(self._qemu.agent_socket.ours)
        self.guest = Guest(self._link, self._context)
        self._started.set()
        if state:
            snapshots.resume(state, self._qemu, self._link)
            self.restored = True
            for path in self._preparation.modules:
                self.sources.add(path)
            for device in self.devices:
                self.plug(device)
        elif self.rootfs.agent:
            try:
                boot.wait_for_agent(self._link, self._qemu, self.klog, self._patience)
            except (NoOutput, NoAgent) as error:
                error.starved = starved(self.pid, self.begun)
                raise
            if self.devices:
                self._plugs.locate(self._qemu.monitor)

    def _worth_another_boot(self, error: BootError) -> bool:
        """Whether it failed for a reason that the next boot will not have."""
        stray = self.machine.accel == "tcg" and any(splat.stray_breakpoint for splat in self.klog.complaints())
        return stray or isinstance(error, snapshots.Useless)

    def _end(self) -> None:
        self._bound.close()
        # QEMU first: with the agent's socket closed under it, it would complain in its log.
        self._qemu.end()
        self._link.close()
        self._qemu.close()
        self._plugs.close()
        cabling.close(self.cables.values())

    def _twin(self) -> VM:
        """The same machine, to be booted and not restored."""
        twin = copy.copy(self)
        twin._from_snapshot, twin._wanted_workdir, twin._own_workdir = False, None, True
        twin._preparation, twin._oops = Preparation(None), OopsTimer(twin._after_oops)
        twin._ended_by = None
        # QEMU keeps no state of a machine with a mounted share.
        twin._to_mount = ()
        twin._guard, twin._started = threading.Lock(), threading.Event()
        # A cable has one end in one VM. What is at its other end is no part of the state.
        twin._given_cables = {}
        twin.devices = []
        return twin

    def _launch(self, state: Path | None) -> Qemu:
        return Qemu(
            self.machine,
            self.kernel.toolchain,
            self.workdir,
            cables=self.cables,
            devices=[] if state else self._plugs.arguments(),
            state=state,
            on_line=self._on_line,
            on_event=self._on_event,
            on_exit=self._on_exit,
        )

    def __enter__(self) -> VM:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        if kind is not None:
            # The verdict is known, and the guest may be of no more use.
            self._shut(keep=True)
            return
        self.close()
        if untold := self.untold():
            raise untold

    def close(self, *, keep: bool = False) -> None:
        """End the machine, however it is.

        Args:
            keep: leave the work folder, for a run that has failed. Otherwise one of ours goes with the machine, unless
                there is something `untold`.
        """
        self._drain()
        self._shut(keep=keep)

    def _shut(self, *, keep: bool) -> None:
        with self._guard:
            if self._closing or not self._started.is_set():
                return
            self._closing = True
            self._oops.close()
        self._end()
        self.klog.finish()
        if keep or not self._own_workdir:
            self._plugs.save_traces()
        if self._own_workdir and not keep and not self.untold():
            workdirs.remove(self.workdir)
        elif self._own_workdir:
            workdirs.leave(self.workdir)

    # -- the verdict on its end ---------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise the first complaint in the kernel's log, up to its last line, whether the machine runs or has ended.

        Raises:
            Splat: the kernel complained, and that is not allowed (`klog.allow`).
            MachineReset: the machine was reset though its kernel did not restart it.
            QemuDied: QEMU was killed, or failed; not raised again where it was raised before.
            R4LError: the machine runs, and its guest does not answer.
        """
        for problem in self.model_errors():
            raise problem
        if self.running and not self._halted:
            try:
                self.klog.check()
                self._judged = self._link.last
                return
            except Splat:
                raise
            except R4LError as error:
                self._mute = isinstance(error, GuestTimeout)
                if self.running and not self._halted:
                    raise
        if not self._halted:
            # What is left of its log is on the way.
            self._qemu.wait(None)
        for splat in self.klog.splats(settle=True):
            raise splat
        if untold := self.untold():
            raise untold

    def untold(self) -> R4LError | None:
        """What is wrong with the machine's log or its end, and was neither raised nor handed out; None where all is."""
        for problem in self.model_errors():
            return problem
        splat = self.klog.untold()
        end = self._ended_by
        # A panic stands in the log, and there it may be allowed.
        lost = isinstance(end, QemuDied | MachineReset) and end.__traceback__ is None
        return splat or (end if lost else None)

    def model_errors(self) -> list[ModelError]:
        """What the devices' models raised, or did not do in time, and nobody has been told of yet."""
        return [error for device in self.devices for error in device.errors if error.__traceback__ is None]

    def _drain(self) -> None:
        """Have all that the guest has logged arrive before QEMU is ended; a guest that does not answer logs no more."""
        if self._closing or not self._started.is_set() or self._mute or self._paused:
            return
        if not self.running or not self._link.connected:
            return
        if self._judged == self._link.last:
            # Nothing has been asked of the guest since its log was read.
            return
        self._mark_timeout = DRAIN
        with contextlib.suppress(R4LError):
            self.klog.sync(DRAIN)

    @property
    def running(self) -> bool:
        """Whether QEMU runs."""
        return self._qemu.running

    @property
    def pid(self) -> int:
        """Process id on the host; killing it kills the VM."""
        return self._qemu.pid

    def wait(self, timeout: float | None = 30.0) -> int:
        """Wait until QEMU has ended by itself; returns its exit code.

        Raises:
            GuestTimeout: it has not within `timeout` seconds.
        """
        code = self._qemu.wait(timeout)
        if code is None:
            raise GuestTimeout(f"the VM still runs after {timeout:g} s", detail=self._context())
        return code

    def poweroff(self, timeout: float = 30.0) -> int:
        """Have the guest power itself off; returns QEMU's exit code (0 when all is well)."""
        self.guest.popen(["poweroff"])
        return self.wait(timeout)

    def halt(self, timeout: float = 30.0) -> None:
        """Have the guest halt. QEMU goes on running a machine that does nothing; `close` ends it."""
        since = self.klog.mark()
        self.guest.popen(["halt"])
        self.klog.wait_for(HALTED.pattern, timeout, since)

    # -- what happens meanwhile ---------------------------------------------------------------------------------

    def _on_line(self, line: str) -> None:
        records = self.klog.feed(line)
        if self._started.is_set() and any(HALTED.match(record.text) for record in records):
            self._halted = True
            self._link.fail(
                GuestGone("the guest has halted (reboot: System halted), and does nothing any more", log=self.klog.file)
            )
        if self.klog.dying:
            self._oops.begin(self._link.waiting() if self._started.is_set() else frozenset())

    def _after_oops(self, waiting: frozenset[int]) -> None:
        fatal = [splat for splat in self.klog.complaints() if splat.fatal]
        if fatal:
            self._link.interrupt(fatal[-1], waiting)
        elif self.klog.begun:
            self._oops.begin(waiting)

    def _on_event(self, event: Event) -> None:
        self._plugs.on_event(event)
        if event["event"] == "SHUTDOWN":
            self.shutdown_reason = event["data"]["reason"]
        elif event["event"] in ("STOP", "RESUME"):
            self._paused = event["event"] == "STOP"
        elif event["event"] == "BLOCK_IO_ERROR" and event["data"].get("nospace"):
            # QEMU has stopped the guest: whoever waits for it would do so until the time-out.
            self._started.wait(5)
            self._link.fail(images.disk_full(self.workdir))

    def _on_exit(self, code: int) -> None:
        # QEMU can be dead before its constructor has returned here.
        self._started.wait(5)
        self.klog.finish()
        booted = self._link.agent_pid != 0
        why = boot.why_it_ended(code, self.shutdown_reason, self._qemu, self.klog, booted=booted)
        if not self._closing:
            self._ended_by = why
        self._link.fail(why)

    def _sync_mark(self, text: str) -> bool:
        if not self._link.connected:
            return False
        self.guest.mark(f"<7>{text}", self._mark_timeout)
        return True

    def _context(self) -> str:
        said = f"end of the console:\n{self._qemu.console.tail()}"
        complaints = [splat.headline for splat in self.klog.complaints()]
        if complaints:
            said = f"the kernel complained {len(complaints)} times, last: {complaints[-1]}\n{said}"
        return said

    # -- commands and files -------------------------------------------------------------------------------------

    def run(
        self, command: str | Sequence[str], *, timeout: float | None = 60.0, check: bool = False, **rest: Any
    ) -> Completed:
        """Run a command to its end: see `Guest.run`.

        Raises:
            Splat: the kernel oopsed or panicked meanwhile; or the command did not end in time, and the kernel says
                what hangs (a lockup, an RCU stall, a task that is blocked, a deadlock).
        """
        seen = self.klog.splat_count
        try:
            done = self.guest.run(command, timeout=timeout, check=False, **rest)
        except GuestTimeout as late:
            if why := self._why_it_hangs(seen):
                raise why from late
            raise
        if done.signal is not None or self.klog.begun or self.klog.splat_count > seen:
            self._raise_oops(seen)
        return done.checked() if check else done

    def _why_it_hangs(self, seen: int) -> Splat | None:
        """The complaint, since there were `seen`, that tells why a command does not end."""
        found = self.klog.complaints(seen, settle=True)
        return next((splat for kind in HANGS for splat in found if splat.splat_kind == kind), None)

    def _raise_oops(self, seen: int) -> None:
        """Raise what the kernel died of, if it did, since there were `seen` splats."""
        self.klog.sync()
        for splat in self.klog.complaints(seen, settle=True):
            if splat.fatal:
                raise splat

    def popen(self, command: str | Sequence[str], **rest: Any) -> GuestProcess:
        """Start a command: see `Guest.popen`."""
        return self.guest.popen(command, **rest)

    def put(self, source: Path | str | bytes, target: str, mode: int | None = None) -> None:
        """Send a file to the guest: see `Guest.put`."""
        self.guest.put(source, target, mode)

    def get(self, source: str, target: Path | str) -> Path:
        """Fetch a file from the guest: see `Guest.get`."""
        return self.guest.get(source, target)

    def shell(self) -> int:
        """A shell in the guest on the user's terminal, until it exits; returns its exit code."""
        return interactive(self.guest, *([self._parts.shell] if self._parts else []))

    def insmod(self, module: object, **parameters: object) -> None:
        """Load a module: a path, or what `Module.build` returned.

        Raises:
            ModuleRefused: the guest's kernel does not take it; holds what the kernel said.
            Splat: the kernel oopsed over it.
        """
        loading.insmod(self, module, parameters)

    def rmmod(self, name: str) -> None:
        """Unload a module. Raises as `insmod` does."""
        loading.rmmod(self, name)

    # -- the machine --------------------------------------------------------------------------------------------

    def qmp(self, command: str, **arguments: object) -> Any:
        """Run a QMP command of QEMU's; underscores in argument names stand for dashes."""
        return self._qemu.monitor.execute(command, {name.replace("_", "-"): value for name, value in arguments.items()})

    @property
    def command_line(self) -> str:
        """QEMU's command line for a person's shell (see `machine.pasteable`)."""
        return pasteable(self.machine, self.kernel.toolchain)

    def link(self, nic: int, *, up: bool) -> None:
        """Plug or unplug the cable of card number `nic`."""
        if not 0 <= nic < len(self.machine.nics):
            raise UsageError(f"the VM has no network card {nic}", f"it has {len(self.machine.nics)}")
        self.qmp("set_link", name=f"nic{nic}", up=up)

    def plug(self, device: Device) -> None:
        """Plug a device written in Python into the machine, and wait until the guest has it.

        Args:
            device: one that was unplugged, or a new one.

        Raises:
            UsageError: the machine was made without `devices`, or the device is in another one.
            ModelError: QEMU cannot make use of it.
            GuestTimeout: the guest does not take note of it.
        """
        if not self.machine.shared_memory:
            raise UsageError("this machine takes no devices in Python", "make it with devices=[…]")
        self._plugs.plug(device, self._qemu.monitor)
        if device not in self.devices:
            self.devices.append(device)
        if self.rootfs.agent:
            place = f"/sys/bus/pci/devices/{device.address}"
            self.guest.run(f"until test -e {place}/config; do usleep 5000; done", timeout=WAIT, check=True)

    def unplug(self, device: Device, *, surprise: bool = False, timeout: float = WAIT) -> None:
        """Take a device written in Python out of the machine, and wait until the guest's driver has let it go.

        Args:
            surprise: it is gone before the driver hears of it, which then reads all ones.

        Raises:
            UsageError: it is not plugged in.
            GuestTimeout: the guest does not let it go.
        """
        if surprise:
            device.pull()
        self._plugs.unplug(device, self._qemu.monitor, timeout)

    @property
    def wires(self) -> Mapping[int, Wire]:
        """For each card whose cable ends in this process, by its index, that end."""
        return {index: cable for index, cable in self.cables.items() if isinstance(cable, Wire)}

    @property
    def captures(self) -> Mapping[int, Path]:
        """For each card with a capture, the pcap file that QEMU writes."""
        return self._qemu.captures

    @property
    def floods(self) -> list[str]:
        """What of this run was not kept because the guest wrote too much of it, a clause each."""
        said = []
        if self._qemu.console.received > LOG_LIMIT:
            said.append(f"the guest wrote more than {LOG_LIMIT >> 20} MiB to its console, and the rest is not kept")
        if self.klog.lost:
            said.append("the guest logged more than is kept in memory, and its first lines are not looked at")
        full = self._bound.full | {index for index, wire in self.wires.items() if wire.uncaptured}
        for index in sorted(full):
            said.append(f"card {index} carried more than {LARGEST >> 20} MiB, and the rest is not captured")
        return said

    @property
    def console(self) -> Console:
        """The console, for what speaks to it directly."""
        return self._qemu.console

    def __repr__(self) -> str:
        state = repr(self._qemu) if self._started.is_set() else "not started"
        return f"<VM {self.kernel.release} {state}>"
