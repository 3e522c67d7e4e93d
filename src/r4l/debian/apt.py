# SPDX-License-Identifier: MIT
"""Settings of this machine's apt, if it has one: mirror, proxy, and checks of dates."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from urllib.parse import urlsplit

from r4l.errors import UsageError

DEFAULT_MIRROR = "http://deb.debian.org/debian"
"""Debian's own address, which redirects to a mirror nearby.

Signatures, not the connection, prove that files are Debian's.
"""
ENVIRONMENT = "R4L_MIRROR"
DATES = "R4L_CHECK_VALID_UNTIL"
"""Environment variable; `false` accepts expired lists, as an archive of old packages has."""
INHERITED = re.compile(r'^(Acquire::(?:https?::[^ ]+|Check-Valid-Until|Check-Date|Retries|ForceIPv[46])) "(.*)";$')
FALSE = ("0", "false", "no", "off", "without", "disable")
"""Values that mean "no" in apt.conf(5)."""


def mirror() -> str:
    """Return the address of the Debian mirror: `$R4L_MIRROR`, the one that this machine's apt uses, or Debian's own.

    Raises:
        UsageError: `$R4L_MIRROR` is not an http or https address.
    """
    named = os.environ.get(ENVIRONMENT)
    if named:
        if not _is_http(named):
            raise UsageError(
                f"{ENVIRONMENT} is {named!r}, which is not an http or https address",
                f"set it to the address of a Debian mirror, such as {DEFAULT_MIRROR}, or unset it",
            )
        return named.rstrip("/")
    return next((uri for uri in _mirrors_of_apt() if _is_http(uri)), DEFAULT_MIRROR)


def _is_http(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _mirrors_of_apt() -> list[str]:
    """Return the addresses of Debian mirrors in apt's sources; empty without apt, or for another distribution."""
    if not shutil.which("apt-get"):
        return []
    form = "$(REPO_URI)|$(ORIGIN)|$(COMPONENT)|$(CODENAME)"
    argv = ["apt-get", "indextargets", "--format", form, "Created-By: Packages"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, encoding="utf-8", errors="replace")
    found: list[str] = []
    for line in done.stdout.splitlines():
        uri, origin, component, codename = line.split("|")
        # Before the first `apt-get update` apt knows no origin.
        is_debian = origin == "Debian" or (not origin and urlsplit(uri).path.rstrip("/").endswith("/debian"))
        if is_debian and component in ("main", "") and "security" not in uri + codename:
            found.append(uri.rstrip("/"))
    return found


def inherited_options() -> list[str]:
    """Return apt's settings for reaching a mirror (proxy, dates), as `-o` values; empty without apt."""
    return [f"{name}={value}" for name, value in settings().items()]


def settings() -> dict[str, str]:
    """Return apt's settings for reaching a mirror, names to values."""
    if not shutil.which("apt-config"):
        return {}
    done = subprocess.run(
        ["apt-config", "dump"], capture_output=True, text=True, check=False, encoding="utf-8", errors="replace"
    )
    matches = (INHERITED.match(line) for line in done.stdout.splitlines())
    return {match[1]: match[2] for match in matches if match and match[2]}


def checks_dates() -> bool:
    """Return True if expired lists are refused: the default, unless the environment or apt's settings differ."""
    named = os.environ.get(DATES) or settings().get("Acquire::Check-Valid-Until", "")
    return named.lower() not in FALSE


def proxy(address: str) -> str | None:
    """Return the proxy for an address: the environment's (`http_proxy`, `no_proxy`), else apt's; None for none.

    Args:
        address: URL, such as a mirror's.
    """
    # Imported here, not above: with ssl, it takes more time than a command that fetches nothing has.
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(address)
    host = parts.hostname or ""
    environment = getproxies()
    if environment.get(parts.scheme) or environment.get("all"):
        if proxy_bypass(host):
            return None
        return environment.get(parts.scheme) or environment.get("all")
    of = settings()
    for name in (f"Acquire::{parts.scheme}::Proxy::{host}", f"Acquire::{parts.scheme}::Proxy"):
        if found := of.get(name):
            return None if found == "DIRECT" else found
    return None
