# SPDX-License-Identifier: MIT
"""Devices in Python on a VM's PCI bus: a server for each, and how QEMU is told of it.

The server's socket is in the run's folder, which QEMU may write to and is its current folder. QEMU does not save the
state of such a device: so one is never in a state that is kept, but is plugged in when the machine goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from r4l.errors import BootError, GuestTimeout, UsageError
from r4l.pci import Device, ModelError, Server
from r4l.pci.load import in_file, load
from r4l.vm.qmp import Event, Monitor

DeviceLike = Device | Callable[[], Device]
"""A device, or what makes one: its class."""
PATIENCE_MS = 600_000
"""How long QEMU waits for an answer. After that it never speaks to the device again; see `Device.patience`."""
WAIT = 30.0
"""Seconds in which a guest takes note of a device."""


class Plugs:
    """The devices of one run of a VM.

    Args:
        devices: in the order in which they are plugged in.
        workdir: where their sockets are made.
    """

    def __init__(self, devices: Sequence[Device], workdir: Path) -> None:
        self.devices = list(devices)
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

    def arguments(self) -> list[Mapping[str, Any]]:
        """What `-device` or `device_add` gets for each device."""
        return [qemu_device(index) for index in range(len(self.devices))]

    def find(self, device: Device) -> int:
        """The number of a device; of a new one, which is served from then on.

        Raises:
            UsageError: it is another VM's.
        """
        if device not in self.devices:
            if device.address:
                raise UsageError(f"{device!r} is plugged into another machine", "make one for each")
            self.devices.append(device)
            self._serve(device)
        return self.devices.index(device)

    def plug(self, device: Device, monitor: Monitor) -> None:
        """Plug a device into a machine that runs.

        Raises:
            ModelError: QEMU cannot make use of it.
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
        """Note where on the bus each device is."""
        for bus in monitor.execute("query-pci"):
            for found in bus["devices"]:
                name = found.get("qdev_id", "")
                for index, device in enumerate(self.devices):
                    if name == qemu_id(index):
                        device.address = f"0000:{found['bus']:02x}:{found['slot']:02x}.{found['function']}"

    def unplug(self, device: Device, monitor: Monitor, timeout: float) -> None:
        """Have the guest let a device go, and wait until it has.

        Raises:
            UsageError: it is not plugged in.
            GuestTimeout: the guest does not.
        """
        if device not in self.devices or not device.address:
            raise UsageError(f"{device!r} is not plugged in")
        name = qemu_id(self.devices.index(device))
        gone = self._deleted[name] = threading.Event()
        monitor.execute("device_del", {"id": name})
        if not gone.wait(timeout):
            raise GuestTimeout(
                f"the guest has not let go of {device!r} within {timeout:g} s", "its driver's remove hangs?"
            )
        device.address = ""

    def on_event(self, event: Event) -> None:
        """QMP's events."""
        if event["event"] == "DEVICE_DELETED":
            if gone := self._deleted.pop(event["data"].get("device", ""), None):
                gone.set()
        elif event["event"] in ("STOP", "RESUME"):
            for device in self.devices:
                device.pause(event["event"] == "STOP")

    def close(self) -> None:
        """End the servers, and note what the devices have seen where a file can be written."""
        for server in self._servers:
            server.close()
        for device in self.devices:
            device.address = ""

    def save_traces(self) -> None:
        """Write each device's trace into the run's folder."""
        for index, device in enumerate(self.devices):
            text = device.trace.text(most=len(device.trace), config=True)
            (self._workdir / f"{qemu_id(index)}.trace").write_text(text + "\n", encoding="utf-8")


def split(devices: Sequence[str | DeviceLike]) -> tuple[list[str], list[Device]]:
    """QEMU's own devices, and those in Python, which are made where there are classes.

    Raises:
        UsageError: one is neither.
    """
    own: list[str] = []
    found: list[Device] = []
    for one in devices:
        if isinstance(one, str) and not in_file(one):
            own.append(one)
            continue
        maker = load(one) if isinstance(one, str) else one
        device = maker if isinstance(maker, Device) else maker()
        if not isinstance(device, Device):
            raise UsageError(f"{one!r} makes {device!r}, which is no pci.Device", "give classes of devices, or devices")
        found.append(device)
    return own, found


def qemu_id(index: int) -> str:
    """What QEMU calls a device."""
    return f"pci{index}"


def socket_name(index: int) -> str:
    """The socket's name in the run's folder."""
    return f"pci{index}.sock"


def qemu_device(index: int) -> dict[str, Any]:
    """What `-device` or `device_add` gets."""
    return {
        "driver": "vfio-user-pci",
        "id": qemu_id(index),
        # Without a BAR for a ROM, which the device does not have.
        "rombar": 0,
        "x-msg-timeout": PATIENCE_MS,
        "socket": {"type": "unix", "path": socket_name(index)},
    }
