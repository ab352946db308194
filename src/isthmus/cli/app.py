"""The group of commands, and how a command ends."""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys

import click

import isthmus
from isthmus.errors import IsthmusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

    from click.shell_completion import CompletionItem

# Each command is the object of the module's name in isthmus.cli.NAME, loaded when it is used.
_COMMANDS = {
    "demo": "Show what shared memory is for: the classic sample, a real transfer.",
    "bench": "Measure which form of communication suits, on this machine.",
    "ls": "List what processes share on this host: of isthmus and of others.",
    "info": "Tell all about one object: who takes part, who holds it, who is slow.",
    "top": "Watch all objects live, full screen.",
    "dump": "Show what is in an object: header, control block, messages.",
    "rm": "Remove objects.",
    "gc": "Find what nobody uses any more, and remove it.",
    "repair": "Put an object in order after the dead and after damage.",
    "doctor": "Look whether this machine is fit for shared memory.",
    "metrics": "Give the numbers of all objects to a monitoring system.",
    "put": "Put messages into a queue.",
    "get": "Get messages from a queue.",
    "pub": "Publish messages on a topic.",
    "sub": "Subscribe to a topic and print what comes.",
    "tail": "Print the last messages of a topic or queue, and those to come, without taking any.",
    "completion": "Print what makes a shell complete the words of this command.",
}


class LazyGroup(click.Group):
    """Lists its commands from the table above and imports only the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        try:
            module = importlib.import_module(f"isthmus.cli.{cmd_name}")
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] == "isthmus":
                raise
            raise click.ClickException(
                f"`isthmus {cmd_name}` needs {error.name}, not installed here: "
                "pip install 'isthmus[cli]'"
            ) from None
        command: click.Command = module.command
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        # Those of click would import every command, to ask each whether it is hidden.
        found = [
            CompletionItem(name, help=text)
            for name, text in _COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 it could not be done, and a message on standard error says why; "
    "2 wrong usage; 3 it did not come in time (put, get, pub, sub); 130 ended by Ctrl-C; 128 + n "
    "ended by signal n. Each command tells what they mean for it.",
)
@click.version_option(isthmus.__version__, prog_name="isthmus")
@click.pass_context
def app(ctx: click.Context) -> None:
    """Shared memory that processes can rely on.

    \b
    Examples:
        isthmus demo                      see it work, on this machine
        isthmus demo --input movie.mkv    with a file of yours
        isthmus bench --quick             what is fast, on this machine
        isthmus ls                        what is shared on this machine, and who has it
        isthmus info jobs                 all about one object
        isthmus sub camera --json         what comes through a topic, line by line
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


class _Ended(SystemExit):
    """A signal that asks us to end; so that everything is cleaned up on the way out."""


def _end(number: int, frame: FrameType | None) -> None:
    raise _Ended(128 + number)


def _open_missing_streams() -> None:
    """Streams that we were started without, as by ``>&-``.

    Using them fails, so that no message counts as written; and no file that is opened later gets
    their number. Only errors go nowhere.
    """
    for name, mode, flags in (
        ("stdin", "r", os.O_WRONLY),
        ("stdout", "w", os.O_RDONLY),
        ("stderr", "w", os.O_WRONLY),
    ):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, flags), mode))


def _drop_unwritten() -> None:
    """What cannot be written: Python would try again at its end, and complain in its own way."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def run(arguments: list[str] | None = None) -> int:
    """Run a command: its exit code. Whatever it raises for the user becomes a message."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Unless started with nohup.
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _end)
    _open_missing_streams()
    if "_ISTHMUS_COMPLETE" in os.environ:
        from isthmus.cli import bash

        bash.register()
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
        # Nobody reads our output any more (`isthmus … | head`).
        _drop_unwritten()
        return 1
    except (IsthmusError, OSError) as error:
        click.echo(f"isthmus: {error}", err=True)
        _drop_unwritten()
        return 1
    return result if isinstance(result, int) else 0
