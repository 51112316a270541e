// Memory that stays after runs: bounded by itself, and given back when somebody asks.
#include "conformance.h"
#include "onnx_bytes.h"

#include <pthread.h>

enum { LARGE = 1 << 22, SMALL = 1 << 8, CALLERS = 64, LARGE_BYTES = LARGE * 4 };

static martlet_model *model;

// y, the number of elements of sin(x) twice, one behind the other: what lies in between has an arena.
static void load_model(void) {
  const int64_t shape[] = {-1};
  onnx_bytes graph = {0};
  onnx_bytes node = onnx_node("Concat", "b", "s s", "t"), axis = {0};
  onnx_text(&axis, 1, "axis");
  onnx_int(&axis, 3, 0);
  onnx_int(&axis, 20, 2);
  onnx_message(&node, 5, axis);
  onnx_message(&graph, 1, onnx_node("Sin", "a", "x", "s"));
  onnx_message(&graph, 1, node);
  onnx_message(&graph, 1, onnx_node("Size", "c", "t", "y"));
  onnx_text(&graph, 2, "memory");
  onnx_message(&graph, 11, onnx_value("x", 1, 1, shape));
  onnx_message(&graph, 12, onnx_value("y", 7, 0, shape));
  onnx_bytes file = onnx_model(graph);
  check_ok(martlet_model_load_memory(file.data, file.size, NULL, &model));
  free(file.data);
}

static martlet_tensor *zeros(int64_t extent) {
  martlet_tensor *tensor = NULL;
  if (martlet_tensor_create_zeroed(MARTLET_FLOAT32, 1, &extent, &tensor)) check(false, "zeros");
  return tensor;
}

// Runs with an input of `extent`; whether y is twice that.
static bool run(martlet_context *context, int64_t extent) {
  martlet_tensor *x = zeros(extent), *y = NULL;
  martlet_status status = context == NULL ? martlet_model_run(model, &x, 1, &y, 1)
                                          : martlet_context_run(context, &x, 1, &y, 1);
  int64_t size = 0;
  if (!status) status = martlet_tensor_read(y, &size, sizeof size);
  martlet_tensor_release(x);
  martlet_tensor_release(y);
  return status == MARTLET_OK && size == 2 * extent;
}

static int64_t kept(const martlet_context *context) {
  int64_t bytes = 0;
  (void)martlet_context_memory(context, NULL, &bytes, NULL);
  return bytes;
}

static void after_a_large_run(void) {
  martlet_context *context = NULL;
  check_ok(martlet_context_create(model, &context));
  bool held = true;
  for (int i = 0; i < 3; ++i) held &= run(context, LARGE);
  for (int i = 0; i < 3; ++i) held &= run(context, SMALL);
  check(kept(context) >= LARGE_BYTES, "what a large run needs stays for a while: %lld bytes",
        (long long)kept(context));
  for (int i = 0; i < 30; ++i) held &= run(context, SMALL);
  check(kept(context) < LARGE_BYTES / 8, "and goes when only small ones follow: %lld bytes",
        (long long)kept(context));
  // Sizes that alternate keep what both need.
  for (int i = 0; i < 40; ++i) held &= run(context, i % 2 ? LARGE : SMALL);
  check(kept(context) >= LARGE_BYTES, "sizes that alternate keep it");
  check(held, "all results are right");
  martlet_context_release(context);
}

static void trims(void) {
  martlet_context *contexts[2] = {NULL, NULL};
  bool held = true;
  for (int i = 0; i < 2; ++i) {
    check_ok(martlet_context_create(model, &contexts[i]));
    for (int k = 0; k < 3; ++k) held &= run(contexts[i], LARGE);
  }
  for (int k = 0; k < 3; ++k) held &= run(NULL, LARGE);
  check(kept(contexts[0]) >= LARGE_BYTES && kept(contexts[1]) >= LARGE_BYTES,
        "contexts keep what their runs need");
  int64_t before = martlet_memory_in_use();
  check_ok(martlet_model_trim(model));
  check(kept(contexts[0]) == 0 && kept(contexts[1]) == 0, "a model's trim is that of its contexts");
  check(before - martlet_memory_in_use() >= 3 * (int64_t)LARGE_BYTES,
        "and of those that martlet_model_run keeps");
  for (int i = 0; i < 2; ++i)
    for (int k = 0; k < 3; ++k) held &= run(contexts[i], LARGE);
  check(kept(contexts[0]) >= LARGE_BYTES, "they go on");
  check_ok(martlet_trim());
  check(kept(contexts[0]) == 0 && kept(contexts[1]) == 0,
        "that of the process is that of all models");
  check(held && run(contexts[0], SMALL), "all results are right");
  for (int i = 0; i < 2; ++i) martlet_context_release(contexts[i]);
  check_status(MARTLET_INVALID_HANDLE, martlet_model_trim(NULL));
}

static void *caller(void *held) {
  for (int i = 0; i < 3; ++i)
    if (!run(NULL, LARGE / 16)) *(bool *)held = false;
  return NULL;
}

static void many_callers(void) {
  check_ok(martlet_trim());
  int64_t before = martlet_memory_in_use();
  static pthread_t threads[CALLERS];
  static bool held[CALLERS];
  for (int i = 0; i < CALLERS; ++i) {
    held[i] = true;
    pthread_create(&threads[i], NULL, caller, &held[i]);
  }
  bool all = true;
  for (int i = 0; i < CALLERS; ++i) {
    pthread_join(threads[i], NULL);
    all &= held[i];
  }
  check(all, "%d callers at once get their results", CALLERS);
  int64_t left = martlet_memory_in_use() - before;
  check(left <= 260 << 20, "they leave %lld bytes, a bounded number", (long long)left);
  check_ok(martlet_model_trim(model));
  check(martlet_memory_in_use() <= before, "of which a trim leaves none");
}

int main(void) {
  load_model();
  after_a_large_run();
  trims();
  many_callers();
  martlet_model_release(model);
  return finish();
}
