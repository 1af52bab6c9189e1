/* suite.h: what the suite's guests have in common: cases, how they are reported, and what hosts are asked most often.
 *
 *   GUEST [--json] [--list] [--backend NAME] [--hidden TEXT] [CASE...]
 *   GUEST [--json] act NAME [NUMBER]
 *
 * Without CASE all of them; a letter is all that begin with it. Each is one line: its result, its name, what was seen.
 * An act is what a driver has a guest do beside another one. `end` is the last line, so that a driver knows that the
 * guest was not ended before. --backend says whose files the granted models are; --hidden is a text that no error may
 * hold. The exit status is 1 when a case failed. */
#ifndef SUITE_H
#define SUITE_H
#include "wasi_nn.h"

typedef struct {
    const char *name, *claim;
    bool (*holds)(void);
} suite_case;
typedef struct {
    const char *name;
    bool (*play)(uint32_t number);
} suite_act;
int suite_main(int argc, char **argv, const suite_case *const *groups, const suite_act *acts); /* NULL after the last */

/* How a case ends: `return seen(...)`, `return fail(...)`, or `return not_run(...)` where the host lacks what it needs. */
#define SAYS __attribute__((format(printf, 1, 2)))
SAYS bool seen(const char *format, ...);
SAYS bool fail(const char *format, ...);
SAYS bool not_run(const char *format, ...);
SAYS bool note(const char *format, ...); /* a line of an act */
extern const char *suite_backend;

/* ---- tensors */

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define DIMENSIONS(...) \
    ((nn_dimensions){ (const uint32_t[]){ __VA_ARGS__ }, sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t) })
#define NAMED(text, value) ((nn_named){ STR(text), (value) })
#define STR(literal) ((nn_str){ (literal), sizeof(literal) - 1 })
nn_str str_of(const char *text);
size_t element_bytes(uint8_t ty);
extern const char *const type_names[7];

nn_tensor tensor_of(uint8_t ty, nn_dimensions dimensions, const void *data, size_t bytes);
nn_tensor floats(const float *values, uint32_t count);
nn_tensor matrix(uint32_t rows, uint32_t columns, float value); /* FP32, every element the same */

/* Whether a tensor is exactly this one; fails with what it is. It is not dropped. */
bool is_tensor(const char *what, nn_tensor tensor, uint8_t ty, nn_dimensions dimensions, const void *data, size_t bytes);

/* ---- graphs */

typedef struct { nn_graph graph; nn_context context; } model;
bool open_model(const char *name, model *opened); /* by name; where it is not granted, the case is not run */
void close_model(model opened);

/* Compute and keep the outputs; they must come. `free_outputs` drops them. */
bool computes(const char *what, model on, const nn_named *inputs, size_t count, nn_named_list *outputs);
bool is_output(const nn_named_list *outputs, size_t index, const char *name, uint8_t ty, nn_dimensions dimensions,
               const void *data, size_t bytes);
void free_outputs(nn_named_list *outputs);

/* ---- errors */

/* Whether an error has this code, or any, and a text that says something and holds nothing hidden. Drops it; `seen` has
 * it. */
enum { ANY_CODE = 255 };
bool is_error(const char *what, nn_error error, uint8_t code);
/* Compute, which must be refused with this code. */
bool refuses(const char *what, model on, const nn_named *inputs, size_t count, uint8_t code);
extern const char *const code_names[9];

#endif /* SUITE_H */
