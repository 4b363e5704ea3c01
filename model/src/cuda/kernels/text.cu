// What the text encoders need besides: looking up tokens, rotating heads into a store of keys and values, a softmax that
// hides keys, layer norms with weights, GELU and the mean over tokens.

#define IDS_MAX 512

struct Ids {
    int count;
    int values[IDS_MAX];
};

// out[token] = table[id] * scale (+ added). One block of threads a token, eight elements a thread.
extern "C" __global__ void embed(
    Ids ids, const bf16 *__restrict__ table, long long table_stride, const bf16 *__restrict__ added, float scale,
    bf16 *__restrict__ out, int dim) {
    int i = threadIdx.x * 8;
    if (i >= dim) return;
    float values[8], more[8];
    load8(table + ids.values[blockIdx.x] * table_stride + i, values);
    if (added) load8(added + i, more);
    for (int j = 0; j < 8; j++) {
        values[j] *= scale;
        if (added) values[j] += more[j];
    }
    store8(out + (long long)blockIdx.x * dim + i, values);
}

#define ELEMENTS_MAX 8 // of half a head for each lane: head_dim <= 512

// One warp a head of a token of the fused projection [tokens, (heads + 2 kv_heads) * head_dim]. Query heads are normed
// and rotated in place; key heads are normed and rotated into `store`, value heads are copied there:
// [.., 2 kv_heads * head_dim], keys first. Weights are 1 + weight. The elements i and i + head_dim / 2 are paired; the
// tables are [positions, head_dim / 2] in f32. The `warps` go on beyond `tokens`: there the store gets zeros.
extern "C" __global__ void place_heads(
    bf16 *__restrict__ qkv, bf16 *__restrict__ store, const bf16 *__restrict__ q_weight,
    const bf16 *__restrict__ k_weight, float weight_offset, float eps, const float *__restrict__ cosine,
    const float *__restrict__ sine, long long table_stride, int tokens, int heads, int kv_heads, int head_dim,
    long long warps) {
    long long warp = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (warp >= warps) return;
    int lane = threadIdx.x % 32;
    int all_heads = heads + 2 * kv_heads;
    long long token = warp / all_heads;
    int head = (int)(warp % all_heads);
    int half = head_dim / 2;
    const bf16 *from = qkv + (token * all_heads + head) * head_dim;
    bf16 *to = head < heads ? qkv + (token * all_heads + head) * head_dim
                            : store + (token * 2 * kv_heads + head - heads) * head_dim;
    if (token >= tokens) {
        if (head >= heads) for (int i = lane; i < head_dim; i += 32) to[i] = 0;
        return;
    }
    if (head >= heads + kv_heads) {
        for (int i = lane; i < half; i += 32) ((unsigned *)to)[i] = ((const unsigned *)from)[i];
        return;
    }
    const bf16 *weight = head < heads ? q_weight : k_weight;
    float first[ELEMENTS_MAX], second[ELEMENTS_MAX];
    float sum = 0.0f;
    int n = 0;
    for (int i = lane; i < half; i += 32, n++) {
        first[n] = to_float(from[i]);
        second[n] = to_float(from[i + half]);
        sum += first[n] * first[n] + second[n] * second[n];
    }
    float inverse = rsqrtf(warp_sum(sum) / head_dim + eps);
    n = 0;
    for (int i = lane; i < half; i += 32, n++) {
        float x = first[n] * inverse * (to_float(weight[i]) + weight_offset);
        float y = second[n] * inverse * (to_float(weight[i + half]) + weight_offset);
        float c = cosine[token * table_stride + i], s = sine[token * table_stride + i];
        to[i] = to_bf16(x * c - y * s);
        to[i + half] = to_bf16(y * c + x * s);
    }
}

#define SOFTMAX_THREADS 128
#define KEYS_PER_THREAD 16 // at most 2048 keys

// Scores [heads, queries_padded, keys_padded] in f32 become weights in bf16 where they stand: a row of weights begins
// where its row of scores did, so rows are 2 keys_padded weights apart. The query q of a row stands at position
// first + q. A causal row sees the keys up to itself, and of those the last `window` if that is not 0; else it sees the
// first `keys`. What it does not see gets weight 0. Which thread sums which key does not depend on the number of keys,
// so hidden keys do not change the result. One block a head and query.
extern "C" __global__ void masked_softmax(
    float *scores, int queries, int queries_padded, int keys_padded, int first, int keys, int causal, int window) {
    __shared__ float shared[32];
    int head = blockIdx.x / queries, query = blockIdx.x % queries;
    float *row = scores + ((long long)head * queries_padded + query) * keys_padded;
    int end = causal ? first + query + 1 : keys;
    int begin = causal && window > 0 ? max(0, end - window) : 0;
    float values[KEYS_PER_THREAD];
    float largest = __int_as_float(0xff800000);
#pragma unroll
    for (int j = 0; j < KEYS_PER_THREAD; j++) {
        int key = threadIdx.x + j * SOFTMAX_THREADS;
        values[j] = key >= begin && key < end ? row[key] : __int_as_float(0xff800000);
        largest = fmaxf(largest, values[j]);
    }
    largest = block_max(largest, shared);
    float sum = 0.0f;
#pragma unroll
    for (int j = 0; j < KEYS_PER_THREAD; j++) {
        values[j] = __expf(values[j] - largest);
        sum += values[j];
    }
    // The barriers inside also keep every read of the row before its first write.
    float inverse = 1.0f / block_sum(sum, shared);
    bf16 *weights = (bf16 *)row;
#pragma unroll
    for (int j = 0; j < KEYS_PER_THREAD; j++) {
        int key = threadIdx.x + j * SOFTMAX_THREADS;
        if (key < keys_padded) weights[key] = to_bf16(values[j] * inverse);
    }
}

// x = layer_norm(x + branch) * weight + bias; a null branch adds nothing. One block of threads a token.
extern "C" __global__ void add_layer_norm(
    bf16 *__restrict__ x, const bf16 *__restrict__ branch, const bf16 *__restrict__ weight,
    const bf16 *__restrict__ bias, int dim, float eps) {
    __shared__ float shared[32];
    long long token = blockIdx.x;
    int i = threadIdx.x * 8;
    bool inside = i < dim;
    float values[8], more[8];
    float sum = 0.0f;
    if (inside) {
        load8(x + token * dim + i, values);
        if (branch) {
            load8(branch + token * dim + i, more);
            for (int j = 0; j < 8; j++) values[j] += more[j];
        }
        for (int j = 0; j < 8; j++) sum += values[j];
    }
    float mean = block_sum(sum, shared) / dim;
    float squares = 0.0f;
    if (inside) for (int j = 0; j < 8; j++) squares += (values[j] - mean) * (values[j] - mean);
    float inverse = rsqrtf(block_sum(squares, shared) / dim + eps);
    if (inside) {
        float w[8];
        load8(weight + i, w);
        load8(bias + i, more);
        for (int j = 0; j < 8; j++) values[j] = (values[j] - mean) * inverse * w[j] + more[j];
        store8(x + token * dim + i, values);
    }
}

// x = gelu(x) by the error function, eight elements a thread.
extern "C" __global__ void gelu_each(bf16 *__restrict__ x, long long vectors) {
    long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= vectors) return;
    float values[8];
    load8(x + index * 8, values);
    for (int j = 0; j < 8; j++) values[j] = 0.5f * values[j] * (1.0f + erff(values[j] * 0.70710678f));
    store8(x + index * 8, values);
}

// out = the mean of x [tokens, dim] over tokens. One block for 32 columns; each warp takes every eighth token.
extern "C" __global__ void mean_tokens(const bf16 *__restrict__ x, int tokens, int dim, bf16 *__restrict__ out) {
    __shared__ float partial[8][32];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int column = blockIdx.x * 32 + lane;
    float sum = 0.0f;
    if (column < dim) for (long long token = warp; token < tokens; token += 8) sum += to_float(x[token * dim + column]);
    partial[warp][lane] = sum;
    __syncthreads();
    if (warp > 0 || column >= dim) return;
    for (int i = 1; i < 8; i++) sum += partial[i][lane];
    out[column] = to_bf16(sum / tokens);
}
