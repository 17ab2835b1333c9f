"""Empty databases of the three kinds, for what every outcome table must do on a real server."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from tests.support.ledger_conformance import Database

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

KINDS = ("sqlite", "postgresql", "mariadb")
NUMBERS = count(1)


def fresh_database(kind: str, request: pytest.FixtureRequest, folder: Path) -> Database:
    """Return an empty database; close it.

    :param request: starts the server that it takes.
    """
    name = f"fresh_{next(NUMBERS)}"
    if kind == "sqlite":
        return Database(f"sqlite:///{folder / name}.db")
    server = request.getfixturevalue("postgres" if kind == "postgresql" else "mariadb")
    owner = Database(server.url())
    if kind == "postgresql":
        owner.run(f"CREATE SCHEMA {name}")
        url = server.url(options=f"-csearch_path%3D{name}")
    else:
        owner.run(f"CREATE DATABASE {name}")
        url = server.url(database=name)
    owner.close()
    return Database(url)
