"""Makes an API server's metadata database: two DAGs, each of a team of its own, and people with different rights.

As a program it does so in the Airflow of its environment, whose auth manager its argument names. The simple one knows
roles and teams: whoever has no share in a DAG's team cannot see it. FAB knows each DAG by itself.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.support.page_rows import A, B, summary

Manager = Literal["simple", "fab"]
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
EVERYBODYS = ("DAG Runs", "Task Instances", "Task Logs", "XComs")
REPLAY = "replay_contacts"  # a DAG that everybody may read, with the tags by which pages find it


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a login.

    :param reads: DAGs that this person may read.
    :param edits: DAGs whose task instances this person may edit.
    :param xcoms: whether this person may read XCom entries, which FAB alone tells apart.
    """

    name: str
    reads: frozenset[str] = frozenset()
    edits: frozenset[str] = frozenset()
    xcoms: bool = True
    managers: tuple[Manager, ...] = field(default=("simple", "fab"))
    role: str = ""  # one that FAB brings

    @property
    def sees(self) -> frozenset[str]:
        """DAGs whose outcomes are shown."""
        return self.reads if self.xcoms else frozenset()

    @property
    def password(self) -> str:
        return f"word of {self.name}"

    @property
    def user(self) -> str:
        """The person as the simple auth manager's configuration has it; FAB's reader of all is its viewer."""
        teams = "|".join(sorted(self.reads)) or NOBODYS
        if self.name == "admin":
            return "admin:admin"
        return f"{self.name}:{'user' if self.edits else 'viewer'}:{teams}"


NOBODYS = "nobodys"  # a team without DAGs
JUST_A, BOTH = frozenset({A.dag_id}), frozenset({A.dag_id, B.dag_id})
PEOPLE = (
    Person("stranger"),
    Person("viewer_of_a", JUST_A),
    Person("editor_of_a", JUST_A, JUST_A),
    Person("viewer", BOTH, role="Viewer"),
    Person("editor", BOTH, BOTH, role="User"),
    Person("admin", BOTH, BOTH, role="Admin"),
    Person("reader_of_both_who_edits_a", BOTH, JUST_A, managers=("fab",)),
    Person("viewer_of_a_without_xcoms", JUST_A, xcoms=False, managers=("fab",)),
)


def people(manager: Manager) -> list[Person]:
    return [one for one in PEOPLE if manager in one.managers]


def add_dags() -> None:
    """Add the two DAGs, in a bundle and team of their own, and one of no team that replays."""
    from airflow.models.dag import DagModel, DagTag
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.team import Team
    from airflow.utils.session import create_session

    dag_model: Any = DagModel
    with create_session() as session:
        session.add(Team(name=NOBODYS))
        for dag_id in (A.dag_id, B.dag_id, REPLAY):
            bundle = DagBundleModel(name=f"bundle of {dag_id}")
            if dag_id != REPLAY:
                bundle.teams.append(Team(name=dag_id))
            session.add(bundle)
            session.flush()
            # Its fileloc is no file: nobody parses it here.
            place = {"bundle_name": bundle.name, "fileloc": dag_id, "relative_fileloc": dag_id}
            session.add(dag_model(dag_id=dag_id, is_stale=False, **place))
            session.flush()
        session.add_all(DagTag(name=name, dag_id=REPLAY) for name in ("contacts", "replay"))


def add_summaries() -> None:
    """Leave in XCom of both DAGs what a push without a table leaves."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.sdk import DAG, BaseOperator
    from airflow.utils.session import create_session

    dag_run: Any = DagRun
    task_instance: Any = TaskInstance
    for side in (A, B):
        task = BaseOperator(task_id=f"{side.marker}.untold", dag=DAG(side.dag_id, schedule=None))
        with create_session() as session:
            session.add(dag_run(dag_id=side.dag_id, run_id=side.run_id, run_type="manual", state="success"))
            session.flush()
            session.add(task_instance(task, dag_version_id=None, run_id=side.run_id))
            session.flush()
            XComModel.set(
                "return_value",
                summary(side),
                dag_id=side.dag_id,
                task_id=task.task_id,
                run_id=side.run_id,
                serialize=False,
                session=session,
            )


def add_people_to_fab() -> None:
    """Add a role for each person whom no role of FAB's own fits, and the people."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        manager: Any = builder.sm
        manager.sync_roles()
        for person in people("fab"):
            role = manager.find_role(person.role) if person.role else role_of(manager, person)
            manager.add_user(person.name, person.name, "", f"{person.name}@example.com", role, person.password)


def role_of(manager: Any, person: Person) -> Any:
    role = manager.add_role(f"role of {person.name}")
    common = [one for one in EVERYBODYS if person.xcoms or one != "XComs"]
    wanted = {("can_read", one) for one in (*common, *(f"DAG:{dag_id}" for dag_id in (*person.reads, REPLAY)))}
    if person.edits:
        wanted |= {("can_edit", one) for one in ("DAG Runs", "Task Instances")}
        wanted |= {("can_edit", f"DAG:{dag_id}") for dag_id in person.edits}
    for action, resource in sorted(wanted if person.reads else ()):
        manager.add_permission_to_role(role, manager.create_permission(action, resource))
    return role


def main() -> None:
    """Make the database."""
    from airflow.utils.db import upgradedb

    upgradedb()
    add_dags()
    add_summaries()
    if sys.argv[1:] == ["fab"]:
        add_people_to_fab()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    main()
