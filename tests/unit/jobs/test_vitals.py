"""Metrics to minute windows."""

from datetime import UTC, datetime, timedelta

from services.jobs.vitals import WindowKey, windows
from shared.contracts.events import Envelope, Metric
from shared.contracts.vitals import Rating, rate

MINUTE = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def sample(value: float, at: datetime = MINUTE, name: str = "LCP", page: str = "/") -> Envelope[Metric]:
    return Envelope(
        id=f"{name}{value}{at}",
        project="1",
        source="browser",
        received_at=at,
        occurred_at=at,
        data=Metric(name=name, value=value, page=page),
    )


def test_samples_are_counted_in_the_minute_in_which_they_occurred() -> None:
    late = MINUTE + timedelta(seconds=59.9)
    found = dict(windows([sample(1), sample(2, late), sample(3, MINUTE + timedelta(minutes=1))]))
    assert {key.minute: window.values for key, window in found.items()} == {
        MINUTE: [1, 2],
        MINUTE + timedelta(minutes=1): [3],
    }


def test_windows_come_sorted_by_key_so_that_workers_lock_rows_in_one_order() -> None:
    keys = [
        key
        for key, _ in windows([sample(1, page="/b"), sample(1, page="/a"), sample(1, name="CLS", page="/a")])
    ]
    assert keys == sorted(keys)


def test_ratings_follow_the_published_thresholds() -> None:
    [(key, window)] = windows([sample(2500), sample(2500.1), sample(4000), sample(4000.1)])
    assert key == WindowKey("1", "/", "LCP", "unknown", MINUTE)
    assert window.ratings == {Rating.GOOD: 1, Rating.NEEDS_IMPROVEMENT: 2, Rating.POOR: 1}


def test_a_metric_of_ones_own_has_no_rating() -> None:
    assert rate("checkout_ms", 1.0) is None
