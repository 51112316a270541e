// Options structs of every size: of an older header, of a newer one, and of none.
#include "conformance.h"
#include "onnx_bytes.h"

#include <sys/mman.h>
#include <unistd.h>

static onnx_bytes file;

// The last `size` bytes before memory that must not be touched.
static void *before_a_wall(size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED || mprotect(pages + page, page, PROT_NONE) != 0) exit(2);
  return pages + page - size;
}

static martlet_status load(const void *options) {
  martlet_model *model = NULL;
  martlet_status status = martlet_model_load_memory(file.data, file.size, options, &model);
  check((status == MARTLET_OK) == (model != NULL),
        "there is a model if, and only if, it succeeded");
  martlet_model_release(model);
  return status;
}

// The struct as it was when it had so many bytes.
static void older(void) {
  for (size_t size = sizeof(size_t); size <= sizeof(martlet_model_options);
       size += sizeof(size_t)) {
    martlet_model_options *options = before_a_wall(size);
    options->struct_size = size;
    check_ok(load(options));
  }
  // What it has is read: a mode that does not exist.
  martlet_model_options *options = before_a_wall(2 * sizeof(size_t));
  options->struct_size = 2 * sizeof(size_t);
  options->math_mode = "FP31";
  check_status(MARTLET_NOT_FOUND, load(options));
}

static void newer(void) {
  size_t size = sizeof(martlet_model_options) + 48;
  char *bytes = before_a_wall(size);
  ((martlet_model_options *)bytes)->struct_size = size;
  check_ok(load(bytes));
  bytes[size - 1] = 1;
  check_status(MARTLET_UNSUPPORTED, load(bytes));
  check_says(martlet_last_error()->input, "options", "input");
  check_says(martlet_last_error()->message, "does not know", "message");
  bytes[size - 1] = 0;
  bytes[sizeof(martlet_model_options)] = 1;
  check_status(MARTLET_UNSUPPORTED, load(bytes));
}

// Sizes that no header has; nothing but the size itself may be looked at.
static void bad(void) {
  const size_t sizes[] = {0,
                          1,
                          3,
                          7,
                          9,
                          12,
                          sizeof(martlet_model_options) - 1,
                          sizeof(martlet_model_options) + 1,
                          1 << 20,
                          SIZE_MAX / 2 + 1,
                          SIZE_MAX - 7,
                          SIZE_MAX};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
    size_t *wall = before_a_wall(sizeof(size_t));
    *wall = sizes[i];
    check_status(MARTLET_INVALID_ARGUMENT, load(wall));
    check_says(martlet_last_error()->input, "struct_size", "input");
    martlet_tensor *x = NULL, *y = NULL;
    const int64_t shape[] = {1, 1, 1};
    check_ok(martlet_tensor_create_zeroed(MARTLET_FLOAT32, 3, shape, &x));
    check_status(MARTLET_INVALID_ARGUMENT,
                 martlet_conv(x, x, NULL, (martlet_conv_options *)wall, MARTLET_MATH_DEFAULT, &y));
    check_ok(martlet_tensor_release(x));
  }
}

static void convolution(void) {
  martlet_tensor *x = NULL, *y = NULL;
  const int64_t shape[] = {1, 1, 4}, stride[] = {2};
  check_ok(martlet_tensor_create_zeroed(MARTLET_FLOAT32, 3, shape, &x));
  martlet_conv_options *options = before_a_wall(2 * sizeof(size_t));
  options->struct_size = 2 * sizeof(size_t);
  options->strides = stride;
  martlet_tensor *w = NULL;
  const int64_t one[] = {1, 1, 1};
  check_ok(martlet_tensor_create_zeroed(MARTLET_FLOAT32, 3, one, &w));
  check_ok(martlet_conv(x, w, NULL, options, MARTLET_MATH_DEFAULT, &y));
  int32_t rank = 0;
  const int64_t *extents = NULL;
  check_ok(martlet_tensor_shape(y, &rank, &extents));
  check(rank == 3 && extents[2] == 2, "the fields that an older struct has are read");
  check_ok(martlet_tensor_release(x));
  check_ok(martlet_tensor_release(w));
  check_ok(martlet_tensor_release(y));
}

int main(void) {
  file = onnx_mlp();
  older();
  newer();
  bad();
  convolution();
  free(file.data);
  return finish();
}
