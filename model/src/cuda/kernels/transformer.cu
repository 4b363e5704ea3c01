// What stands between the products of the transformers of Stable Diffusion XL: those of the U-Net and of its text
// encoders, which have layer norms before each branch.

// out = layer_norm(x) * weight + bias. One warp a token, with up to N vectors of eight elements for each lane. Everything
// is asked for before the first sum, which waits.
template <int N>
__device__ __forceinline__ void layer_norm(
    const bf16 *__restrict__ x, const bf16 *__restrict__ weight, const bf16 *__restrict__ bias, bf16 *__restrict__ out,
    long long tokens, int dim, float eps) {
    long long token = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (token >= tokens) return;
    int first = threadIdx.x % 32 * 8;
    const bf16 *from = x + token * dim;
    uint4 packed[N], weights[N], biases[N];
#pragma unroll
    for (int n = 0; n < N; n++) {
        int i = n * 256 + first;
        if (i >= dim) continue;
        packed[n] = *(const uint4 *)(from + i);
        weights[n] = *(const uint4 *)(weight + i);
        biases[n] = *(const uint4 *)(bias + i);
    }
    float sum = 0.0f;
#pragma unroll
    for (int n = 0; n < N; n++) {
        if (n * 256 + first >= dim) continue;
        float values[8];
        unpack8(packed[n], values);
        for (int j = 0; j < 8; j++) sum += values[j];
    }
    float mean = warp_sum(sum) / dim, squares = 0.0f;
#pragma unroll
    for (int n = 0; n < N; n++) {
        if (n * 256 + first >= dim) continue;
        float values[8];
        unpack8(packed[n], values);
        for (int j = 0; j < 8; j++) squares += (values[j] - mean) * (values[j] - mean);
    }
    float inverse = rsqrtf(warp_sum(squares) / dim + eps);
#pragma unroll
    for (int n = 0; n < N; n++) {
        int i = n * 256 + first;
        if (i >= dim) continue;
        float values[8], w[8], b[8];
        unpack8(packed[n], values);
        unpack8(weights[n], w);
        unpack8(biases[n], b);
        for (int j = 0; j < 8; j++) values[j] = (values[j] - mean) * inverse * w[j] + b[j];
        store8(out + token * dim + i, values);
    }
}

#define LAYER_NORM(N)                                                                                                  \
    extern "C" __global__ void layer_norm_##N(                                                                         \
        const bf16 *__restrict__ x, const bf16 *__restrict__ weight, const bf16 *__restrict__ bias,                     \
        bf16 *__restrict__ out, long long tokens, int dim, float eps) {                                                \
        layer_norm<N>(x, weight, bias, out, tokens, dim, eps);                                                         \
    }

LAYER_NORM(3)
LAYER_NORM(5)
LAYER_NORM(8)

// GELU by the error function; that is approximated to 1.5e-7 (Abramowitz and Stegun 7.1.26), far below bf16.
__device__ __forceinline__ float gelu_erf(float x) {
    float z = fabsf(x) * 0.70710678f, t = __fdividef(1.0f, 1.0f + 0.3275911f * z);
    float series = ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) * t;
    return 0.5f * x * (1.0f + copysignf(1.0f - series * __expf(-z * z), x));
}

// out = values * gelu(gates) where a token of `both` is values and then gates, `width` of each (GEGLU).
extern "C" __global__ void gated_gelu(const bf16 *__restrict__ both, bf16 *__restrict__ out, int width, long long vectors) {
    long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= vectors) return;
    unsigned per_token = width / 8;
    long long token = (unsigned)index / per_token;
    int i = (int)((unsigned)index % per_token) * 8;
    float values[8], gates[8];
    load8(both + token * 2 * width + i, values);
    load8(both + token * 2 * width + width + i, gates);
    for (int j = 0; j < 8; j++) values[j] *= gelu_erf(gates[j]);
    store8(out + token * width + i, values);
}

// x = x sigmoid(1.702 x), eight elements a thread.
extern "C" __global__ void quick_gelu_each(bf16 *__restrict__ x, long long vectors) {
    long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= vectors) return;
    float values[8];
    load8(x + index * 8, values);
    for (int j = 0; j < 8; j++) values[j] /= 1.0f + __expf(-1.702f * values[j]);
    store8(x + index * 8, values);
}

// out[time, row] = silu(times[time] + rows[row]), vectors of `dim`. One block a vector of the result.
extern "C" __global__ void silu_sums(
    const bf16 *__restrict__ times, const bf16 *__restrict__ rows, bf16 *__restrict__ out, int row_count, int dim) {
    long long vector = blockIdx.x;
    const bf16 *time = times + vector / row_count * dim, *row = rows + vector % row_count * dim;
    for (int i = threadIdx.x; i < dim; i += blockDim.x)
        out[vector * dim + i] = to_bf16(silu(to_float(time[i]) + to_float(row[i])));
}
