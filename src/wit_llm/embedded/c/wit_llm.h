/* wit_llm.h: wasi:nn/graph and wit-llm:nn/prompt for C guests. World `chat`, wasm32, C11.
 *
 * Every struct here is laid out as the component model's canonical ABI lays it out, so that a call hands over
 * a pointer and nothing is converted. All zero bytes mean "as the host likes it".
 *
 * Include it anywhere; define WIT_LLM_IMPLEMENTATION before the include in exactly one file.
 * What each call does is said in wit-llm/README.md; here stands only what is C's own:
 *
 *   - A call returns true, or false with the reason in `llm_last_error`; `llm_strerror()` says it as a sentence.
 *   - Text handed to the host must be UTF-8, or the guest traps: `llm_is_utf8` checks what comes from outside.
 *   - Text that the host returns belongs to the guest (`llm_free`) and has a NUL after its last byte.
 *   - Handles are dropped by hand, in any order. */
#ifndef WIT_LLM_H
#define WIT_LLM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct { const char *ptr; size_t len; } llm_str;
#define LLM_LIST(T) struct { const T *ptr; size_t len; }
#define LLM_OPTION(T) struct { bool some; T val; }
#define LLM_SOME(value) { true, (value) }
#define LLM_STR(literal) ((llm_str){ (literal), sizeof(literal) - 1 })
llm_str llm_str_of(const char *text);
bool llm_is_utf8(llm_str text);

typedef struct { int32_t handle; } llm_graph;
typedef struct { int32_t handle; } llm_session;
typedef struct { int32_t handle; } llm_generation;

/* ---- wit-llm:nn/types: what a turn sends ---------------------------------------------------------------- */

enum { LLM_SYSTEM, LLM_USER, LLM_ASSISTANT, LLM_TOOL };                                         /* role */

typedef struct { llm_str mime; LLM_LIST(uint8_t) data; } llm_blob;
typedef struct { llm_str id, name, arguments_json; } llm_tool_call;
typedef struct { llm_str id, content; bool is_error; } llm_tool_result;

enum { LLM_PART_TEXT, LLM_PART_REASONING, LLM_PART_MEDIA, LLM_PART_CALL, LLM_PART_OUTCOME };    /* part */
typedef struct {
    uint8_t tag;
    union { llm_str text; llm_blob media; llm_tool_call call; llm_tool_result outcome; };
} llm_part;
typedef struct { uint8_t role; LLM_LIST(llm_part) parts; } llm_message;

enum { LLM_SAY, LLM_MESSAGES, LLM_RESUME, LLM_RAW, LLM_TOKENS };                                /* turn */
typedef struct {
    uint8_t tag;
    union { llm_str text; LLM_LIST(llm_message) messages; LLM_LIST(uint32_t) tokens; };
} llm_turn;
#define LLM_TURN_SAY(words) ((llm_turn){ .tag = LLM_SAY, .text = (words) })

/* ---- options: {0} is the default of every field ---------------------------------------------------------- */

typedef LLM_OPTION(float) llm_option_f32;
typedef LLM_OPTION(uint32_t) llm_option_u32;
typedef LLM_OPTION(uint64_t) llm_option_u64;
typedef LLM_OPTION(llm_str) llm_option_str;

enum { LLM_HOST_DEFAULT, LLM_PRESET, LLM_EXACT };                                               /* sampling */
enum { LLM_DETERMINISTIC, LLM_FOCUSED, LLM_BALANCED, LLM_CREATIVE };                            /* preset */
typedef struct {
    llm_option_f32 temperature, top_p;
    llm_option_u32 top_k;
    llm_option_f32 min_p, repetition_penalty, presence_penalty, frequency_penalty;
} llm_sampler;
typedef struct { uint8_t tag; union { uint8_t preset; llm_sampler exact; }; } llm_sampling;

enum { LLM_JSON_SCHEMA, LLM_REGEX, LLM_CHOICE, LLM_GRAMMAR };                                   /* constraint */
typedef struct { uint8_t tag; union { llm_str text; LLM_LIST(llm_str) choice; }; } llm_constraint;

typedef struct { llm_str name, description, parameters_json_schema; } llm_tool;
enum { LLM_TOOL_AUTO, LLM_TOOL_NONE, LLM_TOOL_REQUIRED, LLM_TOOL_ONLY };                        /* tool-choice */
typedef struct { uint8_t tag; llm_str only; } llm_tool_choice;

typedef struct { llm_str key, value; } llm_pair;
typedef struct {
    llm_option_u32 max_output_tokens;
    llm_sampling sampling;
    llm_option_u32 seed;
    LLM_LIST(llm_str) stop;
    LLM_OPTION(llm_constraint) constraint;
    LLM_LIST(llm_tool) tools;
    llm_tool_choice tool_choice;
    LLM_OPTION(uint8_t) logprobs;
    llm_option_u32 deadline_ms;
    bool ignore_eos;
    LLM_LIST(llm_pair) extra;
} llm_options;

enum { LLM_FAIL, LLM_DROP_OLDEST_TURNS };                                                       /* overflow-policy */
typedef struct {
    LLM_LIST(llm_message) preamble;
    LLM_OPTION(llm_options) defaults;
    uint8_t on_overflow;
} llm_setup;

/* ---- what comes back -------------------------------------------------------------------------------------- */

enum {                                                                                          /* finish-reason */
    LLM_STOP, LLM_STOP_STRING, LLM_LENGTH, LLM_CONTEXT_FULL, LLM_TOOL_CALLS, LLM_CANCELLED, LLM_DEADLINE, LLM_QUOTA,
};
typedef struct {
    uint32_t prompt_tokens;
    llm_option_u32 cached_tokens;
    uint32_t generated_tokens, reasoning_tokens;
} llm_usage;
typedef struct { uint64_t queued_us; llm_option_u64 first_token_us; uint64_t total_us; } llm_timing;
typedef struct {
    uint8_t reason;
    llm_option_str matched_stop;
    llm_usage usage;
    llm_timing timing;
    uint32_t seed;
    llm_str model_digest;
} llm_summary;
typedef struct { llm_str text; bool finished; } llm_fragment;
typedef struct { llm_str text; llm_message message; llm_summary summary; } llm_reply;

/* ---- errors: wit-llm's variant, and one case more for what wasi-nn's load-by-name says -------------------- */

enum {
    LLM_E_NOT_PROMPTABLE, LLM_E_UNSUPPORTED, LLM_E_INVALID, LLM_E_OVERFLOW, LLM_E_QUOTA, LLM_E_BUSY, LLM_E_TIMEOUT,
    LLM_E_DENIED, LLM_E_BACKEND,
    LLM_E_GRAPH, /* wasi:nn's error: `text` is its data */
};
typedef struct { uint32_t requested, available, window; } llm_overflow;
typedef struct { uint8_t kind; uint64_t limit; llm_option_u32 retry_after_ms; } llm_quota;
typedef struct {
    uint8_t tag;
    union { llm_str text; llm_overflow overflow; llm_quota quota; llm_option_u32 busy; };
} llm_error;
extern llm_error llm_last_error;                /* of the latest call that failed */
const char *llm_strerror(void);                 /* good until the next call that fails */
const char *llm_reason(uint8_t reason);         /* a finish-reason's name */

/* ---- calls --------------------------------------------------------------------------------------------------- */

bool llm_graph_load(const char *name, llm_graph *graph);
void llm_graph_drop(llm_graph graph);

/* `setup` and `options` may be NULL: no preamble, the model's defaults, overflow fails. */
bool llm_open(llm_graph graph, const llm_setup *setup, llm_session *session);
bool llm_start(llm_session session, llm_turn turn, const llm_options *options, llm_generation *generation);
bool llm_ask(llm_session session, llm_turn turn, const llm_options *options, llm_reply *reply);
void llm_session_drop(llm_session session);

bool llm_next(llm_generation generation, llm_fragment *fragment);       /* next-text; free fragment->text.ptr */
bool llm_finish(llm_generation generation, llm_summary *summary);       /* once a fragment was `finished` */
void llm_stop(llm_generation generation);
void llm_generation_drop(llm_generation generation);

/* A turn from start to drop. `put` takes the text piece by piece; once it returns false the reply is stopped,
 * as `cancelled`, and `put` hears no more. `summary` may be NULL. */
bool llm_stream(llm_session session, llm_turn turn, const llm_options *options,
                bool (*put)(llm_str piece, void *context), void *context, llm_summary *summary);

void llm_free(const void *returned);
void llm_summary_free(llm_summary *summary);
void llm_reply_free(llm_reply *reply);

#ifdef WIT_LLM_IMPLEMENTATION
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LLM_IMPORT(interface, function) __attribute__((import_module(interface), import_name(function)))
#define LLM_PROMPT(function) LLM_IMPORT("wit-llm:nn/prompt@0.1.0", function)
#define LLM_NN(interface, function) LLM_IMPORT("wasi:nn/" interface "@0.2.0-rc-2024-10-28", function)
LLM_NN("graph", "load-by-name") void llm_import_load(const char *name, size_t len, void *result);
LLM_NN("graph", "[resource-drop]graph") void llm_import_graph_drop(int32_t graph);
LLM_NN("errors", "[method]error.data") void llm_import_error_data(int32_t error, llm_str *data);
LLM_NN("errors", "[resource-drop]error") void llm_import_error_drop(int32_t error);
LLM_PROMPT("[static]session.open") void llm_import_open(const void *arguments, void *result);
LLM_PROMPT("[method]session.start") void llm_import_start(const void *arguments, void *result);
LLM_PROMPT("[method]session.ask") void llm_import_ask(const void *arguments, void *result);
LLM_PROMPT("[resource-drop]session") void llm_import_session_drop(int32_t session);
LLM_PROMPT("[method]generation.next-text") void llm_import_next_text(int32_t generation, void *result);
LLM_PROMPT("[method]generation.summary") void llm_import_summary(int32_t generation, void *result);
LLM_PROMPT("[method]generation.stop") void llm_import_stop(int32_t generation);
LLM_PROMPT("[resource-drop]generation") void llm_import_generation_drop(int32_t generation);

/* The host asks for room here when it returns text or a list. One byte more, for the NUL. */
__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
    (void)old_size, (void)align;
    char *room = realloc(old, size + 1);
    if (!room) __builtin_trap();
    room[size] = 0;
    return room;
}

void llm_free(const void *returned) { free((void *)returned); }

llm_str llm_str_of(const char *text) { return (llm_str){ text, strlen(text) }; }

bool llm_is_utf8(llm_str text) {
    const unsigned char *at = (const unsigned char *)text.ptr, *end = at + text.len;
    while (at < end) {
        unsigned lead = *at++, low = 0x80, high = 0xBF, more;
        if (lead < 0x80) continue;
        if (lead < 0xC2 || lead > 0xF4) return false;
        more = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
        /* The second byte's range shuts out overlong forms, surrogates and what lies past U+10FFFF. */
        if (lead == 0xE0) low = 0xA0;
        if (lead == 0xED) high = 0x9F;
        if (lead == 0xF0) low = 0x90;
        if (lead == 0xF4) high = 0x8F;
        for (; more--; low = 0x80, high = 0xBF)
            if (at == end || *at < low || *at++ > high) return false;
    }
    return true;
}

/* ---- errors */

llm_error llm_last_error = { .tag = LLM_E_GRAPH, .text = { "no call has failed", 18 } };

static bool llm_fail(llm_error error) {
    static bool own_text;
    if (own_text) llm_free(llm_last_error.text.ptr);
    own_text = error.tag != LLM_E_OVERFLOW && error.tag != LLM_E_QUOTA && error.tag != LLM_E_BUSY;
    llm_last_error = error;
    return false;
}

const char *llm_strerror(void) {
    static const char *const quotas[] = { "tokens-per-call", "tokens-total", "tokens-per-minute", "sessions",
                                          "concurrency", "prompt-bytes", "wall-clock" };
    static char sentence[160], again[40];
    const llm_error *error = &llm_last_error;
    llm_option_u32 retry = { false, 0 };
    if (error->tag == LLM_E_QUOTA) retry = error->quota.retry_after_ms;
    if (error->tag == LLM_E_BUSY) retry = error->busy;
    again[0] = 0;
    if (retry.some) snprintf(again, sizeof again, "; try again in %u ms", (unsigned)retry.val);
    switch (error->tag) {
    case LLM_E_OVERFLOW:
        snprintf(sentence, sizeof sentence, "the prompt has %u tokens; the window of %u leaves %u for a prompt",
                 (unsigned)error->overflow.requested, (unsigned)error->overflow.window,
                 (unsigned)error->overflow.available);
        return sentence;
    case LLM_E_QUOTA:
        snprintf(sentence, sizeof sentence, "the allowance of %s is %llu and used up%s", quotas[error->quota.kind],
                 (unsigned long long)error->quota.limit, again);
        return sentence;
    case LLM_E_BUSY:
        snprintf(sentence, sizeof sentence, "the host is busy%s", again);
        return sentence;
    default:
        return error->text.ptr;
    }
}

const char *llm_reason(uint8_t reason) {
    static const char *const reasons[] = { "stop", "stop-string", "length", "context-full", "tool-calls", "cancelled",
                                           "deadline", "quota" };
    return reasons[reason];
}

/* ---- calls: many parameters travel as one struct, results are written where the last argument points */

#define LLM_RESULT(T) struct { uint8_t failed; union { T ok; llm_error error; }; }
#define LLM_RETURN(result, out) return (result).failed ? llm_fail((result).error) : (*(out) = (result).ok, true)

bool llm_graph_load(const char *name, llm_graph *graph) {
    struct { uint8_t failed; int32_t handle; } result;
    llm_import_load(name, strlen(name), &result);
    if (!result.failed) return graph->handle = result.handle, true;
    llm_error error = { .tag = LLM_E_GRAPH };
    llm_import_error_data(result.handle, &error.text);
    llm_import_error_drop(result.handle);
    return llm_fail(error);
}

bool llm_open(llm_graph graph, const llm_setup *setup, llm_session *session) {
    struct { llm_graph graph; llm_setup setup; } arguments = { .graph = graph };
    LLM_RESULT(llm_session) result;
    if (setup) arguments.setup = *setup;
    llm_import_open(&arguments, &result);
    LLM_RETURN(result, session);
}

typedef struct { llm_session session; llm_turn turn; LLM_OPTION(llm_options) options; } llm_turn_arguments;

static llm_turn_arguments llm_arguments(llm_session session, llm_turn turn, const llm_options *options) {
    llm_turn_arguments arguments = { .session = session, .turn = turn };
    if (options) arguments.options.some = true, arguments.options.val = *options;
    return arguments;
}

bool llm_start(llm_session session, llm_turn turn, const llm_options *options, llm_generation *generation) {
    llm_turn_arguments arguments = llm_arguments(session, turn, options);
    LLM_RESULT(llm_generation) result;
    llm_import_start(&arguments, &result);
    LLM_RETURN(result, generation);
}

bool llm_ask(llm_session session, llm_turn turn, const llm_options *options, llm_reply *reply) {
    llm_turn_arguments arguments = llm_arguments(session, turn, options);
    LLM_RESULT(llm_reply) result;
    llm_import_ask(&arguments, &result);
    LLM_RETURN(result, reply);
}

bool llm_next(llm_generation generation, llm_fragment *fragment) {
    LLM_RESULT(llm_fragment) result;
    llm_import_next_text(generation.handle, &result);
    LLM_RETURN(result, fragment);
}

bool llm_finish(llm_generation generation, llm_summary *summary) {
    LLM_RESULT(llm_summary) result;
    llm_import_summary(generation.handle, &result);
    LLM_RETURN(result, summary);
}

void llm_stop(llm_generation generation) { llm_import_stop(generation.handle); }
void llm_generation_drop(llm_generation generation) { llm_import_generation_drop(generation.handle); }
void llm_session_drop(llm_session session) { llm_import_session_drop(session.handle); }
void llm_graph_drop(llm_graph graph) { llm_import_graph_drop(graph.handle); }

bool llm_stream(llm_session session, llm_turn turn, const llm_options *options, bool (*put)(llm_str, void *),
                void *context, llm_summary *summary) {
    llm_generation generation;
    llm_fragment fragment;
    bool listening = true, ok;
    if (!llm_start(session, turn, options, &generation)) return false;
    do {
        ok = llm_next(generation, &fragment);
        if (!ok) break;
        if (listening && fragment.text.len && !put(fragment.text, context)) {
            listening = false;
            llm_stop(generation);
        }
        llm_free(fragment.text.ptr);
    } while (!fragment.finished);
    if (ok && summary) ok = llm_finish(generation, summary);
    llm_generation_drop(generation);
    return ok;
}

void llm_summary_free(llm_summary *summary) {
    if (summary->matched_stop.some) llm_free(summary->matched_stop.val.ptr);
    llm_free(summary->model_digest.ptr);
}

static void llm_part_free(const llm_part *part) {
    switch (part->tag) {
    case LLM_PART_TEXT:
    case LLM_PART_REASONING:
        llm_free(part->text.ptr);
        break;
    case LLM_PART_MEDIA:
        llm_free(part->media.mime.ptr);
        llm_free(part->media.data.ptr);
        break;
    case LLM_PART_CALL:
        llm_free(part->call.id.ptr);
        llm_free(part->call.name.ptr);
        llm_free(part->call.arguments_json.ptr);
        break;
    case LLM_PART_OUTCOME:
        llm_free(part->outcome.id.ptr);
        llm_free(part->outcome.content.ptr);
        break;
    }
}

void llm_reply_free(llm_reply *reply) {
    llm_free(reply->text.ptr);
    for (size_t i = 0; i < reply->message.parts.len; i++) llm_part_free(&reply->message.parts.ptr[i]);
    llm_free(reply->message.parts.ptr);
    llm_summary_free(&reply->summary);
}
#endif /* WIT_LLM_IMPLEMENTATION */
#endif /* WIT_LLM_H */
