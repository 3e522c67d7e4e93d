# SPDX-License-Identifier: MIT
"""Fragments of configuration laid over a base, and what became of each of their options.

`make olddefconfig` drops what cannot be had and says nothing. Here it is named, with the reason: dependencies that are
not met, from the kernel's own Kconfig files (see kconfig_why.py).
"""

from __future__ import annotations

import difflib
import importlib.util
import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from r4l.errors import UsageError
from r4l.kernel.config import read_config
from r4l.toolchain import Grant, Toolchain

SET = re.compile(r"^(CONFIG_\w+)=(.*)$")
UNSET = re.compile(r"^# (CONFIG_\w+) is not set$")


@dataclass(frozen=True)
class Dropped:
    """An option that the configuration does not have as it was asked for.

    Attributes:
        option: `CONFIG_…`.
        wanted, got: its values; `n` where it is not set.
        reason: why; from Kconfig.
        known: False where the kernel has no such option.
    """

    option: str
    wanted: str
    got: str
    reason: str
    known: bool = True

    def __str__(self) -> str:
        return f"{self.option}={self.wanted} became {self.got}: {self.reason}"


def parse_fragment(text: str, name: str) -> dict[str, str]:
    """The options that a fragment sets, `CONFIG_…` to value (`n` where it says that one is not set).

    Raises:
        UsageError: a line is none of a fragment's, with its number.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = SET.match(line) or UNSET.match(line)
        if match:
            found[match[1]] = match[2].strip().strip('"') if match.re is SET else "n"
        elif line.strip() and not line.startswith("#"):
            raise UsageError(
                f"{name}, line {number} is no configuration: {line.strip()}",
                'write CONFIG_NAME=y, =m, =n, =NUMBER or ="TEXT", or `# CONFIG_NAME is not set`',
            )
    return found


def require_known(text: str, name: str, source: Path) -> None:
    """Refuse a fragment with an option that no Kconfig file of the tree has.

    Raises:
        UsageError: there is one; with names that are like it.
    """
    options = [option.removeprefix("CONFIG_") for option in parse_fragment(text, name)]
    if not options:
        return
    argv = ["grep", "-rhoE", "--include=Kconfig*", r"^[[:space:]]*(menu)?config[[:space:]]+[A-Z0-9_a-z]+", str(source)]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True, encoding="utf-8").stdout.splitlines()
    known = {line.split()[1] for line in lines}
    for option in options:
        if option not in known:
            like = ", ".join(f"CONFIG_{near}" for near in difflib.get_close_matches(option, known))
            raise UsageError(
                f"{name}: this kernel has no option CONFIG_{option}" + (f"; there is {like}" if like else ""),
                "mend the name; `/` in `r4l kernel menuconfig` searches",
            )


def missed(wanted: Mapping[str, str], config: Mapping[str, str]) -> dict[str, str]:
    """Options that a configuration has otherwise than wanted, with what it has."""
    return {name: config.get(name, "n") for name, value in wanted.items() if config.get(name, "n") != value}


def why_dropped(
    wanted: Mapping[str, str], build: Path, source: Path, kbuild_arch: str, toolchain: Toolchain
) -> list[Dropped]:
    """What `build/.config` does not have as wanted, each with its reason; takes seconds where there is any.

    Args:
        kbuild_arch: ARCH of the kernel's Makefile.
    """
    config = read_config(build / ".config")
    names = missed(wanted, config)
    if not names:
        return []
    script = Path(__file__).with_name("kconfig_why.py")
    library = _kconfiglib()
    question = {"source": str(source), "arch": kbuild_arch, "config": config, "wanted": {n: wanted[n] for n in names}}
    done = toolchain.run(
        ["python3", script, library.parent],
        Grant("kernel: why an option was dropped", reads=(script, library, source)),
        input=json.dumps(question).encode(),
    )
    answers: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return [
        Dropped(name, wanted[name], got, _with_hint(name, answers[name]), answers[name]["known"])
        for name, got in names.items()
    ]


def _with_hint(option: str, answer: Mapping[str, Any]) -> str:
    """The reason, with the names that an unknown option may have been meant for."""
    close = difflib.get_close_matches(option.removeprefix("CONFIG_"), answer.get("names", ()), 3, 0.75)
    hint = f"; did you mean {', '.join('CONFIG_' + name for name in close)}?" if close else ""
    return f"{answer['reason']}{hint}"


def as_data(dropped: Iterable[Dropped]) -> list[dict[str, object]]:
    """For a manifest."""
    return [asdict(entry) for entry in dropped]


def _kconfiglib() -> Path:
    spec = importlib.util.find_spec("kconfiglib")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)
