/* G: limits. A host need not have one; where it has, it says so by its code, and the guest can go on. */
#include "cases.h"

#define HANDLES 2000
#define GRAPHS 4

/* Whether the graph computes as before. */
static bool goes_on(void) {
    model on;
    float worst;
    if (!open_model("numbers", &on)) return false;
    bool good = classifies(on, &worst);
    close_model(on);
    return good;
}

static bool handles_are_limited(void) {
    static nn_context hoard[HANDLES];
    nn_graph graph;
    nn_error error;
    int count = 0;
    bool met = false, good = true;
    if (!nn_load_by_name(STR("numbers"), &graph, &error)) return nn_error_drop(error), not_run("numbers is not granted");
    while (!met && count < HANDLES) {
        met = !nn_init(graph, &hoard[count], &error);
        count += !met;
    }
    if (met) good = is_error("one handle more", error, NN_TOO_LARGE);
    for (int i = 0; i < count; i++) nn_context_drop(hoard[i]);
    nn_graph_drop(graph);
    return good && goes_on() && (met ? seen("too-large after %d", count) : seen("no limit up to %d", HANDLES));
}

/* Whether a compute works or is too large, and what comes after it works. */
static bool large(const char *name, nn_named input, size_t bytes) {
    model on;
    nn_named_list outputs;
    nn_error error;
    if (!open_model(name, &on)) return nn_tensor_drop(input.tensor), false;
    bool met = !nn_compute(on.context, &input, 1, &outputs, &error);
    bool good = !met || is_error("the compute", error, NN_TOO_LARGE);
    if (!met) free_outputs(&outputs);
    close_model(on);
    return good && goes_on() && (met ? seen("too-large at %zu bytes", bytes) : seen("no limit up to %zu bytes", bytes));
}

static bool tensors_are_limited(void) {
    return large("dynamic", NAMED("x", matrix(600, 1000, 1)), 600 * 1000 * sizeof(float));
}

static bool outputs_are_limited(void) {
    static float values[700];
    return large("square", NAMED("x", floats(values, COUNT(values))), COUNT(values) * COUNT(values) * sizeof(float));
}

static bool inputs_are_limited(void) {
    nn_named inputs[100];
    static char names[COUNT(inputs)][8];
    model on;
    if (!open_model("add", &on)) return false;
    for (size_t i = 0; i < COUNT(inputs); i++) {
        snprintf(names[i], sizeof names[i], "in%zu", i);
        inputs[i] = (nn_named){ str_of(names[i]), tensor_of(NN_U8, DIMENSIONS(1), "!", 1) };
    }
    bool good = refuses("100 inputs", on, inputs, COUNT(inputs), NN_INVALID_ARGUMENT);
    close_model(on);
    return good && goes_on() && seen("100 inputs are invalid-argument");
}

static bool ranks_are_limited(void) {
    static const uint32_t ranks[] = { 17, 65, 1000 };
    static uint32_t sizes[1000];
    for (size_t i = 0; i < COUNT(sizes); i++) sizes[i] = 1;
    model on;
    if (!open_model("dynamic", &on)) return false;
    bool good = true;
    for (size_t i = 0; good && i < COUNT(ranks); i++) {
        float one = 1;
        nn_named input = NAMED("x", tensor_of(NN_FP32, (nn_dimensions){ sizes, ranks[i] }, &one, sizeof one));
        good = refuses("too many dimensions", on, &input, 1, NN_INVALID_ARGUMENT);
    }
    close_model(on);
    return good && goes_on() && seen("17, 65 and 1,000 dimensions are invalid-argument");
}

/* ---- graphs from bytes */

static bool loads_are_limited(void) {
    nn_graph hoard[GRAPHS];
    source from = own_bytes();
    nn_error error;
    int count = 0;
    bool met = false, good = true;
    while (!met && count < GRAPHS) {
        met = !nn_load(from.builders, from.count, from.encoding, NN_CPU, &hoard[count], &error);
        count += !met;
    }
    uint8_t code = met ? nn_error_code(error) : 0;
    if (!count && (code == NN_SECURITY || code == NN_INVALID_ENCODING))
        return nn_error_drop(error), not_run("nothing of this encoding is loaded from bytes");
    if (met) good = is_error("one graph more", error, NN_TOO_LARGE);
    for (int i = 0; i < count; i++) nn_graph_drop(hoard[i]);
    if (good && met) { /* and there is room for one again */
        good = nn_load(from.builders, from.count, from.encoding, NN_CPU, &hoard[0], &error);
        if (!good) is_error("the next graph", error, NN_UNKNOWN);
        else nn_graph_drop(hoard[0]);
    }
    return good && goes_on() && (met ? seen("too-large after %d", count) : seen("no limit up to %d", GRAPHS));
}

static bool graph_bytes_are_limited(void) {
    static uint8_t junk[2 << 20];
    source from = own_bytes();
    nn_graph graph;
    nn_error error;
    from.builders[0] = (nn_bytes){ junk, sizeof junk };
    if (nn_load(from.builders, from.count, from.encoding, NN_CPU, &graph, &error))
        return nn_graph_drop(graph), fail("2 MiB of zeros were loaded");
    uint8_t code = nn_error_code(error);
    if (code == NN_SECURITY) return nn_error_drop(error), not_run("loading from bytes is not granted");
    return is_error("2 MiB of zeros", error, code == NN_TOO_LARGE ? NN_TOO_LARGE : NN_INVALID_ENCODING) && goes_on()
           && seen("%s at 2 MiB", code_names[code]);
}

const suite_case limit_cases[] = {
    { "G.handles", "too many handles are too-large, and all is well once they are dropped", handles_are_limited },
    { "G.tensor-bytes", "a tensor of 2.4 MB computes or is too-large, and the graph works on", tensors_are_limited },
    { "G.output-bytes", "an output of 2 MB comes or is too-large, and the graph works on", outputs_are_limited },
    { "G.inputs", "a hundred inputs are invalid-argument, and the graph works on", inputs_are_limited },
    { "G.graphs", "too many graphs from bytes are too-large, and all is well once they are dropped", loads_are_limited },
    { "G.graph-bytes", "a graph of 2 MiB that is none is invalid-encoding or too-large", graph_bytes_are_limited },
    { "G.rank", "17, 65 and 1,000 dimensions are invalid-argument, and the graph works on", ranks_are_limited },
    { 0 },
};
