/* chat [-s SYSTEM] [--max-output-tokens N] [--ignore-eos] [--transcript] [--stats] GRAPH [PROMPT]
 *
 * With PROMPT one reply, without it a turn for every line of standard input, history kept. The PROMPT - is all of
 * standard input, for what is longer than the 64 KiB that arguments may have. Each piece of text is
 * written as it comes. --transcript repeats each question before its reply, for input that nobody sees typed; --stats
 * follows each reply with its numbers, a line of JSON on standard error. */
#define _POSIX_C_SOURCE 200809L /* getline */
#define WIT_LLM_IMPLEMENTATION
#include "../c/wit_llm.h"
#include <sys/types.h>
#include <unistd.h>

static bool put(llm_str piece, void *mid_line) {
    *(bool *)mid_line = true;
    fwrite(piece.ptr, 1, piece.len, stdout);
    return fflush(stdout) == 0 && !ferror(stdout);
}

static bool fail(const char *sentence) {
    fprintf(stderr, "error: %s\n", sentence);
    return false;
}

static const char *cut_short_by(uint8_t reason) {
    switch (reason) {
    case LLM_LENGTH: return "it reached max-output-tokens";
    case LLM_CONTEXT_FULL: return "the context window is full";
    case LLM_DEADLINE: return "its deadline passed";
    case LLM_QUOTA: return "the quota is used up";
    default: return NULL;
    }
}

static struct { llm_options options; const char *graph, *prompt, *system; bool transcript, stats; } asked;

static void print_stats(const llm_summary *it) {
    fprintf(stderr, "{\"reason\": \"%s\", \"prompt_tokens\": %u, \"generated_tokens\": %u, \"queued_us\": %llu, ",
            llm_reason(it->reason), it->usage.prompt_tokens, it->usage.generated_tokens,
            (unsigned long long)it->timing.queued_us);
    if (it->timing.first_token_us.some)
        fprintf(stderr, "\"first_token_us\": %llu, ", (unsigned long long)it->timing.first_token_us.val);
    fprintf(stderr, "\"total_us\": %llu}\n", (unsigned long long)it->timing.total_us);
}

static bool reply_to(llm_session session, llm_str question) {
    bool mid_line = false;
    llm_summary summary;
    if (!llm_is_utf8(question)) return fail("the question is not UTF-8");
    if (!llm_stream(session, LLM_TURN_SAY(question), &asked.options, put, &mid_line, &summary)) {
        if (mid_line) putchar('\n'), fflush(stdout);
        return fail(llm_strerror());
    }
    putchar('\n'), fflush(stdout);
    const char *cut = cut_short_by(summary.reason);
    if (cut) fprintf(stderr, "note: the reply was cut short: %s\n", cut);
    if (asked.stats) print_stats(&summary);
    llm_summary_free(&summary);
    return true;
}

static bool reply_to_lines(llm_session session) {
    bool terminal = isatty(STDIN_FILENO);
    char *line = NULL;
    size_t room = 0;
    while (!ferror(stdout)) {
        if (terminal) fputs("> ", stdout), fflush(stdout);
        ssize_t len = getline(&line, &room, stdin);
        if (len < 0) break;
        if (len && line[len - 1] == '\n') len--;
        if (len && line[len - 1] == '\r') len--;
        if (!len) continue;
        llm_str question = { line, (size_t)len };
        if (asked.transcript) {
            fputs("> ", stdout), fwrite(question.ptr, 1, question.len, stdout), putchar('\n');
            fflush(stdout);
        }
        reply_to(session, question);
    }
    free(line);
    if (terminal) putchar('\n');
    if (ferror(stdout)) return fail("standard output is closed");
    if (!feof(stdin)) return fail("standard input cannot be read");
    return true;
}

static bool reply_to_everything(llm_session session) {
    size_t len = 0, room = 1 << 16, got;
    char *text = malloc(room);
    while (text && (got = fread(text + len, 1, room - len, stdin))) {
        len += got;
        if (len == room) text = realloc(text, room *= 2);
    }
    if (!text) return fail("there is no memory for so long a prompt");
    if (ferror(stdin)) return fail("standard input cannot be read");
    bool ok = reply_to(session, (llm_str){ text, len });
    free(text);
    return ok;
}

static bool number(const char *text, llm_option_u32 *option) {
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    option->some = true, option->val = (uint32_t)value;
    return *text >= '0' && *text <= '9' && !*end && value < UINT32_MAX;
}

static bool read_arguments(int argc, char **argv) {
    int at = 1;
    for (; at < argc && argv[at][0] == '-'; at++) {
        bool more = at + 1 < argc;
        if (!strcmp(argv[at], "--transcript")) asked.transcript = true;
        else if (!strcmp(argv[at], "--stats")) asked.stats = true;
        else if (!strcmp(argv[at], "--ignore-eos")) asked.options.ignore_eos = true;
        else if (!strcmp(argv[at], "-s") && more) asked.system = argv[++at];
        else if (!strcmp(argv[at], "--max-output-tokens") && more) {
            if (!number(argv[++at], &asked.options.max_output_tokens)) return false;
        } else return false;
    }
    if (argc - at < 1 || argc - at > 2) return false;
    asked.graph = argv[at], asked.prompt = argv[at + 1];
    return true;
}

int main(int argc, char **argv) {
    if (!read_arguments(argc, argv))
        return fail("usage: chat [-s SYSTEM] [--max-output-tokens N] [--ignore-eos] [--transcript] [--stats] "
                    "GRAPH [PROMPT]"), 1;
    llm_part words = { .tag = LLM_PART_TEXT, .text = llm_str_of(asked.system ? asked.system : "") };
    llm_message preamble = { .role = LLM_SYSTEM, .parts = { &words, 1 } };
    llm_setup setup = { .preamble = { &preamble, asked.system != NULL },
                        .on_overflow = asked.prompt ? LLM_FAIL : LLM_DROP_OLDEST_TURNS };
    llm_graph graph;
    llm_session session;
    if (!llm_graph_load(asked.graph, &graph) || !llm_open(graph, &setup, &session)) return fail(llm_strerror()), 1;

    bool ok = !asked.prompt ? reply_to_lines(session)
            : strcmp(asked.prompt, "-") ? reply_to(session, llm_str_of(asked.prompt))
            : reply_to_everything(session);
    llm_session_drop(session);
    llm_graph_drop(graph);
    return ok ? 0 : 1;
}
