"""The meaning of every status and error code, and advice, for the page, the command line and the documents.

The tables of codes in ``docs/outcomes.md`` are written from here: ``python -m tests.support.reference_tables``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple


class Explanation(NamedTuple):
    """A status or a code in words, for a reader who knows neither.

    :param meaning: what became of the record or the run.
    :param advice: what to do about it.
    """

    meaning: str
    advice: str = ""


STATUS_WORDS: Mapping[str, Explanation] = {
    "succeeded": Explanation(
        "The vendor has the contact.", "Not sent again. If nobody called, look for its id in the vendor's account."
    ),
    "rejected": Explanation(
        "The vendor refused the record. The same data gets the same answer.",
        "Correct the record at its source, by field and code; the next run sends it again.",
    ),
    "invalid": Explanation(
        "The record does not fit the vendor's fields. Nothing was sent.",
        "Correct the query or the record, by field and code; the next run checks it again.",
    ),
    "failed": Explanation(
        "The contact was certainly not created, and may be later.",
        "Nothing while retries are left: the next try or run sends it again. A replay sends it at once.",
    ),
    "unknown": Explanation(
        "The contact may exist at the vendor, or may not: no answer proved either. It is held and not sent again.",
        "Search the vendor's account for it, then settle it as found (with the vendor's id) or as missing: the page In "
        "doubt and airflow contacts settle do that. Where the vendor can be read, a push with "
        'on_unknown="reconcile" does both by itself.',
    ),
    "sending": Explanation(
        "A request with the record is under way, or its worker died before it noted an answer.",
        "Wait while its task runs. If none does, its next try takes it as unknown at once, another run after an hour.",
    ),
    "skipped": Explanation(
        "An earlier push delivered the contact under the same sync_id. It was not sent again.",
        "Nothing. If its data has changed since, change it at the vendor: a push creates only.",
    ),
    "duplicate": Explanation(
        "The same record came more than once in this push. One of them counts.",
        "Nothing, or select each row once. The outcome stands under the same key.",
    ),
}
"""The meaning of a record's status."""

RUN_STATUS_WORDS: Mapping[str, Explanation] = {
    "running": Explanation(
        "The try has begun and not ended: it works, waits for the vendor's Retry-After, or its worker died.",
        "Look at the task in Airflow. If it does not run any more, its next try goes on from here.",
    ),
    "succeeded": Explanation("The task succeeded, and nothing is undelivered.", "Nothing."),
    "partial": Explanation(
        "The task succeeded, with losses that max_rejected and max_unknown tolerate or with records held from before.",
        "Look at the codes below. What is rejected or invalid is corrected at its source, what is unknown is settled.",
    ),
    "failed": Explanation(
        "The task failed because of what became of its records.",
        "Look at the codes below. A retry sends what is failed, and never what may exist already.",
    ),
    "aborted": Explanation(
        "The push could not go on: a credential or destination was refused, the source or the outcome table broke, the "
        "vendor asked for too long a wait, or the task was stopped.",
        "Correct what the run's message names, then clear the task: it sends only what is certainly not there.",
    ),
}
"""The meaning of the status of a try of a run."""

NEVER_READ = (
    "The query or the upstream task did not give it: look for the key there.",
    "The key is written differently: 1 or 1.0, upper or lower case, white space. Several columns are one JSON list.",
    "Another column is the sync_key.",
    "The key was empty: such a record has sha256: and the digest of its payload as its key.",
    "The contact has another key, and that record was skipped or a duplicate.",
    "Its push keeps no outcome table, or another one: look at outcomes_conn_id and outcomes_table of the task.",
    "Its push has not reached it yet, or ended before it did: look at the newest runs.",
    "It is a vendor's id, a key of another Airflow, or a forgotten person's old digest: look for the source's key.",
)
"""Reasons why no push has a row for a key."""

VALUE = "Correct the value of the field at its source, or convert it in the query."
MAPPING = "Correct the query's column, or rename it with field_map."
VENDOR = "Read the message, if there is one, or compare the record with what the vendor documents; correct its source."
ACCOUNT = "Correct the connection or the destination, then clear the task."
WAIT = "Nothing while retries are left. If it keeps coming, lower requests_per_second or max_in_flight."
NOTHING = "Nothing: the next try or run sends it."

CODES: Mapping[str, Mapping[str, Explanation]] = {
    "invalid": {
        "missing_key": Explanation("A part of the sync key is empty.", "Give every row a key, or leave the row out."),
        "invalid_key": Explanation(
            "The sync key has no unambiguous text: an inexact float, a float in CSV, bytes, characters that no table "
            "can store, or the name of a forgotten person.",
            "Cast the key to text or to an integer in the query.",
        ),
        "key_not_unique": Explanation(
            "Another record of this push has the same sync key and other data: two people under one key. It has no row "
            "of its own (the first has it) and counts towards max_rejected.",
            "Choose sync_key columns that are unique to each record.",
        ),
        "not_a_mapping": Explanation(
            "The record is no mapping of column names to values.",
            "Give each record as a dict: column name to value.",
        ),
        "missing_field": Explanation("A field that the vendor requires is missing or empty.", MAPPING),
        "unknown_field": Explanation(
            "The record has a field that the vendor does not know.",
            "Rename it with field_map, give it as sync_key if it identifies the record, or leave it out "
            '(unmapped="ignore" drops such columns).',
        ),
        "missing_name": Explanation("Apptoto wants a name, or first_name and last_name.", MAPPING),
        "empty_record": Explanation("Dex wants at least one field besides the key.", MAPPING),
        "conflict": Explanation(
            "One value is given twice: a flat name and its native field, two columns for one field, or another "
            "destination than the task's.",
            "Leave one of them out of the query.",
        ),
        "wrong_type": Explanation("A value has another type than its field, or cannot be read.", VALUE),
        "not_allowed": Explanation(
            "A value is none of those that its field allows, or names a destination, which the task alone sets.",
            VALUE,
        ),
        "out_of_range": Explanation("A number is beyond the bounds of its field.", VALUE),
        "too_long": Explanation("A value is longer than its field allows.", VALUE),
        "too_short": Explanation("A value is shorter than its field allows.", VALUE),
        "invalid_email": Explanation("A value does not have the form of an email address.", VALUE),
        "invalid_uuid": Explanation("A value does not have the form of a UUID.", VALUE),
        "invalid_date": Explanation("A value is no date of the form YYYY-MM-DD.", VALUE),
        "invalid_datetime": Explanation("A value is no ISO 8601 date and time with its UTC offset.", VALUE),
        "invalid_format": Explanation("A value does not have the form that its field asks for.", VALUE),
        "invalid_text": Explanation("A text has characters that cannot be sent.", VALUE),
        "invalid_value": Explanation("A value fails the check of its field; the message says why.", VALUE),
        "invalid_json": Explanation(
            "A text in a nested field is no JSON.",
            "Give an object or a list, or its JSON text, such as the database's own JSON functions make.",
        ),
        "not_json": Explanation(
            "A value has no exact form in JSON: a decimal with a fraction, bytes, or an unknown object. A value of "
            "another kind in a field of one type is wrong_type.",
            "Cast it to text or to a number in the query.",
        ),
    },
    "rejected": {
        "http_413": Explanation("The vendor says that this record alone is too large.", "Shorten its longest fields."),
        "http_4xx": Explanation("The vendor refused this record alone, and names no code of its own.", VENDOR),
        "conflict": Explanation(
            "The vendor says that the contact exists, or conflicts with one that does.",
            "Search the vendor's account for it. If it is the same person, leave the record out of the source.",
        ),
        "not_created": Explanation(
            "Talkdesk says that nothing of the request was created, and gives no reason.",
            "Compare the record with the list's fields; the next run sends it again.",
        ),
        "unspecified": Explanation("The vendor names the record as refused, without a code.", VENDOR),
    },
    "failed": {
        "rate_limited": Explanation("The vendor asks for fewer requests, or for a longer wait than max_wait.", WAIT),
        "http_425": Explanation('The vendor said "later".', WAIT),
        "http_409": Explanation("Talkdesk's list was busy.", WAIT),
        "http_503": Explanation("The vendor was not available, and said with Retry-After when it will be.", WAIT),
        "http_401": Explanation("The vendor refuses the credential. The push ended.", ACCOUNT),
        "http_403": Explanation("The credential has no right to create contacts there. The push ended.", ACCOUNT),
        "http_404": Explanation("The vendor does not know the address or the destination. The push ended.", ACCOUNT),
        "http_3xx": Explanation(
            "The vendor redirects to another address; that is never followed. The push ended.", ACCOUNT
        ),
        "http_4xx": Explanation("The vendor refuses the request whatever its records are. The push ended.", ACCOUNT),
        "not_connected": Explanation(
            "No connection to the vendor was made; no byte was sent. The message says why: name, port, TLS, "
            "certificate, proxy or time.",
            "Do what the message says; the next try sends the record.",
        ),
        "token_refused": Explanation("The token endpoint refuses the connection's client id or secret.", ACCOUNT),
        "token_scope": Explanation("The token lacks the scope that creating contacts needs.", ACCOUNT),
        "token_unavailable": Explanation(
            "The token endpoint gave no usable answer.",
            "Check the connection's token_url; the next try asks again.",
        ),
        "token_unreadable": Explanation(
            "The answer of the token endpoint cannot be read as a token.",
            "Check the connection's token_url; the next try asks again.",
        ),
        "credential_not_latin1": Explanation(
            "The credential has characters that no HTTP header can carry.",
            "Enter login and password of the connection again.",
        ),
        "not_attempted": Explanation(
            "The push ended before the record's turn. The error of the task says why.",
            "Correct what the task's error names; the next try sends the record.",
        ),
        "vendor_unreachable": Explanation(
            "20 requests in a row had no usable answer; the rest was not sent.",
            "Wait until the vendor is back, then clear the task.",
        ),
        "refused_with_others": Explanation(
            "Its request was refused because of other records, and not repeated in this try.",
            NOTHING,
        ),
        "unprocessed": Explanation("Intermezzo received the record and did not process it.", NOTHING),
        "claimed_elsewhere": Explanation(
            "Another run of the same sync_id was sending the record at that moment. This run wrote no row for it.",
            "Look at the record: its row tells what that run did.",
        ),
        "superseded": Explanation(
            "A newer execution of the same task took over, and this one stopped.",
            "Look at the newest try.",
        ),
        "absent": Explanation(
            'The record was in doubt, and the vendor, read back, does not have it (on_unknown="reconcile").',
            NOTHING,
        ),
        "mark_expired": Explanation("The request could not leave within five seconds of its mark.", NOTHING),
        "not_prepared": Explanation(
            "The request could not be built. The task's log names the type of the error.",
            "Look at the task's log; if the connection is right, report it as a fault of this package.",
        ),
        "settled_by_hand": Explanation("A person has looked: the vendor does not have it.", "Nothing, or replay it."),
        "payload_not_stored": Explanation(
            "A replay cannot send the record, since its payload is not in the table. Its row stays as it is.",
            "Run the push again, or give the replay the payloads by sql.",
        ),
        "not_in_query": Explanation(
            "A replay by query cannot send the record, since the query does not give it. Its row stays as it is.",
            "Check the query; sync_key, field_map and unmapped must be those of the push.",
        ),
    },
    "unknown": {
        "timeout": Explanation("No answer came within request_timeout."),
        "connection_lost": Explanation("The connection ended without an answer, or what came could not be read."),
        "early_answer": Explanation("The answer began before the request had left, so that it may be another's."),
        "surplus_answer": Explanation("More answers came than requests had left: which is whose cannot be told."),
        "interrupted": Explanation("The task died or was stopped while the request was under way."),
        "http_408": Explanation("The vendor, or a proxy before it, gave up on a request that it may have taken."),
        "http_502": Explanation("A gateway got no good answer from the vendor behind it."),
        "http_503": Explanation("The vendor was not available, and does not say whether anything was done."),
        "http_504": Explanation("A gateway waited too long for the vendor behind it."),
        "http_5xx": Explanation("The vendor failed, and does not say whether anything was done."),
        "unreadable": Explanation(
            "The answer says success, but is no JSON, not of the documented shape, or larger than one can be."
        ),
        "counters_missing": Explanation("Intermezzo, Talkdesk: the answer has no counters."),
        "counters_disagree": Explanation(
            "Intermezzo, Talkdesk: the answer's counters do not fit each other or the records."
        ),
        "index_base": Explanation("Intermezzo: an index of the answer would mean that it counts from one."),
        "status_code_missing": Explanation("Nedzo: the answer has no status_code."),
        "other_contact": Explanation("Nedzo: the answer is about somebody else."),
        "contradiction": Explanation("Nedzo, Talkdesk: the answer refuses the record and gives it an id."),
        "no_id": Explanation("Nedzo, Talkdesk: the answer says created and gives no id."),
        "errors_unreadable": Explanation("Talkdesk: the record's errors cannot be read."),
        "id_twice": Explanation("The vendor gave this id to another record of this push, too."),
        "error_flag": Explanation("Dex: the answer's flag error is true."),
        "error_flag_missing": Explanation("Dex: the answer's flag error is missing or no boolean."),
        "contacts_missing": Explanation("Dex, Apptoto: the answer has no list of contacts."),
        "contacts_disagree": Explanation("Dex, Apptoto: the answer has more contacts than were sent, or one id twice."),
        "not_returned": Explanation("The answer is good, and does not show this record."),
        "unmatched": Explanation("The answer is good, and this record cannot be told from others in it."),
    },
}
"""The package's own codes, by the status that they come with; one without advice has that of its status."""

FORGOTTEN = Explanation(
    "This person was forgotten: every push skips the record, whatever its status is.",
    "docs/keeping.md, Forgetting, says how to undo it.",
)
"""Of a record of which an operator or command was told to forget it, in place of what its status means."""


def explain(status: str, code: str | None, destination: str | None = None) -> Explanation:
    """Return what a record's status and code mean; of a code that is the vendor's own, what the status means.

    A record in doubt may carry the code of a later refusal: its advice stays that of its status.
    """
    words = STATUS_WORDS.get(status) or Explanation(f"The status {status} is not one of this version.", "")
    if status == "unknown" and destination == "nedzo":
        words = words._replace(advice=words.advice.partition(" Where ")[0])
    if not code:
        return words
    general = re.sub(r"^http_(\d)\d\d$", r"http_\1xx", code)
    for name in (code, general):
        if own := CODES.get(status, {}).get(name):
            return own if own.advice else own._replace(advice=words.advice)
    if others := [table[name] for table in CODES.values() for name in (code, general) if name in table]:
        return words._replace(meaning=f"{words.meaning} Said last: {others[0].meaning}")
    vendor = destination.capitalize() if destination else "the vendor"
    return words._replace(meaning=f"{words.meaning} {code} is a code of {vendor}'s own.")
