// Reads protobuf's wire format field by field, for what the fuzzers look up and change in their inputs.
// Source: https://protobuf.dev/programming-guides/encoding
#ifndef FUZZ_WIRE_H
#define FUZZ_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct wire_span {
  const uint8_t *data;
  size_t size;
} wire_span;

typedef struct wire_field {
  int64_t number;
  int type;           // 0: varint, 1: 8 bytes, 2: bytes, 5: 4 bytes
  wire_span whole;    // tag and all
  wire_span content;  // of type 2 what lies behind the size, else what lies behind the tag
  uint64_t value;     // of types 0, 1 and 5
} wire_field;

static inline bool wire_varint(wire_span *from, uint64_t *value) {
  *value = 0;
  for (size_t i = 0; i < from->size && i < 10; ++i) {
    *value |= (uint64_t)(from->data[i] & 127) << (7 * i);
    if (from->data[i] < 128) {
      from->data += i + 1;
      from->size -= i + 1;
      return true;
    }
  }
  return false;
}

// Takes the next field off a message; false at its end, and where what follows is none.
static inline bool wire_next(wire_span *message, wire_field *field) {
  wire_span rest = *message;
  uint64_t tag, size;
  if (!wire_varint(&rest, &tag) || tag >> 3 == 0 || tag >> 32 != 0) return false;
  field->number = (int64_t)(tag >> 3);
  field->type = (int)(tag & 7);
  field->content = rest;
  field->value = 0;
  switch (field->type) {
    case 0:
      if (!wire_varint(&rest, &field->value)) return false;
      size = (uint64_t)(rest.data - field->content.data);
      break;
    case 1: size = 8; break;
    case 2:
      if (!wire_varint(&rest, &size)) return false;
      field->content = rest;
      break;
    case 5: size = 4; break;
    default: return false;
  }
  if (size > field->content.size) return false;
  field->content.size = (size_t)size;
  if (field->type == 1 || field->type == 5)
    memcpy(&field->value, field->content.data, (size_t)size);
  field->whole.data = message->data;
  field->whole.size = (size_t)(field->content.data - message->data) + (size_t)size;
  message->data += field->whole.size;
  message->size -= field->whole.size;
  return true;
}

// Whether all of it is fields, of which there is one at least.
static inline bool wire_is_message(wire_span span) {
  wire_field field;
  bool any = false;
  while (wire_next(&span, &field)) any = true;
  return any && span.size == 0;
}

// The content of a message's last field of this number; of none, no bytes.
static inline wire_span wire_find(wire_span message, int64_t number) {
  wire_field field;
  wire_span found = {NULL, 0};
  while (wire_next(&message, &field))
    if (field.number == number && field.type == 2) found = field.content;
  return found;
}

#endif
