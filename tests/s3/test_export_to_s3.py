"""Exports to S3 through Airflow's own hook, over HTTP, and DuckDB over what they wrote there and into a folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_contacts.cli.program import main
from airflow_provider_contacts.task.export import folder_at
from tests.airflow_harness import airflow_connections
from tests.support.exports import HISTORY, LATEST, documented, export, three_runs
from tests.support.pushing import World, people, push

IN_LAKE = {"path": "s3://lake/contacts", "path_conn_id": "aws"}


@pytest.fixture(scope="module")
def lake() -> Iterator[dict[str, Any]]:
    """Serve a bucket; return the connection to it."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    login = {"aws_access_key_id": "an-invented-key", "aws_secret_access_key": "an-invented-secret"}
    boto3.client("s3", endpoint_url=url, region_name="us-east-1", **login).create_bucket(Bucket="lake")
    extra = {"region_name": "us-east-1", "endpoint_url": url}
    yield {"conn_type": "aws", "login": "an-invented-key", "password": "an-invented-secret", "extra": extra}
    server.stop()


@pytest.fixture(autouse=True)
def connections(world: World, lake: dict[str, Any]) -> Iterator[None]:
    world.connect("aws", **lake)
    world.connect("away", **{**lake, "extra": {**lake["extra"], "endpoint_url": "http://127.0.0.1:1"}})
    with airflow_connections(world.api.connections):
        yield


def keys(folder: str) -> set[str]:
    """Return the objects of a folder."""
    store = folder_at(folder, "aws").fs
    store.invalidate_cache()
    return set(store.find(folder))


@pytest.mark.parametrize("where", ["s3", "folder"])
def test_duckdb_shows_history_and_latest_state_of_three_runs(world: World, where: str) -> None:
    import duckdb

    place = {**IN_LAKE, "path": f"s3://lake/{world.folder.name}"} if where == "s3" else {}
    done = three_runs(world, file_format="parquet", **place)
    folder = str(place.get("path", world.folder / "out"))
    assert {one["path"].rpartition("/")[0] for one in done} == {f"{folder}/d%2Fpush%40dex_default"}
    with duckdb.connect() as connection:
        if where == "s3":
            connection.register_filesystem(folder_at(folder, "aws").fs)
        view = f"CREATE VIEW contact_outcomes_history AS SELECT * FROM read_parquet('{folder}/*/*.parquet')"
        connection.execute(view)
        rows = connection.execute(documented("sql", "PARTITION BY")).df().to_dict("records")
    assert [(row["record_identifier"], row["run_id"], row["status"]) for row in rows] == HISTORY
    assert {row["record_identifier"]: row["run_id"] for row in rows if row["from_newest"] == 1} == LATEST


@pytest.mark.parametrize("file_format", ["parquet", "ndjson", "csv"])
def test_an_object_is_there_under_its_own_name_alone(world: World, file_format: str) -> None:
    summary, folder = world.done(push(people(2))), f"s3://lake/{world.folder.name}"
    for _ in (1, 2):
        done = world.done(export(world, summary=summary, file_format=file_format, **{**IN_LAKE, "path": folder}))
    assert done["path"] == f"{folder}/d%2Fpush%40dex_default/d%2Frun%2Fpush%2F-1.{file_format}"
    assert keys(folder) == {done["path"].removeprefix("s3://")}
    (event,) = world.api.states[-1]["outlet_events"]
    assert event["dest_asset_key"]["uri"] == folder


def test_more_than_one_part_is_uploaded(world: World) -> None:
    summary = world.done(push([{**one, "description": "x" * 20_000} for one in people(600)], store_payload="all"))
    done = world.done(export(world, summary=summary, payloads=True, **IN_LAKE))
    store = folder_at(IN_LAKE["path"], "aws").fs
    assert store.size(done["path"]) > 10 * 2**20
    assert len(store.cat(done["path"]).splitlines()) == done["num_rows"] == 600


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"path": "s3://no-lake/contacts"}, "path: 's3://no-lake/contacts' takes no object through connection 'aws' ("),
        ({"path_conn_id": "away"}, "takes no object through connection 'away' (EndpointConnectionError: Could not "),
    ],
)
def test_a_bucket_that_takes_nothing_is_told(
    world: World, given: dict[str, Any], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = world.done(push(people(1)))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    place = {**IN_LAKE, **given}
    result = world.run(export(world, summary=summary, **place))
    assert result.state == "up_for_retry"
    assert told in str(result.error)
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "")
    options = ("--path", place["path"], "--path-conn-id", place["path_conn_id"], "--outcomes-conn-id", "outcomes")
    assert main(["export", summary["sync_run_id"], *options]) == 1
    assert told in capsys.readouterr().err
