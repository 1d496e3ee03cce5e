"""The protocols between the use cases and the adapters; the composition root binds them."""

from coatcheck.ports.browsers import BrowserStore
from coatcheck.ports.identity import STRANGER, Identified, Identifier, NotMine, Presented, Refused
from coatcheck.ports.machine import Clock, Entropy
from coatcheck.ports.oauth import Authorizer, Bearers
from coatcheck.ports.reading import Reading
from coatcheck.ports.records import ChangeLog, Ledger, Notifier
from coatcheck.ports.registry import RegistryStore, ServerIds
from coatcheck.ports.segments import SegmentFiles, Segments
from coatcheck.ports.sinks import Copies, Sink, SinkCursors, Sinks
from coatcheck.ports.sources import Declarations, SecretSource
from coatcheck.ports.upstream import (
    Ask,
    Client,
    Hop,
    Notify,
    ProbeCall,
    State,
    Upstream,
    Upstreams,
    UpstreamStatus,
    Voice,
)

__all__ = [
    "Ask",
    "Authorizer",
    "Bearers",
    "BrowserStore",
    "ChangeLog",
    "Client",
    "Clock",
    "Copies",
    "Declarations",
    "Entropy",
    "Hop",
    "Identified",
    "Identifier",
    "Ledger",
    "NotMine",
    "Notifier",
    "Notify",
    "Presented",
    "ProbeCall",
    "Reading",
    "Refused",
    "STRANGER",
    "RegistryStore",
    "SecretSource",
    "SegmentFiles",
    "Segments",
    "ServerIds",
    "Sink",
    "SinkCursors",
    "Sinks",
    "State",
    "Upstream",
    "UpstreamStatus",
    "Upstreams",
    "Voice",
]
