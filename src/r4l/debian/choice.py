# SPDX-License-Identifier: MIT
"""The choice of the Debian mirror: the user's, the project file's, that of this machine's apt, or Debian's own."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from r4l.debian import apt
from r4l.debian.apt import Source
from r4l.debian.release import is_signed
from r4l.errors import UsageError
from r4l.settings import Settings

DEFAULT_MIRROR = "http://deb.debian.org/debian"
"""Debian's own address, which redirects to a mirror nearby.

Signatures, not the connection, prove that files are Debian's.
"""


def mirror() -> str:
    """Return the address of the Debian mirror: `$R4L_MIRROR`, the one that this machine's apt uses, or Debian's own.

    A project file's mirror is in `$R4L_MIRROR` after `prefer`.

    Raises:
        UsageError: `$R4L_MIRROR` is not an http or https address.
    """
    named = os.environ.get(apt.ENVIRONMENT)
    if named:
        if not is_http(named):
            raise UsageError(
                f"{apt.ENVIRONMENT} is {named!r}, which is not an http or https address",
                f"set it to the address of a Debian mirror, such as {DEFAULT_MIRROR}, or unset it",
            )
        return named.rstrip("/")
    return next((source.address for source in apt.sources() if _is_debians(source)), DEFAULT_MIRROR)


def prefer(settings: Settings) -> None:
    """Use the mirror of a project file in this process and its children, unless `$R4L_MIRROR` names one.

    Raises:
        UsageError: the file's mirror is not an http or https address.
    """
    address = settings.mirror
    if address and not is_http(address):
        raise UsageError(
            f"{settings.file}: mirror is {address!r}, which is not an http or https address",
            f"give the address of a Debian mirror, such as {DEFAULT_MIRROR}",
        )
    if address and not os.environ.get(apt.ENVIRONMENT):
        os.environ[apt.ENVIRONMENT] = address


def is_http(address: str) -> bool:
    """Return True if a text is an http or https address with a host."""
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _is_debians(source: Source) -> bool:
    """Return True if a source is a mirror of Debian's archive.

    Its own name and origin prove nothing: others publish packages for Debian at `…/debian` too. The signature of its
    `InRelease` does. A known mirror that cannot be reached now stays the mirror.
    """
    if not is_http(source.address):
        return False
    if source.origin not in ("", "Debian") or (not source.origin and not source.address.endswith("/debian")):
        return False
    if f".{urlsplit(source.address).hostname}".endswith(".debian.org"):
        return True
    signed = is_signed(source.address, source.suite)
    return source.origin == "Debian" if signed is None else signed
