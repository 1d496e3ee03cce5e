"""What refusals mean: of the era, of the session, of the stream for what belongs to no request."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.wire import signs
from coatcheck.core.wire.signs import Refused, Step, Try
from coatcheck.model.call import Fault

MODERN = "2026-07-28"
LATEST = "2025-11-25"


def refusal(code: int, *supported: str) -> Fault:
    data = json.dumps({"supported": list(supported), "requested": "x"}).encode() if supported else None
    return Fault(code, "Unsupported protocol version", data)


# --- the era ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "wanted"),
    [
        (None, Try(Step.INITIALIZE)),
        (Fault(-32601, "Method not found"), Try(Step.INITIALIZE)),
        (Fault(-32000, "Bad Request: Server not initialized"), Try(Step.INITIALIZE)),
        (Fault(-32600, "Missing session ID"), Try(Step.INITIALIZE)),
        (Fault(-32602, "Invalid params"), Try(Step.INITIALIZE)),
        (Fault(-32603, "boom"), Try(Step.INITIALIZE)),
        (refusal(-32022, "2027-01-01", MODERN), Try(Step.DISCOVER, MODERN)),
        (refusal(-32022, LATEST, MODERN), Try(Step.DISCOVER, MODERN)),
        (refusal(-32022, "2024-11-05", "2025-06-18"), Try(Step.INITIALIZE, "2025-06-18")),
        (refusal(-32022), Try(Step.INITIALIZE)),
        (refusal(-32022, "2099-01-01"), Try(Step.NOTHING)),
        (Fault(-32022, "", b"[1]"), Try(Step.INITIALIZE)),
        (Fault(-32020, "Header mismatch"), Try(Step.NOTHING)),
        (Fault(-32021, "Missing capability"), Try(Step.NOTHING)),
    ],
)
def test_after_discovery(fault: Fault | None, wanted: Try) -> None:
    assert signs.after_discover(fault) == wanted


@pytest.mark.parametrize(
    ("fault", "wanted"),
    [
        (None, Try(Step.DISCOVER)),
        (Fault(-32601, "Method not found"), Try(Step.DISCOVER)),
        (Fault(-32602, "missing _meta"), Try(Step.DISCOVER)),
        (refusal(-32022, MODERN), Try(Step.DISCOVER, MODERN)),
        (refusal(-32022), Try(Step.DISCOVER)),
        (refusal(-32022, MODERN, LATEST), Try(Step.DISCOVER, MODERN)),
        (refusal(-32602, "2024-11-05", "2025-03-26"), Try(Step.INITIALIZE, "2025-03-26")),
        (refusal(-32602, LATEST), Try(Step.DISCOVER)),
        (refusal(-32000, "2099-01-01"), Try(Step.DISCOVER)),
    ],
)
def test_after_initialization(fault: Fault | None, wanted: Try) -> None:
    assert signs.after_initialize(fault, LATEST) == wanted


@given(st.integers(-33000, 0), st.lists(st.sampled_from([MODERN, LATEST, "2024-11-05", "2099-01-01", "x"])))
def test_no_step_is_repeated_at_the_version_that_was_refused(code: int, supported: list[str]) -> None:
    fault = refusal(code, *supported)
    found = signs.after_initialize(fault, LATEST)
    assert found != Try(Step.INITIALIZE, LATEST)
    assert found.version is None or found.version in supported
    assert signs.after_discover(fault).version in {None, *supported}


def test_the_words_of_a_strictly_modern_server() -> None:
    assert all(signs.is_of_modern_server(Fault(code, "")) for code in (-32601, -32020, -32021, -32022))
    assert not any(signs.is_of_modern_server(Fault(code, "")) for code in (-32000, -32602, -32603))
    assert not signs.is_of_modern_server(None)


# --- the session ------------------------------------------------------------------------------------------

LOST_SENTENCES = [
    b"Invalid or missing session ID",
    b"Invalid session ID",
    b"No active session",
    b"Unauthorized: Session not found",
    b"Session terminated",
    b"Session expired, please reconnect",
    b"Unknown Mcp-Session-Id header",
    b'{"error":"Session not found"}',
    b"Bad Request: Mcp-Session-Id header is required",
    b"Bad Request: Server not initialized",
    b"No such session",
]


@pytest.mark.parametrize("body", LOST_SENTENCES)
def test_a_sentence_about_the_session_is_a_lost_one_where_we_named_one(body: bytes) -> None:
    assert signs.is_session_lost(400, None, body, ours=False, session=True)
    assert not signs.is_session_lost(400, None, body, ours=False, session=False)
    assert not signs.is_session_lost(500, None, body, ours=False, session=True)
    assert not signs.is_session_lost(200, None, body, ours=False, session=True)


@pytest.mark.parametrize(
    "body", [b"", b"Unauthorized", b"invalid token", b"<html>", b"x" * 2000 + LOST_SENTENCES[3]]
)
def test_401_is_about_the_credential_unless_it_says_otherwise(body: bytes) -> None:
    assert signs.is_session_lost(401, None, LOST_SENTENCES[3], ours=False, session=True)
    assert not signs.is_session_lost(401, None, LOST_SENTENCES[3], ours=False, session=False)
    assert not signs.is_session_lost(401, None, body, ours=False, session=True)
    assert not signs.is_session_lost(401, Fault(-32001, "session not found"), b"", ours=True, session=True)


@pytest.mark.parametrize(
    ("status", "fault", "ours", "lost"),
    [
        (404, None, False, True),
        (405, None, False, True),
        (410, None, False, True),
        (400, None, False, False),
        (422, None, False, False),
        (403, None, False, False),
        (404, Fault(-32001, "Session not found"), True, True),
        (404, Fault(-32600, "whatever"), False, True),
        (404, Fault(-32601, "Method not found"), True, False),
        (400, Fault(-32000, "Bad Request: No valid session ID provided"), False, True),
        (400, Fault(-32000, "Bad Request: Server not initialized"), True, True),
        (400, Fault(-32602, "no session of that name"), True, False),
        (200, Fault(-32000, "Session not found"), True, False),
    ],
)
def test_statuses_and_errors_of_a_lost_session(
    status: int, fault: Fault | None, ours: bool, lost: bool
) -> None:
    assert signs.is_session_lost(status, fault, b"", ours=ours, session=True) is lost


@given(st.integers(100, 599), st.binary(max_size=2000), st.booleans())
def test_only_refusals_mean_a_lost_session(status: int, body: bytes, session: bool) -> None:
    if signs.is_session_lost(status, None, body, ours=False, session=session):
        assert status in {400, 401, 404, 405, 410, 422}


# --- the stream -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 202, 204, 301, 400, 401, 403, 404, 405, 406, 501])
def test_a_stream_refused_at_first_is_none_to_be_had(status: int) -> None:
    for lost in (False, True):
        assert signs.after_stream_refused(status, lost=lost, opened=False) is Refused.NONE


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504])
def test_trouble_passes(status: int) -> None:
    for opened in (False, True):
        assert signs.after_stream_refused(status, lost=False, opened=opened) is Refused.LATER


def test_a_session_is_lost_only_after_a_stream_was_open_in_it() -> None:
    assert signs.after_stream_refused(404, lost=True, opened=True) is Refused.LOST
    assert signs.after_stream_refused(404, lost=True, opened=False) is Refused.NONE
    assert signs.after_stream_refused(401, lost=False, opened=True) is Refused.LATER
    assert signs.after_stream_refused(405, lost=False, opened=True) is Refused.NONE
