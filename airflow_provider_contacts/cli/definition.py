"""Every command and its arguments, declared once for both ways in.

Airflow imports this module at every call of ``airflow``: it loads no other of ours but ``arguments``, and nothing that
takes time.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_contacts.cli.arguments import (
    KEY,
    LIMIT,
    OUTPUT,
    TABLE,
    WITH_STATUS,
    YES,
    Command,
    argument,
    day,
    whole_number,
)

if TYPE_CHECKING:
    from airflow.cli.cli_config import GroupCommand

PURPOSE = "Find out what became of contacts, and settle what is in doubt"

SIMULATOR_EXAMPLES = """\
examples:
  --set all.latency=80ms --set all.rate=60/min      slow, and choosy
  --set talkdesk.store_then_drop=0.02               2 answers in 100 are lost after the records are stored
  --set talkdesk.store_then_drop=next:1             exactly the next one is
  --set apptoto.read.http_500=always                look-ups fail, creating works
  --set 'nedzo.reject=email~@bad\\.example$'         refuse some contacts
  --set intermezzo.mode=partial --set intermezzo.token_life=30
  --set talkdesk.record_lists=warm,cold=PHONE_NUMBER --set dex.credential=dex_one,dex_two      lists, accounts

A fault happens as its trigger says: never, always, a chance such as 0.02, nth:3 or nth:3,7, every:10, next:5.
A name is vendor.knob for requests that create, vendor.read.knob for those that read, vendor.token.knob for the token
endpoint; "all" stands for every vendor. --list-knobs shows them all.
"""
DDL = Command(
    "ddl",
    "Print the statements that create the outcome table",
    "airflow_provider_contacts.ledgers.__main__.run",
    (
        argument(
            "database",
            choices=("sqlite", "postgresql", "mysql", "mariadb"),
            help="the kind of database that holds the tables",
        ),
        argument(
            "--table",
            default="contact_outcomes",
            metavar="NAME",
            help="name or schema.name, as outcomes_table on the task (default: %(default)s)",
        ),
    ),
    "They create a view and the tables behind it, for databases where tasks may not create any (create_tables=False).\n"
    "Nothing is connected to.\n\nexample: %(prog)s postgresql --table crm.contact_outcomes",
)
SIMULATE = Command(
    "simulate",
    "Serve the five vendors on this machine, faults on demand",
    "airflow_provider_contacts.simulator.__main__.run",
    (
        argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)"),
        argument("--allow-host", action="append", default=[], metavar="NAME", help="another name of this host"),
        argument(
            "--port",
            type=partial(whole_number, 0, 65535),
            default=8780,
            help="port, 0 for a free one (default: %(default)s)",
        ),
        argument("--set", action="append", default=[], metavar="NAME=VALUE", help="set a knob; may be repeated"),
        argument("--seed", type=int, default=0, help="seed of the random faults (default: %(default)s)"),
        argument("--forget", action="store_true", help="count contacts instead of keeping them (reads find none)"),
        argument("--list-knobs", action="store_true", help="print every knob, its default and meaning, and end"),
    ),
    SIMULATOR_EXAMPLES,
)
CHECK = Command(
    "check",
    "Check a vendor's connection: name, port, proxy, TLS, credential, destination",
    "airflow_provider_contacts.cli.connection_check.check",
    (
        argument("conn_id", metavar="CONN_ID", help="connection of a vendor"),
        argument("--destination", metavar="JSON", help="as on the task, over what the connection says"),
        OUTPUT,
    ),
    "It opens what a push opens, and sends only requests that the vendor documents as reads: nothing is created.\n\n"
    """example: %(prog)s talkdesk_default --destination '{"record_list_id": "leads"}'""",
)
SETTLE = Command(
    "settle",
    "Write your verdict on records that may or may not exist",
    "airflow_provider_contacts.cli.verdicts.settle",
    (
        argument("sync_id", metavar="SYNC_ID", help="the sync_id of the records"),
        argument(
            "--found",
            nargs="+",
            metavar="KEY=ID",
            help="records that exist, and the vendor's ids; - reads lines of these",
        ),
        argument("--missing", nargs="+", metavar="KEY", help="records that do not exist; - reads lines of these"),
        argument("--settled-by", required=True, metavar="NAME", help="who says so; written into the rows"),
        argument(
            "--store-payload",
            choices=("undelivered", "all", "never"),
            default="undelivered",
            help="as on the task: all keeps the payload of what exists (default: %(default)s)",
        ),
        *TABLE,
        OUTPUT,
        YES,
    ),
    "A key may be the record's digest, the twelve digits in logs; one that has = in it must. Only records in doubt\n"
    "change.\n\nexamples:\n"
    "  %(prog)s crm/push@dex --found 3f2a91c04b7d=9b2e --settled-by ada\n"
    "  %(prog)s crm/push@dex --missing - --settled-by ada --yes < missing.txt",
)
PRUNE = Command(
    "prune",
    "Remove old payloads, texts and request headers, and syncs that are named",
    "airflow_provider_contacts.cli.keeping.prune",
    (
        argument("--older-than", required=True, metavar="AGE", help="such as 90d, 12h or 8w; an hour at least"),
        argument(
            "--sync-id",
            action="append",
            metavar="SYNC_ID",
            help="this sync goes whole, and its next push sends everybody again; may be repeated",
        ),
        argument("--dry-run", action="store_true", help="count only"),
        *TABLE,
        OUTPUT,
        YES,
    ),
    "Status, codes, ids and digests stay, and so does all of a record in doubt: what is delivered is still skipped.\n\n"
    "examples:\n  %(prog)s --older-than 90d --dry-run\n  %(prog)s --older-than 90d --sync-id crm/push@dex",
)
FORGET = Command(
    "forget",
    "Forget persons, so that their records are kept no more, and later pushes skip them",
    "airflow_provider_contacts.cli.keeping.forget",
    (
        argument("keys", nargs="+", metavar="KEY", help="keys or digests of records; - reads one a line"),
        *TABLE,
        OUTPUT,
        YES,
    ),
    "The identifier becomes a keyed digest, under every sync_id of the table. Exports, logs and the vendor's own\n"
    "contact are not reached.\n\nexample: %(prog)s - --yes < requests.txt",
)
EXPORT = Command(
    "export",
    "Write the rows of one push into a file, or an object of any storage",
    "airflow_provider_contacts.cli.run_export.export",
    (
        argument("run", metavar="RUN", help="its number, as runs prints it, or its sync_run_id"),
        argument("--path", required=True, metavar="FOLDER", help="such as /var/exports or s3://bucket/folder"),
        argument("--path-conn-id", metavar="CONN_ID", help="connection of the storage"),
        argument("--format", choices=("parquet", "ndjson", "csv"), default="parquet", help="default: %(default)s"),
        argument("--payloads", action="store_true", help="with payloads, and what the vendor says"),
        argument("--identifiers", choices=("clear", "digest"), default="clear", help="default: %(default)s"),
        *TABLE,
        OUTPUT,
    ),
    "Writes {folder}/{sync_id}/{sync_run_id}.{format}, both ids percent-encoded; a repeat replaces it. Rows that a\n"
    "later push has taken over are no longer there.",
)
COMMANDS = (
    Command(
        "why",
        "Tell why a contact did not arrive, and what to do",
        "airflow_provider_contacts.cli.why.why",
        (KEY, *TABLE, OUTPUT),
        "example: %(prog)s lead-17\n\nPrints a block for each sync that knows the record.",
    ),
    Command(
        "runs",
        "List pushes, newest first",
        "airflow_provider_contacts.cli.pushes.runs",
        (
            argument("--dag-id", help="only those of this DAG"),
            argument("--destination", metavar="VENDOR", help="only those to this vendor"),
            argument("--status", choices=("running", "succeeded", "partial", "failed", "aborted"), help=WITH_STATUS),
            argument("--since", type=day, metavar="DAY", help="only those that began on this day (UTC) or later"),
            argument("--until", type=day, metavar="DAY", help="only those that began on this day (UTC) or earlier"),
            LIMIT,
            *TABLE,
            OUTPUT,
        ),
    ),
    Command(
        "show",
        "Show one push: counts, what each code means and what to do, rows",
        "airflow_provider_contacts.cli.pushes.show",
        (
            argument("run", metavar="RUN", help="its number, as runs prints it, or its sync_run_id"),
            argument(
                "--status",
                choices=("succeeded", "rejected", "invalid", "failed", "unknown", "sending"),
                help=WITH_STATUS,
            ),
            argument("--code", help="only rows with this error code"),
            LIMIT,
            *TABLE,
            OUTPUT,
        ),
    ),
    Command(
        "unknown",
        "List what is in doubt: by sync, or the records of one",
        "airflow_provider_contacts.cli.pushes.unknown",
        (argument("--sync-id", help="the records of this sync, oldest first"), LIMIT, *TABLE, OUTPUT),
        "What is in doubt may exist at the vendor, or may not. Look there, then settle it.",
    ),
    DDL,
    SIMULATE,
    CHECK,
    SETTLE,
    FORGET,
    EXPORT,
    PRUNE,
    Command(
        "vendors",
        "Show what is known of the vendors: fields, shorthands, limits, destination, and from where",
        "airflow_provider_contacts.cli.vendor_facts.vendors",
        (argument("name", nargs="?", metavar="NAME", help="one vendor, whole (default: all, a line each)"), OUTPUT),
    ),
)


def get_cli_commands() -> list[GroupCommand]:
    """Return the commands as Airflow wants them."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    def action(command: Command) -> ActionCommand:
        # No action_cli around it: that would write the arguments, a person's address, into Airflow's log table.
        return ActionCommand(
            name=command.name,
            help=command.help,
            func=partial(ended, command),
            args=[Arg(one.flags, **one.settings) for one in command.arguments],  # type: ignore[no-untyped-call]  # Airflow's
            epilog=command.epilog,
        )

    return [GroupCommand(name="contacts", help=PURPOSE, subcommands=[action(one) for one in COMMANDS])]


def ended(command: Command, options: Any) -> None:
    """Run a command, and end the process with its exit code."""
    from airflow_provider_contacts.cli.program import run

    raise SystemExit(run(command, options))
