# SPDX-License-Identifier: MIT
"""Show a class as a table (CSV and HTML), with a page for each student."""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from r4l.camp.labs.grade import Grade
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.student import slug

FORMULA = re.compile(r"((?:^|[;,|\t\r\n])[\s\ufeff]*)(?=[=+\-@%|＝＋－＠﹦﹢﹣﹫])")
"""Place before a sign with which a formula begins, at the beginning of a cell, or of a part that may become one."""


@dataclass(frozen=True)
class Student:
    """A student's grades, oldest first."""

    name: str
    grades: tuple[Grade, ...]

    @property
    def page(self) -> str:
        """File name of the page."""
        return f"{slug(self.name)}.html"

    @property
    def unsure(self) -> bool:
        """True if a checkpoint in a best grade could not be judged."""
        return any(grade.unjudged for grade in self.best.values())

    @cached_property
    def best(self) -> dict[str, Grade]:
        """Best grade of each lab; among equals the one with more judged checkpoints, then the first."""
        best: dict[str, Grade] = {}
        for grade in self.grades:
            if grade.lab not in best or _worth(grade) > _worth(best[grade.lab]):
                best[grade.lab] = grade
        return best


def _worth(grade: Grade) -> tuple[int, int]:
    return grade.verdict["reached"], -len(grade.unjudged)


def students(grades: Iterable[Grade]) -> list[Student]:
    """Return the students with their grades, ordered by name."""
    by_name: dict[str, list[Grade]] = defaultdict(list)
    for grade in grades:
        by_name[grade.student].append(grade)
    return [Student(name, tuple(those)) for name, those in sorted(by_name.items())]


def table(grades: Iterable[Grade]) -> str:
    """Return the class as CSV: a row for each student and lab, with the best grade."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["student", "lab", "reached", "of", "claimed", "kernel", "handed_in", "graded", "open", "unjudged"])
    for student in students(grades):
        for lab, grade in student.best.items():
            verdict = grade.verdict
            judged = (entry for entry in verdict["outcomes"] if not entry.get("fault"))
            missed = " ".join(entry["id"] for entry in judged if entry["passed"] is not True)
            row = [student.name, lab, verdict["reached"], verdict["of"], grade.claimed, verdict["kernel"]]
            writer.writerow(
                [_plain(value) for value in [*row, grade.handed_in, grade.when, missed, " ".join(grade.unjudged)]]
            )
    return out.getvalue()


def write(folder: Path, grades: Iterable[Grade]) -> Path:
    """Write class.csv, index.html and the students' pages into a class's folder; return the path of index.html."""
    grades = list(grades)
    environment = Environment(loader=PackageLoader("r4l.camp.labs"), autoescape=True, undefined=StrictUndefined)
    environment.globals["style"] = PackageLoader("r4l.camp.labs").get_source(environment, "style.css")[0]
    there = students(grades)
    labs = [lab for lab in Lab.all() if any(lab.name in student.best for student in there)]
    (folder / "class.csv").write_text(table(grades), encoding="utf-8")
    for student in there:
        page = environment.get_template("student.html.j2").render(student=student)
        (folder / student.page).write_text(page, encoding="utf-8")
    index = folder / "index.html"
    index.write_text(environment.get_template("class.html.j2").render(students=there, labs=labs), encoding="utf-8")
    return index


def _plain(value: object) -> object:
    """Return a cell's value, escaped so that no spreadsheet takes it for a formula.

    Where the user's language separates cells by semicolons or tabs, each part is a cell; a spreadsheet in Chinese or
    Japanese takes the wide forms of the signs, too (OWASP, "CSV Injection").
    """
    return FORMULA.sub(r"\1'", value) if isinstance(value, str) else value
