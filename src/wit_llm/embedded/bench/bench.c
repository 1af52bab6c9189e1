/* bench [--start US] GRAPH
 *
 * Reads requests from standard input, a line of JSON each, answers them one after the other, greedily, each in a session
 * of its own, and writes a line of JSON for each reply and one for all. What the lines hold is said in
 * wit-llm/README.md. Nothing is asked before all lines are read. Times are microseconds on a clock whose zero is the
 * moment when all lines were read, or the one of --start, in microseconds since 1970, at which several guests begin
 * together. */
#define _POSIX_C_SOURCE 200809L /* getline, clock_gettime, nanosleep */
#define WIT_LLM_IMPLEMENTATION
#include "json.h"
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>

enum { AWAKE_US = 2000 }; /* a timer of the host's may be a millisecond late or two */

typedef struct {
    llm_str id, expected;
    llm_turn turn;
    llm_options options;
    uint64_t at_us;
    bool expects, scheduled;
} request;

static struct { request *at; size_t len, room; } requests;
static struct { uint64_t *at; size_t len, room; } ttft, itl, e2el; /* of all replies, microseconds */
static int64_t zero_us;

/* A list of a struct such as these, with room for one more. */
#define PUSH(list, item)                                                                                      \
    do {                                                                                                      \
        if ((list).len == (list).room)                                                                        \
            (list).at = realloc((list).at, ((list).room = (list).room * 2 + 16) * sizeof *(list).at);         \
        if (!(list).at) fail("there is no memory for so many lines"), exit(1);                                \
        (list).at[(list).len++] = (item);                                                                     \
    } while (0)

static bool fail(const char *sentence) {
    fprintf(stderr, "error: %s\n", sentence);
    return false;
}

/* ---- what is asked */

enum { ID, PROMPT, MESSAGES, RAW, EXPECTED, MAX_OUTPUT_TOKENS, IGNORE_EOS, AT_US, KEYS };
static const char *const keys[KEYS] = { "id", "prompt", "messages", "raw", "expected", "max_output_tokens",
                                        "ignore_eos", "at_us" };
enum { WORDS = 1 << PROMPT | 1 << MESSAGES | 1 << RAW };

static int one_of(json *in, const char *const *names, int count, llm_str name, const char *what) {
    for (int i = 0; i < count; i++)
        if (strlen(names[i]) == name.len && !memcmp(names[i], name.ptr, name.len)) return i;
    json_fail(in, "no %s is called '%.*s'", what, (int)(name.len < 80 ? name.len : 80), name.ptr);
    return -1;
}

static bool read_message(json *in, llm_message *message) {
    static const char *const names[] = { "role", "content" };
    static const char *const roles[] = { "system", "user", "assistant" };
    llm_part *part = calloc(1, sizeof *part);
    llm_str key, role;
    int seen = 0;
    if (!part) return json_fail(in, "there is no memory for it");
    *message = (llm_message){ .parts = { part, 1 } };
    if (!json_enter(in, '{')) return false;
    while (json_member(in, &key)) {
        int name = one_of(in, names, 2, key, "key of a message");
        if (name < 0) return false;
        if (seen & 1 << name) return json_fail(in, "a message has '%s' twice", names[name]);
        seen |= 1 << name;
        if (!json_text(in, name ? &part->text : &role)) return false;
        if (!name) {
            int found = one_of(in, roles, 3, role, "role");
            if (found < 0) return false;
            message->role = (uint8_t)found;
        }
    }
    return !in->wrong[0] && (seen == 3 || json_fail(in, "a message has a role and a content"));
}

static bool read_messages(json *in, llm_turn *turn) {
    struct { llm_message *at; size_t len, room; } list = { 0 };
    llm_message message;
    if (!json_enter(in, '[')) return false;
    while (json_item(in)) {
        if (!read_message(in, &message)) return false;
        PUSH(list, message);
    }
    turn->tag = LLM_MESSAGES, turn->messages.ptr = list.at, turn->messages.len = list.len;
    return !in->wrong[0] && (list.len || json_fail(in, "there is no message"));
}

static bool read_value(json *in, int key, request *it) {
    uint64_t tokens;
    switch (key) {
    case ID: return json_text(in, &it->id);
    case PROMPT: return it->turn.tag = LLM_SAY, json_text(in, &it->turn.text);
    case MESSAGES: return read_messages(in, &it->turn);
    case RAW: return it->turn.tag = LLM_RAW, json_text(in, &it->turn.text);
    case EXPECTED: return it->expects = true, json_text(in, &it->expected);
    case IGNORE_EOS: return json_bool(in, &it->options.ignore_eos);
    case AT_US: return it->scheduled = true, json_number(in, 0, 1ull << 50, &it->at_us);
    default:
        if (!json_number(in, 1, UINT32_MAX, &tokens)) return false;
        it->options.max_output_tokens = (llm_option_u32)LLM_SOME((uint32_t)tokens);
        return true;
    }
}

static bool read_request(json *in, request *it) {
    llm_str key;
    int seen = 0, words;
    *it = (request){ .options.sampling = { .tag = LLM_PRESET, .preset = LLM_DETERMINISTIC } };
    if (!json_enter(in, '{')) return false;
    while (json_member(in, &key)) {
        int name = one_of(in, keys, KEYS, key, "key");
        if (name < 0) return false;
        if (seen & 1 << name) return json_fail(in, "'%s' stands twice", keys[name]);
        seen |= 1 << name;
        if (!read_value(in, name, it)) return false;
    }
    if (!json_end(in)) return false;
    words = seen & WORDS;
    if (!(seen & 1 << ID)) return json_fail(in, "'id' is missing");
    if (!words || words & (words - 1)) return json_fail(in, "it has one of 'prompt', 'messages' and 'raw'");
    return true;
}

static bool read_requests(void) {
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    for (unsigned number = 1; (len = getline(&line, &room, stdin)) >= 0; number++) {
        json in = json_of(line, (size_t)len - (len && line[len - 1] == '\n'));
        request it;
        if (!read_request(&in, &it)) return fprintf(stderr, "error: line %u: %s\n", number, in.wrong), false;
        PUSH(requests, it);
        line = NULL, room = 0; /* the request's texts stand in it */
    }
    free(line);
    if (!feof(stdin)) return fail("standard input cannot be read");
    return requests.len || fail("there is no request on standard input");
}

/* ---- time */

static int64_t clock_us(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t now_us(void) { return clock_us(CLOCK_MONOTONIC) - zero_us; }

static void wait_until(int64_t due_us) {
    int64_t sleep_us = due_us - now_us() - AWAKE_US;
    struct timespec pause = { .tv_sec = sleep_us / 1000000, .tv_nsec = sleep_us % 1000000 * 1000 };
    if (sleep_us > 0) nanosleep(&pause, NULL);
    while (now_us() < due_us) continue;
}

/* ---- what comes */

typedef struct {
    struct { char *at; size_t len, room; } text;
    size_t first_gap; /* in `itl`, to its end */
    int64_t ttft_us, e2el_us;
    llm_summary summary;
} reply;

static bool listen(llm_generation generation, int64_t from_us, reply *it) {
    llm_fragment fragment;
    int64_t last_us = 0;
    do {
        if (!llm_next(generation, &fragment)) return false;
        int64_t now = now_us() - from_us;
        if (fragment.text.len && last_us) PUSH(itl, (uint64_t)(now - last_us));
        if (fragment.text.len && !last_us) it->ttft_us = now;
        if (fragment.text.len) last_us = now;
        it->e2el_us = now;
        for (size_t i = 0; i < fragment.text.len; i++) PUSH(it->text, fragment.text.ptr[i]);
        llm_free(fragment.text.ptr);
    } while (!fragment.finished);
    if (!last_us) it->ttft_us = it->e2el_us;
    return llm_finish(generation, &it->summary);
}

static bool ask(llm_graph graph, const request *it, int64_t from_us, reply *heard) {
    llm_session session;
    llm_generation generation;
    if (!llm_open(graph, NULL, &session)) return false;
    bool ok = llm_start(session, it->turn, &it->options, &generation);
    if (ok) {
        ok = listen(generation, from_us, heard);
        llm_generation_drop(generation);
    }
    llm_session_drop(session);
    return ok;
}

static struct { size_t failures, expected, met; uint64_t prompt_tokens, generated_tokens; } total;

static void begin_line(const char *type, llm_str id, int64_t sent_us) {
    printf("{\"type\": \"%s\", \"id\": ", type);
    json_put_text(stdout, id);
    printf(", \"sent_us\": %lld, ", (long long)sent_us);
}

static void put_reply(const request *asked, int64_t sent_us, const reply *it) {
    llm_str text = { it->text.at, it->text.len };
    const llm_usage *usage = &it->summary.usage;
    begin_line("reply", asked->id, sent_us);
    printf("\"ttft_us\": %lld, \"e2el_us\": %lld, \"itl_us\": [", (long long)it->ttft_us, (long long)it->e2el_us);
    for (size_t i = it->first_gap; i < itl.len; i++)
        printf("%s%llu", i > it->first_gap ? ", " : "", (unsigned long long)itl.at[i]);
    printf("], \"prompt_tokens\": %u, \"generated_tokens\": %u, \"reason\": \"%s\", \"text\": ",
           (unsigned)usage->prompt_tokens, (unsigned)usage->generated_tokens, llm_reason(it->summary.reason));
    json_put_text(stdout, text);
    if (asked->expects) {
        bool met = text.len == asked->expected.len && !memcmp(text.ptr, asked->expected.ptr, text.len);
        printf(", \"met\": %s", met ? "true" : "false");
        total.expected++, total.met += met;
    }
    puts("}");
    total.prompt_tokens += usage->prompt_tokens, total.generated_tokens += usage->generated_tokens;
    PUSH(ttft, (uint64_t)it->ttft_us);
    PUSH(e2el, (uint64_t)it->e2el_us);
}

static void put_failure(const request *asked, int64_t sent_us) {
    begin_line("failure", asked->id, sent_us);
    fputs("\"error\": ", stdout);
    json_put_text(stdout, llm_str_of(llm_strerror()));
    puts("}");
    total.failures++;
}

static int ascending(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* The least value that so many percent of all do not exceed. */
static void put_percentiles(const char *name, uint64_t *values, size_t len) {
    static const unsigned percents[] = { 50, 90, 99 };
    printf(", \"%s\": ", name);
    if (!len) { fputs("null", stdout); return; }
    qsort(values, len, sizeof *values, ascending);
    for (int i = 0; i < 3; i++)
        printf("%s\"p%u\": %llu", i ? ", " : "{", percents[i],
               (unsigned long long)values[(len * percents[i] + 99) / 100 - 1]);
    putchar('}');
}

static void put_summary(int64_t ready_us, int64_t wall_us) {
    printf("{\"type\": \"summary\", \"ready_us\": %lld, \"wall_us\": %lld, \"requests\": %zu, \"failures\": %zu, "
           "\"expected\": %zu, \"met\": %zu, \"prompt_tokens\": %llu, \"generated_tokens\": %llu",
           (long long)ready_us, (long long)wall_us, requests.len, total.failures, total.expected, total.met,
           (unsigned long long)total.prompt_tokens, (unsigned long long)total.generated_tokens);
    put_percentiles("ttft_us", ttft.at, ttft.len);
    put_percentiles("itl_us", itl.at, itl.len);
    put_percentiles("e2el_us", e2el.at, e2el.len);
    puts("}");
}

static bool answer_all(llm_graph graph) {
    int64_t ready_us = now_us();
    wait_until(0);
    for (size_t i = 0; i < requests.len && !ferror(stdout); i++) {
        const request *it = &requests.at[i];
        reply heard = { .first_gap = itl.len };
        if (it->scheduled) wait_until((int64_t)it->at_us);
        int64_t sent_us = now_us();
        if (ask(graph, it, it->scheduled ? (int64_t)it->at_us : sent_us, &heard)) {
            put_reply(it, sent_us, &heard);
            llm_summary_free(&heard.summary);
        } else {
            put_failure(it, sent_us);
        }
        free(heard.text.at);
        fflush(stdout);
    }
    put_summary(ready_us, now_us());
    return (fflush(stdout) == 0 && !ferror(stdout)) || fail("standard output is closed");
}

static bool read_start(const char *text, int64_t *start_us) {
    char *end;
    *start_us = (int64_t)strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end;
}

int main(int argc, char **argv) {
    int64_t start_us = 0;
    bool together = argc == 4 && !strcmp(argv[1], "--start") && read_start(argv[2], &start_us);
    llm_graph graph;
    if ((argc != 2 && !together) || argv[argc - 1][0] == '-') return fail("usage: bench [--start US] GRAPH"), 1;
    if (!read_requests()) return 1;
    if (!llm_graph_load(argv[argc - 1], &graph)) return fail(llm_strerror()), 1;
    zero_us = clock_us(CLOCK_MONOTONIC);
    if (together) zero_us += start_us - clock_us(CLOCK_REALTIME);
    bool ok = answer_all(graph);
    llm_graph_drop(graph);
    return ok && !total.failures ? 0 : 1;
}
