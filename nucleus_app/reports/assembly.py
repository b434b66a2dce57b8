"""Putting a case's report together: what lies in each field, and what is odd about the whole."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.edits import Region
from nucleus_app.domain.index import find_labelling_index
from nucleus_app.domain.line import shorten
from nucleus_app.domain.nuclei import Counts
from nucleus_app.domain.painted import outline_painted
from nucleus_app.domain.protocols import CaseScore, score_case
from nucleus_app.domain.reviewed import Origin
from nucleus_app.domain.scores import CountedField, select_used
from nucleus_app.domain.sheet import CaseSheet, FieldBox, FieldPlan
from nucleus_app.domain.tissue_layer import TissueLayer
from nucleus_app.reports.case_report import FieldReport, NucleusMark, PaintedArea, SlidePlace, Tallies, VersionOfNetwork
from nucleus_app.reports.record import ImageRecord

AREA_SAMPLES = 200_000
"""Places at which it is asked whether they are left out; the area is good to about 0.1 %."""
MAX_SAMPLES = 2000
SAME_SCALE = 1.05
IMPORTED = "imported"


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
    slide: SlidePlace | None = None
    """Where its upper left corner lies on the slide that it was cut out of."""


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
    within = np.flatnonzero(find_in_box(record.nuclei.xy, box, image)) if record and record.counted else None
    tallies = _tally(record, within) if record and within is not None else None
    is_imported = record is not None and record.is_imported
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
        network=_count_network(record, box, image) if record and tallies and not is_imported else None,
        is_imported=is_imported,
        percent=index.percent if index else None,
        low_percent=index.low_percent if index else None,
        high_percent=index.high_percent if index else None,
        cuts=record.cuts if record else (),
        version=VersionOfNetwork(record.version_name, record.version_sha256, record.app_version, record.thresholds)
        if record
        else None,
        nuclei=_list_marks(record, within) if record and within is not None and with_nuclei else (),
        warnings=record.image_cautions if record else ("This image is not scored yet.",),
        slide=_place(box, image.slide) if image.slide else None,
    )


def list_painted(image: FieldImage) -> tuple[PaintedArea, ...]:
    """What is painted on an image, to hundredths of a pixel."""
    regions = image.record.regions if image.record else ()
    return tuple(
        PaintedArea(image.id, label.value, tuple(tuple(ring.round(2).ravel().tolist()) for ring in outline.rings))
        for label, outlines in outline_painted(regions, image.width_px, image.height_px).items()
        for outline in outlines
    )


def _place(box: FieldBox, image: SlidePlace) -> SlidePlace:
    """A box's corner; boxes go by pixel centres, slides by pixel corners."""
    return replace(image, left_px=image.left_px + box.left + 0.5, top_px=image.top_px + box.top + 0.5)


def _tally(record: ImageRecord, within: NDArray[np.intp]) -> Tallies:
    """Of the nuclei at these places."""
    reviewed = record.reviewed
    left_out = reviewed.left_out[within]
    counts = reviewed.nuclei.select(within[~left_out]).counts()
    origins = [reviewed.origins[i] for i in within.tolist()]
    return Tallies(
        *counts,
        left_out=int(np.count_nonzero(left_out)),
        edited=origins.count(Origin.EDITED),
        placed=origins.count(Origin.PLACED),
    )


def _count_network(record: ImageRecord, box: FieldBox, image: FieldImage) -> tuple[int, int, int]:
    """What the network alone found in a field, where it found it."""
    positive, negative, other = record.network.select(find_in_box(record.network.xy, box, image)).counts()
    return positive, negative, other


def _list_marks(record: ImageRecord, within: NDArray[np.intp]) -> tuple[NucleusMark, ...]:
    reviewed, nuclei = record.reviewed, record.nuclei
    confidences = record.find_confidences(within)
    own = IMPORTED if record.is_imported else Origin.NETWORK.value
    return tuple(
        NucleusMark(
            reviewed.ids[i], round(float(nuclei.xy[i, 0]), 2), round(float(nuclei.xy[i, 1]), 2), int(nuclei.classes[i]),
            round(float(nuclei.scores[i]), 4), confidence,
            own if reviewed.origins[i] is Origin.NETWORK else reviewed.origins[i].value, bool(reviewed.left_out[i]),
        )
        for i, confidence in zip(within.tolist(), confidences, strict=True)
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
    x, y = (axis.ravel() for axis in np.meshgrid(_sample(box.left, width, step), _sample(box.top, height, step)))
    _, left_out = tissue.look_up(x, y)
    return area * (1 - float(np.count_nonzero(left_out)) / len(left_out))


def _sample(start: float, length: float, step: float) -> NDArray[np.float64]:
    """The middles of equal steps of about that length; a box may be thin, so there are never too many."""
    n = min(MAX_SAMPLES, max(1, round(length / step)))
    middles: NDArray[np.float64] = start + (np.arange(n, dtype=np.float64) + 0.5) * (length / n)
    return middles


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
    used = select_used(sheet, fields)
    return (
        *score.warnings,
        *_say_of_images(used, images),
        *_say_overlaps(used),
        *_say_twins(images),
        *_say_differences(fields, images),
    )


def _say_of_images(fields: Sequence[FieldReport], images: Sequence[FieldImage]) -> Iterable[str]:
    """What is wrong with the images that are counted. One that is not scored yet is said by its field."""
    labels: dict[str, dict[str, None]] = defaultdict(dict)
    for field in fields:
        for caution in field.warnings if field.version else ():
            labels[caution][field.image_label] = None
    for caution, own in labels.items():
        yield caution if len(images) == 1 else f"{_name_some([*own])}: {caution}"


def _name_some(labels: Sequence[str]) -> str:
    return f"{', '.join(f'“{label}”' for label in labels[:3])}{' …' if labels[3:] else ''}"


def _say_overlaps(fields: Sequence[FieldReport]) -> Iterable[str]:
    by_image: dict[int, list[FieldReport]] = defaultdict(list)
    for field in fields:
        by_image[field.image_id].append(field)
    pairs = [
        f"{a.name} and {b.name} overlap: nuclei in both count twice."
        for own in by_image.values()
        for a, b in combinations(own, 2)
        if _overlap(a.box, b.box)
    ]
    return shorten(pairs, "pairs of fields overlap")


def _overlap(a: FieldBox, b: FieldBox) -> bool:
    return a.left < b.right and b.left < a.right and a.top < b.bottom and b.top < a.bottom


def _say_twins(images: Sequence[FieldImage]) -> Iterable[str]:
    first: dict[str, str] = {}
    twins = []
    for image in images:
        known = first.get(image.sha256) or first.get(image.blob)
        if known is not None:
            twins.append(f"“{known}” and “{image.label}” are the same image.")
        first.setdefault(image.sha256, image.label)
        first.setdefault(image.blob, image.label)
    return shorten(twins, "images are there twice")


def _say_differences(fields: Sequence[FieldReport], images: Sequence[FieldImage]) -> Iterable[str]:
    without = [image.label for image in images if all(field.image_id != image.id for field in fields)]
    if without:
        yield f"No field is counted in {_name_some(without)}."
    scales = [field.mpp for field in fields if field.mpp]
    if scales and max(scales) > SAME_SCALE * min(scales):
        yield f"The fields have different pixel sizes ({min(scales):.3g} to {max(scales):.3g} µm/px): check that each is right."
    if len({field.is_imported for field in fields if field.tallies}) > 1:
        yield "Some fields hold imported annotations, others what the network found."
    if len({field.version.sha256 for field in fields if field.version and not field.is_imported}) > 1:
        yield "The fields were counted by different versions of the network: score them again to compare like with like."
