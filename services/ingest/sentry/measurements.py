"""Transactions and spans become metrics: web vitals, other measurements, and how long a transaction took.

Up to v10 a browser SDK sends vitals as `measurements` of the page load's transaction, and INP as a span of its own
(`{"type": "span"}`). From v11 on everything is a span, in containers of up to a thousand, and vitals are attributes
such as `browser.web_vital.lcp.value` (observed with @sentry/browser 8.55 to 11.12).
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from services.ingest.sentry import lenient
from services.ingest.sentry.agent import device_of
from services.ingest.sentry.errors import Payload
from services.ingest.sentry.lenient import mapping, mappings, text
from shared import ids
from shared.contracts.events import Device, Metric

#: The name of a transaction's duration, in ms; its operation is in the tag `op`.
DURATION = "transaction.duration"

_VITALS = {name.lower(): name for name in ("LCP", "INP", "CLS", "FCP", "TTFB", "FID", "FP")}
_ATTRIBUTE, _VALUE = "browser.web_vital.", ".value"
#: What SDKs put among the measurements that measures no page.
_BESIDE = ("connection.", "ttfb.")
_UNITS = {"millisecond": "ms", "second": "s", "none": "", "byte": "B", "percent": "%"}
#: What newer SDKs call a page or a navigation whose route they do not know.
_UNNAMED = ("Pageload", "Navigation", "")
_MEASUREMENTS_MAX = 50
_CONTAINED_MAX = 1_000  # what SDKs put into one container at most
_LCP_PLAUSIBLE_MS_MAX = 60_000  # the SDKs' own bound: a longer one is a page in the background


class Container(Struct):
    """Many spans, or many metrics, in one item."""

    items: list[Any]


CONTAINER = msgspec.json.Decoder(Container)
OBJECT = msgspec.json.Decoder(dict[str, Any])


class _Origin(Struct, frozen=True):
    """What the metrics of one transaction or span have in common."""

    #: What ids are derived from, so that a span that is sent twice counts once.
    identity: tuple[str, ...]
    #: The page load, when known: updates of one vital have it in common.
    pageload: str
    page: str
    timestamp: datetime | None
    url: str = ""
    release: str = ""
    environment: str = ""
    device: Device = "unknown"
    tags: dict[str, str] = {}
    navigation_type: str = ""

    def metric(self, name: str, value: float, unit: str, attribution: Mapping[str, str] = {}) -> Metric:
        return Metric(
            id=ids.derived_id("sentry", *self.identity, name),
            timestamp=self.timestamp,
            url=self.url,
            page=self.page,
            release=self.release,
            environment=self.environment,
            device=self.device,
            tags=self.tags,
            name=name,
            value=value,
            unit=unit,
            metric_id=f"{self.pageload}-{name}"[:100] if self.pageload and name in _VITALS.values() else "",
            navigation_type=self.navigation_type,
            attribution=dict(list(attribution.items())[:32]),
        )


def of_transaction(event: Payload, *, id: str, user_agent: str) -> Iterator[Metric]:
    """The metrics of a transaction."""
    trace = mapping(mapping(event.contexts).get("trace"))
    request = mapping(event.request)
    op = text(trace.get("op"), 200)
    origin = _Origin(
        identity=(id,),
        pageload=text(trace.get("span_id")),
        page=text(event.transaction, 512),
        timestamp=lenient.instant(event.timestamp),
        url=text(request.get("url")),
        release=text(event.release, 200),
        environment=text(event.environment, 64),
        device=device_of(text(mapping(request.get("headers")).get("User-Agent")) or user_agent),
        tags=lenient.labelled(lenient.tags(event.tags), op=op),
    )
    yield from _duration(origin, event.start_timestamp, event.timestamp)
    data = mapping(trace.get("data"))
    yield from _measured(origin, event.measurements, lambda vital: _about(data, f"{vital}."))


def of_span(span: Mapping[str, Any], *, user_agent: str) -> Iterator[Metric]:
    """The metrics of a span that is an item of its own: how browsers up to v10 send INP, and some CLS and LCP."""
    data = mapping(span.get("data"))
    pageload = text(data.get("sentry.pageload.span_id")) or text(span.get("segment_id"))
    origin = _Origin(
        identity=(text(span.get("trace_id")), text(span.get("span_id"))),
        pageload=pageload,
        page=text(data.get("transaction") or data.get("sentry.transaction"), 512),
        timestamp=lenient.instant(span.get("timestamp")),
        release=text(data.get("release"), 200),
        environment=text(data.get("environment"), 64),
        device=device_of(text(data.get("user_agent.original")) or user_agent),
    )
    target = text(span.get("description"))
    attribution = {"target": target} if target else {}
    yield from _measured(origin, span.get("measurements"), lambda _: attribution)


def of_spans(spans: list[Any], *, user_agent: str) -> Iterator[Metric]:
    """The metrics of a container of spans: vitals of any span, and the duration of those that are transactions."""
    found = [item for item in spans[:_CONTAINED_MAX] if isinstance(item, dict)]
    pages = {
        text(span.get("span_id")): page for span in found if span.get("is_segment") and (page := _page(span))
    }
    for span in found:
        is_segment = span.get("is_segment") is True
        vitals = [name for name in mapping(span.get("attributes")) if _is_vital(name)]
        if not is_segment and not vitals:
            continue  # as most are
        attributes = _plain(span)
        origin = _origin_of_span(span, attributes, pages, user_agent)
        if is_segment:
            yield from _duration(origin, span.get("start_timestamp"), span.get("end_timestamp"))
        for name in vitals:
            vital = name.removeprefix(_ATTRIBUTE).removesuffix(_VALUE)
            yield from _vital(origin, vital, attributes[name], _about(attributes, f"{_ATTRIBUTE}{vital}."))


def _is_vital(name: str) -> bool:
    return (
        name.startswith(_ATTRIBUTE)
        and name.endswith(_VALUE)
        and name.removeprefix(_ATTRIBUTE).removesuffix(_VALUE) in _VITALS
    )


def _origin_of_span(
    span: Mapping[str, Any], attributes: Mapping[str, Any], pages: Mapping[str, str], user_agent: str
) -> _Origin:
    segment = text(attributes.get("sentry.segment.id"))
    op = text(attributes.get("sentry.op"), 200)
    return _Origin(
        identity=(text(span.get("trace_id")), text(span.get("span_id"))),
        pageload=text(attributes.get("sentry.pageload.span_id")) or segment,
        page=pages.get(segment) or _page(span),
        timestamp=lenient.instant(span.get("end_timestamp")),
        url=text(attributes.get("url.full")),
        release=text(attributes.get("sentry.release"), 200),
        environment=text(attributes.get("sentry.environment"), 64),
        device=device_of(text(attributes.get("user_agent.original")) or user_agent),
        tags={"op": op} if op else {},
        navigation_type=text(attributes.get("browser.navigation.type"), 32),
    )


def of_metrics(metrics: list[Any]) -> Iterator[Metric]:
    """The metrics of a container of `trace_metric`: each is one sample, whatever its kind."""
    for item in mappings(metrics[:_CONTAINED_MAX]):
        attributes = _plain(item)
        value, name = lenient.number(item.get("value")), text(item.get("name"), 200)
        if value is None or not name:
            continue
        unit = text(item.get("unit"), 32)
        kind = text(item.get("type"), 32)
        own = {
            name: value for name, value in lenient.tags(attributes).items() if not name.startswith("sentry.")
        }
        yield Metric(
            timestamp=lenient.instant(item.get("timestamp")),
            page=text(attributes.get("sentry.transaction") or attributes.get("sentry.segment.name"), 512),
            release=text(attributes.get("sentry.release"), 200),
            environment=text(attributes.get("sentry.environment"), 64),
            tags=lenient.labelled(own, kind=kind),
            name=name,
            value=value,
            unit=_UNITS.get(unit, unit),
        )


def _duration(origin: _Origin, start: object, end: object) -> Iterator[Metric]:
    started, ended = lenient.instant(start), lenient.instant(end)
    if started is not None and ended is not None and ended >= started:
        yield origin.metric(DURATION, (ended - started).total_seconds() * 1_000, "ms")


def _measured(
    origin: _Origin, measurements: object, about: Callable[[str], Mapping[str, str]]
) -> Iterator[Metric]:
    for name, measurement in list(mapping(measurements).items())[:_MEASUREMENTS_MAX]:
        value = mapping(measurement).get("value")
        if name in _VITALS:
            yield from _vital(origin, name, value, about(name))
            continue
        found = lenient.number(value)
        if found is not None and 0 < len(name) <= 200 and not name.startswith(_BESIDE):
            unit = text(mapping(measurement).get("unit"), 32)
            yield origin.metric(name, found, _UNITS.get(unit, unit))


def _vital(origin: _Origin, name: str, value: object, about: Mapping[str, str]) -> Iterator[Metric]:
    found = lenient.number(value)
    if found is not None and (name != "lcp" or found <= _LCP_PLAUSIBLE_MS_MAX):
        yield origin.metric(_VITALS[name], found, "" if name == "cls" else "ms", about)


def _about(attributes: Mapping[str, Any], prefix: str) -> dict[str, str]:
    """What caused a vital: its attributes but the value, such as the element."""
    own = {name.removeprefix(prefix): value for name, value in attributes.items() if name.startswith(prefix)}
    return {name: value for name, value in lenient.tags(own).items() if name != "value"}


def _page(span: Mapping[str, Any]) -> str:
    """The name of a span's transaction; the path, where the SDK does not know the route."""
    attributes = _plain(span)
    name = text(attributes.get("sentry.segment.name"), 512) or text(span.get("name"), 512)
    return text(attributes.get("url.path"), 512) or name if name in _UNNAMED else name


def _plain(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Attributes without their types: `{"value": 112, "type": "integer"}` is 112."""
    return {
        name: value.get("value") if isinstance(value, dict) else value
        for name, value in mapping(item.get("attributes")).items()
    }
