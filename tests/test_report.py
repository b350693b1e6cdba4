#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tools/report.py: the page of recorded documents, checked as text; documents that are none."""
import json
import math
import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import benchjson
import e2e
from benchjson import write

SCRIPT = os.path.join(e2e.ROOT, "tools", "report.py")
DATA = os.path.join(e2e.ROOT, "tests", "data", "report")
DOCUMENTS = [os.path.join(DATA, name) for name in ("bench.json", "training.json", "training-bl10.json", "sweep.json")]
FIGURES = ["bench0-roofline", "bench0-cycle-forward", "bench0-cycle-backward", "bench0-cycle-update", "bench0-kernel",
           "bench0-step", "bench0-share", "bench0-scaling", "trainings-error", "trainings-train", "trainings-test",
           "sweep0-error"]
VOID = {"meta", "link", "br", "img", "input", "hr"}


def report(*args):
    return subprocess.run([sys.executable, SCRIPT, *args], capture_output=True, text=True, check=False)


def need_libraries():
    try:
        import jinja2  # pylint: disable=import-outside-toplevel,unused-import
        import matplotlib  # pylint: disable=import-outside-toplevel,unused-import
    except ImportError as why:
        raise e2e.Skipped(f"{why}: python3-matplotlib and python3-jinja2 are needed") from why


class Page(HTMLParser):
    """Elements in order, with their attributes and the identifiers of the elements that they are in."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.faults, self.words = [], [], [], {}
        self.feed(text)
        self.faults += [f"<{tag}> is left open" for tag, _ in self.open]

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.elements.append((tag, attrs, [a.get("id") for _, a in self.open]))
        if tag not in VOID:
            self.open.append((tag, attrs))

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), [a.get("id") for _, a in self.open]))

    def handle_endtag(self, tag):
        if not self.open or self.open[-1][0] != tag:
            self.faults.append(f"</{tag}> at {self.getpos()} closes {self.open[-1:]}")
        else:
            self.open.pop()

    def handle_data(self, data):
        for _, attrs in self.open:
            if "id" in attrs:
                self.words[attrs["id"]] = self.words.get(attrs["id"], "") + data

    def within(self, ident, tag):
        return [attrs for name, attrs, around in self.elements if name == tag and ident in around]


PAGES = {}


def page_of(*documents):
    """The page of these documents, checked; that of the recorded ones is made once."""
    if documents not in PAGES or not set(documents) <= set(DOCUMENTS):
        PAGES[documents] = make_page(*documents)
    return PAGES[documents]


def make_page(*documents):
    need_libraries()
    result = report(*documents, "-o", "page.html")
    assert result.returncode == 0, result.stderr
    assert "Warning" not in result.stderr, result.stderr # of matplotlib: what has no room in a picture
    with open("page.html", encoding="utf-8") as file:
        text = file.read()
    page = Page(text)
    assert not page.faults, page.faults[:5]
    return page, text


def test_every_picture_has_words_and_numbers():
    page, _ = page_of(*DOCUMENTS)
    assert [a["id"] for t, a, _ in page.elements if t == "figure"] == FIGURES
    for ident in FIGURES:
        svg, = page.within(ident, "svg")
        assert svg["role"] == "img" and svg["aria-labelledby"] == f"{ident}-title {ident}-desc", svg
        assert len(page.words[f"{ident}-desc"]) > 60 and re.search(r"\d", page.words[f"{ident}-desc"]), ident
        assert len(page.within(ident, "path")) > 10, ident
    tables = [a["aria-label"] for t, a, _ in page.elements if t == "div" and a.get("role") == "region"]
    assert sum(label.endswith(": the numbers") for label in tables) == len(FIGURES), tables


def test_identifiers_are_unique_and_references_are_met():
    page, text = page_of(*DOCUMENTS)
    idents = [a["id"] for _, a, _ in page.elements if "id" in a]
    assert len(idents) == len(set(idents)), [i for i in set(idents) if idents.count(i) > 1][:5]
    wanted = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    wanted |= {i for _, a, _ in page.elements for i in a.get("aria-labelledby", "").split()}
    assert len(wanted) > 50 and wanted <= set(idents), sorted(wanted - set(idents))[:5]


def test_nothing_comes_from_elsewhere():
    page, text = page_of(*DOCUMENTS)
    tags = {t for t, _, _ in page.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "image", "foreignobject"}, tags
    for _, attrs, _ in page.elements:
        for key, value in attrs.items():
            assert not key.startswith("on"), key
            if key in ("src", "href", "xlink:href"):
                assert value.startswith("#"), (key, value)
    assert "@import" not in text and not re.search(r"url\((?!#)", text)
    csp, = [a["content"] for t, a, _ in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert csp == "default-src 'none'; style-src 'unsafe-inline'"


def rows_of(text, caption):
    """Cells of the table with that caption."""
    part = text[text.index(f"<caption>{caption}</caption>"):]
    part = part[:part.index("</table>")]
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", part, re.S)]


def test_every_cycle_is_on_the_roofline():
    page, text = page_of(DOCUMENTS[0])
    with open(DOCUMENTS[0], encoding="utf-8") as file:
        names = [b["name"] for b in json.load(file)["benchmarks"]]
    cycles = [n for n in names if n.startswith(("cycle/", "baseline/"))]
    assert len(rows_of(text, "Roofline: the numbers")) == 1 + len(cycles) > 20
    svg = text[text.index('<figure id="bench0-roofline"'):]
    svg = svg[:svg.index("</figure>")]
    for name in cycles:
        plain = name.replace("/real_time", "").replace("/manual_time", "")
        assert f"<title>{plain}: " in svg, plain
    words = page.words["bench0-roofline"]
    for level in ("L1 ", "L2 ", "L3 ", "memory ", "peak "):
        assert level in words, level


def test_numbers_are_those_of_the_documents():
    _, text = page_of(*DOCUMENTS)
    with open(DOCUMENTS[1], encoding="utf-8") as file:
        result = json.load(file)
    errors = rows_of(text, "Test error: the numbers")
    assert errors[1] == ["training"] + [f"{100 * e['test_error']:.2f}" for e in result["epochs"]], errors
    came = rows_of(text, "What each training came to")
    assert result["weights_digest"] in came[1] and came[2][0] == "training-bl10", came
    with open(DOCUMENTS[3], encoding="utf-8") as file:
        settings = json.load(file)["settings"]
    found = rows_of(text, "Sweep report: test error: the numbers")
    assert [r[1] for r in found[1:]] == [f"{100 * s['test_error_mean']:.2f}" for s in settings], found


def test_variants_beside_openblas():
    _, text = page_of(DOCUMENTS[0])
    for cycle in ("Forward", "Backward", "Update"):
        rows = rows_of(text, f"{cycle} cycles: variants side by side: the numbers")
        assert [h.split(",")[0] for h in rows[0]] == ["case", "autovec", "avx2", "openblas"], rows[0]
        assert len(rows) > 3 and all("-" not in row[1:] for row in rows), rows


def test_a_peer_stands_beside_ours():
    with open(DOCUMENTS[0], encoding="utf-8") as file:
        ours = json.load(file)
    name = "cycle/forward/aihwkit/128x513/cols:1/team:1/hot/real_time"
    rows = benchjson.iterations(name, [6000, 6100, 6200], crosspoints_per_second=1.08e10)
    same = write("peer.json", benchjson.document(rows, cpu=ours["context"]["cpu"], peer="aihwkit 1.1.0",
                                                  cache_levels=ours["context"]["cache_levels"]))
    page, text = page_of(DOCUMENTS[0], same)
    assert [h.split(",")[0] for h in rows_of(text, "Forward cycles: variants side by side: the numbers")[0]] == \
        ["case", "autovec", "avx2", "openblas", "aihwkit"]
    assert "aihwkit 1.1.0: peer.json" in text and "bench1" not in page.words
    for elsewhere in ({"cpu": "Another CPU"}, {"cpu": ours["context"]["cpu"], "cache_levels": "L1 1 KiB of 1 processor"}):
        other = write("other.json", benchjson.document(rows, peer="aihwkit 1.1.0", **elsewhere))
        page, _ = page_of(DOCUMENTS[0], other)
        assert "bench1-cycle-forward" in page.words, elsewhere


def test_repetitions_give_their_median():
    need_libraries()
    doc = benchjson.benchmarks({"other/thing": [5e6, 1e6, 3e6]})
    doc["benchmarks"] = [r for r in doc["benchmarks"] if r["run_type"] == "iteration"]
    _, text = page_of(write("other.json", doc))
    assert rows_of(text, "Times")[1] == ["other/thing", "3 ms", "3"]


def test_the_same_documents_give_the_same_page():
    assert make_page(*DOCUMENTS)[1] == make_page(*DOCUMENTS)[1]


def test_many_documents_have_room():
    """Of one name in folders of long names, so that their paths are their names; and a sweep of many such settings."""
    with open(DOCUMENTS[1], encoding="utf-8") as file:
        training = json.load(file)
    with open(DOCUMENTS[3], encoding="utf-8") as file:
        sweep = json.load(file)
    places = [f"run-{i}-of-a-sweep-whose-values-make-long-names-of-folders-and-longer-paths" +
              ("-" + 80 * "x" if i == 20 else "") for i in range(24)]
    for place in places:
        os.mkdir(place)
        write(os.path.join(place, "result.json"), training)
    row = sweep["settings"][0]
    sweep["settings"] = [{**row, "values": {"arrays.default.update.bl": i, "a.key": "of a rather long value " * 4}}
                         for i in range(24)]
    page, _ = page_of(*(os.path.join(place, "result.json") for place in places), write("sweep.json", sweep))
    assert all(place in page.words["trainings-error-desc"] for place in places)
    for ident in ("trainings-error", "sweep0-error"):
        svg, = page.within(ident, "svg")
        assert float(svg["height"].removesuffix("pt")) > 400, svg


def test_words_of_documents_stay_words():
    evil = '</title><script>alert("$x^{")</script>&<b>'
    doc = benchjson.document(benchjson.iterations(f"cycle/forward/{evil}/8x8/cols:1/team:1/hot", [10], flops_per_byte=1,
                                                  flops_per_second=1e9, crosspoints_per_second=1e9), cpu=evil)
    page, text = page_of(write("evil.json", doc))
    assert "<script" not in text and "<b>" not in text
    assert "alert" in page.words["bench0-roofline"]


def test_benchmarks_that_were_not_measured_are_told():
    doc = benchjson.document([{"name": name, "run_type": "iteration", "error_occurred": True, "error_message": why}
                              for name, why in (("kernel/a/b", "it differs"), ("goal/a", "not measured: no unit"))])
    _, text = page_of(write("one.json", doc))
    assert rows_of(text, "Not measured")[1:] == [["kernel/a/b", "it differs"], ["goal/a", "no unit"]]


def test_documents_that_are_none():
    need_libraries()
    row = benchjson.iterations("a/b", [1])[0]
    cases = [("", "is not JSON"), ("[]", "is no document"), ("{}", "is no document"), ("[" * 100000, "nested too deeply"),
             ({"schema": {"name": "rpubench-info"}}, "is no document"), ({"benchmarks": {}}, "benchmarks: found an object"),
             ({"benchmarks": [3]}, "benchmarks[0]: found a number"), ({"benchmarks": [{}]}, "benchmarks[0].name"),
             ({"benchmarks": [{**row, "real_time": math.nan}]}, "benchmarks[0].real_time: found nan"),
             ({"benchmarks": [{**row, "real_time": "1"}]}, "benchmarks[0].real_time: found '1'"),
             ({"benchmarks": [{**row, "time_unit": "h"}]}, "benchmarks[0].time_unit"),
             ({"benchmarks": [row], "context": 3}, "context: found a number"),
             ({"schema": {"name": "rpubench-result"}}, "epochs: found nothing"),
             ({"schema": {"name": "rpubench-result"}, "epochs": [1]}, "epochs[0]: found a number"),
             ({"schema": {"name": "rpubench-sweep"}, "runs": []}, "settings: found nothing"),
             ({"schema": {"name": "rpubench-sweep"}, "runs": [], "settings": [{}]}, "settings[0].values")]
    write("page.html", "what was there")
    for content, says in cases:
        result = report(write("bad.json", content), "-o", "page.html")
        assert result.returncode == 1 and result.stderr.startswith("report.py: bad.json: "), (content, result.stderr)
        assert says in result.stderr and "Traceback" not in result.stderr, (content, result.stderr)
    with open("page.html", encoding="utf-8") as file:
        assert file.read() == "what was there"
    assert sorted(os.listdir(".")) == ["bad.json", "page.html"]


def test_files_that_cannot_be_read_or_written():
    need_libraries()
    result = report("missing.json")
    assert result.returncode == 1 and "missing.json: cannot be read" in result.stderr, result.stderr
    result = report(DOCUMENTS[1], "-o", "nowhere/page.html")
    assert result.returncode == 1 and "nowhere/page.html: cannot be written" in result.stderr, result.stderr
    assert report().returncode == 2


if __name__ == "__main__":
    e2e.main(globals())
