/* cases.h: the files of nn.wasm; each has a letter or two of the suite. */
#ifndef CASES_H
#define CASES_H
#include "suite.h"
#include <stdio.h>
#include <stdlib.h>

extern const suite_case tensor_cases[], error_cases[], graph_cases[], compute_cases[], limit_cases[], number_cases[];
extern const suite_act acts[];

/* `numbers` as the file or files that --backend says. */
typedef struct { nn_bytes builders[4]; size_t count; uint8_t encoding; } source;
source own_bytes(void);

/* What came of one of the `echo-<type>`, [2, 3]: the bytes that went in, unsupported-operation, which `seen` has, or
 * what the case has to end with. */
typedef enum { ECHO_CAME, ECHO_UNSUPPORTED, ECHO_WRONG } echo_result;
echo_result echo(uint8_t ty, const void *data);

/* `numbers`, the classifier, and what comes out of it to a hundredth. */
bool classifies(model on, float *worst);
/* `breaks` with n: 3 computes, all else fails while it computes. */
bool breaks_at(model on, int64_t n);
#endif
