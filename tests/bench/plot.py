# SPDX-License-Identifier: Apache-2.0
"""The plot: deliveries a second and CPU a delivery, as bars, in SVG."""

import math
import textwrap
from dataclasses import dataclass
from xml.sax.saxutils import escape

from measure import median
from report import figure

COLOURS = {"fanhorn": "#e4572e", "limit": "#3d4451", "nchan": "#4a8fb5", "ws": "#7fb7a3",
           "socket.io": "#b9a44c", "pushpin": "#a78bb0"}
INK, FAINT, GRID = "#22262e", "#6b7280", "#e3e6ea"
WIDTH, LEFT, RIGHT = 860, 40, 90  # the bars' own space ends where their longest figure begins
BAR, GAP, GROUP = 15, 4, 30
TICKS = 8


@dataclass
class Panel:
    title: str
    unit: str  # the axis's title
    groups: tuple  # (title, scenario, measure's title)


PANELS = (
    Panel("Deliveries a second", "messages delivered a second by one core: longer is better",
          (("flat out to 1,000 WebSockets, 32 POSTs under way", "flatout-1000-ws", "deliveries"),)),
    Panel("Deliveries a second in a burst", "messages delivered a second by one core: longer is better",
          (("to 1,000 WebSockets, the publisher 256 messages ahead: coalesced where the program can", "burst-1000-ws", "deliveries"),)),
    Panel("CPU a delivery", "microseconds of the server's core for one delivery: shorter is better",
          (("50 messages a second to 1,000 WebSockets (Pushpin: 10)", "fanout-1000-ws", "CPU a delivery"),
           ("50 messages a second to 1,000 SSE streams (Pushpin: 10)", "fanout-1000-sse", "CPU a delivery"),
           ("5 messages a second to 10,000 WebSockets", "fanout-10000-ws", "CPU a delivery"))),
)


class Canvas:
    def __init__(self):
        self.parts = []

    def text(self, x, y, words, size=13, colour=INK, anchor="start", weight="normal"):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" '
                          f'text-anchor="{anchor}" font-weight="{weight}">{escape(words)}</text>')

    def bar(self, x, y, width, height, colour):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height}" '
                          f'rx="2" fill="{colour}"/>')

    def line(self, x1, y1, x2, y2, colour=GRID):
        self.parts.append(f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{colour}"/>')

    def svg(self, height):
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
            f'height="{height:.0f}" font-family="Inter, \'DejaVu Sans\', Helvetica, Arial, sans-serif" role="img">',
            "<title>Fanhorn, its peers and the kernel's limit</title>",
            f'<rect width="{WIDTH}" height="{height:.0f}" rx="8" fill="#ffffff"/>', *self.parts, "</svg>"])


def tick_step(largest):
    """1, 2 or 5 times a power of ten, so that about TICKS of them fit."""
    raw = largest / TICKS
    power = 10 ** math.floor(math.log10(raw))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= raw)


def bars_of(group, done, names):
    """The programs that have a figure there, in the table's order."""
    _, wanted, title = group
    for scenario, runs in done:
        if scenario.name == wanted:
            index = [measure.title for measure in scenario.measures].index(title)
            found = [(name, median(runs, name, index)) for name in names]
            return [(name, value) for name, value in found if value]
    return []


def draw_legend(canvas, y, names):
    x = LEFT
    for name in names:
        label = "limit: bare send()" if name == "limit" else name
        canvas.bar(x, y - 10, 12, 12, COLOURS[name])
        canvas.text(x + 18, y, label)
        x += 48 + 6.4 * len(label)


def draw_axis(canvas, top, bottom, scale, largest, unit):
    step = tick_step(largest)
    for i in range(int(largest / step + 1e-9) + 1):
        x = LEFT + i * step * scale
        canvas.line(x, top, x, bottom)
        canvas.text(x, bottom + 16, f"{i * step:,.10g}", 11, FAINT, "middle")
    canvas.text(LEFT, bottom + 34, unit, 12, FAINT)


def draw_panel(canvas, y, panel, done, names):
    """Draws it below y and returns where it ends; without figures nothing."""
    groups = [(group[0], bars_of(group, done, names)) for group in panel.groups]
    groups = [(title, bars) for title, bars in groups if bars]
    if not groups:
        return y
    canvas.text(LEFT, y + 22, panel.title, 17, weight="bold")
    top = y + 34
    bottom = top + sum(GROUP + len(bars) * (BAR + GAP) for _, bars in groups) + 8
    largest = max(value for _, bars in groups for _, value in bars)
    scale = (WIDTH - LEFT - RIGHT) / largest
    draw_axis(canvas, top, bottom, scale, largest, panel.unit)
    y = top
    for title, bars in groups:
        y += GROUP
        canvas.text(LEFT + 4, y - 8, title, 13)
        for name, value in bars:
            canvas.bar(LEFT, y, value * scale, BAR, COLOURS[name])
            weight = "bold" if name == "fanhorn" else "normal"
            canvas.text(LEFT + value * scale + 6, y + BAR - 3, figure(value), 12, weight=weight)
            y += BAR + GAP
    return bottom + 56


def draw(done, names, provenance):
    canvas = Canvas()
    canvas.text(LEFT, 34, "Fan-out by one core: Fanhorn, its peers, and the kernel's limit", 20, weight="bold")
    draw_legend(canvas, 62, names)
    y = 78
    for panel in PANELS:
        y = draw_panel(canvas, y, panel, done, names)
    for line in textwrap.wrap(provenance, 135):
        canvas.text(LEFT, y, line, 10.5, FAINT)
        y += 15
    return canvas.svg(y + 8)
