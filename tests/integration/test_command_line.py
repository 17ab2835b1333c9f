from __future__ import annotations

import io
import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_contacts import vendors
from airflow_provider_contacts.cli.arguments import LIMIT, OUTPUT, TABLE, YES, Argument, Command
from airflow_provider_contacts.cli.definition import COMMANDS, SIMULATE, get_cli_commands
from airflow_provider_contacts.cli.output import shown, write
from airflow_provider_contacts.cli.program import main, prepare_streams
from airflow_provider_contacts.cli.why import COLUMNS, NEXT
from airflow_provider_contacts.error_codes import NEVER_READ, RUN_STATUS_WORDS, STATUS_WORDS, explain
from airflow_provider_contacts.ledgers.sql.tables import FLAVOURS
from airflow_provider_contacts.outcome import RecordError, Status, digest_of
from airflow_provider_contacts.simulator.knobs import FORMS
from tests.support.ledger_conformance import Database, answer, batch_of, execution, make, put, results
from tests.support.pages import text_of

PAGE = text_of("docs/command_line.md")
SHARED = (*TABLE, OUTPUT, LIMIT, YES)
ROWS = [{"name": "1.10", "text": "\x1b[31m[red]a\nb[/red]\u202e :smile:", "number": 3, "none": None}]


def test_airflow_is_given_every_command() -> None:
    (group,) = get_cli_commands()
    assert [one.name for one in group.subcommands] == [one.name for one in COMMANDS]


def documented(heading: str, arguments: list[Argument]) -> None:
    """Compare the table of a section with the parser: every argument, its choices and its default."""
    (section,) = re.findall(rf"^##+ {heading}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    rows: list[str] = re.findall(r"^\| (`.*) \|$", section, re.MULTILINE)
    stated = {re.findall(r"`([\w-]+)", row.partition(" |")[0])[-1]: row for row in rows}
    named = {one.flags[-1]: one.settings.get("metavar") or one.flags[-1].upper() for one in arguments}
    assert list(stated) == [flag if flag.startswith("-") else name for flag, name in named.items()]
    for one, row in zip(arguments, stated.values(), strict=True):
        default = one.settings.get("default")
        known = [*one.settings.get("choices", ()), *([] if default in (None, []) else [default])]
        assert [word for word in known if f"`{word}`" not in row] == [], row
        assert ("| required: " in row) == bool(one.settings.get("required")), row


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: one.name)
def test_the_page_has_an_example_and_every_argument_of_a_command(command: Command) -> None:
    assert re.search(rf"^airflow contacts {command.name}\b", PAGE, re.MULTILINE)
    documented(command.name, [one for one in command.arguments if one not in SHARED])


def test_the_page_of_the_simulator_has_its_options() -> None:
    stated = set(re.findall(r"`(--[a-z-]+)", text_of("docs/simulator.md")))
    assert stated == {one.flags[-1] for one in SIMULATE.arguments}


def test_the_page_has_the_options_of_several_commands() -> None:
    documented("Options of several commands", list(SHARED))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: one.name)
def test_the_help_of_a_command_holds_no_markup(command: Command) -> None:
    told = [command.help, command.epilog or "", *(str(one.settings.get("help")) for one in command.arguments)]
    assert [text for text in told if "[" in text] == []


def test_what_the_declaration_repeats_since_it_imports_nothing_is_what_the_package_says() -> None:
    stated = {
        (command.name, one.flags[0]): one.settings.get("choices") for command in COMMANDS for one in command.arguments
    }
    assert stated["runs", "--status"] == tuple(RUN_STATUS_WORDS)
    assert stated["show", "--status"] == tuple(one for one in STATUS_WORDS if one not in {"skipped", "duplicate"})
    assert stated["ddl", "database"] == FLAVOURS
    assert FORMS in (SIMULATE.epilog or "")


@pytest.mark.parametrize(
    ("output", "wanted"),
    [
        ("json", json.dumps(ROWS, indent=2) + "\n"),
        ("yaml", '- name: \'1.10\'\n  text: "\\e[31m[red]a\\nb[/red]\\u202E :smile:"\n  number: 3\n  none: null\n'),
        ("plain", f"{'name':4}  {'text':37}  number  none\n1.10  \\x1b[31m[red]a\\nb[/red]\\u202e :smile:  3\n"),
    ],
)  # fmt: skip
def test_rows_are_printed(output: str, wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    write(output, ROWS)
    assert capsys.readouterr().out == wanted


def test_a_table_shows_hostile_text_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    write("table", {"some_rows": ROWS, "one": ROWS[0], "text": "a\x07\nb", "nothing": []})
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert "\\x1b[31m[red]a\\nb[/red]\\u202e :smile:" in told
    assert [line for line in told.splitlines() if line.isupper()] == ["SOME ROWS", "ONE", "TEXT", "NOTHING"]
    assert "a\\x07\nb\n" in told
    assert told.endswith("none\n\n")


def test_a_value_is_shown_on_one_line() -> None:
    assert shown({"a": ["b\r", 1], "c": None}) == "a: b\\r; 1"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["vendors", "nope"], 1, "error: there is no vendor 'nope'; there are apptoto"),
        (["ddl", "sqlite", "--table", "a b"], 2, "error: argument --table: outcomes_table must be a name"),
        (["simulate", "--set", "dex.nothing=1"], 2, "error: there is no knob"),
        (["vendors"], 0, ""),
    ],
)
def test_exit_codes(arguments: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == code
    assert capsys.readouterr().err.startswith(told)


@pytest.mark.parametrize("arguments", [[], ["nope"], ["ddl", "oracle"], ["vendors", "--output", "xml"]])
def test_wrong_arguments_are_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)


@pytest.mark.parametrize("name", vendors.names())
def test_a_vendor_is_shown_whole(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vendors", name, "--output", "json"]) == 0
    found, vendor = json.loads(capsys.readouterr().out), vendors.load(name)
    assert [one["field"] for one in found["fields"]] == list(vendor.contract.fields)
    assert {one["column"]: one["field"] for one in found["shorthands"]} == vendor.contract.shorthands
    assert found["vendor"]["base_url"].startswith("https://")
    assert "SEED" in found["evidence"]


# The outcome table.

HOSTILE = "is \x1b[31mtaken\n[red]"
REASONS = (RecordError("taken", "email", HOSTILE), RecordError("short"))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment in which Airflow knows a table that two DAGs have pushed into."""
    file = tmp_path_factory.mktemp("table") / "outcomes.db"
    with closing(Database(f"sqlite:///{file}")) as database:
        first = execution(database, "a", sync_id="shared")
        good, claimed = batch_of(first, "ada", "1.10"), batch_of(first, "bob", "eve")
        put(first, [*good, *claimed])
        first.record_results(results(good, Status.SUCCEEDED, http_status=201, destination_record_id="id"))
        said = {"error_code": "taken", "error_field": "email", "status_message": HOSTILE, "errors": REASONS}
        answer(first, claimed[:1], Status.REJECTED, http_status=422, **said)
        answer(first, claimed[1:], Status.UNKNOWN, error_code="timeout")
        put(first, batch_of(first, "sent"))
        first.finish({"num_planned": 5, "num_succeeded": 2, "num_undelivered": 2}, "failed", "why")
        execution(database, "a", sync_id="shared", try_number=2)
        make(execution(database, "b", sync_id="own", destination="nedzo"), "bob", Status.UNKNOWN)
    connection = json.dumps({"conn_type": "sqlite", "host": str(file)})
    return {"AIRFLOW_CONN_TABLE": connection, "AIRFLOW__CONTACTS__OUTCOMES_CONN_ID": "table"}


@pytest.fixture
def known(table: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.configuration import conf

    assert conf.getboolean("core", "unit_test_mode")  # else it is read, and logged, in the middle of a test
    away = {"conn_type": "postgres", "host": "127.0.0.1", "port": 1, "login": "ada", "password": "secret-word"}
    others = {"AIRFLOW_CONN_AWAY": json.dumps(away), "AIRFLOW_CONN_WEB": json.dumps({"conn_type": "nedzo"})}
    for name, value in {**table, **others, "_AIRFLOW_PROCESS_CONTEXT": ""}.items():
        monkeypatch.setenv(name, value)


def asked(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    """Run a command, and return what it prints as JSON."""
    assert main([*arguments, "--output", "json"]) == code
    return json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("key", ["bob", digest_of("bob")])
def test_why_tells_what_became_of_a_record_under_every_sync(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = {one["sync_id"]: one for one in asked(capsys, "why", key)}
    assert {name: (one["status"], one["error_code"], one["run_no"]) for name, one in found.items()} == {
        "own": ("unknown", None, 3),
        "shared": ("rejected", "taken", 1),
    }
    command = f"airflow contacts settle own --settled-by YOU --found {digest_of('bob')}=VENDOR_ID"
    assert (found["own"]["settle"].partition(", or ")[0], found["shared"]["settle"]) == (command, None)
    for one in found.values():
        words = explain(one["status"], one["error_code"], one["destination"])
        assert (one["meaning"], one["advice"]) == words
        assert (one["next_try"], one["next_run"]) == NEXT[one["status"]]
        assert set(chain.from_iterable(COLUMNS.values())) <= set(one)
    assert main(["why", key]) == 0
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert "\\n[red]" in told
    assert "Correct the record at its source" in told


@pytest.mark.usefixtures("known")
def test_why_names_the_syncs_that_have_no_row_for_a_record_of_another(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "ada", "-o", "plain"]) == 0
    told = capsys.readouterr()
    assert told.err.startswith("hint: other syncs have no row for this key")
    assert all(one in told.err for one in NEVER_READ)
    lines = told.out.splitlines()
    heading = lines.index("NEWEST RUN OF EACH SYNC WITHOUT A ROW")
    assert [line.split()[0] for line in lines[heading + 1 :] if line] == ["sync_id", "own"]
    # Nothing is left to say where every sync has one, or where a program reads the rows.
    assert main(["why", "bob"]) == main(["why", "ada", "-o", "json"]) == 0
    told = capsys.readouterr()
    assert (told.err, "NEWEST RUN" in told.out) == ("", False)


@pytest.mark.usefixtures("known")
def test_why_tells_of_a_record_that_was_never_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["why", "zoe@example.com"]) == 1
    told = capsys.readouterr()
    assert f"error: no push has a row for this key (digest {digest_of('zoe@example.com')})" in told.err
    assert all(one in told.err for one in NEVER_READ)
    assert [line.split()[0] for line in told.out.splitlines()[3:5]] == ["own", "shared"]
    # Of several, those that are there are shown all the same.
    monkeypatch.setattr("sys.stdin", io.StringIO("zoe\nada\n\n"))
    assert [one["record_identifier"] for one in asked(capsys, "why", "-", code=1)] == ["ada"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert main(["why", "-"]) == main(["why", ""]) == main(["why", "\udcff"]) == 2


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        ([], [3, 2, 1]),
        (["--limit", "1"], [3]),
        (["--dag-id", "a"], [2, 1]),
        (["--destination", "nedzo"], [3]),
        (["--status", "failed"], [1]),
        (["--since", "2020-01-01", "--until", "2020-01-02"], []),
    ],
)
def test_runs_are_listed(arguments: list[str], numbers: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    assert [one["run_no"] for one in asked(capsys, "runs", *arguments)] == numbers
    assert main(["runs", *arguments]) == 0
    told = capsys.readouterr()
    assert told.out == "none\n" if not numbers else told.out.startswith("run_no | started_at")
    assert ("--limit NUMBER prints more" in told.err) == ("--limit" in arguments)


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("arguments", "number", "keys"),
    [
        (["1"], 1, ["ada", "1.10", "bob", "eve", "sent"]),
        (["a/r/t/-1", "--status", "unknown"], 2, ["eve"]),
        (["2", "--code", "taken"], 2, ["bob"]),
    ],
)
def test_a_run_is_shown(arguments: list[str], number: int, keys: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(capsys, "show", *arguments)
    assert (found["run"]["run_no"], [one["run_no"] for one in found["other_tries"]]) == (number, [3 - number])
    assert [one["record_identifier"] for one in found["rows"]] == keys
    assert {(one["status"], one["count"]) for one in found["codes"]} >= {("succeeded", 2), ("rejected", 1)}
    assert main(["show", *arguments]) == 0
    told = capsys.readouterr().out
    assert "Correct the record at its source" in told
    assert "\x1b" not in told


@pytest.mark.usefixtures("known")
def test_what_is_in_doubt_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    groups = asked(capsys, "unknown")
    assert [(one["sync_id"], one["num_unknown"], one["num_sending"], one["hour"]) for one in groups] == [
        ("shared", 1, 1, 2),
        ("own", 1, 0, 1),
    ]
    assert [one["record_identifier"] for one in asked(capsys, "unknown", "--sync-id", "shared")] == ["eve", "sent"]
    assert asked(capsys, "unknown", "--sync-id", "absent") == []
    assert main(["unknown", "-o", "plain"]) == 0


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["show", "99"], 1, "there is no run '99' in the outcome table: the command runs lists their numbers"),
        (["show", "9" * 40], 1, "there is no run '9999"),
        (["runs", "--outcomes-table", "other"], 1, "has no other_"),
        (["runs", "--outcomes-table", "a b"], 1, "outcomes_table must be a name"),
        (["runs", "--outcomes-conn-id", "nope"], 1, "outcomes_conn_id: there is no connection 'nope'; make it"),
        (["unknown", "--outcomes-conn-id", "web"], 1, "connection 'web' is no SQL connection; its type is 'nedzo'"),
        (["why", "bob", "--outcomes-conn-id", "away"], 1, "connection 'away'"),
    ],
)
def test_what_is_not_found_is_named(
    arguments: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert told in said.err
    assert len(said.err.splitlines()) == 1
    assert "secret-word" not in said.err


def test_a_table_that_is_not_named_is_usage(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "")
    assert main(["runs"]) == 2
    assert "give --outcomes-conn-id, or set outcomes_conn_id" in capsys.readouterr().err


# Processes, and streams.

AIRFLOW = (sys.executable, "-m", "airflow")
WAYS = {"airflow": (*AIRFLOW, "contacts"), "module": (sys.executable, "-m", "airflow_provider_contacts")}


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "AIRFLOW__CORE__UNIT_TEST_MODE": "False", **changes}


def run(*command: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, check=False, capture_output=True, text=True, env=environment(**changes), timeout=100, errors="replace"
    )


@pytest.fixture(scope="module")
def sources(table: dict[str, str], airflow_db: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return environments in which the table's connection is known in one way each."""
    uri = table["AIRFLOW_CONN_TABLE"]
    added = run(*AIRFLOW, "connections", "add", "added", "--conn-json", uri)
    assert added.returncode == 0, added.stderr
    file = tmp_path_factory.mktemp("secrets") / "connections.json"
    file.write_text(json.dumps({"secret": json.loads(uri)}), "utf-8")
    backend = {
        "AIRFLOW__SECRETS__BACKEND": "airflow.secrets.local_filesystem.LocalFilesystemBackend",
        "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps({"connections_file_path": str(file)}),
    }
    return {"added": {}, "secret": backend, "file": airflow_db / "airflow.db"}


@pytest.mark.parametrize(("way", "conn_id"), [("airflow", "added"), ("module", "secret")])
def test_a_connection_is_found_wherever_airflow_keeps_it(way: str, conn_id: str, sources: dict[str, Any]) -> None:
    asked = ("why", "bob", "-o", "json", "--outcomes-conn-id", conn_id)
    told = run(*WAYS[way], *asked, **sources[conn_id], PYTHONIOENCODING="ascii")
    # Airflow 3.2 has one of its libraries say there that it is set up.
    assert (told.returncode, "warning" in told.stderr, "error" in told.stderr) == (0, False, False), told.stderr
    assert {one["sync_id"] for one in json.loads(told.stdout)} == {"own", "shared"}
    with closing(sqlite3.connect(sources["file"])) as database:
        logged = database.execute("SELECT event, extra FROM log").fetchall()
    assert "cli_connections_add" in [event for event, _ in logged]  # so Airflow does log commands
    assert "bob" not in str(logged)


def test_below_airflow_a_command_ends_as_by_itself(tmp_path: Path) -> None:
    told = run(*WAYS["airflow"], "vendors", "nope", AIRFLOW_HOME=str(tmp_path))
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.splitlines()[-1].startswith("error: there is no vendor 'nope'")
    command = (*WAYS["airflow"], "vendors", "dex", "-o", "plain")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        process.stdout.close()  # as head does
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_a_terminal_of_any_encoding_takes_every_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", stream := io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    prepare_streams()
    for output in ("table", "plain"):
        write(output, [{"name": "Žofie \U0001f600"}])
    stream.flush()
    assert stream.buffer.getvalue().count(b"\\u017dofie \\U0001f600") == 2


@pytest.mark.parametrize(
    ("redirected", "code", "told"),
    [
        ("why - <&-", 2, "no key is given"),
        (r"settle s --missing - --settled-by a --yes <<< $'\xff'", 2, "is no text in UTF-8"),
        ("runs >&-", 0, ""),
        (r"why - <<< $'ada\u2028'", 1, f"digest {digest_of(chr(0x2028).join(('ada', '')))}"),
    ],
)
def test_streams_may_be_closed_or_hold_no_text(redirected: str, code: int, told: str, table: dict[str, str]) -> None:
    command = f"{' '.join(WAYS['module'])} {redirected}"
    # An empty table's name is none, as on the page.
    streams = {"PYTHONIOENCODING": "utf-8:strict", "AIRFLOW__CONTACTS__OUTCOMES_TABLE": "", "LC_ALL": "C.UTF-8"}
    ended = run("bash", "-c", command, **table, **streams)
    assert ended.returncode == code, ended.stderr
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_who_interrupts_sees_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Interrupted(io.StringIO):
        def __next__(self) -> str:  # type: ignore[override]  # its stub has bytes
            raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin", Interrupted())
    assert main(["why", "-"]) == 130
    assert capsys.readouterr() == ("", "")
