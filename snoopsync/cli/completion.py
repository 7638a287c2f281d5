"""Shell completion: the candidates, and the command ``completion``, which prints the scripts.
Completing logs nothing, creates no files and never fails."""

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

#: The environment variable by which a shell requests completions.
COMPLETE_VARIABLE = "_SNOOPSYNC_COMPLETE"

_SHELLS = ("bash", "zsh", "fish")

#: The characters that bash would not treat as part of a word.
_SPECIAL = re.compile(r"[^\w@%+=:./-]")


class _Bash(BashComplete):
    """Quotes names for bash. The other shells quote them themselves."""

    def format_completion(self, item: CompletionItem[str]) -> str:
        """The line for click's script, which removes one level of backslashes."""
        if item.type == "plain":
            typed = _SPECIAL.sub(r"\\\\\g<0>", item.value)
            item = CompletionItem(typed, item.type, item.help)
        return super().format_completion(item)


add_completion_class(_Bash)


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> Exit:
    """Print a script for the shell that completes commands, options and folders.

    bash, in ~/.bashrc: eval "$(snoopsync completion bash)"

    zsh, in ~/.zshrc after compinit: eval "$(snoopsync completion zsh)"

    fish, in config.fish: snoopsync completion fish | source
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, "snoopsync", COMPLETE_VARIABLE).source())
    return Exit.OK


def offer_folders(names: Iterable[str], incomplete: str) -> list[CompletionItem[str]]:
    """The names that begin with ``incomplete``, after the directories.

    Leaves out names that are not printable, and names with a comma, where click's scripts would cut
    them."""
    matching = [
        CompletionItem(name)
        for name in names
        if name.startswith(incomplete) and name.isprintable() and "," not in name
    ]
    # Directories come first, because bash drops all items before them.
    return [CompletionItem(incomplete, type="dir"), *matching]


def complete_file(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Completes files, for an argument that may also be something else."""
    return [CompletionItem(incomplete, type="file")]
