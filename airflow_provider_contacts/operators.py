"""The operators: they push, send undelivered records again, and settle records in doubt."""

from __future__ import annotations

from airflow_provider_contacts.task.base_operator import ContactsOperator
from airflow_provider_contacts.task.push_operators import PushContactsOperator, SqlToContactsOperator
from airflow_provider_contacts.task.replay_operator import ReplayContactsOperator
from airflow_provider_contacts.task.settle_operator import SettleContactsOperator

__all__ = [
    "ContactsOperator",
    "PushContactsOperator",
    "ReplayContactsOperator",
    "SettleContactsOperator",
    "SqlToContactsOperator",
]
