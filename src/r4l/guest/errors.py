# SPDX-License-Identifier: MIT
"""Errors between host and guest."""

from __future__ import annotations

from r4l.errors import BootError, R4LError, VerdictError


class GuestGone(BootError):
    """The guest vanished during a request: QEMU ended, or the channel closed."""

    category = "guest-gone"


class ProtocolError(BootError):
    """The guest sent data that no agent sends. Since the guest is not trusted, the channel is closed for good."""

    category = "protocol"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the guest broke the agent's protocol: {what}",
            "boot again and read the console log: the guest's memory may be damaged, or its agent replaced",
        )


class GuestError(R4LError):
    """The agent could not do the request: no such file, no such program. `errno` is the guest's (0: none)."""

    exit_code = 126
    category = "guest"

    def __init__(self, cause: str, errno: int) -> None:
        super().__init__(cause)
        self.errno = errno


class CommandFailed(VerdictError):
    """A command with `check` ended with an exit code other than 0."""

    category = "command"
