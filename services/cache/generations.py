"""What was forgotten, and when, counted in invalidations instead of seconds.

Each invalidation starts a generation and leaves tombstones: surrogate key -> generation. What was read from its
source in generation n is valid while none of its surrogate keys has a later tombstone. So forgetting a million
entries costs one number, and a slow fill that began before an invalidation gives itself away, whenever it ends.
`lua/` has the same rule for Redis.
"""

from collections.abc import Iterable


class Generations:
    """The tombstones of one process, bounded by forgetting everything when there are too many."""

    def __init__(self, tombstones_max: int) -> None:
        self.current = 0
        self._tombstones: dict[str, int] = {}
        self._tombstones_max = tombstones_max
        #: Whatever is older than this is forgotten, whatever it is called.
        self._floor = 0

    def forget(self, surrogates: Iterable[str]) -> None:
        """Make everything invalid that has one of these names now."""
        self.current += 1
        for name in surrogates:
            self._tombstones[name] = self.current
        if len(self._tombstones) > self._tombstones_max:
            self._raise_floor()

    def forget_everything(self) -> None:
        """Make everything invalid that exists now."""
        self.current += 1
        self._raise_floor()

    def forgotten(self, surrogates: Iterable[str], *, since: int) -> bool:
        """Whether something with these names, read in generation `since`, is invalid now."""
        if since == self.current:
            return False
        if since < self._floor:
            return True
        tombstones = self._tombstones
        return any(tombstones.get(name, 0) > since for name in surrogates)

    def _raise_floor(self) -> None:
        self._floor = self.current
        self._tombstones.clear()
