// A decoder in plain JavaScript: the functions that miniae's report/decoder.py writes down, on one sample.
"use strict";

const Decoder = (() => {
  const each = (f) => (x, y, s) => { for (let i = 0; i < y.length; i++) y[i] = f(x[i], s); };
  const gate = (z) => (z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z)));

  // y = activation(x), element by element.
  const ELEMENTWISE = {
    sigmoid: gate,
    tanh: Math.tanh,
    relu: (z) => (z > 0 ? z : 0),
    leaky_relu: (z, s) => (z > 0 ? z : s.slope * z),
    elu: (z, s) => s.scale * (z > 0 ? z : s.alpha * Math.expm1(z)),
    softplus: (z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))),
    gelu: (z) => 0.5 * z * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (z + 0.044715 * z * z * z))),
    silu: (z) => z * gate(z),
    exp: Math.exp,
    negative: (z) => -z,
  };

  const BINARY = {
    add: (a, b) => a + b,
    subtract: (a, b) => a - b,
    multiply: (a, b) => a * b,
    divide: (a, b) => a / b,
  };

  // y = x W + b, W (in, out).
  function dense(x, y, s, w) {
    for (let j = 0; j < y.length; j++) y[j] = s.bias < 0 ? 0 : w[s.bias + j];
    for (let i = 0; i < x.length; i++) {
      const xi = x[i], row = s.weight + i * y.length;
      if (xi !== 0) for (let j = 0; j < y.length; j++) y[j] += xi * w[row + j];
    }
  }

  // Calls meet(element of the window, position, pixel): at position o, element a meets pixel o stride + a dilation - pad.
  function meetings(s, positions, pixels, meet) {
    const [kh, kw] = s.kernel;
    for (let a = 0; a < kh; a++) for (let b = 0; b < kw; b++) {
      for (let p = 0; p < positions[1]; p++) {
        const row = p * s.stride[0] + a * s.dilation[0] - s.padding[0];
        if (row < 0 || row >= pixels[1]) continue;
        for (let q = 0; q < positions[2]; q++) {
          const column = q * s.stride[1] + b * s.dilation[1] - s.padding[1];
          if (column < 0 || column >= pixels[2]) continue;
          meet(a * kw + b, p * positions[2] + q, row * pixels[2] + column);
        }
      }
    }
  }

  const area = (shape) => shape[1] * shape[2];

  function withBias(y, s, w) {
    const n = area(s.to);
    for (let o = 0; o < s.to[0]; o++) y.fill(s.bias < 0 ? 0 : w[s.bias + o], o * n, (o + 1) * n);
  }

  // y[o, to] += sum over c of W[element] x[c, from], where the windows of o and c lie so many windows apart.
  function mix(x, y, s, w, element, from, to, apartO, apartC) {
    const C = s.from_[0], O = s.to[0], k = s.kernel[0] * s.kernel[1], nx = area(s.from_), ny = area(s.to);
    for (let o = 0; o < O; o++) for (let c = 0; c < C; c++) {
      y[o * ny + to] += w[s.weight + (o * apartO + c * apartC) * k + element] * x[c * nx + from];
    }
  }

  // y[o, position] += W[o, c, element] x[c, pixel].
  function conv(x, y, s, w) {
    withBias(y, s, w);
    meetings(s, s.to, s.from_, (element, position, pixel) => mix(x, y, s, w, element, pixel, position, s.from_[0], 1));
  }

  // y[o, pixel] += W[c, o, element] x[c, position].
  function convTranspose(x, y, s, w) {
    withBias(y, s, w);
    meetings(s, s.from_, s.to, (element, position, pixel) => mix(x, y, s, w, element, position, pixel, 1, s.to[0]));
  }

  function pool(x, y, s, start, join, scale) {
    const nx = area(s.from_), ny = area(s.to);
    y.fill(start);
    meetings(s, s.to, s.from_, (element, position, pixel) => {
      for (let c = 0; c < s.to[0]; c++) y[c * ny + position] = join(y[c * ny + position], x[c * nx + pixel]);
    });
    for (let i = 0; i < y.length; i++) y[i] *= scale;
  }

  // Calls f(values of a group, its place in y) for each of the groups that x is made of.
  function groups(x, y, s, f) {
    for (let at = 0; at < x.length; at += s.group) f(x.subarray(at, at + s.group), y.subarray(at, at + s.group));
  }

  const sum = (x, f) => { let total = 0; for (const z of x) total += f(z); return total; };

  const OTHERS = {
    dense, conv,
    conv_transpose: convTranspose,
    avg_pool: (x, y, s) => pool(x, y, s, 0, (a, b) => a + b, 1 / (s.kernel[0] * s.kernel[1])),
    max_pool: (x, y, s) => pool(x, y, s, -Infinity, Math.max, 1),
    gather: (x, y, s) => { for (let i = 0; i < y.length; i++) y[i] = x[s.places[i]]; },
    unscale: (x, y, s) => { for (let i = 0; i < y.length; i++) y[i] = x[i] * s.scale[i] + s.offset[i]; },
    normalize: (x, y, s) => groups(x, y, s, (g, out) => {
      const mean = sum(g, (z) => z) / g.length, variance = sum(g, (z) => (z - mean) ** 2) / g.length;
      for (let i = 0; i < g.length; i++) out[i] = (g[i] - mean) / Math.sqrt(variance + s.epsilon);
    }),
    softmax: (x, y, s) => groups(x, y, s, (g, out) => {
      const top = g.reduce((a, b) => Math.max(a, b)), total = sum(g, (z) => Math.exp(z - top));
      for (let i = 0; i < g.length; i++) out[i] = Math.exp(g[i] - top) / total;
    }),
    unit_norm: (x, y, s) => groups(x, y, s, (g, out) => {
      const length = Math.sqrt(sum(g, (z) => z * z));
      for (let i = 0; i < g.length; i++) out[i] = length > 0 ? g[i] / length : 0;
    }),
  };

  function run(step, values, w) {
    const x = values[step.x], y = new Float64Array(step.size);
    if (step.op in ELEMENTWISE) {
      each(ELEMENTWISE[step.op])(x, y, step);
    } else if (step.op in BINARY) {
      const side = (name) => (`${name}_at` in step ? w.subarray(step[`${name}_at`], step[`${name}_at`] + step.size)
        : values[step[name]]);
      const a = side("x"), b = side("other"), f = BINARY[step.op];
      for (let i = 0; i < y.length; i++) y[i] = f(a[i], b[i]);
    } else {
      OTHERS[step.op](x, y, step, w);
    }
    return y;
  }

  // The sample that `code`, an array of numbers, stands for.
  function decode(decoder, weights, code) {
    const values = [Float64Array.from(code)];
    for (const step of decoder.steps) values.push(run(step, values, weights));
    return values[decoder.result];
  }

  return { decode, operations: [...Object.keys(ELEMENTWISE), ...Object.keys(BINARY), ...Object.keys(OTHERS)] };
})();

if (typeof module !== "undefined") module.exports = Decoder;
