"""What a call that waits for an answer may raise. Tracking calls raise nothing: they count.

ClientError
├── Refused      the server understood, and will never accept it
└── Unavailable  it did not answer in time; the same call later may succeed
"""


class ClientError(Exception):
    """The root: catch it to catch everything that this package raises on purpose."""


class Refused(ClientError):
    """The server said no, and would again. `detail` is its explanation."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail


class Unavailable(ClientError):
    """No acceptance within the time limit; the server may have stored the request all the same.

    Calling again with the same idempotency key is safe: it cannot run a job twice.
    """
