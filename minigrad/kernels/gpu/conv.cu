// Convolution on the GPU: its output, and the gradients of its input and of its weight.
//
// All three are matrix products in disguise (minigrad/ops/conv.py derives them):
//
//     output           y [o, (n,i,j)]     =  w [o, (c,u,v)]      ·  windows of x    [(c,u,v), (n,i,j)]
//     input gradient   dx[c, (n,h,w)]     =  w [c, (o,u,v)]      ·  readers of x    [(o,u,v), (n,h,w)]
//     weight gradient  dw[o, (c,u,v)]     =  dy[o, (n,i,j)]      ·  windows of x    [(n,i,j), (c,u,v)]
//
// The matrix on the right is never stored ("implicit" product): its elements are picked out of x or dy when they are
// needed. Every group of channels is a product of its own (blockIdx.z).
//
// Why tiles. An element of the left matrix meets every column, one of the right every row. If each thread fetched for
// itself what it multiplies, each number would come from the GPU's memory hundreds of times, and the arithmetic would
// wait. So a block of 256 threads computes a tile of the result together: it fetches a strip of both matrices, DEPTH
// deep, into shared memory (on the chip, seen by the whole block), every thread multiplies what it needs from there,
// and the next strip follows. Two barriers keep this in order: nobody multiplies before the strip is complete, and
// nobody overwrites it while others still multiply. A thread keeps ROWS x COLUMNS sums in registers, so that a number
// read from shared memory is used several times as well.
//
// No two threads add to the same number, so results repeat bit for bit.
//
// Compiled with -DREAL=float or double, -DROWS=1, 2 or 4 and -DCOLUMNS=8. The arrays are contiguous, NCHW; indices are
// 32 bits wide (who launches sees to it that they suffice).

#define SIDE 16                  // a block is SIDE x SIDE threads
#define THREADS (SIDE * SIDE)
#define DEPTH 16                 // of the strips in shared memory; a thread's place in one relies on DEPTH == SIDE
#define TALL (SIDE * ROWS)       // a tile of the result has TALL rows
#define WIDE (SIDE * COLUMNS)    // and WIDE columns; WIDE divides THREADS

// Strips carry one unused column: writing down a column would otherwise hit one memory bank over and over.
typedef REAL LeftStrip[DEPTH][TALL + 1];
typedef REAL RightStrip[DEPTH][WIDE + 1];

struct Shape {
    int n, c, h, w;    // the input (N, C, H, W)
    int o, oh, ow;     // the output (N, O, OH, OW)
    int kh, kw;        // the kernel's window; the weight is (O, C / groups, KH, KW)
    int sh, sw;        // stride
    int ph, pw;        // padding
    int dh, dw;        // dilation
    int groups;
};

// A number written in three digits, value = (high * middles + middle) * lows + low: a sample, a row and a column, or a
// channel and a place in the window. It moves on in equal steps by carrying, as one adds by hand: a division costs a
// GPU dozens of instructions, and every fetch would need two.
struct Digits {
    int value, high, middle, low;
    int step, step_high, step_middle, step_low;
    int middles, lows;

    __device__ Digits(int start, int step_, int middles_, int lows_)
        : value(start), step(step_), middles(middles_), lows(lows_) {
        high = start / (middles * lows);
        middle = start / lows % middles;
        low = start % lows;
        step_high = step / (middles * lows);
        step_middle = step / lows % middles;
        step_low = step % lows;
    }

    __device__ void advance() {
        value += step;
        low += step_low;
        middle += step_middle;
        high += step_high;
        if (low >= lows) { low -= lows; middle += 1; }
        if (middle >= middles) { middle -= middles; high += 1; }
    }
};

__device__ int thread_number() { return threadIdx.y * SIDE + threadIdx.x; }

// --- the factors: each knows how to fill its strip with the next DEPTH of its columns (left) or rows (right) ---------

// The left matrix with element (row, k) at memory[row * row_step + high(k) * high_step + rest(k)], where k's digits are
// (high, rest). Threads next to each other fetch numbers next to each other in k, which lie side by side in memory.
struct Left {
    const REAL* memory;
    int rows, row_step, high_step, first_row, last;
    Digits k;

    __device__ Left(const REAL* memory_, int rows_, int row_step_, int high_step_, int rests, int first, int last_)
        : memory(memory_), rows(rows_), row_step(row_step_), high_step(high_step_), last(last_),
          k(first + thread_number() % DEPTH, DEPTH, 1, rests) {
        first_row = blockIdx.y * TALL;
    }

    __device__ void fill(LeftStrip& strip) {
        int place = k.value % DEPTH;  // strips begin at multiples of DEPTH
        for (int i = 0; i < ROWS; i++) {
            int row = thread_number() / DEPTH + SIDE * i;
            REAL value = 0;
            if (first_row + row < rows && k.value < last)
                value = memory[(first_row + row) * row_step + k.high * high_step + k.low];
            strip[place][row] = value;
        }
        k.advance();
    }
};

// Windows of x as columns: element (k, column) with k = (c, u, v) and column = (n, i, j) is the element (u, v) of the
// window (i, j) in channel c, zero in the padding. A thread stays in one column; the threads of a warp fetch from
// windows side by side.
struct Windows {
    const REAL* image;
    Shape s;
    int column, row, top, left;
    bool inside;
    Digits k;

    __device__ Windows(const REAL* x, const Shape& s_, int group)
        : s(s_), column(thread_number() % WIDE), row(thread_number() / WIDE), k(row, THREADS / WIDE, s_.kh, s_.kw) {
        Digits at(blockIdx.x * WIDE + column, 0, s.oh, s.ow);
        inside = at.high < s.n;
        top = at.middle * s.sh - s.ph;
        left = at.low * s.sw - s.pw;
        image = x + (at.high * s.c + group * (s.c / s.groups)) * s.h * s.w;
    }

    __device__ void fill(RightStrip& strip) {
        for (int i = 0; i < DEPTH; i += THREADS / WIDE) {
            int h = top + k.middle * s.dh, w = left + k.low * s.dw;
            REAL value = 0;
            if (inside && k.high < s.c / s.groups && h >= 0 && h < s.h && w >= 0 && w < s.w)
                value = image[(k.high * s.h + h) * s.w + w];
            strip[row + i][column] = value;
            k.advance();
        }
    }
};

// Who read x: element (k, column) with k = (o, u, v) and column = (n, h, w) is the dy of the output that read x at
// (h, w) with the weight (u, v). Read i * stride + u * dilation - padding = h backwards: i = (h + padding - u *
// dilation) / stride, if that is a whole number and there is such an output.
struct Readers {
    const REAL* dy;
    Shape s;
    int column, row, bottom, right;
    bool inside;
    Digits k;

    __device__ Readers(const REAL* dy_, const Shape& s_, int group)
        : s(s_), column(thread_number() % WIDE), row(thread_number() / WIDE), k(row, THREADS / WIDE, s_.kh, s_.kw) {
        Digits at(blockIdx.x * WIDE + column, 0, s.h, s.w);
        inside = at.high < s.n;
        bottom = at.middle + s.ph;
        right = at.low + s.pw;
        dy = dy_ + (at.high * s.o + group * (s.o / s.groups)) * s.oh * s.ow;
    }

    __device__ void fill(RightStrip& strip) {
        for (int e = 0; e < DEPTH; e += THREADS / WIDE) {
            int h = bottom - k.middle * s.dh, w = right - k.low * s.dw;
            bool reads = inside && k.high < s.o / s.groups && h >= 0 && w >= 0;
            int i = h, j = w;
            if (s.sh > 1) { i = h / s.sh; reads = reads && i * s.sh == h; }
            if (s.sw > 1) { j = w / s.sw; reads = reads && j * s.sw == w; }
            REAL value = 0;
            if (reads && i < s.oh && j < s.ow) value = dy[(k.high * s.oh + i) * s.ow + j];
            strip[row + e][column] = value;
            k.advance();
        }
    }
};

// Windows of x as rows, for the weight gradient: element (k, column) with k = (n, i, j) and column = (c, u, v). Here a
// thread stays in COLUMNS columns, and the threads of a warp go side by side in k.
struct WindowRows {
    const REAL* image;
    Shape s;
    int last;
    int plane[COLUMNS], top[COLUMNS], left[COLUMNS];  // of each column: channel (-1: none), and where in the window
    Digits k;

    __device__ WindowRows(const REAL* x, const Shape& s_, int group, int first, int last_)
        : s(s_), last(last_), k(first + thread_number() % DEPTH, DEPTH, s_.oh, s_.ow) {
        image = x + group * (s.c / s.groups) * s.h * s.w;
        for (int i = 0; i < COLUMNS; i++) {
            Digits at(blockIdx.x * WIDE + thread_number() / DEPTH + SIDE * i, 0, s.kh, s.kw);
            plane[i] = at.high < s.c / s.groups ? at.high : -1;
            top[i] = at.middle * s.dh - s.ph;
            left[i] = at.low * s.dw - s.pw;
        }
    }

    __device__ void fill(RightStrip& strip) {
        int place = k.value % DEPTH;
        for (int i = 0; i < COLUMNS; i++) {
            int h = top[i] + k.middle * s.sh, w = left[i] + k.low * s.sw;
            REAL value = 0;
            if (plane[i] >= 0 && k.value < last && h >= 0 && h < s.h && w >= 0 && w < s.w)
                value = image[((k.high * s.c + plane[i]) * s.h + h) * s.w + w];
            strip[place][thread_number() / DEPTH + SIDE * i] = value;
        }
        k.advance();
    }
};

// --- the product -----------------------------------------------------------------------------------------------------

// The tile's sums over k = first .. last - 1. Thread (x, y) gets the rows y, y + SIDE, ... and columns x, x + SIDE, ...
// of the tile: the threads of a warp then read neighbouring columns, or one and the same row.
template <class A, class B>
__device__ void product(A& left, B& right, int first, int last, REAL (&sums)[ROWS][COLUMNS]) {
    __shared__ LeftStrip a;
    __shared__ RightStrip b;
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLUMNS; j++) sums[i][j] = 0;
    for (int start = first; start < last; start += DEPTH) {
        left.fill(a);
        right.fill(b);
        __syncthreads();  // the strips are complete
        for (int k = 0; k < DEPTH; k++) {
            REAL row[ROWS], column[COLUMNS];
            for (int i = 0; i < ROWS; i++) row[i] = a[k][threadIdx.y + SIDE * i];
            for (int j = 0; j < COLUMNS; j++) column[j] = b[k][threadIdx.x + SIDE * j];
            for (int i = 0; i < ROWS; i++)
                for (int j = 0; j < COLUMNS; j++) sums[i][j] += row[i] * column[j];
        }
        __syncthreads();  // nobody needs them any more
    }
}

// Writes the sums of a group to an array (N, channels, places), columns being (n, place), and adds a bias if there is
// one.
__device__ void write(const REAL (&sums)[ROWS][COLUMNS], REAL* y, const REAL* bias, int n, int channels, int places,
                      int groups) {
    int rows = channels / groups, channel = blockIdx.z * rows;
    for (int j = 0; j < COLUMNS; j++) {
        int column = blockIdx.x * WIDE + threadIdx.x + SIDE * j;
        if (column >= n * places) continue;
        REAL* image = y + column / places * channels * places + column % places;
        for (int i = 0; i < ROWS; i++) {
            int row = blockIdx.y * TALL + threadIdx.y + SIDE * i;
            if (row < rows) image[(channel + row) * places] = sums[i][j] + (bias ? bias[channel + row] : REAL(0));
        }
    }
}

// --- the kernels -----------------------------------------------------------------------------------------------------

// y from x (N, C, H, W), the weight and a bias (O) or null. Blocks: x over (n, i, j), y over o, z over groups.
extern "C" __global__ void __launch_bounds__(THREADS)
conv_output(const REAL* x, const REAL* weight, const REAL* bias, REAL* y, Shape s) {
    int rows = s.o / s.groups, depth = s.c / s.groups * s.kh * s.kw;
    Left left(weight + blockIdx.z * rows * depth, rows, depth, 0, depth, 0, depth);
    Windows right(x, s, blockIdx.z);
    REAL sums[ROWS][COLUMNS];
    product(left, right, 0, depth, sums);
    write(sums, y, bias, s.n, s.o, s.oh * s.ow, s.groups);
}

// dx from dy (N, O, OH, OW) and the weight; with a bias (C), the output of a transposed convolution. Blocks: x over
// (n, h, w), y over c, z over groups.
extern "C" __global__ void __launch_bounds__(THREADS)
conv_input_gradient(const REAL* dy, const REAL* weight, const REAL* bias, REAL* dx, Shape s) {
    int rows = s.c / s.groups, window = s.kh * s.kw, depth = s.o / s.groups * window;
    Left left(weight + blockIdx.z * depth * rows, rows, window, rows * window, window, 0, depth);
    Readers right(dy, s, blockIdx.z);
    REAL sums[ROWS][COLUMNS];
    product(left, right, 0, depth, sums);
    write(sums, dx, bias, s.n, s.c, s.h * s.w, s.groups);
}

// dw, cut in parts. There are few weights and many places (n, i, j) to sum over: with one block per tile of dw most of
// the GPU would idle. So the places are cut into runs of `length` (a multiple of DEPTH), a block sums over one run, and
// add_parts (sums.cu) adds the runs up. partial: (parts, O, C / groups, KH, KW). Blocks: x over (c, u, v), y over o,
// z over groups and, within a group, parts.
extern "C" __global__ void __launch_bounds__(THREADS)
conv_weight_gradient(const REAL* x, const REAL* dy, REAL* partial, Shape s, int parts, int length) {
    int group = blockIdx.z / parts, part = blockIdx.z % parts;
    int rows = s.o / s.groups, columns = s.c / s.groups * s.kh * s.kw, places = s.oh * s.ow;
    int first = part * length, last = min(first + length, s.n * places);
    Left left(dy + group * rows * places, rows, places, s.o * places, places, first, last);
    WindowRows right(x, s, group, first, last);
    REAL sums[ROWS][COLUMNS];
    product(left, right, first, last, sums);
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLUMNS; j++) {
            int row = blockIdx.y * TALL + threadIdx.y + SIDE * i;
            int column = blockIdx.x * WIDE + threadIdx.x + SIDE * j;
            if (row < rows && column < columns)
                partial[((part * s.groups + group) * rows + row) * columns + column] = sums[i][j];
        }
}
