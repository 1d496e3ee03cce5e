"""The table of the tools of servers as they were accepted."""

from __future__ import annotations

from sqlalchemy import Column, Table, Text

from coatcheck.store.parts_of_tables import count, flag, metadata, text_column, time_column

pin = Table(
    "pin",
    metadata,
    Column("server", Text, primary_key=True),
    Column("tool", Text, primary_key=True),
    text_column("accepted"),
    text_column("accepted_digest"),
    flag("is_new"),
    Column("pending", Text),
    Column("pending_digest", Text),
    time_column("since"),
    time_column("at", nullable=False),
    text_column("by"),
    text_column("because"),
    time_column("ended_at"),
    count("version"),
    text_column("mac"),
)
"""One row per `model.pin.Pin`; `accepted` and `pending` are canonical JSON, empty where it is too long."""
