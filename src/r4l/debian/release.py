# SPDX-License-Identifier: MIT
"""A suite's signed table of contents (`InRelease`), accepted only with a signature by one of Debian's keys.

https://wiki.debian.org/DebianRepository/Format describes the fields.
"""

from __future__ import annotations

import datetime
import email.utils
import importlib.resources
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from r4l.debian import apt
from r4l.debian.mirror import REMEDY, Absent, Mirror, is_html, web_page
from r4l.errors import EnvironmentFault

if TYPE_CHECKING:
    from pysequoia import Cert

LONGEST = 4 << 20
"""Largest `InRelease` in bytes; Debian's have up to 200,000."""
BEGIN = b"-----BEGIN PGP SIGNED MESSAGE-----"
SKEW = datetime.timedelta(hours=1)
"""Time by which a machine's clock may be behind the archive's."""
ENTRY = re.compile(r"^ ([0-9a-f]{64}) +([0-9]+) (\S+)$", re.MULTILINE)
"""A line of the field SHA256."""


@dataclass(frozen=True)
class Release:
    """A suite's table of contents.

    Attributes:
        suite: code name, such as `trixie`.
        date: time when it was made.
        valid_until: time when it expires; None if it does not, as for a stable release.
        files: paths under the suite's folder, each with SHA-256 and size.
        by_hash: True if the files are also available under their hashes, so that none changes during a download.
    """

    suite: str
    date: datetime.datetime
    valid_until: datetime.datetime | None
    files: Mapping[str, tuple[str, int]]
    by_hash: bool


@cache
def keys() -> list[Cert]:
    """Return the public keys that Debian's archive is signed with, from the package debian-archive-keyring."""
    from pysequoia import Cert

    return Cert.split_bytes((importlib.resources.files(__package__) / "archive-keys.gpg").read_bytes())


def verified(data: bytes, suite: str, source: str) -> Release:
    """Verify an `InRelease` and return its content.

    Args:
        data: the file.
        suite: suite that was requested.
        source: address of the file, for messages.

    Raises:
        EnvironmentFault: none of Debian's keys has signed it, it is another suite's, or it has expired.
    """
    text = _signed(data, source)
    fields = _fields(text)
    if suite not in (fields.get("codename"), fields.get("suite")):
        raise EnvironmentFault(f"{source} is the list of {fields.get('codename')!r}, not of {suite}", REMEDY)
    date, until = _time(fields.get("date")), _time(fields.get("valid-until"))
    if date is None:
        raise EnvironmentFault(f"{source} does not say when it was made", REMEDY)
    found = Release(
        suite,
        date,
        until,
        {path: (digest, int(size)) for digest, size, path in ENTRY.findall(fields.get("sha256", ""))},
        fields.get("acquire-by-hash") == "yes",
    )
    if apt.checks_dates():
        _require_today(found, source)
    return found


@cache
def is_signed(address: str, suite: str) -> bool | None:
    """Return True if one of Debian's keys has signed a suite's `InRelease`; None if it cannot be read now.

    Args:
        address: a mirror's, without a slash at its end.
        suite: name of the suite's folder.
    """
    path = f"dists/{suite}/InRelease"
    try:
        data = Mirror(address, tries=1).read(path, LONGEST)
    except Absent:
        return False
    except EnvironmentFault:
        return None
    try:
        _signed(data, f"{address}/{path}")
    except EnvironmentFault:
        return False
    return True


def _signed(data: bytes, source: str) -> str:
    """Return the signed part of a message; the rest is not trusted.

    Raises:
        EnvironmentFault: the message has no valid signature.
    """
    from pysequoia import verify

    if is_html(data):
        raise web_page(source)
    if not data.startswith(BEGIN):
        raise EnvironmentFault(f"{source} is not signed: no Debian mirror answers there", REMEDY)
    try:
        return (verify(data, store=lambda _: keys()).bytes or b"").decode("utf-8", "replace")
    except RuntimeError as error:
        said = str(error).partition("\n")[0]
        # A signature dated in the future is invalid. The unverified date is only used for a hint.
        claimed = _time(_fields(data.decode("utf-8", "replace")).get("date"))
        if claimed and claimed > _now() + SKEW:
            raise EnvironmentFault(
                f"{source} says that it was made at {claimed:%Y-%m-%d %H:%M}, and the clock of this machine says "
                f"{_now():%Y-%m-%d %H:%M} UTC: its signature cannot be verified",
                "set the clock (`timedatectl`, or `date -s`)",
            ) from error
        raise EnvironmentFault(
            f"{source} is not signed by Debian's keys: {said}",
            f"the mirror, or a proxy on the way to it, has changed the archive: {REMEDY}",
        ) from error


def _require_today(release: Release, source: str) -> None:
    now = _now()
    if release.date > now + SKEW:
        raise EnvironmentFault(
            f"{source} was made at {release.date:%Y-%m-%d %H:%M}, and the clock of this machine says "
            f"{now:%Y-%m-%d %H:%M} UTC",
            "set the clock (`timedatectl`, or `date -s`)",
        )
    if release.valid_until and release.valid_until < now:
        raise EnvironmentFault(
            f"{source} was valid until {release.valid_until:%Y-%m-%d %H:%M}, and the clock of this machine says "
            f"{now:%Y-%m-%d %H:%M} UTC",
            f"if the clock is wrong, set it; else the mirror, or an attacker, offers an old archive: "
            f"name another in {apt.ENVIRONMENT} (or set {apt.DATES}=false for an archive of old days)",
        )


def _fields(text: str) -> dict[str, str]:
    """Return the fields of a paragraph by their names in lower case, continuation lines unchanged."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line[:1] in (" ", "\t"):
            found[name] = f"{found.get(name, '')}\n{line}"
        else:
            name, _, value = line.partition(":")
            name = name.lower()
            found[name] = value.strip()
    return found


def _time(text: str | None) -> datetime.datetime | None:
    """Parse a date of the archive, such as `Sat, 21 Nov 2026 09:15:44 UTC`; None if it is malformed."""
    try:
        return email.utils.parsedate_to_datetime(text.replace(" UTC", " +0000")) if text else None
    except ValueError:
        return None


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
