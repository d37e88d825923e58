// Sums that finish what other kernels began: the parts of a weight's gradient, and the gradient of a bias.
//
// Compiled with -DREAL=float or double. No two threads add to the same number: results repeat bit for bit.

#define THREADS 256

// sums[i] = the sum of partial[p, i] over the parts, in their order. A thread per sum.
extern "C" __global__ void add_parts(const REAL* partial, REAL* sums, int size, int parts) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size) return;
    REAL sum = 0;
    for (int p = 0; p < parts; p++) sum += partial[p * size + i];
    sums[i] = sum;
}

// sums[c] = the sum of x (n, channels, places) over samples and places. A block per channel: a thread adds up every
// THREADS-th number. Then half of the threads add the other half's sums to theirs, then a quarter, and so on: 8 steps,
// in an order that never changes. Without the barrier a thread could add a sum that its neighbour is still forming.
extern "C" __global__ void __launch_bounds__(THREADS)
sum_channels(const REAL* x, REAL* sums, int n, int channels, int places) {
    __shared__ REAL partial[THREADS];
    REAL sum = 0;
    for (int i = threadIdx.x; i < n * places; i += THREADS)
        sum += x[(i / places * channels + blockIdx.x) * places + i % places];
    partial[threadIdx.x] = sum;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
    }
    if (threadIdx.x == 0) sums[blockIdx.x] = partial[0];
}
