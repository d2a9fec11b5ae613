"""L1 beside a model that looks at every entry."""

from hypothesis import given
from hypothesis import strategies as st

from services.cache.entry import Entry
from services.cache.memory import Memory

NAMES = ("a", "b", "c", "d")


class Timer:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def memory(
    timer: Timer, *, entries_max: int = 100, bytes_max: int = 1_000_000, tombstones_max: int = 100
) -> Memory:
    return Memory(
        entries_max=entries_max, bytes_max=bytes_max, fresh_s=3, tombstones_max=tombstones_max, timer=timer
    )


def entry(body: bytes = b"{}", names: tuple[str, ...] = ("a",)) -> Entry:
    return Entry(body, 'W/"1"', names)


@given(
    tombstones_max=st.integers(1, 8),
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.sampled_from(NAMES), st.integers(0, 5)),
            st.tuples(st.just("forget"), st.sampled_from(NAMES), st.just(0)),
            st.tuples(st.just("wait"), st.just(""), st.integers(1, 10)),
        ),
        max_size=40,
    ),
)
def test_what_was_forgotten_or_is_over_is_never_returned(
    tombstones_max: int, steps: list[tuple[str, str, int]]
) -> None:
    """Each put was read from its source `age` invalidations ago: an invalidation since then makes it void."""
    timer = Timer()
    cache = memory(timer, tombstones_max=tombstones_max)
    invalidations: list[str] = []
    puts: dict[bytes, tuple[str, int, float]] = {}
    for number, (what, name, amount) in enumerate(steps):
        if what == "put":
            read_at = max(0, len(invalidations) - amount)
            puts[b"%d" % number] = (name, read_at, timer.now + 20)
            cache.put(name, entry(b"%d" % number, (name, "all")), ttl_s=20, generation=read_at)
        elif what == "forget":
            invalidations.append(name)
            cache.forget([name])
        else:
            timer.now += amount
        for key in NAMES:
            held = cache.get(key)
            if held is not None:
                name, read_at, expires_at = puts[held.entry.body]
                assert name == key
                assert name not in invalidations[read_at:]
                assert timer.now < expires_at


def test_what_was_not_forgotten_is_returned_until_its_time_is_over() -> None:
    timer = Timer()
    cache = memory(timer)
    cache.put("a", entry(names=("a",)), ttl_s=20, generation=0)
    cache.forget(["b", "c"])
    timer.now = 19.9
    held = cache.get("a")
    assert held is not None
    assert round(held.ttl_s(timer.now), 3) == 0.1
    timer.now = 20.0
    assert cache.get("a") is None


def test_one_tombstone_too_many_forgets_everything_rather_than_anything_too_little() -> None:
    cache = memory(Timer(), tombstones_max=2)
    cache.put("a", entry(), ttl_s=20, generation=0)
    cache.forget(["x", "y", "z"])
    assert cache.get("a") is None
    assert cache.forgotten(["a"], since=0)
    cache.put("a", entry(), ttl_s=20, generation=cache.generation)
    assert cache.get("a") is not None


def test_the_least_recently_used_leave_when_there_are_too_many_entries() -> None:
    cache = memory(Timer(), entries_max=2)
    for name in ("a", "b"):
        cache.put(name, entry(names=(name,)), ttl_s=20, generation=0)
    cache.get("a")
    cache.put("c", entry(names=("c",)), ttl_s=20, generation=0)
    assert [cache.get(name) is not None for name in NAMES[:3]] == [True, False, True]
    assert cache.entries == 2


def test_the_bytes_are_bounded_and_what_is_larger_than_all_of_them_is_not_held() -> None:
    cache = memory(Timer(), bytes_max=10_000)
    for number in range(20):
        cache.put(f"k{number}", entry(b"x" * 2000, (f"k{number}",)), ttl_s=20, generation=0)
    assert cache.bytes <= 10_000
    assert cache.get("k19") is not None
    cache.put("big", entry(b"x" * 20_000, ("big",)), ttl_s=20, generation=0)
    assert cache.get("big") is None


def test_forgetting_everything_covers_fills_under_way() -> None:
    cache = memory(Timer())
    began = cache.generation
    cache.forget_everything()
    cache.put("a", entry(), ttl_s=20, generation=began)
    assert cache.get("a") is None
