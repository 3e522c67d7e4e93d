# SPDX-License-Identifier: MIT
"""`r4l completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

AS_TYPED = {
    "zsh": {
        "    (( ! $+commands[r4l] )) && return 1\n": "",
        "_R4L_COMPLETE=zsh_complete r4l)": "_R4L_COMPLETE=zsh_complete ${~words[1]})",
    },
    "fish": {"COMP_CWORD=(commandline -t) r4l)": "COMP_CWORD=(commandline -t) (commandline -opc)[1])"},
}
"""Changes of click's scripts so that they call the program as it was typed, which may be `./r4l` and not on PATH.

The script of bash does that already, and all three shells find a command's completion by the last part of its path.
"""


@click.command(epilog="Example: echo 'eval \"$(r4l completion bash)\"' >> ~/.bashrc")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the shell completion script for bash, zsh or fish."""
    from r4l.cli import cli

    shell_class = get_completion_class(shell)
    assert shell_class is not None
    script = shell_class(cli, {}, "r4l", "_R4L_COMPLETE").source()
    for old, new in AS_TYPED.get(shell, {}).items():
        assert old in script, f"another click: {old}"
        script = script.replace(old, new)
    click.echo(script)
