"""Completion in bash of names that are no single word to it: with spaces, colons, quotes.

bash takes a line apart at more characters than the shell does, and puts what it is offered into
the line as it is. So the line is read here, and what is offered is quoted the way it was begun.
"""

from __future__ import annotations

import os
import re
from typing import Any

from click.shell_completion import BashComplete, add_completion_class, split_arg_string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_SOURCE = """\
%(complete_func)s() {
    local answer
    COMPREPLY=()
    while read -r answer; do
        case $answer in
            dir,*) compopt -o dirnames ;;
            file,*) compopt -o default ;;
            plain,*) COMPREPLY+=("${answer#plain,}") ;;
        esac
    done < <(env COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1")
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""
# Ends the word that is completed, which may have no characters yet.
_END = "\x1f"
_WORD_BREAKS = " \t\n\"'><=;|&(:"


class Bash(BashComplete):
    """Asked with the line up to the cursor, rather than with the words that bash makes of it."""

    source_template = _SOURCE

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._quote = ""
        #: Characters of the value that are in the line before what bash replaces.
        self._before = 0

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ["COMP_LINE"]
        words = split_arg_string(line + _END)
        word = words.pop().removesuffix(_END)
        self._quote, start = _begun(line, os.environ.get("COMP_WORDBREAKS", _WORD_BREAKS))
        replaced = split_arg_string(self._quote + line[start:] + _END)[-1].removesuffix(_END)
        option, equals, _ = word.partition("=")
        # Of `--option=value` it is the value that is completed.
        given = len(option + equals) if word.startswith("-") and equals else 0
        self._before = max(0, len(word) - len(replaced) - given)
        return words[1:], word

    def format_completion(self, item: CompletionItem) -> str:
        if item.type != "plain":
            return super().format_completion(item)
        return f"plain,{_quoted(str(item.value)[self._before :], self._quote)}"


def _begun(line: str, breaks: str) -> tuple[str, int]:
    """The quote that is open at the end of the line, and where what bash replaces begins."""
    quote, start, escaped = "", 0, False
    for at, one in enumerate(line):
        if escaped:
            escaped = False
        elif one == "\\" and quote != "'":
            escaped = True
        elif quote:
            if one == quote:
                quote = ""
        elif one in "'\"":
            quote, start = one, at + 1
        elif one in breaks:
            start = at + 1
    return quote, start


def _quoted(text: str, quote: str) -> str:
    if quote == "'":
        return text.replace("'", "'\\''")
    return re.sub(r'(["$`\\])' if quote else r"([^\w@%+=:,./-])", r"\\\1", text)


def register() -> None:
    """Let click take this one."""
    add_completion_class(Bash, "bash")
