"""The operators: they push, send again what stands undelivered, and settle what is in doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack

from airflow.sdk import XComArg

from airflow_provider_contacts.task.base_operator import ContactsOperator, LiteralsCheckedOperator
from airflow_provider_contacts.task.hidden_records import HIDDEN, HiddenRecords, hide, hiding, is_output, shown
from airflow_provider_contacts.task.push_operators import PushContactsOperator, SqlToContactsOperator
from airflow_provider_contacts.task.replay_operator import ReplayContactsOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_contacts.task.airflow_parameters import TaskParameters
    from airflow_provider_contacts.task.parameters import Reader

__all__ = [
    "ContactsOperator",
    "PushContactsOperator",
    "ReplayContactsOperator",
    "SettleContactsOperator",
    "SqlToContactsOperator",
]


class SettleContactsOperator(LiteralsCheckedOperator):
    """Write a person's verdict on named records that may or may not exist: they do, or they do not.

    Only ``unknown`` rows change, and rows left ``sending`` for an hour. Every other named record is counted in the
    summary, and fails the task without a retry, unless it has the same verdict already. Needs no vendor connection.

    :param sync_id: whose records, as the summary of the push says it.
    :param records: for ``succeeded`` a mapping of ``record_identifier`` to the vendor's id of the contact, for
        ``failed`` a list of identifiers; JSON text of either, as a template leaves it, or an upstream task's output. An
        identifier's digest, the twelve digits that logs show, does as well. Nothing given is no error. They are not
        among the fields that the UI shows, nor in the DAG as Airflow stores it.
    :param verdict: ``"succeeded"``: they exist, and are never sent again; ``"failed"``: they do not, and the next run
        or a replay sends them.
    :param settled_by: who says so; written into the rows, with the time.
    :param outcomes_conn_id: SQL connection with the outcome table.
    :param outcomes_table: its name, ``schema.table`` allowed.
    :param create_tables: add columns that a table of an earlier version lacks, else the error prints the DDL.
    :param store_payload: as in the push: ``"all"`` keeps the payload of what exists.
    """

    template_fields: Sequence[str] = (
        *("sync_id", "records", "verdict", "settled_by"),
        *("outcomes_conn_id", "outcomes_table"),
    )
    ui_color = ContactsOperator.ui_color

    def __init__(
        self,
        *,
        sync_id: str | XComArg,
        records: Any,
        verdict: Literal["succeeded", "failed"] | str | XComArg,  # noqa: PYI051  # or a template
        settled_by: str | XComArg,
        outcomes_conn_id: str | XComArg,
        outcomes_table: str | XComArg = "contact_outcomes",
        create_tables: bool = True,
        store_payload: Literal["undelivered", "all", "never"] = "undelivered",
        **kwargs: Unpack[TaskParameters],
    ) -> None:
        super().__init__(**kwargs)
        self.sync_id = sync_id
        self._records = HiddenRecords(None)
        self.records = shown(records)
        # Airflow does not look for them behind the word.
        XComArg.apply_upstream_relationship(self, self._records.records)
        self.verdict = verdict
        self.settled_by = settled_by
        self.outcomes_conn_id = outcomes_conn_id
        self.outcomes_table = outcomes_table
        self.create_tables = create_tables
        self.store_payload = store_payload
        self._check_literals()

    @classmethod
    def _readers(cls) -> Mapping[str, Reader]:
        from airflow_provider_contacts.task.settle_parameters import SETTLE_READERS

        return SETTLE_READERS

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Return a mapped task without its mapped parameters; see Airflow."""
        return hiding(super().partial(**hide(kwargs)))

    @property
    def records(self) -> Any:
        """The upstream output before it is read, else what Airflow renders and shows as a word."""
        return self._records.records if is_output(self._records.records) else self._records

    @records.setter
    def records(self, value: Any) -> None:
        # Rendering hands back what the getter gave.
        if not (isinstance(value, str) and value == HIDDEN):
            self._records = HiddenRecords(shown(value))

    def execute(self, context: Context) -> dict[str, Any]:
        """Settle, and return the summary."""
        from airflow_provider_contacts.task.settle import run_settle
        from airflow_provider_contacts.task.settle_parameters import SettlePlan

        names = ("sync_id", "verdict", "settled_by", "outcomes_conn_id", "outcomes_table", "create_tables")
        given = {name: getattr(self, name) for name in (*names, "store_payload")}
        return run_settle(SettlePlan(**given, records=self._records.records), context)
