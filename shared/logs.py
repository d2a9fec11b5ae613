"""Logs: structlog, one JSON object a line on standard output, or coloured lines for people.

The standard library's loggers (uvicorn, aiokafka, faust) are sent through the same pipe, so a service's output
is one format. Payloads, keys and personal data are never logged; ids are.
"""

import logging
import sys
import time
from typing import Literal

import structlog

REPEAT_INTERVAL_S = 5.0
_REPEATS_KEPT = 1_000  # messages with text of their own in them are never repeated; this bounds what is kept


def configure(service: str, *, level: str = "info", format: Literal["json", "console"] = "json") -> None:
    """Set up logging for a process; called once by `__main__`."""
    shared_steps: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if format == "json" else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[*shared_steps, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared_steps,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(_Repeats())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("aiokafka", "faust", "mode", "httpx", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(service=service)


class _Repeats(logging.Filter):
    """Lets a library say one thing once in REPEAT_INTERVAL_S: aiokafka writes 40 lines a second while Kafka is away.

    Our own events always pass; they come through structlog as dictionaries.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said_at: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not isinstance(record.msg, str):
            return True
        said = (record.name, record.msg)
        now = time.monotonic()
        if now - self._said_at.get(said, -REPEAT_INTERVAL_S) < REPEAT_INTERVAL_S:
            return False
        if len(self._said_at) >= _REPEATS_KEPT:
            self._said_at.clear()
        self._said_at[said] = now
        return True


def get(name: str) -> structlog.stdlib.BoundLogger:
    """A logger; its first argument is the event in snake_case, everything else is a keyword."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger
