// Tensors: making, wrapping, reading, copying, converting; and their limits.
#include "conformance.h"

static int deletions;
static void *deleted_context, *deleted_data;
static void count_deletion(void *context, void *data) {
  deletions += 1;
  deleted_context = context;
  deleted_data = data;
}

static void creation(void) {
  int64_t shape[] = {2, 3, 4}, before = martlet_memory_in_use();
  martlet_tensor *tensor = NULL;
  check_ok(martlet_tensor_create_zeroed(MARTLET_FLOAT32, 3, shape, &tensor));
  check(martlet_memory_in_use() >= before + 96, "memory in use grows");
  check(has_shape(tensor, 3, shape), "the shape is 2, 3, 4");
  martlet_dtype dtype = 0;
  const int64_t *strides = NULL;
  int64_t count = 0;
  size_t bytes = 0;
  bool contiguous = false, read_only = true;
  const void *data = NULL;
  void *mutable_data = NULL;
  check_ok(martlet_tensor_dtype(tensor, &dtype));
  check_ok(martlet_tensor_strides(tensor, &strides));
  check_ok(martlet_tensor_element_count(tensor, &count));
  check_ok(martlet_tensor_byte_count(tensor, &bytes));
  check_ok(martlet_tensor_is_contiguous(tensor, &contiguous));
  check_ok(martlet_tensor_is_read_only(tensor, &read_only));
  check_ok(martlet_tensor_data(tensor, &data));
  check_ok(martlet_tensor_mutable_data(tensor, &mutable_data));
  check(dtype == MARTLET_FLOAT32 && strides[0] == 12 && strides[1] == 4 && strides[2] == 1 &&
          count == 24 && bytes == 96 && contiguous && !read_only && data == mutable_data,
        "dtype, strides, counts, flags and data are as they should be");
  check((uintptr_t)data % 64 == 0, "the data is aligned to 64 bytes");
  bool zero = true;
  for (int i = 0; i < 24; ++i) zero = zero && ((const float *)data)[i] == 0;
  check(zero, "create_zeroed gives zeros");
  check_ok(martlet_tensor_shape(tensor, NULL, NULL));
  check_ok(martlet_tensor_release(tensor));
  check(martlet_memory_in_use() == before, "and the memory is given back");

  check_ok(martlet_tensor_create(MARTLET_INT64, 0, NULL, &tensor));
  const int64_t *no_shape = NULL;
  check_ok(martlet_tensor_shape(tensor, NULL, &no_shape));
  check_ok(martlet_tensor_element_count(tensor, &count));
  check(count == 1 && no_shape != NULL, "a scalar has one element and no axes");
  check_ok(martlet_tensor_release(tensor));

  int64_t empty[] = {3, 0, INT64_MAX};
  check_status(MARTLET_INVALID_DTYPE, martlet_tensor_create(8, 1, shape, &tensor));
  check(tensor == NULL, "the result is NULL on failure");
  check_ok(martlet_tensor_create(MARTLET_FLOAT64, 2, empty, &tensor));
  check_ok(martlet_tensor_element_count(tensor, &count));
  check(count == 0, "an extent of 0 makes an empty tensor");
  check_ok(martlet_tensor_read(tensor, NULL, 0));
  check_ok(martlet_tensor_release(tensor));
}

static void limits(void) {
  martlet_tensor *tensor = NULL;
  int64_t negative[] = {2, -1}, huge[] = {INT64_MAX, 2}, wide[] = {INT64_MAX / 8, 4},
          large[] = {1LL << 46}, some[] = {2, 2}, axes[40] = {0};
  for (int i = 0; i < 40; ++i) axes[i] = 1;
  check_status(MARTLET_INVALID_SHAPE, martlet_tensor_create(MARTLET_FLOAT32, 2, negative, &tensor));
  check_says(martlet_last_error()->message, "negative", "message");
  check_status(MARTLET_INVALID_SHAPE, martlet_tensor_create(MARTLET_FLOAT32, 2, huge, &tensor));
  check_status(MARTLET_INVALID_SHAPE, martlet_tensor_create(MARTLET_FLOAT64, 2, wide, &tensor));
  check_status(MARTLET_OUT_OF_MEMORY, martlet_tensor_create(MARTLET_FLOAT64, 1, large, &tensor));
  check_status(MARTLET_INVALID_SHAPE, martlet_tensor_create(MARTLET_FLOAT32, -1, some, &tensor));
  check_status(MARTLET_INVALID_SHAPE, martlet_tensor_create(MARTLET_FLOAT32, 40, axes, &tensor));
  check_ok(martlet_tensor_create(MARTLET_FLOAT32, 32, axes, &tensor));
  check_ok(martlet_tensor_release(tensor));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_tensor_create(MARTLET_FLOAT32, 2, NULL, &tensor));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_tensor_create(MARTLET_FLOAT32, 2, some, NULL));
  check_status(MARTLET_INVALID_SHAPE,
               martlet_tensor_from_data("four", 4, MARTLET_FLOAT32, 2, some, &tensor));
  check_status(MARTLET_INVALID_ARGUMENT,
               martlet_tensor_from_data(NULL, 16, MARTLET_FLOAT32, 2, some, &tensor));
}

static void wrapping(void) {
  float values[12];
  for (int i = 0; i < 12; ++i) values[i] = (float)i;
  int64_t shape[] = {3, 4}, reversed[] = {-4, -1}, columns[] = {1, 4}, column_shape[] = {4, 3};
  martlet_tensor *tensor = NULL;
  const void *data = NULL;
  check_ok(martlet_tensor_wrap(values, sizeof values, MARTLET_FLOAT32, 2, shape, &tensor));
  check_ok(martlet_tensor_data(tensor, &data));
  check(data == values, "wrapping copies nothing");
  check_ok(martlet_tensor_release(tensor));

  deletions = 0;
  check_ok(martlet_tensor_wrap_strided(values, sizeof values, 11 * sizeof(float), MARTLET_FLOAT32,
                                       2, shape, reversed, 0, count_deletion, &tensor, &tensor));
  float out[12];
  bool contiguous = true;
  check_ok(martlet_tensor_is_contiguous(tensor, &contiguous));
  check_ok(martlet_tensor_read(tensor, out, sizeof out));
  check(!contiguous && out[0] == 11 && out[1] == 10 && out[11] == 0,
        "negative strides run backwards");
  martlet_tensor *copy = NULL;
  check_ok(martlet_tensor_copy(tensor, &copy));
  check_ok(martlet_tensor_retain(tensor));
  check_ok(martlet_tensor_release(tensor));
  check(deletions == 0, "the deleter waits for the last reference");
  check_ok(martlet_tensor_release(tensor));
  check(deletions == 1 && deleted_context == &tensor && deleted_data == values,
        "the deleter is called once, with its context and the buffer");
  check_ok(martlet_tensor_data(copy, &data));
  check(((const float *)data)[0] == 11, "a copy is contiguous and lives on");
  check_ok(martlet_tensor_release(copy));

  check_ok(martlet_tensor_wrap_strided(values, sizeof values, 0, MARTLET_FLOAT32, 2, column_shape,
                                       columns, MARTLET_WRAP_READ_ONLY, NULL, NULL, &tensor));
  bool read_only = false;
  void *mutable_data = values;
  check_ok(martlet_tensor_is_read_only(tensor, &read_only));
  check(read_only, "the read-only flag is kept");
  check_status(MARTLET_INVALID_ARGUMENT, martlet_tensor_mutable_data(tensor, &mutable_data));
  check(mutable_data == NULL, "no address for writing");
  copy = tensor;
  check_status(MARTLET_INVALID_ARGUMENT, martlet_tensor_copy(tensor, &copy));
  check(copy == tensor, "a slot keeps its tensor on failure");
  check_ok(martlet_tensor_release(tensor));
}

static void wrapping_badly(void) {
  float values[12];
  memset(values, 0, sizeof values);
  int64_t shape[] = {3, 4}, far[] = {5, 1}, backwards[] = {-4, 1}, wild[] = {INT64_MAX / 2, 1},
          wilder[] = {INT64_MIN, INT64_MIN}, empty[] = {0, 4};
  martlet_tensor *tensor = NULL;
  deletions = 0;
  check_status(MARTLET_INVALID_SHAPE,
               martlet_tensor_wrap(values, sizeof values - 1, MARTLET_FLOAT32, 2, shape, &tensor));
  check_status(MARTLET_INVALID_ARGUMENT,
               martlet_tensor_wrap(NULL, sizeof values, MARTLET_FLOAT32, 2, shape, &tensor));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_tensor_wrap((char *)values + 1, sizeof values - 1,
                                                             MARTLET_FLOAT32, 1, far + 1, &tensor));
  check_status(MARTLET_INVALID_ARGUMENT,
               martlet_tensor_wrap(values, SIZE_MAX, MARTLET_FLOAT32, 2, shape, &tensor));
#define WRAP(offset, strides, flags)                                                            \
  martlet_tensor_wrap_strided(values, sizeof values, offset, MARTLET_FLOAT32, 2, shape, strides, \
                              flags, count_deletion, NULL, &tensor)
  check_status(MARTLET_INVALID_SHAPE, WRAP(0, far, 0));
  check_says(martlet_last_error()->message, "leaves its buffer", "message");
  check_status(MARTLET_INVALID_SHAPE, WRAP(0, backwards, 0));
  check_status(MARTLET_INVALID_SHAPE, WRAP(0, wild, 0));
  check_status(MARTLET_INVALID_SHAPE, WRAP(0, wilder, 0));
  check_status(MARTLET_INVALID_SHAPE, WRAP(4, NULL, 0));
  check_status(MARTLET_INVALID_SHAPE, WRAP(1000, NULL, 0));
  check_status(MARTLET_INVALID_ARGUMENT, WRAP(SIZE_MAX, NULL, 0));
  check_status(MARTLET_INVALID_ARGUMENT, WRAP(0, NULL, 2));
  check(deletions == 0 && tensor == NULL, "no deleter is called when wrapping fails");
  check_ok(martlet_tensor_wrap_strided(NULL, 0, 0, MARTLET_FLOAT32, 2, empty, NULL, 0,
                                       count_deletion, NULL, &tensor));
  check_ok(martlet_tensor_release(tensor));
  check(deletions == 1, "an empty tensor may wrap NULL, and still has its deleter called");
}

static void copying(void) {
  uint64_t state = 1;
  int64_t shape[] = {3, 5}, other_shape[] = {5, 3};
  float *values = NULL, target[30];
  martlet_tensor *source = random_tensor(&state, 2, shape, &values), *slot = NULL;
  int64_t gaps[] = {10, 2};
  for (int i = 0; i < 30; ++i) target[i] = -7;
  check_ok(martlet_tensor_wrap_strided(target, sizeof target, 0, MARTLET_FLOAT32, 2, shape, gaps, 0,
                                       NULL, NULL, &slot));
  check_ok(martlet_tensor_copy(source, &slot));
  bool right = true;
  for (int i = 0; i < 30; ++i) right = right && target[i] == (i % 2 ? -7 : values[i / 2]);
  check(right, "a copy into strided memory touches only its elements");
  check(same_bits(source, slot), "and has the same bits");
  float overlap[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  int64_t row[] = {15};
  martlet_tensor *from = NULL, *to = NULL;
  check_ok(martlet_tensor_wrap(overlap, 60, MARTLET_FLOAT32, 1, row, &from));
  check_ok(martlet_tensor_wrap(overlap + 1, 60, MARTLET_FLOAT32, 1, row, &to));
  check_ok(martlet_tensor_copy(from, &to));
  right = overlap[0] == 0;
  for (int i = 1; i < 16; ++i) right = right && overlap[i] == i - 1;
  check(right, "source and target may overlap");
  martlet_tensor_release(from);
  martlet_tensor_release(to);
  martlet_tensor_release(slot);
  check_ok(martlet_tensor_create(MARTLET_FLOAT32, 2, other_shape, &slot));
  check_status(MARTLET_INVALID_SHAPE, martlet_tensor_copy(source, &slot));
  martlet_tensor_release(slot);
  check_ok(martlet_tensor_create(MARTLET_INT32, 2, shape, &slot));
  check_status(MARTLET_INVALID_DTYPE, martlet_tensor_copy(source, &slot));
  martlet_tensor_release(slot);
  int64_t repeated[] = {0, 1};
  check_ok(martlet_tensor_wrap_strided(target, sizeof target, 0, MARTLET_FLOAT32, 2, shape,
                                       repeated, 0, NULL, NULL, &slot));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_tensor_copy(source, &slot));
  martlet_tensor_release(slot);
  check_status(MARTLET_INVALID_ARGUMENT, martlet_tensor_copy(source, NULL));
  check_status(MARTLET_INVALID_SHAPE, martlet_tensor_read(source, target, 59));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_tensor_read(source, NULL, 60));
  martlet_tensor_release(source);
  free(values);
}

static void convert(martlet_dtype from, const void *data, size_t bytes, martlet_dtype to,
                    const void *expected, size_t expected_bytes, const char *what) {
  int64_t shape[] = {(int64_t)(bytes / martlet_dtype_size(from))};
  martlet_tensor *source = NULL, *result = NULL;
  unsigned char actual[64] = {0};
  bool holds = !martlet_tensor_from_data(data, bytes, from, 1, shape, &source) &&
               !martlet_tensor_convert(source, to, &result) &&
               !martlet_tensor_read(result, actual, sizeof actual) &&
               memcmp(actual, expected, expected_bytes) == 0;
  if (!check(holds, "%s", what)) {
    printf("        got");
    for (size_t i = 0; i < expected_bytes; ++i) printf(" %02x", actual[i]);
    printf("  %s\n", martlet_last_error()->message);
  }
  martlet_tensor_release(source);
  martlet_tensor_release(result);
}

static void conversions(void) {
  const float floats[] = {1, 1.00390625f, 1.01171875f, -2.5f, INFINITY, 1e-40f};
  const uint16_t bf16[] = {0x3f80, 0x3f80, 0x3f82, 0xc020, 0x7f80, 0x0001};
  convert(MARTLET_FLOAT32, floats, sizeof floats, MARTLET_BFLOAT16, bf16, sizeof bf16,
          "float32 to bfloat16 rounds to nearest even and keeps denormals and Inf");
  const float back[] = {1, 1, 1.015625f, -2.5f, INFINITY, 9.18354962e-41f};
  convert(MARTLET_BFLOAT16, bf16, sizeof bf16, MARTLET_FLOAT32, back, sizeof back,
          "bfloat16 to float32 is exact");
  const float to_half[] = {1, 65504, 65520, 5.9604645e-8f, -0.0f, 1.00048828125f};
  const uint16_t half[] = {0x3c00, 0x7bff, 0x7c00, 0x0001, 0x8000, 0x3c00};
  convert(MARTLET_FLOAT32, to_half, sizeof to_half, MARTLET_FLOAT16, half, sizeof half,
          "float32 to float16 rounds to nearest even and overflows to Inf");
  const float numbers[] = {1.9f, -1.9f, 300, -300, NAN, INFINITY};
  const int32_t words[] = {1, -1, 300, -300, INT32_MIN, INT32_MIN};
  convert(MARTLET_FLOAT32, numbers, sizeof numbers, MARTLET_INT32, words, sizeof words,
          "float32 to int32 truncates; NaN and what is out of range are INT32_MIN");
  const int8_t bytes[] = {1, -1, 44, -44};
  convert(MARTLET_FLOAT32, numbers, 4 * sizeof *numbers, MARTLET_INT8, bytes, sizeof bytes,
          "float32 to int8 truncates and keeps the low bits");
  const bool truths[] = {true, true, true, true, true, true};
  convert(MARTLET_FLOAT32, numbers, sizeof numbers, MARTLET_BOOL, truths, sizeof truths,
          "float32 to bool is true but for 0");
  const int64_t longs[] = {0, -5, 1LL << 40};
  const double doubles[] = {0, -5, 1099511627776.0};
  convert(MARTLET_INT64, longs, sizeof longs, MARTLET_FLOAT64, doubles, sizeof doubles,
          "int64 to float64 is exact where it can be");
  const bool flags[] = {true, false};
  const float ones[] = {1, 0};
  convert(MARTLET_BOOL, flags, sizeof flags, MARTLET_FLOAT32, ones, sizeof ones,
          "bool to float32 is 0 and 1");

  static const martlet_dtype all[] = {
    MARTLET_FLOAT32, MARTLET_UINT8,  MARTLET_INT8,    MARTLET_UINT16,  MARTLET_INT16,
    MARTLET_INT32,   MARTLET_INT64,  MARTLET_BOOL,    MARTLET_FLOAT16, MARTLET_FLOAT64,
    MARTLET_UINT32,  MARTLET_UINT64, MARTLET_BFLOAT16};
  int64_t shape[] = {2, 2};
  const float small[] = {0, 1, 1, 0};
  martlet_tensor *source = NULL;
  check_ok(martlet_tensor_from_data(small, sizeof small, MARTLET_FLOAT32, 2, shape, &source));
  bool right = true;
  for (size_t i = 0; i < sizeof all / sizeof all[0]; ++i)
    for (size_t j = 0; j < sizeof all / sizeof all[0]; ++j) {
      martlet_tensor *first = NULL, *second = NULL, *third = NULL;
      bool same = !martlet_tensor_convert(source, all[i], &first) &&
                  !martlet_tensor_convert(first, all[j], &second) &&
                  !martlet_tensor_convert(second, MARTLET_FLOAT32, &third) &&
                  same_bits(source, third);
      if (!same)
        printf("        %s to %s\n", martlet_dtype_name(all[i]), martlet_dtype_name(all[j]));
      right = right && same;
      martlet_tensor_release(first);
      martlet_tensor_release(second);
      martlet_tensor_release(third);
    }
  check(right, "every dtype converts to every other");
  martlet_tensor *slot = NULL;
  check_status(MARTLET_INVALID_DTYPE, martlet_tensor_convert(source, 99, &slot));
  check_ok(martlet_tensor_create(MARTLET_FLOAT64, 2, shape, &slot));
  check_ok(martlet_tensor_convert(source, MARTLET_FLOAT64, &slot));
  check_status(MARTLET_INVALID_DTYPE, martlet_tensor_convert(source, MARTLET_INT16, &slot));
  martlet_tensor_release(slot);
  martlet_tensor_release(source);
}

static void packed(void) {
  const unsigned char nibbles[] = {0x4f, 0x0a};
  int64_t shape[] = {3}, square[] = {2, 2}, turned[] = {1, 2};
  martlet_tensor *tensor = NULL, *copy = NULL, *wide = NULL;
  size_t bytes = 0;
  unsigned char actual[3] = {0};
  check_ok(martlet_tensor_from_data(nibbles, sizeof nibbles, MARTLET_INT4, 1, shape, &tensor));
  check_ok(martlet_tensor_byte_count(tensor, &bytes));
  check(bytes == 2, "3 elements of 4 bits take 2 bytes");
  check_ok(martlet_tensor_copy(tensor, &copy));
  check_ok(martlet_tensor_read(copy, actual, 2));
  check(memcmp(actual, nibbles, 2) == 0, "packed elements are copied");
  check_ok(martlet_tensor_convert(tensor, MARTLET_INT8, &wide));
  check_ok(martlet_tensor_read(wide, actual, 3));
  check((signed char)actual[0] == -1 && actual[1] == 4 && (signed char)actual[2] == -6,
        "the first element lies in the low bits");
  martlet_tensor_release(wide);
  martlet_tensor_release(copy);
  martlet_tensor_release(tensor);
  check_status(MARTLET_INVALID_SHAPE,
               martlet_tensor_from_data(nibbles, 1, MARTLET_INT4, 1, shape, &tensor));
  check_status(MARTLET_INVALID_SHAPE,
               martlet_tensor_wrap_strided((void *)nibbles, 2, 0, MARTLET_UINT4, 2, square, turned,
                                           MARTLET_WRAP_READ_ONLY, NULL, NULL, &tensor));
  check_says(martlet_last_error()->message, "one after another", "message");
  const float numbers[] = {448, 1e6f, -0.0f};
  const unsigned char codes[] = {0x7e, 0x7e, 0x80};
  convert(MARTLET_FLOAT32, numbers, sizeof numbers, MARTLET_FLOAT8E4M3FN, codes, sizeof codes,
          "float32 to float8e4m3fn saturates");
  const float back[] = {448, 448, -0.0f};
  convert(MARTLET_FLOAT8E4M3FN, codes, sizeof codes, MARTLET_FLOAT32, back, sizeof back,
          "float8e4m3fn to float32 is exact");
}

int main(void) {
  creation();
  limits();
  wrapping();
  wrapping_badly();
  copying();
  conversions();
  packed();
  return finish();
}
