# SPDX-License-Identifier: Apache-2.0
"""Pictures of trainings and sweeps: curves by epoch, errors."""
import matplotlib.ticker

from page.documents import Fault, epochs, finite, need
from page.figures import Figure, canvas, colour, finish, log_ticks, number, tip

DASHES = ("-", "--", "-.", ":")


def percent(value):
    return None if value is None else 100.0 * value


def stands_beside(names):
    """Whether a legend of these names has room beside its picture."""
    return len(names) <= 16 and max(map(len, names)) <= 40


def columns_below(names):
    return 2 if max(map(len, names)) <= 80 else 1


def canvas_of_curves(names):
    """A figure for curves of these names, and its axes: a legend that stands below needs room there."""
    return canvas(9.2, 4.4 if stands_beside(names) else 4.4 + 0.2 * -(-len(names) // columns_below(names)))


def by_epoch(axes, values, label):
    """Axes of curves by epoch through these values, with their legend."""
    if min(values) > 0 and max(values) / min(values) > 15:
        axes.set_yscale("log")
        log_ticks(axes.yaxis, axes.get_ylim())
    else:
        axes.set_ylim(bottom=0)
    axes.set(xlabel="epoch", ylabel=label)
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    names = axes.get_legend_handles_labels()[1]
    if stands_beside(names):
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    else:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=columns_below(names), fontsize=7)


def curve(runs, pick, ident, title, axis, form, unit):
    """A line for each training."""
    lines = [(name, [(e.number, pick(e)) for e in rows if pick(e) is not None]) for name, rows in runs]
    lines = [(name, line) for name, line in lines if line]
    if not lines:
        return None
    figure, axes = canvas_of_curves([name for name, _ in lines])
    tips = {}
    for i, (name, line) in enumerate(lines):
        dots, = axes.plot([x for x, _ in line], [y for _, y in line], marker="o", markersize=4.5, color=colour("", i),
                          linestyle=DASHES[i // 8 % 4], label=name)
        tip(dots, tips, f"{name}: {line[-1][1]:{form}}{unit} after {line[-1][0]} epochs")
    by_epoch(axes, [y for _, line in lines for _, y in line], axis)
    last = "; ".join(f"{name}: {line[0][1]:{form}}{unit} after the first, {line[-1][1]:{form}}{unit} after epoch {line[-1][0]}"
                     for name, line in lines)
    alt = f"{title} by epoch. {last}."
    count = max(x for _, line in lines for x, _ in line)
    table = [[name] + [number(dict(line).get(e), form) for e in range(1, count + 1)] for name, line in lines]
    head = ["training"] + [f"epoch {e}" for e in range(1, count + 1)]
    return Figure(ident, title, alt, finish(figure, ident, title, alt, tips), head, table, "")


def names_of(documents):
    """A name for each document that no other has."""
    names = [d.name for d in documents]
    return [n if names.count(n) == 1 else d.path for n, d in zip(names, documents)]


def trainings(documents, ident):
    """Curves of all trainings together."""
    runs = [(n, epochs(d)) for n, d in zip(names_of(documents), documents)]
    made = [curve(runs, lambda e: percent(e.test_error), f"{ident}-error", "Test error", "test error, %", ".2f", " %"),
            curve(runs, lambda e: e.train_loss, f"{ident}-train", "Training loss", "mean cross-entropy", ".4f", ""),
            curve(runs, lambda e: e.test_loss, f"{ident}-test", "Test loss", "mean cross-entropy", ".4f", "")]
    return [f for f in made if f]


def error_table(documents):
    """Head and rows: what each training came to."""
    head = ["training", "preset", "data", "seed", "batch", "epochs", "test error, %", "least, %", "images/s", "kernels",
            "threads", "weights digest"]
    rows = []
    for name, d in zip(names_of(documents), documents):
        data, done = d.data, epochs(d)
        config = data.get("config") if isinstance(data.get("config"), dict) else {}
        training = config.get("training") if isinstance(config.get("training"), dict) else {}
        source = data.get("data") if isinstance(data.get("data"), dict) else {}
        errors = [e.test_error for e in done if e.test_error is not None]
        rows.append([name, *(str(v) if v is not None else "-" for v in (
            config.get("preset"), source.get("source"), data.get("seed"), training.get("batch"))), str(len(done)),
            number(percent(finite(data.get("test_error"))), ".2f"), number(percent(min(errors, default=None)), ".2f"),
            number(finite(data.get("images_per_second")), ".0f"), str(data.get("isa", "-")),
            str(data.get("threads", "-")), str(data.get("weights_digest", "-"))])
        if data.get("interrupted") is True:
            rows[-1][0] += " (interrupted)"
    return head, rows


# ---- sweeps ----

def values_text(document, place, row):
    values = need(document.path, place + ".values", row.get("values"), dict)
    return ", ".join(f"{k.split('.')[-1]}={v}" for k, v in values.items())


def sweep_rows(document):
    """(name, error in per cent, deviation or None) of the settings, or of the runs where there are no settings."""
    settings, result = document.data["settings"], []
    for i, row in enumerate(settings or document.data["runs"]):
        place = f"{'settings' if settings else 'runs'}[{i}]"
        need(document.path, place, row, dict)
        error = finite(row.get("test_error_mean" if settings else "test_error"))
        spread = [finite(row.get(k)) for k in ("test_error_deviation", "test_error_least", "test_error_most")]
        result.append((values_text(document, place, row), percent(error), *(percent(v) for v in spread),
                       row.get("runs") if settings else 1))
    return result


def sweep(document, ident):
    """Errors of the settings, with their spread over the seeds."""
    rows = [r for r in sweep_rows(document) if r[1] is not None]
    if not rows:
        return None
    figure, axes = canvas(9.2, 1.3 + 0.3 * len(rows))
    tips = {}
    for i, (name, error, _, least, most, _) in enumerate(rows):
        if least is not None and most is not None:
            axes.plot([least, most], [i, i], color="#7fb2d6", linewidth=5, solid_capstyle="round")
        dot, = axes.plot([error], [i], marker="o", color="#0072b2", linestyle="none")
        tip(dot, tips, f"{name}: {error:.2f} %")
    axes.set(xlabel="test error, %", yticks=range(len(rows)), yticklabels=[r[0] for r in rows],
             ylim=(len(rows) - 0.5, -0.5))
    axes.set_xlim(left=0)
    axes.grid(axis="y", visible=False)
    best = min(rows, key=lambda r: r[1])
    title = f"Sweep {document.name}: test error"
    alt = (f"Test errors of {len(rows)} settings, {min(r[1] for r in rows):.2f} % to {max(r[1] for r in rows):.2f} %; "
           f"the least is that of {best[0]}.")
    table = [[name, number(error, ".2f"), number(dev, ".2f"), number(least, ".2f"), number(most, ".2f"), str(n)]
             for name, error, dev, least, most, n in rows]
    head = ["setting", "test error, %", "deviation", "least", "most", "runs"]
    return Figure(ident, title, alt, finish(figure, ident, title, alt, tips), head, table,
                  "Dots: means over the seeds, where there are several; bars: from the least to the largest.")


def sweep_states(document):
    """How many runs are in which state."""
    states = {}
    for i, row in enumerate(document.data["runs"]):
        if not isinstance(row, dict):
            raise Fault(f"{document.path}: runs[{i}]: found no object")
        states[str(row.get("state"))] = states.get(str(row.get("state")), 0) + 1
    return ", ".join(f"{n} {s}" for s, n in states.items())
