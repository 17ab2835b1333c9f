from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_contacts import vendors
from airflow_provider_contacts.cli.definition import COMMANDS, get_cli_commands
from airflow_provider_contacts.cli.output import shown, write
from airflow_provider_contacts.cli.program import main

MODULE = (sys.executable, "-m", "airflow_provider_contacts")
AIRFLOW = (sys.executable, "-m", "airflow", "contacts")
ROWS = [{"name": "1.10", "text": "\x1b[31m[red]a\nb[/red]\u202e :smile:", "number": 3, "none": None}]


def test_airflow_is_given_every_command() -> None:
    (group,) = get_cli_commands()
    assert [one.name for one in group.subcommands] == [one.name for one in COMMANDS]


@pytest.mark.parametrize("name", [one.name for one in COMMANDS])
def test_the_function_of_a_command_exists_and_its_help_holds_no_markup(name: str) -> None:
    from importlib import import_module

    command = next(one for one in COMMANDS if one.name == name)
    module, _, function = command.function.rpartition(".")
    assert callable(getattr(import_module(module), function))
    told = [command.help, command.epilog or "", *(str(one.settings.get("help")) for one in command.arguments)]
    assert [text for text in told if "[" in text] == []


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
    assert shown({"a": ["b\r", 1], "c": None}) == "a: b\\r, 1, c: "


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


def run(way: tuple[str, ...], *arguments: str, home: Path, **given: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "AIRFLOW_HOME": str(home), **given.pop("env", {})}
    return subprocess.run(
        [*way, *arguments], check=False, capture_output=True, text=True, env=environment, timeout=100, **given
    )


@pytest.mark.parametrize("way", [AIRFLOW, MODULE], ids=["airflow", "module"])
def test_both_ways_in_say_the_same(way: tuple[str, ...], tmp_path: Path) -> None:
    told = run(way, "vendors", "nedzo", "-o", "json", home=tmp_path)
    assert (told.returncode, json.loads(told.stdout)["vendor"]["title"]) == (0, "Nedzo")
    told = run(way, "vendors", "nope", home=tmp_path, env={"PYTHONIOENCODING": "ascii"})
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.splitlines()[-1].startswith("error: there is no vendor 'nope'")
