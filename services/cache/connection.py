"""The way to Redis, and the knowledge of whether it is there.

A command gets a short time limit. The first one that fails makes the whole replica go on without Redis, so that
requests do not each wait for the limit; a task in the background looks for it until it is back.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from services.cache import metrics
from services.cache.settings import CacheSettings
from shared import logs
from shared.errors import StoreUnavailable

_log = logs.get(__name__)

#: The key of the state of L2: see lua/state.lua.
STATE_KEY = "signalbox:cache:state"


class Connection:
    """A pool of connections to Redis, used while Redis answers."""

    def __init__(self, settings: CacheSettings, *, settle: Callable[[], Awaitable[None]]) -> None:
        """`settle` does what must be done before Redis is used again; it raises StoreUnavailable."""
        self._timeout_s = settings.cache_redis_timeout_s
        self._retry_s = settings.cache_redis_retry_s
        self._settle = settle
        self._pool = BlockingConnectionPool.from_url(
            settings.redis_url.get_secret_value(),
            max_connections=settings.cache_redis_connections_max,
            timeout=self._timeout_s,
            socket_timeout=self._timeout_s,
            socket_connect_timeout=self._timeout_s,
            protocol=2,  # 3 would add nothing here but push messages
            retry=Retry(NoBackoff(), 0),
            redis_connect_func=_greet,
        )
        self.redis = Redis(connection_pool=self._pool)
        #: Whether Redis is used.
        self.available = False
        self._lost = asyncio.Event()
        self._lost.set()

    async def ask(self, command: Awaitable[Any], *, refusable: bool = False) -> Any:
        """Await a command's answer. Raises StoreUnavailable, and Redis counts as lost.

        With `refusable`, an answer that is an error (such as: no memory) is an answer.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await command
        except (RedisError, OSError, TimeoutError) as error:
            if not (refusable and isinstance(error, ResponseError)):
                self._lose(error)
            raise StoreUnavailable(f"Redis: {type(error).__name__}: {error}") from error

    async def ping(self) -> None:
        """Raises StoreUnavailable."""
        await self.ask(self.redis.ping())

    async def open(self) -> None:
        """Connect, if Redis is there; `keep_open` goes on looking if it is not."""
        try:
            await self._use()
        except StoreUnavailable as error:
            _log.warning("redis_away", error=str(error))

    async def keep_open(self) -> None:
        """Look for Redis whenever it was lost, until cancelled."""
        while True:
            await self._lost.wait()
            try:
                await self._use()
            except StoreUnavailable:
                await asyncio.sleep(self._retry_s)

    async def close(self) -> None:
        await self.redis.aclose()
        await self._pool.aclose()

    def script(self, name: str) -> Callable[..., Awaitable[Any]]:
        """One of the scripts in `lua/`."""
        script: Callable[..., Awaitable[Any]] = self.redis.register_script(_lua("state") + _lua(name))
        return script

    async def _use(self) -> None:
        await self.ping()
        await self._settle()
        self.available = True
        self._lost.clear()
        metrics.REDIS_UP.set(1)
        _log.info("redis_in_use")

    def _lose(self, error: Exception) -> None:
        if self.available:
            _log.warning("redis_lost", error=f"{type(error).__name__}: {error}")
        self.available = False
        self._lost.set()
        metrics.REDIS_UP.set(0)


async def _greet(connection: AbstractConnection) -> None:
    """Set a new connection up, and find out whether Redis is still the process that it was."""
    try:
        await connection.on_connect()
        await connection.send_command(
            "EVAL", _lua("state") + _lua("connect"), 1, STATE_KEY, check_health=False
        )
        await connection.read_response()
    except BaseException:
        await connection.disconnect(nowait=True)  # or the next command would get this one's answer
        raise


@cache
def _lua(name: str) -> str:
    return (Path(__file__).parent / "lua" / f"{name}.lua").read_text()
