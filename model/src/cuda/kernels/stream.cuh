// The norms, gates and sums between the products of a transformer block, whatever the type of the product that reads them.
// One block of threads a token, one thread for eight neighbouring elements of the width; threads beyond the width only
// fill up a warp. `Out` takes the row of a token: each thread its eight values, all threads of the block at once.

// A modulation vector of a row: mod[row * stride + i]; none if mod is null.
struct Modulation {
    const bf16 *values;
    long long stride;
};

// Rows in bf16, from one to the next `stride` elements.
struct Bf16Rows {
    bf16 *rows;
    long long stride;

    __device__ __forceinline__ void put(long long token, int i, bool inside, const float *values, float *) const {
        if (inside) store8(rows + token * stride + i, values);
    }
};

// out = rms_norm(x) * (weight + offset) * (1 + scale[row])
template <typename Out>
__device__ __forceinline__ void rms_norm_rows(
    const bf16 *__restrict__ x, long long x_stride, const bf16 *__restrict__ weight, float weight_offset,
    const Modulation &scale, const Rows &rows, const Out &out, int dim, float eps) {
    __shared__ float shared[32];
    long long token = blockIdx.x;
    int i = threadIdx.x * 8;
    bool inside = i < dim;
    float values[8];
    float sum = 0.0f;
    if (inside) {
        load8(x + token * x_stride + i, values);
        for (int j = 0; j < 8; j++) sum += values[j] * values[j];
    }
    float inverse = rsqrtf(block_sum(sum, shared) / dim + eps);
    const bf16 *scales = scale.values ? scale.values + row_of(rows, token) * scale.stride : nullptr;
    if (inside) {
        float w[8], s[8];
        load8(weight + i, w);
        if (scales) load8(scales + i, s);
        for (int j = 0; j < 8; j++) {
            values[j] *= inverse * (w[j] + weight_offset);
            if (scales) values[j] *= 1.0f + s[j];
        }
    }
    out.put(token, i, inside, values, shared);
}

#define NEXT_NONE 0
#define NEXT_RMS 1
#define NEXT_LAYER 2

// x += tanh(gate[row]) * rms_norm(branch) * (after + offset), and at once the norm that the next product reads:
// normed = rms_norm(x) * (next + offset) * (1 + scale[row]), or layer_norm(x) * (1 + scale[row]) without weights.
// A null gate is 1; a null `after` adds the branch as it is.
template <typename Out>
__device__ __forceinline__ void add_branch_norm_rows(
    bf16 *__restrict__ x, const bf16 *__restrict__ branch, const bf16 *__restrict__ after, float weight_offset,
    const Modulation &gate, const Rows &rows, int next_kind, const bf16 *__restrict__ next, const Modulation &scale,
    const Out &normed, int dim, float eps, float next_eps) {
    __shared__ float shared[32];
    long long token = blockIdx.x;
    int i = threadIdx.x * 8;
    bool inside = i < dim;
    int row = gate.values || scale.values ? row_of(rows, token) : 0;
    // Everything is asked for before the first sum, which waits.
    float b[8], residual[8], w[8], g[8];
    float sum = 0.0f;
    if (inside) {
        load8(branch + token * dim + i, b);
        load8(x + token * dim + i, residual);
        if (after) load8(after + i, w);
        if (gate.values) load8(gate.values + row * gate.stride + i, g);
        for (int j = 0; j < 8; j++) sum += b[j] * b[j];
    }
    float inverse = after ? rsqrtf(block_sum(sum, shared) / dim + eps) : 1.0f;
    float total = 0.0f, squares = 0.0f;
    if (inside) {
        for (int j = 0; j < 8; j++) {
            float added = b[j] * inverse;
            if (after) added *= w[j] + weight_offset;
            if (gate.values) added *= tanh_fast(g[j]);
            b[j] = residual[j] + added;
        }
        store8(x + token * dim + i, b);
        for (int j = 0; j < 8; j++) {
            // The next norm reads what was stored, so that it does not matter where the two are computed.
            b[j] = to_float(to_bf16(b[j]));
            total += b[j];
            squares += b[j] * b[j];
        }
    }
    if (next_kind == NEXT_NONE) return;
    float mean = 0.0f;
    if (next_kind == NEXT_LAYER) {
        mean = block_sum(total, shared) / dim;
        squares = 0.0f;
        if (inside) for (int j = 0; j < 8; j++) squares += (b[j] - mean) * (b[j] - mean);
    }
    inverse = rsqrtf(block_sum(squares, shared) / dim + next_eps);
    if (inside) {
        float w[8], s[8];
        if (next_kind == NEXT_RMS) load8(next + i, w);
        if (scale.values) load8(scale.values + row * scale.stride + i, s);
        for (int j = 0; j < 8; j++) {
            float value = (b[j] - mean) * inverse;
            if (next_kind == NEXT_RMS) value *= w[j] + weight_offset;
            if (scale.values) value *= 1.0f + s[j];
            b[j] = value;
        }
    }
    normed.put(token, i, inside, b, shared);
}

// The activation of a gated unit. `kind`: 0 SiLU, 1 GELU by tanh.
__device__ __forceinline__ float activate(float g, int kind) {
    return kind == 0 ? silu(g) : 0.5f * g * (1.0f + tanh_fast(0.7978845608f * (g + 0.044715f * g * g * g)));
}
