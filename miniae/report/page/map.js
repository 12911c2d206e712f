// The map of codes: a pointer, a finger or arrow keys choose a point, which is decoded here and now.

const PALETTE = ["#0a5f8a", "#b23c17", "#2c7a39", "#7a2f8f", "#8a6400", "#00767a", "#b0256b", "#4d5bc0", "#5f6b00", "#6b4f3a"];
const PALETTE_DARK = ["#6cc3f0", "#ff9a72", "#7fd08c", "#d9a1ea", "#e6bf4d", "#5fd6d2", "#ff8fc0", "#a9b4ff", "#c9d65c", "#cfae94"];

function codeMap(data, weights, t) {
  const canvas = byId("map-canvas"), plane = data.plane, places = floatsOf(plane.places), n = places.length / 2;
  const sortedPlaces = [0, 1].map((k) => Array.from({ length: n }, (_, i) => places[2 * i + k]).sort((a, b) => a - b));
  const ends = [0, 1].map((k) => {
    const sorted = sortedPlaces[k], low = sorted[Math.floor(0.002 * (n - 1))], high = sorted[Math.ceil(0.998 * (n - 1))];
    const margin = (high - low || 1) * 0.06;
    return [low - margin, high + margin];
  });
  const kinds = plane.labels ? [...new Set(plane.labels)].sort((a, b) => a - b || (a < b ? -1 : 1)) : [];
  const asText = kinds.length > 0 && kinds.length <= 40 && kinds.every((k) => k.length <= 2);
  const coloured = kinds.length > 0 && kinds.length <= (asText ? 40 : PALETTE.length);
  const start = nearest(sortedPlaces.map((sorted) => sorted[Math.floor(n / 2)])), home = [places[2 * start], places[2 * start + 1]];
  const cursor = [...home];
  let background = null, waiting = false;

  const toScreen = (x, y, width, height) => [(x - ends[0][0]) / (ends[0][1] - ends[0][0]) * width,
    (1 - (y - ends[1][0]) / (ends[1][1] - ends[1][0])) * height];

  function codeAt([x, y]) {
    return Float64Array.from(plane.mean, (m, i) => m + x * plane.axes[0][i] + y * plane.axes[1][i]);
  }

  function coloursOfLabels() {
    const palette = window.matchMedia("(prefers-color-scheme: dark)").matches ? PALETTE_DARK : PALETTE, one = colour("one");
    return (label) => (coloured ? palette[kinds.indexOf(label) % palette.length] : one);
  }

  function drawKey(colourOf) {
    byId("map-key").replaceChildren(...(coloured && !asText ? kinds : []).map((kind) => {
      const swatch = make("span", { class: "swatch" });
      swatch.style.backgroundColor = colourOf(kind);
      return make("li", {}, swatch, kind);
    }));
  }

  function drawPlaces(colourOf) {
    const [pen, width, height] = fresh(canvas);
    const dot = Math.min(10, Math.max(3, 0.12 * width / Math.sqrt(n))); // the fewer, the larger
    pen.font = `600 ${Math.max(10, Math.round(1.6 * dot))}px system-ui, sans-serif`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    for (let i = 0; i < n; i++) {
      const [x, y] = toScreen(places[2 * i], places[2 * i + 1], width, height);
      pen.fillStyle = colourOf(plane.labels && plane.labels[i]);
      pen.globalAlpha = 0.75;
      pen.beginPath();
      pen.arc(x, y, dot / 2, 0, 2 * Math.PI);
      if (asText) pen.fillText(plane.labels[i], x, y);
      else pen.fill();
    }
    background = make("canvas", { width: canvas.width, height: canvas.height });
    background.getContext("2d").drawImage(canvas, 0, 0);
  }

  // The number of the sample that is nearest to a point.
  function nearest([x, y]) {
    const unit = ends.map(([low, high]) => high - low);
    let best = 0, least = Infinity;
    for (let i = 0; i < n; i++) {
      const d = ((places[2 * i] - x) / unit[0]) ** 2 + ((places[2 * i + 1] - y) / unit[1]) ** 2;
      if (d < least) [least, best] = [d, i];
    }
    return best;
  }

  function drawCursor() {
    const pen = canvas.getContext("2d"), width = canvas.clientWidth, height = canvas.clientHeight;
    pen.globalAlpha = 1;
    pen.clearRect(0, 0, width, height);
    pen.drawImage(background, 0, 0, width, height);
    const [x, y] = toScreen(cursor[0], cursor[1], width, height);
    for (const [line, style] of [[5, colour("card")], [2, colour("ink")]]) {
      pen.lineWidth = line;
      pen.strokeStyle = style;
      pen.beginPath();
      pen.arc(x, y, 9, 0, 2 * Math.PI);
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        pen.moveTo(x + 9 * dx, y + 9 * dy);
        pen.lineTo(x + 17 * dx, y + 17 * dy);
      }
      pen.stroke();
    }
  }

  function show() {
    drawCursor();
    const values = { x: short(cursor[0]), y: short(cursor[1]), label: plane.labels ? plane.labels[nearest(cursor)] : "" };
    byId("map-place").textContent = t(plane.labels ? "map_place_label" : "map_place", values);
    canvas.setAttribute("aria-label", `${t("map_alt")} ${byId("map-place").textContent}`);
    if (data.decoder) drawDecoded(data, Decoder.decode(data.decoder, weights, codeAt(cursor)), t);
  }

  function moveTo(x, y) {
    cursor[0] = Math.min(Math.max(x, ends[0][0]), ends[0][1]);
    cursor[1] = Math.min(Math.max(y, ends[1][0]), ends[1][1]);
    if (!waiting) {
      waiting = true;
      requestAnimationFrame(() => { waiting = false; show(); });
    }
  }

  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    moveTo(ends[0][0] + (event.clientX - box.left) / box.width * (ends[0][1] - ends[0][0]),
      ends[1][1] - (event.clientY - box.top) / box.height * (ends[1][1] - ends[1][0]));
  });
  canvas.addEventListener("pointerdown", (event) => canvas.dispatchEvent(new PointerEvent("pointermove", event)));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (event.key === "Home") moveTo(...home);
    if (step) {
      const share = event.shiftKey ? 0.1 : 0.02;
      moveTo(cursor[0] + step[0] * share * (ends[0][1] - ends[0][0]), cursor[1] + step[1] * share * (ends[1][1] - ends[1][0]));
    }
    if (step || event.key === "Home") event.preventDefault();
  });

  function draw() {
    const colourOf = coloursOfLabels();
    drawKey(colourOf);
    drawPlaces(colourOf);
    show();
  }

  return { draw, cursor, codeAt };
}

function drawDecoded(data, sample, t) {
  const place = byId("decoded-picture"), shares = Array.from(sample, (v, i) => {
    const range = data.high[i] - data.low[i];
    return Math.min(1, Math.max(0, range > 0 ? (v - data.low[i]) / range : 0.5));
  });
  byId("decoded").classList.toggle("table", !data.shape);
  if (isListed(data)) { drawColumns(place, data, sample, shares); return; }
  let canvas = place.querySelector("canvas");
  if (!canvas) place.replaceChildren(canvas = make("canvas", { role: "img" }));
  canvas.setAttribute("aria-label", t("decoded_alt"));
  drawSample(canvas, shares, data.shape, "one");
}

// The largest difference between what this page decodes and what miniae did, as a share of each feature's range.
function largestDifference(data, weights) {
  let largest = 0;
  for (const { code, sample } of data.checks) {
    const own = Decoder.decode(data.decoder, weights, code);
    sample.forEach((v, i) => { largest = Math.max(largest, Math.abs(own[i] - v) / (data.high[i] - data.low[i] || 1)); });
  }
  return largest;
}
