"""Traffic through the Python client: every kind of event, and every type of job."""

import random
from collections.abc import Mapping
from typing import Any, NamedTuple

import sentry_sdk

from deploy.demo.site import Site
from signalbox_client import Client

_PAGES = ("/", "/items/:id", "/cart", "/checkout")
#: Median and spread of log-normal samples: a healthy site whose checkout is slow, in ms but for CLS.
_VITALS = {"LCP": (1800, 0.35), "INP": (140, 0.5), "CLS": (0.06, 0.6), "FCP": (1200, 0.3), "TTFB": (350, 0.4)}
_VISITS = 120


class Jobs(NamedTuple):
    """Ids of jobs that were asked for, by what is to become of them."""

    #: By type.
    complete: Mapping[str, str]
    retried: str
    dead: str


def send_events(client: Client) -> None:
    """Visits of a day in a second: page views, web vitals, some errors, some events."""
    chance = random.Random(7)  # the same traffic every time
    for visit in range(_VISITS):
        page = chance.choice(_PAGES)
        device = chance.choice(("mobile", "tablet", "desktop"))
        client.track_page_view(page, device=device, session_id=f"visit-{visit}")
        for name, (median, spread) in _VITALS.items():
            slow = 1.8 if page == "/checkout" else 1.0
            value = median * slow * chance.lognormvariate(0, spread)
            client.track_metric(name, value, "" if name == "CLS" else "ms", page=page, device=device)
        if visit % 10 == 0:
            _fail(client, visit)
        if visit % 4 == 0:
            client.track_event("item_viewed", {"item": chance.randrange(50)}, page=page)


def _fail(client: Client, visit: int) -> None:
    try:
        _price(visit)
    except KeyError as error:
        client.track_error(error, page="/checkout")


def report_with_sentry(dsn: str) -> None:
    """An error through Sentry's own SDK, which knows nothing of signalbox but the DSN."""
    sentry_sdk.init(dsn=dsn, release="demo-1", environment="demo", default_integrations=False)
    try:
        1 / 0  # noqa: B018 - the error is the point
    except ZeroDivisionError as error:
        sentry_sdk.capture_exception(error)
    sentry_sdk.flush(timeout=10.0)


def _price(visit: int) -> int:
    prices: dict[str, int] = {}
    return prices[f"item-{visit}"]


def ask_for_jobs(client: Client, site: Site) -> Jobs:
    """One job of each type, one that has to be tried again, one that cannot succeed."""
    payloads: dict[str, dict[str, Any]] = {
        "send_notification": {"to": "ann", "title": "The demo says hello"},
        "generate_report": {"kind": "full", "hours": 24},
        "cleanup_old_data": {},
        "update_statistics": {"days": 1},
        "send_email_batch": {
            "to": ["ann@example.org", "bob@example.org"],
            "subject": "The demo says hello",
            "text": "This message was delivered by signalbox.",
        },
    }
    complete = {
        type: client.enqueue_job(type, payload, priority=priority)
        for priority, (type, payload) in zip((9, 2, 0, 5, 7), payloads.items(), strict=True)
    }
    again = {"to": "ann", "title": "Second time lucky", "webhook": site.flaky_webhook}
    hopeless = {"to": "ann", "title": "Never", "webhook": "http://not-allowed.example/"}
    return Jobs(
        complete,
        retried=client.enqueue_job("send_notification", again),
        dead=client.enqueue_job("send_notification", hopeless),
    )
