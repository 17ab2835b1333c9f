"""One query is one query in whatever dialect; what is two in all of them is refused."""

from __future__ import annotations

import pytest

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.sources.query import check_statement

VALID = [
    "SELECT 'it''s; fine' AS \"a;b\"\"c;d\" FROM t; -- that was all; 'really",
    "-- first; 'really\n(SELECT 1) UNION (SELECT 2);;",
    "/* a; b */ WITH t AS (SELECT 1 AS one) SELECT one FROM t WHERE x = ';' /* ; */",
    "VALUES (1)",
    # Quoted as one dialect does.
    r"SELECT replace('a\b', '\', '/') AS company, 'x;y' AS full_name",
    r"SELECT 'it\'s; here', `a;b`",
    "SELECT $tag$ $$ ; ' $tag$",
    "/* a /* b; ' */ c; */ SELECT 1",
    "SELECT 1 # a comment; with 'a quote\n, 2",
    "SELECT [a;b], [it's] FROM t",
    "SELECT '''it's; fine''', q'[it's; fine]' FROM dual",
]


@pytest.mark.parametrize("sql", VALID)
def test_what_is_one_query_somewhere_passes(sql: str) -> None:
    check_statement(sql)


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT ';'; SELECT ';'; SELECT 3", "holds 3 statements"),
        (" -- nothing\n;", "holds 0 statements"),
        ("/* ; */ ;;", "holds 0 statements"),
        ("insert into t values (';')", "it begins with INSERT"),
        ("-- tidy\ndelete from t", "it begins with DELETE"),
    ],
)
def test_what_is_one_query_nowhere_is_refused(sql: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        check_statement(sql)
