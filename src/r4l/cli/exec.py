# SPDX-License-Identifier: MIT
"""`r4l exec`."""

from __future__ import annotations

import click

from r4l import kept
from r4l.cli.kept import complete_name, execute
from r4l.cli.options import timeout_option
from r4l.errors import UsageError


class AfterDashes(click.Command):
    """A command `[NAME] -- COMMAND...`: all words after `--` belong to the guest's command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse like click, without the guest's command."""
        own, given = (args[: args.index("--")], args[args.index("--") + 1 :]) if "--" in args else (args, [])
        rest = super().parse_args(ctx, own)
        ctx.params["guest_command"] = tuple(given)
        return rest


@click.command(cls=AfterDashes, epilog="Examples: r4l exec -- dmesg;  r4l exec hello -- 'cat /proc/modules | wc -l'")
@click.argument("name", required=False, metavar="[VM]", shell_complete=complete_name)
@click.argument("guest_command", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND...")
@timeout_option("Seconds that COMMAND may take; 0 for no limit.")
def command(name: str | None, guest_command: tuple[str, ...], timeout: float) -> None:
    """Run a command in a machine that `r4l run --keep` has left running.

    VM may be omitted if there is only one. Output, exit code and input are the same as for `r4l run`.
    """
    if not guest_command:
        raise UsageError("no command is given", "write it after `--`: r4l exec -- dmesg")
    raise SystemExit(execute(kept.find(name), guest_command, timeout))
