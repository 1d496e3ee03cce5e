"""Coatcheck's own settings: sources and their order, refusals, and what may be opened to the network."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.config import Config, check_exposure, load_config
from coatcheck.declared.reading.addresses import Address, network_of
from coatcheck.declared.settings import SETTINGS
from coatcheck.errors import ConfigError
from coatcheck.model.declaration import ForwardedRules, IdentityRules, Provider

HOME = {"HOME": "/home/someone"}


def told(flags: Any = None, environment: Any = None) -> Any:
    with pytest.raises(ConfigError) as caught:
        load_config(flags or {}, HOME | (environment or {}))
    return caught.value.message


def in_file(tmp_path: Path, text: str) -> Any:
    (tmp_path / "coatcheck.toml").write_text(text)
    return {"COATCHECK_DATA": str(tmp_path)}


# --- defaults -------------------------------------------------------------------------------------------


def test_defaults() -> None:
    config = load_config({}, HOME)
    assert config.http == Address("127.0.0.1", 8080)
    assert config.data == Path("/home/someone/.local/share/coatcheck")
    assert (config.insecure, config.config, config.public_url) == (False, None, None)
    assert (config.allow_private, config.trusted_proxies) == ((), ())
    assert (config.call_timeout, config.connect_timeout, config.queue_timeout) == (120, 60, 10)
    assert (config.body_limit, config.reply_limit) == (4 * 1024**2, 16 * 1024**2)
    assert (config.calls_per_grant, config.calls_total) == (64, 512)
    assert (config.sessions_per_grant, config.sessions_total, config.session_idle) == (64, 10_000, 1800)
    assert (config.session_events, config.session_event_bytes) == (256, 1 << 20)
    assert (config.call_longest, config.upstream_idle, config.listens_per_grant) == (1800, 300, 32)
    assert (config.children_per_grant, config.children_total) == (8, 64)
    assert (config.drain_timeout, config.list_wait, config.list_ttl) == (20, 10, 5)
    assert (config.notices_webhook, config.log_level) == (None, "info")
    assert set(config.sources.values()) == {"default"}


def test_every_setting_is_a_field_and_every_field_a_setting() -> None:
    fields = {field.name for field in dataclasses.fields(Config)}
    assert fields == {setting.name for setting in SETTINGS} | {"sinks", "sources"}
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_config({}, HOME).http = None  # type: ignore[misc,assignment]


def test_where_state_is_kept(tmp_path: Path) -> None:
    assert load_config({}, HOME | {"XDG_DATA_HOME": "/share"}).data == Path("/share/coatcheck")
    assert load_config({}, HOME | {"XDG_DATA_HOME": "relative"}).data == load_config({}, HOME).data
    assert load_config({}, {"COATCHECK_DATA": "/d"}).data == Path("/d")
    assert load_config({"data": "/f"}, {"COATCHECK_DATA": "/d"}).data == Path("/f")
    assert load_config({"data": "~/state"}, HOME).data == Path("/home/someone/state")
    assert load_config({"data": "here"}, {}).data == Path.cwd() / "here"
    with pytest.raises(ConfigError, match="no home directory") as caught:
        load_config({}, {})
    assert "--data" in caught.value.fix


# --- sources --------------------------------------------------------------------------------------------


def test_a_flag_wins_over_the_environment_over_the_file_over_shared_variables(tmp_path: Path) -> None:
    environment = in_file(tmp_path, 'log_level = "error"\n\n# x\ncall_timeout = "3s"\n') | {
        "COATCHECK_CALL_TIMEOUT": "2s",
        "MCP_PROXY_REQUEST_TIMEOUT": "4",
        "MCP_TIMEOUT": "5",
    }
    first = load_config({"call_timeout": "1s"}, environment)
    assert (first.call_timeout, first.sources["call_timeout"]) == (1, "--call-timeout")
    second = load_config({"call_timeout": None}, environment)
    assert (second.call_timeout, second.sources["call_timeout"]) == (2, "COATCHECK_CALL_TIMEOUT")
    third = load_config({}, environment | {"COATCHECK_CALL_TIMEOUT": ""})
    assert (third.call_timeout, third.sources["call_timeout"]) == (3, f"{tmp_path}/coatcheck.toml line 4")
    (tmp_path / "coatcheck.toml").unlink()
    last = load_config({}, environment | {"COATCHECK_CALL_TIMEOUT": ""})
    assert (last.call_timeout, last.sources["call_timeout"]) == (4, "MCP_PROXY_REQUEST_TIMEOUT")
    assert (last.connect_timeout, last.sources["connect_timeout"]) == (5, "MCP_TIMEOUT")


def test_a_shared_variable_is_not_read_where_our_own_is_set() -> None:
    assert "MCP_TIMEOUT" in told(environment={"MCP_TIMEOUT": "30000"})
    environment = HOME | {"MCP_TIMEOUT": "30000", "COATCHECK_CONNECT_TIMEOUT": "30"}
    assert load_config({}, environment).connect_timeout == 30


EVERY: dict[str, Any] = {
    "http": "[::1]:9090",
    "insecure": True,
    "admin": "127.0.0.1:9091",
    "admin_url": "https://console.example.com/",
    "allow_commands": True,
    "database": "postgresql://coatcheck@db.example.com/coatcheck",
    "config": "servers.json",
    "public_url": "https://gate.example.com/",
    "allow_private": ["10.0.0.0/8", "fd00::/8"],
    "trusted_proxies": ["192.0.2.1"],
    "call_timeout": "2m",
    "call_longest": "1h",
    "connect_timeout": 30,
    "body_limit": "1MiB",
    "reply_limit": 2048,
    "calls_per_grant": 3,
    "calls_total": 4,
    "queue_timeout": 0,
    "sessions_per_grant": 5,
    "sessions_total": 6,
    "session_idle": "1h",
    "session_events": 8,
    "session_event_bytes": "64KiB",
    "listens_per_grant": 7,
    "children_per_grant": 8,
    "children_total": 9,
    "credential_drain": "5m",
    "console_idle": "20m",
    "console_longest": "8h",
    "upstream_idle": "10m",
    "drain_timeout": 1.5,
    "list_wait": "1s",
    "list_ttl": "0",
    "notices_webhook": "https://hooks.example.com/services/planted-7731",
    "oidc_issuer": "https://id.example.com/realms/a",
    "oidc_client_id": "coatcheck",
    "oidc_client_secret": "${file:/run/secrets/oidc}",
    "oidc_operators": ["admin=platform-team", "auditor=CN=audit,OU=x"],
    "oidc_roles_claim": "realm_access.roles",
    "oidc_name_claim": "preferred_username",
    "oidc_trust_email": True,
    "oidc_scopes": "openid groups",
    "audit_key": "/keys/audit.key",
    "checkpoints": "/worm/checkpoints.log",
    "retention": "90d",
    "segments": "/archive/segments",
    "receipts": False,
    "quarantine_tools": "any",
    "log_level": "debug",
}


def test_every_setting_from_every_source(tmp_path: Path) -> None:
    assert EVERY.keys() | {"data"} == {setting.name for setting in SETTINGS}
    toml = "\n".join(f"{name} = {json.dumps(value)}" for name, value in EVERY.items())
    from_file = load_config({}, in_file(tmp_path, toml))
    (tmp_path / "coatcheck.toml").unlink()
    as_text = {
        n: ", ".join(v) if isinstance(v, list) else str(v).lower() if v is True else str(v)
        for n, v in EVERY.items()
    }
    as_text["config"] = str(tmp_path / "servers.json")
    from_environment = load_config(
        {}, {"COATCHECK_DATA": str(tmp_path)} | {f"COATCHECK_{n.upper()}": v for n, v in as_text.items()}
    )
    flags = EVERY | {"allow_private": tuple(EVERY["allow_private"]), "config": tmp_path / "servers.json"}
    from_flags = load_config({**flags, "data": tmp_path}, {})
    values = [dataclasses.replace(c, sources={}) for c in (from_file, from_environment, from_flags)]
    assert values[0] == values[1] == values[2]
    assert values[0].http == Address("::1", 9090)
    assert values[0].config == tmp_path / "servers.json"
    assert values[0].public_url == "https://gate.example.com"
    assert values[0].admin_url == "https://console.example.com"
    assert values[0].allow_private == (network_of("10.0.0.0/8"), network_of("fd00::/8"))


def test_the_url_of_an_address_that_there_is_not_is_refused() -> None:
    url = {"admin_url": "https://console.example.com"}
    assert load_config({**url, "admin": "127.0.0.1:9091"}, HOME).admin_url == url["admin_url"]
    with pytest.raises(ConfigError, match="admin_url: API and console have no address of their own"):
        load_config(url, HOME)


def test_describe_is_fit_for_json_and_names_every_source(tmp_path: Path) -> None:
    config = load_config({"http": ":0"}, in_file(tmp_path, 'allow_private = ["10.0.0.0/8"]'))
    shown = {line.name: line for line in config.describe()}
    assert list(shown) == [setting.name for setting in SETTINGS]
    assert json.loads(json.dumps([dataclasses.asdict(line) for line in shown.values()]))
    assert (shown["http"].value, shown["http"].source) == ("127.0.0.1:0", "--http")
    assert (shown["allow_private"].value, shown["config"].value) == (["10.0.0.0/8"], None)
    assert shown["allow_private"].source == f"{tmp_path}/coatcheck.toml line 1"
    assert shown["data"].source == "COATCHECK_DATA"
    assert all(line.about for line in shown.values())


# --- refusals -------------------------------------------------------------------------------------------


def test_unknown_settings_are_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    assert load_config({}, in_file(tmp_path, 'http = ":1"')).http.port == 1
    message = told(environment=in_file(tmp_path, 'http = ":1"\nhttps = ":2"\n[calls_total]\nx = 1\n[zzz]\n'))
    assert f"{tmp_path}/coatcheck.toml line 2: unknown setting 'https' (did you mean http?)" in message
    assert "line 3: calls_total: is not a whole number" in message
    assert "line 5: unknown setting 'zzz'" in message
    assert "did you mean COATCHECK_HTTP?" in told(environment={"COATCHECK_HTPP": "x"})
    assert "unknown variable COATCHECK_ZZZ" in told(environment={"COATCHECK_ZZZ": "canary"})
    assert "canary" not in told(environment={"COATCHECK_ZZZ": "canary"})
    assert "unknown setting 'htp'" in told({"htp": "x"})


def test_the_data_directory_is_not_a_setting_of_the_file_in_it(tmp_path: Path) -> None:
    assert "data cannot be set" in told(environment=in_file(tmp_path, 'data = "/x"'))


def test_variables_that_are_no_settings_are_left_alone() -> None:
    cluster = {
        "COATCHECK_GRANT": "cckg_x",
        "COATCHECK_SERVICE_HOST": "10.0.0.1",
        "COATCHECK_SERVICE_PORT": "8080",
        "COATCHECK_SERVICE_PORT_HTTP": "8080",
        "COATCHECK_PORT": "tcp://10.0.0.1:8080",
        "COATCHECK_PORT_8080_TCP": "tcp://10.0.0.1:8080",
        "COATCHECK_PORT_8080_TCP_ADDR": "10.0.0.1",
    }
    assert load_config({}, HOME | cluster) == load_config({}, HOME)
    assert "COATCHECK_PORT" in told(environment={"COATCHECK_PORT": "9090"})


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("http", "h:x", "port"),
        ("http", "127.1:80", "unusual spelling"),
        ("http", "::1", "brackets"),
        ("http", 70000, "port"),
        ("insecure", "maybe", "true nor false"),
        ("insecure", 1, "true nor false"),
        ("config", 7, "not a text"),
        ("config", "a\x00", "not a text"),
        ("public_url", "https://h/mcp", "without a path"),
        ("public_url", "gate.example.com", "not a URL"),
        ("admin_url", "https://h/console", "without a path"),
        ("allow_private", "10.0.0.1/8", "after its prefix"),
        ("allow_private", ["0.0.0.0/0"], "link-local"),
        ("allow_private", ["169.254.169.254"], "link-local"),
        ("allow_private", ["fe80::/64"], "link-local"),
        ("allow_private", [7], "not a text"),
        ("allow_private", 7, "not a list"),
        ("trusted_proxies", "::/0", "every address"),
        ("call_timeout", "soon", "not a duration"),
        ("call_timeout", 0, "between"),
        ("connect_timeout", "2h", "between"),
        ("body_limit", "4 potatoes", "not a size"),
        ("reply_limit", 1, "between"),
        ("calls_total", 0, "between"),
        ("calls_total", "many", "whole number"),
        ("calls_total", True, "whole number"),
        ("log_level", "loud", "not one of"),
        ("notices_webhook", "hooks.example.com", "no http or https URL"),
        ("notices_webhook", "http://hooks.example.com/planted-7731", "not https"),
        ("notices_webhook", "https://a:planted-7731@hooks.example.com/", "user information"),
    ],
)
def test_unfit_values_are_refused_by_name(name: str, value: Any, word: str) -> None:
    message = told({name: value})
    assert f"--{name.replace('_', '-')}: {name}: " in message
    assert word in message
    assert "planted-7731" not in message


def test_the_webhook_is_a_secret() -> None:
    url = "https://hooks.example.com/services/planted-7731"
    config = load_config({}, HOME | {"COATCHECK_NOTICES_WEBHOOK": url})
    assert config.notices_webhook is not None
    assert config.notices_webhook.reveal() == url
    (shown,) = [one for one in config.describe() if one.name == "notices_webhook"]
    assert (shown.value, shown.source) == ("Secret(***)", "COATCHECK_NOTICES_WEBHOOK")
    assert "planted-7731" not in repr(config)


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    environment = in_file(tmp_path, "calls_total = 0\nnope = 1") | {
        "COATCHECK_HTTP": "x:y",
        "COATCHECK_NOPE": "",
    }
    message = told({"log_level": "loud"}, environment)
    assert len(message.split("\n")) == 5


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"a = ", "not TOML"),
        (b"a = 1\na = 2", "not TOML"),
        (b"a = '\xff'", "not UTF-8"),
        (b"#" * 1048577, "larger"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, content: bytes, word: str) -> None:
    (tmp_path / "coatcheck.toml").write_bytes(content)
    assert word in told({"data": str(tmp_path)})


def test_a_directory_in_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "coatcheck.toml").mkdir()
    assert "cannot be read" in told({"data": str(tmp_path)})


def test_a_data_directory_that_does_not_exist_yet_has_no_file(tmp_path: Path) -> None:
    assert load_config({"data": str(tmp_path / "new" / "deep")}, {}).http.port == 8080


@given(st.sampled_from([setting.name for setting in SETTINGS if setting.name != "data"]), st.text(min_size=1))
def test_any_text_is_a_value_or_a_refusal(name: str, text: str) -> None:
    message = ""
    try:
        assert getattr(load_config({name: text}, HOME), name) is not None
    except ConfigError as error:
        message = error.message
    assert not message or f": {name}: " in message


# --- exposure -------------------------------------------------------------------------------------------

BEARER = IdentityRules((Provider.BEARER,))
TRUSTING = IdentityRules((Provider.FORWARDED,), forwarded=ForwardedRules(trusted=(network_of("10.0.0.0/8"),)))


@pytest.mark.parametrize(
    ("http", "insecure", "identity", "has_grants"),
    [
        ("127.0.0.1:8080", False, IdentityRules(), False),
        ("[::1]:8080", False, IdentityRules((Provider.NONE,)), False),
        (":9090", False, IdentityRules((Provider.FORWARDED,)), False),
        ("0.0.0.0:80", True, BEARER, False),
        ("0.0.0.0:80", True, TRUSTING, False),
        ("0.0.0.0:80", True, IdentityRules(), True),
        ("gate.example.com:80", True, BEARER, False),
    ],
)
def test_what_may_be_opened(http: str, insecure: bool, identity: IdentityRules, has_grants: bool) -> None:
    check_exposure(load_config({"http": http, "insecure": insecure}, HOME), identity, has_grants=has_grants)


@pytest.mark.parametrize(
    ("http", "insecure", "identity", "words"),
    [
        ("0.0.0.0:80", False, BEARER, ["--insecure"]),
        ("[::]:80", False, BEARER, ["--insecure"]),
        ("192.0.2.1:80", False, BEARER, ["--insecure"]),
        ("gate.example.com:80", False, BEARER, ["--insecure"]),
        ("0.0.0.0:80", True, IdentityRules(), ["nobody has to say"]),
        ("0.0.0.0:80", False, IdentityRules(), ["--insecure", "nobody has to say"]),
        ("0.0.0.0:80", True, IdentityRules((Provider.NONE,)), ["none lets anyone in"]),
        ("0.0.0.0:80", True, IdentityRules((Provider.BEARER, Provider.NONE)), ["none lets anyone in"]),
        ("0.0.0.0:80", True, IdentityRules((Provider.FORWARDED,)), ["trusted_proxies"]),
        (
            "0.0.0.0:80",
            True,
            IdentityRules((Provider.FORWARDED,), forwarded=ForwardedRules(trusted=())),
            ["x-forwarded-user"],
        ),
    ],
)
def test_what_may_not_be_opened(http: str, insecure: bool, identity: IdentityRules, words: list[str]) -> None:
    config = load_config({"http": http, "insecure": insecure}, HOME)
    with pytest.raises(ConfigError) as caught:
        check_exposure(config, identity)
    lines = caught.value.message.split("\n")
    assert len(lines) == len(words)
    assert all(word in line for word, line in zip(words, lines, strict=True))


@pytest.mark.parametrize(
    "proxied",
    [
        {"public_url": "https://gate.example.com"},
        {"public_url": "http://gw"},
        {"public_url": "https://203.0.113.7:8443"},
        {"trusted_proxies": ["127.0.0.1/32"]},
    ],
)
def test_a_proxy_on_this_machine_opens_the_gateway_to_others(proxied: dict[str, Any]) -> None:
    config = load_config({"http": "127.0.0.1:8080", **proxied}, HOME)
    check_exposure(config, BEARER)
    check_exposure(config, IdentityRules((Provider.FORWARDED,)))
    check_exposure(config, IdentityRules(), has_grants=True)
    for identity, words in (
        (IdentityRules(), "nobody has to say"),
        (IdentityRules((Provider.NONE,)), "none lets anyone in"),
        (IdentityRules((Provider.BEARER, Provider.NONE)), "none lets anyone in"),
    ):
        with pytest.raises(ConfigError, match=words):
            check_exposure(config, identity)


@pytest.mark.parametrize("url", ["http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"])
def test_a_public_url_on_this_machine_opens_nothing(url: str) -> None:
    check_exposure(load_config({"http": "127.0.0.1:8080", "public_url": url}, HOME), IdentityRules())


# --- the cost of a start --------------------------------------------------------------------------------


def test_importing_the_settings_loads_nothing_heavy() -> None:
    heavy = (
        "asyncio",
        "watchfiles",
        "tomllib",
        "difflib",
        "sqlalchemy",
        "logging",
        "json.decoder",
    )
    code = f"import sys, coatcheck.config; print([m for m in {heavy!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert not run.stderr
    assert run.stdout.strip() == "[]"
