"""A trigger that changes a fresh mark: the record is not sent, on any database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.ledger_conformance import claim, mark, put

if TYPE_CHECKING:
    from tests.support.ledger_conformance import Database

CHANGES = {"status": "status = 'succeeded'", "batch": "batch_no = 1", "key": "record_identifier = 'another'"}

POSTGRESQL = """
CREATE FUNCTION alter_it() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.record_identifier = 'changed' THEN {body}; END IF;
  RETURN {value};
END $$;
CREATE {kind} TRIGGER alter_it {moment} INSERT OR UPDATE ON contact_outcomes_records
{deferred} FOR EACH ROW EXECUTE FUNCTION alter_it()
"""

FRESH = "WHERE record_identifier = 'changed' AND status = 'sending' AND batch_no <> 1"


@pytest.fixture
def database(database_of_any_kind: Database) -> Database:
    return database_of_any_kind


def before(change: str) -> list[str]:
    body = f"NEW.{change.replace(' = ', ' := ', 1)}"
    return [POSTGRESQL.format(body=body, value="NEW", kind="", moment="BEFORE", deferred="")]


def after(change: str, *, deferred: bool) -> list[str]:
    body = f"UPDATE contact_outcomes_records SET {change} {FRESH}"
    kind, words = ("CONSTRAINT", "DEFERRABLE INITIALLY DEFERRED") if deferred else ("", "")
    return [POSTGRESQL.format(body=body, value="NULL", kind=kind, moment="AFTER", deferred=words)]


def triggers(database: Database, moment: str, change: str) -> list[str]:
    if database.url.startswith("postgresql"):
        return before(change) if moment == "before" else after(change, deferred=moment == "at commit")
    if database.url.startswith("sqlite"):
        body = f"UPDATE contact_outcomes_records SET {change} {FRESH}"
        return [
            f"CREATE TRIGGER alter_{event} AFTER {event} ON contact_outcomes_records "
            f"WHEN NEW.record_identifier = 'changed' BEGIN {body}; END"
            for event in ("INSERT", "UPDATE")
        ]
    return [
        f"CREATE TRIGGER alter_{event} BEFORE {event} ON contact_outcomes_records FOR EACH ROW "
        f"SET NEW.{change.replace(' = ', ' = IF(NEW.record_identifier = ' + chr(39) + 'changed' + chr(39) + ', ')}, "
        f"NEW.{change.split(' = ', maxsplit=1)[0]})"
        for event in ("INSERT", "UPDATE")
    ]


@pytest.mark.parametrize("moment", ["before", "after", "at commit"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_changed_mark_is_no_claim(
    database: Database, moment: str, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    if moment != "before" and not database.url.startswith("postgresql"):
        pytest.skip("has no such triggers")
    before_it = database.open("before")
    assert claim(before_it, "old") == {"old"}
    database.run(*triggers(database, moment, change))
    ledger = database.open()
    assert claim(ledger, "changed", "fine") == {"fine"}
    assert put(ledger, [mark(ledger, "other")]) == {"other"}
    if not database.url.startswith("mysql") and change != CHANGES["key"]:
        reason = "a trigger or rule of contact_outcomes_records changes their marks"
        assert f"1 records are not sent: {reason}" in caplog.messages


def test_a_trigger_that_changes_nothing_costs_nothing(database: Database) -> None:
    claim(database.open("before"), "old")
    database.run(*triggers(database, "before", CHANGES["status"]))
    ledger = database.open()
    assert claim(ledger, *(f"key-{number}" for number in range(1500))) == {f"key-{number}" for number in range(1500)}
