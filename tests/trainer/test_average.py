from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nucleus_app.errors import CheckpointError
from nucleus_app.kinet.checkpoint import Version
from nucleus_app.kinet.config import SMALL
from nucleus_app.kinet.network import restore_network
from trainer.learning.average import average_versions


def moved_by(version: Version, amount: float) -> Version:
    state = {name: v + amount if v.dtype.kind == "f" else v for name, v in version.state.items()}
    return replace(version, state=state, sha256=f"moved by {amount}")


def test_the_mean_lies_between_the_weights_by_their_shares(tiny: Version) -> None:
    mean = average_versions([tiny, moved_by(tiny, 1.0)], [0.25, 0.75])
    for name, value in tiny.state.items():
        assert mean.state[name].dtype == value.dtype
        np.testing.assert_allclose(mean.state[name], value + 0.75 if value.dtype.kind == "f" else value, atol=1e-6)
    restore_network(mean)


def test_the_mean_tells_what_it_was_made_of(tiny: Version) -> None:
    notes = average_versions([tiny, moved_by(tiny, 1.0)], [0.5, 0.5]).provenance.notes
    assert notes["mean_of_sha256"] == [tiny.sha256, "moved by 1.0"]
    assert notes["shares"] == [0.5, 0.5]


def test_shares_that_do_not_add_up_and_other_networks_are_refused(tiny: Version) -> None:
    with pytest.raises(CheckpointError, match="1 in all"):
        average_versions([tiny, tiny], [0.5, 0.6])
    with pytest.raises(CheckpointError, match="one architecture"):
        average_versions([replace(tiny, config=SMALL), tiny], [0.5, 0.5])
