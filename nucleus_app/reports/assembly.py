"""Putting a case's report together: what lies in each field, and what is odd about the whole."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.edits import Region
from nucleus_app.domain.index import find_labelling_index
from nucleus_app.domain.nuclei import Counts, Nuclei
from nucleus_app.domain.protocols import CaseScore, CountedField, score_case, select_used
from nucleus_app.domain.reviewed import Origin
from nucleus_app.domain.sheet import CaseSheet, FieldBox, FieldPlan
from nucleus_app.domain.tissue_layer import TissueLayer
from nucleus_app.reports.case_report import FieldReport, NucleusMark, Tallies, VersionOfNetwork
from nucleus_app.reports.record import ImageRecord

AREA_SAMPLES = 200_000
"""Places at which it is asked whether they are left out; the area is good to about 0.1 %."""
SAME_SCALE = 1.05


@dataclass(frozen=True, slots=True)
class FieldImage:
    """The image of a field, and its latest result if it has one."""

    id: int
    label: str
    sha256: str
    blob: str
    width_px: int
    height_px: int
    mpp: float | None
    mpp_source: str
    record: ImageRecord | None


def frame(image: FieldImage) -> FieldBox:
    """All of an image."""
    return FieldBox(-0.5, -0.5, image.width_px - 0.5, image.height_px - 0.5)


def clip_box(box: FieldBox | None, image: FieldImage) -> FieldBox:
    """A box within its image; None is all of it. One that lies outside has no area."""
    whole = frame(image)
    if box is None:
        return whole
    left, top = max(box.left, whole.left), max(box.top, whole.top)
    return FieldBox(left, top, max(left, min(box.right, whole.right)), max(top, min(box.bottom, whole.bottom)))


def find_in_box(xy: NDArray[np.float32], box: FieldBox, image: FieldImage) -> NDArray[np.bool_]:
    """Which points (N, 2) lie in a box. Its right and bottom ends do not belong to it, unless they are the image's."""
    whole = frame(image)
    x, y = xy[:, 0].astype(np.float64), xy[:, 1].astype(np.float64)
    right = math.inf if box.right >= whole.right > box.left else box.right
    bottom = math.inf if box.bottom >= whole.bottom > box.top else box.bottom
    inside: NDArray[np.bool_] = (x >= box.left) & (x < right) & (y >= box.top) & (y < bottom)
    return inside


def report_field(plan: FieldPlan, image: FieldImage, *, number: int, with_nuclei: bool = True) -> FieldReport:
    """One field. ``number`` is its place on the sheet, from 1, and names it where the reader did not."""
    box = clip_box(plan.box, image)
    record = image.record
    counted = record is not None and record.counted
    tallies, network = (_tally(record, box, image) if counted and record else (None, None))  # fmt: skip
    index = find_labelling_index(Counts(tallies.positive, tallies.negative, tallies.other)) if tallies else None
    return FieldReport(
        id=plan.id,
        name=plan.name or f"Field {number}",
        role=plan.role,
        image_id=image.id,
        image_label=image.label,
        image_sha256=image.sha256,
        blob=image.blob,
        width_px=image.width_px,
        height_px=image.height_px,
        is_whole_image=plan.box is None,
        box=box,
        mpp=image.mpp,
        mpp_source=image.mpp_source,
        area_mm2=_measure(box, image.mpp, record.regions if record else ()),
        tallies=tallies,
        network=network,
        percent=index.percent if index else None,
        low_percent=index.low_percent if index else None,
        high_percent=index.high_percent if index else None,
        cuts=record.cuts if record else (),
        version=VersionOfNetwork(record.version_name, record.version_sha256, record.app_version, record.thresholds)
        if record
        else None,
        nuclei=_list_marks(record, box, image) if counted and record and with_nuclei else (),
        warnings=record.warnings if record else ("This image is not scored yet.",),
    )


def _tally(record: ImageRecord, box: FieldBox, image: FieldImage) -> tuple[Tallies, tuple[int, int, int]]:
    reviewed = record.reviewed
    inside = find_in_box(reviewed.nuclei.xy, box, image)
    shown = inside & ~reviewed.left_out
    counts = reviewed.nuclei.select(shown).counts()
    origins = np.array(reviewed.origins, dtype=object)[inside] if len(inside) else np.array([])
    tallies = Tallies(
        *counts,
        left_out=int(np.count_nonzero(inside & reviewed.left_out)),
        edited=int(np.count_nonzero(origins == Origin.EDITED)),
        placed=int(np.count_nonzero(origins == Origin.PLACED)),
    )
    network: Nuclei = record.network.select(find_in_box(record.network.xy, box, image))
    positive, negative, other = network.counts()
    return tallies, (positive, negative, other)


def _list_marks(record: ImageRecord, box: FieldBox, image: FieldImage) -> tuple[NucleusMark, ...]:
    reviewed, nuclei = record.reviewed, record.nuclei
    confidences = record.confidences
    return tuple(
        NucleusMark(
            reviewed.ids[i], round(float(nuclei.xy[i, 0]), 2), round(float(nuclei.xy[i, 1]), 2), int(nuclei.classes[i]),
            round(float(nuclei.scores[i]), 4), confidences[i], reviewed.origins[i].value, bool(reviewed.left_out[i]),
        )
        for i in np.flatnonzero(find_in_box(nuclei.xy, box, image))
    )  # fmt: skip


def _measure(box: FieldBox, mpp: float | None, regions: Iterable[Region]) -> float | None:
    """mm² of a box without what regions leave out; None without a pixel size."""
    if mpp is None:
        return None
    width, height = box.right - box.left, box.bottom - box.top
    area = width * height * (mpp / 1000) ** 2
    tissue = TissueLayer()
    drawn = [region for region in regions if region.label.is_tissue]
    if not area or not any(region.label.leaves_out for region in drawn):
        return area
    for number, region in enumerate(drawn):
        tissue.add(number, region)
    step = math.sqrt(width * height / AREA_SAMPLES)
    xs = np.linspace(box.left, box.right, max(1, round(width / step)), endpoint=False) + step / 2
    ys = np.linspace(box.top, box.bottom, max(1, round(height / step)), endpoint=False) + step / 2
    x, y = (axis.ravel() for axis in np.meshgrid(xs, ys))
    _, left_out = tissue.look_up(x, y)
    return area * (1 - float(np.count_nonzero(left_out)) / len(left_out))


def score_fields(sheet: CaseSheet, fields: Sequence[FieldReport]) -> CaseScore:
    """The protocol applied to reported fields."""
    return score_case(
        sheet,
        [
            CountedField(
                f.name,
                f.role,
                Counts(f.tallies.positive, f.tallies.negative, f.tallies.other) if f.tallies else None,
                f.area_mm2,
            )
            for f in fields
        ],
    )


def list_case_warnings(
    sheet: CaseSheet, score: CaseScore, fields: Sequence[FieldReport], images: Sequence[FieldImage]
) -> tuple[str, ...]:
    """What a reader must know of the whole case, its score's warnings first."""
    return (
        *score.warnings,
        *_say_overlaps(select_used(sheet.protocol, fields)),
        *_say_twins(images),
        *_say_differences(fields, images),
    )


def _say_overlaps(fields: Sequence[FieldReport]) -> Iterable[str]:
    for a, b in combinations(fields, 2):
        if a.image_id == b.image_id and _overlap(a.box, b.box):
            yield f"{a.name} and {b.name} overlap: nuclei in both count twice."


def _overlap(a: FieldBox, b: FieldBox) -> bool:
    return a.left < b.right and b.left < a.right and a.top < b.bottom and b.top < a.bottom


def _say_twins(images: Sequence[FieldImage]) -> Iterable[str]:
    for a, b in combinations(images, 2):
        if a.sha256 == b.sha256 or a.blob == b.blob:
            yield f"“{a.label}” and “{b.label}” are the same image."


def _say_differences(fields: Sequence[FieldReport], images: Sequence[FieldImage]) -> Iterable[str]:
    without = [image.label for image in images if all(field.image_id != image.id for field in fields)]
    if without:
        yield f"No field is counted in {', '.join(f'“{label}”' for label in without[:3])}{' …' if without[3:] else ''}."
    scales = [field.mpp for field in fields if field.mpp]
    if scales and max(scales) > SAME_SCALE * min(scales):
        yield f"The fields have different pixel sizes ({min(scales):.3g} to {max(scales):.3g} µm/px): check that each is right."
    if len({field.version.sha256 for field in fields if field.version}) > 1:
        yield "The fields were counted by different versions of the network: score them again to compare like with like."
