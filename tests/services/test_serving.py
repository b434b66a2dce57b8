"""The version in service, swapped between scorings."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from db.engine import session_scope
from db.scorings import get_scoring
from db.versions import find_active, find_version, list_activations, list_versions
from nucleus_app.caches import remove_unused
from nucleus_app.errors import CheckpointError
from nucleus_app.kinet.checkpoint import Version, load_version
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.services.base_version import BaseFinder, register_base
from nucleus_app.services.lineage import find_in_service
from nucleus_app.services.serving import Shelf
from nucleus_app.services.worker import Scorer
from nucleus_app.services.workplace import Workplace
from nucleus_app.settings import Settings
from tests.services.versions import Image200, draw_version, keep_version, open_shelf, put_in_service


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", demo=False, weights=str(draw_version(tmp_path, 1)))


@pytest.fixture
def base(workplace: Workplace) -> str:
    return register_base(workplace).sha256


@pytest.fixture
def newer(workplace: Workplace, base: str, tmp_path: Path) -> str:
    return keep_version(workplace, draw_version(tmp_path, 2), parent=base)


@pytest.fixture
def image(workplace: Workplace, tmp_path: Path) -> Image200:
    return Image200(workplace, tmp_path)


@pytest.fixture
def scorer(workplace: Workplace) -> Scorer:
    return Scorer(workplace, open_shelf(workplace))


def blob_of(workplace: Workplace, sha256: str) -> Path:
    return workplace.settings.data_dir / "blobs" / sha256[:2] / sha256


def list_reasons(workplace: Workplace) -> list[tuple[str, str]]:
    with session_scope(workplace.engine) as session:
        return [(row.reason, row.actor) for row in reversed(list_activations(session))]


def test_the_weights_of_the_settings_score_until_a_version_is_put_in_service(
    workplace: Workplace, image: Image200, scorer: Scorer, base: str, newer: str
) -> None:
    assert image.score(scorer)[0] == base
    put_in_service(workplace, newer)
    assert image.score(scorer)[0] == newer


def test_going_back_gives_the_same_nuclei_to_the_last_bit(
    workplace: Workplace, image: Image200, scorer: Scorer, base: str, newer: str
) -> None:
    before = image.score(scorer)
    put_in_service(workplace, newer)
    between = image.score(scorer)
    put_in_service(workplace, base)
    assert image.score(scorer) == before
    assert between[1] != before[1]
    put_in_service(workplace, newer)
    another_process = Scorer(workplace, open_shelf(workplace))
    assert image.score(another_process) == between


def test_a_scoring_is_finished_by_the_version_that_began_it_by_whoever_goes_on_with_it(
    workplace: Workplace, image: Image200, scorer: Scorer, base: str, newer: str
) -> None:
    _, expected = image.score(scorer)
    scoring_id = image.ask()
    scorer.start(scoring_id)
    put_in_service(workplace, newer)
    another_process = Scorer(workplace, open_shelf(workplace))
    assert image.score(another_process, scoring_id) == (base, expected)  # its first step is repeated, too
    assert image.score(another_process)[0] == newer


def test_the_map_of_tumour_is_made_by_the_version_that_scored(
    workplace: Workplace, image: Image200, scorer: Scorer, newer: str
) -> None:
    scoring_id = image.ask()
    image.score(scorer, scoring_id)
    assert scorer.start_roi(scoring_id) == 1
    expected = scorer.find_roi_in_tile(scoring_id, 0)
    put_in_service(workplace, newer)
    newest = image.ask()
    image.score(scorer, newest)
    assert scorer.find_roi_in_tile(scoring_id, 0) == expected
    assert scorer.find_roi_in_tile(newest, 0) != expected


@pytest.mark.parametrize("spoil", [lambda blob: blob.unlink(), lambda blob: blob.write_bytes(blob.read_bytes()[:-1])])
def test_a_version_whose_file_is_lost_or_damaged_leaves_the_one_before_in_service(
    workplace: Workplace,
    image: Image200,
    scorer: Scorer,
    base: str,
    newer: str,
    spoil: Callable[[Path], object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    blob = blob_of(workplace, newer)
    content = blob.read_bytes()
    before = image.score(scorer)
    spoil(blob)
    put_in_service(workplace, newer)
    with caplog.at_level(logging.ERROR):
        assert image.score(scorer) == image.score(scorer) == before
    assert f"version {newer[:12]} cannot be opened" in caplog.text
    assert list_reasons(workplace) == [("chosen", "Dr. A"), ("refused", "worker-1")]  # said once, not at each scoring
    with session_scope(workplace.engine) as session:
        assert find_active(session).sha256 == newer  # it is wanted still
    blob.write_bytes(content)
    assert image.score(scorer)[0] == newer  # and is there as soon as it can be
    assert list_reasons(workplace)[2:] == [("chosen", "worker-1")]
    assert image.score(scorer)[0] == newer
    assert len(list_reasons(workplace)) == 3


def test_a_version_that_does_not_run_leaves_the_one_before_in_service(
    workplace: Workplace, image: Image200, base: str, newer: str
) -> None:
    def open_only_base(version: Version) -> Predictor:
        if version.sha256 != base:
            raise RuntimeError("out of memory")
        return Predictor.open(version, "torch-cpu")

    scorer = Scorer(workplace, Shelf(workplace, open_only_base))
    put_in_service(workplace, newer)
    assert image.score(scorer)[0] == base
    assert list_reasons(workplace)[-1] == ("refused", "worker-1")


def test_a_worker_that_starts_with_a_broken_version_serves_the_latest_that_it_can_open(
    workplace: Workplace, image: Image200, newer: str, tmp_path: Path
) -> None:
    newest = keep_version(workplace, draw_version(tmp_path, 3), parent=newer)
    for sha256 in (newer, newest):
        put_in_service(workplace, sha256)
    blob_of(workplace, newest).unlink()
    assert image.score(Scorer(workplace, open_shelf(workplace)))[0] == newer


def test_the_page_names_what_scores_when_several_versions_are_lost(
    workplace: Workplace, image: Image200, base: str, newer: str, tmp_path: Path
) -> None:
    newest = keep_version(workplace, draw_version(tmp_path, 3), parent=newer)
    for sha256 in (newer, newest):
        put_in_service(workplace, sha256)
        blob_of(workplace, sha256).unlink()
    assert image.score(Scorer(workplace, open_shelf(workplace)))[0] == base
    found = BaseFinder(workplace).find()
    assert found is not None
    with session_scope(workplace.engine) as session:
        assert find_in_service(session, found).version.sha256 == base
    assert [reason for reason, _ in list_reasons(workplace)] == ["chosen", "chosen", "refused", "refused"]
    assert image.score(Scorer(workplace, open_shelf(workplace)))[0] == base
    assert len(list_reasons(workplace)) == 4  # said once


def test_a_version_is_fetched_again_when_its_local_copy_is_spoilt_and_not_when_it_is_well(
    workplace: Workplace, newer: str
) -> None:
    put_in_service(workplace, newer)
    copy = workplace.settings.data_dir / "networks" / f"{newer}.safetensors"
    for spoil in (copy.unlink, lambda: copy.write_bytes(b"half")):
        assert open_shelf(workplace).get_current().version.sha256 == newer
        assert load_version(copy).sha256 == newer
        spoil()
    assert open_shelf(workplace).get_current().version.sha256 == newer
    blob_of(workplace, newer).unlink()
    assert open_shelf(workplace).get_current().version.sha256 == newer
    assert [path for path in copy.parent.iterdir() if path.suffix == ".partial"] == []


def test_the_copy_of_a_version_in_service_counts_as_used(workplace: Workplace, newer: str) -> None:
    put_in_service(workplace, newer)
    open_shelf(workplace).get_current()
    copy = workplace.settings.networks_dir / f"{newer}.safetensors"
    os.utime(copy, (0, 0))
    open_shelf(workplace).get_current()
    remove_unused(workplace.settings.networks_dir)
    assert copy.is_file()


def test_the_base_can_be_gone_back_to_after_an_upgrade_that_ships_another(
    workplace: Workplace, image: Image200, scorer: Scorer, base: str, newer: str, tmp_path: Path
) -> None:
    before = image.score(scorer)
    put_in_service(workplace, newer)
    upgraded = replace(workplace, settings=replace(workplace.settings, weights=str(draw_version(tmp_path, 9))))
    register_base(upgraded)
    put_in_service(upgraded, base)
    assert image.score(Scorer(upgraded, open_shelf(upgraded))) == before
    with session_scope(workplace.engine) as session:
        assert {version.name for version in list_versions(session)} == {"tiny-1", "tiny-2", "tiny-9"}


def test_a_scoring_whose_version_is_gone_says_what_to_do(
    workplace: Workplace, image: Image200, scorer: Scorer, newer: str
) -> None:
    put_in_service(workplace, newer)
    scoring_id = image.ask()
    scorer.start(scoring_id)
    blob_of(workplace, newer).unlink()
    (workplace.settings.data_dir / "networks" / f"{newer}.safetensors").unlink()
    with pytest.raises(CheckpointError, match="press Score again"):
        Scorer(workplace, open_shelf(workplace)).find_in_tile(scoring_id, 0)


def test_the_base_is_kept_once_with_the_date_of_its_file(workplace: Workplace, tmp_path: Path) -> None:
    path = draw_version(tmp_path, 5, created="2026-01-02T03:04:05+00:00")
    dated = replace(workplace, settings=replace(workplace.settings, weights=str(path)))
    first, again = register_base(dated), register_base(dated)
    assert first == again
    assert (first.name, first.parent, first.created.year) == ("tiny-5", None, 2026)
    assert workplace.blobs.get(first.sha256) == path.read_bytes()
    with session_scope(workplace.engine) as session:
        assert find_version(session, first.sha256) == first


def test_what_an_image_looks_like_is_kept_when_its_scoring_starts(
    workplace: Workplace, image: Image200, scorer: Scorer
) -> None:
    scoring_id = image.ask()
    scorer.start(scoring_id)
    with session_scope(workplace.engine) as session:
        traits = get_scoring(session, scoring_id).traits
    assert {"ground", "contrast", "grain", "brown", "blue", "brown_share"} <= set(traits)
    assert traits["ground"] > 180


def test_no_weights_at_all_are_named(workplace: Workplace, tmp_path: Path) -> None:
    lost = replace(workplace, settings=replace(workplace.settings, weights=str(tmp_path / "lost")))
    with pytest.raises(CheckpointError, match="there is no weight file"):
        open_shelf(lost).get_current()


def test_weights_that_were_exchanged_after_they_were_read_are_served_by_their_own_name(
    workplace: Workplace, tmp_path: Path
) -> None:
    file = Path(workplace.settings.weights)
    old, other = load_version(file).sha256, draw_version(tmp_path, 2)
    opened, reading = open_shelf(workplace), open_shelf(workplace)
    assert opened.get_current().version.sha256 == old
    with pytest.raises(CheckpointError):
        reading.get("f" * 64)  # it has read what the base is, and opened nothing
    file.write_bytes(other.read_bytes())
    with pytest.raises(CheckpointError):
        reading.get(old)
    assert reading.get_current().version.sha256 == load_version(other).sha256
    assert opened.get_current().version.sha256 == old  # what is open goes on
