// Samples that are rows of a table: each column by name, on a line from its smallest to its largest value in the test data.

const LISTED = 40; // columns that are named

const isListed = (data) => !data.shape && data.low.length <= LISTED;
const columnName = (data, i) => (data.names ? data.names[i] : String(i + 1));
const endsOf = (data, i) => [short(data.low[i]), short(data.high[i])];

// One sample as a bar for each column; `shares` are its values, from 0 at the column's smallest to 1 at its largest.
function drawColumns(place, data, sample, shares) {
  const rows = shares.flatMap((share, i) => {
    const fill = make("div", { class: "fill" }), [low, high] = endsOf(data, i);
    fill.style.width = `${100 * share}%`;
    return [make("span", { class: "name" }, columnName(data, i)), make("span", { class: "end" }, low),
      make("div", { class: "track" }, fill), make("span", { class: "end" }, high), make("span", { class: "number" }, short(sample[i]))];
  });
  place.replaceChildren(make("div", { class: "bars" }, ...rows));
}

// Several samples, each in a column of its own with a mark for every one of `series`: [{name, style, bytes}].
function drawComparison(place, data, count, series, t) {
  const features = data.low.length, numbers = Array.from({ length: count }, (_, s) => s);
  const line = (s, i) => {
    const marks = series.map(({ style, bytes }) => {
      const mark = make("span", { class: `mark ${style}` });
      mark.style.left = `${bytes[s * features + i] / 2.55}%`;
      return mark;
    });
    const said = series.map(({ name, bytes }) =>
      `${name}: ${short(data.low[i] + bytes[s * features + i] / 255 * (data.high[i] - data.low[i]))}`).join("; ");
    return make("td", {}, make("div", { class: "track", role: "img", "aria-label": said, title: said }, ...marks));
  };
  place.replaceChildren(make("table", { class: "comparison" },
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, t("column")), make("th", { scope: "col" }, t("range")),
      ...numbers.map((s) => make("th", { scope: "col" }, `${t("sample")} ${s + 1}`)))),
    make("tbody", {}, ...data.low.map((_, i) => make("tr", {},
      make("th", { scope: "row" }, columnName(data, i)), make("td", { class: "end" }, endsOf(data, i).join(" … ")),
      ...numbers.map((s) => line(s, i)))))));
}

// Weights as colours: a row for each column of the table, a column for each unit.
function drawWeights(place, data, { units, bytes }, t) {
  const features = data.low.length, weights = bytesOf(bytes), tint = tintOfWeights();
  const cell = (unit, u, i) => {
    const place = make("td", { title: `${columnName(data, i)}, ${t("unit")} ${unit}` });
    place.style.backgroundColor = `rgb(${tint(weights[u * features + i] / 255).map(Math.round)})`;
    return place;
  };
  place.replaceChildren(make("table", { class: "weights" },
    make("thead", {}, make("tr", {}, make("th", {}, t("unit")), ...units.map((unit) => make("th", {}, String(unit))))),
    make("tbody", {}, ...data.low.map((_, i) => make("tr", {}, make("th", {}, columnName(data, i)),
      ...units.map((unit, u) => cell(unit, u, i)))))));
}
