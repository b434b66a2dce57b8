"""The process: ``python -m trainer watch``. Looks for work, holds it, and lets go of it when it is told to."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import torch

from db.blobs import BlobStore
from db.engine import create_store
from db.migrate import migrate
from nucleus_app.caches import remove_unused
from nucleus_app.errors import NucleusAppError
from nucleus_app.kinet.backends import has_card
from nucleus_app.settings import Settings
from trainer.holding import take_slot
from trainer.learning.team import Team
from trainer.post import Post, follow
from trainer.run import Bench

logger = logging.getLogger(__name__)
GRACE_S = 8.0
"""A process that was told to end does so within this: what is not finished is done again."""
NICENESS = 10
CPU = ("cpu", "torch-cpu")


def run_watch(settings: Settings, policy: Mapping[str, Any], *, once: bool, until_stdin_closes: bool) -> None:
    """Watch over the store of the settings until stopped, or until whoever started it goes away and its pipe closes.

    Raises NucleusAppError where the installation is set not to learn.
    """
    if settings.trainer == "off":
        raise NucleusAppError(
            "NUCLEUS_TRAINER is 'off': nothing is ever learned. Use 'external' for a trainer of its own."
        )
    stop = threading.Event()
    _listen(stop, until_stdin_closes=until_stdin_closes)
    team = Team.join(on_cpu=settings.device in CPU)
    lock = take_slot(settings, stop) if team.is_lead else None
    if team.is_lead and lock is None:
        return
    device = choose_device(settings.device, team)
    if device == "cpu":
        os.nice(NICENESS)  # scoring comes first
    if settings.threads:
        torch.set_num_threads(settings.threads)
    engine = create_store(settings.sqlalchemy_url)
    if team.is_lead:
        migrate(engine)
        remove_unused(settings.answers_dir)
    bench = Bench(settings, engine, BlobStore(settings.blob_store_url), policy, device, team)
    logger.info("trainer %s watches, on %s, process %d of %d", bench.holder, device, team.rank + 1, team.size)
    if team.is_lead:
        Post(bench, stop).watch(once=once)
    else:
        follow(bench)
    team.leave()


def choose_device(asked: str, team: Team) -> str:
    """Where one trains, by torch's name: as asked, else CUDA, Apple's GPU, or the CPU; of several cards each process has its
    own.
    """
    if asked in CPU:
        return "cpu"
    if asked == "mps":
        return "mps"
    if not asked and not has_card():
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if team.size == 1:
        return "cuda"
    card = int(os.environ.get("LOCAL_RANK", team.rank))
    torch.cuda.set_device(card)
    return f"cuda:{card}"


def _listen(stop: threading.Event, *, until_stdin_closes: bool) -> None:
    """Have SIGTERM, SIGINT and, when asked for, the end of the standard input stop the process softly, and soon."""

    def end(*_: object) -> None:
        if not stop.is_set():
            stop.set()
            threading.Thread(target=_end_hard, daemon=True).start()

    def wait_for_parent() -> None:
        while os.read(sys.stdin.fileno(), 4096):  # not by its buffer, which a daemon thread would hold for ever
            pass
        end()

    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(ValueError):  # not in the main thread
            signal.signal(number, end)
    if until_stdin_closes:
        threading.Thread(target=wait_for_parent, daemon=True).start()


def _end_hard() -> None:
    time.sleep(GRACE_S)
    os._exit(0)
