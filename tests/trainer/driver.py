"""Trainers that kill themselves hard at a chosen point, each a process of its own that runs the real command.

``python -m tests.trainer.driver`` reads lines of JSON, [point, environment, arguments of ``python -m trainer``], and answers
each with how that process ended. Importing torch takes longer than all else, so it is done once, before each is forked.
Every verdict is a promotion, there is no regression set, and a checkpoint is written after every step: nothing else differs
from the product.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from functools import partial
from typing import Any
from unittest import mock

import trainer.learning.finetune
import trainer.learning.loop
import trainer.run
import trainer.watch
from tests.trainer.posts import PROMOTION
from trainer.__main__ import main

KILLS: dict[str, tuple[Any, str, int]] = {
    "preparing": (trainer.run, "freeze", 1),
    "training": (trainer.learning.loop.Run, "train_step", 3),
    "between the candidate's file and its row": (trainer.run, "add_version", 1),
    "judging": (trainer.run, "judge_candidate", 1),
    "before the activation": (trainer.run, "activate", 1),
}
"""Where each point is in the product, and at which call."""


def drive(point: str, arguments: list[str]) -> int:
    def judge(*_: object) -> object:
        return PROMOTION

    with (
        mock.patch("trainer.run.judge_candidate", judge),
        mock.patch("trainer.watch.Bench", partial(trainer.run.Bench, recipes=())),
        mock.patch("trainer.learning.finetune.CHECKPOINT_EVERY_S", -1.0),
    ):
        if point not in KILLS:
            return main(arguments)
        owner, name, number = KILLS[point]
        with mock.patch.object(owner, name, die_at_call(getattr(owner, name), number)):
            return main(arguments)


def die_at_call(real: Any, number: int) -> Any:
    calls = iter(range(1, 1_000_000))

    def called(*arguments: Any, **named: Any) -> Any:
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **named)

    return called


def serve() -> None:
    for line in sys.stdin:
        point, environment, arguments = json.loads(line)
        child = os.fork()
        if child == 0:
            os.environ.update(environment)
            os._exit(drive(point, arguments))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
