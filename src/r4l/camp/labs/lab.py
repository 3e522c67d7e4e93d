# SPDX-License-Identifier: MIT
"""A lab, as described by its folder (`labs/NN-name/lab.toml`)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r4l import resources, user_tables
from r4l.arch import DEFAULT
from r4l.errors import UsageError

LANGUAGES = ("en", "zh")
WORDS = dict.fromkeys(LANGUAGES, str)
SHAPE = {
    "title": WORDS,
    "edit": [str],
    "answer": str,
    "checkpoint?": [{"id!": str, "title": WORDS, "read": WORDS, "hints?": [WORDS]}],
    "question?": [{"id!": str, "ask": WORDS, "read": WORDS, "accept": str, "why": WORDS, "command?": str}],
    "config?": {"base": str, "students": str},
    "timeout?": int,
    **{f"{key}?": [str] for key in ("kernels", "arches", "starts_on")},
    **{f"{key}?": bool for key in ("broken", "builds")},
}
"""Keys of lab.toml."""
TIMEOUT = 45
"""Default seconds of one check. Most take one, and three on a loaded machine."""


def language() -> str:
    """Return the reader's language: `zh` for a Chinese locale (LC_ALL, LC_MESSAGES, LANG, in locale(7)'s order), else
    `en`."""
    locale = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), "")
    return "zh" if locale.startswith("zh") else "en"


@dataclass(frozen=True)
class LocalizedText:
    """A text in each language of the labs."""

    en: str
    zh: str

    def __str__(self) -> str:
        return self.zh if language() == "zh" else self.en


@dataclass(frozen=True)
class Checkpoint:
    """A requirement on the student's work that a check verifies.

    Attributes:
        id: argument of the check's marker: `@pytest.mark.checkpoint("rings")`.
        title: the requirement.
        read: reference to read.
        hints: each more detailed than the one before.
    """

    id: str
    title: LocalizedText
    read: LocalizedText
    hints: tuple[LocalizedText, ...] = ()


@dataclass(frozen=True)
class Question:
    """A question in the handout. The student's answer is in answers.toml.

    Attributes:
        id: key in answers.toml.
        ask: the question.
        read: reference to read after a wrong answer; leads to the answer without giving it.
        accept: regular expression for right answers; case is ignored.
        why: explanation, shown after a right answer.
        command: command for the guest whose output must match `accept` too, which verifies the key.
    """

    id: str
    ask: LocalizedText
    read: LocalizedText
    accept: str
    why: LocalizedText
    command: str = ""

    def right(self, answer: str) -> bool:
        """True if the answer is right."""
        return re.search(self.accept, answer.strip(), re.IGNORECASE) is not None


@dataclass(frozen=True)
class Config:
    """Configuration of a lab's own kernel, applied to the profile that `Lab.kernels` names.

    Attributes:
        base: the lab's fragment, a file of its folder.
        students: the student's fragment, a file of the workspace, applied last.
    """

    base: str
    students: str


@dataclass(frozen=True)
class Lab:
    """One lab.

    Attributes:
        folder: with handout.md, handout.zh-CN.md, starter/, checks/.
        number: position in the camp.
        name: short name.
        title: subject.
        edit: patterns of the student's files; all others of the starter are the lab's.
        answer: folder of the reference answer, the lab's `answer/` or a folder of `rust/`.
        checkpoints: in the order in which they are reached.
        questions: of the handout.
        kernels: kernels to check on, by their names for --kernel.
        arches: architectures of each of them.
        starts_on: architectures that the starter builds for; the others are part of the task.
        config: set if the student configures the kernel; the starter is then no module.
        timeout: seconds of one check.
        broken: True if the starter is a driver with bugs that make the kernel complain.
        builds: False if the checks build the student's files: several modules, or one in several ways.
    """

    folder: Path
    number: int
    name: str
    title: LocalizedText
    edit: tuple[str, ...]
    answer: Path
    checkpoints: tuple[Checkpoint, ...]
    questions: tuple[Question, ...]
    kernels: tuple[str, ...] = ("stock",)
    arches: tuple[str, ...] = (DEFAULT,)
    starts_on: tuple[str, ...] = (DEFAULT,)
    config: Config | None = None
    timeout: int = TIMEOUT
    broken: bool = False
    builds: bool = True

    @classmethod
    def read(cls, folder: Path) -> Lab:
        """Read the lab in a folder.

        Raises:
            UsageError: its lab.toml cannot be read, or does not have its shape.
        """
        number, name = folder.name.split("-", 1)
        table = user_tables.read(folder / "lab.toml", SHAPE)
        arches = tuple(table.get("arches", cls.arches))
        return cls(
            folder=folder,
            number=int(number),
            name=name,
            title=LocalizedText(**table["title"]),
            edit=tuple(table["edit"]),
            answer=_answer(folder, table["answer"]),
            checkpoints=tuple(_checkpoint(entry) for entry in table.get("checkpoint", ())),
            questions=tuple(_question(entry) for entry in table.get("question", ())),
            kernels=tuple(table.get("kernels", cls.kernels)),
            arches=arches,
            starts_on=tuple(table.get("starts_on", arches)),
            config=Config(**table["config"]) if "config" in table else None,
            timeout=table.get("timeout", TIMEOUT),
            broken=table.get("broken", False),
            builds=table.get("builds", cls.builds),
        )

    @classmethod
    def all(cls) -> list[Lab]:
        """Return every lab, in the camp's order."""
        return [cls.read(file.parent) for file in sorted(resources.labs().glob("*/lab.toml"))]

    @classmethod
    def named(cls, name: str) -> Lab:
        """Return the lab of that name (`hello`), number (`3`), or both (`03-hello`).

        Raises:
            UsageError: no such lab exists.
        """
        for lab in cls.all():
            if name in lab.called or (name.isdecimal() and int(name) == lab.number):
                return lab
        raise UsageError(f"there is no lab {name}", f"use one of {', '.join(lab.name for lab in cls.all())}")

    @property
    def called(self) -> tuple[str, str]:
        """The lab's name without and with its number: `hello`, `03-hello`."""
        return self.name, self.folder.name

    @property
    def starter(self) -> Path:
        """Folder of the starter."""
        return self.folder / "starter"

    @property
    def checks(self) -> Path:
        """Folder of the checks."""
        return self.folder / "checks"

    def files(self) -> dict[Path, Path]:
        """Return the initial files of a workspace: paths in it, and the files to copy.

        Files of the reference answer that are not the student's to write are included; the starter has the others.
        """
        answers = {path.relative_to(self.answer): path for path in sorted(self.answer.iterdir()) if path.is_file()}
        given = {name: path for name, path in answers.items() if not (self.is_students(name) or name.name[0] == ".")}
        starters = {path.relative_to(self.starter): path for path in sorted(self.starter.rglob("*")) if path.is_file()}
        return {**given, **starters}

    def is_students(self, file: Path) -> bool:
        """True if a file, by its path in the workspace, is the student's to edit."""
        return any(file.match(pattern) for pattern in self.edit)


def _answer(folder: Path, name: str) -> Path:
    return folder / name if (folder / name).is_dir() else resources.rust(name)


def _checkpoint(entry: Mapping[str, Any]) -> Checkpoint:
    return Checkpoint(
        id=entry["id"],
        title=LocalizedText(**entry["title"]),
        read=LocalizedText(**entry["read"]),
        hints=tuple(LocalizedText(**hint) for hint in entry.get("hints", ())),
    )


def _question(entry: Mapping[str, Any]) -> Question:
    texts = {key: LocalizedText(**entry[key]) for key in ("ask", "read", "why")}
    return Question(**{**entry, **texts})
