"""The OpenAPI 3.1 document of the API, made from the same routes that serve it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from coatcheck.admin.api.idempotency import KEY_PATTERN
from coatcheck.admin.api.problems import CODES, MEDIA, ProblemBody
from coatcheck.admin.api.routes import PREFIX, AnyRoute, Match
from coatcheck.model.secret import Secret
from coatcheck.operations.permissions import ROLES

_REF: Final = "#/components/schemas/{name}"
_NAMES: Final = re.compile(r"\{([a-z_]+)\}")
_TAG: Final = {"type": "string", "pattern": '^"(0|[1-9][0-9]{0,17})"$'}
_CODED: Final = (
    "`~` and base64url stand for one with a slash, a backslash or a percent sign, or of dots alone."
)
_PATH_NAMES: Final = {
    "ref": f"A name, label or id. {_CODED}",
    "name": f"A name. {_CODED}",
}

_BY_HEAD: Final = (414, 431)
"""Further statuses of a head that is refused: too long, or too much of it."""

Document = dict[str, Any]


def document(routes: Sequence[AnyRoute], version: str) -> Document:
    """Return the document. Equal routes give an equal document."""
    shapes = sorted({shape for route in routes for shape in _shapes(route)}, key=lambda shape: shape.__name__)
    _, components = msgspec.json.schema_components(
        [*shapes, ProblemBody], schema_hook=_schema_of, ref_template=_REF
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Coatcheck",
            "version": version,
            "description": "What operators can see, make, change and end while the gateway runs.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": _paths(routes, components),
        "components": {
            "schemas": components,
            "securitySchemes": {
                "operator": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An operator's `ccka_` token.",
                }
            },
        },
    }


def codes_of(route: AnyRoute) -> list[str]:
    """Return the codes of the problems that a route can give, those that all can among them."""
    codes = {
        "bad_request",
        "bad_host",
        "bad_origin",
        "bad_filter",
        "no_login_yet",
        "internal",
        "unavailable",
        *route.errors,
    }
    if route.permission is not None:
        codes |= {"not_logged_in", "bad_token", "slow_down", "role_lacks"}
    if route.has_body:
        codes |= {"bad_json", "ambiguous_json", "slow_body", "too_large", "unsupported_media_type", "unfit"}
    if route.takes_key:
        codes |= {"bad_key", "key_reused"}
    if route.match is not Match.UNUSED:
        codes |= {"bad_precondition", "stale"}
    if route.match is Match.REQUIRED:
        codes |= {"unconditional"}
    if _NAMES.search(route.path):
        codes |= {"not_found"}
    return sorted(codes)


def _shapes(route: AnyRoute) -> Iterator[type[msgspec.Struct]]:
    if route.gives is not None:
        yield route.gives
    if route.has_body:
        yield route.body
    yield route.query


def _schema_of(kind: type) -> Document:
    """Return the schema of a type of ours."""
    if kind is Secret:
        return {"type": "string", "format": "password", "writeOnly": True}
    raise NotImplementedError


def _paths(routes: Sequence[AnyRoute], components: Document) -> Document:
    paths: Document = {}
    for route in routes:
        place = paths.setdefault(PREFIX + route.path, {})
        place[route.method.lower()] = _operation(route, components)
    return paths


def _operation(route: AnyRoute, components: Document) -> Document:
    operation: Document = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [route.path.split("/")[1]],
        "parameters": [*_parameters(route, components)],
        "responses": _responses(route),
    }
    if route.permission is None:
        operation["security"] = []
    else:
        operation["security"] = [{"operator": []}]
        operation["x-permission"] = route.permission.value
        operation["x-roles"] = [role.value for role, can in ROLES.items() if route.permission in can]
    if route.has_body:
        schema = {"$ref": _REF.format(name=route.body.__name__)}
        operation["requestBody"] = {
            "required": route.needs_body,
            "content": {"application/json": {"schema": schema}},
        }
    return operation


def _operation_id(route: AnyRoute) -> str:
    words = [word.strip("{}") for word in re.split(r"[/.]", route.path) if word]
    return "_".join([route.method.lower(), *words])


def _parameters(route: AnyRoute, components: Document) -> Iterator[Document]:
    for name in _NAMES.findall(route.path):
        schema = {"type": "string", "minLength": 1}
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "schema": schema,
            "description": _PATH_NAMES[name],
        }
    for name, schema in components[route.query.__name__].get("properties", {}).items():
        yield {"name": name, "in": "query", "required": False, "schema": _without_null(schema)}
    if route.match is not Match.UNUSED:
        required = route.match is Match.REQUIRED
        about = "The ETag of what was read."
        yield {"name": "If-Match", "in": "header", "required": required, "schema": _TAG, "description": about}
    if route.takes_key:
        schema = {"type": "string", "pattern": KEY_PATTERN}
        about = "The same key with the same request gets the same answer for ten minutes."
        yield {"name": "Idempotency-Key", "in": "header", "schema": schema, "description": about}


def _without_null(schema: Document) -> Document:
    """Return the schema of a parameter: it can be left out, and cannot be null."""
    schema = {name: part for name, part in schema.items() if not (name == "default" and part is None)}
    choices = [one for one in schema.pop("anyOf", []) if one != {"type": "null"}]
    return {**schema, **choices[0]} if choices else schema


def _responses(route: AnyRoute) -> Document:
    responses: Document = {str(route.status): _good(route)}
    by_status = {status: ["bad_request"] for status in _BY_HEAD}
    for code in codes_of(route):
        by_status.setdefault(CODES[code], []).append(code)
    for status, codes in sorted(by_status.items()):
        responses[str(status)] = {
            "description": f"{HTTPStatus(status).phrase}: {', '.join(codes)}",
            "content": {MEDIA: {"schema": {"$ref": _REF.format(name=ProblemBody.__name__)}}},
        }
    return responses


def _good(route: AnyRoute) -> Document:
    good: Document = {"description": HTTPStatus(route.status).phrase, "content": {}}
    if route.gives is not None:
        good["content"]["application/json"] = {"schema": {"$ref": _REF.format(name=route.gives.__name__)}}
    for media in filter(None, route.streams.split(", ")):
        good["content"][media] = {}
    if route.etag:
        good["headers"] = {"ETag": {"schema": _TAG, "required": True, "description": "The version."}}
    return good
