// Stands before every source. Kernels are templates in the number type T, float or double.
//
// Every thread takes elements i, i + (all threads), ... so that any grid covers any n.

#define FOR_EACH(i, n)                                                             \
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < (n); \
         i += (long long)gridDim.x * blockDim.x)

// a / b for a >= 0 and b > 0, in 32 bits where that does: several times as fast
__device__ inline long long quotient(long long a, long long b) {
    return (a | b) >> 32 ? a / b : (unsigned)a / (unsigned)b;
}
