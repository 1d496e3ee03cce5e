"""The reference "everything" server in each of its transports, and a tour of all that it has."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from gateway import free_port
from real.installed import node_server, surroundings
from real.servers import accepts
from real.whole import Failed, Party, Way

START_SECONDS: Final = 20.0
DOCUMENT: Final = "demo://resource/static/document/features.md"
DYNAMIC: Final = "demo://resource/dynamic"
LINK: Final = "https://example.org/authorize"
ASKING_TOOLS: Final = {
    "get-roots-list",
    "trigger-elicitation-request",
    "trigger-sampling-request",
    "trigger-url-elicitation",
}
"""The tools that it offers only to clients that can be asked."""


@contextmanager
def listening(transport: str, place: Path) -> Iterator[str]:
    """Run the server over `streamableHttp` or `sse` on a free port and yield its URL."""
    port = free_port()
    env = {**surroundings(place), "PORT": str(port)}
    with (place / "everything.log").open("ab") as log:
        child = subprocess.Popen([*node_server("everything"), transport], env=env, stdout=log, stderr=log)
    try:
        limit = time.monotonic() + START_SECONDS
        while not accepts(port):
            assert child.poll() is None, (place / "everything.log").read_text()
            assert time.monotonic() < limit, "the everything server does not listen"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}/{'sse' if transport == 'sse' else 'mcp'}"
    finally:
        child.kill()
        child.wait()


def declared() -> dict[str, Any]:
    """Declare the server over stdio."""
    program, *args = [*node_server("everything"), "stdio"]
    return {"command": program, "args": args}


def started(place: Path) -> Way:
    """Start the server as a client does that has no gateway."""
    place.mkdir(parents=True, exist_ok=True)
    env = {"PATH": os.environ["PATH"]}
    return Way.by([*node_server("everything"), "stdio"], env, place / f"everything-{os.urandom(4).hex()}.log")


def tour(party: Party, asks: tuple[str, ...]) -> dict[str, Any]:
    """Use all that the server has for a client that can be asked this, and return what was seen of it.

    What differs from one run to the next (times, ids) is replaced by a word.
    """
    stops = list(STOPS.items())
    stops += [one for what, more in ASKING.items() if what in asks for one in more.items()]
    # At the end: for a while afterwards, nobody can say what a log message on a pipe belongs to.
    stops.append(("cancelled", _cancelled))
    return seen_at(party, stops)


def stateless_tour(party: Party) -> dict[str, Any]:
    """Use what a client without sessions has as well."""
    return seen_at(party, [(name, stop) for name, stop in STOPS.items() if name not in OF_SESSIONS])


def seen_at(party: Party, stops: list[tuple[str, Stop]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for name, stop in stops:
        party.heard()
        seen[name] = constant(stop(party))
    return seen


def constant(seen: Any) -> Any:
    """Replace what differs from run to run."""
    text = json.dumps(seen)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<id>", text)
    text = re.sub(r"\d{1,2}:\d\d:\d\d [AP]M", "<time>", text)
    # What an SDK could not read, which it shows cut to a length.
    text = re.sub(r"input_value=.*?, input_type", "input_value=<value>, input_type", text)
    # A picture of the time, in base64.
    text = re.sub(r"(\"blob\": \"UmVz)[^\"]+", r"\1<text>", text)
    plain: dict[str, Any] = json.loads(text)
    return plain


def told(party: Party, kind: str, words: str = "") -> dict[str, Any]:
    """Wait for what a server says unasked, with these words in it; the rest is dropped."""
    while True:
        for event in party.heard(kind):
            if event["kind"] == kind and words in json.dumps(event):
                return event


def tried(party: Party, do: str, **asked: Any) -> Any:
    """Return what comes of a request: its result, or what the SDK says of it. The oldest does not know all."""
    try:
        return party.ask(do, **asked)
    except Failed as failure:
        return {"code": failure.code, "message": str(failure), "data": failure.data}


def refused(party: Party, do: str, **asked: Any) -> dict[str, Any]:
    """Return the error of a request that has to fail."""
    try:
        found = party.ask(do, **asked)
    except Failed as failure:
        return {"code": failure.code, "message": str(failure), "data": failure.data}
    raise AssertionError(f"this did not fail: {found}")


def _greeting(party: Party) -> Any:
    return {name: party.greeting.get(name) for name in ("protocolVersion", "instructions", "serverInfo")}


def _capabilities(party: Party) -> Any:
    return {name: one for name, one in party.greeting["capabilities"].items() if name != "tasks"}


def _tools(party: Party) -> Any:
    return party.list("tools")


def _plain_calls(party: Party) -> Any:
    calls: dict[str, dict[str, Any]] = {
        "echo": {"message": 'It says: "ü€\u2028\U0001f9e5"'},
        "get-sum": {"a": 2.5, "b": -1},
        "get-tiny-image": {},
        "get-structured-content": {"location": "Chicago"},
        "get-resource-links": {"count": 4},
        "get-resource-reference": {"resourceType": "Blob", "resourceId": 3},
    }
    seen = {name: tried(party, "call", tool=name, arguments=arguments) for name, arguments in calls.items()}
    for kind in ("error", "success", "debug"):
        seen[kind] = party.call("get-annotated-message", messageType=kind, includeImage=kind == "success")
    return seen


def _mistakes(party: Party) -> Any:
    """Wrong arguments are told in the result or as an error: as the server does it."""
    mistaken: dict[str, Any] = {
        "echo": {},
        "get-sum": {"a": "x", "b": 1},
        "get-resource-reference": {"resourceId": -1},
    }
    return [tried(party, "call", tool=name, arguments=arguments) for name, arguments in mistaken.items()]


def _environment(party: Party) -> Any:
    return sorted(json.loads(party.text("get-env")).keys() & {"PATH"})


def _progress(party: Party) -> Any:
    slow = party.call("trigger-long-running-operation", progress=True, duration=0.2, steps=4)
    # The last step and the answer come together, and one SDK then forgets the step.
    slow["progress"] = slow["progress"][:3]
    return [slow, party.call("trigger-long-running-operation", duration=0.02, steps=2)]


def _cancelled(party: Party) -> Any:
    """Given up, it is gone; the connection is as good as before."""
    begun = party.begin("call", tool="trigger-long-running-operation", arguments={"duration": 30, "steps": 2})
    assert party.text("echo", message="meanwhile") == "Echo: meanwhile"
    assert not begun.is_done
    begun.cancel()
    try:
        return begun.result()
    except Failed:
        return party.call("echo", message="still here")


def _resources(party: Party) -> Any:
    return {
        "list": [one for one in party.list("resources") if "/session/" not in one["uri"]],
        "templates": party.list("resourceTemplates"),
        "text": party.ask("read", uri=DOCUMENT),
        "dynamic": [party.ask("read", uri=f"{DYNAMIC}/{kind}/7") for kind in ("text", "blob")],
    }


def _zipped(party: Party) -> Any:
    """A tool adds a resource: whoever has seen the list is told, and reads it."""
    party.list("resources")
    name = f"{party.name}.gz"
    arguments = {"name": name, "data": "data:text/plain,coat", "outputType": "resourceLink"}
    link = tried(party, "call", tool="gzip-file-as-resource", arguments=arguments)
    notice = told(party, "changed", "resources")
    content = party.ask("read", uri=f"demo://resource/session/{name}")
    listed = [one for one in party.list("resources") if one["name"] == name]
    arguments["outputType"] = "resource"
    whole = party.ask("call", tool="gzip-file-as-resource", arguments=arguments, progress=False)
    seen = {"link": link, "read": content, "listed": listed, "whole": whole, "told": notice}
    return json.loads(json.dumps(seen).replace(name, "<name>"))


def _prompts(party: Party) -> Any:
    return {
        "list": party.list("prompts"),
        "simple": party.ask("prompt", prompt="simple-prompt"),
        "args": party.ask("prompt", prompt="args-prompt", arguments={"city": "Ulm", "state": "BW"}),
        "resource": party.ask(
            "prompt", prompt="resource-prompt", arguments={"resourceType": "Text", "resourceId": "2"}
        ),
        "missing": refused(party, "prompt", prompt="args-prompt", arguments={}),
    }


def _completion(party: Party) -> Any:
    prompt = {"type": "ref/prompt", "name": "completable-prompt"}
    template = {"type": "ref/resource", "uri": DYNAMIC + "/text/{resourceId}"}
    return {
        "department": party.ask("complete", ref=prompt, argument={"name": "department", "value": "S"}),
        "name": tried(
            party,
            "complete",
            ref=prompt,
            argument={"name": "name", "value": ""},
            known={"department": "Sales"},
        ),
        "template": party.ask("complete", ref=template, argument={"name": "resourceId", "value": "12"}),
    }


def _levels(party: Party) -> Any:
    """What is below the level that was set stays away; what is not, comes."""
    party.ask("level", level="error")
    party.ask("subscribe", uri=DOCUMENT)
    quiet = [event for event in party.heard() if "Received Subscribe" in event.get("data", "")]
    party.ask("level", level="debug")
    party.ask("unsubscribe", uri=DOCUMENT)
    return {"quiet": quiet, "loud": told(party, "log", "Received Unsubscribe")}


def _random_levels(party: Party) -> Any:
    party.ask("level", level="debug")
    started = party.call("toggle-simulated-logging")
    heard = sorted(told(party, "log", "essage"))
    return {"started": started, "heard": heard, "stopped": party.call("toggle-simulated-logging")}


def _subscriptions(party: Party) -> Any:
    """Updates come for what was subscribed to and for nothing else."""
    party.ask("subscribe", uri=DOCUMENT)
    party.ask("subscribe", uri=f"{DYNAMIC}/text/1")
    party.ask("unsubscribe", uri=f"{DYNAMIC}/text/1")
    started = party.call("toggle-subscriber-updates")
    updated = [event for event in party.heard("updated") if event["kind"] == "updated"]
    stopped = party.call("toggle-subscriber-updates")
    updated += [event for event in party.heard() if event["kind"] == "updated"]
    party.ask("unsubscribe", uri=DOCUMENT)
    return {"started": started, "updated": updated, "stopped": stopped}


def _sampling(party: Party) -> Any:
    result = party.call("trigger-sampling-request", prompt="Where is the coat?", maxTokens=12)
    return {"result": result, "asked": told(party, "sampling")}


def _elicitation(party: Party) -> Any:
    result = party.call("trigger-elicitation-request")
    return {"result": result, "asked": told(party, "elicitation")}


def _link(party: Party) -> Any:
    """The request path asks the client; the error path is an error that says what to open first."""
    result = party.call("trigger-url-elicitation", url=LINK, elicitationId="one")
    asked = told(party, "elicitation")
    arguments = {"url": LINK, "elicitationId": "two", "errorPath": True}
    required = refused(party, "call", tool="trigger-url-elicitation", arguments=arguments)
    return {"result": result, "asked": asked, "required": required}


def _roots(party: Party) -> Any:
    """The server asks once, and again when it is told of a change."""
    first = party.call("get-roots-list")
    party.heard()
    party.ask("roots", roots=[{"uri": "file:///hall", "name": "Hall"}, {"uri": "file:///stairs"}])
    notice = told(party, "log", "Roots updated: 2")
    return {"first": first, "told": notice, "then": party.call("get-roots-list")}


Stop = Callable[[Party], Any]
STOPS: Final[Mapping[str, Stop]] = {
    "greeting": _greeting,
    "capabilities": _capabilities,
    "ping": lambda party: party.ask("ping"),
    "tools": _tools,
    "calls": _plain_calls,
    "mistakes": _mistakes,
    "environment": _environment,
    "progress": _progress,
    "resources": _resources,
    "zipped": _zipped,
    "prompts": _prompts,
    "completion": _completion,
    "levels": _levels,
    "random levels": _random_levels,
    "subscriptions": _subscriptions,
}
OF_SESSIONS: Final = (
    "greeting",
    "capabilities",
    "ping",
    "zipped",
    "levels",
    "random levels",
    "subscriptions",
)
ASKING: Final[Mapping[str, Mapping[str, Stop]]] = {
    "sampling": {"sampling": _sampling},
    "elicitation": {"elicitation": _elicitation, "link": _link},
    "roots": {"roots": _roots},
}
