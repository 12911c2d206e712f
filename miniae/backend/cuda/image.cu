// Windows to columns and back, and pooling. A thread computes an element of the result, all that goes into it in the
// order of the window's elements: row by row, as the reference in image.py adds them up.

#include "windows.cuh"

// An element of an array (planes, height, width) by its number.
struct Place {
    long long plane;
    int row, column;
};
__device__ inline Place place(long long i, int height, int width) {
    long long line = i / width, plane = line / height;
    return {plane, (int)(line - plane * height), (int)(i - line * width)};
}

// The element of a plane of x that element (i, j) of the window meets at a position. There is no padding.
template <typename T> __device__ inline T pixel(const T* x, Place at, int i, int j, const Windows& w) {
    int row = at.row * w.stride_down + i * w.dilation_down;
    int column = at.column * w.stride_across + j * w.dilation_across;
    return x[(at.plane * w.height + row) * w.width + column];
}

// The sum of value(i * kernel_across + j, oy, ox) over the positions (oy, ox) at which element (i, j) of the window meets
// the pixel.
template <typename T, typename Value> __device__ inline T over_positions(Place pixel, const Windows& w, Value value) {
    T total = 0;
    for (int i = 0; i < w.kernel_down; ++i) {
        int oy = position(pixel.row, i, w.stride_down, w.dilation_down, w.above, w.positions_down);
        if (oy < 0) continue;
        for (int j = 0; j < w.kernel_across; ++j) {
            int ox = position(pixel.column, j, w.stride_across, w.dilation_across, w.left, w.positions_across);
            if (ox >= 0) total += value(i * w.kernel_across + j, oy, ox);
        }
    }
    return total;
}

// ---------------------------------------------------------------- columns

// columns[c, i, j, n, oy, ox] = x[n, c, oy stride + i dilation - above, ox stride + j dilation - left], or 0 outside.
// A thread does all i and j of one (c, n, oy, ox): they share the divisions.
template <typename T>
__global__ void im2col(const T* x, T* columns, Windows w, int channels, int samples, long long n) {
    const long long positions = (long long)samples * w.positions_down * w.positions_across;
    const int window = w.kernel_down * w.kernel_across;
    FOR_EACH(at, n) {
        Place o = place(at, w.positions_down, w.positions_across);  // its plane is (c, n)
        int c = (int)(o.plane / samples);
        const T* image = x + ((o.plane - (long long)c * samples) * channels + c) * w.height * w.width;
        T* column = columns + (long long)c * window * positions + (at - (long long)c * positions);
        for (int i = 0; i < w.kernel_down; ++i) {
            for (int j = 0; j < w.kernel_across; ++j, column += positions) {
                int row = o.row * w.stride_down + i * w.dilation_down - w.above;
                int across = o.column * w.stride_across + j * w.dilation_across - w.left;
                bool inside = row >= 0 && row < w.height && across >= 0 && across < w.width;
                *column = inside ? image[(long long)row * w.width + across] : T(0);
            }
        }
    }
}

// x[n, c, row, column] = sum_{i, j} columns[c, i, j, n, oy, ox] over the positions at which (i, j) meets the pixel
template <typename T>
__global__ void col2im(const T* columns, T* x, Windows w, int channels, int samples, long long n) {
    FOR_EACH(at, n) {
        Place p = place(at, w.height, w.width);  // its plane is (n, c)
        long long sample = p.plane / channels, c = p.plane - sample * channels;
        x[at] = over_positions<T>(p, w, [=](int element, int oy, int ox) {
            long long row = (c * w.kernel_down * w.kernel_across + element) * samples + sample;
            return columns[(row * w.positions_down + oy) * w.positions_across + ox];
        });
    }
}

// ---------------------------------------------------------------- pooling, of windows without padding
//
// The type W of the winners is the least that counts the elements of a window.

// y = the largest element of the window, winner = which it was: the first among equals. A NaN wins over every y, but
// is no winner, as in the reference.
template <typename T, typename W>
__global__ void max_pool(const T* x, T* y, W* winner, Windows w, long long n) {
    FOR_EACH(at, n) {
        Place o = place(at, w.positions_down, w.positions_across);
        T best = pixel(x, o, 0, 0, w);
        int number = 0;
        for (int i = 0; i < w.kernel_down; ++i) {
            for (int j = 0; j < w.kernel_across; ++j) {
                T value = pixel(x, o, i, j, w);
                if (value > best) number = i * w.kernel_across + j;
                if (value > best || value != value) best = value;
            }
        }
        y[at] = best;
        winner[at] = (W)number;
    }
}

// y = the element of the window that `winner` names
template <typename T, typename W>
__global__ void max_pool_select(const T* x, const W* winner, T* y, Windows w, long long n) {
    FOR_EACH(at, n) {
        Place o = place(at, w.positions_down, w.positions_across);
        y[at] = pixel(x, o, winner[at] / w.kernel_across, winner[at] % w.kernel_across, w);
    }
}

// gx = sum of gy over the positions whose winner the pixel is
template <typename T, typename W>
__global__ void max_pool_grad(const T* gy, const W* winner, T* gx, Windows w, long long n) {
    FOR_EACH(at, n) {
        Place p = place(at, w.height, w.width);
        gx[at] = over_positions<T>(p, w, [=](int element, int oy, int ox) {
            long long o = (p.plane * w.positions_down + oy) * w.positions_across + ox;
            return winner[o] == element ? gy[o] : T(0);
        });
    }
}

// y = the sum of the window
template <typename T> __global__ void sum_windows(const T* x, T* y, Windows w, long long n) {
    FOR_EACH(at, n) {
        Place o = place(at, w.positions_down, w.positions_across);
        T total = 0;
        for (int i = 0; i < w.kernel_down; ++i)
            for (int j = 0; j < w.kernel_across; ++j) total += pixel(x, o, i, j, w);
        y[at] = total;
    }
}

// x = sum of y over the positions whose window holds the pixel: the adjoint of sum_windows
template <typename T> __global__ void spread_windows(const T* y, T* x, Windows w, long long n) {
    FOR_EACH(at, n) {
        Place p = place(at, w.height, w.width);
        x[at] = over_positions<T>(p, w, [=](int, int oy, int ox) {
            return y[(p.plane * w.positions_down + oy) * w.positions_across + ox];
        });
    }
}
