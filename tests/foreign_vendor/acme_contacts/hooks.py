"""The hook of the connection type ``acme``."""

from __future__ import annotations

from airflow_provider_contacts.hooks import ContactsHook


class AcmeHook(ContactsHook):
    """Acme: an address book."""

    default_conn_name = "acme_default"
    conn_type = "acme"
    hook_name = "Acme"
