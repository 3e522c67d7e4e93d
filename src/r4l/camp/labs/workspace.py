# SPDX-License-Identifier: MIT
"""A student's folder for a lab: the handout, the starter, the answers, and the progress."""

from __future__ import annotations

import difflib
import importlib.metadata
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

from r4l import home, resources, tables, user_tables
from r4l.camp.labs.attempts import known_attempts
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.printable import printable
from r4l.errors import UsageError
from r4l.paths import require_text

ANSWERS = "answers.toml"
STATE = ".r4l-lab.json"
"""File that marks a workspace and records its progress."""
PROGRESS = {"lab": str, "attempts": list, "hints?": {"*": int}, "*": object}
"""Shape of the content of that file."""
LARGEST = 1 << 20
"""Maximum bytes of a source file. Those of the reference answers have a twentieth of that."""
MOST = 100
"""Maximum number of a student's source files."""
LONGEST = 200
"""Maximum characters of a student's name, and bytes of a path component. With r4l's additions it stays below 255."""
HANDOUTS = ("handout.md", "handout.zh-CN.md")


def usual_place(lab: Lab) -> Path:
    """Return the default folder of a lab's workspace: in R4L_LABS, or ~/r4l-labs."""
    base = os.environ.get("R4L_LABS")
    return (Path(base) if base else Path.home() / "r4l-labs") / lab.name


@dataclass(frozen=True)
class Workspace:
    """A folder with a lab in it."""

    folder: Path
    lab: Lab

    @classmethod
    def start(cls, lab: Lab, folder: Path | None = None) -> Workspace:
        """Make a workspace for a lab.

        Raises:
            UsageError: the folder is not empty, or lies in r4l's own checkout.
        """
        folder = (folder or usual_place(lab)).absolute()
        checkout = resources.checkout()
        if checkout and folder.is_relative_to(checkout):
            raise UsageError(f"{folder} lies in the checkout of r4l", "name a folder of your own")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            started = (folder / STATE).exists()
            raise UsageError(
                f"{folder} exists already" + (": the lab has been started" if started else ""),
                f"go on with `r4l lab check {lab.name}`" if started else "name another folder",
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Write to a temporary folder, so that an interrupt leaves no partial workspace.
        partial = folder.with_name(f".{folder.name}.{os.getpid()}")
        try:
            for name, path in lab.files().items():
                (partial / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, partial / name)
            for handout in HANDOUTS:
                shutil.copy(lab.folder / handout, partial)
            if lab.questions:
                (partial / ANSWERS).write_text(_answer_sheet(lab), encoding="utf-8")
            state = {"lab": lab.name, "r4l": importlib.metadata.version("r4l"), "started": now(), "attempts": []}
            (partial / STATE).write_text(json.dumps(state, indent=1), encoding="utf-8")
            if folder.exists():
                folder.rmdir()
            partial.rename(folder)
        finally:
            home.remove(partial)
        return cls(folder, lab)

    @classmethod
    def find(cls, where: str | Path | None = None) -> Workspace:
        """Return the workspace in a folder, of a lab's name in the default folder, or in the current folder.

        Raises:
            UsageError: there is no workspace.
        """
        name = str(where) if where is not None else "."
        folder = Path(name).absolute()
        if not (folder / STATE).is_file() and "/" not in name and name != ".":
            folder = usual_place(Lab.named(name))
        try:
            state = _state(folder)
        except FileNotFoundError:
            raise UsageError(
                f"{folder} is not a lab's workspace", "start one with `r4l lab start NAME`, or name its folder"
            ) from None
        return cls(folder, Lab.named(state["lab"]))

    def sources(self) -> dict[Path, bytes]:
        """Return the student's files by their paths in the workspace, without the lab's own.

        Raises:
            UsageError: a file is a link or another special file, or too large.
        """
        found: dict[Path, bytes] = {}
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder)
            if any(part.startswith(".") for part in name.parts) or not self.lab.is_students(name):
                continue
            if path.is_symlink() or not path.is_file():
                raise UsageError(f"{name} is not a plain file", "put the file itself there")
            require_source(name, path.stat().st_size)
            found[name] = path.read_bytes()
            if len(found) > MOST:
                raise UsageError(f"there are more than {MOST} sources", "remove those that are not yours")
        return found

    def answers(self) -> dict[str, str]:
        """Return the student's answers by question; questions without an answer are left out.

        Raises:
            UsageError: the file is no TOML, or cannot be read.
        """
        file = self.folder / ANSWERS
        if file.is_symlink() or (file.exists() and not file.is_file()):
            raise UsageError(f"{ANSWERS} is not a plain file", "put the file itself there")
        try:
            return parse_answers(file.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise UsageError(f"{ANSWERS} cannot be read: {error.strerror}", "put a plain file there") from None

    def require_known_answers(self) -> None:
        """Refuse answers to questions that the lab does not have, such as one with a mistyped id.

        Raises:
            UsageError: there is one, or the file cannot be read.
        """
        known = [question.id for question in self.lab.questions]
        for name in self.answers():
            if name not in known:
                close = difflib.get_close_matches(name, known, 1)
                raise UsageError(
                    f"{self.folder / ANSWERS}: the lab has no question {plainly(name)}",
                    f"did you mean {close[0]}?" if close else f"its questions are {', '.join(known) or 'none'}",
                )

    def state(self) -> dict[str, Any]:
        """Return the progress: `lab`, `started`, `attempts`.

        Raises:
            UsageError: it is damaged.
        """
        return _state(self.folder)

    def attempts(self) -> list[dict[str, Any]]:
        """Return the results of the checks so far, oldest first.

        Raises:
            UsageError: they are damaged.
        """
        return known_attempts(self.state()["attempts"])

    def note(self, attempt: Mapping[str, Any]) -> None:
        """Record the result of an attempt."""
        state = self.state()
        state["attempts"].append({"when": now(), **attempt})
        self._keep(state)

    def hints_given(self, checkpoint: str) -> int:
        """Return how many hints of a checkpoint were given."""
        given: int = self.state().get("hints", {}).get(checkpoint, 0)
        return given

    def note_hints(self, checkpoint: str, given: int) -> None:
        """Record how many hints of a checkpoint were given."""
        state = self.state()
        state.setdefault("hints", {})[checkpoint] = given
        self._keep(state)

    def _keep(self, state: Mapping[str, Any]) -> None:
        partial = self.folder / f"{STATE}.{os.getpid()}"
        partial.write_text(json.dumps(state, indent=1), encoding="utf-8")
        partial.replace(self.folder / STATE)


def _state(folder: Path) -> dict[str, Any]:
    """Return the progress in a folder.

    Raises:
        OSError: there is none.
        UsageError: it is damaged.
    """
    try:
        state: Any = json.loads(require_text(folder / STATE))
        if not isinstance(state, dict):
            raise ValueError("it is no object")
        tables.check(state, PROGRESS, "it")
        known_attempts(state["attempts"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"{folder / STATE} is damaged: {error}", "start the lab again in another folder") from None
    return state


def now() -> str:
    """Return the present time in UTC as ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def parse_answers(data: bytes) -> dict[str, str]:
    """Parse an answers.toml; blank answers are left out.

    Raises:
        UsageError: the data are no TOML, or too large.
    """
    if len(data) > LARGEST:
        raise UsageError(f"{ANSWERS} has {len(data)} bytes", f"it has at most {LARGEST}")
    try:
        answers = {key: str(value) for key, value in user_tables.parse(data.decode()).items()}
    # RecursionError: a thousand brackets.
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{ANSWERS} cannot be read: {error}", 'write one line each: id = "your answer"') from None
    return {key: answer for key, answer in answers.items() if answer.strip()}


def require_source(name: PurePath, size: int) -> None:
    """Refuse a source file that another machine may not be able to store.

    Raises:
        UsageError: the file is too large, or its path is too long or not printable.
    """
    if size > LARGEST:
        raise UsageError(f"{plainly(str(name))} has {size} bytes", f"sources have at most {LARGEST}")
    if not str(name).isprintable() or any(len(os.fsencode(part)) > LONGEST for part in name.parts):
        raise UsageError(f"{plainly(str(name))} is not a valid name for a source", "give it a short, plain name")


def plainly(text: str) -> str:
    """Return an untrusted text shortened, with unprintable characters escaped."""
    return printable(text[:LONGEST]) + ("…" if len(text) > LONGEST else "")


def _answer_sheet(lab: Lab) -> str:
    lines = ["# Answer between the quotes. 请把答案写在引号里。"]
    for question in lab.questions:
        lines += ["", f"# {question.ask.en}", f"# {question.ask.zh}", f'{question.id} = ""']
    return "\n".join(lines) + "\n"
