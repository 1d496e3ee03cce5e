"""Servers added and removed while the gateway runs: live when the command ends, or told why not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from conftest import MakeGateway
from gateway import Gateway, new_grant

STDIO = str(Path(__file__).parent / "children" / "stdio_peer.py")
URL = "https://mcp.example/x"


def told(gateway: Gateway, *arguments: str, code: int = 0) -> tuple[dict[str, Any], str]:
    """Run a command and return what it tells programs and people."""
    ran = gateway.command(*arguments)
    assert ran.returncode == code, ran.stderr
    return json.loads(ran.stdout), ran.stderr


def test_a_server_from_its_first_call_to_its_last(make_gateway: MakeGateway, tmp_path: Path) -> None:
    grant, key = new_grant()
    auth = {"providers": ["bearer"], "bearer": {"tokens": {key: {"subject": "alice"}}}}
    gateway = make_gateway({"serverAuth": auth})
    credential = tmp_path / "credential"
    credential.write_text("uno\n")  # short ones are not taken out of answers
    credential.chmod(0o600)

    def heard() -> Any:
        answer = gateway.call(grant, "env", {"name": "CREDENTIAL"}, "/mcp/child/").json()
        return answer["result"]["content"][0]["text"]

    added = ("add", "child", "--env", f"CREDENTIAL=@{credential}", "--", sys.executable, STDIO)
    answer, words = told(gateway, *added)
    assert (answer["live"], answer["url"], words) == (True, gateway.route("child"), "")
    assert "--header 'Authorization: Bearer ${COATCHECK_GRANT}'" in answer["client"]
    assert heard() == "uno"
    assert "uno" not in gateway.config.read_text()
    credential.write_text("due\n")
    assert heard() == "due", "a reference keeps rotation at one edit"

    answer, words = told(gateway, "add", "bad", "--url", URL, "--header", "X-Key: @env:NOWHERE", code=78)
    assert answer["live"] is False
    assert "the variable NOWHERE is not set" in words
    assert heard() == "due"
    assert gateway.command("add", "other", "--url", URL).returncode == 78, "the file stays refused"
    assert told(gateway, "remove", "other", code=78)[0]["live"] is False
    assert told(gateway, "remove", "bad")[0]["live"] is True

    assert told(gateway, "remove", "child")[0] == {
        "server": "child",
        "file": str(gateway.config),
        "change": "removed",
        "live": True,
    }
    assert gateway.call(grant, "env", {}, "/mcp/child/").status == 404
    assert json.loads(gateway.config.read_text()) == {"serverAuth": auth, "mcpServers": {}}
