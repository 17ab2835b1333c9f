"""The ceiling: rows are read, put into JSON and posted, many at a time; of the answer, the status is all that is read.

Nothing is validated, kept, or read of who was created. Ways: ``aiohttp``,
``httpx_aiohttp`` (httpx over it) and ``httpx`` (its own pool).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

from bench.clock import timed
from bench.job import Job

HEADERS = {"Content-Type": "application/json"}

Post = Callable[[bytes], Awaitable[int]]
"""Posts a body, reads the whole answer, and returns its status."""


async def poster(job: Job, stack: AsyncExitStack) -> Post:
    """Return how this way posts."""
    import aiohttp
    import httpx

    if job.way == "aiohttp":
        plain = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=HEADERS)
        )

        async def by_aiohttp(body: bytes) -> int:
            async with plain.post(job.target, data=body) as answer:
                await answer.read()
                return answer.status

        return by_aiohttp
    transport: httpx.AsyncBaseTransport | None = None
    if job.way == "httpx_aiohttp":
        from httpx_aiohttp import AiohttpTransport

        transport = AiohttpTransport(client=lambda: aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    client = await stack.enter_async_context(
        httpx.AsyncClient(transport=transport, limits=limits, headers=HEADERS, timeout=60, trust_env=False)
    )

    async def by_httpx(body: bytes) -> int:
        return (await client.post(job.target, content=body)).status_code

    return by_httpx


async def push(job: Job) -> int:
    """Send everything, so many requests at a time, and return how many there were."""
    bodies: Iterator[Any] = job.bodies()
    count = 0

    async def worker(post: Post) -> None:
        nonlocal count
        for body in bodies:
            status = await post(json.dumps(body).encode())
            if status not in {200, 201}:
                raise RuntimeError(f"status {status}")
            count += 1

    async with AsyncExitStack() as stack:
        post = await poster(job, stack)
        await asyncio.gather(*(worker(post) for _ in range(job.in_flight)))
    return count


def prepare(job: Job) -> Callable[[], str]:
    """Import the clients."""
    import aiohttp  # noqa: F401  # before the clock
    import httpx  # noqa: F401  # likewise

    if job.way == "httpx_aiohttp":
        import httpx_aiohttp  # noqa: F401  # likewise

    return lambda: f"{asyncio.run(push(job))} requests"


if __name__ == "__main__":
    timed(prepare)
