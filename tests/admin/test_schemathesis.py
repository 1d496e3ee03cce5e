"""The OpenAPI document against the running gateway: schemathesis sends what fits it and what does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from coatcheck import __version__
from coatcheck.admin.api.openapi import document
from coatcheck.admin.api.reading import SHAPES
from coatcheck.admin.surface import admin_of
from coatcheck.operations.use_cases import UseCases
from journeys.operating import Office, office_at

ROUTES = admin_of(UseCases(**{one.name: cast("Any", None) for one in fields(UseCases)})).routes
MADE = document(ROUTES, __version__)
GOOD = ("400", "404", "409", "412")
CONFIG = schemathesis.Config.from_dict(
    {
        "checks": {
            # A cursor, or two members that exclude each other, are judged beyond what a schema can say; that a
            # refusal is of that kind is judged below.
            "positive_data_acceptance": {
                "expected-statuses": ["2xx", *GOOD, "401", "403", "414", "422", "429"]
            },
            "negative_data_rejection": {
                "expected-statuses": [*GOOD, "401", "405", "414", "415", "422", "428", "429"]
            },
            "missing_required_header": {"expected-statuses": ["401", "428"]},
        }
    }
)
SCHEMA = schemathesis.openapi.from_dict(MADE, config=CONFIG)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Run a gateway that runs no commands, whatever is sent."""
    off = {"COATCHECK_ALLOW_COMMANDS": "false"}
    with office_at(tmp_path_factory.mktemp("office") / "data", env=off) as running:
        yield running


def test_the_gateway_gives_the_document_that_is_tested(office: Office) -> None:
    told = office.ask("GET", "/openapi.json", "viewer")
    assert (told.status, told.body) == (200, json.loads(json.dumps(MADE)))


@SCHEMA.parametrize()
@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_fits_the_document(case: Any, office: Office) -> None:
    if isinstance(case.query, dict) and case.query.get("follow") in (True, "true"):
        case.query["follow"] = "false"  # which never ends; tests of its own show it
    answer = case.call_and_validate(
        base_url=office.hall.gateway.origin,
        headers={"Authorization": f"Bearer {office.tokens['admin']}"},
        timeout=20,
    )
    if not case.meta.generation.mode.is_positive:
        return
    assert answer.status_code not in {401, 429} or case.path == "/api/v1/login"
    if answer.status_code in {400, 422}:
        # What fits the document is refused for what it says, never for its shape.
        assert answer.json()["fix"] != SHAPES, answer.json()
