"""Completion in the shell: what is offered when Tab is pressed, and ``completion``, which prints
what the shell needs for it. Nothing is logged here, nothing is made, and nothing is an error."""

from __future__ import annotations

import re
from collections.abc import Iterable

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
)

from snoopsync.core.exits import Exit

#: The variable that a shell asks with.
COMPLETE_VARIABLE = "_SNOOPSYNC_COMPLETE"

_SHELLS = ("bash", "zsh", "fish")

#: What bash would not take for a plain part of a word.
_SPECIAL = re.compile(r"[^\w@%+=:./-]")


class _Bash(BashComplete):
    """bash gets names as they have to be typed; the other shells see to that themselves."""

    def format_completion(self, item: CompletionItem[str]) -> str:
        """The line for click's script, which takes backslashes away once."""
        if item.type == "plain":
            typed = _SPECIAL.sub(r"\\\\\g<0>", item.value)
            item = CompletionItem(typed, item.type, item.help)
        return super().format_completion(item)


add_completion_class(_Bash)


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> Exit:
    """Print the script that completes commands, options and folders in a shell.

    bash, in ~/.bashrc: eval "$(snoopsync completion bash)"

    zsh, in ~/.zshrc after compinit: eval "$(snoopsync completion zsh)"

    fish, in config.fish: snoopsync completion fish | source
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, "snoopsync", COMPLETE_VARIABLE).source())
    return Exit.OK


def offer_folders(names: Iterable[str], incomplete: str) -> list[CompletionItem[str]]:
    """Those of the names that begin so, and where none does, directories.

    A name that no terminal shows as it is has to be typed, and so has one with a comma: click's
    scripts take that for its end."""
    fitting = [
        CompletionItem(name)
        for name in names
        if name.startswith(incomplete) and name.isprintable() and "," not in name
    ]
    # bash forgets what comes before it.
    return [CompletionItem(incomplete, type="dir"), *fitting]


def complete_file(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Files, for an argument that may be something else too."""
    return [CompletionItem(incomplete, type="file")]
