"""`quill completion`: what a shell needs to complete the command's words."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["completion"]

_SHELLS = ("bash", "fish", "zsh")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, *, shell: str) -> None:
    """Print the script that completes commands, options and values.

    For good, put the line into the shell's start-up file, ~/.bashrc or ~/.zshrc; fish reads
    its folder by itself. Bash has to be 4.4 or later. Completing makes no request.

    \b
    Examples:
      source <(quill completion bash)
      source <(quill completion zsh)
      quill completion fish > ~/.config/fish/completions/quill.fish
    """  # noqa: D301 -- click's mark for "keep these lines"
    known = get_completion_class(shell)
    if known is None:
        raise click.UsageError(f"This version of click has no completion for {shell}.", context)
    script = known(context.find_root().command, {}, "quill", "_QUILL_COMPLETE").source()
    click.echo(script)
