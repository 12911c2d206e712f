// Kernels that work element by element. Each is one line of mathematics, the same as in base.py. `n` is the number of
// elements.

// ---------------------------------------------------------------- rounding

// y = x to the nearest float16, in a tie to the even one: 5 bits of exponent, 10 of fraction
template <typename T> __global__ void to_float16(const T* x, unsigned short* y, long long n) {
    FOR_EACH(i, n) {
        unsigned bits = __float_as_uint(x[i]), sign = bits >> 16 & 0x8000u, size = bits & 0x7FFFFFFFu;
        unsigned half;
        if (size > 0x7F800000u) half = 0x7E00u;                                       // NaN
        else if (size >= 0x477FF000u) half = 0x7C00u;                                 // from 65520 on, infinity
        else if (size < 0x38800000u) half = (unsigned)rint(fabs(x[i]) * T(16777216));  // below 2^-14, steps of 2^-24
        else half = (size - 0x38000000u + 0xFFFu + (size >> 13 & 1u)) >> 13;
        y[i] = (unsigned short)(sign | half);
    }
}

// y = x to the nearest bfloat16, in a tie to the even one: the upper half of a float32
template <typename T> __global__ void to_bfloat16(const T* x, unsigned short* y, long long n) {
    FOR_EACH(i, n) {
        unsigned bits = __float_as_uint(x[i]);
        bool nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
        y[i] = (unsigned short)(nan ? (bits >> 16 | 0x40u) : (bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
    }
}

// ---------------------------------------------------------------- activations

// y = 1 / (1 + exp(-x))
template <typename T> __global__ void sigmoid(const T* x, T* y, long long n) {
    FOR_EACH(i, n) y[i] = T(1) / (T(1) + exp(-x[i]));
}

// dL/dx = dL/dy y (1 - y)
template <typename T> __global__ void sigmoid_grad(const T* gy, const T* y, T* gx, long long n) {
    FOR_EACH(i, n) gx[i] = gy[i] * y[i] * (T(1) - y[i]);
}

// dL/dx = dL/dy (1 - y^2)
template <typename T> __global__ void tanh_grad(const T* gy, const T* y, T* gx, long long n) {
    FOR_EACH(i, n) gx[i] = gy[i] * (T(1) - y[i] * y[i]);
}

// y = x where x > 0, slope x elsewhere. A NaN stays one.
template <typename T> __global__ void leaky_relu(const T* x, T* y, T slope, long long n) {
    FOR_EACH(i, n) y[i] = x[i] > T(0) ? x[i] : (x[i] != x[i] ? x[i] : slope * x[i]);
}

// dL/dx = dL/dy (1 where x > 0, slope elsewhere)
template <typename T> __global__ void leaky_relu_grad(const T* gy, const T* x, T* gx, T slope, long long n) {
    FOR_EACH(i, n) gx[i] = gy[i] * (x[i] > T(0) ? T(1) : slope);
}

// y = max(x, 0) + log(1 + exp(-|x|))
template <typename T> __global__ void softplus(const T* x, T* y, long long n) {
    FOR_EACH(i, n) y[i] = (x[i] > T(0) ? x[i] : T(0)) + log1p(exp(-fabs(x[i])));
}

// ---------------------------------------------------------------- losses with their gradients

// The terms of L = scale sum (y - t)^2, and dL/dy = 2 scale (y - t)
template <typename T>
__global__ void squared_error(const T* y, const T* t, T* terms, T* gy, T scale, long long n) {
    FOR_EACH(i, n) {
        T difference = y[i] - t[i];
        terms[i] = scale * difference * difference;
        gy[i] = T(2) * scale * difference;
    }
}

// The terms of L = scale sum log(1 + exp(z)) - t z, and dL/dz = scale (1 / (1 + exp(-z)) - t)
template <typename T>
__global__ void bce_logits(const T* z, const T* t, T* terms, T* gz, T scale, long long n) {
    FOR_EACH(i, n) {
        terms[i] = scale * ((z[i] > T(0) ? z[i] : T(0)) + log1p(exp(-fabs(z[i]))) - t[i] * z[i]);
        gz[i] = scale * (T(1) / (T(1) + exp(-z[i])) - t[i]);
    }
}

// ---------------------------------------------------------------- the Adam update

// m = b1 m + g;  v = b2 v + g^2;  p -= rates[0] m / (sqrt(v) + rates[1])
template <typename T>
__global__ void adam(T* p, const T* g, T* m, T* v, const T* rates, T b1, T b2, long long n) {
    FOR_EACH(i, n) {
        T mi = b1 * m[i] + g[i];
        T vi = b2 * v[i] + g[i] * g[i];
        m[i] = mi;
        v[i] = vi;
        p[i] -= rates[0] * (mi / (sqrt(vi) + rates[1]));
    }
}
