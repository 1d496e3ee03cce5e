"""Runs Canaille, a public OAuth and OpenID server, in an environment of its own: `iam.py PORT LIFE`.

Tokens live LIFE seconds. One person is logged in whoever asks, and consents to every client; `/become/NAME`
makes that another one, of `ann` and `bob`, and `/platform/join/NAME` and `/platform/leave/NAME` change who is
in that group. Each token that the server gives is counted: a line on standard output.
"""

from __future__ import annotations

import os
import sys
import uuid
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from canaille import create_app  # type: ignore[import-not-found]
from canaille.backends import Backend  # type: ignore[import-not-found]
from canaille.oidc import provider as oidc_provider  # type: ignore[import-not-found]
from canaille.oidc.models import Token  # type: ignore[import-not-found]
from flask import request  # type: ignore[import-not-found]
from joserfc.jwk import JWKRegistry
from pytest_iam import Server  # type: ignore[import-not-found]

GRANTS = ("authorization_code", "refresh_token", "client_credentials")


class Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_request(self, code: object = "-", size: object = "-") -> None:
        pass


def configuration(port: int, life: int) -> dict[str, Any]:
    key = JWKRegistry.generate_key("RSA", 2048)
    key.ensure_kid()
    quiet = {"version": 1, "handlers": {}, "loggers": {}}
    return {
        "TESTING": True,
        "ENV_FILE": None,
        "SECRET_KEY": str(uuid.uuid4()),
        "WTF_CSRF_ENABLED": False,
        "PREFERRED_URL_SCHEME": "http",
        "SERVER_NAME": f"127.0.0.1:{port}",
        "OAUTH2_TOKEN_EXPIRES_IN": dict.fromkeys(GRANTS, life),
        "CANAILLE": {
            "DATABASE": "memory",
            "JAVASCRIPT": False,
            "ACL": {"DEFAULT": {"PERMISSIONS": ["use_oidc", "manage_oidc"]}},
            "LOGGING": quiet,
        },
        "CANAILLE_OIDC": {
            "DYNAMIC_CLIENT_REGISTRATION_OPEN": True,
            "REQUIRE_NONCE": False,
            "ACTIVE_JWKS": [key.as_dict(private=True)],
        },
    }


def outlive(token: Any) -> bool:
    """Judge a refresh token: good until it is revoked, and not only as long as the access token beside it."""
    return not token.revokation_date


def verified(claims: Any) -> Any:
    """Have the server stand by the addresses that it gives: it never says so itself."""
    return lambda *given: {**claims(*given), "email_verified": True}


def main(port: int, life: int) -> None:
    oidc_provider.generate_user_claims = verified(oidc_provider.generate_user_claims)
    Token.is_refresh_token_active = outlive
    app = create_app(config=configuration(port, life))
    iam = Server(app, 0, Backend.instance)
    iam.httpd.server_close()
    person = iam.random_user()
    iam.login(person)
    people = {
        name: iam.random_user(user_name=name, emails=[f"{name}@example.com"]) for name in ("ann", "bob")
    }
    group = iam.random_group(display_name="platform", members=[person])

    @app.route("/become/<name>")  # type: ignore[untyped-decorator]
    def become(name: str) -> str:
        iam.login(people[name])
        return name

    @app.route("/platform/<verb>/<name>")  # type: ignore[untyped-decorator]
    def change(verb: str, name: str) -> str:
        others = [one for one in group.members if one != people[name]]
        Backend.instance.update(group, members=[*others, people[name]] if verb == "join" else others)
        Backend.instance.save(group)
        return verb

    @app.before_request  # type: ignore[untyped-decorator]
    def consent() -> None:
        if request.path == "/oauth/authorize":
            iam.consent(iam.logged_user)

    @app.after_request  # type: ignore[untyped-decorator]
    def count(response: Any) -> Any:
        if request.path == "/oauth/token":
            print(request.form["grant_type"], response.status_code, flush=True)
        return response

    server = make_server("127.0.0.1", port, app, server_class=Threaded, handler_class=Quiet)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
