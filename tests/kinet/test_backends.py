from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nucleus_app.domain.agreement import compare_nuclei
from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.kinet import torch_backend
from nucleus_app.kinet.backends import OPENVINO, TORCH_CPU, choose_device, open_backend, wrap_network
from nucleus_app.kinet.checkpoint import SHIPPED_WEIGHTS, Version, load_version, write_version
from nucleus_app.kinet.network import restore_network
from nucleus_app.kinet.openvino_backend import PREPARED_DIR
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.kinet.torch_backend import TorchBackend

ROOT = Path(__file__).parent.parent.parent
LEVELS = np.full(3, 0.3, np.float32)


def test_openvino_and_torch_find_the_same_nuclei(shipped: Predictor, field: LabelledImage) -> None:
    with_torch = Predictor(shipped.version, open_backend(shipped.version, TORCH_CPU, None))
    fast, slow = shipped.find(field.rgb, field.mpp), with_torch.find(field.rgb, field.mpp)
    assert len(fast) == len(slow) > 100
    fast, slow = (nuclei.select(np.argsort(nuclei.xy[:, 0])) for nuclei in (fast, slow))  # two may be equally sure
    assert np.abs(fast.xy - slow.xy).max() < 0.01
    assert np.array_equal(fast.classes, slow.classes)
    assert np.abs(fast.scores - slow.scores).max() < 1e-3
    assert np.abs(shipped.find_roi(field.rgb) - with_torch.find_roi(field.rgb)).max() < 1e-3


@pytest.mark.parametrize("side", [32, 64, 96])
def test_a_network_in_memory_runs_like_its_version(side: int, tiny: Version) -> None:
    rgb = np.random.default_rng(side).integers(0, 255, (side, 2 * side, 3), dtype=np.uint8)
    network = restore_network(tiny)
    both = np.stack([rgb, 255 - rgb])
    for first, second in zip(
        wrap_network(network, 1.5, "cpu").mark(both, LEVELS),
        wrap_network(network, 1.5, TORCH_CPU).mark(both, LEVELS),
        strict=True,
    ):
        assert np.abs(first.maps - second.maps).max() < 1e-4
        assert ((first.peaks > 0) == (second.peaks > 0)).mean() > 0.999


def test_a_compiled_network_runs_like_the_plain_one_at_any_size(tiny: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on CUDA, in half precision, here with a compiler that needs no card."""
    monkeypatch.setattr(torch_backend, "COMPILE_AFTER", 0)
    network = restore_network(tiny)
    plain = TorchBackend(network, 1.5, "cpu")
    compiled = TorchBackend(network, 1.5, "cpu", fast=True, compiler="eager")
    for side in (64, 96):
        rgb = np.random.default_rng(side).integers(0, 255, (2, side, 2 * side, 3), dtype=np.uint8)
        for first, second in zip(plain.mark(rgb, LEVELS), compiled.mark(rgb, LEVELS), strict=True):
            assert second.maps.dtype == second.peaks.dtype == np.float32
            assert np.abs(first.maps - second.maps).max() < 0.05


def test_half_precision_finds_the_same_nuclei(shipped: Predictor, field: LabelledImage) -> None:
    backend = TorchBackend(restore_network(shipped.version), 1.5, "cpu", fast=True, compiler=None)
    assert backend.batch > 1
    found = Predictor(shipped.version, backend).find(field.rgb, field.mpp)
    exact = shipped.find(field.rgb, field.mpp)
    assert compare_nuclei("half", exact, found, 1.5).detection.f1 > 0.97
    assert len(np.unique(found.scores)) > 0.9 * len(found)  # float32, not the steps of bfloat16


def test_only_sizes_that_come_again_and_again_are_compiled_and_each_for_itself(tiny: Version) -> None:
    """A compiler takes a minute for one size; asked for all of them at once it did not end."""
    compiled: list[list[torch.Size | int]] = []

    def compile_graph(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> object:
        compiled.append([value.shape for value in inputs if value.ndim == 4 and value.dtype == torch.uint8])
        return graph.forward

    backend = TorchBackend(restore_network(tiny), 1.5, "cpu", fast=True, compiler=compile_graph)
    often, once = (np.zeros((1, side, 64, 3), np.uint8) for side in (64, 96))
    for _ in range(torch_backend.COMPILE_AFTER):
        backend.mark(often, LEVELS)
    assert not compiled
    for windows in (often, once, often):
        backend.mark(windows, LEVELS)
    assert compiled == [[often.shape]]


def test_a_compiler_that_fails_costs_speed_only(
    tiny: Version, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_backend, "COMPILE_AFTER", 0)

    def broken(*_: object) -> None:
        raise RuntimeError

    network = restore_network(tiny)
    rgb = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3), dtype=np.uint8)
    with caplog.at_level("WARNING"):
        marked = TorchBackend(network, 1.5, "cpu", fast=True, compiler=broken).mark(rgb, LEVELS)
    assert "uncompiled" in caplog.text
    assert np.abs(marked[0].maps - TorchBackend(network, 1.5, "cpu").mark(rgb, LEVELS)[0].maps).max() < 0.05


def test_windows_run_together_find_what_they_find_alone(shipped: Predictor) -> None:
    image = draw_field(FieldRecipe(width_px=300, height_px=260), np.random.default_rng(2))
    backend = TorchBackend(restore_network(shipped.version), 1.5, "cpu")
    alone = Predictor(shipped.version, backend, core_px=(128, 128), halo_px=96).find(image.rgb, image.mpp)
    backend.batch = 3
    together = Predictor(shipped.version, backend, core_px=(128, 128), halo_px=96).find(image.rgb, image.mpp)
    assert len(alone) == len(together) > 50
    assert np.abs(alone.xy - together.xy).max() < 0.01


@pytest.fixture
def new_version() -> Version:
    """The shipped network as a version of which nothing was kept yet."""
    return replace(load_version(SHIPPED_WEIGHTS), sha256="1" * 64)


def test_the_second_process_needs_no_torch(tmp_path: Path, tiny: Version) -> None:
    write_version(tmp_path / "v.safetensors", tiny)
    program = f"""
import sys, pathlib, numpy as np
from nucleus_app.kinet.checkpoint import load_version
from nucleus_app.kinet.predictor import Predictor
here = pathlib.Path({str(tmp_path)!r})
predictor = Predictor.open(load_version(here / "v.safetensors"), "cpu", cache=here)
predictor.find(np.full((64, 64, 3), 200, np.uint8), 0.5)
print("torch" in sys.modules)
"""
    runs = [subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True) for _ in range(2)]
    assert [run.stdout.strip() for run in runs] == ["True", "False"], runs[0].stderr


def test_the_shipped_weights_were_prepared_at_installation() -> None:
    name = load_version(SHIPPED_WEIGHTS).sha256[:24]
    assert {file.name.rsplit("-", 1)[1] for file in PREPARED_DIR.glob(f"{name}*")} >= {
        "peaks.openvino",
        "features.openvino",
    }


def test_nothing_is_reported_to_the_maker_of_a_library() -> None:
    program = """
import atexit, sys
seen = []
watched = {"os.fork", "socket.connect", "socket.getaddrinfo", "urllib.Request"}
sys.addaudithook(lambda event, _: seen.append(event) if event in watched else None)
atexit.register(lambda: print(seen))  # after all threads
from nucleus_app.kinet.checkpoint import SHIPPED_WEIGHTS, load_version
from nucleus_app.kinet.network import restore_network
from nucleus_app.kinet.openvino_backend import OpenVinoBackend
OpenVinoBackend.of_network(restore_network(load_version(SHIPPED_WEIGHTS)), 1.5)
"""
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr


def test_the_first_process_counts_like_all_later_ones(
    tmp_path: Path, field: LabelledImage, new_version: Version
) -> None:
    converted, kept, unkept = (
        Predictor.open(new_version, "cpu", cache=cache).find(field.rgb, field.mpp)
        for cache in (tmp_path, tmp_path, None)
    )
    assert np.array_equal(converted.scores, kept.scores)
    assert np.array_equal(converted.scores, unkept.scores)


def test_a_damaged_kept_network_is_made_again(tmp_path: Path, tiny: Version) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    before = open_backend(tiny, "cpu", tmp_path).mark(rgb[None], LEVELS)[0].maps.copy()
    kept = sorted(tmp_path.glob("*.openvino"))
    assert len(kept) == 1
    for damage in (b"", b"x" * 100, None):
        content = bytearray(kept[0].read_bytes())
        content[-100] ^= 1
        kept[0].write_bytes(content if damage is None else damage)
        assert np.array_equal(open_backend(tiny, "cpu", tmp_path).mark(rgb[None], LEVELS)[0].maps, before)
    assert not list(tmp_path.glob("tmp*"))


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path: Path, tiny: Version) -> None:
    (tmp_path / "file").write_text("in the way")
    rgb = np.zeros((32, 32, 3), np.uint8)
    assert open_backend(tiny, "cpu", tmp_path / "file").mark(rgb[None], LEVELS)[0].maps.shape == (3, 32, 32)


def test_versions_do_not_share_what_was_kept(tmp_path: Path, tiny: Version) -> None:
    open_backend(tiny, "cpu", tmp_path)
    open_backend(replace(tiny, sha256="2" * 64), "cpu", tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_card_that_torch_has_no_kernels_for_leaves_the_work_to_the_cpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("nucleus_app.kinet.backends.CARDS", (str(tmp_path),))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)

    def ones(*shape: int, device: str) -> torch.Tensor:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device")

    monkeypatch.setattr("torch.ones", ones)
    assert choose_device() == OPENVINO
    assert "no kernel image is available" in caplog.text
