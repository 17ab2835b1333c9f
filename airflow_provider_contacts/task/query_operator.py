"""The base of the operators that send the rows of a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_contacts.task.base_operator import ContactsOperator

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from airflow.sdk import XComArg

    from airflow_provider_contacts.sources import RowSource
    from airflow_provider_contacts.task.parameters import Parser


class QueryOperator(ContactsOperator):
    """The base of the operators that send the rows of a query."""

    template_fields: Sequence[str] = ("sql", "sql_conn_id", "parameters", *ContactsOperator.template_fields)
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"sql": "sql", "parameters": "json", "destination": "json"}
    sql: Any
    sql_conn_id: Any
    parameters: Any
    chunk_size: int

    def __init__(
        self,
        *,
        sql: str | XComArg | None = None,
        sql_conn_id: str | XComArg | None = None,
        parameters: Mapping[str, Any] | Sequence[Any] | XComArg | None = None,
        chunk_size: int = 5000,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    @classmethod
    def _parsers(cls) -> Mapping[str, Parser]:
        from airflow_provider_contacts.task.parameters import PUSH_PARSERS, SQL_PARSERS

        return {**PUSH_PARSERS, **SQL_PARSERS}

    def rows(self) -> AbstractContextManager[RowSource]:
        """Run the query."""
        from airflow_provider_contacts.sources import rows_of_query
        from airflow_provider_contacts.task.connections import sql_hook

        conn_id = self.sql_conn_id or ""
        hook = sql_hook(conn_id, "sql_conn_id")
        return rows_of_query(hook, self.sql, self.parameters, self.chunk_size, stopping=self.stopping, conn_id=conn_id)
