// Strings, and values that are no tensors: sequences, optionals, maps and states.
#include "conformance.h"

#include "onnx_bytes.h"

static martlet_tensor *floats(int64_t count, float first) {
  float data[16];
  for (int64_t i = 0; i < count; ++i) data[i] = first + (float)i;
  martlet_tensor *tensor = NULL;
  if (martlet_tensor_from_data(data, (size_t)count * sizeof *data, MARTLET_FLOAT32, 1, &count,
                               &tensor))
    exit(1);
  return tensor;
}

static martlet_value *value_of(martlet_tensor *tensor) {
  martlet_value *value = NULL;
  check_ok(martlet_value_from_tensor(tensor, &value));
  martlet_tensor_release(tensor);
  return value;
}

static void strings(void) {
  const char *texts[] = {"a", "", "h\xc3\xa9llo", "x"};
  const size_t sizes[] = {1, 0, 6, 1};
  const int64_t shape[] = {2, 2};
  martlet_tensor *tensor = NULL;
  check_ok(martlet_tensor_from_strings(texts, NULL, 2, shape, &tensor));
  martlet_dtype dtype;
  check(!martlet_tensor_dtype(tensor, &dtype) && dtype == MARTLET_STRING, "its dtype is string");
  check(strcmp(martlet_dtype_name(MARTLET_STRING), "string") == 0, "which is called so");
  check(martlet_dtype_size(MARTLET_STRING) == 0, "and has no size");
  for (int64_t i = 0; i < 4; ++i) {
    const char *text = NULL;
    size_t size = 9;
    check_ok(martlet_tensor_string(tensor, i, &text, &size));
    check(text && strcmp(text, texts[i]) == 0 && size == sizes[i], "string %d is \"%s\"", (int)i,
          texts[i]);
  }
  check_ok(martlet_tensor_string(tensor, 0, NULL, NULL));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_tensor_string(tensor, 4, NULL, NULL));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_tensor_string(tensor, -1, NULL, NULL));

  const void *data = NULL;
  void *mutable_data = NULL;
  char buffer[64];
  bool is_read_only = false;
  check_status(MARTLET_INVALID_DTYPE, martlet_tensor_data(tensor, &data));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_tensor_mutable_data(tensor, &mutable_data));
  check_status(MARTLET_INVALID_DTYPE, martlet_tensor_read(tensor, buffer, sizeof buffer));
  check(!martlet_tensor_is_read_only(tensor, &is_read_only) && is_read_only, "it is read-only");
  struct DLManagedTensorVersioned *managed = NULL;
  check_status(MARTLET_INVALID_DTYPE, martlet_tensor_to_dlpack(tensor, &managed));
  martlet_tensor *slot = tensor, *other = NULL;
  check_status(MARTLET_INVALID_ARGUMENT, martlet_tensor_copy(tensor, &slot));
  check_ok(martlet_tensor_copy(tensor, &other));
  martlet_tensor_release(tensor);
  const char *text = NULL;
  check_ok(martlet_tensor_string(other, 2, &text, NULL));
  check(text && strcmp(text, texts[2]) == 0, "a copy outlives what it was copied from");
  martlet_tensor_release(other);

  // Bytes are never taken for strings.
  martlet_tensor *none = NULL;
  const int64_t one[] = {1};
  check_status(MARTLET_INVALID_DTYPE, martlet_tensor_create(MARTLET_STRING, 1, one, &none));
  check_status(MARTLET_INVALID_DTYPE,
               martlet_tensor_from_data(buffer, 8, MARTLET_STRING, 1, one, &none));
  check_status(MARTLET_INVALID_DTYPE,
               martlet_tensor_wrap(buffer, 8, MARTLET_STRING, 1, one, &none));
  const char *bad[] = {"ok", "\xff"}, *missing[] = {"ok", NULL};
  const int64_t two[] = {2}, huge[] = {INT64_MAX};
  const size_t inner[] = {3, 0};
  const char *zeros[] = {"a\0b", ""};
  check_status(MARTLET_INVALID_ARGUMENT, martlet_tensor_from_strings(bad, NULL, 1, two, &none));
  check_says(martlet_last_error()->input, "strings[1]", "input");
  check_status(MARTLET_INVALID_ARGUMENT, martlet_tensor_from_strings(missing, NULL, 1, two, &none));
  check_status(MARTLET_INVALID_SHAPE, martlet_tensor_from_strings(bad, NULL, 1, huge, &none));
  check_ok(martlet_tensor_from_strings(zeros, inner, 1, two, &none));
  size_t size = 0;
  check(!martlet_tensor_string(none, 0, &text, &size) && size == 3 && text[2] == 'b',
        "zero bytes stay where sizes are given");
  martlet_tensor *sum = NULL;
  martlet_tensor *operands[] = {none, none};
  check_status(MARTLET_INVALID_DTYPE,
               martlet_op_run("Add", NULL, MARTLET_MATH_DEFAULT, operands, 2, &sum, 1));
  martlet_tensor_release(none);
}

static void containers(void) {
  martlet_value *elements[] = {value_of(floats(2, 1)), value_of(floats(3, 5))};
  martlet_value *sequence = NULL, *element = NULL, *optional = NULL, *empty = NULL, *map = NULL;
  martlet_value_kind kind;
  size_t count = 9;
  check_ok(martlet_value_create_sequence(elements, 2, MARTLET_DTYPE_UNKNOWN, &sequence));
  check(!martlet_value_kind_of(sequence, &kind) && kind == MARTLET_VALUE_SEQUENCE, "a sequence");
  check(!martlet_value_count(sequence, &count) && count == 2, "of two elements");
  check_ok(martlet_value_element(sequence, 1, &element));
  martlet_tensor *tensor = NULL;
  check_ok(martlet_value_tensor(element, &tensor));
  const double expected[] = {5, 6, 7};
  check(distance(tensor, expected, 3) == 0, "of which the second is what was put in");
  martlet_tensor_release(tensor);
  martlet_value_release(element);
  check_status(MARTLET_INVALID_ARGUMENT, martlet_value_element(sequence, 2, &element));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_value_element(sequence, SIZE_MAX, &element));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_value_tensor(sequence, &tensor));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_value_keys(sequence, &tensor));
  martlet_value *mixed[] = {elements[0], sequence};
  martlet_value *none = NULL;
  check_status(MARTLET_INVALID_DTYPE,
               martlet_value_create_sequence(mixed, 2, MARTLET_DTYPE_UNKNOWN, &none));
  check_says(martlet_last_error()->input, "elements[1]", "input");
  check_status(MARTLET_INVALID_DTYPE, martlet_value_create_sequence(NULL, 0, 99, &none));
  check_ok(martlet_value_create_sequence(NULL, 0, MARTLET_INT64, &none));
  check_ok(martlet_value_release(none));

  check_ok(martlet_value_create_optional(NULL, &empty));
  check(!martlet_value_count(empty, &count) && count == 0, "an optional without a value");
  check_ok(martlet_value_create_optional(sequence, &optional));
  check(!martlet_value_count(optional, &count) && count == 1, "and one with a sequence");

  const char *names[] = {"x", "y"};
  const int64_t two[] = {2};
  martlet_tensor *keys = NULL, *wrong = floats(2, 0);
  check_ok(martlet_tensor_from_strings(names, NULL, 1, two, &keys));
  check_ok(martlet_value_create_map(keys, elements, 2, &map));
  check_ok(martlet_value_keys(map, &tensor));
  const char *text = NULL;
  check(!martlet_tensor_string(tensor, 1, &text, NULL) && strcmp(text, "y") == 0, "a map's keys");
  martlet_tensor_release(tensor);
  check_status(MARTLET_INVALID_SHAPE, martlet_value_create_map(keys, elements, 1, &none));
  check_status(MARTLET_INVALID_DTYPE, martlet_value_create_map(wrong, elements, 2, &none));
  martlet_value *unlike[] = {elements[0], sequence};
  check_status(MARTLET_INVALID_DTYPE, martlet_value_create_map(keys, unlike, 2, &none));
  check_says(martlet_last_error()->input, "values[1]", "input");
  martlet_tensor_release(keys);
  const char *twice[] = {"x", "x"};
  check_ok(martlet_tensor_from_strings(twice, NULL, 1, two, &keys));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_value_create_map(keys, elements, 2, &none));
  martlet_tensor_release(keys);
  martlet_tensor_release(wrong);

  // A sequence of a sequence of ... of one shared tensor: few bytes, more tensors than can be walked.
  enum { MANY = 64 };
  martlet_value *shared = elements[0];
  check_ok(martlet_value_retain(shared));
  martlet_status grown = MARTLET_OK;
  for (int level = 0; level < 8 && grown == MARTLET_OK; ++level) {
    martlet_value *copies[MANY], *outer = NULL;
    for (int i = 0; i < MANY; ++i) copies[i] = shared;
    grown = martlet_value_create_sequence(copies, MANY, MARTLET_DTYPE_UNKNOWN, &outer);
    if (grown == MARTLET_OK) {
      martlet_value_release(shared);
      shared = outer;
    }
  }
  check(grown == MARTLET_INVALID_ARGUMENT, "and so have the tensors that a value stands for");
  martlet_value_release(shared);

  martlet_value *nest = NULL;
  check_ok(martlet_value_create_optional(sequence, &nest));
  martlet_status status = MARTLET_OK;
  for (int depth = 0; depth < 40 && status == MARTLET_OK; ++depth) {
    martlet_value *outer = NULL;
    status = martlet_value_create_optional(nest, &outer);
    if (status == MARTLET_OK) {
      martlet_value_release(nest);
      nest = outer;
    }
  }
  check(status == MARTLET_INVALID_ARGUMENT, "nesting has an end");
  martlet_value_release(nest);

  check_ok(martlet_value_retain(map));
  check_ok(martlet_value_release(map));
  martlet_value *all[] = {elements[0], elements[1], sequence, empty, optional, map};
  for (int i = 0; i < 6; ++i) check_ok(martlet_value_release(all[i]));
  check_ok(martlet_value_release(NULL));
  check_status(MARTLET_INVALID_HANDLE, martlet_value_count(map, &count));
}

// A model whose input is a sequence of float32: its elements one after another, and how many.
static martlet_model *joining_model(void) {
  onnx_bytes element = {0}, tensor = {0}, sequence = {0}, type = {0}, info = {0}, graph = {0};
  onnx_int(&tensor, 1, 1);
  onnx_message(&element, 1, tensor);
  onnx_message(&sequence, 1, element);
  onnx_message(&type, 4, sequence);
  onnx_text(&info, 1, "s");
  onnx_message(&info, 2, type);
  onnx_bytes join = onnx_node("ConcatFromSequence", "join", "s", "y"), axis = {0};
  onnx_text(&axis, 1, "axis");
  onnx_int(&axis, 3, 0);
  onnx_int(&axis, 20, 2);
  onnx_message(&join, 5, axis);
  const int64_t any[] = {-1};
  onnx_message(&graph, 1, join);
  onnx_message(&graph, 1, onnx_node("SequenceLength", "length", "s", "n"));
  onnx_message(&graph, 1, onnx_node("Identity", "same", "s", "t"));
  onnx_text(&graph, 2, "joining");
  onnx_message(&graph, 11, info);
  onnx_message(&graph, 12, onnx_value("y", 1, 1, any));
  onnx_message(&graph, 12, onnx_value("n", 7, 0, any));
  onnx_bytes untyped = {0};
  onnx_text(&untyped, 1, "t");
  onnx_message(&graph, 12, untyped);
  onnx_bytes file = onnx_model(graph);
  martlet_model *model = NULL;
  check_ok(martlet_model_load_memory(file.data, file.size, NULL, &model));
  free(file.data);
  return model;
}

static void runs(void) {
  martlet_model *model = joining_model();
  if (model == NULL) return;
  const martlet_value_info *info = NULL;
  check_ok(martlet_model_input(model, 0, &info));
  check(info->kind == MARTLET_VALUE_SEQUENCE && strcmp(info->type, "sequence(float32)") == 0,
        "the input is described as a sequence");
  check(info->dtype == MARTLET_DTYPE_UNKNOWN && info->rank == -1, "of no dtype and rank");
  martlet_context *context = NULL;
  check_ok(martlet_context_create(model, &context));
  martlet_value *elements[] = {value_of(floats(2, 1)), value_of(floats(1, 3))}, *sequence = NULL;
  check_ok(martlet_value_create_sequence(elements, 2, MARTLET_DTYPE_UNKNOWN, &sequence));
  const double expected[] = {1, 2, 3};
  for (int run = 0; run < 3; ++run) {
    martlet_value *outputs[3] = {NULL, NULL, NULL};
    martlet_tensor *joined = NULL;
    size_t count = 0;
    check_ok(martlet_context_run_values(context, &sequence, 1, outputs, 3));
    check_ok(martlet_value_tensor(outputs[0], &joined));
    check(distance(joined, expected, 3) == 0, "run %d joins the elements", run);
    check(!martlet_value_count(outputs[2], &count) && count == 2, "and gives the sequence back");
    martlet_tensor_release(joined);
    for (int i = 0; i < 3; ++i) martlet_value_release(outputs[i]);
  }
  martlet_value *outputs[4] = {sequence, sequence, sequence, sequence};
  check_status(MARTLET_INVALID_ARGUMENT,
               martlet_context_run_values(context, &elements[0], 1, outputs, 3));
  check_says(martlet_last_error()->input, "s", "input");
  check(outputs[0] == NULL && outputs[2] == NULL, "on failure all outputs are NULL");
  check_status(MARTLET_INVALID_ARGUMENT,
               martlet_context_run_values(context, &sequence, 1, outputs, 4));
  check_status(MARTLET_INVALID_ARGUMENT,
               martlet_context_run_values(context, &sequence, 0, outputs, 3));
  martlet_tensor *tensor = floats(2, 0), *result = NULL;
  check_status(MARTLET_INVALID_ARGUMENT, martlet_context_run(context, &tensor, 1, &result, 1));
  martlet_tensor_release(tensor);
  martlet_value *all[] = {elements[0], elements[1], sequence};
  for (int i = 0; i < 3; ++i) martlet_value_release(all[i]);
  martlet_context_release(context);
  martlet_model_release(model);
}

static void states(void) {
  const int64_t empty_shape[] = {2, 0};
  martlet_tensor *initial = NULL, *tensor = NULL;
  martlet_value *state = NULL;
  check_ok(martlet_tensor_create(MARTLET_FLOAT32, 2, empty_shape, &initial));
  check_ok(martlet_value_create_state(initial, 1, 4, &state));
  martlet_value_kind kind;
  check(!martlet_value_kind_of(state, &kind) && kind == MARTLET_VALUE_STATE, "a state");
  check_ok(martlet_value_tensor(state, &tensor));
  check(has_shape(tensor, 2, empty_shape), "is empty at first");
  bool is_read_only = false;
  check(!martlet_tensor_is_read_only(tensor, &is_read_only) && is_read_only, "and read-only");
  martlet_tensor_release(tensor);
  martlet_value_release(state);
  check_status(MARTLET_INVALID_ARGUMENT, martlet_value_create_state(initial, 2, 4, &state));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_value_create_state(initial, -1, 4, &state));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_value_create_state(initial, 1, -1, &state));
  check(martlet_value_create_state(initial, 1, INT64_MAX, &state) != MARTLET_OK && state == NULL,
        "room that no machine has is refused");
  martlet_tensor_release(initial);
}

int main(void) {
  strings();
  containers();
  runs();
  states();
  return finish();
}
