"""``isthmus completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from isthmus.cli import bash

_SHELLS = ("bash", "zsh", "fish")


@click.command("completion", epilog="Exit codes: 0 done, 2 wrong usage.")
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete the words of this command.

    Commands, options, and the names of the objects that are there now: queues for put and get,
    topics for pub and sub. bash must be 4.4 or newer.

    \b
    Examples:
        eval "$(isthmus completion bash)"                                  # in ~/.bashrc
        eval "$(isthmus completion zsh)"                                   # in ~/.zshrc
        isthmus completion fish > ~/.config/fish/completions/isthmus.fish
    """
    bash.register()
    made = get_completion_class(shell)
    if made is None:
        raise click.ClickException(f"this version of click does not know {shell}")
    click.echo(made(ctx.find_root().command, {}, "isthmus", "_ISTHMUS_COMPLETE").source())
