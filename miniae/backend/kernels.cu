// The element-wise kernels of miniae on an NVIDIA GPU. Each is one line of mathematics, the same as in base.py.
//
// They are templates in the number type T, float or double. `n` is the number of elements; every thread takes elements
// i, i + (all threads), ... so that any grid covers any n.

#define FOR_EACH(i, n)                                                             \
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < (n); \
         i += (long long)gridDim.x * blockDim.x)

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

// ---------------------------------------------------------------- random numbers

typedef unsigned long long u64;

// Philox4x64-10: four random words from a counter of four words and a key of two. Salmon et al., SC 2011.
__device__ inline void philox(u64 c[4], u64 key0, u64 key1) {
    const u64 M0 = 0xD2E7470EE14C6C93ULL, M1 = 0xCA5A826395121157ULL;
    const u64 W0 = 0x9E3779B97F4A7C15ULL, W1 = 0xBB67AE8584CAA73BULL;
    for (int round = 0; round < 10; ++round) {
        u64 high0 = __umul64hi(M0, c[0]), low0 = M0 * c[0];
        u64 high1 = __umul64hi(M1, c[2]), low1 = M1 * c[2];
        c[0] = high1 ^ c[1] ^ key0;
        c[1] = low1;
        c[2] = high0 ^ c[3] ^ key1;
        c[3] = low0;
        key0 += W0;
        key1 += W1;
    }
}

// How many numbers one block of four words gives, and the k-th of them, in [0, 1): as NumPy makes them.
__device__ inline int numbers_in_block(float) { return 8; }
__device__ inline int numbers_in_block(double) { return 4; }
__device__ inline float number(const u64 c[4], int k, float) {
    unsigned int half = (unsigned int)(k & 1 ? c[k / 2] >> 32 : c[k / 2]);
    return (half >> 8) * (1.0f / 16777216.0f);
}
__device__ inline double number(const u64 c[4], int k, double) { return (c[k] >> 11) * (1.0 / 9007199254740992.0); }

// out[i] uniform in [0, 1), from the counter (i's block + 1, step, stream, 0) and the key (seed, 0).
template <typename T> __global__ void philox_uniform(T* out, u64 seed, u64 stream, const long long* step, long long n) {
    const int each = numbers_in_block(T());
    FOR_EACH(block, (n + each - 1) / each) {
        u64 c[4] = {(u64)block + 1, (u64)step[0], stream, 0};
        philox(c, seed, 0);
        for (int k = 0; k < each && block * each + k < n; ++k) out[block * each + k] = number(c, k, T());
    }
}

// out[i] = sqrt(-2 log(1 - u1[i])) cos(2 pi u2[i]) and out[half + i] the same with the sine; `uniform` is u1, then u2,
// half = (n + 1) / 2 of each
template <typename T> __global__ void box_muller(const T* uniform, T* out, long long n) {
    const long long half = (n + 1) / 2;
    FOR_EACH(i, half) {
        T radius = sqrt(T(-2) * log1p(-uniform[i]));
        T angle = T(6.283185307179586) * uniform[half + i];
        out[i] = radius * cos(angle);
        if (half + i < n) out[half + i] = radius * sin(angle);
    }
}
