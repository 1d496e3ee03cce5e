"""`coatcheck remove`: takes a server out of the servers file."""

from __future__ import annotations

import click

from coatcheck.cli import options, show
from coatcheck.cli.declaring import edits
from coatcheck.cli.options import Where
from coatcheck.declared.edit import remove_server


@click.command(
    "remove",
    short_help="Take a server out of the servers file.",
    epilog=options.example("coatcheck remove sentry"),
)
@click.argument("name")
@options.where
@options.as_json
def remove(name: str, where: Where, as_json: bool) -> int:
    """Take the server NAME out of the servers file.

    Everything else in the file stays as it is, comments included. A running gateway follows at once.
    """
    config = options.load(where)
    with edits.failing_well(name):
        edited = remove_server(edits.file_to_edit(config), name, edits.sources())
    uptake = edits.ask_gateway(config, edited)
    if as_json:
        show.put_json({"server": name, "file": str(edited.file), "change": "removed", "live": uptake.live})
    else:
        show.put(f"removed {name} from {edited.file}")
        if not uptake.is_odd:
            show.put(uptake.words)
    edits.say_oddities(edited, uptake)
    return uptake.exit_code
