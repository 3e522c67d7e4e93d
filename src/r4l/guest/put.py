# SPDX-License-Identifier: MIT
"""A file or a folder of the host's on its way into a guest, as the command line writes it."""

from __future__ import annotations

import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from r4l.errors import UsageError
from r4l.guest.guest import Guest


@dataclass(frozen=True)
class Put:
    """A copy from the host to the guest.

    Attributes:
        host: file or folder.
        guest: absolute path of the copy in the guest; with a slash at its end, the folder that the copy goes into.
    """

    host: Path
    guest: str

    @classmethod
    def parse(cls, text: str) -> Put:
        """The copy that `HOST:GUEST` means.

        Raises:
            UsageError: GUEST is no absolute path, or there is no such file.
        """
        host, _, guest = text.rpartition(":")
        if not host or not guest.startswith("/"):
            raise UsageError(
                f"{text!r} does not say which file goes where", "write HOST:GUEST, with GUEST an absolute path"
            )
        if not Path(host).exists():
            raise UsageError(f"there is no {host} to put into the guest", "name a file or a folder of this computer")
        return cls(Path(host), guest)

    @property
    def target(self) -> str:
        """The path of the copy in the guest."""
        if self.guest.endswith("/"):
            return str(PurePosixPath(self.guest) / self.host.resolve().name)
        return self.guest

    def into(self, guest: Guest) -> None:
        """Copy it, with its permission bits; a folder with all that is in it, links as links.

        Raises:
            GuestError, CommandFailed: the guest cannot write it.
        """
        if not self.host.is_dir():
            guest.put(self.host, self.target)
            return
        with tempfile.TemporaryFile("w+b") as spool:
            with tarfile.open(fileobj=spool, mode="w", format=tarfile.GNU_FORMAT) as archive:
                archive.add(self.host.resolve(), ".", filter=_owned_by_root)
            spool.seek(0)
            guest.run(["mkdir", "-p", self.target], check=True)
            # As long as it takes: a folder may be large.
            guest.run(["tar", "-xf", "-", "-C", self.target], input=spool, timeout=None, check=True)


def _owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member
