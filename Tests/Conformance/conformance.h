// What the conformance programs share: a line per check, a count at the end. A program needs
// nothing but martlet.h, libmartlet and a C library, so it runs wherever they do.
#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#include <martlet.h>

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int passed, failed;

// One line: whether `condition` holds, and what that means.
static inline bool check(bool condition, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs(condition ? "ok      " : "not ok  ", stdout);
  vprintf(format, arguments);
  putchar('\n');
  va_end(arguments);
  __atomic_fetch_add(condition ? &passed : &failed, 1, __ATOMIC_RELAXED);
  return condition;
}

static inline bool check_status_at(martlet_status actual, martlet_status expected, const char *call,
                                   int line) {
  bool holds = actual == expected;
  const martlet_error *error = martlet_last_error();
  if (holds && expected != MARTLET_OK) {
    const char *fields[] = {error->node, error->operator_name, error->input, error->expected,
                            error->actual};
    holds = error->status == expected && error->message[0] != 0;
    for (int i = 0; i < 5; ++i) holds = holds && (!fields[i] || strstr(error->message, fields[i]));
  }
  check(holds, "%s: %s", martlet_status_name(expected), call);
  if (!holds)
    printf("        line %d: got %s: %s\n", line, martlet_status_name(actual), error->message);
  return holds;
}

// The call returns this status and, for a failure, leaves a message with all that its fields say.
#define check_status(expected, call) check_status_at((call), (expected), #call, __LINE__)
#define check_ok(call) check_status(MARTLET_OK, call)

// The last error's text field holds `part`.
static inline void check_says(const char *field, const char *part, const char *what) {
  bool holds = field != NULL && strstr(field, part) != NULL;
  check(holds, "the error's %s mentions \"%s\"", what, part);
  if (!holds) printf("        got %s\n", field ? field : "NULL");
}

static inline int finish(void) {
  printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

// ---------------------------------------------------------------- tensors for tests

// Reproducible values in -1...1.
static inline float sample(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (float)((double)(*state >> 40) / (double)(1 << 23) - 1);
}

static inline int64_t product(int32_t rank, const int64_t *shape) {
  int64_t count = 1;
  for (int32_t axis = 0; axis < rank; ++axis) count *= shape[axis];
  return count;
}

// A float32 tensor of samples, and the samples through *values (freed with the program's end).
static inline martlet_tensor *random_tensor(uint64_t *state, int32_t rank, const int64_t *shape,
                                            float **values) {
  int64_t count = product(rank, shape);
  float *data = malloc((size_t)(count ? count : 1) * sizeof *data);
  for (int64_t i = 0; i < count; ++i) data[i] = sample(state);
  martlet_tensor *tensor = NULL;
  if (martlet_tensor_from_data(data, (size_t)count * sizeof *data, MARTLET_FLOAT32, rank, shape,
                               &tensor)) {
    printf("not ok  random_tensor: %s\n", martlet_last_error()->message);
    exit(1);
  }
  if (values) *values = data;
  else free(data);
  return tensor;
}

// The elements as float32 in memory of malloc's, or NULL.
static inline float *read_floats(const martlet_tensor *tensor, int64_t *count) {
  size_t bytes = 0;
  if (martlet_tensor_byte_count(tensor, &bytes)) return NULL;
  float *data = malloc(bytes ? bytes : 1);
  if (martlet_tensor_read(tensor, data, bytes)) {
    free(data);
    return NULL;
  }
  if (count) *count = (int64_t)(bytes / sizeof *data);
  return data;
}

// Relative L2 distance of a tensor's elements from `expected`, infinite if it cannot be read or
// has another number of elements.
static inline double distance(const martlet_tensor *tensor, const double *expected, int64_t count) {
  int64_t actual_count = 0;
  float *actual = tensor ? read_floats(tensor, &actual_count) : NULL;
  if (actual == NULL || actual_count != count) {
    free(actual);
    return INFINITY;
  }
  double difference = 0, norm = 0;
  for (int64_t i = 0; i < count; ++i) {
    difference += (actual[i] - expected[i]) * (actual[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  free(actual);
  return sqrt(difference) / (norm > 0 ? sqrt(norm) : 1);
}

static inline bool has_shape(const martlet_tensor *tensor, int32_t rank, const int64_t *shape) {
  int32_t actual_rank = -1;
  const int64_t *actual = NULL;
  if (tensor == NULL || martlet_tensor_shape(tensor, &actual_rank, &actual)) return false;
  return actual_rank == rank && memcmp(actual, shape, (size_t)rank * sizeof *shape) == 0;
}

// Whether two tensors have the same bytes.
static inline bool same_bits(const martlet_tensor *a, const martlet_tensor *b) {
  size_t a_bytes = 0, b_bytes = 0;
  if (martlet_tensor_byte_count(a, &a_bytes) || martlet_tensor_byte_count(b, &b_bytes))
    return false;
  if (a_bytes != b_bytes) return false;
  void *x = malloc(a_bytes + 1), *y = malloc(b_bytes + 1);
  bool same = !martlet_tensor_read(a, x, a_bytes) && !martlet_tensor_read(b, y, b_bytes) &&
              memcmp(x, y, a_bytes) == 0;
  free(x);
  free(y);
  return same;
}

#endif
