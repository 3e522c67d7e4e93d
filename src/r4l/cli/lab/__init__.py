# SPDX-License-Identifier: MIT
"""`r4l lab`: the camp's labs, for students and for teachers."""

from __future__ import annotations

import click

from r4l.cli.lab import student, teacher


@click.group(epilog="Examples: r4l lab list;  r4l lab start hello;  r4l lab check hello;  r4l lab hint hello greets")
def command() -> None:
    """Start a lab of the camp, check it as often as you like, hand it in; grade handed-in bundles.

    WHERE is a lab's name (its workspace is then ~/r4l-labs/NAME, or in R4L_LABS), or a workspace's folder; by default
    the current one. Handouts and checks are in Chinese if the locale is.
    """


for one in (student.list_, student.start, student.check, student.submit, student.hint):
    command.add_command(one)
for one in (teacher.grade, teacher.report, teacher.matrix_):
    command.add_command(one)
