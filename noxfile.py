"""The sessions of this project: ``nox --list``. ``make`` starts them too, and makes ``.venv``, which has nox, first.

Sessions without an environment of their own run in ``.venv``. Nothing is reinstalled where nothing has changed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nox

nox.options.reuse_venv = "yes"
nox.options.sessions = ["check", "tests"]

CHECKED = (
    "airflow_provider_contacts",
    "example_dags",
    "tests",
    "demo",
    "bench",
    "campaigns",
    "docs/conf.py",
    "noxfile.py",
)
PARTS = ("tests/unit", "tests/integration")
MUTMUT = "mutmut==3.8.1"
BROWSER = ("playwright==1.65.2", "axe-playwright-python==0.1.8", "pytest")
S3 = ("apache-airflow-providers-amazon==9.39.0", "s3fs==2026.9.0", "moto[server]==5.2.5", "duckdb==2.0.1")
PYTHONS = ("3.12", "3.13", "3.14")
CONNECTOR = "mysql-connector-python==26.10.0"
MARIADB = (".ci/lasting", "looking for MariaDB", ".ci/mariadb")
# The tests must meet the installed wheel: neither pytest nor a process that a test starts may find the checkout.
INSTALLED: dict[str, str | None] = {"PYTHONPATH": None, "PYTHONSAFEPATH": "1", "CONTACTS_TEST_INSTALLED": "1"}
# The Airflow of each session, with the libraries of its time; 3.2.1 and 3.3.1 are what managed services run.
CONSTRAINTS = {"3.2": "constraints-3.2.txt", "3.3": "constraints-3.3.txt", "3.4": "constraints.txt"}
RELEASES = {"3.2": "3.2.1", "3.3": "3.3.1"}
# 3.4.0 is not on every index yet: CONTRIBUTING.md says how to move on. A pre-release is taken only where one is named.
NEWEST = "apache-airflow>=3.4.0b2\napache-airflow-core>=3.4.0b2\napache-airflow-task-sdk>=1.4.0b2\n"
# What the oldest Airflow does not run with, and does not exclude: from here on its API server cannot be built.
TOO_NEW = "fastapi<0.137\n"
# Airflow's own constraints of a version; or a copy of them, where this address cannot be reached.
OWN = os.environ.get(
    "AIRFLOW_CONSTRAINTS",
    "https://raw.githubusercontent.com/apache/airflow/constraints-{}/constraints-3.11.txt",
)
# Integration tests that meet no Airflow and take minutes, or need what builds a distribution.
WITHOUT_AIRFLOW = ("bench", "campaigns", "concurrent_processes", "database_away", "foreign_vendor", "shared_budget")
# What `lower` leaves out: tests that take minutes beside those that prove a bound, and tests that import no library.
ONCE_INTEGRATION = (
    "bench", "campaigns", "concurrent_processes", "database_away", "demo", "example_dags_at_work", "foreign_vendor",
    "page*", "reconcile", "replay", "selection", "settle", "task_ends",
)  # fmt: skip
ONCE_UNIT = ("adaptive", "engine*", "matching", "reconcile*", "simulator_*")

# Where MySQL can take the place of MariaDB, and the part of them that neither is needed for.
WITH_MYSQL = (
    "changed_marks", "concurrent_processes", "database_away", "ledger_mariadb", "opening_again", "renamed", "selection",
    "shared_budget", "source_databases", "sync_id_bound_meanwhile", "tables_that_forget",
)  # fmt: skip
WITHOUT_MYSQL = "postgres or psycopg or sqlite"


def uv(session: nox.Session, what: str, *arguments: str) -> None:
    """Run ``uv pip`` with the index that pip is configured for; uv does not read pip's configuration."""
    pip = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    told = subprocess.run(pip, check=False, capture_output=True, text=True).stdout.strip()  # noqa: S603  # its own pip
    index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL") or told
    command = (".ci/lasting", what, f"{sys.prefix}/bin/uv", "pip", *arguments)
    session.run_install(*command, env={"UV_DEFAULT_INDEX": index} if index else {}, external=True)


def install(session: nox.Session, venv: str, *arguments: str, constraints: str = "constraints.txt") -> None:
    """Install into an environment; what is there already stays untouched."""
    options = ("--quiet", "--compile-bytecode", "--constraint", constraints, "--build-constraint", "constraints.txt")
    uv(session, f"installing into {Path(venv).name}", "install", "--python", venv, *options, *arguments)


def pytest(session: nox.Session, *arguments: str, venv: str = sys.prefix) -> None:
    """Run the tests that the arguments name, else all, against the installed wheel."""
    paths = () if any(argument.startswith("tests/") for argument in (*arguments, *session.posargs)) else PARTS
    if session.posargs != [PARTS[0]]:
        session.run(*MARIADB, external=True)
    # 5: no test is left. A selection may leave none in one of the parts.
    codes = (0, 5) if set(session.posargs) - set(PARTS) else (0,)
    command = (f"{venv}/bin/python", "-m", "pytest", *paths, *arguments, *session.posargs)
    session.run(*command, env=INSTALLED, success_codes=codes, external=True)


@nox.session(venv_backend="none")
def setup(session: nox.Session) -> None:
    """Complete .venv: the wheel of this checkout, and what tests and checks need."""
    install(session, sys.prefix, "--group", "dev", "--requirement", ".ci/wheel.txt")


@nox.session(venv_backend="none")
def check(session: nox.Session) -> None:
    """Check formats, lints, spelling, imports and types."""
    session.run(sys.executable, "-m", "ruff", "format", "--check", ".", external=True)
    session.run(sys.executable, "-m", "ruff", "check", ".", external=True)
    session.run(f"{sys.prefix}/bin/codespell", external=True)
    session.run(f"{sys.prefix}/bin/lint-imports", "--no-logo", external=True)
    session.run(sys.executable, "-m", "mypy", *CHECKED, external=True)


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Unit and integration tests; `-- -k ledger` for some of them; HALF=0 and HALF=1 part the integration tests."""
    half = os.environ.get("HALF")
    pytest(session, *(sorted(map(str, Path(PARTS[1]).glob("test_*.py")))[int(half) :: 2] if half else ()))


@nox.session(venv_backend="uv")
def lower(session: nox.Session) -> None:
    """Run what proves the lowest versions that pyproject.toml admits, with those versions."""
    venv = session.virtualenv.location
    install(session, venv, "--group", "test", "--requirement", ".ci/wheel.txt", constraints="constraints-lower.txt")
    ignored = [f"--ignore-glob=tests/integration/test_{name}.py" for name in ONCE_INTEGRATION]
    ignored += [f"--ignore-glob=tests/unit/test_{name}.py" for name in ONCE_UNIT]
    # docs/decisions/0020-nox.md says why, and what each bound is proven by.
    pytest(session, *ignored, "--first-cases", venv=venv)


def airflow(version: str) -> Callable[[nox.Session], None]:
    """Return the session of one Airflow, with the libraries of its time."""

    def run(session: nox.Session) -> None:
        venv, packages = session.virtualenv.location, ("--group", "test", "--requirement", ".ci/wheel.txt")
        install(session, venv, *packages, constraints=CONSTRAINTS[version])
        session.posargs[:] = session.posargs or [PARTS[1]]
        pytest(session, *(f"--ignore=tests/integration/test_{name}.py" for name in WITHOUT_AIRFLOW), venv=venv)
        session.run(f"{venv}/bin/python", "tests/quickstart.py", env=INSTALLED, external=True)

    run.__doc__ = f"Run what meets Airflow of the integration tests, and the README's first push, on Airflow {version}."
    return run


for one in CONSTRAINTS:
    nox.session(name=f"airflow-{one}", venv_backend="uv")(airflow(one))


@nox.session(venv_backend="uv", python=PYTHONS)
def pythons(session: nox.Session) -> None:
    """Run the tests with another Python that is on PATH: `--session pythons-3.14`."""
    venv = session.virtualenv.location
    install(session, venv, "--group", "dev", "--requirement", ".ci/wheel.txt")
    pytest(session, venv=venv)


@nox.session(venv_backend="uv")
def mysql(session: nox.Session) -> None:
    """Run MariaDB's tests against MySQL, which Debian's newest packages bring; CONTACTS_MYSQL: a folder with one."""
    venv = session.virtualenv.location
    folder = os.environ.get("CONTACTS_MYSQL") or str(session.cache_dir / "mysql")
    session.run_install(".ci/lasting", "looking for MySQL", ".ci/newer", folder, "mysql-server-core", external=True)
    install(session, venv, "--group", "test", "--requirement", ".ci/wheel.txt", CONNECTOR)
    drivers = os.environ.get("CONTACTS_MYSQL_DRIVERS", "pymysql,mysqlconnector")
    env = {**INSTALLED, "CONTACTS_MYSQL": folder, "CONTACTS_MYSQL_DRIVERS": drivers}
    files = [f"tests/integration/test_{name}.py" for name in WITH_MYSQL]
    command = (f"{venv}/bin/python", "-m", "pytest", *files, "-k", f"not ({WITHOUT_MYSQL})", *session.posargs)
    session.run(*command, env=env, external=True)


@nox.session(venv_backend="uv")
def distributed(session: nox.Session) -> None:
    """Airflow on two Celery workers, one of which is killed in the middle."""
    # On Airflow 3.3: the scheduler of 3.4.0b2 ends by itself where a worker is killed whose task has retries left.
    venv, groups = session.virtualenv.location, ("--group", "test", "--group", "distributed")
    install(session, venv, *groups, "--requirement", ".ci/wheel.txt", constraints=CONSTRAINTS["3.3"])
    session.run(f"{venv}/bin/python", "-m", "tests.distributed.run", external=True)


@nox.session(venv_backend="uv")
def browser(session: nox.Session) -> None:
    """Drive the page in Airflow by the distribution's Chromium; SCREENSHOTS=1 takes those of docs/images anew."""
    venv = session.virtualenv.location
    install(session, venv, *BROWSER)
    # Airflow is served out of .venv, or of another environment; the browser's has no Airflow.
    env = {"CONTACTS_UI_PYTHON": os.environ.get("CONTACTS_UI_PYTHON", sys.executable), "PYTHONPATH": str(Path.cwd())}
    command = (f"{venv}/bin/python", "-m", "pytest", "--confcutdir=tests/browser", "tests/browser", *session.posargs)
    session.run(*command, env=env, external=True)


@nox.session(venv_backend="uv")
def docs(session: nox.Session) -> None:
    """Make the site in build/site, where a warning is an error; then run what its pages show: `-- -k vendors`."""
    venv = session.virtualenv.location
    install(session, venv, "--group", "test", "--group", "docs", "--requirement", ".ci/wheel.txt")
    env = {
        **INSTALLED,
        "AIRFLOW_HOME": str(session.cache_dir.resolve() / "docs"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    }
    strict = ("--nitpicky", "--fresh-env", "--fail-on-warning", "--keep-going", "--quiet")
    made = ("-m", "sphinx", *strict, "--conf-dir", "docs", ".", "build/site")
    session.run(f"{venv}/bin/python", *made, env=env, external=True)
    session.run(*MARIADB, external=True)
    session.run(f"{venv}/bin/python", "-m", "pytest", "tests/documents", *session.posargs, env=INSTALLED, external=True)


@nox.session(venv_backend="uv")
def dist(session: nox.Session) -> None:
    """Build wheel and sdist in build/dist, check them, and use each in an empty environment of its own."""
    venv, folder = session.virtualenv.location, Path("build/dist").resolve()
    install(session, venv, "--group", "dist")
    session.run("rm", "-rf", str(folder), external=True)
    session.run(f"{venv}/bin/python", "-m", "hatchling", "build", "--directory", str(folder), external=True)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    session.run(f"{venv}/bin/twine", "check", "--strict", str(wheel), str(sdist), external=True)
    session.run(f"{venv}/bin/check-wheel-contents", str(wheel), external=True)
    session.run("tar", "--extract", "--file", str(sdist), "--directory", str(folder), external=True)
    with session.chdir(folder / sdist.name.removesuffix(".tar.gz")):
        again = ("build", "--target", "wheel", "--directory", str(folder / "rebuilt"))
        session.run(f"{venv}/bin/python", "-m", "hatchling", *again, external=True)
    for name, built in (("wheel", wheel), ("sdist", sdist)):
        empty = str(folder / f"venv-{name}")
        session.run(f"{sys.prefix}/bin/uv", "venv", "--quiet", "--python", sys.executable, empty, external=True)
        install(session, empty, str(built))
    command = ("-m", "pytest", "--confcutdir=tests/distributions", "tests/distributions", *session.posargs)
    env: dict[str, str | None] = {"CONTACTS_DISTRIBUTIONS": str(folder), "TMPDIR": None}  # none inside of the checkout
    session.run(f"{venv}/bin/python", *command, env=env, external=True)


@nox.session(venv_backend="uv")
def s3(session: nox.Session) -> None:
    """Export to a simulated S3, by HTTP and Airflow's own hook, and ask DuckDB what the documents ask."""
    venv = session.virtualenv.location
    install(session, venv, "--group", "test", "--requirement", ".ci/wheel.txt", *S3)
    command = (f"{venv}/bin/python", "-m", "pytest", "tests/s3", *session.posargs)
    session.run(*command, env=INSTALLED, external=True)


@nox.session(venv_backend="uv")
def bench(session: nox.Session) -> None:
    """How fast, and in how much memory, beside other tools: 20 minutes; SMALL=1: three minutes, printed only."""
    venv = session.virtualenv.location
    # Without what they ask for: the file names all of it but Airflow, which is found in the environment that asks.
    peers = "bench/peers-requirements.txt"
    install(session, venv, "--no-deps", "--requirement", peers, constraints=peers)
    size = "--small" if os.environ.get("SMALL") else "--write"
    session.run(
        sys.executable, "-m", "bench.run", "--peers", f"{venv}/bin/python", size, *session.posargs, external=True
    )


@nox.session(venv_backend="uv")
def campaign(session: nox.Session) -> None:
    """Random pushes, kills, lost answers, lies: 15 minutes; SMALL=1: three, printed only; SEED, ON_UNKNOWN."""
    venv, small, seed = session.virtualenv.location, os.environ.get("SMALL"), os.environ.get("SEED", "1")
    peers = "campaigns/peers-requirements.txt"
    install(session, venv, "--requirement", peers, constraints=peers)
    session.run(*MARIADB, external=True)
    properties = ("-m", "pytest", "-q", f"--hypothesis-seed={seed}", "tests/unit/test_engine_properties.py")
    session.run(sys.executable, *properties, env={"CONTACTS_EXAMPLES": "300" if small else "6000"}, external=True)
    size = "--kills 20 --records 300 --share 0.1" if small else "--write campaigns/RESULTS.md"
    ways = os.environ.get("ON_UNKNOWN", "hold reconcile").split()
    asked = ("--seed", seed, "--on-unknown", *ways, "--peers", f"{venv}/bin/python", *size.split())
    session.run(sys.executable, "-m", "campaigns", *asked, external=True)


@nox.session(venv_backend="uv")
def mutants(session: nox.Session) -> None:
    """Mutation testing: about two hours; `-- "airflow_provider_contacts.engine.policy.*"` for a part."""
    venv = session.virtualenv.location
    install(session, venv, MUTMUT)
    # The tool is no dependency of anything here: a place of its own, which sees what the tests need.
    version = f"python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    Path(venv, "lib", version, "project.pth").write_text(f"{sys.prefix}/lib/{version}\n", encoding="utf-8")
    session.run("rm", "-rf", "mutants", external=True)
    command = ("nice", f"{venv}/bin/python", "-m", "mutmut", "run", "--max-children", "2", *session.posargs)
    session.run(*command, env={"CONTACTS_EXAMPLES": "30"}, external=True)
    session.run(".ci/mutants", external=True)


@nox.session(venv_backend="none")
def constraints(session: nox.Session) -> None:
    """Resolve anew: the newest, the lowest, and two Airflows with the libraries of their time."""
    # For every Python and platform at once. The lowest are lowest where pyproject.toml names them, newest elsewhere.
    compiled = ("compile", "--quiet", "--upgrade", "--universal", "--python-version", "3.11", "--no-annotate",
                "--custom-compile-command", "make constraints", "--all-extras", "pyproject.toml")  # fmt: skip
    folder = Path(session.create_tmp())

    def written(name: str, text: str) -> str:
        (folder / name).write_text(text, encoding="utf-8")
        return str(folder / name)

    groups = ("--group", "dev", "--group", "docs", "--group", "dist", "--constraint", written("newest.txt", NEWEST))
    uv(session, "the newest", *compiled, *groups, "--output-file", "constraints.txt")
    lowest, too_new = str(folder / "lowest.txt"), written("too_new.txt", TOO_NEW)
    uv(session, "the lowest", *compiled, "--resolution", "lowest-direct", "--no-deps", "--output-file", lowest)
    group = ("--group", "test", "--constraint", lowest, "--constraint", too_new)
    uv(session, "the lowest", *compiled, *group, "--output-file", "constraints-lower.txt")
    for version, release in RELEASES.items():
        pin = written("release.txt", f"apache-airflow=={release}\n")
        airflows = ("--group", "test", "--group", "distributed", "--constraint", pin)
        chosen = (*airflows, "--constraint", OWN.format(release), "--output-file", CONSTRAINTS[version])
        uv(session, f"those of Airflow {release}", *compiled, *chosen)
