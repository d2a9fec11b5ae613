"""Exact accounts: every item that was sent is counted under what became of it, once.

    sent = accepted + rejected (invalid) + limited + filtered + dropped + unavailable

An item is rejected for a flaw of its own, limited by its key's rates, filtered when it has no place here, dropped when
neither Kafka nor the spool had room and its client does not retry, and unavailable when it was answered 503: the
same item may then be sent again, and be counted again. A request that is refused before its body was told apart
into items counts as one: nobody knows how many it held.
"""

from http import HTTPStatus

from services.ingest import metrics
from services.ingest.rates import Category
from shared.errors import RequestError

#: What a request was refused for, in the place of an item's flaw.
_FLAWS = {
    HTTPStatus.BAD_REQUEST: "malformed",
    HTTPStatus.UNAUTHORIZED: "unauthorized",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.REQUEST_TIMEOUT: "slow",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "size",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "encoding",
    HTTPStatus.UNPROCESSABLE_ENTITY: "schema",
}


def refused(error: RequestError) -> None:
    """Count a request that is answered with this error, unless its items are counted already."""
    if error.counted:
        return
    error.counted = True
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        metrics.ITEMS_LIMITED.labels(Category.REQUEST).inc()
    elif error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        metrics.ITEMS_UNAVAILABLE.inc()
    else:
        metrics.ITEMS_REJECTED.labels(_FLAWS.get(error.status, "other")).inc()


def unavailable(error: RequestError, items: int) -> RequestError:
    """The error, once so many accepted items that it answers for are counted."""
    metrics.ITEMS_UNAVAILABLE.inc(items)
    error.counted = True
    return error
