"""Composition of sinks: from declarations to what copies are delivered to."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from coatcheck.admin.resources.sinks import sink_shape
from coatcheck.app.upstreams import egress_of
from coatcheck.audit.file import FileSink
from coatcheck.audit.following import Following
from coatcheck.audit.posting import OtlpSink, Post, WebhookSink
from coatcheck.audit.stream import StreamSink, Write
from coatcheck.audit.syslog import SyslogSink
from coatcheck.config import Config
from coatcheck.core.copies.cef import cef_of
from coatcheck.core.copies.lines import json_copy
from coatcheck.core.copies.syslog import Sender
from coatcheck.core.oauth import is_loopback_url
from coatcheck.declared.reading.expand import Sources
from coatcheck.declared.sinks.filling import filled
from coatcheck.errors import CoatcheckError
from coatcheck.model.declaration import AuditRules, Output
from coatcheck.model.secret import Secret
from coatcheck.model.sink import (
    FileOptions,
    Format,
    OtlpOptions,
    SinkKind,
    SinkRules,
    SinkStatus,
    StreamOptions,
    SyslogOptions,
    WebhookOptions,
)
from coatcheck.operations.cutting import Gone
from coatcheck.operations.directory import Snapshot
from coatcheck.ports import Clock, Sink
from coatcheck.secrets.env import EnvSource
from coatcheck.secrets.file import FileSource
from coatcheck.upstream.http.hop.reading import ReplyLimits
from coatcheck.upstream.oauth.fetching import JSON, Fetching, FetchLimits

OUTPUT: Final = "audit.output"
"""The name of the sink that `audit.output` of the servers file asks for; no other can have a full stop."""
_ANSWER: Final = ReplyLimits(head=64 * 1024, body=64 * 1024)
_KINDS: Final = {Output.STDOUT: SinkKind.STDOUT, Output.STDERR: SinkKind.STDERR}

log = logging.getLogger(__name__)


def sinks_of(config: Config, environment: Mapping[str, str]) -> list[SinkRules]:
    """Return the sinks of the settings, with their secrets filled in.

    Raises:
        ConfigError: a secret cannot be had.
    """
    sources = Sources(EnvSource(environment), FileSource())
    return [filled(rules, sources, config.data) for rules in config.sinks]


def output_of(audit: AuditRules) -> list[SinkRules]:
    """Return the sink that `audit.output` of the servers file asks for, if any."""
    output = _output(audit.output)
    return [] if output is None else [output]


def sink_of(rules: SinkRules, config: Config, clock: Clock) -> Sink:
    """Return the sink that was declared. Nothing is reached or opened yet."""
    options = rules.options
    match options:
        case FileOptions():
            return FileSink(options, clock, _writer(options.format))
        case StreamOptions():
            stream = sys.stdout if rules.kind is SinkKind.STDOUT else sys.stderr
            return StreamSink(stream.fileno(), _writer(options.format))
        case SyslogOptions():
            return SyslogSink(
                options, Sender(options.facility, socket.gethostname(), options.app_name, os.getpid())
            )
        case WebhookOptions():
            post = _post_to(options.url, options.timeout, config)
            return WebhookSink(rules.name, post, options.secret, clock)
        case OtlpOptions():
            post = _post_to(options.url, options.timeout, config)
            return OtlpSink(post, options.headers, clock, socket.gethostname())


class OutputFollowing:
    """Follows `audit.output`, which can change while the gateway runs. `last` is the newest place settled."""

    def __init__(self, sinks: Following, audit: AuditRules, last: Callable[[], int]) -> None:
        self._sinks = sinks
        self._last = last
        self._output: Output | None = audit.output
        self._changes: set[asyncio.Task[None]] = set()

    def follow(self, snapshot: Snapshot, gone: Gone) -> None:  # noqa: ARG002 - the shape of a subscriber
        """Write to what the snapshot asks for, from now on."""
        if snapshot.audit.output is self._output:
            return
        self._output = snapshot.audit.output
        task = asyncio.create_task(self._change(snapshot.audit.output, self._last()))
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)

    async def _change(self, output: Output, start: int) -> None:
        try:
            await self._sinks.change(OUTPUT, _output(output), start)
        except CoatcheckError as error:
            log.warning("the record is not copied to %s: %s", output.value, error.message)
            self._output = None  # the next edit of the file tries again


def shown(status: SinkStatus) -> dict[str, Any]:
    """Return how a sink does, as plain JSON values."""
    told: dict[str, Any] = msgspec.to_builtins(sink_shape(status, {}))
    del told["options"]
    return told


def _output(output: Output) -> SinkRules | None:
    kind = _KINDS.get(output)
    return None if kind is None else SinkRules(OUTPUT, kind, StreamOptions())


def _writer(form: Format) -> Write:
    return cef_of if form is Format.CEF else json_copy


def _post_to(url: Secret, seconds: float, config: Config) -> Post:
    """Return what posts to an address, dialled by the rules that hold for servers.

    This machine may be dialled wherever we listen ourselves, if the settings name it: no operator can.
    """
    limits = FetchLimits(seconds=seconds, reply=_ANSWER)
    egress = replace(egress_of(config), loopback=True)
    fetching = Fetching(egress, limits, loopback=is_loopback_url(url.reveal()))

    async def post(body: bytes, headers: Mapping[str, Secret]) -> tuple[int, bytes]:
        received = await fetching.post(
            "the receiver", url.reveal(), JSON, Secret(body.decode()), more=headers
        )
        return received.status, received.body

    return post
