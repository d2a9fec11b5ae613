"""One process of an app that uses sentry-sdk, unmodified; the DSN is in SENTRY_DSN.

Prints the ids of the events that it captured, as JSON, once everything is sent.
"""

import json
import logging

import sentry_sdk


class OutOfStock(Exception):
    """Nothing left."""


def reserve(item: int) -> None:
    password = "hunter2"  # noqa: F841 - a local variable, which the SDK reports unless its name is suspicious
    card = "4111 1111 1111 1111"  # noqa: F841 - and one that only we recognize
    raise OutOfStock(f"item {item} is out of stock")


def main() -> None:
    sentry_sdk.init(
        release="booking-api@4.12.0",
        environment="ci",
        server_name="python-1",
        traces_sample_rate=1.0,
        shutdown_timeout=10,
    )
    sentry_sdk.set_user({"id": "u-1093", "email": "ann@example.org"})
    sentry_sdk.set_tag("shop", "berlin")
    sentry_sdk.set_context("order", {"items": 3})
    sentry_sdk.add_breadcrumb(category="cart", message="added item 7", level="info", data={"item": 7})

    ids: dict[str, str | None] = {}
    stock: dict[str, int] = {}
    try:
        try:
            stock["stock"]
        except KeyError as missing:
            raise OutOfStock("item 7 is out of stock") from missing
    except OutOfStock as error:
        ids["chained"] = sentry_sdk.capture_exception(error)
    try:
        reserve(8)
    except OutOfStock as error:
        ids["exception"] = sentry_sdk.capture_exception(error)
    ids["message"] = sentry_sdk.capture_message("stock is low", level="warning")
    with sentry_sdk.new_scope() as scope:
        scope.fingerprint = ["checkout", "timeout"]
        scope.set_level("fatal")
        scope.add_attachment(bytes=b"some notes", filename="notes.txt")
        ids["fingerprint"] = sentry_sdk.capture_exception(TimeoutError("timed out"))
    with sentry_sdk.start_transaction(op="http.server", name="/items/{id}", source="route"):
        pass
    logging.getLogger("shop").error("payment %s failed", "p-17")
    sentry_sdk.flush(10)
    print(json.dumps(ids))


if __name__ == "__main__":
    main()
