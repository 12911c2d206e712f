// Random numbers: each a function of its place, the step, the stream and the seed (see philox.py).

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

// use(i, u) for every i below n, u being uniform in [0, 1): from the counter (the block of first + i, + 1, step, stream,
// 0) and the key (seed, 0).
template <typename T, typename Use>
__device__ inline void for_each_number(u64 seed, u64 stream, long long step, long long first, long long n, Use use) {
    const int each = numbers_in_block(T()), before = first % each;  // of the first block, numbers that nobody wants
    FOR_EACH(block, (before + n + each - 1) / each) {
        u64 c[4] = {(u64)(first / each + block) + 1, (u64)step, stream, 0};
        philox(c, seed, 0);
        const long long start = block * each - before;
        for (int k = start < 0 ? before : 0; k < each && start + k < n; ++k) use(start + k, number(c, k, T()));
    }
}

// out[i] = u
template <typename T>
__global__ void philox_uniform(T* out, u64 seed, u64 stream, const long long* step, long long first, long long n) {
    for_each_number<T>(seed, stream, step[0], first, n, [=](long long i, T u) { out[i] = u; });
}

// out[i] = 1 where u is below probability[i], else 0
template <typename T>
__global__ void philox_bernoulli(T* out, const T* probability, u64 seed, u64 stream, const long long* step,
                                 long long first, long long n) {
    for_each_number<T>(seed, stream, step[0], first, n,
                       [=](long long i, T u) { out[i] = u < probability[i] ? T(1) : T(0); });
}

// out[i] = kept where u is at least rate, else 0
template <typename T>
__global__ void philox_mask(T* out, T rate, T kept, u64 seed, u64 stream, const long long* step, long long first,
                            long long n) {
    for_each_number<T>(seed, stream, step[0], first, n, [=](long long i, T u) { out[i] = u >= rate ? kept : T(0); });
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
