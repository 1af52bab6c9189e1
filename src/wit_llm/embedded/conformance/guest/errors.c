/* C: the codes of errors that a guest can bring about by itself, and how long an error lives. */
#include "cases.h"
#include <string.h>

#define DROPPED 10000

static bool invalid_argument_is_told(void) {
    model on;
    if (!open_model("add", &on)) return false;
    bool good = refuses("computing without inputs", on, NULL, 0, NN_INVALID_ARGUMENT);
    close_model(on);
    return good;
}

static bool not_found_is_told(void) {
    nn_graph graph;
    nn_error error;
    if (nn_load_by_name(STR("no-such-graph"), &graph, &error)) return nn_graph_drop(graph), fail("it was loaded");
    return is_error("an unknown name", error, NN_NOT_FOUND);
}

bool breaks_at(model on, int64_t n) {
    nn_named input = NAMED("n", tensor_of(NN_I64, DIMENSIONS(1), &n, sizeof n));
    static const float six[] = { 0, 1, 2, 3, 4, 5 };
    nn_named_list outputs;
    if (n != 3) return refuses("six elements in four rows of two", on, &input, 1, NN_RUNTIME_ERROR);
    if (!computes("six elements in three rows of two", on, &input, 1, &outputs)) return false;
    bool good = is_output(&outputs, 0, "y", NN_FP32, DIMENSIONS(3, 2), six, sizeof six);
    free_outputs(&outputs);
    return good;
}

static bool runtime_error_is_told(void) {
    model on;
    if (!open_model("breaks", &on)) return false;
    bool good = breaks_at(on, 3) && breaks_at(on, 4);
    if (good) good = breaks_at(on, 3) && breaks_at(on, 4); /* the second time `seen` has the error */
    close_model(on);
    return good;
}

static bool unsupported_operation_is_told(void) {
    static const uint8_t zeros[48];
    for (uint8_t ty = 0; ty < 7; ty++) {
        echo_result came = echo(ty, zeros);
        if (came != ECHO_CAME) return came == ECHO_UNSUPPORTED;
    }
    return not_run("the backend has all seven types");
}

static const nn_bytes junk = { (const uint8_t *)"this is no model", 16 };

static bool load_is_refused(uint8_t encoding, uint8_t code, uint8_t otherwise) {
    nn_graph graph;
    nn_error error;
    if (nn_load(&junk, 1, encoding, NN_CPU, &graph, &error)) return nn_graph_drop(graph), fail("junk was loaded");
    uint8_t got = nn_error_code(error);
    if (got == otherwise) return nn_error_drop(error), not_run("a load of bytes answers %s here", code_names[got]);
    return is_error("loading junk", error, code);
}

static bool invalid_encoding_is_told(void) {
    return load_is_refused(NN_TENSORFLOWLITE, NN_INVALID_ENCODING, NN_SECURITY);
}

static bool security_is_told(void) { return load_is_refused(NN_TENSORFLOWLITE, NN_SECURITY, NN_INVALID_ENCODING); }

static bool error_outlives_its_graph(void) {
    model on;
    nn_named_list outputs;
    nn_error error;
    if (!open_model("add", &on)) return false;
    if (nn_compute(on.context, NULL, 0, &outputs, &error))
        return free_outputs(&outputs), close_model(on), fail("computing without inputs went well");
    uint8_t code = nn_error_code(error);
    nn_str before = nn_error_data(error);
    close_model(on);
    nn_str after = nn_error_data(error);
    bool same = nn_error_code(error) == code && before.len == after.len && !strcmp(before.ptr, after.ptr);
    if (!same) fail("'%s' became '%s'", before.ptr, after.ptr);
    free((void *)before.ptr), free((void *)after.ptr);
    if (!same) return nn_error_drop(error), false;
    return is_error("after its graph", error, ANY_CODE);
}

static bool dropped_errors_are_gone(void) {
    for (int i = 0; i < DROPPED; i++)
        if (!not_found_is_told()) return false;
    return seen("%d", DROPPED);
}

const suite_case error_cases[] = {
    { "C.invalid-argument", "a compute without the inputs is invalid-argument", invalid_argument_is_told },
    { "C.not-found", "an unknown name is not-found", not_found_is_told },
    { "C.runtime-error", "what fails while it computes is runtime-error, and the graph works on", runtime_error_is_told },
    { "C.unsupported-operation", "a type that the backend does not have is unsupported-operation",
      unsupported_operation_is_told },
    { "C.invalid-encoding", "load with an encoding that has no backend is invalid-encoding", invalid_encoding_is_told },
    { "C.security", "load where it is not granted is security", security_is_told },
    { "C.outlives-graph", "an error can be read after graph and context are dropped", error_outlives_its_graph },
    { "C.ten-thousand", "10,000 errors, each dropped, leave nothing behind", dropped_errors_are_gone },
    { 0 },
};
