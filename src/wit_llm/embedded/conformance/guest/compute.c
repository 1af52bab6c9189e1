/* E: computing with models that do next to nothing, so that everything else shows. */
#include "cases.h"

#define MANY 1000

/* ---- identity: `echo-<type>`, [2, 3]; no NaN, whose payload is a backend's own business once it computes */

static const uint16_t fp16[] = { 0x0000, 0x8000, 0x7C00, 0xFC00, 0x7BFF, 0x3555 };
static const uint32_t fp32[] = { 0, 0x80000000, 0x7F800000, 0xFF800000, 0x7F7FFFFF, 0x3EAAAAAB };
static const uint64_t fp64[] = { 0, 1ull << 63, 0x7FFull << 52, 0xFFFull << 52, 0x7FEFFFFFFFFFFFFF, 0x3FD5555555555555 };
static const uint16_t bf16[] = { 0x0000, 0x8000, 0x7F80, 0xFF80, 0x7F7F, 0x3EAB };
static const uint8_t u8[] = { 0, 1, 127, 128, 254, 255 };
static const int32_t i32[] = { 0, 1, -1, INT32_MAX, INT32_MIN, 16777217 };
static const int64_t i64[] = { 0, 1, -1, INT32_MAX, INT32_MIN, 16777217 };
static const int64_t wide[] = { 1ll << 32, -(1ll << 32), INT64_MAX, INT64_MIN, 0x0102030405060708, 1 };

static bool is_unsupported(const char *name, nn_error error) { return is_error(name, error, NN_UNSUPPORTED_OPERATION); }

echo_result echo(uint8_t ty, const void *data) {
    model on;
    nn_named_list outputs;
    nn_error error;
    size_t bytes = 6 * element_bytes(ty);
    char name[16];
    snprintf(name, sizeof name, "echo-%s", type_names[ty]);
    for (char *at = name; *at; at++) *at |= *at >= 'A' && *at <= 'Z' ? 0x20 : 0;
    if (!nn_load_by_name(str_of(name), &on.graph, &error)) {
        if (nn_error_code(error) != NN_NOT_FOUND) return is_unsupported(name, error) ? ECHO_UNSUPPORTED : ECHO_WRONG;
        nn_error_drop(error);
        return not_run("%s is not granted", name), ECHO_WRONG;
    }
    if (!nn_init(on.graph, &on.context, &error))
        return nn_graph_drop(on.graph), is_unsupported(name, error) ? ECHO_UNSUPPORTED : ECHO_WRONG;
    nn_named input = NAMED("x", tensor_of(ty, DIMENSIONS(2, 3), data, bytes));
    bool came = nn_compute(on.context, &input, 1, &outputs, &error);
    close_model(on);
    if (!came) return is_unsupported(name, error) ? ECHO_UNSUPPORTED : ECHO_WRONG;
    bool good = is_output(&outputs, 0, "y", ty, DIMENSIONS(2, 3), data, bytes)
                && (outputs.len == 1 || fail("%zu outputs, wanted 1", outputs.len)) && seen("the same %zu bytes", bytes);
    free_outputs(&outputs);
    return good ? ECHO_CAME : ECHO_WRONG;
}

static bool fp16_echoes(void) { return echo(NN_FP16, fp16) != ECHO_WRONG; }
static bool fp32_echoes(void) { return echo(NN_FP32, fp32) != ECHO_WRONG; }
static bool fp64_echoes(void) { return echo(NN_FP64, fp64) != ECHO_WRONG; }
static bool bf16_echoes(void) { return echo(NN_BF16, bf16) != ECHO_WRONG; }
static bool u8_echoes(void) { return echo(NN_U8, u8) != ECHO_WRONG; }
static bool i32_echoes(void) { return echo(NN_I32, i32) != ECHO_WRONG; }
static bool i64_echoes(void) { return echo(NN_I64, i64) != ECHO_WRONG; }

static bool wide_i64_is_not_cut(void) {
    model on;
    nn_named_list outputs;
    nn_error error;
    if (!open_model("echo-i64", &on)) return false;
    nn_named input = NAMED("x", tensor_of(NN_I64, DIMENSIONS(2, 3), wide, sizeof wide));
    bool good = nn_compute(on.context, &input, 1, &outputs, &error);
    if (good) {
        good = is_output(&outputs, 0, "y", NN_I64, DIMENSIONS(2, 3), wide, sizeof wide) && seen("the same bytes");
        free_outputs(&outputs);
    } else {
        good = is_error("values beyond 32 bits", error, NN_UNSUPPORTED_OPERATION);
    }
    close_model(on);
    return good;
}

/* ---- names, order: `add` has inputs a and b; `two-in-two-out` has left and right */

static const float ones[] = { 1, 2, 3, 4 }, tens[] = { 10, 20, 30, 40 }, sums[] = { 11, 22, 33, 44 };

static nn_named a(void) { return NAMED("a", floats(ones, 4)); }
static nn_named b(void) { return NAMED("b", floats(tens, 4)); }

static bool adds_on(model on) {
    nn_named inputs[] = { a(), b() };
    nn_named_list outputs;
    if (!computes("a and b", on, inputs, 2, &outputs)) return false;
    bool good = is_output(&outputs, 0, "sum", NN_FP32, DIMENSIONS(4), sums, sizeof sums);
    free_outputs(&outputs);
    return good;
}

static bool adds(void) {
    model on;
    if (!open_model("add", &on)) return false;
    bool good = adds_on(on) && seen("[11, 22, 33, 44]");
    close_model(on);
    return good;
}

static bool both_come(bool swapped) {
    static const float left[] = { 1.5f, -2 }, doubled[] = { 3, -4 };
    static const int32_t right[] = { 7, 0, -9 }, negated[] = { -7, 0, 9 };
    model on;
    nn_named_list outputs;
    if (!open_model("two-in-two-out", &on)) return false;
    nn_named inputs[2];
    inputs[swapped] = NAMED("left", floats(left, 2));
    inputs[!swapped] = NAMED("right", tensor_of(NN_I32, DIMENSIONS(3), right, sizeof right));
    bool good = computes("left and right", on, inputs, 2, &outputs);
    if (good) {
        good = is_output(&outputs, 0, "doubled", NN_FP32, DIMENSIONS(2), doubled, sizeof doubled)
               && is_output(&outputs, 1, "negated", NN_I32, DIMENSIONS(3), negated, sizeof negated)
               && (outputs.len == 2 || fail("%zu outputs, wanted 2", outputs.len)) && seen("doubled, negated");
        free_outputs(&outputs);
    }
    close_model(on);
    return good;
}

static bool two_in_two_out(void) { return both_come(false); }
static bool any_order(void) { return both_come(true); }

/* Whether `add` refuses these inputs as invalid-argument, and computes afterwards. */
static bool add_refuses(const char *what, const nn_named *inputs, size_t count) {
    model on;
    if (!open_model("add", &on)) return false;
    bool good = adds_on(on) && refuses(what, on, inputs, count, NN_INVALID_ARGUMENT);
    close_model(on);
    return good;
}

static bool unknown_name(void) {
    nn_named instead[] = { a(), NAMED("c", floats(tens, 4)) };
    if (!add_refuses("c instead of b", instead, 2)) return false;
    nn_named beside[] = { a(), b(), NAMED("c", floats(tens, 4)) };
    return add_refuses("c beside a and b", beside, 3);
}

static bool missing_name(void) {
    nn_named alone = a();
    return add_refuses("a alone", &alone, 1);
}

static bool double_name(void) {
    nn_named twice[] = { a(), a() };
    if (!add_refuses("a twice", twice, 2)) return false;
    nn_named thrice[] = { a(), b(), a() };
    return add_refuses("a, b and a", thrice, 3);
}

static bool empty_name(void) {
    nn_named inputs[] = { a(), NAMED("", floats(tens, 4)) };
    return add_refuses("an empty name", inputs, 2);
}

static bool empty_list(void) { return add_refuses("no inputs", NULL, 0); }

static bool add_refuses_b(const char *what, uint8_t ty, nn_dimensions dimensions, size_t bytes) {
    static const uint8_t zeros[64];
    nn_named inputs[] = { a(), NAMED("b", tensor_of(ty, dimensions, zeros, bytes)) };
    return add_refuses(what, inputs, 2);
}

static bool wrong_rank(void) {
    return add_refuses_b("FP32[1, 4] for FP32[4]", NN_FP32, DIMENSIONS(1, 4), 16)
           && add_refuses_b("FP32[2, 2] for FP32[4]", NN_FP32, DIMENSIONS(2, 2), 16);
}

static bool wrong_dimension(void) {
    return add_refuses_b("FP32[1] for FP32[4]", NN_FP32, DIMENSIONS(1), 4)
           && add_refuses_b("FP32[0] for FP32[4]", NN_FP32, DIMENSIONS(0), 0)
           && add_refuses_b("FP32[5] for FP32[4]", NN_FP32, DIMENSIONS(5), 20);
}

static bool wrong_type(void) {
    for (uint8_t ty = 0; ty < 7; ty++) {
        char what[32];
        snprintf(what, sizeof what, "%s[4] for FP32[4]", type_names[ty]);
        if (ty != NN_FP32 && !add_refuses_b(what, ty, DIMENSIONS(4), 4 * element_bytes(ty))) return false;
    }
    return true;
}

/* ---- sizes: `dynamic` doubles FP32[?, ?] */

static bool doubles(model on, uint32_t rows, uint32_t columns, float value) {
    nn_named input = NAMED("x", matrix(rows, columns, value));
    nn_named_list outputs;
    if (!computes("the matrix", on, &input, 1, &outputs)) return false;
    size_t bytes = (size_t)rows * columns * sizeof(float);
    float *wanted = malloc(bytes + 1);
    for (size_t i = 0; i < bytes / sizeof *wanted; i++) wanted[i] = 2 * value;
    bool good = is_output(&outputs, 0, "y", NN_FP32, DIMENSIONS(rows, columns), wanted, bytes);
    free(wanted);
    free_outputs(&outputs);
    return good;
}

static bool any_size(void) {
    model on;
    if (!open_model("dynamic", &on)) return false;
    bool good = doubles(on, 2, 3, 1) && doubles(on, 1, 1, 2) && doubles(on, 100, 70, 3) && doubles(on, 1, 1000, 4)
                && doubles(on, 3, 2, 5) && seen("[2, 3], [1, 1], [100, 70], [1, 1000], [3, 2]");
    close_model(on);
    return good;
}

static bool zero_size(void) {
    model on;
    if (!open_model("dynamic", &on)) return false;
    bool good = doubles(on, 0, 3, 0) && doubles(on, 2, 0, 0) && doubles(on, 2, 3, 1) && seen("[0, 3], [2, 0]");
    close_model(on);
    return good;
}

static bool length_in_bytes(void) {
    static const char text[] = "text travels as U8[length in bytes]: \xE6\x97\xA5\xE6\x9C\xAC";
    model on;
    nn_named_list outputs;
    if (!open_model("echo", &on)) return false;
    uint32_t len = sizeof text - 1;
    nn_named input = NAMED("x", tensor_of(NN_U8, DIMENSIONS(len), text, len));
    bool good = computes("the text", on, &input, 1, &outputs);
    if (good) good = is_output(&outputs, 0, "y", NN_U8, DIMENSIONS(len), text, len), free_outputs(&outputs);
    close_model(on);
    return good && seen("%u bytes", (unsigned)len);
}

/* ---- again and again, side by side, and after a failure */

static bool a_thousand(void) {
    model on;
    if (!open_model("dynamic", &on)) return false;
    bool good = true;
    for (int i = 0; good && i < MANY; i++) good = doubles(on, 1, 2, (float)i);
    close_model(on);
    return good && seen("%d", MANY);
}

static bool a_thousand_failures(void) {
    static const float zeros[64 * 64];
    model on;
    if (!open_model("dynamic", &on)) return false;
    bool good = true;
    for (int i = 0; good && i < MANY; i++) {
        nn_named input = NAMED("x", tensor_of(NN_FP32, DIMENSIONS(64, 65), zeros, sizeof zeros));
        good = refuses("FP32[64, 65] without its last bytes", on, &input, 1, ANY_CODE);
    }
    good = good && doubles(on, 1, 2, 3) && seen("%d", MANY);
    close_model(on);
    return good;
}

static bool two_contexts(void) {
    model one, two;
    if (!open_model("add", &one)) return false;
    if (!open_model("add", &two)) return close_model(one), false;
    nn_named alone = a();
    bool good = adds_on(one) && refuses("a alone in the second context", two, &alone, 1, ANY_CODE);
    if (good) {
        nn_named other = b();
        good = refuses("b alone in the first context", one, &other, 1, ANY_CODE) && adds_on(two) && adds_on(one);
    }
    close_model(one), close_model(two);
    return good;
}

static bool failure_then_success(void) {
    model on;
    if (!open_model("add", &on)) return false;
    bool good = true;
    for (int i = 0; good && i < 3; i++) {
        nn_named inputs[] = { a(), NAMED("b", tensor_of(NN_FP32, DIMENSIONS(4), tens, 15)) };
        good = refuses("15 bytes for FP32[4]", on, inputs, 2, ANY_CODE) && adds_on(on);
    }
    close_model(on);
    return good && seen("three times");
}

static bool outputs_outlive(void) {
    model on;
    nn_named_list outputs;
    if (!open_model("add", &on)) return false;
    nn_named inputs[] = { a(), b() };
    bool good = computes("a and b", on, inputs, 2, &outputs);
    close_model(on);
    if (!good) return false;
    good = is_output(&outputs, 0, "sum", NN_FP32, DIMENSIONS(4), sums, sizeof sums);
    free_outputs(&outputs);
    return good && seen("read after its context");
}

const suite_case compute_cases[] = {
    { "E.identity-fp16", "`echo-fp16` gives every byte back", fp16_echoes },
    { "E.identity-fp32", "`echo-fp32` gives every byte back", fp32_echoes },
    { "E.identity-fp64", "`echo-fp64` gives every byte back, or unsupported-operation", fp64_echoes },
    { "E.identity-bf16", "`echo-bf16` gives every byte back, or unsupported-operation", bf16_echoes },
    { "E.identity-u8", "`echo-u8` gives every byte back", u8_echoes },
    { "E.identity-i32", "`echo-i32` gives every byte back", i32_echoes },
    { "E.identity-i64", "`echo-i64` gives every byte back", i64_echoes },
    { "E.wide-i64", "I64 beyond 32 bits comes through whole, or is refused as unsupported-operation", wide_i64_is_not_cut },
    { "E.add", "two inputs, one output", adds },
    { "E.two-in-two-out", "two outputs come under the model's names and in its order", two_in_two_out },
    { "E.any-order", "the order of the inputs does not matter", any_order },
    { "E.name-unknown", "an input that the model does not have is invalid-argument", unknown_name },
    { "E.name-missing", "a missing input is invalid-argument", missing_name },
    { "E.name-twice", "an input that is there twice is invalid-argument", double_name },
    { "E.name-empty", "an input without a name is invalid-argument", empty_name },
    { "E.empty-list", "no inputs at all are invalid-argument", empty_list },
    { "E.wrong-rank", "another rank is invalid-argument, with the right number of bytes too", wrong_rank },
    { "E.wrong-dimension", "another dimension is invalid-argument: nothing is broadcast", wrong_dimension },
    { "E.wrong-type", "each other type is invalid-argument: nothing is cast", wrong_type },
    { "E.dynamic", "free dimensions take any size, larger and smaller, on one context", any_size },
    { "E.zero-sized", "a free dimension takes zero", zero_size },
    { "E.text", "a U8 tensor of any length comes back", length_in_bytes },
    { "E.thousand", "1,000 computes on one context, each with its own answer", a_thousand },
    { "E.thousand-failures", "1,000 refused computes leave no tensor behind", a_thousand_failures },
    { "E.two-contexts", "two contexts do not see each other's inputs", two_contexts },
    { "E.failure-then-success", "a context computes after a refusal", failure_then_success },
    { "E.outputs-outlive", "outputs can be read after context and graph are dropped", outputs_outlive },
    { 0 },
};
