#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes one page, complete in itself, of results: HTML with pictures as inline SVG, no scripts, nothing from elsewhere.

usage: report.py [--title TEXT] [-o report.html] [--files DIR] RESULT.json...
       report.py --readme FILE     the paper's models and orderings, into FILE
       report.py --check FILE      whether they are those of the documents that FILE names

Each RESULT.json is what `rpubench bench --json` or rpubench-bench --benchmark_out wrote (roofline, variants side by side,
training steps, scaling), the result.json of a training (curves and errors; all trainings share their pictures), or the
sweep.json of a sweep. A document of what was reported (tools/paper/reported.json) sets the trainings that are named after
its cases (case=NAME,seed=S or NAME-seedS) beside it: curves with mean and spread, a table, orderings; --files DIR also
writes these as DIR/table.md and DIR/NAME.svg. Beside each picture stand its numbers. Needs Debian's python3-matplotlib and python3-jinja2.

In FILE the text from the line <!-- paper:begin REPORTED.json DIR --> to <!-- paper:end --> is replaced; that line names what
was reported and the folder with trainings (CASE-seedS.json) and pictures, relative to FILE.

Exit code 1: a document cannot be used, or the page cannot be written."""
import argparse
import glob
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

try:
    import jinja2

    from page import accuracy, paper, speed
    from page.documents import Fault, benchmarks, context, load
except ImportError as missing:
    print(f"report.py: {missing}; install python3-matplotlib and python3-jinja2 (apt-get install ...)", file=sys.stderr)
    sys.exit(1)

BLOCK = re.compile(r"(<!-- paper:begin (\S+) (\S+) -->\n)(.*?)(<!-- paper:end -->)", re.S)
FACTS = ("date", "cpu", "num_cpus", "topology", "cache_levels", "governor", "frequency", "version", "rpubench_version",
         "commit", "compiler", "flags", "isa", "isas", "teams", "selection", "openblas", "openblas_core",
         "openblas_default_core", "bind", "places", "load_avg", "data", "slow", "wrong", "peer")

# Columns of words, which begin at the left.
WORDS = {"cycle", "variant", "case", "kind", "reason", "preset", "data", "kernels", "weights digest", "setting"} | paper.WORDS


def fact_text(value):
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def section(ident, title, **parts):
    return {"ident": ident, "title": title, "facts": (), "notes": (), "tables": (), "figures": (), **parts}


def peers_of(document, documents):
    """Documents of peers (aihwkit) of the same CPU and caches: their cycles stand beside ours."""
    ours = context(document)
    if not any(r.group == "cycle" for r in benchmarks(document)):
        return []
    return [d for d in documents if d.kind == "benchmarks" and "peer" in context(d) and "peer" not in ours and
            all(context(d).get(key) == ours.get(key) for key in ("cpu", "cache_levels"))]


def benchmark_section(document, peers, ident):
    rows = benchmarks(document)
    timed = [r for r in rows if r.time is not None]
    facts = [("file", document.path)] + [(k, fact_text(context(document)[k])) for k in FACTS if k in context(document)]
    skipped = [r for r in rows if r.skipped]
    tables = [("Not measured", ["benchmark", "reason"], [[r.name, r.skipped] for r in skipped])] if skipped else []
    notes = [f"{len(timed)} benchmarks; each figure is the median of its repetitions."]
    for peer in peers:
        facts.append(("peer", f"{context(peer)['peer']}: {peer.path}"))
        rows += [r for r in benchmarks(peer) if r.group == "cycle"]
    pictures = speed.figures(rows, ident)
    if not pictures:  # benchmarks of another kind: at least their times
        tables.append(("Times", ["benchmark", "time", "repetitions"],
                       [[r.name, speed.time_text(r.time), str(r.repetitions)] for r in timed]))
    return section(ident, f"Benchmarks: {document.name}", facts=facts, notes=notes, tables=tables, figures=pictures)


def paper_sections(documents, trained):
    """Of each document of what was reported, with its trainings; and the trainings that belong to none."""
    made, shown = [], set()
    for i, d in enumerate(d for d in documents if d.kind == "reported"):
        own = paper.belong(d, trained)
        shown |= {o.path for o in own}
        machines = sorted({str(o.data.get("cpu", "unknown")) for o in own})
        made.append(section(f"paper{i}", f"Beside what was reported: {len(own)} trainings",
                            facts=[("file", d.path), ("cpu", "; ".join(machines))], notes=paper.notes_of(d),
                            tables=paper.tables_of(d, own), figures=paper.figures_of(d, paper.results_of(d, own))))
    return made, [d for d in trained if d.path not in shown]


def sections_of(documents):
    benches = [(d, peers_of(d, documents)) for d in documents if d.kind == "benchmarks"]
    shown = {p.path for _, peers in benches for p in peers}
    benches = [(d, peers) for d, peers in benches if d.path not in shown]
    made = [benchmark_section(d, peers, f"bench{i}") for i, (d, peers) in enumerate(benches)]
    papers, trained = paper_sections(documents, [d for d in documents if d.kind == "result"])
    made += papers
    if trained:
        machines = sorted({str(d.data.get("cpu", "unknown")) for d in trained})
        made.append(section("trainings", "Trainings", figures=accuracy.trainings(trained, "trainings"),
                            facts=[("files", ", ".join(d.path for d in trained)), ("cpu", "; ".join(machines))],
                            tables=[("What each training came to", *accuracy.error_table(trained))]))
    for i, d in enumerate(d for d in documents if d.kind == "sweep"):
        picture = accuracy.sweep(d, f"sweep{i}-error")
        made.append(section(f"sweep{i}", f"Sweep: {d.name}", facts=[("file", d.path)],
                            notes=[f"Runs: {accuracy.sweep_states(d)}."], figures=[picture] if picture else []))
    return made


def page(documents, title):
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "page")
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(folder), autoescape=True, trim_blocks=True,
                                     undefined=jinja2.StrictUndefined)
    return environment.get_template("report.html").render(title=title, sections=sections_of(documents),
                                                          words=WORDS)


def write_files(documents, folder):
    """Table and pictures of what was reported, as files of their own."""
    trained = [d for d in documents if d.kind == "result"]
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise Fault(f"{folder}: cannot be created: {error.strerror}") from error
    for d in (d for d in documents if d.kind == "reported"):
        own = paper.belong(d, trained)
        write(os.path.join(folder, "table.md"), paper.as_markdown(d, own))
        for figure in paper.figures_of(d, paper.results_of(d, own)):
            write(os.path.join(folder, figure.ident.removeprefix("paper-") + ".svg"), figure.svg + "\n")


def write(path, text):
    """All of it under a temporary name, synced, then renamed: an old file stays until the new one is there."""
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=os.path.dirname(os.path.abspath(path)),
                                         prefix=os.path.basename(path) + ".", suffix=".tmp", delete=False) as file:
            try:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
                os.chmod(file.name, 0o644)
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as error:
        raise Fault(f"{path}: cannot be written: {error.strerror}") from error


def readme(path):
    """The text of a README, and what it is with the block that its documents make."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, ValueError) as error:
        raise Fault(f"{path}: cannot be read: {error}") from error
    block = BLOCK.search(text)
    if not block:
        raise Fault(f"{path}: has no lines <!-- paper:begin REPORTED.json DIR --> and <!-- paper:end -->")
    folder = os.path.dirname(os.path.abspath(path))
    document = load(os.path.join(folder, block[2]))
    trained = [load(p) for p in sorted(glob.glob(os.path.join(folder, block[3], "*-seed*.json")))]
    if document.kind != "reported" or any(d.kind != "result" for d in trained):
        raise Fault(f"{path}: {block[1].strip()}: found other documents, allowed are what was reported and trainings")
    made = paper.for_readme(document, paper.belong(document, trained), block[3])
    return text, text[:block.start(4)] + made + text[block.end(4):]


def main():
    parser = argparse.ArgumentParser(description="One page, complete in itself, of results of rpubench.")
    parser.add_argument("results", metavar="RESULT.json", nargs="*")
    parser.add_argument("-o", "--out", metavar="FILE", default="report.html", help="default: report.html")
    parser.add_argument("--title", default="rpubench: results")
    parser.add_argument("--files", metavar="DIR", help="where to write table and pictures of what was reported")
    parser.add_argument("--readme", metavar="FILE", help="write the paper's models and orderings into FILE")
    parser.add_argument("--check", metavar="FILE", help="whether those in FILE are those of the documents that it names")
    args = parser.parse_args()
    if (len(args.results) > 0) + (args.readme is not None) + (args.check is not None) != 1:
        parser.error("one of RESULT.json, --readme and --check is needed")
    try:
        if args.readme:
            write(args.readme, readme(args.readme)[1])
            return 0
        if args.check:
            text, made = readme(args.check)
            if text != made:
                raise Fault(f"{args.check}: the paper's models are not those of its documents; make them again with --readme")
            return 0
        documents = [load(path) for path in args.results]
        text = page(documents, args.title)
        write(args.out, text)
        if args.files:
            write_files(documents, args.files)
    except Fault as fault:
        print(f"report.py: {fault}", file=sys.stderr)
        return 1
    print(f"{args.out}: {len(text.encode()) // 1024} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
