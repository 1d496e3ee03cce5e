"""The protocols between the use cases and the adapters; the composition root binds them."""

from coatcheck.ports.identity import Identified, Identifier, NotMine, Presented, Refused
from coatcheck.ports.machine import Clock, Entropy
from coatcheck.ports.oauth import Authorizer, Bearers
from coatcheck.ports.records import Ledger, Notifier, Sink
from coatcheck.ports.registry import RegistryStore, ServerIds
from coatcheck.ports.sources import Declarations, SecretSource
from coatcheck.ports.upstream import (
    Ask,
    Client,
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
    "Client",
    "Clock",
    "Declarations",
    "Entropy",
    "Identified",
    "Identifier",
    "Ledger",
    "NotMine",
    "Notifier",
    "Notify",
    "Presented",
    "ProbeCall",
    "Refused",
    "RegistryStore",
    "SecretSource",
    "ServerIds",
    "Sink",
    "State",
    "Upstream",
    "UpstreamStatus",
    "Upstreams",
    "Voice",
]
