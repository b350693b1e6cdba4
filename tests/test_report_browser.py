#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The page of tools/report.py in headless Chromium: pictures are seen, nothing is asked for, nothing is complained of."""
import json
import os

import browser
import e2e
from benchjson import write
from test_report import DOCUMENTS, FIGURES, need_libraries, report


def need_browser():
    need_libraries()
    program = browser.find()
    if not program:
        raise e2e.Skipped("chromium is not installed")
    return program


def coloured(path):
    """Share of the pixels of a PNG that are not white, and how many colours there are."""
    from PIL import Image  # pylint: disable=import-outside-toplevel
    with Image.open(path) as image:
        colours = image.convert("RGB").getcolors(1 << 24)
    total = sum(n for n, _ in colours)
    return 1 - sum(n for n, c in colours if min(c) > 250) / total, len(colours)


def test_the_page():
    program = need_browser()
    made = report(*DOCUMENTS, "-o", "page.html")
    assert made.returncode == 0, made.stderr
    with browser.Browser(program) as tab:
        tab.open("page.html")
        assert tab.complaints() == [], tab.complaints()
        assert tab.requests() == ["file://" + os.path.abspath("page.html")], tab.requests()
        boxes = json.loads(tab.evaluate("""JSON.stringify([...document.querySelectorAll('figure')].map(f => {
            const r = f.querySelector('svg').getBoundingClientRect();
            return [f.id, r.x, r.y + scrollY, r.width, r.height]; }))"""))
        assert [b[0] for b in boxes] == FIGURES, boxes
        for ident, *box in boxes:
            assert box[2] > 600 and box[3] > 150, (ident, box)
            tab.screenshot(ident + ".png", box)
            ink, colours = coloured(ident + ".png")
            assert 0.01 < ink < 0.6 and colours > 20, (ident, ink, colours)
        # nothing sticks out to the side, and every word of a picture lies within it
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        outside = tab.evaluate("""JSON.stringify([...document.querySelectorAll('figure svg text')].filter(t => {
            const a = t.getBoundingClientRect(), b = t.closest('svg').getBoundingClientRect();
            return a.left < b.left - 2 || a.right > b.right + 2 || a.top < b.top - 2 || a.bottom > b.bottom + 2;
            }).map(t => t.textContent))""")
        assert json.loads(outside) == [], outside


def test_a_narrow_page():
    program = need_browser()
    assert report(*DOCUMENTS, "-o", "page.html").returncode == 0
    with browser.Browser(program, 500, 800) as tab:
        tab.open("page.html")
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_complaints_are_heard():
    """A page with faults: without this the first test could not fail."""
    program = need_browser()
    write("bad.html", "<!DOCTYPE html><title>x</title><img src='nowhere.png'><script>console.error('said');"
          "undefinedFunction()</script>")
    with browser.Browser(program) as tab:
        tab.open("bad.html")
        said = " ".join(tab.complaints())
        assert "said" in said and "undefinedFunction" in said and "ERR_FILE_NOT_FOUND" in said, said
        assert any(r.endswith("nowhere.png") for r in tab.requests()), tab.requests()


if __name__ == "__main__":
    e2e.main(globals())
