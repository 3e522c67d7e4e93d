# SPDX-License-Identifier: MIT
"""A lab, as its folder says it (`labs/NN-name/lab.toml`)."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r4l import resources
from r4l.errors import UsageError

LANGUAGES = ("en", "zh")


def language() -> str:
    """The reader's: `zh` where the locale is Chinese (LC_ALL, LC_MESSAGES, LANG, in locale(7)'s order), else `en`."""
    locale = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), "")
    return "zh" if locale.startswith("zh") else "en"


@dataclass(frozen=True)
class Words:
    """A text in each language of the labs."""

    en: str
    zh: str

    def __str__(self) -> str:
        return self.zh if language() == "zh" else self.en


@dataclass(frozen=True)
class Checkpoint:
    """Something that the student's work has to do, and that a check finds out.

    Attributes:
        id: what the check's marker says: `@pytest.mark.checkpoint("rings")`.
        title: what has to be.
        read: where to read about it.
        hints: each says more than the one before.
    """

    id: str
    title: Words
    read: Words
    hints: tuple[Words, ...] = ()


@dataclass(frozen=True)
class Question:
    """A question of the handout's. The answer stands in the student's answers.toml.

    Attributes:
        id: its key there.
        ask: the question.
        accept: a regular expression that right answers match, in any case of letters.
        why: the answer, for who has given it.
        command: run in the guest, it prints what `accept` matches too: the key is checked by the machine.
    """

    id: str
    ask: Words
    accept: str
    why: Words
    command: str = ""

    def right(self, answer: str) -> bool:
        """Whether that is the answer."""
        return re.search(self.accept, answer.strip(), re.IGNORECASE) is not None


@dataclass(frozen=True)
class Lab:
    """One lab.

    Attributes:
        folder: with handout.md, handout.zh-CN.md, starter/, checks/.
        number: its place in the camp.
        name: what one calls it.
        title: what it is about.
        edit: patterns of the files that are the student's; all others of the starter are the lab's.
        answer: the reference answer's folder, its own `answer/` or one of `rust/`; None where it is no module.
        checkpoints: in the order in which they are reached.
        questions: of the handout.
    """

    folder: Path
    number: int
    name: str
    title: Words
    edit: tuple[str, ...]
    answer: Path | None
    checkpoints: tuple[Checkpoint, ...]
    questions: tuple[Question, ...]

    @classmethod
    def read(cls, folder: Path) -> Lab:
        """The lab in a folder."""
        number, name = folder.name.split("-", 1)
        table = tomllib.loads((folder / "lab.toml").read_text())
        return cls(
            folder=folder,
            number=int(number),
            name=name,
            title=Words(**table["title"]),
            edit=tuple(table["edit"]),
            answer=_answer(folder, table.get("answer")),
            checkpoints=tuple(_checkpoint(entry) for entry in table.get("checkpoint", ())),
            questions=tuple(_question(entry) for entry in table.get("question", ())),
        )

    @classmethod
    def all(cls) -> list[Lab]:
        """Every lab, in the camp's order."""
        return [cls.read(file.parent) for file in sorted(resources.labs().glob("*/lab.toml"))]

    @classmethod
    def named(cls, name: str) -> Lab:
        """The lab of that name (`hello`), number (`3`), or both (`03-hello`).

        Raises:
            UsageError: there is none.
        """
        for lab in cls.all():
            if name in (lab.name, lab.folder.name) or (name.isdecimal() and int(name) == lab.number):
                return lab
        raise UsageError(f"there is no lab {name}", f"use one of {', '.join(lab.name for lab in cls.all())}")

    @property
    def starter(self) -> Path:
        """What a student starts from."""
        return self.folder / "starter"

    @property
    def checks(self) -> Path:
        """The folder of the checks."""
        return self.folder / "checks"

    def is_students(self, file: Path) -> bool:
        """Whether a file, by its path in the workspace, is the student's to edit."""
        return any(file.match(pattern) for pattern in self.edit)


def _answer(folder: Path, name: str | None) -> Path | None:
    if name is None:
        return None
    return folder / name if (folder / name).is_dir() else resources.rust(name)


def _checkpoint(entry: Mapping[str, Any]) -> Checkpoint:
    return Checkpoint(
        id=entry["id"],
        title=Words(**entry["title"]),
        read=Words(**entry["read"]),
        hints=tuple(Words(**hint) for hint in entry.get("hints", ())),
    )


def _question(entry: Mapping[str, Any]) -> Question:
    texts = {key: Words(**entry[key]) for key in ("ask", "why")}
    return Question(**{**entry, **texts})
