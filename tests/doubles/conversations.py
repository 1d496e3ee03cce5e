"""Conversations that follow a script: what they were told, and the voice they speak with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from coatcheck.model.call import Caller, Notice
from coatcheck.model.grant import Principal
from coatcheck.model.server import Server
from coatcheck.ports import Voice


@dataclass
class ScriptedConversation:
    """Stands for `operations.conversation.Conversation` where only a surface is tested.

    While `held`, closing and relaying go on for ever.
    """

    voice: Voice
    caller: Caller
    principal: Principal
    server: Server | None = None
    attended: list[bool] = field(default_factory=list)
    relayed: list[Notice] = field(default_factory=list)
    closed: int = 0
    killed: int = 0
    held: bool = False

    def attend(self, wanted: bool) -> None:
        """Keep what was said."""
        self.attended.append(wanted)

    async def relay(self, notice: Notice) -> None:
        """Keep a notification."""
        if self.held:
            await asyncio.Event().wait()
        self.relayed.append(notice)

    def kill(self) -> None:
        """Count that its children are ended at once."""
        self.killed += 1

    async def close(self) -> None:
        """Count the end."""
        if self.held:
            await asyncio.Event().wait()
        self.closed += 1


def scripted(voice: Voice, caller: Caller, principal: Principal, server: Server | None) -> Any:
    """Begin a conversation (`sessions.OpenConversation`)."""
    return ScriptedConversation(voice, caller, principal, server)
