/* json.h: one line of JSON, read strictly from left to right, and strings written as JSON.
 *
 * Text is decoded where it stands, so that what is read points into the line. Each call returns false once something
 * is wrong, and `wrong` says what; a reader that is wrong stays wrong. */
#ifndef JSON_H
#define JSON_H
#include "../c/wit_llm.h"
#include <stdio.h>

typedef struct { char *at, *end; bool first; char wrong[256]; } json;

json json_of(char *line, size_t len);
bool json_fail(json *in, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* '{' or '[', and whether another member or item follows: false at the closing bracket, which is read. */
bool json_enter(json *in, char bracket);
bool json_member(json *in, llm_str *key);
bool json_item(json *in);

bool json_text(json *in, llm_str *text);
bool json_bool(json *in, bool *value);
bool json_number(json *in, uint64_t least, uint64_t most, uint64_t *value); /* whole, without sign or exponent */
bool json_end(json *in);                                                    /* nothing follows */

void json_put_text(FILE *out, llm_str text);
#endif
