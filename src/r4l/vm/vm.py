# SPDX-License-Identifier: MIT
"""A virtual machine: boots a kernel with an initramfs, serves commands, and ends with its owner."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from r4l.errors import BootError, GuestTimeout, R4LError, UsageError
from r4l.guest import Completed, Guest, GuestProcess
from r4l.guest.shell import SHELL, interactive
from r4l.kernel import Kernel
from r4l.klog import KernelLog, Splat
from r4l.net import Cable, Nic, Wire
from r4l.pci import Device, ModelError, NetworkCard
from r4l.rootfs import Rootfs, Source
from r4l.rootfs.disk import DiskImage
from r4l.vm import commands, floods, loading, workdirs
from r4l.vm import snapshot as snapshots
from r4l.vm.assembly import Assembly, assemble
from r4l.vm.blame import RunTime
from r4l.vm.console import SerialConsole
from r4l.vm.devices import WAIT, DeviceLike, require_hotplug, unreported, wait_for_device
from r4l.vm.from_start import from_start, not_started
from r4l.vm.last_words import HALTED
from r4l.vm.loading import HasPath
from r4l.vm.machine import Accel, pasteable
from r4l.vm.running import RunningMachine
from r4l.vm.share import Share, mount
from r4l.vm.ssh import Ssh, forwarded_port

LOG = logging.getLogger(__name__)


class VM:
    """A virtual machine. As a context manager it boots on entry and is gone on exit.

    The kernel's log is checked to its last line: `check` raises the kernel's first complaint, whether the machine runs
    or has ended, and leaving a `with` statement raises the first unreported one.

    Args:
        kernel: kernel to boot.
        nics: network cards, in PCI order.
        cables: the host's ends of cards with the back ends socket and tap, by the card's index; the VM closes them at
            its end. Other cards get a new `Wire` or `Tap`.
        memory: MiB; None for 256, or 768 for a kernel with KASAN; more for more than 64 CPUs.
        cpus: virtual CPUs. Two boot faster than one under TCG.
        image: disk image to start from, instead of an initramfs. A card for ssh then follows those of `nics`; no module
            is loaded automatically.
        ssh_port: port on 127.0.0.1 for ssh into the image; 0 for any free one.
        rootfs: the initramfs; None for the default one, with `modules` and `files`.
        modules: the kernel's own modules in the default rootfs, ready for `modprobe`.
        files: more files for the default rootfs: absolute guest path to source.
        accel: `kvm` or `tcg`; None to decide by trial (see `r4l.vm.accel`).
        append: added to the kernel command line; later words win.
        fast: boot by PVH without KASLR and crypto self-tests; False boots the unmodified bzImage.
        workdir: folder for console.log, qmp.log, qemu.log and nicN.pcap; None for a new one in the home, which is
            removed on a clean exit.
        silence: seconds without output after which a boot has failed; the default is longer with an image.
        boot_timeout: seconds after which a boot has failed in any case; the default is longer with an image.
        devices: more devices, after the cards on the PCI bus: as arguments of QEMU's `-device` (`edu`, `nvme,serial=1`,
            or JSON), or written in Python (`r4l.pci`): a class, an instance, or `FILE.py:CLASS`. A machine restored
            from a snapshot gets the latter by hot plug.
        shares: folders of the host, mounted in the guest after its boot or restore.
        icount: the guest's clock counts instructions instead of time (`Machine.icount`). Ten times slower.
        extra: further arguments for QEMU.
        snapshot: boot such a machine once and start from its state from then on; its console then has no boot. None
            does so for kernels that boot slowly (KASAN, kmemleak), without `devices` or `extra`: QEMU silently does not
            save the state of some devices (such as `edu`). If a state cannot be saved or used, that is logged and the
            machine boots. "as booted": start from the state that an equal machine has left behind after its boot, and
            otherwise boot and leave one; the machine has the boot's log, the present time and random numbers of its
            own. Machines with an image, `devices`, `extra`, `cables` or `prepare` boot.
        prepare: called with the machine and each of `prepare_with` after its boot, before its state is saved; its
            effects are present in every machine started from the state. The state's key contains all its dependencies:
            code, defaults, closures, a bound object, functions that it calls, files of the host that it read, the
            modules. A function whose dependencies cannot be determined is refused (UsageError).
        prepare_with: modules that `prepare` loads.
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
        icount: bool = False,
        extra: Sequence[str] = (),
        snapshot: snapshots.Snapshot = None,
        prepare: Callable[..., object] | None = None,
        prepare_with: Sequence[HasPath] = (),
    ) -> None:
        assembly = assemble(
            kernel,
            nics=nics,
            cables=cables,
            memory=memory,
            cpus=cpus,
            image=image,
            ssh_port=ssh_port,
            rootfs=rootfs,
            modules=modules,
            files=files,
            accel=accel,
            append=append,
            fast=fast,
            silence=silence,
            boot_timeout=boot_timeout,
            devices=devices,
            shares=shares,
            icount=icount,
            extra=extra,
            snapshot=snapshot,
            prepare=prepare,
            prepare_with=prepare_with,
        )
        self._take(assembly, workdir)

    def _take(self, assembly: Assembly, workdir: Path | None) -> None:
        self.kernel: Kernel = assembly.kernel
        self.image: DiskImage | None = assembly.image
        self.rootfs: Rootfs = assembly.rootfs
        self.accel = assembly.accel
        self.machine = assembly.machine
        self.sources = assembly.sources
        self.devices = list(assembly.devices)
        self.cards: Mapping[int, NetworkCard] = assembly.cards
        self._assembly = assembly
        self._wanted_workdir = workdir
        self._launched = False
        self._ssh: Ssh | None = None
        self.begun = 0.0
        self.needed: set[str] = set()
        self.boot_seconds: float | None = None
        self.restored = False
        self.saved: float | None = None

    workdir: Path = from_start()
    klog: KernelLog = from_start()
    guest: Guest = from_start()
    cables: Mapping[int, Cable] = from_start()
    _run: RunningMachine = from_start()

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> VM:
        """Boot, and wait for the agent; without an agent in the rootfs, return at once.

        Raises:
            BootError: one of `r4l.vm.errors`, by the kind of failure, with the console's end.
            EnvironmentFault: QEMU is missing.
            ModelError: the model of a device has raised, or hangs, and the machine did not start.
        """
        if self._launched:
            raise UsageError("a VM can be started once", "make another one")
        self.workdir = workdirs.make(self._wanted_workdir)
        self.begun = begun = time.monotonic()
        try:
            try:
                self._begin()
            except BootError as error:
                # Given cables were plugged into the failed machine and cannot be used again.
                if self._assembly.cables or not self._launched or not self._run.worth_another_boot(error):
                    raise
                LOG.warning("%s; the machine boots again", error.cause)
                self._run.close()
                self._launched = False
                workdirs.begin_again(self.workdir)
                self._begin()
            if self.rootfs.agent:
                self.boot_seconds = time.monotonic() - begun
            if not self.restored:
                self._assembly.preparation(self)
            mount(self, self._assembly.shares)
            if self.image:
                usernet = self.qmp("human-monitor-command", command_line="info usernet")
                tools = self.kernel.toolchain.extended("image")
                self._ssh = Ssh.open(forwarded_port(usernet), self.image.keys, self.workdir, tools)
        except BaseException as error:
            if self._launched:
                self._shut(keep=True)
            elif self._wanted_workdir is None:
                workdirs.remove(self.workdir)
            if isinstance(error, Exception):
                for problem in self.model_errors():
                    # The guest does not notice a device whose model has hung or raised at its plug.
                    problem.add_note(f"After that the machine did not start: {error}")
                    raise problem  # noqa: B904 (its cause is what the model raised)
            raise
        return self

    def _begin(self) -> None:
        """Boot, or continue from the saved state."""
        assembly = self._assembly
        run = RunningMachine(self.machine, self.kernel.toolchain, self.workdir, self.sources, self.devices, self.cards)
        self.klog = run.klog
        state = place = None
        if assembly.as_booted:
            place = snapshots.place_as_booted(self.machine, self.kernel)
        if assembly.from_snapshot:
            state = snapshots.ensure(self.machine, self.kernel, self._twin(), assembly.preparation)
        elif assembly.as_booted and (state := snapshots.existing(self.machine, self.kernel)):
            run.begin_with(snapshots.boot_log(state))
        try:
            run.launch(assembly.cables, state)
            self._run, self.guest, self.cables, self._launched = run, run.guest, run.cables, True
        except BaseException:
            # Ctrl-C, for one, which may come just before the machine has an owner.
            if not self._launched:
                run.abandon()
            raise
        if state:
            run.resume(state)
            self.restored = True
            for path in assembly.preparation.modules:
                self.sources.add(path)
            for device in (*self.cards.values(), *self.devices):
                self.plug(device)
            if assembly.as_booted:
                self.saved = snapshots.boot_log(state).stat().st_mtime
                self.guest.wake()
        elif self.rootfs.agent:
            run.boot(assembly.patience)
            if place:
                snapshots.keep(self, self.machine, self.kernel, place)

    def _twin(self) -> VM:
        """Return the same machine, to be booted and not restored."""
        twin = VM.__new__(VM)
        twin._take(replace(self._assembly.booted(), machine=self.machine), None)
        return twin

    def __enter__(self) -> VM:
        return self.start()

    def __exit__(self, exc_type: type[BaseException] | None, error: BaseException | None, *_rest: object) -> None:
        if error is not None:
            # An exception is under way, and the guest may no longer answer.
            self._shut(keep=True)
            for problem in self.model_errors():
                # The exception may come of it, and keeps its type for those who handle it.
                error.add_note(f"Before that, {problem.cause}\n{problem.detail}".rstrip())
            return
        self.close()
        if untold := self.untold():
            raise untold

    def close(self, *, keep: bool = False, evidence: bool = True) -> None:
        """End the machine in any state.

        Args:
            keep: keep the work folder, for a failed run. Otherwise a folder made by r4l is removed, unless there is
                something `untold`.
            evidence: write the traces of devices in Python into a work folder that stays. `save_traces` does it
                later, for a caller who does not know yet whether the run has failed.
        """
        if self._launched:
            self._run.drain()
        self._shut(keep=keep, evidence=evidence)

    def save_traces(self) -> None:
        """Write the trace of each device in Python into the work folder: as text (`pci0.trace`), and as a recording
        (`pci0.json`) for `r4l scope --from`. What cannot be written is logged as a warning."""
        if self._launched:
            self._run.plugs.save_traces()

    def _shut(self, *, keep: bool, evidence: bool = True) -> None:
        if not self._launched or not self._run.close():
            return
        if keep or (evidence and self._wanted_workdir is not None):
            self.save_traces()
        if self._wanted_workdir is not None:
            return
        if keep or self.untold():
            workdirs.leave(self.workdir)
        else:
            workdirs.remove(self.workdir)

    # -- the verdict on its end ---------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise the first complaint in the kernel's log, up to its last line, whether the machine runs or has ended.

        Raises:
            Splat: the kernel complained, and the complaint is not allowed (`klog.allow`).
            MachineReset: the machine was reset without its kernel restarting it.
            QemuDied: QEMU was killed, or failed; not raised again if it was raised before.
            R4LError: the machine runs, and its guest does not answer.
        """
        self._run.check()

    def untold(self) -> R4LError | None:
        """Return the first problem in the machine's log or end that was neither raised nor returned before, or None."""
        return self._run.untold()

    def model_errors(self) -> list[ModelError]:
        """Return errors of the devices' models, or answers that came too late, that were not reported yet."""
        return unreported((*self.cards.values(), *self.devices))

    @property
    def running(self) -> bool:
        """True while QEMU runs."""
        return self._run.running

    @property
    def shutdown_reason(self) -> str | None:
        """Reason of the machine's end from QMP's event SHUTDOWN (`guest-reset`, `guest-shutdown` …); None before."""
        return self._run.shutdown_reason if self._launched else None

    @property
    def ended_by(self) -> R4LError | None:
        """Reason of the machine's end, if it ended by itself: a panic, a reset, QEMU's failure, or a power-off by the
        guest (`GuestGone`). None before."""
        return self._run.ended_by if self._launched else None

    @property
    def pid(self) -> int:
        """Process id on the host; killing it kills the VM."""
        return self._run.qemu.pid

    def wait(self, timeout: float | None = 30.0) -> int:
        """Wait until QEMU has ended by itself; return its exit code.

        Raises:
            GuestGone: the guest has halted, and QEMU goes on.
            GuestTimeout: QEMU still runs after `timeout` seconds.
        """
        code = self._run.wait(timeout)
        if code is None:
            raise GuestTimeout(f"the VM still runs after {timeout:g} s", detail=self._run.context())
        return code

    def poweroff(self, timeout: float = 30.0) -> int:
        """Power off the guest from inside; return QEMU's exit code, 0 on success.

        Raises:
            GuestGone: the kernel cannot power this machine off, and has halted instead.
            GuestTimeout: QEMU still runs after `timeout` seconds.
        """
        self.guest.popen(["poweroff"])
        return self.wait(timeout)

    def halt(self, timeout: float = 30.0) -> None:
        """Halt the guest from inside. QEMU keeps running the stopped machine; `close` ends it."""
        since = self.klog.mark()
        self.guest.popen(["halt"])
        self.klog.wait_for(HALTED.pattern, timeout, since)

    # -- commands and files -------------------------------------------------------------------------------------

    def run(
        self, command: str | Sequence[str], *, timeout: float | None = 60.0, check: bool = False, **rest: Any
    ) -> Completed:
        """Run a command to its end: see `Guest.run`.

        Raises:
            Splat: the kernel oopsed or panicked; or the command did not end in time, and a complaint explains the hang
                (a lockup, an RCU stall, a blocked task, a deadlock).
        """
        return commands.run(self.guest, self.klog, command, timeout=timeout, check=check, **rest)

    def why_it_hangs(self, seen: int) -> Splat | None:
        """Return the complaint, after the first `seen`, that explains why a command does not end, or None.

        Args:
            seen: `klog.splat_count` before the command.
        """
        return commands.why_it_hangs(self.klog, seen)

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
        """Run a shell in the guest on the user's terminal until it exits; return its exit code."""
        return interactive(self.guest, self.shell_command)

    @property
    def shell_command(self) -> tuple[str, ...]:
        """The command of a shell in the guest."""
        return self._assembly.parts.shell if self._assembly.parts else SHELL

    def insmod(self, module: object, **parameters: object) -> None:
        """Load a module: a path, or a result of `Module.build`; before it, the modules of the same folder and of the
        kernel's own that it needs. They stay after an `rmmod` of the module.

        Raises:
            ModuleRefused: the guest's kernel refused it; the error contains the kernel's message.
            Splat: the kernel oopsed.
        """
        loading.insmod(self, module, parameters)

    def rmmod(self, name: str) -> None:
        """Unload a module. Raises the same errors as `insmod`."""
        loading.rmmod(self, name)

    # -- the machine --------------------------------------------------------------------------------------------

    def qmp(self, command: str, **arguments: object) -> Any:
        """Run a QMP command; underscores in argument names stand for dashes."""
        return self._run.qemu.monitor.execute(
            command, {name.replace("_", "-"): value for name, value in arguments.items()}
        )

    @property
    def command_line(self) -> str:
        """QEMU's command line for a person's shell (see `machine.pasteable`)."""
        return pasteable(self.machine, self.kernel.toolchain)

    def link(self, nic: int, *, up: bool) -> None:
        """Connect or disconnect the cable of card number `nic`."""
        if not 0 <= nic < len(self.machine.nics):
            raise UsageError(f"the VM has no network card {nic}", f"it has {len(self.machine.nics)}")
        if nic in self.cards:
            self.cards[nic].set_cable(up)
            return
        self.qmp("set_link", name=f"nic{nic}", up=up)

    def plug(self, device: Device) -> None:
        """Plug a device written in Python into the machine, and wait until the guest has it.

        Args:
            device: one that was unplugged, or a new one.

        Raises:
            UsageError: the machine was made without `devices` or takes none while it runs, or the device is in another
                one.
            ModelError: QEMU refuses the device.
            GuestTimeout: the guest does not notice it.
        """
        if not self.machine.shared_memory:
            raise UsageError("this machine has no devices in Python", "make it with devices=[…]")
        require_hotplug(self.kernel)
        self._run.plugs.plug(device, self._run.qemu.monitor)
        if device not in self.devices and device not in self.cards.values():
            self.devices.append(device)
        if self.rootfs.agent:
            wait_for_device(self.guest, device, self._guest_clock())

    def unplug(self, device: Device, *, surprise: bool = False, timeout: float = WAIT) -> None:
        """Unplug a device written in Python, and wait until the guest's driver has released it.

        Args:
            surprise: remove the device before the driver is informed; it then reads all ones.

        Raises:
            UsageError: the device is not plugged in, or the machine releases none while it runs.
            GuestTimeout: the guest does not release it.
        """
        require_hotplug(self.kernel)
        if surprise:
            device.pull()
        self._run.plugs.unplug(device, self._run.qemu.monitor, timeout, self._guest_clock())

    def _guest_clock(self) -> Callable[[], float]:
        """Return a clock that stands while the guest has no processor of the host: it notices no device then."""
        return RunTime(self.pid, ours=True).now

    @property
    def ssh(self) -> Ssh:
        """Access to the image's sshd.

        Raises:
            UsageError: the VM has no image, or has not been started.
        """
        if self._ssh is None and self.image is None and self._launched:
            raise UsageError("there is no sshd in an initramfs", "start the VM from an image: VM(…, image=…)")
        if self._ssh is None:
            raise not_started()
        return self._ssh

    @property
    def wires(self) -> Mapping[int, Wire]:
        """Ends of the cables that this process holds, by the card's index."""
        return {index: cable for index, cable in self.cables.items() if isinstance(cable, Wire)}

    @property
    def captures(self) -> Mapping[int, Path]:
        """The pcap file that QEMU writes for each card with a capture."""
        return self._run.qemu.captures

    @property
    def floods(self) -> list[str]:
        """Descriptions, as clauses, of output that was dropped because the guest wrote too much.

        If the kernel dropped messages of its log, `check` raises that, too.
        """
        return floods.described(self._run, self.wires)

    @property
    def console(self) -> SerialConsole:
        """The console, for direct access."""
        return self._run.qemu.console

    def __repr__(self) -> str:
        state = repr(self._run.qemu) if self._launched else "not started"
        return f"<VM {self.kernel.release} {state}>"
