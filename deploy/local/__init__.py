"""The stack without Docker: Kafka, PostgreSQL, Redis, Prometheus and the services as processes of this user.

    stack -> servers (kafka | embedded_broker, postgres, redis, prometheus, services) -> server -> process

`Stack` is the whole of it for a program; `python -m deploy.local` is the same for a person.
"""

from deploy.local.errors import LocalStackError
from deploy.local.ports import Ports
from deploy.local.settings import Settings
from deploy.local.stack import Stack

__all__ = ["LocalStackError", "Ports", "Settings", "Stack"]
