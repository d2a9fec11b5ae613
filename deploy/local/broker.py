"""Which broker runs as `kafka`: Apache Kafka where it can be had, else the embedded one, and why."""

from typing import cast

from deploy.local.embedded_broker import CANNOT_PROMISE, EmbeddedBroker
from deploy.local.errors import MissingTool
from deploy.local.kafka import Kafka
from deploy.local.kafka_jars import KafkaJars
from deploy.local.process import Running
from deploy.local.server import Say
from deploy.local.settings import Broker, Settings
from deploy.local.state import State


def choose(asked: Broker, problem: str | None) -> tuple[Broker, str]:
    """The broker to take and why; `problem` is what keeps Apache Kafka from running here.

    Raises MissingTool when Apache Kafka is asked for and cannot be had.
    """
    if asked == "embedded":
        return "embedded", "BROKER=embedded asks for it"
    if problem is None:
        return "apache", "it can run here"
    if asked == "apache":
        raise MissingTool(
            f"BROKER=apache cannot be done: {problem} (BROKER=embedded needs neither Java nor Maven)"
        )
    return "embedded", problem


def select(settings: Settings, state: State, say: Say) -> Kafka | EmbeddedBroker:
    """The broker of this stack, with everything fetched that it needs. Raises MissingTool."""
    jars = KafkaJars(state, settings.environ)
    before = Running.read(state.run / "kafka.json")
    # A broker that died is followed by one of its kind: the services were told which it is.
    asked = cast(Broker, settings.broker or (before.kind if before else ""))
    kind, reason = choose(asked, jars.problem())
    if kind == "apache":
        try:
            jars.fetch(say)
        except MissingTool as error:
            kind, reason = choose(asked, str(error))
    if kind == "embedded" and not (before and before.is_alive()):
        because = reason if settings.broker or not before else "it was one before (make down to choose anew)"
        say(f"kafka       embedded broker, because {because}: {CANNOT_PROMISE}")
    return build(kind, settings, state, jars)


def build(
    kind: str, settings: Settings, state: State, jars: KafkaJars | None = None
) -> Kafka | EmbeddedBroker:
    """The broker of that kind, as `make down` needs it too: nothing is fetched or looked for."""
    port = settings.ports.port("kafka")
    if kind == "embedded":
        return EmbeddedBroker(state, port, settings.environ)
    return Kafka(
        state=state,
        port=port,
        controller=settings.ports.port("kafka_controller"),
        jars=jars or KafkaJars(state, settings.environ),
        environ=settings.environ,
    )
