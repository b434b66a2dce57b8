"""The mean of the weights of versions of one run or of one start (Izmailov et al. 2018; Wortsman et al. 2022): flatter,
so that a lab nobody trained on costs less, at no price when it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nucleus_app.errors import CheckpointError
from nucleus_app.kinet.checkpoint import Version


def average_versions(versions: Sequence[Version], shares: Sequence[float]) -> Version:
    """The last version with the weighted mean of all weights. Raises CheckpointError unless all have one architecture
    and the shares add up to 1.
    """
    *_, last = versions
    if len(shares) != len(versions) or not np.isclose(sum(shares), 1.0):
        raise CheckpointError(f"shares {list(shares)} for {len(versions)} versions: give one each, 1 in all")
    if any(v.config != last.config or v.state.keys() != last.state.keys() for v in versions):
        raise CheckpointError("versions of different networks have no mean: give versions of one architecture")
    state = {
        name: value
        if value.dtype.kind != "f"
        else np.sum([s * v.state[name] for s, v in zip(shares, versions, strict=True)], axis=0).astype(value.dtype)
        for name, value in last.state.items()
    }
    notes = {"mean_of_sha256": [v.sha256 for v in versions], "shares": [float(s) for s in shares]}
    provenance = replace(last.provenance, notes=last.provenance.notes | notes)
    return replace(last, state=state, provenance=provenance)


def blend(start: Version, learned: Version, kept: float) -> Version:
    """``learned`` with this share of the weights of the version it began from; what did not change stays bit for bit."""
    state = {
        name: value if value.dtype.kind != "f" else (value + kept * (start.state[name] - value)).astype(value.dtype)
        for name, value in learned.state.items()
    }
    return replace(learned, state=state)
