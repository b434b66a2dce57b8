"""What an import comes to: nuclei and regions of one image, made of the annotations of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nucleus_app.domain.edits import Bounds, Region, edit_to_mapping, parse_edit
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.domain.outlines import are_within, find_centres
from nucleus_app.domain.qupath import Annotations
from nucleus_app.domain.qupath_targets import Target
from nucleus_app.errors import InvalidAnnotations

MAX_REGIONS = 2000
"""Each is an edit that a reader can see and undo; more are cells, not regions."""


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """``nuclei`` have a score of 1. ``regions`` in the order in which they are painted. ``notes``: what was left away."""

    nuclei: Nuclei
    regions: tuple[Region, ...]
    notes: tuple[str, ...]


def plan_import(
    annotations: Annotations, mapping: Mapping[str, Target], bounds: Bounds, *, on_slide: bool = False
) -> ImportPlan:
    """Points and centres of areas as nuclei, areas as regions within ``bounds``. ``mapping`` holds a target for every class;
    ``on_slide``: the file was of the slide that the image was cut out of, so that most of it may lie elsewhere.

    Raises InvalidAnnotations when nothing would be imported, or too many regions.
    """
    targets = [mapping[name] for name in annotations.names]
    nuclei, outside = _collect_nuclei(annotations, targets, bounds)
    regions, cut_off = _collect_regions(annotations, targets, bounds)
    outside += cut_off
    notes = list(annotations.notes)
    if outside:
        why = "they lie elsewhere on the slide." if on_slide else "is the file of this image, and not of a crop?"
        notes.append(f"{outside:,} objects outside of the image passed over: {why}")
    lost = sum(targets[name].label is not None for name in annotations.point_names.tolist())
    if lost:
        notes.append(f"{lost:,} points passed over: their class was said to be a region, and a point is none.")
    if not len(nuclei) and not regions:
        raise InvalidAnnotations(
            " ".join(["Nothing to import.", *notes, "Choose other targets, or the image of the file."])
        )
    return ImportPlan(nuclei, tuple(regions), tuple(notes))


def _collect_nuclei(annotations: Annotations, targets: list[Target], bounds: Bounds) -> tuple[Nuclei, int]:
    """Nuclei, points first, and how many lie outside of the image."""
    kinds = np.array([-1 if target.kind is None else int(target.kind) for target in targets])
    areas = [area for area in annotations.areas if kinds[area.name] >= 0]
    xy = np.concatenate([annotations.xy, find_centres([area.outline for area in areas])])
    names = np.concatenate([annotations.point_names, np.array([area.name for area in areas], np.int64)])
    wanted = kinds[names] >= 0
    inside = are_within(xy, bounds.width, bounds.height)
    chosen = wanted & inside
    return Nuclei.from_arrays(xy[chosen], kinds[names[chosen]]), int(np.count_nonzero(wanted & ~inside))


def _collect_regions(annotations: Annotations, targets: list[Target], bounds: Bounds) -> tuple[list[Region], int]:
    """Regions, larger ones first, so that of nested ones the inner one decides; and how many lie outside of the image."""
    areas = [area for area in annotations.areas if targets[area.name].label is not None]
    clipped = [(area, area.outline.clip_to(bounds.width, bounds.height)) for area in areas]
    kept = [(targets[area.name].label, area.outline.area_px2, outline) for area, outline in clipped if outline]
    if len(kept) > MAX_REGIONS:
        raise InvalidAnnotations(
            f"{len(kept):,} areas would become regions, over {MAX_REGIONS:,}: if they are cells, map them to positive, "
            "negative or other; if not, merge them in QuPath (Objects, Annotations, Merge selected)."
        )
    regions = []
    for label, _, outline in sorted(kept, key=lambda each: each[1], reverse=True):
        if label is None:
            continue
        # By the same path as a reader's own: what is stored is what the page could have sent.
        edit = parse_edit(edit_to_mapping(Region(label, outline.to_shape(bounds))), bounds)
        if isinstance(edit, Region):
            regions.append(edit)
    return regions, len(areas) - len(regions)
