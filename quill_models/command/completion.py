"""`quill completion`: scripts for shell completion."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

__all__ = ["completion"]

_SHELLS = {"bash": BashComplete, "fish": FishComplete, "zsh": ZshComplete}


@click.command()
@click.argument("shell", type=click.Choice(list(_SHELLS)))
@click.pass_context
def completion(context: click.Context, *, shell: str) -> None:
    """Print the script that completes commands, options and values.

    To keep the completion, add the line below to ~/.bashrc or ~/.zshrc. Fish reads its folder
    by itself. Bash must be 4.4 or later. Completion sends no requests.

    \b
    Examples:
      source <(quill completion bash)
      source <(quill completion zsh)
      quill completion fish > ~/.config/fish/completions/quill.fish
    """  # noqa: D301 -- click's mark for "keep these lines"
    root = context.find_root().command
    click.echo(_SHELLS[shell](root, {}, "quill", "_QUILL_COMPLETE").source())
