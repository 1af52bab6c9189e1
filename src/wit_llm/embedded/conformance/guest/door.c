/* J: what a prompt becomes are tensors that go through the door of all tensors; here a guest makes them by hand. */
#include "prompt.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MADE 8      /* tokens of a reply */
#define ROOM 256    /* tokens in all */
#define CLOSE 0.03f /* of a logit: what two ways of computing it may differ by, of which one may be in bf16 */

/* A prompt and its reply; of each token of the reply the logits that it is the best of, [vocabulary]. */
typedef struct {
    uint32_t ids[ROOM], prompt, vocabulary;
    float *logits[MADE];
} hand;

static nn_named row(const char *name, const int64_t *values, uint32_t count) {
    return (nn_named){ str_of(name), tensor_of(NN_I64, DIMENSIONS(1, count), values, count * sizeof *values) };
}

/* What the model computes about the token after these; the caller frees it. */
static float *logits_after(model on, const uint32_t *ids, uint32_t count, uint32_t *vocabulary) {
    static int64_t tokens[ROOM], ones[ROOM], places[ROOM];
    for (uint32_t i = 0; i < count; i++) tokens[i] = ids[i], ones[i] = 1, places[i] = i;
    nn_named_list outputs;
    nn_error error;
    nn_named inputs[] = { row("input_ids", tokens, count), row("attention_mask", ones, count),
                          row("position_ids", places, count) };
    if (!nn_compute(on.context, inputs, 3, &outputs, &error)) { /* not every model wants places */
        nn_error_drop(error);
        nn_named fewer[] = { row("input_ids", tokens, count), row("attention_mask", ones, count) };
        if (!computes("the tokens", on, fewer, 2, &outputs)) return NULL;
    }
    nn_bytes data = nn_tensor_data(outputs.ptr[0].tensor);
    nn_dimensions dimensions = nn_tensor_dimensions(outputs.ptr[0].tensor); /* [1, tokens, vocabulary] */
    *vocabulary = dimensions.ptr[2];
    size_t bytes = *vocabulary * sizeof(float);
    float *last = malloc(bytes);
    memcpy(last, data.ptr + data.len - bytes, bytes);
    free((void *)data.ptr), free((void *)dimensions.ptr);
    free_outputs(&outputs);
    return last;
}

/* The likeliest token once every token of the context is made less likely; by how much, in parts of it. */
static uint32_t best_of(const float *logits, uint32_t vocabulary, const uint32_t *ids, uint32_t count, float penalty,
                        float *lead) {
    float *fewer = malloc(vocabulary * sizeof *fewer);
    memcpy(fewer, logits, vocabulary * sizeof *fewer);
    for (uint32_t i = 0; i < count; i++)
        fewer[ids[i]] = logits[ids[i]] > 0 ? logits[ids[i]] / penalty : logits[ids[i]] * penalty;
    uint32_t best = 0;
    for (uint32_t i = 1; i < vocabulary; i++)
        if (fewer[i] > fewer[best]) best = i;
    float second = -INFINITY;
    for (uint32_t i = 0; i < vocabulary; i++)
        if (i != best) second = fmaxf(second, fewer[i]);
    *lead = (fewer[best] - second) / fabsf(fewer[best]);
    free(fewer);
    return best;
}

static void free_hand(hand *made) {
    for (int i = 0; i < MADE; i++) free(made->logits[i]);
}

static bool by_hand(model on, hand *made) {
    token_list tokens;
    float lead;
    memset(made, 0, sizeof *made);
    char *rendered = render(on, CAPITAL);
    bool good = rendered && encode(on, rendered, true, &tokens);
    free(rendered);
    if (!good) return false;
    uint32_t count = made->prompt = (uint32_t)tokens.len;
    if (count + MADE > ROOM) good = fail("the prompt has %u tokens", (unsigned)count);
    else memcpy(made->ids, tokens.ptr, count * sizeof *made->ids);
    free((void *)tokens.ptr);
    for (int i = 0; good && i < MADE; i++, count++) {
        made->logits[i] = logits_after(on, made->ids, count, &made->vocabulary);
        good = made->logits[i] != NULL;
        if (good) made->ids[count] = best_of(made->logits[i], made->vocabulary, NULL, 0, 1, &lead);
    }
    if (!good) free_hand(made);
    return good;
}

static llm_turn tokens_turn(const uint32_t *ids, uint32_t count) {
    return (llm_turn){ .tag = LLM_TOKENS, .tokens = { ids, count } };
}

static bool replies_with(const char *what, model on, llm_session session, llm_turn turn, const llm_options *options,
                         const uint32_t *tokens, uint32_t count) {
    llm_str wanted;
    if (!decode(on, tokens, count, &wanted)) return false;
    bool good = is_text(what, reply(session, turn, options, NULL), wanted.ptr) && seen("'%s'", wanted.ptr);
    llm_free(wanted.ptr);
    return good;
}

static bool same_door(void) {
    hand made;
    model on;
    llm_session session;
    if (!open_tiny(&on, &session)) return false;
    llm_options few = greedy;
    few.max_output_tokens = (llm_option_u32)LLM_SOME(MADE);
    bool good = by_hand(on, &made);
    if (good) {
        const uint32_t *answer = made.ids + made.prompt;
        good = replies_with("as text", on, session, words(CAPITAL), &few, answer, MADE)
               && replies_with("as tokens", on, session, tokens_turn(made.ids, made.prompt), &few, answer, MADE);
        free_hand(&made);
    }
    close_tiny(on, session);
    return good;
}

static bool same_logits(void) {
    hand made;
    model on;
    llm_session session;
    int choices = 0, turned = 0;
    if (!open_tiny(&on, &session)) return false;
    llm_options one = greedy;
    one.max_output_tokens = (llm_option_u32)LLM_SOME(1);
    one.sampling = (llm_sampling){ .tag = LLM_EXACT, .exact = { .temperature = LLM_SOME(0) } };
    one.ignore_eos = true;
    bool good = by_hand(on, &made);
    if (!good) return close_tiny(on, session), false;
    for (uint32_t step = 0; good && step < MADE; step++)
        for (int twentieths = 2; good && twentieths <= 20; twentieths++) {
            float penalty = (float)twentieths / 20, lead;
            uint32_t count = made.prompt + step;
            uint32_t token = best_of(made.logits[step], made.vocabulary, made.ids, count, penalty, &lead);
            if (lead < CLOSE) continue;
            one.sampling.exact.repetition_penalty = (llm_option_f32)LLM_SOME(penalty);
            choices++, turned += token != made.ids[count];
            char what[48];
            snprintf(what, sizeof what, "token %u under penalty %g", (unsigned)step, penalty);
            good = replies_with(what, on, session, tokens_turn(made.ids, count), &one, &token, 1);
        }
    free_hand(&made);
    close_tiny(on, session);
    if (good && !turned) return fail("no penalty turns one of %d choices", choices);
    return good && seen("%d choices, %d of them turned by a penalty", choices, turned);
}

static bool over_tensors(void) {
    model on;
    llm_session session;
    nn_named_list outputs;
    uint32_t bytes = sizeof CAPITAL - 1;
    if (!open_tiny(&on, &session)) return false;
    char *wanted = reply(session, words(CAPITAL), NULL, NULL);
    nn_named input = NAMED("prompt", tensor_of(NN_U8, DIMENSIONS(bytes), CAPITAL, bytes));
    bool good = wanted && computes("the prompt", on, &input, 1, &outputs);
    if (good) {
        uint32_t len = (uint32_t)strlen(wanted);
        good = is_output(&outputs, 0, "response", NN_U8, DIMENSIONS(len), wanted, len)
               && (outputs.len == 1 || fail("%zu outputs, wanted 1", outputs.len)) && seen("'%s'", wanted);
        free_outputs(&outputs);
    }
    free(wanted);
    close_tiny(on, session);
    return good;
}

const suite_case door_cases[] = {
    { "J.same-door", "hand-made tensors, tokens and a prompt give the same tokens", same_door },
    { "J.same-logits",
      "under each repetition penalty a prompt chooses what hand-made logits choose: equal, up to their scale",
      same_logits },
    { "J.over-tensors", "an input `prompt`, U8, gives an output `response`, U8: the words of a session's first turn",
      over_tensors },
    { 0 },
};
