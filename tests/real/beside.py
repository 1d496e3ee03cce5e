"""Takes the tour of the everything server directly and through a gateway, side by side, and compares what was seen."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway import Gateway
from real import everything
from real.whole import Drivers, Kind, Way

Seen = dict[str, Any]


@dataclass(frozen=True)
class Fronted:
    """What every such comparison has: a gateway, a grant for it, the drivers of the SDKs, a place of its own."""

    gateway: Gateway
    grant: str
    drivers: Drivers
    place: Path


def both(drivers: Drivers, kind: Kind, can: tuple[str, ...], *ways: Way) -> list[Seen]:
    """Take the tour each way, at the same time, as a client that can be asked this."""

    def toured(reached: Way) -> Seen:
        with drivers.connect(kind, reached, can) as party:
            return everything.tour(party, can)

    with ThreadPoolExecutor(len(ways)) as all_at_once:
        return list(all_at_once.map(toured, ways))


def same(seen: Seen, expected: Seen, but: Collection[str] = ()) -> None:
    """Compare two tours stop by stop, but for some."""
    assert seen.keys() == expected.keys()
    for stop in [name for name in expected if name not in but]:
        assert seen[stop] == expected[stop], stop


OF_ONE_ERA: Final = {"execution", "ttlMs", "cacheScope", "resultType"}
"""What the SDKs show in one of the eras only: support of tasks in the older, hints for caches in the newer."""


def of_any_era(seen: Any) -> Any:
    """Return what was seen without what one era has and the other has not."""
    if isinstance(seen, dict):
        return {name: of_any_era(value) for name, value in seen.items() if name not in OF_ONE_ERA}
    return [of_any_era(value) for value in seen] if isinstance(seen, list) else seen
