"""Plots as SVG that stands inside a page: text stays text, and takes its colour from page.css, light or dark."""

import io
import re

import matplotlib
import matplotlib.figure

matplotlib.rcParams.update({
    "svg.fonttype": "none", "svg.hashsalt": "assay", "font.family": "sans-serif", "font.size": 9, "axes.titlesize": 9,
    "text.color": "#010101", "axes.labelcolor": "#010101", "xtick.color": "#010101", "ytick.color": "#010101",
    "axes.edgecolor": "#020202", "grid.color": "#020202", "axes.spines.top": False, "axes.spines.right": False})
THEME = {"#010101": "var(--text)", "#020202": "var(--line)"}
OURS = "#d9483b"
OTHERS = ["#3b82c4", "#8a6fc9", "#2f9e73", "#c98a1b", "#b05a9c", "#5f8f2f", "#4aa3b5", "#96705a", "#7a7f87", "#b3475f"]
MARKS = "osD^vP"
PERCENTILES = ["p50", "p90", "p99", "p99.9", "p99.99", "max"]


def colours(names):
    """The same colour for a contender in every plot of a page."""
    others = sorted(n for n in names if n != "assay")
    return {"assay": OURS, **{n: OTHERS[i % len(OTHERS)] for i, n in enumerate(others)}}


def drawing(height, width=5.4):
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


def rows(series, unit, title, limit=None):
    """series: {contender: {mark label: figure}}; a row for each contender, a mark for each label, hollow if flagged."""
    labels = sorted({label for marks in series.values() for label in marks}, key=lambda s: (len(s), s))
    order = sorted(series, key=lambda n: min(f["median"] for f in series[n].values()), reverse=True)
    colour = colours(series)
    figure, axes = drawing(0.75 + 0.24 * len(order))
    for y, name in enumerate(order):
        for label, point in series[name].items():
            axes.errorbar(point["median"], y, xerr=whiskers(point), fmt=MARKS[labels.index(label) % len(MARKS)], color=colour[name],
                          markersize=5, capsize=2, linewidth=1, markerfacecolor="none" if point["flags"] else None)
    if limit:
        axes.axvline(limit, color="#010101", linewidth=1, linestyle=":")
    axes.set_yticks(range(len(order)), order)
    axes.set_ylim(-0.6, len(order) - 0.4)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    axes.set_xlabel(unit)
    if len(labels) > 1:
        marks = [matplotlib.lines.Line2D([], [], linestyle="", marker=MARKS[i % len(MARKS)], color="#7a7f87", label=label)
                 for i, label in enumerate(labels)]
        axes.legend(handles=marks, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(labels), frameon=False, handletextpad=0.1)
    return svg(figure, f"{title}: " + ", ".join(order[::-1]))


def lines(series, xs, xlabel, ylabel, title, logarithmic=True):
    """series: {name: [(x, y, flagged)]} over the categories xs."""
    colour = colours({n.partition(" ")[0] if n.startswith("assay") else n for n in series})
    figure, axes = drawing(2.9 + 0.16 * ((len(series) + 1) // 2))
    for name in sorted(series, key=lambda n: (not n.startswith("assay"), n)):
        points = sorted((xs.index(x), y, flagged) for x, y, flagged in series[name])
        axes.plot([p[0] for p in points], [p[1] for p in points], color=colour.get(name, OURS), marker="o", markersize=4, linewidth=1.4,
                  linestyle="--" if any(p[2] for p in points) else "-", label=name)
    axes.set_xticks(range(len(xs)), [str(x) for x in xs])
    if logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
        axes.yaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2, frameon=False, fontsize=8)
    return svg(figure, f"{title}: " + ", ".join(series))


def bars(values, title):
    """values: {name: (ratio, low, high, flagged)}: ratios to the limit, which is 1."""
    figure, axes = drawing(0.7 + 0.22 * len(values))
    order = sorted(values, key=lambda n: values[n][0], reverse=True)
    for y, name in enumerate(order):
        ratio, low, high, flagged = values[name]
        axes.barh(y, ratio - 1, left=1, color="none" if flagged else OURS, edgecolor=OURS, height=0.62)
        axes.plot([low, high], [y, y], color="#010101", linewidth=1)
        axes.annotate(f" {ratio:.2f}", (max(ratio, high, 1), y), va="center", fontsize=8)
    axes.axvline(1, color="#010101", linewidth=1, linestyle=":")
    axes.set_yticks(range(len(order)), order, fontsize=8)
    axes.set_ylim(-0.6, len(order) - 0.4)
    axes.margins(x=0.14)
    axes.set_xscale("log")  # a bar begins at the limit: equal lengths are equal factors
    axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    axes.set_xlabel("times the limit")
    return svg(figure, title)
