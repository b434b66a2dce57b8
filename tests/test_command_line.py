from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from nucleus_app.__main__ import main
from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.errors import NucleusAppError
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.reports.case_report import CaseReport
from nucleus_app.services.folders import FolderCase
from nucleus_app.settings import parse_hours, read_settings
from tests.labelled_folders import write_labelled


@pytest.fixture
def image(tmp_path: Path, field: LabelledImage) -> Path:
    Image.fromarray(field.rgb).save(tmp_path / "field.png")
    return tmp_path / "field.png"


def test_score_writes_json_and_csv_with_the_networks_own_numbers(
    image: Path, tmp_path: Path, field: LabelledImage, shipped: Predictor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", str(image), "--mpp", "0.5", "--out", str(tmp_path / "out")]) == 0
    result = json.loads((tmp_path / "out/field.json").read_text("utf-8"))
    nuclei = shipped.find(field.rgb, 0.5)
    counts = nuclei.counts()
    assert set(result) >= {
        "image_sha256", "width_px", "height_px", "mpp", "mpp_source", "version", "thresholds", "nuclei", "counts",
        "index_percent", "ci95_percent", "warnings",
    }  # fmt: skip
    assert result["counts"] == counts._asdict()
    assert result["index_percent"] == pytest.approx(100 * counts.positive / counts.tumour)
    assert result["version"] == {"name": shipped.version.name, "sha256": shipped.version.sha256}
    assert np.array(result["nuclei"])[:, :2] == pytest.approx(nuclei.xy, abs=0.006)
    rows = list(csv.DictReader((tmp_path / "out/field.csv").open(encoding="utf-8")))
    assert len(rows) == len(nuclei)
    assert "1 passed, 0 failed" in capsys.readouterr().out


def test_one_bad_image_fails_the_exit_code_but_not_the_others(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    assert main(["score", str(tmp_path), "--mpp", "0.5", "--out", str(tmp_path / "out")]) == 1
    assert [p.name for p in sorted((tmp_path / "out").iterdir())] == ["field.csv", "field.json"]
    captured = capsys.readouterr()
    assert "broken.png: The file is not an image" in captured.err
    assert "1 passed, 1 failed" in captured.out


def test_results_of_another_image_are_not_replaced_unless_asked_for(
    image: Path, tmp_path: Path, field: LabelledImage, capsys: pytest.CaptureFixture[str]
) -> None:
    case = ["--mpp", "0.5", "--out", str(tmp_path / "out"), "--protocol", "index-only"]
    assert main(["score", str(image), *case]) == 0
    assert main(["score", str(image), *case]) == 0  # the same image again is fine
    before = (tmp_path / "out/case.json").read_bytes()
    (tmp_path / "other").mkdir()
    Image.fromarray(field.rgb[::-1].copy()).save(tmp_path / "other/second.png")
    assert main(["score", str(tmp_path / "other"), *case]) == 1
    assert "case.json is of other images: give another --out" in capsys.readouterr().err
    assert (tmp_path / "out/case.json").read_bytes() == before
    assert main(["score", str(tmp_path / "other"), *case, "--overwrite"]) == 0
    assert (tmp_path / "out/case.json").read_bytes() != before


def test_labels_beside_the_images_are_never_replaced(
    tmp_path: Path, field: LabelledImage, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = write_labelled(tmp_path / "set", field)
    before = labels.read_bytes()
    assert main(["score", str(tmp_path / "set"), "--mpp", "0.5", "--out", str(tmp_path / "set"), "--overwrite"]) == 1
    assert "holds the labels of an image" in capsys.readouterr().err
    assert labels.read_bytes() == before


def test_too_many_images_for_one_case_are_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for n in range(501):
        (tmp_path / f"{n}.png").touch()
    assert main(["score", str(tmp_path), "--out", str(tmp_path / "out"), "--protocol", "index-only"]) == 1
    assert "at most 500 images, and these are 501: use --case-per-file" in capsys.readouterr().err


def test_a_pixel_size_is_never_guessed(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(image), "--out", str(tmp_path / "out")]) == 1
    assert "give it with --mpp" in capsys.readouterr().err
    assert main(["score", str(image), "--mpp", "40", "--out", str(tmp_path / "out")]) == 1
    assert "40 µm/px is not possible" in capsys.readouterr().err


def test_an_image_without_tumour_has_a_null_index(tmp_path: Path) -> None:
    Image.new("RGB", (200, 200), "white").save(tmp_path / "blank.png", dpi=(50_800, 50_800))
    assert main(["score", str(tmp_path / "blank.png"), "--out", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "blank.json").read_text("utf-8"))
    assert (result["index_percent"], result["ci95_percent"], result["nuclei"]) == (None, None, [])
    assert result["mpp_source"] == "PNG density"
    assert result["warnings"][0] == "There is no tissue in this image."


def test_what_is_no_ki67_field_is_not_counted_unless_insisted_on(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inverted = ImageOps.invert(Image.open(image).convert("RGB"))
    inverted.save(tmp_path / "inverted.png")
    command = ["score", str(tmp_path / "inverted.png"), "--mpp", "0.5", "--out", str(tmp_path)]
    assert main(command) == 0
    result = json.loads((tmp_path / "inverted.json").read_text("utf-8"))
    assert (result["counted"], result["counts"], result["nuclei"], result["index_percent"]) == (False, None, [], None)
    assert "ground is dark" in result["warnings"][0]
    assert "--anyway" in capsys.readouterr().out
    assert main([*command, "--anyway"]) == 0
    insisted = json.loads((tmp_path / "inverted.json").read_text("utf-8"))["warnings"]
    assert "ground is dark" in insisted[0]
    assert not any("Nothing was counted" in warning for warning in insisted)


def test_files_of_one_stem_do_not_overwrite_each_other(image: Path, tmp_path: Path, field: LabelledImage) -> None:
    Image.fromarray(field.rgb).save(tmp_path / "field.bmp")
    (tmp_path / "sub").mkdir()
    Image.fromarray(field.rgb).save(tmp_path / "sub/field.png")
    assert main(["score", str(tmp_path), str(tmp_path / "sub"), "--mpp", "0.5", "--out", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").glob("*.json"))) == 3


def test_evaluate_writes_every_promised_number(tmp_path: Path, field: LabelledImage) -> None:
    write_labelled(tmp_path / "set", field)
    out = tmp_path / "result.json"
    assert main(["evaluate", str(tmp_path / "set"), "--radius-um", "6", "--json", str(out)]) == 0
    result = json.loads(out.read_text("utf-8"))
    assert set(result) == {"detection", "classification", "index", "n_images", "n_nuclei", "seconds", "megapixels"}
    assert set(result["detection"]) >= {"precision", "recall", "f1", "distance_px_mean", "distance_px_sd"}
    assert set(result["classification"]["weighted"]) == {"precision", "recall", "f1"}
    assert set(result["classification"]["per_class"]) == {"positive", "negative", "other"}
    assert result["detection"]["f1"] > 0.8
    assert 0 < result["classification"]["auc"] <= 1
    assert result["index"]["per_image"][0]["name"] == "synthetic"
    assert (result["n_images"], result["n_nuclei"]) == (1, len(field.nuclei))


def test_evaluate_on_nothing_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(tmp_path), "--json", str(tmp_path / "r.json")]) == 1
    assert "holds no labelled image" in capsys.readouterr().err


def test_help_answers_without_loading_the_network() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "nucleus_app", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "evaluate" in done.stdout
    assert " torch" not in done.stderr


def test_settings_come_from_the_environment_and_nothing_unknown_is_accepted() -> None:
    settings = read_settings(
        {"NUCLEUS_PORT": "8000", "NUCLEUS_DEMO": "no", "DATABASE_URL": "postgresql://x", "PATH": "/"}
    )
    assert (settings.port, settings.demo, settings.sqlalchemy_url) == (8000, False, "postgresql://x")
    assert read_settings({}).host_names == ["localhost", "127.0.0.1"]
    assert read_settings({"NUCLEUS_HOST": "0.0.0.0"}).host_names == ["*"]
    assert read_settings({"NUCLEUS_TRAIN_HOURS": "20-6", "NUCLEUS_TRAINER": "off"}).train_hours == "20-6"
    assert (parse_hours(" 20 - 6"), parse_hours("")) == ((20, 6), None)
    assert read_settings({"NUCLEUS_ALLOWED_HOSTS": "ki67.lan, x"}).host_names == [
        "ki67.lan",
        "x",
        "localhost",
        "127.0.0.1",
    ]
    assert read_settings({"NUCLEUS_HOST": "", "NUCLEUS_TRAINER_SLOT": ""}) == read_settings({})  # never every address
    for name, value, message in (
        ("NUCLEUS_PROT", "1", "is no setting"),
        ("NUCLEUS_PORT", "high", "use a value like 7860"),
        ("NUCLEUS_DEMO", "maybe", "use a value like True"),
        ("NUCLEUS_WORKER", "none", "'embedded' or 'external'"),
        ("NUCLEUS_TRAINER", "none", "'embedded', 'external' or 'off'"),
        ("NUCLEUS_TRAIN_AFTER_FIELDS", "-1", "use 0 or more"),
        ("NUCLEUS_TRAIN_STEPS", "19", "NUCLEUS_TRAIN_STEPS is 19: use 20 or more"),
        ("NUCLEUS_KEEP_REMOVED_DAYS", "0", "is 0: use 1 to 36500"),
        ("NUCLEUS_KEEP_SLIDES_DAYS", "3000000", "is 3000000: use 1 to 36500"),
        ("NUCLEUS_TRAINER_SLOT", "../x", "up to 40 letters, digits, dots, - and _"),
        ("NUCLEUS_TRAINER_SLOT", "t" * 41, "up to 40 letters, digits, dots, - and _"),
        ("NUCLEUS_TRAINER_SLOT", "gpu\n", "up to 40 letters, digits, dots, - and _"),
        ("NUCLEUS_TRAINER_SLOT", "worker-1", "both 'worker-1': use two names"),
        ("NUCLEUS_WORKER_SLOT", "a/b", "NUCLEUS_WORKER_SLOT is"),
        ("NUCLEUS_TRAIN_HOURS", "20:00-6", "two hours from 0 to 24"),
        ("NUCLEUS_TRAIN_HOURS", "6-6", "two hours from 0 to 24"),
        ("NUCLEUS_TRAIN_HOURS", "6-25", "two hours from 0 to 24"),
        ("NUCLEUS_REPLAY_DIR", "/nowhere", "use a folder of labelled images"),
    ):
        with pytest.raises(NucleusAppError, match=message):
            read_settings({name: value})


def test_every_setting_is_documented() -> None:
    documented = Path("docs/administration.md").read_text("utf-8")
    from nucleus_app.settings import Settings

    assert [name for name in Settings.__slots__ if f"NUCLEUS_{name.upper()}" not in documented] == []
    assert "DATABASE_URL" in documented


def test_a_folder_becomes_one_case_with_roles_from_its_folders_and_a_pdf(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for role, left in (("low", 0), ("High", 60)):
        (tmp_path / "fields" / role).mkdir(parents=True)
        Image.open(image).crop((left, 0, left + 250, 250)).save(tmp_path / "fields" / role / f"=x {role}.png")
    (tmp_path / "fields/low/broken.png").write_bytes(b"no image")
    case = ["--protocol", "breast-weighted", "--shares", "0,75,0,25", "--pdf", "--label", "P-17"]
    command = ["score", str(tmp_path / "fields"), "--mpp", "0.5", "--out", str(tmp_path / "out"), *case]
    assert main(command) == 1  # one image failed, the others are done
    report = json.loads((tmp_path / "out/case.json").read_text("utf-8"))
    assert [field["role"] for field in report["fields"]] == ["high", "low"]
    score, each = report["score"]["primary"], {f["role"]: f["percent"] for f in report["fields"]}
    assert score["name"] == "Weighted global score"
    assert score["percent"] == pytest.approx(0.75 * each["low"] + 0.25 * each["high"])
    assert (tmp_path / "out/case.pdf").read_bytes().startswith(b"%PDF")
    assert main([*command[:-1], "=P-17", "--names"]) == 1
    assert "'=x low" in (tmp_path / "out/case-fields.csv").read_text("utf-8")  # no spreadsheet runs a file's name
    captured = capsys.readouterr()
    assert "broken.png: The file is not an image" in captured.err
    assert f"{score['shown']} %" in captured.out
    assert "2 passed, 1 failed" in captured.out


def test_a_case_whose_images_failed_says_so_and_no_other_field_takes_the_place_of_a_hot_spot(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in/hot spot").mkdir(parents=True)
    Image.open(image).crop((0, 0, 200, 200)).save(tmp_path / "in/a.png")
    (tmp_path / "in/b.png").write_bytes(b"no image")
    command = [
        "score",
        str(tmp_path / "in"),
        "--mpp",
        "0.5",
        "--out",
        str(tmp_path / "out"),
        "--protocol",
        "net-hot-spot",
    ]
    assert main(command) == 1
    warnings = json.loads((tmp_path / "out/case.json").read_text("utf-8"))["warnings"]
    assert warnings[0] == "1 image of this case could not be scored and is not in this report."
    (tmp_path / "in/hot spot/h.png").write_bytes(b"no image")
    assert main([*command[:4], "--out", str(tmp_path / "other"), *command[6:]]) == 1
    assert not (tmp_path / "other/case.json").exists()
    assert "no hot spot image could be scored" in capsys.readouterr().err


def test_nothing_of_an_earlier_run_stays_beside_other_numbers(image: Path, tmp_path: Path) -> None:
    ImageOps.invert(Image.open(image)).save(tmp_path / "in.png")
    out = tmp_path / "out"
    command = ["score", str(tmp_path / "in.png"), "--out", str(out), "--protocol", "index-only", "--mpp", "0.5"]
    assert main([*command, "--anyway", "--pdf"]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "case-fields.csv",
        "case-scores.csv",
        "case.json",
        "case.pdf",
        "in.csv",
        "in.json",
    ]
    assert main(command) == 0  # nothing is counted in inverted colours
    assert sorted(path.name for path in out.iterdir()) == ["case-fields.csv", "case-scores.csv", "case.json", "in.json"]


@pytest.mark.parametrize("name", ["field.csv", "case-fields.csv", "case-scores.csv", "case.pdf"])
def test_a_file_of_ones_own_is_not_replaced(
    image: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("mine")
    assert main(["score", str(image), "--mpp", "0.5", "--out", str(tmp_path), "--protocol", "index-only", "--pdf"]) == 1
    assert (tmp_path / name).read_text() == "mine"
    assert name in capsys.readouterr().err


def test_what_is_of_a_case_is_not_ignored_without_one(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", str(image), "--mpp", "0.5", "--out", str(tmp_path / "out"), "--mitoses", "3"]) == 1
    assert "--mitoses" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_no_text_costs_no_other_image(image: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in (os.fsdecode(b"M\xfcller.png"), "z.png"):
        Image.open(image).crop((0, 0, 100, 100)).save(tmp_path / "in" / name)
    command = [
        sys.executable,
        "-m",
        "nucleus_app",
        "score",
        str(tmp_path / "in"),
        "--mpp",
        "0.5",
        "--out",
        str(tmp_path),
    ]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"}, capture_output=True, check=False
    )
    assert (done.returncode, b"2 passed" in done.stdout) == (0, True), done.stderr


def test_each_file_can_be_a_case_of_its_own_and_no_report_holds_a_files_name(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("Jane Doe.png", "case.png", "x.png"):
        Image.open(image).crop((0, 0, 300, 300)).save(tmp_path / "in" / name)
    assemble = FolderCase.report

    def report(case: FolderCase) -> CaseReport:
        if case._files[0].path.name == "x.png":
            raise ZeroDivisionError("a defect")
        return assemble(case)

    monkeypatch.setattr(FolderCase, "report", report)
    command = [
        "score",
        str(tmp_path / "in"),
        "--mpp",
        "0.5",
        "--out",
        str(tmp_path / "out"),
        "--case-per-file",
        "--pdf",
    ]
    assert main([*command, "--protocol", "net-hot-spot", "--well-differentiated", "yes", "--mitoses", "1"]) == 1
    reports = {path.name: json.loads(path.read_text("utf-8")) for path in (tmp_path / "out").glob("*-case.json")}
    assert sorted(reports) == [
        "Jane Doe-case.json",
        "case.png-case.json",
    ]  # and the image's own case.png.json beside it
    assert (tmp_path / "out/case.png.json").exists()
    assert [len(r["fields"]) for r in reports.values()] == [1, 1]
    with (tmp_path / "out/case-scores.csv").open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    assert [(row["protocol"], row["class"][:5], row["note"][:12]) for row in rows] == 2 * [
        ("NET hot spot", "NET G", "The interval")
    ]
    assert reports["Jane Doe-case.json"]["score"]["class_name"].startswith("NET G")
    assert not any("Jane" in json.dumps(r) for r in reports.values())
    assert b"Jane" not in (tmp_path / "out/Jane Doe-case.pdf").read_bytes()
    assert "x-case: failed unexpectedly (ZeroDivisionError: a defect)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (["--protocol", "guess"], "guess"),
        (["--shares", "1,2,3,4"], "sums to 10,"),
        (["--shares", "a"], "four"),
        (["--target", "7", "--pdf"], "target"),
    ],
)
def test_a_protocol_that_cannot_be_is_refused_before_any_work(
    image: Path, tmp_path: Path, wrong: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["score", str(image), "--mpp", "0.5", "--out", str(tmp_path / "out"), *wrong])
    except SystemExit as stop:
        code = stop.code
    assert code in (1, 2)
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
