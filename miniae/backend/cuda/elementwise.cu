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

// ---------------------------------------------------------------- updates

// total += factor a
template <typename T> __global__ void add_scaled(T* total, const T* a, T factor, long long n) {
    FOR_EACH(i, n) total[i] += factor * a[i];
}

// v = momentum v + g;  p -= rate[0] v
template <typename T>
__global__ void momentum(T* p, const T* g, T* v, const T* rate, T momentum, long long n) {
    FOR_EACH(i, n) {
        T vi = momentum * v[i] + g[i];
        v[i] = vi;
        p[i] -= rate[0] * vi;
    }
}

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

// One thread: from W = (1 - b^t) / (1 - b) for both b at step t, rates = [lr sqrt(W2) / W1, epsilon sqrt(W2)]
template <typename T>
__global__ void adam_rates(const double* betas, const double* last, const double* step, const T* lr, T* rates,
                           double epsilon) {
    const double w1 = (1.0 - pow(betas[0], step[0])) / last[0];
    const double root = sqrt((1.0 - pow(betas[1], step[0])) / last[1]);
    rates[0] = T(root / w1) * lr[0];
    rates[1] = T(root * epsilon);
}

// counter = counter + 1
template <typename T> __global__ void increment(T* counter, long long n) {
    FOR_EACH(i, n) counter[i] += 1;
}

// ---------------------------------------------------------------- minibatches

// The number of a row, counted from the end where it is negative; others beyond `count` begin anew, as with CuPy.
__device__ inline long long within(long long row, long long count) {
    if (row >= 0 && row < count) return row;
    row %= count;
    return row < 0 ? row + count : row;
}

// out[r] = rows[index[r]], of `count` rows of `width` elements
template <typename T>
__global__ void gather(const T* rows, const long long* index, T* out, long long count, long long width, long long n) {
    FOR_EACH(i, n) {
        long long r = quotient(i, width);
        out[i] = rows[within(index[r], count) * width + (i - r * width)];
    }
}

// out[r] = (rows[index[r]] - offset) / scale in double precision, for rows of integers of a byte; offset and scale have
// `width` elements
template <typename T>
__global__ void gather_scaled(const unsigned char* rows, const long long* index, const double* offset,
                              const double* scale, T* out, long long count, long long width, long long n) {
    FOR_EACH(i, n) {
        long long r = quotient(i, width), column = i - r * width;
        out[i] = T(((double)rows[within(index[r], count) * width + column] - offset[column]) / scale[column]);
    }
}
