"""What is suggested for a name that does not exist."""

import pytest

from coatcheck.cli.reaching.near import suggestion


@pytest.mark.parametrize(
    ("wanted", "names", "expected"),
    [
        ("tme", ["time", "git", "sqlite"], "did you mean time?"),
        ("TIME", ["time", "git"], "did you mean time?"),
        ("issue", ["list_issues", "get_issue", "whoami"], "did you mean get_issue or list_issues?"),
        ("zzz", ["time", "git"], "the tools are: time, git"),
        ("zzz", [], "there are no tools"),
        (
            "q",
            [f"n{n}" for n in range(14)],
            f"the tools are: {', '.join(f'n{n}' for n in range(12))} and 2 more",
        ),
    ],
)
def test_suggestion(wanted: str, names: list[str], expected: str) -> None:
    assert suggestion(wanted, names, "tools") == expected


def test_where_there_are_no_servers_the_command_that_adds_one_is_named() -> None:
    assert suggestion("tme", ["time"], "servers") == "did you mean time?"
    assert suggestion("tme", [], "servers") == "there are no servers; `coatcheck add` declares one"
