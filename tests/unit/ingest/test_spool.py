"""The spool on a real disk: what was acknowledged is read back, whatever happened to the files meanwhile."""

import asyncio
import os
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from services.ingest.spool import Spool, Spooled, SpoolFull, Walk, frames
from shared.errors import ConfigurationError

RECORDS = st.builds(
    Spooled,
    st.text(max_size=20),
    st.binary(max_size=20),
    st.binary(max_size=300),
    st.lists(st.tuples(st.text(max_size=10), st.binary(max_size=10)), max_size=3),
    st.integers(0, 2**53),
)
ROOMY = 10_000_000


def record(number: int, *, size: int = 0) -> Spooled:
    return Spooled("topic", b"key", b"%d" % number + b"." * size, [("ce_id", b"id")], 1_000 + number)


def corrupt() -> float:
    return REGISTRY.get_sample_value("signalbox_ingest_spool_corrupt_total") or 0


@asynccontextmanager
async def opened(folder: Path, *, bytes_max: int = ROOMY) -> AsyncIterator[Spool]:
    spool = Spool(folder, bytes_max=bytes_max)
    await spool.open()
    try:
        yield spool
    finally:
        await spool.close()


async def fill(folder: Path, *commits: list[Spooled]) -> Path:
    """Append each list in a commit of its own, as a process that then dies; the only file."""
    async with opened(folder) as spool:
        for commit in commits:
            await spool.append(commit)
    [path] = [path for path in files(folder) if path.suffix == ".log"]
    return path


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


async def read_all(spool: Spool, *, finish: bool = False) -> list[Spooled]:
    walk, found = Walk(spool), []
    while chunk := await walk.next():
        found += chunk.records
        if finish:
            await walk.finish([chunk])
    return found


@given(st.lists(RECORDS, max_size=20))
def test_records_are_read_as_they_were_written(records: list[Spooled]) -> None:
    data = b"".join(map(frames.encode, records))
    assert [found.record for found in frames.read(data)] == records


@given(st.lists(RECORDS, max_size=5), RECORDS)
@settings(max_examples=20)
def test_a_tail_torn_anywhere_costs_only_the_last_record(records: list[Spooled], last: Spooled) -> None:
    whole, tail = b"".join(map(frames.encode, records)), frames.encode(last)
    for kept in range(len(tail)):
        found = list(frames.read(whole + tail[:kept]))
        assert [each.record for each in found] == records
        assert (found[-1].end if found else 0) == len(whole)


@given(st.lists(RECORDS, min_size=3, max_size=8), st.data())
def test_damaged_bytes_cost_only_the_records_that_they_are_in(
    records: list[Spooled], data: st.DataObject
) -> None:
    encoded = list(map(frames.encode, records))
    hit = data.draw(st.integers(0, len(records) - 2))
    at = data.draw(st.integers(0, len(encoded[hit]) - 1))
    flipped = encoded[hit][at] ^ data.draw(st.integers(1, 255))
    encoded[hit] = encoded[hit][:at] + bytes([flipped]) + encoded[hit][at + 1 :]
    found = list(frames.read(b"".join(encoded)))
    assert [each.record for each in found if each.record] == records[:hit] + records[hit + 1 :]
    assert sum(each.record is None for each in found) == 1


@given(cut=st.integers(1, 200))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_torn_file_is_cut_and_what_is_whole_adopted(tmp_path: Path, cut: int) -> None:
    async def scenario() -> None:
        folder = tmp_path / str(cut)
        path = await fill(folder, [record(1), record(2)], [record(3, size=200)])
        os.truncate(path, path.stat().st_size - cut)
        async with opened(folder) as spool:
            assert spool.records == 2
            assert await read_all(spool, finish=True) == [record(1), record(2)]
        assert not files(folder)

    asyncio.run(scenario())


async def test_what_a_crashed_process_left_is_adopted_with_its_progress(tmp_path: Path) -> None:
    big = [record(n, size=100_000) for n in range(8)]
    await fill(tmp_path, big)
    async with opened(tmp_path) as spool:
        walk = Walk(spool)
        first = await walk.next()
        assert first is not None
        await walk.finish([first])
    async with opened(tmp_path) as spool:
        assert await read_all(spool, finish=True) == big[len(first.records) :]
        assert (spool.bytes_held, spool.records) == (0, 0)
    assert not files(tmp_path)


async def test_the_files_of_a_running_process_are_left_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as running:
        await running.append([record(1)])
        async with opened(tmp_path) as other:
            assert await read_all(other) == []
            await other.append([record(2)])
        assert await read_all(running) == [record(1)]


async def test_a_damaged_file_is_read_past_the_damage_and_that_is_counted(tmp_path: Path) -> None:
    path = await fill(tmp_path, [record(1)], [record(2)], [record(3)])
    frame = len(frames.encode(record(1)))
    with path.open("r+b") as file:
        file.seek(frame + frame // 2)
        file.write(b"\xff\xff\xff")
    before = corrupt()
    async with opened(tmp_path) as spool:
        assert await read_all(spool, finish=True) == [record(1), record(3)]
        assert spool.bytes_held == 0
    assert corrupt() == before + 1


async def test_progress_that_was_half_written_is_not_believed(tmp_path: Path) -> None:
    path = await fill(tmp_path, [record(1)])
    path.with_suffix(".done").write_bytes(b"\x40\0\0\0\0\0\0\0\x12\x34\x56\x78")
    async with opened(tmp_path) as spool:
        assert await read_all(spool) == [record(1)]


async def test_appends_that_come_together_share_commits_and_keep_their_order(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        commits = [spool.append([record(n)]) for n in range(500)]
        assert len(set(map(id, commits))) == 1
        await asyncio.gather(*map(asyncio.shield, commits))
        assert await read_all(spool) == [record(n) for n in range(500)]


async def test_a_full_spool_refuses_at_once_and_takes_again_what_was_freed(tmp_path: Path) -> None:
    async with opened(tmp_path, bytes_max=1_000) as spool:
        await spool.append([record(1, size=900)])
        with pytest.raises(SpoolFull):
            spool.append([record(2, size=900)])
        await read_all(spool, finish=True)
        await spool.append([record(3, size=900)])
        assert await read_all(spool) == [record(3, size=900)]


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """The kernel refuses to let files grow beyond `size`, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_refuses_and_harms_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        await spool.append([record(1)])
        with files_end_at(100_000):
            refused = spool.append([record(2, size=200_000)])
            with pytest.raises(SpoolFull):
                await refused
        assert not spool.accepts()
        await spool.append([record(3)])
        assert await read_all(spool) == [record(1), record(3)]
    async with opened(tmp_path) as spool:
        assert await read_all(spool, finish=True) == [record(1), record(3)]


async def test_a_folder_that_cannot_be_used_is_said_at_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="SIGNALBOX_INGEST_SPOOL_DIR moves it"):
        await Spool(tmp_path / "file", bytes_max=ROOMY).open()
