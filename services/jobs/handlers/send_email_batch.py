"""`send_email_batch`: one message to each of many recipients; a batch that is tried again skips who has it."""

from email.message import EmailMessage
from typing import Annotated, Any

from msgspec import Meta, Struct

from services.jobs.handlers.contract import Context, Handler, TryAgain
from services.jobs.mail import MailError
from services.jobs.retry import RetryPolicy
from services.jobs.store import effects

Address = Annotated[str, Meta(pattern=r"^[^@\s,<>]{1,64}@[^@\s,<>]{1,190}$")]


class EmailBatch(Struct, forbid_unknown_fields=True):
    """The message, and who gets it; each recipient sees only their own address."""

    to: Annotated[list[Address], Meta(min_length=1, max_length=1000)]
    subject: Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\r\n]*$")]
    text: Annotated[str, Meta(max_length=100_000)]


async def work(batch: EmailBatch, context: Context) -> dict[str, Any]:
    """Returns how many were sent now, and how many had it already."""
    recipients = list(dict.fromkeys(batch.to))
    done = await _done(context)
    for recipient in recipients:
        if recipient not in done:
            await _send(batch, recipient, context)
    return {"sent": len([r for r in recipients if r not in done]), "already_sent": len(done)}


async def _done(context: Context) -> set[str]:
    async with context.tools.database.transaction() as connection:
        return await effects.recipients_done(connection, job_id=context.job_id)


async def _send(batch: EmailBatch, recipient: str, context: Context) -> None:
    """Send, then remember. A crash between the two sends once more, with the same Message-ID."""
    message = EmailMessage()
    message["From"] = context.tools.settings.mail_from
    message["To"] = recipient
    message["Subject"] = batch.subject
    message["Message-ID"] = f"<{context.job_id}.{recipient.replace('@', '=')}@signalbox>"
    message.set_content(batch.text)
    try:
        await context.tools.mailer.send(message)
    except MailError as error:
        raise TryAgain(str(error)) from error
    async with context.tools.database.transaction() as connection:
        await effects.mark_mailed(
            connection, job_id=context.job_id, recipient=recipient, message_id=message["Message-ID"]
        )


HANDLER = Handler(EmailBatch, work, RetryPolicy(timeout_s=300.0))
