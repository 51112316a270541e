// Tensors of small extents whose elements an input chooses, and the reading of whatever comes out.
#ifndef FUZZ_TENSORS_H
#define FUZZ_TENSORS_H

#include "models.h"

// One element's worth of numbers that are odd or small, repeated over the memory.
static inline void fill(uint8_t *bytes, size_t size, martlet_dtype dtype, choices *from) {
  static const float reals[] = {0, 1, -1, 0.5f, 2, 3, 1e38f, 1e-40f, -0.0f, 100};
  uint8_t choice = choose(from), step = choose(from);
  size_t width = martlet_dtype_size(dtype);
  for (size_t i = 0; width > 0 && i < size / width; ++i) {
    int64_t number = (int64_t)((choice + i * step) % 11) - (choice > 128 ? 3 : 0);
    double real = choice > 200 ? (double)reals[(choice + i) % 10] : (double)number / 2;
    float narrow = (float)real;
    uint16_t half = (uint16_t)(0x3c00 + 64 * number);
    if (choice == 255) number = real = -1;
    switch (dtype) {
      case MARTLET_FLOAT32: memcpy(bytes + 4 * i, &narrow, 4); break;
      case MARTLET_FLOAT64: memcpy(bytes + 8 * i, &real, 8); break;
      case MARTLET_FLOAT16:
      case MARTLET_BFLOAT16: memcpy(bytes + 2 * i, &half, 2); break;
      case MARTLET_BOOL: bytes[i] = (uint8_t)(number & 1); break;
      default: memcpy(bytes + width * i, &number, width);
    }
  }
  if (width == 0) memset(bytes, choice, size);
}

// How many elements there are: few, or none beside extents of any size; -1 for others. Work on very many
// is valid, and long.
static inline int64_t few_elements(int32_t rank, const int64_t *shape) {
  enum { MANY = 1 << 16 };
  int64_t count = 1;
  for (int32_t axis = 0; axis < rank; ++axis) {
    if (shape[axis] < 0) return -1;
    if (shape[axis] == 0 || count == 0) count = 0;
    else count = shape[axis] > MANY || count > MANY ? MANY + 1 : count * shape[axis];
  }
  return count > MANY ? -1 : count;
}

static inline size_t bytes_of(martlet_dtype dtype, int64_t count) {
  return ((size_t)count * (size_t)martlet_dtype_bits(dtype) + 7) / 8;
}

static inline martlet_tensor *tensor_of(martlet_dtype dtype, int32_t rank, const int64_t *shape,
                                        choices *from) {
  martlet_tensor *tensor = NULL;
  int64_t count = few_elements(rank, shape);
  if (count < 0) return NULL;
  if (dtype == MARTLET_STRING) {
    static const char *const texts[] = {
      "a", "", "b c", "12.5", "\xc3\xa4\xc3\xb6", "long enough for memory"};
    const char **strings = malloc(sizeof *strings * (size_t)(count + 1));
    uint8_t choice = choose(from);
    for (int64_t i = 0; i < count; ++i) strings[i] = texts[(choice + i) % 6];
    is_ok(martlet_tensor_from_strings(strings, NULL, rank, shape, &tensor));
    free(strings);
    return tensor;
  }
  // Of exactly the size: reads behind its end are found.
  size_t size = bytes_of(dtype, count);
  uint8_t *bytes = malloc(size);
  fill(bytes, size, dtype, from);
  is_ok(martlet_tensor_from_data(bytes, size, dtype, rank, shape, &tensor));
  free(bytes);
  return tensor;
}

static inline void read_tensor(const martlet_tensor *tensor) {
  martlet_dtype dtype;
  size_t size;
  int64_t count;
  must(martlet_tensor_dtype(tensor, &dtype));
  must(martlet_tensor_element_count(tensor, &count));
  if (dtype == MARTLET_STRING) {
    const char *string;
    for (int64_t i = 0; i < count; ++i) must(martlet_tensor_string(tensor, i, &string, &size));
    return;
  }
  // Views may have more elements than memory.
  if (!is_ok(martlet_tensor_byte_count(tensor, &size)) || size > (size_t)1 << 26) return;
  uint8_t *bytes = malloc(size + 1);
  must(martlet_tensor_read(tensor, bytes, size));
  free(bytes);
}

// Of targets that run something.
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  must(martlet_set_num_threads(1));
  return 0;
}

#endif
