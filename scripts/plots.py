"""Plots as SVG that stands inside a page: text stays text, and takes its colour from page.css, light or dark."""

import io
import math
import re

import markupsafe
import matplotlib
import matplotlib.figure

matplotlib.rcParams.update({
    "svg.fonttype": "none", "svg.hashsalt": "assay", "font.family": "sans-serif", "font.size": 9, "axes.titlesize": 9,
    "text.color": "#010101", "axes.labelcolor": "#010101", "xtick.color": "#010101", "ytick.color": "#010101",
    "axes.edgecolor": "#020202", "grid.color": "#020202", "axes.spines.top": False, "axes.spines.right": False})
WIDTH = 4.1  # inches: what a phone shows in nearly its own size
THEME = {"#010101": "var(--text)", "#020202": "var(--line)"}
OURS = "#d9483b"
LIMIT = "#010101"  # that of the text
OTHERS = ["#3b82c4", "#8a6fc9", "#2f9e73", "#c98a1b", "#b05a9c", "#6f9a2f", "#37a6bd", "#96705a", "#7a7f87", "#2b4f9e", "#c77fd0",
          "#1f6f54", "#b8a23a"]
MARKS = "osD^vP"
BARS = 16  # in one plot
PERCENTILES = ["p50", "p90", "p99", "p99.9", "p99.99", "max"]


def breakable(name):
    """A name with a place to break after each part, for narrow screens."""
    return markupsafe.Markup("/<wbr>").join(name.split("/"))


def looks(names):
    """{name: (colour, mark)}; with the names of a whole page, a contender looks the same in each of its plots."""
    others = sorted({n for n in names if n not in ("assay", "limit")})
    return {"assay": (OURS, MARKS[0]), "limit": (LIMIT, ""), **{n: (OTHERS[i % len(OTHERS)], MARKS[(i + 1) % len(MARKS)]) for i, n in enumerate(others)}}


def short(x):
    return f"{x / 1e6:g} M" if abs(x) >= 1e6 else f"{x / 1e3:g} k" if abs(x) >= 1e4 else f"{x:g}"


def scale(axes, which, values):
    """Logarithmic where the values differ much; with numbers at its ticks in any case."""
    axis, low, high = getattr(axes, f"{which}axis"), min(values), max(values)
    if low > 0 and high > 4 * low:
        getattr(axes, f"set_{which}scale")("log")
        decades = math.log10(high / low)
        steps = (1, 2, 5) if decades < 2 else (1, 3) if decades < 3 and which == "y" else (1,)
        axis.set_major_locator(matplotlib.ticker.LogLocator(subs=steps, numticks=5 if which == "x" else 8))
        axis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    else:
        axis.set_major_locator(matplotlib.ticker.MaxNLocator(4))
    axis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda x, _: short(x)))


def drawing(height, width=WIDTH):
    figure = matplotlib.figure.Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(True, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def svg(figure, about):
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = re.sub(r"^.*?<svg ", "<svg ", out.getvalue(), flags=re.S)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r' width="[\d.]+pt"| height="[\d.]+pt"', "", text, count=2)
    text = re.sub(r"font: ([\d.]+)px[^;\"]*", r"font: \1px system-ui, sans-serif", text)
    for colour, variable in THEME.items():
        text = text.replace(colour, variable)
    about = about.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return text.replace("<svg ", f'<svg role="img" aria-label="{about}" ', 1)


def whiskers(point):
    return [[point["median"] - point["low"]], [point["high"] - point["median"]]]


def rows(series, unit, title, look):
    """series: {contender: {mark label: figure}}; a row for each contender, a mark for each label, hollow if flagged."""
    labels = sorted({label for marks in series.values() for label in marks}, key=lambda s: (len(s), s))
    order = sorted(series, key=lambda n: min(f["median"] for f in series[n].values()), reverse=True)
    figure, axes = drawing(0.75 + 0.24 * len(order))
    for y, name in enumerate(order):
        for label, point in series[name].items():
            axes.errorbar(point["median"], y, xerr=whiskers(point), fmt=MARKS[labels.index(label) % len(MARKS)], color=look[name][0],
                          markersize=5, capsize=2, linewidth=1, markerfacecolor="none" if point["flags"] else None)
    axes.set_yticks(range(len(order)), order)
    axes.set_ylim(-0.6, len(order) - 0.4)
    scale(axes, "x", [point[end] for marks in series.values() for point in marks.values() for end in ("low", "high")])
    axes.set_xlabel(unit)
    if len(labels) > 1:
        marks = [matplotlib.lines.Line2D([], [], linestyle="", marker=MARKS[i % len(MARKS)], color="#7a7f87", label=label)
                 for i, label in enumerate(labels)]
        axes.legend(handles=marks, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(labels), frameon=False, handletextpad=0.1)
    return svg(figure, f"{title}: " + ", ".join(order[::-1]))


def lines(series, xs, xlabel, ylabel, title, look):
    """series: {name: [(x, y, flagged)]} over the categories xs."""
    names = sorted(series, key=lambda n: (n != "assay", n != "limit", n))
    columns = 2 if max(map(len, names)) < 28 else 1
    figure, axes = drawing(2.2 + 0.17 * math.ceil(len(names) / columns))
    for name in names:
        points = sorted((xs.index(x), y, flagged) for x, y, flagged in series[name])
        colour, mark = look[name]
        axes.plot([p[0] for p in points], [p[1] for p in points], color=colour, marker=mark, markersize=4.5, linewidth=1.4,
                  linestyle=":" if name == "limit" else "--" if any(p[2] for p in points) else "-", label=name)
    axes.set_xticks(range(len(xs)), [str(x) for x in xs])
    scale(axes, "y", [y for points in series.values() for _, y, _ in points])
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.2), ncols=columns, frameon=False, fontsize=8, handlelength=3)
    return svg(figure, f"{title}: " + ", ".join(names))


def bars(values, title):
    """values: {name: (ratio, low, high, flagged)}: ratios to the limit, which is 1. Several plots of one scale: paper has pages."""
    order = sorted(values, key=lambda n: values[n][0], reverse=True)
    extent = [x for ratio, low, high, _ in values.values() for x in (ratio, low, high, 1)]
    parts = math.ceil(len(order) / BARS)
    size = math.ceil(len(order) / parts)
    return [part_of_bars({n: values[n] for n in order[max(end - size, 0):end]}, extent, title) for end in range(len(order), 0, -size)]


def part_of_bars(values, extent, title):
    """The name stands above its bar: beside it there is no room on a phone."""
    figure, axes = drawing(0.6 + 0.36 * len(values))
    axes.grid(False)
    for y, (name, (ratio, low, high, flagged)) in enumerate(values.items()):
        axes.barh(y - 0.12, ratio - 1, left=1, color="none" if flagged else OURS, edgecolor=OURS, height=0.36)
        axes.plot([low, high], [y - 0.12] * 2, color="#010101", linewidth=1)
        axes.plot([1, 1], [y - 0.38, y + 0.14], color="#010101", linewidth=1)
        axes.annotate(f"{ratio:.2f}", (max(ratio, high, 1), y - 0.12), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
        axes.annotate(name, (0, y + 0.24), xycoords=("axes fraction", "data"), va="center", fontsize=8)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_ylim(-0.6, len(values) - 0.3)
    scale(axes, "x", extent)
    axes.set_xlim(0.9 * min(extent), 1.5 * max(extent))
    axes.set_xlabel("times the limit")  # on a logarithmic axis a bar begins at 1: equal lengths are equal factors
    return svg(figure, title)
