"""`coatcheck completion`: prints what a shell needs to complete commands, options and names."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from coatcheck.cli import options, show
from coatcheck.cli.exits import Exit

SHELLS: Final = ("bash", "zsh", "fish")
VARIABLE: Final = "_COATCHECK_COMPLETE"


@click.command(
    "completion",
    short_help="Completion for bash, zsh and fish.",
    epilog=options.example(
        """echo 'eval "$(coatcheck completion bash)"' >> ~/.bashrc""",
        "coatcheck completion zsh > ~/.zfunc/_coatcheck",
        "coatcheck completion fish > ~/.config/fish/completions/coatcheck.fish",
    ),
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print the script that lets SHELL (bash, zsh or fish) complete `coatcheck`.

    Names of servers, grants, subjects, policies and operators are asked of the running gateway; without
    one there are none, and nothing is said.
    """
    kind = get_completion_class(shell)
    assert kind is not None, shell  # noqa: S101 - click knows the three
    script = kind(context.find_root().command, {}, "coatcheck", VARIABLE)
    show.put((script.source_template % script.source_vars()).rstrip("\n"))
    return Exit.DONE
