"""The runner finds what is wrong in a block of each kind, and lets what is right pass."""

from __future__ import annotations

import pytest

from tests.documents.blocks import WrongBlockError, blocks_of
from tests.documents.runners import Page

TASKS = """
from airflow_provider_contacts.operators import SqlToContactsOperator
from airflow.sdk import DAG

SqlToContactsOperator(
    task_id="push",
    sql="SELECT lead_id, first_name, last_name, phone AS phone_number FROM leads WHERE day = '{{ ds }}'",
    sql_conn_id="warehouse",
    sync_key="lead_id",
    contacts_conn_id="talkdesk_default",
    outcomes_conn_id="outcomes",
)"""
DAG = (
    TASKS.replace("\n", "\n    ")
    .replace("\n    from", "\nfrom")
    .replace("DAG\n", "DAG\n\nwith DAG('d', schedule=None):")
)
TASK = "from airflow.sdk import task\n@task\ndef hello():\n    print('said by a task')\n"
SIMULATOR = "python -m airflow_provider_contacts.simulator --set nedzo.http_503=always"
ENVIRONMENT = "python3 -m venv ~/env && . ~/env/bin/activate\npip install '.[sqlite]' -c constraints.txt\nwhich python"
ROWS = "lead-17 | unknown\nlead-18 | rejected\nlead-19 | succeeded\nlead-20 | invalid"
WITH_INTERVAL = "SELECT now() - {}, status FROM contact_outcomes;\nSELECT day FROM leads;"


def block(language: str, text: str, way: str = "") -> str:
    return f"\n{way and f'<!-- run: {way} -->'}\n```{language}\n{text.strip()}\n```\n"


def sh(text: str, output: str = "", way: str = "") -> str:
    return block("sh", text, way) + (block("text", output) if output else "")


def py(text: str, output: str = "", way: str = "") -> str:
    return block("python", text, way) + (block("text", output) if output else "")


def dag(old: str = "", new: str = "", way: str = "") -> str:
    """Return a DAG of one push, with a part of it replaced."""
    assert old in DAG
    return py(DAG.replace(old, new), way=way)


RIGHT = {
    "output": sh("airflow contacts why lead-18", "status … rejected\nerror_code PHONE_NUMBER_INVALID\nhttp…201"),
    "pipe": sh("airflow contacts runs -o json | grep sync_id", "callbacks/push"),
    "one bash": sh("cd /tmp\nexport LEAD=lead-18\nsleep 60 &") + sh("echo $LEAD; pwd", "lead-18\n/tmp") + sh("kill %1"),
    "command that fails": sh("airflow contacts why nobody", "no push has", way="fails") + sh("true"),
    "aside": sh("export AIRFLOW_CONN_DEX_DEFAULT='dex://:dex_0000@'", way="aside")
    + sh("airflow contacts check dex_default"),
    "own simulator": sh(SIMULATOR) + sh("curl -s http://127.0.0.1:8780/_simulator/faults", '"http_503":"always"'),
    "environment": sh(ENVIRONMENT, "/env/bin/python") + sh("python -c 'import airflow_provider_contacts'"),
    "own project": sh("make check\nnox -s check"),
    "dag": py(f"# dags/callbacks.py\n{DAG}", "succeeded 4") + sh("ls $AIRFLOW_HOME/dags", "callbacks.py"),
    "tasks": py(TASKS, "succeeded 4"),
    "dag that fails": dag('"warehouse"', '"nowhere"', way="fails"),
    "decorator": py(f"{TASK}hello()", "said by a task"),
    "script": sh("export NAME=ada") + py("# who.py\nimport os\nNAME = os.environ['NAME']") + py("from who import NAME"),
    "test": py("# test_it.py\ndef test_it(): pass", "1 passed"),
    "sql": block("sql", "SELECT record_identifier, status FROM contact_outcomes ORDER BY 1;") + block("text", ROWS),
    "warehouse": block("sql", "SELECT last_name FROM leads WHERE day = '{{ ds }}'") + block("text", "Hopper"),
    "postgres": block("sql", WITH_INTERVAL.format("interval '1 day'"), "postgres") + block("text", "unknown"),
    "mysql": block("sql", WITH_INTERVAL.format("INTERVAL 1 DAY"), "mysql") + block("text", "unknown"),
    "json": block("json", '{"conn_type": "nedzo", "password": "sk_live_0000"}') + block("json", '{"num_planned": 2}'),
    "other connection": block("json", '{"conn_type": "postgres", "host": "db"}'),
    "settings": block("ini", "[contacts]\noutcomes_conn_id = a") + block("toml", "a = 1") + block("yaml", "a: 1"),
}
WRONG = {
    "command": (sh("airflow contacts wy lead-18"), "invalid choice"),
    "option": (sh("airflow contacts why lead-18 --vendor dex"), "unrecognized arguments"),
    "first command": (sh("false\ntrue"), "ended with 1"),
    "no failure": (sh("true", way="fails"), "is to fail"),
    "output": (sh("airflow contacts why lead-18", "status delivered"), "no line.*\n.*status delivered"),
    "exported connection": (sh("export AIRFLOW_CONN_A='dex://:dex_0000@/?timeout=3'"), "timeout"),
    "connection aside": (sh("export AIRFLOW_CONN_A='nedzo://:dex_0000@/?list=3'", way="aside"), "list"),
    "order": (sh("echo a; echo b", "b\na"), "no line"),
    "output of nothing": (block("text", "a"), "no block before"),
    "extra": (sh("pip install '.[snowflake]'"), "no extra snowflake"),
    "distribution": (sh("pip install airflow-provider-contact"), "unknown here"),
    "target": (sh("make everything"), "No rule to make target"),
    "nox": (sh("nox -s everything"), "everything"),
    "parameter": (dag("outcomes_conn_id=", "outcome_conn_id="), "outcome_conn_id"),
    "column": (dag("first_name", "given_name"), "given_name"),
    "field": (dag("AS phone_number", ""), "phone"),
    "connection id": (dag("talkdesk_default", "talkdesk_defualt"), "talkdesk_defualt"),
    "no rows": (dag("WHERE", "WHERE 1 = 0 AND"), "pushed nothing"),
    "no failing dag": (dag(way="fails"), "is to fail"),
    "wrapped parameter": (py(TASKS.replace("outcomes_conn_id=", "outcome_conn_id=")), "outcome_conn_id"),
    "no task": (py(TASK), "no task is made"),
    "import": (py("from airflow_provider_contacts.hooks import DexHok"), "DexHok"),
    "syntax": (py("with DAG("), "SyntaxError"),
    "assertion": (py("# test_it.py\ndef test_it(): assert 1 == 2"), "1 failed"),
    "sql column": (block("sql", "SELECT record_id FROM contact_outcomes;"), "record_id"),
    "sql table": (block("sql", "SELECT lead_id FROM lead;"), "no such table: lead"),
    "sql macro": (block("sql", "SELECT lead_id FROM leads WHERE day = '{{ day }}'"), "'day' is undefined"),
    "sql rows": (block("sql", "SELECT status FROM contact_outcomes;") + block("text", "delivered"), "no line"),
    "postgres": (block("sql", "SELECT record_id FROM contact_outcomes;", "postgres"), "record_id"),
    "mysql": (block("sql", "SELECT record_id FROM contact_outcomes;", "mysql"), "record_id"),
    "extra key": (block("json", '{"conn_type": "dex", "password": "dex_0", "extra": {"timeout": 3}}'), "timeout"),
    "connection type": (block("json", '{"conn_type": "dexx", "password": "dex_0000"}'), "dexx"),
    "json": (block("json", '{"conn_type": }'), "Expecting value"),
    "toml": (block("toml", "a ="), "Invalid value"),
    "yaml": (block("yaml", "a: ["), "expected the node content"),
    "ini": (block("ini", "[contacts]\noutcome_conn_id = outcomes"), "no option outcome_conn_id"),
    "language": (block("console", "$ true"), "language 'console'"),
    "no language": (block("", "true"), "language ''"),
}


@pytest.mark.parametrize("text", RIGHT.values(), ids=RIGHT)
def test_what_is_right_passes(page: Page, text: str) -> None:
    for one in blocks_of("page.md", text):
        page.run(one)


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_fails(page: Page, text: str, words: str) -> None:
    *before, last = blocks_of("page.md", text)
    for one in before:
        page.run(one)
    with pytest.raises(Exception, match=words):
        page.run(last)


@pytest.mark.parametrize("above", ["no", "no,", "no, because", "yes", "fails, sometimes", "postgres mysql"])
def test_a_comment_that_says_nothing_is_refused(above: str) -> None:
    with pytest.raises(WrongBlockError, match=r"page\.md:3"):
        blocks_of("page.md", block("sh", "true", above))


def test_a_block_without_an_end_is_refused() -> None:
    with pytest.raises(WrongBlockError, match="no end"):
        blocks_of("page.md", "text\n```sh\ntrue\n")
