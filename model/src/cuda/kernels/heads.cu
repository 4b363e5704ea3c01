// What happens to queries and keys between the product that makes them and the attention: a norm over each head, and the
// rotation by position. The fused projection [tokens, (heads + 2 kv_heads) * head_dim] is changed in place.
//
// A block has one token and sixteen threads for each head at a time. A thread holds PAIRS pairs of HEADS heads, all of
// which it asks for before it uses any: the work is as fast as memory answers.

#define LANES 16
#define GROUPS 8 // blockDim.x / LANES

struct RotateArguments {
    bf16 *qkv;
    long long token_stride;
    // Null where there is no norm.
    const bf16 *q_weight;
    const bf16 *k_weight;
    float weight_offset;
    float eps;
    // [rows, positions, head_dim / 2]
    const float *cosine;
    const float *sine;
    long long table_row_stride;
    long long table_stride;
    int heads;
    int kv_heads;
    int head_dim;
    // Pairs the elements 2i and 2i + 1, else i and i + head_dim / 2.
    int interleaved;
};

__device__ __forceinline__ float group_sum(float x) {
    for (int offset = LANES / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
    return x;
}

template <int PAIRS, int HEADS>
__device__ __forceinline__ void norm_rotate(const RotateArguments &a, const Rows &rows) {
    int token = blockIdx.x;
    int lane = threadIdx.x % LANES, group = threadIdx.x / LANES;
    int row = row_of(rows, token);
    // There is no position for what fills up.
    if (token - rows.start[row] >= rows.length[row]) return;
    long long table = row * a.table_row_stride + (token - rows.start[row]) * a.table_stride;
    int half = a.head_dim / 2, all_heads = a.heads + a.kv_heads;
    float cosine[PAIRS], sine[PAIRS];
#pragma unroll
    for (int n = 0; n < PAIRS; n++) {
        int i = lane + n * LANES;
        cosine[n] = i < half ? a.cosine[table + i] : 0.0f;
        sine[n] = i < half ? a.sine[table + i] : 0.0f;
    }
    bf16 *token_at = a.qkv + token * a.token_stride;
    // Every thread of a warp takes every turn, as the sums need them all.
    for (int base = 0; base < all_heads; base += GROUPS * HEADS) {
        float x[HEADS][PAIRS], y[HEADS][PAIRS];
#pragma unroll
        for (int h = 0; h < HEADS; h++) {
            int head = base + h * GROUPS + group;
            const bf16 *at = token_at + (long long)head * a.head_dim;
#pragma unroll
            for (int n = 0; n < PAIRS; n++) {
                int i = lane + n * LANES;
                x[h][n] = y[h][n] = 0.0f;
                if (head >= all_heads || i >= half) continue;
                if (a.interleaved) {
                    float pair[2];
                    unpack2(*(const unsigned *)(at + 2 * i), pair);
                    x[h][n] = pair[0];
                    y[h][n] = pair[1];
                } else {
                    x[h][n] = to_float(at[i]);
                    y[h][n] = to_float(at[i + half]);
                }
            }
        }
#pragma unroll
        for (int h = 0; h < HEADS; h++) {
            int head = base + h * GROUPS + group;
            bf16 *at = token_at + (long long)head * a.head_dim;
            const bf16 *weight = head < a.heads ? a.q_weight : a.k_weight;
            float inverse = 1.0f;
            if (a.q_weight) {
                float sum = 0.0f;
#pragma unroll
                for (int n = 0; n < PAIRS; n++) sum += x[h][n] * x[h][n] + y[h][n] * y[h][n];
                inverse = rsqrtf(group_sum(sum) / a.head_dim + a.eps);
            }
#pragma unroll
            for (int n = 0; n < PAIRS; n++) {
                int i = lane + n * LANES;
                if (head >= all_heads || i >= half) continue;
                int first = a.interleaved ? 2 * i : i, second = a.interleaved ? 2 * i + 1 : i + half;
                float p = x[h][n] * inverse, q = y[h][n] * inverse;
                if (a.q_weight) {
                    p *= to_float(weight[first]) + a.weight_offset;
                    q *= to_float(weight[second]) + a.weight_offset;
                }
                float u = p * cosine[n] - q * sine[n], v = q * cosine[n] + p * sine[n];
                if (a.interleaved) {
                    *(unsigned *)(at + first) = pack2(u, v);
                } else {
                    at[first] = to_bf16(u);
                    at[second] = to_bf16(v);
                }
            }
        }
    }
}

#define NORM_ROTATE(PAIRS, HEADS)                                                                                      \
    extern "C" __global__ void __launch_bounds__(LANES *GROUPS) norm_rotate_##PAIRS(RotateArguments a, Rows rows) {    \
        norm_rotate<PAIRS, HEADS>(a, rows);                                                                            \
    }

NORM_ROTATE(1, 4)
NORM_ROTATE(2, 4)
NORM_ROTATE(3, 4)
NORM_ROTATE(4, 4)
NORM_ROTATE(8, 2)
