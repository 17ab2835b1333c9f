"""What may happen to a person who is to be forgotten, beside executions and in every order; for every outcome table."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy  # noqa: TID253  # the tables are what is tested

from airflow_provider_contacts.ledgers.sql.forgetting import ForgetResult, forget_some
from airflow_provider_contacts.ledgers.sql.forgetting import forget as forget_in
from airflow_provider_contacts.ledgers.sql.schema import existing
from airflow_provider_contacts.outcome import UNDELIVERED, Status, digest_of
from tests.support.ledger_conformance import (
    Database,
    answer,
    batch_of,
    claim,
    conclude,
    make,
    mark,
    marks,
    outcome,
    put,
)

HOUR = 3700
ALIKE = ("key-2ea38d69af64", "key-86b9943e9ec2")
"""Two identifiers of one digest."""

TABLES = ("syncs", "runs", "batches", "records")


def forget(database: Database, *names: str) -> dict[str, ForgetResult]:
    """Forget persons; return what became of each."""
    engine = database.engine()
    return forget_in(engine, existing(engine, "contact_outcomes"), names)[0]


def cells(database: Database) -> str:
    """Return all that the tables hold, as one text."""
    return "\n".join(str(value) for one in TABLES for row in database.rows(f"contact_outcomes_{one}") for value in row.values())  # fmt: skip  # noqa: E501


def names(database: Database) -> list[str]:
    return [row["record_identifier"] for row in database.rows("contact_outcomes_records")]


class ForgetHistories:
    """Needs a ``database`` fixture: an empty :class:`Database`."""

    @pytest.mark.parametrize("status", sorted(UNDELIVERED | {Status.SUCCEEDED}))
    def test_what_is_left_of_a_person(self, database: Database, status: Status) -> None:
        ledger = database.open(store_payload="all")
        make(ledger, "ada-key", status)
        make(ledger, "bob-key", status)
        before = database.row("ada-key")
        assert forget(database, "ada-key") == {"ada-key": ForgetResult.FORGOTTEN}
        (after,) = [row for row in database.rows() if row["record_identifier"] != "bob-key"]
        assert after["record_identifier"].startswith("forgotten:")
        gone = dict.fromkeys(("record_identifier", "payload_hash", "status_message", "errors", "record_payload"))
        assert {**after, **gone} == {**before, **gone}
        assert {after[name] for name in gone if name != "record_identifier"} == {None}
        assert "ada-key" not in cells(database)
        assert forget(database, "ada-key") == {"ada-key": ForgetResult.ALREADY_FORGOTTEN}
        # It learns of it by the claim, without which nobody is sent.
        assert claim(ledger, "ada-key") == set()
        for reader in (ledger, database.open("later")):
            states = reader.states(["ada-key", "bob-key", "new"])
            assert {name: one.is_forgotten for name, one in states.items()} == {"ada-key": True, "bob-key": False}
            assert (states["ada-key"].status, states["ada-key"].record_identifier) == (status, "ada-key")

    def test_in_every_sync_and_never_by_one_name(self, database: Database) -> None:
        for sync_id in ("one", "two", "three"):
            ledger = database.open(sync_id, sync_id=sync_id)
            make(ledger, "bob-key" if sync_id == "three" else "ada-key", Status.FAILED)
        assert forget(database, "ada-key", "nobody") == {
            "ada-key": ForgetResult.FORGOTTEN,
            "nobody": ForgetResult.ABSENT,
        }
        one, two, bob = sorted(names(database), key=lambda name: name == "bob-key")
        assert (one != two, bob) == (True, "bob-key")
        # What one sync_id refuses is told, and done under the others.
        claim(database.open("one", 2, sync_id="one"), "bob-key")
        assert forget(database, "bob-key") == {"bob-key": ForgetResult.STILL_SENDING}
        assert names(database).count("bob-key") == 1

    def test_by_digest(self, database: Database) -> None:
        make(database.open(), "ada-key", Status.FAILED)
        digest = digest_of("ada-key").upper()
        assert forget(database, digest) == {digest: ForgetResult.FORGOTTEN}
        (name,) = names(database)
        assert forget(database, digest) == {digest: ForgetResult.ABSENT}, (
            "its digest tells of a forgotten person no more"
        )
        assert forget(database, name, digest_of(name)) == {
            name: ForgetResult.ALREADY_FORGOTTEN,
            digest_of(name): ForgetResult.ALREADY_FORGOTTEN,
        }
        # In both spellings at once, and beside an identifier that looks like one of them.
        make(database.open("again"), "bob-key", Status.FAILED)
        make(database.open("again"), digest_of("bob-key").upper(), Status.FAILED)
        both = {digest_of("bob-key"), digest_of("bob-key").upper(), digest_of("bob-key").title()}
        assert forget(database, *both) == dict.fromkeys(both, ForgetResult.FORGOTTEN)
        assert names(database) == [one for one in names(database) if one.startswith("forgotten:")]
        # An identifier that looks like a digest is itself first.
        make(database.open("later"), digest, Status.FAILED)
        assert forget(database, digest) == {digest: ForgetResult.FORGOTTEN}

    # Between the look and the claim

    @pytest.mark.parametrize("written_by_another", [False, True])
    def test_a_claim_behind_it_is_lost(self, database: Database, written_by_another: bool) -> None:
        ours, theirs = database.open("ours"), database.open("theirs")
        make(theirs, "other", Status.FAILED)
        if not written_by_another:
            make(theirs, "ada-key", Status.FAILED)
        wanted = batch_of(ours, "ada-key", "bob-key", "cleo-key")
        later = mark(ours, "ada-key")
        if written_by_another:
            make(theirs, "ada-key", Status.SUCCEEDED)
        assert forget(database, "ada-key") == {"ada-key": ForgetResult.FORGOTTEN}
        assert put(ours, wanted) == {"bob-key", "cleo-key"}
        assert ours.states(["ada-key"])["ada-key"].is_forgotten
        # What was found new before is not claimed later either, nor is it noted.
        assert put(ours, [later]) == set()
        ours.record_unsent([outcome(name, Status.INVALID) for name in ("ada-key", "dan-key")])
        assert "dan-key" in names(database)
        assert answer(ours, wanted[1:], Status.SUCCEEDED) == {"bob-key", "cleo-key"}
        assert "ada-key" not in cells(database)
        assert not any(row["body"] for row in database.rows("contact_outcomes_batches"))

    def test_a_claim_that_found_the_sync_new(self, database: Database) -> None:
        ours = database.open("ours")
        wanted = batch_of(ours, "ada-key", "bob-key")
        make(database.open("theirs"), "ada-key", Status.SUCCEEDED)
        forget(database, "ada-key")
        assert put(ours, wanted) == {"bob-key"}
        assert "ada-key" not in cells(database)

    def test_later_executions_claim_in_one_exchange(self, database: Database) -> None:
        make(database.open(), "ada-key", Status.SUCCEEDED)
        forget(database, "ada-key")
        later = database.open("later")
        known = later.states(["ada-key"])
        assert known["ada-key"].is_forgotten
        statements: list[str] = []
        sqlalchemy.event.listen(later._engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
        assert claim(later, "bob-key") == {"bob-key"}
        assert bool(statements) is not database.url.startswith("postgresql+psycopg:")

    def test_an_execution_behind_it_tries_the_one_exchange_once(self, database: Database) -> None:
        ledger = database.open()
        make(ledger, "ada-key", Status.FAILED)
        forget(database, "ada-key")
        assert claim(ledger, "bob-key") == {"bob-key"}
        wanted = batch_of(ledger, "cleo-key", "dan-key")
        transactions: list[Any] = []
        sqlalchemy.event.listen(ledger._engine, "checkout", lambda *given: transactions.append(given))
        assert put(ledger, wanted) == {"cleo-key", "dan-key"}
        assert len(transactions) == 1

    # Beside its request

    def test_who_is_being_sent_is_refused(self, database: Database) -> None:
        ledger = database.open()
        sent = batch_of(ledger, "ada-key", "bob-key")
        put(ledger, sent)
        before = database.rows()
        assert forget(database, "ada-key") == {"ada-key": ForgetResult.STILL_SENDING}
        assert database.rows() == before
        assert answer(ledger, sent, Status.SUCCEEDED) == {"ada-key", "bob-key"}
        assert forget(database, "ada-key") == {"ada-key": ForgetResult.FORGOTTEN}

    def test_an_heirs_word_does_not_make_a_request_end(self, database: Database) -> None:
        slow = database.open()
        sent = batch_of(slow, "ada-key", "bob-key")
        put(slow, sent)
        heir = database.open(try_number=2)
        doubts = [outcome(one.record_identifier, Status.UNKNOWN, one.batch_id) for one in sent]
        assert conclude(heir, doubts) == {"ada-key", "bob-key"}
        assert forget(database, "ada-key") == {"ada-key": ForgetResult.STILL_SENDING}
        database.backdate(606)
        assert forget(database, "ada-key") == {"ada-key": ForgetResult.FORGOTTEN}
        assert answer(slow, sent, Status.SUCCEEDED, destination_record_id="id") == {"bob-key"}
        assert "ada-key" not in cells(database)
        # Nor does a doubt that was read before bring the person back.
        again = [mark(heir, "ada-key", heir.states(["bob-key"])["bob-key"])]
        assert put(heir, again) == set()
        heir.record_outcomes([outcome("ada-key", Status.SUCCEEDED, sent[0].batch_id)])
        assert "ada-key" not in cells(database)

    def test_what_the_dead_have_left(self, database: Database) -> None:
        dead = database.open()
        sent = batch_of(dead, "ada-key", "bob-key")
        put(dead, sent)
        database.backdate(HOUR)
        assert forget(database, "ada-key") == {"ada-key": ForgetResult.FORGOTTEN}
        assert {one["body"] for one in database.rows("contact_outcomes_batches")} == {None}
        assert database.row("bob-key")["record_payload"] is not None
        assert answer(dead, sent, Status.SUCCEEDED, destination_record_id="id") == {"bob-key"}
        assert "ada-key" not in cells(database)

    def test_between_two_attempts(self, database: Database) -> None:
        ledger = database.open()
        sent = batch_of(ledger, "ada-key", "bob-key", "cleo-key")
        put(ledger, sent)
        answer(ledger, sent, Status.FAILED, http_status=429)
        halves = marks(ledger, "ada-key", "bob-key")
        forget(database, "ada-key")
        assert put(ledger, halves) == {"bob-key"}
        assert put(ledger, batch_of(ledger, "cleo-key")) == {"cleo-key"}

    # What else stands in the tables

    def test_a_row_in_clear_beside_the_forgotten_one_goes(self, database: Database) -> None:
        ledger = database.open()
        make(ledger, "ada-key", Status.SUCCEEDED)
        make(ledger, "bob-key", Status.FAILED)
        forget(database, "ada-key")
        database.run("UPDATE contact_outcomes_records SET record_identifier = 'ada-key' WHERE record_identifier = 'bob-key'")  # fmt: skip  # noqa: E501
        assert database.open("later").states(["ada-key"])["ada-key"].is_forgotten
        assert forget(database, "ada-key") == {"ada-key": ForgetResult.FORGOTTEN}
        (row,) = database.rows()
        assert (row["record_identifier"][:10], row["status"]) == ("forgotten:", "succeeded")

    def test_a_batch_that_is_gone_hinders_nothing(self, database: Database) -> None:
        ledger = database.open()
        make(ledger, "ada-key", Status.FAILED)
        database.run("DELETE FROM contact_outcomes_batches")
        assert forget(database, "ada-key") == {"ada-key": ForgetResult.FORGOTTEN}

    # At the same time

    def test_a_claim_waits_for_who_forgets(self, database: Database) -> None:
        ours, theirs = database.open("ours"), database.open("theirs")
        make(theirs, "other", Status.FAILED)
        wanted = batch_of(ours, "ada-key", "bob-key")
        make(theirs, "ada-key", Status.SUCCEEDED)
        engine = database.engine()
        with ThreadPoolExecutor(1) as threads:
            with engine.begin() as connection:
                assert forget_some(connection, tables=ours._tables, sync_no=1, names=["ada-key"])
                waiting = threads.submit(put, ours, wanted)
                with pytest.raises(TimeoutError):
                    waiting.result(timeout=0.5)
            assert waiting.result(timeout=30) == {"bob-key"}

    def test_who_forgets_waits_for_a_claim(self, database: Database) -> None:
        ledger = database.open()
        make(ledger, "ada-key", Status.FAILED)
        with ThreadPoolExecutor(1) as threads:
            with ledger._engine.begin() as connection:
                ledger._execution.hold(connection)
                waiting = threads.submit(forget, database, "ada-key")
                with pytest.raises(TimeoutError):
                    waiting.result(timeout=0.5)
            assert waiting.result(timeout=30) == {"ada-key": ForgetResult.FORGOTTEN}

    def test_a_digest_of_two_names_nobody(self, database: Database) -> None:
        for name, sync_id in zip(ALIKE, ("one", "two"), strict=True):
            make(database.open(sync_id, sync_id=sync_id), name, Status.FAILED)
        digest = digest_of(ALIKE[0])
        assert forget(database, digest) == {digest: ForgetResult.AMBIGUOUS}
        assert sorted(names(database)) == sorted(ALIKE)

    def test_at_the_same_moment(self, database: Database) -> None:
        for turn in range(4):
            sync = f"sync-{turn}"
            # Of this turn alone: who forgets looks under every sync_id, and tells of any where a person was forgotten.
            keys = [f"key-{turn}-{number:02}" for number in range(24)]
            make(database.open("before", sync_id=sync), "other", Status.FAILED)
            pushes = [database.open(f"{turn}-{number}", sync_id=sync) for number in range(2)]
            order = keys if turn % 2 else keys[::-1]
            looked = [[batch_of(one, *order[:12]), batch_of(one, *order[12:])] for one in pushes]
            start = threading.Barrier(5)

            def claiming(number: int, pushes: Any = pushes, looked: Any = looked, start: Any = start) -> set[str]:
                start.wait(timeout=30)
                won: set[str] = set()
                for some in looked[number]:
                    mine = put(pushes[number], some)
                    won |= answer(pushes[number], [one for one in some if one.record_identifier in mine], Status.FAILED)
                return won

            def forgetting(names: list[str], start: Any = start) -> dict[str, ForgetResult]:
                start.wait(timeout=30)
                return {**forget(database, *names), **forget(database, *names)}

            def registering(turn: int = turn, sync: str = sync, start: Any = start) -> None:
                start.wait(timeout=30)
                database.open(f"new-{turn}", sync_id=sync)

            with ThreadPoolExecutor(5) as threads:
                won = [threads.submit(claiming, number) for number in range(2)]
                told = [threads.submit(forgetting, keys[:18]), threads.submit(forgetting, keys[:5:-1])]
                threads.submit(registering).result(timeout=60)
                found = [one.result(timeout=60) for one in told]
                each = [one.result(timeout=60) for one in won]
            assert not each[0] & each[1]
            gone = {name for one in found for name, finding in one.items() if "forgotten" in finding}
            rows = [row["record_identifier"] for row in database.rows() if row["sync_id"] == sync]
            assert not gone & set(rows)
            assert {ForgetResult.AMBIGUOUS} & {finding for one in found for finding in one.values()} == set()
            again = [mark(pushes[0], name) for name in keys]
            assert put(pushes[0], again) == set(keys) - gone - set(rows)
