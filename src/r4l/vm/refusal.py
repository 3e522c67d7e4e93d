# SPDX-License-Identifier: MIT
"""Explain command lines that QEMU refuses, in terms of the user's devices and arguments."""

from __future__ import annotations

import difflib
import itertools
import json
import re
from collections.abc import Sequence

from r4l.arch import architecture
from r4l.errors import EnvironmentFault, R4LError, UsageError
from r4l.pci.load import in_python
from r4l.toolchain import Grant, Toolchain
from r4l.vm.machine import Machine

SAID = re.compile(r"^qemu-system-\S+: (?P<option>--?[\w-]+:?) ?(?P<value>.*)$")
NO_DEVICE = re.compile(r"'(?P<name>[^']*)' is not a valid device model name")
NO_PROPERTY = re.compile(r"Property '(?P<driver>[^']*)\.(?P<name>[^'.]*)' not found")
NO_BUS = re.compile(r"No '(?P<bus>[^']*)' bus found for device")
NO_FILE = re.compile(r"[Cc]ould not open '(?P<name>[^']*)'")
NO_MEMORY = re.compile(r"cannot set up guest memory .*: (?P<why>.*)")
TOO_MANY_CPUS = re.compile(r"(?:max CPUs supported by machine '[^']*' \(|is )(?P<most>\d+)\)?$")
DEVICE = re.compile(r'^name "(?P<name>[^"]+)"(?:.*?alias "(?P<alias>[^"]+)")?', re.M)
PROPERTY = re.compile(r"^  (?P<name>[\w-]+)=", re.M)
CONTROLLERS = {"usb-bus": "qemu-xhci", "SCSI": "virtio-scsi-pci", "virtio-serial-bus": "virtio-serial-pci"}
"""Device that provides a bus which r4l's machines lack, by QEMU's name of the bus."""


def refusal(machine: Machine, said: str, toolchain: Toolchain) -> R4LError | None:
    """Return the error for an argument of the user that QEMU refused; None if it refused another one.

    Args:
        said: QEMU's output before it ended with exit code 1.
    """
    for line in said.splitlines():
        if match := NO_MEMORY.search(line):
            return EnvironmentFault(
                f"this computer does not give QEMU {machine.memory} MiB for the guest: {match['why']}",
                "ask for less memory, with --memory on the command line",
            )
        if "CPUs" in line and (match := TOO_MANY_CPUS.search(line)):
            return UsageError(
                f"QEMU's machine for {machine.arch} has at most {match['most']} CPUs, not {machine.cpus}",
                f"ask for {match['most']} or fewer",
            )
        match = SAID.match(line)
        if match and (error := _of_words(machine, match["option"], match["value"], toolchain)):
            return error
        # QEMU takes a word that is not an option for a disk.
        for word in machine.extra:
            if line.startswith(f"qemu-system-{_suffix(machine)}: {word}: "):
                return _told(word, line.partition(f": {word}: ")[2], machine, toolchain)
    return None


def devices(toolchain: Toolchain, arch: str) -> list[str]:
    """Return the names of QEMU's devices for an architecture, aliases included."""
    return [name for match in DEVICE.finditer(described("help", toolchain, arch)) for name in match.groups() if name]


def no_device(name: str, toolchain: Toolchain, arch: str) -> UsageError:
    """Return the error for an unknown device, with similar names."""
    near = _near(name, devices(toolchain, arch))
    return UsageError(f"QEMU has no device {name!r}", f"{near}`r4l run --device help` lists all")


def described(spec: str, toolchain: Toolchain, arch: str) -> str:
    """Return QEMU's answer to `-device help` or `-device NAME,help`; empty for an unknown device."""
    # QEMU for some architectures prints no help without -machine.
    argv = [architecture(arch).qemu, "-machine", "none", "-device", spec]
    done = toolchain.run(argv, Grant("vm: QEMU's devices"), check=False)
    return done.stdout.decode(errors="replace")


def _suffix(machine: Machine) -> str:
    return architecture(machine.arch).qemu.removeprefix("qemu-system-")


def _of_words(machine: Machine, option: str, rest: str, toolchain: Toolchain) -> R4LError | None:
    """Return the error for an option of the user's: their devices, arguments and cards; else None."""
    cards = [
        ("-device", json.dumps(nic.qemu_device(index)))
        for index, nic in enumerate(machine.nics)
        if not in_python(nic.model)
    ]
    for own, value in (*cards, *itertools.pairwise((*machine.extra, ""))):
        if option == own and rest.startswith(f"{value}: "):
            return _told(f"{option} {value}", rest.removeprefix(f"{value}: "), machine, toolchain)
        if option == f"{own}:":
            return _told(own, rest, machine, toolchain)
    return None


def _told(words: str, why: str, machine: Machine, toolchain: Toolchain) -> UsageError:
    """Return the error for refused words, with similar valid ones."""
    if match := NO_DEVICE.search(why):
        return no_device(match["name"], toolchain, machine.arch)
    if match := NO_PROPERTY.search(why):
        driver = match["driver"]
        known = [found["name"] for found in PROPERTY.finditer(described(f"{driver},help", toolchain, machine.arch))]
        near = _near(match["name"], known)
        listed = f"`r4l run --device {driver},help` lists all"
        return UsageError(f"QEMU's device {driver} has no property {match['name']!r}", near + listed)
    if match := NO_BUS.search(why):
        controller = CONTROLLERS.get(match["bus"])
        remedy = (
            f"give its controller before it: --device {controller}" if controller else "give its controller before it"
        )
        return UsageError(f"QEMU does not take {words}: the machine has no {match['bus']}", remedy)
    if match := NO_FILE.search(why):
        return UsageError(
            f"QEMU does not take {words}: {why}",
            "name the file by its absolute path: QEMU sees no other file than those that its arguments name",
        )
    return UsageError(f"QEMU does not take {words}: {why}", "see its manual, or `r4l run --device NAME,help`")


def _near(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, 3, 0.6) or sorted(one for one in known if name and name in one)[:3]
    return f"did you mean {', '.join(close)}? " if close else ""
