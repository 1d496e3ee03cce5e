"""The verbs in names of tools: which read, which write, and which of those are nouns as often as not.

Left out on purpose: verbs that do either (`check`, `export`, `open`, `resolve`, `validate`, ...). A name with
none but those is ambiguous.
"""

from __future__ import annotations

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


READING: Final = _words(
    """
    browse compare count describe diff discover enumerate explain fetch find get grep inspect list look
    lookup ls peek preview query read retrieve search show view whoami
    """
)

WRITING: Final = _words(
    """
    abort accept ack acknowledge activate add allocate alter amend append apply approve assign attach
    authorize ban bind bootstrap broadcast bump buy cancel chmod chown clean cleanup clear click clone
    complete configure confirm consume cordon cp create deactivate deallocate decline decrement del
    delete demote deploy dequeue deregister destroy detach disable dismiss dispatch downgrade drain drop
    duplicate edit enable enqueue erase escalate eval evaluate exec execute fill finalize finish flush
    follow forget forward halt increment init initialize insert install invoke join kick kill launch
    make merge migrate mint mkdir modify mount mute mv notify overwrite pause pay persist pop prepend
    press promote provision prune publish purge put reactivate reboot rebuild recreate redeem redo
    register reindex reject reload remember remove rename reopen replace reschedule reserve reset resize
    restart restore resume revert revoke rewrite rm rmdir rollback rotate save sell send set setup
    shutdown silence snooze spawn submit subscribe suspend symlink synchronize taint tap terminate
    toggle trim truncate unarchive unassign unban unbind unblock uncordon undelete undeploy undo
    unfollow uninstall unlink unlock unmount unmute unpin unpublish unregister unset unshare unstar
    unsubscribe untag unwatch update upsert wipe withdraw write
    """
)

NOUNS_TOO: Final = _words(
    """
    alert archive backup bid block book branch build call change charge checkout claim close comment
    commit copy deposit draft drag email end flag fork grant import index invite label leave like link
    lock mark message move order patch pin post pull purchase push queue rate react rebase record
    refresh refund release reply report review run scale schedule share sign squash stake star start
    stash stop store swap switch sync tag trade train transfer trigger type upgrade upload vote
    """
)
"""Verbs that write, and nouns: after a verb that reads they are taken for the noun, as in `get_commit`."""

PHRASES: Final = frozenset(
    f"{verb} {noun}{plural}"
    for verb, noun in (
        ("change", "request"),
        ("merge", "conflict"),
        ("merge", "request"),
        ("pull", "request"),
    )
    for plural in ("", "s")
)
"""Two words that are one noun wherever they stand."""

JOINING: Final = frozenset({"and", "or", "then", "plus"})
"""After one of these, a word is taken for a verb if it can be one."""
