/* prompt.h: the files of prompt.wasm, and what they have in common. */
#ifndef PROMPT_H
#define PROMPT_H
#include "../../c/wit_llm.h"
#include "suite.h"

#define CAPITAL "What is the capital of Japan?"

typedef LLM_LIST(uint32_t) token_list;

extern const llm_options greedy;
extern const suite_case door_cases[];

bool told(const char *what); /* fails with the latest error of wit-llm:nn */
bool open_tiny(model *on, llm_session *session);
void close_tiny(model on, llm_session session);

llm_turn words(const char *text);
/* One reply as text that the caller frees; NULL where there is none, which is then told. */
char *reply(llm_session session, llm_turn turn, const llm_options *options, llm_summary *summary);
bool is_text(const char *what, char *got, const char *wanted); /* frees what it got */

bool encode(model on, const char *text, bool special, token_list *tokens);
bool decode(model on, const uint32_t *tokens, size_t count, llm_str *text);
/* The text that the model sees of one message, control tokens spelled out; the caller frees it. */
char *render(model on, const char *text);

#endif /* PROMPT_H */
