# SPDX-License-Identifier: MIT
"""Settings of this machine's apt, if it has one: sources, proxy, and checks of dates."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

ENVIRONMENT = "R4L_MIRROR"
DATES = "R4L_CHECK_VALID_UNTIL"
"""Environment variable; `false` accepts expired lists, as an archive of old packages has."""
INHERITED = re.compile(r'^(Acquire::(?:https?::[^ ]+|Check-Valid-Until|Check-Date|Retries|ForceIPv[46])) "(.*)";$')
FALSE = ("0", "false", "no", "off", "without", "disable")
"""Values that mean "no" in apt.conf(5)."""


@dataclass(frozen=True)
class Source:
    """A source of apt.

    Attributes:
        address: URL without a slash at its end.
        suite: as the source names it, such as `trixie` or `stable`.
        origin: what its own lists say; empty before the first `apt-get update`.
    """

    address: str
    suite: str
    origin: str


def sources() -> list[Source]:
    """Return the sources of apt that have a component `main`; empty without apt."""
    if not shutil.which("apt-get"):
        return []
    origins = {(uri, suite): origin for uri, suite, _, origin in _targets() if "$(" not in origin}
    # Without this option apt leaves out the sources that it has no lists of: all, before its first update.
    found = [
        Source(uri.rstrip("/"), suite, origins.get((uri, suite), ""))
        for uri, suite, component, _ in _targets("--no-release-info")
        if component == "main" and "security" not in uri + suite
    ]
    return list(dict.fromkeys(found))


def _targets(*options: str) -> Iterator[list[str]]:
    """Yield address, suite, component and origin of each package list that apt would fetch (apt-get(8))."""
    form = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)"
    argv = ["apt-get", "indextargets", *options, "--format", form, "Created-By: Packages"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, encoding="utf-8", errors="replace")
    for line in done.stdout.splitlines():
        fields = line.split("|")
        if len(fields) == 4:
            yield fields


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


def without_login(address: str) -> tuple[str, str]:
    """Split an address, such as a mirror's or a proxy's: return it without user and password, and these as
    `user:password`, decoded (RFC 3986, section 3.2.1); empty for none."""
    parts = urlsplit(address)
    login, at, place = parts.netloc.rpartition("@")
    if not at:
        return address, ""
    user, _, password = login.partition(":")
    return parts._replace(netloc=place).geturl(), f"{unquote(user)}:{unquote(password)}"


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
