// Samples as pictures, or as bars where they are no images.

const byId = (id) => document.getElementById(id);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const rgb = (name) => [1, 3, 5].map((i) => parseInt(colour(name).slice(i, i + 2), 16));

function bytesOf(text) {
  const characters = atob(text), bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

function floatsOf(text) {
  const bytes = bytesOf(text), view = new DataView(bytes.buffer), out = new Float32Array(bytes.length / 4);
  for (let i = 0; i < out.length; i++) out[i] = view.getFloat32(4 * i, true);
  return out;
}

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// A canvas whose pixels are those of the screen, cleared; drawing is in CSS pixels.
function fresh(canvas) {
  const scale = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  return [pen, width, height];
}

// One value in [0, 1] for each pixel of each channel; `tint` makes a colour of a value where there is one channel.
function drawImage(canvas, values, [channels, height, width], tint = (v) => [255 * v, 255 * v, 255 * v]) {
  canvas.width = width;
  canvas.height = height;
  canvas.classList.add("pixels");
  canvas.style.aspectRatio = `${width} / ${height}`;
  const pen = canvas.getContext("2d"), image = pen.createImageData(width, height), n = width * height;
  for (let i = 0; i < n; i++) {
    const shade = channels === 3 ? [0, 1, 2].map((c) => 255 * values[c * n + i]) : tint(values[i]);
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = shade[c];
    image.data[4 * i + 3] = 255;
  }
  pen.putImageData(image, 0, 0);
}

// One bar for each value in [0, 1], from `base` up or down, in these colours.
function drawBars(canvas, values, base, above, below = above) {
  canvas.style.aspectRatio = "1.6";
  const [pen, width, height] = fresh(canvas), step = width / values.length;
  pen.fillStyle = colour("box");
  pen.fillRect(0, 0, width, height);
  values.forEach((v, i) => {
    pen.fillStyle = colour(v >= base ? above : below);
    const top = height * (1 - Math.max(v, base)), bottom = height * (1 - Math.min(v, base));
    pen.fillRect(i * step, top, Math.max(step - 1, 0.6), Math.max(bottom - top, 0.75));
  });
}

// Weights: 0.5 is nothing, above and below are the two colours.
function tintOfWeights() {
  const paper = rgb("card"), plus = rgb("plus"), minus = rgb("minus");
  return (v) => {
    const share = Math.min(1, Math.abs(2 * v - 1)), to = v >= 0.5 ? plus : minus;
    return paper.map((p, c) => p + (to[c] - p) * share);
  };
}

function drawSample(canvas, values, shape, style) {
  if (shape) drawImage(canvas, values, shape);
  else drawBars(canvas, Array.from(values), 0, style);
}

// Sample i of those that stand one after the other in `bytes`, as values in [0, 1].
function sampleAt(bytes, i, features) {
  return Float32Array.from(bytes.subarray(i * features, (i + 1) * features), (v) => v / 255);
}
