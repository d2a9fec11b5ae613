"""Synthetic events, as plausible as a visitor's browser makes them, and marked as synthetic."""

from random import Random
from typing import NamedTuple

import msgspec

from shared.contracts.events import AnyEvent, CustomEvent, Device, Error, Metric, PageView

#: How the system tells these events from real ones.
ENVIRONMENT = "loadgen"
TAGS = {"synthetic": "loadgen"}

_DEVICES: list[Device] = ["mobile", "desktop", "tablet"]
_DEVICE_WEIGHTS = [60, 35, 5]
_SLOWER_ON = {"mobile": 1.4, "tablet": 1.2, "desktop": 1.0}
_FRAME_MS = 8  # browsers round event timings to this
_ORIGIN = "https://app.example.com"

PROPERTIES = (
    60  # how many the example data has (services/cache/seed); visitors ask for a few of them most of the time
)


class Page(NamedTuple):
    """Where a visitor is: the route's template, and this visit's address."""

    template: str
    path: str
    title: str


class Visit(NamedTuple):
    """What all events of one visit share."""

    session_id: str
    device: Device


class _Defect(NamedTuple):
    exception_type: str
    message: str
    stack: str


def _defect(exception_type: str, message: str, *frames: str) -> _Defect:
    lines = [f"{exception_type}: {message}", *(f"    at {frame}" for frame in frames)]
    return _Defect(exception_type, message, "\n".join(lines))


#: A handful of distinct ones, so that thousands of errors become a handful of issues.
DEFECTS = [
    _defect(
        "TypeError",
        "Cannot read properties of undefined (reading 'technician')",
        f"assignTechnician ({_ORIGIN}/assets/requests.js:214:31)",
        f"onSubmit ({_ORIGIN}/assets/requests.js:187:9)",
    ),
    _defect(
        "RangeError",
        "Invalid time value",
        f"formatDueDate ({_ORIGIN}/assets/calendar.js:58:22)",
        f"renderRow ({_ORIGIN}/assets/calendar.js:91:14)",
    ),
    _defect(
        "NetworkError",
        "Failed to fetch",
        f"loadProperties ({_ORIGIN}/assets/api.js:33:11)",
        f"refresh ({_ORIGIN}/assets/properties.js:120:5)",
    ),
    _defect(
        "SyntaxError",
        "Unexpected end of JSON input",
        f"parseResponse ({_ORIGIN}/assets/api.js:71:19)",
        f"loadTechnicians ({_ORIGIN}/assets/technicians.js:44:8)",
    ),
    _defect(
        "QuotaExceededError",
        "The quota has been exceeded.",
        f"saveDraft ({_ORIGIN}/assets/drafts.js:17:13)",
        f"onInput ({_ORIGIN}/assets/drafts.js:52:3)",
    ),
]
_ACTIONS = ["request_created", "technician_assigned", "filter_applied", "report_opened"]


def visit(random: Random, session_id: str) -> Visit:
    """Somebody comes, with some device."""
    return Visit(session_id, random.choices(_DEVICES, _DEVICE_WEIGHTS)[0])


def encode(*events: AnyEvent) -> bytes:
    """A body for `POST /v1/events`: an array."""
    return msgspec.json.encode(events)


def page_view(visit: Visit, page: Page) -> PageView:
    """The page was opened."""
    return PageView(
        session_id=visit.session_id,
        url=_ORIGIN + page.path,
        page=page.template,
        environment=ENVIRONMENT,
        device=visit.device,
        tags=TAGS,
        title=page.title,
    )


def web_vitals(random: Random, visit: Visit, page: Page, metric_id: str) -> list[Metric]:
    """The page's five web vitals: log-normal, with medians such as ordinary sites have, and in causal order.

    Milliseconds, except for CLS, which has no unit.
    """
    slower = _SLOWER_ON[visit.device]
    ttfb_ms = slower * random.lognormvariate(5.5, 0.6)  # median 245
    fcp_ms = ttfb_ms + slower * random.lognormvariate(6.4, 0.5)  # + 602
    lcp_ms = fcp_ms + slower * random.lognormvariate(6.2, 0.8)  # + 493
    inp_ms = _FRAME_MS * max(1, round(slower * random.lognormvariate(4.4, 0.8) / _FRAME_MS))  # 81
    cls = min(random.lognormvariate(-3.3, 1.1), 2.0)  # 0.037
    measured = {"TTFB": ttfb_ms, "FCP": fcp_ms, "LCP": lcp_ms, "INP": inp_ms, "CLS": cls}
    return [
        Metric(
            session_id=visit.session_id,
            url=_ORIGIN + page.path,
            page=page.template,
            environment=ENVIRONMENT,
            device=visit.device,
            tags=TAGS,
            name=name,
            value=round(value, 4 if name == "CLS" else 1),
            unit="" if name == "CLS" else "ms",
            metric_id=f"{metric_id}-{name.lower()}",
            navigation_type="navigate",
        )
        for name, value in measured.items()
    ]


def error(random: Random, visit: Visit, page: Page) -> Error:
    """Something went wrong on the page: one of the known defects."""
    defect = random.choice(DEFECTS)
    return Error(
        session_id=visit.session_id,
        url=_ORIGIN + page.path,
        page=page.template,
        environment=ENVIRONMENT,
        device=visit.device,
        tags=TAGS,
        message=defect.message,
        exception_type=defect.exception_type,
        stack=defect.stack,
        handled=False,
    )


def action(random: Random, visit: Visit, page: Page) -> CustomEvent:
    """The visitor did something worth counting."""
    return CustomEvent(
        session_id=visit.session_id,
        url=_ORIGIN + page.path,
        page=page.template,
        environment=ENVIRONMENT,
        device=visit.device,
        tags=TAGS,
        name=random.choice(_ACTIONS),
        properties={"items": random.randint(1, 12)},
    )
