/* suite.c: see suite.h. */
#define WASI_NN_IMPLEMENTATION
#include "suite.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *suite_backend = "", *suite_hidden = "";
const char *const type_names[7] = { "FP16", "FP32", "FP64", "BF16", "U8", "I32", "I64" };
const char *const code_names[9] = { "invalid-argument", "invalid-encoding", "timeout", "runtime-error",
                                    "unsupported-operation", "too-large", "not-found", "security", "unknown" };

/* ---- reporting */

static bool as_json, ran;
static char words[1024];

static void say(const char *format, va_list list) {
    char text[sizeof words];
    vsnprintf(text, sizeof text, format, list);
    memcpy(words, text, sizeof words);
}

#define SAY(result) va_list list; va_start(list, format); say(format, list); va_end(list); return (result)

bool seen(const char *format, ...) { SAY(true); }
bool fail(const char *format, ...) { SAY(false); }
bool not_run(const char *format, ...) { ran = false; SAY(false); }

static void put_text(const char *text) {
    for (; *text; text++) {
        if (as_json && (*text == '"' || *text == '\\')) putchar('\\'), putchar(*text);
        else if ((unsigned char)*text < ' ') printf(as_json ? "\\u%04x" : "?", (unsigned char)*text);
        else putchar(*text);
    }
}

static void put_field(const char *name, const char *value, bool last) {
    if (as_json) printf("\"%s\": \"", name);
    put_text(value);
    fputs(as_json ? last ? "\"}\n" : "\", " : last ? "\n" : "  ", stdout);
}

static void put_line(const char *result, const char *name, const char *text) {
    if (as_json) putchar('{');
    put_field("result", result, false);
    put_field("case", name, false);
    put_field("seen", text, true);
    fflush(stdout);
}

static void put_note(void) { put_line("note", "act", words); }
bool note(const char *format, ...) { SAY((put_note(), true)); }

/* The text may have been cut inside a character. */
static void whole_characters(char *text) {
    size_t end = strlen(text), back = 0;
    while (back < 3 && back < end && ((unsigned char)text[end - 1 - back] & 0xC0) == 0x80) back++;
    if (back < end) {
        unsigned char lead = (unsigned char)text[end - 1 - back];
        size_t more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
        if (more > back) text[end - 1 - back] = 0;
    }
}

static bool run(const suite_case *it) {
    ran = true, words[0] = 0;
    bool holds = it->holds();
    whole_characters(words);
    put_line(!ran ? "not-run" : holds ? "pass" : "fail", it->name, words);
    return holds || !ran;
}

static bool asked_for(const char *name, char **asked, int count) {
    for (int i = 0; i < count; i++)
        if (!strcmp(name, asked[i]) || (!asked[i][1] && name[0] == asked[i][0])) return true;
    return !count;
}

static bool play(const suite_act *acts, const char *name, const char *number) {
    for (; acts && acts->name; acts++)
        if (!strcmp(acts->name, name)) {
            bool done = acts->play(number ? (uint32_t)strtoul(number, NULL, 10) : 0);
            if (!done) whole_characters(words), put_line("fail", name, words);
            return done;
        }
    fprintf(stderr, "error: there is no act '%s'\n", name);
    return false;
}

int suite_main(int argc, char **argv, const suite_case *const *groups, const suite_act *acts) {
    bool list = false, good = true;
    int at = 1;
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (!strcmp(argv[at], "--json")) as_json = true;
        else if (!strcmp(argv[at], "--list")) list = true;
        else if (!strcmp(argv[at], "--backend") && at + 1 < argc) suite_backend = argv[++at];
        else if (!strcmp(argv[at], "--hidden") && at + 1 < argc) suite_hidden = argv[++at];
        else return fprintf(stderr, "error: unknown option '%s'\n", argv[at]), 2;
    }
    if (at + 1 < argc && !strcmp(argv[at], "act")) good = play(acts, argv[at + 1], argv[at + 2]);
    else
        for (; *groups; groups++)
            for (const suite_case *it = *groups; it->name; it++) {
                if (!asked_for(it->name, argv + at, argc - at)) continue;
                if (list) put_line("case", it->name, it->claim);
                else good &= run(it);
            }
    put_line("end", "", "");
    return good ? 0 : 1;
}

/* ---- tensors */

nn_str str_of(const char *text) { return (nn_str){ text, strlen(text) }; }

size_t element_bytes(uint8_t ty) {
    static const uint8_t bytes[] = { 2, 4, 8, 2, 1, 4, 8 };
    return bytes[ty];
}

nn_tensor tensor_of(uint8_t ty, nn_dimensions dimensions, const void *data, size_t bytes) {
    return nn_tensor_new(dimensions, ty, (nn_bytes){ data, bytes });
}

nn_tensor floats(const float *values, uint32_t count) {
    return tensor_of(NN_FP32, DIMENSIONS(count), values, count * sizeof *values);
}

nn_tensor matrix(uint32_t rows, uint32_t columns, float value) {
    size_t count = (size_t)rows * columns;
    float *values = malloc(count * sizeof *values + 1);
    for (size_t i = 0; i < count; i++) values[i] = value;
    nn_tensor tensor = tensor_of(NN_FP32, DIMENSIONS(rows, columns), values, count * sizeof *values);
    free(values);
    return tensor;
}

static void put_dimensions(char *text, size_t room, nn_dimensions dimensions) {
    size_t at = 0;
    text[0] = 0;
    for (size_t i = 0; i < dimensions.len && at < room; i++)
        at += (size_t)snprintf(text + at, room - at, i ? ", %u" : "%u", (unsigned)dimensions.ptr[i]);
}

static bool is_dimensions(const char *what, nn_dimensions got, nn_dimensions wanted) {
    char has[128], wants[128];
    if (got.len == wanted.len && (!got.len || !memcmp(got.ptr, wanted.ptr, got.len * sizeof *got.ptr))) return true;
    put_dimensions(has, sizeof has, got), put_dimensions(wants, sizeof wants, wanted);
    return fail("%s: dimensions [%s], wanted [%s]", what, has, wants);
}

static bool is_data(const char *what, nn_bytes got, const uint8_t *wanted, size_t bytes) {
    if (got.len != bytes) return fail("%s: %zu bytes, wanted %zu", what, got.len, bytes);
    for (size_t i = 0; i < bytes; i++)
        if (got.ptr[i] != wanted[i]) return fail("%s: byte %zu is %u, wanted %u", what, i, got.ptr[i], wanted[i]);
    return true;
}

bool is_tensor(const char *what, nn_tensor tensor, uint8_t ty, nn_dimensions dimensions, const void *data,
               size_t bytes) {
    nn_dimensions got = nn_tensor_dimensions(tensor);
    bool same = is_dimensions(what, got, dimensions);
    free((void *)got.ptr);
    if (same && nn_tensor_ty(tensor) != ty)
        return fail("%s: type %s, wanted %s", what, type_names[nn_tensor_ty(tensor)], type_names[ty]);
    if (!same) return false;
    nn_bytes all = nn_tensor_data(tensor);
    same = is_data(what, all, data, bytes);
    free((void *)all.ptr);
    return same;
}

/* ---- graphs */

static bool told(const char *what, nn_error error) {
    nn_str text = nn_error_data(error);
    uint8_t code = nn_error_code(error);
    if (code == NN_NOT_FOUND) not_run("%s is not granted", what);
    else fail("%s: %s: %s", what, code_names[code], text.ptr);
    free((void *)text.ptr);
    nn_error_drop(error);
    return false;
}

bool open_model(const char *name, model *opened) {
    nn_error error;
    if (!nn_load_by_name(str_of(name), &opened->graph, &error)) return told(name, error);
    if (nn_init(opened->graph, &opened->context, &error)) return true;
    nn_graph_drop(opened->graph);
    return told(name, error);
}

void close_model(model opened) {
    nn_context_drop(opened.context);
    nn_graph_drop(opened.graph);
}

bool computes(const char *what, model on, const nn_named *inputs, size_t count, nn_named_list *outputs) {
    nn_error error;
    if (nn_compute(on.context, inputs, count, outputs, &error)) return true;
    nn_str text = nn_error_data(error);
    fail("%s: %s: %s", what, code_names[nn_error_code(error)], text.ptr);
    free((void *)text.ptr);
    nn_error_drop(error);
    return false;
}

bool is_output(const nn_named_list *outputs, size_t index, const char *name, uint8_t ty, nn_dimensions dimensions,
               const void *data, size_t bytes) {
    if (index >= outputs->len) return fail("%zu outputs, wanted '%s' as number %zu", outputs->len, name, index);
    const nn_named *output = &outputs->ptr[index];
    if (output->name.len != strlen(name) || memcmp(output->name.ptr, name, output->name.len))
        return fail("output %zu is '%s', wanted '%s'", index, output->name.ptr, name);
    return is_tensor(name, output->tensor, ty, dimensions, data, bytes);
}

void free_outputs(nn_named_list *outputs) {
    for (size_t i = 0; i < outputs->len; i++) {
        nn_tensor_drop(outputs->ptr[i].tensor);
        free((void *)outputs->ptr[i].name.ptr);
    }
    free(outputs->ptr);
}

/* ---- errors */

bool is_error(const char *what, nn_error error, uint8_t code) {
    uint8_t got = nn_error_code(error);
    nn_str text = nn_error_data(error);
    bool right;
    if (code != ANY_CODE && got != code) right = fail("%s: %s: %s; wanted %s", what, code_names[got], text.ptr, code_names[code]);
    else if (!text.len) right = fail("%s: %s without a word", what, code_names[got]);
    else if (suite_hidden[0] && strstr(text.ptr, suite_hidden)) right = fail("%s: shows the host's own: %s", what, text.ptr);
    else right = seen("%s: %s", code_names[got], text.ptr);
    free((void *)text.ptr);
    nn_error_drop(error);
    return right;
}

bool refuses(const char *what, model on, const nn_named *inputs, size_t count, uint8_t code) {
    nn_named_list outputs;
    nn_error error;
    if (!nn_compute(on.context, inputs, count, &outputs, &error)) return is_error(what, error, code);
    fail("%s: computed, %zu outputs; wanted %s", what, outputs.len, code == ANY_CODE ? "an error" : code_names[code]);
    free_outputs(&outputs);
    return false;
}
