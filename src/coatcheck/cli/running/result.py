"""The result of a tool call as a person reads it: text as it is, anything else described."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from coatcheck.cli import show
from coatcheck.cli.running import exact


def lines_of(result: Any) -> Iterator[str]:
    """Yield the printable form of an MCP `CallToolResult`, part by part (MCP 2025-11-25, tool result).

    The result comes from `exact.read`.

    Structured content is shown only where there is no text: servers owe the same in both.
    """
    parts = result.get("content") if isinstance(result, dict) else None
    parts = parts if isinstance(parts, list) else []
    structured = result.get("structuredContent") if isinstance(result, dict) else None
    if structured is not None and not any(_is_text(part) for part in parts):
        yield show.escape_steering(exact.write(structured, indent=2))
    for part in parts:
        yield _line(part)


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _line(part: Any) -> str:
    if _is_text(part):
        return str(part["text"])
    if not isinstance(part, dict):
        return "[a part that is not an object]"
    kind = part.get("type")
    if kind in {"image", "audio"}:
        return f"[{kind}: {_word(part.get('mimeType'))}, {_decoded_size(part.get('data'))} bytes]"
    if kind == "resource_link":
        return f"[link: {_word(part.get('name'))} {_word(part.get('uri'))}]"
    if kind == "resource":
        return _embedded(part.get("resource"))
    return f"[{_word(kind)}: not shown; --json has it]"


def _embedded(resource: Any) -> str:
    if not isinstance(resource, dict):
        return "[resource: not shown; --json has it]"
    if isinstance(resource.get("text"), str):
        return f"[resource: {_word(resource.get('uri'))}]\n{resource['text']}"
    return (
        f"[resource: {_word(resource.get('uri'))}, {_word(resource.get('mimeType'))}, "
        f"{_decoded_size(resource.get('blob'))} bytes]"
    )


def _decoded_size(base64: Any) -> int:
    """Return how many bytes a base64 text stands for, without decoding it."""
    if not isinstance(base64, str):
        return 0
    return len(base64) * 3 // 4 - base64[-2:].count("=")


def _word(value: Any) -> str:
    return show.clean_line(value) if isinstance(value, str) and value else "unknown"
