"""The only sockets of a push: requests run on an event loop of their own thread, results come back through a queue.

httpx is the API; aiohttp is the transport, because httpx's own pool collapses with many requests in flight.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass
from weakref import WeakSet

from airflow_provider_contacts.core.auth import ClientCredentials, Credential, FixedHeader
from airflow_provider_contacts.core.tokens import TokenError, TokenRequest, TokenSource
from airflow_provider_contacts.core.vendor import Answer, Request
from airflow_provider_contacts.core.wire import NoAnswer, NotSent, Result

if TYPE_CHECKING:
    import aiohttp
    import httpx

log = logging.getLogger(__name__)

T = TypeVar("T")

CONNECT_TIMEOUT = 10.0

TOKEN_TIMEOUT = 30.0

# Servers close idle connections, often after five seconds; a request on a connection that is just being closed is a
# doubt for nothing. So ours are closed first.
KEEPALIVE = 2.0

# Turns of the loop in which an aborted connection, also one within TLS, lets go of its socket.
TURNS = 3

LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes of an answer's body that are read; a longer one is nobody's honest answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where and how a vendor is reached.

    :param base_url: without a trailing slash.
    :param verify: ``False`` or the path of a CA bundle; ``True`` for the usual ones.
    :param proxy: URL of a proxy; empty: ``HTTPS_PROXY`` and ``NO_PROXY`` decide.
    """

    base_url: str
    credential: Credential
    verify: bool | str = True
    proxy: str = field(default="", repr=False)


def proxy_for(url: str, stated: str) -> str | None:
    """Return the proxy for a URL: the stated one, else the environment's. A custom transport switches off httpx's own.

    A loopback host is never reached through a proxy of the environment.
    """
    if stated:
        return stated
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in {"localhost", "127.0.0.1", "::1"}:
        return None
    if proxy_bypass(host):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


class Loop(asyncio.SelectorEventLoop):
    """An event loop that can close every connection made on it.

    A connection that its owner has closed lives on until the loop turns again, and one with unsent bytes for as long
    as the other side does not read.
    """

    def __init__(self) -> None:
        super().__init__()
        self._made: WeakSet[asyncio.BaseTransport] = WeakSet()

    async def create_connection(self, *args: Any, **options: Any) -> Any:
        """Connect as usual, and remember it."""
        made = await super().create_connection(*args, **options)
        self._made.add(made[0])
        return made

    async def disconnect(self) -> None:
        """Close what is open, at once."""
        for transport in list(self._made):
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()
        for _ in range(TURNS):
            await asyncio.sleep(0)


class Client:
    """A sender over real sockets, and single calls for reading. Used from one thread, which must close it.

    :param on_secret: is given every minted token, in the thread that uses the client.
    """

    def __init__(self, endpoint: Endpoint, *, on_secret: Callable[[str], None] = lambda _: None) -> None:
        self._endpoint = endpoint
        self._on_secret = on_secret
        self._secrets: SimpleQueue[str] = SimpleQueue()
        self._done: SimpleQueue[tuple[int, Result] | None] = SimpleQueue()
        self._handed: SimpleQueue[tuple[int, Request, float, float]] = SimpleQueue()
        self._woken = False
        self._loop = Loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._used: dict[int, str] = {}
        self._tokens: TokenSource | None = None
        self._session: httpx.AsyncClient | None = None
        self._last_url: tuple[str, httpx.URL] | None = None
        self._thread = threading.Thread(target=self._serve, name="contacts-client", daemon=True)
        self._thread.start()

    @property
    def renewable(self) -> bool:
        """Whether a refused credential can be renewed."""
        return isinstance(self._endpoint.credential, ClientCredentials)

    def submit(self, tag: int, request: Request, *, not_after: float, timeout: float) -> None:
        """Start a request; see :class:`airflow_provider_contacts.core.wire.Sender`."""
        self._handed.put((tag, request, not_after, timeout))
        if not self._woken:
            # Once for all that are handed over before the loop gets to look: waking it costs as much as a small answer.
            self._woken = True
            self._loop.call_soon_threadsafe(self._start)

    def collect(self, timeout: float) -> list[tuple[int, Result]]:
        """Return what has come back, waiting up to ``timeout`` seconds for the first."""
        found: list[tuple[int, Result]] = []
        with suppress(Empty):
            one = self._done.get(timeout=timeout) if timeout > 0 else self._done.get_nowait()
            while True:
                if one is not None:
                    found.append(one)
                one = self._done.get_nowait()
        self._tell_secrets()
        return found

    def wake(self) -> None:
        """End a waiting :meth:`collect`; may be called from a signal handler."""
        self._done.put(None)

    def renew(self, tag: int) -> None:
        """Drop the token that this request was sent with, if it is still the current one."""
        token = self._used.pop(tag, "")
        if self._tokens is not None:
            self._loop.call_soon_threadsafe(self._tokens.drop, token)

    def call(self, request: Request, *, timeout: float = 30.0) -> Result:
        """Send one request and wait for its result; for reads, before a push."""
        result = self._run(self._exchange(-1, request, time.monotonic() + timeout, timeout))
        if isinstance(result, Answer) and result.status == 401 and self._tokens is not None:  # noqa: PLR2004
            self.renew(-1)
            result = self._run(self._exchange(-1, request, time.monotonic() + timeout, timeout))
        self._tell_secrets()
        return result

    def warm(self) -> None:
        """Open what the first request needs, a token too, so that it leaves in the moment in which it may.

        What fails here fails again for the requests, and becomes their result.
        """
        self._run(self._ready())
        self._tell_secrets()

    def close(self) -> None:
        """Cancel what is under way and end the thread."""
        if self._loop.is_closed():
            return
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        """Name the host only."""
        return f"Client({urlsplit(self._endpoint.base_url).hostname})"

    # In the caller's thread.

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _tell_secrets(self) -> None:
        # Masking may speak to Airflow's supervisor, which only the caller's thread may do.
        with suppress(Empty):
            while True:
                self._on_secret(self._secrets.get_nowait())

    # In the loop's thread.

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def _start(self) -> None:
        # Before the queue is looked at: what comes after that wakes the loop again.
        self._woken = False
        with suppress(Empty):
            while True:
                task = self._loop.create_task(self._deliver(*self._handed.get_nowait()))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _deliver(self, tag: int, request: Request, not_after: float, timeout: float) -> None:  # noqa: ASYNC109  # handed on
        result = await self._exchange(tag, request, not_after, timeout)
        if not (isinstance(result, Answer) and result.status == 401):  # noqa: PLR2004
            self._used.pop(tag, None)
        self._done.put((tag, result))

    async def _exchange(self, tag: int, request: Request, not_after: float, timeout: float) -> Result:  # noqa: ASYNC109  # one budget for request and answer
        try:
            session, built = await self._prepared(tag, request)
        except TokenError as error:
            return error.result
        except Exception as error:  # noqa: BLE001  # whatever it is, no byte has left; a result must come all the same
            log.warning("A request could not be prepared (%s); it was not sent", type(error).__name__)
            return NotSent("not_prepared")
        if time.monotonic() > not_after:
            return NotSent("mark_expired")
        return await exchange(session, built, timeout)

    async def _ready(self) -> None:
        try:
            await self._open()
            await self._authorization(-1)
        except Exception as error:  # noqa: BLE001  # whatever it is, the requests meet it again and turn it into results
            log.info("Not ready before the first request (%s)", type(error).__name__)

    async def _prepared(self, tag: int, request: Request) -> tuple[httpx.AsyncClient, httpx.Request]:
        import httpx

        session = await self._open()
        authorization = await self._authorization(tag)
        # Not session.build_request, which merges what is the same for all requests anew for each of them.
        headers = [*session.headers.raw, (b"authorization", authorization.encode("ascii"))]
        if request.body is not None:
            headers.append((b"content-type", b"application/json"))
        url = self._url_of(request)
        return session, httpx.Request(request.method, url, headers=headers, content=request.body)

    def _url_of(self, request: Request) -> httpx.URL:
        import httpx

        if request.query:
            return httpx.URL(self._endpoint.base_url + request.path, params=request.query)
        if self._last_url is None or self._last_url[0] != request.path:
            # Nearly all requests of a push have the same, and parsing it is a tenth of a small request's cost.
            self._last_url = (request.path, httpx.URL(self._endpoint.base_url + request.path))
        return self._last_url[1]

    async def _authorization(self, tag: int) -> str:
        credential = self._endpoint.credential
        if isinstance(credential, FixedHeader):
            return credential.value
        if self._tokens is None:
            self._tokens = TokenSource(credential, self._post_token, on_secret=self._secrets.put)
        token = await self._tokens.get()
        self._used[tag] = token
        return f"Bearer {token}"

    async def _post_token(self, request: TokenRequest) -> Result:
        import httpx

        # A session of its own: another host, asked once in minutes.
        async with httpx.AsyncClient(
            transport=new_transport(self._endpoint, request.url), follow_redirects=False, trust_env=False
        ) as session:
            built = session.build_request("POST", request.url, content=request.body, headers=request.headers)
            return await exchange(session, built, TOKEN_TIMEOUT)

    async def _open(self) -> httpx.AsyncClient:
        if self._session is None:
            import httpx

            transport = new_transport(self._endpoint, self._endpoint.base_url)
            # httpx keeps cookies of its own, whatever the transport does: this jar takes none.
            jar = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
            self._session = httpx.AsyncClient(transport=transport, cookies=jar, follow_redirects=False, trust_env=False)
        return self._session

    async def _shut(self) -> None:
        # All of them: a call that was interrupted in the caller's thread is still under way here.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if self._session is not None:
            await self._session.aclose()
        await self._loop.disconnect()


def new_transport(endpoint: Endpoint, url: str) -> httpx.AsyncBaseTransport:
    """Return the transport to one host: no cookies, no retries, no environment, as many connections as asked for."""
    import aiohttp
    import httpx
    from httpx_aiohttp import AiohttpTransport

    proxy = proxy_for(url, endpoint.proxy)
    # Reading the usual certificates takes longer than a hundred requests; where no TLS is spoken, nobody asks for them.
    plain = proxy is None and urlsplit(url).scheme == "http"
    verify = False if plain else endpoint.verify
    context = httpx.create_ssl_context(verify=verify) if isinstance(verify, bool) else ca_context(verify)

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE, ssl=context)
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    return AiohttpTransport(verify=context, client=session, proxy=httpx.Proxy(proxy) if proxy else None)


def ca_context(path: str) -> Any:
    """Return a TLS context that trusts the CA bundle in a file or folder."""
    import ssl
    from pathlib import Path

    where = Path(path)
    return ssl.create_default_context(cafile=None if where.is_dir() else path, capath=path if where.is_dir() else None)


async def exchange(session: httpx.AsyncClient, request: httpx.Request, timeout: float) -> Result:  # noqa: ASYNC109  # one budget for request and answer
    """Send one request once, and say what came of it; whatever happens is a result.

    :param timeout: seconds from here to the last byte of the answer.
    """
    import httpx

    limits = httpx.Timeout(timeout, connect=min(CONNECT_TIMEOUT, timeout), pool=None).as_dict()
    request.extensions["timeout"] = limits
    began = time.monotonic()
    try:
        async with asyncio.timeout(timeout):
            response = await session.send(request, stream=True)
            try:
                body = await read_body(response)
            finally:
                await response.aclose()
    except TimeoutError:
        return NoAnswer("timeout")
    except httpx.HTTPError as error:
        return NotSent("not_connected") if never_connected(error) else NoAnswer(loss_code(error))
    except Exception as error:  # noqa: BLE001  # only a listed cause proves "not sent"; this is doubt
        log.warning("A request ended in %s: its records are unknown", type(error).__name__)
        return NoAnswer("connection_lost")
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, body, time.monotonic() - began)


async def read_body(response: httpx.Response) -> bytes:
    """Return the body, or nothing where it does not come whole: the status is known, and no reader trusts a half."""
    import httpx

    parts: list[bytes] = []
    total = 0
    try:
        async for part in response.aiter_bytes():
            total += len(part)
            if total > LARGEST_ANSWER:
                return b""
            parts.append(part)
    except (httpx.DecodingError, httpx.TransportError):
        return b""
    return b"".join(parts)


def never_connected(error: BaseException) -> bool:
    """Tell whether a cause proves that no byte of the request left: a positive list, by cause.

    httpx's own classes do not do: the transport shows a server that reads the whole request and then closes as
    ``ConnectTimeout``, the class of a refused connection too.
    """
    import aiohttp

    cause = error.__cause__
    # ClientConnectorError covers DNS, TLS and certificate kinds and an unreachable proxy; ClientHttpProxyError is a
    # proxy that refuses the tunnel.
    proofs = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)
    return isinstance(cause, (*proofs, aiohttp.ClientConnectorCertificateError))


def loss_code(error: BaseException) -> str:
    """Return the code of a lost answer."""
    import aiohttp

    return "timeout" if isinstance(error.__cause__, aiohttp.ServerTimeoutError) else "connection_lost"
