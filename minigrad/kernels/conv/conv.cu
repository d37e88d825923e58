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
// wait. So a block of 256 threads computes a tile of the result together: it puts a strip of both matrices, DEPTH deep,
// into shared memory (on the chip, seen by the whole block), every thread multiplies what it needs from there, and the
// next strip follows. Two barriers keep this in order: nobody multiplies before the strip is complete, and nobody
// overwrites it while others still multiply. Each thread fetches its share of the next strip into registers before it
// multiplies: the numbers are then on their way while it has something to do. It keeps ROWS x COLUMNS sums in
// registers, so that a number read from shared memory is used several times as well; and it reads four of them, side by
// side, in one instruction, since shared memory hands out numbers at a quarter of the speed of multiplying them.
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

// Strips carry unused columns: writing down a column would otherwise hit one memory bank over and over. There are four,
// so that every row begins where four numbers can be read at once.
struct alignas(16) LeftStrip { REAL at[DEPTH][TALL + 4]; };
struct alignas(16) RightStrip { REAL at[DEPTH][WIDE + 4]; };

// Numbers side by side, read at once.
template <int N> struct alignas(N * sizeof(REAL) < 16 ? N * sizeof(REAL) : 16) Pack { REAL at[N]; };

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

// Whether 0 <= i < size: as an unsigned number, a negative one is large.
__device__ bool within(int i, int size) { return unsigned(i) < unsigned(size); }

__device__ int thread_number() { return threadIdx.y * SIDE + threadIdx.x; }

// --- the factors -----------------------------------------------------------------------------------------------------
//
// Each knows how to fetch this thread's share of the next strip, DEPTH columns of the left matrix or rows of the right
// one, and where in the strip to put it. Conditions are joined by & instead of &&, which would branch at every one.

// The left matrix with element (row, k) at memory[row * row_step + high(k) * high_step + rest(k)], where k's digits are
// (high, rest). Threads next to each other fetch numbers next to each other in k, which lie side by side in memory.
struct Left {
    const REAL* memory;
    int rows, row_step, high_step, row, place, last;
    Digits k;
    REAL next[ROWS];

    __device__ Left(const REAL* memory_, int rows_, int row_step_, int high_step_, int rests, int first, int last_)
        : memory(memory_), rows(rows_), row_step(row_step_), high_step(high_step_), row(thread_number() / DEPTH),
          place(thread_number() % DEPTH), last(last_), k(first + place, DEPTH, 1, rests) {}

    __device__ void fetch() {
        for (int i = 0; i < ROWS; i++) {
            int r = blockIdx.y * TALL + row + SIDE * i;
            bool inside = (r < rows) & (k.value < last);
            next[i] = inside ? memory[r * row_step + k.high * high_step + k.low] : REAL(0);
        }
        k.advance();
    }

    __device__ void put(LeftStrip& strip) const {
        for (int i = 0; i < ROWS; i++) strip.at[place][row + SIDE * i] = next[i];
    }
};

// Windows of x as columns: element (k, column) with k = (c, u, v) and column = (n, i, j) is the element (u, v) of the
// window (i, j) in channel c, zero in the padding. A thread stays in one column; the threads of a warp fetch from
// windows side by side.
struct Windows {
    const REAL* image;
    const Shape& s;
    int column, row, top, left, depth;
    Digits k;
    REAL next[COLUMNS];

    __device__ Windows(const REAL* x, const Shape& s_, int group)
        : s(s_), column(thread_number() % WIDE), row(thread_number() / WIDE), k(row, THREADS / WIDE, s_.kh, s_.kw) {
        Digits at(blockIdx.x * WIDE + column, 0, s.oh, s.ow);
        depth = at.high < s.n ? s.c / s.groups * s.kh * s.kw : 0;
        top = at.middle * s.sh - s.ph;
        left = at.low * s.sw - s.pw;
        image = x + (at.high * s.c + group * (s.c / s.groups)) * s.h * s.w;
    }

    __device__ void fetch() {
        for (int i = 0; i < COLUMNS; i++) {
            int h = top + k.middle * s.dh, w = left + k.low * s.dw;
            bool inside = (k.value < depth) & within(h, s.h) & within(w, s.w);
            next[i] = inside ? image[(k.high * s.h + h) * s.w + w] : REAL(0);
            k.advance();
        }
    }

    __device__ void put(RightStrip& strip) const {
        for (int i = 0; i < COLUMNS; i++) strip.at[row + i * (THREADS / WIDE)][column] = next[i];
    }
};

// Who read x: element (k, column) with k = (o, u, v) and column = (n, h, w) is the dy of the output that read x at
// (h, w) with the weight (u, v). Read i * stride + u * dilation - padding = h backwards: i = (h + padding - u *
// dilation) / stride, if that is a whole number and there is such an output.
struct Readers {
    const REAL* dy;
    const Shape& s;
    int column, row, bottom, right, depth;
    Digits k;
    REAL next[COLUMNS];

    __device__ Readers(const REAL* dy_, const Shape& s_, int group)
        : s(s_), column(thread_number() % WIDE), row(thread_number() / WIDE), k(row, THREADS / WIDE, s_.kh, s_.kw) {
        Digits at(blockIdx.x * WIDE + column, 0, s.h, s.w);
        depth = at.high < s.n ? s.o / s.groups * s.kh * s.kw : 0;
        bottom = at.middle + s.ph;
        right = at.low + s.pw;
        dy = dy_ + (at.high * s.o + group * (s.o / s.groups)) * s.oh * s.ow;
    }

    __device__ void fetch() {
        for (int e = 0; e < COLUMNS; e++) {
            int h = bottom - k.middle * s.dh, w = right - k.low * s.dw, i = h, j = w;
            bool reads = (k.value < depth) & (h >= 0) & (w >= 0);
            if (s.sh > 1) { i = h / s.sh; reads &= i * s.sh == h; }
            if (s.sw > 1) { j = w / s.sw; reads &= j * s.sw == w; }
            reads &= (i < s.oh) & (j < s.ow);
            next[e] = reads ? dy[(k.high * s.oh + i) * s.ow + j] : REAL(0);
            k.advance();
        }
    }

    __device__ void put(RightStrip& strip) const {
        for (int e = 0; e < COLUMNS; e++) strip.at[row + e * (THREADS / WIDE)][column] = next[e];
    }
};

// Windows of x as rows, for the weight gradient: element (k, column) with k = (n, i, j) and column = (c, u, v). Here a
// thread stays in COLUMNS columns, and the threads of a warp go side by side in k.
struct WindowRows {
    const REAL* image;
    const Shape& s;
    int column, place, last;
    int plane[COLUMNS], top[COLUMNS], left[COLUMNS];  // of each column: channel (-1: none), and where in the window
    Digits k;
    REAL next[COLUMNS];

    __device__ WindowRows(const REAL* x, const Shape& s_, int group, int first, int last_)
        : s(s_), column(thread_number() / DEPTH), place(thread_number() % DEPTH), last(last_),
          k(first + place, DEPTH, s_.oh, s_.ow) {
        image = x + group * (s.c / s.groups) * s.h * s.w;
        for (int i = 0; i < COLUMNS; i++) {
            Digits at(blockIdx.x * WIDE + column + SIDE * i, 0, s.kh, s.kw);
            plane[i] = at.high < s.c / s.groups ? at.high : -1;
            top[i] = at.middle * s.dh - s.ph;
            left[i] = at.low * s.dw - s.pw;
        }
    }

    __device__ void fetch() {
        for (int i = 0; i < COLUMNS; i++) {
            int h = top[i] + k.middle * s.sh, w = left[i] + k.low * s.sw;
            bool inside = (plane[i] >= 0) & (k.value < last) & within(h, s.h) & within(w, s.w);
            next[i] = inside ? image[((k.high * s.c + plane[i]) * s.h + h) * s.w + w] : REAL(0);
        }
        k.advance();
    }

    __device__ void put(RightStrip& strip) const {
        for (int i = 0; i < COLUMNS; i++) strip.at[place][column + SIDE * i] = next[i];
    }
};

// --- the product -----------------------------------------------------------------------------------------------------

// Which rows and columns of the tile are a thread's: ROWS rows side by side, and COLUMNS / 4 times four columns side by
// side. Between such fours lie those of the other threads: a warp then reads one unbroken run of columns, and two packs
// of rows.
__device__ int row_of(int i) { return ROWS * threadIdx.y + i; }
__device__ int column_of(int j) { return 4 * (threadIdx.x + j / 4 * SIDE) + j % 4; }

// The tile's sums over k = first .. last - 1.
template <class A, class B>
__device__ void product(A& left, B& right, int first, int last, REAL (&sums)[ROWS][COLUMNS]) {
    __shared__ LeftStrip a;
    __shared__ RightStrip b;
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLUMNS; j++) sums[i][j] = 0;
    left.fetch();
    right.fetch();
    for (int start = first; start < last; start += DEPTH) {
        left.put(a);
        right.put(b);
        __syncthreads();  // the strips are complete
        if (start + DEPTH < last) {
            left.fetch();
            right.fetch();
        }
        for (int k = 0; k < DEPTH; k++) {
            Pack<ROWS> row = *(const Pack<ROWS>*)&a.at[k][row_of(0)];
            Pack<4> column[COLUMNS / 4];
            for (int j = 0; j < COLUMNS; j += 4) column[j / 4] = *(const Pack<4>*)&b.at[k][column_of(j)];
            for (int i = 0; i < ROWS; i++)
                for (int j = 0; j < COLUMNS; j++) sums[i][j] += row.at[i] * column[j / 4].at[j % 4];
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
        int column = blockIdx.x * WIDE + column_of(j);
        if (column >= n * places) continue;
        REAL* image = y + column / places * channels * places + column % places;
        for (int i = 0; i < ROWS; i++) {
            int row = blockIdx.y * TALL + row_of(i);
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
            int row = blockIdx.y * TALL + row_of(i);
            int column = blockIdx.x * WIDE + column_of(j);
            if (row < rows && column < columns)
                partial[((part * s.groups + group) * rows + row) * columns + column] = sums[i][j];
        }
}
