"""`send_notification`: into the recipient's inbox, and to a webhook when one is named."""

from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx
from msgspec import Meta, Struct

from services.jobs.handlers.contract import Context, Handler, TryAgain
from services.jobs.retry import RetryPolicy
from services.jobs.store import effects
from shared.errors import Permanent

_WEBHOOK_TIMEOUT_S = 10.0


class Notification(Struct, forbid_unknown_fields=True):
    """Who is told what; `webhook` is posted to as well, when its host is one of SIGNALBOX_WEBHOOK_HOSTS."""

    to: Annotated[str, Meta(min_length=1, max_length=200)]
    title: Annotated[str, Meta(min_length=1, max_length=200)]
    body: Annotated[str, Meta(max_length=10_000)] = ""
    webhook: str | None = None


async def work(notification: Notification, context: Context) -> dict[str, Any]:
    """Post first, then store: an inbox entry means that the webhook, if any, was reached."""
    delivered = ["inbox"]
    if notification.webhook is not None:
        await _post(notification, notification.webhook, context)
        delivered.append("webhook")
    async with context.tools.database.transaction() as connection:
        await effects.save_notification(
            connection,
            job_id=context.job_id,
            recipient=notification.to,
            title=notification.title,
            body=notification.body,
        )
    return {"delivered": delivered}


async def _post(notification: Notification, url: str, context: Context) -> None:
    allowed = {host.strip() for host in context.tools.settings.webhook_hosts.split(",")} - {""}
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or parts.hostname not in allowed:
        raise Permanent(f"webhook: host {parts.hostname!r} is not in SIGNALBOX_WEBHOOK_HOSTS")
    content = {"to": notification.to, "title": notification.title, "body": notification.body}
    async with httpx.AsyncClient(
        timeout=_WEBHOOK_TIMEOUT_S, follow_redirects=False, trust_env=False
    ) as client:
        try:
            response = await client.post(url, json=content, headers={"Idempotency-Key": context.job_id})
        except httpx.HTTPError as error:
            raise TryAgain(f"webhook: {type(error).__name__}: {error}") from error
    if response.is_success:
        return
    said = f"webhook answered {response.status_code}"
    if response.status_code in (408, 425, 429) or response.is_server_error:
        after = response.headers.get("Retry-After", "")
        raise TryAgain(said, retry_after_s=float(after) if after.isdigit() else None)
    raise Permanent(said)


HANDLER = Handler(Notification, work, RetryPolicy(timeout_s=30.0))
