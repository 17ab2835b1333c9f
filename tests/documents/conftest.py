"""One world, one worker and the database servers for all pages; what was run is listed at the end."""

from __future__ import annotations

import faulthandler
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documents.blocks import blocks_in
from tests.documents.runners import Page, Servers, Workers
from tests.documents.world import World
from tests.support.pages import PAGES

RAN: Counter[str] = Counter()


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="documents-") as folder:
        yield World(Path(folder))


@pytest.fixture(scope="session")
def workers() -> Iterator[Workers]:
    workers = Workers()
    yield workers
    workers.end()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    servers = Servers()
    with servers.stack:
        yield servers


@pytest.fixture
def page(world: World, workers: Workers, servers: Servers) -> Iterator[Page]:
    # A page may take longer than a test; each of its blocks has a time of its own.
    faulthandler.cancel_dump_traceback_later()
    with world.fresh():
        page = Page(world, workers, servers)
        try:
            yield page
        finally:
            page.shell.end()


@pytest.fixture(scope="session")
def ran() -> Counter[str]:
    """Return how many blocks of each language were run."""
    return RAN


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counted = ", ".join(f"{language} {number}" for language, number in sorted(RAN.items()))
    terminalreporter.write_line(f"{RAN.total()} blocks were run: {counted}")
    for block in (one for page in PAGES for one in blocks_in(page)):
        if block.way == "no":
            terminalreporter.write_line(f"not run: {block}: {block.reason}")
