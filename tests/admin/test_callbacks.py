"""The page that browsers come back to: it completes a link once, shows no secrets, and changes nothing else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import httpx2

from coatcheck.admin.callbacks import Callbacks
from coatcheck.core.wire.framing import ARRIVAL
from coatcheck.operations.tally import Tally
from doubles.authorization import World
from doubles.clock import HandClock
from doubles.oauth import BASE, Desk


def browser(desk: Desk, left: int = 100) -> httpx2.AsyncClient:
    """Return a browser at the page; after `left` wrong links there are too many."""
    counts = iter(range(left))
    inner = Callbacks(desk.connecting, lambda _: next(counts, None) is not None, Tally()).application()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        scope[ARRIVAL] = SimpleNamespace(address="192.0.2.1")
        await inner(scope, receive, send)

    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=application), base_url=BASE)


async def test_a_link_is_completed_by_a_get_alone_and_once() -> None:
    clock = HandClock()
    async with World(clock) as world:
        desk = await Desk(world, clock).open()
        query = urlencode(world.authorize((await desk.begin()).url))
        async with browser(desk) as at:
            for method in ("HEAD", "POST", "PUT", "OPTIONS"):
                refused = await at.request(method, f"/oauth/callback?{query}")
                assert refused.status_code == 405, method
            assert not world.asked
            done = await at.get(f"/oauth/callback?{query}")
            assert (done.status_code, "Connected" in done.text) == (200, True)
            assert "planted" not in done.text
            assert "code-" not in done.text
            policy = done.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "script-src" not in policy
            assert done.headers["cache-control"] == "no-store"
            assert done.headers["referrer-policy"] == "no-referrer"
            again = await at.get(f"/oauth/callback?{query}")
            assert again.status_code == 404
        assert len(world.asked) == 1
        await desk.close()


async def test_what_fails_is_told_and_nothing_is_quoted() -> None:
    clock = HandClock()
    async with World(clock) as world:
        desk = await Desk(world, clock).open()
        state = dict(world.authorize((await desk.begin()).url))["state"]
        said = urlencode({"state": state, "error": "<script>alert(1)</script>", "error_description": "<b>"})
        async with browser(desk) as at:
            failed = await at.get(f"/oauth/callback?{said}")
            assert failed.status_code == 400
            assert "<script" not in failed.text
            assert "gave no code" in failed.text
        await desk.close()


async def test_wrong_links_are_throttled() -> None:
    clock = HandClock()
    async with World(clock) as world:
        desk = await Desk(world, clock).open()
        async with browser(desk, left=2) as at:
            found = [(await at.get("/oauth/callback?state=x&code=y")).status_code for _ in range(3)]
            assert found == [404, 404, 429]
            assert (await at.get("/oauth/other")).status_code == 404
        await desk.close()
