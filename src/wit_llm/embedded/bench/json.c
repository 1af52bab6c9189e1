#include "json.h"
#include <stdarg.h>
#include <string.h>

json json_of(char *line, size_t len) { return (json){ .at = line, .end = line + len }; }

bool json_fail(json *in, const char *format, ...) {
    va_list arguments;
    if (in->wrong[0]) return false;
    va_start(arguments, format);
    vsnprintf(in->wrong, sizeof in->wrong, format, arguments);
    va_end(arguments);
    return false;
}

/* The character after blanks; 0 at the end, and where something is wrong. */
static char next(json *in) {
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\t' || *in->at == '\r' || *in->at == '\n')) in->at++;
    return in->wrong[0] || in->at == in->end ? 0 : *in->at;
}

static bool expect(json *in, char wanted) {
    char found = next(in);
    if (found == wanted) return in->at++, true;
    if (!found) return json_fail(in, "'%c' is missing at its end", wanted);
    if ((unsigned char)(found - ' ') > '~' - ' ') return json_fail(in, "a stray byte where '%c' belongs", wanted);
    return json_fail(in, "'%c' where '%c' belongs", found, wanted);
}

bool json_enter(json *in, char bracket) { return in->first = true, expect(in, bracket); }

static bool more(json *in, char closing) {
    if (next(in) == closing) return in->at += 1, in->first = false;
    if (!in->first) return expect(in, ',');
    in->first = false;
    return !in->wrong[0];
}

bool json_item(json *in) { return more(in, ']'); }
bool json_member(json *in, llm_str *key) { return more(in, '}') && json_text(in, key) && expect(in, ':'); }

static bool unit(json *in, uint32_t *value) {
    *value = 0;
    for (int i = 0; i < 4; i++) {
        char c = in->at < in->end ? *in->at++ : 0, low = c | 0x20;
        if (c >= '0' && c <= '9') *value = *value << 4 | (uint32_t)(c - '0');
        else if (low >= 'a' && low <= 'f') *value = *value << 4 | (uint32_t)(low - 'a' + 10);
        else return json_fail(in, "\\u wants four hexadecimal digits");
    }
    return true;
}

static bool character(json *in, char **out) {
    uint32_t code, low;
    if (!unit(in, &code)) return false;
    if (code >= 0xD800 && code < 0xDC00 && in->end - in->at >= 2 && in->at[0] == '\\' && in->at[1] == 'u') {
        in->at += 2;
        if (!unit(in, &low)) return false;
        if (low < 0xDC00 || low > 0xDFFF) return json_fail(in, "half a surrogate pair");
        code = 0x10000 + ((code - 0xD800) << 10 | (low - 0xDC00));
    }
    if (code >= 0xD800 && code < 0xE000) return json_fail(in, "half a surrogate pair");
    if (code < 0x80) return *(*out)++ = (char)code, true;
    int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    *(*out)++ = (char)((0xFF00 >> (more + 1) & 0xFF) | code >> 6 * more);
    while (more--) *(*out)++ = (char)(0x80 | (code >> 6 * more & 0x3F));
    return true;
}

bool json_text(json *in, llm_str *text) {
    static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (next(in) != '"') return json_fail(in, "a text in quotation marks is missing");
    char *out = ++in->at;
    text->ptr = out;
    for (;;) {
        if (in->at == in->end) return json_fail(in, "a text has no end");
        unsigned char c = (unsigned char)*in->at++;
        if (c == '"') break;
        if (c < 0x20) return json_fail(in, "a control character in a text; write it as \\u%04x", c);
        if (c != '\\') { *out++ = (char)c; continue; }
        char escape = in->at < in->end ? *in->at++ : 0;
        const char *found = escape ? strchr(escapes, escape) : NULL;
        if (found) *out++ = meant[found - escapes];
        else if (escape != 'u') return json_fail(in, "a backslash before what it does not go with");
        else if (!character(in, &out)) return false;
    }
    text->len = (size_t)(out - text->ptr);
    return llm_is_utf8(*text) || json_fail(in, "a text that is not UTF-8");
}

static bool word(json *in, const char *wanted) {
    size_t len = strlen(wanted);
    if (!next(in) || (size_t)(in->end - in->at) < len || memcmp(in->at, wanted, len)) return false;
    return in->at += len, true;
}

bool json_bool(json *in, bool *value) {
    *value = word(in, "true");
    return *value || word(in, "false") || json_fail(in, "true or false is missing");
}

bool json_number(json *in, uint64_t least, uint64_t most, uint64_t *value) {
    bool digits = next(in) >= '0' && *in->at <= '9', good = digits;
    if (digits && *in->at == '0' && in->end - in->at > 1 && in->at[1] >= '0' && in->at[1] <= '9') good = false;
    for (*value = 0; digits && in->at < in->end && *in->at >= '0' && *in->at <= '9'; in->at++) {
        uint64_t digit = (uint64_t)(*in->at - '0');
        if (digit > most || *value > (most - digit) / 10) good = false;
        else *value = *value * 10 + digit;
    }
    if (in->at < in->end && strchr(".eE", *in->at)) good = false;
    return (good && *value >= least)
        || json_fail(in, "a whole number from %llu to %llu is missing", (unsigned long long)least,
                     (unsigned long long)most);
}

bool json_end(json *in) { return (!next(in) && !in->wrong[0]) || json_fail(in, "something follows its end"); }

void json_put_text(FILE *out, llm_str text) {
    putc('"', out);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '"' || c == '\\') putc('\\', out), putc(c, out);
        else if (c == '\n') fputs("\\n", out);
        else if (c < 0x20) fprintf(out, "\\u%04x", c);
        else putc(c, out);
    }
    putc('"', out);
}
