// What stands around the products of a layer: bias and activation behind them, the adjoint of both before those of
// backward. The activations act by their value, and have numbers: 0 is none, 1 the sigmoid, 2 tanh, 3 the ReLU.
//
// Sums have a fixed order: every thread adds up its part, then the threads of a block in a tree, then, by another
// kernel, the slices that an array was cut into for several blocks.

// f(x). A NaN stays one.
template <typename T> __device__ inline T value(T x, int f) {
    if (f == 1) return T(1) / (T(1) + exp(-x));
    if (f == 2) return tanh(x);
    if (f == 3) return x > T(0) || x != x ? x : T(0);
    return x;
}

// gy f'(x), by y = f(x)
template <typename T> __device__ inline T gradient(T gy, T y, int f) {
    if (f == 1) return gy * y * (T(1) - y);
    if (f == 2) return gy * (T(1) - y * y);
    if (f == 3) return gy * (y > T(0) ? T(1) : T(0));
    return gy;
}

// z = f(z + b) for z (rows, channels, length) of n elements, b (channels,)
template <typename T>
__global__ void bias_activation(T* z, const T* b, int f, long long channels, long long length, long long n) {
    FOR_EACH(i, n) {
        long long row = quotient(i, length);
        z[i] = value(z[i] + b[row - quotient(row, channels) * channels], f);
    }
}

// g = gy f' for arrays (rows, columns), written where there is an f; sums[s, c] = the sum of g over column c of slice s.
// Blocks are 32 columns wide and 16 rows high; the grid is (columns / 32, slices).
template <typename T>
__global__ void column_gradient(const T* gy, const T* y, T* g, T* sums, int f, long long rows, long long columns,
                                long long slice) {
    __shared__ T part[16][32];
    const int x = threadIdx.x, lane = threadIdx.y;
    const long long c = blockIdx.x * 32LL + x, begin = blockIdx.y * slice;
    const long long end = begin + slice < rows ? begin + slice : rows;
    T sum = 0;
    if (c < columns) {
        for (long long row = begin + lane; row < end; row += 16) {
            const long long i = row * columns + c;
            const T value = f ? gradient(gy[i], y[i], f) : gy[i];
            if (f) g[i] = value;
            sum += value;
        }
    }
    part[lane][x] = sum;
    for (int half = 8; half; half /= 2) {
        __syncthreads();
        if (lane < half) part[lane][x] += part[lane + half][x];
    }
    if (lane == 0 && c < columns) sums[blockIdx.y * columns + c] = part[0][x];
}

// The same for arrays (samples, channels, length): sums[s, c] over the samples of slice s and all of the length.
// Blocks have 256 threads; the grid is (channels, slices).
template <typename T>
__global__ void channel_gradient(const T* gy, const T* y, T* g, T* sums, int f, long long samples, long long channels,
                                 long long length, long long slice) {
    __shared__ T part[256];
    const int t = threadIdx.x;
    const long long c = blockIdx.x, begin = blockIdx.y * slice;
    const long long end = begin + slice < samples ? begin + slice : samples;
    T sum = 0;
    for (long long k = t; k < (end - begin) * length; k += 256) {
        const long long sample = quotient(k, length);
        const long long i = ((begin + sample) * channels + c) * length + (k - sample * length);
        const T value = f ? gradient(gy[i], y[i], f) : gy[i];
        if (f) g[i] = value;
        sum += value;
    }
    part[t] = sum;
    for (int half = 128; half; half /= 2) {
        __syncthreads();
        if (t < half) part[t] += part[t + half];
    }
    if (t == 0) sums[blockIdx.y * channels + c] = part[0];
}

// sums[c] = the sum over s of parts[s, c], n columns
template <typename T> __global__ void add_slices(const T* parts, T* sums, long long slices, long long n) {
    FOR_EACH(c, n) {
        T sum = parts[c];
        for (long long s = 1; s < slices; ++s) sum += parts[s * n + c];
        sums[c] = sum;
    }
}
