from __future__ import annotations

from dataclasses import replace

import pytest

from nucleus_app.errors import NucleusAppError
from nucleus_app.services.workplace import Workplace
from nucleus_app.settings import Settings
from tests.trainer.posts import ask_for_run, run_of
from trainer.holding import LOST_AFTER_S, Watcher
from trainer.watch import run_watch


def test_a_run_is_not_abandoned_because_nobody_could_look_at_it(workplace: Workplace) -> None:
    ask_for_run(workplace)
    now, run = [0.0], replace(run_of(workplace), holder="other")
    watcher = Watcher(lambda: now[0])
    assert not watcher.is_abandoned(run)
    now[0] = 90.0  # the database was away, for the other trainer as well
    assert not watcher.is_abandoned(run)
    while now[0] < 90 + LOST_AFTER_S:
        assert not watcher.is_abandoned(run)
        now[0] += 2
    assert watcher.is_abandoned(run)


def test_a_trainer_of_an_installation_that_does_not_learn_ends_at_once() -> None:
    with pytest.raises(NucleusAppError, match="nothing is ever learned"):
        run_watch(replace(Settings(), trainer="off"), {}, once=True, until_stdin_closes=False)
