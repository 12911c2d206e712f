"""The page that explains a run, opened in a headless Chromium without a network.

Pictures of it are written to the folder that MINIAE_SCREENSHOTS names, to be looked at.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from miniae.data import write_json, write_text
from miniae.report.page_html import explanation_page, page_labels
from miniae.tasks import Run, RunConfig
from miniae.tasks.explain import explain
from miniae.tasks.run import _as_csv

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright to drive a browser")

NASTY = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        try:
            chromium = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except playwright.Error as why:
            pytest.skip(f"needs a Chromium that starts: {str(why).splitlines()[0]}")
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages of three runs, each with what was found: on images, on a table, and convolutional."""
    folder = tmp_path_factory.mktemp("pages")
    rng = np.random.default_rng(0)
    kinds = np.arange(150) % 3
    X = rng.random((150, 6, 6)) * 0.2
    for kind in range(3):
        X[kinds == kind, 2 * kind:2 * kind + 2] += 0.8
    np.savez(folder / "images.npz", X=X.astype(np.float32), y=kinds)
    table = [f'"{NASTY.replace(chr(34), chr(34) * 2)}",width,height,kind',
             *(f"{a:.3f},{1000 * b:.1f},{c:.3f},{'ab'[i % 2]}" for i, (a, b, c) in enumerate(rng.random((80, 3))))]
    (folder / "table.csv").write_text("\n".join(table))
    common = {"epochs": 2, "pretrain_epochs": 3, "backend": "numpy", "batch_size": 20}
    made = {}
    for name, settings in {
        "images": {"data": str(folder / "images.npz"), "layers": (16, 8, 2), "epochs": 12,
                   "pretrain_epochs": 30},
        "table": {"data": str(folder / "table.csv"), "label": "kind", "layers": (5, 3), "pretrain": "none",
                  "activation": "relu"},
        "convolutional": {"data": str(folder / "images.npz"), "model": "convolutional", "layers": (3, 4, 5)},
    }.items():
        run = Run(RunConfig(**{**common, **settings}))
        run.execute()
        (folder / name).mkdir()
        run.write_model(folder / name)
        write_json(folder / name / "config.json", run.config.to_dict())
        write_json(folder / name / "metrics.json", run.measure())
        write_text(folder / name / "history.csv", _as_csv(run.stack.histories, run.model.history_))
        found = explain(folder / name, epochs=2)
        (folder / f"{name}.html").write_text(explanation_page(found), encoding="utf-8")
        made[name] = folder / f"{name}.html", found
    resume = {"epochs_wanted": 9, "resume": "miniae train --resume it"}
    stopped = dataclasses.replace(found, facts={**found.facts, **resume})
    (folder / "stopped.html").write_text(explanation_page(stopped), encoding="utf-8")
    return {**made, "stopped": (folder / "stopped.html", stopped)}


@pytest.fixture
def visit(browser, pages, tmp_path):
    """Open a page by name; at the end there must have been no message of an error, and no request but the page's."""
    contexts, complaints = [], []

    def opened(name, width=1280, height=900, hash="", **settings):
        context = browser.new_context(viewport={"width": width, "height": height}, offline=True, **settings)
        contexts.append(context)
        page = context.new_page()
        url = pages[name][0].as_uri()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: request.url.split("#")[0] == url or complaints.append(request.url))
        page.goto(url + hash)
        page.wait_for_function("window.miniae !== undefined")
        return page, pages[name][1]

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def decoded(page):
    """The picture of the decoded code, as it stands on the page."""
    page.wait_for_timeout(60)  # a frame
    return page.evaluate("document.querySelector('#decoded-picture canvas').toDataURL()")


@pytest.mark.parametrize("width", [1280, 375])
@pytest.mark.parametrize(("name", "language"), [("images", "en"), ("images", "zh"), ("table", "en"),
                                                ("convolutional", "zh")])
def test_it_fits_the_screen(name, width, language, visit):
    page, _ = visit(name, width, hash=f"#lang={language}", has_touch=width < 400)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.title().endswith(f"{'table.csv' if name == 'table' else 'images.npz'}")
    assert page.evaluate("document.documentElement.lang") == {"en": "en", "zh": "zh-Hans"}[language]
    labels = page_labels()[language]
    assert page.inner_text("h1") == labels["title"]
    for section in ("map", "graph", "losses", "signals", "filters", "reconstructions"):
        # (A convolution's filters are shown, too.)
        assert page.inner_text(f"#{section} h2") == labels[f"{section}_title"], section
        box = page.locator(f"#{section}").bounding_box()
        assert box["height"] > 100 and box["x"] >= 0 and box["x"] + box["width"] <= width
    drawn = "#filter-grid td, #reconstructions .track" if name == "table" else "canvas"
    assert page.locator(drawn).count() > (2 * 5 + 2 * 6 - 1 if name == "table" else 50)
    screenshots = os.environ.get("MINIAE_SCREENSHOTS")
    if screenshots:
        page.screenshot(path=Path(screenshots) / f"{name}-{width}-{language}.png", full_page=True)


@pytest.mark.parametrize("name", ["images", "table", "convolutional"])
def test_what_is_decoded_is_what_the_model_decodes(name, visit):
    page, found = visit(name)
    rng = np.random.default_rng(1)
    units = found.model.network_.code_shape[0]
    codes = rng.normal(0, 2, (8, units)).astype(np.float32)
    live = np.array(page.evaluate("codes => codes.map((code) => window.miniae.decode(code))", codes.tolist()))
    np.testing.assert_allclose(live, found.model.inverse_transform(codes).reshape(8, -1), atol=1e-4, rtol=1e-4)
    assert "differs by" in page.inner_text("#map-check") and "Take care" not in page.inner_text("#map-check")


def test_the_pointer_decodes_the_point_it_is_at(visit):
    page, found = visit("images")
    page.locator("#map").scroll_into_view_if_needed()
    page.locator("#map-canvas").scroll_into_view_if_needed()
    box = page.locator("#map-canvas").bounding_box()
    seen = set()
    for across, down in ((0.2, 0.3), (0.8, 0.3), (0.5, 0.9)):
        page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
        picture = decoded(page)
        code = page.evaluate("window.miniae.codeAtCursor()")
        shown = page.evaluate("""() => {
            const canvas = document.querySelector('#decoded-picture canvas');
            const pen = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', {willReadFrequently: true});
            pen.drawImage(canvas, 0, 0);
            return Array.from(pen.getImageData(0, 0, canvas.width, canvas.height).data).filter((_, i) => i % 4 === 0);
        }""")
        expected = found.model.inverse_transform(np.float32([code]))[0]
        low, high = found.low.min(), found.high.max()
        np.testing.assert_allclose(shown, np.clip(255 * (expected - low) / (high - low), 0, 255), atol=0.6)
        seen.add(picture)
    assert len(seen) == 3


def test_the_keyboard_reaches_everything_and_moves_the_map(visit):
    page, _ = visit("images")
    reached = []
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
        if reached[-1] == "map-canvas":
            break
    assert reached[0] == "A" and "language" in reached and reached[-1] == "map-canvas"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    before, place = decoded(page), page.inner_text("#map-place")
    for key in ("ArrowRight", "ArrowUp", "Shift+ArrowLeft"):
        page.keyboard.press(key)
        assert decoded(page) != before and page.inner_text("#map-place") != place, key
        before, place = decoded(page), page.inner_text("#map-place")
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement.id") != "epoch":
        page.keyboard.press("Tab")
    chart = page.inner_html("#gradient-chart")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#epoch-value") == "1" and page.inner_html("#gradient-chart") != chart


def test_a_finger_moves_the_map(visit):
    page, _ = visit("images", 375, has_touch=True)
    before = decoded(page)
    page.locator("#map-canvas").scroll_into_view_if_needed()
    page.locator("#map-canvas").tap(position={"x": 60, "y": 60})
    assert decoded(page) != before


def test_the_language_is_switched(visit):
    page, _ = visit("images")
    page.click("#language")
    assert page.inner_text("h1") == page_labels()["zh"]["title"] and page.url.endswith("#lang=zh")
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    assert page.inner_text("#language") == "English" and page.get_attribute("#language", "lang") == "en"
    page.click("#language")
    assert page.inner_text("h1") == page_labels()["en"]["title"]


def test_both_trainings_stand_side_by_side(visit):
    page, found = visit("images")
    heads = page.locator("#gradient-heat .head")
    assert heads.all_inner_texts() == ["This run (pretraining: RBMs)", "The same without pretraining"]
    first, second = (heads.nth(i).bounding_box() for i in (0, 1))
    assert first["y"] == second["y"] and first["x"] + first["width"] <= second["x"]
    assert page.locator("#gradient-heat canvas").count() == 2 * len(found.twins[0].insight.layers)
    page.locator("#signals summary").click()
    cells = page.locator("#signal-table tbody tr").first.locator("td").all_inner_texts()
    assert cells[:2] == ["encoder.0", "This run (pretraining: RBMs)"]
    np.testing.assert_allclose([float(c) for c in cells[2:]], found.twins[0].insight.layers["encoder.0"].gradient_rms,
                               rtol=0.06)


def test_names_of_columns_are_text(visit):
    page, _ = visit("table")
    assert page.title() != "owned" and page.locator("img").count() == 0
    assert page.locator("#decoded-picture .name").first.inner_text() == NASTY


@pytest.mark.parametrize("name", ["images", "table"])
def test_the_run_has_one_name_and_colour_in_all_charts(name, visit):
    page, _ = visit(name)
    own, other = page.locator("#gradient-heat .head").all_inner_texts()
    assert (own, other) == {
        "images": ("This run (pretraining: RBMs)", "The same without pretraining"),
        "table": ("This run (no pretraining)", "The same with pretraining (autoencoders)")}[name]
    keys = ["#loss-charts figure:nth-child(2) .key", "#signals-key"] + ["#reconstructions-key"] * (name == "table")
    for key in keys:
        entries = page.evaluate("""key => [...document.querySelectorAll(`${key} li`)].map(
            (entry) => [entry.querySelector('.swatch').className, entry.textContent])""", key)
        assert entries[-2:] == [["swatch one", own], ["swatch two", other]], key
    if name == "images":
        assert page.locator("#reconstruction-grids figcaption").all_inner_texts() == [own, other]
    for chart in ("#loss-charts figure:nth-child(2)", "#gradient-chart"):
        lines = page.evaluate(f"[...document.querySelectorAll('{chart} .line')].map((l) => l.getAttribute('class'))")
        assert lines == ["line one", "line two"]


def test_a_run_that_is_not_finished_says_so(visit):
    page, _ = visit("stopped")
    assert "of 9 epochs 2 are done" in page.inner_text("#unfinished")
    assert "miniae train --resume it" in page.inner_text("#unfinished")
    page, _ = visit("images")
    assert not page.is_visible("#unfinished")


def test_errors_are_at_the_top(visit):
    for name, scaled in (("images", ""), ("table", ", features scaled")):
        page, found = visit(name)
        facts = dict(zip(page.locator("#facts dt").all_inner_texts(), page.locator("#facts dd").all_inner_texts(),
                         strict=True))
        error = facts[f"squared error per test sample{scaled}"]
        assert float(error) == pytest.approx(found.facts["test_squared_error"], rel=0.01)
        components = f"the same of PCA, {found.facts['pca_components']:.0f} components"
        assert float(facts[components]) == pytest.approx(found.facts["pca_squared_error"], rel=0.01)


def test_columns_have_names_and_ranges(visit):
    page, found = visit("table")
    names = found.feature_names
    assert page.locator("#filter-grid tbody th").all_inner_texts() == names
    assert page.locator("#reconstructions tbody th").all_inner_texts() == names
    ends = page.locator("#decoded-picture .end").all_inner_texts()
    np.testing.assert_allclose([float(e) for e in ends], np.stack([found.low, found.high], 1).reshape(-1), rtol=0.01)
    marks = page.evaluate("""[...document.querySelectorAll('#reconstructions tbody tr:nth-child(2) .track')].map(
        (track) => [...track.children].map((mark) => [mark.className, parseFloat(mark.style.left)]))""")
    scaler = found.model.scaler_
    for i, sample in enumerate(marks):
        made = [scaler.inverse_transform(twin.insight.reconstructions[-1])[i, 1] for twin in found.twins]
        values = np.array([found.samples[i, 1], *made])
        assert [kind for kind, _ in sample] == ["mark original", "mark one", "mark two"]
        shares = np.clip((values - found.low[1]) / (found.high[1] - found.low[1]), 0, 1)
        np.testing.assert_allclose([place for _, place in sample], 100 * shares, atol=0.3)
    page.locator("#epoch").focus()
    while page.evaluate("document.activeElement.id") != "made-epoch":
        page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#made-epoch-value") == "1"
    assert page.evaluate("""document.querySelector('#reconstructions tbody tr:nth-child(2) .one').style.left""") != (
        f"{marks[0][1][1]}%")
    page.keyboard.press("Tab")  # to what may have to be scrolled
    assert page.evaluate("document.activeElement.matches('#reconstruction-grids .scroll')")


@pytest.mark.parametrize("name", ["images", "table"])
def test_decoding_begins_at_the_sample_in_the_middle(name, visit):
    page, found = visit(name)
    plane = found.plane
    code = np.array(page.evaluate("window.miniae.codeAtCursor()"))
    at = (code - plane.mean) @ plane.axes.T
    assert np.abs(plane.places - at).max(1).min() < 1e-4  # one of the samples
    spread = plane.places.max(0) - plane.places.min(0)
    assert (np.abs(at - np.median(plane.places, axis=0)) < 0.2 * spread).all()
    page.locator("#map-canvas").focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Home")
    page.wait_for_timeout(60)
    np.testing.assert_array_equal(page.evaluate("window.miniae.codeAtCursor()"), code)


def test_labels_that_are_no_letters_have_a_key(visit):
    page, _ = visit("table")
    assert page.locator("#map-key li").count() == 0  # a and b are written on the map
    page.evaluate("""() => {
        const data = JSON.parse(byId('data').textContent);
        data.plane.labels = data.plane.labels.map((label) => ({ a: 'apple', b: 'pear' })[label]);
        codeMap(data, floatsOf(byId('weights').textContent), (key) => key).draw();
    }""")
    assert page.locator("#map-key li").all_inner_texts() == ["apple", "pear"]


def test_texts_are_true_of_the_units(visit):
    labels = page_labels()["en"]
    for name, units in (("images", "sigmoid"), ("table", "relu"), ("convolutional", "relu")):
        page, found = visit(name)
        assert found.facts["activations"] == [units]
        text, values = page.inner_text("#signals-text"), page.inner_text("#value-heat-caption")
        for kind in ("sigmoid", "tanh", "relu", "linear"):
            assert (labels[f"signals_of_{kind}"] in text) == (kind == units)
        assert (labels["values_of_sigmoid"] in values) == (units == "sigmoid")
        assert (labels["signals_pretraining"] in text) == (name != "convolutional")  # the others have both trainings


@pytest.mark.parametrize(("width", "shown"), [(1280, "folded"), (375, "chain")])
def test_a_chain_is_folded_on_wide_screens(width, shown, visit):
    page, _ = visit("images", width)
    visible = page.evaluate("""[...document.querySelectorAll('svg.graph')].map((graph) =>
        [graph.classList[1], graph.getBoundingClientRect().width > 0])""")
    assert visible == [["chain", shown == "chain"], ["folded", shown == "folded"]]
    scroll = page.locator("#graph-scroll").bounding_box()
    assert page.locator(f"svg.{shown}").bounding_box()["width"] > (0.7 if width > 1000 else 0.85) * scroll["width"]


CHART = """(losses) => {
    const place = document.querySelector('#loss-charts .chart'), log = spansADecade(losses);
    const series = [{ points: losses.map((y, x) => [x, y]), style: 'one' }];
    lineChart(place, { series, log, xTitle: '', yTitle: '', alt: '' });
    const texts = [...place.querySelectorAll('text[text-anchor=end]')].map((text) => text.textContent).filter(Boolean);
    return [texts, place.querySelectorAll('circle').length];
}"""


def test_long_and_falling_losses_are_drawn_on_a_logarithmic_scale_without_marks(visit):
    page, _ = visit("images")
    assert page.evaluate(CHART, [60.0, 40.0, 8.0]) == [["20", "40", "60"], 3]  # not quite a decade
    decades = ["0.5", "1", "2", "5", "10", "20", "50"]
    assert page.evaluate(CHART, (50 * 0.98 ** np.arange(200)).tolist()) == [decades, 0]
    powers = ["10⁻³", "10⁻²", "10⁻¹", "10⁰", "10¹", "10²", "10³"]
    assert page.evaluate(CHART, (1e3 * 0.5 ** np.arange(20)).tolist()) == [powers, 20]
    assert page.evaluate(CHART, [2.0, 1.0, -5.0])[0] == ["-4", "-2", "0", "2"]


@pytest.mark.parametrize("width", [1280, 375])
@pytest.mark.parametrize("name", ["images", "convolutional"])
def test_texts_of_the_graph_stay_in_their_boxes(name, width, visit):
    page, _ = visit(name, width)
    over = page.evaluate("""() => [...document.querySelectorAll('svg.graph .node')].flatMap((node) => {
        const box = node.querySelector('rect').getBBox();
        return [...node.querySelectorAll('text')].filter((text) => {
            const own = text.getBBox();
            return own.x + own.width > box.x + box.width || own.y + own.height > box.y + box.height;
        }).map((text) => text.textContent);
    })""")
    assert over == []


def test_dark_colours(visit):
    page, _ = visit("images", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 28)"
    screenshots = os.environ.get("MINIAE_SCREENSHOTS")
    if screenshots:
        page.screenshot(path=Path(screenshots) / "images-dark.png", full_page=True)
