# SPDX-License-Identifier: MIT
"""`r4l completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(epilog="Example: echo 'eval \"$(r4l completion bash)\"' >> ~/.bashrc")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the shell completion script for bash, zsh or fish."""
    from r4l.cli import cli

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "r4l", "_R4L_COMPLETE").source())
