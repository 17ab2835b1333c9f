"""Empty databases of the three kinds, for what every outcome table must do on a real server."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from tests.support.ledger_conformance import Database

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NUMBERS = count(1)


def fresh_database(kind: str, request: pytest.FixtureRequest, folder: Path, driver: str | None = None) -> Database:
    """Return an empty database, on a server that ``request`` starts; close it."""
    name = f"fresh_{next(NUMBERS)}"
    if kind == "sqlite":
        return Database(f"sqlite:///{folder / name}.db")
    server = request.getfixturevalue("postgres" if kind == "postgresql" else "mariadb")
    how: dict[str, Any] = {"driver": driver} if driver else {}
    owner = Database(server.url(**how))
    if kind == "postgresql":
        owner.run(f"CREATE SCHEMA {name}")
        how["options"] = f"-csearch_path%3D{name}"
    else:
        # Its own character set could not hold every key.
        owner.run(f"CREATE DATABASE {name} CHARACTER SET latin1")
        how["database"] = name
    owner.close()
    return Database(server.url(**how))
