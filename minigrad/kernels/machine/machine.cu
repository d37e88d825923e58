// Sums that finish what other kernels began: the parts of a weight's gradient, and the gradient of a bias.
//
// Compiled with -DREAL=float or double. No two threads add to the same number: results repeat bit for bit.

#define THREADS 256

// sums[i] = the sum of partial[p, i] over the parts, in their order. A thread per sum.
extern "C" __global__ void add_parts(const REAL* partial, REAL* sums, int size, int parts) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size) return;
    double sum = 0;
    for (int p = 0; p < parts; p++) sum += partial[p * size + i];
    sums[i] = sum;
}

// partial[part, c] = the sum over one part of channel c's n * places numbers of x (n, channels, places); a part is a
// run of `length` of them. Blocks: x over channels, y over parts. In a block, a thread adds up every THREADS-th number.
// Then half of the threads add the other half's sums to theirs, then a quarter, and so on: 8 steps, in an order that
// never changes. Without the barrier a thread could add a sum that its neighbour is still forming.
extern "C" __global__ void __launch_bounds__(THREADS)
sum_channels(const REAL* x, REAL* partial, int n, int channels, int places, int length) {
    __shared__ double sums[THREADS];
    int first = blockIdx.y * length, last = min(first + length, n * places);
    double sum = 0;
    for (int i = first + threadIdx.x; i < last; i += THREADS)
        sum += x[(i / places * channels + blockIdx.x) * places + i % places];
    sums[threadIdx.x] = sum;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x == 0) partial[blockIdx.y * channels + blockIdx.x] = sums[0];
}
