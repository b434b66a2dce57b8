"""Weights on disk: one safetensors file whose header carries config, thresholds and provenance as JSON."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save_file

from nucleus_app.domain.confidence import Confidence
from nucleus_app.errors import CheckpointError
from nucleus_app.kinet.config import KiNetConfig, Provenance, ScaleGuess, Thresholds, from_mapping, to_mapping
from nucleus_app.whole_files import writing_whole

if TYPE_CHECKING:
    from nucleus_app.kinet.network import KiNet

State = dict[str, NDArray[Any]]

HEADER_KEY, SEAL_KEY = "kinet", "seal"
"""Entries of the safetensors header: the JSON, and a digest over that JSON and every array."""
SHIPPED_WEIGHTS = Path(__file__).parent.parent / "weights" / "base.safetensors"


@dataclass(frozen=True, slots=True)
class Version:
    """A set of trained weights with all that is needed to use them. ``sha256`` is that of the file; ``state`` holds
    the network's arrays by name (``network.restore_network`` makes a network of them).
    """

    config: KiNetConfig
    thresholds: Thresholds
    provenance: Provenance
    sha256: str
    state: State = field(repr=False, compare=False)
    confidence: Confidence | None = None
    scale_guess: ScaleGuess = field(default_factory=ScaleGuess)

    @property
    def name(self) -> str:
        return self.provenance.name

    @property
    def key(self) -> str:
        """What files that are made from it are called."""
        return self.sha256[:24]


def find_weights(path: str) -> Path:
    """The weight file that a setting means: the shipped one if nothing is set."""
    return Path(path) if path else SHIPPED_WEIGHTS


def save_version(path: Path, network: KiNet, thresholds: Thresholds, provenance: Provenance) -> None:
    """Write a network as a version, atomically."""
    write_version(path, Version(network.config, thresholds, provenance, "", state_of(network)))


def write_version(path: Path, version: Version) -> None:
    """Write a version, whole or not at all."""
    header = {
        "config": to_mapping(version.config),
        "thresholds": to_mapping(version.thresholds),
        "provenance": to_mapping(version.provenance),
        "confidence": to_mapping(version.confidence) if version.confidence else None,
        "scale_guess": to_mapping(version.scale_guess),
    }
    described = json.dumps(header, sort_keys=True)
    with writing_whole(path) as partial:
        save_file(version.state, partial, metadata={HEADER_KEY: described, SEAL_KEY: _seal(described, version.state)})


def state_of(network: KiNet) -> State:
    """The arrays of a network by name."""
    return {name: np.array(value.detach().cpu().numpy(), order="C") for name, value in network.state_dict().items()}


def load_version(path: Path) -> Version:
    """Load and check a weight file. Raises CheckpointError unless its content fits its seal."""
    if not path.is_file():
        raise CheckpointError(
            f"there is no weight file at {path}: name another by NUCLEUS_WEIGHTS or --weights, or install the app anew"
        )
    try:
        return parse_version(path.read_bytes())
    except (CheckpointError, OSError) as error:
        raise CheckpointError(
            f"{path.name} is no KiNet weight file or is damaged ({error}): restore it from its source"
        ) from error


def parse_version(content: bytes) -> Version:
    """The bytes of a weight file as a version. Raises CheckpointError unless they fit their seal."""
    try:
        state = load(content)
        metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
        if metadata[SEAL_KEY] != _seal(metadata[HEADER_KEY], state):
            raise ValueError("its content does not fit its seal")
        header = json.loads(metadata[HEADER_KEY])
        config = from_mapping(KiNetConfig, header["config"])
        thresholds = from_mapping(Thresholds, {"least_dip": 0.0} | header["thresholds"])  # versions of before had none
        provenance = from_mapping(Provenance, header["provenance"])
        confidence = from_mapping(Confidence, header["confidence"]) if header.get("confidence") else None
        scale_guess = from_mapping(ScaleGuess, header.get("scale_guess", {}))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(str(error)) from error
    return Version(config, thresholds, provenance, hashlib.sha256(content).hexdigest(), state, confidence, scale_guess)


def _seal(described: str, state: State) -> str:
    digest = hashlib.sha256(described.encode())
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(state[name]).data)
    return digest.hexdigest()
