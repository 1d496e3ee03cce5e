"""Reads `serverAuth`: who may call, told by tokens or by a trusted proxy."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from coatcheck.declared.reading.addresses import Network, trusted_network_of
from coatcheck.declared.reading.headers import MAX_VALUE, header_value_of, identity_header_of
from coatcheck.declared.reading.jsonc import pointer_to
from coatcheck.declared.reading.place import Place
from coatcheck.declared.reading.problems import Unfit
from coatcheck.model.declaration import ForwardedRules, IdentityRules, Provider
from coatcheck.model.grant import Grant
from coatcheck.model.secret import Secret

KEYS: Final = frozenset({"provider", "providers", "bearer", "forwarded", "acl"})
_ISSUER = "this gateway is no OAuth authorization server; give each caller a token under bearer.tokens"
REFUSED: Final = {"oauthAs": _ISSUER, "oauth_as": _ISSUER}
BEARER_KEYS: Final = frozenset({"tokens"})
HOLDER_KEYS: Final = frozenset({"subject", "roles"})
FORWARDED_KEYS: Final = frozenset({"header", "groups_header", "trusted_proxies", "secret_header", "secret"})

_DIGEST = re.compile(r"sha256:([0-9A-Fa-f]{64})")
_TOKEN = re.compile(r"[\x21-\x7e]+")
_WEAK_TOKEN = 16
_MAX_NAME = 256
_NOBODY: Final = frozenset({"anonymous", "*"})


def read_identity(keys: dict[str, Place], place: Place) -> IdentityRules:
    """Return who vouches for callers. `keys` are the allowed members of `serverAuth` at `place`."""
    providers = _read_providers(keys)
    grants = _read_bearer(keys["bearer"]) if "bearer" in keys else ()
    forwarded = _read_forwarded(keys["forwarded"]) if "forwarded" in keys else ForwardedRules()
    _check_use(keys, place, providers, bool(grants))
    return IdentityRules(providers, grants, forwarded)


def subject_of(text: str) -> str:
    """Return the name of a subject or role.

    Raises:
        Unfit: empty, over 256 characters, with invisible characters, or a name that stands for nobody.
    """
    if not text or text != text.strip() or len(text) > _MAX_NAME or not text.isprintable():
        raise Unfit("a name has 1 to 256 visible characters and no space at its ends")
    if text.casefold() in _NOBODY:
        raise Unfit("the names anonymous and * stand for nobody in particular", "name the caller")
    return text


# --- the chain -----------------------------------------------------------------------------------------


def _read_providers(keys: dict[str, Place]) -> tuple[Provider, ...]:
    if "provider" in keys and "providers" in keys:
        keys["provider"].problem("both provider and providers are given", "keep providers")
        return ()
    if "provider" in keys:
        chosen = _read_provider(keys["provider"])
        return (chosen,) if chosen else ()
    items = keys["providers"].items() or [] if "providers" in keys else []
    chain: list[Provider] = []
    for item in items:
        provider = _read_provider(item)
        if provider in chain:
            item.problem(f"the provider {provider} stands in the list already", "keep one")
        elif provider is not None:
            chain.append(provider)
    return tuple(chain)


def _read_provider(place: Place) -> Provider | None:
    if place.value in ("oauth_as", "oauthAs"):
        place.problem("the provider oauth_as is not supported", _ISSUER)
        return None
    word = place.choice([str(provider) for provider in Provider])
    return Provider(word) if word else None


def _check_use(keys: dict[str, Place], place: Place, chain: tuple[Provider, ...], tokens: bool) -> None:
    named = "provider" in keys or "providers" in keys
    for provider in (Provider.BEARER, Provider.FORWARDED):
        if str(provider) not in keys or provider in chain:
            continue
        if named and chain:
            keys[provider].notice(f"'{provider}' is set aside: it is not among the providers")
        elif provider is Provider.FORWARDED or tokens:
            # Left as it is, everyone would be anonymous while the file looks protected.
            message = f"'{provider}' is configured but no provider uses it, so callers would be anonymous"
            place.problem(message, f'add "providers": ["{provider}"]')


# --- bearer --------------------------------------------------------------------------------------------


def _read_bearer(place: Place) -> tuple[Grant, ...]:
    keys = place.keys(BEARER_KEYS, name_unknown=False) or {}
    members = (keys["tokens"].members() or {}) if "tokens" in keys else {}
    grants: dict[str, Grant] = {}
    for number, (key, member) in enumerate(members.items(), start=1):
        # The key is the token: from here on no pointer may show it.
        place.findings.mask(member.where, pointer_to(keys["tokens"].where, f"#{number}"))
        grant = _read_grant(key, member)
        if grant is None:
            continue
        if grant.id in grants:
            member.problem("this token stands in the list already", "give every caller a token of their own")
        grants[grant.id] = grant
    return tuple(grants.values())


def _read_grant(key: str, place: Place) -> Grant | None:
    digest = _read_token(Place(key, place.where, place.findings, place.expander))
    holder = _read_holder(place)
    if digest is None or holder is None:
        return None
    subject, roles = holder
    name = grant_id_of(digest)
    return Grant(name, name, subject, digest, roles)


def grant_id_of(digest: str) -> str:
    """Return the public id of a token declared in the file: part of the SHA-256 of the token, in hex."""
    return f"file-{digest[:12]}"


def _read_token(place: Place) -> str | None:
    token = place.text()
    if token is None:
        return None
    if digest := _DIGEST.fullmatch(token):
        return digest[1].lower()
    if token.lower().startswith("sha256:"):
        place.problem("the key says sha256: but has no 64 hexadecimal digits after it")
        return None
    if not _TOKEN.fullmatch(token) or len(token) > MAX_VALUE:
        fix = "write the token alone, without 'Bearer' before it"
        place.problem("a token has 1 to 8192 visible ASCII characters and no space", fix)
        return None
    if len(token) < _WEAK_TOKEN or token.lower().startswith(("changeme", "change-me")):
        fix = "make one with: openssl rand -hex 32"
        place.notice("this token is short or an example, so it can be guessed", fix)
    return hashlib.sha256(token.encode()).hexdigest()


def _read_holder(place: Place) -> tuple[str, frozenset[str]] | None:
    if isinstance(place.value, str):
        subject = read_name(place)
        return (subject, frozenset()) if subject is not None else None
    if not isinstance(place.value, dict):
        place.problem("must be the subject as a string, or an object with subject and roles")
        return None
    keys = place.keys(HOLDER_KEYS) or {}
    if "subject" not in keys:
        place.problem("the token has no subject", 'add "subject": "NAME"')
        return None
    subject = read_name(keys["subject"])
    roles = read_names(keys["roles"]) if "roles" in keys else frozenset()
    return (subject, roles) if subject is not None else None


def read_name(place: Place) -> str | None:
    """Return the name of a subject or role, or note why it is none."""
    return place.checked(subject_of)


def read_names(place: Place) -> frozenset[str]:
    """Return a list of names as a set."""
    names = [read_name(item) for item in place.items() or []]
    return frozenset(name for name in names if name is not None)


# --- forwarded -----------------------------------------------------------------------------------------


def _read_forwarded(place: Place) -> ForwardedRules:
    keys = place.keys(FORWARDED_KEYS) or {}
    default = ForwardedRules()
    header = _read_header(keys.get("header"), default.header)
    groups = _read_header(keys.get("groups_header"), default.groups_header)
    proof = _read_header(keys["secret_header"], "") if "secret_header" in keys else None
    if len({header, groups, proof}) < 3:
        place.problem("two of the headers are the same", "user, groups and secret need a header each")
    if ("secret_header" in keys) != ("secret" in keys):
        place.problem("secret_header and secret belong together", "give both or neither")
    trusted = _read_trusted(keys["trusted_proxies"]) if "trusted_proxies" in keys else None
    secret = _read_secret(keys["secret"]) if "secret" in keys else None
    return ForwardedRules(header, groups, trusted, proof, secret)


def _read_header(place: Place | None, default: str) -> str:
    name = place.checked(identity_header_of) if place else None
    return default if name is None else name


def _read_trusted(place: Place) -> tuple[Network, ...]:
    networks = [item.checked(trusted_network_of) for item in place.items() or []]
    return tuple(network for network in networks if network is not None)


def _read_secret(place: Place) -> Secret | None:
    value = place.checked(header_value_of)
    return None if value is None else Secret(value)
