"""Rate limits in Sentry's words: what is let in of an envelope, and X-Sentry-Rate-Limits for what is not.

An SDK that reads the header keeps items of those categories to itself until the time is over. It says seconds, the
categories, and what is limited (develop.sentry.dev, "Rate Limiting"): `42:error;default:key`.
"""

from collections.abc import Mapping
from typing import TypeVar

from services.ingest import metrics
from services.ingest.messages import Arrival
from services.ingest.rates import Category
from shared.contracts.events import AnyEvent, CustomEvent, Error, Metric

HEADER = "X-Sentry-Rate-Limits"

#: Python's SDK calls metrics `trace_metric`, those for JavaScript `metric`. None at all stands for every category.
_SENTRY: Mapping[Category, str] = {
    Category.ERROR: "default;error;security",
    Category.METRIC: "transaction;span;metric;trace_metric",
    Category.EVENT: "feedback;monitor",
    Category.REQUEST: "",
}

E = TypeVar("E", bound=AnyEvent)


def admit(events: list[E], arrival: Arrival) -> list[E]:
    """The events that the key may still send; the others are counted as limited."""
    admitted = []
    for event in events:
        category = category_of(event)
        if arrival.rates.spend(category):
            admitted.append(event)
        else:
            metrics.ITEMS_LIMITED.labels(category).inc()
    return admitted


def header(waits_s: Mapping[Category, int]) -> str:
    """The header's value for categories that have to wait; empty when none of Sentry's has to."""
    limits = [
        f"{wait_s}:{_SENTRY[category]}:key" for category, wait_s in waits_s.items() if category in _SENTRY
    ]
    return ", ".join(limits)


def category_of(event: AnyEvent) -> Category:
    """What an event counts as."""
    match event:
        case Error():
            return Category.ERROR
        case Metric():
            return Category.METRIC
        case CustomEvent():
            return Category.EVENT
    return Category.PAGE_VIEW
