"""The ingest service, put together."""

from fastapi import FastAPI

from services.ingest import library, openapi, routes
from services.ingest.accept import Acceptor
from services.ingest.cors import Cors
from services.ingest.publisher import Publisher
from services.ingest.receive import Receiver
from services.ingest.settings import IngestSettings
from shared import http
from shared.clock import Clock


def create_app(settings: IngestSettings, publisher: Publisher, clock: Clock) -> FastAPI:
    """The ASGI app; whoever calls this starts and stops the publisher."""
    app = FastAPI(
        title="signalbox ingest",
        version="1",
        docs_url=None,  # their pages load scripts from a CDN; the document itself is at /openapi.json
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(
        routes.build(Receiver(settings, clock), Acceptor(items_max=settings.batch_events_max), publisher)
    )
    app.include_router(library.build())
    app.openapi = openapi.documents(app)  # type: ignore[method-assign]  # how FastAPI documents it
    app.add_middleware(Cors)
    http.install(app, service="ingest", checks={"kafka": publisher.check})
    return app
