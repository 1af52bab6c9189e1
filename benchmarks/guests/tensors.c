/* tensors GRAPH list|bulk BYTES ROUNDS: how long tensors take from C.
 *
 * GRAPH gives one U8 tensor back as it came. Each round makes a tensor of BYTES bytes, computes, reads the answer and
 * compares it; the guest prints the nanoseconds of each step of each round as JSON. World `wit-llm:nn/guest`. */
#define WASI_NN_IMPLEMENTATION
#include "wasi_nn.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WORD = 8, WORDS_AT_ONCE = 1 << 16 }; /* what stays in a processor's cache is fastest */

#define BULK(function) __attribute__((import_module("wit-llm:nn/bulk@0.1.0"), import_name(function)))
typedef struct { uint8_t failed; uint8_t pad[7]; uint64_t payload[4]; } bulk_result; /* result<_ or tensor, error> */
typedef struct { const uint64_t *ptr; size_t len; } bulk_words;

BULK("[constructor]builder") int32_t bulk_builder_new(const uint32_t *dimensions, size_t rank, int32_t ty);
BULK("[method]builder.append") void bulk_append(int32_t builder, const uint64_t *words, size_t count, bulk_result *result);
BULK("[method]builder.finish") void bulk_finish(int32_t builder, bulk_result *result);
BULK("[resource-drop]builder") void bulk_builder_drop(int32_t builder);
BULK("read") void bulk_read(int32_t tensor, uint32_t offset, uint32_t count, bulk_words *result);

static void die(const char *what) {
    fprintf(stderr, "error: %s\n", what);
    exit(1);
}

static void die_of(nn_error error) { die(nn_error_data(error).ptr); }

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static nn_tensor into_host(const uint8_t *data, size_t size, bool in_words) {
    uint32_t dimension = (uint32_t)size;
    nn_dimensions dimensions = { &dimension, 1 };
    if (!in_words) return nn_tensor_new(dimensions, NN_U8, (nn_bytes){ data, size });
    int32_t builder = bulk_builder_new(dimensions.ptr, dimensions.len, NN_U8);
    bulk_result result;
    for (size_t at = 0, words = (size + WORD - 1) / WORD; at < words; at += WORDS_AT_ONCE) {
        size_t count = words - at < WORDS_AT_ONCE ? words - at : WORDS_AT_ONCE;
        bulk_append(builder, (const uint64_t *)data + at, count, &result);
        if (result.failed) die("append failed");
    }
    bulk_finish(builder, &result);
    if (result.failed) die("finish failed");
    bulk_builder_drop(builder);
    return (nn_tensor){ (int32_t)result.payload[0] };
}

static void out_of_host(nn_tensor tensor, uint8_t *data, size_t size, bool in_words) {
    if (!in_words) {
        nn_bytes bytes = nn_tensor_data(tensor);
        if (bytes.len != size) die("the answer has another size");
        memcpy(data, bytes.ptr, size);
        free((void *)bytes.ptr);
        return;
    }
    for (size_t at = 0, words = (size + WORD - 1) / WORD; at < words; at += WORDS_AT_ONCE) {
        bulk_words read;
        bulk_read(tensor.handle, (uint32_t)at, WORDS_AT_ONCE, &read);
        if (read.len != (words - at < WORDS_AT_ONCE ? words - at : WORDS_AT_ONCE)) die("the answer has another size");
        memcpy((uint64_t *)data + at, read.ptr, read.len * WORD);
        free((void *)read.ptr);
    }
}

int main(int argc, char **argv) {
    if (argc != 5 || (strcmp(argv[2], "list") && strcmp(argv[2], "bulk"))) die("usage: tensors GRAPH list|bulk BYTES ROUNDS");
    bool in_words = !strcmp(argv[2], "bulk");
    size_t size = strtoul(argv[3], NULL, 10), room = (size + WORD - 1) / WORD * WORD;
    int rounds = atoi(argv[4]);
    uint8_t *sent = calloc(1, room), *back = calloc(1, room);
    if (!sent || !back) die("no memory");
    for (size_t i = 0; i < size; i++) sent[i] = (uint8_t)(i * 31 + i / 251);

    nn_graph graph;
    nn_context context;
    nn_error error;
    if (!nn_load_by_name((nn_str){ argv[1], strlen(argv[1]) }, &graph, &error) || !nn_init(graph, &context, &error))
        die_of(error);
    printf("[");
    for (int round = 0; round < rounds; round++) {
        uint64_t began = now_ns();
        nn_named input = { { "x", 1 }, into_host(sent, size, in_words) };
        uint64_t made = now_ns();
        nn_named_list outputs;
        if (!nn_compute(context, &input, 1, &outputs, &error)) die_of(error);
        uint64_t computed = now_ns();
        out_of_host(outputs.ptr[0].tensor, back, size, in_words);
        uint64_t done = now_ns();
        nn_tensor_drop(outputs.ptr[0].tensor);
        free((void *)outputs.ptr[0].name.ptr), free(outputs.ptr);
        if (memcmp(sent, back, size)) die("what came back is not what went in");
        memset(back, 0, room);
        printf("%s[%" PRIu64 ", %" PRIu64 ", %" PRIu64 "]", round ? ", " : "", made - began, computed - made, done - computed);
    }
    printf("]\n");
    return 0;
}
