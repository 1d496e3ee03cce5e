"""`coatcheck call`: one tool call, through the gateway, by hand or from a script."""

from __future__ import annotations

import json
import select
import sys
from typing import Any, BinaryIO, Final

import click

from coatcheck.cli import options, show
from coatcheck.cli.exits import Exit, Stop
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.answers import ApiRefusal, garbled
from coatcheck.cli.reaching.gateway import gateway_of
from coatcheck.cli.reaching.near import unknown_server, unknown_tool
from coatcheck.cli.reaching.reach import ANSWER_SECONDS, PATIENT_SECONDS, Reach
from coatcheck.cli.running import exact
from coatcheck.cli.running.result import lines_of
from coatcheck.core.wire import strict
from coatcheck.errors import CallerError

MAX_ARGUMENTS: Final = 4 * 1024 * 1024
_QUIET_SECONDS: Final = 1.0
_SERVER_FAILED: Final = frozenset({502, 504})


@click.command(
    "call",
    short_help="Call a tool.",
    epilog=options.example('coatcheck call time get_current_time \'{"timezone": "UTC"}\''),
)
@click.argument("server")
@click.argument("tool")
@click.argument("arguments", required=False)
@options.where
@options.far
@options.as_json
def call_tool(server: str, tool: str, arguments: str | None, where: Where, as_json: bool) -> int:
    """Call TOOL of SERVER with ARGUMENTS, a JSON object.

    Without ARGUMENTS, or with -, they are read from standard input unless it is a terminal; nothing
    there means {}. Prints the text of the answer on a terminal, the whole result as JSON otherwise.
    With no gateway running, the server is started for this one command.
    """
    body = _body(server, tool, _read_arguments(arguments))
    config = options.load(where)
    # The gateway's own limits come first, so that its error is the one told.
    own = config.call_timeout + config.connect_timeout + config.queue_timeout
    with gateway_of(where, config) as reach:
        answer = _read_answer(_send(reach, server, tool, body, max(PATIENT_SECONDS, own + ANSWER_SECONDS)))
    if "error" in answer:
        return _tell_failure(server, answer["error"], as_json)
    return _tell_result(answer["result"], as_json)


def _read_arguments(given: str | None) -> bytes:
    """Return the arguments as JSON text, checked to be one object and otherwise as they were written."""
    text = _standard_input() if given is None or given == "-" else given.encode("utf-8", "surrogateescape")
    text = text.strip() or b"{}"
    try:
        value = strict.read(text)
    except CallerError as error:
        raise _bad_arguments(_worded(error.message)) from None
    if not isinstance(value, dict):
        raise _bad_arguments("the arguments are not a JSON object")
    return text


def _worded(message: str) -> str:
    """Return what the strict reader says of a body as said of the arguments."""
    return message.replace("the body is", "the arguments are").replace("the body has", "the arguments have")


def _bad_arguments(message: str) -> Stop:
    return Stop(
        message, exit_code=Exit.USAGE, fix="""give one object in single quotes, such as '{"name": "value"}'"""
    )


def _standard_input() -> bytes:
    """Return all of standard input, bounded; a terminal and a closed one count as empty."""
    if sys.stdin is None or sys.stdin.isatty():
        return b""
    source: BinaryIO = sys.stdin.buffer
    _say_if_quiet(source)
    text = source.read(MAX_ARGUMENTS + 1)
    if len(text) > MAX_ARGUMENTS:
        raise _bad_arguments(f"the arguments are larger than {MAX_ARGUMENTS // 1024 // 1024} MiB")
    return text


def _say_if_quiet(source: BinaryIO) -> None:
    """Tell a reader why nothing happens: many programs run others with an input that never ends."""
    try:
        ready, _, _ = select.select([source], [], [], _QUIET_SECONDS)
    except (OSError, ValueError):
        return  # not a real file: it cannot keep us waiting
    if not ready:
        show.say(
            "coatcheck: reading the arguments from standard input (give '{}' on the command line for none)"
        )


def _body(server: str, tool: str, arguments: bytes) -> bytes:
    """Return the request; the arguments go in as they are, so that no number changes on the way."""
    names = json.dumps({"server": server, "tool": tool}).encode("ascii")
    return names[:-1] + b', "arguments": ' + arguments + b"}"


def _send(reach: Reach, server: str, tool: str, body: bytes, within: float) -> bytes:
    try:
        return reach.post("/calls", body, within=within)
    except ApiRefusal as refusal:
        if refusal.status == 404:
            raise unknown_server(reach, server) or unknown_tool(reach, server, tool) or refusal from None
        if refusal.status in _SERVER_FAILED and not refusal.fix:
            fix = "`coatcheck list` tells the state of each server, `coatcheck doctor` what to do"
            raise Stop(refusal.message, exit_code=refusal.exit_code, fix=fix) from None
        raise


def _read_answer(raw: bytes) -> dict[str, Any]:
    """Return the answer of `POST /calls`, which has a `result`, or an `error` with code and message."""
    try:
        answer = exact.read(raw)
    except (ValueError, RecursionError):
        raise garbled() from None
    if not isinstance(answer, dict) or not ("result" in answer or isinstance(answer.get("error"), dict)):
        raise garbled()
    return answer


def _tell_failure(server: str, failure: dict[str, Any], as_json: bool) -> int:
    """Tell the JSON-RPC error that the server answered with."""
    if as_json:
        _put_exactly({"error": failure})
    message = show.clean_line(str(failure.get("message", "")))
    show.say_failure(f"server {server!r} answered with error {failure.get('code')}: {message}")
    return Exit.NO


def _tell_result(result: Any, as_json: bool) -> int:
    if as_json:
        _put_exactly(result)
    else:
        for line in lines_of(result):
            show.put(line)
    if isinstance(result, dict) and result.get("isError") is True:
        show.say("coatcheck: the tool reports an error")
        return Exit.NO
    return Exit.DONE


def _put_exactly(value: Any) -> None:
    show.put(show.escape_steering(exact.write(value, indent=2 if show.is_terminal() else None)))
