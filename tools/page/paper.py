# SPDX-License-Identifier: Apache-2.0
"""Trainings beside what was reported: curves, errors over the last epochs and the seeds, orderings."""
import math
import re
import statistics
from collections import namedtuple

from page.accuracy import DASHES, by_epoch, percent
from page.documents import Fault, epochs, finite, found, need
from page.figures import Figure, canvas, colour, finish, number, tip

LAST = 5  # epochs that a figure is the mean of
FAR = 3.0  # times the error
# A training belongs to the case that its file or folder is named after: case=NAME,seed=S or NAME-seedS.
CASE = re.compile(r"(?:case=)?(?P<case>.+?)[,-]seed=?\d+")
WORDS = {"model", "case", "reported", "better", "worse", "holds", "goal"}
# Verdicts from the worst to the best.
VERDICTS = ("no", "within the spread", "yes, within the spread", "yes")

Row = namedtuple("Row", "case experiment model reported confidence goal")
# `worse` are one or several cases, and each has to err more than `better`: by any amount, or `by`; or to be `within` so many
# points of it.
Ordering = namedtuple("Ordering", "better worse by within")
# Of one case: errors in per cent. `error` is the mean over seeds and last epochs, `of_epochs` the spread over these (mean
# over the seeds), `of_seeds` that of the seeds' means, None for a single one. Times go by the median epoch, so that a machine
# that stood still for one does not count; `hours` are of all seeds together.
Result = namedtuple("Result", "row documents error of_epochs of_seeds least most images_per_second hours")


def text_of(document, place, row, key, default=None):
    return default if default is not None and key not in row else need(document.path, f"{place}.{key}", row.get(key), str)


def entries(document, key):
    for i, row in enumerate(document.data[key]):
        yield f"{key}[{i}]", need(document.path, f"{key}[{i}]", row, dict)


def goal_of(document, place, row):
    goal = row.get("goal")
    if goal is None:
        return None
    ends = [finite(v) for v in need(document.path, place + ".goal", goal, list)]
    if len(ends) != 2 or None in ends or ends[0] > ends[1]:
        raise Fault(f"{document.path}: {place}.goal: found {goal}, allowed is a list of the least and the most, in per cent")
    return ends


def rows_of(document):
    """The rows of a document of what was reported."""
    rows = [Row(*(text_of(document, place, row, key) for key in ("case", "experiment", "model")),
                *(text_of(document, place, row, key, "-") for key in ("reported", "confidence")),
                goal_of(document, place, row)) for place, row in entries(document, "rows")]
    cases = [row.case for row in rows]
    for case in cases:
        if cases.count(case) > 1:
            raise Fault(f"{document.path}: rows: the case {case!r} stands there twice, allowed is once")
    return rows


def orderings_of(document):
    """The orderings of a document of what was reported."""
    known = {row.case for row in rows_of(document)}
    for place, row in entries(document, "orderings"):
        worse = row.get("worse") or None
        cases = [text_of(document, place, row, "better"), *(worse if isinstance(worse, list) else [worse])]
        for case in cases:
            if need(document.path, f"{place}.worse", case, str) not in known:
                raise Fault(f"{document.path}: {place}: found {case!r}, which is the case of no row")
        by = text_of(document, place, row, "by", "")
        if by not in ("", "far", "or equal"):
            raise Fault(f"{document.path}: {place}.by: found {by!r}, allowed is 'far' or 'or equal'")
        within = finite(row.get("within"))
        if "within" in row and (within is None or within <= 0 or by):
            raise Fault(f"{document.path}: {place}.within: found {row['within']!r}{' beside by' if by else ''}, allowed are "
                        f"points above 0, without by")
        yield Ordering(cases[0], cases[1:], by, within)


def case_of(document):
    """The case that a training belongs to, or None."""
    match = CASE.fullmatch(document.name)
    return match["case"] if match else None


def belong(document, trainings):
    """The trainings that belong to the rows of a document of what was reported."""
    cases = {row.case for row in rows_of(document)}
    return [d for d in trainings if case_of(d) in cases]


def errors_of(document):
    errors = [percent(e.test_error) for e in epochs(document)]
    if not errors or None in errors:
        raise Fault(f"{document.path}: epochs: found one without a test error, or none; allowed are numbers")
    return errors


def deviation(values):
    return statistics.stdev(values) if len(values) > 1 else None


def median_epoch(document, key):
    seconds = [getattr(e, key) for e in epochs(document)]
    return None if None in seconds else statistics.median(seconds)


def rate_of(document):
    trained, seconds = finite(document.data.get("images_trained")), median_epoch(document, "train_seconds")
    return trained / len(epochs(document)) / seconds if trained and seconds else None


def seconds_of(document):
    seconds = median_epoch(document, "seconds")
    return None if seconds is None else seconds * len(epochs(document))


def result_of(row, documents):
    last = [errors_of(d)[-LAST:] for d in documents]
    means = [statistics.fmean(v) for v in last]
    spreads = [deviation(v) for v in last]
    rates, times = [rate_of(d) for d in documents], [seconds_of(d) for d in documents]
    return Result(row, documents, statistics.fmean(means), None if None in spreads else statistics.fmean(spreads),
                  deviation(means), min(means), max(means), None if None in rates else statistics.fmean(rates),
                  None if None in times else sum(times) / 3600.0)


def results_of(document, trainings):
    """What there is of each row, by case; no two trainings of a case have the same seed."""
    results = {}
    for row in rows_of(document):
        own = [d for d in trainings if case_of(d) == row.case]
        seeds = [d.data.get("seed") for d in own]
        for d, seed in zip(own, seeds):
            if seeds.count(seed) > 1:
                raise Fault(f"{d.path}: seed: found {seed} for a second training of {row.case}, allowed is one")
        if own:
            results[row.case] = result_of(row, own)
    return results


# ---- tables ----

def cpus(results):
    """The processors that trained."""
    return sorted({str(d.data.get("cpu", "unknown")) for r in results for d in r.documents})


def goal_text(result):
    goal = result.row.goal
    if not goal:
        return "-"
    met = goal[0] <= result.error <= goal[1]
    return f"{goal[0]:g} to {goal[1]:g}: {'met' if met else 'missed'}"


def error_table(results):
    head = ["model", "case", "reported", "confidence", "seeds", "epochs", "test error, %", "spread of epochs",
            "spread of seeds", "least", "most", "goal", "images/s", "hours", "processor"]
    rows = []
    for case, r in results.items():
        counts = sorted({len(epochs(d)) for d in r.documents})
        rows.append([f"({r.row.experiment}) {r.row.model}", case, r.row.reported, r.row.confidence,
                     ", ".join(sorted(str(d.data.get("seed")) for d in r.documents)), ", ".join(map(str, counts)),
                     number(r.error, ".2f"), number(r.of_epochs, ".2f"), number(r.of_seeds, ".2f"),
                     number(r.least, ".2f"), number(r.most, ".2f"), goal_text(r), number(r.images_per_second, ".0f"),
                     number(r.hours, ".2f"), "; ".join(cpus([r]))])
    return head, rows


def usual_of_seeds(results):
    """By how much the seeds of a model usually differ: what a model of one seed is taken to have."""
    return statistics.median([r.of_seeds for r in results.values() if r.of_seeds is not None] or [0.0])


def verdict(better, worse, ordering, usual):
    """Whether an ordering holds, judged by the spread over the last epochs and over the seeds."""
    spreads = [s for r in (better, worse) for s in (r.of_epochs, usual if r.of_seeds is None else r.of_seeds)]
    spread = math.sqrt(sum(s * s for s in spreads if s is not None))
    difference, by = worse.error - better.error, ordering.by
    if ordering.within is not None:
        return "yes" if abs(difference) <= ordering.within else "no"
    if by == "far":
        return "yes" if worse.error >= FAR * better.error else "no"
    if abs(difference) <= spread:
        return "yes, within the spread" if by == "or equal" else "within the spread"
    return "yes" if difference > 0 else "no"


def expected_text(ordering):
    if ordering.within is not None:
        return f"within {ordering.within:g} points"
    return {"": "better", "far": f"{FAR:g} times better", "or equal": "better or equal"}[ordering.by]


def ordering_table(document, results):
    """Of the orderings whose both sides there are."""
    head = ["better", "error, %", "worse", "error, % ", "expected", "holds"]
    rows, usual = [], usual_of_seeds(results)
    for o in orderings_of(document):
        for b, w in ((results[o.better], results[case]) for case in o.worse if o.better in results and case in results):
            rows.append([b.row.model, number(b.error, ".2f"), w.row.model, number(w.error, ".2f"), expected_text(o),
                         verdict(b, w, o, usual)])
    return head, rows


def markdown(head, rows):
    def line(cells):
        return "| " + " | ".join(str(c).strip().replace("|", "\\|") for c in cells) + " |"
    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)]) + "\n"


# ---- pictures ----

def curve_of(result):
    """(epoch, mean, least, most) over the seeds, as far as all have come."""
    return [(i + 1, statistics.fmean(v), min(v), max(v))
            for i, v in enumerate(zip(*(errors_of(d) for d in result.documents)))]


def alt_of(results):
    return f"Test error by epoch. Means over the last {LAST} epochs: " + "; ".join(
        f"{r.row.model} {r.error:.2f} %" for r in results) + "."


def figure_of(ident, title, results):
    figure, axes = canvas(9.2, 4.6)
    tips, values = {}, []
    for i, r in enumerate(results):
        curve = curve_of(r)
        at = [c[0] for c in curve]
        if len(r.documents) > 1:
            axes.fill_between(at, [c[2] for c in curve], [c[3] for c in curve], color=colour("", i), alpha=0.18,
                              linewidth=0)
        line, = axes.plot(at, [c[1] for c in curve], color=colour("", i), linestyle=DASHES[i // 8 % 4], linewidth=1.6,
                          marker="o", markersize=3,
                          label=f"{r.row.case}: {r.error:.2f} %")
        tip(line, tips, f"{r.row.model}: {r.error:.2f} % over the last epochs")
        values += [v for c in curve for v in c[1:]]
    by_epoch(axes, values, "test error, %")
    alt = alt_of(results)
    count = max(len(curve_of(r)) for r in results)
    table = [[r.row.case] + [number(c[1], ".2f") for c in curve_of(r)] + ["-"] * (count - len(curve_of(r)))
             for r in results]
    note = (f"Means over the seeds; bands from the least to the largest where there are several. The legend has means over "
            f"the last {LAST} epochs.")
    return Figure(ident, title, alt, finish(figure, ident, title, alt, tips), ["case"] + [f"epoch {e + 1}" for e in
                                                                                        range(count)], table, note)


def pictures_of(document, results):
    """(ident, title, results) of the pictures that have at least two of their cases."""
    for place, row in entries(document, "figures"):
        ident, title = (text_of(document, place, row, key) for key in ("ident", "title"))
        if not re.fullmatch(r"[a-z0-9-]+", ident):
            raise Fault(f"{document.path}: {place}.ident: found {ident!r}, allowed are small letters, digits and -")
        cases = need(document.path, place + ".cases", row.get("cases"), list)
        there = [results[c] for c in cases if isinstance(c, str) and c in results]
        strange = [c for c in cases if not isinstance(c, str)]
        if strange:
            raise Fault(f"{document.path}: {place}.cases: found {found(strange[0])}, allowed are texts")
        if len(there) > 1:
            yield ident, title, there


def figures_of(document, results):
    return [figure_of(f"paper-{ident}", title, there) for ident, title, there in pictures_of(document, results)]


def confidence_notes(document):
    marks = need(document.path, "confidence", document.data.get("confidence"), dict)
    return "Confidence of what was reported: " + "; ".join(f"{k}: {v}" for k, v in marks.items()) + "."


def notes_of(document):
    return [f"Reported: {document.data.get('source', 'unknown')}. Figures are reported ones, approximately, and are judged "
            f"by orderings and ranges.", confidence_notes(document),
            f"Errors are means over the last {LAST} epochs, and over the seeds where there are several; spreads are standard "
            f"deviations. An ordering is within the spread where the errors are no further apart than that of both, of epochs and "
            f"seeds; a model of one seed is taken to have the median of the spreads of those that have several. Images a second "
            f"and hours go by the median epoch."]


def tables_of(document, trainings):
    """(caption, head, rows) of what there is."""
    results = results_of(document, trainings)
    tables = [("Results beside the reported ones", *error_table(results)),
              ("Orderings", *ordering_table(document, results))]
    return [t for t in tables if t[2]]


def as_markdown(document, trainings):
    """The tables as a document of their own."""
    parts = [f"## {caption}\n\n{markdown(head, rows)}" for caption, head, rows in tables_of(document, trainings)]
    return "\n".join(["<!-- made by tools/report.py -->\n", *parts, *(n + "\n" for n in notes_of(document))])


# ---- in a README ----

def spread_text(error, spread):
    return f"{error:.2f}" if spread is None else f"{error:.2f} +- {spread:.2f}"


def reported_table(document, results):
    """Of the models that something was reported of, those that were not trained yet as well."""
    head, rows = ["model", "reported", "confidence", "test error here, %", "seeds", "hours"], []
    for row in (r for r in rows_of(document) if r.reported != "-"):
        r = results.get(row.case)
        rows.append([row.model, row.reported, row.confidence, *(
            [spread_text(r.error, r.of_epochs), str(len(r.documents)), number(r.hours, ".2f")] if r else
            ["not run yet", "-", "-"])])
    return head, rows


def judged_table(document, results):
    """Of all orderings; of several worse models the error of the one that errs least, and the worst verdict."""
    models, usual = {row.case: row.model for row in rows_of(document)}, usual_of_seeds(results)
    head, rows = ["better", "error, %", "worse", "error, % ", "expected", "holds"], []
    for o in orderings_of(document):
        there = [results[case] for case in o.worse if case in results]
        least = min(there, key=lambda r: r.error, default=None)
        better = results.get(o.better)
        if better and len(there) == len(o.worse):
            holds = min((verdict(better, w, o, usual) for w in there), key=VERDICTS.index)
        else:
            holds = "not run yet"
        several = f"each of {', '.join(o.worse)}" if len(o.worse) > 1 else models[o.worse[0]]
        rows.append([models[o.better], number(better and better.error, ".2f"), several, number(least and least.error, ".2f"),
                     expected_text(o), holds])
    return head, rows


def for_readme(document, trainings, folder):
    """A picture, models and orderings; `folder` is where the pictures are, relative to the README."""
    results = results_of(document, trainings)
    ident, _, there = next(pictures_of(document, results), ("", "", []))
    times = [r.hours for r in results.values()]
    machines = cpus(results.values())
    count = sum(len(r.documents) for r in results.values())
    took = "" if None in times else f", which took {sum(times):.1f} hours by their median epochs, tests included"
    words = (f"{count} trainings are recorded{took} ({'; '.join(machines)}). Errors are means over the last {LAST} epochs and "
             f"the seeds, +- the standard deviation of those epochs; orderings are judged by that and by what seeds differ by. "
             f"Reported figures are approximate; A is surer than B, B than C.")
    return "\n".join([f"![{alt_of(there)}]({folder}/{ident}.svg)\n" if there else "", words + "\n",
                      markdown(*reported_table(document, results)), markdown(*judged_table(document, results))])
