// What a step cache computes between the blocks of a stack: differences of the stream, how much they change, and their sums.
// All values are vectors of eight at addresses that are multiples of 16 bytes.

// How what some blocks added, x - before, differs from what they added earlier: sums over |x - before - earlier| and |earlier|, one
// pair for each block of threads, in a fixed order.
extern "C" __global__ void difference_change(
    const bf16 *__restrict__ x, const bf16 *__restrict__ before, const bf16 *__restrict__ earlier, float *__restrict__ sums,
    long long vectors) {
    __shared__ float shared[32];
    float change = 0.0f, size = 0.0f;
    long long stride = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < vectors; i += stride) {
        float now[8], then[8], old[8];
        load8(x + 8 * i, now);
        load8(before + 8 * i, then);
        load8(earlier + 8 * i, old);
        for (int j = 0; j < 8; j++) {
            change += fabsf(now[j] - then[j] - old[j]);
            size += fabsf(old[j]);
        }
    }
    change = block_sum(change, shared);
    size = block_sum(size, shared);
    if (threadIdx.x == 0) {
        sums[2 * blockIdx.x] = change;
        sums[2 * blockIdx.x + 1] = size;
    }
}

// out = a - b; out may be b.
extern "C" __global__ void subtract_each(const bf16 *a, const bf16 *b, bf16 *out, long long vectors) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= vectors) return;
    float x[8], y[8];
    load8(a + 8 * i, x);
    load8(b + 8 * i, y);
    for (int j = 0; j < 8; j++) x[j] -= y[j];
    store8(out + 8 * i, x);
}

// x += last_factor * last + before_factor * before; without `before` if it is null.
extern "C" __global__ void add_scaled(
    bf16 *__restrict__ x, const bf16 *__restrict__ last, const bf16 *__restrict__ before, float last_factor,
    float before_factor, long long vectors) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= vectors) return;
    float sum[8], a[8], b[8];
    load8(x + 8 * i, sum);
    load8(last + 8 * i, a);
    if (before) load8(before + 8 * i, b);
    for (int j = 0; j < 8; j++) sum[j] += last_factor * a[j] + (before ? before_factor * b[j] : 0.0f);
    store8(x + 8 * i, sum);
}
