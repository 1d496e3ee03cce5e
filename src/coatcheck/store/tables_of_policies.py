"""The tables of policies, of the versions they had, and of what they are used on."""

from __future__ import annotations

from sqlalchemy import Column, Integer, Table, Text

from coatcheck.store.parts_of_tables import count, metadata, text_column, time_column

policy = Table(
    "policy",
    metadata,
    Column("name", Text, primary_key=True),
    text_column("document"),
    time_column("at", nullable=False),
    text_column("by"),
    text_column("because"),
    time_column("ended_at"),
    count("version"),
    text_column("mac"),
)
"""One row per `model.stored_policy.StoredPolicy`; `document` is its canonical JSON."""

policy_version = Table(
    "policy_version",
    metadata,
    Column("name", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    text_column("document"),
    time_column("at", nullable=False),
    text_column("by"),
    text_column("because"),
    count("version"),
    text_column("mac"),
)
"""One row per `model.stored_policy.PolicyVersion`: written once, never changed."""

policy_use = Table(
    "policy_use",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("of", Text, primary_key=True),
    Column("server", Text, primary_key=True),
    Column("policy", Text, primary_key=True),
    time_column("at", nullable=False),
    text_column("by"),
    text_column("because"),
    time_column("ended_at"),
    count("version"),
    text_column("mac"),
)
"""One row per `model.stored_policy.PolicyUse`; `server` is empty where the use is on no single one."""
