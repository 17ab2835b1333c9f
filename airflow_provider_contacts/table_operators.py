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
    """Write a person's verdict on named records that may or may not exist.

    Only ``unknown`` rows change, and rows left ``sending`` for an hour. Every other named record is counted in the
    summary, and fails the task without a retry, unless it has the same verdict already. Needs no vendor connection.
    :class:`.TableOperator` describes the other parameters.

    :param sync_id: the ``sync_id`` in the summary of the push.
    :param records: for ``succeeded`` a mapping of ``record_identifier`` to the vendor's id of the contact, for
        ``failed`` a list of identifiers; JSON text of either, as a template leaves it, or an upstream task's output. An
        identifier's digest, the twelve digits in logs, does as well. Nothing given is no error. The UI and the stored
        DAG do not show them.
    :param verdict: ``"succeeded"``: they exist, and are never sent again; ``"failed"``: they do not exist, and the
        next run or a replay sends them.
    :param settled_by: the person who settles; written into the rows, with the time.
    :param create_tables: create the view if it is missing, else the error prints the DDL.
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
        self._follow_hidden()

    @classmethod
    def _parsers(cls) -> Mapping[str, Parser]:
        from airflow_provider_contacts.task.settle import SETTLE_PARSERS

        return SETTLE_PARSERS

    def _run(self, context: Context) -> dict[str, Any]:
        from airflow_provider_contacts.task.settle import run_settle

        return run_settle(self, context)


class PruneOutcomesOperator(TableOperator):
    """Remove what is old from the outcome table; pushes may run meanwhile.

    Payloads, vendor texts and the headers of retried requests go; statuses, codes, ids, digests and times stay, and so
    does all of a record in doubt: what a later push skips and counts is unchanged. A sync goes whole only if it is
    named. Needs the rights to UPDATE and DELETE. :class:`.TableOperator` describes the other parameters.

    :param older_than: an age since the outcome was written, by the database's clock: a timedelta, or a text such as
        ``"90d"``, ``"12h"`` or ``"8w"``; an hour at least.
    :param sync_ids: each ``sync_id`` that goes whole, with its runs; JSON text of a list, as a template leaves it, does
        as well. All stay if one of them is in doubt, younger, running or not in the table. The next push of such a sync
        sends everybody again.
    :param dry_run: count only.
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
    """Write the rows of a run into one object that every warehouse loads: the history that the table does not keep.

    A task of its own behind the push, with ``trigger_rule="all_done"``. Each run has its object,
    ``{path}/{sync_id}/{sync_run_id}.{suffix}``; a retry replaces it. A push that only planned is skipped.
    :class:`.TableOperator` describes the other parameters.

    :param path: folder on this machine or in any storage that ``ObjectStoragePath`` knows, as ``s3://bucket/folder``.
    :param path_conn_id: connection of the storage; ``None``: as its provider finds credentials without one.
    :param summary: the output of a push, or of a mapped push: then each of its runs has an object. Instead of it
        ``sync_id`` and ``sync_run_id`` name a run. The UI does not show it.
    :param sync_id: the ``sync_id`` in the summary of the push.
    :param sync_run_id: the ``sync_run_id`` there.
    :param file_format: ``"parquet"`` (extra ``parquet``), ``"ndjson"`` or ``"csv"``.
    :param payloads: write ``record_payload``, ``status_message`` and ``errors``, too.
    :param identifiers: ``"clear"``, or ``"digest"``: the twelve digits of logs in place of each identifier.
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

    The identifier becomes a digest under a key that stays in the tables; payload, its digest and all texts are deleted.
    A record that is being sent is refused: the task fails, and forgets it in a later try. A key that no row has is
    counted, and the log warns of it. Exports, XCom, logs and DAG run confs are not reached. Needs the right to DELETE.
    :class:`.TableOperator` describes the other parameters.

    :param keys: the values of ``sync_key``, each a text or number, or a list of several columns' values; JSON text of
        that, as a template leaves it, or an upstream task's output. The digest in logs does as well. Nothing given is
        no error. The UI and the stored DAG do not show them.
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
