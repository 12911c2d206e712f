// Puts texts and drawings into the page, in the language chosen.

(() => {
  const labels = JSON.parse(byId("labels").textContent), data = JSON.parse(byId("data").textContent);
  const weights = floatsOf(byId("weights").textContent), facts = data.facts, twins = data.twins;
  const languageInUrl = () => (location.hash.match(/lang=(\w+)/) || [])[1];
  let language = labels[languageInUrl()] ? languageInUrl() : "en";

  const t = (key, values = {}) => labels[language][key].replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  const number = (v) => Number(v).toLocaleString(language);
  const style = (i) => (i ? "two" : "one");
  const twinName = (twin) => (twin.pretraining !== "none" ? t("pretrained", { how: t(`how_${twin.pretraining}`) })
    : twins.length > 1 ? t("not_pretrained") : t("this_run"));
  const longest = twins.reduce((most, twin) => (twin.epochs.length > most.length ? twin.epochs : most), []);
  const map = data.plane ? codeMap(data, weights, t) : null;

  function writeTexts() {
    document.documentElement.lang = language === "zh" ? "zh-Hans" : language;
    for (const element of document.querySelectorAll("[data-label]")) element.textContent = t(element.dataset.label);
    const button = byId("language");
    button.textContent = t("other_language");
    button.lang = language === "en" ? "zh-Hans" : "en";
    byId("contents").setAttribute("aria-label", t("contents"));
    byId("subtitle").textContent = t("subtitle", { model: facts.model, layers: facts.layers, data: facts.data });
    for (const [id, label] of [["graph-scroll", "graph_title"], ["graph-table", "graph_words"], ["signal-table", "numbers"]]) {
      byId(id).setAttribute("aria-label", t(label));
    }
    byId("graph").querySelector(".graph-columns").classList.toggle("wide", document.querySelector("svg.graph").classList.contains("wide"));
    document.querySelector("svg.graph title").textContent = t("graph_alt");
    byId("graph-caption").textContent = t("graph_caption", { batch: facts.batch, optimizer: facts.optimizer, lr: facts.lr,
      parameters: number(facts.parameters) });
    writeFacts();
    writeMapTexts();
    writeSignalTexts();
    writeFilterTexts();
  }

  function writeFacts() {
    const shown = [["fact_train", number(facts.train)], ["fact_test", number(facts.test)], ["fact_parameters", number(facts.parameters)],
      ["fact_loss", facts.loss], ["fact_optimizer", `${facts.optimizer}, ${facts.lr}`], ["fact_batch", facts.batch],
      ["fact_epochs", facts.epochs], ["fact_pretraining", facts.pretraining === "none" ? t("how_none")
        : t("fact_pretrained", { how: t(`how_${facts.pretraining}`), n: facts.pretrain_epochs })]];
    byId("facts").replaceChildren(...shown.map(([key, value]) => make("div", {}, make("dt", {}, t(key)), make("dd", {}, String(value)))));
  }

  function writeMapTexts() {
    const refused = data.refused;
    byId("map-figures").hidden = !data.plane;
    byId("decoded-picture").hidden = byId("map-check").hidden = !data.decoder;
    byId("map-refused").hidden = !refused;
    if (refused) byId("map-refused").textContent = t(`refused_${refused.reason}`, refused);
    if (!data.plane) { byId("map-text").textContent = t("map_none"); return; }
    const units = data.plane.mean.length;
    byId("map-text").textContent = t(units === 2 ? "map_text_2" : "map_text_plane",
      { n: units, samples: number(bytesOf(data.plane.places).length / 8), share: (100 * data.plane.share).toFixed(0) });
    if (data.decoder) {
      const difference = largestDifference(data, weights);
      byId("map-check").textContent = t(difference < 1e-4 ? "map_check" : "map_check_bad", { difference: difference.toExponential(1) });
    }
  }

  function writeSignalTexts() {
    const repeats = twins.some((twin) => twin.repeats === false);
    byId("signals-note").textContent = !twins.length ? t("signals_none") : repeats ? t("signals_other") : "";
    byId("signals-body").hidden = !twins.length;
    byId("signals-key").replaceChildren(...twins.map((twin, i) => make("li", {}, make("span", { class: `swatch ${style(i)}` }), twinName(twin))));
    if (!twins.length) return;
    const last = longest.at(-1), range = twins[0].layers[0].gradients;
    byId("gradient-heat-caption").textContent = t("gradient_heat_caption", { last, low: power(range.low), high: power(range.high) });
    byId("value-heat-caption").textContent = t("value_heat_caption", { last });
    writeSignalTable();
  }

  function writeSignalTable() {
    const head = make("tr", {}, ...["layer", "training", ...longest.map((e) => `${t("epoch")} ${e}`)].map((h, i) =>
      make("th", { scope: "col" }, i < 2 ? t(h) : h)));
    const rows = twins[0].layers.flatMap((layer, l) => twins.filter((twin) => twin.layers[l]).map((twin) =>
      make("tr", {}, make("td", {}, layer.name), make("td", {}, twinName(twin)),
        ...twin.layers[l].gradientRms.map((v) => make("td", {}, v.toExponential(1))))));
    byId("signal-table").replaceChildren(make("table", {}, make("caption", {}, t("numbers_caption")),
      make("thead", {}, head), make("tbody", {}, ...rows)));
  }

  function writeFilterTexts() {
    const filters = data.filters;
    byId("filters").hidden = !filters;
    document.querySelector('nav a[href="#filters"]').hidden = !filters;
    if (!filters) return;
    const text = filters.windows ? "filters_windows" : filters.count < filters.of ? "filters_text_some" : "filters_text";
    byId("filters-text").textContent = t(text, { n: filters.count, of: filters.of });
    byId("filter-grid").setAttribute("aria-label", t("filters_alt", { n: filters.count }));
  }

  // ---------------------------------------------------------------- drawings

  function drawLosses() {
    const charts = [], place = byId("loss-charts");
    const add = (caption, series, key) => charts.push([caption, { series, xTitle: t("epoch"), yTitle: t("loss"), alt: caption }, key || []]);
    const train = data.stages.train;
    if (train) {
      const lines = ["loss", "val_loss"].filter((k) => train[k]);
      add(t("losses_run"), lines.map((k) => ({ points: train.epoch.map((e, i) => [e, train[k][i]]), style: "one", dashed: k === "val_loss" })),
        lines.map((k) => [k === "loss" ? "line" : "line dashed", t(k === "loss" ? "losses_train" : "losses_held_out")]));
    }
    if (twins.length) {
      add(t(twins.length > 1 ? "losses_twins" : "losses_twin"), twins.map((twin, i) => ({ points: twin.epochs.map((e, k) => [e, twin.losses[k]]), style: style(i) })),
        twins.map((twin, i) => [`swatch ${style(i)}`, twinName(twin)]));
    }
    place.replaceChildren(...charts.map(([caption, , key]) => make("figure", {}, make("div", { class: "chart" }),
      make("figcaption", {}, caption, make("ul", { class: "key" }, ...key.map(([mark, name]) => make("li", {},
        mark.startsWith("swatch") ? make("span", { class: mark }) : strokeKey(mark), name)))))));
    charts.forEach(([, settings], i) => lineChart(place.children[i].firstChild, settings));
    byId("losses").hidden = !charts.length;
  }

  function strokeKey(mark) {
    const key = svg("svg", { width: 28, height: 8, viewBox: "0 0 28 8", "aria-hidden": "true" });
    key.append(svg("path", { class: `${mark} one`, d: "M0 4H28" }));
    const holder = make("span", { class: "chart" }, key);
    holder.style.width = "28px";
    return holder;
  }

  function drawSignals() {
    if (!twins.length) return;
    const chosen = Number(byId("epoch").value), at = (a) => a[Math.min(chosen, a.length - 1)];
    byId("epoch-value").textContent = at(longest);
    lineChart(byId("gradient-chart"), {
      series: twins.map((twin, i) => ({ points: twin.layers.map((l, k) => [k, at(l.gradientRms)]), style: style(i) })),
      names: twins[0].layers.map((l) => l.name), log: true, range: twins.flatMap((twin) => twin.layers.flatMap((l) => l.gradientRms)), xTitle: t("layers_axis"), yTitle: t("gradient_axis"),
      alt: t("gradient_chart_alt", { epoch: at(longest), first: twins.map((twin) =>
        `${twinName(twin)}: ${at(twin.layers[0].gradientRms).toExponential(1)}`).join("; ") }),
    });
    drawHeat(byId("gradient-heat"), "gradients", (h) => [power(h.high), power(h.low)], chosen);
    drawHeat(byId("value-heat"), "values", (h) => [short(h.high), short(h.low)], chosen);
  }

  function drawHeat(place, kind, ends, chosen) {
    place.style.setProperty("--twins", twins.length);
    const cells = [make("span", { class: "corner" }), ...twins.map((twin) => make("span", { class: "head" }, twinName(twin)))], drawn = [];
    twins[0].layers.forEach((layer, l) => {
      const [high, low] = ends(layer[kind]);
      cells.push(make("div", { class: "layer" }, make("b", {}, `${layer.name} (${layer.shape.join("×")})`),
        make("span", { class: "ends" }, make("span", {}, high), make("span", {}, low))));
      twins.forEach((twin, i) => {
        const canvas = make("canvas", { role: "img", "aria-label": `${layer.name}, ${twinName(twin)}` });
        cells.push(canvas);
        if (twin.layers[l]) drawn.push([canvas, twin.layers[l][kind], style(i)]);
      });
    });
    place.replaceChildren(...cells);
    for (const [canvas, histogram, colours] of drawn) heatMap(canvas, histogram, colours, chosen);
  }

  function drawFilters() {
    if (!data.filters) return;
    const { shape, count } = data.filters, bytes = bytesOf(data.filters.bytes), features = bytes.length / count, tint = tintOfWeights();
    const canvases = data.filters.units.map((unit) => make("canvas", { title: `${t("unit")} ${unit}`, "aria-hidden": "true" }));
    byId("filter-grid").replaceChildren(...canvases);
    canvases.forEach((canvas, i) => {
      const values = sampleAt(bytes, i, features);
      if (shape) drawImage(canvas, values, shape, tint);
      else drawBars(canvas, Array.from(values), 0.5);
    });
  }

  function drawReconstructions() {
    const place = byId("reconstruction-grids"), n = data.samples.count, originals = bytesOf(data.samples.bytes), features = originals.length / n;
    byId("reconstructions").hidden = !twins.length;
    const drawn = [];
    place.replaceChildren(...twins.map((twin) => {
      const grid = make("div", { class: "samples", role: "img", "aria-label": t("reconstructions_alt", { name: twinName(twin) }) });
      grid.style.gridTemplateColumns = `3.4rem repeat(${n}, minmax(0, 1fr))`;
      const rows = [[t("original"), originals, true], ...someEpochs(twin.epochs).map((k) => [`${t("epoch")} ${twin.epochs[k]}`, bytesOf(twin.reconstructions[k])])];
      for (const [name, bytes, first] of rows) {
        grid.append(make("span", first ? { class: "first" } : {}, name));
        for (let i = 0; i < n; i++) {
          const canvas = make("canvas");
          drawn.push([canvas, sampleAt(bytes, i, features)]);
          grid.append(canvas);
        }
      }
      return make("figure", {}, grid, make("figcaption", {}, twinName(twin)));
    }));
    for (const [canvas, values] of drawn) drawSample(canvas, values, data.shape);
  }

  // At most eight of them, the first and the last included, closer together at the beginning.
  function someEpochs(epochs) {
    const last = epochs.length - 1;
    return last < 8 ? epochs.map((_, i) => i) : [...new Set([0, 1, 2, 3, ...[0.35, 0.55, 0.75, 1].map((s) => Math.round(s * last))])];
  }

  function drawAll() {
    drawLosses();
    drawSignals();
    drawFilters();
    drawReconstructions();
    if (map) map.draw();
  }

  byId("language").addEventListener("click", () => {
    language = language === "en" ? "zh" : "en";
    history.replaceState(null, "", `#lang=${language}`);
    writeTexts();
    drawAll();
  });
  if (twins.length) byId("epoch").max = longest.length - 1;
  byId("epoch").addEventListener("input", drawSignals);
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth !== width) { width = window.innerWidth; drawAll(); }
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);

  writeTexts();
  drawAll();
  window.miniae = { decode: (code) => Array.from(Decoder.decode(data.decoder, weights, code)), codeAtCursor: () => Array.from(map.codeAt(map.cursor)) };
})();
