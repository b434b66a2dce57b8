"""``score``: files to numbers, and to the report of a case where a protocol is named."""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from nucleus_app import RESEARCH_USE_ONLY
from nucleus_app.domain.rules import RULES, show_percent
from nucleus_app.domain.sheet import CATEGORIES, MAX_FIELDS, CaseSheet, Protocol, Shares, find_role, parse_sheet
from nucleus_app.errors import InvalidCase, InvalidImage, NucleusAppError
from nucleus_app.settings import Settings

if TYPE_CHECKING:
    from nucleus_app.reports.case_report import CaseReport
    from nucleus_app.reports.record import ImageRecord
    from nucleus_app.services.folders import FolderCase, ScoredFile

logger = logging.getLogger(__name__)
REPORT = "-case"
"""A case's files end so, or are called so where there is one case."""
REPORT_NAME = re.compile(r"(^|-)case(-fields|-scores)?$", re.IGNORECASE)
SCORES = "case-scores.csv"
"""The table of the cases of this run, in the place of that of an earlier one."""
CASE_ENDS = ("-fields.csv", ".pdf")
"""What is written beside the JSON of a case."""
OF_A_CASE = {"label": "", "target": 500, "well_differentiated": None, "mitoses": None, "shares": None, "names": False}
"""Options that say something of a case, and what they are where they were not given."""
MAX_STEM = 60
"""Characters of a file's name that its outputs keep: up to 240 bytes, and 255 is the limit of a name."""


def add_arguments(score: argparse.ArgumentParser) -> None:
    score.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="image files, or folders of them")
    score.add_argument("--mpp", type=float, metavar="F", help="µm per pixel; default: what each file states")
    score.add_argument("--anyway", action="store_true", help="count even in images that are no Ki67 field")
    score.add_argument("--out", type=Path, required=True, metavar="DIR")
    score.add_argument("--overwrite", action="store_true", help="replace results of other images that DIR holds")
    score.add_argument("--weights", default="", metavar="FILE")
    case = score.add_argument_group(
        "report of a case",
        "All images are fields of one case. An image in a folder named hot spot, negligible, low, medium or high has that role.",
    )
    case.add_argument("--protocol", type=_protocol, metavar="P", help=", ".join(_dashed(p) for p in Protocol))
    case.add_argument("--pdf", action="store_true", help="write the report as PDF too")
    case.add_argument("--case-per-file", action="store_true", help="each image is a case of its own")
    case.add_argument("--names", action="store_true", help="call fields by their files' names in the report")
    case.add_argument("--label", default="", metavar="TEXT", help="the case's pseudonym")
    case.add_argument("--target", type=int, default=500, metavar="N", help="tumour nuclei in a hot spot (default 500)")
    case.add_argument("--well-differentiated", choices=("yes", "no"))
    case.add_argument("--mitoses", type=float, metavar="F", help="per 2 mm²")
    case.add_argument(
        "--shares", type=_shares, metavar="N,L,M,H",
        help="percent of the tumour area with negligible, low, medium and high Ki67",
    )  # fmt: skip
    score.set_defaults(run=run)


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Score every file; a bad one is named and the others are done. Returns 1 if any failed."""
    from nucleus_app.imaging.reader import EXTENSIONS
    from nucleus_app.services.folders import score_file
    from nucleus_app.services.scoring import load_predictor

    files = list_images(options.paths, EXTENSIONS)
    if not files:
        raise InvalidImage(
            f"there is no image in {', '.join(map(str, options.paths))}: give image files or their folder"
        )
    sheet = _read_sheet(options)  # before any work: it may be wrong
    stems = distinct_stems(files)
    _check_room(options, files, stems, has_case=sheet is not None)
    options.out.mkdir(parents=True, exist_ok=True)
    predictor = load_predictor(settings, options.weights)
    scored: list[tuple[str, ScoredFile]] = []
    lost: list[Path] = []
    with tqdm(total=len(files), unit="image", disable=None, leave=False) as bar:
        for path, stem in zip(files, stems, strict=True):
            start = time.perf_counter()
            try:
                done = score_file(predictor, path, options.mpp, settings.max_megapixels, anyway=options.anyway)
                _write(done.record, options.out / stem)
            except Exception as error:  # one image must not cost the others
                lost.append(path)
                _tell(path.name, error)
            else:
                scored.append((stem, done))
                took = time.perf_counter() - start
                bar.write(f"{path.name}: {_summarise(done.record, cutoffs_of(sheet))}, {took:.2f} s")
                for warning in done.record.warnings:
                    bar.write(f"{path.name}: {warning}", file=sys.stderr)
            bar.update()
    failed = len(lost)
    if sheet is not None and scored:
        failed += _write_cases(options, settings, sheet, scored, [] if options.case_per_file else lost)
    print(f"{len(scored)} passed, {failed} failed. {RESEARCH_USE_ONLY}")
    return 1 if failed else 0


def _check_room(options: argparse.Namespace, files: list[Path], stems: list[str], *, has_case: bool) -> None:
    """Raises InvalidCase, before hours of work, where results would replace those of other images, or a case would hold too many."""
    from nucleus_app.imaging.dataset import is_label_file

    if has_case and not options.case_per_file and len(stems) > MAX_FIELDS:
        raise InvalidCase(
            f"one case holds at most {MAX_FIELDS} images, and these are {len(stems)}: use --case-per-file, or fewer images"
        )
    results = {stem: [file] for stem, file in zip(stems, files, strict=True)}
    if has_case and options.case_per_file:
        results |= {f"{stem}{REPORT}": of for stem, of in results.items()}
    elif has_case:
        results[REPORT.lstrip("-")] = files
    there = {path: of for name, of in results.items() if (path := options.out / f"{name}.json").exists()}
    if labels := next(filter(is_label_file, there), None):
        raise InvalidCase(f"{labels} holds the labels of an image, which a result would replace: give another --out")
    alone = [name for name in results if options.out / f"{name}.json" not in there]
    ends = {name: (".csv",) if name in stems else CASE_ENDS[: 2 if options.pdf else 1] for name in alone}
    strangers = [path for name in alone for end in ends[name] if (path := options.out / f"{name}{end}").exists()]
    table = options.out / SCORES
    if has_case and table.exists() and RESEARCH_USE_ONLY not in table.read_text("utf-8", "replace"):
        strangers.append(table)
    others = [path for path, of in there.items() if not _is_result_of(path, of)] + strangers
    if others and not options.overwrite:
        raise InvalidCase(f"{others[0]} is of other images: give another --out, or --overwrite to replace it")


def _is_result_of(path: Path, files: list[Path]) -> bool:
    """Whether a result names the bytes of any of these files: then it may be made anew. Some may be broken, or new."""
    told = path.read_text("utf-8", errors="replace")
    return any(file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() in told for file in files)


def _write(record: ImageRecord, path: Path) -> None:
    from nucleus_app.reports.formats import record_to_csv, record_to_json

    result, nuclei = path.with_name(f"{path.name}.json"), path.with_name(f"{path.name}.csv")
    if result.exists() and not record.counted:
        nuclei.unlink(missing_ok=True)  # of a run before, with other numbers
    result.write_text(record_to_json(record), "utf-8")
    if record.counted:
        nuclei.write_text(record_to_csv(record), "utf-8")


def _write_cases(
    options: argparse.Namespace,
    settings: Settings,
    sheet: CaseSheet,
    scored: list[tuple[str, ScoredFile]],
    lost: list[Path],
) -> int:
    """Reports of one case, or of one a file, and a table of all; returns how many could not be written. ``lost``: images
    that belong to the case and could not be scored.
    """
    from nucleus_app.reports.tables import reports_to_cases_csv
    from nucleus_app.services.folders import FolderCase

    if options.case_per_file:
        cases = [(f"{stem}{REPORT}", f"Case {n}", [file]) for n, (stem, file) in enumerate(scored, 1)]
    else:
        cases = [(REPORT.lstrip("-"), "Case", [file for _, file in scored])]
    failed, reports = 0, []
    print(f"\n{'case':32} {'index':>8}  {'95 % interval':>15}  {'tumour nuclei':>13}  class")
    for name, label, files in cases:
        labelled = sheet if sheet.label else replace(sheet, label=label)
        case = FolderCase(labelled, files, settings.max_megapixels, lost, with_names=options.names)
        try:
            report = case.report()
            print(_tabulate(name, report))
            _write_case(case, report, options.out / name, with_pdf=options.pdf)
            reports.append(report.without_nuclei())
        except Exception as error:  # one report must not cost the others
            failed += 1
            _tell(name, error)
        else:
            for warning in report.warnings:
                print(f"{name}: {warning}", file=sys.stderr)
    if reports:
        try:
            (options.out / SCORES).write_text(reports_to_cases_csv(reports), "utf-8")
        except OSError as error:
            failed += 1
            _tell(SCORES, error)
    if not options.names and not options.case_per_file:
        print("\n" + "\n".join(f"Field {n}: {file.path.name}" for n, (_, file) in enumerate(scored, 1)))
    print()
    return failed


def _write_case(case: FolderCase, report: CaseReport, path: Path, *, with_pdf: bool) -> None:
    from nucleus_app.reports.case_report import report_to_json
    from nucleus_app.reports.pdf import render_pdf
    from nucleus_app.reports.tables import report_to_fields_csv

    result, pdf = path.with_name(f"{path.name}.json"), path.with_name(f"{path.name}.pdf")
    if result.exists() and not with_pdf:
        pdf.unlink(missing_ok=True)  # of a run before, with other numbers
    result.write_bytes(report_to_json(report))
    path.with_name(f"{path.name}-fields.csv").write_text(report_to_fields_csv(report), "utf-8")
    if with_pdf:
        pdf.write_bytes(render_pdf(report, case.read_pixels))


def _tell(name: str, error: Exception) -> None:
    """Why something was not done; what nobody foresaw goes to the log with where it happened."""
    if isinstance(error, NucleusAppError | OSError):
        text = str(error)
    else:
        logger.exception("%s failed", name)
        text = f"failed unexpectedly ({type(error).__name__}: {error}). The log above has the details."
    tqdm.write(f"{name}: {text}", file=sys.stderr)


def _tabulate(name: str, report: CaseReport) -> str:
    from nucleus_app.reports.printed import say_interval

    score = report.score.primary
    if score is None:
        return f"{name[:32]:32} {'–':>8}  {report.score.missing}"
    interval = say_interval(score.low_percent, score.high_percent, report.rule.cutoffs)
    more = f"; {report.score.advice}" if report.score.advice else ""
    return f"{name[:32]:32} {score.shown + ' %':>8}  {interval:>15}  {score.tumour:13}  {report.score.class_name or '–'}{more}"


def _read_sheet(options: argparse.Namespace) -> CaseSheet | None:
    """What the options say of the case; None where no report is asked for. Raises InvalidCase."""
    if options.protocol is None and not options.pdf and not options.case_per_file:
        if given := [
            f"--{name.replace('_', '-')}" for name, none in OF_A_CASE.items() if getattr(options, name) != none
        ]:
            raise InvalidCase(
                f"{', '.join(given)} would be said of a case, and none is asked for: add --protocol, --pdf or --case-per-file"
            )
        return None
    differentiated = {"yes": True, "no": False}.get(options.well_differentiated)
    return parse_sheet(
        {
            "label": options.label,
            "protocol": options.protocol or Protocol.INDEX_ONLY,
            "target": options.target,
            "well_differentiated": differentiated,
            "mitoses_per_2mm2": options.mitoses,
            "shares": options.shares,
        }
    )


def _dashed(protocol: Protocol) -> str:
    return protocol.value.replace(" ", "-")


def _protocol(text: str) -> Protocol:
    found = next((p for p in Protocol if _dashed(p) == text.replace(" ", "-").lower()), None)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text} is no protocol: use {', '.join(map(_dashed, Protocol))}")
    return found


def _shares(text: str) -> Shares:
    try:
        shares = Shares(**dict(zip((c.value for c in CATEGORIES), map(float, text.split(",")), strict=True)))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text}: give four numbers from 0 to 100, such as 10,20,30,40") from error
    if not shares.is_whole:
        raise argparse.ArgumentTypeError(f"{text} sums to {shares.total:g}, not to 100")
    return shares


def cutoffs_of(sheet: CaseSheet | None) -> tuple[float, ...]:
    return RULES[sheet.protocol].cutoffs if sheet else ()


def _summarise(record: ImageRecord, cutoffs: tuple[float, ...]) -> str:
    """The result of one image in one line."""
    from nucleus_app.reports.printed import say_interval

    if not record.counted:
        return "not counted (--anyway counts all the same)"
    index, counts = record.index, record.counts
    shown = (
        "no tumour nucleus"
        if index is None
        else f"{show_percent(index.percent, cutoffs)} % ({say_interval(index.low_percent, index.high_percent, cutoffs)})"
    )
    return f"{counts.positive} of {counts.tumour} tumour nuclei positive, index {shown}"


def list_images(paths: list[Path], extensions: tuple[str, ...]) -> list[Path]:
    """Files as given (whatever their extension), and the images of folders; within these also of folders named as a role."""
    found: list[Path] = []
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 (pathlib raises for a name that is too long)
            found += sorted(p for p in path.iterdir() if p.suffix.lower() in extensions)
            found += list_images(sorted(p for p in path.iterdir() if p.is_dir() and find_role(p.name)), extensions)
        else:
            found.append(path)
    return found


def distinct_stems(files: list[Path]) -> list[str]:
    """Output names; files of one stem (a.png, a.jpg), and those called as a report would be, keep their extension, so that
    none overwrites another.
    """
    stems = [path.stem[:MAX_STEM] for path in files]
    names = [
        path.name[-MAX_STEM:] if stems.count(s) > 1 or REPORT_NAME.search(s) else s
        for s, path in zip(stems, files, strict=True)
    ]
    seen: dict[str, int] = {}
    distinct = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        distinct.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return distinct
