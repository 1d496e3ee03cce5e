"""Templates, scripts and files of the console: what is vendored is what it says, and nothing can become markup."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from jinja2 import Environment, nodes

from coatcheck.console.web.files import Files

CONSOLE = Path(__file__).resolve().parents[2] / "src" / "coatcheck" / "console"
TEMPLATES = sorted((CONSOLE / "templates").rglob("*.html"))
STATIC = CONSOLE / "static"
OURS = sorted({*STATIC.glob("*.js")} - {STATIC / "htmx.min.js", STATIC / "uPlot.iife.min.js"})


def _name(path: Path) -> str:
    return str(path.relative_to(CONSOLE))


FORBIDDEN = {
    "text that becomes markup": re.compile(r"\|\s*safe\b|Markup\(|autoescape"),
    "a handler in an attribute": re.compile(r"""\son[a-z]+\s*=\s*["']|\shx-on|hx-vals\s*=\s*["']js:"""),
    "a style in an attribute": re.compile(r"<[^>]*\sstyle\s*="),
    "a style of its own": re.compile(r"<style\b"),
    "a script of its own": re.compile(r"<script(?![^>]*\bsrc=)"),
    "something from elsewhere": re.compile(r"""(?:src|action)\s*=\s*["']?(?:https?:)?//"""),
    "a script address": re.compile(r"javascript:", re.IGNORECASE),
}


def test_the_watch_notices_what_it_forbids() -> None:
    bad = """<p style="x" onclick="y">{{ a | safe }}</p><style></style><script>z</script>
    <img src="https://cdn.example/x.png"><a href="javascript:1">"""
    assert [name for name, pattern in FORBIDDEN.items() if pattern.search(bad)] == list(FORBIDDEN)


@pytest.mark.parametrize("path", TEMPLATES, ids=_name)
def test_nothing_in_a_template_lets_text_become_more(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert [name for name, pattern in FORBIDDEN.items() if pattern.search(text)] == []


@pytest.mark.parametrize("path", OURS, ids=_name)
def test_our_scripts_make_no_markup_and_evaluate_nothing(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert (
        re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text) == []
    )


def test_python_of_the_console_makes_no_markup() -> None:
    for path in CONSOLE.rglob("*.py"):
        assert "Markup" not in path.read_text(encoding="utf-8"), path


def test_what_is_vendored_is_as_its_makers_published_it() -> None:
    told = (STATIC / "LICENSES.txt").read_text(encoding="utf-8")
    found = dict(re.findall(r"^(\S+\.js)\b.*?sha256\s+([0-9a-f]{64})", told, re.MULTILINE | re.DOTALL))
    assert set(found) == {"htmx.min.js", "uPlot.iife.min.js"}
    for name, print_ in found.items():
        assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == print_


def test_the_address_of_a_file_has_its_print_and_no_other_path_leads_to_it() -> None:
    files = Files()
    address = files.address("console.css")
    found = files.find(address)
    assert found is not None
    assert found.media.startswith("text/css")
    assert files.find("/static/console.css") is None
    assert files.find(address.replace("console.css", "../__init__.py")) is None


def test_every_class_that_a_template_uses_has_a_rule() -> None:
    """A class without a rule is a look that somebody forgot; hooks of scripts are `data-` attributes."""
    styled = set(re.findall(r"\.([a-z][a-z0-9-]*)", (STATIC / "console.css").read_text(encoding="utf-8")))
    used: dict[str, str] = {}
    for path in TEMPLATES:
        plain = re.sub(
            r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", "\0", path.read_text(encoding="utf-8"), flags=re.DOTALL
        )
        for value in re.findall(r'\bclass="([^"]*)"', plain):
            used |= {name: _name(path) for name in value.split() if "\0" not in name}
    hooks = {"choices", "live", "top-menu"}  # what console.js finds them by
    assert {name: path for name, path in used.items() if name not in styled | hooks} == {}


# --- parts of templates that nothing uses ------------------------------------------------------------------


def _trees(sources: Mapping[str, str]) -> Mapping[str, nodes.Template]:
    made = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return {name: made.parse(source) for name, source in sources.items()}


def _imports_of(tree: nodes.Template) -> Iterator[str]:
    for one in tree.find_all(nodes.Import):
        yield one.target
    for taken in tree.find_all(nodes.FromImport):
        yield from (one if isinstance(one, str) else one[1] for one in taken.names)


def _unused_imports(trees: Mapping[str, nodes.Template]) -> list[str]:
    found = []
    for name, tree in trees.items():
        read = {one.name for one in tree.find_all(nodes.Name) if one.ctx == "load"}
        found += [f"{name}: {one}" for one in _imports_of(tree) if one not in read]
    return found


def _called(call: nodes.Call) -> str:
    if isinstance(call.node, nodes.Getattr):
        return call.node.attr
    return call.node.name if isinstance(call.node, nodes.Name) else ""


def _idle_parameters(trees: Mapping[str, nodes.Template]) -> list[str]:
    """Return parameters of macros that no call gives, or that the macro does not read."""
    most: Counter[str] = Counter()
    given: dict[str, set[str]] = {}
    for tree in trees.values():
        for call in tree.find_all(nodes.Call):
            most[_called(call)] = max(most[_called(call)], len(call.args))
            given.setdefault(_called(call), set()).update(one.key for one in call.kwargs)
    found = []
    for name, tree in trees.items():
        for macro in tree.find_all(nodes.Macro):
            read = {one.name for part in macro.body for one in _names_in(part)}
            for place, parameter in enumerate(one.name for one in macro.args):
                is_given = place < most[macro.name] or parameter in given.get(macro.name, ())
                if not is_given or parameter not in read:
                    found.append(f"{name}: {macro.name}.{parameter}")
    return found


def _names_in(part: nodes.Node) -> Iterator[nodes.Name]:
    if isinstance(part, nodes.Name):
        yield part
    yield from part.find_all(nodes.Name)


def test_a_part_that_nothing_uses_is_found() -> None:
    trees = _trees(
        {
            "a": "{% macro m(read, spare, unread=1) %}{{ read }}{{ spare }}{% endmacro %}",
            "b": '{% import "a" as it %}{% import "a" as my %}{% from "a" import m as x %}{{ it.m(1, unread=2) }}',
        }
    )
    assert _unused_imports(trees) == ["b: my", "b: x"]
    assert _idle_parameters(trees) == ["a: m.spare", "a: m.unread"]


def test_no_template_imports_or_takes_what_nothing_uses() -> None:
    trees = _trees({_name(path): path.read_text(encoding="utf-8") for path in TEMPLATES})
    assert _unused_imports(trees) == []
    assert _idle_parameters(trees) == []
