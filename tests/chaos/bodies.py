"""What producers send: native batches of three events, and envelopes as Sentry's SDKs make them.

Every event carries the case's label where the database keeps it apart: as page, as name, as type of an exception.
"""

import json
import random
import time
import uuid
from datetime import UTC, datetime
from typing import NamedTuple

from tests.chaos.history import Item, Protocol, bare_id

#: Different pages, names and issues of a case, so that partitions and aggregates have company.
VARIANTS = 24
_FRAMES = 6  # with them an envelope has about 2 KB, as a small report of an SDK


class Body(NamedTuple):
    """A request to send."""

    protocol: Protocol
    data: bytes
    items: list[Item]


class Bodies:
    """Makes requests of one case, the same ones for a seed but for ids and times."""

    def __init__(self, label: str, public_key: str, seed: int) -> None:
        """`label` is a word of letters, digits and dashes."""
        self._label = label
        self._public_key = public_key
        self._random = random.Random(seed)

    def next(self) -> Body:
        """As many native ones as envelopes."""
        variant = self._random.randrange(VARIANTS)
        return self._native(variant) if self._random.random() < 0.5 else self._envelope(variant)

    def _native(self, variant: int) -> Body:
        page, name = f"{self._label}/{variant}", f"{self._label}-{variant}"
        ids = [str(uuid.uuid4()) for _ in range(3)]
        events = [
            {"type": "page_view", "id": ids[0], "page": page, "title": "Chaos", "session_id": ids[0]},
            {
                "type": "metric", "id": ids[1], "page": page, "name": "LCP",
                "value": round(self._random.uniform(200, 5_000), 1), "unit": "ms",
            },
            {"type": "event", "id": ids[2], "name": name, "properties": {"plan": "team", "seats": variant}},
        ]  # fmt: skip
        items = [
            Item("page_view", bare_id(ids[0])), Item("metric", bare_id(ids[1])), Item("event", bare_id(ids[2]))
        ]  # fmt: skip
        return Body("native", json.dumps(events).encode(), items)

    def _envelope(self, variant: int) -> Body:
        id = uuid.uuid4().hex
        event = {
            "event_id": id,
            "timestamp": time.time(),
            "platform": "python",
            "level": "error",
            "release": "shop@1.4.2",
            "environment": "production",
            "transaction": f"/{self._label}/{variant}",
            "fingerprint": [self._label, str(variant)],
            "exception": {
                "values": [
                    {
                        "type": self._label,
                        "value": f"no more seats on plan {variant}",
                        "mechanism": {"type": "wsgi", "handled": False},
                        "stacktrace": {"frames": [_frame(number) for number in range(_FRAMES)]},
                    }
                ]
            },
            "sdk": {"name": "sentry.python", "version": "2.75.0"},
        }
        payload = json.dumps(event).encode()
        head = {
            "event_id": id,
            "sent_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "trace": {"public_key": self._public_key, "environment": "production"},
        }
        item = {"type": "event", "content_type": "application/json", "length": len(payload)}
        lines = [json.dumps(head).encode(), json.dumps(item).encode(), payload, b""]
        return Body("sentry", b"\n".join(lines), [Item("error", id)])


def _frame(number: int) -> dict[str, object]:
    return {
        "filename": f"shop/orders/step_{number}.py",
        "function": f"reserve_{number}",
        "module": f"shop.orders.step_{number}",
        "lineno": 40 + number,
        "in_app": number > 1,
        "context_line": "        raise SeatsTaken(plan)"
        if number == _FRAMES - 1
        else "    return step(order)",
        "vars": {"order": f"<Order {number}>", "attempt": str(number)},
    }
