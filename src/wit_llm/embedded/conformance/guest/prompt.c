/* prompt.wasm: J, text on a graph of wasi:nn. It imports wit-llm:nn beside wasi:nn, hence a component of its own.
 *
 * The graphs are `tiny`, which can be prompted and knows by heart what it is asked here, and `echo-u8`, which cannot. */
#define WIT_LLM_IMPLEMENTATION
#include "prompt.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

LLM_IMPORT("wit-llm:nn/tokenizer@0.1.0", "encode")
void import_encode(int32_t graph, const char *text, size_t len, int32_t special, void *result);
LLM_IMPORT("wit-llm:nn/tokenizer@0.1.0", "decode")
void import_decode(int32_t graph, const uint32_t *tokens, size_t count, void *result);
LLM_IMPORT("wit-llm:nn/tokenizer@0.1.0", "render")
void import_render(int32_t graph, const llm_message *messages, size_t count, const llm_tool *tools, size_t none, void *result);
LLM_PROMPT("[method]session.measure") void import_measure(const void *arguments, void *result);
enum { SESSIONS = 3 }; /* of quota-kind */
LLM_PROMPT("[method]session.mark") int32_t import_mark(int32_t session);

/* ---- what the cases are made of */

const llm_options greedy = { .sampling = { .tag = LLM_PRESET, .preset = LLM_DETERMINISTIC } };

bool told(const char *what) { return fail("%s: %s", what, llm_strerror()); }

bool open_tiny(model *on, llm_session *session) {
    if (!open_model("tiny", on)) return false;
    if (llm_open((llm_graph){ on->graph.handle }, NULL, session)) return true;
    close_model(*on);
    return told("opening a session");
}

void close_tiny(model on, llm_session session) {
    llm_session_drop(session);
    close_model(on);
}

llm_turn words(const char *text) { return LLM_TURN_SAY(llm_str_of(text)); }

char *reply(llm_session session, llm_turn turn, const llm_options *options, llm_summary *summary) {
    llm_reply got;
    if (!llm_ask(session, turn, options, &got)) return told("asking"), NULL;
    char *text = strdup(got.text.ptr);
    if (summary) {
        *summary = got.summary; /* its strings are gone with the reply */
        summary->model_digest = (llm_str){ 0 };
    }
    llm_reply_free(&got);
    return text;
}

bool is_text(const char *what, char *got, const char *wanted) {
    if (!got) return false;
    bool same = !strcmp(got, wanted) || fail("%s: '%s', wanted '%s'", what, got, wanted);
    free(got);
    return same;
}

/* Whether a session answers as a new one does. */
static bool is_fresh(llm_session session) {
    return is_text("afterwards", reply(session, words(CAPITAL), &greedy, NULL), "The capital of Japan is Tokyo.");
}

bool encode(model on, const char *text, bool special, token_list *tokens) {
    LLM_RESULT(token_list) result;
    import_encode(on.graph.handle, text, strlen(text), special, &result);
    if (!result.failed) return *tokens = result.ok, true;
    llm_fail(result.error);
    return told("encoding");
}

char *render(model on, const char *text) {
    llm_part part = { .tag = LLM_PART_TEXT, .text = llm_str_of(text) };
    llm_message message = { .role = LLM_USER, .parts = { &part, 1 } };
    LLM_RESULT(llm_str) result;
    import_render(on.graph.handle, &message, 1, NULL, 0, &result);
    if (!result.failed) return (char *)result.ok.ptr;
    llm_fail(result.error);
    return told("rendering"), NULL;
}

bool decode(model on, const uint32_t *tokens, size_t count, llm_str *text) {
    LLM_RESULT(llm_str) result;
    import_decode(on.graph.handle, tokens, count, &result);
    if (!result.failed) return *text = result.ok, true;
    llm_fail(result.error);
    return told("decoding");
}

static bool count_tokens(model on, const char *text, bool special, size_t *count) {
    token_list tokens;
    if (!encode(on, text, special, &tokens)) return false;
    *count = tokens.len;
    free((void *)tokens.ptr);
    return true;
}

static bool measure(llm_session session, const char *text, size_t *count) {
    llm_turn_arguments arguments = llm_arguments(session, words(text), NULL);
    LLM_RESULT(uint32_t) result;
    import_measure(&arguments, &result);
    if (!result.failed) return *count = result.ok, true;
    llm_fail(result.error);
    return told("measuring");
}

/* ---- cases */

static bool tensors_only(void) {
    model on;
    llm_session session;
    if (!open_model("echo-u8", &on)) return false;
    bool opened = llm_open((llm_graph){ on.graph.handle }, NULL, &session);
    if (opened) llm_session_drop(session);
    close_model(on);
    if (opened) return fail("a session was opened");
    if (llm_last_error.tag != LLM_E_NOT_PROMPTABLE) return told("another error than not-promptable");
    return seen("%s", llm_strerror());
}

static bool empty_prompt(void) {
    static const llm_turn empty[] = { { .tag = LLM_SAY }, { .tag = LLM_RAW }, { .tag = LLM_TOKENS }, { .tag = LLM_MESSAGES } };
    model on;
    llm_session session;
    if (!open_model("tiny", &on)) return false;
    bool good = true;
    int replies = 0;
    for (size_t i = 0; good && i < COUNT(empty); i++) {
        llm_reply got;
        if (!llm_open((llm_graph){ on.graph.handle }, NULL, &session)) return close_model(on), told("opening a session");
        if (llm_ask(session, empty[i], &greedy, &got)) llm_reply_free(&got), replies++;
        else if (llm_last_error.tag != LLM_E_INVALID) good = told("another error than invalid");
        llm_session_drop(session);
    }
    if (good && llm_open((llm_graph){ on.graph.handle }, NULL, &session)) good = is_fresh(session), llm_session_drop(session);
    close_model(on);
    return good && seen("%d of 4 are answered, the others invalid", replies);
}

static bool control_text(void) {
    size_t control, plain, one, base, whole;
    model on;
    llm_session session;
    if (!open_tiny(&on, &session)) return false;
    char *text = render(on, "a");
    bool good = text && count_tokens(on, text, true, &control) && count_tokens(on, text, false, &plain)
                && count_tokens(on, "a", false, &one) && measure(session, "a", &base) && measure(session, text, &whole);
    close_tiny(on, session);
    free(text);
    if (!good) return false;
    if (plain <= control) return fail("the template has no control tokens to write out");
    if (whole != base - one + plain) return fail("%zu tokens, wanted %zu", whole, base - one + plain);
    return seen("%zu plain tokens, which are %zu as control tokens", plain, control);
}

static bool too_long(void) {
    model on;
    llm_session session;
    llm_reply got;
    static char text[60001];
    for (size_t i = 0; i + 1 < sizeof text; i++) text[i] = "seven "[i % 6];
    if (!open_tiny(&on, &session)) return false;
    bool good = false;
    if (llm_ask(session, words(text), &greedy, &got)) llm_reply_free(&got), fail("60,000 bytes were answered");
    else if (llm_last_error.tag != LLM_E_OVERFLOW) told("another error than overflow");
    else if (llm_last_error.overflow.requested <= llm_last_error.overflow.available) told("numbers that fit");
    else good = seen("%s", llm_strerror());
    char said[200];
    snprintf(said, sizeof said, "%s", llm_strerror());
    good = good && is_fresh(session);
    close_tiny(on, session);
    return good && seen("%s", said);
}

static bool too_many_bytes(void) {
    enum { BYTES = 5 << 20 };
    model on;
    llm_session session;
    llm_reply got;
    char *text = malloc(BYTES + 1);
    memset(text, 'a', BYTES), text[BYTES] = 0;
    if (!open_tiny(&on, &session)) return free(text), false;
    bool answered = llm_ask(session, words(text), &greedy, &got), good = false;
    uint8_t tag = llm_last_error.tag;
    free(text);
    if (answered) llm_reply_free(&got), fail("5 MB were answered");
    else good = tag == LLM_E_OVERFLOW || tag == LLM_E_QUOTA || told("neither overflow nor quota");
    char said[200];
    snprintf(said, sizeof said, "%s", llm_strerror());
    good = good && is_fresh(session);
    close_tiny(on, session);
    return good && seen("%s", said);
}

static bool sessions_are_limited(void) {
    enum { MOST = 100 };
    llm_session hoard[MOST];
    model on;
    int count = 0;
    bool met = false, good = true;
    if (!open_model("tiny", &on)) return false;
    while (!met && count < MOST) {
        met = !llm_open((llm_graph){ on.graph.handle }, NULL, &hoard[count]);
        count += !met;
    }
    if (met && (llm_last_error.tag != LLM_E_QUOTA || llm_last_error.quota.kind != SESSIONS)) good = told("another error than quota");
    for (int i = 0; i < count; i++) llm_session_drop(hoard[i]);
    if (good && llm_open((llm_graph){ on.graph.handle }, NULL, &hoard[0])) good = is_fresh(hoard[0]), llm_session_drop(hoard[0]);
    else if (good) good = told("once all are dropped");
    close_model(on);
    return good && (met ? seen("quota after %d", count) : seen("no limit up to %d", MOST));
}

static bool max_tokens(void) {
    llm_options three = greedy;
    three.max_output_tokens = (llm_option_u32)LLM_SOME(3);
    llm_summary summary;
    model on;
    llm_session session;
    if (!open_tiny(&on, &session)) return false;
    char *text = reply(session, words("Write a long story."), &three, &summary);
    close_tiny(on, session);
    if (!text) return false;
    bool good = (summary.reason == LLM_LENGTH || fail("reason %u, wanted length", summary.reason))
                && (summary.usage.generated_tokens == 3 || fail("%u tokens, wanted 3", (unsigned)summary.usage.generated_tokens));
    if (good) seen("'%s'", text);
    free(text);
    return good;
}

static bool stop_string(void) {
    static const llm_str stop = { "is ", 3 };
    llm_options stopping = greedy;
    stopping.stop.ptr = &stop, stopping.stop.len = 1;
    llm_summary summary;
    model on;
    llm_session session;
    if (!open_tiny(&on, &session)) return false;
    char *text = reply(session, words(CAPITAL), &stopping, &summary);
    close_tiny(on, session);
    if (!is_text("up to 'is '", text, "The capital of Japan ")) return false;
    if (summary.reason != LLM_STOP_STRING || !summary.matched_stop.some) return fail("reason %u, wanted stop-string", summary.reason);
    return seen("'The capital of Japan '");
}

static bool greedy_repeats(void) {
    model on;
    if (!open_model("tiny", &on)) return false;
    bool good = true;
    for (int i = 0; good && i < 3; i++) {
        llm_session session;
        if (!llm_open((llm_graph){ on.graph.handle }, NULL, &session)) return close_model(on), told("opening a session");
        good = is_fresh(session);
        llm_session_drop(session);
    }
    close_model(on);
    return good && seen("three times the same");
}

static bool whole_characters(void) {
    model on;
    llm_session session;
    llm_generation generation;
    llm_fragment fragment = { .finished = false };
    char whole[256] = "";
    int fragments = 0, wide = 0;
    if (!open_tiny(&on, &session)) return false;
    bool good = llm_start(session, words("Say hello in Japanese."), &greedy, &generation) || told("starting");
    if (!good) return close_tiny(on, session), false;
    while (good && !fragment.finished) {
        good = llm_next(generation, &fragment) || told("reading");
        if (!good) break;
        if (!llm_is_utf8(fragment.text)) good = fail("fragment %d is not UTF-8", fragments);
        for (size_t i = 0; i < fragment.text.len; i++) wide += (unsigned char)fragment.text.ptr[i] >= 0xC0;
        snprintf(whole + strlen(whole), sizeof whole - strlen(whole), "%s", fragment.text.ptr);
        free((void *)fragment.text.ptr);
        fragments++;
    }
    llm_generation_drop(generation);
    close_tiny(on, session);
    if (!good) return false;
    if (strcmp(whole, "\u3053\u3093\u306B\u3061\u306F!")) return fail("'%s'", whole);
    return seen("%d characters of several bytes in %d fragments", wide, fragments);
}

static bool history(void) {
    llm_summary first, second;
    model on;
    llm_session session;
    if (!open_tiny(&on, &session)) return false;
    bool good = is_text("first", reply(session, words("My name is Ann."), &greedy, &first), "Nice to meet you, Ann.")
                && is_text("second", reply(session, words("What is my name?"), &greedy, &second), "Your name is Ann.");
    close_tiny(on, session);
    if (!good) return false;
    if (second.usage.prompt_tokens <= first.usage.prompt_tokens + first.usage.generated_tokens)
        return fail("the second prompt has %u tokens, the first %u", (unsigned)second.usage.prompt_tokens, (unsigned)first.usage.prompt_tokens);
    return seen("%u tokens, then %u", (unsigned)first.usage.prompt_tokens, (unsigned)second.usage.prompt_tokens);
}

static bool drop_frees(void) {
    enum { TIMES = 60 };
    model on;
    llm_session session, kept;
    if (!open_tiny(&on, &kept)) return false;
    bool good = true;
    for (int i = 0; good && i < TIMES; i++) {
        llm_generation generation;
        if (!llm_open((llm_graph){ on.graph.handle }, NULL, &session)) good = told("opening a session");
        else if (!llm_start(session, words("Write a long story."), &greedy, &generation)) good = told("starting");
        else {
            llm_generation_drop(generation);
            if (import_mark(session.handle)) good = fail("%u messages after a dropped reply", (unsigned)import_mark(session.handle));
            llm_session_drop(session);
        }
    }
    good = good && is_fresh(kept);
    close_tiny(on, kept);
    return good && seen("%d replies dropped at once", TIMES);
}

static const suite_case prompt_cases[] = {
    { "J.not-promptable", "a session on a graph that takes tensors only is not-promptable", tensors_only },
    { "J.empty-prompt", "an empty prompt is answered or invalid, and nothing breaks", empty_prompt },
    { "J.control-text", "control tokens that a user writes out stay text", control_text },
    { "J.overflow", "a prompt longer than the window is overflow with its numbers, and nothing is cut", too_long },
    { "J.prompt-bytes", "a prompt of 5 MB is overflow or quota, and the session works on", too_many_bytes },
    { "J.sessions", "too many sessions are quota, and all is well once they are dropped", sessions_are_limited },
    { "J.max-tokens", "max-output-tokens ends a reply as length", max_tokens },
    { "J.stop", "a stop string ends a reply as stop-string, and is not part of it", stop_string },
    { "J.greedy", "greedy replies repeat", greedy_repeats },
    { "J.characters", "a character that is split across tokens comes in one piece", whole_characters },
    { "J.history", "the second turn knows the first", history },
    { "J.drop-frees", "a dropped reply frees its place and takes its turn back", drop_frees },
    { 0 },
};

int main(int argc, char **argv) {
    static const suite_case *const groups[] = { prompt_cases, door_cases, NULL };
    return suite_main(argc, argv, groups, NULL);
}
