"""The operators that work on the outcome table alone, without a vendor's connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.sdk import XComArg

from airflow_provider_contacts.task.base_operator import ContactsOperator, LiteralsCheckedOperator
from airflow_provider_contacts.task.hidden_fields import HidingOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_contacts.task.parameters import Parser


class TableOperator(LiteralsCheckedOperator):
    """The base of the operators that work on the outcome table alone.

    :param outcomes_conn_id: SQL connection with the outcome table.
    :param outcomes_table: its name, ``schema.table`` allowed.
    """

    template_fields: Sequence[str] = ("outcomes_conn_id", "outcomes_table")
    ui_color = ContactsOperator.ui_color

    def __init__(
        self,
        *,
        outcomes_conn_id: str | XComArg,
        outcomes_table: str | XComArg = "contact_outcomes",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())


class SettleContactsOperator(HidingOperator, TableOperator):
    """Write a person's verdict on named records that may or may not exist.

    Only ``unknown`` rows change, and rows left ``sending`` for an hour. Every other named record is counted in the
    summary, and fails the task without a retry, unless it has the same verdict already. Needs no vendor connection.
    :class:`TableOperator` describes the other parameters.

    :param sync_id: the ``sync_id`` in the summary of the push.
    :param records: for ``succeeded`` a mapping of ``record_identifier`` to the vendor's id of the contact, for
        ``failed`` a list of identifiers; JSON text of either, as a template leaves it, or an upstream task's output. An
        identifier's digest, the twelve digits in logs, does as well. Nothing given is no error. The UI and the stored
        DAG do not show them.
    :param verdict: ``"succeeded"``: they exist, and are never sent again; ``"failed"``: they do not exist, and the
        next run or a replay sends them.
    :param settled_by: the person who settles; written into the rows, with the time.
    :param create_tables: add columns that a table of an earlier version lacks, else the error prints the DDL.
    :param store_payload: as in the push: ``"all"`` keeps the payload of what exists.
    """

    template_fields: Sequence[str] = ("sync_id", "records", "verdict", "settled_by", *TableOperator.template_fields)
    hidden: ClassVar[Sequence[str]] = ("records",)
    rendered: ClassVar[bool] = True

    def __init__(
        self,
        *,
        sync_id: str | XComArg,
        records: Any,
        verdict: Literal["succeeded", "failed"] | str | XComArg,  # noqa: PYI051  # or a template
        settled_by: str | XComArg,
        create_tables: bool = True,
        store_payload: Literal["undelivered", "all", "never"] = "undelivered",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        # Airflow does not look for them behind the word.
        XComArg.apply_upstream_relationship(self, self.given("records"))

    @classmethod
    def _parsers(cls) -> Mapping[str, Parser]:
        from airflow_provider_contacts.task.settle import SETTLE_PARSERS

        return SETTLE_PARSERS

    def execute(self, context: Context) -> dict[str, Any]:
        """Settle, and return the summary."""
        from airflow_provider_contacts.task.settle import run_settle

        return run_settle(self, context)
