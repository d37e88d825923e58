// ReLU on the GPU: one pass over memory each way, a thread per number.
//
// Compiled with -DREAL=float or double.

// y = max(x, 0); NaN stays NaN.
extern "C" __global__ void relu_output(const REAL* x, REAL* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i] > 0 || isnan(x[i]) ? x[i] : REAL(0);
}

// dx = 0 where y <= 0, else dy, also where y is NaN.
extern "C" __global__ void relu_dx(const REAL* dy, const REAL* y, REAL* dx, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) dx[i] = y[i] <= 0 ? REAL(0) : dy[i];
}
