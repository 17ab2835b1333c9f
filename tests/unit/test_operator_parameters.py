"""A wrong literal is an error of the DAG file; a template waits for the task."""

from __future__ import annotations

import gc
import inspect
from datetime import timedelta
from itertools import cycle
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, task
from airflow.sdk.definitions.param import DagParam
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_contacts import operators, plugin
from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.operators import (
    ContactsOperator,
    ExportOutcomesOperator,
    FilesToContactsOperator,
    ForgetContactsOperator,
    PruneOutcomesOperator,
    PushContactsOperator,
    ReplayContactsOperator,
    SettleContactsOperator,
    SqlToContactsOperator,
)
from airflow_provider_contacts.table_operators import TableOperator
from airflow_provider_contacts.task.base_operator import LiteralsCheckedOperator

NEEDED: dict[type, dict[str, Any]] = {
    PushContactsOperator: {"task_id": "t", "records": [], "contacts_conn_id": "dex_default"},
    SqlToContactsOperator: {
        "task_id": "t",
        "sql": "SELECT 1 AS email",
        "sql_conn_id": "warehouse",
        "sync_key": None,
        "contacts_conn_id": "dex_default",
    },
    FilesToContactsOperator: {
        "task_id": "t",
        "path": "/imports/*.csv",
        "sync_key": None,
        "contacts_conn_id": "dex_default",
    },
    ReplayContactsOperator: {
        "task_id": "t",
        "sync_id": "s",
        "outcomes_conn_id": "outcomes",
        "contacts_conn_id": "dex_default",
    },
    ForgetContactsOperator: {"task_id": "t", "keys": [], "outcomes_conn_id": "outcomes"},
    SettleContactsOperator: {
        "task_id": "t",
        "sync_id": "s",
        "records": {},
        "verdict": "succeeded",
        "settled_by": "me",
        "outcomes_conn_id": "outcomes",
    },
    ExportOutcomesOperator: {"task_id": "t", "path": "/exports", "outcomes_conn_id": "outcomes"},
    PruneOutcomesOperator: {"task_id": "t", "older_than": "90d", "outcomes_conn_id": "outcomes"},
}
SENDING = [PushContactsOperator, SqlToContactsOperator, FilesToContactsOperator, ReplayContactsOperator]

WRONG_PUSH: list[tuple[dict[str, Any], str]] = [
    ({"on_unknown": "retry"}, "on_unknown is one of ['hold', 'reconcile', 'resend'], not 'retry'"),
    ({"on_unknown": "re-send"}, "not 're-send'; did you mean 'resend'?"),
    ({"on_unknown": "{{ params.what }}"}, "on_unknown is one of"),
    ({"unmapped": "drop"}, "unmapped is one of ['error', 'ignore'], not 'drop'"),
    ({"store_payload": "some"}, "store_payload is one of"),
    ({"xcom_outcomes": True}, "xcom_outcomes is one of ['auto', 'all', 'undelivered', 'none'], not True"),
    ({"max_rejected": "many"}, "max_rejected is a count or a fraction below 1"),
    ({"max_unknown": 0.5}, "max_unknown is a count"),
    ({"batch_size": 0}, "batch_size is a whole number of at least 1, or None for the vendor's own, not 0"),
    ({"max_in_flight": True}, "max_in_flight is a whole number"),
    ({"requests_per_second": 0}, "requests_per_second is a number above 0"),
    ({"request_attempts": 0}, "request_attempts is a whole number of at least 1, not 0"),
    ({"request_timeout": 601}, "request_timeout is a number of seconds above 0, 600 at most"),
    ({"max_wait": None}, "max_wait is a number of seconds above 0, 86400 at most, not None"),
    ({"field_map": ["a"]}, "field_map is a mapping of source columns to vendor fields, both texts, not a list"),
    ({"sync_key": []}, "sync_key is a column name, a list of different column names, or None"),
    ({"destination": "my-list"}, "destination is a mapping, or the JSON text of one, not 'my-list'"),
    ({"contacts_conn_id": ""}, "contacts_conn_id must not be empty"),
    ({"outcomes_conn_id": 5}, "outcomes_conn_id is a text, not 5"),
    ({"outcomes_table": ""}, "outcomes_table must not be empty"),
    ({"create_tables": "perhaps"}, "create_tables is true or false, not 'perhaps'"),
    ({"plan_only": 1}, "plan_only is true or false, not 1"),
    ({"sync_id": ["s"]}, "sync_id is a text, not a list"),
    ({"sync_id": "s" * 513}, "sync_id has at most 512 characters, not a text of 513 characters"),
    ({"plan_rows": -1}, "plan_rows is a whole number from 0 to 1000, not -1"),
    ({"plan_identifiers": "plain"}, "plan_identifiers is one of ['digest', 'clear'], not 'plain'"),
]
WRONG_PLACES: list[tuple[dict[str, Any], str]] = [
    ({"outcomes_table": name}, "outcomes_table must be a name or schema.name") for name in ("a b", "a.b.c", "7", "ä")
]
WRONG_SYNC = ({"sync_id": " signups"}, "sync_id must not begin or end with white space, not ' signups'")
WRONG_SQL: list[tuple[dict[str, Any], str]] = [
    ({"sql": ""}, "sql must not be empty"),
    ({"sql": ["SELECT 1"]}, "sql is a text, not a list"),
    ({"sql_conn_id": ""}, "sql_conn_id must not be empty"),
    ({"chunk_size": 0}, "chunk_size is a whole number of at least 1, not 0"),
    # Bind values may be personal.
    ({"parameters": "a"}, "parameters is a mapping or a list of bind values, or None, not a str"),
]
WRONG_REPLAY: list[tuple[dict[str, Any], str]] = [
    ({"statuses": ["fialed"]}, "each of statuses is one of ['failed', 'rejected', 'invalid', 'unknown'], not 'fialed'"),
    ({"statuses": ["fialed"]}, "did you mean 'failed'?"),
    ({"statuses": ["succeeded"]}, "each of statuses is one of"),
    ({"statuses": []}, "statuses names some of"),
    ({"statuses": ["unknown"]}, 'set on_unknown="reconcile"'),
    ({"error_codes": 5}, "error_codes is a list of words, not 5"),
    ({"since": "yesterday"}, "since is a moment with its UTC offset"),
    ({"max_attempts": 0}, "max_attempts is a whole number of at least 1"),
    ({"outcomes_conn_id": None}, "outcomes_conn_id must not be empty"),
    ({"sync_id": ""}, "sync_id must not be empty"),
    ({"sql": "SELECT 1"}, "sql and sql_conn_id belong together"),
    ({"store_payload": "never"}, 'store_payload="never" would clear'),
    ({"chunk_size": 1.5}, "chunk_size is a whole number"),
]
WRONG_FILES: list[tuple[dict[str, Any], str]] = [
    ({"path": ""}, "path must not be empty"),
    ({"path_conn_id": 5}, "path_conn_id is a text, not 5"),
    (
        {"file_format": "json"},
        "file_format is one of [None, 'csv', 'ndjson', 'parquet'], not 'json'; did you mean 'ndj",
    ),
    (
        {"encoding": "utf-9"},
        "encoding is the name of one of Python's encodings of text, such as utf-8 or cp1252, not 'utf-9'",
    ),
    # Python's own names for what differs from worker to worker.
    ({"encoding": None}, "encoding is the name of one"),
    ({"encoding": "locale"}, "encoding is the name of one"),
    ({"encoding": "hex"}, "encoding is the name of one"),
    ({"delimiter": "||"}, "delimiter is one character that ends no line, not '||'"),
    ({"delimiter": "\n"}, "delimiter is one character"),
    ({"quotechar": None}, "quotechar is one character that ends no line, not None"),
]
WRONG_SETTLE: list[tuple[dict[str, Any], str]] = [
    ({"verdict": "succeded"}, "verdict is one of ['succeeded', 'failed'], not 'succeded'; did you mean 'succeeded'?"),
    ({"verdict": None}, "verdict must not be empty"),
    ({"settled_by": " "}, "settled_by must not be empty"),
    ({"store_payload": "some"}, "store_payload is one of"),
    ({"create_tables": 5}, "create_tables is true or false"),
    ({"outcomes_conn_id": None}, "outcomes_conn_id must not be empty"),
    ({"sync_id": 5}, "sync_id is a text"),
]
AGE = "older_than is a timedelta, or a text such as 90d, 12h or 8w, of an hour at least, not "
WRONG_PRUNE: list[tuple[dict[str, Any], str]] = [
    *(({"older_than": one}, AGE + repr(one)) for one in ("59m", "0h", "90", "d", "-1d", "999999w", 90, None)),
    ({"older_than": timedelta(minutes=59)}, f"{AGE}'0:59:00'"),
    ({"sync_ids": "crm/push@dex"}, "sync_ids is text that is no JSON"),
    ({"sync_ids": {"a": 1}}, "sync_ids is a list of sync ids, or the JSON text of one, not a dict"),
    ({"sync_ids": ["s", ""]}, "sync_ids must not be empty"),
    ({"dry_run": "perhaps"}, "dry_run is true or false, not 'perhaps'"),
]
WRONG_EXPORT: list[tuple[dict[str, Any], str]] = [
    ({"file_format": "parket"}, "file_format is one of ['parquet', 'ndjson', 'csv'], not 'parket'"),
    ({"identifiers": "plain"}, "identifiers is one of ['clear', 'digest'], not 'plain'"),
    ({"payloads": "some"}, "payloads is true or false, not 'some'"),
    ({"path": " "}, "path must not be empty"),
    ({"path": "/exports/*.csv"}, "path is one folder, in which each run gets its object, and no pattern, not '/exp"),
    *(
        (given, "give either summary, the output of a push, or both sync_id and sync_run_id")
        for given in ({}, {"sync_id": "s"}, {"sync_run_id": "{{ run_id }}"}, {"sync_id": "s", "summary": {}})
    ),
    ({"summary": PushContactsOperator(**NEEDED[PushContactsOperator])}, "give summary=push.output"),
]
WRONG = [
    *((operator, *case) for operator, case in zip(cycle(SENDING), WRONG_PUSH, strict=False)),
    *((operator, *case) for operator in NEEDED for case in WRONG_PLACES),
    *((SqlToContactsOperator, *case) for case in WRONG_SQL),
    *((FilesToContactsOperator, *case) for case in WRONG_FILES),
    *((ReplayContactsOperator, *case) for case in WRONG_REPLAY),
    *((SettleContactsOperator, *case) for case in WRONG_SETTLE),
    *((ExportOutcomesOperator, *case) for case in WRONG_EXPORT),
    *((operator, *WRONG_SYNC) for operator in (*SENDING, SettleContactsOperator)),
    *((PruneOutcomesOperator, *case) for case in WRONG_PRUNE),
]
TOGETHER = ("give either", "give summary", "belong together", "would clear", "set on_unknown")
WRONG_ALONE = [case for case in WRONG if not any(text in case[2] for text in TOGETHER)]


def parameters_of(operator: type) -> dict[str, inspect.Parameter]:
    """Return the parameters that an operator takes over Airflow's own."""
    found: dict[str, inspect.Parameter] = {}
    for kind in reversed(operator.__mro__[: operator.__mro__.index(LiteralsCheckedOperator)]):
        found |= inspect.signature(kind.__init__).parameters  # type: ignore[misc]  # read, not called
    return {name: one for name, one in found.items() if name not in {"self", "kwargs"}}


@pytest.mark.parametrize(
    ("operator", "own", "needed"),
    [
        (SqlToContactsOperator, {"parameters": None, "chunk_size": 5000}, {"sql", "sql_conn_id", "sync_key"}),
        (
            FilesToContactsOperator,
            {"path_conn_id": None, "file_format": None, "encoding": "utf-8", "delimiter": ",", "quotechar": '"'},
            {"path", "sync_key"},
        ),
        (
            ReplayContactsOperator,
            {
                "statuses": ("failed", "rejected", "invalid"),
                "error_codes": None,
                "since": None,
                "max_attempts": None,
                "sql": None,
                "sql_conn_id": None,
                "parameters": None,
                "chunk_size": 5000,
            },
            {"sync_id", "outcomes_conn_id"},
        ),
    ],
)
def test_the_others_take_what_a_push_takes(operator: type, own: dict[str, Any], needed: set[str]) -> None:
    # The defaults of a push: those of docs/operators.md.
    push, found = parameters_of(PushContactsOperator), parameters_of(operator)
    shared = {name: one.default for name, one in push.items() if name != "records"}
    wanted = {**shared, **own, **dict.fromkeys(needed, inspect.Parameter.empty)}
    assert {name: one.default for name, one in found.items()} == wanted
    for one in (*push.values(), *found.values()):
        assert one.kind is one.KEYWORD_ONLY
        assert one.annotation is not one.empty


@pytest.mark.parametrize("operator", NEEDED)
def test_every_parameter_is_described_where_an_editor_looks(operator: Any) -> None:
    names = set(parameters_of(operator))
    shared = ContactsOperator if issubclass(operator, ContactsOperator) else TableOperator
    text = f"{operator.__doc__}{shared.__doc__}"
    assert {name for name in names if f":param {name}:" not in text} == set()


@pytest.mark.parametrize(("operator", "changed", "text"), WRONG)
def test_a_wrong_literal_is_an_error_when_the_dag_is_parsed(operator: Any, changed: dict[str, Any], text: str) -> None:
    with DAG("d", schedule=None), pytest.raises(ConfigError) as caught:
        operator(**{**NEEDED[operator], **changed})
    assert str(caught.value).startswith("task 't': ")
    assert text in str(caught.value)
    # A mapped task is built when it runs: Airflow must not try it again.
    assert isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize(("operator", "changed", "text"), WRONG_ALONE)
def test_so_it_is_in_partial_and_in_default_args(operator: Any, changed: dict[str, Any], text: str) -> None:
    fixed: dict[str, Any] = {"task_id": "t", "retries": 3}
    with DAG("d", schedule=None), pytest.raises(ConfigError) as caught:
        operator.partial(**fixed, **changed)
    assert text in str(caught.value)
    others = {name: value for name, value in NEEDED[operator].items() if name not in changed}
    with DAG("d", schedule=None, default_args=changed), pytest.raises(ConfigError) as caught:
        operator(**others)
    assert text in str(caught.value)


@pytest.mark.filterwarnings("ignore:Task .* was never mapped")
@pytest.mark.parametrize("where", ["dag", "task"])
def test_default_args_of_a_mapped_task_are_checked_too(where: str) -> None:
    wrong: dict[str, Any] = {"on_unknown": "retry"}
    fixed: dict[str, Any] = {"task_id": "t", "contacts_conn_id": "dex_default"}
    with (
        DAG("d", schedule=None, default_args=wrong if where == "dag" else {}),
        pytest.raises(ConfigError, match="task 't': on_unknown is one of"),
    ):
        PushContactsOperator.partial(**fixed, **({"default_args": wrong} if where == "task" else {}))
    gc.collect()  # so that Airflow warns here, and not in another test


def test_an_unknown_parameter_is_an_error_that_does_not_repeat_its_value() -> None:
    for operator, needed in NEEDED.items():
        said = r"task 't': .* has no parameter \['outcomes_tabel'\]; did you mean 'outcomes_table'"
        with DAG("d", schedule=None), pytest.raises(TypeError, match=said) as caught:
            operator(**needed, outcomes_tabel="ada@example.com")
        assert "ada@example.com" not in str(caught.value)
        with DAG("d", schedule=None), pytest.raises(TypeError, match="on_unknwon"):
            operator.partial(**needed, on_unknwon="hold")  # type: ignore[attr-defined]  # every operator has it


@pytest.mark.parametrize(("operator", "missing"), [(op, name) for op, needed in NEEDED.items() for name in needed])
def test_a_missing_parameter_is_named(operator: Any, missing: str) -> None:
    needed = {name: value for name, value in NEEDED[operator].items() if name != missing}
    with DAG("d", schedule=None), pytest.raises(TypeError, match=f"missing .*argument:? '{missing}'"):
        operator(**needed)


TEMPLATES: dict[str, Any] = {
    "contacts_conn_id": "{{ var.value.conn }}",
    "destination": "{{ params.where | tojson }}",
    "outcomes_conn_id": "{{ params.db }}",
    "outcomes_table": "{{ params.table }}",
    "sync_id": "{% if params.test %}test{% endif %}",
    "max_rejected": "{{ params.most }}",
    "max_unknown": "{{ params.most }}",
    "plan_only": "{{ params.plan }}",
}


@pytest.mark.parametrize("operator", SENDING)
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_waits_until_the_task_runs(operator: Any, name: str) -> None:
    with DAG("d", schedule=None) as dag:
        template = operator(**{**NEEDED[operator], name: TEMPLATES[name]})
        upstream = operator(**{**NEEDED[operator], "task_id": "u", name: task(task_id="up")(lambda: 1)()})
        param = operator(**{**NEEDED[operator], "task_id": "v", name: dag.param("p", default="x")})
    assert getattr(template, name) == TEMPLATES[name]
    assert upstream.upstream_task_ids == {"up"}
    assert isinstance(getattr(param, name), DagParam)


def test_the_task_of_every_operator_that_pushes_has_a_tab() -> None:
    pushing = {name for name in operators.__all__ if issubclass(getattr(operators, name), ContactsOperator)}
    assert pushing - {"ContactsOperator"} <= set(plugin.OPERATORS)


def test_what_fits_together_only_when_it_is_known_is_not_refused_early() -> None:
    needed = NEEDED[ReplayContactsOperator]
    with DAG("d", schedule=None) as dag:
        ReplayContactsOperator(**needed, statuses="{{ params.statuses | tojson }}")
        ReplayContactsOperator(**{**needed, "task_id": "u"}, sql="{{ params.sql }}")
        ReplayContactsOperator(**{**needed, "task_id": "v"}, sql="again.sql", sql_conn_id="{{ params.conn }}")
        ReplayContactsOperator.partial(**{**needed, "task_id": "w"}, statuses=["unknown"]).expand(on_unknown=["resend"])
    assert dag.task_ids == [needed["task_id"], "u", "v", "w"]


def test_default_args_still_fill_in_what_is_not_given() -> None:
    given = {"contacts_conn_id": "dex_default", "on_unknown": "resend", "max_rejected": 0.1, "sync_key": "a"}
    with DAG("d", schedule=None, default_args=given):
        op = PushContactsOperator(task_id="t", records=[], sync_key="b")
    assert (op.contacts_conn_id, op.on_unknown, op.max_rejected, op.sync_key) == ("dex_default", "resend", 0.1, "b")


if TYPE_CHECKING:
    # For a type checker alone, to which an ignore without an error is one.
    wait = timedelta(minutes=5)
    PushContactsOperator(task_id="t", records=[], contacts_conn_id="a", on_unknown="hold", retry_delay=wait)
    SqlToContactsOperator(task_id="t", sql="", sql_conn_id="b", contacts_conn_id="a")  # type: ignore[call-arg]
    ReplayContactsOperator(task_id="t", sync_id=5, outcomes_conn_id="o", contacts_conn_id="a")  # type: ignore[arg-type]
