// Target: a model is loaded, optimised and asked for all that it says of itself, and for what runs of
// several shapes would take. It is not run.
#include "models.h"

static void ask(const martlet_model *model) {
  size_t count;
  const martlet_value_info *info;
  must(martlet_model_input_count(model, &count));
  for (size_t i = 0; i < count; ++i) must(martlet_model_input(model, i, &info)), read_info(info);
  must(martlet_model_output_count(model, &count));
  for (size_t i = 0; i < count; ++i) must(martlet_model_output(model, i, &info)), read_info(info);
  if (martlet_model_output(model, count, &info) == MARTLET_OK) abort();
  must(martlet_model_replaceable_count(model, &count));
  for (size_t i = 0; i < count; ++i)
    must(martlet_model_replaceable(model, i, &info)), read_info(info);
  must(martlet_model_metadata_count(model, &count));
  for (size_t i = 0; i < count; ++i) {
    const char *key, *value;
    must(martlet_model_metadata(model, i, &key, &value));
    volatile size_t sum = strlen(key) + strlen(value);
    (void)sum;
  }
  martlet_memory memory = {.struct_size = sizeof memory};
  must(martlet_model_memory(model, &memory));
}

// How much a run would take with these extents in the place of those that are not known.
static void result_bytes(const martlet_model *model, choices *from) {
  enum { INPUTS = 16 };
  static int64_t extents[INPUTS][32];
  const int64_t *shapes[INPUTS];
  int32_t ranks[INPUTS];
  size_t count;
  must(martlet_model_input_count(model, &count));
  if (count > INPUTS) return;
  for (size_t i = 0; i < count; ++i) {
    const martlet_value_info *info;
    must(martlet_model_input(model, i, &info));
    ranks[i] = info->rank < 0 ? choose(from) % 5 : info->rank;
    shapes[i] = extents[i];
    for (int32_t axis = 0; axis < ranks[i]; ++axis) {
      uint8_t choice = choose(from);
      int64_t extent = choice > 250 ? (int64_t)1 << (choice % 5 * 12) : choice % 9;
      if (info->rank >= 0 && info->shape[axis] >= 0 && choice < 240) extent = info->shape[axis];
      extents[i][axis] = extent;
    }
  }
  int64_t bytes;
  is_ok(martlet_model_result_bytes(model, shapes, ranks, count, &bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  begin();
  choices from = choices_of(data, size);
  uint8_t flags = choose(&from);
  const char *keys[] = {"optimize", "prepare", "strict_shapes"};
  const char *values[] = {flags & 1 ? "0" : "1", flags & 2 ? "0" : "1", flags & 4 ? "1" : "0"};
  martlet_model *model = load(data, size, keys, values, 3);
  if (model == NULL) return 0;
  ask(model);
  for (int tries = 0; tries < 3; ++tries) result_bytes(model, &from);
  martlet_context *context = NULL;
  if (is_ok(martlet_context_create(model, &context))) {
    size_t nodes;
    must(martlet_context_node_count(context, &nodes));
  }
  must(martlet_model_release(model));
  must(martlet_context_release(context));
  return 0;
}
