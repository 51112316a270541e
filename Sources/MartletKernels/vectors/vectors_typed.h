// Loops left to the compiler's vectors: conversions and comparisons of any type, and the places of
// extremes.
#ifndef MARTLET_VECTORS_TYPED_H
#define MARTLET_VECTORS_TYPED_H

#include "vectors_lanes.h"

// Floats become integers as x86 processors have it, on all of them (Casting.integer): 32 and 64 bits
// truncated, beyond the type its least number; narrower ones the low bits of the 32. The unsigned of 32
// and 64 bits are those bits below 2^31 (2^63), and those of the rest above.
MK_INLINE int32_t f32_to_int(float v) {
  return v >= -0x1p31f && v < 0x1p31f ? (int32_t)v : INT32_MIN;
}
MK_INLINE int32_t f64_to_int(double v) {
  return v > -0x1p31 - 1 && v < 0x1p31 ? (int32_t)v : INT32_MIN;
}
MK_INLINE int64_t f32_to_long(float v) {
  return v >= -0x1p63f && v < 0x1p63f ? (int64_t)v : INT64_MIN;
}
MK_INLINE int64_t f64_to_long(double v) {
  return v >= -0x1p63 && v < 0x1p63 ? (int64_t)v : INT64_MIN;
}

#define MK_CAST(from, S, to, D, expression)                                                       \
  static void cast_##from##_##to(int64_t n, const void *src, void *dst) {                         \
    const S *s = src;                                                                             \
    D *d = dst;                                                                                   \
    for (int64_t i = 0; i < n; i++) {                                                             \
      const S v = s[i];                                                                           \
      d[i] = (D)(expression);                                                                     \
    }                                                                                             \
  }

#define MK_CASTS_OF_REAL(from, S)                                                                 \
  MK_CAST(from, S, f32, float, v)                                                                 \
  MK_CAST(from, S, f64, double, v)                                                                \
  MK_CAST(from, S, i8, int8_t, from##_to_int(v))                                                  \
  MK_CAST(from, S, i16, int16_t, from##_to_int(v))                                                \
  MK_CAST(from, S, i32, int32_t, from##_to_int(v))                                                \
  MK_CAST(from, S, i64, int64_t, from##_to_long(v))                                               \
  MK_CAST(from, S, u8, uint8_t, from##_to_int(v))                                                 \
  MK_CAST(from, S, u16, uint16_t, from##_to_int(v))                                               \
  MK_CAST(from, S, u32, uint32_t,                                                                 \
          v >= (S)0x1p31 ? (uint32_t)from##_to_int(v - (S)0x1p31) ^ 0x80000000u                   \
                         : (uint32_t)from##_to_int(v))                                            \
  MK_CAST(from, S, u64, uint64_t,                                                                 \
          v >= (S)0x1p63 ? (uint64_t)from##_to_long(v - (S)0x1p63) ^ 0x8000000000000000u          \
                         : (uint64_t)from##_to_long(v))                                           \
  MK_CAST(from, S, truth, uint8_t, v != 0)

// Between integers the low bits; to floats rounded once.
#define MK_CASTS_OF_INTEGER(from, S, value)                                                       \
  MK_CAST(from, S, f32, float, value)                                                             \
  MK_CAST(from, S, f64, double, value)                                                            \
  MK_CAST(from, S, i8, int8_t, value)                                                             \
  MK_CAST(from, S, i16, int16_t, value)                                                           \
  MK_CAST(from, S, i32, int32_t, value)                                                           \
  MK_CAST(from, S, i64, int64_t, value)                                                           \
  MK_CAST(from, S, u8, uint8_t, value)                                                            \
  MK_CAST(from, S, u16, uint16_t, value)                                                          \
  MK_CAST(from, S, u32, uint32_t, value)                                                          \
  MK_CAST(from, S, u64, uint64_t, value)                                                          \
  MK_CAST(from, S, truth, uint8_t, v != 0)

MK_CASTS_OF_REAL(f32, float)
MK_CASTS_OF_REAL(f64, double)
MK_CASTS_OF_INTEGER(i8, int8_t, v)
MK_CASTS_OF_INTEGER(i16, int16_t, v)
MK_CASTS_OF_INTEGER(i32, int32_t, v)
MK_CASTS_OF_INTEGER(i64, int64_t, v)
MK_CASTS_OF_INTEGER(u8, uint8_t, v)
MK_CASTS_OF_INTEGER(u16, uint16_t, v)
MK_CASTS_OF_INTEGER(u32, uint32_t, v)
MK_CASTS_OF_INTEGER(u64, uint64_t, v)
MK_CASTS_OF_INTEGER(truth, uint8_t, v != 0)

#define MK_CASTS_FROM(from)                                                                       \
  {                                                                                               \
    cast_##from##_f32, cast_##from##_f64, cast_##from##_i8, cast_##from##_i16, cast_##from##_i32, \
      cast_##from##_i64, cast_##from##_u8, cast_##from##_u16, cast_##from##_u32,                  \
      cast_##from##_u64, cast_##from##_truth                                                       \
  }

// dst[i] = x[i] operator y[i], as 0 or 1; a step of 0 keeps to the first element.
#define MK_COMPARE(name, type, T, operator)                                                       \
  static void name##_##type(int64_t n, const void *xs, int64_t x_step, const void *ys,            \
                            int64_t y_step, uint8_t *dst) {                                       \
    const T *x = xs, *y = ys;                                                                     \
    if (n <= 0) return;                                                                           \
    if (x_step == 1 && y_step == 1) {                                                             \
      for (int64_t i = 0; i < n; i++) dst[i] = x[i] operator y[i];                                \
    } else if (x_step == 1 && y_step == 0) {                                                      \
      const T b = *y;                                                                             \
      for (int64_t i = 0; i < n; i++) dst[i] = x[i] operator b;                                   \
    } else if (x_step == 0 && y_step == 1) {                                                      \
      const T a = *x;                                                                             \
      for (int64_t i = 0; i < n; i++) dst[i] = a operator y[i];                                   \
    } else {                                                                                      \
      for (int64_t i = 0; i < n; i++) dst[i] = x[i * x_step] operator y[i * y_step];              \
    }                                                                                             \
  }

#define MK_COMPARES(type, T)                                                                      \
  MK_COMPARE(equal, type, T, ==)                                                                  \
  MK_COMPARE(less, type, T, <)                                                                    \
  MK_COMPARE(less_or_equal, type, T, <=)

MK_COMPARES(f32, float)
MK_COMPARES(f64, double)
MK_COMPARES(i8, int8_t)
MK_COMPARES(i16, int16_t)
MK_COMPARES(i32, int32_t)
MK_COMPARES(i64, int64_t)
MK_COMPARES(u8, uint8_t)
MK_COMPARES(u16, uint16_t)
MK_COMPARES(u32, uint32_t)
MK_COMPARES(u64, uint64_t)

// Of truth values (bool, the last) only whether they are equal is asked.
static void equal_truth(int64_t n, const void *xs, int64_t x_step, const void *ys, int64_t y_step,
                        uint8_t *dst) {
  const uint8_t *x = xs, *y = ys;
  for (int64_t i = 0; i < n; i++) dst[i] = (x[i * x_step] != 0) == (y[i * y_step] != 0);
}

#define MK_COMPARES_OF(name, last)                                                                \
  {                                                                                               \
    name##_f32, name##_f64, name##_i8, name##_i16, name##_i32, name##_i64, name##_u8, name##_u16, \
      name##_u32, name##_u64, last                                                                \
  }

// x comes before b: first of equals, or last.
#define MK_EXTREME(name, before)                                                                  \
  static void extreme_##name(int64_t n, const float *src, float *best, int32_t *places,           \
                             int32_t at) {                                                        \
    for (int64_t i = 0; i < n; i++) {                                                             \
      const float x = src[i], b = best[i];                                                        \
      const bool takes = before;                                                                  \
      best[i] = takes ? x : b;                                                                    \
      places[i] = takes ? at : places[i];                                                         \
    }                                                                                             \
  }

MK_EXTREME(max, (x > b) | ((x != x) & (b == b)))
MK_EXTREME(min, (x < b) | ((x != x) & (b == b)))
MK_EXTREME(last_max, (x >= b) | (x != x))
MK_EXTREME(last_min, (x <= b) | (x != x))

#endif
