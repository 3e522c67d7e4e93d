# SPDX-License-Identifier: MIT
"""The ssh keys of a home: the user's key, accepted by every guest, and the guests' host key, known to the user.

They are made once per home. They open only guests of this home, which listen on loopback, so they have no passphrase.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from r4l import home
from r4l.toolchain import Grant, Toolchain

ALIAS = "r4l-guest"
"""Name of the guests in known_hosts: their ports change, their key does not."""


@dataclass(frozen=True)
class Keys:
    """Two key pairs in a folder of mode 0700.

    Attributes:
        folder: contains `id_ed25519` (the user's), `host_ed25519` (the guests'), each with `.pub`, and `known_hosts`.
    """

    folder: Path

    @property
    def identity(self) -> Path:
        """The user's private key."""
        return self.folder / "id_ed25519"

    @property
    def host(self) -> Path:
        """The guests' private key."""
        return self.folder / "host_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The file by which ssh recognises the guests."""
        return self.folder / "known_hosts"

    def _complete(self) -> bool:
        """True if all files exist and none is empty, as a crash of the host can leave it."""
        private = (self.identity, self.host)
        files = (*private, *(_public(path) for path in private), self.known_hosts)
        return all(path.is_file() and path.stat().st_size > 0 for path in files)

    @classmethod
    def get(cls, toolchain: Toolchain) -> Keys:
        """Return the home's keys, making them first if any is missing.

        Args:
            toolchain: with the extra `image`.

        Raises:
            EnvironmentFault: ssh-keygen fails.
        """
        final = home.room("images") / "ssh"
        with home.lock("ssh-keys"):
            if not cls(final)._complete():
                partial = home.temporary(final)
                partial.mkdir(mode=0o700)
                keys = cls(partial)
                for path, comment in ((keys.identity, "r4l"), (keys.host, ALIAS)):
                    argv: list[str | Path] = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path]
                    toolchain.run(argv, Grant("image: ssh keys", writes=(partial,), named=True))
                keys.known_hosts.write_text(f"{ALIAS} {public(keys.host)}\n", encoding="utf-8")
                home.publish(partial, final)
        return cls(final)


def public(private: Path) -> str:
    """Return the line of a key's public half."""
    return _public(private).read_text(encoding="utf-8").strip()


def _public(private: Path) -> Path:
    return private.with_name(private.name + ".pub")
