# SPDX-License-Identifier: MIT
"""Devices in Python on a VM's PCI bus: a server for each, and their description for QEMU.

The server's socket is in the run's folder, which is QEMU's current folder and writable for it. QEMU does not save the
state of such a device, so no saved state contains one; devices are plugged in after a restore.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from r4l.arch import architecture
from r4l.errors import BootError, GuestTimeout, UsageError
from r4l.guest import Guest
from r4l.kernel import Kernel
from r4l.pci import Device, ModelError, Server
from r4l.pci.connection import QEMU_WAITS
from r4l.pci.load import in_python, model_class
from r4l.pci.recording import of_trace
from r4l.vm.qmp import Event, Monitor

LOG = logging.getLogger(__name__)
DeviceLike = Device | Callable[[], Device]
"""A device, or a class that makes one."""
WAIT = 30.0
"""Seconds within which a guest must notice a device."""
LOOK = 0.5
"""Seconds of wall clock between two looks at a clock that may stand."""


def fixed(kernel: Kernel) -> str:
    """Return why a machine takes and releases no PCI device while it runs; empty if it does."""
    option = architecture(kernel.arch).hotplug
    if not option:
        return f"QEMU's machine for {kernel.arch} takes and releases no device while it runs"
    # A kernel without its configuration is assumed to have the option.
    if kernel.config and kernel.config.get(option) != "y":
        return f"the kernel {kernel.release} takes and releases no device while it runs ({option} is not set)"
    return ""


def require_hotplug(kernel: Kernel) -> None:
    """Raise UsageError if a machine takes and releases no PCI device while it runs."""
    if why := fixed(kernel):
        raise UsageError(why, "give the device when the machine is made, or use another kernel")


def wait_for_device(guest: Guest, device: Device, clock: Callable[[], float]) -> None:
    """Wait until the guest's kernel has found a device that was plugged in.

    Args:
        clock: of the seconds that the guest has; one that stands at times gives it more time.

    Raises:
        GuestTimeout: the kernel does not notice it.
    """
    place = f"/sys/bus/pci/devices/{device.address}"
    guest.run(f"until test -e {place}/config; do usleep 5000; done", timeout=WAIT, check=True, clock=clock)


class Plugs:
    """The devices of one run of a VM.

    Args:
        devices: in the order of plugging.
        workdir: folder for their sockets.
    """

    def __init__(self, devices: Sequence[Device], workdir: Path) -> None:
        self.devices: list[Device] = []
        self._workdir = workdir
        self._servers: list[Server] = []
        self._deleted: dict[str, threading.Event] = {}
        try:
            for device in devices:
                self._serve(device)
        except BaseException:
            self.close()
            raise

    def _serve(self, device: Device) -> None:
        self._servers.append(Server(device, self._workdir / socket_name(len(self._servers))))
        self.devices.append(device)

    def arguments(self) -> list[Mapping[str, Any]]:
        """Return the arguments of `-device` or `device_add` for each device."""
        return [qemu_device(index) for index in range(len(self.devices))]

    def find(self, device: Device) -> int:
        """Return the number of a device; a new one is served from now on.

        Raises:
            UsageError: the device belongs to another VM.
        """
        if device not in self.devices:
            if device.address:
                raise UsageError(f"{device!r} is plugged into another machine", "make one for each")
            self._serve(device)
        return self.devices.index(device)

    def plug(self, device: Device, monitor: Monitor) -> None:
        """Plug a device into a running machine.

        Raises:
            UsageError: the device is plugged in already.
            ModelError: QEMU refuses the device.
        """
        index = self.find(device)
        if device.address:
            raise UsageError(f"{device!r} is plugged in already")
        try:
            monitor.execute("device_add", qemu_device(index), WAIT)
        except BootError as error:
            raise ModelError(f"{device!r} cannot be plugged in: {error.cause}") from error
        self.locate(monitor)

    def locate(self, monitor: Monitor) -> None:
        """Record the bus address of each device."""
        for bus in monitor.execute("query-pci"):
            for found in bus["devices"]:
                name = found.get("qdev_id", "")
                for index, device in enumerate(self.devices):
                    if name == qemu_id(index):
                        device.address = f"0000:{found['bus']:02x}:{found['slot']:02x}.{found['function']}"

    def unplug(self, device: Device, monitor: Monitor, timeout: float, clock: Callable[[], float]) -> None:
        """Ask the guest to release a device, and wait until it has.

        Args:
            timeout: seconds.
            clock: of these seconds; one that stands at times gives the guest more time.

        Raises:
            UsageError: the device is not plugged in.
            GuestTimeout: the guest did not release it within `timeout` seconds.
        """
        if device not in self.devices or not device.address:
            raise UsageError(f"{device!r} is not plugged in")
        name = qemu_id(self.devices.index(device))
        gone = self._deleted[name] = threading.Event()
        monitor.execute("device_del", {"id": name})
        until = clock() + timeout
        while not gone.wait(min(timeout, LOOK)):
            if clock() < until:
                continue
            raise GuestTimeout(
                f"the guest has not released {device!r} within {timeout:g} s", "check whether its driver's remove hangs"
            )
        device.address = ""

    def on_event(self, event: Event) -> None:
        """Handle an event of QMP."""
        if event["event"] == "DEVICE_DELETED":
            if gone := self._deleted.pop(event["data"].get("device", ""), None):
                gone.set()
        elif event["event"] in ("STOP", "RESUME"):
            for device in self.devices:
                device.pause(event["event"] == "STOP")

    def close(self) -> None:
        """End the servers."""
        for server in self._servers:
            server.close()
        for device in self.devices:
            device.address = ""

    def save_traces(self) -> None:
        """Write each device's trace into the run's folder: as text, and as a recording for `r4l scope --from`.

        Evidence that cannot be written is logged as a warning: it is no verdict on the run.
        """
        for index, device in enumerate(self.devices):
            for kind, content in (("trace", _as_text), ("json", _as_recording)):
                file = self._workdir / f"{qemu_id(index)}.{kind}"
                try:
                    file.write_text(content(device) + "\n", encoding="utf-8")
                except Exception as error:  # noqa: BLE001 (values of the author's classes, or a full disk)
                    LOG.warning("%s of %r cannot be written: %s: %s", file.name, device, type(error).__name__, error)


def _as_text(device: Device) -> str:
    return device.trace.text(most=len(device.trace), config=True)


def _as_recording(device: Device) -> str:
    return json.dumps(of_trace(device), separators=(",", ":"))


def split(devices: Sequence[str | DeviceLike]) -> tuple[list[str], list[Device]]:
    """Separate QEMU's own devices from those in Python; classes are instantiated.

    Raises:
        UsageError: an entry is neither.
    """
    own: list[str] = []
    found: list[Device] = []
    for one in devices:
        if isinstance(one, str) and not in_python(one):
            own.append(one)
            continue
        maker = model_class(one) if isinstance(one, str) else one
        device = maker if isinstance(maker, Device) else maker()
        if not isinstance(device, Device):
            raise UsageError(
                f"{one!r} makes {device!r}, which is not a pci.Device", "give classes of devices, or devices"
            )
        found.append(device)
    return own, found


def unreported(devices: Iterable[Device]) -> list[ModelError]:
    """Return the errors of models that were not raised yet, in their order for each device."""
    return [error for device in devices for error in device.errors if error.__traceback__ is None]


def qemu_id(index: int) -> str:
    """Return QEMU's id of a device."""
    return f"pci{index}"


def socket_name(index: int) -> str:
    """Return the socket's name in the run's folder."""
    return f"pci{index}.sock"


def qemu_device(index: int) -> dict[str, Any]:
    """Return the arguments of `-device` or `device_add`."""
    return {
        "driver": "vfio-user-pci",
        "id": qemu_id(index),
        # Without a BAR for a ROM, which the device does not have.
        "rombar": 0,
        "x-msg-timeout": int(1000 * QEMU_WAITS),
        "socket": {"type": "unix", "path": socket_name(index)},
    }
