// Kernels for vectors of a batch: times, activations and concatenations.

#define TIMES_MAX 64

struct Times {
    float values[TIMES_MAX];
};

// Cosines, then sines, of time * max_period^(-k / half): out is [rows, 2 half].
extern "C" __global__ void time_sinusoid(Times times, bf16 *__restrict__ out, int half, double log_max_period) {
    int row = blockIdx.x;
    for (int k = threadIdx.x; k < half; k += blockDim.x) {
        double angle = (double)times.values[row] * exp(-log_max_period * k / half);
        out[row * 2 * half + k] = to_bf16((float)cos(angle));
        out[row * 2 * half + half + k] = to_bf16((float)sin(angle));
    }
}

// out = silu(x)
extern "C" __global__ void silu_each(const bf16 *__restrict__ x, bf16 *__restrict__ out, long long elements) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < elements) out[i] = to_bf16(silu(to_float(x[i])));
}

// out[row] = silu([a[row], b[row]])
extern "C" __global__ void silu_join(
    const bf16 *__restrict__ a, int a_width, const bf16 *__restrict__ b, long long b_stride, int b_width,
    bf16 *__restrict__ out) {
    int row = blockIdx.x, width = a_width + b_width;
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
        bf16 x = i < a_width ? a[row * a_width + i] : b[row * b_stride + i - a_width];
        out[row * width + i] = to_bf16(silu(to_float(x)));
    }
}
