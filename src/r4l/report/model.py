# SPDX-License-Identifier: MIT
"""`result.json`: the outcome of a run, as plain dataclasses.

Every field has a default, so an interrupted run is kept as far as it came. Reading is lenient: a value of the wrong
type counts as missing, since parts of the file come from the guest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

RESULT = "result.json"
Json = Mapping[str, object]


@dataclass
class CommandRun:
    """One command that ran in the guest or on the host.

    Attributes:
        exit_code: None if the command did not end (time-out, VM gone).
        seconds: wall clock on the host.
    """

    command: str
    exit_code: int | None = None
    stdout: str = ""
    stderr: str = ""
    seconds: float | None = None

    @classmethod
    def from_json(cls, data: Json) -> CommandRun:
        """Read one entry of `commands`."""
        return cls(
            command=_text(data, "command"),
            exit_code=_whole(data, "exit_code"),
            stdout=_text(data, "stdout"),
            stderr=_text(data, "stderr"),
            seconds=_number(data, "seconds"),
        )


@dataclass
class StageTime:
    """One stage of the host's work; stages may overlap.

    Attributes:
        start: seconds since `Result.started`; None if the stage never began.
        seconds: duration; None if the stage never ended.
    """

    name: str
    start: float | None = None
    seconds: float | None = None
    ok: bool | None = None

    @classmethod
    def from_json(cls, data: Json) -> StageTime:
        """Read one entry of `stages`."""
        return cls(_text(data, "name"), _number(data, "start"), _number(data, "seconds"), _truth(data, "ok"))


@dataclass
class Step:
    """One checked row.

    Attributes:
        row: ids of requirements, such as `A7`, or `A7 E5` if one step proves two.
        requirement: text of these requirements, with code in backquotes; may be empty.
        expected: what a working guest shows.
        seen: what the guest showed.
        start: seconds since `Result.started`.
        ok: None if the step did not end.
        console_begin: first line of the step in the console log, from 0.
        console_end: the line after the step's last one. Lines are counted by their newline byte.
        error: cause of a failure in a sentence or a few lines; None without failure.
    """

    row: str
    title: str
    expected: str = ""
    seen: str = ""
    start: float | None = None
    seconds: float | None = None
    ok: bool | None = None
    commands: list[CommandRun] = field(default_factory=list)
    console_begin: int | None = None
    console_end: int | None = None
    error: str | None = None
    requirement: str = ""

    @classmethod
    def from_json(cls, data: Json) -> Step:
        """Read one entry of `steps`."""
        return cls(
            row=_text(data, "row"),
            title=_text(data, "title"),
            expected=_text(data, "expected"),
            seen=_text(data, "seen"),
            start=_number(data, "start"),
            seconds=_number(data, "seconds"),
            ok=_truth(data, "ok"),
            commands=[CommandRun.from_json(entry) for entry in _objects(data, "commands")],
            console_begin=_whole(data, "console_begin"),
            console_end=_whole(data, "console_end"),
            error=_text(data, "error") or None,
            requirement=_text(data, "requirement"),
        )


@dataclass
class RustSymbols:
    """The proof that regenerated Rust metadata fits the packaged kernel.

    Attributes:
        exported: number of exported symbols per crate.
        matching: number of these symbols in the packaged Module.symvers.
    """

    exported: dict[str, int] = field(default_factory=dict)
    matching: int | None = None

    @classmethod
    def from_json(cls, data: Json) -> RustSymbols:
        """Read `rust_symbols`."""
        counts = _object(data, "exported")
        known = {crate: _whole(counts, crate) for crate in counts}
        return cls({crate: count for crate, count in known.items() if count is not None}, _whole(data, "matching"))


@dataclass
class KernelFacts:
    """The kernel that ran.

    Attributes:
        toolchain: program to version.
    """

    release: str = ""
    version: str = ""
    arch: str = ""
    rust_symbols: RustSymbols = field(default_factory=RustSymbols)
    toolchain: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Json) -> KernelFacts:
        """Read `kernel`."""
        tools = _object(data, "toolchain")
        return cls(
            release=_text(data, "release"),
            version=_text(data, "version"),
            arch=_text(data, "arch"),
            rust_symbols=RustSymbols.from_json(_object(data, "rust_symbols")),
            toolchain={tool: _text(tools, tool) for tool in tools},
        )


@dataclass
class Accelerator:
    """QEMU's accelerator, and the reason for its choice."""

    name: str = ""
    reason: str = ""

    @classmethod
    def from_json(cls, data: Json) -> Accelerator:
        """Read `accelerator`."""
        return cls(_text(data, "name"), _text(data, "reason"))


@dataclass
class ModuleFacts:
    """The module under test. `name` is as in /proc/modules; log lines that contain it are marked."""

    name: str = ""
    file: str = ""
    vermagic: str = ""
    license: str = ""
    description: str = ""

    @classmethod
    def from_json(cls, data: Json) -> ModuleFacts:
        """Read `module`."""
        return cls(
            name=_text(data, "name"),
            file=_text(data, "file"),
            vermagic=_text(data, "vermagic"),
            license=_text(data, "license"),
            description=_text(data, "description"),
        )


@dataclass
class Files:
    """Names of files in the same folder."""

    console: str = "console.log"
    pcaps: list[str] = field(default_factory=list)

    @classmethod
    def from_json(cls, data: Json) -> Files:
        """Read `files`."""
        pcaps = data.get("pcaps")
        names = [name for name in pcaps if isinstance(name, str)] if isinstance(pcaps, list) else []
        return cls(_text(data, "console") or "console.log", names)


@dataclass
class Result:
    """A whole run.

    Attributes:
        r4l: version of r4l.
        started: ISO 8601 with offset.
        seconds: wall clock of the whole run.
        verdict: `passed` or `failed`; empty for an interrupted run.
    """

    r4l: str = ""
    title: str = ""
    started: str = ""
    seconds: float | None = None
    verdict: str = ""
    kernel: KernelFacts = field(default_factory=KernelFacts)
    accelerator: Accelerator = field(default_factory=Accelerator)
    module: ModuleFacts = field(default_factory=ModuleFacts)
    stages: list[StageTime] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    files: Files = field(default_factory=Files)

    @classmethod
    def from_json(cls, data: Json) -> Result:
        """Read a decoded `result.json`; a value that is missing or of the wrong type takes its default."""
        return cls(
            r4l=_text(data, "r4l"),
            title=_text(data, "title"),
            started=_text(data, "started"),
            seconds=_number(data, "seconds"),
            verdict=_text(data, "verdict"),
            kernel=KernelFacts.from_json(_object(data, "kernel")),
            accelerator=Accelerator.from_json(_object(data, "accelerator")),
            module=ModuleFacts.from_json(_object(data, "module")),
            stages=[StageTime.from_json(entry) for entry in _objects(data, "stages")],
            steps=[Step.from_json(entry) for entry in _objects(data, "steps")],
            files=Files.from_json(_object(data, "files")),
        )

    def to_json(self) -> dict[str, object]:
        """Return plain dictionaries and lists for `json.dumps`."""
        return asdict(self)

    def save(self, folder: Path) -> Path:
        """Write `result.json` into a folder, completely or not at all.

        Raises:
            OSError: the folder cannot be written.
        """
        final = folder / RESULT
        partial = folder / f".{RESULT}.partial"
        # Guest output may hold lone surrogates (surrogateescape); \u escapes keep the file valid UTF-8.
        partial.write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="ascii")
        partial.replace(final)
        return final


def load(folder: Path) -> tuple[Result, str]:
    """Read a folder's `result.json`; return the result and a sentence about its fault, empty without one."""
    try:
        data = json.loads((folder / RESULT).read_bytes())
    except FileNotFoundError:
        return Result(), f"{RESULT} is missing: the run ended before it could be written."
    except (OSError, ValueError, RecursionError) as error:
        return Result(), f"{RESULT} cannot be read: {error}"
    if not isinstance(data, dict):
        return Result(), f"{RESULT} does not hold an object."
    return Result.from_json(data), ""


def _text(data: Json, key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _number(data: Json, key: str) -> float | None:
    """Return a number of seconds between zero and thirty years; None for any other value."""
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if 0 <= number < 1e9 else None


def _whole(data: Json, key: str) -> int | None:
    value = data.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else None


def _truth(data: Json, key: str) -> bool | None:
    value = data.get(key)
    return value if isinstance(value, bool) else None


def _object(data: Json, key: str) -> Json:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _objects(data: Json, key: str) -> list[Json]:
    value = data.get(key)
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
