// Lines over epochs or layers (SVG), and histograms over epochs (canvas).

function svg(tag, attributes = {}, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  return element;
}

const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
const power = (n) => "10" + String(n).split("").map((c) => SUPERSCRIPT[c]).join("");
const short = (v) => (v === 0 ? "0" : Math.abs(v) >= 1e5 || Math.abs(v) < 1e-3 ? v.toExponential(1)
  : String(+v.toPrecision(3)));

function ticks(low, high, most) {
  const rough = (high - low) / Math.max(most, 1), unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * unit).find((s) => s >= rough), out = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-9; v += step) out.push(+v.toPrecision(12));
  return out;
}

// A level of a scale, with as many digits as tell it from the next.
function tick(level, levels) {
  const step = levels.length > 1 ? levels[1] - levels[0] : Math.abs(level) || 1;
  return Math.abs(level) >= 1e5 ? level.toExponential(1) : level.toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
}

// The same for a logarithmic scale, from the logarithms of its ends: powers of ten, and where there are few of them, 2
// and 5 times these. The first and the last are the scale's ends.
function logTicks(low, high) {
  const factors = high - low > 3 ? [1] : [1, 2, 5], all = [];
  for (let n = Math.floor(low); n <= Math.ceil(high); n++) all.push(...factors.map((m) => n + Math.log10(m)));
  const before = all.filter((v) => v <= low + 1e-9).length - 1, after = all.filter((v) => v < high - 1e-9).length;
  return all.slice(before, after + 1);
}

// Whether a logarithmic scale shows these values better.
const spansADecade = (values) => Math.min(...values) > 0 && Math.max(...values) > 10 * Math.min(...values);

const MARKED = 30; // points of a line, at most, that are marked

// series: [{points: [[x, y]], style: "one" | "two", dashed}]; names: what stands at whole x, if not the numbers; range:
// values that the scale has to hold, if not those of the series.
function lineChart(place, { series, names = null, log = false, range = null, xTitle, yTitle, alt }) {
  const width = Math.max(place.clientWidth, 240), height = 300, left = 52, right = 12, top = 22;
  const bottom = names ? 76 : 44;
  const points = series.flatMap((s) => s.points).filter(([, y]) => Number.isFinite(y) && (!log || y > 0));
  if (!points.length) return;
  const scaled = log ? Math.log10 : (v) => v, xs = points.map((p) => p[0]), ys = (range ? range.filter((y) => !log || y > 0) : points.map((p) => p[1])).map(scaled);
  let [low, high] = [Math.min(...ys), Math.max(...ys)];
  if (high - low < 1e-12) [low, high] = [low - 1, high + 1];
  let levels = log ? logTicks(low, high) : ticks(low, high, 5);
  if (log) [low, high] = [levels[0], levels.at(-1)];
  const whole = log && levels.every((v) => Math.abs(v - Math.round(v)) < 1e-9);
  if (whole && levels.length > 8) levels = levels.filter((v) => v % 2 === 0);
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  const X = (x) => left + (x1 > x0 ? (x - x0) / (x1 - x0) : 0.5) * (width - left - right);
  const Y = (y) => top + (1 - (scaled(y) - low) / (high - low)) * (height - top - bottom);
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": alt });
  for (const level of levels) {
    const y = Y(log ? 10 ** level : level);
    chart.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: y, y2: y }));
    chart.append(svg("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, whole ? power(level) : log ? short(10 ** level) : tick(level, levels)));
  }
  const marks = names ? names.map((_, i) => i) : ticks(x0, x1, Math.min(x1 - x0 || 1, width / 60)).filter(Number.isInteger);
  for (const x of marks) {
    const at = { x: X(x), y: height - bottom + 18, "text-anchor": names ? "end" : "middle" };
    if (names) at.transform = `rotate(-38 ${X(x)} ${height - bottom + 14})`;
    chart.append(svg("text", at, names ? names[x] : String(x)));
  }
  chart.append(svg("text", { x: width - right, y: height - 4, "text-anchor": "end" }, xTitle));
  chart.append(svg("text", { x: 0, y: 12 }, yTitle));
  for (const { points: line, style, dashed } of series) {
    const drawn = line.filter(([, y]) => Number.isFinite(y) && (!log || y > 0));
    const d = drawn.map(([x, y], i) => `${i ? "L" : "M"}${X(x).toFixed(1)} ${Y(y).toFixed(1)}`).join("");
    chart.append(svg("path", { class: `line ${style}${dashed ? " dashed" : ""}`, d }));
    if (!dashed && drawn.length <= MARKED) for (const [x, y] of drawn) chart.append(svg("circle", { class: style, cx: X(x), cy: Y(y), r: 3 }));
  }
  place.replaceChildren(chart);
}

// Epochs across, values up; the more values, the darker. The chosen epoch is marked.
function heatMap(canvas, histogram, style, chosen) {
  const [pen, width, height] = fresh(canvas), { counts } = histogram, bins = counts[0].length;
  const across = width / counts.length, up = height / bins, [r, g, b] = rgb(style);
  counts.forEach((column, e) => {
    const most = Math.max(...column);
    column.forEach((n, i) => {
      if (!n) return;
      pen.fillStyle = `rgba(${r}, ${g}, ${b}, ${0.12 + 0.88 * Math.sqrt(n / most)})`;
      pen.fillRect(e * across, height - (i + 1) * up, across + 0.5, up + 0.5);
    });
  });
  pen.strokeStyle = colour("ink");
  pen.lineWidth = 1.5;
  if (chosen < counts.length) pen.strokeRect(chosen * across + 0.75, 0.75, across - 1.5, height - 1.5);
}
