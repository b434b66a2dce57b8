"""Pairing found nuclei with true ones: optimal one-to-one matching within a radius."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

Points = NDArray[np.float32]
MATCH_UM = 6.0
"""As far from a nucleus a mark counts as that nucleus, wherever versions are chosen or judged: a nucleus's width."""


@dataclass(frozen=True, slots=True)
class Matching:
    """``truth`` and ``found`` (M,) are the indices of the pairs, ``distance_px`` (M,) how far apart they are."""

    truth: NDArray[np.intp]
    found: NDArray[np.intp]
    distance_px: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.truth)


def match_points(truth: Points, found: Points, radius_px: float) -> Matching:
    """Match two point sets, (N, 2) and (M, 2) in pixels, with the Hungarian algorithm.

    As many pairs as possible no further apart than ``radius_px``; among those matchings the one of least
    total distance (Xing et al. 2019, IV-C; Kuhn 1955). Solved per group of points that reach each other,
    so that time grows with the points, not with their square.
    """
    nothing = np.empty(0, np.intp)
    if len(truth) == 0 or len(found) == 0:
        return Matching(nothing, nothing, np.empty(0))
    rows, columns, distances = _pairs_within(truth, found, radius_px)
    if len(rows) == 0:
        return Matching(nothing, nothing, np.empty(0))
    n = len(truth) + len(found)
    graph = coo_matrix((np.ones(len(rows)), (rows, columns + len(truth))), shape=(n, n))
    group = connected_components(graph, directed=False)[1][rows]
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    picked = [_match_group(rows, columns, distances, edges, radius_px) for edges in np.split(order, starts[1:])]
    chosen = np.concatenate(picked)
    return Matching(rows[chosen], columns[chosen], distances[chosen])


def _pairs_within(
    truth: Points, found: Points, radius_px: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Indices and distances of all pairs no further apart than the radius."""
    near = cKDTree(truth).sparse_distance_matrix(cKDTree(found), radius_px, output_type="ndarray")
    return near["i"], near["j"], near["v"]


def _match_group(
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    distances: NDArray[np.float64],
    edges: NDArray[np.intp],
    radius_px: float,
) -> NDArray[np.intp]:
    """Indices of the chosen edges of one connected group."""
    if len(edges) == 1:
        return edges
    left, row = np.unique(rows[edges], return_inverse=True)
    right, column = np.unique(columns[edges], return_inverse=True)
    out_of_reach = (radius_px + 1.0) * (min(len(left), len(right)) + 1)  # dearer than any set of real pairs
    cost = np.full((len(left), len(right)), out_of_reach)
    edge_of = np.full(cost.shape, -1, np.intp)
    cost[row, column] = distances[edges]
    edge_of[row, column] = edges
    chosen = edge_of[linear_sum_assignment(cost)]
    return chosen[chosen >= 0]
