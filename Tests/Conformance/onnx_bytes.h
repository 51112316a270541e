// Writes small ONNX files by hand: the protobuf wire format, field by field.
// Source: onnx.proto3, https://protobuf.dev/programming-guides/encoding
#ifndef ONNX_BYTES_H
#define ONNX_BYTES_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct onnx_bytes {
  uint8_t *data;
  size_t size, capacity;
} onnx_bytes;

static inline void onnx_append(onnx_bytes *to, const void *data, size_t size) {
  if (to->size + size > to->capacity) {
    to->capacity = (to->size + size) * 2;
    to->data = realloc(to->data, to->capacity);
  }
  if (size) memcpy(to->data + to->size, data, size);
  to->size += size;
}

static inline void onnx_varint(onnx_bytes *to, uint64_t value) {
  do {
    uint8_t byte = (uint8_t)((value & 127) | (value > 127 ? 128 : 0));
    onnx_append(to, &byte, 1);
    value >>= 7;
  } while (value);
}

static inline void onnx_int(onnx_bytes *to, int field, int64_t value) {
  onnx_varint(to, (uint64_t)field << 3);
  onnx_varint(to, (uint64_t)value);
}

static inline void onnx_blob(onnx_bytes *to, int field, const void *data, size_t size) {
  onnx_varint(to, (uint64_t)field << 3 | 2);
  onnx_varint(to, size);
  onnx_append(to, data, size);
}

static inline void onnx_text(onnx_bytes *to, int field, const char *text) {
  onnx_blob(to, field, text, strlen(text));
}

// Takes the message's memory.
static inline void onnx_message(onnx_bytes *to, int field, onnx_bytes message) {
  onnx_blob(to, field, message.data, message.size);
  free(message.data);
}

// TensorProto with raw data; `size` may contradict the shape on purpose.
static inline onnx_bytes onnx_tensor(const char *name, int dtype, int rank, const int64_t *shape,
                                     const void *data, size_t size) {
  onnx_bytes tensor = {0};
  for (int axis = 0; axis < rank; ++axis) onnx_int(&tensor, 1, shape[axis]);
  onnx_int(&tensor, 2, dtype);
  onnx_text(&tensor, 8, name);
  onnx_blob(&tensor, 9, data, size);
  return tensor;
}

// ValueInfoProto; an extent of -1 becomes the symbol "N".
static inline onnx_bytes onnx_value(const char *name, int dtype, int rank, const int64_t *shape) {
  onnx_bytes dims = {0};
  for (int axis = 0; axis < rank; ++axis) {
    onnx_bytes dim = {0};
    if (shape[axis] < 0) onnx_text(&dim, 2, "N");
    else onnx_int(&dim, 1, shape[axis]);
    onnx_message(&dims, 1, dim);
  }
  onnx_bytes tensor_type = {0}, type = {0}, value = {0};
  onnx_int(&tensor_type, 1, dtype);
  onnx_message(&tensor_type, 2, dims);
  onnx_message(&type, 1, tensor_type);
  onnx_text(&value, 1, name);
  onnx_message(&value, 2, type);
  return value;
}

// NodeProto; inputs and outputs are names with spaces between them.
static inline onnx_bytes onnx_node(const char *operator_name, const char *name, const char *inputs,
                                   const char *outputs) {
  onnx_bytes node = {0};
  const char *lists[] = {inputs, outputs};
  for (int field = 1; field <= 2; ++field) {
    const char *rest = lists[field - 1];
    while (*rest) {
      size_t length = strcspn(rest, " ");
      onnx_blob(&node, field, rest, length);
      rest += length + (rest[length] == ' ');
    }
  }
  onnx_text(&node, 3, name);
  onnx_text(&node, 4, operator_name);
  return node;
}

// ModelProto around a GraphProto, whose memory it takes.
static inline onnx_bytes onnx_model(onnx_bytes graph) {
  onnx_bytes opset = {0}, entry = {0}, model = {0};
  onnx_int(&opset, 2, 17);
  onnx_text(&entry, 1, "colour");
  onnx_text(&entry, 2, "blue");
  onnx_int(&model, 1, 8);
  onnx_text(&model, 2, "conformance");
  onnx_message(&model, 7, graph);
  onnx_message(&model, 8, opset);
  onnx_message(&model, 14, entry);
  return model;
}

enum { MLP_IN = 4, MLP_OUT = 3 };
static const float mlp_weight[MLP_IN * MLP_OUT] = {1, -2, 0.5f, 0.25f, 1, -1, 2, 0, 1, -0.5f, 3, 1};
static const float mlp_bias[MLP_OUT] = {0.5f, -0.25f, 1};

// y = softmax(relu(x @ W + b)), hidden = relu(...), for x of shape [N, 4].
static inline onnx_bytes onnx_mlp_graph(void) {
  const int64_t x_shape[] = {-1, MLP_IN}, y_shape[] = {-1, MLP_OUT};
  const int64_t weight_shape[] = {MLP_IN, MLP_OUT}, bias_shape[] = {MLP_OUT};
  onnx_bytes graph = {0};
  onnx_message(&graph, 1, onnx_node("MatMul", "dense", "x W", "product"));
  onnx_message(&graph, 1, onnx_node("Add", "shift", "product b", "sum"));
  onnx_message(&graph, 1, onnx_node("Relu", "bend", "sum", "hidden"));
  onnx_message(&graph, 1, onnx_node("Softmax", "normalise", "hidden", "y"));
  onnx_text(&graph, 2, "mlp");
  onnx_message(&graph, 5, onnx_tensor("W", 1, 2, weight_shape, mlp_weight, sizeof mlp_weight));
  onnx_message(&graph, 5, onnx_tensor("b", 1, 1, bias_shape, mlp_bias, sizeof mlp_bias));
  onnx_message(&graph, 11, onnx_value("x", 1, 2, x_shape));
  onnx_message(&graph, 12, onnx_value("y", 1, 2, y_shape));
  onnx_message(&graph, 12, onnx_value("hidden", 1, 2, y_shape));
  return graph;
}

static inline onnx_bytes onnx_mlp(void) { return onnx_model(onnx_mlp_graph()); }

#endif
