/* B: what a tensor is, before any graph sees it; and that a graph refuses one that contradicts itself. */
#include "cases.h"

/* Zeros, infinities, the largest, the smallest, and NaNs with payloads, quiet and signalling, of each type. */
static const uint16_t fp16[] = { 0x0000, 0x8000, 0x7C00, 0xFC00, 0x7BFF, 0x0001, 0x7E01, 0x7C01 };
static const uint32_t fp32[] = { 0, 0x80000000, 0x7F800000, 0xFF800000, 0x7F7FFFFF, 1, 0x7FC12345, 0x7F800001 };
static const uint64_t fp64[] = { 0, 1ull << 63, 0x7FFull << 52, 0xFFFull << 52, 0x7FEFFFFFFFFFFFFF, 1,
                                 0x7FF8000012345678, 0x7FF0000000000001 };
static const uint16_t bf16[] = { 0x0000, 0x8000, 0x7F80, 0xFF80, 0x7F7F, 0x0001, 0x7FC1, 0x7F81 };
static const uint8_t u8[] = { 0, 1, 2, 127, 128, 253, 254, 255 };
static const uint32_t i32[] = { 0, 1, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x01020304, 42, 0xFFFFFFD6 };
static const uint64_t i64[] = { 0, 1, ~0ull, ~0ull >> 1, 1ull << 63, 0x0102030405060708, 1ull << 40, 42 };

static bool comes_back(const char *what, uint8_t ty, nn_dimensions dimensions, const void *data, size_t bytes) {
    nn_tensor tensor = tensor_of(ty, dimensions, data, bytes);
    bool same = is_tensor(what, tensor, ty, dimensions, data, bytes);
    nn_tensor_drop(tensor);
    return same;
}

static bool type_comes_back(uint8_t ty, const void *data, size_t bytes) {
    return comes_back(type_names[ty], ty, DIMENSIONS(2, 4), data, bytes) && seen("%s[2, 4], %zu bytes", type_names[ty], bytes);
}

static bool fp16_comes_back(void) { return type_comes_back(NN_FP16, fp16, sizeof fp16); }
static bool fp32_comes_back(void) { return type_comes_back(NN_FP32, fp32, sizeof fp32); }
static bool fp64_comes_back(void) { return type_comes_back(NN_FP64, fp64, sizeof fp64); }
static bool bf16_comes_back(void) { return type_comes_back(NN_BF16, bf16, sizeof bf16); }
static bool u8_comes_back(void) { return type_comes_back(NN_U8, u8, sizeof u8); }
static bool i32_comes_back(void) { return type_comes_back(NN_I32, i32, sizeof i32); }
static bool i64_comes_back(void) { return type_comes_back(NN_I64, i64, sizeof i64); }

static bool rank_comes_back(uint32_t rank) {
    uint32_t sizes[17];
    for (uint32_t axis = 0; axis < rank; axis++) sizes[axis] = axis + 1 == rank ? 8 : 1;
    nn_dimensions dimensions = { sizes, rank };
    return comes_back("the tensor", NN_U8, dimensions, u8, rank ? 8 : 1) && seen("%u dimensions", (unsigned)rank);
}

static bool rank_0_comes_back(void) { return rank_comes_back(0); }
static bool rank_1_comes_back(void) { return rank_comes_back(1); }
static bool rank_8_comes_back(void) { return rank_comes_back(8); }
static bool rank_17_comes_back(void) { return rank_comes_back(17); }

static bool zero_sized_comes_back(void) {
    return comes_back("the tensor", NN_FP32, DIMENSIONS(2, 0, 3), NULL, 0) && seen("FP32[2, 0, 3], no byte");
}

/* ---- tensors that contradict themselves: made, and refused by the graph, whose ranks and types they have */

typedef struct { uint32_t rows, columns; size_t bytes; } shape;

static bool is_refused(model on, shape it) {
    static const uint8_t data[64];
    nn_dimensions dimensions = DIMENSIONS(it.rows, it.columns);
    if (!comes_back("the tensor", NN_FP32, dimensions, data, it.bytes)) return false;
    char what[64];
    snprintf(what, sizeof what, "FP32[%u, %u] of %zu bytes", (unsigned)it.rows, (unsigned)it.columns, it.bytes);
    nn_named input = NAMED("x", tensor_of(NN_FP32, dimensions, data, it.bytes));
    return refuses(what, on, &input, 1, NN_INVALID_ARGUMENT);
}

static bool are_refused(const shape *shapes, size_t count) {
    model on;
    if (!open_model("dynamic", &on)) return false;
    bool good = true;
    for (size_t i = 0; good && i < count; i++) good = is_refused(on, shapes[i]);
    close_model(on);
    return good;
}

static bool overflow_is_refused(void) {
    /* 4 times the first product is 2^34, 0 in 32 bits; of the second 2^64, 0 in 64; the third is near 2^66. */
    static const shape shapes[] = { { 1u << 16, 1u << 16, 0 }, { 1u << 31, 1u << 31, 0 }, { ~0u, ~0u, 16 } };
    return are_refused(shapes, COUNT(shapes));
}

static bool short_data_is_refused(void) {
    static const shape shapes[] = { { 2, 2, 15 }, { 2, 2, 12 }, { 2, 2, 0 } };
    return are_refused(shapes, COUNT(shapes));
}

static bool long_data_is_refused(void) {
    static const shape shapes[] = { { 2, 2, 17 }, { 2, 2, 20 }, { 2, 2, 32 }, { 2, 0, 4 } };
    return are_refused(shapes, COUNT(shapes));
}

const suite_case tensor_cases[] = {
    { "B.fp16", "an FP16 tensor gives back dimensions, type and bytes, NaN payloads included", fp16_comes_back },
    { "B.fp32", "an FP32 tensor gives back dimensions, type and bytes, NaN payloads included", fp32_comes_back },
    { "B.fp64", "an FP64 tensor gives back dimensions, type and bytes, NaN payloads included", fp64_comes_back },
    { "B.bf16", "a BF16 tensor gives back dimensions, type and bytes, NaN payloads included", bf16_comes_back },
    { "B.u8", "a U8 tensor gives back dimensions, type and bytes", u8_comes_back },
    { "B.i32", "an I32 tensor gives back dimensions, type and bytes", i32_comes_back },
    { "B.i64", "an I64 tensor gives back dimensions, type and bytes", i64_comes_back },
    { "B.rank-0", "a tensor without dimensions can be made and gives back its one element", rank_0_comes_back },
    { "B.rank-1", "a tensor of 1 dimension can be made and read", rank_1_comes_back },
    { "B.rank-8", "a tensor of 8 dimensions can be made and read", rank_8_comes_back },
    { "B.rank-17", "a tensor of 17 dimensions can be made and read: the constructor cannot fail", rank_17_comes_back },
    { "B.zero-sized", "a dimension of zero is a size like any other, with no data", zero_sized_comes_back },
    { "B.overflow", "dimensions whose product overflows 32 or 64 bits: made, and refused by compute", overflow_is_refused },
    { "B.too-short", "data shorter than the dimensions ask for: made, and refused by compute", short_data_is_refused },
    { "B.too-long", "data longer than the dimensions ask for: made, and refused by compute", long_data_is_refused },
    { 0 },
};
