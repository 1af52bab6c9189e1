/* What a driver has one guest do while, before or after another one runs: E, F, G and H. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime, nanosleep */
#include "cases.h"
#include <time.h>

#define SECRET 42.0f
#define SLOW_MS 300

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static nn_tensor secret(void) { return matrix(8, 8, SECRET); }

/* ---- E: tensors that compute took away */

static bool use_consumed(uint32_t wrong) {
    model on;
    nn_named_list outputs;
    nn_error error;
    if (!open_model("dynamic", &on)) return false;
    /* Nothing computes what has dimensions and no bytes. */
    nn_named input = NAMED("x", wrong ? tensor_of(NN_FP32, DIMENSIONS(8, 8), "", 0) : secret());
    nn_tensor taken = input.tensor;
    bool computed = nn_compute(on.context, &input, 1, &outputs, &error);
    if (computed == (bool)wrong) return fail("the compute %s", computed ? "went well" : "failed");
    /* What came of it may have got the number of what is gone. */
    if (computed) free_outputs(&outputs);
    else nn_error_drop(error);
    note("computed");
    nn_bytes data = nn_tensor_data(taken); /* ends the guest */
    return fail("%zu bytes of a tensor that compute had taken", data.len);
}

/* ---- F: what an earlier guest left, what a neighbour has, and what a trap leaves */

static bool plant(uint32_t number) {
    (void)number;
    model on;
    if (!open_model("dynamic", &on)) return false;
    for (int i = 0; i < 20; i++) {
        nn_named input = NAMED("x", secret());
        nn_named_list outputs;
        if (!computes("the secret", on, &input, 1, &outputs)) return false;
        free_outputs(&outputs);
    }
    return note("planted"); /* and leave everything as it is */
}

static bool is_clean(model on, uint32_t rows) {
    nn_named input = NAMED("x", matrix(rows, 8, 1));
    nn_named_list outputs;
    float wanted[64];
    for (size_t i = 0; i < COUNT(wanted); i++) wanted[i] = 2;
    if (!computes("ones", on, &input, 1, &outputs)) return false;
    bool good = is_output(&outputs, 0, "y", NN_FP32, DIMENSIONS(rows, 8), wanted, rows * 8 * sizeof *wanted);
    free_outputs(&outputs);
    return good;
}

static bool look(uint32_t number) {
    (void)number;
    model on;
    if (!open_model("dynamic", &on)) return false;
    for (int i = 0; i < 20; i++) {
        nn_named other = NAMED("other", matrix(1, 8, 1)), less = NAMED("x", tensor_of(NN_FP32, DIMENSIONS(8, 8), "", 0));
        if (!refuses("no input", on, NULL, 0, ANY_CODE)) return false;
        if (!refuses("another input", on, &other, 1, ANY_CODE)) return false;
        if (!refuses("an input without its bytes", on, &less, 1, ANY_CODE)) return false;
        if (!is_clean(on, 1) || !is_clean(on, 8)) return false;
    }
    return close_model(on), note("clean");
}

static void hoard(uint32_t count) {
    while (count--) secret();
}

static bool hold(uint32_t count) {
    hoard(count);
    note("holding %u", (unsigned)count);
    nanosleep(&(struct timespec){ .tv_nsec = 500000000 }, NULL);
    return note("held");
}

static bool forge(uint32_t handle) {
    note("forging");
    nn_bytes data = nn_tensor_data((nn_tensor){ (int32_t)handle }); /* ends the guest */
    return fail("handle %u, which was never given, has %zu bytes", (unsigned)handle, data.len);
}

static bool trap(uint32_t count) {
    hoard(count);
    note("trapping");
    __builtin_trap();
}

/* ---- G: what no error can be given for, as a constructor cannot fail */

static bool hoard_bytes(uint32_t count) {
    for (uint32_t i = 0; i < count; i++) matrix(128, 128, SECRET);
    return note("holding %u tensors of 64 KiB", (unsigned)count);
}

static bool long_list(uint32_t bytes) {
    void *data = calloc(bytes, 1);
    nn_tensor tensor = tensor_of(NN_U8, DIMENSIONS(bytes), data, bytes);
    nn_bytes back = nn_tensor_data(tensor);
    return back.len == bytes ? note("%u bytes", (unsigned)bytes) : fail("%zu bytes of %u", back.len, (unsigned)bytes);
}

/* 4 GiB and more for a few bytes, which no guest could hold. */
static bool explode(uint32_t count) {
    model on;
    nn_error error;
    nn_named_list outputs;
    if (!open_model("square", &on)) return false;
    float *values = calloc(count, sizeof *values);
    nn_named input = NAMED("x", floats(values, count));
    if (nn_compute(on.context, &input, 1, &outputs, &error)) return fail("%u rows of %u", (unsigned)count, (unsigned)count);
    if (!is_error("the compute", error, ANY_CODE)) return false;
    static const float values_after[] = { 1, 3 }, wanted[] = { 1, 3, 3, 9 };
    nn_named little = NAMED("x", floats(values_after, 2));
    if (!computes("a small one after it", on, &little, 1, &outputs)) return false;
    bool good = is_output(&outputs, 0, "y", NN_FP32, DIMENSIONS(2, 2), wanted, sizeof wanted);
    return good && note("an error, and the graph works on");
}

/* ---- H: at once */

static bool many(uint32_t seed) {
    model on;
    if (!open_model("dynamic", &on)) return false;
    for (uint32_t i = 0; i < 100; i++) {
        float value = (float)(seed * 1000 + i), twice = 2 * value;
        nn_named input = NAMED("x", matrix(1, 1, value));
        nn_named_list outputs;
        if (!computes("a number", on, &input, 1, &outputs)) return false;
        bool good = is_output(&outputs, 0, "y", NN_FP32, DIMENSIONS(1, 1), &twice, sizeof twice);
        free_outputs(&outputs);
        if (!good) return false;
    }
    return close_model(on), note("100 answers");
}

/* Matrices grow until a compute takes SLOW_MS; each is told with when it began and ended. `longest` is for a deadline. */
static bool slow(uint32_t longest) {
    model on;
    if (!open_model("slow", &on)) return false;
    uint64_t wanted = longest ? longest : SLOW_MS, took = 0;
    for (uint32_t n = 256; took < wanted && n <= 8192; n *= 2) {
        float *values = calloc(n, sizeof *values);
        values[0] = 1;
        nn_named input = NAMED("x", floats(values, n));
        nn_named_list outputs;
        nn_error error;
        uint64_t began = now_ms();
        if (!nn_compute(on.context, &input, 1, &outputs, &error)) return is_error("the compute", error, NN_TIMEOUT) && note("timeout");
        uint64_t ended = now_ms();
        took = ended - began;
        bool good = is_output(&outputs, 0, "y", NN_FP32, DIMENSIONS(n), values, n * sizeof *values);
        free_outputs(&outputs);
        free(values);
        if (!good) return false;
        note("slow %llu %llu", (unsigned long long)began, (unsigned long long)ended);
    }
    return close_model(on), true;
}

/* Computes on another graph, and tells when each began and ended. */
static bool quick(uint32_t count) {
    model on;
    float worst;
    if (!open_model("numbers", &on)) return false;
    while (count--) {
        uint64_t began = now_ms();
        if (!classifies(on, &worst)) return false;
        note("quick %llu %llu", (unsigned long long)began, (unsigned long long)now_ms());
    }
    return close_model(on), true;
}

static bool load(uint32_t number) {
    (void)number;
    model on;
    return open_model("numbers", &on) && (close_model(on), note("loaded"));
}

const suite_act acts[] = {
    { "load", load },
    { "use-consumed", use_consumed }, { "plant", plant }, { "look", look }, { "hold", hold }, { "forge", forge },
    { "trap", trap }, { "hoard-bytes", hoard_bytes }, { "long-list", long_list }, { "explode", explode }, { "many", many }, { "slow", slow },
    { "quick", quick }, { 0 },
};
