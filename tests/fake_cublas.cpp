// Stands in for libcublas on the CPU: the same functions, with everything checked that cuBLAS takes on trust.
//
// Compiled with -DREAL against NVIDIA's cublas_api.h it is checked for having the same signatures and constants.

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <functional>
#include <vector>

#ifdef REAL
#include <cublas_api.h>
#else
enum cublasStatus_t {
    CUBLAS_STATUS_SUCCESS = 0, CUBLAS_STATUS_NOT_INITIALIZED = 1, CUBLAS_STATUS_INVALID_VALUE = 7,
    CUBLAS_STATUS_NOT_SUPPORTED = 15
};
enum cublasOperation_t { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1 };
enum cudaDataType { CUDA_R_32F = 0, CUDA_R_64F = 1, CUDA_R_16F = 2, CUDA_R_16BF = 14 };
enum cublasComputeType_t { CUBLAS_COMPUTE_32F = 68, CUBLAS_COMPUTE_64F = 70, CUBLAS_COMPUTE_32F_FAST_TF32 = 77 };
enum cublasGemmAlgo_t { CUBLAS_GEMM_DEFAULT = -1 };
typedef struct cublasContext* cublasHandle_t;
typedef struct CUstream_st* cudaStream_t;
#endif

struct cublasContext { uint64_t mark; cudaStream_t stream; void* workspace; };
static const uint64_t MARK = 0x6d696e696165ULL;

static cudaStream_t expected_stream;
static bool capturing;
static std::vector<std::function<void()>> graph;

static float of_half(uint16_t h) {
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double value = exponent == 31 ? (fraction ? 0.0 / 0.0 : 1.0 / 0.0)
                 : exponent ? (1 + fraction / 1024.0) * __builtin_ldexp(1.0, exponent - 15)
                 : fraction * __builtin_ldexp(1.0, -24);
    return h >> 15 ? -value : value;
}
static float of_bits(uint32_t bits) { float f; memcpy(&f, &bits, 4); return f; }
static uint32_t bits_of(float f) { uint32_t bits; memcpy(&bits, &f, 4); return bits; }

static double element(const void* a, cudaDataType type, size_t i, bool tf32) {
    switch (type) {
        case CUDA_R_64F: return ((const double*)a)[i];
        case CUDA_R_16F: return of_half(((const uint16_t*)a)[i]);
        case CUDA_R_16BF: return of_bits((uint32_t)((const uint16_t*)a)[i] << 16);
        default: {
            uint32_t bits = bits_of(((const float*)a)[i]);
            if (tf32 && (bits >> 23 & 255) != 255) bits = (bits + 0xFFF + (bits >> 13 & 1)) & ~0x1FFFu;
            return of_bits(bits);
        }
    }
}

static int refuse(const char* why) { fprintf(stderr, "fake cuBLAS: %s\n", why); return CUBLAS_STATUS_INVALID_VALUE; }

// C = op(A) op(B), `count` times.
static cublasStatus_t multiply(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n,
                               int k, const void* alpha, const void* A, cudaDataType Atype, int lda, long long strideA,
                               const void* B, cudaDataType Btype, int ldb, long long strideB, const void* beta, void* C,
                               cudaDataType Ctype, int ldc, long long strideC, int count,
                               cublasComputeType_t compute, cublasGemmAlgo_t algo) {
    if (!handle || handle->mark != MARK) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (handle->stream != expected_stream) return (cublasStatus_t)refuse("not on the current stream");
    if (!handle->workspace) return (cublasStatus_t)refuse("no workspace: setting the stream forgets it");
    if ((transa != CUBLAS_OP_N && transa != CUBLAS_OP_T) || (transb != CUBLAS_OP_N && transb != CUBLAS_OP_T))
        return (cublasStatus_t)refuse("unknown operation");
    if (m < 0 || n < 0 || k < 0 || lda < (transa ? k : m) || lda < 1 || ldb < (transb ? n : k) || ldb < 1 || ldc < m)
        return (cublasStatus_t)refuse("a leading dimension is less than its column");
    if (algo != CUBLAS_GEMM_DEFAULT) return (cublasStatus_t)refuse("another algorithm");
    const bool doubles = compute == CUBLAS_COMPUTE_64F, tf32 = compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    if (!doubles && !tf32 && compute != CUBLAS_COMPUTE_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
    const bool half = Atype == CUDA_R_16F || Atype == CUDA_R_16BF;
    if (Atype != Btype || Ctype != (doubles ? CUDA_R_64F : CUDA_R_32F) || (doubles && Atype != CUDA_R_64F)
        || (!doubles && !(Atype == CUDA_R_32F || (half && !tf32))))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    const double a1 = doubles ? *(const double*)alpha : *(const float*)alpha;  // by value, as a graph keeps them
    const double b1 = doubles ? *(const double*)beta : *(const float*)beta;
    auto work = [=] {
        for (int batch = 0; batch < count; ++batch)
            for (int j = 0; j < n; ++j)
                for (int i = 0; i < m; ++i) {
                    double sum = 0;
                    for (int p = 0; p < k; ++p) {
                        size_t ia = batch * strideA + (transa ? p + (size_t)i * lda : i + (size_t)p * lda);
                        size_t ib = batch * strideB + (transb ? j + (size_t)p * ldb : p + (size_t)j * ldb);
                        sum += element(A, Atype, ia, tf32) * element(B, Btype, ib, tf32);
                    }
                    size_t ic = batch * strideC + i + (size_t)j * ldc;
                    if (doubles) ((double*)C)[ic] = a1 * sum + (b1 ? b1 * ((double*)C)[ic] : 0);
                    else ((float*)C)[ic] = a1 * sum + (b1 ? b1 * ((float*)C)[ic] : 0);
                }
    };
    if (capturing) graph.push_back(work); else work();
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" {
cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
    *handle = new cublasContext{MARK, nullptr, nullptr};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
    if (!handle || handle->mark != MARK) return CUBLAS_STATUS_NOT_INITIALIZED;
    handle->mark = 0;
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
    if (!handle || handle->mark != MARK) return CUBLAS_STATUS_NOT_INITIALIZED;
    handle->stream = stream, handle->workspace = nullptr;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* workspace, size_t bytes) {
    if (!handle || handle->mark != MARK) return CUBLAS_STATUS_NOT_INITIALIZED;
    memset(workspace, 0xFF, bytes);  // it is there, and nobody else's
    handle->workspace = workspace;
    return CUBLAS_STATUS_SUCCESS;
}
const char* cublasGetStatusString(cublasStatus_t status) {
    return status == CUBLAS_STATUS_NOT_SUPPORTED ? "the functionality is not supported"
         : status == CUBLAS_STATUS_INVALID_VALUE ? "an unsupported value or parameter was passed to the function"
         : status == CUBLAS_STATUS_SUCCESS ? "success" : "the library was not initialized";
}
cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n,
                            int k, const void* alpha, const void* A, cudaDataType Atype, int lda, const void* B,
                            cudaDataType Btype, int ldb, const void* beta, void* C, cudaDataType Ctype, int ldc,
                            cublasComputeType_t computeType, cublasGemmAlgo_t algo) {
    return multiply(handle, transa, transb, m, n, k, alpha, A, Atype, lda, 0, B, Btype, ldb, 0, beta, C, Ctype, ldc, 0,
                    1, computeType, algo);
}
cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb,
                                          int m, int n, int k, const void* alpha, const void* A, cudaDataType Atype,
                                          int lda, long long int strideA, const void* B, cudaDataType Btype, int ldb,
                                          long long int strideB, const void* beta, void* C, cudaDataType Ctype, int ldc,
                                          long long int strideC, int batchCount, cublasComputeType_t computeType,
                                          cublasGemmAlgo_t algo) {
    return multiply(handle, transa, transb, m, n, k, alpha, A, Atype, lda, strideA, B, Btype, ldb, strideB, beta, C,
                    Ctype, ldc, strideC, batchCount, computeType, algo);
}

// What the tests tell it: CuPy's current stream, and whether a graph is captured. The products of a graph have numbers.
void fake_stream(void* stream) { expected_stream = (cudaStream_t)stream; }
int fake_capture(int on) { capturing = on; return (int)graph.size(); }
void fake_launch(int number) { graph[number](); }
}
