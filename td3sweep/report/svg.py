"""Small charts as inline SVG: no script, no network, colours from the page's style sheet for print and dark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup, escape

from td3sweep.diagnose.curves import asinh_ticks
from td3sweep.stats import Floats

WIDTH, HEIGHT = 400, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 12, 40
TICKS = 5


@dataclass(frozen=True)
class Scale:
    """From values to pixels: linear, log, or asinh (linear around 0, logarithmic far from it)."""

    low: float
    high: float
    start: float
    end: float
    kind: str = "linear"

    def __call__(self, values: Floats | float) -> Floats:
        """Pixels, one a value, kept inside the axes."""
        low, high = self._bend(np.array([self.low, self.high]))
        share = (self._bend(np.asarray(values, float)) - low) / (high - low if high > low else 1.0)
        return np.asarray(self.start + np.clip(share, -0.02, 1.02) * (self.end - self.start))

    def _bend(self, values: Floats) -> Floats:
        if self.kind == "log":
            return np.log10(np.maximum(values, self.low))
        return np.arcsinh(values) if self.kind == "asinh" else values

    def ticks(self) -> list[float]:
        """Round values inside the axis."""
        if self.kind == "asinh":
            return asinh_ticks(self.low, self.high)
        if self.kind == "log":
            powers = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
            every = max(1, math.ceil(len(powers) / TICKS))
            return [10.0**power for power in powers if power % every == 0] or [self.low, self.high]
        span = self.high - self.low
        if span <= 0:
            return [self.low]
        rough = span / TICKS
        size = 10.0 ** math.floor(math.log10(rough))
        step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [
            round(first * step + place * step, 12) for place in range(int((self.high - first * step) / step + 1e-6) + 1)
        ]


def fitted(values: Iterable[float] | Floats, kind: str = "linear", zero: bool = False) -> tuple[float, float]:
    """Bounds that hold all finite values, with a little room; ``zero`` lets the axis begin there."""
    finite = np.asarray(list(values), float)
    finite = finite[np.isfinite(finite)]
    if kind == "log":
        finite = finite[finite > 0]
    if not finite.size:
        return (1.0, 10.0) if kind == "log" else (0.0, 1.0)
    low, high = float(finite.min()), float(finite.max())
    if kind == "log":
        low = max(low, high * 1e-12)
        return low, high if high > low * 1.2 else low * 10
    room = 0.0 if kind == "asinh" else 0.04 * (high - low or abs(high) or 1.0)
    return (min(0.0, low - room) if zero else low - room), high + room


@dataclass
class Chart:
    """One chart under construction. ``label`` and ``summary`` are what a screen reader says of it."""

    label: str
    summary: str
    x: tuple[float, float]
    y: tuple[float, float]
    x_label: str = ""
    y_label: str = ""
    x_kind: str = "linear"
    y_kind: str = "linear"
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    parts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.across = Scale(*self.x, self.left, self.width - RIGHT, self.x_kind)
        self.up = Scale(*self.y, self.height - BOTTOM, TOP, self.y_kind)

    def axes(self, *, x_ticks: Sequence[float] | None = None, y_ticks: Sequence[float] | None = None) -> None:
        """Grid, tick labels and axis labels."""
        bottom, parts = self.height - BOTTOM, []
        for tick in self.up.ticks() if y_ticks is None else y_ticks:
            y = float(self.up(tick))
            parts.append(f'<path class="grid" d="M{self.left} {y:.1f}H{self.width - RIGHT}"/>')
            parts.append(
                f'<text class="tick" x="{self.left - 6}" y="{y + 4:.1f}" text-anchor="end">{short(tick)}</text>'
            )
        for tick in self.across.ticks() if x_ticks is None else x_ticks:
            x = float(self.across(tick))
            parts.append(f'<path class="grid" d="M{x:.1f} {bottom}v4"/>')
            parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{short(tick)}</text>')
        parts.append(f'<path class="axis" d="M{self.left} {bottom}H{self.width - RIGHT}"/>')
        middle = (self.left + self.width - RIGHT) / 2
        parts.append(f'<text class="label" x="{middle:.0f}" y="{self.height - 6}" text-anchor="middle">')
        parts.append(f"{escape(self.x_label)}</text>")
        if self.y_label:
            centre = (TOP + bottom) / 2
            parts.append(
                f'<text class="label" transform="translate(12 {centre:.0f}) rotate(-90)" text-anchor="middle">'
            )
            parts.append(f"{escape(self.y_label)}</text>")
        self.parts += parts

    def line(self, xs: Floats, ys: Floats, css: str, title: str = "", *, steps: bool = False) -> None:
        """A polyline, broken where a value is missing; ``steps`` makes it a staircase."""
        path = self._path(xs, ys, steps)
        if path:
            self.parts.append(f'<path class="{css}" d="{path}">{_title(title)}</path>')

    def _path(self, xs: Floats, ys: Floats, steps: bool = False) -> str:
        words, pen = [], False
        for x, y, whole in zip(self.across(xs), self.up(ys), np.isfinite(ys), strict=True):
            if not whole:
                pen = False
                continue
            words.append(
                f"{'L' if pen and not steps else f'H{x:.1f}V' if pen else 'M'}"
                + (f"{y:.1f}" if pen and steps else f"{x:.1f} {y:.1f}")
            )
            pen = True
        return "".join(words)

    def band(self, xs: Floats, low: Floats, high: Floats, css: str, *, steps: bool = False) -> None:
        """The area between two curves, where both are known."""
        known = np.isfinite(low) & np.isfinite(high)
        if known.sum() < 2:
            return
        xs, low, high = xs[known], low[known], high[known]
        if steps:
            xs, low, high = np.repeat(xs, 2)[1:], np.repeat(low, 2)[:-1], np.repeat(high, 2)[:-1]
        there, back = self._path(xs, high), self._path(xs[::-1], low[::-1])
        self.parts.append(f'<path class="{css}" d="{there}L{back[1:]}Z"/>')

    def mark(self, x: float, y: float, css: str, title: str = "", *, shape: str = "dot", nudge: float = 0.0) -> None:
        """A dot, or a cross for an alarm, ``nudge`` pixels to the right."""
        px, py = float(self.across(x)) + nudge, float(self.up(y))
        if shape == "cross":
            d = f"M{px - 4:.1f} {py - 4:.1f}l8 8m0 -8l-8 8"
            self.parts.append(f'<path class="{css}" d="{d}">{_title(title)}</path>')
        else:
            self.parts.append(f'<circle class="{css}" cx="{px:.1f}" cy="{py:.1f}" r="3.5">{_title(title)}</circle>')

    def text(self, x: float, y: float, words: str, css: str = "tick", anchor: str = "start") -> None:
        """Words at a pixel."""
        self.parts.append(f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>')

    def raw(self, part: str) -> None:
        """Any other element."""
        self.parts.append(part)

    def svg(self) -> Markup:
        """The whole element."""
        head = f'<svg viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(self.label)}">'
        return Markup(f"{head}<desc>{escape(self.summary)}</desc>{''.join(self.parts)}</svg>")


def short(value: float) -> str:
    """``1.8M``, ``25k``, ``0.05``, ``1e-05``."""
    size = abs(value)
    if size >= 1e9 or 0 < size < 1e-3:
        mantissa, _, power = f"{value:.0e}".partition("e")
        return f"{mantissa}e{int(power)}".replace("-", "−")
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if size >= unit:
            return f"{value / unit:.3g}{letter}".replace("-", "−")
    return f"{value:.3g}".replace("-", "−")


def _title(words: str) -> str:
    return f"<title>{escape(words)}</title>" if words else ""
