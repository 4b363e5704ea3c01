// What stands between the convolutions of an autoencoder and of a U-Net. Images are channels-last, [pixels, channels];
// the grid's second axis counts the images of a batch.
//
// Where every pixel is treated alike, a block takes `per_block` neighbouring pixels, and its threads stand as lanes of
// channels / 8: a thread has the same eight channels of every pixel that its lane takes, so what belongs to a channel
// stays in registers. All sums run in an order that follows from the sizes alone.

// A vector for each image of the batch, or none.
struct RowVectors {
    const bf16 *values;
    long long stride;
};

#define UNROLL 4
#define THREADS_MAX 512

__device__ __forceinline__ uint4 pack8(const float *values) {
    uint4 v;
    v.x = pack2(values[0], values[1]);
    v.y = pack2(values[2], values[3]);
    v.z = pack2(values[4], values[5]);
    v.w = pack2(values[6], values[7]);
    return v;
}

// The part of an image that a thread takes: pixels first + lane, first + lane + lanes, .. of `count`.
struct Part {
    long long first;
    int count, lane, lanes, channel;
};

__device__ __forceinline__ Part part_of(long long pixels, int channels, int per_block) {
    Part part;
    int vectors = channels / 8;
    part.first = (long long)blockIdx.x * per_block;
    long long left = pixels - part.first;
    part.count = left < per_block ? (int)left : per_block;
    part.lanes = blockDim.x / vectors;
    part.lane = threadIdx.x / vectors;
    part.channel = threadIdx.x % vectors * 8;
    return part;
}

// x + bias + row_bias + residual, each of the last three if it is not null, into `out` if it is not null, which may be
// one of the operands. Sums and sums of squares of each channel of the block's pixels into
// partials [images, blocks, 2, channels].
extern "C" __global__ void merge(
    const bf16 *x, const bf16 *__restrict__ bias, RowVectors row_bias, const bf16 *residual, bf16 *out,
    float *__restrict__ partials, long long pixels, int channels, int per_block) {
    __shared__ float shared[THREADS_MAX * 8];
    Part part = part_of(pixels, channels, per_block);
    long long image = (long long)blockIdx.y * pixels * channels;
    x += image;
    if (residual) residual += image;
    if (out) out += image;
    float added[8] = {}, sums[8] = {}, squares[8] = {};
    if (bias) load8(bias + part.channel, added);
    if (row_bias.values) {
        float more[8];
        load8(row_bias.values + blockIdx.y * row_bias.stride + part.channel, more);
        for (int j = 0; j < 8; j++) added[j] += more[j];
    }
    for (int p = part.lane; p < part.count; p += UNROLL * part.lanes) {
        uint4 a[UNROLL], b[UNROLL];
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
            int pixel = p + u * part.lanes;
            if (pixel < part.count) {
                long long at = (part.first + pixel) * channels + part.channel;
                a[u] = *(const uint4 *)(x + at);
                if (residual) b[u] = *(const uint4 *)(residual + at);
            }
        }
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
            int pixel = p + u * part.lanes;
            if (pixel < part.count) {
                float values[8];
                unpack8(a[u], values);
                for (int j = 0; j < 8; j++) values[j] += added[j];
                if (residual) {
                    float others[8];
                    unpack8(b[u], others);
                    for (int j = 0; j < 8; j++) values[j] += others[j];
                }
                if (out) {
                    uint4 packed = pack8(values);
                    *(uint4 *)(out + (part.first + pixel) * channels + part.channel) = packed;
                    // The norm that follows reads what was stored.
                    unpack8(packed, values);
                }
                for (int j = 0; j < 8; j++) {
                    sums[j] += values[j];
                    squares[j] += values[j] * values[j];
                }
            }
        }
    }
    float *to = partials + ((long long)blockIdx.y * gridDim.x + blockIdx.x) * 2 * channels;
    for (int kind = 0; kind < 2; kind++) {
        for (int j = 0; j < 8; j++) shared[threadIdx.x * 8 + j] = kind == 0 ? sums[j] : squares[j];
        __syncthreads();
        for (int c = threadIdx.x; c < channels; c += blockDim.x) {
            float total = 0.0f;
            for (int lane = 0; lane < part.lanes; lane++) total += shared[lane * channels + c];
            to[kind * channels + c] = total;
        }
        __syncthreads();
    }
}

// As `merge`, but every pixel becomes four, and nothing is summed. `width` is that of the smaller image.
extern "C" __global__ void merge_double(
    const bf16 *__restrict__ x, const bf16 *__restrict__ bias, const bf16 *__restrict__ residual,
    bf16 *__restrict__ out, long long pixels, int channels, int per_block, int width) {
    Part part = part_of(pixels, channels, per_block);
    float added[8] = {};
    if (bias) load8(bias + part.channel, added);
    for (int p = part.lane; p < part.count; p += part.lanes) {
        long long pixel = part.first + p;
        float values[8];
        load8(x + pixel * channels + part.channel, values);
        for (int j = 0; j < 8; j++) values[j] += added[j];
        if (residual) {
            float others[8];
            load8(residual + pixel * channels + part.channel, others);
            for (int j = 0; j < 8; j++) values[j] += others[j];
        }
        uint4 packed = pack8(values);
        long long row = pixel / width, column = pixel % width;
        bf16 *to = out + (4 * row * width + 2 * column) * channels + part.channel;
        long long below = 2LL * width * channels;
        *(uint4 *)to = packed;
        *(uint4 *)(to + channels) = packed;
        *(uint4 *)(to + below) = packed;
        *(uint4 *)(to + below + channels) = packed;
    }
}

// The sums of neighbouring channels: partials [images, blocks, 2, channels].
struct ChannelSums {
    const float *partials;
    int blocks;
    int channels;
};

__device__ __forceinline__ void add_sums(
    const ChannelSums &from, int first, int count, double *sum, double *squares) {
    const float *image = from.partials + (long long)blockIdx.y * from.blocks * 2 * from.channels;
    for (int i = threadIdx.x; i < from.blocks * count; i += blockDim.x) {
        const float *at = image + (long long)(i / count) * 2 * from.channels + first + i % count;
        *sum += at[0];
        *squares += at[from.channels];
    }
}

// What a group norm does to each channel of each image, as y = x * scale + shift: table is [images, 2, channels]. The
// channels are those of `head` and then those of `tail`. `added` and `row_added` are the biases that the summed values
// had and the x that the table is for has not, or null. One block a group and image.
extern "C" __global__ void group_table(
    ChannelSums head, ChannelSums tail, long long pixels, const bf16 *__restrict__ weight,
    const bf16 *__restrict__ bias, const bf16 *__restrict__ added, RowVectors row_added, float eps,
    float *__restrict__ table) {
    __shared__ double shared[2][32];
    int channels = head.channels + tail.channels;
    int group = channels / gridDim.x, first = blockIdx.x * group;
    table += (long long)blockIdx.y * 2 * channels;
    double sum = 0.0, squares = 0.0;
    int split = min(max(head.channels - first, 0), group);
    if (split > 0) add_sums(head, first, split, &sum, &squares);
    if (split < group) add_sums(tail, first + split - head.channels, group - split, &sum, &squares);
    for (int offset = 16; offset > 0; offset /= 2) {
        sum += __shfl_xor_sync(0xffffffffu, sum, offset);
        squares += __shfl_xor_sync(0xffffffffu, squares, offset);
    }
    if (threadIdx.x % 32 == 0) {
        shared[0][threadIdx.x / 32] = sum;
        shared[1][threadIdx.x / 32] = squares;
    }
    __syncthreads();
    sum = squares = 0.0;
    for (int warp = 0; warp < blockDim.x / 32; warp++) {
        sum += shared[0][warp];
        squares += shared[1][warp];
    }
    double count = (double)pixels * group, mean = sum / count;
    double variance = squares / count - mean * mean;
    float inverse = (float)(1.0 / sqrt((variance < 0.0 ? 0.0 : variance) + eps));
    for (int c = first + threadIdx.x; c < first + group; c += blockDim.x) {
        float scale = inverse * to_float(weight[c]);
        float offset = (added ? to_float(added[c]) : 0.0f) - (float)mean;
        if (row_added.values) offset += to_float(row_added.values[blockIdx.y * row_added.stride + c]);
        table[c] = scale;
        table[channels + c] = to_float(bias[c]) + offset * scale;
    }
}

// out = x * scale + shift for each channel, and its SiLU if `activate`. The channels from `split` on are those of `tail`.
extern "C" __global__ void scale_shift(
    const bf16 *__restrict__ x, const bf16 *__restrict__ tail, int split, const float *__restrict__ table,
    bf16 *__restrict__ out, long long pixels, int channels, int per_block, int activate) {
    Part part = part_of(pixels, channels, per_block);
    long long image = blockIdx.y;
    table += image * 2 * channels;
    out += image * pixels * channels;
    float scale[8], shift[8];
    for (int j = 0; j < 8; j++) {
        scale[j] = table[part.channel + j];
        shift[j] = table[channels + part.channel + j];
    }
    // Where the thread's eight channels are: of `x` [.., split] or of `tail` [.., channels - split].
    bool in_tail = part.channel >= split;
    int width = in_tail ? channels - split : split;
    const bf16 *from = (in_tail ? tail + part.channel - split : x + part.channel) + image * pixels * width;
    for (int p = part.lane; p < part.count; p += UNROLL * part.lanes) {
        uint4 a[UNROLL];
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
            int pixel = p + u * part.lanes;
            if (pixel < part.count) a[u] = *(const uint4 *)(from + (part.first + pixel) * width);
        }
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
            int pixel = p + u * part.lanes;
            if (pixel < part.count) {
                float values[8];
                unpack8(a[u], values);
                for (int j = 0; j < 8; j++) {
                    float y = values[j] * scale[j] + shift[j];
                    values[j] = activate ? __fdividef(y, 1.0f + __expf(-y)) : y;
                }
                store8(out + (part.first + pixel) * channels + part.channel, values);
            }
        }
    }
}

// x = x + bias of [pixels, channels], or its SiLU if `activate`, in place. One thread for eight channels of a pixel.
extern "C" __global__ void bias_silu(
    bf16 *__restrict__ x, const bf16 *__restrict__ bias, int channels, int activate, long long vectors) {
    long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= vectors) return;
    float values[8], added[8];
    load8(x + index * 8, values);
    load8(bias + index % (channels / 8) * 8, added);
    for (int j = 0; j < 8; j++) {
        values[j] += added[j];
        if (activate) values[j] = silu(values[j]);
    }
    store8(x + index * 8, values);
}

// Every pixel of images [height, width, channels] becomes four; the last row or column is cut off where the result, of
// out_height x out_width, has an odd edge. One thread for eight channels of the result.
extern "C" __global__ void enlarge(
    const bf16 *__restrict__ x, bf16 *__restrict__ out, int height, int width, int out_height, int out_width,
    int channels, long long vectors) {
    long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= vectors) return;
    int per_pixel = channels / 8;
    int channel = (int)(index % per_pixel) * 8;
    long long pixel = index / per_pixel;
    int column = (int)(pixel % out_width);
    long long rest = pixel / out_width;
    int row = (int)(rest % out_height);
    long long from = (rest / out_height * height + row / 2) * width + column / 2;
    *(uint4 *)(out + pixel * channels + channel) = *(const uint4 *)(x + from * channels + channel);
}

// Latents [channels, height, width] of any strides to channels-last ones, x / divisor + shift; channels beyond are zeros.
extern "C" __global__ void channels_last(
    const float *__restrict__ x, long long channel_stride, long long row_stride, long long column_stride,
    bf16 *__restrict__ out, int width, int channels, int out_channels, float divisor, float shift,
    long long elements) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= elements) return;
    int channel = (int)(i % out_channels);
    long long pixel = i / out_channels;
    float value = 0.0f;
    if (channel < channels) {
        const float *from = x + channel * channel_stride + pixel / width * row_stride + pixel % width * column_stride;
        value = *from / divisor + shift;
    }
    out[i] = to_bf16(value);
}

// The first channels of an image as planes of `pixels` values, (x + bias - shift) * scale; without a bias if it is null.
extern "C" __global__ void channels_first(
    const bf16 *__restrict__ x, int in_channels, const bf16 *__restrict__ bias, float *__restrict__ out,
    long long pixels, float shift, float scale, long long elements) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= elements) return;
    int channel = (int)(i / pixels);
    float value = to_float(x[i % pixels * in_channels + channel]);
    if (bias) value += to_float(bias[channel]);
    out[i] = (value - shift) * scale;
}

struct Axes {
    long long extent[4], stride[4];
};

// A tensor of four axes and any strides into one whose rows, the last axis, are `pitch` apart.
extern "C" __global__ void rearrange(
    const bf16 *__restrict__ x, Axes axes, bf16 *__restrict__ out, long long pitch, long long elements) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= elements) return;
    long long column = i % axes.extent[3], row = i / axes.extent[3];
    long long from = column * axes.stride[3], rest = row;
    for (int axis = 2; axis >= 0; axis--) {
        from += rest % axes.extent[axis] * axes.stride[axis];
        rest /= axes.extent[axis];
    }
    out[row * pitch + column] = x[from];
}

// Four scores from `at`; those beyond the row weigh nothing.
__device__ __forceinline__ float4 scores4(const float *row, int at, int columns) {
    float4 v = *(const float4 *)(row + at);
    float nothing = __int_as_float(0xff800000);
    if (at + 1 >= columns) v.y = nothing;
    if (at + 2 >= columns) v.z = nothing;
    if (at + 3 >= columns) v.w = nothing;
    return v;
}

// out[row] = softmax(scores[row]). One block a row; rows of both are `stride` apart, a multiple of 4, and are filled up
// with zeros to the next multiple of 4.
extern "C" __global__ void softmax_rows(
    const float *__restrict__ scores, bf16 *__restrict__ out, int columns, long long stride) {
    __shared__ float shared[32];
    const float *row = scores + blockIdx.x * stride;
    float highest = __int_as_float(0xff800000), sum = 0.0f;
    for (int i = threadIdx.x * 4; i < columns; i += blockDim.x * 4) {
        float4 v = scores4(row, i, columns);
        float before = highest;
        highest = fmaxf(highest, fmaxf(fmaxf(v.x, v.y), fmaxf(v.z, v.w)));
        sum = sum * __expf(before - highest) + __expf(v.x - highest) + __expf(v.y - highest) +
              __expf(v.z - highest) + __expf(v.w - highest);
    }
    float top = block_max(highest, shared);
    // A thread without columns has no highest score.
    float total = block_sum(sum == 0.0f ? 0.0f : sum * __expf(highest - top), shared);
    float inverse = 1.0f / total;
    for (int i = threadIdx.x * 4; i < columns; i += blockDim.x * 4) {
        float4 v = scores4(row, i, columns);
        uint2 packed;
        packed.x = pack2(__expf(v.x - top) * inverse, __expf(v.y - top) * inverse);
        packed.y = pack2(__expf(v.z - top) * inverse, __expf(v.w - top) * inverse);
        *(uint2 *)(out + blockIdx.x * stride + i) = packed;
    }
}

// The last 3x3 convolution, to three channels, of which the products are done: taps[pixel] has, for each position of
// the filter and each channel, what the pixel adds to a neighbour; `pitch` from one pixel to the next. Out are three
// planes, from -1..1 to 0..1.
extern "C" __global__ void gather_rgb(
    const float *__restrict__ taps, int pitch, const bf16 *__restrict__ bias, float *__restrict__ out, int height,
    int width) {
    long long pixels = (long long)height * width;
    long long pixel = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= pixels) return;
    int y = (int)(pixel / width), x = (int)(pixel % width);
    float rgb[3];
    for (int c = 0; c < 3; c++) rgb[c] = to_float(bias[c]);
#pragma unroll
    for (int ky = 0; ky < 3; ky++) {
#pragma unroll
        for (int kx = 0; kx < 3; kx++) {
            int row = y + ky - 1, column = x + kx - 1;
            if (row >= 0 && row < height && column >= 0 && column < width) {
                const float *from = taps + ((long long)row * width + column) * pitch + (ky * 3 + kx) * 3;
                for (int c = 0; c < 3; c++) rgb[c] += from[c];
            }
        }
    }
    for (int c = 0; c < 3; c++) {
        float value = (rgb[c] + 1.0f) * 0.5f;
        // In this order what is not a number stays so.
        value = value < 0.0f ? 0.0f : value;
        out[c * pixels + pixel] = value > 1.0f ? 1.0f : value;
    }
}
