// The product of two matrices, and the sum of the parts of any product.

#include "product.cuh"

// c = a b, a (rows, depth) and b (depth, columns). Steps are counted in elements; the two booleans say whether
// neighbours in k lie side by side in memory.
template <typename T, bool A_ALONG_K, bool B_ALONG_K, int ROWS, int COLUMNS>
__global__ void matrix_product(const T* a, const T* b, T* c, long long a_row, long long a_column, long long b_row,
                               long long b_column, long long rows, long long columns, long long depth, int k_part) {
    product<ROWS, COLUMNS>(Matrix<T, A_ALONG_K>{a, a_row, a_column}, Matrix<T, B_ALONG_K>{b, b_column, b_row},
                           Channels<T>{c, (int)rows, (int)columns}, rows, columns, depth, k_part);
}

// c[n, row, p] = sum_part parts[part, row, (n, p)], one part after the other. `n` is the number of elements of c.
template <typename T>
__global__ void add_parts(const T* parts, T* c, int count, long long rows, long long columns, int plane, long long n) {
    FOR_EACH(i, n) {
        T total = parts[i];
        for (int part = 1; part < count; ++part) total += parts[part * n + i];
        long long row = i / columns;
        Digits at = digits(i - row * columns, {1, plane});
        c[(at.high * rows + row) * plane + at.low] = total;
    }
}
