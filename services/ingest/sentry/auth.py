"""The key of a Sentry client, wherever it shows it: the user part of its DSN, in one of five places."""

import base64
import re
from urllib.parse import urlsplit

from fastapi import Request

from services.ingest.sentry.envelope import dsn_of

_KEY = re.compile(r"\bsentry_key\s*=\s*\"?([^\s,\"]+)", re.IGNORECASE)


def key_of(request: Request) -> str:
    """The first key among the query's `sentry_key`, X-Sentry-Auth and Authorization; empty when there is none.

    Authorization is Sentry's own scheme, `Basic` with the key as user name, or `Bearer`, as all of ours take it.
    """
    if shown := request.query_params.get("sentry_key", "") or request.query_params.get("key", ""):
        return shown
    for header in ("x-sentry-auth", "authorization"):
        value = request.headers.get(header, "")
        if found := _KEY.search(value):
            return found[1]
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return _user(token) if scheme.lower() == "basic" else ""


def key_in_envelope(body: bytes) -> str:
    """The key in the `dsn` of an envelope's headers, which is all that comes through a tunnel."""
    try:
        return urlsplit(dsn_of(body)).username or ""
    except ValueError:
        return ""


def _user(token: str) -> str:
    try:
        return base64.b64decode(token, validate=True).decode().partition(":")[0]
    except ValueError:  # no base64, or none of a text
        return ""
