"""``check``, ``settle`` and ``export`` from the command line: what is printed, and the exit code."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator

import pytest

from airflow_provider_contacts.cli.program import main
from airflow_provider_contacts.outcome import digest_of
from tests.support.commands import commands_know, terminal
from tests.support.pushing import CALLS, World, callees
from tests.support.pushing import push as push_task

SYNC = "the-sync"
OPTIONS = ("--settled-by", "ada", "--outcomes-conn-id", "outcomes")


@pytest.fixture(autouse=True)
def connections(world: World) -> Iterator[None]:
    with commands_know(world.api.connections):
        yield


@pytest.fixture
def doubts(world: World) -> World:
    """Return a world with c0, c1 and c2 in doubt."""
    world.simulator.set("talkdesk.store_then_drop", "next:1")
    assert world.run(push_task(callees(3), **{**CALLS, "sync_id": SYNC, "max_unknown": 1000})).error is None
    assert set(world.statuses().values()) == {"unknown"}
    return world


Say = Callable[[str], None]


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Say:
    """Return what puts a text into the standard input."""
    return lambda text: monkeypatch.setattr(sys, "stdin", io.StringIO(text))


@pytest.mark.parametrize(
    ("arguments", "code", "results"),
    [
        (["dex_default"], 0, ["ok"] * 7),
        (["dex_default", "--destination", '{"a": 1}'], 1, [*["ok"] * 6, "failed"]),
        (["nobody"], 1, ["failed", *["not tried"] * 6]),
    ],
)
def test_a_connection_is_checked(
    arguments: list[str], code: int, results: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *arguments, "-o", "json"]) == code
    assert [one["result"] for one in json.loads(capsys.readouterr().out)] == results


def test_a_destination_that_is_no_json_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "dex_default", "--destination", "{"]) == 2
    assert capsys.readouterr().err == "error: --destination is a mapping, or the JSON text of one, not '{'\n"


@pytest.mark.parametrize(
    ("arguments", "lines", "statuses"),
    [
        (["--found", "c0=id-0", f"{digest_of('c1')}=id=1"], "", ["succeeded", "succeeded", "unknown"]),
        (["--found", "-"], "c0=id-0\n\nc1=id-1\n", ["succeeded", "succeeded", "unknown"]),
        (["--missing", "c0", digest_of("c2")], "", ["failed", "unknown", "failed"]),
        (["--missing", "-"], "c0\nc1", ["failed", "failed", "unknown"]),
    ],
)
def test_records_are_settled(doubts: World, arguments: list[str], lines: str, statuses: list[str], say: Say) -> None:
    say(lines)
    assert main(["settle", SYNC, *arguments, *OPTIONS, "--yes"]) == 0
    assert [doubts.statuses()[key] for key in ("c0", "c1", "c2")] == statuses


def test_nothing_named_is_nothing_to_do(doubts: World, say: Say, capsys: pytest.CaptureFixture[str]) -> None:
    say("\n")
    assert main(["settle", SYNC, "--missing", "-", *OPTIONS, "--yes", "-o", "json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["num_named"], told["num_settled"], told["settled_by"]) == (0, 0, "ada")
    assert set(doubts.statuses().values()) == {"unknown"}


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (
            ["--missing", "c0", "nobody"],
            1,
            f"1 not in the table under this sync_id (place 2, digest {digest_of('nobody')})",
        ),
        (["--found", "c0=null"], 1, "the vendor's id at place 1 is none"),
        (["--found", "c0"], 2, "--found: KEY=ID is wanted at place 1"),
        (["--found", "c0=1", "c0=2"], 2, "--found: names one record twice at place 2"),
        ([], 2, "give either --found KEY=ID or --missing KEY"),
        (["--found", "c0=1", "--missing", "c1"], 2, "give either --found KEY=ID or --missing KEY"),
    ],
)
def test_what_cannot_be_settled_is_told(
    doubts: World, arguments: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["settle", SYNC, *arguments, *OPTIONS, "--yes"]) == code
    error = capsys.readouterr().err
    assert told in error
    assert "nobody" not in error
    assert doubts.statuses()["c1"] == "unknown"


def test_a_sync_id_that_the_table_does_not_have_is_one_error(doubts: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settle", "the-sink", "--missing", *doubts.statuses(), *OPTIONS, "--yes"]) == 1
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert "has no sync_id 'the-sink': nothing is settled; did you mean 'the-sync'?" in told.err


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("\x04", 1)])
def test_a_terminal_is_asked(doubts: World, answer: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with terminal(answer):
        assert main(["settle", SYNC, "--missing", "c0", "c1", *OPTIONS]) == code
    asked = (
        "Settle 2 records of 'the-sync' as failed (they do not exist, and are sent again by the next run or a replay), "
        "by 'ada', in contact_outcomes of connection 'outcomes'? [y/N] "
    )
    assert asked in capsys.readouterr().err
    assert doubts.statuses()["c0"] == ("failed" if code == 0 else "unknown")


def test_nothing_is_written_where_nobody_can_be_asked(
    doubts: World, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    say("y\n")
    assert main(["settle", SYNC, "--missing", "c0", *OPTIONS]) == 2
    assert capsys.readouterr().err == "error: no terminal is there to ask at, so nothing is written: give --yes\n"
    assert doubts.statuses()["c0"] == "unknown"


@pytest.mark.parametrize("run", ["1", "d/run/push/-1"])
def test_a_run_is_exported(doubts: World, run: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = doubts.folder / "exports"
    options = ("--path", str(folder), "--format", "ndjson", "--identifiers", "digest")
    assert main(["export", run, *options, "--outcomes-conn-id", "outcomes", "-o", "json"]) == 0
    path = folder / SYNC / "d%2Frun%2Fpush%2F-1.ndjson"
    assert json.loads(capsys.readouterr().out) == [{"path": str(path), "num_rows": 3, "status": "partial"}]
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert {one["record_identifier"] for one in found} == set(map(digest_of, ("c0", "c1", "c2")))
    assert {(one["status"], one["error_code"], one["payload_hash"][:3]) for one in found} == {
        ("unknown", "connection_lost", "v1:")
    }
    assert "record_payload" not in found[0]


@pytest.mark.parametrize(
    ("run", "path", "told"),
    [
        ("99", "", "there is no run '99' in the outcome table"),
        ("1", "gs://bucket/x", "path: no storage serves 'gs://bucket/x'"),
    ],
)
def test_what_cannot_be_exported_is_told(
    doubts: World, run: str, path: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", run, "--path", path or str(doubts.folder), "--outcomes-conn-id", "outcomes"]) == 1
    assert capsys.readouterr().err.startswith(f"error: {told}")
