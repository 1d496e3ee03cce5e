"""The composition root: the only place that makes adapters, clocks and randomness and ties them together."""

from __future__ import annotations

from coatcheck.app.keeping.accepting import accept_damage
from coatcheck.app.keeping.offline import read_changes, read_records
from coatcheck.app.local import local_gateway
from coatcheck.app.pipes import serve_stdio
from coatcheck.app.run import serve

__all__ = ["accept_damage", "local_gateway", "read_changes", "read_records", "serve", "serve_stdio"]
