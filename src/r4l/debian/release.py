# SPDX-License-Identifier: MIT
"""A suite's signed table of contents (`InRelease`): believed only where one of Debian's keys has signed it.

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
from r4l.debian.mirror import REMEDY, is_html, web_page
from r4l.errors import EnvironmentFault

if TYPE_CHECKING:
    from pysequoia import Cert

LONGEST = 4 << 20
"""Bytes that an `InRelease` may have; Debian's have up to 200,000."""
BEGIN = b"-----BEGIN PGP SIGNED MESSAGE-----"
SKEW = datetime.timedelta(hours=1)
"""How far a machine's clock may be behind the archive's."""
ENTRY = re.compile(r"^ ([0-9a-f]{64}) +([0-9]+) (\S+)$", re.MULTILINE)
"""A line of the field SHA256."""


@dataclass(frozen=True)
class Release:
    """What a suite's table of contents says.

    Attributes:
        suite: its code name, such as `trixie`.
        date: when it was made.
        valid_until: when its time is over; None where it does not say, as for a stable release.
        files: paths under the suite's folder, each with SHA-256 and size.
        by_hash: whether the files can be had by their hashes as well, so that none changes while it is fetched.
    """

    suite: str
    date: datetime.datetime
    valid_until: datetime.datetime | None
    files: Mapping[str, tuple[str, int]]
    by_hash: bool


@cache
def keys() -> list[Cert]:
    """The public keys that Debian's archive is signed with, from the package debian-archive-keyring."""
    from pysequoia import Cert

    return Cert.split_bytes((importlib.resources.files(__package__) / "archive-keys.pgp").read_bytes())


def verified(data: bytes, suite: str, source: str) -> Release:
    """What an `InRelease` says.

    Args:
        suite: the one that was asked for.
        source: the address that it came from, for messages.

    Raises:
        EnvironmentFault: none of Debian's keys has signed it, it is another suite's, or its time is over.
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


def _signed(data: bytes, source: str) -> str:
    """The part of a message that is signed; all else in it is nobody's.

    Raises:
        EnvironmentFault: there is none.
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
        # A signature of tomorrow is none. The date is not to be believed, and says enough for a hint.
        claimed = _time(_fields(data.decode("utf-8", "replace")).get("date"))
        if claimed and claimed > _now() + SKEW:
            raise EnvironmentFault(
                f"{source} says that it was made at {claimed:%Y-%m-%d %H:%M}, and the clock of this machine says "
                f"{_now():%Y-%m-%d %H:%M} UTC: its signature cannot be verified",
                "set the clock (`timedatectl`, or `date -s`)",
            ) from error
        raise EnvironmentFault(
            f"{source} is not signed by Debian's keys: {said}",
            f"the mirror, or somebody on the way to it, has changed the archive: {REMEDY}",
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
            f"if the clock is wrong, set it; else the mirror is out of date, or somebody shows you an old archive: "
            f"name another in {apt.ENVIRONMENT} (or set {apt.DATES}=false for an archive of old days)",
        )


def _fields(text: str) -> dict[str, str]:
    """The fields of a paragraph by their names in small letters, with the lines that go on as they are."""
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
    """A date of the archive's, such as `Sat, 21 Nov 2026 09:15:44 UTC`."""
    try:
        return email.utils.parsedate_to_datetime(text.replace(" UTC", " +0000")) if text else None
    except ValueError:
        return None


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
