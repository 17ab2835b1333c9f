"""The shared rate in Redis or Valkey: one key an account, changed only if it is as it was read.

The clock is the server's own, since workers' clocks differ; it is read with the key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_contacts.errors import BudgetError

if TYPE_CHECKING:
    from redis import Redis

Result = TypeVar("Result")

PREFIX = "contacts:rate:"

CHANGE = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
    return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""

KEPT = 7 * 24 * 3600 * 1000
"""Milliseconds for which a rate that nobody uses is kept; by then nothing is booked any more."""

TIMEOUT = 5.0
"""Seconds for an answer, where the client has no time-out of its own."""

TRIES = 5
"""Times that a key is read again because another task has changed it."""


class RedisStore:
    """One key; see :class:`airflow_provider_contacts.ledgers.shared_rate.limiter.StateStore`.

    :param client: of redis-py, to one server.
    :param where: names the connection in error texts.
    :raises BudgetError: when Redis does not answer.
    """

    def __init__(self, client: Any, name: str, where: str) -> None:
        settings = client.get_connection_kwargs()
        for timeout in ("socket_timeout", "socket_connect_timeout"):
            settings[timeout] = settings.get(timeout) or TIMEOUT
        self._client: Redis = client
        self._key = PREFIX + name
        self._where = where
        self._script = client.register_script(CHANGE)
        try:
            self._guarded(self._read)
        except BudgetError:
            self.close()
            raise

    def change(self, work: Callable[[str | None, int], tuple[str | None, Result]], otherwise: Result) -> Result:
        """Read, decide, and write if the key is as it was read.

        :raises BudgetError: when Redis cannot be used.
        """
        return self._guarded(lambda: self._change(work, otherwise))

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def _change(self, work: Callable[[str | None, int], tuple[str | None, Result]], otherwise: Result) -> Result:
        for _ in range(TRIES):
            before, now = self._read()
            after, result = work(before or None, now)
            if after is None or self._script(keys=[self._key], args=[before, after, KEPT]):
                return result
        return otherwise

    def _read(self) -> tuple[str, int]:
        """Return the text and Redis' clock, in milliseconds since 1970."""
        pipeline = self._client.pipeline(transaction=False)
        pipeline.time()
        pipeline.get(self._key)
        (seconds, microseconds), text = pipeline.execute()
        if isinstance(text, bytes):
            text = text.decode()
        return text or "", int(seconds) * 1000 + int(microseconds) // 1000

    def _guarded(self, work: Callable[[], Result]) -> Result:
        from redis.exceptions import RedisError

        try:
            return work()
        except RedisError as error:
            failure = BudgetError(f"{self._where}: the shared rate's Redis cannot be used: {self._told(error)}")
        raise failure

    def _told(self, error: Exception) -> str:
        """Return what is wrong and what to do; the error's own text may quote the command, or as whom it connects."""
        from redis.exceptions import AuthenticationError, ConnectionError, NoPermissionError, TimeoutError  # noqa: A004

        settings = self._client.get_connection_kwargs()
        server = f"{settings.get('host')}:{settings.get('port')}"
        match error:
            case AuthenticationError():
                told = f"{server} refuses the connection's login and password: correct them"
            case NoPermissionError():
                told = f"the login at {server} lacks a right: grant GET, SET, TIME and EVALSHA on {PREFIX}*"
            case ConnectionError() | TimeoutError():
                told = f"is the server up, and can the worker reach it at {server}?"
            case _:
                told = f"look at the server at {server}"
        return f"{type(error).__name__}: {told}"
