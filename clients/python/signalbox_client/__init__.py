"""signalbox from a Python server: `Client` is all there is to know."""

from signalbox_client.client import Client
from signalbox_client.errors import ClientError, Refused, Unavailable
from signalbox_client.sender import Counts

__all__ = ["Client", "ClientError", "Counts", "Refused", "Unavailable"]
