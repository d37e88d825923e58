"""Where everything lies: the tables that turn a convolution into register tiles (see ``tile.py``).

Inside the kernels an image is *channels-last*: the C channels of a pixel are neighbours in memory, pixels row by row
with the padding in place, (Hp, Wp, C). Then a row of a window, KW pixels of C channels, is one run of KW·C
neighbours, and

    y[pixel, o] = Σ_runs Σ_k  image[place(pixel) + place(run) + k] · weight[run, k, o]

is the register tile with pixels as rows and output channels as columns. Stride and dilation only change the tables.

The input gradient is the same sum over dy with the taps read backwards (``ops/conv.py`` derives it). With a stride s,
only every s-th tap meets a given row of x: h = s·q + r - p takes the taps with i·d ≡ r (mod s), from dy at row
q - (i·d - r)/s. So dx falls into s × s *phases* (r_h, r_w), each a plain convolution without any zeros to multiply.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

from ..machine.simd import LANES, ROWS

Pair = tuple[int, int]


class Plan(NamedTuple):
    """A convolution of one image (C, H, W) → (C′, H′, W′) as tables for the kernels."""

    places: Any  # place of each pixel of the image in the padded one
    size: int  # of the padded image, in numbers
    pixels: int  # of the result
    rows: Any  # place of each result pixel's window in the padded image, phase by phase, filled up to whole tiles
    into: Any  # number of that pixel, times the pitch of the result
    runs: Any  # place of each run relative to the window, phase by phase
    taps: Any  # number of each tap in the weight, in the order of the runs
    phases: Any  # for each phase: where its rows, runs and taps begin, how many each has, and the depth of a run
    weights: int  # taps in all


def whole_tiles(table: Any, fill: int) -> Any:
    """The table as int64, filled up to a whole number of tiles."""
    table = np.asarray(table, np.int64).ravel()
    return np.concatenate([table, np.full(-table.size % ROWS, fill, np.int64)])


def pitch(channels: int) -> int:
    """Channels of a pixel in a result, rounded up to whole vectors."""
    return -(-channels // LANES) * LANES


def _plan(places: Any, size: int, pixels: int, phases: list[Any]) -> Plan:
    starts = np.zeros(3, np.int64)
    tables: list[Any] = []
    numbers = []
    for rows, into, runs, taps, depth in phases:
        rows, into = np.ravel(rows), np.ravel(into)
        table = whole_tiles(rows, rows[-1]), whole_tiles(into, into[-1]), np.ravel(runs), np.ravel(taps)
        counts = [table[0].size, table[2].size, table[3].size]
        numbers.append([*starts, *counts, depth])
        starts += counts
        tables.append(table)
    rows, into, runs, taps = (np.concatenate(column).astype(np.int64) for column in zip(*tables, strict=True))
    return Plan(np.ravel(places), size, pixels, rows, into, runs, taps, np.array(numbers, np.int64), int(starts[2]))


def _axis_phases(n: int, k: int, s: int, p: int, d: int) -> list[tuple[Any, Any, Any]]:
    """For each r: the rows h of x with (h + p) mod s = r, their q, and (tap, offset) by rising offset."""
    found = []
    for r in range(s):
        h = np.arange((r - p) % s, n, s)
        taps = [(i, -((i * d - r) // s)) for i in reversed(range(k)) if (i * d - r) % s == 0]
        found.append((h, (h + p - r) // s, taps))
    return found


def _consecutive(taps: list[tuple[int, int]]) -> bool:
    return all(b[1] - a[1] == 1 for a, b in itertools.pairwise(taps))


def forward_plan(c: int, o: int, size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Plan:
    """x (C, H, W) → y (OH·OW, pitch(O))."""
    (h, w), (kh, kw), (sh, sw), (ph, pw), (dh, dw) = size, kernel, stride, padding, dilation
    oh, ow = (h + 2 * ph - dh * (kh - 1) - 1) // sh + 1, (w + 2 * pw - dw * (kw - 1) - 1) // sw + 1
    wide = w + 2 * pw
    places = ((np.arange(h)[:, None] + ph) * wide + np.arange(w) + pw) * c
    rows = (np.arange(oh)[:, None] * sh * wide + np.arange(ow) * sw) * c
    into = np.arange(oh * ow) * pitch(o)
    if dw == 1:
        runs, depth = np.arange(kh) * dh * wide * c, kw * c
    else:
        runs, depth = (np.arange(kh)[:, None] * dh * wide + np.arange(kw) * dw) * c, c
    return _plan(places, (h + 2 * ph) * wide * c, oh * ow, [(rows, into, runs, np.arange(kh * kw), depth)])


def backward_plan(
    o: int, c: int, out: Pair, size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Plan:
    """dy (O, OH, OW) → dx (H·W, pitch(C)) of a convolution from ``size`` (H, W) to ``out`` (OH, OW)."""
    axes = [_axis_phases(*a) for a in zip(size, kernel, stride, padding, dilation, strict=True)]
    low, length = [], []
    for phases, n in zip(axes, out, strict=True):
        reached = [q + offset for _, q, taps in phases for _, offset in taps if q.size]
        first = min([0, *(int(a.min()) for a in reached)])
        low.append(-first)
        length.append(max([n, *(int(a.max()) + 1 for a in reached)]) - first)
    wide = length[1]
    places = ((np.arange(out[0])[:, None] + low[0]) * wide + np.arange(out[1]) + low[1]) * o
    found: list[Any] = []
    for h, qh, taps_h in axes[0]:
        for w, qw, taps_w in axes[1]:
            if not h.size or not w.size:
                continue
            rows = ((qh[:, None] + low[0]) * wide + qw + low[1]) * o
            into = (h[:, None] * size[1] + w).ravel() * pitch(c)
            if not taps_h or not taps_w:
                runs, depth = np.empty(0, np.int64), 0
            elif _consecutive(taps_w):
                runs = np.array([(i * wide + taps_w[0][1]) * o for _, i in taps_h])
                depth = len(taps_w) * o
            else:
                runs = np.array([(i * wide + j) * o for _, i in taps_h for _, j in taps_w])
                depth = o
            taps = np.array([a * kernel[1] + b for a, _ in taps_h for b, _ in taps_w], np.int64)
            found.append((rows, into, runs, taps, depth))
    return _plan(places, length[0] * wide * o, size[0] * size[1], found)


class WeightPlan(NamedTuple):
    """The weight gradient of one image as tables: the rows of the tile are (tap, channel) of x."""

    places: Any  # as in Plan
    size: int
    rows: Any  # place in the padded image of each row of each tile: rows of a tile are neighbours there
    into: Any  # number (tap, channel) of each row, times the pitch; rows beyond a run's end go to one row too many
    runs: Any  # place of each row of windows in the padded image
    step: int  # from one window to the next
    runs_dy: Any  # number of the first pixel of each row of dy
    depth: int  # pixels in a row


def weight_plan(c: int, o: int, size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> WeightPlan:
    """x (C, H, W), dy (O, OH, OW) → (KH·KW·C, pitch(O))."""
    forward = forward_plan(c, o, size, kernel, stride, padding, dilation)
    (kh, kw), (dh, dw) = kernel, dilation
    wide = size[1] + 2 * padding[1]
    oh = (size[0] + 2 * padding[0] - dh * (kh - 1) - 1) // stride[0] + 1
    ow = forward.pixels // oh
    # With neighbouring taps (no dilation), the channels of all taps of a row of the window are neighbours in memory.
    joined = kw if dw == 1 else 1
    run = joined * c
    starts = ((np.arange(kh) * dh * wide)[:, None] + (np.arange(kw // joined) * dw)[None]).ravel() * c
    inside = np.arange(-(-run // ROWS) * ROWS)
    rows = starts[:, None] + inside
    numbers = np.arange(starts.size)[:, None] * run + inside
    into = np.where(inside < run, numbers, kh * kw * c) * pitch(o)
    return WeightPlan(
        forward.places, forward.size, rows.ravel(), into.ravel(), np.arange(oh) * stride[0] * wide * c,
        stride[1] * c, np.arange(oh) * ow, ow,
    )  # fmt: skip
