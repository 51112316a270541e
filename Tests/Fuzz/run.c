// Target: a model is loaded and run twice on inputs of small extents, within limits of memory, time and
// iterations, and its results are read.
#include "tensors.h"

enum { INPUTS = 16, OUTPUTS = 16, DTYPES = 29 };

// The dtype that a type's text speaks of, "sequence(float32[2])".
static martlet_dtype dtype_in(const char *type) {
  martlet_dtype found = MARTLET_FLOAT32;
  size_t longest = 0;
  for (martlet_dtype dtype = 1; dtype < DTYPES; ++dtype) {
    const char *name = martlet_dtype_name(dtype);
    if (strlen(name) > longest && strstr(type, name) != NULL) found = dtype, longest = strlen(name);
  }
  return found;
}

static martlet_value *tensor_value(const martlet_value_info *info, choices *from) {
  int64_t shape[32];
  int32_t rank = info->rank < 0 ? choose(from) % 4 : info->rank;
  for (int32_t axis = 0; axis < rank; ++axis) {
    uint8_t choice = choose(from);
    bool is_known = info->rank >= 0 && info->shape[axis] >= 0;
    shape[axis] = is_known && choice < 250 ? info->shape[axis] : choice % 6;
    if (choice == 0 && !is_known) shape[axis] = 2;
  }
  martlet_dtype dtype = info->dtype;
  if (dtype == MARTLET_DTYPE_UNKNOWN) dtype = dtype_in(info->type);
  martlet_tensor *tensor = tensor_of(dtype, rank, shape, from);
  martlet_value *value = NULL;
  if (tensor != NULL) must(martlet_value_from_tensor(tensor, &value));
  must(martlet_tensor_release(tensor));
  return value;
}

static martlet_value *value_for(const martlet_value_info *info, choices *from) {
  if (info->kind == MARTLET_VALUE_TENSOR) return tensor_value(info, from);
  martlet_value *elements[3] = {NULL, NULL, NULL}, *value = NULL, *outer = NULL;
  size_t count = choose(from) % 4;
  martlet_value_info inner = *info;
  inner.dtype = dtype_in(info->type);
  for (size_t i = 0; i < count; ++i) {
    elements[i] = tensor_value(&inner, from);
    if (elements[i] == NULL) count = i;
  }
  if (strstr(info->type, "sequence") != NULL)
    is_ok(martlet_value_create_sequence(elements, count, count == 0 ? inner.dtype : 0, &value));
  else if (count > 0) value = elements[0], elements[0] = NULL;
  if (info->kind == MARTLET_VALUE_OPTIONAL) {
    is_ok(martlet_value_create_optional(value, &outer));
    must(martlet_value_release(value));
    value = outer;
  }
  for (size_t i = 0; i < 3; ++i) must(martlet_value_release(elements[i]));
  return value;
}

static void read_value(const martlet_value *value, int depth) {
  martlet_value_kind kind;
  size_t count;
  martlet_tensor *tensor = NULL;
  must(martlet_value_kind_of(value, &kind));
  must(martlet_value_count(value, &count));
  if (kind == MARTLET_VALUE_TENSOR) must(martlet_value_tensor(value, &tensor));
  if (kind == MARTLET_VALUE_MAP) must(martlet_value_keys(value, &tensor));
  if (tensor != NULL) read_tensor(tensor);
  must(martlet_tensor_release(tensor));
  for (size_t i = 0; i < count && i < 100 && depth < 20; ++i) {
    martlet_value *element = NULL;
    must(martlet_value_element(value, i, &element));
    read_value(element, depth + 1);
    must(martlet_value_release(element));
  }
}

static void run(martlet_model *model, martlet_context *context, choices *from) {
  martlet_value *inputs[INPUTS] = {NULL}, *outputs[OUTPUTS] = {NULL};
  size_t input_count, output_count;
  must(martlet_model_input_count(model, &input_count));
  must(martlet_model_output_count(model, &output_count));
  if (input_count > INPUTS || output_count > OUTPUTS) return;
  for (size_t i = 0; i < input_count; ++i) {
    const martlet_value_info *info;
    must(martlet_model_input(model, i, &info));
    inputs[i] = value_for(info, from);
  }
  if (is_ok(martlet_context_run_values(context, inputs, input_count, outputs, output_count))) {
    const char *text;
    must(martlet_context_precision_report(context, &text));
  }
  for (size_t i = 0; i < output_count; ++i) {
    if (outputs[i] != NULL) read_value(outputs[i], 0);
    must(martlet_value_release(outputs[i]));
  }
  for (size_t i = 0; i < input_count; ++i) must(martlet_value_release(inputs[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  begin();
  choices from = choices_of(data, size);
  uint8_t flags = choose(&from);
  const char *keys[] = {"max_memory_bytes", "max_milliseconds", "max_loop_iterations", "optimize",
                        "prepare",          "strict_shapes",    "flush_denormals"};
  const char *values[] = {"33554432",
                          "1000",
                          "1000",
                          flags & 1 ? "0" : "1",
                          flags & 2 ? "0" : "1",
                          flags & 4 ? "1" : "0",
                          flags & 8 ? "1" : "0"};
  martlet_model *model = load(data, size, keys, values, sizeof keys / sizeof *keys);
  if (model == NULL) return 0;
  martlet_context *context = NULL;
  if (is_ok(martlet_context_create(model, &context))) {
    must(martlet_context_set_profiling(context, flags & 16));
    run(model, context, &from);
    run(model, context, &from);
  }
  must(martlet_model_release(model));
  must(martlet_context_release(context));
  return 0;
}
