"""What producers report: errors, metrics, page views and events of their own.

A producer sends an `Event` (one of four types, told apart by `type`). ingest wraps what it accepted into an
`Envelope`, the value of every record on the four event topics; `data` is what the producer sent.

Unknown fields are ignored, so that a newer producer can talk to an older server. Text is not bounded field by
field: an error that is too long to be pretty is still an error, so the bound is on an event's bytes.
"""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from msgspec import Meta, Struct

EVENT_BYTES_MAX = (
    256 * 1024
)  # a stack trace with breadcrumbs is 4-40 KB; Sentry's limit for an event is 1 MiB

Name = Annotated[str, Meta(min_length=1, max_length=200)]
_UUID = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
# The length, because `$` in a pattern also matches before a newline at the end.
Uuid = Annotated[str, Meta(pattern=_UUID, max_length=36)]
Instant = Annotated[datetime, Meta(tz=True)]
Finite = Annotated[float, Meta(ge=-1e15, le=1e15)]
Tags = dict[str, str]
Source = Literal["browser", "server", "sentry", "otlp"]
Device = Literal["mobile", "tablet", "desktop", "unknown"]
Level = Literal["debug", "info", "warning", "error", "fatal"]


class Event(Struct, kw_only=True, omit_defaults=True, tag_field="type"):
    """What the four types have in common; every field is the producer's own word."""

    id: Annotated[
        Annotated[str, Meta(min_length=8, max_length=64)] | None,
        Meta(description="The producer's id; one is made when it is absent."),
    ] = None
    timestamp: Annotated[
        Instant | None, Meta(description="When it happened, with time zone; the time of receipt when absent.")
    ] = None
    session_id: Annotated[str, Meta(max_length=64, description="One visit to the app; no identity.")] = ""
    url: Annotated[str, Meta(description="Where it happened, as the browser shows it.")] = ""
    page: Annotated[str, Meta(max_length=512, description="The route template, such as `/items/:id`.")] = ""
    release: Annotated[str, Meta(max_length=200, description="The app's version.")] = ""
    environment: Annotated[str, Meta(max_length=64, description="Such as `production`.")] = ""
    device: Annotated[Device, Meta(description="The class of device.")] = "unknown"
    tags: Annotated[Tags, Meta(max_length=64, description="Free labels, for searching.")] = {}


class Frame(Struct, kw_only=True, omit_defaults=True):
    """One call on a stack, as a debugger would show it; producers that only have text send `stack`."""

    function: Annotated[str, Meta(description="Empty where the runtime has no name for it.")] = ""
    file: Annotated[str, Meta(description="A path or a URL, as the runtime knows it.")] = ""
    module: Annotated[str, Meta(description="Such as `booking.pool`.")] = ""
    line: Annotated[int, Meta(ge=0, description="From 1; 0 when it is not known.")] = 0
    column: Annotated[int, Meta(ge=0, description="From 1; 0 when it is not known.")] = 0
    in_app: Annotated[bool, Meta(description="False in libraries and in the runtime.")] = True
    pre_context: Annotated[list[str], Meta(description="The lines of code before it.")] = []
    context_line: Annotated[str, Meta(description="The line of code.")] = ""
    post_context: Annotated[list[str], Meta(description="The lines of code after it.")] = []
    variables: Annotated[dict[str, Any], Meta(description="Local variables, by name.")] = {}


class Cause(Struct, kw_only=True, omit_defaults=True):
    """An exception that led to the reported one."""

    message: Annotated[str, Meta(description="What it says.")] = ""
    exception_type: Annotated[str, Meta(max_length=200, description="Such as `KeyError`.")] = "Error"
    frames: Annotated[list[Frame], Meta(description="The innermost call first.")] = []


class Breadcrumb(Struct, kw_only=True, omit_defaults=True):
    """Something that happened before the error."""

    timestamp: Annotated[Instant | None, Meta(description="When, by the producer's clock.")] = None
    category: Annotated[str, Meta(max_length=200, description="Such as `ui.click`.")] = ""
    message: Annotated[str, Meta(description="What happened.")] = ""
    level: Annotated[Level, Meta(description="How bad it was.")] = "info"
    data: Annotated[dict[str, Any], Meta(description="Facts about it.")] = {}


class Error(Event, kw_only=True, omit_defaults=True, tag="error"):
    """Something went wrong in the producer's app."""

    message: Annotated[str, Meta(min_length=1, description="What the error says.")]
    exception_type: Annotated[str, Meta(max_length=200, description="Such as `TypeError`.")] = "Error"
    stack: Annotated[str, Meta(description="The stack trace, as the runtime prints it.")] = ""
    handled: Annotated[bool, Meta(description="False when nothing in the app caught it.")] = True
    level: Annotated[Level, Meta(description="How bad it is.")] = "error"
    fingerprint: Annotated[
        list[str], Meta(max_length=16, description="Overrides the grouping into issues.")
    ] = []
    user: Annotated[str, Meta(max_length=200, description="An opaque id of the affected user.")] = ""
    user_details: Annotated[
        Tags, Meta(max_length=64, description="What else the producer says of the user, such as `email`.")
    ] = {}
    frames: Annotated[
        list[Frame], Meta(description="The stack, the innermost call first; goes before `stack`.")
    ] = []
    causes: Annotated[
        list[Cause], Meta(description="The exceptions that led to it, the nearest one first.")
    ] = []
    breadcrumbs: Annotated[list[Breadcrumb], Meta(description="What happened before, the oldest first.")] = []
    contexts: Annotated[
        dict[str, Any],
        Meta(max_length=64, description="What surrounded it, by name: `os`, `request`, `trace`."),
    ] = {}
    transaction: Annotated[
        str, Meta(max_length=512, description="The request, route or task in which it happened.")
    ] = ""
    server_name: Annotated[str, Meta(max_length=200, description="The host that reported it.")] = ""
    runtime: Annotated[str, Meta(max_length=200, description="Such as `CPython 3.13.1`.")] = ""


class Metric(Event, kw_only=True, omit_defaults=True, tag="metric"):
    """One measurement: a web vital, or a metric of the producer's own."""

    name: Annotated[Name, Meta(description="`LCP`, `INP`, `CLS`, `FCP`, `TTFB`, or any other.")]
    value: Annotated[Finite, Meta(description="In `unit`; web vitals in ms, CLS without unit.")]
    unit: Annotated[str, Meta(max_length=32, description="Such as `ms`.")] = ""
    metric_id: Annotated[
        str, Meta(max_length=100, description="The same for updates of one measurement (web-vitals' id).")
    ] = ""
    rating: Annotated[str, Meta(max_length=32, description="The browser's rating; ours is computed.")] = ""
    navigation_type: Annotated[str, Meta(max_length=32, description="How the page was reached.")] = ""
    attribution: Annotated[
        Tags, Meta(max_length=32, description="What caused it: element, script, phase.")
    ] = {}


class PageView(Event, kw_only=True, omit_defaults=True, tag="page_view"):
    """Somebody looked at a page."""

    title: Annotated[str, Meta(description="The document's title.")] = ""
    referrer: Annotated[str, Meta(description="Where the visitor came from.")] = ""


class CustomEvent(Event, kw_only=True, omit_defaults=True, tag="event"):
    """Anything else that the producer wants counted, such as `checkout_completed`."""

    name: Annotated[Name, Meta(description="What happened.")]
    properties: Annotated[dict[str, Any], Meta(max_length=100, description="Facts about it.")] = {}


AnyEvent = Error | Metric | PageView | CustomEvent

Data = TypeVar("Data")


class Envelope(Struct, Generic[Data], kw_only=True, frozen=True):
    """The value of a record on an event topic: what ingest vouches for, around what the producer sent."""

    id: Annotated[str, Meta(description="Unique in the project; duplicates of an id are stored once.")]
    project: Annotated[str, Meta(description="The project of the key that was shown.")]
    source: Annotated[Source, Meta(description="The protocol that the event came in by.")]
    received_at: Annotated[Instant, Meta(description="When ingest received it.")]
    occurred_at: Annotated[
        Instant, Meta(description="When it happened, the producer's clock corrected by `sent_at`.")
    ]
    data: Annotated[Data, Meta(description="What the producer sent.")]
