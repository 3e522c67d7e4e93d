# SPDX-License-Identifier: MIT
"""Commands and files inside a guest: the host's half of the agent's protocol (the other half: rust/agent)."""

from r4l.guest.errors import CommandFailed, GuestError, GuestGone, ProtocolError
from r4l.guest.guest import Guest
from r4l.guest.link import Link
from r4l.guest.process import Completed, GuestProcess, Terminal

__all__ = [
    "CommandFailed",
    "Completed",
    "Guest",
    "GuestError",
    "GuestGone",
    "GuestProcess",
    "Link",
    "ProtocolError",
    "Terminal",
]
