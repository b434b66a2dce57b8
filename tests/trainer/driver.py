"""The real command, ``python -m trainer watch --once``, in a process that kills itself hard at a chosen point.

``python -m tests.trainer.driver POINT ARGUMENTS…``. Every verdict is a promotion, there is no regression set, and a
checkpoint is written after every step: nothing else differs from the product.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from typing import Any
from unittest import mock

import trainer.finetune
import trainer.loop
import trainer.run
import trainer.watch
from tests.trainer.posts import PROMOTION
from trainer.__main__ import main

KILLS = {
    "preparing": "trainer.run.freeze",
    "training": "trainer.loop.Run.train_step",
    "between the candidate's file and its row": "trainer.run.add_version",
    "judging": "trainer.run.judge_candidate",
    "before the activation": "trainer.run.activate",
}
"""Where each point is in the product."""


def kill_at_call(real: Any, number: int) -> Any:
    calls = iter(range(1, 1_000_000))

    def called(*arguments: Any, **named: Any) -> Any:
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **named)

    return called


def drive(point: str, arguments: list[str]) -> int:
    with (
        mock.patch("trainer.run.judge_candidate", lambda *_: PROMOTION),
        mock.patch("trainer.watch.Bench", partial(trainer.run.Bench, recipes=())),
        mock.patch("trainer.finetune.CHECKPOINT_EVERY_S", -1.0),
    ):
        if point not in KILLS:
            return main(arguments)
        module, _, name = KILLS[point].rpartition(".")
        owner = trainer.loop.Run if module.endswith("Run") else sys.modules[module]
        # The base is kept by the first call of add_version, which is the row of no candidate.
        number = {"training": 3, "between the candidate's file and its row": 1}.get(point, 1)
        with mock.patch.object(owner, name, _wrap(getattr(owner, name), number)):
            return main(arguments)


def _wrap(real: Any, number: int) -> Any:
    called = kill_at_call(real, number)

    def method(*arguments: Any, **named: Any) -> Any:
        return called(*arguments, **named)

    return method


if __name__ == "__main__":
    sys.exit(drive(sys.argv[1], sys.argv[2:]))
