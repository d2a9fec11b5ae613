"""The work itself: one module a job type, and the table that names them."""

from collections.abc import Mapping
from typing import Any

from services.jobs.handlers import (
    cleanup_old_data,
    generate_report,
    send_email_batch,
    send_notification,
    update_statistics,
)
from services.jobs.handlers.contract import Handler
from shared.contracts.jobs import JobType

HANDLERS: Mapping[JobType, Handler[Any]] = {
    JobType.SEND_NOTIFICATION: send_notification.HANDLER,
    JobType.GENERATE_REPORT: generate_report.HANDLER,
    JobType.CLEANUP_OLD_DATA: cleanup_old_data.HANDLER,
    JobType.UPDATE_STATISTICS: update_statistics.HANDLER,
    JobType.SEND_EMAIL_BATCH: send_email_batch.HANDLER,
}

#: Attempts of a job whose request names no number, by type.
MAX_ATTEMPTS: Mapping[str, int] = {
    type.value: handler.policy.max_attempts for type, handler in HANDLERS.items()
}
