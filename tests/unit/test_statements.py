"""One query is one query in whatever dialect; two are two in all of them."""

from __future__ import annotations

import pytest

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.sources.statement_count import READINGS, check_statement, survey

VALID = [
    # Standard SQL: a backslash is a sign like any other.
    r"SELECT 1 AS k, replace('a\b', '\', '/') AS company, 'x;y' AS full_name",
    r"SELECT 1 AS k, 'A' AS first_name WHERE 'a_b' LIKE '%\_%' ESCAPE '\' AND ';' <> ''",
    r"SELECT '\', ';', '\'",
    r"SELECT '\'';', ';'",
    "SELECT 'it''s; fine' AS \"a;b\"\"c;d\"",
    # PostgreSQL.
    r"SELECT E'\'; x', 1",
    r"SELECT e'\\', ';'",
    "SELECT $$a;b'$$, $tag$ $$ ; ' $tag$",
    "SELECT $1, ';', $2",
    "/* a /* b; ' */ c; */ SELECT 1",
    "SELECT data #> '{a;b}', data->>'x;' FROM t",
    "SELECT ARRAY[1, 2], ';' , x[1] FROM t",
    # MySQL.
    r"SELECT 'it\'s; here', `a;b`",
    r'SELECT "say \"hi;\" ", 1',
    "SELECT 1 # a comment; with 'a quote\n, 2",
    "SELECT 5--3, ';'",
    # SQLite and SQL Server.
    "SELECT [a;b], [it's] FROM t",
    # BigQuery, Snowflake, Oracle.
    "SELECT '''it's; fine''', r'\\', \"\"\"a;'b\"\"\"",
    "SELECT r'\\;' , `p.d;t`",
    "SELECT q'[it's; fine]' FROM dual",
    "SELECT Q'!a;'b!' FROM dual",
    # However it ends and begins.
    "SELECT 1;",
    "SELECT 1 ; \n -- that was all; really\n",
    "-- first; 'really\nSELECT 1 -- last;",
    "(SELECT 1) UNION (SELECT 2);;",
    "WITH t AS (SELECT 1 AS one) SELECT one FROM t",
    "VALUES (1)",
    "SELECT 'ends nowhere; in any dialect",
]


@pytest.mark.parametrize("sql", VALID)
def test_what_is_one_query_somewhere_passes(sql: str) -> None:
    check_statement(sql)


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT 1; SELECT 2", "holds 2 statements"),
        ("SELECT 1; DELETE FROM contacts; --", "holds 2 statements"),
        ("SELECT ';'; SELECT ';'; SELECT 3", "holds 3 statements"),
        (r"SELECT 'it\'s'; DELETE FROM t", "holds 2 statements"),
        ("SELECT $$;$$; SELECT 1", "statements"),
        ("", "holds 0 statements"),
        (" -- nothing\n;", "holds 0 statements"),
        ("/* ; */ ;;", "holds 0 statements"),
        ("insert into t values (';')", "it begins with INSERT"),
        ("-- tidy\ndelete from t", "it begins with DELETE"),
    ],
)
def test_what_is_one_query_nowhere_is_refused(sql: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        check_statement(sql)


@pytest.mark.parametrize("sql", [None, ["SELECT 1"], b"SELECT 1"])
def test_what_is_no_text_is_refused(sql: object) -> None:
    with pytest.raises(ConfigError, match="as text, not"):
        check_statement(sql)


@pytest.mark.parametrize("piece", ["/*", "'", "$a$", "/* /* ", "q'[", '"""', "\\'"])
def test_a_long_text_is_read_in_no_time(piece: str) -> None:
    for reading in READINGS:
        survey(reading, piece * 2_000)
