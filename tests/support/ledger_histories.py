"""What may happen to one batch between several executions and a person, in every order; for every outcome table."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy  # noqa: TID253  # the tables are what is tested
from msgspec.structs import replace

from airflow_provider_contacts.errors import LedgerError, SupersededError
from airflow_provider_contacts.ledgers.sql.batch_numbers import BITS, NOTES, number_of
from airflow_provider_contacts.ledgers.sql.settlement import Finding, Verdict
from airflow_provider_contacts.ledgers.sql.settlement import settle as write_verdict
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.record_state import Holder
from tests.support.ledger_conformance import (
    Database,
    answer,
    batch_of,
    claim,
    conclude,
    decoded,
    make,
    mark,
    marks,
    outcome,
    put,
    results,
    send,
    shown,
)

HOUR = 3700


def verdict(database: Database, status: Status, **records: str | None) -> dict[str, Finding]:
    """Write a person's verdict."""
    said = Verdict(sync_id="sync", status=status, records=records, settled_by="ada", store_payload="undelivered")
    ledger = database.open("somebody")
    findings, _ = write_verdict(ledger._engine, ledger._tables, said)
    return findings


def batches(database: Database) -> list[dict[str, Any]]:
    return database.rows("contact_outcomes_batches")


def statuses(database: Database) -> dict[str, str]:
    return {row["record_identifier"]: row["status"] for row in database.rows()}


class LedgerHistories:
    """Needs a ``database`` fixture: an empty :class:`Database`."""

    # A verdict and a late answer

    @pytest.mark.parametrize("said", [Status.FAILED, Status.SUCCEEDED])
    @pytest.mark.parametrize("left", [Status.SENDING, Status.UNKNOWN])
    def test_a_late_confirmation_behind_a_verdict_stands(self, database: Database, said: Status, left: Status) -> None:
        ledger = database.open()
        sent = send(ledger, "a", "b", "c")
        if left is Status.UNKNOWN:
            answer(ledger, sent, Status.UNKNOWN)
        database.backdate(HOUR)
        given = "by-hand" if said is Status.SUCCEEDED else None
        assert verdict(database, said, b=given) == {"b": Finding.SETTLED}
        assert statuses(database) == {"a": left, "b": said, "c": left}
        late: dict[str, Any] = {"destination_record_id": "id", "http_status": 201}
        assert answer(ledger, sent, Status.SUCCEEDED, **late) == {"a", "b", "c"}
        assert set(statuses(database).values()) == {"succeeded"}
        row = database.row("b")
        assert (row["destination_record_id"], row["settled_by"], row["settled_at"]) == ("id", None, None)

    @pytest.mark.parametrize("word", [Status.FAILED, Status.REJECTED, Status.UNKNOWN])
    def test_a_weaker_late_answer_leaves_a_verdict(self, database: Database, word: Status) -> None:
        ledger = database.open()
        sent = send(ledger, "a", "b")
        database.backdate(HOUR)
        verdict(database, Status.SUCCEEDED, a="by-hand")
        assert answer(ledger, sent, word, error_code="late") == {"b"}
        row = database.row("a")
        assert (row["status"], row["destination_record_id"], row["settled_by"]) == ("succeeded", "by-hand", "ada")
        assert row["error_code"] is None
        assert statuses(database)["b"] == word

    @pytest.mark.parametrize("word", [Status.FAILED, Status.REJECTED, Status.SUCCEEDED])
    def test_a_verdict_behind_the_answer_is_refused(self, database: Database, word: Status) -> None:
        ledger = database.open()
        sent = send(ledger, "a", "b")
        answer(ledger, sent, word, destination_record_id="id")
        before = database.rows()
        database.backdate(HOUR)
        assert verdict(database, Status.SUCCEEDED, a="other") == {"a": Finding.NOT_IN_DOUBT}
        assert [row["destination_record_id"] for row in database.rows()] == ["id", "id"]
        assert [row["status"] for row in database.rows()] == [row["status"] for row in before]

    # An heir and a late answer

    def test_an_heirs_doubt_ends_with_the_late_answer(self, database: Database) -> None:
        slow = database.open()
        sent = send(slow, "a", "b")
        heir = database.open(try_number=2)
        found = heir.states(["a", "b"])
        doubts = [outcome(name, Status.UNKNOWN, row.batch_id, error_code="interrupted") for name, row in found.items()]
        assert conclude(heir, doubts) == {"a", "b"}
        rows = database.rows()
        said = {(row["status"], row["error_code"], row["try_number"]) for row in rows}
        assert said == {("unknown", "interrupted", 1)}
        assert all(row["batch_completed_at"] is not None and row["settled_at"] is None for row in rows)
        assert answer(slow, sent, Status.SUCCEEDED, destination_record_id="id") == {"a", "b"}
        assert {(row["status"], row["error_code"]) for row in database.rows()} == {("succeeded", None)}

    @pytest.mark.parametrize("word", [Status.SUCCEEDED, Status.FAILED, Status.UNKNOWN])
    def test_a_late_answer_finds_a_renewed_record_no_more(self, database: Database, word: Status) -> None:
        slow = database.open()
        sent = send(slow, "a", "b")
        heir = database.open(try_number=2)
        again = send(heir, "a")
        assert answer(slow, sent, word) == {"b"}
        row = database.row("a")
        assert (row["status"], row["batch_id"], row["try_number"]) == ("sending", shown(again[0].batch_id), 2)
        assert answer(heir, again, Status.SUCCEEDED) == {"a"}

    @pytest.mark.parametrize("word", [Status.SUCCEEDED, Status.FAILED, Status.UNKNOWN])
    def test_a_renewal_behind_the_late_answer_is_lost(self, database: Database, word: Status) -> None:
        slow = database.open()
        sent = send(slow, "a", "b")
        heir = database.open(try_number=2)
        again = batch_of(heir, "a", "b")
        assert answer(slow, sent, word) == {"a", "b"}
        assert put(heir, again) == set()
        assert statuses(database) == {"a": word, "b": word}
        assert {row["batch_id"] for row in database.rows()} == {shown(sent[0].batch_id)}

    def test_a_zombie_claims_nothing_and_its_answers_count(self, database: Database) -> None:
        zombie = database.open()
        sent = send(zombie, "a", "b")
        database.open(try_number=2)
        with pytest.raises(SupersededError):
            put(zombie, batch_of(zombie, "c"))
        assert len(batches(database)) == 1, "the batch goes with the claim that is refused"
        assert answer(zombie, sent, Status.SUCCEEDED) == {"a", "b"}

    # Several who renew

    def test_two_renewers_in_opposite_orders(self, database: Database) -> None:
        before = database.open("before")
        keys = [f"key-{number:03}" for number in range(60)]
        sent = send(before, *keys[:40])
        answer(before, sent, Status.FAILED)
        runners = [database.open(f"run-{number}") for number in range(3)]
        for _ in range(3):
            claims = [batch_of(one, *(keys if n % 2 else reversed(keys))) for n, one in enumerate(runners)]
            start = threading.Barrier(len(runners))

            def race(number: int, claims: Any = claims, start: Any = start) -> set[str]:
                start.wait(timeout=30)
                return put(runners[number], claims[number])

            with ThreadPoolExecutor(len(runners)) as threads:
                won = list(threads.map(race, range(len(runners))))
            assert sorted(one for each in won for one in each) == keys
            for number, mine in enumerate(won):
                done = [one for one in claims[number] if one.record_identifier in mine]
                assert answer(runners[number], done, Status.FAILED) == mine

    def test_a_claim_waits_for_the_one_before_it_and_then_loses(self, database: Database) -> None:
        one, other = database.open("one"), database.open("other")
        make(one, "old", Status.FAILED)
        theirs = batch_of(other, "old", "new")
        columns = "sync_no, record_identifier, batch_no, attempts"
        with ThreadPoolExecutor(1) as threads:
            with database.engine().begin() as connection:
                connection.exec_driver_sql("UPDATE contact_outcomes_records SET batch_no = 1")
                connection.exec_driver_sql(f"INSERT INTO contact_outcomes_records ({columns}) VALUES (1, 'new', 1, 1)")
                waiting = threads.submit(put, other, theirs)
                with pytest.raises(TimeoutError):
                    waiting.result(timeout=0.5)
            assert waiting.result(timeout=30) == set()

    # Lost claims inside a batch

    def test_records_lost_inside_a_batch(self, database: Database) -> None:
        ours, theirs = database.open("ours"), database.open("theirs")
        make(ours, "e", Status.FAILED)
        wanted = batch_of(ours, "a", "b", "c", "d", "e")
        taken = send(theirs, "b", "e")
        commits: list[Any] = []
        sqlalchemy.event.listen(ours._engine, "commit", commits.append)
        assert put(ours, wanted) == {"a", "c", "d"}
        assert len(commits) == 1, "there is no moment at which a process could die and leave the body behind"
        places = {row["record_identifier"]: row["place"] for row in database.rows("contact_outcomes_records")}
        assert places == {"a": 0, "b": 0, "c": 2, "d": 3, "e": 1}, "each has its place in the claim that it was won in"
        assert answer(ours, wanted, Status.SUCCEEDED, http_status=201) == {"a", "c", "d"}
        assert statuses(database) == {**dict.fromkeys("acd", "succeeded"), **dict.fromkeys("be", "sending")}
        assert database.row("b")["http_status"] is None
        assert answer(theirs, taken, Status.REJECTED, http_status=422) == {"b", "e"}
        assert {row["http_status"] for row in database.rows() if row["status"] == "rejected"} == {422}

    def test_a_batch_of_which_nothing_was_won(self, database: Database) -> None:
        ours, theirs = database.open("ours"), database.open("theirs")
        wanted = batch_of(ours, "a", "b")
        put(theirs, batch_of(theirs, "a", "b"))
        assert put(ours, wanted) == set()
        (left,) = [one for one in batches(database) if one["batch_no"] == number_of(wanted[0].batch_id)]
        assert (left["status"], left["body"], left["batch_completed_at"]) == ("open", None, None)
        assert {row["run_id"] for row in database.rows()} == {"theirs"}

    # Reschedules

    def test_a_reschedule_is_an_execution_of_its_own(self, database: Database) -> None:
        first = database.open()
        sent = send(first, "a", "b")
        second = database.open()
        send(second, "a")
        (run,) = database.rows("contact_outcomes_runs")
        assert run["token"] == second.token
        assert {row["run_no"] for row in batches(database)} == {run["run_no"]}
        assert {row["batch_id"][:10] for row in database.rows()} == {first.token, second.token}
        assert answer(first, sent, Status.SUCCEEDED) == {"b"}
        with pytest.raises(SupersededError):
            first.record_unsent([outcome("c", Status.INVALID)])

    def test_every_attempt_is_a_batch_and_the_old_one_stays(self, database: Database) -> None:
        ledger = database.open()
        sent = send(ledger, "a", "b")
        answer(ledger, sent, Status.FAILED, http_status=429)
        known = ledger.states(["a", "b"])
        halves = [mark(ledger, name, row) for name, row in known.items()]
        assert put(ledger, halves) == {"a", "b"}
        assert [one["http_status"] for one in batches(database)] == [429, None, None]
        assert {row["http_status"] for row in database.rows()} == {None}
        assert {row["attempts"] for row in database.rows()} == {2}

    # Notes

    def test_one_write_of_notes_is_one_batch(self, database: Database) -> None:
        ledger = database.open()
        make(ledger, "weak", Status.REJECTED)
        make(ledger, "strong", Status.UNKNOWN)
        before = database.row("strong")
        noted = [outcome(name, Status.INVALID, attempts=0) for name in ("new", "weak", "strong")]
        ledger.record_unsent(noted)
        rows = {row["record_identifier"]: row for row in database.rows()}
        assert rows["strong"] == before
        assert rows["new"]["batch_id"] == rows["weak"]["batch_id"] != rows["strong"]["batch_id"]
        assert rows["new"]["batch_id"].startswith(ledger.token)
        assert (rows["new"]["batch_started_at"], rows["weak"]["attempts"]) == (None, 1)
        assert rows["new"]["batch_completed_at"] is not None
        ledger.record_unsent([outcome("new", Status.FAILED, attempts=0)])
        assert database.row("new")["status"] == "failed"
        assert len(batches(database)) == 4
        assert {one["status"] for one in batches(database)} == {"open"}

    def test_a_token_whose_numbers_are_used_up_is_followed_by_another(self, database: Database) -> None:
        ledger = database.open()
        sent = send(ledger, "a", "b", batch_id=f"{ledger.token}.{NOTES + 7}")
        assert ledger.states(["a"])["a"].batch_id == sent[0].batch_id
        assert answer(ledger, sent, Status.SUCCEEDED) == {"a", "b"}
        (batch,) = batches(database)
        assert (batch["batch_no"] % (1 << BITS), f"{batch['batch_no'] >> BITS:x}" != ledger.token) == (7, True)
        send(ledger, "c", batch_id=f"{ledger.token}.{NOTES + 8}")
        assert len({row["batch_id"][:10] for row in database.rows()}) == 1, "a token is drawn once"

    def test_a_number_drawn_twice_is_refused(self, database: Database) -> None:
        ledger = database.open()
        (sent,) = send(ledger, "a")
        with pytest.raises(LedgerError):
            put(ledger, [mark(ledger, "b", batch_id=sent.batch_id)])
        assert statuses(database) == {"a": "sending"}

    # Batches that are settled by one row

    def test_ids_read_as_they_were_given(self, database: Database) -> None:
        ledger = database.open()
        odd = ['a "b" \\ {c},NULL', "\u00e4\U0001f600", "two\nlines", "x" * 300, "NULL", ""]
        kept: dict[str, str | None] = {}
        for number, text in enumerate(odd):
            names = [f"{number} {place}" for place in range(3)]
            (whole,) = results(send(ledger, *names), Status.SUCCEEDED)
            ledger.record_results([replace(whole, ids=[f"id {number}", None, text])])
            kept |= zip(names, [f"id {number}", None, text[:255]], strict=True)
            assert set(ledger.holders([text])) == ({Holder(text, names[2])} if len(text) < 256 else set())
        assert {row["record_identifier"]: row["destination_record_id"] for row in database.rows()} == kept
        states = database.open("another").states([*kept])
        assert {name: row.destination_record_id for name, row in states.items()} == kept

    @pytest.mark.parametrize("refused", [0, 1, 2, 3, 4])
    def test_an_answer_is_the_same_however_it_is_kept(self, database: Database, refused: int) -> None:
        ledger = database.open()
        sent = send(ledger, "a", "b", "c", "d")
        assert statuses(database) == dict.fromkeys("abcd", "sending")
        assert {decoded(row["record_payload"])["email"] for row in database.rows()} == {"ada@example.com"}
        (whole,) = results(sent, Status.SUCCEEDED, http_status=207)
        said = [outcome(name, Status.REJECTED, whole.batch_id, error_code="taken") for name in "abcd"[:refused]]
        ids = [None if place < refused else f"id-{place}" for place in range(4)]
        ledger.record_results([replace(whole, ids=ids, exceptions=dict(enumerate(said)))])
        words = ("status", "destination_record_id", "error_code")
        found = [(*(row[one] for one in words), row["record_payload"] is not None) for row in database.rows()]
        wanted = [("rejected", None, "taken", True)] * refused
        assert found == [*wanted, *(("succeeded", one, None, False) for one in ids[refused:])]
        assert {row["http_status"] for row in database.rows()} == {207}
        (batch,) = batches(database)
        settled = refused <= 2 and not database.url.startswith("mysql")
        assert (batch["status"], batch["body"]) == ("succeeded" if settled else "open", None)
        states = database.open("another").states("abcd")
        assert [states[name].destination_record_id for name in "abcd"] == ids
        assert set(ledger.holders(["id-2", "id-3", "id-9"])) == {
            Holder(one, name) for one, name in zip(ids, "abcd", strict=True) if one in {"id-2", "id-3"}
        }
        # Who was refused is claimed anew, and who is there stays there.
        assert claim(ledger, *"abcd"[:refused]) == set("abcd"[:refused])
        again = dict.fromkeys("abcd"[:refused], "sending")
        assert statuses(database) == again | dict.fromkeys("abcd"[refused:], "succeeded")

    def test_an_heir_that_opens_a_batch_leaves_everything_as_it_reads(self, database: Database) -> None:
        slow = database.open()
        sent = send(slow, "a", "b", "c")
        heir = database.open(try_number=2)
        before, payloads = database.rows(), heir.payloads("abc")
        assert payloads == {name: {"email": "ada@example.com"} for name in "abc"}
        assert conclude(heir, [outcome("b", Status.UNKNOWN, sent[0].batch_id)]) == {"b"}
        after = database.rows()
        assert [after[0], after[2]] == [before[0], before[2]]
        assert (after[1]["status"], after[1]["record_payload"]) == ("unknown", before[1]["record_payload"])
        assert heir.payloads("abc") == payloads
        assert [(one["status"], one["body"]) for one in batches(database)] == [("open", None)]
        assert answer(slow, sent, Status.SUCCEEDED, destination_record_id="id", http_status=201) == {"a", "b", "c"}
        left = {(row["status"], row["record_payload"], row["http_status"]) for row in database.rows()}
        assert left == {("succeeded", None, 201)}

    @pytest.mark.parametrize("store", ["undelivered", "all", "never"])
    def test_no_body_outlives_its_request(self, database: Database, store: str) -> None:
        ours, theirs = (database.open(name, store_payload=store) for name in ("ours", "theirs"))
        wanted = batch_of(ours, "a", "b", "c")
        taken = send(theirs, "b", "d")
        kept = store == "undelivered" and not database.url.startswith("mysql")
        assert {one["body"] is not None for one in batches(database)} == {kept}
        assert put(ours, wanted) == {"a", "c"}, "of a batch that has lost a record each has its own payload"
        (mine,) = [one for one in batches(database) if one["batch_no"] == number_of(wanted[0].batch_id)]
        assert (mine["status"], mine["body"]) == ("open", None)
        payload = None if store == "never" else {"email": "ada@example.com"}
        assert [decoded(row["record_payload"]) for row in database.rows()] == [payload] * 4
        answer(ours, [wanted[0], wanted[2]], Status.UNKNOWN)
        answer(theirs, taken, Status.SUCCEEDED)
        assert {one["body"] for one in batches(database)} == {None}
        left = {row["record_identifier"]: decoded(row["record_payload"]) for row in database.rows()}
        assert left == {name: payload if name in "ac" or store == "all" else None for name in "abcd"}

    def test_an_answer_and_an_heir_at_the_same_moment(self, database: Database) -> None:
        for turn in range(12):
            keys = [f"{turn}-{number}" for number in range(20)]
            slow = database.open()
            sent = send(slow, *keys)
            heir = database.open(try_number=2)
            doubts = [outcome(name, Status.UNKNOWN, sent[0].batch_id) for name in keys]
            with ThreadPoolExecutor(2) as threads:
                work = [lambda: answer(slow, sent, Status.SUCCEEDED), lambda: heir.record_outcomes(doubts)]  # noqa: B023
                ended = [threads.submit(one) for one in (work if turn % 2 else work[::-1])]
                assert all(one.exception(timeout=30) is None for one in ended)
            assert {row.status for row in heir.states(keys).values()} == {Status.SUCCEEDED}
        assert {one["body"] for one in batches(database)} == {None}

    # Pruned batches

    def test_a_record_whose_batch_is_gone_is_known_still(self, database: Database) -> None:
        ledger = database.open()
        make(ledger, "a", Status.SUCCEEDED)
        database.run("DELETE FROM contact_outcomes_batches")
        heir = database.open(try_number=2)
        found = heir.states(["a"])["a"]
        assert (found.status, found.sync_run_id, found.http_status, found.ended) == (Status.SUCCEEDED, None, None, None)
        assert statuses(database) == {"a": "succeeded"}
        assert put(heir, marks(heir, "b")) == {"b"}

    def test_a_record_without_a_status_of_ours_is_told(self, database: Database) -> None:
        ledger = database.open()
        claim(ledger, "ada@example.com")
        for status in ("'Succeeded'", "NULL"):
            database.run(f"UPDATE contact_outcomes_records SET status = {status}, error_code = 'stale'")
            with pytest.raises(LedgerError, match="correct it") as caught:
                ledger.states(["ada@example.com"])
            assert "ada" not in str(caught.value)
        (row,) = database.rows()
        assert (row["status"], row["error_code"]) == ("open", None), "no word of an earlier status shows through"

    # Times

    def test_when_an_outcome_was_written(self, database: Database) -> None:
        ledger = database.open()
        sent = send(ledger, "a", "b")
        answer(ledger, sent, Status.UNKNOWN, http_status=500)
        answered = database.row("a")["batch_completed_at"]
        (record, _) = database.rows("contact_outcomes_records")
        assert record["settled_at"] is None, "the answer's own moment is its batch's"
        found = ledger.states(["a"])["a"]
        later = outcome("a", Status.SUCCEEDED, found.batch_id, destination_record_id="id")
        assert conclude(ledger, [later]) == {"a"}
        (first, second) = database.rows()
        assert first["batch_completed_at"] >= answered == second["batch_completed_at"]
        (record, _) = database.rows("contact_outcomes_records")
        assert record["settled_at"] == first["batch_completed_at"], "what is found out later has a moment of its own"
        assert (first["http_status"], first["settled_at"]) == (500, None)

    # Locks

    def test_everybody_locks_in_one_order(self, database: Database) -> None:
        if database.url.startswith("postgresql+psycopg:"):
            pytest.skip("sends the same statements past SQLAlchemy, which cannot tell of them")
        ledger = database.open()
        make(ledger, "old", Status.FAILED)
        sent = send(ledger, "sent")
        due = [*batch_of(ledger, "key-z", "old", "key-a"), *batch_of(ledger, "key-y", "key-b")]
        statements: list[tuple[str, Any]] = []
        sqlalchemy.event.listen(
            ledger._engine, "before_cursor_execute", lambda *given: statements.append((given[2], given[3]))
        )
        assert len(put(ledger, due, results(sent, Status.SUCCEEDED))) == 5
        order = [name for text, _ in statements if (name := kind(text)) is not None]
        if database.url.startswith("mysql"):
            assert order == ["batches", "records", "run", "batches", "insert", "records"], "two transactions"
        else:
            assert order == ["run", "batches", "batches", "insert", "records", "records"]
        inserted = repr(next(values for text, values in statements if kind(text) == "insert"))
        places = [inserted.index(f"key-{name}") for name in "abyz"]
        assert places == sorted(places)


def kind(statement: str) -> str | None:
    """Return what a statement locks."""
    if statement.startswith("SELECT r.token"):
        return "run"
    if statement.startswith("INSERT INTO contact_outcomes_records"):
        return "insert"
    if statement.startswith(("INSERT INTO contact_outcomes_batches", "UPDATE contact_outcomes_batches")):
        return "batches"
    return "records" if statement.startswith("UPDATE contact_outcomes_records") else None
