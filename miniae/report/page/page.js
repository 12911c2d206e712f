// Puts texts and drawings into the page, in the language chosen.

(() => {
  const labels = JSON.parse(byId("labels").textContent), data = JSON.parse(byId("data").textContent);
  const weights = floatsOf(byId("weights").textContent), facts = data.facts, twins = data.twins;
  const languageInUrl = () => (location.hash.match(/lang=(\w+)/) || [])[1];
  let language = labels[languageInUrl()] ? languageInUrl() : "en";

  const t = (key, values = {}) => labels[language][key].replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  const number = (v) => Number(v).toLocaleString(language);
  // Everywhere the run has one name and colour, and the same training with or without pretraining the other.
  const isRun = (twin) => twin.pretraining === facts.pretraining;
  const style = (twin) => (isRun(twin) ? "one" : "two");
  const twinName = (twin) => (isRun(twin) && twins.length === 1 ? t("this_run")
    : t(`${isRun(twin) ? "this_run" : "same"}_${twin.pretraining === "none" ? "without" : "pretrained"}`, { how: t(`how_${twin.pretraining}`) }));
  const key = (place, entries) => place.replaceChildren(...entries.map(([mark, name]) => make("li", {}, mark, name)));
  const swatch = (kind) => make("span", { class: `swatch ${kind}` });
  const twinKey = () => twins.map((twin) => [swatch(style(twin)), twinName(twin)]);
  const paragraph = (...texts) => texts.filter(Boolean).join(language === "zh" ? "" : " ");
  const longest = twins.reduce((most, twin) => (twin.epochs.length > most.length ? twin.epochs : most), []);
  const compared = Math.min(data.samples.count, data.shape ? Infinity : isListed(data) ? 6 : 3);  // bars need room
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
    for (const title of document.querySelectorAll("svg.graph title")) title.textContent = t("graph_alt");
    byId("graph-caption").textContent = t("graph_caption", { batch: facts.batch, optimizer: facts.optimizer, lr: facts.lr,
      parameters: number(facts.parameters) });
    byId("unfinished").textContent = facts.resume ? t("unfinished", { epochs: facts.epochs, wanted: facts.epochs_wanted, command: facts.resume }) : "";
    writeFacts();
    writeMapTexts();
    writeSignalTexts();
    writeFilterTexts();
    writeReconstructionTexts();
  }

  function writeFacts() {
    const error = facts.scaling === "none" ? t("fact_error") : t("fact_scaled", { error: t("fact_error") });
    const measured = [[error, facts.test_squared_error], [t("fact_pca", { n: facts.pca_components }), facts.pca_squared_error]];
    const shown = [...measured.filter(([, value]) => value !== undefined).map(([name, value]) => [name, short(value)]),
      [t("fact_train"), number(facts.train)], [t("fact_test"), number(facts.test)], [t("fact_parameters"), number(facts.parameters)],
      [t("fact_units"), facts.activations.join(", ")], [t("fact_loss"), facts.loss],
      [t("fact_optimizer"), `${facts.optimizer}, ${facts.lr}`], [t("fact_batch"), facts.batch], [t("fact_epochs"), facts.epochs],
      [t("fact_pretraining"), facts.pretraining === "none" ? t("how_none")
        : t("fact_pretrained", { how: t(`how_${facts.pretraining}`), n: facts.pretrain_epochs })]];
    byId("facts").replaceChildren(...shown.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, String(value)))));
  }

  function writeMapTexts() {
    const refused = data.refused;
    byId("map-figures").hidden = !data.plane;
    byId("map-figures").classList.toggle("listed", isListed(data));
    byId("decoded-picture").hidden = !data.decoder;
    byId("map-refused").textContent = refused ? t(`refused_${refused.reason}`, refused) : "";
    if (!data.plane) { byId("map-text").textContent = t("map_none"); return; }
    const units = data.plane.mean.length, kind = units === 2 ? "2" : "plane";
    byId("map-text").textContent = paragraph(t(`map_text_${kind}`, { n: units, samples: number(bytesOf(data.plane.places).length / 8),
      share: (100 * data.plane.share).toFixed(0) }), data.decoder && t(`map_move_${kind}`));
    if (data.decoder) {
      const difference = largestDifference(data, weights);
      byId("map-check").textContent = t(difference < 1e-4 ? "map_check" : "map_check_bad", { difference: difference.toExponential(1) });
      byId("decoded-scale").textContent = isListed(data) ? t("decoded_scale") : data.shape ? "" : barsScale();
    }
  }

  function barsScale() {
    const n = data.low.length;
    return t("bars_scale", { n, first: columnName(data, 0), last: columnName(data, n - 1) });
  }

  function writeSignalTexts() {
    const repeats = twins.some((twin) => twin.repeats === false);
    byId("signals-note").textContent = !twins.length ? t("signals_none") : repeats ? t("signals_other") : "";
    byId("signals-body").hidden = !twins.length;
    const others = facts.activations.filter((name) => !labels.en[`signals_of_${name}`]);
    const told = facts.activations.filter((name) => labels.en[`signals_of_${name}`]).map((name) => t(`signals_of_${name}`));
    byId("signals-text").textContent = paragraph(t("signals_text"), ...told,
      others.length && t("signals_of_others", { names: others.join(", ") }), twins.length > 1 && t("signals_pretraining"));
    key(byId("signals-key"), twinKey());
    if (!twins.length) return;
    const last = longest.at(-1), range = twins[0].layers[0].gradients;
    byId("gradient-heat-caption").textContent = t("gradient_heat_caption", { last, low: power(range.low), high: power(range.high) });
    byId("value-heat-caption").textContent = paragraph(t("value_heat_caption", { last }),
      ...facts.activations.map((name) => labels.en[`values_of_${name}`] && t(`values_of_${name}`)));
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
    byId("filters-text").textContent = paragraph(t(text, { n: filters.count, of: filters.of }), !filters.windows && t(isListed(data) ? "filters_table" : "filters_like"));
    byId("filter-grid").setAttribute("aria-label", t("filters_alt", { n: filters.count }));
  }

  function writeReconstructionTexts() {
    const listed = isListed(data), originals = [[swatch("original"), t("original")]];
    byId("reconstructions").hidden = !twins.length;
    byId("reconstructions-control").hidden = !listed;
    byId("reconstructions-text").textContent = listed ? t("reconstructions_table", { n: compared })
      : paragraph(t("reconstructions_text", { n: compared }), !data.shape && barsScale());
    key(byId("reconstructions-key"), data.shape ? [] : [...originals, ...twinKey()]);
  }

  // ---------------------------------------------------------------- drawings

  function drawLosses() {
    const charts = [], place = byId("loss-charts");
    const add = (caption, series, entries) => {
      const log = spansADecade(series.flatMap((s) => s.points.map((p) => p[1])));
      charts.push([caption, { series, log, xTitle: t("epoch"), yTitle: t(log ? "loss_log" : "loss"), alt: caption }, entries]);
    };
    const train = data.stages.train;
    if (train) {
      const lines = ["loss", "val_loss"].filter((k) => train[k]);
      add(t("losses_run"), lines.map((k) => ({ points: train.epoch.map((e, i) => [e, train[k][i]]), style: "one", dashed: k === "val_loss" })),
        lines.map((k) => [strokeKey(k === "loss" ? "line" : "line dashed"), t(k === "loss" ? "losses_train" : "losses_held_out")]));
    }
    if (twins.length) {
      add(t(twins.length > 1 ? "losses_twins" : "losses_twin"), twins.map((twin) => ({ points: twin.epochs.map((e, k) => [e, twin.losses[k]]), style: style(twin) })), twinKey());
    }
    place.replaceChildren(...charts.map(([caption, , entries]) => {
      const list = make("ul", { class: "key" });
      key(list, entries);
      return make("figure", {}, make("div", { class: "chart" }), make("figcaption", {}, caption, list));
    }));
    charts.forEach(([, settings], i) => lineChart(place.children[i].firstChild, settings));
    byId("losses").hidden = !charts.length;
  }

  function strokeKey(mark) {
    const stroke = svg("svg", { width: 28, height: 8, viewBox: "0 0 28 8", "aria-hidden": "true" });
    stroke.append(svg("path", { class: `${mark} one`, d: "M0 4H28" }));
    const holder = make("span", { class: "chart" }, stroke);
    holder.style.width = "28px";
    return holder;
  }

  function drawSignals() {
    if (!twins.length) return;
    const chosen = Number(byId("epoch").value), at = (a) => a[Math.min(chosen, a.length - 1)];
    byId("epoch-value").textContent = at(longest);
    lineChart(byId("gradient-chart"), {
      series: twins.map((twin) => ({ points: twin.layers.map((l, k) => [k, at(l.gradientRms)]), style: style(twin) })),
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
      twins.forEach((twin) => {
        const canvas = make("canvas", { role: "img", "aria-label": `${layer.name}, ${twinName(twin)}` });
        cells.push(canvas);
        if (twin.layers[l]) drawn.push([canvas, twin.layers[l][kind], style(twin)]);
      });
    });
    place.replaceChildren(...cells);
    for (const [canvas, histogram, colours] of drawn) heatMap(canvas, histogram, colours, chosen);
  }

  function drawFilters() {
    if (!data.filters) return;
    if (isListed(data)) { drawWeights(region("filter-grid", "filters_title"), data, data.filters, t); return; }
    const { shape, count } = data.filters, bytes = bytesOf(data.filters.bytes), features = bytes.length / count, tint = tintOfWeights();
    const canvases = data.filters.units.map((unit) => make("canvas", { title: `${t("unit")} ${unit}`, "aria-hidden": "true" }));
    byId("filter-grid").replaceChildren(make("div", { class: "filters" }, ...canvases));
    canvases.forEach((canvas, i) => {
      const values = sampleAt(bytes, i, features);
      if (shape) drawImage(canvas, values, shape, tint);
      else drawBars(canvas, Array.from(values), 0.5, "plus", "minus");
    });
  }

  function drawReconstructions() {
    const place = byId("reconstruction-grids"), originals = bytesOf(data.samples.bytes), features = originals.length / data.samples.count;
    if (isListed(data)) { drawMade(originals); return; }
    const drawn = [];
    place.replaceChildren(...twins.map((twin) => {
      const grid = make("div", { class: "samples", role: "img", "aria-label": t("reconstructions_alt", { name: twinName(twin) }) });
      grid.style.gridTemplateColumns = `3.4rem repeat(${compared}, minmax(0, 1fr))`;
      const rows = [[t("original"), originals, true], ...someEpochs(twin.epochs).map((k) => [`${t("epoch")} ${twin.epochs[k]}`, bytesOf(twin.reconstructions[k])])];
      for (const [name, bytes, first] of rows) {
        grid.append(make("span", first ? { class: "first" } : {}, name));
        for (let i = 0; i < compared; i++) {
          const canvas = make("canvas");
          drawn.push([canvas, sampleAt(bytes, i, features), first ? "ink" : style(twin)]);
          grid.append(canvas);
        }
      }
      return make("figure", {}, grid, make("figcaption", {}, twinName(twin)));
    }));
    for (const [canvas, values, colours] of drawn) drawSample(canvas, values, data.shape, colours);
  }

  // Samples of a table beside what is made of them at the epoch chosen.
  function drawMade(originals) {
    if (!twins.length) return;
    const chosen = Number(byId("made-epoch").value), at = (a) => a[Math.min(chosen, a.length - 1)];
    byId("made-epoch-value").textContent = at(longest);
    drawComparison(region("reconstruction-grids", "reconstructions_title"), data, compared, [{ name: t("original"), style: "original", bytes: originals },
      ...twins.map((twin) => ({ name: twinName(twin), style: style(twin), bytes: bytesOf(at(twin.reconstructions)) }))], t);
  }

  // A part of the page that is scrolled sideways, by keyboard, too.
  function region(id, label) {
    const place = byId(id).querySelector(".scroll") || make("div", { class: "scroll", tabindex: "0", role: "region" });
    place.setAttribute("aria-label", t(label));
    if (!place.parentElement) byId(id).replaceChildren(place);
    return place;
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
  if (twins.length) {
    for (const id of ["epoch", "made-epoch"]) byId(id).max = longest.length - 1;
    byId("made-epoch").value = longest.length - 1;
  }
  byId("epoch").addEventListener("input", drawSignals);
  byId("made-epoch").addEventListener("input", drawReconstructions);
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth !== width) { width = window.innerWidth; drawAll(); }
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);

  writeTexts();
  drawAll();
  window.miniae = { decode: (code) => Array.from(Decoder.decode(data.decoder, weights, code)), codeAtCursor: () => Array.from(map.codeAt(map.cursor)) };
})();
