from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucleus_app.domain.agreement import compare_nuclei
from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.errors import CheckpointError
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.kinet.backends import open_backend
from nucleus_app.kinet.checkpoint import SHIPPED_WEIGHTS, Version, load_version, save_version
from nucleus_app.kinet.config import KiNetConfig, Provenance, Thresholds, from_mapping
from nucleus_app.kinet.evaluation import evaluate, radius_in_um
from nucleus_app.kinet.network import restore_network
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.kinet.preprocess import scale_image
from nucleus_app.kinet.tiling import plan_tiles


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 4), st.integers(0, 3))
def test_every_pixel_is_owned_by_exactly_one_tile(height: int, width: int, core: int, halo: int) -> None:
    owned = np.zeros((height, width), int)
    for t in plan_tiles(height, width, core=(32 * core, 64 * core), halo=32 * halo, stride=32):
        owned[t.top : t.bottom, t.left : t.right] += 1
        assert t.window_top % 32 == t.window_left % 32 == 0
        assert t.window_top <= t.top < t.bottom <= t.window_bottom <= height
        assert t.window_left <= t.left < t.right <= t.window_right <= width
    assert (owned == 1).all()


def test_tiles_off_the_networks_grid_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of the stride"):
        plan_tiles(100, 100, core=(40, 64), halo=0, stride=32)


def test_tiled_maps_equal_the_whole(shipped: Predictor) -> None:
    image = draw_field(FieldRecipe(width_px=700, height_px=600), np.random.default_rng(2))
    tiled = Predictor(shipped.version, open_backend(shipped.version, "cpu", None), core_px=(256, 256))
    field = tiled.prepare(image.rgb, image.mpp)
    assert len(field.tiles) == 9
    whole = shipped.stitch_maps(shipped.prepare(image.rgb, image.mpp))
    assert np.abs(tiled.stitch_maps(field) - whole).max() < 1e-4


def test_tiled_nuclei_equal_the_whole(shipped: Predictor) -> None:
    image = draw_field(FieldRecipe(width_px=700, height_px=600), np.random.default_rng(3))
    tiled = Predictor(shipped.version, open_backend(shipped.version, "cpu", None), core_px=(256, 256)).find(
        image.rgb, image.mpp
    )
    whole = shipped.find(image.rgb, image.mpp)
    same = compare_nuclei("seams", whole, tiled, 0.5)
    assert len(whole) == len(tiled) == same.confusion.trace()


def test_a_blank_field_has_no_nuclei(shipped: Predictor) -> None:
    for value in (255, 244, 128, 0):
        assert len(shipped.find(np.full((200, 230, 3), value, np.uint8), 0.5)) == 0


def test_scaling_maps_points_there_and_back_with_half_pixels_right() -> None:
    rgb = np.zeros((301, 403, 3), np.uint8)
    scaled, scaling = scale_image(rgb, 0.25, 0.5)
    assert scaled.shape == (150, 202, 3)
    corners = np.array([[-0.5, -0.5], [402.5, 300.5]], np.float32)
    assert scaling.to_network(corners) == pytest.approx(np.array([[-0.5, -0.5], [201.5, 149.5]]), abs=1e-3)
    back = scaling.to_image(Nuclei.from_arrays(scaling.to_network(corners), [0, 1]))
    assert back.xy == pytest.approx(corners, abs=1e-3)


def test_nuclei_are_found_at_the_same_place_at_twice_the_resolution(shipped: Predictor) -> None:
    image = draw_field(FieldRecipe(width_px=300, height_px=300), np.random.default_rng(4))
    doubled = np.repeat(np.repeat(image.rgb, 2, axis=0), 2, axis=1)
    near, far = shipped.find(image.rgb, 0.5), shipped.find(doubled, 0.25)
    centred = Nuclei((far.xy + 0.5) / 2 - 0.5, far.classes, far.scores)
    same = compare_nuclei("scale", near, centred, 1.5)
    assert same.detection.f1 > 0.95
    assert np.abs(same.distance_px.mean()) < 0.3


def test_cutting_candidates_equals_predicting_at_that_threshold(shipped: Predictor, field: LabelledImage) -> None:
    low = shipped.with_thresholds((0.1, 0.1, 0.1)).find(field.rgb, field.mpp)
    at = (0.4, 0.4, 0.4)
    found = shipped.with_thresholds(at).find(field.rgb, field.mpp)
    assert np.array_equal(low.reaching(at).xy, found.xy)


def test_evaluation_of_the_truth_itself_is_perfect(shipped: Predictor, field: LabelledImage) -> None:
    found = shipped.find(field.rgb, field.mpp)
    result = evaluate(shipped, [replace(field, nuclei=found)], radius_in_um(6))
    assert result.agreement.detection.f1 == 1
    assert result.agreement.weighted.f1 == pytest.approx(1)
    assert result.agreement.index_mae_points == 0
    assert result.megapixels == pytest.approx(0.16)


def test_saved_and_loaded_versions_are_identical(tiny: Version, tmp_path: Path) -> None:
    path = tmp_path / "v.safetensors"
    save_version(
        path, restore_network(tiny), Thresholds((0.3, 0.4, 0.5), 5.0, 0.5), Provenance("v", ("a",), "2026", {"k": [1]})
    )
    again = load_version(path)
    assert again.config == tiny.config
    assert again.thresholds == Thresholds((0.3, 0.4, 0.5), 5.0, 0.5)
    assert again.provenance == Provenance("v", ("a",), "2026", {"k": [1]})
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    levels = np.full(3, 0.3, np.float32)
    first, second = (
        open_backend(v, "torch-cpu", None).mark(image[None], levels)[0]
        for v in (tiny, replace(again, thresholds=tiny.thresholds))
    )
    assert np.array_equal(first.maps, second.maps)
    assert np.array_equal(first.peaks, second.peaks)
    assert all(np.array_equal(tiny.state[name], again.state[name]) for name in tiny.state | again.state)


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.002, 0.3, 0.9999])
def test_a_damaged_weight_file_is_refused_wherever_the_damage_is(share: float, tiny: Version, tmp_path: Path) -> None:
    path = tmp_path / "v.safetensors"
    save_version(path, restore_network(tiny), Thresholds(), Provenance("v"))
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="restore it"):
        load_version(path)


def test_missing_truncated_and_foreign_files_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no weight file"):
        load_version(tmp_path / "none.safetensors")
    for name, content in {"empty": b"", "cut": SHIPPED_WEIGHTS.read_bytes()[:5000], "text": b"hello" * 100}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match="restore it"):
            load_version(tmp_path / name)


def test_unknown_config_keys_are_refused() -> None:
    with pytest.raises(CheckpointError, match="widht"):
        from_mapping(KiNetConfig, {"widht": 3})


def test_the_shipped_weights_are_small_and_named() -> None:
    version = load_version(SHIPPED_WEIGHTS)
    assert SHIPPED_WEIGHTS.stat().st_size < 15e6
    card = Path("MODEL_CARD.md").read_text("utf-8")
    assert card.startswith(f"# Model card: {version.name}\n")
    assert version.sha256 in card
