# SPDX-License-Identifier: MIT
"""What a command in the toolchain's sandbox may touch: data that its caller writes down. All else is not there.

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
    """What one command gets beside the tree itself, which is read-only.

    Without any: a file system of the tree, an empty /tmp, /dev with null, zero, full, random, urandom, tty and
    pseudo-terminals; no network, nobody else's processes, no capabilities, nothing of the environment.

    Attributes:
        caller: who asks, as in the table of docs/ARCHITECTURE.md.
        writes, reads: files and folders of the host, seen at their own paths. Of two that lie in each other, each has
            what is said of it.
        over, over_reads: places that the command sees, each with the host's folder that stands there in its stead;
            writable, and read-only.
        network: the host's network.
        devices: nodes such as /dev/kvm.
        terminal: the caller's terminal, with ^C and job control.
        named: be root inside, the one user that the tree's passwd knows: OpenSSH refuses to run as nobody in it.
        limits: how much it may take.
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
