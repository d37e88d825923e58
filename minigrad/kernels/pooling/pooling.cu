// Pooling on the GPU: the largest, the mean or the p-norm of every window, and the gradients.
//
// Forward, a thread computes one output: it looks through its window. Backward, windows that overlap send gradients to
// the same place. If a thread per output *scattered* them, threads would add to one number at the same time; that needs
// atomic additions, whose order, and with it the last digits of the result, changes from run to run. So a thread per
// input *gathers*: it goes through the windows that cover its place, in a fixed order, and adds up what they send.
//
// Which windows cover h? Window i holds h = i * stride + u * dilation - padding for some u < kernel. So i * stride lies
// between h + padding - (kernel - 1) * dilation and h + padding: often one window, even if it is as wide as the image.
//
// Compiled with -DREAL=float or double. x is contiguous, (planes, H, W), planes being samples times channels; y is
// (planes, OH, OW). Indices are 32 bits wide.

struct Shape {
    int planes, h, w, oh, ow;
    int kh, kw, sh, sw, ph, pw, dh, dw;  // kernel, stride, padding, dilation
};

// The window of an output: the rows top + u * dh for u < kh and the columns left + v * dw for v < kw of a plane. Those
// outside the image are padding.
struct Window {
    int top, left;

    __device__ Window(int i, int j, const Shape& s) : top(i * s.sh - s.ph), left(j * s.sw - s.pw) {}
    __device__ Window(int output, const Shape& s) : Window(output / s.ow % s.oh, output % s.ow, s) {}
};

// Along one axis, the windows that may have an element at a place, which is counted from the start of the padding:
// numbers first to last. Without dilation all of them have one.
struct Covering {
    int first, last;

    __device__ Covering(int place, int kernel, int stride, int dilation, int windows) {
        int reach = (kernel - 1) * dilation;
        first = place > reach ? (place - reach + stride - 1) / stride : 0;
        last = min(place / stride, windows - 1);
    }
};

// A place of the input, with the windows that cover it; its plane's outputs begin at `outputs`.
struct Place {
    int h, w, outputs;
    Covering rows, columns;

    __device__ Place(int input, const Shape& s)
        : h(input / s.w % s.h + s.ph), w(input % s.w + s.pw), outputs(input / (s.h * s.w) * s.oh * s.ow),
          rows(h, s.kh, s.sh, s.dh, s.oh), columns(w, s.kw, s.sw, s.dw, s.ow) {}
};

__device__ int thread_number() { return blockIdx.x * blockDim.x + threadIdx.x; }

// --- the largest -----------------------------------------------------------------------------------------------------

// y and which element of the window it was: element (u, v) has the number u * KW + v. Of equals the first counts; a NaN
// beats everything, the last one first. places, if not null, gets row * W + column in the plane.
extern "C" __global__ void max_output(const REAL* x, REAL* y, int* elements, long long* places, Shape s) {
    int output = thread_number();
    if (output >= s.planes * s.oh * s.ow) return;
    Window window(output, s);
    const REAL* plane = x + output / (s.oh * s.ow) * s.h * s.w;
    REAL best = 0;
    int element = -1, place = 0;
    for (int u = 0; u < s.kh; u++) {
        int h = window.top + u * s.dh;
        if (h < 0 || h >= s.h) continue;
        for (int v = 0; v < s.kw; v++) {
            int w = window.left + v * s.dw;
            if (w < 0 || w >= s.w) continue;
            REAL value = plane[h * s.w + w];
            if (element < 0 || value > best || isnan(value)) {
                best = value;
                element = u * s.kw + v;
                place = h * s.w + w;
            }
        }
    }
    y[output] = best;
    elements[output] = element;
    if (places) places[output] = place;
}

// dx at a place: the sum of dy over the windows in which it was the largest. A thread per input.
extern "C" __global__ void max_dx(const REAL* dy, const int* elements, REAL* dx, Shape s) {
    int input = thread_number();
    if (input >= s.planes * s.h * s.w) return;
    Place place(input, s);
    REAL sum = 0;
    for (int i = place.rows.first; i <= place.rows.last; i++) {
        int u = place.h - i * s.sh;
        if (u % s.dh != 0) continue;
        for (int j = place.columns.first; j <= place.columns.last; j++) {
            int v = place.w - j * s.sw, output = place.outputs + i * s.ow + j;
            if (v % s.dw == 0 && elements[output] == u / s.dh * s.kw + v / s.dw) sum += dy[output];
        }
    }
    dx[input] = sum;
}

// --- the mean --------------------------------------------------------------------------------------------------------

// What a window's sum is divided by: `divisor` if it is not 0; else how many of its elements lie in the image, or, with
// `count_padding`, in the image and its padding. (A last window that begins inside may reach beyond even that.)
__device__ int count(const Window& window, const Shape& s, int count_padding, int divisor) {
    if (divisor) return divisor;
    int border_h = count_padding ? s.ph : 0, border_w = count_padding ? s.pw : 0;
    int top = max(window.top, -border_h), bottom = min(window.top + s.kh, s.h + border_h);
    int left = max(window.left, -border_w), right = min(window.left + s.kw, s.w + border_w);
    return (bottom - top) * (right - left);
}

// y = the window's sum over its count. Means are taken without dilation.
extern "C" __global__ void mean_output(const REAL* x, REAL* y, Shape s, int count_padding, int divisor) {
    int output = thread_number();
    if (output >= s.planes * s.oh * s.ow) return;
    Window window(output, s);
    const REAL* plane = x + output / (s.oh * s.ow) * s.h * s.w;
    REAL sum = 0;
    for (int h = max(window.top, 0); h < min(window.top + s.kh, s.h); h++)
        for (int w = max(window.left, 0); w < min(window.left + s.kw, s.w); w++) sum += plane[h * s.w + w];
    y[output] = sum / count(window, s, count_padding, divisor);
}

// dx at a place: the sum of dy / count over the windows that cover it. A thread per input.
extern "C" __global__ void mean_dx(const REAL* dy, REAL* dx, Shape s, int count_padding, int divisor) {
    int input = thread_number();
    if (input >= s.planes * s.h * s.w) return;
    Place place(input, s);
    REAL sum = 0;
    for (int i = place.rows.first; i <= place.rows.last; i++)
        for (int j = place.columns.first; j <= place.columns.last; j++)
            sum += dy[place.outputs + i * s.ow + j] / count(Window(i, j, s), s, count_padding, divisor);
    dx[input] = sum;
}

// --- the p-norm ------------------------------------------------------------------------------------------------------

// x^p for x >= 0. The powers that matter most need no pow, which costs as much as dozens of multiplications.
__device__ REAL power(REAL x, REAL p) { return p == 2 ? x * x : p == 1 ? x : pow(x, p); }

// A last window that begins inside may reach beyond the image: its sum then counts as if it were whole.
__device__ REAL whole(const Window& window, const Shape& s) {
    int height = min(window.top + s.kh, s.h) - window.top, width = min(window.left + s.kw, s.w) - window.left;
    return REAL(s.kh) / height * (REAL(s.kw) / width);
}

// y = (sum of |x|^p)^(1/p). There is neither padding nor dilation.
extern "C" __global__ void norm_output(const REAL* x, REAL* y, Shape s, REAL p) {
    int output = thread_number();
    if (output >= s.planes * s.oh * s.ow) return;
    Window window(output, s);
    const REAL* plane = x + output / (s.oh * s.ow) * s.h * s.w;
    REAL sum = 0;
    for (int h = window.top; h < min(window.top + s.kh, s.h); h++)
        for (int w = window.left; w < min(window.left + s.kw, s.w); w++) sum += power(fabs(plane[h * s.w + w]), p);
    sum *= whole(window, s);
    y[output] = p == 2 ? sqrt(sum) : p == 1 ? sum : pow(sum, 1 / p);
}

// dx = sign(x) |x|^(p-1) * the sum of dy y^(1-p) over the windows that cover the place; 0 where x or y is 0.
extern "C" __global__ void norm_dx(const REAL* dy, const REAL* x, const REAL* y, REAL* dx, Shape s, REAL p) {
    int input = thread_number();
    if (input >= s.planes * s.h * s.w) return;
    Place place(input, s);
    REAL value = x[input], sum = 0;
    for (int i = place.rows.first; i <= place.rows.last; i++)
        for (int j = place.columns.first; j <= place.columns.last; j++) {
            int output = place.outputs + i * s.ow + j;
            if (y[output] != 0) sum += dy[output] * whole(Window(i, j, s), s) / power(y[output], p - 1);
        }
    bool covered = place.rows.first <= place.rows.last && place.columns.first <= place.columns.last;
    REAL slope = power(fabs(value), p - 1) * sum;
    dx[input] = value == 0 || !covered ? REAL(0) : value < 0 ? -slope : slope;
}
