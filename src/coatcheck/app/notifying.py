"""Composition of notices: who looks at credentials, knocks and alarms, and the webhook that is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from coatcheck.app.upstreams import egress_of
from coatcheck.audit.webhook import Webhook
from coatcheck.config import Config
from coatcheck.core.oauth import is_loopback_url
from coatcheck.model.secret import Secret
from coatcheck.operations.alarming import Alarming
from coatcheck.operations.credentials.counter import Counter
from coatcheck.operations.credentials.notices import Notices
from coatcheck.operations.knocking import Knocking
from coatcheck.upstream.oauth.fetching import JSON, Fetching, FetchLimits

_LIMITS = FetchLimits(seconds=10.0)


@asynccontextmanager
async def notifying(
    config: Config, counter: Counter, knocking: Knocking, alarming: Alarming
) -> AsyncIterator[None]:
    """Tell the webhook of the settings, if there is one, while the block runs."""
    if config.notices_webhook is None:
        yield
        return
    webhook = webhook_at(config.notices_webhook, config)
    tasks = [
        asyncio.create_task(Notices(counter, webhook).run()),
        asyncio.create_task(knocking.run(webhook)),
        asyncio.create_task(alarming.run(webhook)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await webhook.close()


def webhook_at(url: Secret, config: Config) -> Webhook:
    """Return the webhook at an address, which is dialled by the rules that hold for servers."""
    fetching = Fetching(egress_of(config), _LIMITS, loopback=is_loopback_url(url.reveal()))

    async def post(body: bytes) -> int:
        received = await fetching.post("the webhook", url.reveal(), JSON, Secret(body.decode()))
        return received.status

    return Webhook(post)
