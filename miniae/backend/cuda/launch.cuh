// Stands before every source. Kernels are templates in the number type T, float or double.
//
// Every thread takes elements i, i + (all threads), ... so that any grid covers any n.

#define FOR_EACH(i, n)                                                             \
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < (n); \
         i += (long long)gridDim.x * blockDim.x)
