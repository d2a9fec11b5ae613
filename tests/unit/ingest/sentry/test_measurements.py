"""Web vitals and durations out of what real SDKs sent, and what is made of other items."""

import pytest

from services.ingest.sentry.agent import device_of
from shared.contracts.events import CustomEvent, Metric
from tests.unit.ingest.sentry.recordings import events, read


def by_name(name: str) -> dict[str, Metric]:
    return {metric.name: metric for metric in events(name, Metric)}


def test_a_page_load_of_v8_is_a_transaction_with_measurements() -> None:
    found = by_name("browser-8-pageload")
    assert {name: metric.value for name, metric in found.items()} == {
        "transaction.duration": pytest.approx(503.2),
        "TTFB": 8.5,
        "LCP": 228,
        "FID": pytest.approx(2.8),
        "FP": 228,
        "FCP": 228,
    }
    lcp = found["LCP"]
    assert (lcp.page, lcp.unit, lcp.device, lcp.release) == ("/", "ms", "desktop", "shop-web@2026.47.3")
    assert lcp.attribution == {"element": "body > h1", "loadTime": "0", "renderTime": "228", "size": "7296"}
    assert lcp.tags == {"shop": "berlin", "op": "pageload"}
    assert len({metric.id for metric in found.values()}) == len(found)


def test_inp_of_v8_is_a_span_of_its_own() -> None:
    [inp] = events("browser-8-inp", Metric)
    assert (inp.name, inp.value, inp.page, inp.unit) == ("INP", 128, "/", "ms")
    assert inp.attribution == {"target": "body > button#buy"}
    assert (inp.device, inp.environment) == ("desktop", "ci")


def test_a_page_load_of_v11_is_a_container_of_spans() -> None:
    found = by_name("browser-11-pageload")
    assert {name: round(metric.value, 1) for name, metric in found.items()} == {
        "LCP": 112,
        "transaction.duration": 360.8,
        "TTFB": 4.2,
        "FP": 112,
        "FCP": 112,
    }
    assert {metric.page for metric in found.values()} == {"/"}
    assert found["LCP"].attribution["element"] == "body > h1"
    assert found["LCP"].navigation_type == "navigate"
    pageload = found["LCP"].metric_id.partition("-")[0]
    assert found["TTFB"].metric_id == f"{pageload}-TTFB"


def test_inp_and_cls_of_v11_follow_later_and_name_the_same_page_load() -> None:
    found = by_name("browser-11-inp-and-cls")
    assert (found["INP"].value, found["CLS"].value, found["CLS"].unit) == (136, 0, "")
    assert found["INP"].attribution == {"target": "body > button#buy", "interaction_type": "click"}
    assert found["INP"].metric_id.partition("-")[0] == by_name("browser-11-pageload")["LCP"].metric_id[:16]


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("python-transaction", "/items/{id}"),
        ("node-8-transaction", "GET /items/:id"),
        ("node-11-spans", "GET /items/:id"),
    ],
)
def test_a_transaction_of_a_server_has_a_duration(name: str, page: str) -> None:
    found = by_name(name)
    assert 0 < found["transaction.duration"].value < 10
    assert (found["transaction.duration"].page, found["transaction.duration"].unit) == (page, "ms")
    assert found["transaction.duration"].tags["op"] == "http.server"


def test_measurements_of_the_apps_own_keep_their_names() -> None:
    assert by_name("python-transaction")["items"].value == 3


def test_the_same_transaction_twice_has_the_same_ids() -> None:
    first, second = ({metric.id for metric in events("browser-8-pageload", Metric)} for _ in range(2))
    assert first == second


def test_check_ins_and_feedback_are_events() -> None:
    [check_in] = events("node-11-check-in", CustomEvent)
    assert (check_in.name, check_in.properties["monitor_slug"], check_in.properties["status"]) == (
        "check_in",
        "nightly",
        "ok",
    )
    [feedback] = events("node-11-feedback", CustomEvent)
    assert feedback.properties == {"message": "I like it", "contact_email": "ann@example.org"}
    assert feedback.id == "795fc0fbb4894fcf9786d717a882a38a"


def test_a_session_has_no_place_and_is_no_flaw() -> None:
    assert read("node-11-session") == ([], [])


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148 Safari/604.1", "mobile"),
        ("Mozilla/5.0 (Linux; Android 15; Pixel 9) Chrome/140.0 Mobile Safari/537.36", "mobile"),
        ("Mozilla/5.0 (Linux; Android 15; SM-X910) Chrome/140.0 Safari/537.36", "tablet"),
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0 Safari/537.36", "desktop"),
        ("sentry.python/2.75.0", "unknown"),
    ],
)
def test_the_device_is_guessed_as_our_own_library_does(agent: str, device: str) -> None:
    assert device_of(agent) == device
