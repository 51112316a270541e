// The error of the elementwise functions against float64, in units in the last place (ulp) of the
// exact result's float: a sample of all 2^32 floats, every STRIDEth of them (an odd number, so that
// every exponent and sign is met), and the table that docs/numerics.md holds.
//
// Usage: ulps [STRIDE [ISA]]   (default 97: 44 million floats a function)
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "limits.h"

enum { CHUNK = 4096 };

static double logistic(double x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }
static double phi(double x) { return x * (0.5 * erfc(-x * M_SQRT1_2)); }
static double gelu_tanh(double x) {
  return x * logistic(2 * sqrt(2 / M_PI) * (x + 0.044715 * x * x * x));
}
static double silu(double x) { return x * logistic(x); }
static double mish(double x) { return x * tanh(x > 0 ? x + log1p(exp(-x)) : log1p(exp(x))); }
static double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }
static double elu(double x) { return x < 0 ? expm1(x) : x; }

static const struct {
  int op;
  const char *name;
  double (*exact)(double);
} functions[] = {
  {MK_UNARY_EXP, "exp", exp},
  {MK_UNARY_LOG, "log", log},
  {MK_UNARY_TANH, "tanh", tanh},
  {MK_UNARY_ERF, "erf", erf},
  {MK_UNARY_SIGMOID, "sigmoid", logistic},
  {MK_UNARY_SILU, "silu", silu},
  {MK_UNARY_GELU, "gelu", phi},
  {MK_UNARY_GELU_TANH, "gelu, tanh form", gelu_tanh},
  {MK_UNARY_SOFTPLUS, "softplus", softplus},
  {MK_UNARY_ELU, "elu", elu},
  {MK_UNARY_CELU, "celu", elu},
  {MK_UNARY_SWISH, "swish", silu},
  {MK_UNARY_SIN, "sin", sin},
  {MK_UNARY_COS, "cos", cos},
  {MK_UNARY_MISH, "mish", mish},
  {MK_UNARY_ASIN, "asin", asin},
  {MK_UNARY_ACOS, "acos", acos},
  {MK_UNARY_ATAN, "atan", atan},
  {MK_UNARY_SQRT, "sqrt", sqrt},
};

// |got - exact| in ulp; below the normal floats in units of 2^-149.
static double error_of(float got, double exact) {
  if (exact != exact || got != got) return (exact != exact) == (got != got) ? 0 : INFINITY;
  const float nearest = (float)exact;
  if (isinf(nearest) || isinf(got)) return nearest == got ? 0 : fabs(exact) > 3.4e38 ? 1 : INFINITY;
  int exponent;
  frexp(exact, &exponent);
  if (exponent < -125) exponent = -125;
  return fabs((double)got - exact) / ldexp(1, exponent - 24);
}

int main(int argc, char **argv) {
  const uint32_t stride = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) | 1 : 97;
  const mk_isa *isa = best_isa(argc > 2 ? argv[2] : NULL);
  printf("Instruction set %s, every %u-th float, errors in ulp.\n\n", isa->name, stride);
  printf("| function | largest | at | mean | Inf, NaN, -0 as float64 |\n|---|---|---|---|---|\n");
  static float x[CHUNK], y[CHUNK];
  for (size_t f = 0; f < sizeof functions / sizeof functions[0]; f++) {
    double worst = 0, sum = 0, count = 0;
    float at = 0;
    bool special = true;
    uint64_t bits = 0;
    while (bits < (1ull << 32)) {
      int n = 0;
      for (; n < CHUNK && bits < (1ull << 32); n++, bits += stride) {
        const uint32_t u = (uint32_t)bits;
        memcpy(&x[n], &u, 4);
      }
      isa->vectors->unary[functions[f].op](n, x, y, 1, 0);
      for (int i = 0; i < n; i++) {
        const double exact = functions[f].exact((double)x[i]);
        const double error = error_of(y[i], exact);
        if (isfinite(exact)) sum += error, count++;
        if (isinf(error)) {
          special = false;
        } else if (error > worst) {
          worst = error, at = x[i];
        }
      }
    }
    const float odd[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN};
    float got[5];
    isa->vectors->unary[functions[f].op](5, odd, got, 1, 0);
    for (int i = 0; i < 5; i++) {
      const double exact = functions[f].exact((double)odd[i]);
      special &= exact != exact ? got[i] != got[i]
                                : (float)exact == got[i] && !signbit(exact) == !signbit(got[i]);
    }
    printf("| %s | %.2f | %g | %.3f | %s |\n", functions[f].name, worst, (double)at, sum / count,
           special ? "yes" : "no");
    fflush(stdout);
  }
  return 0;
}
