/* D: graphs by name, and graphs from bytes of the guest's own. */
#include "cases.h"
#include <string.h>

/* ---- by name */

static bool is_not_found(nn_str name) {
    nn_graph graph;
    nn_error error;
    if (nn_load_by_name(name, &graph, &error)) return nn_graph_drop(graph), fail("'%.40s' was loaded", name.ptr);
    return is_error("the name", error, NN_NOT_FOUND);
}

static bool unknown_name(void) { return is_not_found(STR("no-such-graph")); }
static bool empty_name(void) { return is_not_found(STR("")); }
static bool parent_name(void) { return is_not_found(STR("../add")) && is_not_found(STR("add/../add")); }
static bool absolute_name(void) { return is_not_found(STR("/add")) && is_not_found(STR("/etc/passwd")); }
static bool nul_name(void) { return is_not_found(STR("add\0")) && is_not_found(STR("add\0.xml")); }
static bool case_name(void) { return is_not_found(STR("Add")) && is_not_found(STR("ADD")); }
static bool blank_name(void) { return is_not_found(STR(" add")) && is_not_found(STR("add\n")); }

static bool long_name(void) {
    size_t len = 1 << 20;
    char *name = malloc(len + 1);
    memset(name, 'a', len), name[len] = 0;
    bool good = is_not_found((nn_str){ name, len });
    free(name);
    return good;
}

/* The text of not-found with every mention of the name left out. */
static bool not_found_text(const char *name, char *text, size_t room) {
    nn_graph graph;
    nn_error error;
    if (nn_load_by_name(str_of(name), &graph, &error)) return nn_graph_drop(graph), not_run("'%s' is granted", name);
    nn_str data = nn_error_data(error);
    size_t out = 0, len = strlen(name);
    for (const char *at = data.ptr; *at && out + 1 < room;) {
        if (!strncmp(at, name, len)) at += len;
        else text[out++] = *at++;
    }
    text[out] = 0;
    free((void *)data.ptr);
    return is_error(name, error, NN_NOT_FOUND);
}

static bool ungranted_name(void) {
    char ungranted[512], unknown[512];
    if (!not_found_text("tiny", ungranted, sizeof ungranted)) return false;
    if (!not_found_text("qxzw", unknown, sizeof unknown)) return false;
    return !strcmp(ungranted, unknown) || fail("'%s' for the one, '%s' for the other", ungranted, unknown);
}

static bool graph_dropped_first(void) {
    model on;
    if (!open_model("numbers", &on)) return false;
    nn_graph_drop(on.graph);
    float worst;
    bool good = classifies(on, &worst);
    nn_context_drop(on.context);
    return good && seen("computed");
}

/* ---- from bytes: `numbers`, as the file or files that --backend says */

static const uint8_t ir_xml[] = {
#embed "../models/openvino/numbers/model.xml"
};
static const uint8_t ir_bin[] = {
#embed "../models/openvino/numbers/model.bin"
};
static const uint8_t onnx[] = {
#embed "../models/onnx/numbers/model.onnx"
};
static const uint8_t pt2[] = {
#embed "../models/pytorch/numbers/model.pt2"
};
static const uint8_t torchscript[] = {
#embed "../models/torchscript/numbers/model.pt"
};

#define BYTES(array) { array, sizeof array }

source own_bytes(void) {
    if (!strcmp(suite_backend, "onnx")) return (source){ { BYTES(onnx) }, 1, NN_ONNX };
    if (!strcmp(suite_backend, "pytorch")) return (source){ { BYTES(pt2) }, 1, NN_PYTORCH };
    if (!strcmp(suite_backend, "torchscript")) return (source){ { BYTES(torchscript) }, 1, NN_PYTORCH };
    return (source){ { BYTES(ir_xml), BYTES(ir_bin) }, 2, NN_OPENVINO };
}

enum { LOADED, REFUSED, UNREAD, WRONG };

/* LOADED: it computes right. REFUSED: with `code`, which `seen` has. UNREAD: that is another code, and the host says
 * invalid-encoding. WRONG: failed, or not run where load is denied. */
static int load(const char *what, source from, uint8_t target, uint8_t code) {
    model on;
    nn_error error;
    float worst;
    if (!nn_load(from.builders, from.count, from.encoding, target, &on.graph, &error)) {
        if (nn_error_code(error) == NN_SECURITY)
            return nn_error_drop(error), not_run("loading from bytes is not granted"), WRONG;
        if (code != NN_INVALID_ENCODING && nn_error_code(error) == NN_INVALID_ENCODING)
            return nn_error_drop(error), UNREAD;
        return is_error(what, error, code) ? REFUSED : WRONG;
    }
    if (!nn_init(on.graph, &on.context, &error)) return is_error(what, error, NN_UNKNOWN), nn_graph_drop(on.graph), WRONG;
    bool good = classifies(on, &worst);
    close_model(on);
    return good && seen("loaded, and computes") ? LOADED : WRONG;
}

static bool own_encoding(void) { return load("its own encoding", own_bytes(), NN_CPU, NN_INVALID_ENCODING) != WRONG; }

static bool autodetect(void) {
    source from = own_bytes();
    from.encoding = NN_AUTODETECT;
    return load("autodetect", from, NN_CPU, NN_INVALID_ENCODING) != WRONG;
}

static bool is_refused(const char *what, source from) {
    int got = load(what, from, NN_CPU, NN_INVALID_ENCODING);
    return got == REFUSED || (got == LOADED && fail("%s: it was loaded, and computes", what));
}

static bool other_encodings(void) {
    for (uint8_t encoding = NN_OPENVINO; encoding < NN_AUTODETECT; encoding++) {
        source from = own_bytes();
        if (encoding == from.encoding) continue;
        from.encoding = encoding;
        if (!is_refused("bytes of another encoding", from)) return false;
    }
    return true;
}

static bool wrong_builders(void) {
    source from = own_bytes();
    size_t right = from.count;
    for (size_t count = 0; count < 4; count++) {
        if (count == right) continue;
        for (size_t i = right; i < count; i++) from.builders[i] = from.builders[0];
        from.count = count;
        char what[32];
        snprintf(what, sizeof what, "%zu builders", count);
        if (!is_refused(what, from)) return false;
    }
    return true;
}

static bool empty_bytes(void) {
    source from = own_bytes();
    for (size_t i = 0; i < from.count; i++) from.builders[i].len = 0;
    return is_refused("empty builders", from);
}

static bool junk_bytes(void) {
    uint8_t junk[1000];
    for (size_t i = 0; i < sizeof junk; i++) junk[i] = (uint8_t)(i * i * 31 + 7);
    source from = own_bytes();
    from.builders[0] = (nn_bytes)BYTES(junk);
    return is_refused("junk", from);
}

static bool truncated_bytes(void) {
    source from = own_bytes();
    from.builders[0].len /= 2;
    return is_refused("half of the file", from);
}

static bool on_target(uint8_t target) {
    int got = load("the target", own_bytes(), target, NN_UNSUPPORTED_OPERATION);
    if (got != UNREAD) return got != WRONG;
    if (target != NN_CPU && load("the CPU", own_bytes(), NN_CPU, NN_INVALID_ENCODING) != REFUSED)
        return fail("invalid-encoding, of bytes that are loaded for the CPU");
    return not_run("nothing of this encoding is loaded from bytes");
}

static bool target_cpu(void) { return on_target(NN_CPU); }
static bool target_gpu(void) { return on_target(NN_GPU); }
static bool target_tpu(void) { return on_target(NN_TPU); }

const suite_case graph_cases[] = {
    { "D.name-unknown", "an unknown name is not-found", unknown_name },
    { "D.name-empty", "an empty name is not-found", empty_name },
    { "D.name-parent", "a granted name behind `../` is not-found", parent_name },
    { "D.name-absolute", "an absolute path is not-found", absolute_name },
    { "D.name-long", "a name of a megabyte is not-found", long_name },
    { "D.name-nul", "a granted name and a NUL is not-found", nul_name },
    { "D.name-case", "a granted name in capitals is not-found", case_name },
    { "D.name-blank", "a granted name with white space about it is not-found", blank_name },
    { "D.name-ungranted", "a name that is not granted and one that does not exist get the same text", ungranted_name },
    { "D.graph-dropped-first", "a context computes after its graph is dropped", graph_dropped_first },
    { "D.load", "the bytes of a model are a graph, or invalid-encoding", own_encoding },
    { "D.load-autodetect", "the same, when the host is to find out the encoding", autodetect },
    { "D.load-other-encoding", "the bytes of a model with each other encoding are invalid-encoding", other_encodings },
    { "D.load-builders", "0 to 3 builders where another number is right are invalid-encoding", wrong_builders },
    { "D.load-empty", "builders without a byte are invalid-encoding", empty_bytes },
    { "D.load-junk", "junk is invalid-encoding", junk_bytes },
    { "D.load-truncated", "half of a model is invalid-encoding", truncated_bytes },
    { "D.load-target-cpu", "a model from bytes computes on the CPU", target_cpu },
    { "D.load-target-gpu", "it computes on the GPU, or unsupported-operation says that there is none", target_gpu },
    { "D.load-target-tpu", "it computes on the TPU, or unsupported-operation says that there is none", target_tpu },
    { 0 },
};
