"""`[[sinks]]` of coatcheck.toml: every option, what is refused, and secrets that are filled in at the start."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from coatcheck.config import load_config
from coatcheck.declared.reading.expand import Sources
from coatcheck.declared.sinks.filling import filled
from coatcheck.declared.sinks.tables import MOST, read_sinks
from coatcheck.errors import ConfigError
from coatcheck.model.sink import (
    FileOptions,
    Format,
    Fsync,
    OtlpOptions,
    SinkRules,
    SyslogOptions,
    Transport,
    WebhookOptions,
)
from coatcheck.secrets.env import EnvSource
from coatcheck.secrets.file import FileSource

BASE = Path("/data")
SECRET = "canary-0123456789abcdef"


def read(text: str) -> tuple[SinkRules, ...]:
    found, complaints = read_sinks(tomllib.loads(text)["sinks"], BASE)
    assert complaints == ()
    return found


def refused(text: str) -> str:
    _, complaints = read_sinks(tomllib.loads(text)["sinks"], BASE)
    assert len(complaints) == 1
    return complaints[0]


def sources(**environment: str) -> Sources:
    return Sources(EnvSource(environment), FileSource())


WHOLE = """
[[sinks]]
name = "archive"
kind = "file"
path = "logs/audit.cef"
format = "cef"
rotate_size = "1MiB"
rotate_daily = false
keep = 0
fsync = "never"
from_start = true

[[sinks]]
name = "siem"
kind = "syslog"
transport = "tls"
address = "[::1]:6514"
format = "structured"
facility = "local3"
app_name = "gate"
size_limit = "4KiB"
ca = "/etc/ca.pem"
certificate = "client.pem"
key = "client.key"

[[sinks]]
name = "hook"
kind = "webhook"
url = "https://siem.example.com/in"
secret = "canary-0123456789abcdef"
batch = 10
timeout = "3s"

[[sinks]]
name = "otel"
kind = "otlp"
url = "http://127.0.0.1:4318/v1/logs"
headers = { Api-Key = "canary-0123456789abcdef" }

[[sinks]]
name = "out"
kind = "stdout"
"""


def test_every_option_is_read() -> None:
    archive, siem, hook, otel, out = read(WHOLE)
    assert archive.options == FileOptions(path=Path("/data/logs/audit.cef"), format=Format.CEF, rotate_bytes=1 << 20, rotate_daily=False, keep=0, fsync=Fsync.NEVER)  # fmt: skip
    assert archive.from_start
    assert siem.options == SyslogOptions(transport=Transport.TLS, host="::1", port=6514, format=Format.STRUCTURED, facility=19, app_name="gate", most=4096, ca=Path("/etc/ca.pem"), certificate=Path("/data/client.pem"), key=Path("/data/client.key"))  # fmt: skip
    assert isinstance(hook.options, WebhookOptions)
    assert (hook.options.batch, hook.options.timeout, hook.options.secret.reveal()) == (10, 3.0, SECRET)
    assert isinstance(otel.options, OtlpOptions)
    assert otel.options.headers["Api-Key"].reveal() == SECRET
    assert (out.name, out.from_start) == ("out", False)


def test_the_defaults() -> None:
    file, syslog, udp = read('[[sinks]]\nname="a"\nkind="file"\n[[sinks]]\nname="b"\nkind="syslog"\n[[sinks]]\nname="c"\nkind="syslog"\ntransport="udp"\naddress="log.example.com:514"')  # fmt: skip
    assert file.options == FileOptions(path=Path("/data/audit.jsonl"))
    assert syslog.options == SyslogOptions(transport=Transport.UNIX, path=Path("/dev/log"))
    assert isinstance(udp.options, SyslogOptions)
    assert udp.options.most == 2048


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('kind="file"', "name is missing"),
        ('name="a"', "kind is not one of file, stdout, stderr, syslog, webhook, otlp"),
        ('name="a"\nkind="kafka"', "kind is not one of"),
        ('name="A b"\nkind="file"', "name has lower case letters"),
        ('name="audit.output"\nkind="file"', "name has lower case letters"),
        ('name="a"\nkind="file"\npaht="x"', "unknown option 'paht' (did you mean path?)"),
        ('name="a"\nkind="file"\nurl="x"', "unknown option 'url'"),
        ('name="a"\nkind="file"\nkeep=-1', "keep: must be between"),
        ('name="a"\nkind="file"\nformat="structured"', "format: is not one of json, cef"),
        ('name="a"\nkind="file"\nfrom_start=1', "from_start: is neither true nor false"),
        ('name="a"\nkind="file"\nfsync="always"', "fsync: is not one of batch, never"),
        ('name="a"\nkind="syslog"\ntransport="tcp"', "address: write HOST:PORT"),
        ('name="a"\nkind="syslog"\ntransport="tcp"\naddress="x:70000"', "address: write HOST:PORT"),
        ('name="a"\nkind="syslog"\naddress="log"', "write the whole path of a socket"),
        ('name="a"\nkind="syslog"\nca="x"', "for the transport tls only"),
        ('name="a"\nkind="syslog"\ntransport="tls"\naddress="h:1"\nkey="x"', "belong together"),
        ('name="a"\nkind="syslog"\nfacility="mail2"', "facility: is no facility"),
        ('name="a"\nkind="syslog"\napp_name="a b"', "app_name: is no word"),
        ('name="a"\nkind="webhook"\nurl="https://x.example"', "secret is missing"),
        ('name="a"\nkind="webhook"\nurl="http://x.example"\nsecret="${S}"', "url: cannot be used: it is not https"),
        ('name="a"\nkind="webhook"\nurl="https://x.example"\nsecret="short"', "secret: is shorter than 16"),
        ('name="a"\nkind="otlp"\nurl="https://x.example"\nheaders={"a b"="c"}', "headers: has a name that is no header name"),
        ('name="a"\nkind="otlp"\nurl="https://x.example"\nheaders={a="c\\nd"}', "headers: has a value"),
        ('name="a"\nkind="otlp"\nurl="https://x.example"\nheaders=1', "headers: is not a table"),
    ],
)  # fmt: skip
def test_what_is_unfit_is_refused_by_name(lines: str, words: str) -> None:
    assert words in refused(f"[[sinks]]\n{lines}")


def test_names_are_unique_and_sinks_are_not_many() -> None:
    one = '[[sinks]]\nname="a"\nkind="file"\n'
    assert "another sink has this name" in refused(one * 2)
    assert "more than" in refused("".join(one.replace('"a"', f'"a{n}"') for n in range(MOST + 1)))
    assert "under [[sinks]]" in refused("sinks = 1")
    assert "under [[sinks]]" in refused("[sinks]\nname = 1")


REFERRING = """
[[sinks]]
name = "hook"
kind = "webhook"
url = "${HOOK_URL}"
secret = "${file:hook.key}"
[[sinks]]
name = "otel"
kind = "otlp"
url = "https://otel.example.com/v1/logs"
headers = { Authorization = "Bearer ${OTEL_KEY}" }
"""


def test_secrets_are_filled_in_from_variables_and_files(tmp_path: Path) -> None:
    (tmp_path / "hook.key").write_text(SECRET + "\n")
    found, _ = read_sinks(tomllib.loads(REFERRING)["sinks"], tmp_path)
    hook, otel = (
        filled(one, sources(HOOK_URL="https://siem.example.com/in", OTEL_KEY="k"), tmp_path) for one in found
    )
    assert isinstance(hook.options, WebhookOptions)
    assert isinstance(otel.options, OtlpOptions)
    assert (hook.options.url.reveal(), hook.options.secret.reveal()) == (
        "https://siem.example.com/in",
        SECRET,
    )
    assert otel.options.headers["Authorization"].reveal() == "Bearer k"


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "sinks: hook: url: the variable HOOK_URL is not set"),
        ({"HOOK_URL": "ftp://canary"}, "sinks: hook: url: cannot be used"),
        ({"HOOK_URL": "https://x.example"}, "hook.key does not exist"),
    ],
)
def test_what_cannot_be_filled_in_is_told_and_not_quoted(
    tmp_path: Path, environment: Mapping[str, str], words: str
) -> None:
    found, _ = read_sinks(tomllib.loads(REFERRING)["sinks"], tmp_path)
    with pytest.raises(ConfigError) as caught:
        filled(found[0], sources(**environment), tmp_path)
    assert words in caught.value.message
    assert "canary" not in caught.value.message


def test_the_settings_show_sinks_with_their_secrets_masked(tmp_path: Path) -> None:
    (tmp_path / "coatcheck.toml").write_text(WHOLE + REFERRING.replace('"hook"', '"hook2"').replace('"otel"', '"otel2"'))  # fmt: skip
    config = load_config({}, {"COATCHECK_DATA": str(tmp_path)})
    shown = {each.name: str(each.value) for each in config.describe() if each.name.startswith("sinks.")}
    assert list(shown) == [f"sinks.{rules.name}" for rules in config.sinks]
    assert SECRET not in str(shown) + repr(config)
    assert shown["sinks.hook"] == "webhook url=*** secret=*** batch=10 timeout=3s"
    assert shown["sinks.hook2"] == "webhook url=${HOOK_URL} secret=${file:hook.key}"
    assert shown["sinks.otel2"] == "otlp url=*** headers=***"
    assert config.sources["sinks"] == f"{tmp_path}/coatcheck.toml line 2"


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "coatcheck.toml").write_text('log_levle = "x"\n[[sinks]]\nkind="file"\n[[sinks]]\nname="b"\nkind="c"\n')  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        load_config({}, {"COATCHECK_DATA": str(tmp_path)})
    lines = caught.value.message.splitlines()
    assert len(lines) == 3
    assert "sinks: table 1: name is missing" in lines[1]
    assert "sinks: b: kind is not one of" in lines[2]
