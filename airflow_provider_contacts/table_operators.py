"""The operators that work on the outcome table alone, without a vendor's connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.sdk import XComArg
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.task.base_operator import ContactsOperator, LiteralsCheckedOperator, naming_task
from airflow_provider_contacts.task.hidden_fields import HidingOperator

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow.sdk import Context

    from airflow_provider_contacts.task.parameters import Parser


class TableOperator(LiteralsCheckedOperator):
    """Work on the outcome table without a vendor; the base of the operators that do.

    :param outcomes_conn_id: connection of the database with the outcome table.
    :param outcomes_table: name of the outcome table, or ``schema.name``, as the push has it.
    :raises ConfigError: when the DAG is parsed, if a value written in the DAG file is wrong.
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

    @classmethod
    def _parsers(cls) -> Mapping[str, Parser]:
        from airflow_provider_contacts.task.parameters import TABLE_PARSERS

        return TABLE_PARSERS

    def execute(self, context: Context) -> Any:
        """Do the work, and return the summary; a wrong configuration is not tried again."""
        try:
            return self._run(context)
        except ConfigError as error:
            raise AirflowFailException(str(error)) from error

    def _run(self, context: Context) -> Any:
        raise NotImplementedError


class SettleContactsOperator(HidingOperator, TableOperator):
    """Write down, for named records in doubt, whether they exist at the vendor.

    Only ``unknown`` rows change, and rows that have been ``sending`` for an hour. A named record with the same verdict
    already is counted. Any other named record stays as it is, the rest is settled, and the task fails without a retry.
    :class:`.TableOperator` describes the other parameters.

    :param sync_id: whose records: the ``sync_id`` in the summary of the push. One that the table does not have is an
        error.
    :param records: for ``"succeeded"`` a mapping of each ``record_identifier`` to the vendor's id of the contact, for
        ``"failed"`` a list of identifiers; the JSON text of either, as a template gives it, or an upstream output. The
        digest of an identifier, the twelve digits in logs, is accepted in its place. An empty value settles nothing.
        Neither the UI nor the stored DAG shows them.
    :param verdict: ``"succeeded"``: the records exist, and are never sent again. ``"failed"``: they do not exist, and
        the next run or a replay sends them; their code is ``settled_by_hand``.
    :param settled_by: who says so, at most 255 characters. The row keeps it, with the time, until another outcome is
        written.
    :param create_tables: create the view if it is missing. ``False``: the task fails, and its error has the DDL.
    :param store_payload: as in the push. A payload is cleared for ``"succeeded"``, except with ``"all"``.
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
        self._follow_hidden()

    @classmethod
    def _parsers(cls) -> Mapping[str, Parser]:
        from airflow_provider_contacts.task.settle import SETTLE_PARSERS

        return SETTLE_PARSERS

    def _run(self, context: Context) -> dict[str, Any]:
        from airflow_provider_contacts.task.settle import run_settle

        return run_settle(self, context)


class PruneOutcomesOperator(TableOperator):
    """Remove from the outcome table what is older than an age; pushes may run meanwhile.

    Payloads, texts of the vendor and the rows of requests that no record names any more are removed. Statuses, codes,
    ids, digests and times stay, so later pushes skip and count as before. Records in doubt stay whole. The task needs
    the rights to UPDATE and DELETE. :class:`.TableOperator` describes the other parameters.

    :param older_than: age of an outcome, by the database's clock: a timedelta, or a text such as ``"90d"``, ``"12h"``
        or ``"8w"``; at least an hour.
    :param sync_ids: syncs that are removed whole, with their runs: a list, or its JSON text. None of them is removed if
        one has a record in doubt, or a record or run that is younger or running, or is not in the table. The next
        push of such a sync sends all of its records again.
    :param dry_run: only count.
    """

    template_fields: Sequence[str] = ("older_than", "sync_ids", "dry_run", *TableOperator.template_fields)

    def __init__(
        self,
        *,
        older_than: timedelta | str | XComArg,
        sync_ids: Sequence[str] | str | XComArg | None = None,
        dry_run: bool | str | XComArg = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    @classmethod
    def _parsers(cls) -> Mapping[str, Parser]:
        from airflow_provider_contacts.task.prune import PRUNE_PARSERS

        return PRUNE_PARSERS

    def _run(self, context: Context) -> dict[str, Any]:  # noqa: ARG002  # as of all
        from airflow_provider_contacts.task.prune import run_prune

        return run_prune(self)


class ExportOutcomesOperator(HidingOperator, TableOperator):
    """Write the outcomes of a run into one object that a warehouse loads: the history that the table does not keep.

    Put it behind the push, with ``trigger_rule="all_done"``. Each run has one object,
    ``{path}/{sync_id}/{sync_run_id}.{suffix}``, and a retry replaces it. The summary of a push with ``plan_only`` is
    skipped. SELECT on the table is enough. :class:`.TableOperator` describes the other parameters.

    :param path: folder on this machine, or in any storage that Airflow knows, such as ``s3://bucket/folder``.
    :param path_conn_id: connection of the storage. ``None``: the credentials that its provider finds by itself.
    :param summary: the output of a push (``push.output``), or of a mapped one: then each of its runs has an object. The
        UI does not show it.
    :param sync_id: with ``sync_run_id``, names a run in place of ``summary``.
    :param sync_run_id: see ``sync_id``; both are in the summary of the push.
    :param file_format: ``"parquet"`` (install the extra ``parquet``), ``"ndjson"`` or ``"csv"``.
    :param payloads: write ``record_payload``, ``status_message`` and ``errors``, too.
    :param identifiers: ``"clear"``, or ``"digest"``: the twelve digits in logs in place of each ``record_identifier``.
    """

    template_fields: Sequence[str] = (
        *("path", "path_conn_id", "summary", "sync_id", "sync_run_id"),
        *TableOperator.template_fields,
    )
    hidden: ClassVar[Sequence[str]] = ("summary",)
    rendered: ClassVar[bool] = True
    pushes: tuple[str, ...]
    """Tasks that the summary comes from."""

    def __init__(
        self,
        *,
        path: str | XComArg,
        path_conn_id: str | XComArg | None = None,
        summary: Any = None,
        sync_id: str | XComArg | None = None,
        sync_run_id: str | XComArg | None = None,
        file_format: Literal["parquet", "ndjson", "csv"] = "parquet",
        payloads: bool = False,
        identifiers: Literal["clear", "digest"] = "clear",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        self._offer_alias(kwargs)
        self._follow_hidden()
        given = self.given("summary")
        self.pushes = tuple(one.task_id for one, _ in XComArg.iter_xcom_references(given))
        with naming_task(self.task_id):
            from airflow_provider_contacts.task.export_task import check_together

            check_together(given, sync_id, sync_run_id)

    @classmethod
    def _parsers(cls) -> Mapping[str, Parser]:
        from airflow_provider_contacts.task.export_task import EXPORT_PARSERS

        return EXPORT_PARSERS

    def _run(self, context: Context) -> Any:
        from airflow_provider_contacts.task.export_task import run_export

        return run_export(self, self.pushes, context)


class ForgetContactsOperator(HidingOperator, TableOperator):
    """Forget persons in the outcome table, under every ``sync_id``, so that later pushes skip them.

    A digest under a key that stays in the tables takes the place of the identifier; the payload, its digest and all
    texts are deleted. A record that is being sent fails the task, and a later try forgets it. A key without a row is
    counted, and the log warns. Exports, XCom, logs and the configuration of dag runs are not reached. The task needs
    the rights to UPDATE and DELETE. :class:`.TableOperator` describes the other parameters.

    :param keys: a list with the ``sync_key`` of each person: a text or a number, or a list of the values of several
        columns; its JSON text, as a template gives it, or an upstream output. The digest in logs is accepted, too. An
        empty value forgets nobody. Neither the UI nor the stored DAG shows them.
    """

    template_fields: Sequence[str] = ("keys", *TableOperator.template_fields)
    hidden: ClassVar[Sequence[str]] = ("keys",)
    rendered: ClassVar[bool] = True

    def __init__(self, *, keys: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        self._follow_hidden()

    def _run(self, context: Context) -> dict[str, Any]:
        from airflow_provider_contacts.task.forget import run_forget

        return run_forget(self, context)
