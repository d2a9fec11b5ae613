"""The HTTP API of the jobs service, and the console."""

from fastapi import FastAPI

from services.jobs.api import background_jobs, console, dead_letters, jobs, schedules, stored
from services.jobs.api.services import Services
from services.jobs.publisher import Publisher
from services.jobs.runner import Runner
from services.jobs.settings import JobsSettings
from services.jobs.store.database import Database
from shared import http


def create_app(settings: JobsSettings, database: Database, publisher: Publisher, runner: Runner) -> FastAPI:
    """The app; everything that routes need is in its state."""
    app = FastAPI(
        title="signalbox jobs",
        version="1",
        description="Background jobs, and what the stream processor stored. Whoever changes something shows the secret key.",
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = Services(settings, database, publisher, runner)
    http.install(app, service="jobs", checks={"postgres": database.ping, "kafka": publisher.ping})
    app.include_router(background_jobs.router)
    app.include_router(jobs.router)
    app.include_router(dead_letters.router)
    app.include_router(schedules.router)
    app.include_router(stored.router)
    app.include_router(console.router)
    return app
