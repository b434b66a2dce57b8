from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from trainer.learning.team import Team

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, sys
from pathlib import Path
from nucleus_app.kinet.checkpoint import load_version
from nucleus_app.kinet.config import Provenance
from tests.trainer.examples import make_example
from trainer.learning.finetune import finetune
from trainer.learning.team import Team
from trainer.learning.tune_policy import TunePolicy

folder = Path(sys.argv[1])
team = Team.join()
asked = team.share({"from": team.rank})

def refuse():
    raise ValueError("the lead said no")

try:
    team.follow(refuse)
    heard = "nothing"
except ValueError as error:
    heard = str(error)
events = []
version = finetune(
    load_version(folder / "start.safetensors"), [make_example(size=96)], [], TunePolicy(steps=3, batch=2, crop_px=64),
    folder / "out.safetensors", Provenance("lab-1"), device="cpu", team=team, report=events.append, attend=lambda: None,
)
said = {"shared": asked, "sha256": version.sha256, "size": team.size, "steps": events[-1]["step"], "heard": heard}
(folder / f"rank-{team.rank}.json").write_text(json.dumps(said))
team.leave()
"""


def test_a_team_of_one_shares_with_itself_and_leaves_gradients_alone() -> None:
    team, network = Team.alone(), torch.nn.Linear(2, 1)
    network(torch.ones(1, 2)).sum().backward()
    before = network.weight.grad.clone()  # type: ignore[union-attr]
    team.average_gradients(network)
    assert torch.equal(network.weight.grad, before)  # type: ignore[arg-type]
    assert team.is_lead
    assert team.share("mine") == "mine"


def test_two_processes_of_torchrun_train_one_version_together(tmp_path: Path) -> None:
    from nucleus_app.kinet.checkpoint import save_version
    from nucleus_app.kinet.config import Provenance, Thresholds
    from nucleus_app.kinet.network import KiNet
    from tests.conftest import TINY

    torch.manual_seed(0)
    save_version(tmp_path / "start.safetensors", KiNet(TINY), Thresholds(), Provenance("start"))
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-port",
        "0",
        "--standalone",
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    ran = subprocess.run(
        [*command, str(program), str(tmp_path)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    first, second = (json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    assert first["shared"] == {"from": 0}
    assert (first["size"], first["steps"]) == (2, 3)
    assert first["heard"] == "the lead said no"
