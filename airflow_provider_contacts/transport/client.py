"""The sockets of a push: requests run on an event loop in a thread of its own, results come back through a queue."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from math import inf
from queue import Empty, SimpleQueue
from typing import Any, TypeVar
from urllib.parse import urlsplit

from airflow_provider_contacts.transport.connection import Endpoint
from airflow_provider_contacts.transport.http_exchange import OF_A_TOKEN, answer_bound, exchange
from airflow_provider_contacts.transport.pool import Pool
from airflow_provider_contacts.transport.tokens import TokenError, TokenSource
from airflow_provider_contacts.vendor_kit.auth import ClientCredentials, FixedHeader
from airflow_provider_contacts.vendor_kit.results import NotSent, Result
from airflow_provider_contacts.vendor_kit.vendor import Request, Response

log = logging.getLogger(__name__)

T = TypeVar("T")

TOKEN_TIMEOUT = 30.0


class Client:
    """A sender over real sockets, with single calls for reads. Used from one thread, which must close it."""

    def __init__(self, endpoint: Endpoint, *, on_secret: Callable[[str], None] = lambda _: None) -> None:
        self._endpoint = endpoint
        self._on_secret = on_secret
        self._secrets: SimpleQueue[str] = SimpleQueue()
        self._done: SimpleQueue[tuple[int, Result] | None] = SimpleQueue()
        self._handed: SimpleQueue[tuple[int, Request, float, float]] = SimpleQueue()
        self._woken = False
        self._loop = asyncio.SelectorEventLoop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._used: dict[int, str] = {}
        self._tokens: TokenSource | None = None
        self._pool: Pool | None = None
        self._thread = threading.Thread(target=self._serve, name="contacts-client", daemon=True)
        self._thread.start()

    @property
    def renewable(self) -> bool:
        """Whether a refused credential can be renewed."""
        return isinstance(self._endpoint.credential, ClientCredentials)

    def submit(self, tag: int, request: Request, *, not_after: float, timeout: float) -> None:
        """Start a request; see :class:`~airflow_provider_contacts.vendor_kit.results.Sender`."""
        self._handed.put((tag, request, not_after, timeout))
        if not self._woken:
            # Once for all requests until the loop looks: waking it costs as much as a small answer.
            self._woken = True
            self._loop.call_soon_threadsafe(self._start)

    def collect(self, timeout: float) -> list[tuple[int, Result]]:
        """Return the results that have come, waiting up to ``timeout`` seconds for the first."""
        found: list[tuple[int, Result] | None] = []
        if timeout > 0:
            with suppress(Empty):
                found.append(self._done.get(timeout=timeout))
        found += drained(self._done)
        self._tell_secrets()
        return [one for one in found if one is not None]

    def wake(self) -> None:
        """End a waiting :meth:`collect`; may be called from a signal handler."""
        self._done.put(None)

    def renew(self, tag: int) -> None:
        """Drop the token that this request was sent with, if it is still the current one."""
        token = self._used.pop(tag, "")
        if self._tokens is not None:
            self._loop.call_soon_threadsafe(self._tokens.drop, token)

    def call(self, request: Request, *, timeout: float = 30.0) -> Result:
        """Send one request and wait for its result; for reads."""
        result = self._run(self._exchange(-1, request, inf, timeout))
        if isinstance(result, Response) and result.status == 401 and self._tokens is not None:  # noqa: PLR2004
            self.renew(-1)
            result = self._run(self._exchange(-1, request, inf, timeout))
        self._tell_secrets()
        return result

    def warm(self) -> None:
        """Open what the first request needs, a token too; what fails here fails again and becomes its result."""
        self._run(self._prepare(-1, Request("GET", "/")))
        self._tell_secrets()

    def authorization(self) -> tuple[str, float]:
        """Return the ``Authorization`` header and until when (monotonic) it is good, or raise :class:`TokenError`."""
        header = self._run(self._authorization(-1))
        self._tell_secrets()
        return header, self._tokens.good_until if self._tokens is not None else inf

    def close(self) -> None:
        """Cancel what is in flight and end the thread."""
        if self._loop.is_closed():
            return
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)

    def __repr__(self) -> str:
        """Name the host only."""
        return f"Client({urlsplit(self._endpoint.base_url).hostname})"

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _tell_secrets(self) -> None:
        # Masking may speak to Airflow's supervisor, which only the caller's thread may do.
        for token in drained(self._secrets):
            self._endpoint.secrets.add(token)
            self._on_secret(token)

    # From here on, everything runs in the loop's thread.

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def _start(self) -> None:
        # Before the queue is looked at: what comes after that wakes the loop again.
        self._woken = False
        for handed in drained(self._handed):
            task = self._loop.create_task(self._deliver(*handed))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, tag: int, request: Request, not_after: float, timeout: float) -> None:  # noqa: ASYNC109  # handed on
        result = await self._exchange(tag, request, not_after, timeout)
        if not (isinstance(result, Response) and result.status == 401):  # noqa: PLR2004
            self._used.pop(tag, None)
        self._done.put((tag, result))

    async def _exchange(self, tag: int, request: Request, not_after: float, timeout: float) -> Result:  # noqa: ASYNC109  # handed on
        prepared = await self._prepare(tag, request)
        if isinstance(prepared, NotSent):
            return prepared
        bound = answer_bound(request.body)
        return await exchange(self._open(), prepared, bound, timeout=timeout, not_after=not_after)

    async def _prepare(self, tag: int, request: Request) -> bytes | NotSent:
        try:
            headers = {"Authorization": await self._authorization(tag)}
            if request.body is not None:
                headers["Content-Type"] = "application/json"
            url = self._endpoint.base_url + request.path
            return self._open().written(request.method, url, request.query, headers, request.body)
        except TokenError as error:
            return error.result
        except Exception as error:  # noqa: BLE001  # whatever it is, no byte has left; a result must come all the same
            log.warning("A request could not be prepared (%s); it was not sent", type(error).__name__)
            return NotSent("not_prepared")

    async def _authorization(self, tag: int) -> str:
        credential = self._endpoint.credential
        if isinstance(credential, FixedHeader):
            return credential.value
        if self._tokens is None:
            self._tokens = TokenSource(credential, self._post_token, on_secret=self._secrets.put)
        token = await self._tokens.get()
        self._used[tag] = token
        return f"Bearer {token}"

    async def _post_token(self, url: str, headers: dict[str, str], body: str) -> Result:
        # A pool of its own: another host, asked once in minutes.
        pool = Pool(self._endpoint, url)
        try:
            data = pool.written("POST", url, (), headers, body.encode())
            return await exchange(pool, data, OF_A_TOKEN, timeout=TOKEN_TIMEOUT)
        finally:
            await pool.close()

    def _open(self) -> Pool:
        if self._pool is None:
            self._pool = Pool(self._endpoint, self._endpoint.base_url)
        return self._pool

    async def _shut(self) -> None:
        # All of them: a call that was interrupted in the caller's thread still runs here.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if self._pool is not None:
            await self._pool.close()


def drained(queue: SimpleQueue[T]) -> Iterator[T]:
    """Yield what is in a queue, without waiting."""
    with suppress(Empty):
        while True:
            yield queue.get_nowait()
