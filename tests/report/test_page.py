"""The page that explains a run, as text: its labels, what it holds, and what it must not hold."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import pytest

from miniae.models import Autoencoder
from miniae.report.computation import computation
from miniae.report.decoder import NotInPage, decoder_steps
from miniae.report.explanation import Explanation, Twin, latent_plane
from miniae.report.page_html import explanation_page, is_page, page_labels
from miniae.training import Insight

NASTY = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>{{data}}&amp;'\""


def asset(name):
    return files("miniae.report").joinpath("page", name).read_text(encoding="utf-8")


def explanation(name="data", features=("a", "b", "c", "d"), labels=("x", "y"), **changes):
    X = np.random.default_rng(0).random((30, len(features)), dtype=np.float32)
    insight = Insight([X[:20]], 5)
    model = Autoencoder([3], 2, epochs=2).fit(X, callbacks=[insight])
    facts = {"data": name, "train": 30, "test": 30, "model": "autoencoder", "layers": "4-3-2", "parameters": 40,
             "loss": "mse", "optimizer": "adam", "lr": 0.001, "batch": 128, "epochs": 2, "pretraining": "none",
             "pretrain_epochs": 5, "seed": 0, "activations": ["relu"], "scaling": "none", "epochs_wanted": 2,
             "resume": None}
    parts = {"model": model, "facts": facts, "stages": {"train": model.history_},
             "graph": computation(model.network_, [X]), "twins": [Twin("none", insight, model.history_, True)],
             "samples": X[:5], "image_shape": None, "feature_names": list(features), "low": X.min(0), "high": X.max(0),
             "plane": latent_plane(model.transform(X), np.array(labels)[np.arange(30) % len(labels)]),
             "decoder": decoder_steps(model), "refused": None}
    return Explanation(**{**parts, **changes})


def scripts_in(page):
    return re.findall(r"<script([^>]*)>(.*?)</script>", page, re.S)


def test_what_comes_from_a_run_stays_data():
    page = explanation_page(explanation(NASTY, (NASTY, "b", "c", "d"), (NASTY, "y")))
    assert [attributes.strip() for attributes, _ in scripts_in(page)] == [
        'type="application/json" id="labels"', 'type="application/json" id="data"',
        'type="application/octet-stream" id="weights"', ""]
    data = json.loads(scripts_in(page)[1][1])
    assert data["facts"]["data"] == data["names"][0] == NASTY and NASTY in data["plane"]["labels"]
    seen = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag, attributes):
            seen.append(tag)
            assert not any(name.startswith("on") for name, _ in attributes)

    Tags().feed(page)
    assert "img" not in seen and seen.count("script") == 4


def test_only_the_page_s_own_script_may_run_and_nothing_is_fetched():
    page = explanation_page(explanation())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    digest = base64.b64encode(hashlib.sha256(scripts_in(page)[3][1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy
    code = "".join(asset(name.name) for name in files("miniae.report").joinpath("page").iterdir())
    for fetching in ("fetch(", "XMLHttpRequest", "import(", "@import", "<link", "WebSocket", "innerHTML", "eval("):
        assert fetching not in code


def test_every_text_is_there_in_both_languages():
    english, chinese = page_labels()["en"], page_labels()["zh"]
    assert list(english) == list(chinese)
    for key, text in english.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", chinese[key])), key
        assert text.strip() and (re.search(r"[\u4e00-\u9fff]", chinese[key]) or key == "other_language"), key
    page = explanation_page(explanation())
    code = "".join(asset(name) for name in ("page.js", "map.js", "tables.js"))
    used = set(re.findall(r'data-label="(\w+)"', page)) | set(re.findall(r'"([a-z]+(?:_[a-z0-9]+)+)"', code))
    used |= {key for key in english if f'"{key}"' in code}
    families = ("how_", "refused_", "signals_of_", "values_of_", "map_text_", "map_move_", "this_run_", "same_")
    assert used >= {key for key in english if not key.startswith(families)}
    assert all(family.rstrip("_") in code for family in families)  # their keys are put together
    assert {"how_rbm", "how_autoencoder", "how_denoising", "how_contractive", "how_none"} <= set(english)
    assert {"refused_shape", "refused_function", "refused_size"} <= set(english)
    assert {f"{name}_{how}" for name in ("this_run", "same") for how in ("pretrained", "without")} <= set(english)
    assert {f"map_{what}_{kind}" for what in ("text", "move") for kind in ("2", "plane")} <= set(english)
    for key in re.findall(r'data-label="(\w+)"', page):
        assert key in english, key
    assert "{{" not in re.sub(r"<script.*?</script>", "", page, flags=re.S)


def test_a_page_without_decoder_or_twins():
    data = json.loads(scripts_in(explanation_page(explanation(
        decoder=None, refused=NotInPage("function", "Formula"), twins=[], plane=None)))[1][1])
    assert data["refused"] == {"reason": "function", "detail": "Formula"} and not data["checks"] and not data["twins"]


def test_constant_features_and_values_that_are_not_drawn():
    X = np.zeros((20, 4), np.float32)
    insight = Insight([X], 5)
    model = Autoencoder([3], 2, epochs=1).fit(X, callbacks=[insight])
    page = explanation_page(explanation(model=model, twins=[Twin("none", insight, model.history_, None)], samples=X[:3],
                                        low=X.min(0), high=X.max(0), plane=latent_plane(model.transform(X))))
    assert json.loads(scripts_in(page)[1][1])["twins"][0]["epochs"] == [0, 1]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_texts_stand_out_from_what_is_behind_them(scheme):
    """WCAG 2.1, success criterion 1.4.3: a contrast of 4.5 at least."""
    block = re.findall(r":root \{(.*?)\}", asset("page.css"), re.S)[scheme]
    colours = dict(re.findall(r"--(\w+): (#\w{6})", block))

    def luminance(name):
        parts = [int(colours[name][i:i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for text, behind in (("ink", "paper"), ("ink", "card"), ("quiet", "paper"), ("quiet", "card"), ("one", "card"),
                         ("one", "paper"), ("ink", "box"), ("quiet", "box"), ("gradient", "box"), ("ink", "batch"),
                         ("ink", "loss"), ("gradient", "loss"), ("quiet", "loss")):
        light, dark = sorted((luminance(text), luminance(behind)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, behind)


def test_a_page_is_known_from_other_files(tmp_path):
    page = tmp_path / "page.html"
    assert not is_page(page) and not is_page(tmp_path)
    page.write_text("<p>Made by hand, with miniae explain.</p>")
    assert not is_page(page)
    page.write_text(explanation_page(explanation(NASTY * 100)), encoding="utf-8")
    assert is_page(page)
