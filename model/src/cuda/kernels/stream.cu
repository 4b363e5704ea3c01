// What stands between the products of a transformer block where they read bf16. See stream.cuh.

extern "C" __global__ void rms_norm_scale(
    const bf16 *__restrict__ x, long long x_stride, const bf16 *__restrict__ weight, float weight_offset,
    Modulation scale, Rows rows, bf16 *__restrict__ out, long long out_stride, int dim, float eps) {
    rms_norm_rows(x, x_stride, weight, weight_offset, scale, rows, Bf16Rows{out, out_stride}, dim, eps);
}

extern "C" __global__ void add_branch_norm(
    bf16 *__restrict__ x, const bf16 *__restrict__ branch, const bf16 *__restrict__ after, float weight_offset,
    Modulation gate, Rows rows, int next_kind, const bf16 *__restrict__ next, Modulation scale,
    bf16 *__restrict__ normed, int dim, float eps, float next_eps) {
    add_branch_norm_rows(x, branch, after, weight_offset, gate, rows, next_kind, next, scale, Bf16Rows{normed, dim}, dim,
                         eps, next_eps);
}

// out = activation(gate_up[.. width]) * gate_up[width ..], the gated unit of a feed-forward part.
extern "C" __global__ void gated_unit(
    const bf16 *__restrict__ gate_up, bf16 *__restrict__ out, int width, long long vectors, int kind) {
    long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= vectors) return;
    int per_token = width / 8;
    long long token = index / per_token;
    int i = (int)(index % per_token) * 8;
    float gate[8], up[8];
    load8(gate_up + token * 2 * width + i, gate);
    load8(gate_up + token * 2 * width + width + i, up);
    for (int j = 0; j < 8; j++) gate[j] = activate(gate[j], kind) * up[j];
    store8(out + token * width + i, gate);
}
