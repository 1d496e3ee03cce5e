"""What is asked of a request before its page answers: where it was sent from, and who may see the page."""

from __future__ import annotations

import hmac

from coatcheck.console.web import sentences
from coatcheck.console.web.page import AnyPage, Door
from coatcheck.console.web.reception import Guest
from coatcheck.console.web.refusing import Refusal
from coatcheck.console.web.rendering import link
from coatcheck.model.operator import Actor
from coatcheck.operations.permissions import Permission, may


def check_origin(guest: Guest, *, anywhere: bool) -> None:
    """Refuse a form that no page of ours sent; the door has judged an `Origin` that was given.

    It must be that of the address that it is sent to: where it is not, we have several, or stand behind a
    proxy that does not tell the Host. What is served `anywhere` bears that.

    Raises:
        Refusal: 403. Browsers give every form an `Origin` (Fetch, section 3.1), so one without is refused;
            where they send no `Sec-Fetch-Site`, as old ones do, the `Origin` decides alone.
    """
    given = guest.arrival.headers
    site = given.get("sec-fetch-site", ("same-origin",))[0]
    origin = given.get("origin", ("null",))[0].strip(" \t").lower()
    if origin == "null" or site != "same-origin" or (origin != guest.origin and not anywhere):
        raise Refusal(403, "This form came from elsewhere", sentences.FOREIGN)


def check_way(guest: Guest) -> None:
    """Refuse to send a file where another site led the browser to it.

    Making one is work, and on record under the name of who is signed in.

    Raises:
        Refusal: 403. `none` is a bookmark, or an address that was typed. Old browsers and programs say
            nothing; they are let through: a link that hides where it is would say nothing else either.
    """
    if guest.arrival.headers.get("sec-fetch-site", ("none",))[0] not in {"same-origin", "none"}:
        raise Refusal(403, "Another site led here", sentences.LED_HERE, sentences.ASK_THERE)


def same(sent: str, wanted: str) -> bool:
    """Tell whether the mark of a form is the one that it must have; at one cost, whatever was sent."""
    return hmac.compare_digest(sent.encode(), wanted.encode())


def with_way_back(to: str, guest: Guest, *, unsent: bool = False) -> str:
    """Return the address of a page that leads back to this one; forms lead back to their page."""
    arrival = guest.arrival
    query = f"?{arrival.query.decode('latin-1')}" if arrival.query and arrival.method == "GET" else ""
    back = arrival.path + query
    return link(to, back="" if back == "/" else back, unsent=int(unsent))


def check_who(page: AnyPage, by: Actor | None) -> None:
    """Refuse what a page is not for; `by` is None for developers.

    Raises:
        Refusal: 403.
    """
    if page.who is Door.DEVELOPER and by is not None:
        raise Refusal(403, "This is a developer's page", sentences.FOR_DEVELOPERS)
    if not isinstance(page.who, Permission):
        return
    if by is None:
        raise Refusal(403, "This is for operators", sentences.FOR_OPERATORS, "Your own page is /mine.")
    if not may(by.role, page.who):
        role = by.role.value.replace("_", " ")
        needed = f"This needs the permission {page.who.value}."
        raise Refusal(403, f"Not as {role}", needed, sentences.ASK)
