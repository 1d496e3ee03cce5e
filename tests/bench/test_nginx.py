"""The plain proxy's configuration, and what is taken for an nginx."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.nginx import asked, configuration

FOLDER = Path("/somewhere/nginx")


def test_the_plain_proxy_keeps_connections_logs_nothing_and_writes_in_its_folder_alone() -> None:
    text = configuration(FOLDER, 8001, 9001, "configure arguments:", root=False)
    for line in (
        "listen 127.0.0.1:8001;",
        "server 127.0.0.1:9001;",
        "proxy_buffering off;",
        "access_log off;",
        "keepalive 128;",
        "worker_processes 1;",
    ):
        assert text.count(line) == 1
    paths = [line.split()[1] for line in text.splitlines() if "_path " in line]
    assert len(paths) == 5
    assert all(path.startswith(f"{FOLDER}/") for path in paths)
    assert "user " not in text


def test_it_names_no_part_that_was_compiled_out_and_a_user_for_root_alone() -> None:
    text = configuration(FOLDER, 1, 2, "--without-http_scgi_module --without-http_uwsgi_module", root=True)
    assert "fastcgi_temp_path" in text
    assert "scgi_temp_path" not in text.replace("fastcgi_temp_path", "")
    assert "uwsgi" not in text
    assert text.startswith("user root root;")


@pytest.mark.parametrize(
    ("script", "version"),
    [
        ("echo 'nginx version: nginx/1.22.1' >&2", "1.22.1"),
        ("echo 'nginx version: openresty/1.25.3.1 (Ubuntu)' >&2", "1.25.3.1"),
        ("echo 'nginx version: nginx/1.22.1' >&2; exit 127", None),
        ("echo 'something else' >&2", None),
    ],
)
def test_an_nginx_is_what_says_so_and_runs(tmp_path: Path, script: str, version: str | None) -> None:
    program = tmp_path / "nginx"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    found = asked(program)
    assert (found.version if found else None) == version
    assert asked(tmp_path / "absent") is None
