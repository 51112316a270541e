// Target: one operator is run. The input is a GraphProto: its first node is the operator with its
// attributes, each of its initialisers an input; one without a dtype is left out.
#include "tensors.h"

enum { INPUTS = 12, OUTPUTS = 6, LIST = 64, NAME = 64 };
enum { GRAPH_NODE = 1, GRAPH_TENSOR = 5 };

// The bytes as text with a NUL; longer ones are cut off.
static const char *text(wire_span from, char *to) {
  size_t size = from.size < NAME - 1 ? from.size : NAME - 1;
  if (size) memcpy(to, from.data, size);
  to[size] = 0;
  return to;
}

static float real(const wire_field *field) {
  uint32_t bits = (uint32_t)field->value;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

// TensorProto: raw data where they have the size, else elements by the first of their bytes.
static martlet_tensor *tensor(wire_span message) {
  int64_t shape[40];
  int32_t rank = 0;
  martlet_dtype dtype = 0;
  wire_span raw = {NULL, 0};
  wire_field field;
  while (wire_next(&message, &field)) {
    if (field.number == 1 && field.type == 2) {
      // Extents in one field.
      uint64_t extent;
      while (rank < 33 && wire_varint(&field.content, &extent)) shape[rank++] = (int64_t)extent;
    } else if (field.number == 1 && rank < 33) shape[rank++] = (int64_t)field.value;
    if (field.number == 2) dtype = (martlet_dtype)field.value;
    if (field.number == 9) raw = field.content;
  }
  if (dtype == 0) return NULL;
  int64_t count = few_elements(rank, shape);
  if (count < 0) return NULL;
  martlet_tensor *made = NULL;
  if (dtype != MARTLET_STRING && raw.size == bytes_of(dtype, count))
    is_ok(martlet_tensor_from_data(raw.data, raw.size, dtype, rank, shape, &made));
  else made = tensor_of(dtype, rank, shape, &(choices){raw});
  return made;
}

// AttributeProto.
static void attribute(martlet_attributes *attributes, wire_span message) {
  char name[NAME], strings[LIST][NAME];
  const char *texts[LIST];
  int64_t integers[LIST];
  float reals[LIST];
  size_t integer_count = 0, real_count = 0, string_count = 0;
  wire_field field;
  text(wire_find(message, 1), name);
  while (wire_next(&message, &field)) {
    switch (field.number) {
      case 2: is_ok(martlet_attributes_set_float(attributes, name, real(&field))); break;
      case 3: is_ok(martlet_attributes_set_int(attributes, name, (int64_t)field.value)); break;
      case 4:
        is_ok(martlet_attributes_set_string(attributes, name, text(field.content, strings[0])));
        break;
      case 5: {
        martlet_tensor *value = tensor(field.content);
        if (value != NULL) is_ok(martlet_attributes_set_tensor(attributes, name, value));
        must(martlet_tensor_release(value));
        break;
      }
      case 7:
        if (field.type == 5 && real_count < LIST) reals[real_count++] = real(&field);
        for (; field.type == 2 && field.content.size >= 4 && real_count < LIST; ++real_count) {
          memcpy(&reals[real_count], field.content.data, 4);
          field.content = (wire_span){field.content.data + 4, field.content.size - 4};
        }
        break;
      case 8: {
        uint64_t value = field.value;
        if (field.type == 0 && integer_count < LIST) integers[integer_count++] = (int64_t)value;
        while (field.type == 2 && integer_count < LIST && wire_varint(&field.content, &value))
          integers[integer_count++] = (int64_t)value;
        break;
      }
      case 9:
        if (string_count == LIST) break;
        texts[string_count] = text(field.content, strings[string_count]);
        string_count += 1;
        break;
      default: break;
    }
  }
  if (integer_count) is_ok(martlet_attributes_set_ints(attributes, name, integers, integer_count));
  if (real_count) is_ok(martlet_attributes_set_floats(attributes, name, reals, real_count));
  if (string_count) is_ok(martlet_attributes_set_strings(attributes, name, texts, string_count));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  begin();
  wire_span graph = {data, size}, node = wire_find(graph, GRAPH_NODE), rest = node;
  martlet_attributes *attributes = NULL;
  martlet_tensor *inputs[INPUTS] = {NULL}, *outputs[OUTPUTS] = {NULL};
  size_t input_count = 0, output_count = 0;
  char name[NAME];
  wire_field field;
  must(martlet_attributes_create(&attributes));
  while (wire_next(&rest, &field)) {
    if (field.number == 2 && output_count < OUTPUTS) output_count += 1;
    if (field.number == 5 && field.type == 2) attribute(attributes, field.content);
  }
  for (rest = graph; wire_next(&rest, &field);)
    if (field.number == GRAPH_TENSOR && field.type == 2 && input_count < INPUTS)
      inputs[input_count++] = tensor(field.content);
  text(wire_find(node, 4), name);
  if (is_ok(martlet_op_run(name, attributes, MARTLET_MATH_DEFAULT, inputs, input_count, outputs,
                           output_count)))
    for (size_t i = 0; i < output_count; ++i)
      if (outputs[i] != NULL) read_tensor(outputs[i]);
  for (size_t i = 0; i < output_count; ++i) must(martlet_tensor_release(outputs[i]));
  for (size_t i = 0; i < input_count; ++i) must(martlet_tensor_release(inputs[i]));
  must(martlet_attributes_release(attributes));
  return 0;
}
