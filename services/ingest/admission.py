"""Which events a key may still send, category by category."""

from collections import Counter
from typing import TypeVar

from services.ingest import metrics
from services.ingest.messages import Arrival
from services.ingest.rates import Category
from shared.contracts.events import AnyEvent, CustomEvent, Error, Metric, PageView

E = TypeVar("E", bound=AnyEvent)


def admit(events: list[E], arrival: Arrival) -> list[E]:
    """Those of the events that the key may still send; the others are counted as limited."""
    wanted = Counter(category_of(event) for event in events)
    room = {category: arrival.rates.spend(category, count) for category, count in wanted.items()}
    if room == wanted:
        return events
    admitted = []
    for event in events:
        category = category_of(event)
        if room[category]:
            room[category] -= 1
            admitted.append(event)
        else:
            metrics.ITEMS_LIMITED.labels(category).inc()
    return admitted


def category_of(event: AnyEvent) -> Category:
    """What an event counts as."""
    match event:
        case Error():
            return Category.ERROR
        case Metric():
            return Category.METRIC
        case PageView():
            return Category.PAGE_VIEW
        case CustomEvent():
            return Category.EVENT
