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
from r4l.arch import DEFAULT
from r4l.errors import UsageError

LANGUAGES = ("en", "zh")
TIMEOUT = 45
"""Seconds of one check, where a lab does not say. Most take one, and three on a loaded machine."""


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
        read: where to read about it, for who has answered wrongly. It leads to the answer and does not say it.
        accept: a regular expression that right answers match, in any case of letters.
        why: the answer, for who has given it.
        command: run in the guest, it prints what `accept` matches too: the key is checked by the machine.
    """

    id: str
    ask: Words
    read: Words
    accept: str
    why: Words
    command: str = ""

    def right(self, answer: str) -> bool:
        """Whether that is the answer."""
        return re.search(self.accept, answer.strip(), re.IGNORECASE) is not None


@dataclass(frozen=True)
class Config:
    """What a lab's own kernel is configured with, over the profile that `Lab.kernels` names.

    Attributes:
        base: the lab's fragment, a file of its folder.
        students: the student's, a file of the workspace, laid over it.
    """

    base: str
    students: str


@dataclass(frozen=True)
class Lab:
    """One lab.

    Attributes:
        folder: with handout.md, handout.zh-CN.md, starter/, checks/.
        number: its place in the camp.
        name: what one calls it.
        title: what it is about.
        edit: patterns of the files that are the student's; all others of the starter are the lab's.
        answer: the reference answer's folder, its own `answer/` or one of `rust/`.
        checkpoints: in the order in which they are reached.
        questions: of the handout.
        kernels: what it is checked on, each in turn, by the names that --kernel takes.
        arches: of each of them.
        starts_on: those of the arches that the starter builds for; to make it build for the others is the work.
        config: where the kernel is what the student makes; the starter is then no module.
        timeout: seconds of one check.
        broken: the starter is a driver with bugs, which the kernel is meant to complain of.
        builds: False where the checks build what the student wrote: more than one module, or in more than one way.
    """

    folder: Path
    number: int
    name: str
    title: Words
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
        """The lab in a folder."""
        number, name = folder.name.split("-", 1)
        table = tomllib.loads((folder / "lab.toml").read_text(encoding="utf-8"))
        arches = tuple(table.get("arches", cls.arches))
        return cls(
            folder=folder,
            number=int(number),
            name=name,
            title=Words(**table["title"]),
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
        """Every lab, in the camp's order."""
        return [cls.read(file.parent) for file in sorted(resources.labs().glob("*/lab.toml"))]

    @classmethod
    def named(cls, name: str) -> Lab:
        """The lab of that name (`hello`), number (`3`), or both (`03-hello`).

        Raises:
            UsageError: there is none.
        """
        for lab in cls.all():
            if name in lab.called or (name.isdecimal() and int(name) == lab.number):
                return lab
        raise UsageError(f"there is no lab {name}", f"use one of {', '.join(lab.name for lab in cls.all())}")

    @property
    def called(self) -> tuple[str, str]:
        """Its name without and with its number: `hello`, `03-hello`."""
        return self.name, self.folder.name

    @property
    def starter(self) -> Path:
        """What a student starts from."""
        return self.folder / "starter"

    @property
    def checks(self) -> Path:
        """The folder of the checks."""
        return self.folder / "checks"

    def files(self) -> dict[Path, Path]:
        """What a workspace starts with: paths in it, and the files that are copied there.

        The files of the reference answer that are not the student's to write are given; the starter has the others.
        """
        answers = {path.relative_to(self.answer): path for path in sorted(self.answer.iterdir()) if path.is_file()}
        given = {name: path for name, path in answers.items() if not (self.is_students(name) or name.name[0] == ".")}
        starters = {path.relative_to(self.starter): path for path in sorted(self.starter.rglob("*")) if path.is_file()}
        return {**given, **starters}

    def is_students(self, file: Path) -> bool:
        """Whether a file, by its path in the workspace, is the student's to edit."""
        return any(file.match(pattern) for pattern in self.edit)


def _answer(folder: Path, name: str) -> Path:
    return folder / name if (folder / name).is_dir() else resources.rust(name)


def _checkpoint(entry: Mapping[str, Any]) -> Checkpoint:
    return Checkpoint(
        id=entry["id"],
        title=Words(**entry["title"]),
        read=Words(**entry["read"]),
        hints=tuple(Words(**hint) for hint in entry.get("hints", ())),
    )


def _question(entry: Mapping[str, Any]) -> Question:
    texts = {key: Words(**entry[key]) for key in ("ask", "read", "why")}
    return Question(**{**entry, **texts})
