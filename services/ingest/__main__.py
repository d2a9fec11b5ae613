"""`python -m services.ingest`: settings, the address, then one process that serves, or several."""

import asyncio
import socket
import sys

import uvloop

from services.ingest import workers
from services.ingest.settings import IngestSettings
from services.ingest.worker import serve
from shared import logs
from shared.errors import ConfigurationError, SignalboxError
from shared.settings import load


def main() -> None:
    """Run until told to stop. Exits 1, with one line that says why, when it cannot start."""
    try:
        settings = load(IngestSettings)
        logs.configure("ingest", level=settings.log_level, format=settings.log_format)
        with _bind(settings) as listener:
            if settings.ingest_workers > 1:
                workers.run(settings, listener)
                return
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(serve(settings, listener))
    except SignalboxError as error:
        sys.exit(f"ingest: {error}")
    except KeyboardInterrupt:
        sys.exit("ingest: interrupted before it was ready")


def _bind(settings: IngestSettings) -> socket.socket:
    """The address, taken before anything else is tried. Raises ConfigurationError when it cannot be had."""
    where = f"{settings.host}:{settings.ingest_port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.ingest_port, type=socket.SOCK_STREAM
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {where} ({error.strerror}); SIGNALBOX_HOST and SIGNALBOX_INGEST_PORT move it"
        ) from error
    return listener


if __name__ == "__main__":
    main()
