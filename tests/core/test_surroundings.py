from __future__ import annotations

import pytest

from coatcheck.core.surroundings import DEFAULT_PATH, env_secrets, environment


def test_only_what_is_on_the_list_is_passed_on() -> None:
    ambient = {
        "PATH": "/bin",
        "LANG": "de_DE.UTF-8",
        "LC_TIME": "C",
        "TZ": "UTC",
        "TMPDIR": "/t",
        "HOME": "/root",
        "COATCHECK_KEY": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
        "LD_PRELOAD": "/evil.so",
        "PYTHONPATH": "/p",
        "HTTPS_PROXY": "http://u:p@proxy",
        "SSH_AUTH_SOCK": "/s",
    }
    assert environment(ambient, "/data/home", {"TOKEN": "t"}) == {
        "PATH": "/bin",
        "LANG": "de_DE.UTF-8",
        "LC_TIME": "C",
        "TZ": "UTC",
        "TMPDIR": "/t",
        "HOME": "/data/home",
        "TOKEN": "t",
    }


def test_the_servers_own_word_is_the_last() -> None:
    own = {"PATH": "/opt/bin", "HOME": "/srv", "LANG": "C"}
    assert environment({"PATH": "/bin", "LANG": "x"}, "/h", own) == own


def test_a_child_has_a_path_and_a_locale() -> None:
    assert environment({}, "/h", {}) == {"PATH": DEFAULT_PATH, "HOME": "/h", "LANG": "C.UTF-8"}
    assert "LANG" not in environment({"LC_ALL": "C"}, "/h", {})


@pytest.mark.parametrize(
    ("name", "value", "secrets"),
    [
        ("GITHUB_TOKEN", "ghp_x", ["ghp_x"]),
        ("api_key", "production", ["production"]),
        ("PASSWORD", "/a/path", ["/a/path"]),
        ("WHATEVER", "a1b2c3d4", ["a1b2c3d4"]),
        ("WHATEVER", "9f86d081-884c-4d65", ["9f86d081-884c-4d65"]),
        ("WHATEVER", "xoxb-123456-abc", ["xoxb-123456-abc"]),
        ("PASSPHRASE", "correct horse battery", ["correct horse battery"]),
        ("WHATEVER", "correct horse battery", []),
        ("REGION", "us-east-1", []),
        ("ZONE", "eu-central-1a", []),
        ("TZ", "Asia/Tokyo", []),
        ("HOST", "db.internal.example.com:5432", []),
        ("ADDRESS", "someone@example.com", []),
        ("VERSION", "2026.10.19", []),
        ("NODE_ENV", "production", []),
        ("DB_FILE", "/srv/data/db.sqlite", []),
        ("SEARCH", "/usr/bin:/bin", []),
        ("BASE_URL", "https://api.example/v1", []),
        ("BASE_URL", "https://api.example/v1?k=v", ["https://api.example/v1?k=v"]),
        ("BASE_URL", "https://u:p%40ss@api.example", ["https://u:p%40ss@api.example", "p%40ss", "p@ss"]),
        ("DATABASE_URL", "postgres://u:pw@db/x", ["postgres://u:pw@db/x", "pw", "pw"]),
        ("BROKEN", "http://[::1", ["http://[::1"]),
    ],
)
def test_what_must_not_come_back(name: str, value: str, secrets: list[str]) -> None:
    assert list(env_secrets({name: value})) == secrets
