// The elementwise entries of the table.
//
// One body per operator serves every element: rows shorter than a vector go through a register
// filled up with ones, longer rows end with one vector that overlaps its neighbour and was loaded
// before anything was stored, so that dst may equal a source.
#ifndef MARTLET_VECTORS_ELEMENTWISE_H
#define MARTLET_VECTORS_ELEMENTWISE_H

#include "vectors_arc.h"
#include "vectors_log.h"
#include "vectors_trig.h"

// ------------------------------------------------------------------- rounding, extrema

#if !MK_HAS_ROUND
// To an integral value, half to even, the sign kept; what has no fraction stays.
MK_INLINE vf vf_round_portable(vf x) {
  vf t = vf_abs(x);
  vf r = (t + 0x1p23f) - 0x1p23f;
  r = (vf)((vi)r | vf_sign_bits(x));
  return vf_select(t < 0x1p23f, r, x);
}
#endif

MK_INLINE vf vf_round(vf x) {
#if MK_HAS_ROUND
  return __builtin_elementwise_roundeven(x);
#else
  return vf_round_portable(x);
#endif
}

MK_INLINE vf vf_floor(vf x) {
#if MK_HAS_ROUND
  return __builtin_elementwise_floor(x);
#else
  vf r = vf_round_portable(x);
  r = r - (vf)((r > x) & (vi)vf_splat(1.0f));
  return (vf)((vi)r | vf_sign_bits(x));
#endif
}

MK_INLINE vf vf_ceil(vf x) {
#if MK_HAS_ROUND
  return __builtin_elementwise_ceil(x);
#else
  vf r = vf_round_portable(x);
  r = r + (vf)((r < x) & (vi)vf_splat(1.0f));
  return (vf)((vi)r | vf_sign_bits(x));
#endif
}

// A NaN on either side is kept.
MK_INLINE vf vf_max(vf x, vf y) { return vf_select(x != x, x, vf_larger(x, y)); }
MK_INLINE vf vf_min(vf x, vf y) { return vf_select(x != x, x, vf_smaller(x, y)); }

MK_INLINE vf vf_clamp(vf x, vf low, vf high) { return vf_at_most(vf_at_least(x, low), high); }
MK_INLINE vf vf_clamp01(vf x) { return vf_clamp(x, vf_splat(0.0f), vf_splat(1.0f)); }

// ----------------------------------------------------------------------------- unary

// dst[i] = expression of x, a and b; `unroll` vectors per iteration.
#define MK_UNARY(name, unroll, expression)                                                        \
  MK_INLINE vf name##_lanes(vf x, vf a, vf b) {                                                   \
    (void)a;                                                                                      \
    (void)b;                                                                                      \
    return expression;                                                                            \
  }                                                                                               \
  static void name##_f32(int64_t n, const float *src, float *dst, float a, float b) {             \
    vf va = vf_splat(a), vb = vf_splat(b);                                                        \
    if (n < LANES) {                                                                              \
      if (n > 0) vf_store_part(dst, name##_lanes(vf_load_part(src, n, 1.0f), va, vb), n);         \
      return;                                                                                     \
    }                                                                                             \
    vf last = vf_load(src + n - LANES);                                                           \
    _Pragma(unroll) for (int64_t i = 0; i < n - LANES; i += LANES) {                              \
      vf_store(dst + i, name##_lanes(vf_load(src + i), va, vb));                                  \
    }                                                                                             \
    vf_store(dst + n - LANES, name##_lanes(last, va, vb));                                        \
  }

#define MK_LIGHT "clang loop unroll_count(4)"
#define MK_HEAVY "clang loop unroll(disable)"

// The same for long expressions, with one copy of the expression in the code: the last vector, whole
// or not, comes by the same way as the others.
#define MK_UNARY_LONG(name, expression)                                                           \
  MK_INLINE vf name##_lanes(vf x, vf a, vf b) {                                                   \
    (void)a;                                                                                      \
    (void)b;                                                                                      \
    return expression;                                                                            \
  }                                                                                               \
  static void name##_f32(int64_t n, const float *src, float *dst, float a, float b) {             \
    vf va = vf_splat(a), vb = vf_splat(b);                                                        \
    if (n <= 0) return;                                                                           \
    vf last = n < LANES ? vf_load_part(src, n, 1.0f) : vf_load(src + n - LANES);                  \
    _Pragma(MK_HEAVY) for (int64_t i = 0; i < n; i += LANES) {                                    \
      bool more = n - i > LANES;                                                                  \
      vf y = name##_lanes(more ? vf_load(src + i) : last, va, vb);                                \
      if (more) {                                                                                 \
        vf_store(dst + i, y);                                                                     \
      } else if (n >= LANES) {                                                                    \
        vf_store(dst + n - LANES, y);                                                             \
      } else {                                                                                    \
        vf_store_part(dst, y, n);                                                                 \
      }                                                                                           \
    }                                                                                             \
  }

MK_UNARY(copy, MK_LIGHT, x)
MK_UNARY(neg, MK_LIGHT, (vf)((vi)((vu)x ^ 0x80000000u)))
MK_UNARY(abs, MK_LIGHT, vf_abs(x))
MK_UNARY(sqrt, MK_LIGHT, vf_sqrt(x))
MK_UNARY(reciprocal, MK_LIGHT, 1.0f / x)
MK_UNARY_LONG(exp, vf_exp(x))
MK_UNARY_LONG(log, vf_log(x))
MK_UNARY_LONG(tanh, vf_tanh(x))
MK_UNARY_LONG(erf, vf_erf(x))
MK_UNARY_LONG(sigmoid, vf_sigmoid(x))
MK_UNARY_LONG(gelu, vf_gelu(x))
MK_UNARY_LONG(gelu_tanh, vf_gelu_tanh(x))
MK_UNARY_LONG(silu, vf_silu(x))
MK_UNARY(relu, MK_LIGHT, vf_at_least(x, vf_splat(0.0f)))
MK_UNARY(leaky_relu, MK_LIGHT, vf_select(x < 0.0f, a *x, x))
MK_UNARY_LONG(elu, vf_select(x < 0.0f, a *vf_expm1_negative(x), x))
MK_UNARY_LONG(selu, b *vf_select(x < 0.0f, a *vf_expm1_negative(x), x))
MK_UNARY_LONG(celu, vf_select(x < 0.0f, a *vf_expm1_negative(x / a), x))
MK_UNARY_LONG(swish, vf_swish(x, a))
MK_UNARY(clamp, MK_LIGHT, vf_clamp(x, a, b))
MK_UNARY(hard_sigmoid, MK_LIGHT, vf_clamp01(a *x + b))
MK_UNARY(hard_swish, MK_LIGHT, x *vf_clamp01(x * (1.0f / 6.0f) + 0.5f))
MK_UNARY_LONG(softplus, vf_softplus(x))
MK_UNARY_LONG(mish, vf_mish(x))
MK_UNARY_LONG(asin, vf_asin(x))
MK_UNARY_LONG(acos, vf_acos(x))
MK_UNARY_LONG(atan, vf_atan(x))
MK_UNARY(floor, MK_LIGHT, vf_floor(x))
MK_UNARY(ceil, MK_LIGHT, vf_ceil(x))
MK_UNARY(round, MK_LIGHT, vf_round(x))
MK_UNARY_LONG(sin, vf_sin(x))
MK_UNARY_LONG(cos, vf_cos(x))
MK_UNARY(affine, MK_LIGHT, a *x + b)

// ---------------------------------------------------------------------------- binary

// dst[i] = expression of x and y; the steps become constants of three loops.
#define MK_BINARY(name, unroll, expression)                                                       \
  MK_INLINE vf name##_lanes(vf x, vf y) { return expression; }                                    \
  MK_INLINE void name##_steps(int64_t n, const float *x, bool x_moves, const float *y,            \
                              bool y_moves, float *dst) {                                         \
    vf x0 = x_moves ? vf_splat(0.0f) : vf_splat(*x);                                              \
    vf y0 = y_moves ? vf_splat(0.0f) : vf_splat(*y);                                              \
    if (n < LANES) {                                                                              \
      vf r = name##_lanes(x_moves ? vf_load_part(x, n, 1.0f) : x0,                                \
                          y_moves ? vf_load_part(y, n, 1.0f) : y0);                               \
      vf_store_part(dst, r, n);                                                                   \
      return;                                                                                     \
    }                                                                                             \
    vf x_last = x_moves ? vf_load(x + n - LANES) : x0;                                            \
    vf y_last = y_moves ? vf_load(y + n - LANES) : y0;                                            \
    _Pragma(unroll) for (int64_t i = 0; i < n - LANES; i += LANES) {                              \
      vf_store(dst + i, name##_lanes(x_moves ? vf_load(x + i) : x0,                               \
                                     y_moves ? vf_load(y + i) : y0));                             \
    }                                                                                             \
    vf_store(dst + n - LANES, name##_lanes(x_last, y_last));                                      \
  }                                                                                               \
  static void name##_f32(int64_t n, const float *x, int64_t x_step, const float *y,               \
                         int64_t y_step, float *dst) {                                            \
    if (n <= 0) return;                                                                           \
    if (x_step && y_step) {                                                                       \
      name##_steps(n, x, true, y, true, dst);                                                     \
    } else if (x_step) {                                                                          \
      name##_steps(n, x, true, y, false, dst);                                                    \
    } else if (y_step) {                                                                          \
      name##_steps(n, x, false, y, true, dst);                                                    \
    } else {                                                                                      \
      float both[LANES];                                                                          \
      vf_store(both, name##_lanes(vf_splat(*x), vf_splat(*y)));                                   \
      for (int64_t i = 0; i < n; i++) dst[i] = both[0];                                           \
    }                                                                                             \
  }

MK_BINARY(add, MK_LIGHT, x + y)
MK_BINARY(sub, MK_LIGHT, x - y)
MK_BINARY(mul, MK_LIGHT, x *y)
MK_BINARY(div, MK_LIGHT, x / y)
MK_BINARY(min, MK_LIGHT, vf_min(x, y))
MK_BINARY(max, MK_LIGHT, vf_max(x, y))
MK_BINARY(prelu, MK_LIGHT, vf_select(x < 0.0f, x *y, x))

// As MK_UNARY_LONG: one copy of a long expression.
static void pow_f32(int64_t n, const float *x, int64_t x_step, const float *y, int64_t y_step,
                    float *dst) {
  if (n <= 0) return;
  const int64_t end = n < LANES ? 0 : n - LANES;
  vf x_last = !x_step ? vf_splat(*x) : n < LANES ? vf_load_part(x, n, 1.0f) : vf_load(x + end);
  vf y_last = !y_step ? vf_splat(*y) : n < LANES ? vf_load_part(y, n, 1.0f) : vf_load(y + end);
  for (int64_t i = 0; i < n; i += LANES) {
    bool more = n - i > LANES;
    vf r =
      vf_pow(more && x_step ? vf_load(x + i) : x_last, more && y_step ? vf_load(y + i) : y_last);
    if (n < LANES) {
      vf_store_part(dst, r, n);
    } else {
      vf_store(dst + (more ? i : end), r);
    }
  }
}

// ------------------------------------------------------------------------ accumulation

// acc[i] = expression of acc[i] as x and src[i] as y
#define MK_ACCUMULATE(name, expression)                                                           \
  MK_INLINE vf accumulate_##name##_lanes(vf x, vf y) { return expression; }                       \
  static void accumulate_##name(int64_t n, const float *src, float *acc) {                        \
    if (n < LANES) {                                                                              \
      if (n <= 0) return;                                                                         \
      vf x = vf_load_part(acc, n, 1.0f), y = vf_load_part(src, n, 1.0f);                          \
      vf_store_part(acc, accumulate_##name##_lanes(x, y), n);                                     \
      return;                                                                                     \
    }                                                                                             \
    vf x_last = vf_load(acc + n - LANES), y_last = vf_load(src + n - LANES);                      \
    _Pragma(MK_LIGHT) for (int64_t i = 0; i < n - LANES; i += LANES) {                            \
      vf_store(acc + i, accumulate_##name##_lanes(vf_load(acc + i), vf_load(src + i)));           \
    }                                                                                             \
    vf_store(acc + n - LANES, accumulate_##name##_lanes(x_last, y_last));                         \
  }

MK_ACCUMULATE(sum, x + y)
MK_ACCUMULATE(max, vf_max(x, y))
MK_ACCUMULATE(min, vf_min(x, y))
MK_ACCUMULATE(sum_squares, vf_fma(y, y, x))
MK_ACCUMULATE(sum_abs, x + vf_abs(y))
MK_ACCUMULATE(prod, x *y)

#endif
