// The vector functions against float64 and plain C.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness.h"

#pragma STDC FP_CONTRACT OFF

enum { X, Y, OUT, SCALE, BIAS, OTHER };

static const mk_vector_table *table;

static uint64_t low_bits(int bits) { return (1u << bits) - 1; }

// What a kernel may meet: ordinary sizes, every exponent, and the odd ones out.
static float draw(int64_t i) {
  static const uint32_t odd[] = {0,          0x80000000, 0x7f800000, 0xff800000, 0x7fc00000,
                                 0xff900001, 1,          0x80000001, 0x007fffff, 0x00800000,
                                 0x7f7fffff, 0xff7fffff, 0x3f800000, 0xbf800000, 0x33800000,
                                 0x42b17218, 0xc2ce8ed0, 0x42b20000, 0xc2b00000};
  const int64_t odd_count = sizeof odd / sizeof odd[0];
  if (i < odd_count) return float_of(odd[i]);
  switch (i % 4) {
    case 0: return float_of(random_bits());
    case 1: return 100 * random_unit();
    case 2: return 12 * random_unit();
    default: return 2 * random_unit();
  }
}

static float draw_tame(int64_t i) { return i % 3 == 0 ? 4 * random_unit() : random_unit(); }

// |got - exact| in units in the last place of the exact value's float.
static double ulps(float got, double exact) {
  const float nearest = (float)exact;
  if (exact != exact || got != got) return (exact != exact) == (got != got) ? 0 : INFINITY;
  if (isinf(nearest) || isinf(got)) {
    const bool at_the_edge = fabs(exact) > 3.4e38 && fabsf(got) > 3.4e38f &&
                             (exact > 0) == (got > 0);
    return nearest == got ? 0 : at_the_edge ? 1 : INFINITY;
  }
  int exponent;
  frexp(exact, &exponent);
  if (exponent < -125) exponent = -125;
  return fabs((double)got - exact) / ldexp(1, exponent - 24);
}

// --------------------------------------------------------------------------- elementwise

static double sigmoid(double x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }
static double clamp(double x, double lo, double hi) { return x < lo ? lo : x > hi ? hi : x; }

static double unary(int op, double x, double a, double b) {
  switch (op) {
    case MK_UNARY_COPY: return x;
    case MK_UNARY_NEG: return -x;
    case MK_UNARY_ABS: return fabs(x);
    case MK_UNARY_SQRT: return sqrt(x);
    case MK_UNARY_RECIPROCAL: return 1 / x;
    case MK_UNARY_EXP: return exp(x);
    case MK_UNARY_LOG: return log(x);
    case MK_UNARY_TANH: return tanh(x);
    case MK_UNARY_ERF: return erf(x);
    case MK_UNARY_SIGMOID: return sigmoid(x);
    case MK_UNARY_GELU: return x * (0.5 * erfc(-x * M_SQRT1_2));
    case MK_UNARY_GELU_TANH: return x * sigmoid(2 * sqrt(2 / M_PI) * (x + 0.044715 * x * x * x));
    case MK_UNARY_SILU: return x * sigmoid(x);
    case MK_UNARY_RELU: return x < 0 ? 0 : x;
    case MK_UNARY_LEAKY_RELU: return x < 0 ? a * x : x;
    case MK_UNARY_ELU: return x < 0 ? a * expm1(x) : x;
    case MK_UNARY_SELU: return b * (x < 0 ? a * expm1(x) : x);
    case MK_UNARY_CELU: return x < 0 ? a * expm1(x / a) : x;
    case MK_UNARY_SWISH: return x * sigmoid((double)(float)(a * x));
    case MK_UNARY_CLAMP: return clamp(x, a, b);
    case MK_UNARY_HARD_SIGMOID: return clamp(a * x + b, 0, 1);
    case MK_UNARY_HARD_SWISH: return x * clamp(x / 6 + 0.5, 0, 1);
    case MK_UNARY_SOFTPLUS: return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
    case MK_UNARY_FLOOR: return floor(x);
    case MK_UNARY_CEIL: return ceil(x);
    case MK_UNARY_ROUND: return rint(x);
    case MK_UNARY_SIN: return sin(x);
    case MK_UNARY_COS: return cos(x);
    case MK_UNARY_MISH: return x * tanh(x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)));
    case MK_UNARY_ASIN: return asin(x);
    case MK_UNARY_ACOS: return acos(x);
    case MK_UNARY_ATAN: return atan(x);
    default: return (double)(float)(a * x) + b;
  }
}

static const struct {
  const char *name;
  double ulps;      // the bound, in units in the last place
  double absolute;  // or this, where terms cancel
} unary_bounds[MK_UNARY_COUNT] = {
  [MK_UNARY_COPY] = {"copy", 0, 0},
  [MK_UNARY_NEG] = {"neg", 0, 0},
  [MK_UNARY_ABS] = {"abs", 0, 0},
  [MK_UNARY_SQRT] = {"sqrt", 0.5, 0},
  [MK_UNARY_RECIPROCAL] = {"reciprocal", 0.5, 0},
  [MK_UNARY_EXP] = {"exp", 1.5, 0},
  [MK_UNARY_LOG] = {"log", 1.5, 0},
  [MK_UNARY_TANH] = {"tanh", 2, 0},
  [MK_UNARY_ERF] = {"erf", 1.5, 0},
  [MK_UNARY_SIGMOID] = {"sigmoid", 2, 0},
  [MK_UNARY_GELU] = {"gelu", 6, 1e-37},
  [MK_UNARY_GELU_TANH] = {"gelu_tanh", 8, 2e-6},
  [MK_UNARY_SILU] = {"silu", 2.5, 0},
  [MK_UNARY_RELU] = {"relu", 0, 0},
  [MK_UNARY_LEAKY_RELU] = {"leaky_relu", 0.5, 0},
  [MK_UNARY_ELU] = {"elu", 2, 0},
  [MK_UNARY_SELU] = {"selu", 3, 0},
  [MK_UNARY_CELU] = {"celu", 3, 0},
  [MK_UNARY_SWISH] = {"swish", 3, 0},
  [MK_UNARY_CLAMP] = {"clamp", 0, 0},
  [MK_UNARY_HARD_SIGMOID] = {"hard_sigmoid", 2, 1.2e-7},
  [MK_UNARY_HARD_SWISH] = {"hard_swish", 3, 2.5e-7},
  [MK_UNARY_SOFTPLUS] = {"softplus", 3, 0},
  [MK_UNARY_FLOOR] = {"floor", 0, 0},
  [MK_UNARY_CEIL] = {"ceil", 0, 0},
  [MK_UNARY_ROUND] = {"round", 0, 0},
  [MK_UNARY_SIN] = {"sin", 2, 0},
  [MK_UNARY_COS] = {"cos", 2, 0},
  [MK_UNARY_MISH] = {"mish", 5, 0},
  [MK_UNARY_ASIN] = {"asin", 2, 0},
  [MK_UNARY_ACOS] = {"acos", 2, 0},
  [MK_UNARY_ATAN] = {"atan", 2, 0},
  [MK_UNARY_AFFINE] = {"affine", 0.5, 0},
};

static const int64_t lengths[] = {0,  1,  2,  3,  4,  5,  7,  8,  9,  13, 15, 16,  17,
                                  23, 24, 31, 32, 33, 47, 48, 63, 64, 65, 80, 127, 150};
enum { LENGTHS = sizeof lengths / sizeof lengths[0], MANY = 6000 };

static void test_unary(int op) {
  const char *name = unary_bounds[op].name;
  const float a = op == MK_UNARY_CLAMP ? -1.5f : op == MK_UNARY_ELU ? 1.25f : 0.2f;
  const float b = op == MK_UNARY_CLAMP ? 2.25f : 0.5f;
  float *x = slot_memory(X, MANY * 4, true), *out = slot_memory(OUT, MANY * 4, true);
  for (int64_t i = 0; i < MANY; i++) x[i] = draw(i);
  table->unary[op](MANY, x, out, a, b);
  double worst = 0;
  int64_t at = 0;
  for (int64_t i = 0; i < MANY; i++) {
    const double exact = unary(op, x[i], a, b);
    // The published formulas multiply: -Inf times zero is NaN there, and either may be given.
    if (isinf(x[i]) && isnan(out[i]) &&
        (op == MK_UNARY_GELU || op == MK_UNARY_GELU_TANH || op == MK_UNARY_SILU ||
         op == MK_UNARY_SWISH || op == MK_UNARY_HARD_SWISH))
      continue;
    if (fabs((double)out[i] - exact) <= unary_bounds[op].absolute) continue;
    const double error = ulps(out[i], exact);
    if (error > worst) worst = error, at = i;
  }
  check(worst <= unary_bounds[op].ulps, "%s(%a) is %a, not %a: %.2f ulp, %.2f allowed", name,
        (double)x[at], (double)out[at], unary(op, x[at], a, b), worst, unary_bounds[op].ulps);

  // An element's bits depend on neither its place, the row's length, nor where dst lies.
  float *bits = malloc(MANY * 4), *all = malloc(MANY * 4);
  memcpy(bits, x, MANY * 4);
  memcpy(all, out, MANY * 4);
  for (int i = 0; i < LENGTHS; i++) {
    const int64_t n = lengths[i], from = random_below(MANY - n);
    const bool at_end = i % 2, in_place = i % 3 == 0;
    float *src = slot_memory(Y, n * 4, at_end);
    float *dst = in_place ? src : slot_memory(OUT, n * 4, at_end);
    memcpy(src, bits + from, (size_t)n * 4);
    table->unary[op](n, src, dst, a, b);
    bool equal = true;
    for (int64_t j = 0; j < n; j++) equal &= same(dst[j], all[from + j]);
    check(equal, "%s of %lld elements differs from %d", name, (long long)n, MANY);
    check(fringe_is_whole(in_place ? Y : OUT), "%s of %lld wrote outside", name, (long long)n);
  }
  free(bits);
  free(all);
}

static float binary(int op, float x, float y) {
  switch (op) {
    case MK_BINARY_ADD: return x + y;
    case MK_BINARY_SUB: return x - y;
    case MK_BINARY_MUL: return x * y;
    case MK_BINARY_DIV: return x / y;
    case MK_BINARY_MIN: return x != x || y != y ? NAN : x < y ? x : y;
    case MK_BINARY_MAX: return x != x || y != y ? NAN : x > y ? x : y;
    case MK_BINARY_POW: return (float)pow(x, y);
    default: return x < 0 ? x * y : x;
  }
}

static void test_binary(int op) {
  static const char *names[] = {"add", "sub", "mul", "div", "min", "max", "pow", "prelu"};
  const double bound = op == MK_BINARY_POW ? 4 : 0;
  for (int i = 0; i < 4 * LENGTHS; i++) {
    const int64_t n = i < 4 ? 1000 : lengths[i / 4], x_step = i & 1, y_step = i >> 1 & 1;
    const bool at_end = i % 3 != 0;
    float *x = slot_memory(X, (x_step ? n : 1) * 4, at_end);
    float *y = slot_memory(Y, (y_step ? n : 1) * 4, at_end);
    for (int64_t j = 0; j < (x_step ? n : 1); j++)
      x[j] = op == MK_BINARY_POW && j % 2 ? fabsf(12 * random_unit()) : draw(random_below(60));
    for (int64_t j = 0; j < (y_step ? n : 1); j++) y[j] = draw(random_below(60));
    float *dst = slot_memory(OUT, n * 4, at_end);
    table->binary[op](n, x, x_step, y, y_step, dst);
    double worst = 0;
    int64_t at = 0;
    for (int64_t j = 0; j < n; j++) {
      const float xv = x[j * x_step], yv = y[j * y_step];
      const double exact = op == MK_BINARY_POW ? pow(xv, yv) : (double)binary(op, xv, yv);
      const double error = ulps(dst[j], exact);
      if (error > worst) worst = error, at = j;
    }
    const double xw = n ? x[at * x_step] : 0, yw = n ? y[at * y_step] : 0;
    check(worst <= bound, "%s(%a, %a) is %a: %.2f ulp (n %lld)", names[op], xw, yw,
          n ? (double)dst[at] : 0, worst, (long long)n);
    check(fringe_is_whole(OUT), "%s of %lld wrote outside", names[op], (long long)n);
    if (x_step && n) {  // in place
      float *kept = malloc((size_t)n * 4);
      memcpy(kept, dst, (size_t)n * 4);
      table->binary[op](n, x, x_step, y, y_step, x);
      bool equal = true;
      for (int64_t j = 0; j < n; j++) equal &= same(kept[j], x[j]);
      check(equal, "%s in place differs (n %lld)", names[op], (long long)n);
      free(kept);
    }
  }
}

// ---------------------------------------------------------------------------- reductions

static const char *reduce_names[] = {"sum", "max", "min", "sum_squares", "sum_abs", "prod"};

static double reduce_step(int op, double r, double x) {
  switch (op) {
    case MK_REDUCE_SUM: return r + x;
    case MK_REDUCE_MAX: return x != x || r != r ? NAN : x > r ? x : r;
    case MK_REDUCE_MIN: return x != x || r != r ? NAN : x < r ? x : r;
    case MK_REDUCE_SUM_SQUARES: return r + x * x;
    case MK_REDUCE_SUM_ABS: return r + fabs(x);
    default: return r * x;
  }
}

static void test_reduce(int op) {
  const int64_t big[] = {255, 256, 1000, 4096, 4097, 20000};
  for (int i = 0; i < LENGTHS + 6; i++) {
    const int64_t n = i < LENGTHS ? lengths[i] : op == MK_REDUCE_PROD ? 300 : big[i - LENGTHS];
    float *x = slot_memory(X, n * 4, i % 2);
    double size = 0;
    const double identity = op == MK_REDUCE_MAX   ? -INFINITY
                            : op == MK_REDUCE_MIN ? INFINITY
                                                  : op == MK_REDUCE_PROD;
    double exact = identity;
    for (int64_t j = 0; j < n; j++) {
      x[j] = op == MK_REDUCE_PROD ? 1 + 0.1f * random_unit() : draw_tame(j);
      exact = reduce_step(op, exact, x[j]);
      size += op == MK_REDUCE_SUM_SQUARES ? (double)x[j] * (double)x[j] : fabs((double)x[j]);
    }
    if (op == MK_REDUCE_PROD) size = fabs(exact) * (double)n;
    const double bound = op == MK_REDUCE_MAX || op == MK_REDUCE_MIN
                           ? 0
                           : 0x1p-24 * size * (op == MK_REDUCE_PROD ? 1 : 2 + sqrt((double)n));
    const float got = table->reduce[op](n, x);
    check(fabs((double)got - exact) <= bound || (double)got == exact,
          "reduce %s of %lld is %a, not %a", reduce_names[op], (long long)n, (double)got, exact);
    // The same bits wherever the row lies.
    float *moved = (float *)((char *)slot_memory(OTHER, n * 4 + 4, false) + 4);
    memcpy(moved, x, (size_t)n * 4);
    check(same(table->reduce[op](n, moved), got), "reduce %s of %lld depends on its place",
          reduce_names[op], (long long)n);
    if (n > 0) {
      x[random_below(n)] = NAN;
      check(isnan(table->reduce[op](n, x)), "reduce %s of %lld loses a NaN", reduce_names[op],
            (long long)n);
    }

    float *acc = slot_memory(OUT, n * 4, i % 2), *before = malloc((size_t)n * 4 + 4);
    for (int64_t j = 0; j < n; j++) before[j] = acc[j] = draw_tame(j);
    table->accumulate[op](n, x, acc);
    bool right = true;
    for (int64_t j = 0; j < n; j++) {
      const double want = reduce_step(op, before[j], x[j]);
      // A square may be rounded on its own, which shows where the sum cancels.
      const double slack = op == MK_REDUCE_SUM_SQUARES
                             ? 0x1p-23 * (fabs((double)before[j]) + (double)x[j] * (double)x[j])
                             : 0;
      right &= ulps(acc[j], want) <= 0.5 || fabs((double)acc[j] - want) <= slack;
    }
    check(right && fringe_is_whole(OUT), "accumulate %s of %lld", reduce_names[op], (long long)n);
    free(before);
  }
}

// ------------------------------------------------------------------------- rows: norms

static void test_rows(void) {
  for (int i = 0; i < LENGTHS + 2; i++) {
    const int64_t n = i < LENGTHS ? lengths[i] : i == LENGTHS ? 1000 : 3001;
    const bool at_end = i % 2;
    if (n == 0) continue;
    float *x = slot_memory(X, n * 4, at_end), *out = slot_memory(OUT, n * 4, at_end);
    float *scale = slot_memory(SCALE, n * 4, at_end), *bias = slot_memory(BIAS, n * 4, at_end);
    for (int64_t j = 0; j < n; j++) {
      x[j] = 6 * random_unit() + 3;
      scale[j] = 1 + random_unit();
      bias[j] = random_unit();
    }
    if (n > 20) x[3] = -INFINITY;  // a masked score
    double max = -INFINITY, sum = 0, mean = 0, squares = 0, variance = 0;
    for (int64_t j = 0; j < n; j++) max = fmax(max, x[j]);
    for (int64_t j = 0; j < n; j++) sum += exp(x[j] - max);
    const double tolerance = (12 + sqrt((double)n)) * 0x1p-24;
    double worst = 0;
    table->softmax(n, x, out);
    for (int64_t j = 0; j < n; j++)
      worst = fmax(worst, fabs(out[j] - exp(x[j] - max) / sum) / (exp(x[j] - max) / sum + 1e-30));
    check(worst <= 2 * tolerance && fringe_is_whole(OUT), "softmax of %lld: relative error %g",
          (long long)n, worst);
    float *kept = malloc((size_t)n * 4);
    memcpy(kept, out, (size_t)n * 4);
    memcpy(out, x, (size_t)n * 4);
    table->softmax(n, out, out);
    check(memcmp(kept, out, (size_t)n * 4) == 0, "softmax of %lld differs in place", (long long)n);
    table->log_softmax(n, x, out);
    worst = 0;
    for (int64_t j = 0; j < n; j++) {
      const double exact = x[j] - max - log(sum);
      worst = fmax(worst, isinf(exact) ? (exact == (double)out[j] ? 0 : 1)
                                       : fabs(out[j] - exact) / (1 + fabs(exact)));
    }
    check(worst <= 2 * tolerance && fringe_is_whole(OUT), "log_softmax of %lld: error %g",
          (long long)n, worst);

    if (n > 20) x[3] = 3.5f;
    for (int64_t j = 0; j < n; j++) mean += (double)x[j] / (double)n;
    for (int64_t j = 0; j < n; j++) squares += (double)x[j] * (double)x[j] / (double)n;
    for (int64_t j = 0; j < n; j++) variance += (x[j] - mean) * (x[j] - mean) / (double)n;
    const float epsilon = 1e-3f;
    float got_mean = 0, got_inverse = 0;
    const double inverse = 1 / sqrt(variance + (double)epsilon);
    for (int form = 0; form < 4; form++) {
      const float *s = form & 1 ? scale : NULL, *b = form & 2 ? bias : NULL;
      table->layer_norm(n, x, s, b, epsilon, out, form == 3 ? NULL : &got_mean,
                        form == 3 ? NULL : &got_inverse);
      worst = 0;
      for (int64_t j = 0; j < n; j++) {
        const double exact = (x[j] - mean) * inverse * (s ? (double)s[j] : 1) +
                             (b ? (double)b[j] : 0);
        worst = fmax(worst, fabs(out[j] - exact));
      }
      check(worst <= 30 * tolerance * inverse * 10 && fringe_is_whole(OUT),
            "layer_norm of %lld, form %d: error %g", (long long)n, form, worst);
    }
    check(fabs(got_mean - mean) <= 20 * tolerance &&
            fabs(got_inverse - inverse) <= 40 * tolerance * inverse,
          "layer_norm of %lld: mean %g for %g, 1/deviation %g for %g", (long long)n,
          (double)got_mean, mean, (double)got_inverse, inverse);
    for (int form = 0; form < 2; form++) {
      table->rms_norm(n, x, form ? scale : NULL, epsilon, out);
      worst = 0;
      for (int64_t j = 0; j < n; j++) {
        const double exact = x[j] / sqrt(squares + (double)epsilon) * (form ? (double)scale[j] : 1);
        worst = fmax(worst, fabs(out[j] - exact));
      }
      check(worst <= 30 * tolerance && fringe_is_whole(OUT), "rms_norm of %lld: error %g",
            (long long)n, worst);
    }
    free(kept);
  }
  float lost[20], out[20];
  for (int i = 0; i < 20; i++) lost[i] = -INFINITY;
  table->softmax(20, lost, out);
  check(isnan(out[0]) && isnan(out[19]), "softmax of a row of -Inf is not NaN");
}

// ---------------------------------------------------------------------------- conversions

static uint16_t half_of(float x) {
  const uint32_t u = bits_of(x), sign = u >> 16 & 0x8000;
  const double size = fabs((double)x);
  if (x != x) return (uint16_t)(sign | 0x7e00);
  if (size >= 65520) return (uint16_t)(sign | 0x7c00);
  int exponent;
  frexp(size, &exponent);
  if (exponent < -13) exponent = -13;
  const double unit = ldexp(1, exponent - 11);
  const double rounded = rint(size / unit) * unit;  // half to even
  if (rounded == 0) return (uint16_t)sign;
  frexp(rounded, &exponent);
  if (exponent < -13) return (uint16_t)(sign | (uint32_t)(rounded * 0x1p24));
  return (uint16_t)(sign | ((uint32_t)(exponent + 14) << 10) |
                    ((uint32_t)ldexp(rounded, 11 - exponent) & 0x3ff));
}

static double value_of_half(uint16_t h) {
  const int exponent = h >> 10 & 31;
  const double mantissa = h & 0x3ff, sign = h & 0x8000 ? -1 : 1;
  if (exponent == 31) return mantissa != 0 ? NAN : sign * INFINITY;
  return sign * (exponent == 0 ? ldexp(mantissa, -24) : ldexp(1024 + mantissa, exponent - 25));
}

static bool is_nan_16(uint16_t h, uint16_t infinity) { return (h & 0x7fff) > infinity; }

// ------------------------------------------------------------------- softmax of attention

// Rows of scores as a caller lays them out: room for a multiple of 16, rows apart by `stride`.
static void test_attention_softmax(int round) {
  enum { ROWS = 5, MOST = 300 };
  const int64_t rows = 1 + random_below(ROWS), filled = 16 * (1 + random_below(MOST / 16));
  const int64_t stride = filled * 4 + 64 * random_below(2);
  const bool is_bf16 = round % 3 == 0;
  const int32_t kind = round % 4 == 0 ? MK_MASK_NONE : 1 + round % 2;
  const float softcap = round % 5 == 0 ? 3.0f : 0.0f;
  const struct rows scores = make_rows(X, rows, filled * 4, stride, round % 2);
  int64_t kept[ROWS], before[ROWS];
  const void *masks[ROWS];
  const bool has_window = random_below(3) == 0;
  float max[ROWS], sum[ROWS], again_max[ROWS], again_sum[ROWS];
  static double exact[ROWS][MOST];
  static float first[ROWS][MOST];
  char *mask = slot_memory(Y, rows * filled * 4, false);
  for (int64_t r = 0; r < rows; r++) {
    kept[r] = random_below(4) ? random_below(filled + 1) : filled;
    before[r] = has_window ? random_below(kept[r] + 1) : 0;
    float *row = (float *)(scores.first + r * stride);
    masks[r] = mask + r * filled * 4;
    for (int64_t j = 0; j < filled; j++) {
      row[j] = random_below(30) ? 8 * random_unit() : random_below(2) ? -INFINITY : -200;
      const bool hidden = random_below(5) == 0 || (round % 7 == 0 && j > filled / 2);
      double x = row[j];
      if (softcap > 0) x = (double)softcap * tanh(x / (double)softcap);
      if (kind == MK_MASK_BYTES) {
        ((uint8_t *)masks[r])[j] = hidden ? 0 : (uint8_t)(1 + random_below(255));
      } else if (kind == MK_MASK_ADD) {
        const float added = hidden ? -INFINITY : random_unit();
        memcpy((char *)mask + (r * filled + j) * 4, &added, 4);
        x = softcap > 0 ? x + (double)added : (double)(row[j] + added);
      }
      const bool is_outside = j < before[r] || j >= kept[r];
      exact[r][j] = (kind != MK_MASK_NONE && hidden) || is_outside ? -INFINITY : x;
      first[r][j] = row[j];
    }
  }
  mk_attention_rows a = {.rows = rows,
                         .scores = (float *)scores.first,
                         .stride = stride,
                         .weights_bf16 = is_bf16,
                         .kept = kept,
                         .filled = filled,
                         .hidden = has_window ? before : NULL,
                         .masks = kind == MK_MASK_NONE ? NULL : masks,
                         .mask_kind = kind,
                         .softcap = softcap,
                         .max = max,
                         .sum = sum};
  table->attention_softmax(&a);
  bool right = true;
  static float weights[ROWS][MOST];
  for (int64_t r = 0; r < rows; r++) {
    double top = -INFINITY, total = 0;
    for (int64_t j = 0; j < filled; j++) top = fmax(top, exact[r][j]);
    const double base = isinf(top) ? 0 : top;
    for (int64_t j = 0; j < filled; j++) total += exp(exact[r][j] - base);
    right &= isinf(top) ? max[r] == -INFINITY && sum[r] == 0 : fabs(max[r] - top) <= 3e-6;
    right &= fabs(sum[r] - total) <= 1e-5 * total;
    for (int64_t j = 0; j < filled; j++) {
      uint16_t half;
      memcpy(&half, scores.first + r * stride + 2 * j, 2);
      float whole;
      memcpy(&whole, scores.first + r * stride + 4 * j, 4);
      const float weight = is_bf16 ? widen(half) : whole;
      const double value = exp(exact[r][j] - base);
      right &= fabs((double)weight - value) <= (is_bf16 ? 4e-3 : 1e-5) * value + 0x1p-125;
      right &= value > 0 || weight == 0;
      weights[r][j] = weight;
    }
  }
  check(right, "attention_softmax of %lldx%lld, kind %d, softcap %g, bf16 %d", (long long)rows,
        (long long)filled, kind, (double)softcap, is_bf16);

  // The same entries with what is hidden behind the last visible one cut off: the same bits.
  for (int64_t r = 0; r < rows; r++) {
    int64_t last = 0;
    for (int64_t j = 0; j < kept[r]; j++)
      if (!isinf(exact[r][j])) last = j + 1;
    kept[r] = last;
    memcpy(scores.first + r * stride, first[r], (size_t)filled * 4);
  }
  a.max = again_max;
  a.sum = again_sum;
  table->attention_softmax(&a);
  bool equal = memcmp(max, again_max, (size_t)rows * 4) == 0 &&
               memcmp(sum, again_sum, (size_t)rows * 4) == 0;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t j = 0; j < filled; j++) {
      uint16_t half;
      memcpy(&half, scores.first + r * stride + 2 * j, 2);
      float whole;
      memcpy(&whole, scores.first + r * stride + 4 * j, 4);
      equal &= (is_bf16 ? widen(half) : whole) == weights[r][j];
    }
  check(equal && wipe_rows(&scores), "attention_softmax of %lldx%lld: hidden entries change bits",
        (long long)rows, (long long)filled);
}

static void test_attention_merge(int round) {
  enum { ROWS = 4, MOST = 70 };
  const int64_t rows = 1 + random_below(ROWS), width = 1 + random_below(MOST);
  const struct rows sums =
    make_rows(X, rows, width * 4, width * 4 + 4 * random_below(3), round % 2);
  const struct rows block = make_rows(Y, rows, width * 4, width * 4, true);
  float max[ROWS], sum[ROWS], block_max[ROWS], block_sum[ROWS];
  double values[ROWS][MOST], tops[ROWS], totals[ROWS];
  for (int64_t r = 0; r < rows; r++) {
    const bool empty = random_below(6) == 0, block_empty = random_below(6) == 0;
    max[r] = empty ? -INFINITY : 20 * random_unit();
    block_max[r] = block_empty ? -INFINITY : 20 * random_unit();
    sum[r] = empty ? 0 : 1 + fabsf(random_unit());
    block_sum[r] = block_empty ? 0 : 1 + fabsf(random_unit());
    tops[r] = fmax(max[r], block_max[r]);
    const double base = isinf(tops[r]) ? 0 : tops[r];
    const double keep = exp(max[r] - base), take = exp(block_max[r] - base);
    totals[r] = keep * (double)sum[r] + take * (double)block_sum[r];
    for (int64_t j = 0; j < width; j++) {
      const float x = empty ? 0 : random_unit(), y = block_empty ? 0 : random_unit();
      memcpy(sums.first + r * sums.stride + 4 * j, &x, 4);
      memcpy(block.first + r * block.stride + 4 * j, &y, 4);
      values[r][j] = keep * (double)x + take * (double)y;
    }
  }
  const mk_attention_union u = {.rows = rows,
                                .width = width,
                                .sums = (float *)sums.first,
                                .sums_stride = sums.stride,
                                .max = max,
                                .sum = sum,
                                .block = (const float *)block.first,
                                .block_stride = block.stride,
                                .block_max = block_max,
                                .block_sum = block_sum};
  table->attention_merge(&u);
  bool right = true;
  for (int64_t r = 0; r < rows; r++) {
    right &= max[r] == (float)tops[r] && fabs((double)sum[r] - totals[r]) <= 1e-6 * totals[r];
    for (int64_t j = 0; j < width; j++) {
      float x;
      memcpy(&x, sums.first + r * sums.stride + 4 * j, 4);
      right &= fabs((double)x - values[r][j]) <= 1e-6;
    }
  }
  check(right && wipe_rows(&sums), "attention_merge of %lldx%lld", (long long)rows,
        (long long)width);
}

// A few rows against plain chains, to the bit.
static void test_attention_few(int round, bool fused) {
  enum { MOST = 150 };
  const int64_t m = 1 + random_below(5), n = 1 + random_below(80);
  const bool turned = round % 2;
  // Keys of whole vectors have a way of their own.
  const int64_t k = round % 8 < 4 ? random_below(MOST) : 8 * random_below(MOST / 8);
  const struct rows lhs = make_rows(X, m, k * 4, k * 4 + 4 * random_below(3), true);
  const struct rows rhs =
    make_rows(Y, turned ? n : k, (turned ? k : n) * 4, (turned ? k : n) * 4 + 8, round % 4 < 2);
  const struct rows dst = make_rows(OUT, m, n * 4, n * 4 + 4 * random_below(3), round % 4 < 2);
  for (int64_t i = 0; i < lhs.count; i++)
    for (int64_t j = 0; j < k; j++) ((float *)(lhs.first + i * lhs.stride))[j] = random_unit();
  for (int64_t i = 0; i < rhs.count; i++)
    for (int64_t j = 0; j < rhs.row_bytes / 4; j++)
      ((float *)(rhs.first + i * rhs.stride))[j] = random_unit();
  const mk_few_rows f = {.m = m,
                         .n = n,
                         .k = k,
                         .lhs = (const float *)lhs.first,
                         .lhs_stride = lhs.stride,
                         .rhs = (const float *)rhs.first,
                         .rhs_stride = rhs.stride,
                         .dst = (float *)dst.first,
                         .dst_stride = dst.stride,
                         .alpha = turned ? 0.3f : 1.0f};
  (turned ? table->attention_products : table->attention_mixtures)(&f);
  bool right = true;
  for (int64_t i = 0; i < m; i++) {
    const float *a = (const float *)(lhs.first + i * lhs.stride);
    for (int64_t j = 0; j < n; j++) {
      float sum = 0;
      for (int64_t p = 0; p < k; p++) {
        const float b = turned ? ((const float *)(rhs.first + j * rhs.stride))[p]
                               : ((const float *)(rhs.first + p * rhs.stride))[j];
        sum = fused ? fmaf(a[p], b, sum) : sum + a[p] * b;
      }
      right &= f.alpha * sum == ((const float *)(dst.first + i * dst.stride))[j];
    }
  }
  check(right && wipe_rows(&dst), "attention_%s of %lldx%lldx%lld",
        turned ? "products" : "mixtures", (long long)m, (long long)n, (long long)k);
}

static void test_attention_finish(void) {
  const int64_t rows = 1 + random_below(5), width = 1 + random_below(50);
  const struct rows src = make_rows(X, rows, width * 4, width * 4 + 4, true);
  const struct rows dst = make_rows(OUT, rows, width * 4, width * 4 + 4 * random_below(3), true);
  float sum[5];
  for (int64_t i = 0; i < rows; i++) {
    sum[i] = i == 3 ? 0 : 1 + fabsf(random_unit());
    for (int64_t j = 0; j < width; j++)
      ((float *)(src.first + i * src.stride))[j] = i == 3 ? 0 : j ? random_unit() : -0.0f;
  }
  table->attention_finish(rows, width, (const float *)src.first, src.stride, sum,
                          (float *)dst.first, dst.stride);
  bool right = true;
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < width; j++) {
      const float x = ((const float *)(src.first + i * src.stride))[j];
      const float y = ((const float *)(dst.first + i * dst.stride))[j];
      right &= same(y, x * (1 / sum[i])) && (j > 0 || i == 3 || bits_of(y) == 0);
    }
  check(right && wipe_rows(&dst), "attention_finish of %lldx%lld", (long long)rows,
        (long long)width);
}

static void test_conversions(void) {
  enum { ALL = 65536 };
  uint16_t *halves = slot_memory(X, ALL * 2, true);
  float *floats = slot_memory(OUT, ALL * 4, true);
  for (int i = 0; i < ALL; i++) halves[i] = (uint16_t)i;
  table->bf16_to_f32(ALL, halves, floats);
  int wrong = 0;
  for (int i = 0; i < ALL; i++)
    wrong += isnan(widen(halves[i])) ? !isnan(floats[i])
                                     : bits_of(floats[i]) != (uint32_t)halves[i] << 16;
  check(wrong == 0, "bf16_to_f32: %d of %d wrong", wrong, ALL);
  table->f16_to_f32(ALL, halves, floats);
  wrong = 0;
  for (int i = 0; i < ALL; i++) {
    const float exact = (float)value_of_half(halves[i]);
    wrong += isnan(exact) ? !isnan(floats[i]) : bits_of(floats[i]) != bits_of(exact);
  }
  check(wrong == 0, "f16_to_f32: %d of %d wrong", wrong, ALL);

  // Every upper half, with the lower halves on which rounding turns.
  static const uint32_t lower[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
  float *src = slot_memory(X, ALL * 4, true);
  uint16_t *dst = slot_memory(OUT, ALL * 2, true);
  for (int pass = 0; pass < 7; pass++) {
    int wrong_bf16 = 0, wrong_f16 = 0, at_bf16 = 0, at_f16 = 0;
    for (uint32_t i = 0; i < ALL; i++)
      src[i] = float_of(i << 16 | (pass < 6 ? lower[pass] : random_bits() & low_bits(16)));
    table->f32_to_bf16(ALL, src, dst);
    for (int i = 0; i < ALL; i++) {
      const bool right = isnan(src[i]) ? is_nan_16(dst[i], 0x7f80) && (dst[i] & 0x40) &&
                                           dst[i] >> 15 == bits_of(src[i]) >> 31
                                       : dst[i] == round_to_bf16(src[i]);
      if (!right && wrong_bf16++ == 0) at_bf16 = i;
    }
    check(wrong_bf16 == 0, "f32_to_bf16: %d wrong, the first at %08x", wrong_bf16,
          bits_of(src[at_bf16]));
    // Halves turn at bit 12: the pass's lower half says nothing there, so some bits are set anew.
    for (int i = 0; i < ALL; i++)
      src[i] = float_of((bits_of(src[i]) & 0xffff0000u) | (pass & 1 ? 0x1000 : 0) |
                        (pass & 2 ? 0x2000 : 0) | (pass & 4 ? (uint32_t)low_bits(12) : 0));
    table->f32_to_f16(ALL, src, dst);
    for (int i = 0; i < ALL; i++) {
      const bool right = isnan(src[i]) ? is_nan_16(dst[i], 0x7c00) && (dst[i] & 0x200)
                                       : dst[i] == half_of(src[i]);
      if (!right && wrong_f16++ == 0) at_f16 = i;
    }
    check(wrong_f16 == 0, "f32_to_f16: %d wrong, the first at %08x", wrong_f16,
          bits_of(src[at_f16]));
  }

  for (int i = 0; i < LENGTHS; i++) {
    const int64_t n = lengths[i];
    const bool at_end = i % 2;
    for (int kind = 0; kind < 2; kind++) {
      float *x = slot_memory(X, n * 4, at_end);
      uint16_t *h = slot_memory(OUT, n * 2, at_end);
      for (int64_t j = 0; j < n; j++) x[j] = random_unit();
      (kind ? table->f32_to_f16 : table->f32_to_bf16)(n, x, h);
      bool right = fringe_is_whole(OUT);
      for (int64_t j = 0; j < n; j++) right &= h[j] == (kind ? half_of(x[j]) : round_to_bf16(x[j]));
      float *back = slot_memory(Y, n * 4, at_end);
      (kind ? table->f16_to_f32 : table->bf16_to_f32)(n, h, back);
      right &= fringe_is_whole(Y);
      for (int64_t j = 0; j < n; j++)
        right &= back[j] == (kind ? (float)value_of_half(h[j]) : widen(h[j]));
      check(right, "16-bit conversions of %lld elements", (long long)n);
    }
  }
}

// Against the portable table, element by element the same source: of any bits.
static void test_typed(void) {
  static const int64_t sizes[MK_TYPE_COUNT] = {4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 1};
  static uint64_t words[160], more[160], want[160];
  static const uint64_t odd[] = {0x7ff0000000000000, 0x41dfffffffc00000, 0xc1e0000000200000,
                                 0x43e0000000000000, 0x4f000000ce000000, 0x7f800000ffc00000};
  for (int pass = 0; pass < LENGTHS; pass++) {
    const int64_t n = lengths[pass];
    for (int i = 0; i < 160; i++) {
      words[i] = (uint64_t)random_bits() << 32 | random_bits();
      if (i % 5 == 0) words[i] = odd[i / 5 % 6];
      more[i] = i % 3 ? (uint64_t)random_bits() << 32 | random_bits() : words[i];
    }
    for (int from = 0; from < MK_TYPE_COUNT; from++) {
      for (int to = 0; to < MK_TYPE_COUNT; to++) {
        void *src = slot_memory(X, n * sizes[from], true);
        void *dst = slot_memory(OUT, n * sizes[to], true);
        memcpy(src, words, (size_t)(n * sizes[from]));
        table->cast[from][to](n, src, dst);
        mk_vectors_generic.cast[from][to](n, src, want);
        bool right = fringe_is_whole(OUT);
        for (int64_t i = 0; i < n; i++) {
          double x = 0, y = 0;
          if (to == MK_TYPE_F32) x = ((float *)dst)[i], y = ((float *)want)[i];
          if (to == MK_TYPE_F64) x = ((double *)dst)[i], y = ((double *)want)[i];
          right &= (isnan(x) && isnan(y)) ||
                   memcmp((char *)dst + i * sizes[to], (char *)want + i * sizes[to],
                          (size_t)sizes[to]) == 0;
        }
        check(right, "cast of %lld elements, %d to %d", (long long)n, from, to);
      }
      for (int function = 0; function < MK_COMPARE_COUNT; function++) {
        for (int steps = 0; steps < 4; steps++) {
          uint8_t *dst = slot_memory(OUT, n, true);
          table->compare[function][from](n, words, steps & 1, more, steps >> 1, dst);
          mk_vectors_generic.compare[function][from](n, words, steps & 1, more, steps >> 1,
                                                     (uint8_t *)want);
          check(fringe_is_whole(OUT) && memcmp(dst, want, (size_t)n) == 0,
                "comparison %d of %lld elements of type %d", function, (long long)n, from);
        }
      }
    }
  }
  // Products of small whole numbers, which float64 has exactly.
  static const int64_t widths[MK_PLAIN_COUNT] = {8, 1, 2, 4, 8};
  for (int type = 0; type < MK_PLAIN_COUNT; type++) {
    for (int64_t rows = 1; rows <= 4; rows++) {
      enum { DEPTH = 9 };
      const int64_t width = widths[type], columns = table->plain_bytes / width;
      uint8_t *lhs = slot_memory(X, 4 * DEPTH * width, true);
      uint8_t *rhs = slot_memory(Y, DEPTH * table->plain_bytes, true);
      uint8_t *dst = slot_memory(OUT, rows * table->plain_bytes, true);
      int64_t a[4 * DEPTH], b[DEPTH * 128];
      for (int i = 0; i < 4 * DEPTH; i++) {
        a[i] = random_below(7);
        if (type == MK_PLAIN_F64) ((double *)lhs)[i] = (double)a[i];
        else memcpy(lhs + i * width, &a[i], (size_t)width);
      }
      for (int64_t i = 0; i < DEPTH * columns; i++) {
        b[i] = random_below(5);
        if (type == MK_PLAIN_F64) ((double *)rhs)[i] = (double)b[i];
        else memcpy(rhs + i * width, &b[i], (size_t)width);
      }
      mk_plain_tile tile = {rows, DEPTH, lhs, DEPTH, 1, rhs, dst, columns, false};
      table->plain[type](&tile);
      tile.adds = true;
      table->plain[type](&tile);
      bool right = fringe_is_whole(OUT);
      for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) {
          int64_t sum = 0;
          for (int p = 0; p < DEPTH; p++) sum += 2 * a[r * DEPTH + p] * b[p * columns + c];
          const uint8_t *at = dst + (r * columns + c) * width;
          right &= type == MK_PLAIN_F64 ? *(const double *)at == (double)sum
                                        : memcmp(at, &sum, (size_t)width) == 0;
        }
      check(right, "plain tile of type %d, %lld rows", type, (long long)rows);
    }
  }
}

static void test_transpose(void) {
  for (int64_t height = 0; height < 36; height += 1 + random_below(3)) {
    for (int64_t width = 0; width < 52; width += 1 + random_below(4)) {
      const rows src = make_rows(X, height, width * 4, width * 4 + 4 * random_below(3), true);
      const rows dst = make_rows(OUT, width, height * 4, height * 4 + 4 * random_below(3), true);
      for (int64_t r = 0; r < height; r++)
        for (int64_t c = 0; c < width; c++) {
          const uint32_t v = (uint32_t)(r << 16 | c) ^ 0x7f900000;  // some are signalling NaNs
          memcpy(src.first + r * src.stride + c * 4, &v, 4);
        }
      table->transpose32(height, width, src.first, src.stride, dst.first, dst.stride);
      bool right = true;
      for (int64_t r = 0; r < height; r++)
        for (int64_t c = 0; c < width; c++)
          right &=
            memcmp(src.first + r * src.stride + c * 4, dst.first + c * dst.stride + r * 4, 4) == 0;
      check(right && wipe_rows(&dst), "transpose32 of %lldx%lld", (long long)height,
            (long long)width);
    }
  }
}

// The same code on all instruction sets: rows, transpositions, and neither.
static void test_copy_2d(void) {
  for (int round = 0; round < 400; round++) {
    const int32_t size = 1 << random_below(4);
    const int64_t n0 = random_below(40), n1 = random_below(40), form = round % 3;
    const int64_t gap = size * random_below(3);
    // Each side's outer axis, and how far apart its rows are.
    const bool src_turned = form != 0, dst_turned = form == 2;
    const int64_t src_rows = src_turned ? n1 : n0, src_width = src_turned ? n0 : n1;
    const int64_t dst_rows = dst_turned ? n1 : n0, dst_width = dst_turned ? n0 : n1;
    const struct rows src = make_rows(X, src_rows, src_width * size, src_width * size + gap, true);
    const struct rows dst =
      make_rows(OUT, dst_rows, dst_width * size, dst_width * size + gap, round % 2);
    for (int64_t i = 0; i < src_rows; i++)
      for (int64_t b = 0; b < src_width * size; b++)
        src.first[i * src.stride + b] = (char)random_bits();
    const int64_t ss0 = src_turned ? size : src.stride, ss1 = src_turned ? src.stride : size;
    const int64_t ds0 = dst_turned ? size : dst.stride, ds1 = dst_turned ? dst.stride : size;
    mk_copy_2d(size, n0, n1, src.first, ss0, ss1, dst.first, ds0, ds1);
    bool right = true;
    for (int64_t i = 0; i < n0; i++)
      for (int64_t j = 0; j < n1; j++)
        right &=
          memcmp(src.first + i * ss0 + j * ss1, dst.first + i * ds0 + j * ds1, (size_t)size) == 0;
    check(right && wipe_rows(&dst), "copy_2d of %lldx%lld of %d bytes, form %d", (long long)n0,
          (long long)n1, size, (int)form);
  }
}

// -------------------------------------------------------------------- depthwise, pooling

static float act(const mk_depthwise *d, float v) {
  if (d->act == MK_ACT_RELU) return v < 0 ? 0 : v;
  if (d->act == MK_ACT_CLAMP) return v < d->lo ? d->lo : v > d->hi ? d->hi : v;
  return v;
}

static void test_depthwise(bool fused) {
  for (int round = 0; round < 400; round++) {
    mk_depthwise d = {.in_h = 1 + random_below(20),
                      .in_w = 1 + random_below(round % 4 ? 20 : 90),
                      .ker_h = 1 + random_below(8),
                      .ker_w = 1 + random_below(round % 2 ? 3 : 7),
                      .stride_h = 1 + random_below(round % 7 ? 2 : 3),
                      .stride_w = 1 + random_below(round % 5 ? 2 : 3),
                      .dil_h = 1 + (random_below(3) == 0),
                      .dil_w = 1 + (random_below(4) == 0),
                      .pad_h = random_below(3),
                      .pad_w = random_below(4),
                      .act = (int32_t)random_below(3),
                      .lo = -0.25f,
                      .hi = 0.75f};
    if (round % 3 == 0) {  // what networks have most
      d.ker_h = d.ker_w = 3 + 2 * (round / 3 % 3), d.dil_h = d.dil_w = 1;
      d.pad_h = d.pad_w = d.ker_h / 2;
      d.stride_h = 1 + round % 2, d.stride_w = random_below(4) ? d.stride_h : 1;
    }
    d.multiplier = 1 + random_below(3), d.planes = 1 + random_below(4);
    d.first = random_below(3);
    // The trailing padding may differ from the leading one.
    const int64_t h = d.in_h + d.pad_h + random_below(d.pad_h + 1) - d.dil_h * (d.ker_h - 1) - 1;
    const int64_t w = d.in_w + d.pad_w + random_below(d.pad_w + 1) - d.dil_w * (d.ker_w - 1) - 1;
    if (h < 0 || w < 0) continue;
    d.out_h = h / d.stride_h + 1;
    d.out_w = w / d.stride_w + 1;
    d.y0 = random_below(3) ? 0 : random_below(d.out_h);
    d.y1 = random_below(3) ? d.out_h : d.y0 + 1 + random_below(d.out_h - d.y0);
    const int64_t all = d.first + d.planes, in = d.in_h * d.in_w, taps = d.ker_h * d.ker_w;
    const int64_t in_planes = (all + d.multiplier - 1) / d.multiplier, out = d.out_h * d.out_w;
    float *src = slot_memory(X, in_planes * in * 4, round % 2);
    float *weight = slot_memory(Y, all * taps * 4, round % 2);
    float *bias = slot_memory(BIAS, all * 4, round % 2);
    for (int64_t i = 0; i < in_planes * in; i++) src[i] = random_unit();
    for (int64_t i = 0; i < all * taps; i++) weight[i] = random_unit();
    for (int64_t i = 0; i < all; i++) bias[i] = random_unit();
    d.src = src;
    d.weight = weight;
    d.bias = round % 4 ? bias : NULL;
    d.dst = slot_memory(OUT, d.planes * out * 4, round % 2);
    for (int64_t i = 0; i < d.planes * out; i++) d.dst[i] = 12345;
    table->depthwise(&d);
    int wrong = 0;
    for (int64_t p = 0; p < d.planes; p++) {
      const float *plane = src + (d.first + p) / d.multiplier * in;
      for (int64_t i = 0; i < out; i++) {
        const int64_t y = i / d.out_w, x = i % d.out_w;
        float sum = 0;
        for (int64_t kx = 0; kx < d.ker_w; kx++) {
          for (int64_t ky = 0; ky < d.ker_h; ky++) {
            const int64_t iy = y * d.stride_h - d.pad_h + ky * d.dil_h;
            const int64_t ix = x * d.stride_w - d.pad_w + kx * d.dil_w;
            if (iy < 0 || ix < 0 || iy >= d.in_h || ix >= d.in_w) continue;
            const float a = weight[(d.first + p) * taps + ky * d.ker_w + kx];
            const float b = plane[iy * d.in_w + ix];
            sum = fused ? fmaf(a, b, sum) : sum + a * b;
          }
        }
        const bool within = y >= d.y0 && y < d.y1;
        const float want = act(&d, sum + (d.bias ? bias[d.first + p] : 0));
        wrong += !same(within ? want : 12345, d.dst[p * out + i]);
      }
    }
    check(wrong == 0 && fringe_is_whole(OUT),
          "depthwise %lldx%lld by %lldx%lld stride %lld %lld dil %lld %lld pad %lld %lld: %d wrong",
          (long long)d.in_h, (long long)d.in_w, (long long)d.ker_h, (long long)d.ker_w,
          (long long)d.stride_h, (long long)d.stride_w, (long long)d.dil_h, (long long)d.dil_w,
          (long long)d.pad_h, (long long)d.pad_w, wrong);
  }
}

// A whole convolution: the transforms of the vector table, products by plain chains.
static void test_winograd(void) {
  enum { FILTERS = 2 };
  for (int round = 0; round < 80; round++) {
    const int m = round % 2 ? 4 : 2, points = (m + 2) * (m + 2);
    mk_winograd_tiles t = {.m = m,
                           .in_h = 1 + random_below(13),
                           .in_w = 1 + random_below(round % 3 ? 20 : 90),
                           .pad_h = random_below(3),
                           .pad_w = random_below(3)};
    t.out_h = t.in_h + t.pad_h + random_below(3) - 2,
    t.out_w = t.in_w + t.pad_w + random_below(3) - 2;
    if (t.out_h < 1 || t.out_w < 1) continue;
    t.tiles_h = (t.out_h + m - 1) / m, t.tiles_w = (t.out_w + m - 1) / m;
    const int64_t channels = 1 + random_below(3), images = 1 + random_below(2);
    const int64_t plane = t.in_h * t.in_w, out = t.out_h * t.out_w;
    const int64_t tiles = images * t.tiles_h * t.tiles_w, first = random_below(tiles);
    const int64_t count = 1 + random_below(tiles - first), nr = random_below(2) ? 16 : 32;
    const int64_t row = (count + 15) / 16 * 16;
    float *src = slot_memory(X, images * channels * plane * 4, round % 4 / 2);
    for (int64_t i = 0; i < images * channels * plane; i++) src[i] = random_unit();
    float filters[FILTERS * 3 * 9], bias[FILTERS] = {random_unit(), random_unit()};
    for (int64_t i = 0; i < FILTERS * channels * 9; i++) filters[i] = random_unit();
    float weights[36][FILTERS * 3];
    for (int64_t o = 0; o < FILTERS; o++)
      mk_winograd_weights(m, channels, filters + o * channels * 9, &weights[0][o * channels],
                          sizeof weights[0]);
    mk_winograd_input in = {.tiles = t,
                            .first = first,
                            .count = count,
                            .channels = channels,
                            .src = src,
                            .image_step = channels * plane,
                            .nr = nr,
                            .panel_stride = channels * nr * 4};
    in.point_stride = (count + nr - 1) / nr * in.panel_stride;
    in.dst = slot_memory(Y, points * in.point_stride, round % 4 / 2);
    table->winograd_input(&in);
    mk_winograd_output to = {.tiles = t,
                             .first = first,
                             .count = count,
                             .channels = FILTERS,
                             .row_stride = row * 4,
                             .point_stride = FILTERS * row * 4,
                             .bias = bias,
                             .image_step = FILTERS * out,
                             .act = (int32_t)random_below(3),
                             .lo = -0.25f,
                             .hi = 0.75f};
    float *sums = slot_memory(OTHER, points * to.point_stride, round % 4 / 2);
    for (int64_t p = 0; p < points; p++)
      for (int64_t o = 0; o < FILTERS; o++)
        for (int64_t j = 0; j < count; j++) {
          float sum = 0;
          for (int64_t c = 0; c < channels; c++)
            sum += weights[p][o * channels + c] *
                   in.dst[p * in.point_stride / 4 + j / nr * in.panel_stride / 4 + c * nr + j % nr];
          sums[(p * FILTERS + o) * row + j] = sum;
        }
    to.src = sums;
    float *dst = slot_memory(OUT, images * FILTERS * out * 4, round % 4 / 2);
    for (int64_t i = 0; i < images * FILTERS * out; i++) dst[i] = 7.0f;
    to.dst = dst;
    if (random_below(2)) to.residual = dst;
    table->winograd_output(&to);
    int wrong = 0;
    for (int64_t i = 0; i < images * FILTERS * out; i++) {
      const int64_t x = i % t.out_w, y = i / t.out_w % t.out_h, o = i / out % FILTERS;
      const int64_t image = i / out / FILTERS;
      const int64_t tile = (image * t.tiles_h + y / m) * t.tiles_w + x / m;
      double sum = bias[o] + (to.residual ? 7.0 : 0.0);
      for (int64_t c = 0; c < channels; c++)
        for (int64_t tap = 0; tap < 9; tap++) {
          const int64_t iy = y - t.pad_h + tap / 3, ix = x - t.pad_w + tap % 3;
          if (iy < 0 || ix < 0 || iy >= t.in_h || ix >= t.in_w) continue;
          sum += (double)filters[(o * channels + c) * 9 + tap] *
                 src[(image * channels + c) * plane + iy * t.in_w + ix];
        }
      if (to.act == MK_ACT_RELU) sum = sum < 0 ? 0 : sum;
      if (to.act == MK_ACT_CLAMP) sum = sum < to.lo ? to.lo : sum > to.hi ? to.hi : sum;
      wrong += tile < first || tile >= first + count ? dst[i] != 7.0f
                                                     : !(fabs((double)dst[i] - sum) < 2e-5);
    }
    check(wrong == 0 && fringe_is_whole(OUT) && fringe_is_whole(Y),
          "winograd %d of %lld x %lldx%lld to %lldx%lld, tiles %lld + %lld: %d wrong", m,
          (long long)images, (long long)t.in_h, (long long)t.in_w, (long long)t.out_h,
          (long long)t.out_w, (long long)first, (long long)count, wrong);
  }
}

static void test_pool(void) {
  for (int round = 0; round < 200; round++) {
    mk_pool2d p = {.planes = 1 + random_below(3),
                   .in_h = 1 + random_below(14),
                   .in_w = 1 + random_below(round % 16 < 2 ? 1300
                                            : round % 4    ? 20
                                                           : 70),
                   .ker_h = 1 + random_below(4),
                   .ker_w = 1 + random_below(round % 4 ? 3 : 6),
                   .stride_h = 1 + random_below(3),
                   .stride_w = 1 + random_below(3),
                   .dil_h = 1 + (random_below(4) == 0),
                   .dil_w = 1 + (random_below(4) == 0),
                   .is_max = round % 2,
                   .count_include_pad = random_below(2)};
    // A pad is smaller than the kernel, so that every window has a tap inside.
    p.pad_h = random_below(p.ker_h), p.pad_w = random_below(p.ker_w);
    p.pad_h_end = random_below(p.ker_h), p.pad_w_end = random_below(p.ker_w);
    if (p.dil_h > 1) p.pad_h = p.pad_h_end = 0;
    if (p.dil_w > 1) p.pad_w = p.pad_w_end = 0;
    const int64_t h = p.in_h + p.pad_h + p.pad_h_end - p.dil_h * (p.ker_h - 1) - 1;
    const int64_t w = p.in_w + p.pad_w + p.pad_w_end - p.dil_w * (p.ker_w - 1) - 1;
    if (h < 0 || w < 0) continue;
    p.out_h = h / p.stride_h + 1;
    p.out_w = w / p.stride_w + 1;
    // ceil_mode's last window, where it starts inside.
    if (w % p.stride_w && p.out_w * p.stride_w - p.pad_w < p.in_w) p.out_w++;
    const int64_t count_in = p.in_h * p.in_w, count_out = p.out_h * p.out_w;
    float *src = slot_memory(X, p.planes * count_in * 4, round % 2);
    for (int64_t i = 0; i < p.planes * count_in; i++)
      src[i] = p.is_max && round % 6 == 1 && random_below(40) == 0 ? NAN : random_unit();
    p.src = src;
    p.dst = slot_memory(OUT, p.planes * count_out * 4, round % 2);
    table->pool2d(&p);
    int wrong = 0;
    for (int64_t row = 0; row < p.planes * p.out_h; row++) {
      const int64_t plane = row / p.out_h, y = row % p.out_h;
      for (int64_t x = 0; x < p.out_w; x++) {
        double sum = 0, size = 0, max = -INFINITY;
        int64_t inside = 0, counted = 0;
        for (int64_t ky = 0; ky < p.ker_h; ky++) {
          for (int64_t kx = 0; kx < p.ker_w; kx++) {
            const int64_t iy = y * p.stride_h - p.pad_h + ky * p.dil_h;
            const int64_t ix = x * p.stride_w - p.pad_w + kx * p.dil_w;
            counted += iy < p.in_h + p.pad_h_end && ix < p.in_w + p.pad_w_end;
            if (iy < 0 || ix < 0 || iy >= p.in_h || ix >= p.in_w) continue;
            const double v = src[plane * count_in + iy * p.in_w + ix];
            inside++;
            sum += v;
            size += fabs(v);
            max = v != v || max != max ? NAN : v > max ? v : max;
          }
        }
        const double count = (double)(p.count_include_pad ? counted : inside);
        const float got = p.dst[plane * count_out + y * p.out_w + x];
        wrong += p.is_max ? !same(got, (float)max)
                          : fabs((double)got - sum / count) > 0x1p-22 * size / count;
      }
    }
    check(wrong == 0 && fringe_is_whole(OUT),
          "pool2d %s %lldx%lldx%lld by %lldx%lld stride %lld %lld dil %lld %lld pad %lld %lld: %d "
          "wrong",
          p.is_max ? "max" : "average", (long long)p.planes, (long long)p.in_h, (long long)p.in_w,
          (long long)p.ker_h, (long long)p.ker_w, (long long)p.stride_h, (long long)p.stride_w,
          (long long)p.dil_h, (long long)p.dil_w, (long long)p.pad_h, (long long)p.pad_w, wrong);
  }
}

// ---------------------------------------------------------------------------- recurrent

static void test_lstm_row(int round) {
  const int64_t n = 1 + random_below(round < 100 ? 40 : 300);
  const bool at_end = round % 2;
  float *x = slot_memory(X, 4 * n * 4, at_end), *sums = slot_memory(Y, 4 * n * 4, at_end);
  float *cells = slot_memory(OUT, n * 4, at_end), *hidden = slot_memory(SCALE, n * 4, at_end);
  float *output = round % 3 ? slot_memory(BIAS, n * 4, at_end) : NULL;
  float *old = malloc((size_t)n * 4);
  for (int64_t j = 0; j < 4 * n; j++) {
    x[j] = 5 * random_unit();
    sums[j] = 2 * random_unit();
  }
  for (int64_t j = 0; j < n; j++) old[j] = cells[j] = 3 * random_unit();
  const mk_lstm_row row = {
    .n = n, .x = x, .sums = sums, .cells = cells, .hidden = hidden, .output = output};
  table->lstm_row(&row);
  double worst = 0;
  for (int64_t j = 0; j < n; j++) {
    double gate[4];
    for (int g = 0; g < 4; g++) {
      const double v = (double)x[g * n + j] + (double)sums[g * n + j];
      gate[g] = g == 3 ? tanh(v) : 1 / (1 + exp(-v));
    }
    const double c = gate[2] * (double)old[j] + gate[0] * gate[3];
    worst = fmax(worst, fmax(fabs(cells[j] - c), fabs(hidden[j] - gate[1] * tanh(c))));
    if (output && output[j] != hidden[j]) worst = INFINITY;
  }
  check(worst <= 0x1p-19 && fringe_is_whole(OUT) && fringe_is_whole(SCALE) &&
          (!output || fringe_is_whole(BIAS)),
        "lstm_row of %lld: error %g", (long long)n, worst);
  free(old);
}

void test_vectors(const mk_isa *isa, bool fused) {
  table = isa->vectors;
  begin_section(isa->name, "unary");
  for (int op = 0; op < MK_UNARY_COUNT; op++)
    if (check(table->unary[op] != NULL, "%s is missing", unary_bounds[op].name)) test_unary(op);
  begin_section(isa->name, "binary");
  for (int op = 0; op < MK_BINARY_COUNT; op++)
    if (check(table->binary[op] != NULL, "binary %d is missing", op)) test_binary(op);
  begin_section(isa->name, "reductions");
  for (int op = 0; op < MK_REDUCE_COUNT; op++)
    if (check(table->reduce[op] && table->accumulate[op], "reduction %d is missing", op))
      test_reduce(op);
  if (!check(table->softmax && table->pool2d && table->attention_merge, "the rest is missing"))
    return;
  begin_section(isa->name, "rows");
  test_rows();
  begin_section(isa->name, "recurrent");
  for (int round = 0; round < 200; round++) test_lstm_row(round);
  begin_section(isa->name, "attention");
  for (int round = 0; round < 300; round++) test_attention_softmax(round);
  for (int round = 0; round < 100; round++) test_attention_merge(round);
  for (int round = 0; round < 200; round++) test_attention_few(round, fused);
  for (int round = 0; round < 30; round++) test_attention_finish();
  begin_section(isa->name, "conversions");
  test_conversions();
  begin_section(isa->name, "transpose");
  test_typed();
  test_transpose();
  test_copy_2d();
  begin_section(isa->name, "windows");
  test_depthwise(fused);
  test_winograd();
  test_pool();
}
