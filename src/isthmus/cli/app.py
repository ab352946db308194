"""The group of commands, and how a command ends."""

from __future__ import annotations

import importlib
import io
import signal
import sys

import click

import isthmus
from isthmus.errors import IsthmusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

# Each command is the object of the module's name in isthmus.cli.NAME, loaded when it is used.
_COMMANDS = {
    "demo": "Show what shared memory is for: the classic sample, a real transfer.",
    "bench": "Measure which form of communication suits, on this machine.",
}


class LazyGroup(click.Group):
    """Lists its commands from the table above and imports only the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"isthmus.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 it could not be done, 2 wrong usage, 130 ended by Ctrl-C.",
)
@click.version_option(isthmus.__version__, prog_name="isthmus")
def app() -> None:
    """Shared memory that processes can rely on.

    \b
    Examples:
        isthmus demo                      see it work, on this machine
        isthmus demo --input movie.mkv    with a file of yours
        isthmus bench --quick             what is fast, on this machine
    """


class _Ended(SystemExit):
    """A signal that asks us to end; so that everything is cleaned up on the way out."""


def _end(number: int, frame: FrameType | None) -> None:
    raise _Ended(128 + number)


def run(arguments: list[str] | None = None) -> int:
    """Run a command: its exit code. Whatever it raises for the user becomes a message."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Unless started with nohup.
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _end)
    for stream in (sys.stdout, sys.stderr):
        # Rather a question mark than an error where the terminal lacks a character.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        result: Any = app.main(arguments, prog_name="isthmus", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("isthmus: interrupted", err=True)
        return 130
    except BrokenPipeError:
        # Nobody reads our output any more (`isthmus … | head`). Python would say so at its end.
        sys.stdout = io.StringIO()
        return 1
    except (IsthmusError, OSError) as error:
        click.echo(f"isthmus: {error}", err=True)
        return 1
    return result if isinstance(result, int) else 0
