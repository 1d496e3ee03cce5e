"""A small MCP server over stdio, standard library only: `server.py [legacy|modern|dual] [option...]`.

Its tools do what tests ask for. Options: `slow=SECONDS` before it reads anything, `banner`,
`die-when-probed`, `refuse-all`, `mute` (never answers), `bad-version`.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
from typing import Any

PROTOCOL = "io.modelcontextprotocol/protocolVersion"
lock = threading.Lock()
seen: list[dict[str, Any]] = []
asked: dict[str, list[dict[str, Any]]] = {}


def send(message: dict[str, Any]) -> None:
    with lock:
        sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")
        sys.stdout.buffer.flush()


def answer(request: dict[str, Any], result: object) -> None:
    send({"jsonrpc": "2.0", "id": request["id"], "result": result})


def refuse(request: dict[str, Any], code: int, message: str) -> None:
    send({"jsonrpc": "2.0", "id": request["id"], "error": {"code": code, "message": message}})


def text(value: object) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": value if isinstance(value, str) else json.dumps(value)}]}


def surroundings() -> dict[str, Any]:
    return {
        "env": dict(os.environ),
        "fds": sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1],  # the last one is the listing
        "cwd": os.getcwd(),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "leads": os.getpid() == os.getpgid(0) == os.getsid(0),
        "pid": os.getpid(),
        "sigpipe": signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN,
        "status": open("/proc/self/status").read(),
        "home_mode": oct(os.stat(os.environ["HOME"]).st_mode & 0o777),
    }


def call(request: dict[str, Any]) -> None:  # noqa: C901 - a list of tools
    params = request["params"]
    name, args, meta = params["name"], params.get("arguments", {}), params.get("_meta", {})
    if name == "echo":
        answer(request, text(params))
    elif name == "sleep":
        threading.Timer(args["s"], answer, (request, text("slept"))).start()
    elif name == "never":
        pass
    elif name == "crash":
        print("the last words", file=sys.stderr, flush=True)
        os._exit(args.get("code", 3))
    elif name == "answer-and-exit":
        answer(request, text("bye"))
        os._exit(0)
    elif name == "seen":
        answer(request, text(seen))
    elif name == "surroundings":
        answer(request, text(surroundings()))
    elif name == "progress":
        for step in range(args.get("n", 3)):
            note = {
                "progressToken": meta.get("progressToken"),
                "progress": step,
                "note": args.get("note", ""),
            }
            send({"jsonrpc": "2.0", "method": "notifications/progress", "params": note})
        send({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 999_999}})
        answer(request, text("done"))
    elif name == "log":
        send({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}})
        answer(request, text("logged"))
    elif name == "ask-back":
        for method in ("ping", "sampling/createMessage", "roots/list"):
            send({"jsonrpc": "2.0", "id": f"mine-{method}", "method": method})
        asked[str(request["id"])] = [request]
    elif name == "wrong-id":
        for wrong in (0, 987654, "7", None, str(request["id"])):
            send({"jsonrpc": "2.0", "id": wrong, "result": text("wrong")})
        answer(request, text("right"))
        answer(request, text("again"))
    elif name == "raw":
        with lock:
            sys.stdout.buffer.write(args["line"].replace("ID", str(request["id"])).encode("latin-1") + b"\n")
            sys.stdout.buffer.flush()
    elif name == "big":
        answer(request, text("x" * args["n"]))
    elif name == "endless":
        for _ in range(args["mib"]):
            os.write(1, b"x" * 2**20)
    elif name == "flood-stderr":
        for number in range(args["mib"] * 1024):
            os.write(2, (b"%d " % number).ljust(1023, b"e") + b"\n")
        answer(request, text("flooded"))
    elif name == "junk":
        with lock:
            os.write(1, b'\x1b[31mhello\x1b[0m \xe2\x80\xaeworld\xff\n\n[1]\n"x"\n' + b"z" * 10_000 + b"\n")
        answer(request, text("ok"))
    elif name == "deaf":
        answer(request, text("will not listen"))
        time.sleep(args.get("s", 60))
    elif name == "close-stdout":
        os.close(1)
        time.sleep(60)
    elif name == "fork":
        answer(request, text(grandchild(args)))
    else:
        refuse(request, -32602, f"Unknown tool: {name}")


def grandchild(args: dict[str, Any]) -> str:
    pid = os.fork()
    if not pid:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if args.get("setsid"):
            os.setsid()
        time.sleep(args.get("s", 60))
        os._exit(0)
    return str(pid)


def on_reply(message: dict[str, Any]) -> None:
    for request, *replies in asked.values():
        replies.append(message)
        asked[str(request["id"])] = [request, *replies]
        if len(replies) == 3:
            answer(request, text(replies))


def on_request(message: dict[str, Any], era: str, options: set[str]) -> None:  # noqa: C901
    method = message["method"]
    if "mute" in options:
        return
    modern = PROTOCOL in message.get("params", {}).get("_meta", {})
    info = {"name": "tests", "version": "1"}
    if method == "server/discover":
        if "die-when-probed" in options:
            os._exit(9)
        if era == "legacy" or "refuse-all" in options:
            refuse(message, -32601, "Method not found")
        else:
            found = {
                "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {}},
                "resultType": "complete",
            }
            answer(message, found | {"_meta": {"io.modelcontextprotocol/serverInfo": info}})
    elif method == "initialize":
        if era == "modern" or "refuse-all" in options:
            refuse(message, -32022, "Unsupported protocol version")
        else:
            version = "1999-01-01" if "bad-version" in options else message["params"]["protocolVersion"]
            greeting: dict[str, Any] = {
                "protocolVersion": version,
                "capabilities": {"tools": {}},
                "serverInfo": info,
            }
            answer(message, greeting | {"instructions": "be kind"})
    elif era == "modern" and not modern:
        refuse(message, -32602, "no protocol version in _meta")
    elif method == "tools/call":
        call(message)
    elif method == "tools/list":
        answer(message, {"tools": [], "asked": message["params"]})
    else:
        refuse(message, -32601, "Method not found")


def main() -> None:
    era, options = (sys.argv[1:2] or ["legacy"])[0], set(sys.argv[2:])
    for option in options:
        if option.startswith("slow="):
            time.sleep(float(option[5:]))
    if "banner" in options:
        print("Welcome to the test server\nlistening on stdio", flush=True)
    for line in sys.stdin.buffer:
        message = json.loads(line)
        seen.append(message)
        if "method" not in message:
            on_reply(message)
        elif "id" in message:
            on_request(message, era, options)


if __name__ == "__main__":
    main()
    os._exit(0)  # timers must not keep it
