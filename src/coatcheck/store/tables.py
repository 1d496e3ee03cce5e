"""The tables of the store, in SQLAlchemy Core, with the column types that SQLite and PostgreSQL share.

`record` and `settlement` are append-only: nothing updates or deletes their rows. A settlement is a row of its
own, keyed by the position of the record it belongs to, so that an outcome never rewrites what was recorded.
Their keys, and those of `change`, are the numbers of one chain: none is in two of the tables. They grow with
every row, which keeps an append at the right edge of each tree, whatever the record ids. What an entry says
is in `stored`; the other columns follow from it, and are there to search by.

The tables of the registry (`grant` to `pin`) hold only texts and whole numbers, so that the MAC of a
row can be taken over exactly what the database returns. Times are microseconds since 1970, UTC; lists are
JSON.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    text,
)

from coatcheck.store import parts_of_tables, tables_of_browsers, tables_of_pins, tables_of_policies
from coatcheck.store.columns import Instant, UuidBytes
from coatcheck.store.parts_of_tables import KEY as _KEY
from coatcheck.store.parts_of_tables import chained as _chained
from coatcheck.store.parts_of_tables import count as _count
from coatcheck.store.parts_of_tables import flag as _flag
from coatcheck.store.parts_of_tables import text_column as _text
from coatcheck.store.parts_of_tables import time_column as _time

metadata = parts_of_tables.metadata
policy = tables_of_policies.policy
policy_version = tables_of_policies.policy_version
policy_use = tables_of_policies.policy_use
pin = tables_of_pins.pin
browser_session = tables_of_browsers.browser_session

record = Table(
    "record",
    metadata,
    Column("position", _KEY, primary_key=True, autoincrement=True),
    Column("id", UuidBytes, nullable=False),
    Column("at", Instant, nullable=False),
    _text("subject"),
    _text("grant_id"),
    _text("grant_label"),
    _text("route"),
    _text("server"),
    _text("method"),
    _text("tool"),
    Column("decision", String(16), nullable=False),
    _text("rule"),
    _text("reason"),
    _text("client_ip"),
    _text("client_name"),
    _text("client_version"),
    _text("arguments"),
    Column("repeats", Integer, nullable=False),
    *_chained(),
    sqlite_autoincrement=True,
)
"""One row per `model.record.Record`, in the order in which they became durable."""

settlement = Table(
    "settlement",
    metadata,
    Column("sequence", _KEY, primary_key=True, autoincrement=True),
    Column("position", _KEY, nullable=False, unique=True),
    Column("at", Instant, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("seconds", Float(53), nullable=False),
    _text("detail"),
    *_chained(),
    sqlite_autoincrement=True,
)
"""One row per `model.record.Settlement`. `sequence` is the order of settling, which followers read by.

`position` is no foreign key: a record may be sealed in a file, and gone, while its late outcome is here.
"""

used = Table(
    "used",
    metadata,
    Column("position", _KEY, primary_key=True, autoincrement=False),
    Column("credential", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""Which records were made with which credentials (`core.record_lines.credentials_of`), to search by."""

segment = Table(
    "segment",
    metadata,
    Column("first", _KEY, primary_key=True, autoincrement=False),
    Column("last", _KEY, nullable=False),
    Column("prev", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("entries", _KEY, nullable=False),
    Column("at", Instant, nullable=False),
    _text("file"),
    _text("sha256"),
)
"""One row per `model.segment.Segment`: entries `first` to `last` are in a file, and in no table any more."""

settled_through = Table(
    "settled_through",
    metadata,
    Column("writer", String(64), primary_key=True),
    Column("position", _KEY, nullable=False),
)
"""Every record up to `position` has its settlement: a start looks for records left open only after it."""

chain = Table(
    "chain",
    metadata,
    Column("log", Text, primary_key=True),
    Column("first", _KEY, nullable=False),
    Column("before", _KEY, nullable=False),
    Column("seq", _KEY, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)
"""One row: the name of the chain, where it began (`model.chain.Beginning`) and where it stands.

Whoever adds entries moves it on in the same transaction, from where it thinks that the chain stands: so of
two that write at once, one fails.
"""

checkpoint = Table(
    "checkpoint",
    metadata,
    Column("seq", _KEY, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
    _text("note"),
)
"""One row per `model.chain.Checkpoint`; `note` is the signed text."""

server_id = Table(
    "server_id",
    metadata,
    Column("folded", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("uuid", UuidBytes, nullable=False, unique=True),
    Column("mac", Text),
)
"""The UUID that a server's name got at first sight; `folded` is that name without case.

Grants and an operator's word hold to that UUID, so the row has a MAC, and counts in the whole. Rows from
before there were MACs get theirs when the store gets its key.
"""


grant = Table(
    "grant",
    metadata,
    Column("id", Text, primary_key=True),
    _text("label"),
    _text("subject"),
    Column("servers", Text),
    Column("tools", Text),
    _text("proofs"),
    Column("claim", Text),
    _time("issued_at", nullable=False),
    _text("issued_by"),
    _time("expires_at"),
    _time("revoked_at"),
    _text("revoked_by"),
    _text("because"),
    _text("note"),
    _count("version"),
    _text("mac"),
)
"""One row per `model.grant.IssuedGrant`. `servers` and `tools` are null for all of them."""

subject = Table(
    "subject",
    metadata,
    Column("name", Text, primary_key=True),
    _text("kind"),
    _text("roles"),
    _flag("disabled"),
    _text("because"),
    _text("note"),
    _time("created_at"),
    _count("version"),
    _text("mac"),
)
"""One row per `model.subject.Subject` that operators made or changed."""

server = Table(
    "server",
    metadata,
    Column("id", Text, primary_key=True),
    _text("name"),
    _text("folded"),
    _text("reach"),
    _text("idle"),
    _text("marks"),
    _text("plain"),
    _flag("disabled"),
    _text("because"),
    _time("created_at", nullable=False),
    _text("created_by"),
    _time("ended_at"),
    _text("note"),
    _count("version"),
    _text("mac"),
    Column("upkeep", Text),
    Column("blanks", Text),
    Column("allowing", Text),
)
"""One row per `model.server.StoredServer`; secrets inside `reach` and `blanks` are sealed.

`allowing` has its default, the tools approved and whether it is trusted. It, `upkeep` and `blanks` are null
in rows that were written before there were such columns.
"""

operator = Table(
    "operator",
    metadata,
    Column("name", Text, primary_key=True),
    _text("role"),
    _text("token_id"),
    _text("token_hmac"),
    _text("code_hmac"),
    _time("code_until"),
    _time("expires_at"),
    _time("created_at"),
    _time("ended_at"),
    _count("version"),
    _text("mac"),
    Column("signing_in", Text),
)
"""One row per `model.operator.Operator`.

`signing_in` has its password's hash and when that was set, who vouches for it, when it was invited, and when
it first came by a browser. It is null in rows that were written before there was such a column.
"""

override = Table(
    "override",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    _text("verdict"),
    _text("because"),
    _time("at", nullable=False),
    _text("by"),
    _flag("lifted"),
    _count("version"),
    _text("mac"),
)
"""One row per `model.registry.Override`."""

credential = Table(
    "credential",
    metadata,
    Column("id", Text, primary_key=True),
    _text("name"),
    _text("folded"),
    _text("custody"),
    _text("kind"),
    _text("owner"),
    Column("interval_days", Integer),
    _text("on_refusal"),
    _text("versions"),
    Column("oauth", Text),
    _text("note"),
    _time("created_at", nullable=False),
    _text("created_by"),
    _time("ended_at"),
    _count("version"),
    _text("mac"),
)
"""One row per `model.credential.Credential`; materials in `versions` and a secret in `oauth` are sealed."""

change = Table(
    "change",
    metadata,
    Column("position", _KEY, primary_key=True, autoincrement=True),
    Column("id", UuidBytes, nullable=False, unique=True),
    Column("at", Instant, nullable=False),
    _text("actor"),
    _text("role"),
    _text("origin"),
    _text("action"),
    _text("kind"),
    _text("object_id"),
    _text("object_name"),
    _text("before"),
    _text("after"),
    _text("because"),
    *_chained(),
    sqlite_autoincrement=True,
)
"""One row per `model.change.Change`: append-only, written with the change itself."""

seen = Table(
    "seen",
    metadata,
    Column("grant_id", Text, primary_key=True),
    Column("client", Text, primary_key=True),
    Column("at", Instant, nullable=False),
    _text("address"),
)
"""When a grant was last used, and from where, for each client; a convenience and under no MAC."""

sink_cursor = Table(
    "sink_cursor",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("seq", BigInteger, nullable=False),
)
"""How far each sink has come: it has every record settled, and every change made, up to `seq`."""

whole = Table(
    "whole",
    metadata,
    Column("rows", BigInteger, primary_key=True, autoincrement=False),
    _text("total"),
    _text("mac"),
)
"""One row: how many rows the registry has and the sum of their MACs, so that none vanishes unnoticed."""

sealing_key = Table(
    "sealing_key",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("pepper", Text),
)
"""The id of the key that rows are sealed with, so that another key is named rather than every row refused.

`pepper` is what tokens are proven with, sealed with that key; null until a gateway that knows of it starts.
"""

LIVE_GRANT: Final = "revoked_at IS NULL"
"""The condition of the index that keeps the labels of live grants apart."""

LIVE: Final = "ended_at IS NULL"
"""The same for servers and credentials, whose names are compared without case."""

OF_THE_FILE: Final = "grant_id >= 'file-' AND grant_id < 'file.'"
"""The condition of the index on labels: other grants are found by theirs in the table `grant`."""

NOT_ALLOWED: Final = "decision <> 'allowed'"
"""The condition of the index on refusals; a query must say it in these words to be served by that index."""

NOT_OK: Final = "outcome <> 'ok'"
"""The condition of the index on what ended otherwise than well; to be said in these words as well."""


def _partial(name: str, only: str, *columns: Column[Any], unique: bool = False) -> None:
    Index(name, *columns, unique=unique, sqlite_where=text(only), postgresql_where=text(only))


# Few indexes, since each is paid on every call. They end with the position, so that the newest entries of a
# name are read off in order. Those on `NOT_ALLOWED` and `NOT_OK` cost next to nothing: they hold
# only the exceptions, which is what auditors ask for.
Index(None, record.c.at)
Index(None, record.c.grant_id, record.c.position)
Index(None, record.c.subject, record.c.position)
Index(None, record.c.server, record.c.position)
Index(None, record.c.tool, record.c.position)
Index(None, used.c.credential, used.c.position, used.c.version)
_partial("ix_record_label", OF_THE_FILE, record.c.grant_label, record.c.position)
_partial("ix_record_not_allowed", NOT_ALLOWED, record.c.decision, record.c.position)
_partial("ix_settlement_not_ok", NOT_OK, settlement.c.outcome, settlement.c.position)
_partial("uq_grant_label", LIVE_GRANT, grant.c.label, unique=True)
_partial("uq_server_folded", LIVE, server.c.folded, unique=True)
_partial("uq_credential_folded", LIVE, credential.c.folded, unique=True)
Index(None, change.c.at)
Index(None, change.c.object_id)
Index(None, change.c.object_name)
Index(None, change.c.actor)
