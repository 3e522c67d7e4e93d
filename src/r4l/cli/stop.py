# SPDX-License-Identifier: MIT
"""`r4l stop`."""

from __future__ import annotations

import click

from r4l import kept
from r4l.cli import session
from r4l.cli.kept import complete_name, tell_of_lost
from r4l.errors import UsageError
from r4l.kept.client import stop


@click.command(epilog="Examples: r4l stop;  r4l stop hello;  r4l stop --all")
@click.argument("name", required=False, metavar="[VM]", shell_complete=complete_name)
@click.option("--all", "everything", is_flag=True, help="End all machines.")
def command(name: str | None, everything: bool) -> None:
    """End a machine that `r4l run --keep` has left running.

    VM may be omitted if there is only one. If the kernel complained while no command ran there, or while it was ended,
    the complaint is printed and the exit code is 123.
    """
    code = tell_of_lost() if everything else 0
    for machine in kept.running() if everything else [kept.find(name)]:
        try:
            end = stop(machine)
        except UsageError:
            if not everything:
                raise
            # It has ended by itself while others were stopped.
            code = tell_of_lost() or code
            continue
        click.echo(f"{machine.name} has ended" + ("" if end.gently else ": its keeper did not answer, and was killed"))
        if end.complaints:
            session.tell(end.complaints, end.log)
        code = code or end.exit_code
    raise SystemExit(code)
