"""The hooks, one a vendor, and which connection type has which."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_contacts.task.contacts_hook import ContactsHook

__all__ = ["HOOKS", "ApptotoHook", "ContactsHook", "DexHook", "IntermezzoHook", "NedzoHook", "TalkdeskHook"]


class ApptotoHook(ContactsHook):
    """Reach Apptoto, appointment reminders: contacts of an address book."""

    default_conn_name = "apptoto_default"
    conn_type = "apptoto"
    hook_name = "Apptoto"


class DexHook(ContactsHook):
    """Reach Dex, a personal CRM: contacts."""

    default_conn_name = "dex_default"
    conn_type = "dex"
    hook_name = "Dex"


class IntermezzoHook(ContactsHook):
    """Reach Intermezzo, payroll: contacts of an organization."""

    default_conn_name = "intermezzo_default"
    conn_type = "intermezzo"
    hook_name = "Intermezzo"


class NedzoHook(ContactsHook):
    """Reach Nedzo, voice calls: contacts, of a list where one is named."""

    default_conn_name = "nedzo_default"
    conn_type = "nedzo"
    hook_name = "Nedzo"


class TalkdeskHook(ContactsHook):
    """Reach Talkdesk, a contact center: records of a record list of the dialer."""

    default_conn_name = "talkdesk_default"
    conn_type = "talkdesk"
    hook_name = "Talkdesk"


HOOKS: Mapping[str, type[ContactsHook]] = {
    hook.conn_type: hook for hook in (ApptotoHook, DexHook, IntermezzoHook, NedzoHook, TalkdeskHook)
}
"""The hook of each connection type. A subclass in a user's code does not take its place."""
