// In steady state a run on one thread costs the same number of allocations and mutexes whatever the
// number of its nodes, layers, steps and iterations: what it costs is its entry and its results.
#define _GNU_SOURCE 1
#include "conformance.h"
#include "onnx_bytes.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_OWN_ALLOCATOR 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define HAS_OWN_ALLOCATOR 1
#endif

// Written by one thread: the library is set to one.
static long allocations, locks;

#ifndef HAS_OWN_ALLOCATOR
// This program's functions stand before the C library's, for the library too.
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t),
  *__libc_memalign(size_t, size_t);

void *malloc(size_t size) {
  allocations += 1;
  return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
  allocations += 1;
  return __libc_calloc(count, size);
}
void *realloc(void *memory, size_t size) {
  allocations += 1;
  return __libc_realloc(memory, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
  allocations += 1;
  return __libc_memalign(alignment, size);
}
int posix_memalign(void **memory, size_t alignment, size_t size) {
  allocations += 1;
  *memory = __libc_memalign(alignment, size);
  return *memory == NULL ? ENOMEM : 0;
}
int pthread_mutex_lock(pthread_mutex_t *mutex) {
  static int (*next)(pthread_mutex_t *);
  if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, "pthread_mutex_lock");
  locks += 1;
  return next(mutex);
}
#endif

enum { WIDTH = 16, ROWS = 4, MOST_WEIGHTS = 1 << 16 };
static float weights[MOST_WEIGHTS];

static char *label(char *to, const char *name, int index) {
  snprintf(to, 64, "%s%d", name, index);
  return to;
}

static onnx_bytes attribute(const char *name, int field, int type, int64_t value) {
  onnx_bytes attribute = {0};
  onnx_text(&attribute, 1, name);
  onnx_int(&attribute, field, value);
  onnx_int(&attribute, 20, type);
  return attribute;
}

static void add_node(onnx_bytes *graph, const char *operator_name, int index, const char *inputs,
                     const char *output) {
  char name[64];
  onnx_message(graph, 1,
               onnx_node(operator_name, label(name, operator_name, index), inputs, output));
}

static void add_weight(onnx_bytes *graph, const char *name, int rank, const int64_t *shape) {
  onnx_message(
    graph, 5,
    onnx_tensor(name, 1, rank, shape, weights, (size_t)product(rank, shape) * sizeof(float)));
}

// x [4, 16] through `count` Add and Relu nodes.
static onnx_bytes chain(int count) {
  const int64_t shape[] = {ROWS, WIDTH}, one[] = {WIDTH};
  onnx_bytes graph = {0};
  char from[64] = "x", to[64], inputs[192];
  for (int i = 0; i < count; ++i) {
    label(to, i == count - 1 ? "y" : "v", i == count - 1 ? 0 : i);
    snprintf(inputs, sizeof inputs, i % 2 ? "%s" : "%s c", from);
    add_node(&graph, i % 2 ? "Relu" : "Add", i, inputs, to);
    strcpy(from, to);
  }
  onnx_text(&graph, 2, "chain");
  add_weight(&graph, "c", 1, one);
  onnx_message(&graph, 11, onnx_value("x", 1, 2, shape));
  onnx_message(&graph, 12, onnx_value("y0", 1, 2, shape));
  return onnx_model(graph);
}

// x [1, 8, 12, 12] through `count` convolutions of 3 x 3 with a Relu each.
static onnx_bytes convolutions(int count) {
  const int64_t shape[] = {1, 8, 12, 12}, kernel[] = {8, 8, 3, 3}, bias[] = {8};
  const int64_t pads[] = {1, 1, 1, 1};
  onnx_bytes graph = {0};
  char from[64] = "x", to[64], middle[64], inputs[192], name[64];
  for (int i = 0; i < count; ++i) {
    label(to, i == count - 1 ? "y" : "v", i == count - 1 ? 0 : i);
    label(middle, "m", i);
    snprintf(inputs, sizeof inputs, "%s W b", from);
    onnx_bytes node = onnx_node("Conv", label(name, "Conv", i), inputs, middle);
    onnx_bytes pad = {0};
    onnx_text(&pad, 1, "pads");
    for (int axis = 0; axis < 4; ++axis) onnx_int(&pad, 8, pads[axis]);
    onnx_int(&pad, 20, 7);
    onnx_message(&node, 5, pad);
    onnx_message(&graph, 1, node);
    add_node(&graph, "Relu", i, middle, to);
    strcpy(from, to);
  }
  onnx_text(&graph, 2, "convolutions");
  add_weight(&graph, "W", 4, kernel);
  add_weight(&graph, "b", 1, bias);
  onnx_message(&graph, 11, onnx_value("x", 1, 4, shape));
  onnx_message(&graph, 12, onnx_value("y0", 1, 4, shape));
  return onnx_model(graph);
}

// x [4, 16] through `count` dense layers with a bias, a residual and a Softmax.
static onnx_bytes dense(int count) {
  const int64_t shape[] = {ROWS, WIDTH}, square[] = {WIDTH, WIDTH}, bias[] = {WIDTH};
  onnx_bytes graph = {0};
  char from[64] = "x", to[64], a[64], b[64], c[64], inputs[192];
  for (int i = 0; i < count; ++i) {
    label(to, i == count - 1 ? "y" : "v", i == count - 1 ? 0 : i);
    snprintf(inputs, sizeof inputs, "%s W", from);
    add_node(&graph, "MatMul", i, inputs, label(a, "a", i));
    snprintf(inputs, sizeof inputs, "%s b", a);
    add_node(&graph, "Add", 2 * i, inputs, label(b, "b", i));
    add_node(&graph, "Softmax", i, b, label(c, "c", i));
    snprintf(inputs, sizeof inputs, "%s %s", c, from);
    add_node(&graph, "Add", 2 * i + 1, inputs, to);
    strcpy(from, to);
  }
  onnx_text(&graph, 2, "dense");
  add_weight(&graph, "W", 2, square);
  add_weight(&graph, "b", 1, bias);
  onnx_message(&graph, 11, onnx_value("x", 1, 2, shape));
  onnx_message(&graph, 12, onnx_value("y0", 1, 2, shape));
  return onnx_model(graph);
}

// x [steps, 1, 16] through an LSTM of 16 units.
static onnx_bytes lstm(int steps) {
  const int64_t shape[] = {steps, 1, WIDTH}, matrix[] = {1, 4 * WIDTH, WIDTH};
  const int64_t result[] = {steps, 1, 1, WIDTH};
  onnx_bytes graph = {0};
  onnx_bytes node = onnx_node("LSTM", "lstm", "x W R", "y0");
  onnx_message(&node, 5, attribute("hidden_size", 3, 2, WIDTH));
  onnx_message(&graph, 1, node);
  onnx_text(&graph, 2, "lstm");
  add_weight(&graph, "W", 3, matrix);
  add_weight(&graph, "R", 3, matrix);
  onnx_message(&graph, 11, onnx_value("x", 1, 3, shape));
  onnx_message(&graph, 12, onnx_value("y0", 1, 4, result));
  return onnx_model(graph);
}

// x [4, 16] through `trips` iterations of s = Relu(Tanh(s + c) - c).
static onnx_bytes loop(int trips) {
  const int64_t shape[] = {ROWS, WIDTH}, one[] = {WIDTH}, scalar[] = {1};
  const int64_t most = trips;
  onnx_bytes body = {0}, graph = {0}, node, region = {0};
  add_node(&body, "Add", 0, "s c", "a");
  add_node(&body, "Tanh", 0, "a", "t");
  add_node(&body, "Sub", 0, "t c", "u");
  add_node(&body, "Relu", 0, "u", "next");
  add_node(&body, "Identity", 0, "goes", "goes_on");
  onnx_text(&body, 2, "body");
  onnx_message(&body, 11, onnx_value("i", 7, 0, scalar));
  onnx_message(&body, 11, onnx_value("goes", 9, 0, scalar));
  onnx_message(&body, 11, onnx_value("s", 1, 2, shape));
  onnx_message(&body, 12, onnx_value("goes_on", 9, 0, scalar));
  onnx_message(&body, 12, onnx_value("next", 1, 2, shape));
  node = onnx_node("Loop", "loop", "trips  x", "y0");
  onnx_text(&region, 1, "body");
  onnx_message(&region, 6, body);
  onnx_int(&region, 20, 5);
  onnx_message(&node, 5, region);
  onnx_message(&graph, 1, node);
  onnx_text(&graph, 2, "loop");
  add_weight(&graph, "c", 1, one);
  onnx_message(&graph, 5, onnx_tensor("trips", 7, 0, scalar, &most, sizeof most));
  onnx_message(&graph, 11, onnx_value("x", 1, 2, shape));
  onnx_message(&graph, 12, onnx_value("y0", 1, 2, shape));
  return onnx_model(graph);
}

// What a run of `file` costs once its memory is laid out.
static long cost(onnx_bytes file) {
  martlet_model *model = NULL;
  martlet_context *context = NULL;
  const martlet_value_info *info = NULL;
  check_ok(martlet_model_load_memory(file.data, file.size, NULL, &model));
  check_ok(martlet_model_input(model, 0, &info));
  uint64_t state = 1;
  martlet_tensor *x = random_tensor(&state, info->rank, info->shape, NULL), *y = NULL;
  check_ok(martlet_context_create(model, &context));
  for (int run = 0; run < 8; ++run) {
    check_ok(martlet_context_run(context, &x, 1, &y, 1));
    martlet_tensor_release(y);
    y = NULL;
  }
  enum { RUNS = 16 };
  long before = (allocations + locks);
  for (int run = 0; run < RUNS; ++run) {
    if (martlet_context_run(context, &x, 1, &y, 1) != MARTLET_OK) check(false, "a run failed");
    martlet_tensor_release(y);
    y = NULL;
  }
  long count = (allocations + locks) - before;
  martlet_context_release(context);
  martlet_model_release(model);
  martlet_tensor_release(x);
  free(file.data);
  return (count + RUNS - 1) / RUNS;
}

static void compare(const char *what, long few, long many, long most) {
  // Both are means over some runs, rounded up.
  check(many <= few + 1,
        "%s: more of them cost no more allocations and mutexes (%ld and %ld a run)", what, few,
        many);
  check(many <= most, "%s: a run costs %ld allocations, at most %ld", what, many, most);
}

int main(void) {
#ifdef HAS_OWN_ALLOCATOR
  puts("0 passed, 0 failed (not counted under this allocator)");
  return 0;
#endif
  check_ok(martlet_set_num_threads(1));
  uint64_t state = 7;
  for (int i = 0; i < MOST_WEIGHTS; ++i) weights[i] = sample(&state) / 8;
  enum { MOST = 64 };
  compare("nodes of a chain", cost(chain(100)), cost(chain(1000)), MOST);
  compare("convolutions", cost(convolutions(2)), cost(convolutions(8)), MOST);
  compare("dense layers", cost(dense(2)), cost(dense(8)), MOST);
  // A recurrent layer prepares its directions in each run.
  compare("steps of an LSTM", cost(lstm(5)), cost(lstm(50)), 2 * MOST);
  compare("iterations of a loop", cost(loop(100)), cost(loop(1000)), MOST);
  return finish();
}
