// CUDA on a CPU, as far as this repository's kernels go: included before a .cu file, it makes g++ take it as C++.
//
// Blocks run one after the other. The threads of a block are fibers of one CPU thread: each runs until __syncthreads or
// its end, then the next has its turn, in the order 0, 1, 2, ... or backwards. A __shared__ variable is a static one:
// all fibers see the same. What is undefined on a GPU shows here: a missing barrier lets a fiber read what its
// neighbours have not written yet, or have overwritten, and the two orders then give two results; a barrier that only
// part of a block reaches is an error, and so is touching a page that may not be touched (raw.py puts them next to
// arrays).

#include <cmath>
#include <cstdio>
#include <functional>
#include <setjmp.h>
#include <signal.h>
#include <ucontext.h>
#include <vector>

using std::fabs;
using std::fmax;
using std::isnan;
using std::pow;
using std::sqrt;

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(threads)

struct uint3 { unsigned x, y, z; };
typedef uint3 dim3;
static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;

static inline int min(int a, int b) { return a < b ? a : b; }
static inline int max(int a, int b) { return a > b ? a : b; }

namespace emulation {

enum State { READY, WAITING, DONE };

// A fiber is entered once by makecontext; from then on _setjmp and _longjmp switch, which is 20 times as fast.
struct Fiber {
    ucontext_t context;
    jmp_buf place;
    std::vector<char> stack = std::vector<char>(1 << 16);
    bool entered;
    State state;
};

static std::vector<Fiber> fibers;
static Fiber* current;
static jmp_buf scheduler;
static const std::function<void()>* body;

static void run() {
    (*body)();
    current->state = DONE;
    _longjmp(scheduler, 1);
}

static void give_way() {
    current->state = WAITING;
    if (_setjmp(current->place) == 0) _longjmp(scheduler, 1);
}

static void resume(Fiber& fiber) {
    current = &fiber;
    if (_setjmp(scheduler) != 0) return;
    if (fiber.entered) _longjmp(fiber.place, 1);
    fiber.entered = true;
    setcontext(&fiber.context);
}

// Runs one block. False if some of its threads ended while others wait at a barrier.
static bool run_block(int threads, bool backwards) {
    for (int t = 0; t < threads; t++) {
        Fiber& fiber = fibers[t];
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = fiber.stack.size();
        fiber.context.uc_link = nullptr;
        makecontext(&fiber.context, run, 0);
        fiber.entered = false;
        fiber.state = READY;
    }
    for (int done = 0; done < threads;) {
        done = 0;
        for (int i = 0; i < threads; i++) {
            int t = backwards ? threads - 1 - i : i;
            threadIdx = {t % blockDim.x, t / blockDim.x % blockDim.y, t / (blockDim.x * blockDim.y)};
            resume(fibers[t]);
            done += fibers[t].state == DONE;
        }
        if (done != 0 && done != threads) return false;
    }
    return true;
}

static sigjmp_buf before_fault;

static void fault(int) { siglongjmp(before_fault, 1); }

static int run_grid(int threads, int backwards) {
    for (blockIdx.z = 0; blockIdx.z < gridDim.z; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < gridDim.y; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < gridDim.x; blockIdx.x++)
                if (!run_block(threads, backwards)) return 1;
    return 0;
}

// Runs a kernel. 0; 1 if a barrier was not reached by all threads of a block; 2 if it touched memory that it may not.
static int launch(const int* grid, const int* block, int backwards, const std::function<void()>& kernel) {
    gridDim = {unsigned(grid[0]), unsigned(grid[1]), unsigned(grid[2])};
    blockDim = {unsigned(block[0]), unsigned(block[1]), unsigned(block[2])};
    int threads = block[0] * block[1] * block[2];
    if (int(fibers.size()) < threads) fibers = std::vector<Fiber>(threads);
    body = &kernel;
    struct sigaction ours = {}, theirs;
    ours.sa_handler = fault;
    sigaction(SIGSEGV, &ours, &theirs);
    int result = sigsetjmp(before_fault, 1) == 0 ? run_grid(threads, backwards) : 2;
    sigaction(SIGSEGV, &theirs, nullptr);
    return result;
}

}  // namespace emulation

#define __syncthreads() emulation::give_way()
