"""The raw stdio server of the benchmarks: reads a line, writes a line, nothing else."""

from __future__ import annotations

import json
import os

from bench.answers import RENDERED


def main() -> None:
    pending = b""
    while received := os.read(0, 1 << 16):
        *lines, pending = (pending + received).split(b"\n")
        answers = b"".join(answer(json.loads(line)) for line in lines if line)
        while answers:
            answers = answers[os.write(1, answers) :]


def answer(request: dict[str, object]) -> bytes:
    if "id" not in request:
        return b""
    id_ = json.dumps(request["id"]).encode()
    result = RENDERED.get(str(request.get("method")))
    if result is None:
        return b'{"jsonrpc":"2.0","id":%b,"error":{"code":-32601,"message":"Method not found"}}\n' % id_
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}\n' % (id_, result)


if __name__ == "__main__":
    main()
