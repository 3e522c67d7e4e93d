# SPDX-License-Identifier: MIT
"""Configuration fragments applied to a base, and the final value of each of their options.

`make olddefconfig` silently drops options with unmet dependencies. This file names them with the reason, from the
kernel's own Kconfig files (see kconfig_why.py).
"""

from __future__ import annotations

import difflib
import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from r4l.arch import Architecture
from r4l.errors import UsageError
from r4l.kernel.config import read_config
from r4l.limits import LimitExceeded
from r4l.toolchain import Grant, Toolchain

SET = re.compile(r"^(CONFIG_\w+)=(.*)$")
UNSET = re.compile(r"^# (CONFIG_\w+) is not set$")
RUN = re.compile(r"[$`\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]")
"""Characters that no value may contain: Kbuild's Makefiles and their shell would expand `$` and backquotes, and a line
end would start another line."""
PLAIN = re.compile(r"[ymn]|-?\d+|0[xX][0-9a-fA-F]+|\"(?!\.\.)(?:(?!\.\.)[\w ,.:=+@%-])*+\"", re.ASCII)
"""Values that untrusted fragments may set: texts that a shell reads as one word and that name no file."""
WARNING = re.compile(
    r"^\.config:(\d+):warning: (symbol value .* invalid for .*|invalid string found|unexpected data.*)$"
)
"""Warning of scripts/kconfig/confdata.c (conf_warning) for a value of the wrong type."""


@dataclass(frozen=True)
class Dropped:
    """An option whose final value differs from the wanted one.

    Attributes:
        option: `CONFIG_…`.
        wanted, got: its values; `n` for not set.
        reason: the cause, from Kconfig.
        known: False if the kernel has no such option.
    """

    option: str
    wanted: str
    got: str
    reason: str
    known: bool = True

    def __str__(self) -> str:
        return f"{self.option}={self.wanted} became {self.got}: {self.reason}"


def parse_fragment(text: str, name: str) -> dict[str, str]:
    """Return the options that a fragment sets, `CONFIG_…` to value (`n` for `is not set`).

    Raises:
        UsageError: a line is not valid in a fragment, or a value contains characters that make or a shell would expand;
            the message has the line's number.
    """
    found: dict[str, str] = {}
    # Kconfig ends lines at newlines only; str.splitlines would split at other characters too.
    for number, line in enumerate(text.split("\n"), 1):
        match = SET.match(line) or UNSET.match(line)
        if match and match.re is SET and (bad := RUN.search(match[2])):
            raise UsageError(
                f"{name}, line {number}: {match[1]} has {bad[0]!r} in its value, which the kernel's make would expand",
                "write the value itself, without $, backquotes and control characters",
            )
        if match:
            found[match[1]] = match[2].strip().strip('"') if match.re is SET else "n"
        elif line.strip() and not line.startswith("#"):
            raise UsageError(
                f"{name}, line {number} is not a configuration line: {line.strip()}",
                'write CONFIG_NAME=y, =m, =n, =NUMBER or ="TEXT", or `# CONFIG_NAME is not set`',
            )
    return found


def require_plain(text: str, name: str) -> None:
    """Refuse values in an untrusted fragment that a shell would split, or that name a file.

    Makefiles of the kernel insert texts into commands unquoted (usr/Makefile has CONFIG_INITRAMFS_SOURCE), and include
    files from any path in the kernel (EXTRA_FIRMWARE_DIR, SYSTEM_TRUSTED_KEYS, MODULE_SIG_KEY).

    Raises:
        UsageError: a value is refused, or a line is not valid in a fragment.
    """
    parse_fragment(text, name)
    for number, line in enumerate(text.split("\n"), 1):
        match = SET.match(line)
        if match and not PLAIN.fullmatch(match[2].rstrip(" \t")):
            raise UsageError(
                f"{name}, line {number}: the value of {match[1]} is not allowed here: {match[2]}",
                'write y, m, n, a number, or a "TEXT" of letters, digits, blanks and , . : = + - _ @ %',
            )


def require_types(said: str, config: str, name: str) -> None:
    """Refuse values that the kernel's configuration program rejected as not of the option's type.

    Args:
        said: output of `make olddefconfig`.
        config: the .config that it read.
        name: origin of the values, for the message.

    Raises:
        UsageError: values were rejected; the message names their options.
    """
    lines = config.split("\n")
    wrong = []
    for said_line in said.splitlines():
        match = WARNING.match(said_line)
        setting = SET.match(lines[int(match[1]) - 1]) if match and int(match[1]) <= len(lines) else None
        if setting:
            wrong.append(f"{setting[1]}={setting[2]}")
    if wrong:
        raise UsageError(
            f"{name}: not of the option's type: {', '.join(dict.fromkeys(wrong))}",
            'see the option\'s type in `r4l kernel menuconfig`: y, m or n, a number, or a "TEXT" in quotes',
        )


def require_known(text: str, name: str, source: Path) -> None:
    """Refuse a fragment with an option that no Kconfig file of the tree defines.

    Raises:
        UsageError: an option is unknown; the message suggests similar names.
    """
    options = [option.removeprefix("CONFIG_") for option in parse_fragment(text, name)]
    if not options:
        return
    # -a: files with a help text in another encoding are texts, too.
    argv = ["grep", "-arhoE", "--include=Kconfig*", r"^[[:space:]]*(menu)?config[[:space:]]+[A-Z0-9_a-z]+", str(source)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, encoding="utf-8", errors="replace")
    known = {line.split()[1] for line in done.stdout.splitlines()}
    if not known:
        raise UsageError(
            f"no option is found in the kernel's source {source}",
            "give a kernel's source that you may read",
            detail=done.stderr,
        )
    for option in options:
        if option not in known:
            like = ", ".join(f"CONFIG_{near}" for near in difflib.get_close_matches(option, known))
            raise UsageError(
                f"{name}: this kernel has no option CONFIG_{option}" + (f"; there is {like}" if like else ""),
                "correct the name; search with `/` in `r4l kernel menuconfig`",
            )


def missed(wanted: Mapping[str, str], config: Mapping[str, str]) -> dict[str, str]:
    """Return the options whose values in a configuration differ from those wanted, with the actual values."""
    return {name: config.get(name, "n") for name, value in wanted.items() if config.get(name, "n") != value}


def why_dropped(
    wanted: Mapping[str, str], build: Path, source: Path, arch: Architecture, toolchain: Toolchain
) -> list[Dropped]:
    """Return the options that `build/.config` does not have as wanted, with reasons. Takes seconds if there are any.

    Kconfig files that only the kernel's own programs understand give no reasons.
    """
    config = read_config(build / ".config")
    names = missed(wanted, config)
    if not names:
        return []
    from r4l.kernel import kconfig_why  # Only here: few configurations drop an option.

    script, library = Path(kconfig_why.__file__), kconfig_why.LIBRARY
    question = {
        "source": str(source),
        "arch": arch.kbuild,
        "target": arch.gnu,
        "config": config,
        "wanted": {n: wanted[n] for n in names},
    }
    answers: dict[str, dict[str, Any]] = {}
    try:
        done = toolchain.run(
            ["python3", script, library.parent],
            Grant("kernel: why an option was dropped", reads=(script, library, source)),
            input=json.dumps(question).encode(),
            check=False,
        )
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        if done.returncode == 0:
            answers = json.loads(done.stdout)
    except LimitExceeded as error:
        said = error.cause
    unknown = {"reason": f"the reason is not known: {said}", "known": True}
    found = {name: answers.get(name, unknown) for name in names}
    return [
        Dropped(name, wanted[name], got, _with_hint(name, found[name]), found[name]["known"])
        for name, got in names.items()
    ]


def _with_hint(option: str, answer: Mapping[str, Any]) -> str:
    """Return the reason, with similar names added for an unknown option."""
    close = difflib.get_close_matches(option.removeprefix("CONFIG_"), answer.get("names", ()), 3, 0.75)
    hint = f"; did you mean {', '.join('CONFIG_' + name for name in close)}?" if close else ""
    return f"{answer['reason']}{hint}"


def as_data(dropped: Iterable[Dropped]) -> list[dict[str, object]]:
    """Return plain data for a manifest."""
    return [asdict(entry) for entry in dropped]
