"""How much a lesson trains, and how much of the start it keeps."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from nucleus_app.errors import NucleusAppError
from trainer.learning.tune_policy import TunePolicy, parse_policy, policy_for


def test_the_more_fields_the_longer_it_trains_and_the_less_of_the_start_is_kept() -> None:
    policies = [policy_for(n, n, {}) for n in (1, 2, 4, 8, 100)]
    assert [policy.steps for policy in policies] == [120, 120, 160, 320, 400]
    assert [policy.kept_share for policy in policies] == [0.675, 0.6, 0.45, 0.15, 0.15]
    assert policies[2] == TunePolicy()


def test_many_fields_of_one_patient_are_learned_with_care() -> None:
    assert (policy_for(8, 1, {}).steps, policy_for(8, 1, {}).kept_share) == (320, 0.675)


def test_what_somebody_set_stays_so() -> None:
    policy = policy_for(8, 8, {"steps": 20, "replay": ["folder"]})
    assert (policy.steps, policy.replay, policy.kept_share) == (20, ("folder",), 0.15)
    assert parse_policy(asdict(policy)) == policy
    with pytest.raises(NucleusAppError, match="stepps"):
        policy_for(8, 8, {"stepps": 20})
