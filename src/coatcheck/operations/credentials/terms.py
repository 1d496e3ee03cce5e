"""Terms of OAuth credentials, judged before anything is made of them, wherever they were given."""

from __future__ import annotations

import re
from typing import Final

from coatcheck.errors import Unfit
from coatcheck.model.credential import OauthTerms

GRANT_TYPES: Final = ("authorization_code", "client_credentials")
MAX_SCOPES: Final = 100
_URL: Final = re.compile(r"https?://[!-~]{1,2040}")
_CLIENT_ID: Final = re.compile(r"[ -~]{0,2048}")
_SCOPE: Final = re.compile(r"[!#-\[\]-~]{1,256}")


def checked(terms: OauthTerms) -> OauthTerms:
    """Return terms by which tokens can be asked for.

    Raises:
        Unfit: they cannot be; the field is told as in a body of the API.
    """
    if terms.grant_type not in GRANT_TYPES:
        fix = f"choose {' or '.join(GRANT_TYPES)}"
        raise Unfit("there is no such way to get tokens", fix=fix, field="oauth.grant_type")
    if not _URL.fullmatch(terms.resource):
        raise _no_url("the server that tokens are for", "oauth.resource")
    if terms.issuer and not _URL.fullmatch(terms.issuer):
        raise _no_url("the authorization server", "oauth.issuer")
    if not _CLIENT_ID.fullmatch(terms.client_id):
        raise Unfit("a client id has at most 2,048 visible ASCII characters", field="oauth.client_id")
    if terms.grant_type == "client_credentials" and not (terms.client_id and terms.client_secret):
        words = "client credentials are an id and a secret"
        raise Unfit(words, fix="give both, or let a person connect it", field="oauth.client_id")
    if len(terms.scopes) > MAX_SCOPES or not all(_SCOPE.fullmatch(scope) for scope in terms.scopes):
        words = f"scopes are at most {MAX_SCOPES} words of visible ASCII, without quotes and backslashes"
        raise Unfit(words, field="oauth.scopes")
    return terms


def _no_url(what: str, field: str) -> Unfit:
    return Unfit(f"{what} is named by its URL", fix="write it from https:// on", field=field)
