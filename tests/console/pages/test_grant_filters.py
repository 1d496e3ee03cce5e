"""What the filters of the list of grants mean together: each of them holds, whichever else is chosen."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

from coatcheck.console.pages.grants.shapes import Ends, GrantQuery, Standing, Used, filter_of
from coatcheck.operations.registry.patches import NewGrant
from doubles.clock import START
from doubles.registries import ROOT, Office

DAY = timedelta(days=1)
NOW = START + 100 * DAY
USES = {"today": 0, "days-ago": 5, "weeks-ago": 45, "months-ago": 70, "long-ago": 95, "never": None}
"""When grants were last used, in days before now."""
ENDS = {"this-week": 3, "soon": 10, "this-month": 20, "later": 80, "never": None}
"""When they end, in days from now."""


async def a_full_office() -> Office:
    """Return an office with a live grant for each of these uses and ends, and one that was revoked."""
    office = await Office().open()
    for used, ends in product(USES, ENDS):
        days = ENDS[ends]
        end = None if days is None else NOW + days * DAY
        await office.grants.issue(ROOT, NewGrant(f"{used}_{ends}", "ada", None, expires_at=end))
    ids = {one.label: one.id for one in office.directory.snapshot.registry.grants.values()}
    passed = 0
    for used, ago in sorted(USES.items(), key=lambda one: -(one[1] or 0)):
        if ago is not None:
            office.clock.advance((100 - ago - passed) * 86_400)
            passed = 100 - ago
            for ends in ENDS:
                office.seen.note(ids[f"{used}_{ends}"], "192.0.2.1", "")
    await office.grants.revoke(ROOT, ["weeks-ago_this-week"], "lost")
    return office


async def found(office: Office, query: GrantQuery) -> set[str]:
    page = await office.grants.list(filter_of(query, NOW))
    return {view.label for view in page.items if view.subject == "ada"}


async def test_each_filter_holds_whichever_else_is_chosen() -> None:
    office = await a_full_office()
    by_state = {one: await found(office, GrantQuery(state=one)) for one in Standing}
    by_use = {one: await found(office, GrantQuery(used=one)) for one in Used}
    by_end = {one: await found(office, GrantQuery(expires=one)) for one in Ends}
    for state, used, ends in product(Standing, Used, Ends):
        both = await found(office, GrantQuery(state=state, used=used))
        assert both == by_state[state] & by_use[used], (state, used)
        every = await found(office, GrantQuery(state=state, used=used, expires=ends))
        assert every == both & by_end[ends], (state, used, ends)


async def test_what_is_said_of_live_grants_is_what_it_is_called() -> None:
    office = await a_full_office()
    idle = await found(office, GrantQuery(state=Standing.IDLE))
    never = await found(office, GrantQuery(state=Standing.NEVER_USED))
    assert idle == {f"{used}_{ends}" for used, ends in product(("months-ago", "long-ago"), ENDS)}
    assert never == {f"never_{ends}" for ends in ENDS}
    soon = await found(office, GrantQuery(state=Standing.EXPIRING, expires=Ends.WEEK))
    assert soon == {f"{used}_this-week" for used in USES if used != "weeks-ago"}
    assert await found(office, GrantQuery(state=Standing.IDLE, used=Used.NEVER)) == set()
    assert await found(office, GrantQuery(state=Standing.IDLE, used=Used.NOT_90)) == {
        f"long-ago_{ends}" for ends in ENDS
    }
