# SPDX-License-Identifier: Apache-2.0
"""Pictures as inline SVG: what is common to all of them."""
import io
import re
from collections import namedtuple
from xml.sax.saxutils import escape

import matplotlib
from matplotlib import ticker
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas

# A picture with the words that stand for it and the numbers in it. A cell is text, or a number and its format.
Figure = namedtuple("Figure", "ident title alt svg head rows note")

# Colours that people with any vision of colour can tell apart (Okabe and Ito), dark enough on white.
COLOURS = {"generic": "#7f7f7f", "autovec": "#d98200", "avx2": "#0072b2", "neon": "#0072b2", "openblas": "#1a1a1a",
           "random123": "#1a1a1a", "aihwkit": "#c0392b", "plain": "#7f7f7f"}
SPARE = ("#008060", "#a8477e", "#5b5ea6", "#8a6d00", "#3a86a8", "#c0392b", "#0072b2", "#d98200")
HATCHES = {"openblas": "///", "random123": "///", "aihwkit": "xx"}
CYCLES = ("forward", "backward", "update")
MARKERS = {"forward": "o", "backward": "s", "update": "^"}

matplotlib.rcParams.update({
    "svg.fonttype": "none", "text.parse_math": False, "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica", "sans-serif"], "font.size": 10,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
    "grid.color": "#dddddd", "grid.linewidth": 0.7, "axes.edgecolor": "#555555", "axes.labelcolor": "#222222",
    "xtick.color": "#333333", "ytick.color": "#333333", "legend.frameon": False, "legend.fontsize": 9,
    "axes.unicode_minus": False,
})


def colour(name, index=0):
    return COLOURS.get(name, SPARE[index % len(SPARE)])


def canvas(width, height):
    """A figure of so many inches, and its axes."""
    figure = Canvas(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def tip(artist, tips, text):
    """Words that a reader sees who points at the artist."""
    ident = f"tip-{len(tips)}"
    artist.set_gid(ident)
    tips[ident] = text


def log_ticks(axis, values):
    """Ticks of a logarithmic axis as 1 G, without mathematical type; 2 and 5 as well where few powers of ten are seen."""
    wide = max(values) / min(values) > 300
    axis.set_major_locator(ticker.LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(ticker.FuncFormatter(lambda v, _: engineering(v)))
    axis.set_minor_formatter(ticker.NullFormatter())


def finish(figure, ident, title, alt, tips=None):
    """The figure as an SVG element with title and description; all identifiers in it begin with `ident`."""
    out = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": ident}):
        figure.savefig(out, format="svg", facecolor="white", metadata={"Date": None, "Creator": None, "Format": None,
                                                                      "Type": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg"):]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    for name, text in (tips or {}).items():
        svg = svg.replace(f'<g id="{name}">', f'<g id="{name}"><title>{escape(text)}</title>', 1)
    svg = re.sub(r'\bid="', f'id="{ident}-', svg)
    svg = re.sub(r'(xlink:href="#|url\(#)', rf"\1{ident}-", svg)
    head = f'<svg role="img" aria-labelledby="{ident}-title {ident}-desc" '
    words = f'<title id="{ident}-title">{escape(title)}</title><desc id="{ident}-desc">{escape(alt)}</desc>'
    svg = svg.replace("<svg ", head, 1)
    start = svg.index(">") + 1
    return svg[:start] + words + svg[start:]


def engineering(value, unit=""):
    """A number with three digits and a prefix: 12.3 G."""
    if value is None:
        return "-"
    for size, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * size:
            return f"{value / size:.3g} {prefix}{unit}".rstrip()
    return f"{value:.3g} {unit}".rstrip()


def time_text(ns):
    if ns is None:
        return "-"
    for size, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "us")):
        if ns >= 0.9995 * size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.3g} ns"


def number(value, form=".3g"):
    return "-" if value is None else format(value, form)
