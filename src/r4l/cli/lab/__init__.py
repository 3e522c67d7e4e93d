# SPDX-License-Identifier: MIT
"""`r4l lab`: the camp's labs, for students and for teachers."""

from __future__ import annotations

import click

from r4l.cli.lab import student, teacher


@click.group(epilog="Examples: r4l lab list;  r4l lab start hello;  r4l lab check hello;  r4l lab hint hello greets")
def command() -> None:
    """The camp's labs: start one, check it as often as you like, hand it in; grade what was handed in.

    WHERE is a lab's name (its workspace is then ~/r4l-labs/NAME, or in R4L_LABS), or a workspace's folder; by default
    the one you are in. Handouts and checks speak Chinese where the locale does.
    """


for one in (student.list_, student.start, student.check, student.submit, student.hint):
    command.add_command(one)
for one in (teacher.grade, teacher.report, teacher.matrix_):
    command.add_command(one)
