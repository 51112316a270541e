// Changes inputs that are protobuf messages, in all targets: fields are deleted, repeated, put in other
// places or given other contents, and the sizes of the messages around them follow. Now and then bytes
// are changed without regard for the format.
#include "wire.h"

#include <stdlib.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *one, size_t one_size, const uint8_t *other,
                                 size_t other_size, uint8_t *out, size_t out_size, unsigned seed);

enum { FIELDS = 4096, DEPTH = 12, NONE = -1 };
typedef struct place {
  wire_field field;
  int parent;  // the place whose content this lies in
} place;
typedef struct places {
  place list[FIELDS];
  int count;
} places;

static uint64_t state;
static uint64_t next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}
static uint64_t below(uint64_t count) { return next() % count; }

static void collect(places *found, wire_span message, int parent, int depth) {
  wire_field field;
  while (found->count < FIELDS && wire_next(&message, &field)) {
    int index = found->count++;
    found->list[index] = (place){field, parent};
    if (field.type == 2 && depth < DEPTH && wire_is_message(field.content))
      collect(found, field.content, index, depth + 1);
  }
}

// Any place; deep ones are no likelier than others, for there are more of them anyhow.
static const place *pick(const places *from) { return &from->list[below((uint64_t)from->count)]; }

// One of the same field number, or of the same kind, if a few tries find it.
static const place *pick_alike(const places *from, const place *to) {
  const place *picked = pick(from);
  for (int tries = 0; tries < 32; ++tries) {
    if (picked->field.number == to->field.number && picked->field.type == to->field.type) break;
    picked = pick(from);
  }
  return picked;
}

static size_t put_varint(uint8_t *to, uint64_t value) {
  size_t size = 0;
  do {
    to[size++] = (uint8_t)((value & 127) | (value > 127 ? 128 : 0));
    value >>= 7;
  } while (value);
  return size;
}

static uint8_t *joined(wire_span a, wire_span b, wire_span c, size_t *size) {
  uint8_t *all = malloc(a.size + b.size + c.size + 1);
  *size = a.size + b.size + c.size;
  if (a.size) memcpy(all, a.data, a.size);
  if (b.size) memcpy(all + a.size, b.data, b.size);
  if (c.size) memcpy(all + a.size + b.size, c.data, c.size);
  return all;
}

static wire_span between(const uint8_t *from, const uint8_t *to) {
  return (wire_span){from, (size_t)(to - from)};
}

// Writes the message with `put` in the place of one field, into out. 0: it does not fit.
static size_t rebuild(const places *all, const place *at, wire_span message, wire_span put,
                      uint8_t *out, size_t max_size) {
  uint8_t *current = NULL;
  for (;;) {
    wire_span outer = at->parent == NONE ? message : all->list[at->parent].field.content;
    const uint8_t *end = at->field.whole.data + at->field.whole.size;
    size_t size;
    uint8_t *content = joined(between(outer.data, at->field.whole.data), put,
                              between(end, outer.data + outer.size), &size);
    free(current);
    current = content;
    put = (wire_span){current, size};
    if (at->parent == NONE) break;
    at = &all->list[at->parent];
    uint8_t head[20];
    size_t head_size = put_varint(head, (uint64_t)at->field.number << 3 | 2);
    head_size += put_varint(head + head_size, size);
    uint8_t *field = joined((wire_span){head, head_size}, put, (wire_span){NULL, 0}, &size);
    free(current);
    current = field;
    put = (wire_span){current, size};
  }
  if (put.size <= max_size) memcpy(out, put.data, put.size);
  size_t size = put.size <= max_size ? put.size : 0;
  free(current);
  return size;
}

// A field with other content, into `to`, which has room for `room` bytes and 32 more.
static size_t changed(const wire_field *field, uint8_t *to, size_t room) {
  static const int64_t numbers[] = {0,   1,   -1,  2,   3,    4,    5,    6,     7,    8,  10,
                                    11,  13,  16,  17,  22,   31,   32,   33,    63,   64, 65,
                                    127, 128, 255, 256, 1023, 4096, 1000, 65535, 65536};
  size_t size = put_varint(to, (uint64_t)field->number << 3 | (uint64_t)field->type);
  if (field->type == 2) {
    uint8_t *content = malloc(room + 1);
    if (field->content.size) memcpy(content, field->content.data, field->content.size);
    size_t content_size = LLVMFuzzerMutate(content, field->content.size, room);
    size += put_varint(to + size, content_size);
    memcpy(to + size, content, content_size);
    free(content);
    return size + content_size;
  }
  uint64_t value = field->value;
  switch (below(6)) {
    case 0: value += 1; break;
    case 1: value -= 1; break;
    case 2: value = (uint64_t)1 << below(64); break;
    case 3: value = ((uint64_t)1 << below(64)) - 1; break;
    case 4: LLVMFuzzerMutate((uint8_t *)&value, 8, 8); break;
    default: value = (uint64_t)numbers[below(sizeof numbers / sizeof *numbers)];
  }
  if (below(12) == 0) value = -value;
  if (field->type == 0) return size + put_varint(to + size, value);
  size_t width = field->type == 1 ? 8 : 4;
  memcpy(to + size, &value, width);
  return size + width;
}

static size_t mutate(uint8_t *data, size_t size, size_t max_size) {
  static places all;
  all.count = 0;
  wire_span message = {data, size};
  collect(&all, message, NONE, 0);
  if (all.count == 0 || below(16) == 0) return LLVMFuzzerMutate(data, size, max_size);
  const place *at = pick(&all), *other = pick(&all);
  wire_span put = {NULL, 0}, none = {NULL, 0};
  uint8_t *fresh = NULL;
  switch (below(10)) {
    case 0: break;
    case 1: fresh = joined(at->field.whole, at->field.whole, none, &put.size); break;
    case 2: fresh = joined(at->field.whole, other->field.whole, none, &put.size); break;
    case 3:
    case 4: fresh = joined(pick_alike(&all, at)->field.whole, none, none, &put.size); break;
    default: {
      // What is in a message is changed field by field.
      for (int tries = 0; tries < 32 && at->field.type == 2; ++tries) {
        if (!wire_is_message(at->field.content)) break;
        at = pick(&all);
      }
      size_t room = at->field.content.size + 64;
      fresh = malloc(room + 32);
      put.size = changed(&at->field, fresh, room);
    }
  }
  put.data = fresh;
  uint8_t *out = malloc(max_size + 1);
  size_t made = rebuild(&all, at, message, put, out, max_size);
  if (made > 0) memcpy(data, out, made);
  free(out);
  free(fresh);
  return made > 0 ? made : LLVMFuzzerMutate(data, size, max_size);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
  state = ((uint64_t)seed << 20) + 88172645463325252u;
  for (uint64_t left = 1 + below(4); left > 0; --left) size = mutate(data, size, max_size);
  return size;
}

// One input with a field of another's in the place of one that is like it.
size_t LLVMFuzzerCustomCrossOver(const uint8_t *one, size_t one_size, const uint8_t *other,
                                 size_t other_size, uint8_t *out, size_t out_size, unsigned seed) {
  static places here, there;
  state = ((uint64_t)seed << 20) + 88172645463325252u;
  here.count = there.count = 0;
  wire_span message = {one, one_size};
  collect(&here, message, NONE, 0);
  collect(&there, (wire_span){other, other_size}, NONE, 0);
  if (here.count == 0 || there.count == 0) return 0;
  const place *from = pick(&there), *at = pick_alike(&here, from);
  return rebuild(&here, at, message, from->field.whole, out, out_size);
}
