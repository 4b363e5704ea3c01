// What stands between the products of a transformer block where they read 8 bits: e4m3 values with a scale for each row
// ("FP8 Formats for Deep Learning", Micikevicius et al. 2022). A value is its code times the row's scale, and the scale
// makes the largest of the row the largest that e4m3 has. For compute capability 8.9 and later. See stream.cuh.

typedef unsigned char e4m3;

#define E4M3_MAX 448.0f
// The smallest normal number: the reciprocal of a smaller scale would not be finite.
#define SCALE_MIN 1.17549435e-38f

// Vectors of eight that a thread holds where a row may be wider than a block of threads; FP8_VECTORS in fp8_kernels.rs.
#define VECTORS 4

// Rounds two values to nearest; the first lies in the lower half. Larger ones become 448, and NaN stays NaN.
__device__ __forceinline__ unsigned pack2_e4m3(float low, float high) {
    unsigned short packed;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(packed) : "f"(high), "f"(low));
    return packed;
}

// Eight codes at once, to an address that is a multiple of 8 bytes.
__device__ __forceinline__ void store8_e4m3(e4m3 *to, const float *values, float inverse) {
    uint2 v;
    v.x = pack2_e4m3(values[0] * inverse, values[1] * inverse) | pack2_e4m3(values[2] * inverse, values[3] * inverse) << 16;
    v.y = pack2_e4m3(values[4] * inverse, values[5] * inverse) | pack2_e4m3(values[6] * inverse, values[7] * inverse) << 16;
    *(uint2 *)to = v;
}

__device__ __forceinline__ float scale_of(float largest) {
    return largest > 0.0f ? fmaxf(largest / E4M3_MAX, SCALE_MIN) : 1.0f;
}

__device__ __forceinline__ float largest_of(const float *values, float largest) {
    for (int j = 0; j < 8; j++) largest = fmaxf(largest, fabsf(values[j]));
    return largest;
}

// Rows of `width` codes without gaps, and a scale for each.
struct Fp8Rows {
    e4m3 *codes;
    float *scales;
    int width;

    __device__ __forceinline__ void put(long long token, int i, bool inside, const float *values, float *shared) const {
        float scale = scale_of(block_max(inside ? largest_of(values, 0.0f) : 0.0f, shared));
        if (threadIdx.x == 0) scales[token] = scale;
        if (inside) store8_e4m3(codes + token * width + i, values, 1.0f / scale);
    }

    // The same for a whole row, thread t with the vectors t, t + blockDim.x and so on.
    __device__ __forceinline__ void put_row(
        long long row, const float (*values)[8], float largest, float *shared) const {
        float scale = scale_of(block_max(largest, shared));
        float inverse = 1.0f / scale;
        if (threadIdx.x == 0) scales[row] = scale;
#pragma unroll
        for (int n = 0; n < VECTORS; n++) {
            int i = (n * blockDim.x + threadIdx.x) * 8;
            if (i < width) store8_e4m3(codes + row * width + i, values[n], inverse);
        }
    }
};

extern "C" __global__ void rms_norm_scale_fp8(
    const bf16 *__restrict__ x, long long x_stride, const bf16 *__restrict__ weight, float weight_offset,
    Modulation scale, Rows rows, e4m3 *__restrict__ codes, float *__restrict__ scales, int dim, float eps) {
    rms_norm_rows(x, x_stride, weight, weight_offset, scale, rows, Fp8Rows{codes, scales, dim}, dim, eps);
}

extern "C" __global__ void add_branch_norm_fp8(
    bf16 *__restrict__ x, const bf16 *__restrict__ branch, const bf16 *__restrict__ after, float weight_offset,
    Modulation gate, Rows rows, int next_kind, const bf16 *__restrict__ next, Modulation scale,
    e4m3 *__restrict__ codes, float *__restrict__ scales, int dim, float eps, float next_eps) {
    add_branch_norm_rows(x, branch, after, weight_offset, gate, rows, next_kind, next, scale,
                         Fp8Rows{codes, scales, dim}, dim, eps, next_eps);
}

// As gated_unit, with one block of threads a token.
extern "C" __global__ void gated_unit_fp8(
    const bf16 *__restrict__ gate_up, e4m3 *__restrict__ codes, float *__restrict__ scales, int width, int kind) {
    __shared__ float shared[32];
    long long token = blockIdx.x;
    const bf16 *gates = gate_up + token * 2 * width, *ups = gates + width;
    // Everything is asked for before anything is used.
    uint4 gate[VECTORS], up[VECTORS];
#pragma unroll
    for (int n = 0; n < VECTORS; n++) {
        int i = (n * blockDim.x + threadIdx.x) * 8;
        if (i >= width) continue;
        gate[n] = *(const uint4 *)(gates + i);
        up[n] = *(const uint4 *)(ups + i);
    }
    float values[VECTORS][8];
    float largest = 0.0f;
#pragma unroll
    for (int n = 0; n < VECTORS; n++) {
        int i = (n * blockDim.x + threadIdx.x) * 8;
        if (i >= width) continue;
        float u[8];
        unpack8(gate[n], values[n]);
        unpack8(up[n], u);
        for (int j = 0; j < 8; j++) values[n][j] = activate(values[n][j], kind) * u[j];
        largest = largest_of(values[n], largest);
    }
    Fp8Rows{codes, scales, width}.put_row(token, values, largest, shared);
}

// One block of threads a row: a token's values, or the weights of one output.
extern "C" __global__ void quantize_rows(
    const bf16 *__restrict__ x, long long x_stride, e4m3 *__restrict__ codes, float *__restrict__ scales, int width) {
    __shared__ float shared[32];
    long long row = blockIdx.x;
    float values[VECTORS][8];
    float largest = 0.0f;
#pragma unroll
    for (int n = 0; n < VECTORS; n++) {
        int i = (n * blockDim.x + threadIdx.x) * 8;
        if (i >= width) continue;
        load8(x + row * x_stride + i, values[n]);
        largest = largest_of(values[n], largest);
    }
    Fp8Rows{codes, scales, width}.put_row(row, values, largest, shared);
}

// Two codes, the first in the lower half, as f32.
__device__ __forceinline__ void unpack2_e4m3(unsigned packed, float *out) {
    unsigned halves;
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(halves) : "h"((unsigned short)packed));
    asm("cvt.f32.f16 %0, %1;" : "=f"(out[0]) : "h"((unsigned short)(halves & 0xffffu)));
    asm("cvt.f32.f16 %0, %1;" : "=f"(out[1]) : "h"((unsigned short)(halves >> 16)));
}

// The values of rows of codes in bf16, without gaps.
extern "C" __global__ void dequantize_rows(
    const e4m3 *__restrict__ codes, const float *__restrict__ scales, bf16 *__restrict__ out, int width) {
    long long row = blockIdx.x;
    float scale = scales[row];
    for (int i = threadIdx.x * 8; i < width; i += blockDim.x * 8) {
        uint2 v = *(const uint2 *)(codes + row * width + i);
        float values[8];
        unpack2_e4m3(v.x & 0xffffu, values);
        unpack2_e4m3(v.x >> 16, values + 2);
        unpack2_e4m3(v.y & 0xffffu, values + 4);
        unpack2_e4m3(v.y >> 16, values + 6);
        for (int j = 0; j < 8; j++) values[j] *= scale;
        store8(out + row * width + i, values);
    }
}
