"""signalbox from a Python server: `Client` is all there is to know, and `AsyncClient` where there is an event loop."""

from signalbox_client.asynchronous import AsyncClient
from signalbox_client.client import Client
from signalbox_client.errors import ClientError, Refused, Unavailable
from signalbox_client.sender import Counts

__all__ = ["AsyncClient", "Client", "ClientError", "Counts", "Refused", "Unavailable"]
