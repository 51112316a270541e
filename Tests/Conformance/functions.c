// The named functions against plain C in float64, with strides, slots, modes and packed weights.
#include "conformance.h"

static uint64_t state = 42;
enum { FP32_DIGITS = 100000 };  // relative error allowed in FP32: 1e-5

static double *zeros(int64_t count) { return calloc((size_t)(count ? count : 1), sizeof(double)); }

static void check_result(const martlet_tensor *tensor, int32_t rank, const int64_t *shape,
                         double *expected, const char *what) {
  double error = distance(tensor, expected, product(rank, shape));
  if (!check(has_shape(tensor, rank, shape) && error <= 1.0 / FP32_DIGITS, "%s", what))
    printf("        relative error %g; %s\n", error, martlet_last_error()->message);
  free(expected);
}

// [batch, m, k] @ [k, n], or with rhs as [n, k] when transposed.
static double *plain_matmul(const float *lhs, const float *rhs, int64_t m, int64_t k, int64_t n,
                            bool transposed) {
  double *result = zeros(m * n);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j)
      for (int64_t p = 0; p < k; ++p)
        result[i * n + j] += (double)lhs[i * k + p] * rhs[transposed ? j * k + p : p * n + j];
  return result;
}

static void matmul(void) {
  static const int64_t sizes[][3] = {{1, 1, 1},    {2, 3, 4}, {7, 33, 17}, {64, 65, 66},
                                     {1, 100, 50}, {5, 0, 3}, {0, 4, 3}};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
    int64_t m = sizes[i][0], k = sizes[i][1], n = sizes[i][2];
    int64_t a_shape[] = {m, k}, b_shape[] = {k, n}, c_shape[] = {m, n};
    float *a = NULL, *b = NULL;
    martlet_tensor *lhs = random_tensor(&state, 2, a_shape, &a);
    martlet_tensor *rhs = random_tensor(&state, 2, b_shape, &b), *result = NULL, *packed = NULL;
    char what[64];
    snprintf(what, sizeof what, "matmul %d x %d x %d", (int)m, (int)k, (int)n);
    check_ok(martlet_matmul(lhs, rhs, MARTLET_MATH_DEFAULT, &result));
    check_result(result, 2, c_shape, plain_matmul(a, b, m, k, n, false), what);
    check_ok(martlet_pack(rhs, &packed));
    for (int round = 0; round < 2; ++round) {
      martlet_tensor *again = NULL;
      check_ok(martlet_matmul(lhs, packed, MARTLET_MATH_DEFAULT, &again));
      check(same_bits(result, again), "a packed weight gives the same bits");
      martlet_tensor_release(again);
    }
    martlet_tensor_release(packed);
    martlet_tensor_release(lhs);
    martlet_tensor_release(rhs);
    martlet_tensor_release(result);
    free(a);
    free(b);
  }
}

// A plain matrix takes a shorter way than other operands: rows apart, a slot of the caller's, a new
// one, a packed weight and the operator by its name all give the same bits.
static void matmul_plain(void) {
  static const int64_t extents[] = {1, 2, 5, 8, 17, 31, 33, 64, 65, 130};
  enum { COUNT = sizeof extents / sizeof extents[0], GAP = 3 };
  for (int64_t index = 0; index < COUNT * COUNT * COUNT; ++index) {
    const int64_t m = extents[index % COUNT], k = extents[index / COUNT % COUNT],
                  n = extents[index / COUNT / COUNT];
    int64_t a_shape[] = {m, k}, b_shape[] = {k, n}, c_shape[] = {m, n};
    int64_t wide_shape[] = {m, k + GAP}, strides[] = {k + GAP, 1};
    // The stride along an axis of one is anything.
    if (m == 1) strides[0] = INT64_MAX / 2;
    float *a = NULL, *b = NULL, *wide = NULL;
    martlet_tensor *lhs = random_tensor(&state, 2, a_shape, &a);
    martlet_tensor *rhs = random_tensor(&state, 2, b_shape, &b);
    martlet_tensor *apart = NULL, *packed = NULL, *first = NULL;
    martlet_tensor_release(random_tensor(&state, 2, wide_shape, &wide));
    for (int64_t i = 0; i < m; ++i) memcpy(wide + i * (k + GAP), a + i * k, (size_t)k * sizeof *a);
    check_ok(martlet_tensor_wrap_strided(wide, (size_t)(m * (k + GAP)) * sizeof *wide, 0,
                                         MARTLET_FLOAT32, 2, a_shape, strides, 0, NULL, NULL,
                                         &apart));
    check_ok(martlet_pack(rhs, &packed));
    check_ok(martlet_matmul(lhs, rhs, MARTLET_MATH_FP32, &first));
    check_result(first, 2, c_shape, plain_matmul(a, b, m, k, n, false), "matmul of plain matrices");
    martlet_tensor *operands[][2] = {{lhs, rhs}, {apart, rhs}, {lhs, packed}, {apart, packed}};
    for (int way = 0; way < 8; ++way) {
      float *memory = calloc((size_t)(m * n), sizeof *memory);
      martlet_tensor *slot = NULL;
      martlet_tensor *const *inputs = operands[way / 2];
      check_ok(martlet_tensor_wrap(memory, (size_t)(m * n) * sizeof *memory, MARTLET_FLOAT32, 2,
                                   c_shape, &slot));
      check_ok(way % 2 == 0
                 ? martlet_matmul(inputs[0], inputs[1], MARTLET_MATH_FP32, &slot)
                 : martlet_op_run("MatMul", NULL, MARTLET_MATH_FP32, inputs, 2, &slot, 1));
      check(same_bits(first, slot), "way %d of %d x %d x %d gives the same bits", way, (int)m,
            (int)k, (int)n);
      martlet_tensor_release(slot);
      free(memory);
    }
    if (m == k && k == n) {
      // The result may be an operand's own memory.
      check_ok(martlet_matmul(lhs, rhs, MARTLET_MATH_FP32, &rhs));
      check(same_bits(first, rhs), "a result over its rhs has the same bits");
    }
    martlet_tensor_release(first);
    martlet_tensor_release(packed);
    martlet_tensor_release(apart);
    martlet_tensor_release(rhs);
    martlet_tensor_release(lhs);
    free(wide);
    free(b);
    free(a);
  }
}

static void matmul_views(void) {
  float *a = NULL, *b = NULL;
  int64_t a_shape[] = {6, 4}, b_shape[] = {5, 6}, view_a[] = {4, 6}, view_b[] = {6, 5},
          strides_a[] = {1, 4}, strides_b[] = {1, 6}, c_shape[] = {4, 5};
  martlet_tensor *plain_a = random_tensor(&state, 2, a_shape, &a), *lhs = NULL, *rhs = NULL;
  martlet_tensor *plain_b = random_tensor(&state, 2, b_shape, &b), *result = NULL;
  double *expected = zeros(20);
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 5; ++j)
      for (int p = 0; p < 6; ++p) expected[i * 5 + j] += (double)a[p * 4 + i] * b[j * 6 + p];
  check_ok(martlet_tensor_wrap_strided(a, 96, 0, MARTLET_FLOAT32, 2, view_a, strides_a, 0, NULL,
                                       NULL, &lhs));
  check_ok(martlet_tensor_wrap_strided(b, 120, 0, MARTLET_FLOAT32, 2, view_b, strides_b, 0, NULL,
                                       NULL, &rhs));
  check_ok(martlet_matmul(lhs, rhs, MARTLET_MATH_FP32, &result));
  check_result(result, 2, c_shape, expected, "matmul of transposed views");

  // Results in the caller's memory: dense, with gaps, and over an input.
  float dense[20], gapped[60];
  int64_t gaps[] = {15, 3};
  martlet_tensor *slot = NULL;
  check_ok(martlet_tensor_wrap(dense, sizeof dense, MARTLET_FLOAT32, 2, c_shape, &slot));
  check_ok(martlet_matmul(lhs, rhs, MARTLET_MATH_FP32, &slot));
  check(same_bits(result, slot), "a result goes to the caller's memory");
  martlet_tensor_release(slot);
  for (int i = 0; i < 60; ++i) gapped[i] = 9;
  check_ok(martlet_tensor_wrap_strided(gapped, sizeof gapped, 0, MARTLET_FLOAT32, 2, c_shape, gaps,
                                       0, NULL, NULL, &slot));
  check_ok(martlet_matmul(lhs, rhs, MARTLET_MATH_FP32, &slot));
  check(same_bits(result, slot) && gapped[1] == 9 && gapped[59] == 9, "with any strides");
  martlet_tensor_release(slot);

  float square[16];
  int64_t square_shape[] = {4, 4};
  martlet_tensor *in_place = NULL, *product_of_self = NULL;
  for (int i = 0; i < 16; ++i) square[i] = sample(&state);
  check_ok(martlet_tensor_wrap(square, sizeof square, MARTLET_FLOAT32, 2, square_shape, &in_place));
  check_ok(martlet_matmul(in_place, in_place, MARTLET_MATH_FP32, &product_of_self));
  slot = in_place;
  check_ok(martlet_matmul(in_place, in_place, MARTLET_MATH_FP32, &slot));
  check(same_bits(in_place, product_of_self), "and over the inputs themselves");
  martlet_tensor_release(in_place);
  martlet_tensor_release(product_of_self);

  int64_t wrong[] = {5, 4};
  check_ok(martlet_tensor_create_zeroed(MARTLET_FLOAT32, 2, wrong, &slot));
  check_status(MARTLET_INVALID_SHAPE, martlet_matmul(lhs, rhs, MARTLET_MATH_FP32, &slot));
  martlet_tensor_release(slot);
  check_ok(martlet_tensor_create_zeroed(MARTLET_FLOAT64, 2, c_shape, &slot));
  check_status(MARTLET_INVALID_DTYPE, martlet_matmul(lhs, rhs, MARTLET_MATH_FP32, &slot));
  martlet_tensor_release(slot);
  slot = NULL;
  check_status(MARTLET_INVALID_SHAPE, martlet_matmul(lhs, lhs, MARTLET_MATH_FP32, &slot));
  check_says(martlet_last_error()->message, "K=6", "message");
  check_status(MARTLET_INVALID_ARGUMENT, martlet_matmul(lhs, rhs, 9, &slot));
  check_status(MARTLET_INVALID_HANDLE, martlet_matmul(lhs, NULL, MARTLET_MATH_FP32, &slot));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_matmul(lhs, rhs, MARTLET_MATH_FP32, NULL));
  check(slot == NULL, "a slot stays NULL on failure");
  martlet_tensor *garbage = (martlet_tensor *)dense;
  check_status(MARTLET_INVALID_HANDLE, martlet_matmul(lhs, rhs, MARTLET_MATH_FP32, &garbage));
  martlet_tensor_release(result);
  martlet_tensor_release(lhs);
  martlet_tensor_release(rhs);
  martlet_tensor_release(plain_a);
  martlet_tensor_release(plain_b);
  free(a);
  free(b);
}

static void linear(void) {
  float *x = NULL, *w = NULL, *b = NULL;
  int64_t x_shape[] = {2, 3, 20}, w_shape[] = {7, 20}, b_shape[] = {7}, y_shape[] = {2, 3, 7};
  martlet_tensor *input = random_tensor(&state, 3, x_shape, &x), *result = NULL, *packed = NULL;
  martlet_tensor *weight = random_tensor(&state, 2, w_shape, &w), *again = NULL;
  martlet_tensor *bias = random_tensor(&state, 1, b_shape, &b), *zero_threads = NULL;
  double *expected = plain_matmul(x, w, 6, 20, 7, true);
  check_ok(martlet_linear(input, weight, NULL, MARTLET_MATH_DEFAULT, &zero_threads));
  check_result(zero_threads, 3, y_shape, expected, "linear without a bias");
  expected = plain_matmul(x, w, 6, 20, 7, true);
  for (int i = 0; i < 42; ++i) expected[i] += b[i % 7];
  check_ok(martlet_linear(input, weight, bias, MARTLET_MATH_DEFAULT, &result));
  check_result(result, 3, y_shape, expected, "linear with a bias");
  check_ok(martlet_pack(weight, &packed));
  check_ok(martlet_tensor_release(weight));
  check_ok(martlet_linear(input, packed, bias, MARTLET_MATH_DEFAULT, &again));
  check(same_bits(result, again), "a packed weight gives the same bits, without the original");
  bool read_only = false;
  check_ok(martlet_tensor_is_read_only(packed, &read_only));
  check(read_only, "a packed weight is read-only");
  martlet_tensor *slot = packed;
  check_status(MARTLET_INVALID_ARGUMENT, martlet_tensor_copy(input, &slot));
  check_status(MARTLET_INVALID_SHAPE,
               martlet_linear(input, bias, NULL, MARTLET_MATH_DEFAULT, &again));
  check_status(MARTLET_INVALID_HANDLE, martlet_pack(NULL, &slot));
  check(slot == NULL, "a result is NULL on failure");
  martlet_tensor_release(packed);
  martlet_tensor_release(again);
  martlet_tensor_release(zero_threads);
  martlet_tensor_release(result);
  martlet_tensor_release(input);
  martlet_tensor_release(bias);
  free(x);
  free(w);
  free(b);
}

typedef struct conv_case {
  int axes;
  int64_t batch, channels, filters, groups, in[3], kernel[3], stride[3], dilation[3], pad[6];
} conv_case;

static void one_conv(const conv_case *c) {
  int64_t x_shape[5] = {c->batch, c->channels}, w_shape[5] = {c->filters, c->channels / c->groups},
          y_shape[5] = {c->batch, c->filters}, in[3] = {1, 1, 1}, kernel[3] = {1, 1, 1},
          stride[3] = {1, 1, 1}, dilation[3] = {1, 1, 1}, pad[3] = {0, 0, 0}, out[3] = {1, 1, 1};
  for (int a = 0; a < c->axes; ++a) {
    int at = 3 - c->axes + a;
    in[at] = x_shape[2 + a] = c->in[a];
    kernel[at] = w_shape[2 + a] = c->kernel[a];
    stride[at] = c->stride[a];
    dilation[at] = c->dilation[a];
    pad[at] = c->pad[a];
    out[at] = y_shape[2 + a] =
      (c->in[a] + c->pad[a] + c->pad[c->axes + a] - c->dilation[a] * (c->kernel[a] - 1) - 1) /
        c->stride[a] +
      1;
  }
  float *x = NULL, *w = NULL, *b = NULL;
  martlet_tensor *input = random_tensor(&state, 2 + c->axes, x_shape, &x), *result = NULL;
  martlet_tensor *weight = random_tensor(&state, 2 + c->axes, w_shape, &w), *packed = NULL;
  martlet_tensor *bias = random_tensor(&state, 1, &c->filters, &b), *again = NULL;
  double *expected = zeros(product(2 + c->axes, y_shape)), *to = expected;
  int64_t per_group = c->channels / c->groups;
  for (int64_t n = 0; n < c->batch; ++n)
    for (int64_t f = 0; f < c->filters; ++f)
      for (int64_t o0 = 0; o0 < out[0]; ++o0)
        for (int64_t o1 = 0; o1 < out[1]; ++o1)
          for (int64_t o2 = 0; o2 < out[2]; ++o2) {
            double sum = b[f];
            for (int64_t ch = 0; ch < per_group; ++ch)
              for (int64_t k0 = 0; k0 < kernel[0]; ++k0)
                for (int64_t k1 = 0; k1 < kernel[1]; ++k1)
                  for (int64_t k2 = 0; k2 < kernel[2]; ++k2) {
                    int64_t i0 = o0 * stride[0] + k0 * dilation[0] - pad[0];
                    int64_t i1 = o1 * stride[1] + k1 * dilation[1] - pad[1];
                    int64_t i2 = o2 * stride[2] + k2 * dilation[2] - pad[2];
                    if (i0 < 0 || i1 < 0 || i2 < 0 || i0 >= in[0] || i1 >= in[1] || i2 >= in[2])
                      continue;
                    int64_t plane = n * c->channels + f / (c->filters / c->groups) * per_group + ch;
                    sum +=
                      (double)x[((plane * in[0] + i0) * in[1] + i1) * in[2] + i2] *
                      w[(((f * per_group + ch) * kernel[0] + k0) * kernel[1] + k1) * kernel[2] +
                        k2];
                  }
            *to++ = sum;
          }
  martlet_conv_options options = {sizeof options, c->stride, c->dilation, c->pad, c->groups};
  char what[64];
  snprintf(what, sizeof what, "conv over %d axes, %d groups, %d filters", c->axes, (int)c->groups,
           (int)c->filters);
  check_ok(martlet_conv(input, weight, bias, &options, MARTLET_MATH_DEFAULT, &result));
  check_result(result, 2 + c->axes, y_shape, expected, what);
  check_ok(martlet_pack(weight, &packed));
  check_ok(martlet_conv(input, packed, bias, &options, MARTLET_MATH_DEFAULT, &again));
  check(same_bits(result, again), "a packed weight gives the same bits");
  martlet_tensor_release(input);
  martlet_tensor_release(weight);
  martlet_tensor_release(packed);
  martlet_tensor_release(bias);
  martlet_tensor_release(result);
  martlet_tensor_release(again);
  free(x);
  free(w);
  free(b);
}

static void conv(void) {
  static const conv_case cases[] = {
    {1, 2, 3, 4, 1, {20}, {3}, {1}, {1}, {1, 1}},
    {1, 1, 4, 6, 2, {17}, {5}, {2}, {2}, {3, 0}},
    {2, 2, 3, 8, 1, {9, 11}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}},
    {2, 1, 8, 8, 8, {12, 10}, {3, 3}, {2, 1}, {1, 1}, {1, 0, 1, 2}},
    {2, 1, 6, 9, 3, {10, 10}, {1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}},
    {2, 1, 2, 3, 1, {13, 9}, {3, 2}, {3, 2}, {2, 3}, {2, 1, 0, 3}},
    {3, 1, 2, 4, 1, {5, 6, 7}, {2, 3, 2}, {1, 2, 1}, {1, 1, 2}, {1, 0, 1, 0, 1, 1}},
    {3, 2, 4, 4, 4, {4, 4, 4}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1, 1, 1, 1}}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) one_conv(&cases[i]);

  int64_t x_shape[] = {1, 3, 8, 8}, w_shape[] = {4, 3, 3, 3}, y_shape[] = {1, 4, 6, 6};
  martlet_tensor *input = random_tensor(&state, 4, x_shape, NULL), *result = NULL;
  martlet_tensor *weight = random_tensor(&state, 4, w_shape, NULL);
  check_ok(martlet_conv(input, weight, NULL, NULL, MARTLET_MATH_DEFAULT, &result));
  check(has_shape(result, 4, y_shape), "without options nothing is padded");
  martlet_tensor_release(result);
  result = NULL;
  int64_t zero[] = {0, 1}, negative[] = {-1, 0, 0, 0};
  martlet_conv_options options = {0, NULL, NULL, NULL, 0};
  check_status(MARTLET_INVALID_ARGUMENT,
               martlet_conv(input, weight, NULL, &options, MARTLET_MATH_DEFAULT, &result));
  options.struct_size = sizeof options;
  options.groups = 2;
  check(martlet_conv(input, weight, NULL, &options, MARTLET_MATH_DEFAULT, &result) != MARTLET_OK,
        "groups that do not divide the channels are refused");
  options.groups = -1;
  check(martlet_conv(input, weight, NULL, &options, MARTLET_MATH_DEFAULT, &result) != MARTLET_OK,
        "negative groups are refused");
  options.groups = 0;
  options.strides = zero;
  check(martlet_conv(input, weight, NULL, &options, MARTLET_MATH_DEFAULT, &result) != MARTLET_OK,
        "a stride of 0 is refused");
  options.strides = NULL;
  options.dilations = zero;
  check(martlet_conv(input, weight, NULL, &options, MARTLET_MATH_DEFAULT, &result) != MARTLET_OK,
        "a dilation of 0 is refused");
  options.dilations = NULL;
  options.pads = negative;
  check(martlet_conv(input, weight, NULL, &options, MARTLET_MATH_DEFAULT, &result) != MARTLET_OK,
        "a negative pad is refused");
  int64_t vast[] = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};
  options.pads = vast;
  check(martlet_conv(input, weight, NULL, &options, MARTLET_MATH_DEFAULT, &result) != MARTLET_OK,
        "a pad past all bounds is refused");
  check(result == NULL, "a slot stays NULL on failure");
  martlet_tensor_release(input);
  martlet_tensor_release(weight);
}

static void softmax(void) {
  float *x = NULL;
  int64_t shape[] = {3, 5, 4};
  martlet_tensor *input = random_tensor(&state, 3, shape, &x), *result = NULL;
  for (int64_t axis = -3; axis < 3; ++axis) {
    int64_t at = axis < 0 ? axis + 3 : axis, inner = 1, extent = shape[at];
    for (int64_t a = at + 1; a < 3; ++a) inner *= shape[a];
    double *expected = zeros(60);
    for (int64_t i = 0; i < 60; ++i) {
      int64_t base = i / (inner * extent) * inner * extent + i % inner;
      double sum = 0;
      for (int64_t j = 0; j < extent; ++j) sum += exp(x[base + j * inner]);
      expected[i] = exp(x[i]) / sum;
    }
    char what[40];
    snprintf(what, sizeof what, "softmax along axis %d", (int)axis);
    check_ok(martlet_softmax(input, axis, &result));
    check_result(result, 3, shape, expected, what);
    martlet_tensor_release(result);
    result = NULL;
  }
  check_status(MARTLET_INVALID_SHAPE, martlet_softmax(input, 3, &result));
  check_status(MARTLET_INVALID_SHAPE, martlet_softmax(input, INT64_MIN, &result));
  martlet_tensor *slot = input, *copy = NULL;
  check_ok(martlet_softmax(input, -1, &copy));
  check_ok(martlet_softmax(input, -1, &slot));
  check(same_bits(copy, input), "softmax in place");
  martlet_tensor_release(copy);
  martlet_tensor_release(input);
  free(x);
}

static void layer_norm(void) {
  float *x = NULL, *s = NULL, *b = NULL;
  int64_t shape[] = {4, 3, 6}, norm_shape[] = {3, 6};
  martlet_tensor *input = random_tensor(&state, 3, shape, &x), *result = NULL;
  martlet_tensor *scale = random_tensor(&state, 2, norm_shape, &s);
  martlet_tensor *bias = random_tensor(&state, 2, norm_shape, &b);
  for (int variant = 0; variant < 3; ++variant) {
    int inner = variant == 2 ? 6 : 18;
    double *expected = zeros(72);
    for (int row = 0; row < 72 / inner; ++row) {
      double mean = 0, variance = 0;
      for (int j = 0; j < inner; ++j) mean += x[row * inner + j] / (double)inner;
      for (int j = 0; j < inner; ++j) variance += pow(x[row * inner + j] - mean, 2) / inner;
      for (int j = 0; j < inner; ++j) {
        double value = (x[row * inner + j] - mean) / sqrt(variance + 1e-5);
        expected[row * inner + j] = variant == 0 ? value * s[j] + b[j] : value;
      }
    }
    check_ok(martlet_layer_norm(input, variant == 0 ? scale : NULL, variant == 0 ? bias : NULL,
                                variant == 2 ? -1 : 1, 1e-5f, &result));
    check_result(result, 3, shape, expected, "layer_norm");
    martlet_tensor_release(result);
    result = NULL;
  }
  check_status(MARTLET_INVALID_SHAPE, martlet_layer_norm(input, scale, bias, 5, 1e-5f, &result));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_layer_norm(input, scale, bias, 1, -1, &result));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_layer_norm(input, scale, bias, 1, NAN, &result));
  martlet_tensor *odd = random_tensor(&state, 1, shape, NULL);
  check_status(MARTLET_INVALID_SHAPE, martlet_layer_norm(input, odd, NULL, 2, 1e-5f, &result));
  martlet_tensor_release(odd);
  martlet_tensor_release(input);
  martlet_tensor_release(scale);
  martlet_tensor_release(bias);
  free(x);
  free(s);
  free(b);
}

static void gelu(void) {
  float *x = NULL;
  int64_t shape[] = {101};
  martlet_tensor *input = random_tensor(&state, 1, shape, &x), *result = NULL;
  for (int use_tanh = 0; use_tanh < 2; ++use_tanh) {
    double *expected = zeros(101);
    for (int i = 0; i < 101; ++i) {
      double v = x[i];
      expected[i] = use_tanh ? v / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (v + 0.044715 * v * v * v)))
                             : v / 2 * (1 + erf(v / sqrt(2)));
    }
    check_ok(martlet_gelu(input, use_tanh, &result));
    check_result(result, 1, shape, expected, use_tanh ? "gelu with tanh" : "gelu");
    martlet_tensor_release(result);
    result = NULL;
  }
  martlet_tensor_release(input);
  martlet_tensor *words = NULL;
  check_ok(martlet_tensor_create_zeroed(MARTLET_INT32, 1, shape, &words));
  check_status(MARTLET_INVALID_DTYPE, martlet_gelu(words, false, &result));
  check_says(martlet_last_error()->operator_name, "Gelu", "operator");
  martlet_tensor_release(words);
  free(x);
}

static void one_attention(int32_t rank, bool causal, bool masked, float scale, int64_t kv_heads) {
  enum { B = 2, H = 4, L = 5, S = 7, D = 8, E = 6 };
  int64_t batch = rank == 4 ? B : 1, heads = rank >= 3 ? H : 1;
  if (rank < 3) kv_heads = 1;
  int64_t q_shape[] = {batch, heads, L, D}, k_shape[] = {batch, kv_heads, S, D},
          v_shape[] = {batch, kv_heads, S, E}, y_shape[] = {batch, heads, L, E}, m_shape[] = {L, S};
  int drop = 4 - rank;
  float *q = NULL, *k = NULL, *v = NULL, *m = NULL;
  martlet_tensor *query = random_tensor(&state, rank, q_shape + drop, &q), *result = NULL;
  martlet_tensor *key = random_tensor(&state, rank, k_shape + drop, &k);
  martlet_tensor *value = random_tensor(&state, rank, v_shape + drop, &v);
  martlet_tensor *mask = random_tensor(&state, 2, m_shape, &m);
  double *expected = zeros(product(4, y_shape)), factor = scale != 0 ? scale : 1 / sqrt(D);
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t i = 0; i < L; ++i) {
        int64_t kv = b * kv_heads + h / (heads / kv_heads), at = (b * heads + h) * L + i;
        double weights[S], sum = 0;
        for (int64_t j = 0; j < S; ++j) {
          double dot = 0;
          for (int64_t d = 0; d < D; ++d) dot += (double)q[at * D + d] * k[(kv * S + j) * D + d];
          dot = dot * factor + (masked ? m[i * S + j] : 0);
          weights[j] = causal && j > i ? 0 : exp(dot);
          sum += weights[j];
        }
        for (int64_t e = 0; e < E; ++e)
          for (int64_t j = 0; j < S; ++j)
            expected[at * E + e] += weights[j] / sum * v[(kv * S + j) * E + e];
      }
  char what[96];
  snprintf(what, sizeof what, "attention of rank %d%s%s, scale %g, %d key heads", (int)rank,
           causal ? ", causal" : "", masked ? ", masked" : "", scale, (int)kv_heads);
  check_ok(martlet_attention(query, key, value, masked ? mask : NULL, scale, causal,
                             MARTLET_MATH_DEFAULT, &result));
  check_result(result, rank, y_shape + drop, expected, what);
  martlet_tensor_release(query);
  martlet_tensor_release(key);
  martlet_tensor_release(value);
  martlet_tensor_release(mask);
  martlet_tensor_release(result);
  free(q);
  free(k);
  free(v);
  free(m);
}

// A query that sees no key: zeros, whatever is in what it does not see.
static void blind_attention(void) {
  int64_t shape[] = {1, 1, 3, 2}, mask_shape[] = {3, 3};
  float nan_values[6], walls[9];
  uint8_t flags[9];
  for (int i = 0; i < 6; ++i) nan_values[i] = i == 4 ? NAN : (float)i;
  for (int i = 0; i < 9; ++i) {
    flags[i] = i / 3 != 1 && i % 3 != 2;
    walls[i] = flags[i] ? 0 : -INFINITY;
  }
  martlet_tensor *query = random_tensor(&state, 4, shape, NULL), *value = NULL;
  martlet_tensor *masks[] = {NULL, NULL};
  check_ok(martlet_tensor_wrap(nan_values, sizeof nan_values, MARTLET_FLOAT32, 4, shape, &value));
  check_ok(martlet_tensor_wrap(flags, sizeof flags, MARTLET_BOOL, 2, mask_shape, &masks[0]));
  check_ok(martlet_tensor_wrap(walls, sizeof walls, MARTLET_FLOAT32, 2, mask_shape, &masks[1]));
  for (int i = 0; i < 4; ++i) {
    martlet_math_mode mode = i < 2 ? MARTLET_MATH_FP32 : MARTLET_MATH_BF16;
    martlet_tensor *result = NULL;
    check_ok(martlet_attention(query, query, value, masks[i % 2], 0, false, mode, &result));
    float *y = read_floats(result, NULL);
    check(y && y[2] == 0 && y[3] == 0 && isnan(y[0]) && isfinite(y[1]),
          "a query that sees no key gives zero; others weigh what they do not see with zero");
    free(y);
    martlet_tensor_release(result);
  }
  martlet_tensor_release(query);
  martlet_tensor_release(value);
  martlet_tensor_release(masks[0]);
  martlet_tensor_release(masks[1]);
}

static void attention(void) {
  blind_attention();
  one_attention(4, false, false, 0, 4);
  one_attention(4, true, false, 0.5f, 4);
  one_attention(4, false, true, 0, 4);
  one_attention(4, true, true, 0, 2);
  one_attention(3, true, false, 0, 4);
  one_attention(2, false, true, 0.25f, 1);
  int64_t shape[] = {1, 2, 3, 4}, other[] = {1, 2, 3, 5}, line[] = {4};
  martlet_tensor *query = random_tensor(&state, 4, shape, NULL), *result = NULL;
  martlet_tensor *key = random_tensor(&state, 4, other, NULL);
  martlet_tensor *vector = random_tensor(&state, 1, line, NULL);
  check_status(MARTLET_INVALID_SHAPE,
               martlet_attention(query, key, query, NULL, 0, false, MARTLET_MATH_DEFAULT, &result));
  check_status(MARTLET_INVALID_SHAPE, martlet_attention(vector, vector, vector, NULL, 0, false,
                                                        MARTLET_MATH_DEFAULT, &result));
  check_status(MARTLET_INVALID_SHAPE, martlet_attention(query, vector, query, NULL, 0, false,
                                                        MARTLET_MATH_DEFAULT, &result));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_attention(query, query, query, NULL, NAN, false,
                                                           MARTLET_MATH_DEFAULT, &result));
  martlet_tensor_release(query);
  martlet_tensor_release(key);
  martlet_tensor_release(vector);
}

// Under BF16 products of small integers are exact, others stay within bf16's rounding; and turning
// it off again gives the very bits of never having been on.
static void bf16(void) {
  int64_t a_shape[] = {33, 70}, b_shape[] = {70, 48}, c_shape[] = {33, 48};
  float *a = NULL, *b = NULL;
  martlet_tensor *lhs = random_tensor(&state, 2, a_shape, &a), *before = NULL, *fast = NULL;
  martlet_tensor *rhs = random_tensor(&state, 2, b_shape, &b), *after = NULL, *scoped = NULL;
  check_ok(martlet_matmul(lhs, rhs, MARTLET_MATH_DEFAULT, &before));
  check_ok(martlet_set_float32_fast_math_mode("BF16"));
  check_ok(martlet_matmul(lhs, rhs, MARTLET_MATH_DEFAULT, &fast));
  check_ok(martlet_matmul(lhs, rhs, MARTLET_MATH_FP32, &after));
  check(same_bits(before, after), "an argument of FP32 goes before the process's BF16");
  martlet_tensor_release(after);
  after = NULL;
  check_ok(martlet_set_float32_fast_math_mode("FP32"));
  check_ok(martlet_matmul(lhs, rhs, MARTLET_MATH_DEFAULT, &after));
  check(same_bits(before, after), "BF16 off again gives the bits of never having been on");
  check_ok(martlet_math_mode_push(MARTLET_MATH_BF16));
  check_ok(martlet_matmul(lhs, rhs, MARTLET_MATH_DEFAULT, &scoped));
  check_ok(martlet_math_mode_pop());
  check(same_bits(fast, scoped), "a scope does what the process's mode does");
  double *expected = plain_matmul(a, b, 33, 70, 48, false);
  double error = distance(fast, expected, 33 * 48);
  check(error < 1e-2, "BF16 stays within its rounding: relative error %g", error);
  free(expected);
  martlet_tensor_release(fast);
  martlet_tensor_release(lhs);
  martlet_tensor_release(rhs);
  for (int i = 0; i < 33 * 70; ++i) a[i] = (float)((int)(sample(&state) * 256));
  for (int i = 0; i < 70 * 48; ++i) b[i] = (float)((int)(sample(&state) * 256));
  lhs = rhs = fast = NULL;
  check_ok(martlet_tensor_wrap(a, sizeof(float) * 33 * 70, MARTLET_FLOAT32, 2, a_shape, &lhs));
  check_ok(martlet_tensor_wrap(b, sizeof(float) * 70 * 48, MARTLET_FLOAT32, 2, b_shape, &rhs));
  check_ok(martlet_matmul(lhs, rhs, MARTLET_MATH_BF16, &fast));
  expected = plain_matmul(a, b, 33, 70, 48, false);
  check(has_shape(fast, 2, c_shape) && distance(fast, expected, 33 * 48) == 0,
        "integers up to 256 are exact in BF16");
  free(expected);
  martlet_tensor_release(before);
  martlet_tensor_release(after);
  martlet_tensor_release(scoped);
  martlet_tensor_release(fast);
  martlet_tensor_release(lhs);
  martlet_tensor_release(rhs);
  free(a);
  free(b);
}

int main(void) {
  int64_t before = martlet_memory_in_use();
  matmul();
  matmul_plain();
  matmul_views();
  linear();
  conv();
  softmax();
  layer_norm();
  gelu();
  attention();
  bf16();
  check(martlet_memory_in_use() == before, "no tensor memory stays behind");
  return finish();
}
