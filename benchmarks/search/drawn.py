"""The two figures of the page as SVG: anytime curves, and mean ranks with a critical difference."""

import math
from collections.abc import Mapping, Sequence
from html import escape

from benchmarks.search.compared import Ranks

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
_DASHES = ("", "6 3", "2 3")
_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" '
    'font-family="sans-serif" font-size="13"><rect width="{w}" height="{h}" fill="white"/>'
)


_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def anytime(curves: Mapping[str, Sequence[tuple[float, float]]], title: str) -> str:
    """Regret, by its logarithm, against FT: a step line for each arm."""
    wide, high, left, top, right, bottom = 860, 420, 60, 40, 270, 50
    most_ft = min(_settled(curves) + 1, max(ft for curve in curves.values() for ft, _ in curve))
    seen = [max(regret, _TICKS[0]) for curve in curves.values() for _, regret in curve]
    low, most = math.log(min(seen)), math.log(max(*seen, 2 * min(seen)))

    def x(ft: float) -> float:
        return left + min(1.0, ft / most_ft) * (wide - left - right)

    def y(regret: float) -> float:
        share = (math.log(max(regret, _TICKS[0])) - low) / (most - low)
        return high - bottom - share * (high - top - bottom)

    parts = [_HEAD.format(w=wide, h=high), _text(left, 22, title, weight="bold")]
    for ft in range(math.ceil(most_ft)):
        parts.append(_line(x(ft), high - bottom, x(ft), top, "#e5e5e5"))
        parts.append(_text(x(ft), high - 30, f"{ft}", anchor="middle"))
    for regret in (tick for tick in _TICKS if low <= math.log(tick) <= most):
        parts.append(_line(x(0), y(regret), x(most_ft), y(regret), "#e5e5e5"))
        parts.append(_text(left - 6, y(regret) + 4, f"{100 * regret:g} %", anchor="end"))
    parts.append(_text(x(most_ft / 2), high - 10, "FT spent", anchor="middle"))
    ordered = sorted(curves, key=lambda arm: curves[arm][-1][1])
    for i, arm in enumerate(ordered):
        colour, dash = _COLOURS[i % len(_COLOURS)], _DASHES[i // len(_COLOURS) % len(_DASHES)]
        points = " ".join(f"{x(ft):.1f},{y(regret):.1f}" for ft, regret in _steps(curves[arm]))
        stroke = f'stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"'
        parts.append(f'<polyline points="{points}" fill="none" {stroke}/>')
        at = top + 10 + 20 * i
        parts.append(f'<path d="M{wide - right + 16} {at}h24" {stroke}/>')
        parts.append(_text(wide - right + 46, at + 4, arm))
    return "".join((*parts, "</svg>\n"))


def _settled(curves: Mapping[str, Sequence[tuple[float, float]]]) -> float:
    """When the last of some curves falls for the last time."""
    return max(min(ft for ft, value in c if value == c[-1][1]) for c in curves.values())


def critical(found: Ranks, title: str) -> str:
    """Arms on a line by their mean rank; bars join those that cannot be told apart."""
    wide, row, left, right = 860, 22, 60, 290
    groups = _groups(found)
    high = 110 + row * len(found.means) + 12 * len(groups)
    worst = len(found.means)

    def x(rank: float) -> float:
        return left + (rank - 1) / max(1, worst - 1) * (wide - left - right)

    parts = [_HEAD.format(w=wide, h=high), _text(left, 22, title, weight="bold")]
    axis = 70
    parts.append(_line(x(1), axis, x(worst), axis, "#000"))
    for rank in range(1, worst + 1):
        parts.append(_line(x(rank), axis - 5, x(rank), axis, "#000"))
        parts.append(_text(x(rank), axis - 9, str(rank), anchor="middle"))
    ends = min(x(1) + (x(2) - x(1)) * found.critical, float(wide - right))
    parts.append(_line(x(1), 38, ends, 38, "#000", 3))
    parts.append(_text(ends + 8, 42, f"critical difference {found.critical:.2f}"))
    for i, (low, last) in enumerate(groups):
        parts.append(
            _line(x(low) - 3, axis + 10 + 12 * i, x(last) + 3, axis + 10 + 12 * i, "#000", 4)
        )
    below = axis + 20 + 12 * len(groups)
    for i, (arm, mean) in enumerate(found.means):
        at = below + row * i
        parts.append(_line(x(mean), axis, x(mean), at, "#888"))
        parts.append(_line(x(mean), at, wide - right + 10, at, "#888"))
        parts.append(_text(wide - right + 16, at + 4, f"{arm} ({mean:.2f})"))
    return "".join((*parts, "</svg>\n"))


def _groups(found: Ranks) -> list[tuple[float, float]]:
    """The longest runs of mean ranks within the critical difference, of more than one arm."""
    means = [mean for _, mean in found.means]
    groups: list[tuple[float, float]] = []
    for low in means:
        last = max(mean for mean in means if mean <= low + found.critical)
        if last > low and not (groups and last <= groups[-1][1]):
            groups.append((low, last))
    return groups


def _steps(curve: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    points: list[tuple[float, float]] = []
    for ft, value in curve:
        if points:
            points.append((ft, points[-1][1]))
        points.append((ft, value))
    return points


def _line(x: float, y: float, to_x: float, to_y: float, colour: str, width: float = 1) -> str:  # noqa: PLR0913
    return (
        f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" '
        f'stroke="{colour}" stroke-width="{width}"/>'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" '
        f'font-weight="{weight}">{escape(text)}</text>'
    )
