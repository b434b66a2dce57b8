"""The processes that train together: one, or those that ``torchrun`` started. Code that uses a team is the same for both."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed as dist
from torch import nn

T = TypeVar("T")
LONGEST_WAIT = timedelta(hours=12)
"""Others wait at the next thing to share while the lead judges or waits for scoring jobs."""


class Team:
    """``rank`` of ``size``; the lead (rank 0) decides, writes and reports."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    @classmethod
    def alone(cls) -> Team:
        return cls(0, 1)

    @classmethod
    def join(cls, *, on_cpu: bool = False) -> Team:
        """The team that ``torchrun`` describes in the environment; without it, a team of one. ``on_cpu``: whatever cards
        there are.
        """
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size == 1:
            return cls.alone()
        dist.init_process_group("nccl" if torch.cuda.is_available() and not on_cpu else "gloo", timeout=LONGEST_WAIT)
        return cls(dist.get_rank(), size)

    @property
    def is_lead(self) -> bool:
        return self.rank == 0

    def share(self, value: T) -> T:
        """The lead's value, for everybody. All must call it; what the others pass is not looked at."""
        if self.size == 1:
            return value
        box: list[Any] = [value]
        dist.broadcast_object_list(box, src=0)
        shared: T = box[0]
        return shared

    def follow(self, act: Callable[[], None]) -> None:
        """The lead acts; whatever that raises is raised for everybody, so that nobody waits for one who is gone."""
        if self.size == 1:
            act()
            return
        raised: BaseException | None = None
        if self.is_lead:
            try:
                act()
            except BaseException as error:
                raised = error
        raised = self.share(raised)
        if raised is not None:
            raise raised

    def all_agree(self, is_so: bool) -> bool:
        """Whether it is so for everybody. All must call it."""
        if self.size == 1:
            return is_so
        flag = torch.tensor(float(is_so), device="cuda" if dist.get_backend() == "nccl" else "cpu")
        dist.all_reduce(flag, dist.ReduceOp.MIN)
        return bool(flag.item())

    def average_gradients(self, network: nn.Module) -> None:
        """Replace every gradient by the mean over the team, so that all take the same step."""
        if self.size == 1:
            return
        for parameter in network.parameters():
            if parameter.requires_grad and parameter.grad is not None:
                dist.all_reduce(parameter.grad)
                parameter.grad /= self.size

    def average_statistics(self, network: nn.Module) -> None:
        """Replace running statistics by their mean over the team: each member saw other crops."""
        if self.size == 1:
            return
        for name, value in network.named_buffers():
            if "running_" in name:
                dist.all_reduce(value)
                value /= self.size

    def leave(self) -> None:
        if self.size > 1:
            dist.destroy_process_group()
