"""Replays and suggestions over the API: for whom, what is refused, and that each is on record as a look."""

from __future__ import annotations

from typing import Any

from journeys.operating import Office


def body(**more: Any) -> dict[str, Any]:
    written = {"coatcheck": 1, "name": "caps", "default": "allow-all", "tools": {"echo": {"outcome": "deny"}}}
    return {"document": written, "kind": "everything", **more}


def test_who_may_read_the_record_may_replay_and_suggest(office: Office) -> None:
    office.hall.good()
    label = office.hall.records()[-1]["grant_label"]
    for who in ("viewer", "policy_manager"):
        assert office.ask("POST", "/policies/caps/replay", who, body()).code == "role_lacks"
        assert office.ask("GET", f"/access/suggest?grant={label}", who).code == "role_lacks"
    for who in ("admin", "auditor"):
        told = office.ask("POST", "/policies/caps/replay", who, body())
        assert (told.status, told.body["newly_denied"], told.body["looked_at"]) == (200, 1, 1), told
        assert told.body["changes"][0]["after_rule"] == "caps:/tools/echo/outcome"
        told = office.ask("GET", f"/access/suggest?grant={label}&server=srv&name=least", who)
        (item,) = told.body["items"]
        assert (item["policy"], item["document"]["default"]) == ("least", "deny-all")
        assert [(one["kind"], one["name"], one["calls"]) for one in item["used"]] == [("tool", "echo", 1)]
        assert item["yaml"].startswith("coatcheck: 1\nname: least\n")
    assert office.ask("GET", "/policies/caps").code == "not_found", "it is not put"
    looks = office.ask("GET", "/changes?kind=record").body["items"]
    seen = {(one["actor"], one["action"]) for one in looks if one["actor"] == "the-auditor"}
    assert seen == {("the-auditor", "record.read_arguments"), ("the-auditor", "record.read")}


def test_what_cannot_be_asked_is_refused(office: Office) -> None:
    def refused(**more: Any) -> str:
        return office.ask("POST", "/policies/caps/replay", "admin", body(**more)).code

    assert refused(document={"coatcheck": 1}) == "bad_policy"
    assert refused(document={**body()["document"], "name": "other"}) == "bad_policy"
    assert refused(kind=None) == "unfit"
    assert refused(kind=None, of="x") == "unfit"
    assert refused(kind="grant", of="nobody") == "not_found"
    assert refused(since="2026-01-02T00:00:00Z", until="2026-01-01T00:00:00Z") == "bad_filter"
    assert refused(limit=0) == "unfit"
    for query, code in (
        ("grant=nobody", "not_found"),
        ("", "bad_filter"),
        ("grant=x&server=nowhere", "not_found"),
    ):
        assert office.ask("GET", f"/access/suggest?{query}").code == code, query
