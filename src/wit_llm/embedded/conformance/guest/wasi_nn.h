/* wasi_nn.h: wasi:nn 0.2.0-rc-2024-10-28 for C guests. World `wasi:nn/ml`, wasm32, C11.
 *
 * Every struct here is laid out as the component model's canonical ABI lays it out, so that a call hands over a pointer
 * and nothing is converted. A component imports only the functions that it calls.
 *
 * Include it anywhere; define WASI_NN_IMPLEMENTATION before the include in exactly one file.
 *
 *   - A call that can fail returns true, or false with the reason in `*error`, which the guest then owns.
 *   - What the host returns belongs to the guest: bytes, dimensions, text and lists with `free`, handles with their drop.
 *   - `nn_compute` takes its input tensors away, whether it succeeds or not. */
#ifndef WASI_NN_H
#define WASI_NN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct { int32_t handle; } nn_tensor;
typedef struct { int32_t handle; } nn_graph;
typedef struct { int32_t handle; } nn_context; /* graph-execution-context */
typedef struct { int32_t handle; } nn_error;

typedef struct { const char *ptr; size_t len; } nn_str;
typedef struct { const uint8_t *ptr; size_t len; } nn_bytes;
typedef struct { const uint32_t *ptr; size_t len; } nn_dimensions;

enum { NN_FP16, NN_FP32, NN_FP64, NN_BF16, NN_U8, NN_I32, NN_I64 }; /* tensor-type */
enum { NN_OPENVINO, NN_ONNX, NN_TENSORFLOW, NN_PYTORCH, NN_TENSORFLOWLITE, NN_GGML, NN_AUTODETECT }; /* graph-encoding */
enum { NN_CPU, NN_GPU, NN_TPU }; /* execution-target */
enum {
    NN_INVALID_ARGUMENT, NN_INVALID_ENCODING, NN_TIMEOUT, NN_RUNTIME_ERROR, NN_UNSUPPORTED_OPERATION, NN_TOO_LARGE,
    NN_NOT_FOUND, NN_SECURITY, NN_UNKNOWN,
}; /* error-code */

typedef struct { nn_str name; nn_tensor tensor; } nn_named; /* named-tensor */
typedef struct { nn_named *ptr; size_t len; } nn_named_list;

nn_tensor nn_tensor_new(nn_dimensions dimensions, uint8_t ty, nn_bytes data);
nn_dimensions nn_tensor_dimensions(nn_tensor tensor);
uint8_t nn_tensor_ty(nn_tensor tensor);
nn_bytes nn_tensor_data(nn_tensor tensor);
void nn_tensor_drop(nn_tensor tensor);

uint8_t nn_error_code(nn_error error);
nn_str nn_error_data(nn_error error); /* with a NUL after its last byte */
void nn_error_drop(nn_error error);

bool nn_load(const nn_bytes *builders, size_t count, uint8_t encoding, uint8_t target, nn_graph *graph, nn_error *error);
bool nn_load_by_name(nn_str name, nn_graph *graph, nn_error *error);
bool nn_init(nn_graph graph, nn_context *context, nn_error *error); /* init-execution-context */
void nn_graph_drop(nn_graph graph);

bool nn_compute(nn_context context, const nn_named *inputs, size_t count, nn_named_list *outputs, nn_error *error);
void nn_context_drop(nn_context context);

#ifdef WASI_NN_IMPLEMENTATION
#include <stdlib.h>

#define NN_IMPORT(interface, function) \
    __attribute__((import_module("wasi:nn/" interface "@0.2.0-rc-2024-10-28"), import_name(function)))
NN_IMPORT("tensor", "[constructor]tensor")
int32_t nn_import_tensor_new(const uint32_t *dimensions, size_t rank, int32_t ty, const uint8_t *data, size_t size);
NN_IMPORT("tensor", "[method]tensor.dimensions") void nn_import_tensor_dimensions(int32_t tensor, nn_dimensions *result);
NN_IMPORT("tensor", "[method]tensor.ty") int32_t nn_import_tensor_ty(int32_t tensor);
NN_IMPORT("tensor", "[method]tensor.data") void nn_import_tensor_data(int32_t tensor, nn_bytes *result);
NN_IMPORT("tensor", "[resource-drop]tensor") void nn_import_tensor_drop(int32_t tensor);
NN_IMPORT("errors", "[method]error.code") int32_t nn_import_error_code(int32_t error);
NN_IMPORT("errors", "[method]error.data") void nn_import_error_data(int32_t error, nn_str *result);
NN_IMPORT("errors", "[resource-drop]error") void nn_import_error_drop(int32_t error);
NN_IMPORT("graph", "load")
void nn_import_load(const nn_bytes *builders, size_t count, int32_t encoding, int32_t target, void *result);
NN_IMPORT("graph", "load-by-name") void nn_import_load_by_name(const char *name, size_t len, void *result);
NN_IMPORT("graph", "[method]graph.init-execution-context") void nn_import_init(int32_t graph, void *result);
NN_IMPORT("graph", "[resource-drop]graph") void nn_import_graph_drop(int32_t graph);
NN_IMPORT("inference", "[method]graph-execution-context.compute")
void nn_import_compute(int32_t context, const nn_named *inputs, size_t count, void *result);
NN_IMPORT("inference", "[resource-drop]graph-execution-context") void nn_import_context_drop(int32_t context);

/* The host asks for room here when it returns text or a list. One byte more, for the NUL. Weak, as wit_llm.h brings the
 * same. */
__attribute__((weak, export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
    (void)old_size, (void)align;
    char *room = realloc(old, size + 1);
    if (!room) __builtin_trap();
    room[size] = 0;
    return room;
}

nn_tensor nn_tensor_new(nn_dimensions dimensions, uint8_t ty, nn_bytes data) {
    return (nn_tensor){ nn_import_tensor_new(dimensions.ptr, dimensions.len, ty, data.ptr, data.len) };
}

nn_dimensions nn_tensor_dimensions(nn_tensor tensor) {
    nn_dimensions dimensions;
    nn_import_tensor_dimensions(tensor.handle, &dimensions);
    return dimensions;
}

uint8_t nn_tensor_ty(nn_tensor tensor) { return (uint8_t)nn_import_tensor_ty(tensor.handle); }

nn_bytes nn_tensor_data(nn_tensor tensor) {
    nn_bytes data;
    nn_import_tensor_data(tensor.handle, &data);
    return data;
}

uint8_t nn_error_code(nn_error error) { return (uint8_t)nn_import_error_code(error.handle); }

nn_str nn_error_data(nn_error error) {
    nn_str data;
    nn_import_error_data(error.handle, &data);
    return data;
}

void nn_tensor_drop(nn_tensor tensor) { nn_import_tensor_drop(tensor.handle); }
void nn_error_drop(nn_error error) { nn_import_error_drop(error.handle); }
void nn_graph_drop(nn_graph graph) { nn_import_graph_drop(graph.handle); }
void nn_context_drop(nn_context context) { nn_import_context_drop(context.handle); }

typedef struct { uint8_t failed; int32_t handle; } nn_handle_result;

static bool nn_told(nn_handle_result result, int32_t *handle, nn_error *error) {
    if (result.failed) error->handle = result.handle;
    else *handle = result.handle;
    return !result.failed;
}

bool nn_load(const nn_bytes *builders, size_t count, uint8_t encoding, uint8_t target, nn_graph *graph, nn_error *error) {
    nn_handle_result result;
    nn_import_load(builders, count, encoding, target, &result);
    return nn_told(result, &graph->handle, error);
}

bool nn_load_by_name(nn_str name, nn_graph *graph, nn_error *error) {
    nn_handle_result result;
    nn_import_load_by_name(name.ptr, name.len, &result);
    return nn_told(result, &graph->handle, error);
}

bool nn_init(nn_graph graph, nn_context *context, nn_error *error) {
    nn_handle_result result;
    nn_import_init(graph.handle, &result);
    return nn_told(result, &context->handle, error);
}

bool nn_compute(nn_context context, const nn_named *inputs, size_t count, nn_named_list *outputs, nn_error *error) {
    struct { uint8_t failed; union { nn_named_list outputs; nn_error error; }; } result;
    nn_import_compute(context.handle, inputs, count, &result);
    if (result.failed) *error = result.error;
    else *outputs = result.outputs;
    return !result.failed;
}
#endif /* WASI_NN_IMPLEMENTATION */
#endif /* WASI_NN_H */
