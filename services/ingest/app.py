"""The ingest service, put together."""

from services.ingest import hot, library, openapi, routes
from services.ingest.accept import Acceptor
from services.ingest.cors import Cors
from services.ingest.keys import Keyring
from services.ingest.otlp import routes as otlp
from services.ingest.publisher import Publisher
from services.ingest.receive import Receiver
from services.ingest.sentry import routes as sentry
from services.ingest.settings import IngestSettings
from shared import http
from shared import metrics as shared_metrics
from shared.clock import Clock
from shared.hotpath import HotApp


def create_app(
    settings: IngestSettings, publisher: Publisher, clock: Clock, keyring: Keyring | None = None
) -> HotApp:
    """The ASGI app; whoever calls this starts and stops the publisher, and watches the keyring."""
    keyring = keyring or Keyring(settings)
    receiver, acceptor = Receiver(settings, clock, keyring), Acceptor(items_max=settings.batch_events_max)
    app = HotApp(
        title="signalbox ingest",
        version="1",
        docs_url=None,  # their pages load scripts from a CDN; the document itself is at /openapi.json
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(routes.build(receiver, acceptor, publisher))
    app.include_router(sentry.build(receiver, publisher, settings))
    app.include_router(otlp.build(receiver, publisher, settings))
    app.include_router(library.build())
    app.openapi = openapi.documents(app)  # type: ignore[method-assign]  # how FastAPI documents it
    app.add_middleware(Cors, keyring=keyring)
    http.install(app, service="ingest", checks={"kafka": publisher.check})
    app.install_hot(
        hot.build(acceptor, receiver, publisher, settings, clock), shared_metrics.http_metrics("ingest")
    )
    return app
