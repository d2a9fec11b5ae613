"""Mail out: to an SMTP server, or into a Maildir on this machine where no server is set."""

import asyncio
import mailbox
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import aiosmtplib

from shared.errors import ConfigurationError, Retryable

_SMTP_TIMEOUT_S = 15.0


class MailError(Retryable):
    """The message was not taken."""


class Mailer(Protocol):
    """Where messages go."""

    async def send(self, message: EmailMessage) -> None:
        """Returning means that the message was taken over. Raises MailError."""


class SmtpMailer:
    """One SMTP conversation a message."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or "127.0.0.1"
        self._use_tls = parts.scheme == "smtps"
        self._port = parts.port or (465 if self._use_tls else 25)
        self._username = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None

    async def send(self, message: EmailMessage) -> None:
        try:
            await aiosmtplib.send(
                message,
                hostname=self._host,
                port=self._port,
                username=self._username,
                password=self._password,
                use_tls=self._use_tls,
                timeout=_SMTP_TIMEOUT_S,
            )
        except (aiosmtplib.SMTPException, OSError) as error:
            raise MailError(f"{self._host}:{self._port}: {error}") from error


class MaildirMailer:
    """Local delivery, for machines without a mail server; any mail reader opens the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, message: EmailMessage) -> None:
        try:
            await asyncio.to_thread(self._deliver, message)
        except OSError as error:
            raise MailError(f"{self._folder}: {error}") from error

    def _deliver(self, message: EmailMessage) -> None:
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        mailbox.Maildir(self._folder, create=True).add(message)


def mailer_for(url: str) -> Mailer:
    """The mailer that SIGNALBOX_MAIL_URL asks for. Raises ConfigurationError for a scheme that is none."""
    scheme, _, rest = url.partition(":")
    if scheme in ("smtp", "smtps"):
        return SmtpMailer(url)
    if scheme == "maildir" and rest.startswith("/"):
        return MaildirMailer(Path(rest))
    raise ConfigurationError(
        "SIGNALBOX_MAIL_URL: smtp://host:port, smtps://host:port or maildir:/absolute/folder"
    )
