"""The simulator as an httpx transport: requests without a socket, and dropped connections as httpx's own errors."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow_provider_contacts.simulator.closing import ConnectionDroppedError

if TYPE_CHECKING:
    import httpx

    from airflow_provider_contacts.simulator.app import Simulator


def transport(simulator: Simulator) -> httpx.AsyncBaseTransport:
    """Return a transport for ``httpx.AsyncClient``; the host of the URL does not matter.

    FIN becomes ``RemoteProtocolError``, RST ``ReadError``, and an answer that never comes ``ReadTimeout``, at once.
    """
    import httpx

    errors = {"fin": httpx.RemoteProtocolError, "rst": httpx.ReadError, "timeout": httpx.ReadTimeout}

    class InProcess(httpx.ASGITransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            try:
                return await super().handle_async_request(request)
            except ConnectionDroppedError as error:
                raise errors[error.form](str(error), request=request) from error

    return InProcess(app=simulator.app)


def ask(simulator: Simulator, method: str, path: str, **request: Any) -> httpx.Response:
    """Send one request without a socket and return its answer; not from inside an event loop.

    :param path: from the root, e.g. ``/dex/v1/contacts/``.
    :param request: as ``httpx.AsyncClient.request`` takes it.
    """
    import httpx

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport(simulator), base_url="http://simulator") as client:
            return await client.request(method, path, **request)

    return asyncio.run(send())
