"""The brake on guessing passwords: who was wrong too often in a row waits, longer each time.

The trade-off. Were a name braked by itself, whoever knows it could keep its owner out. So a name is braked
for each network apart: five wrong in a row, then 30 s, doubling to 15 minutes. Who guesses from many
networks at once is met by a brake on the name as a whole, after fifty wrong in a row; who tries many names,
by one on the network, which may be a whole office. Both spare a name where it got in before. Its owner waits,
15 minutes at most after the last wrong guess, only while such an attack goes on and only where they never
were before; a one-time link from another operator, or from the gateway's own machine, lets them in all the
same. Names that nobody has are braked alike.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil
from typing import Final

from coatcheck.errors import SlowDown
from coatcheck.ports import Clock

OF_PLACE: Final = 5
"""Wrong in a row for one name from one network, before it waits."""
OF_NETWORK: Final = 20
"""The same from one network, whatever the names; what is right does not take these back."""
OF_NAME: Final = 50
"""The same for one name from everywhere."""
FIRST_SECONDS: Final = 30.0
LONGEST_SECONDS: Final = 900.0
FORGET_SECONDS: Final = 3_600.0
"""After so long without a wrong one, the count begins anew."""
MAX_KEYS: Final = 10_000


class _Counts:
    """How often each key was wrong in a row, and until when it waits; the keys not seen longest go first."""

    def __init__(self, free: int, longest: float) -> None:
        self._free = free
        self._longest = longest
        self._counts: OrderedDict[Hashable, tuple[int, float, float]] = OrderedDict()
        """Key -> wrong in a row, the last time, until when it waits."""

    def wait(self, key: Hashable, now: float) -> float:
        _, _, until = self._counts.get(key, (0, now, now))
        return until - now

    def wrong(self, key: Hashable, now: float) -> None:
        count, last, _ = self._counts.pop(key, (0, now, now))
        count = 1 if now - last >= FORGET_SECONDS else count + 1
        doubled = min(count - self._free, 10)
        wait = min(self._longest, FIRST_SECONDS * 2**doubled) if doubled >= 0 else 0.0
        self._counts[key] = (count, now, now + wait)
        if len(self._counts) > MAX_KEYS:
            self._counts.popitem(last=False)

    def unspend(self, key: Hashable) -> None:
        count, last, _ = self._counts.pop(key, (0, 0.0, 0.0))
        if count > 1:
            self._counts[key] = (count - 1, last, last)

    def clear(self, key: Hashable) -> None:
        self._counts.pop(key, None)


class Brake:
    """Counts a try as wrong before it is judged, so that many at once gain nothing; `right` takes it back."""

    def __init__(self, clock: Clock, longest: float = LONGEST_SECONDS) -> None:
        self._clock = clock
        frees = (OF_PLACE, OF_NETWORK, OF_NAME)
        self._places, self._networks, self._names = (_Counts(free, longest) for free in frees)
        self._familiar: OrderedDict[tuple[str, str], None] = OrderedDict()
        """Names and networks that were right before."""

    def spend(self, address: str, name: str | None = None) -> None:
        """Count a try. Without a name it is one of what cannot be guessed: only its network is braked.

        Raises:
            SlowDown: nothing is to be looked at, and nothing was counted.
        """
        now, network = self._clock.monotonic(), network_of(address)
        place = (name or "", network)
        waits = [self._places.wait(place, now)] if name is not None else []
        if place not in self._familiar:
            waits.append(self._networks.wait(network, now))
            waits.append(self._names.wait(name, now) if name is not None else 0.0)
        if (wait := ceil(max(waits))) > 0:
            raise SlowDown("Too many wrong tries to sign in.", fix=f"wait {wait} seconds", seconds=wait)
        if place not in self._familiar:
            self._networks.wrong(network, now)
        if name is not None:
            self._places.wrong(place, now)
            self._names.wrong(name, now)

    def unjudged(self, address: str, name: str) -> None:
        """Take back what a try counted that nobody looked at after all."""
        network = network_of(address)
        if (name, network) not in self._familiar:
            self._networks.unspend(network)
        self._places.unspend((name, network))
        self._names.unspend(name)

    def right(self, address: str, name: str | None = None) -> None:
        """Take back what a try that was right counted, and those before it in the row of its name."""
        network = network_of(address)
        if (name, network) not in self._familiar:
            self._networks.unspend(network)
        if name is None:
            return
        self._places.clear((name, network))
        self._names.clear(name)
        self.met(address, name)

    def met(self, address: str, name: str) -> None:
        """Note that somebody of this name came in from there, in whatever way."""
        place = (name, network_of(address))
        self._familiar.pop(place, None)
        self._familiar[place] = None
        if len(self._familiar) > MAX_KEYS:
            self._familiar.popitem(last=False)


def network_of(address: str) -> str:
    """Return what one client may have at its disposal: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ip_network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)
