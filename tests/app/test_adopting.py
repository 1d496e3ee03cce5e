"""A store of before, whose servers hold their secrets themselves: at the first start these become credentials."""

from __future__ import annotations

from pathlib import Path

from coatcheck.app.compose import Gateway
from coatcheck.app.unsealing.opening import unseal
from coatcheck.config import load_config
from coatcheck.model.credential import NO_BLANKS, Use
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach, Transport
from coatcheck.operations.credentials.patches import CredentialFilter
from coatcheck.store.opening import open_database
from registered import SystemEntropy, a_server, an_edit

SECRET = "planted-before-there-were-credentials"


async def a_store_of_before(folder: Path) -> None:
    database = open_database(folder, None)
    try:
        _, store = await unseal(database, folder, {}, SystemEntropy())
        headers = {"X-Key": Secret(SECRET), "X-Team": Secret("blue")}
        url = "https://example.com/mcp"
        reach = HttpReach(Secret(url), url, headers, Transport.HTTP)
        await store.commit(an_edit([a_server("old", reach=reach, blanks=NO_BLANKS)]))
    finally:
        database.close()


async def test_secrets_of_before_are_credentials_after_the_first_start(tmp_path: Path) -> None:
    await a_store_of_before(tmp_path)
    config = load_config({"http": "127.0.0.1:0", "data": str(tmp_path)}, {})
    made = set()
    for _ in range(2):
        gateway = await Gateway.open(config, {})
        try:
            page = await gateway.cloakroom.credentials.list(CredentialFilter())
            (view,) = page.items
            assert (view.name, view.used_by) == ("old-x-key", (("old", "headers/X-Key"),))
            server = gateway.directory.snapshot.servers["old"]
            assert isinstance(server.reach, HttpReach)
            assert server.reach.headers["X-Key"] == Secret(SECRET)
            assert server.uses == (Use("headers/X-Key", view.id, "old-x-key", 1),)
            assert gateway.servers.of(server).server == server
            made.add((view.id, view.version))
        finally:
            await gateway.close()
    assert len(made) == 1
