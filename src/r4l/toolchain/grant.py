# SPDX-License-Identifier: MIT
"""Grants: the resources of a command in the toolchain's sandbox, stated by its caller. All others are absent.

docs/ARCHITECTURE.md, "What may touch what", lists every grant of the program; a test compares it with the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from r4l import limits
from r4l.limits import Limits


@dataclass(frozen=True)
class Grant:
    """Resources of a command beside the read-only tree.

    An empty grant gives: the tree's file system, an empty /tmp, /dev with null, zero, full, random, urandom, tty and
    pseudo-terminals; no network, no other processes, no capabilities, no inherited environment.

    Attributes:
        caller: name of the caller in the table of docs/ARCHITECTURE.md.
        writes, reads: files and folders of the host, visible at their own paths. For nested paths each entry applies.
        over, over_reads: paths inside the sandbox, each with the host's folder mounted there; writable, and read-only.
            A folder over `/` takes the place of the tree.
        network: the host's network.
        devices: nodes such as /dev/kvm.
        terminal: the caller's terminal, with ^C and job control.
        named: be root inside, the only user in the tree's passwd: OpenSSH refuses to run as an unknown user.
        limits: limits of the command.
    """

    caller: str
    writes: tuple[Path, ...] = ()
    reads: tuple[Path, ...] = ()
    over: Mapping[Path, Path] = field(default_factory=dict)
    over_reads: Mapping[Path, Path] = field(default_factory=dict)
    network: bool = False
    devices: tuple[Path, ...] = ()
    terminal: bool = False
    named: bool = False
    limits: Limits = field(default_factory=limits.tool)

    @property
    def written(self) -> tuple[Path, ...]:
        """The host's files and folders that the command can write to."""
        return (*self.writes, *self.over.values())

    def stand_in(self, path: Path) -> Path | None:
        """Return the host's file or folder that the command can write at a path; None if that path is not in `over`."""
        places = [place for place in self.over if path.is_relative_to(place)]
        # Some folders lie in each other.
        inner = max(places, key=lambda place: len(place.parts), default=None)
        return self.over[inner] / path.relative_to(inner) if inner else None
