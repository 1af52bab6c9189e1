/* nn.wasm: a host of wasi:nn looked at from inside, B to I. It imports wasi:nn and WASI, and nothing else. */
#include "cases.h"

int main(int argc, char **argv) {
    static const suite_case *const groups[] = { tensor_cases, error_cases, graph_cases, compute_cases, limit_cases,
                                                number_cases, NULL };
    return suite_main(argc, argv, groups, acts);
}
