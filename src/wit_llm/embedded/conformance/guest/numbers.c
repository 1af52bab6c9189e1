/* I: one classifier, the same numbers everywhere. */
#include "cases.h"
#include <math.h>

#define TOLERANCE 0.01f

/* softmax(tanh(x · hidden) · classes) in double precision; the weights are quarters by a rule. */
static void classify(const float x[4], float y[3]) {
    double hidden[8], total = 0, classes[3];
    for (int j = 0; j < 8; j++) {
        hidden[j] = 0;
        for (int i = 0; i < 4; i++) hidden[j] += x[i] * ((3 * i + 5 * j) % 7 - 3) / 4.0;
        hidden[j] = tanh(hidden[j]);
    }
    for (int k = 0; k < 3; k++) {
        classes[k] = 0;
        for (int j = 0; j < 8; j++) classes[k] += hidden[j] * ((5 * j + 3 * k) % 7 - 3) / 4.0;
        total += classes[k] = exp(classes[k]);
    }
    for (int k = 0; k < 3; k++) y[k] = (float)(classes[k] / total);
}

static bool classifies_one(model on, const float x[4], float *worst) {
    nn_named input = NAMED("x", tensor_of(NN_FP32, DIMENSIONS(1, 4), x, 4 * sizeof *x));
    nn_named_list outputs;
    float wanted[3];
    classify(x, wanted);
    if (!computes("the features", on, &input, 1, &outputs)) return false;
    nn_bytes data = { NULL, 0 };
    bool good = outputs.len == 1 || fail("%zu outputs, wanted 1", outputs.len);
    if (good) data = nn_tensor_data(outputs.ptr[0].tensor);
    if (good && data.len != sizeof wanted) good = fail("%zu bytes, wanted %zu", data.len, sizeof wanted);
    for (int k = 0; good && k < 3; k++) {
        float off = fabsf(((const float *)data.ptr)[k] - wanted[k]);
        *worst = fmaxf(*worst, off);
        if (!(off <= TOLERANCE)) good = fail("class %d is %g, wanted %g", k, ((const float *)data.ptr)[k], wanted[k]);
    }
    /* Byte by byte it is itself: this looks at name, type and dimensions. */
    good = good && is_output(&outputs, 0, "y", NN_FP32, DIMENSIONS(1, 3), data.ptr, data.len);
    free((void *)data.ptr);
    free_outputs(&outputs);
    return good;
}

bool classifies(model on, float *worst) {
    static const float features[][4] = { { 0.5f, -1, 0.25f, 2 }, { 0, 0, 0, 0 }, { -3, 1, 4, -1.5f }, { 1, 1, 1, 1 } };
    *worst = 0;
    for (size_t i = 0; i < COUNT(features); i++)
        if (!classifies_one(on, features[i], worst)) return false;
    return true;
}

static bool numbers_are_right(void) {
    model on;
    float worst;
    if (!open_model("numbers", &on)) return false;
    bool good = classifies(on, &worst) && seen("at most %.1e off", worst);
    close_model(on);
    return good;
}

const suite_case number_cases[] = {
    { "I.numbers", "a classifier's probabilities are right to 0.01, whatever computes them", numbers_are_right },
    { 0 },
};
