# SPDX-License-Identifier: MIT
"""What can go wrong between host and guest."""

from __future__ import annotations

from r4l.errors import BootError, R4LError, VerdictError


class GuestGone(BootError):
    """The guest went away in the middle of a request: QEMU ended, or the channel closed."""

    kind = "guest-gone"


class ProtocolError(BootError):
    """The guest sent what no agent sends. A guest is not trusted: the channel is closed for good."""

    kind = "protocol"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the guest broke the agent's protocol: {what}",
            "the guest's memory may be damaged, or its agent replaced: look at the console log, boot afresh",
        )


class GuestError(R4LError):
    """The agent could not do what was asked: no such file, no such program. `errno` is the guest's (0: none)."""

    exit_code = 126
    kind = "guest"

    def __init__(self, cause: str, errno: int) -> None:
        super().__init__(cause)
        self.errno = errno


class CommandFailed(VerdictError):
    """A command ended with an exit code other than 0 and `check` was asked for."""

    kind = "command"
