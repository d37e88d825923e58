// Batch normalization on the GPU: y = (x - mean) / sigma * weight + bias, with one mean and sigma per channel, and its
// gradients (minigrad/ops/normalization.py derives them).
//
// The work is of two kinds. What happens to every number by itself (batch_norm_output, batch_norm_dx) is a thread per
// number. Mean, variance and the sums of the gradient are taken over all numbers of a channel: a channel's numbers are
// cut into parts, a block works on one part, and a second small kernel puts the parts together. (A block per channel
// would leave most of the GPU idle when there are 16 channels; adding to one sum from many blocks would make results
// depend on who comes first.)
//
// Compiled with -DREAL=float or double. x is contiguous, (N, C, places); indices are 32 bits wide.

#define THREADS 256

struct Shape {
    int n, c, places;    // x is (N, C, places)
    int parts, length;   // the n * places numbers of a channel are `parts` runs of `length`; the last may be shorter
};

// Where number i of a channel's n * places numbers lies in x.
__device__ int place_of(int i, int channel, const Shape& s) {
    return (i / s.places * s.c + channel) * s.places + i % s.places;
}

__device__ int channel_of(int i, const Shape& s) { return i / s.places % s.c; }

// The sum of `value` over the block, known to all its threads. Half of the threads add the other half's values to
// theirs, then a quarter, and so on: 8 steps for 256 threads, in an order that never changes.
__device__ double sum_of_block(double value) {
    __shared__ double values[THREADS];
    values[threadIdx.x] = value;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) values[threadIdx.x] += values[threadIdx.x + half];
    }
    __syncthreads();
    double sum = values[0];
    __syncthreads();  // everybody has read it: the next call may overwrite it
    return sum;
}

// Of each part: its mean, and the sum of squared differences from that mean. Two passes over the numbers: the mean of
// the squares minus the square of the mean would be a small difference of large numbers. means, squares: (parts, C).
// Blocks: x over channels, y over parts.
extern "C" __global__ void __launch_bounds__(THREADS)
batch_norm_moments(const REAL* x, double* means, double* squares, Shape s) {
    int channel = blockIdx.x, first = blockIdx.y * s.length, last = min(first + s.length, s.n * s.places);
    double sum = 0;
    for (int i = first + threadIdx.x; i < last; i += THREADS) sum += x[place_of(i, channel, s)];
    double mean = sum_of_block(sum) / (last - first);
    double square = 0;
    for (int i = first + threadIdx.x; i < last; i += THREADS) {
        double difference = x[place_of(i, channel, s)] - mean;
        square += difference * difference;
    }
    square = sum_of_block(square);
    if (threadIdx.x == 0) {
        means[blockIdx.y * s.c + channel] = mean;
        squares[blockIdx.y * s.c + channel] = square;
    }
}

// From the parts' moments the channel's: mean and 1 / sigma; and the running statistics, if they are not null, moved
// towards them. A thread per channel. Two runs of na and nb numbers whose means are d apart make one whose mean is
// mean_a + d * nb / (na + nb), and whose squared differences are those of both plus d^2 * na * nb / (na + nb), since
// all of a run lies off the common mean by the same amount (Chan, Golub and LeVeque 1979).
extern "C" __global__ void
batch_norm_statistics(const double* means, const double* squares, REAL* mean, REAL* inverse, REAL* running_mean,
                      REAL* running_var, REAL momentum, REAL eps, Shape s) {
    int channel = blockIdx.x * blockDim.x + threadIdx.x;
    if (channel >= s.c) return;
    int total = s.n * s.places, seen = 0;
    double m = 0, square = 0;
    for (int part = 0; part < s.parts; part++) {
        int more = min(s.length, total - seen);
        double difference = means[part * s.c + channel] - m;
        double share = double(more) / double(seen + more);
        m += difference * share;
        square += squares[part * s.c + channel] + difference * difference * share * seen;
        seen += more;
    }
    mean[channel] = m;
    inverse[channel] = 1 / sqrt(square / total + eps);
    if (running_mean) running_mean[channel] += momentum * (m - running_mean[channel]);
    if (running_var) running_var[channel] += momentum * (square / (total - 1) - running_var[channel]);
}

// y = (x - mean) * inverse * weight + bias; a thread per number, weight and bias may be null (1 and 0).
extern "C" __global__ void
batch_norm_output(const REAL* x, const REAL* mean, const REAL* inverse, const REAL* weight, const REAL* bias, REAL* y,
                  Shape s) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= s.n * s.c * s.places) return;
    int channel = channel_of(i, s);
    REAL value = (x[i] - mean[channel]) * inverse[channel];
    if (weight) value *= weight[channel];
    if (bias) value += bias[channel];
    y[i] = value;
}

// Of each part: the sums of dy and of dy * x_hat, x_hat = (x - mean) * inverse. partial: (2, parts, C). Blocks: x over
// channels, y over parts.
extern "C" __global__ void __launch_bounds__(THREADS)
batch_norm_sums(const REAL* dy, const REAL* x, const REAL* mean, const REAL* inverse, REAL* partial, Shape s) {
    int channel = blockIdx.x, first = blockIdx.y * s.length, last = min(first + s.length, s.n * s.places);
    double sum = 0, product = 0;
    for (int i = first + threadIdx.x; i < last; i += THREADS) {
        int place = place_of(i, channel, s);
        sum += dy[place];
        product += dy[place] * ((x[place] - mean[channel]) * inverse[channel]);
    }
    sum = sum_of_block(sum);
    product = sum_of_block(product);
    if (threadIdx.x == 0) {
        partial[blockIdx.y * s.c + channel] = sum;
        partial[(s.parts + blockIdx.y) * s.c + channel] = product;
    }
}

// d_bias = the sum of dy, d_weight = the sum of dy * x_hat, from their parts. A thread per channel.
extern "C" __global__ void batch_norm_add_parts(const REAL* partial, REAL* d_weight, REAL* d_bias, Shape s) {
    int channel = blockIdx.x * blockDim.x + threadIdx.x;
    if (channel >= s.c) return;
    double sum = 0, product = 0;
    for (int part = 0; part < s.parts; part++) {
        sum += partial[part * s.c + channel];
        product += partial[(s.parts + part) * s.c + channel];
    }
    d_bias[channel] = sum;
    d_weight[channel] = product;
}

// dx = weight * inverse * (dy - mean(dy) - x_hat * mean(dy * x_hat)), the means being d_bias and d_weight over the
// channel's count. A thread per number. With d_bias null, mean and sigma were given numbers: dx = weight * inverse *
// dy, and x may be null.
extern "C" __global__ void
batch_norm_dx(const REAL* dy, const REAL* x, const REAL* mean, const REAL* inverse, const REAL* weight,
              const REAL* d_weight, const REAL* d_bias, REAL* dx, Shape s) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= s.n * s.c * s.places) return;
    int channel = channel_of(i, s);
    REAL value = dy[i];
    if (d_bias) {
        REAL x_hat = (x[i] - mean[channel]) * inverse[channel];
        value -= (d_bias[channel] + x_hat * d_weight[channel]) / (s.n * s.places);
    }
    value *= inverse[channel];
    dx[i] = weight ? value * weight[channel] : value;
}
