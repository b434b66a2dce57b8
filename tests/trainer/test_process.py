"""The trainer's real process: no way of ending it loses or doubles anything."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from db.engine import session_scope
from db.versions import find_active, list_versions
from nucleus_app.domain.learning import RunState
from nucleus_app.kinet.checkpoint import Version
from nucleus_app.services.workplace import Workplace
from nucleus_app.settings import Settings
from tests.conftest import OpenWorkplace
from tests.trainer.driver import KILLS
from tests.trainer.lessons import add_drawn_cases
from tests.trainer.posts import QUICK, ask_for_run, events_of, make_bench, run_of, write_base
from trainer.post import WAS_STOPPED

ROOT = Path(__file__).parent.parent.parent
PATIENCE_S = 120


def wait_for(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.02)


@pytest.fixture
def store(workplace: Workplace, tiny: Version) -> Workplace:
    add_drawn_cases(workplace, 4)
    write_base(workplace.settings.data_dir, tiny)
    ask_for_run(workplace)
    return workplace


def describe(workplace: Workplace, **policy: object) -> tuple[dict[str, str], list[str]]:
    """Environment and arguments of a trainer of a store."""
    data = workplace.settings.data_dir
    (data / "policy.json").write_text(json.dumps(asdict(replace(QUICK, **policy))))
    environment = {
        "NUCLEUS_DATA_DIR": str(data), "DATABASE_URL": workplace.settings.sqlalchemy_url,
        "NUCLEUS_DEVICE": "torch-cpu", "NUCLEUS_WEIGHTS": str(data / "tiny.safetensors"),
        "NUCLEUS_THREADS": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    return environment, ["watch", "--policy", str(data / "policy.json")]


class Driver:
    """See ``driver.py``."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.trainer.driver"]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def drive(self, workplace: Workplace, point: str) -> int:
        """How a trainer ends that looks once, and kills itself at that point."""
        environment, arguments = describe(workplace)
        print(json.dumps([point, environment, [*arguments, "--once"]]), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())


@pytest.fixture
def driver() -> Iterator[Driver]:
    started = Driver()
    yield started
    started.process.stdin.close()
    assert started.process.wait(timeout=PATIENCE_S) == 0
    started.process.stdout.close()


def test_a_run_killed_hard_in_every_phase_comes_to_what_it_would_have_come_to(
    store: Workplace, driver: Driver, tiny: Version, settings: Settings, open_at: OpenWorkplace, tmp_path: Path
) -> None:
    left = []
    for point in KILLS:
        assert driver.drive(store, point) == -signal.SIGKILL
        run = run_of(store)
        with session_scope(store.engine) as session:
            assert find_active(session) is None
            names = {version.name for version in list_versions(session)} - {"tiny"}
        left.append((run.state.value, run.snapshot is not None, names))
    assert left == [
        ("preparing", False, set()),
        ("training", True, set()),
        ("training", True, set()),
        ("judging", True, {"lab-1"}),
        ("judging", True, {"lab-1"}),
    ]
    assert driver.drive(store, "nowhere") == 0
    killed = run_of(store)
    assert killed.state is RunState.PROMOTED
    resumed = [e for e in events_of(store) if e["event"] == "checkpoint"]
    assert [e["step"] for e in resumed] == [2]  # of the four steps the first two were not taken again
    with session_scope(store.engine) as session:
        assert find_active(session).sha256 == killed.candidate_sha256
        assert [version.name for version in list_versions(session) if version.run_id] == ["lab-1"]

    other = open_at(settings, data_dir=tmp_path / "other")
    add_drawn_cases(other, 4)
    shutil.copy(store.settings.data_dir / "tiny.safetensors", other.settings.data_dir)
    ask_for_run(other)
    assert driver.drive(other, "nowhere") == 0
    assert run_of(other).snapshot == killed.snapshot
    one, same = (load_candidate(workplace, tiny) for workplace in (store, other))
    assert one.provenance == same.provenance
    assert all(np.array_equal(value, same.state[name]) for name, value in one.state.items())


def load_candidate(workplace: Workplace, tiny: Version) -> Version:
    return make_bench(workplace, tiny).weights.load(run_of(workplace).candidate_sha256)


@pytest.mark.parametrize("how", ["SIGTERM", "its parent is gone"])
def test_a_trainer_that_is_told_to_end_keeps_its_checkpoint_and_ends_soon(store: Workplace, how: str) -> None:
    environment, arguments = describe(store, steps=4000, crop_px=32)
    command = [sys.executable, "-m", "trainer", *arguments, "--until-stdin-closes"]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdin=subprocess.PIPE)
    wait_for(lambda: any(e["event"] == "progress" for e in events_of(store)) or process.poll() is not None)
    told = time.monotonic()
    if how == "SIGTERM":
        process.send_signal(signal.SIGTERM)
    else:
        process.stdin.close()
    assert process.wait(timeout=PATIENCE_S) == 0
    assert time.monotonic() - told < 15
    run = run_of(store)
    assert (run.state, run.error) == (RunState.TRAINING, None)
    folder = store.settings.training_dir / "run-1"
    assert not list(folder.glob("*.partial"))
    if events_of(store)[-1] == WAS_STOPPED:  # else a step took too long on a busy machine, and the process did not wait
        assert (folder / "candidate.safetensors.resume").stat().st_size > 0
