"""Runs Canaille, a public OAuth and OpenID server, in an environment of its own: `iam.py PORT LIFE`.

Tokens live LIFE seconds. One person is logged in whoever asks, and consents to every client. Each token that
the server gives is counted: a line on standard output.
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


def main(port: int, life: int) -> None:
    Token.is_refresh_token_active = outlive
    app = create_app(config=configuration(port, life))
    iam = Server(app, 0, Backend.instance)
    iam.httpd.server_close()
    person = iam.random_user()
    iam.login(person)

    @app.before_request  # type: ignore[untyped-decorator]
    def consent() -> None:
        if request.path == "/oauth/authorize":
            iam.consent(person)

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
