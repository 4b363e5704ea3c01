// What stands between the products of the transformers of a U-Net, which have layer norms before each branch.

#define NORM_VECTORS 8 // of eight elements for each lane: width <= 2048

// out = layer_norm(x) * weight + bias. One warp a token.
extern "C" __global__ void layer_norm(
    const bf16 *__restrict__ x, const bf16 *__restrict__ weight, const bf16 *__restrict__ bias, bf16 *__restrict__ out,
    long long tokens, int dim, float eps) {
    long long token = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (token >= tokens) return;
    const bf16 *from = x + token * dim;
    uint4 packed[NORM_VECTORS];
    float sum = 0.0f;
#pragma unroll
    for (int n = 0; n < NORM_VECTORS; n++) {
        int i = (n * 32 + threadIdx.x % 32) * 8;
        if (i < dim) packed[n] = *(const uint4 *)(from + i);
    }
#pragma unroll
    for (int n = 0; n < NORM_VECTORS; n++) {
        if ((n * 32 + threadIdx.x % 32) * 8 >= dim) continue;
        float values[8];
        unpack8(packed[n], values);
        for (int j = 0; j < 8; j++) sum += values[j];
    }
    float mean = warp_sum(sum) / dim, squares = 0.0f;
#pragma unroll
    for (int n = 0; n < NORM_VECTORS; n++) {
        if ((n * 32 + threadIdx.x % 32) * 8 >= dim) continue;
        float values[8];
        unpack8(packed[n], values);
        for (int j = 0; j < 8; j++) squares += (values[j] - mean) * (values[j] - mean);
    }
    float inverse = rsqrtf(warp_sum(squares) / dim + eps);
#pragma unroll
    for (int n = 0; n < NORM_VECTORS; n++) {
        int i = (n * 32 + threadIdx.x % 32) * 8;
        if (i >= dim) continue;
        float values[8], w[8], b[8];
        unpack8(packed[n], values);
        load8(weight + i, w);
        load8(bias + i, b);
        for (int j = 0; j < 8; j++) values[j] = (values[j] - mean) * inverse * w[j] + b[j];
        store8(out + token * dim + i, values);
    }
}

__device__ __forceinline__ float gelu_erf(float x) { return 0.5f * x * (1.0f + erff(x * 0.70710678f)); }

// out = values * gelu(gates) where a token of `both` is values and then gates, `width` of each (GEGLU).
extern "C" __global__ void gated_gelu(const bf16 *__restrict__ both, bf16 *__restrict__ out, int width, long long vectors) {
    long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= vectors) return;
    int per_token = width / 8;
    long long token = index / per_token;
    int i = (int)(index % per_token) * 8;
    float values[8], gates[8];
    load8(both + token * 2 * width + i, values);
    load8(both + token * 2 * width + width + i, gates);
    for (int j = 0; j < 8; j++) values[j] *= gelu_erf(gates[j]);
    store8(out + token * width + i, values);
}

// out[time, row] = silu(times[time] + rows[row]), vectors of `dim`. One block a vector of the result.
extern "C" __global__ void silu_sums(
    const bf16 *__restrict__ times, const bf16 *__restrict__ rows, bf16 *__restrict__ out, int row_count, int dim) {
    long long vector = blockIdx.x;
    const bf16 *time = times + vector / row_count * dim, *row = rows + vector % row_count * dim;
    for (int i = threadIdx.x; i < dim; i += blockDim.x)
        out[vector * dim + i] = to_bf16(silu(to_float(time[i]) + to_float(row[i])));
}
