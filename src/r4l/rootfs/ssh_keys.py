# SPDX-License-Identifier: MIT
"""The keys by which ssh trusts: the user's towards every guest, and the guests' towards the user.

Made once for a home. They open guests of this home only, which listen on loopback; so they have no passphrase.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from r4l import home
from r4l.toolchain import Grant, Toolchain

ALIAS = "r4l-guest"
"""The name under which known_hosts has the guests: their ports change, their key does not."""


@dataclass(frozen=True)
class Keys:
    """Two key pairs in a folder of mode 0700.

    Attributes:
        folder: with `id_ed25519` (the user's), `host_ed25519` (the guests'), each with `.pub`, and `known_hosts`.
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
        """What tells ssh that a guest is one of ours."""
        return self.folder / "known_hosts"

    def _complete(self) -> bool:
        """Whether nothing of it is missing, and no file is empty as a crash of the host leaves it."""
        private = (self.identity, self.host)
        files = (*private, *(_public(path) for path in private), self.known_hosts)
        return all(path.is_file() and path.stat().st_size > 0 for path in files)

    @classmethod
    def get(cls, toolchain: Toolchain) -> Keys:
        """The home's keys, made first if there are none, or not all of them.

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
    """The line of a key's public half."""
    return _public(private).read_text(encoding="utf-8").strip()


def _public(private: Path) -> Path:
    return private.with_name(private.name + ".pub")
