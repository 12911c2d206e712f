// A product of matrices that need not exist in memory,
//
//     c[i, j] = sum_k a[i, k] b[j, k],
//
// where a and b are "views": small structs that say what element (line, k) of an operand is, the line being i or j.
//
// A block of threads computes a tile of c. It goes along k, DEPTH at a time: its threads fetch a slice of each operand
// into shared memory, and then every thread adds the products for 4 x 4 elements of c, which it holds in registers.
// So an element that was fetched once is used by a whole row or column of the tile. While they multiply one slice, the
// next is already on its way from memory to registers.
//
// A c of few tiles would leave most of a GPU idle, so k can be cut into parts, with a block for each: then c is an
// array of partial sums, which `add_parts` adds in the order of k. The sums are the same in every run.

#define DEPTH 16

// An index made of up to three, as 217 is made of digits: (sample, row, column) of a pixel, say. `high` has no bound.
struct Digits {
    int high, middle, low;
};
// How many values the other two have.
struct Radix {
    int middle, low;
};

__device__ inline Digits digits(long long index, Radix radix) {
    long long rest = index / radix.low;
    long long high = rest / radix.middle;
    return {(int)high, (int)(rest - high * radix.middle), (int)(index - rest * radix.low)};
}

// a + b, with carries: much cheaper than to divide again.
__device__ inline Digits plus(Digits a, Digits b, Radix radix) {
    int low = a.low + b.low, carry_low = low >= radix.low;
    int middle = a.middle + b.middle + carry_low, carry_middle = middle >= radix.middle;
    return {a.high + b.high + carry_middle, carry_middle ? middle - radix.middle : middle,
            carry_low ? low - radix.low : low};
}

// ---------------------------------------------------------------- views
//
// A view has `at(line, k)`, the radices of both, and ALONG_K: whether neighbours in k, rather than neighbouring lines,
// are neighbours in memory.

// element (line, k) = a[line line_step + k k_step]: any matrix, also a transposed one
template <typename T, bool ALONG> struct Matrix {
    static const bool ALONG_K = ALONG;
    const T* a;
    long long line_step, k_step;
    __device__ Radix line_radix() const { return {1, 1}; }
    __device__ Radix k_radix() const { return {1, 1}; }
    __device__ T at(Digits line, Digits k) const { return a[line.high * line_step + k.high * k_step]; }
};

// element (channel, (n, p)) = a[n, channel, p]: an array (samples, channels, plane) with all of a channel in one line
template <typename T> struct Channels {
    static const bool ALONG_K = true;
    T* a;
    int channels, plane;
    __device__ Radix line_radix() const { return {1, 1}; }
    __device__ Radix k_radix() const { return {1, plane}; }
    __device__ T* place(int channel, Digits k) const {
        return a + (k.high * (long long)channels + channel) * plane + k.low;
    }
    __device__ T at(Digits channel, Digits k) const { return *place(channel.high, k); }
};

// the same view with lines and k exchanged
template <typename View> struct Transposed {
    static const bool ALONG_K = !View::ALONG_K;
    View view;
    __device__ Radix line_radix() const { return view.k_radix(); }
    __device__ Radix k_radix() const { return view.line_radix(); }
    __device__ auto at(Digits line, Digits k) const { return view.at(k, line); }
};

// ---------------------------------------------------------------- the product

// One thread's share of the slices of an operand: it fetches EACH elements of every slice, LINES x DEPTH, of a tile.
// Neighbouring threads fetch neighbours in memory: either they differ in k and each thread has several lines, or they
// differ in their line and each thread has several k.
template <typename T, typename View, int LINES, int THREADS> struct Share {
    static const int EACH = LINES * DEPTH / THREADS;
    static const int APART = View::ALONG_K ? THREADS / DEPTH : THREADS / LINES;
    View view;
    int first_line, first_k, lines;  // in the tile; and how many lines of it exist
    Digits line[View::ALONG_K ? EACH : 1], k, step;
    T elements[EACH];

    __device__ Share(View v, long long tile_line, long long all_lines, long long k_start) : view(v) {
        int t = threadIdx.x;
        first_line = View::ALONG_K ? t / DEPTH : t % LINES;
        first_k = View::ALONG_K ? t % DEPTH : t / LINES;
        lines = all_lines - tile_line < LINES ? (int)(all_lines - tile_line) : LINES;
        k = digits(k_start + first_k, view.k_radix());
        step = digits(View::ALONG_K ? DEPTH : APART, view.k_radix());
        line[0] = digits(tile_line + first_line, view.line_radix());
        Digits next = digits(APART, view.line_radix());
#pragma unroll
        for (int m = 1; m < (View::ALONG_K ? EACH : 1); ++m) line[m] = plus(line[m - 1], next, view.line_radix());
    }

    // The elements of the next slice, of which `left` k exist; zeros beyond them.
    __device__ void fetch(int left) {
#pragma unroll
        for (int m = 0; m < EACH; ++m) {
            if (View::ALONG_K) {
                elements[m] = first_line + m * APART < lines && first_k < left ? view.at(line[m], k) : T(0);
            } else {
                elements[m] = first_line < lines && first_k + m * APART < left ? view.at(line[0], k) : T(0);
                k = plus(k, step, view.k_radix());
            }
        }
        if (View::ALONG_K) k = plus(k, step, view.k_radix());
    }

    // Four more columns than lines: 16 bytes, so that four neighbours are still read at once, and threads that differ
    // in k write to different banks.
    __device__ void put(T (*slice)[LINES + 4]) const {
#pragma unroll
        for (int m = 0; m < EACH; ++m) {
            if (View::ALONG_K) slice[first_k][first_line + m * APART] = elements[m];
            else slice[first_k + m * APART][first_line] = elements[m];
        }
    }
};

template <typename T> struct alignas(16) Four {
    T at[4];
};

// c[i, (n, p)] = sum_k a[i, k] b[(n, p), k] for the tile blockIdx.x, from left to right and then down, and the k from
// blockIdx.y k_part on, k_part of them. c has a place of rows x columns for every part.
template <int ROWS, int COLUMNS, typename T, typename A, typename B>
__device__ void product(A a, B b, Channels<T> c, long long rows, long long columns, long long depth, int k_part) {
    const int THREADS = ROWS * COLUMNS / 16;
    alignas(16) __shared__ T a_slice[DEPTH][ROWS + 4];
    alignas(16) __shared__ T b_slice[DEPTH][COLUMNS + 4];

    const int tiles_across = (int)((columns + COLUMNS - 1) / COLUMNS);
    const long long tile_row = (long long)(blockIdx.x / tiles_across) * ROWS;
    const long long tile_column = (long long)(blockIdx.x % tiles_across) * COLUMNS;
    const long long k_start = (long long)blockIdx.y * k_part;
    const int k_here = depth - k_start < k_part ? (int)(depth - k_start) : k_part;

    Share<T, A, ROWS, THREADS> from_a(a, tile_row, rows, k_start);
    Share<T, B, COLUMNS, THREADS> from_b(b, tile_column, columns, k_start);
    const int row = threadIdx.x / (COLUMNS / 4) * 4, column = threadIdx.x % (COLUMNS / 4) * 4;
    T total[4][4] = {};

    // `rest` is how many k are yet to be fetched. Every slice is multiplied while the next is on its way.
    for (int rest = k_here;; rest -= DEPTH) {
        if (rest > 0) {
            from_a.fetch(rest);
            from_b.fetch(rest);
        }
        if (rest < k_here) {
#pragma unroll
            for (int k = 0; k < DEPTH; ++k) {
                const Four<T> four_a = *(const Four<T>*)&a_slice[k][row], four_b = *(const Four<T>*)&b_slice[k][column];
#pragma unroll
                for (int i = 0; i < 4; ++i)
#pragma unroll
                    for (int j = 0; j < 4; ++j) total[i][j] += four_a.at[i] * four_b.at[j];
            }
        }
        if (rest <= 0) break;
        __syncthreads();  // no one needs the slice any more
        from_a.put(a_slice);
        from_b.put(b_slice);
        __syncthreads();
    }

    c.a += blockIdx.y * rows * columns;
    Digits at = digits(tile_column + column, c.k_radix());
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        if (tile_row + row + i >= rows) break;
        T* place = c.place((int)tile_row + row + i, at);
        if (at.low + 4 <= c.plane && tile_column + column + 4 <= columns && (size_t)place % sizeof(Four<T>) == 0) {
            *(Four<T>*)place = {{total[i][0], total[i][1], total[i][2], total[i][3]}};
        } else {
            Digits next = at;
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                if (tile_column + column + j < columns) *c.place((int)tile_row + row + i, next) = total[i][j];
                next = plus(next, {0, 0, 1}, {1, c.plane});
            }
        }
    }
}
