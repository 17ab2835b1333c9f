"""The shared rate in Redis or Valkey: one key an account.

The clock is the server's own, since workers' clocks differ; it is read with the key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_contacts.errors import BudgetError

if TYPE_CHECKING:
    from redis import Redis

Found = TypeVar("Found")

PREFIX = "contacts:rate:"

REPLACE = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
    return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""

KEPT = 7 * 24 * 3600 * 1000  # milliseconds for which an unused rate is kept; by then nothing is booked any more
TIMEOUT = 5.0  # seconds for an answer, where the client has no time-out of its own


class RedisStore:
    """One key; see :class:`airflow_provider_contacts.ledgers.shared_rate.limiter.StateStore`.

    :param client: of redis-py, to one server.
    :param where: names the connection in error texts.
    """

    def __init__(self, client: Any, name: str, where: str) -> None:
        self._settings = client.get_connection_kwargs()
        for timeout in ("socket_timeout", "socket_connect_timeout"):
            self._settings[timeout] = self._settings.get(timeout) or TIMEOUT
        self._client: Redis = client
        self._key = PREFIX + name
        self._where = where
        self._script = client.register_script(REPLACE)
        try:
            self.read()
        except BudgetError:
            self.close()
            raise

    def read(self) -> tuple[str, int]:
        """Return the key's text and Redis' clock."""
        pipeline = self._client.pipeline(transaction=False)
        pipeline.time()
        pipeline.get(self._key)
        (seconds, microseconds), text = self._guarded(pipeline.execute)
        text = text.decode() if isinstance(text, bytes) else text
        return text or "", int(seconds) * 1000 + int(microseconds) // 1000

    def replace(self, before: str, after: str) -> bool:
        """Write the text if it is as it was read."""
        return bool(self._guarded(lambda: self._script(keys=[self._key], args=[before, after, KEPT])))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _guarded(self, work: Callable[[], Found]) -> Found:
        from redis.exceptions import RedisError

        try:
            return work()
        except RedisError as error:
            # Its own text may quote the command, or as whom it connects.
            server = f"{self._settings.get('host')}:{self._settings.get('port')}"
            failure = BudgetError(
                f"{self._where}: the shared rate's Redis cannot be used: {type(error).__name__} at {server}; the login "
                f"needs GET, SET, TIME and EVALSHA on {PREFIX}*"
            )
        raise failure
