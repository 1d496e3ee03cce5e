"""As little of a server as can be: for the cost of a call on our side."""

import os
import re
import sys

ID = re.compile(rb'"id":(\d+)')
fd_in, fd_out = sys.stdin.fileno(), sys.stdout.fileno()
rest = b""
while chunk := os.read(fd_in, 65536):
    *lines, rest = (rest + chunk).split(b"\n")
    out = []
    for line in lines:
        found = ID.search(line)
        if not found:
            continue
        if b'"server/discover"' in line:
            out.append(b'{"jsonrpc":"2.0","id":%b,"error":{"code":-32601,"message":"no"}}\n' % found[1])
        elif b'"initialize"' in line:
            out.append(
                b'{"jsonrpc":"2.0","id":%b,"result":{"protocolVersion":"2025-11-25","capabilities":{},'
                b'"serverInfo":{"name":"b","version":"1"}}}\n' % found[1]
            )
        else:
            out.append(
                b'{"jsonrpc":"2.0","id":%b,"result":{"content":[{"type":"text","text":"ok"}]}}\n' % found[1]
            )
    if out:
        os.write(fd_out, b"".join(out))
