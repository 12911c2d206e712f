// Losses with their gradients. The terms are added up in double precision in a fixed order: every thread its own, the
// threads of a block in a tree, and by another kernel the blocks. Blocks have 256 threads.

// The sum over the threads of a block, in its first thread.
__device__ inline double over_block(double sum) {
    __shared__ double part[256];
    part[threadIdx.x] = sum;
    for (int half = 128; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
    }
    return part[0];
}

// L = scale sum (y - t)^2, a part for each block, and dL/dy = 2 scale (y - t)
template <typename T>
__global__ void squared_error(const T* y, const T* t, double* parts, T* gy, double scale, long long n) {
    double sum = 0;
    FOR_EACH(i, n) {
        T difference = y[i] - t[i];
        sum += (double)difference * (double)difference;
        gy[i] = T(2 * scale) * difference;
    }
    sum = over_block(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = scale * sum;
}

// L = scale sum log(1 + exp(z)) - t z, a part for each block, and dL/dz = scale (1 / (1 + exp(-z)) - t)
template <typename T>
__global__ void bce_logits(const T* z, const T* t, double* parts, T* gz, double scale, long long n) {
    double sum = 0;
    FOR_EACH(i, n) {
        sum += (double)((z[i] > T(0) ? z[i] : T(0)) + log1p(exp(-fabs(z[i]))) - t[i] * z[i]);
        gz[i] = T(scale) * (T(1) / (T(1) + exp(-z[i])) - t[i]);
    }
    sum = over_block(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = scale * sum;
}

// loss = the sum of the blocks' parts, by one block
template <typename T> __global__ void add_terms(const double* parts, T* loss, long long n) {
    double sum = 0;
    for (long long i = threadIdx.x; i < n; i += 256) sum += parts[i];
    sum = over_block(sum);
    if (threadIdx.x == 0) loss[0] = T(sum);
}
