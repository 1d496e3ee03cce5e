"""The table of the browsers that somebody is signed in at."""

from __future__ import annotations

from sqlalchemy import Column, Table, Text

from coatcheck.store.parts_of_tables import metadata, text_column, time_column

browser_session = Table(
    "browser_session",
    metadata,
    Column("id", Text, primary_key=True),
    text_column("whose"),
    text_column("who"),
    text_column("how"),
    text_column("by"),
    text_column("proof"),
    time_column("created_at", nullable=False),
    time_column("until", nullable=False),
    time_column("seen_at", nullable=False),
    time_column("verified_at", nullable=False),
    text_column("address"),
    text_column("agent"),
)
"""One row per `model.browser.BrowserSession` that is not over. `proof` stands for a MAC: see there."""
