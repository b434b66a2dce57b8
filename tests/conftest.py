"""What many tests share. Nothing here needs the network or the team's data."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
from sqlalchemy import Engine, create_engine, text

from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.kinet.checkpoint import SHIPPED_WEIGHTS, Version, load_version, state_of
from nucleus_app.kinet.config import KiNetConfig, Provenance, Thresholds
from nucleus_app.kinet.network import KiNet
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.services.workplace import Workplace, open_workplace
from nucleus_app.settings import Settings

hypothesis.settings.register_profile("project", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("project")

TINY = KiNetConfig(
    contraction_widths=(4, 6, 8, 10, 12),
    expansion_widths=(14, 12, 10, 8),
    context_width=2,
    head_width=2,
    roi_widths=(12, 16, 14, 12, 10, 8),
    dropout=0.1,
)
"""A residual KiNet that computes in milliseconds."""


@pytest.fixture(scope="session", autouse=True)
def _threads() -> None:
    """Each process of tests, and what it starts, has its share of the cores: threads that wait for others' cores are slower than
    fewer.
    """
    shared = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    share = max(1, min(2, os.cpu_count() or 1) // shared)
    torch.set_num_threads(share)
    os.environ["NUCLEUS_THREADS"] = str(share)


@pytest.fixture(scope="session")
def shipped() -> Predictor:
    """The shipped version, as users get it."""
    return Predictor.open(load_version(SHIPPED_WEIGHTS), "cpu")


@pytest.fixture
def tiny() -> Version:
    """An untrained small version: shapes and plumbing, not accuracy."""
    torch.manual_seed(1)
    network = KiNet(TINY).eval()
    return Version(TINY, Thresholds(), Provenance(name="tiny"), "0" * 64, state_of(network))


@pytest.fixture(scope="session")
def field() -> LabelledImage:
    """One synthetic field, 400 × 400 px at 0.5 µm/px."""
    return draw_field(FieldRecipe(width_px=400, height_px=400), np.random.default_rng(5))


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A private PostgreSQL server on a Unix socket; the URL of its maintenance database."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = str(found[-1]) if found else shutil.which("initdb")
    if initdb is None:
        pytest.skip("PostgreSQL is not installed")
    home = tmp_path_factory.mktemp("pg")
    as_owner: list[str] = []
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        as_owner = ["runuser", "-u", "postgres", "--"]
        for folder in [home, *home.parents][:4]:
            folder.chmod(0o755)
        shutil.chown(home, "postgres", "postgres")

    def run(*command: str) -> None:
        subprocess.run([*as_owner, *command], check=True, capture_output=True, cwd=home)

    cluster = home / "cluster"
    run(initdb, "-D", str(cluster), "-U", "nucleus", "-A", "trust", "--no-sync")
    pg_ctl = str(Path(initdb).with_name("pg_ctl"))
    options = f"-c listen_addresses='' -c unix_socket_directories={home} -c fsync=off"
    run(pg_ctl, "-D", str(cluster), "-o", options, "-l", str(home / "log"), "-w", "start")
    yield f"postgresql+psycopg://nucleus@/postgres?host={home}"
    run(pg_ctl, "-D", str(cluster), "-m", "immediate", "stop")


_databases = iter(range(1_000_000))


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A fresh PostgreSQL database."""
    name = f"nucleus_{next(_databases)}"
    admin = create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield postgres_server.replace("/postgres?", f"/{name}?")
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Every store is tested on both databases."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.sqlite'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", demo=False)


OpenWorkplace = Callable[..., Workplace]


@pytest.fixture
def open_at() -> Iterator[OpenWorkplace]:
    """Opens workplaces and closes them after the test."""
    opened: list[Workplace] = []

    def open_(settings: Settings, **changes: object) -> Workplace:
        opened.append(open_workplace(replace(settings, **changes)))  # type: ignore[arg-type]
        return opened[-1]

    yield open_
    for workplace in opened:
        workplace.jobs.close()
        _dispose(workplace.engine)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file that was migrated once: creating every table anew for each test takes most of many tests' time."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("empty"), demo=False)
    workplace = open_workplace(settings)
    workplace.jobs.close()
    _dispose(workplace.engine)
    return settings.data_dir / "nucleus.sqlite"


@pytest.fixture
def workplace(settings: Settings, open_at: OpenWorkplace, empty_store: Path) -> Workplace:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    shutil.copy2(empty_store, settings.data_dir)
    return open_at(settings)


def _dispose(engine: Engine) -> None:
    engine.dispose()
