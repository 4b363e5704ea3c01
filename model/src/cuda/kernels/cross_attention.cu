// Attention over the few tokens of a text, by tensor cores: every score of a query is held in registers, so keys and values
// are read once and no running maximum is needed. cuDNN's kernels are made for longer sequences and take three times as
// long. For heads of 64 elements.

#define HEAD 64
#define CROSS_THREADS 256 // 8 warps of 16 queries
#define TILES 5           // of 16 keys
#define KEYS (16 * TILES)
// Distances of rows that put the loads of a warp into different banks.
#define KEY_STRIDE (HEAD + 8)
#define VALUE_STRIDE (KEYS + 8)

// c += a b with a [16, 16] by rows and b [16, 8] by columns.
__device__ __forceinline__ void multiply_add(float *c, const unsigned *a, unsigned b0, unsigned b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// q and out are [rows, queries, heads, 64], keys_values [rows, keys, 2, heads, 64]. The grid is queries / 128 times heads,
// and rows. There are at most KEYS keys; `scale` multiplies the scores and includes log2(e).
extern "C" __global__ void __launch_bounds__(CROSS_THREADS) cross_attention(
    const bf16 *__restrict__ q, const bf16 *__restrict__ keys_values, bf16 *__restrict__ out, int queries, int keys,
    int heads, float scale) {
    __shared__ __align__(16) bf16 all_keys[KEYS * KEY_STRIDE];
    __shared__ __align__(16) bf16 values[HEAD * VALUE_STRIDE];
    int head = blockIdx.x % heads, width = heads * HEAD;
    const bf16 *text = keys_values + (long long)blockIdx.y * keys * 2 * width + head * HEAD;
    for (int i = threadIdx.x; i < KEYS * HEAD / 8; i += CROSS_THREADS) {
        int key = i / (HEAD / 8), element = i % (HEAD / 8) * 8;
        uint4 k = make_uint4(0, 0, 0, 0), v = k;
        if (key < keys) {
            const bf16 *from = text + (long long)key * 2 * width + element;
            k = *(const uint4 *)from;
            v = *(const uint4 *)(from + width);
        }
        *(uint4 *)(all_keys + key * KEY_STRIDE + element) = k;
        const bf16 *parts = (const bf16 *)&v;
#pragma unroll
        for (int j = 0; j < 8; j++) values[(element + j) * VALUE_STRIDE + key] = parts[j];
    }
    __syncthreads();

    int lane = threadIdx.x % 32, group = lane / 4, pair = lane % 4 * 2;
    int first = blockIdx.x / heads * (CROSS_THREADS / 2) + threadIdx.x / 32 * 16 + group;
    long long row = (long long)blockIdx.y * queries;
    const bf16 *query = q + row * width + head * HEAD + pair;
    // Each thread has two queries, eight apart. What is beyond the last is computed as the last and not written.
    const bf16 *upper = query + (long long)min(first, queries - 1) * width;
    const bf16 *lower = query + (long long)min(first + 8, queries - 1) * width;
    unsigned a[HEAD / 16][4];
#pragma unroll
    for (int step = 0; step < HEAD / 16; step++) {
        a[step][0] = *(const unsigned *)(upper + step * 16);
        a[step][1] = *(const unsigned *)(lower + step * 16);
        a[step][2] = *(const unsigned *)(upper + step * 16 + 8);
        a[step][3] = *(const unsigned *)(lower + step * 16 + 8);
    }
    float scores[2 * TILES][4];
    float most[2] = {__int_as_float(0xff800000), __int_as_float(0xff800000)};
#pragma unroll
    for (int tile = 0; tile < 2 * TILES; tile++) {
        float *c = scores[tile];
        c[0] = c[1] = c[2] = c[3] = 0.0f;
        const bf16 *key = all_keys + (tile * 8 + group) * KEY_STRIDE + pair;
#pragma unroll
        for (int step = 0; step < HEAD / 16; step++)
            multiply_add(c, a[step], *(const unsigned *)(key + step * 16), *(const unsigned *)(key + step * 16 + 8));
#pragma unroll
        for (int j = 0; j < 4; j++) {
            if (tile * 8 + pair + j % 2 >= keys) c[j] = __int_as_float(0xff800000);
            most[j / 2] = fmaxf(most[j / 2], c[j]);
        }
    }
    float sums[2] = {};
    for (int half = 0; half < 2; half++) {
        most[half] = fmaxf(most[half], __shfl_xor_sync(0xffffffffu, most[half], 1));
        most[half] = fmaxf(most[half], __shfl_xor_sync(0xffffffffu, most[half], 2));
    }
#pragma unroll
    for (int tile = 0; tile < 2 * TILES; tile++)
#pragma unroll
        for (int j = 0; j < 4; j++) {
            scores[tile][j] = exp2f((scores[tile][j] - most[j / 2]) * scale);
            sums[j / 2] += scores[tile][j];
        }
    float attended[HEAD / 8][4] = {};
#pragma unroll
    for (int step = 0; step < TILES; step++) {
        const float *near = scores[2 * step], *far = scores[2 * step + 1];
        unsigned weights[4] = {pack2(near[0], near[1]), pack2(near[2], near[3]), pack2(far[0], far[1]), pack2(far[2], far[3])};
#pragma unroll
        for (int tile = 0; tile < HEAD / 8; tile++) {
            const bf16 *value = values + (tile * 8 + group) * VALUE_STRIDE + step * 16 + pair;
            multiply_add(attended[tile], weights, *(const unsigned *)value, *(const unsigned *)(value + 8));
        }
    }
    bf16 *to = out + row * width + head * HEAD + pair;
    for (int half = 0; half < 2; half++) {
        sums[half] += __shfl_xor_sync(0xffffffffu, sums[half], 1);
        sums[half] += __shfl_xor_sync(0xffffffffu, sums[half], 2);
        if (first + 8 * half >= queries) continue;
        float inverse = 1.0f / sums[half];
#pragma unroll
        for (int tile = 0; tile < HEAD / 8; tile++)
            *(unsigned *)(to + (long long)(first + 8 * half) * width + tile * 8) =
                pack2(attended[tile][2 * half] * inverse, attended[tile][2 * half + 1] * inverse);
    }
}

