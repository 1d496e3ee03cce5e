"""Read, write or ambiguous: the operator's word first, then the server's, then the verbs of the name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.core.access import classify as module
from coatcheck.core.access.classify import nature_of_tool, nature_of_unlisted
from coatcheck.core.access.verbs import JOINING, NOUNS_TOO, PHRASES, READING, WRITING
from coatcheck.model.access import Nature
from coatcheck.model.server import AccessMarks

READ, WRITE, AMBIGUOUS = Nature.READ, Nature.WRITE, Nature.AMBIGUOUS
NO_MARKS = AccessMarks()
BRIEF = settings(max_examples=100, deadline=None)


def words(text: str) -> list[str]:
    return text.split()


def by_name(name: str) -> Nature:
    return nature_of_tool(name, None, NO_MARKS)[0]


def hinted(**hints: Any) -> bytes:
    return json.dumps(hints).encode()


# --- names of tools that public servers have -----------------------------------------------------------------

READS = words(
    """
    get_current_time fetch read_file read_text_file read_media_file read_multiple_files list_directory
    list_directory_with_sizes search_files get_file_info list_allowed_directories read_graph search_nodes
    git_diff_unstaged git_diff git_show get_commit get_file_contents get_label get_latest_release get_me
    get_release_by_tag get_tag get_team_members issue_read list_branches list_commits list_issue_types list_issues
    list_pull_requests list_releases list_tags pull_request_read search_code search_issues search_pull_requests
    search_users list_workflow_runs get_job_logs list_code_scanning_alerts get_merge_request list_merge_requests
    get_merge_request_diffs slack_list_channels slack_get_channel_history API-get-users API-get-block-children
    notion-search notion-fetch brave_web_search tavily-search get-library-docs query-docs query query_prometheus
    get_dashboard_by_uid list_loki_label_names find_slow_requests maps_search_places describe_table get_alert_group
    jira_get_issue confluence_search projects_list projects_get whoami kubectl_get kubectl_describe explain_plan
    list_deleted_items get_created_at get_address list_settings get_post get_branch lookup_user lookUpUser
    get_start_date find_order list_or_search read_and_list getUserInfo getHTTPResponse gh_pullRequest-list
    sentry.issues.list FindAll LIST_USERS ListUsers list2 s3_list get_v2
    """
)

WRITES = words(
    """
    write_file edit_file create_directory move_file create_entities add_observations delete_relations git_add
    git_commit git_reset git_create_branch git_checkout add_comment_to_pending_review add_issue_comment
    assign_copilot_to_issue create_or_update_file delete_file fork_repository issue_write merge_pull_request
    pull_request_review_write push_files request_copilot_review sub_issue_write update_pull_request run_workflow
    cancel_workflow_run star_repository mark_all_notifications_read dismiss_notification slack_post_message
    slack_add_reaction API-patch-page API-post-page notion-create-pages notion-move-pages execute_sql
    execute_sql_read_only update_dashboard delete_page send_message browser_click browser_type browser_fill_form
    browser_evaluate kubectl_apply kubectl_delete kubectl_scale exec_in_pod merge_merge_request approve_merge_request
    trigger-long-running-operation toggle-simulated-logging set_config setConfig PutObject upload_file
    subscribe_topic unsubscribe archive_channel call_number transfer_funds resetPassword restart_server
    """
)

UNTOLD = words(
    """
    echo convert_time sequentialthinking directory_tree open_nodes git_status git_log resolve-library-id maps_geocode
    firecrawl_scrape browser_navigate browser_take_snapshot export_data check_status validate_schema verify_identity
    manage_notification_subscription download_file open_position http_request merge_request pull_request status
    forecast translate summarize x __ _ 42 a.b
    """
)

TRICKS = {
    "get_and_delete_user": WRITE,
    "getAndDelete": WRITE,
    "get-or-create": WRITE,
    "fetch_or_create": WRITE,
    "fetchOrCreate": WRITE,
    "readWrite": WRITE,
    "read_write_file": WRITE,
    "ReadThenWrite": WRITE,
    "list_create": WRITE,
    "create_list": WRITE,
    "search_replace": WRITE,
    "find_and_replace": WRITE,
    "fetch_merge": WRITE,
    "get_delete_x": WRITE,
    "get.delete": WRITE,
    "get/delete": WRITE,
    "get delete": WRITE,
    "get:delete": WRITE,
    "get2delete": WRITE,
    "getDELETE": WRITE,
    "get_dElete": WRITE,
    "GET_DELETE": WRITE,
    "__delete__get__": WRITE,
    "get\u200b_delete": WRITE,
    "get\uff3fdelete": WRITE,  # a full-width low line
    "get_\uff44\uff45\uff4c\uff45\uff54\uff45": WRITE,  # full-width letters
    "get_\u017fend": WRITE,  # a long s
    "get_and_commit": WRITE,
    "get_or_post": WRITE,
    "search_then_run": WRITE,
    "query_and_run": WRITE,
    "fetchAndStore": WRITE,
    "post_get": WRITE,  # leads, so it is the verb
    "commit_list": WRITE,
    "unset_x": WRITE,
    "undelete_list": WRITE,
    "set_read_only": WRITE,
    "mark_as_read": WRITE,
    "get_merge_request_and_merge": WRITE,
    "list_pull_requests_and_merge": WRITE,
    "get_and_frobnicate": AMBIGUOUS,
    "getOrFrobnicate": AMBIGUOUS,
    "get_and_merge_request": AMBIGUOUS,  # not the noun, perhaps
    "get_d\u0435lete": AMBIGUOUS,  # a Cyrillic letter
    "g\u0435t_x": AMBIGUOUS,
    "get_de\u200blete": AMBIGUOUS,
    "get_gr\u00f6\u00dfe": AMBIGUOUS,
    "\u83b7\u53d6_get": AMBIGUOUS,
    "getset": AMBIGUOUS,
    "readwrite": AMBIGUOUS,
    "deleteuser": AMBIGUOUS,
    "gEt_dElEtE_x": WRITE,
    "": AMBIGUOUS,
    "get_deleted": READ,
    "list_updates": READ,
    "\uff47\uff45\uff54_x": READ,
}


@pytest.mark.parametrize("name", READS)
def test_names_that_read(name: str) -> None:
    assert nature_of_tool(name, None, NO_MARKS)[0] is READ


@pytest.mark.parametrize("name", WRITES)
def test_names_that_write(name: str) -> None:
    assert nature_of_tool(name, None, NO_MARKS)[0] is WRITE


@pytest.mark.parametrize("name", UNTOLD)
def test_names_that_do_not_tell(name: str) -> None:
    assert nature_of_tool(name, None, NO_MARKS) == (AMBIGUOUS, "the name has no verb that tells")


@pytest.mark.parametrize(("name", "nature"), TRICKS.items())
def test_names_that_try_to_look_harmless(name: str, nature: Nature) -> None:
    assert by_name(name) is nature


STYLES = st.sampled_from(("_", "-", ".", "/", " ", "__", "camel", "Pascal"))
NEUTRAL = st.sampled_from(("issue", "user", "x", "wiki", "zone", "s3"))


def joined(words: list[str], style: str) -> str:
    if style in {"camel", "Pascal"}:
        name = "".join(word.capitalize() for word in words)
        return name if style == "Pascal" else name[:1].lower() + name[1:]
    return style.join(words)


@BRIEF
@given(
    st.lists(st.sampled_from(sorted(READING)) | NEUTRAL, max_size=3),
    st.sampled_from(sorted(WRITING)),
    st.lists(st.sampled_from(sorted(READING | NOUNS_TOO | JOINING)) | NEUTRAL, max_size=3),
    STYLES,
)
def test_a_verb_that_writes_outweighs_all_that_read(
    before: list[str], verb: str, after: list[str], style: str
) -> None:
    assert by_name(joined([*before, verb, *after], style)) is WRITE


@BRIEF
@given(st.lists(NEUTRAL, max_size=2), st.sampled_from(sorted(READING)), st.lists(NEUTRAL, max_size=3), STYLES)
def test_a_verb_that_reads_alone_reads(before: list[str], verb: str, after: list[str], style: str) -> None:
    assert by_name(joined([*before, verb, *after], style)) is READ


@BRIEF
@given(st.sampled_from(sorted(NOUNS_TOO)), st.sampled_from(sorted(READING)), st.sampled_from(sorted(JOINING)))
def test_a_word_that_is_also_a_noun_is_one_after_a_verb_that_reads(
    noun: str, verb: str, joining: str
) -> None:
    assert by_name(f"{verb}_{noun}") is READ
    assert by_name(f"{verb}_{joining}_{noun}") is WRITE
    assert by_name(f"{noun}_x") is WRITE
    assert by_name(f"app_{noun}") is WRITE


@BRIEF
@given(st.text(max_size=40))
def test_any_name_has_a_verdict_and_a_reason(name: str) -> None:
    nature, why = nature_of_tool(name, None, NO_MARKS)
    assert why
    assert nature is not READ or any(verb in name.casefold() for verb in READING) or not name.isascii()


def test_the_tables_do_not_contradict_each_other() -> None:
    assert READING.isdisjoint(WRITING | NOUNS_TOO)
    assert WRITING.isdisjoint(NOUNS_TOO)
    assert all(word.isascii() and word.islower() for word in READING | WRITING | NOUNS_TOO | JOINING)
    assert {"get", "list", "search", "find", "query", "read", "describe", "fetch"} <= READING
    assert {"create", "update", "delete", "set", "send", "write", "execute", "merge"} <= WRITING
    assert all(len(phrase.split()) == 2 for phrase in PHRASES)


# --- the server's word ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "annotations", "nature"),
    [
        ("echo", hinted(destructiveHint=True), WRITE),
        ("get_x", hinted(destructiveHint=True), WRITE),
        ("get_x", hinted(destructiveHint=True, readOnlyHint=True), WRITE),
        ("get_x", hinted(readOnlyHint=True), READ),
        ("echo", hinted(readOnlyHint=True), AMBIGUOUS),
        ("get_and_frobnicate", hinted(readOnlyHint=True), AMBIGUOUS),
        ("delete_x", hinted(readOnlyHint=True), WRITE),
        ("delete_x", hinted(readOnlyHint=True, destructiveHint=False), WRITE),
        ("get_x", hinted(readOnlyHint=False), READ),
        ("get_x", hinted(readOnlyHint=False, destructiveHint=False), READ),
        ("echo", hinted(readOnlyHint=False), AMBIGUOUS),
        ("create_x", hinted(destructiveHint=False, idempotentHint=True, openWorldHint=True), WRITE),
        ("get_x", b'{ "destructiveHint" : true , "title": "x" }', WRITE),
        ("get_x", b'{"destructiveHint":"true"}', READ),
        ("get_x", b'{"destructiveHint":1}', READ),
        ("echo", b'{"readOnlyHint":"true"}', AMBIGUOUS),
        ("get_x", b"{}", READ),
        ("get_x", b"null", READ),
        ("get_x", b"[true]", READ),
        ("get_x", b'{"destructiveHint":', READ),
        ("get_x", b"", READ),
    ],
)
def test_hints(name: str, annotations: bytes, nature: Nature) -> None:
    assert nature_of_tool(name, annotations, NO_MARKS)[0] is nature


@pytest.mark.parametrize("name", ["echo", "get_x", "delete_x", "d\u0435lete"])
def test_a_trusted_server_is_believed_that_a_tool_reads(name: str) -> None:
    assert nature_of_tool(name, hinted(readOnlyHint=True), NO_MARKS, trusted=True)[0] is READ
    both = hinted(readOnlyHint=True, destructiveHint=True)
    assert nature_of_tool(name, both, NO_MARKS, trusted=True)[0] is WRITE
    assert nature_of_tool(name, None, NO_MARKS, trusted=True)[0] is by_name(name)


@BRIEF
@given(
    st.text(max_size=20),
    st.fixed_dictionaries({}, optional={"readOnlyHint": st.booleans(), "title": st.text()}),
)
def test_hints_of_a_server_that_is_not_trusted_make_no_tool_read(name: str, hints: dict[str, Any]) -> None:
    assert nature_of_tool(name, hinted(**hints), NO_MARKS)[0] is by_name(name)


# --- the operator's word -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("marks", "name", "nature"),
    [
        (AccessMarks(read=("delete_x",)), "delete_x", READ),
        (AccessMarks(write=("get_x",)), "get_x", WRITE),
        (AccessMarks(read=("get_*",), write=("*_x",)), "get_x", WRITE),
        (AccessMarks(read=("*",), write=("*",)), "get_x", WRITE),
        (AccessMarks(read=("get_*",), write=("*_x",)), "get_y", READ),
        (AccessMarks(read=("echo",)), "Echo", AMBIGUOUS),
        (AccessMarks(read=("other", "e*o")), "echo", READ),
        (AccessMarks(read=("e",)), "echo", AMBIGUOUS),
    ],
)
def test_marks(marks: AccessMarks, name: str, nature: Nature) -> None:
    assert nature_of_tool(name, None, marks)[0] is nature


MARKS = st.builds(
    AccessMarks,
    st.lists(st.sampled_from(("get_x", "*", "g*")), max_size=2).map(tuple),
    st.lists(st.sampled_from(("get_x", "*x", "none")), max_size=2).map(tuple),
)


@BRIEF
@given(MARKS, st.booleans(), st.booleans(), st.booleans())
def test_marks_come_before_hints_and_name(
    marks: AccessMarks, destructive: bool, read_only: bool, trusted: bool
) -> None:
    annotations = hinted(destructiveHint=destructive, readOnlyHint=read_only)
    alone = nature_of_unlisted("get_x", marks)
    told = nature_of_tool("get_x", annotations, marks, trusted=trusted)
    assert (told == alone) == bool(marks.read or {"get_x", "*x"} & set(marks.write))
    if alone[0] is AMBIGUOUS:
        assert told == nature_of_tool("get_x", annotations, NO_MARKS, trusted=trusted)


@pytest.mark.parametrize("name", ["get_x", "delete_x", "echo"])
def test_of_a_tool_that_no_list_has_only_marks_tell(name: str) -> None:
    assert nature_of_unlisted(name, NO_MARKS) == (AMBIGUOUS, "no list of the server has it")
    assert nature_of_unlisted(name, AccessMarks(read=("*",)))[0] is READ
    assert nature_of_unlisted(name, AccessMarks(("*",), ("*",)))[0] is WRITE


# --- reasons and cost ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "annotations", "marks", "trusted", "why"),
    [
        ("get_x", None, AccessMarks(write=("a", "*_x")), False, "tool_acl.write has *_x"),
        ("get_x", None, AccessMarks(read=("get_*",)), False, "tool_acl.read has get_*"),
        ("get_x", hinted(destructiveHint=True), NO_MARKS, False, "the server says destructiveHint"),
        ("x", hinted(readOnlyHint=True), NO_MARKS, True, "the server says readOnlyHint and is trusted"),
        ("get_x", hinted(readOnlyHint=True), NO_MARKS, False, "the server says readOnlyHint, and the name has the verb get"),
        ("x", hinted(readOnlyHint=True), NO_MARKS, False, "the server says readOnlyHint, but the name has no verb that tells"),
        ("set_x", hinted(readOnlyHint=True), NO_MARKS, False, "the server says readOnlyHint, but the name has the verb set"),
        ("get_x", None, NO_MARKS, False, "the name has the verb get"),
        ("get_set", None, NO_MARKS, False, "the name has the verb set"),
    ],
)  # fmt: skip
def test_reasons(name: str, annotations: bytes | None, marks: AccessMarks, trusted: bool, why: str) -> None:
    assert nature_of_tool(name, annotations, marks, trusted=trusted)[1] == why


def test_what_was_judged_is_remembered_within_bounds() -> None:
    module._remembered.cache_clear()
    for _ in range(3):
        nature_of_tool("get_x", hinted(readOnlyHint=True), NO_MARKS)
    assert (module._remembered.cache_info().misses, module._remembered.cache_info().hits) == (1, 2)
    large = hinted(readOnlyHint=True, title="x" * 5000)
    assert nature_of_tool("get_x", large, NO_MARKS)[0] is READ
    for number in range(5000):
        nature_of_tool(f"get_{number}", None, NO_MARKS)
    assert module._remembered.cache_info().currsize == 4096
