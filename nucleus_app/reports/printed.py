"""A case report in printed words: every number as it stands on the page, as JSON types for the template report.typ.

Words and cut-offs of the protocol are the report's own, never today's: a frozen report prints what it was signed with.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from nucleus_app.domain.nuclei import NucleusClass
from nucleus_app.domain.rules import show_percent
from nucleus_app.domain.scores import Score, select_used
from nucleus_app.domain.sheet import CATEGORIES, FieldBox, Protocol
from nucleus_app.reports.case_report import CaseReport, FieldReport, VersionOfNetwork

NONE = "–"
AXES = (1, 2, 5, 10, 20, 40, 60, 80, 100)
"""Ends of the axis on which an interval is drawn, in percent."""
Facts = list[list[str]]


def print_case(report: CaseReport, sha256: str | None) -> dict[str, Any]:
    """All but the fields' own pages; ``sha256`` is the hash of the frozen report."""
    score, sheet, rule = report.score, report.sheet, report.rule
    return {
        "notice": report.notice,
        "label": sheet.label or f"Case {report.case_id}",
        "status": _print_status(report, sha256),
        "specimen": _list_specimen(report),
        "score": _print_primary(score.primary, rule.cutoffs) if score.primary else None,
        "is_sparse": score.is_sparse,
        "missing": score.missing,
        "class_name": score.class_name or "",
        "class_text": score.class_text,
        "advice": score.advice,
        "note": score.note,
        "progress": _say_progress(report),
        "others": [_print_score(other, rule.cutoffs) for other in score.others],
        "measures": _list_measures(report),
        "warnings": list(report.warnings),
        "comment": sheet.comment,
        "protocol": {"title": rule.title, "text": rule.text, "positivity": report.positivity_rule},
        "fields_title": _say_fields(report),
        "fields": [print_field(report, field, n) for n, field in enumerate(report.fields, 1)],
        "record": _list_record(report),
        "images": _list_images(report),
    }


def _say_fields(report: CaseReport) -> str:
    counted = [field for field in report.fields if field.tallies is not None]
    used = [field for field in select_used(report.sheet, report.fields) if field in counted]
    title = f"Fields counted: {len(counted)} of {len(report.fields)}"
    return title if len(used) == len(counted) else f"{title}, {len(used)} in the score"


def print_field(report: CaseReport, field: FieldReport, n: int) -> dict[str, Any]:
    """One field: its row in the table, and the facts of its page."""
    cutoffs = report.rule.cutoffs
    tallies, network = field.tallies, _say_network(field)
    return {
        "n": n,
        "name": field.name or f"Field {n}",
        "role": field.role.value.capitalize()
        + ("" if field in select_used(report.sheet, report.fields) else ", not in the score"),
        "image": field.image_label or f"Image {field.image_id}",
        "box": "whole image" if field.is_whole_image else say_box(field.box),
        "mpp": say_mpp(field),
        "area": say_area(field.area_mm2),
        "positive": say_count(tallies.positive if tallies else None),
        "tumour": say_count(tallies.tumour if tallies else None),
        "percent": say_percent(field.percent, cutoffs),
        "interval": say_interval(field.low_percent, field.high_percent, cutoffs),
        "network": network,
        "network_alone": NONE if network == NONE else f"{network} tumour nuclei positive",
        "edited": say_count(tallies.edited if tallies else None),
        "placed": say_count(tallies.placed if tallies else None),
        "is_counted": tallies is not None,
        "facts": _list_field_facts(field),
        "warnings": list(field.warnings),
    }


def say_count(n: int | None) -> str:
    """Thousands apart, since such numbers are compared by eye."""
    return NONE if n is None else f"{n:,}"


def say_percent(percent: float | None, cutoffs: tuple[float, ...]) -> str:
    """With as many decimals as keep it on its side of every cut-off: see :func:`show_percent`."""
    return NONE if percent is None else f"{show_percent(percent, cutoffs)} %"


def say_interval(low: float | None, high: float | None, cutoffs: tuple[float, ...]) -> str:
    """Both ends in percent as every format and the command line say them, "2.1 – 4.3 %"; "–" where there is none.

    Each end has the decimals that keep it on its side of every cut-off, so that one sees whether the interval spans one.
    """
    if low is None or high is None:
        return NONE
    return f"{show_percent(low, cutoffs)} – {show_percent(high, cutoffs)} %"


def say_area(area_mm2: float | None) -> str:
    return NONE if area_mm2 is None else f"{area_mm2:.3f} mm²"


def say_mpp(field: FieldReport) -> str:
    return "µm/px unknown" if field.mpp is None else f"{field.mpp:.4g} µm/px ({field.mpp_source})"


def say_box(box: FieldBox) -> str:
    """Corner and size in pixels, the image's own corner being 0, 0: as rulers and QuPath count, not by pixel centres."""
    width, height = box.right - box.left, box.bottom - box.top
    return f"x {_px(box.left + 0.5)}, y {_px(box.top + 0.5)}, {_px(width)} × {_px(height)} px"


def say_slide(field: FieldReport) -> str:
    """Where a field lies on its slide, in pixels and, where they are known, in millimetres from the slide's own corner."""
    if field.slide is None:
        return NONE
    corner = (field.slide.left_px, field.slide.top_px)
    x, y = (_px(value) for value in corner)
    mm = ", ".join(f"{value * field.mpp / 1000:.2f}" for value in corner) if field.mpp else ""
    return f"slide {field.slide.slide}, x {x}, y {y} px" + (f" ({mm} mm)" if mm else "")


def say_time(iso: str) -> str:
    """ISO 8601 → as printed; anything else stays what it is."""
    try:
        time = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if time.tzinfo else time.strftime("%Y-%m-%d %H:%M")


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _say_network(field: FieldReport) -> str:
    """Positive of tumour, as the network alone counted; nothing where the nuclei are imported annotations."""
    if field.network is None or field.is_imported:
        return NONE
    positive, negative, _ = field.network
    return f"{positive:,} of {positive + negative:,}"


def _print_status(report: CaseReport, sha256: str | None) -> dict[str, Any]:
    """``title`` and ``line`` are the badge of every page, ``sign_off`` and ``history`` the sentences above the signature."""
    signature, revision = report.signature, report.revision
    shared = {"history": _say_history(report), "sha256": sha256 or ""}
    if signature is not None:
        return shared | {
            "is_signed": True,
            "title": "SIGNED",
            "line": f"· Revision {revision}",
            "sign_off": f"Signed in the app by {signature.reader}, {say_time(signature.at)}.",
        }
    is_first = revision == 1
    return shared | {
        "is_signed": False,
        "title": "DRAFT," if is_first else "DRAFT",
        "line": "not signed" if is_first else f"of revision {revision}, not signed",
        "sign_off": f"{'Draft,' if is_first else f'Draft of revision {revision},'} not signed. "
        f"Numbers of {say_time(report.made)}. They may change.",
    }


def _say_history(report: CaseReport) -> str:
    """Which revision this is, and how it began."""
    said = f"Revision {report.revision}."
    if report.reopened is None:
        return said
    reopened = report.reopened
    return f"{said} Reopened by {reopened.reader} on {say_time(reopened.at)}: {reopened.reason}"


def _list_specimen(report: CaseReport) -> Facts:
    sheet = report.sheet
    facts = [
        ["Specimen", sheet.specimen],
        ["Block", sheet.block],
        ["Tumour type", sheet.tumour_type],
        ["Antibody", sheet.antibody],
        ["Platform", sheet.platform],
        ["Scanner", sheet.scanner],
    ]
    if sheet.protocol is Protocol.NET_HOT_SPOT:
        differentiated = {True: "well differentiated", False: "not well differentiated", None: ""}
        mitoses = "" if sheet.mitoses_per_2mm2 is None else f"{sheet.mitoses_per_2mm2:g} per 2 mm²"
        facts += [["Differentiation", differentiated[sheet.well_differentiated]], ["Mitoses", mitoses]]
    return [[name, value or NONE] for name, value in facts]


def _print_score(score: Score, cutoffs: tuple[float, ...]) -> dict[str, Any]:
    return {
        "name": score.name,
        "method": score.method.removesuffix(", 95 %"),
        "percent": f"{score.shown} %",
        "interval": say_interval(score.low_percent, score.high_percent, cutoffs),
        "positive": say_count(score.positive),
        "tumour": say_count(score.tumour),
    }


def _print_primary(score: Score, cutoffs: tuple[float, ...]) -> dict[str, Any]:
    least = max(1.25 * score.high_percent, 1.25 * min(cutoffs, default=0.0))
    end = next((axis for axis in AXES if axis >= least), 100)
    return _print_score(score, cutoffs) | {
        "axis": {
            "end": end,
            "value": score.percent,
            "low": score.low_percent,
            "high": score.high_percent,
            "cutoffs": [{"at": c, "text": f"{c:g} %"} for c in cutoffs if c <= end],
        }
    }


def _say_progress(report: CaseReport) -> str:
    score = report.score
    if score.primary is None:
        return ""
    return f"{score.counted:,} tumour nuclei counted, target {score.target:,}"


def _list_measures(report: CaseReport) -> Facts:
    score = report.score
    cutoffs = report.rule.cutoffs
    measures = []
    if score.hot_spot_minus_average is not None:
        sign = "−" if score.hot_spot_minus_average < 0 else "+"
        measures.append(
            [
                "Hot spot minus average",
                f"{sign}{show_percent(abs(score.hot_spot_minus_average))} percentage points; it was chosen for being the highest",
            ]
        )
    if score.between_fields is not None:
        measures.append(["Interval between fields, 95 %", say_interval(*score.between_fields, cutoffs)])
    if report.sheet.shares is not None:
        shares = [f"{c.value} {report.sheet.shares.of(c):g} %" for c in CATEGORIES if report.sheet.shares.of(c)]
        measures.append(["Share of tumour area", ", ".join(shares) or NONE])
    if score.allotted:
        measures.append(["Fields allotted", ", ".join(f"{n} {role.value}" for role, n in score.allotted)])
    return measures


def _list_field_facts(field: FieldReport) -> Facts:
    facts = [["Image", field.image_label or f"Image {field.image_id}"]]
    facts += [
        ["Field in image", f"{say_box(field.box)} of {field.width_px} × {field.height_px} px"],
        *([["On the slide", say_slide(field)]] if field.slide else []),
        ["Pixel size", say_mpp(field)],
        ["Area counted", say_area(field.area_mm2)],
    ]
    if field.tallies is not None:
        facts += [
            ["Negative tumour", say_count(field.tallies.negative)],
            ["Non-tumour", f"{field.tallies.other:,} (not in the index)"],
            ["Left out", say_count(field.tallies.left_out)],
        ]
    if field.is_imported:
        facts.append(["Nuclei", "imported annotations"])
    elif field.cuts:
        facts.append(["Cuts used", say_levels(field.cuts)])
    facts.append(["Image SHA-256", field.image_sha256])
    return facts


def say_levels(levels: tuple[float, ...]) -> str:
    """One value per class, in words."""
    return ", ".join(f"{kind.slug} {level:.4g}" for kind, level in zip(NucleusClass, levels, strict=False))


def _list_record(report: CaseReport) -> Facts:
    tallies = [field.tallies for field in report.fields if field.tallies]
    edited, placed = sum(t.edited for t in tallies), sum(t.placed for t in tallies)
    record = [
        ["Corrections", f"{report.edits:,} in all images of the case; in the fields {edited:,} nuclei edited, {placed:,} placed"],
        ["Readers", ", ".join(report.readers) or NONE],
        ["Numbers made", say_time(report.made)],
        ["App version", report.app_version],
    ]  # fmt: skip
    for version, is_imported in _list_versions(report):
        record += _print_version(version, is_imported)
    return record


def _print_version(version: VersionOfNetwork, is_imported: bool) -> Facts:
    """Who found the nuclei. Imported annotations are a file's: no thresholds chose them."""
    if is_imported:
        return [["Imported annotations", version.name], ["SHA-256 of the file", version.sha256]]
    words = f"{version.name} (app {version.app_version})"
    if version.thresholds:
        words += f"; thresholds {say_levels(version.thresholds)}"
    return [["Version of the network", words], ["Version SHA-256", version.sha256]]


def _list_versions(report: CaseReport) -> list[tuple[VersionOfNetwork, bool]]:
    """Each once, and whether it is a file of annotations."""
    return list(dict.fromkeys((field.version, field.is_imported) for field in report.fields if field.version))


def _list_images(report: CaseReport) -> Facts:
    """Every image once: its label and the SHA-256 of the file as it came."""
    found = {field.image_id: field for field in report.fields}
    return [[f.image_label or f"Image {id_}", f.image_sha256] for id_, f in found.items()]
