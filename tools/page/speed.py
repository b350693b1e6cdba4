# SPDX-License-Identifier: Apache-2.0
"""Pictures of benchmarks: the roofline, variants side by side, training steps, scaling."""
import math

import matplotlib.ticker

from page.figures import (COLOURS, CYCLES, Figure, HATCHES, MARKERS, canvas, colour, engineering, finish, log_ticks,
                          number, time_text, tip)

ORDER = list(COLOURS)


def rank(variant):
    """Variants from plain to fast, then yardsticks, then others."""
    return (ORDER.index(variant), "") if variant in ORDER else (len(ORDER), variant)


def variants_of(rows):
    return sorted({r.variant for r in rows}, key=rank)


def measured(rows, *groups):
    return [r for r in rows if r.time is not None and r.group in groups]


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def size_text(size):
    """576 columns are worth telling, one is not."""
    text = size.replace("/cols:1", "") if size.endswith("/cols:1") else size
    return text.replace("/cols:", ", ").replace("/batch:", ", batch ") + (" columns" if "/cols:" in text else "")


def case_text(row):
    """What is the same for all variants of a row."""
    parts = [size_text(row.size)]
    if row.team and row.team > 1:
        parts.append(f"{row.team} threads")
    parts += [p.replace("bl:", "BL ").replace("d:", "d ") for p in row.rest.split("/") if p]
    return ", ".join(p for p in parts if p)


def rate_of(row):
    """Crosspoints or items in a second."""
    return row.counters.get("crosspoints_per_second", row.counters.get("items_per_second"))


# ---- roofline ----

def best_of(row, unit):
    """The best rate that was seen where the benchmark states one: a limit is no average."""
    return row.counters.get(f"best_{unit}_per_second", row.counters.get(f"{unit}_per_second"))


def roofs(rows, team):
    """Peak (flops/s) and the bandwidths ({(what, level): bytes/s}) of that many threads."""
    peaks, bandwidths = [], {}
    for r in measured(rows, "machine"):
        if r.team not in (team, None):
            continue
        if r.what == "fma":
            peaks.append(best_of(r, "flops"))
        elif best_of(r, "bytes"):
            key = (r.what, r.size.split("/")[0])
            bandwidths[key] = max(bandwidths.get(key, 0.0), best_of(r, "bytes"))
    return max((p for p in peaks if p), default=None), bandwidths


def draw_roof(axes, peak, bandwidths, span, label):
    """Slopes up to the peak, and the peak. Returns the words on the slopes and the slopes' ends."""
    low, high = span
    style, words = "--" if label else "-", []
    reads = {level: rate for (what, level), rate in bandwidths.items() if what == "read"}
    for level, rate in reads.items():
        end = min(high, peak / rate) if peak else high
        if end <= low:
            continue
        axes.plot([low, end], [low * rate, end * rate], color="#444444", linewidth=1.0, linestyle=style)
        # the words of a second set of roofs stand at the upper end of their slopes, clear of the first
        at = max(low * 1.06, end / 4.2) if label else low * 1.06
        words.append((axes.text(at, at * rate * 1.06, f"{level} {engineering(rate, 'B/s')}{label}",
                                fontsize=8, color="#333333", rotation_mode="anchor", va="bottom"),
                      (low, low * rate), (end, end * rate)))
    if peak:
        start = min((peak / rate for rate in reads.values()), default=low)
        axes.plot([max(low, start), high], [peak, peak], color="#444444", linewidth=1.4, linestyle=style)
        axes.annotate(f"peak {engineering(peak, 'flop/s')}{label}", (high, peak), xytext=(-3, 4), ha="right",
                      textcoords="offset points", fontsize=8, color="#333333")
    return words


def turn(figure, axes, words):
    """Words lie along their slopes, once it is known how steep these are on paper."""
    figure.draw_without_rendering()
    for text, start, end in words:
        (x0, y0), (x1, y1) = axes.transData.transform([start, end])
        text.set_rotation(math.degrees(math.atan2(y1 - y0, x1 - x0)))


def point_of(row):
    """Intensity and rate, or None."""
    x, y = row.counters.get("flops_per_byte"), row.counters.get("flops_per_second")
    if x is None and y and row.counters.get("bytes_per_second"):
        x = y / row.counters["bytes_per_second"]
    return (x, y) if x and y and x > 0 and y > 0 else None


def roofline(rows, ident):
    """Every cycle against the limits of the machine."""
    points = [(r, point_of(r)) for r in measured(rows, "cycle", "baseline")]
    points = [(r, p) for r, p in points if p]
    if not points:
        return None
    figure, axes = canvas(9.2, 6.0)
    tips, variants = {}, variants_of([r for r, _ in points])
    xs = [x for _, (x, _) in points]
    span = (min(xs) / 2.5, max(xs) * 2.5)
    teams = sorted({r.team or 1 for r, _ in points})
    words = []
    for team in sorted({teams[0], teams[-1]}):
        words += draw_roof(axes, *roofs(rows, team), span, "" if team == teams[0] else f", {team} threads")
    for r, (x, y) in points:
        roof = r.counters.get("roof_flops_per_second")
        if roof:
            axes.plot([x, x], [y, roof], color="#cfcfcf", linewidth=0.5, zorder=1.5)
        dot, = axes.plot([x], [y], marker=MARKERS.get(r.what, "D"), linestyle="none", markersize=6.5,
                         color=colour(r.variant, variants.index(r.variant)), markeredgecolor="white",
                         markeredgewidth=0.6, zorder=3)
        percent = r.counters.get("percent_of_roof")
        tip(dot, tips, f"{r.name}: {engineering(y, 'flop/s')} at {x:.3g} flop/byte" +
            (f", {percent:.0f} % of the roof" if percent is not None else ""))
    axes.set(xscale="log", yscale="log", xlim=span, xlabel="arithmetic intensity, flop/byte", ylabel="flop/s")
    log_ticks(axes.xaxis, span)
    log_ticks(axes.yaxis, axes.get_ylim())
    turn(figure, axes, words)
    cycles = [c for c in CYCLES if any(r.what == c for r, _ in points)]
    for c in cycles:
        axes.plot([], [], marker=MARKERS[c], linestyle="none", color="#555555", label=c)
    for i, v in enumerate(variants):
        axes.plot([], [], marker="o", linestyle="none", color=colour(v, i), label=v)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    best = max(points, key=lambda item: item[0].counters.get("percent_of_roof", 0.0))[0]
    alt = (f"Roofline: {len(points)} measurements of {', '.join(cycles)} cycles by {', '.join(variants)}; intensities "
           f"{min(xs):.2g} to {max(xs):.2g} flop/byte, rates {engineering(min(p[1] for _, p in points), 'flop/s')} to "
           f"{engineering(max(p[1] for _, p in points), 'flop/s')}.")
    if best.counters.get("percent_of_roof"):
        alt += f" Nearest to its roof: {best.name}, {best.counters['percent_of_roof']:.0f} %."
    head = ["cycle", "variant", "case", "flop/byte", "flop/s", "roof, flop/s", "% of roof"]
    table = [[r.what, r.variant, case_text(r), number(p[0]), engineering(p[1]),
              engineering(r.counters.get("roof_flops_per_second")), number(r.counters.get("percent_of_roof"), ".0f")]
             for r, p in points]
    title = "Roofline"
    note = ("Lines: bandwidth of each level of the memory (read) and the peak, as measured. A grey line joins a cycle with "
            "its own roof: that of the level which holds its working set.")
    return Figure(ident, title, alt, finish(figure, ident, title, alt, tips), head, table, note)


# ---- variants side by side ----

def cases_of(rows):
    """{case: {variant: row}} in the order of the document."""
    cases = {}
    for r in rows:
        cases.setdefault(case_text(r), {})[r.variant] = r
    return cases


def with_yardstick(rows, what):
    """The cycles `what`, and the baseline's rows beside each case that they belong to."""
    cases = cases_of([r for r in measured(rows, "cycle") if r.what == what])
    for r in measured(rows, "baseline"):
        for by_variant in cases.values() if r.what == what else ():
            other = next(iter(by_variant.values()))
            heat = {p for p in other.rest.split("/") if p in ("hot", "cold")}
            if (other.size, other.team) == (r.size, r.team) and heat == set(filter(None, r.rest.split("/"))):
                by_variant[r.variant] = r
    return cases


def bars(cases, value, ident, title, axis, unit, note, lower_is_better=False):
    """A bar for each variant of each case."""
    cases = {c: {v: r for v, r in by.items() if value(r)} for c, by in cases.items()}
    cases = {c: by for c, by in cases.items() if by}
    if not cases:
        return None
    variants = sorted({v for by in cases.values() for v in by}, key=rank)
    figure, axes = canvas(9.2, 1.2 + sum(0.17 * len(by) + 0.16 for by in cases.values()))
    tips, at, places = {}, 0.0, []
    numbers = [value(r) for by in cases.values() for r in by.values()]
    for case, by in cases.items():
        start = at
        for v in sorted(by, key=rank):
            bar = axes.barh(at, value(by[v]), height=0.92, color=colour(v, variants.index(v)), edgecolor="white",
                            linewidth=0.4, hatch=HATCHES.get(v))[0]
            tip(bar, tips, f"{case}, {v}: {engineering(value(by[v]), unit)}")
            at += 1.0
        places.append(((start + at - 1.0) / 2, case))
        at += 0.9
    wide = max(numbers) / min(numbers) > 20
    axes.set(xlabel=axis, yticks=[p for p, _ in places], yticklabels=[c for _, c in places], ylim=(at - 0.4, -1.0))
    if wide:
        axes.set(xscale="log", xlim=(min(numbers) / 2, max(numbers) * 1.3))
        log_ticks(axes.xaxis, axes.get_xlim())
    else:
        axes.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda v, _: engineering(v)))
    axes.grid(axis="y", visible=False)
    for i, v in enumerate(variants):
        axes.barh([0], [0], color=colour(v, i), hatch=HATCHES.get(v), edgecolor="white", label=v)
    tall = at > 40  # the axis and the legend where the eye begins, too
    axes.tick_params(axis="x", top=tall, labeltop=tall)
    axes.legend(loc="upper left" if tall else "center left", bbox_to_anchor=(1.0, 1.0 if tall else 0.5))
    choose = min if lower_is_better else max
    winners = [choose(by, key=lambda v, by=by: value(by[v])) for by in cases.values()]
    most = max(variants, key=winners.count)
    alt = (f"{title}: bars of {', '.join(variants)} for {len(cases)} cases, {engineering(min(numbers), unit)} to "
           f"{engineering(max(numbers), unit)}; {most} is the fastest in {winners.count(most)} of {len(cases)}.")
    head = ["case"] + [f"{v}, {axis}" for v in variants]
    table = [[case] + [engineering(value(by[v])) if v in by else "-" for v in variants] for case, by in cases.items()]
    return Figure(ident, title, alt, finish(figure, ident, title, alt, tips), head, table, note)


def cycle_bars(rows, ident):
    """A picture for each cycle."""
    note = ("OpenBLAS's product of the same shape, where there is one, is bare: no converters, noise or bounds. It is dense, "
            "while three quarters of the errors of backward cycles of several columns and of d:sparse updates are 0, and "
            "those of d:trained updates are as in training.")
    for what in CYCLES:
        yield bars(with_yardstick(rows, what), rate_of, f"{ident}-{what}", f"{what.capitalize()} cycles: variants side by side",
                   "crosspoints/s", "crosspoints/s", note)


def speedups(rows):
    """{kernel: {variant: mean speed-up}} against autovec (or generic) over the shapes that both have."""
    by_case, result = {}, {}
    for r in measured(rows, "kernel"):
        by_case.setdefault((r.what, r.size, r.team, r.rest), {})[r.variant] = r.time
    for (what, *_), times in by_case.items():
        base = times.get("autovec", times.get("generic"))
        for variant, time in times.items() if base and len(times) > 1 else ():
            result.setdefault(what, {}).setdefault(variant, []).append(base / time)
    return {what: {v: geometric_mean(r) for v, r in by.items()} for what, by in result.items()}


def kernel_bars(rows, ident):
    """Kernels against the compiler's vectors."""
    speed = speedups(rows)
    return bars(speed, lambda value: value, ident, "Kernels: speed-up against the compiler's vectors",
                "speed-up against autovec", "times", "Geometric means over all shapes that were measured.")


def step_bars(rows, ident):
    """Images in a second."""
    cases = {}
    for r in measured(rows, "step", "official"):
        cases.setdefault(f"{r.what}, {case_text(r)}", {})[r.variant] = r
    return bars(cases, lambda r: r.counters.get("images_per_second"), ident, "Training steps", "images/s", "images/s",
                "A step is a whole minibatch: forward, backward, update of all layers.")


def share_bars(rows, ident):
    """What a step's time goes to."""
    steps = [r for r in measured(rows, "step") if "percent_rest" in r.counters]
    if not steps:
        return None
    order = {"forward": 0, "backward": 1, "update": 2}
    parts = sorted({k for r in steps for k in r.counters if k.startswith("percent_") and k != "percent_of_roof"},
                   key=lambda k: (order.get(k.split("_")[1], 3), k))
    figure, axes = canvas(9.2, 1.6 + 0.32 * len(steps))
    tips, names = {}, [f"{r.what}, {r.variant}, {case_text(r)}" for r in steps]
    shades = {"forward": "#0072b2", "backward": "#008060", "update": "#d98200"}
    arrays = list(dict.fromkeys(p.split("_")[-1] for p in parts if p.split("_")[1] in shades))
    for i, r in enumerate(steps):
        left = 0.0
        for p in parts:
            width = r.counters.get(p, 0.0)
            cycle, array = p.split("_")[1], p.split("_")[-1]
            strength = 1.0 - 0.25 * (arrays.index(array) % 4) if array in arrays else 1.0
            dark = strength > 0.7 and cycle != "update"
            bar = axes.barh(i, width, left=left, color=shades.get(cycle, "#9a9a9a"), alpha=strength, height=0.75,
                            edgecolor="white", linewidth=0.8)[0]
            tip(bar, tips, f"{names[i]}: {p[8:].replace('_', ' ')} {width:.1f} %")
            if width > 5 and array in arrays:
                axes.text(left + width / 2, i, array, ha="center", va="center", fontsize=8,
                          color="white" if dark else "#1c1c1c")
            left += width
    axes.set(xlabel="share of the time, %", yticks=range(len(names)), yticklabels=names,
             ylim=(len(names) - 0.5, -0.5), xlim=(0, 100.5))
    axes.grid(axis="y", visible=False)
    for cycle in [c for c in shades if any(p.split("_")[1] == c for p in parts)] + ["rest"]:
        axes.barh([0], [0], color=shades.get(cycle, "#9a9a9a"), label=cycle)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    first = steps[0]
    largest = max(parts, key=lambda p: first.counters.get(p, 0.0))
    alt = (f"Shares of the time of {len(steps)} training steps by array and cycle; of {names[0]} the largest is "
           f"{largest[8:].replace('_', ' ')} with {first.counters.get(largest, 0.0):.0f} %.")
    table = [[n] + [number(r.counters.get(p), ".1f") for p in parts] for n, r in zip(names, steps)]
    title = "What a training step's time goes to"
    return Figure(ident, title, alt, finish(figure, ident, title, alt, tips), ["step"] +
                  [p[8:].replace("_", " ") + ", %" for p in parts], table, "")


# ---- scaling ----

def share_text(row):
    """What stays the same along a line: the minibatch, or each thread's part of it."""
    size, _, batch = row.size.partition("/batch:")
    if row.what == "weak" and batch.isdigit() and int(batch) % row.team == 0:
        return f"{size}, batch {int(batch) // row.team} a thread"
    return size_text(row.size)


def scaling(rows, ident):
    """Speed-up by the number of threads."""
    lines = {}
    for r in measured(rows, "scaling"):
        if r.what in ("strong", "weak") and r.team and r.counters.get("speedup"):
            lines.setdefault((r.what, r.variant, share_text(r)), []).append(r)
    if not lines:
        return None
    figure, axes = canvas(9.2, 4.6)
    tips, table = {}, []
    most = max(r.team for line in lines.values() for r in line)
    axes.plot([1, most], [1, most], color="#888888", linestyle=":", label="ideal")
    for i, ((what, variant, size), line) in enumerate(lines.items()):
        line.sort(key=lambda r: r.team)
        axes.plot([r.team for r in line], [r.counters["speedup"] for r in line], color=colour("", i),
                  marker="o" if what == "strong" else "s", linestyle="-" if what == "strong" else "--",
                  label=f"{what}, {variant}, {size}")
        for r in line:
            table.append([what, variant, size, str(r.team), time_text(r.time), number(r.counters["speedup"], ".2f"),
                          number(r.counters.get("percent_efficiency"), ".0f"),
                          number(r.counters.get("percent_serial"), ".1f"),
                          engineering(r.counters.get("images_per_second"))])
    axes.set(xlabel="threads", ylabel="speed-up")
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    ends = "; ".join(f"{what}, {variant}, {size}: {line[-1].counters['speedup']:.2f} with {line[-1].team}"
                     for (what, variant, size), line in lines.items())
    alt = f"Speed-up by the number of threads, up to {most}. {ends}."
    title = "Scaling over threads"
    head = ["kind", "variant", "case", "threads", "time", "speed-up", "efficiency, %", "serial, %", "images/s"]
    return Figure(ident, title, alt, finish(figure, ident, title, alt, tips), head, table,
                  "Strong: the same work for more threads. Weak: work that grows with them; the speed-up is scaled.")


def figures(rows, ident):
    """All pictures that the benchmarks are enough for."""
    made = [roofline(rows, f"{ident}-roofline"), *cycle_bars(rows, f"{ident}-cycle"),
            kernel_bars(rows, f"{ident}-kernel"), step_bars(rows, f"{ident}-step"),
            share_bars(rows, f"{ident}-share"), scaling(rows, f"{ident}-scaling")]
    return [f for f in made if f]
