"""Rate limits in Sentry's words: the header X-Sentry-Rate-Limits.

An SDK that reads the header keeps items of those categories to itself until the time is over. It says seconds, the
categories, and what is limited (develop.sentry.dev, "Rate Limiting"): `42:error;default:key`.
"""

from collections.abc import Mapping

from services.ingest.rates import Category

HEADER = "X-Sentry-Rate-Limits"

#: Python's SDK calls metrics `trace_metric`, those for JavaScript `metric`. None at all stands for every category.
_SENTRY: Mapping[Category, str] = {
    Category.ERROR: "default;error;security",
    Category.METRIC: "transaction;span;metric;trace_metric",
    Category.EVENT: "feedback;monitor",
    Category.REQUEST: "",
}


def header(waits_s: Mapping[Category, int]) -> str:
    """The header's value for categories that have to wait; empty when none of Sentry's has to."""
    limits = [
        f"{wait_s}:{_SENTRY[category]}:key" for category, wait_s in waits_s.items() if category in _SENTRY
    ]
    return ", ".join(limits)
