// Steps of the optimizers on the GPU, a thread per parameter's number: each number is read once and written once, where
// array operations would start some fifteen kernels per parameter. The rules are those of minigrad/optim. A null array
// stands for what a setting does without. d is the gradient, turned round to go uphill, with the weight's decay added.
//
// Compiled with -DREAL=float or double.

__device__ int thread_number() { return blockIdx.x * blockDim.x + threadIdx.x; }

__device__ REAL slope(REAL p, REAL g, REAL decay, int maximize) {
    REAL d = maximize ? -g : g;
    return decay == 0 ? d : d + decay * p;  // 0 * p would be NaN where p is infinite
}

#define LARGEST (REAL)(sizeof(REAL) == 4 ? 3.4028234663852886e38 : 1.7976931348623157e308)
#define LIMIT (REAL)(sizeof(REAL) == 4 ? 9.223372e18 : 6.703903964971298e153)  // half the root of LARGEST

// d with a finite square: beyond the limit it counts as the limit; infinities and NaN stay (see minigrad/optim).
__device__ REAL squarable(REAL d) {
    if (d > LIMIT && d <= LARGEST) return LIMIT;
    if (d < -LIMIT && d >= -LARGEST) return -LIMIT;
    return d;
}

extern "C" __global__ void
sgd(REAL* p, const REAL* g, REAL* buffer, REAL lr, REAL momentum, REAL fresh, REAL decay, int nesterov, int maximize,
    int n) {
    int i = thread_number();
    if (i >= n) return;
    REAL d = slope(p[i], g[i], decay, maximize);
    if (buffer) {
        REAL b = buffer[i] = momentum * buffer[i] + fresh * d;
        d = nesterov ? d + momentum * b : b;
    }
    p[i] -= lr * d;
}

// rate = lr / (1 - beta1^t), fresh = 1 - beta, keep2 = beta2, correction2 = 1 / sqrt(1 - beta2^t); shrink is 1 unless
// weight decay is decoupled.
extern "C" __global__ void
adam(REAL* p, const REAL* g, REAL* m, REAL* v, REAL* v_max, REAL rate, REAL fresh1, REAL keep2, REAL fresh2,
     REAL correction2, REAL eps, REAL shrink, REAL decay, int maximize, int n) {
    int i = thread_number();
    if (i >= n) return;
    REAL d = squarable(slope(p[i], g[i], decay, maximize));
    REAL mean = m[i] += fresh1 * (d - m[i]);
    REAL square = v[i] = keep2 * v[i] + fresh2 * d * d;
    if (v_max) {
        if (square > v_max[i] || isnan(square)) v_max[i] = square;
        square = v_max[i];
    }
    p[i] = shrink * p[i] - rate * mean / (sqrt(square) * correction2 + eps);
}

extern "C" __global__ void
rmsprop(REAL* p, const REAL* g, REAL* square_avg, REAL* grad_avg, REAL* buffer, REAL lr, REAL keep, REAL fresh,
        REAL eps, REAL decay, REAL momentum, int maximize, int n) {
    int i = thread_number();
    if (i >= n) return;
    REAL d = squarable(slope(p[i], g[i], decay, maximize));
    REAL variance = square_avg[i] = keep * square_avg[i] + fresh * d * d;
    if (grad_avg) {
        REAL mean = grad_avg[i] += fresh * (d - grad_avg[i]);
        variance -= mean * mean;
        if (variance < 0) variance = 0;
    }
    d /= sqrt(variance) + eps;
    if (buffer) d = buffer[i] = momentum * buffer[i] + d;
    p[i] -= lr * d;
}

// rate = lr / (1 + (t - 1) * lr_decay)
extern "C" __global__ void
adagrad(REAL* p, const REAL* g, REAL* total, REAL rate, REAL eps, REAL decay, int maximize, int n) {
    int i = thread_number();
    if (i >= n) return;
    REAL d = squarable(slope(p[i], g[i], decay, maximize));
    REAL sum = total[i] + d * d;
    if (sum > LARGEST && d <= LARGEST && d >= -LARGEST) sum = LARGEST;
    total[i] = sum;
    p[i] -= rate * d / (sqrt(sum) + eps);
}

extern "C" __global__ void
adadelta(REAL* p, const REAL* g, REAL* square_avg, REAL* acc_delta, REAL lr, REAL keep, REAL fresh, REAL eps,
         REAL decay, int maximize, int n) {
    int i = thread_number();
    if (i >= n) return;
    REAL d = squarable(slope(p[i], g[i], decay, maximize));
    REAL square = square_avg[i] = keep * square_avg[i] + fresh * d * d;
    d *= sqrt(acc_delta[i] + eps) / sqrt(square + eps);
    acc_delta[i] = keep * acc_delta[i] + fresh * d * d;
    p[i] -= lr * d;
}
