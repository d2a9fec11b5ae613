"""Ingest: events a second, each answered after Apache Kafka has it (acks=all, idempotent), over peers and limits.

The server has one core to itself; wrk and the broker have the others. Ours and its peer take turns, window by window.
"""

import sys
from collections.abc import Callable

from bench import stack
from bench.bench import Bench
from bench.install import PeerMissing, gateway, node
from bench.producer import producing
from bench.report import Report, versions_of
from bench.runs import Cores, Runs, Window
from bench.wrk import WrkMissing, program

_BROKER_WARM_UP_S = 10.0  # the JVM compiles what is hot; before, each request takes it five times as long

#: What was promised, and no case measures.
_NOT_MEASURED = {
    "errors_end_to_end_vs_bugsink": "no case runs Bugsink and the stream processor side by side",
    "shedding_p99": "the p99 of accepted requests while others are refused is not measured",
}

Case = Callable[[Bench, str], None]


def run(runs: Runs) -> Report:
    """All cases. Raises LocalStackError when the stack or a server of ours does not start."""
    report = Report("ingest", runs.count, versions_of("aiokafka", "fastapi", "msgspec", "uvicorn", "uvloop"))
    report.missing.update(_NOT_MEASURED)
    try:
        program()
    except WrkMissing as error:
        report.missing["wrk"] = str(error)
        return report
    cores = Cores.of_the_machine()
    with stack.running(runs.folder, cores.others) as kafka:
        bench = Bench(runs, cores, kafka, report)
        with bench.running():
            bench.load(bench.ingest(), "/v1/events", bench.single)(_BROKER_WARM_UP_S)
        for name, case in CASES.items():
            if runs.wants(name):
                print(f"{name} ...", file=sys.stderr, flush=True)
                try:
                    with bench.running():
                        case(bench, name)
                except PeerMissing as missing:
                    report.missing[name] = str(missing)
    return report


def single_vs_bare_204(bench: Bench, case: str) -> None:
    """Over the same uvicorn, that reads the body and answers an empty 204."""
    bare = bench.load(bench.python_peer("bare_204"), "/", bench.single, key=False)
    bench.compare(case, _single(bench), "uvicorn, empty 204", bare, "requests/s")


def batch20_vs_send(bench: Bench, case: str) -> None:
    """Over the records that ingest makes of the same events, with their keys and headers; and over their values."""
    ours = _batch20(bench)
    same = producing(bench, bench.batch, "full")
    bench.compare(case, ours, "AIOKafkaProducer.send, same records", same, "events/s")
    values = producing(bench, bench.batch, "plain")
    bench.compare(
        f"{case}_of_values", ours, "AIOKafkaProducer.send, values alone", values, "events/s", ratio=False
    )


def single_vs_plain_fastapi(bench: Bench, case: str) -> None:
    """Over the idiomatic service; and the same for batches of 20."""
    plain = bench.python_peer("plain_fastapi")
    peer = "FastAPI, pydantic, send_and_wait"
    bench.compare(
        case, _single(bench), peer, bench.load(plain, "/v1/event", bench.single, key=False), "requests/s"
    )
    batches = bench.load(plain, "/v1/events", bench.batch, events=20, key=False)
    bench.compare("batch20_vs_plain_fastapi", _batch20(bench), peer, batches, "events/s", ratio=False)


def two_workers_vs_one(bench: Bench, case: str) -> None:
    """On all cores, which load and broker share with the server."""
    two = bench.load(bench.ingest(workers=2, everywhere=True), "/v1/events", bench.single)
    one = bench.load(bench.ingest(everywhere=True), "/v1/events", bench.single)
    bench.compare(case, two, "one worker", one, "requests/s")


def spool_vs_normal(bench: Bench, case: str) -> None:
    """With Kafka stopped, and every 202 after an fdatasync; over the same server before that."""
    server = bench.ingest()
    load = bench.load(server, "/v1/events", bench.single)
    normal = bench.alone(load)
    with bench.kafka.frozen():
        bench.wait_for_spool(server)
        spooled = bench.alone(load)
    bench.add(case, spooled, "Kafka answers", normal, "requests/s")


def shedding_vs_bare_204(bench: Bench, case: str) -> None:
    """503s to what is over the limit of bytes in flight, over an empty 204."""
    full = bench.ingest(limits={"SIGNALBOX_IN_FLIGHT_BYTES_MAX": "2048"})
    shed = bench.load(full, "/v1/events", bench.single, connections=256, refused=True)
    bare = bench.load(bench.python_peer("bare_204"), "/", bench.single, key=False, connections=256)
    bench.compare(case, shed, "uvicorn, empty 204", bare, "requests/s")


def single_vs_fastify(bench: Bench, case: str) -> None:
    """Over Node: fastify with a JSON schema, kafkajs; one send a request, and acknowledgements shared as ours are."""
    command = node(bench.runs.folder)
    for name, mode in ((case, ""), (f"{case}_shared", "shared")):
        server = bench.peer(f"fastify{mode}", command, {"MODE": mode})
        peer = f"fastify, kafkajs{', shared acks' if mode else ''}"
        singles = bench.load(server, "/v1/event", bench.single, key=False)
        bench.compare(name, _single(bench), peer, singles, "requests/s", ratio=False)
        batches = bench.load(server, "/v1/events", bench.batch, events=20, key=False)
        batch = name.replace("single", "batch20")
        bench.compare(batch, _batch20(bench), peer, batches, "events/s", ratio=False)


def single_vs_go(bench: Bench, case: str) -> None:
    """Over the compiled ceiling, on one core as well: fasthttp, franz-go."""
    server = bench.peer("gateway", gateway(bench.runs.folder), {"GOMAXPROCS": "1"})
    singles = bench.load(server, "/v1/events", bench.single, key=False)
    bench.compare(case, _single(bench), "fasthttp, franz-go", singles, "requests/s", ratio=False)
    batches = bench.load(server, "/v1/events", bench.batch, events=20, key=False)
    bench.compare("batch20_vs_go", _batch20(bench), "fasthttp, franz-go", batches, "events/s", ratio=False)


CASES: dict[str, Case] = {
    case.__name__: case
    for case in (
        single_vs_bare_204,
        batch20_vs_send,
        single_vs_plain_fastapi,
        spool_vs_normal,
        two_workers_vs_one,
        shedding_vs_bare_204,
        single_vs_fastify,
        single_vs_go,
    )
}


def _single(bench: Bench) -> Window:
    return bench.load(bench.ingest(), "/v1/events", bench.single)


def _batch20(bench: Bench) -> Window:
    return bench.load(bench.ingest(), "/v1/events", bench.batch, events=20)
