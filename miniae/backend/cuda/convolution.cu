// The three computations of a convolution as products of matrices that are never made ("implicit GEMM"):
//
//     forward           y[o, (n, position)]    = sum_{c, i, j} w[o, (c, i, j)]  columns[(n, position), (c, i, j)]
//     input gradient    gx[c, (n, pixel)]      = sum_{o, i, j} w[(o, i, j), c]  seen[(n, pixel), (o, i, j)]
//     weight gradient   gw[o, (c, i, j)]       = sum_{n, position} gy[o, (n, position)]  columns[(n, position), (c, i, j)]
//
// with columns the image as every element of the window sees it from every position, and seen the gradient of the
// output as every pixel sees it through the window. x is (N, channels, H, W), w (filters, channels, kh, kw), gy and y
// (N, filters, oh, ow).

#include "windows.cuh"
#include "product.cuh"

// columns[(n, oy, ox), (c, i, j)] = x[n, c, oy stride + i dilation - above, ox stride + j dilation - left],
// or 0 where that is outside of the image
template <typename T> struct Columns {
    static const bool ALONG_K = false;
    const T* x;
    int channels;
    Windows w;
    __device__ Radix line_radix() const { return {w.positions_down, w.positions_across}; }
    __device__ Radix k_radix() const { return {w.kernel_down, w.kernel_across}; }
    __device__ T at(Digits position, Digits element) const {
        int row = position.middle * w.stride_down + element.middle * w.dilation_down - w.above;
        int column = position.low * w.stride_across + element.low * w.dilation_across - w.left;
        if (row < 0 || row >= w.height || column < 0 || column >= w.width) return T(0);
        return x[position.high * (long long)(channels * w.height * w.width) +
                 (element.high * w.height + row) * w.width + column];
    }
};

// seen[(n, row, column), (o, i, j)] = gy[n, o, oy, ox] where oy stride + i dilation - above = row and
// ox stride + j dilation - left = column, or 0 where there are no such oy and ox
template <typename T> struct Seen {
    static const bool ALONG_K = false;
    const T* gy;
    int filters;
    Windows w;
    __device__ Radix line_radix() const { return {w.height, w.width}; }
    __device__ Radix k_radix() const { return {w.kernel_down, w.kernel_across}; }
    __device__ T at(Digits pixel, Digits element) const {
        int oy = position(pixel.middle, element.middle, w.stride_down, w.dilation_down, w.above, w.positions_down);
        int ox = position(pixel.low, element.low, w.stride_across, w.dilation_across, w.left, w.positions_across);
        if (oy < 0 || ox < 0) return T(0);
        return gy[pixel.high * (long long)(filters * w.positions_down * w.positions_across) +
                  (element.high * w.positions_down + oy) * w.positions_across + ox];
    }
};

// In each, `plane` is the last axis of the result (N, rows, plane), or all columns where there are several parts.

template <typename T, int ROWS, int COLUMNS>
__global__ void conv(const T* x, const T* w, T* y, Windows windows, int n, int channels, int filters, int plane,
                     int k_part) {
    const int depth = channels * windows.kernel_down * windows.kernel_across;
    const long long columns = (long long)n * windows.positions_down * windows.positions_across;
    product<ROWS, COLUMNS>(Matrix<T, true>{w, depth, 1}, Columns<T>{x, channels, windows},
                           Channels<T>{y, filters, plane}, filters, columns, depth, k_part);
}

// An element of w[(o, i, j), c] is one of Channels: w is (filters, channels, kh kw).
template <typename T, int ROWS, int COLUMNS>
__global__ void conv_input_grad(const T* gy, const T* w, T* gx, Windows windows, int n, int channels, int filters,
                                int plane, int k_part) {
    const int window = windows.kernel_down * windows.kernel_across;
    const long long columns = (long long)n * windows.height * windows.width;
    product<ROWS, COLUMNS>(Channels<const T>{w, channels, window}, Seen<T>{gy, filters, windows},
                           Channels<T>{gx, channels, plane}, channels, columns, (long long)filters * window, k_part);
}

template <typename T, int ROWS, int COLUMNS>
__global__ void conv_weight_grad(const T* x, const T* gy, T* gw, Windows windows, int n, int channels, int filters,
                                 int plane, int k_part) {
    const int positions = windows.positions_down * windows.positions_across;
    const int columns = channels * windows.kernel_down * windows.kernel_across;
    product<ROWS, COLUMNS>(Channels<const T>{gy, filters, positions}, Transposed<Columns<T>>{{x, channels, windows}},
                           Channels<T>{gw, filters, plane}, filters, columns, (long long)n * positions, k_part);
}
