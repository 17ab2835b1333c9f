"""The operator that sends undelivered records of the outcome table again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack

from airflow_provider_contacts.task.base_operator import ContactsOperator, QueryOperator, naming_task

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.sdk import Context, XComArg

    from airflow_provider_contacts.task.airflow_parameters import TaskParameters
    from airflow_provider_contacts.task.parameters import Parser


class ReplayContactsOperator(QueryOperator):
    """Send again the undelivered records of the outcome table that a filter selects.

    The rows keep their ``sync_id`` and identifier, and go on counting ``attempts``. What is delivered is never sent
    again, and what may exist already only if ``statuses`` and ``on_unknown`` both say so. The payloads are those in
    the table, checked anew; or the records of a query, of which those with a selected key are sent.
    ``PushContactsOperator`` says more of the shared parameters.

    :param outcomes_conn_id: SQL connection with the outcome table; required.
    :param sync_id: the ``sync_id`` in the summary of the push; required.
    :param statuses: some of ``failed``, ``rejected``, ``invalid`` and ``unknown``; the last one needs an ``on_unknown``
        other than ``"hold"``.
    :param error_codes: of the rows; ``None``: any.
    :param since: aware datetime or ISO text with its offset; rows whose outcome is older are left alone.
    :param max_attempts: rows that so many requests have carried are left alone.
    :param sql: one statement, or the path of a ``.sql`` file; ``None``: the payloads come from the outcome table.
    :param sql_conn_id: any Airflow SQL connection.
    :param parameters: bind values in the paramstyle of the connection's driver.
    :param chunk_size: rows fetched at once.
    :param contacts_conn_id: connection of the vendor; its type chooses the vendor.
    :param destination: where in the vendor's account the contacts go, over the keys in the connection's extra.
    :param sync_key: column or columns of ``sql`` that identify a record; ``sync_key``, ``field_map`` and ``unmapped``
        must be as in the push.
    :param field_map: source column to vendor field, applied first.
    :param unmapped: ``"error"`` or ``"ignore"``: what a column is that means nothing to the vendor.
    :param outcomes_table: name of the table, ``schema.table`` allowed.
    :param create_tables: create what is missing, else the error prints the DDL.
    :param on_unknown: what to do with a record that may already exist: ``"hold"``, ``"reconcile"`` or ``"resend"``.
    :param max_rejected: rejected and invalid records tolerated, a count or a fraction below 1.
    :param max_unknown: records that became unknown in this run tolerated.
    :param batch_size: records a request; default and upper bound: the vendor's.
    :param max_in_flight: requests at the same time; default: the vendor's.
    :param requests_per_second: sustained rate; default: the vendor's.
    :param request_attempts: requests for a record within one try.
    :param request_timeout: seconds for a request and its answer; ``None``: the connection's, else 60.
    :param max_wait: seconds that a ``Retry-After`` is waited for; a longer one reschedules the task.
    :param store_payload: payloads that the table keeps: ``"undelivered"``, ``"all"`` or ``"never"``.
    :param xcom_outcomes: outcomes that the summary lists: ``"auto"``, ``"all"``, ``"undelivered"`` or ``"none"``.
    :param plan_only: check everything and count; send and remember nothing.
    :param plan_rows: with ``plan_only``, the first so many keys of each kind are listed in the summary's ``plan``.
    :param plan_identifiers: list them as a ``"digest"``, as logs show it, or in ``"clear"``.
    :param kwargs: Airflow's own parameters of a task.
    """

    template_fields: Sequence[str] = (
        *("statuses", "error_codes", "since", "max_attempts", "sql", "sql_conn_id", "parameters"),
        *ContactsOperator.template_fields,
    )

    def __init__(
        self,
        *,
        outcomes_conn_id: str | XComArg,
        sync_id: str | XComArg,
        statuses: Sequence[str] | str | XComArg = ("failed", "rejected", "invalid"),
        error_codes: Sequence[str] | str | XComArg | None = None,
        since: datetime | str | XComArg | None = None,
        max_attempts: int | str | XComArg | None = None,
        sql: str | XComArg | None = None,
        sql_conn_id: str | XComArg | None = None,
        parameters: Mapping[str, Any] | Sequence[Any] | XComArg | None = None,
        chunk_size: int = 5000,
        contacts_conn_id: str | XComArg,
        destination: Mapping[str, Any] | str | XComArg | None = None,
        sync_key: str | Sequence[str] | None = None,
        field_map: Mapping[str, str] | None = None,
        unmapped: Literal["error", "ignore"] = "error",
        outcomes_table: str | XComArg = "contact_outcomes",
        create_tables: bool = True,
        on_unknown: Literal["hold", "reconcile", "resend"] = "hold",
        max_rejected: float | str | XComArg = 0,
        max_unknown: float | str | XComArg = 0,
        batch_size: int | None = None,
        max_in_flight: int | None = None,
        requests_per_second: float | None = None,
        request_attempts: int = 5,
        request_timeout: float | None = None,
        max_wait: float = 60.0,
        store_payload: Literal["undelivered", "all", "never"] = "undelivered",
        xcom_outcomes: Literal["auto", "all", "undelivered", "none"] = "auto",
        plan_only: bool | str | XComArg = False,
        plan_rows: int = 0,
        plan_identifiers: Literal["digest", "clear"] = "digest",
        **kwargs: Unpack[TaskParameters],
    ) -> None:
        super().__init__(**kwargs)
        parsed = self._keep(locals())
        if {"statuses", "sql", "sql_conn_id"} <= parsed.keys():
            from airflow_provider_contacts.task.replay_parameters import check_together

            with naming_task(self.task_id):
                check_together(parsed)

    @classmethod
    def _parsers(cls) -> Mapping[str, Parser]:
        from airflow_provider_contacts.task.replay_parameters import REPLAY_PARSERS

        return REPLAY_PARSERS

    def execute(self, context: Context) -> dict[str, Any]:
        """Send again, and return the summary."""
        from airflow_provider_contacts.task.replay import ReplayExecution

        return self._run(ReplayExecution, context)
