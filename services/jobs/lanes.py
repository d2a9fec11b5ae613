"""Which waiting hint is next: four lanes, weighted, so that urgent work goes first and none starves. Pure."""

from collections import deque

from shared.contracts.jobs import JobHint, Lane

#: Of 15 turns that every lane could use, how many each gets; p3 keeps 1 in 15 under any load.
WEIGHTS = {Lane.P0: 8, Lane.P1: 4, Lane.P2: 2, Lane.P3: 1}


class Lanes:
    """Hints that wait in this worker, bounded by lane."""

    def __init__(self, *, hints_max: int) -> None:
        self._hints_max = hints_max
        self._waiting: dict[Lane, deque[JobHint]] = {lane: deque() for lane in Lane}
        self._credit = dict.fromkeys(Lane, 0)

    def room(self, lane: Lane) -> int:
        """How many more hints a lane takes."""
        return self._hints_max - len(self._waiting[lane])

    def add(self, lane: Lane, hint: JobHint) -> None:
        """Put a hint at the end of its lane."""
        self._waiting[lane].append(hint)

    def take(self, count: int, *, urgent_only: bool = False) -> list[JobHint]:
        """Up to `count` hints, by smooth weighted round robin over the lanes that have any."""
        taken: list[JobHint] = []
        lanes = (Lane.P0,) if urgent_only else tuple(Lane)
        while len(taken) < count:
            ready = [lane for lane in lanes if self._waiting[lane]]
            if not ready:
                break
            for lane in ready:
                self._credit[lane] += WEIGHTS[lane]
            best = max(ready, key=lambda lane: (self._credit[lane], -lane))
            self._credit[best] -= sum(WEIGHTS[lane] for lane in ready)
            taken.append(self._waiting[best].popleft())
        return taken

    def __len__(self) -> int:
        return sum(len(waiting) for waiting in self._waiting.values())
