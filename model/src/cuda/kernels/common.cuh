// Shared by every kernel: bf16 without CUDA's headers, vectors of eight, and sums over a block.
//
// bf16 values travel as 16-bit integers; arithmetic is in f32 and every result is rounded to nearest once.

typedef unsigned short bf16;

__device__ __forceinline__ float to_float(bf16 x) { return __uint_as_float((unsigned)x << 16); }

// Rounds two values; the first lies in the lower half.
__device__ __forceinline__ unsigned pack2(float low, float high) {
    unsigned packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
}

__device__ __forceinline__ bf16 to_bf16(float x) { return (bf16)(pack2(x, 0.0f) & 0xffffu); }

__device__ __forceinline__ void unpack2(unsigned packed, float *out) {
    out[0] = __uint_as_float(packed << 16);
    out[1] = __uint_as_float(packed & 0xffff0000u);
}

__device__ __forceinline__ void unpack8(uint4 v, float *out) {
    unpack2(v.x, out);
    unpack2(v.y, out + 2);
    unpack2(v.z, out + 4);
    unpack2(v.w, out + 6);
}

// Eight values at once, from an address that is a multiple of 16 bytes.
__device__ __forceinline__ void load8(const bf16 *from, float *out) { unpack8(*(const uint4 *)from, out); }

__device__ __forceinline__ void store8(bf16 *to, const float *values) {
    uint4 v;
    v.x = pack2(values[0], values[1]);
    v.y = pack2(values[2], values[3]);
    v.z = pack2(values[4], values[5]);
    v.w = pack2(values[6], values[7]);
    *(uint4 *)to = v;
}

__device__ __forceinline__ float warp_sum(float x) {
    for (int offset = 16; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
    return x;
}

__device__ __forceinline__ float warp_max(float x) {
    for (int offset = 16; offset > 0; offset /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, offset));
    return x;
}

// The sum over all threads, for each of them. `shared` has room for 32 values; blocks are whole warps.
__device__ __forceinline__ float block_sum(float x, float *shared) {
    x = warp_sum(x);
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = x;
    __syncthreads();
    x = threadIdx.x % 32 < blockDim.x / 32 ? shared[threadIdx.x % 32] : 0.0f;
    x = warp_sum(x);
    __syncthreads();
    return x;
}

__device__ __forceinline__ float block_max(float x, float *shared) {
    x = warp_max(x);
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = x;
    __syncthreads();
    x = threadIdx.x % 32 < blockDim.x / 32 ? shared[threadIdx.x % 32] : __int_as_float(0xff800000);
    x = warp_max(x);
    __syncthreads();
    return x;
}

__device__ __forceinline__ float silu(float x) { return x / (1.0f + __expf(-x)); }

// tanh by the exponential, saturating without overflow; its error is far below that of bf16.
__device__ __forceinline__ float tanh_fast(float x) {
    float e = __expf(-2.0f * fabsf(x));
    return copysignf((1.0f - e) / (1.0f + e), x);
}

#define ROWS_MAX 64

// Where the rows of a batch begin in a flat sequence of tokens: row r has the tokens start[r] .. start[r + 1], of which the
// first length[r] are its own and the others fill up.
struct Rows {
    int count;
    int start[ROWS_MAX + 1];
    int length[ROWS_MAX];
};

__device__ __forceinline__ int row_of(const Rows &rows, int token) {
    int row = 0;
    while (row + 1 < rows.count && token >= rows.start[row + 1]) row++;
    return row;
}
