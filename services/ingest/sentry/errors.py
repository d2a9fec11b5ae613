"""Sentry's error events become ours (develop.sentry.dev, "Event Payloads").

Sentry puts the innermost frame, the newest breadcrumb and the reported exception last; our frames and causes are the
other way round.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from services.ingest.sentry import lenient
from services.ingest.sentry.agent import device_of
from services.ingest.sentry.lenient import mapping, mappings, sequence, text
from shared.contracts.events import Breadcrumb, Cause, Error, Frame, Level

_FRAMES_MAX = 100  # the innermost ones; SDKs cut at 50 to 100 themselves
_CAUSES_MAX = 8
_BREADCRUMBS_MAX = 100
_CONTEXTS_MAX = 64
_FINGERPRINT_MAX = 16
_CONTEXT_LINES_MAX = 10  # on either side; SDKs send 5 to 7
_LEVELS: dict[str, Level] = {
    "debug": "debug",
    "info": "info",
    "log": "info",
    "warning": "warning",
    "warn": "warning",
    "error": "error",
    "fatal": "fatal",
    "critical": "fatal",
}
_DEFAULT = ("{{ default }}", "{{default}}")
#: What the exception's type is said to be where somebody reported a message, and no exception.
MESSAGE = "Message"


class Payload(Struct):
    """What is read of an event or transaction; the rest, such as the list of modules, is skipped unread."""

    event_id: Any = None
    timestamp: Any = None
    start_timestamp: Any = None
    level: Any = None
    message: Any = None
    logentry: Any = None
    exception: Any = None
    threads: Any = None
    stacktrace: Any = None
    transaction: Any = None
    server_name: Any = None
    release: Any = None
    environment: Any = None
    tags: Any = None
    user: Any = None
    request: Any = None
    contexts: Any = None
    extra: Any = None
    breadcrumbs: Any = None
    fingerprint: Any = None
    sdk: Any = None
    measurements: Any = None


PAYLOAD = msgspec.json.Decoder(Payload)


def error_of(event: Payload, *, id: str | None, user_agent: str) -> Error:
    """The error that an event reports; `user_agent` is the request's, for events that have none of their own."""
    exceptions = [item for item in mappings(event.exception) if item.get("type") or item.get("value")]
    reported = exceptions[-1] if exceptions else {}
    exception_type = text(reported.get("type"), 200) or MESSAGE
    message = text(reported.get("value")) or _message(event)
    frames = _frames(reported) or _frames_elsewhere(event)
    request, contexts = mapping(event.request), mapping(event.contexts)
    user = mapping(event.user)
    runtime = mapping(contexts.get("runtime"))
    transaction = text(event.transaction, 512)
    return Error(
        id=id,
        timestamp=lenient.instant(event.timestamp),
        url=text(request.get("url")),
        page=transaction,
        release=text(event.release, 200),
        environment=text(event.environment, 64),
        device=device_of(text(mapping(request.get("headers")).get("User-Agent")) or user_agent),
        tags=lenient.tags(event.tags),
        message=message or exception_type,
        exception_type=exception_type,
        handled=mapping(reported.get("mechanism")).get("handled") is not False,
        level=_LEVELS.get(text(event.level).lower(), "error"),
        fingerprint=_fingerprint(event.fingerprint, exception_type, message, frames),
        user=_user_id(user),
        user_details={name: value for name, value in lenient.tags(event.user).items() if name != "id"},
        frames=frames,
        causes=[_cause(item) for item in exceptions[-2::-1][:_CAUSES_MAX]],
        breadcrumbs=[_breadcrumb(item) for item in list(mappings(event.breadcrumbs))[-_BREADCRUMBS_MAX:]],
        contexts=_contexts(event, contexts, request),
        transaction=transaction,
        server_name=text(event.server_name, 200),
        runtime=f"{text(runtime.get('name'))} {text(runtime.get('version'))}".strip()[:200],
    )


def slimmed(error: Error) -> Error:
    """The same error without what is large and can be missed, for one that does not fit into a record."""
    bare = [Frame(function=f.function, file=f.file, line=f.line, in_app=f.in_app) for f in error.frames]
    return msgspec.structs.replace(
        error,
        message=error.message[:8_192],
        frames=bare,
        causes=[],
        breadcrumbs=[],
        contexts={},
        tags={name[:200]: value[:200] for name, value in error.tags.items()},
        user_details={},
        url=error.url[:2_048],
        fingerprint=[part[:200] for part in error.fingerprint],
    )


def _message(event: Payload) -> str:
    """What was logged: a text, or an object with the template and, from most SDKs, the finished text."""
    for logged in (event.logentry, event.message):
        if isinstance(logged, dict):
            written = text(logged.get("formatted")) or text(logged.get("message"))
        else:
            written = text(logged)
        if written:
            return written
    return ""


def _frames(holder: Mapping[str, Any]) -> list[Frame]:
    stacktrace = mapping(holder.get("stacktrace"))
    frames = [item for item in sequence(stacktrace.get("frames")) if isinstance(item, dict)]
    return [_frame(item) for item in frames[: -_FRAMES_MAX - 1 : -1]]


def _frames_elsewhere(event: Payload) -> list[Frame]:
    """Of a message: its own stack, or that of the thread that reported it."""
    own = _frames({"stacktrace": event.stacktrace})
    if own:
        return own
    threads = list(mappings(event.threads))
    chosen = [item for item in threads if item.get("crashed") or item.get("current")] or threads[:1]
    return _frames(chosen[0]) if chosen else []


def _frame(item: Mapping[str, Any]) -> Frame:
    function = text(item.get("function"))
    return Frame(
        function="" if function == "?" else function,
        file=text(item.get("filename")) or text(item.get("abs_path")),
        module=text(item.get("module")),
        line=lenient.whole(item.get("lineno")),
        column=lenient.whole(item.get("colno")),
        in_app=item.get("in_app") is not False,
        pre_context=[text(line) for line in sequence(item.get("pre_context"))[-_CONTEXT_LINES_MAX:]],
        context_line=text(item.get("context_line")),
        post_context=[text(line) for line in sequence(item.get("post_context"))[:_CONTEXT_LINES_MAX]],
        variables=lenient.bounded(dict(mapping(item.get("vars")))),
    )


def _cause(item: Mapping[str, Any]) -> Cause:
    return Cause(
        message=text(item.get("value")),
        exception_type=text(item.get("type"), 200) or "Error",
        frames=_frames(item),
    )


def _breadcrumb(item: Mapping[str, Any]) -> Breadcrumb:
    return Breadcrumb(
        timestamp=lenient.instant(item.get("timestamp")),
        category=text(item.get("category"), 200) or text(item.get("type"), 200),
        message=text(item.get("message")),
        level=_LEVELS.get(text(item.get("level")).lower(), "info"),
        data=lenient.bounded(dict(mapping(item.get("data")))),
    )


def _contexts(
    event: Payload, contexts: Mapping[str, Any], request: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The event's contexts, and what Sentry keeps beside them."""
    sdk = mapping(event.sdk)
    beside = {
        "extra": mapping(event.extra),
        "request": request,
        "sdk": {name: sdk[name] for name in ("name", "version") if name in sdk},
    }
    every = {**contexts, **beside}
    found = {
        name: lenient.bounded(dict(value))
        for name, value in every.items()
        if isinstance(value, dict) and value
    }
    return dict(list(found.items())[-_CONTEXTS_MAX:])


def _user_id(user: Mapping[str, Any]) -> str:
    """The id; without one, whatever else tells users apart."""
    return next(
        (found for name in ("id", "username", "email", "ip_address") if (found := text(user.get(name), 200))),
        "",
    )


def _fingerprint(value: object, exception_type: str, message: str, frames: list[Frame]) -> list[str]:
    """The producer's grouping; `{{ default }}` among its parts stands for what we would group by."""
    parts = [text(part) for part in sequence(value)]
    parts = [part for part in parts if part][:_FINGERPRINT_MAX]
    if all(part in _DEFAULT for part in parts):
        return []
    place = next((frame for frame in frames if frame.in_app), None)
    default = f"{exception_type} {f'{place.function}@{place.file}' if place else message}"
    return [default if part in _DEFAULT else part for part in parts]
