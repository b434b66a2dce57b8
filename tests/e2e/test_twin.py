"""The fold in the browser and the fold on the server give the same nuclei, whatever is thrown at them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser, Page

from nucleus_app.domain.edits import Bounds, SignedEdit, parse_edit
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.domain.review import fold
from nucleus_app.ui.viewer.component import static_version
from tests.e2e.running import RunningApp

pytestmark = pytest.mark.browser
SIDE = 100
N = 14
THRESHOLDS = (0.4, 0.4, 0.4)
BOUNDS = Bounds(SIDE, SIDE, (0.2, 0.2, 0.2))
CLIENTS = {"a": "ann", "b": "ann", "c": "bob"}  # two pages of one browser, one of another

# Folds a log in the order in which a page would learn of it, and tells what is there.
FOLD = """async ([candidates, thresholds, steps, root]) => {
  const { PointStore, NETWORK, EDITED, ABSENT, LEFT_OUT } = await import(root + '/points.js');
  const { Review } = await import(root + '/review.js');
  const { xy, scores, classes, side } = candidates;
  const points = new PointStore(new Float32Array(xy), new Float32Array(scores), new Uint8Array(classes), side, side);
  const review = new Review(points, thresholds);
  for (const { edit, rev } of steps) review.apply(edit, rev);
  const nuclei = [];
  for (let i = 0; i < points.n; i++) {
    if (points.standings[i] === ABSENT) continue;
    const origin = points.origins[i] === NETWORK ? 'network' : points.origins[i] === EDITED ? 'edited' : 'placed';
    nuclei.push([review.idOf(i), points.xy[2 * i], points.xy[2 * i + 1], points.classes[i], origin, points.standings[i] === LEFT_OUT]);
  }
  const fresh = [0, 1, 2].map((kind) => nuclei.filter((n) => n[3] === kind && !n[5]).length);
  return { nuclei, counts: [...review.counts], leftOut: review.leftOut, fresh };
}"""

coordinate = st.integers(0, 10 * (SIDE - 1)).map(lambda v: v / 10)
place = st.tuples(coordinate, coordinate)
kinds = st.integers(0, 2)


levels = st.integers(20, 95).map(lambda v: v / 100)
points = st.lists(place, min_size=3, max_size=6).map(lambda ps: [v for p in ps for v in p])
radius = st.integers(1, 300).map(lambda v: v / 10)


def _runs(cells: list[bool]) -> list[int]:
    runs, last = [0], False
    for cell in cells:
        if cell != last:
            runs.append(0)
            last = cell
        runs[-1] += 1
    return runs


region = {
    "op": st.just("region"),
    "label": st.sampled_from(["tumour", "non-tumour", "exclude", "erase", "reviewed", "unreviewed"]),
}
cells = {
    "shape": st.just("cells"), "left": st.just(-0.5), "top": st.just(-0.5), "size": st.just(20), "columns": st.just(5),
    "runs": st.lists(st.booleans(), min_size=25, max_size=25).map(_runs),
}  # fmt: skip
regions = st.one_of(
    st.fixed_dictionaries(region | {"shape": st.just("brush"), "r": radius, "pts": points}),
    st.fixed_dictionaries(region | {"shape": st.just("brush"), "r": radius, "pts": place.map(list)}),
    st.fixed_dictionaries(region | {"shape": st.just("polygon"), "pts": points}),
    st.fixed_dictionaries(region | cells),
)


@st.composite
def logs(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Edits of three pages in the order of the server, all of them possible."""
    log: list[dict[str, Any]] = []
    seqs = dict.fromkeys(CLIENTS, 0)
    for _ in range(draw(st.integers(1, 25))):
        client = draw(st.sampled_from(sorted(CLIENTS)))
        placed = [e["key"] for e in log if e["op"]["op"] == "add"]
        ids = st.sampled_from([*range(N), *placed])
        own = [e["key"] for e in log if e["author"] == CLIENTS[client] and e["op"]["op"] not in ("undo", "redo")]
        choices = ["class", "delete", "move", "add", "cut", "region", *(["undo", "undo", "redo"] if own else [])]
        op = draw(_op(draw(st.sampled_from(choices)), ids, own))
        seqs[client] += 1
        log.append({"key": f"{client}:{seqs[client]}", "op": op, "author": CLIENTS[client]})
    return log


def _op(name: str, ids: st.SearchStrategy[Any], own: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    some = st.lists(ids, min_size=1, max_size=6, unique=True)
    edit = {"op": st.just(name)}
    match name:
        case "class":
            return st.fixed_dictionaries(edit | {"ids": some, "c": kinds})
        case "delete":
            return st.fixed_dictionaries(edit | {"ids": some})
        case "move":
            return st.fixed_dictionaries(edit | {"id": ids, "x": coordinate, "y": coordinate})
        case "add":
            return st.fixed_dictionaries(edit | {"x": coordinate, "y": coordinate, "c": kinds})
        case "cut":
            return st.fixed_dictionaries(edit | {"c": kinds, "level": levels})
        case "region":
            return regions
        case _:
            return st.fixed_dictionaries(edit | {"edit": st.sampled_from(own)})


@pytest.fixture(scope="module")
def module_page(browser: Browser, seeded_app: RunningApp) -> Page:
    page = browser.new_page()
    page.goto(seeded_app.url + "nucleus/healthz")
    return page


@pytest.fixture(scope="module")
def static(seeded_app: RunningApp) -> str:
    return f"{seeded_app.url}nucleus/static/{static_version()}"


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(log=logs(), data=st.data(), seed=st.integers(0, 1000))
def test_browser_and_server_fold_any_log_alike_in_any_order_of_arrival(
    module_page: Page, static: str, log: list[dict[str, Any]], data: st.DataObject, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    xy = rng.integers(0, 10 * (SIDE - 1), (N, 2)) / 10
    candidates = Nuclei.from_arrays(xy, rng.integers(0, 3, N), rng.integers(20, 90, N) / 100)
    here = data.draw(st.sampled_from(sorted(CLIENTS)), label="the page that folds")
    steps = _arrivals(log, here, data)
    answer = module_page.evaluate(
        FOLD,
        [
            {"xy": candidates.xy.ravel().tolist(), "scores": candidates.scores.tolist(), "classes": candidates.classes.tolist(), "side": SIDE},
            list(THRESHOLDS),
            steps,
            static,
        ],
    )  # fmt: skip
    signed = [
        SignedEdit(e["key"].split(":")[0], int(e["key"].split(":")[1]), e["author"], parse_edit(e["op"], BOUNDS))
        for e in log
    ]
    review = fold(candidates, THRESHOLDS, (SIDE, SIDE), signed)
    there = review.nuclei()
    expected = sorted(
        (str(id_), round(float(x), 3), round(float(y), 3), int(kind), str(origin), bool(out))
        for id_, (x, y), kind, origin, out in zip(
            there.ids, there.nuclei.xy, there.nuclei.classes, there.origins, there.left_out, strict=True
        )
    )
    found = sorted((str(n[0]), round(n[1], 3), round(n[2], 3), n[3], n[4], n[5]) for n in answer["nuclei"])
    assert found == expected
    assert tuple(answer["counts"]) == review.counts() == tuple(answer["fresh"])
    assert answer["leftOut"] == sum(there.left_out)


def _arrivals(log: list[dict[str, Any]], here: str, data: st.DataObject) -> list[dict[str, Any]]:
    """A page applies its own edits when they are made, before the server has placed them, and some things come twice."""
    steps: list[dict[str, Any]] = []
    told = 0
    for i, edit in enumerate(log):
        if edit["key"].split(":")[0] == here:
            if _names_others(edit["op"], here):  # a page can only name what it has been told of
                steps += [{"edit": log[k], "rev": k + 1} for k in range(told, i)]
                told = i
            steps.append({"edit": edit, "rev": None})
        if data.draw(st.booleans(), label="poll"):
            again = data.draw(st.integers(0, told), label="told again from")
            steps += [{"edit": log[k], "rev": k + 1} for k in range(again, i + 1)]
            told = i + 1
    return steps + [{"edit": log[k], "rev": k + 1} for k in range(told, len(log))]


def _names_others(op: dict[str, Any], here: str) -> bool:
    named = [*op.get("ids", []), op.get("id"), op.get("edit")]
    return any(isinstance(name, str) and not name.startswith(f"{here}:") for name in named)
