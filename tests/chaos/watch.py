"""What ingest says of itself, and how much memory it has, several times a second: its spool, its breaker, its size."""

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from deploy.local import process
from tests.chaos.site import Keeper

_SAMPLE_S = 0.1
#: Walking through all processes costs some milliseconds.
_MEMORY_S = 0.5
_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Sample:
    """One look at ingest; numbers as in its metrics."""

    #: Seconds of the monotonic clock.
    at: float
    pid: int
    spool_bytes: float
    spool_records: float
    breaker_state: float
    spooled: float
    replayed: float
    dropped: float
    #: Seconds of CPU since its start.
    cpu_s: float = 0.0

    @property
    def is_live(self) -> bool:
        """Records go straight to Kafka, and it lacks none."""
        return self.breaker_state == 0 and self.spool_bytes == 0


class Watch:
    """Samples in a thread, from `start` to `stop`."""

    def __init__(self, keeper: Keeper, url: str) -> None:
        self.samples: list[Sample] = []
        #: Of each process, in the order of time: its memory in bytes, descendants included.
        self.memory: dict[int, list[int]] = {}
        self._keeper = keeper
        self._url = f"{url}/metrics"
        self._stopping = threading.Event()
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def last(self) -> Sample | None:
        """The newest sample."""
        return self.samples[-1] if self.samples else None

    def wait_until_live(self, within_s: float) -> bool:
        """Return when a look from now on finds ingest live; says whether that was in time."""
        began = time.monotonic()
        while time.monotonic() < began + within_s:
            newest = self.last()
            if newest is not None and newest.at > began and newest.is_live:
                return True
            time.sleep(_SAMPLE_S / 2)
        return False

    def memory_growth_bytes(self) -> int:
        """The most that a process had above what it had when it was first seen."""
        return max((max(sizes) - sizes[0] for sizes in self.memory.values() if sizes), default=0)

    def cpu_share(self) -> float:
        """How much of a core ingest had, from the first sample of each process to its last one."""
        spans: dict[int, list[Sample]] = {}
        for sample in self.samples:
            spans.setdefault(sample.pid, []).append(sample)
        wall_s = sum(span[-1].at - span[0].at for span in spans.values())
        return sum(span[-1].cpu_s - span[0].cpu_s for span in spans.values()) / wall_s if wall_s else 0.0

    def _run(self) -> None:
        measured_at = 0.0
        while not self._stopping.wait(_SAMPLE_S):
            running = self._keeper.running()
            if running is None:
                continue
            sample = self._look(running.pid)
            if sample is None:
                continue
            self.samples.append(sample)
            if sample.at > measured_at + _MEMORY_S and (size := process.memory_bytes(running.pid)):
                measured_at = sample.at
                self.memory.setdefault(running.pid, []).append(size)

    def _look(self, pid: int) -> Sample | None:
        at = time.monotonic()
        try:
            with self._opener.open(self._url, timeout=_TIMEOUT_S) as response:
                text = response.read().decode()
        except (OSError, urllib.error.URLError):  # it is down
            return None
        values: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for one in family.samples:
                values[one.name] = values.get(one.name, 0.0) + one.value

        def value(name: str) -> float:
            return values.get(f"signalbox_ingest_{name}", 0.0)

        return Sample(
            at,
            pid,
            value("spool_bytes"),
            value("spool_records"),
            value("breaker_state"),
            value("spooled_total"),
            value("replayed_total"),
            value("dropped_total"),
            values.get("process_cpu_seconds_total", 0.0),
        )


def replay_rate(samples: Sequence[Sample]) -> float:
    """Records a second, from the last sample before the replay began to the first one in which it was done.

    It lies at most two samples below the truth. 0 when there was no replay, or it did not end.
    """
    for index in range(1, len(samples)):
        before = samples[index - 1]
        if samples[index].pid == before.pid and samples[index].replayed > before.replayed:
            for end in samples[index:]:
                if end.pid != before.pid:
                    break
                if end.is_live:
                    return (end.replayed - before.replayed) / (end.at - before.at)
    return 0.0
