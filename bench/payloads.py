"""What is sent: 256 different bodies of each kind, the same in every run."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

_BODIES = 256
_PAGES = ["/", "/items/:id", "/cart", "/checkout", "/search", "/account/orders", "/help/:topic"]
_DEVICES = ["mobile", "tablet", "desktop"]
_VITALS = {"LCP": 2_500.0, "INP": 200.0, "CLS": 0.1, "FCP": 1_800.0, "TTFB": 800.0}
_NOW = "2026-11-23T12:00:00.000Z"

Body = Callable[[random.Random], Any]


def page_view(chance: random.Random) -> dict[str, Any]:
    """About 300 bytes."""
    page, item = chance.choice(_PAGES), chance.randrange(10**6)
    return {
        "type": "page_view",
        "timestamp": _NOW,
        "session_id": f"{chance.getrandbits(64):016x}",
        "page": page,
        "url": f"https://shop.example.com/items/{item}?utm_source=newsletter",
        "title": f"Item {item} - The Example Shop",
        "referrer": "https://www.example.org/search?q=item",
        "device": chance.choice(_DEVICES),
        "release": "web@4.7.1",
    }


def vital(chance: random.Random) -> dict[str, Any]:
    """About 200 bytes: what a browser measured."""
    name = chance.choice(list(_VITALS))
    return {
        "type": "metric",
        "timestamp": _NOW,
        "name": name,
        "value": round(_VITALS[name] * chance.lognormvariate(0, 0.5), 3),
        "unit": "" if name == "CLS" else "ms",
        "metric_id": f"v5-{chance.getrandbits(48)}",
        "session_id": f"{chance.getrandbits(64):016x}",
        "page": chance.choice(_PAGES),
        "device": chance.choice(_DEVICES),
    }


def vitals(chance: random.Random) -> list[dict[str, Any]]:
    """A batch of 20."""
    return [vital(chance) for _ in range(20)]


def write(kind: Body, folder: Path) -> Path:
    """A file with one body a line."""
    chance = random.Random(kind.__name__)
    path = folder / f"{kind.__name__}.jsonl"
    path.write_text("".join(json.dumps(kind(chance), separators=(",", ":")) + "\n" for _ in range(_BODIES)))
    return path
