"""The history comes back as it was written, and what producers send is what ingest takes."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import DecodeError

from services.ingest.accept import Acceptor
from services.ingest.messages import Arrival
from services.ingest.sentry import envelope, items
from tests.chaos import history
from tests.chaos.bodies import Bodies, Body
from tests.chaos.history import Attempt, Item, Request, bare_id

ARRIVAL = Arrival(datetime(2026, 5, 4, tzinfo=UTC), "1", "server", "")


def bodies(protocol: history.Protocol) -> list[Body]:
    made = Bodies("kills", "sbpk_key", seed=7)
    return [body for body in (made.next() for _ in range(100)) if body.protocol == protocol]


def test_a_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    requests = [
        Request("native", [Item("metric", "a"), Item("event", "b")], [Attempt(1.0, 2.0, 0, "reset"), Attempt(2.5, 3.0, 202)]),
        Request("sentry", [Item("error", "c")], [Attempt(1.0, 2.0, 200)]),
    ]  # fmt: skip
    writer = history.Writer(tmp_path / "h")
    for request in requests:
        writer.add(request)
    writer.close()
    assert list(history.read(tmp_path / "h")) == requests


def test_a_line_that_was_cut_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "h").write_bytes(b'{"protocol":"native","ite')
    with pytest.raises(DecodeError):
        list(history.read(tmp_path / "h"))


def test_native_bodies_are_taken_whole_under_the_ids_of_the_history() -> None:
    for body in bodies("native"):
        accepted = Acceptor(items_max=10).events(body.data, ARRIVAL)
        assert accepted.rejected == []
        assert [bare_id(id) for id in accepted.ids] == [item.id for item in body.items]


def test_envelopes_are_one_error_under_the_id_of_the_history() -> None:
    for body in bodies("sentry"):
        read = items.read(envelope.parse(body.data), user_agent="")
        assert read.flaws == []
        assert [event.id for event in read.events] == [item.id for item in body.items]


def test_a_seed_makes_the_same_mix_of_both() -> None:
    first, second = (Bodies("kills", "sbpk_key", seed=7) for _ in range(2))
    assert all(first.next().protocol == second.next().protocol for _ in range(50))
    assert 30 < len(bodies("native")) < 70
