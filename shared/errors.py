"""Every error of signalbox, named by what whoever catches it should do next.

SignalboxError
├── Retryable              try the same thing again later
│   ├── PublishError       Kafka did not acknowledge a record
│   └── StoreUnavailable   PostgreSQL or Redis could not be reached
├── Permanent              it will never succeed: dead-letter it
│   └── PoisonRecord       a record's bytes do not follow its topic's contract
├── RequestError           the caller's request cannot be served; carries an HTTP status
│   ├── Malformed          400  not JSON, not UTF-8, truncated
│   ├── Unauthorized       401  no key, or an unknown one
│   ├── Forbidden          403  a key that may not do this
│   ├── NotFound           404
│   ├── Conflict           409  the state does not allow it
│   ├── TooLarge           413
│   ├── UnsupportedMedia   415
│   ├── Invalid            422  well-formed, but against the contract
│   └── Unavailable        503  come back after `retry_after_s`
└── ConfigurationError     the process refuses to start
    └── MissingTopics      a topic it uses does not exist
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import ClassVar


class SignalboxError(Exception):
    """The root: catch it to catch everything that signalbox raises on purpose."""


class Retryable(SignalboxError):
    """The same call may succeed later."""


class PublishError(Retryable):
    """Kafka did not acknowledge a record in time; it may or may not have been stored."""

    def __init__(self, topic: str, reason: str) -> None:
        super().__init__(f"{topic}: {reason}")
        self.topic = topic


class StoreUnavailable(Retryable):
    """A database could not be reached, or refused for now."""


class Permanent(SignalboxError):
    """Trying again cannot help."""


class PoisonRecord(Permanent):
    """A record's bytes do not follow its topic's contract.

    `reason` is a short word of a closed set (it becomes a metric label and a header); `detail` says more.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class RequestError(SignalboxError):
    """A request that cannot be served; `detail` is written for the caller and carries no secrets."""

    status: ClassVar[HTTPStatus] = HTTPStatus.BAD_REQUEST

    def __init__(
        self, detail: str, *, errors: Sequence[object] = (), retry_after_s: int | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = list(errors)
        self.retry_after_s = retry_after_s
        #: Fields that the answer carries besides those that every problem has.
        self.headers: dict[str, str] = {}
        #: Whether the items that were refused with it are in the metrics.
        self.counted = False


class Malformed(RequestError):
    """The bytes are not what their content type says."""

    status = HTTPStatus.BAD_REQUEST


class Unauthorized(RequestError):
    """No key was shown, or nobody's."""

    status = HTTPStatus.UNAUTHORIZED


class Forbidden(RequestError):
    """The key is known, but not for this."""

    status = HTTPStatus.FORBIDDEN


class NotFound(RequestError):
    """There is no such thing."""

    status = HTTPStatus.NOT_FOUND


class Conflict(RequestError):
    """The thing exists, and its state does not allow the request."""

    status = HTTPStatus.CONFLICT


class TooLarge(RequestError):
    """More bytes, or more items, than the limit in `detail`."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UnsupportedMedia(RequestError):
    """An encoding or a content type that is not read here."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class Invalid(RequestError):
    """Well-formed, but not what the contract asks for; `errors` says what is wrong and where."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class Unavailable(RequestError):
    """It cannot be done now; nothing was stored; try again after `retry_after_s`."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


class ConfigurationError(SignalboxError):
    """The process cannot start as it is configured; the text says which setting or part, and the way out."""


class MissingTopics(ConfigurationError):
    """Kafka lacks topics that this service reads or writes."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"Kafka lacks {', '.join(names)}; create the topics with `python -m shared.kafka create-topics`"
        )
        self.names = list(names)
