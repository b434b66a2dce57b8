"""Which fields a reader should look at next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from db.cases import StoredCase, list_case_records, list_sign_offs
from db.engine import session_scope
from db.scorings import StoredScoring, get_nuclei
from nucleus_app.domain.doubt import Swing, find_doubtful, find_swing
from nucleus_app.domain.next_field import ScoredField, describe_candidates, rank_fields
from nucleus_app.domain.packing import unpack_nuclei
from nucleus_app.domain.qupath import IMPORT_NAME
from nucleus_app.domain.review import Review
from nucleus_app.domain.rules import list_deciding_cutoffs
from nucleus_app.services.memory import Memory
from nucleus_app.services.scored_images import ScoredImage, list_scored_images
from nucleus_app.services.workplace import Workplace

KEPT_FACTS = 2000


@dataclass(frozen=True, slots=True)
class _Facts:
    """What follows from a done scoring, before any correction; it never changes."""

    tumour: int
    swing: Swing
    features: Mapping[str, float]


class WorkList:
    """Ranks the fields that nobody has reviewed. Remembers what follows from a scoring."""

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace
        self._facts: Memory[_Facts] = Memory(KEPT_FACTS)

    def read(self) -> dict[str, Any]:
        """The work list as JSON types (decision 0010). Images drawn by the app are not on it: they teach nothing."""
        listed = [shown for shown in list_scored_images(self._workplace) if not shown.image.is_synthetic]
        scored = [shown for shown in listed if shown.scoring and shown.scoring.counts and not shown.is_refused]
        with session_scope(self._workplace.engine) as session:
            case_ids = sorted({shown.image.case_id for shown in scored})
            cases, last = list_case_records(session, case_ids), list_sign_offs(session, case_ids)
            signed = {case_id for case_id, sign_off in last.items() if sign_off.is_signed}
            reviewed = [shown for shown in scored if _is_reviewed(shown, signed)]
            open_ = [shown for shown in scored if not _is_reviewed(shown, signed)]
            fields = [self._to_field(session, shown, cases) for shown in open_]
            known = [self._get_facts(session, shown).features for shown in reviewed]
        return {
            "fields": _to_mappings(fields, known, {shown.image.id: shown for shown in open_}),
            "unscored": sum(shown.scoring is None or shown.scoring.counts is None for shown in listed),
        }

    def _to_field(self, session: Session, shown: ScoredImage, cases: Mapping[int, StoredCase]) -> ScoredField:
        facts = self._get_facts(session, shown)
        cutoffs = list_deciding_cutoffs(cases[shown.image.case_id].sheet)
        return ScoredField(shown.image.id, facts.tumour, facts.swing, cutoffs, facts.features)

    def _get_facts(self, session: Session, shown: ScoredImage) -> _Facts:
        scoring = shown.scoring
        if scoring is None or scoring.version is None:
            raise ValueError(f"image {shown.image.id} is not scored")
        return self._facts.get(scoring.id, lambda: _find_facts(session, shown, scoring))


def _find_facts(session: Session, shown: ScoredImage, scoring: StoredScoring) -> _Facts:
    version = scoring.version
    if version is None:
        raise ValueError(f"scoring {scoring.id} is not done")
    candidates = unpack_nuclei(get_nuclei(session, scoring.id))
    doubtful = find_doubtful(candidates, version.thresholds, version.confidence)
    size = shown.image.width_px, shown.image.height_px
    swing = find_swing(Review(candidates, version.thresholds, size), doubtful)
    area_mm2 = size[0] * size[1] * (scoring.pixel_size.mpp / 1000) ** 2
    counted = candidates.reaching(version.thresholds)
    features = describe_candidates(counted, swing.n, area_mm2)
    return _Facts(counted.counts().tumour, swing, features | (scoring.traits or {}))


def _is_reviewed(shown: ScoredImage, signed: set[int]) -> bool:
    """A person said something of it: signed, corrected, or brought along."""
    version = shown.scoring.version if shown.scoring else None
    is_imported = version is not None and version.name == IMPORT_NAME
    return shown.image.case_id in signed or shown.review is not None or is_imported


def _to_mappings(
    fields: Sequence[ScoredField], reviewed: Sequence[Mapping[str, float]], shown: Mapping[int, ScoredImage]
) -> list[dict[str, Any]]:
    return [
        {
            "image": one.image, "label": shown[one.image].image.label, "case": shown[one.image].image.case_id,
            "value": round(one.value, 4), "reason": one.reason,
        }
        for one in rank_fields(fields, reviewed)
    ]  # fmt: skip
