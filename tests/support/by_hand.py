"""Rows behind the outcome view, written by hand: what another execution, a person or time would have left there."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING, Any

import sqlalchemy  # noqa: TID253  # the tables are what is written

if TYPE_CHECKING:
    from tests.support.pushing import World

NUMBERS = count(1)
FIRST_BATCH = 0x7000000000 << 24

SYNC = ("sync_id", "destination", "destination_host", "destination_object")
BATCH = ("http_status", "batch_started_at", "batch_completed_at")
TABLE = "contact_outcomes"


def insert(connection: sqlalchemy.Connection, outcome: Mapping[str, Any], table: str = TABLE) -> None:
    """Insert an outcome, in the view's words, with a batch of its own."""
    sync = {name: outcome[name] for name in SYNC if name in outcome}
    run = {"sync_run_id": outcome["sync_run_id"]}
    batch = {name: outcome[name] for name in BATCH if name in outcome}
    record = {name: value for name, value in outcome.items() if name not in {*sync, *run, *batch}}
    sync_no = found(connection, f"{table}_syncs", "sync_no", sync)
    run_no = found(connection, f"{table}_runs", "run_no", run, sync_id=outcome["sync_id"], try_number=1, token="t")
    batch_no = FIRST_BATCH + next(NUMBERS)
    add(connection, f"{table}_batches", {"batch_no": batch_no, "run_no": run_no, "status": "open", **batch})
    add(connection, f"{table}_records", {"sync_no": sync_no, "batch_no": batch_no, "attempts": 1, **record})


def found(connection: sqlalchemy.Connection, table: str, number: str, values: dict[str, Any], **more: Any) -> int:
    """Return the number of the row with these values, which is made if it is not there."""
    wanted = " AND ".join(f"{name} = :{name}" for name in values)
    query = sqlalchemy.text(f"SELECT {number} FROM {table} WHERE {wanted}")
    known = connection.execute(query, values).scalar()
    if known is None:
        add(connection, table, {**values, **more})
        known = connection.execute(query, values).scalar_one()
    return int(known)


def add(connection: sqlalchemy.Connection, table: str, values: Mapping[str, Any]) -> None:
    marks = ", ".join(f":{name}" for name in values)
    connection.execute(sqlalchemy.text(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})"), values)


def change(world: World, keys: str = "%", **changes: str) -> None:
    """Change what stands of the records whose key is like this.

    :param changes: SQL by column of the view. Where it is of a batch, each record first gets a batch of its own.
    """
    open_all(world)
    shared = {name: changes.pop(name) for name in BATCH if name in changes}
    chosen = f"FROM {TABLE}_records WHERE record_identifier LIKE '{keys}'"
    if shared:
        for row in world.query(f"SELECT record_identifier, batch_no {chosen}"):
            number = FIRST_BATCH + next(NUMBERS)
            world.query(
                f"INSERT INTO {TABLE}_batches SELECT {number}, run_no, status, http_status, batch_started_at, "
                f"batch_completed_at, ids, body FROM {TABLE}_batches WHERE batch_no = {row['batch_no']}"
            )
            world.query(
                f"UPDATE {TABLE}_records SET batch_no = {number} WHERE record_identifier = ?",
                parameters=[row["record_identifier"]],
            )
        world.query(f"UPDATE {TABLE}_batches SET {listed(shared)} WHERE batch_no IN (SELECT batch_no {chosen})")
    if changes:
        world.query(f"UPDATE {TABLE}_records SET {listed(changes)} WHERE record_identifier LIKE '{keys}'")


def open_all(world: World) -> None:
    """Give every record the words that it has from its batch (SQLite)."""
    of_batch = f"(SELECT {{}} FROM {TABLE}_batches b WHERE b.batch_no = r.batch_no)"
    at_place = {one: of_batch.format(f"json_extract(b.{one}, '$[' || r.place || ']')") for one in ("body", "ids")}
    words = {"record_payload": at_place["body"], "destination_record_id": at_place["ids"]}
    words["status"] = of_batch.format("b.status")
    world.query(f"UPDATE {TABLE}_records AS r SET {listed(words)} WHERE status IS NULL")
    world.query(f"UPDATE {TABLE}_batches SET status = 'open', ids = NULL, body = NULL")


def listed(changes: Mapping[str, str]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in changes.items())


def move_to_sync(world: World, key: str, **sync: str) -> None:
    """Move a record to another ``sync_id``, which is new, with the destination of its own where none is given."""
    old = f"SELECT s.* FROM {TABLE}_syncs s JOIN {TABLE}_records r ON r.sync_no = s.sync_no"
    (known,) = world.query(f"{old} WHERE r.record_identifier = ?", parameters=[key])
    values = {**known, **sync}
    del values["sync_no"]
    marks = ", ".join("?" * len(values))
    world.query(f"INSERT INTO {TABLE}_syncs ({', '.join(values)}) VALUES ({marks})", parameters=list(values.values()))
    world.query(
        f"UPDATE {TABLE}_records SET sync_no = (SELECT max(sync_no) FROM {TABLE}_syncs) WHERE record_identifier = ?",
        parameters=[key],
    )
