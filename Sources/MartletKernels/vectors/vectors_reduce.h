// Reductions of one row. The order of a sum is a function of the row's length alone: four vectors
// of partial sums over blocks of a fixed size, the blocks' sums added up lane by lane, then the
// lanes halved down to one.
#ifndef MARTLET_VECTORS_REDUCE_H
#define MARTLET_VECTORS_REDUCE_H

#include "vectors_elementwise.h"

// Elements per block: keeps the error of a long sum near that of a pairwise one.
enum { REDUCE_STRIDE = 4 * LANES, REDUCE_BLOCK = 256 * REDUCE_STRIDE };

#define MK_PLUS(x, y) ((x) + (y))
#define MK_TIMES(x, y) ((x) * (y))
#define MK_ITSELF(x) (x)
#define MK_SQUARE(x) ((x) * (x))

MK_INLINE float sum_of_lanes(vf v) { return VF_FOLDED(v, MK_PLUS); }

// One row's total of term(x) under the operator `op` (associative but for rounding).
// `identity` is the operator's neutral element, `fill` an x whose term is neutral.
#define MK_REDUCE_ROW(name, identity, fill, op, term)                                             \
  MK_INLINE float name(int64_t n, const float *src) {                                             \
    vf total = vf_splat(identity);                                                                \
    int64_t i = 0;                                                                                \
    while (n - i >= REDUCE_STRIDE) {                                                              \
      int64_t end = n - i < REDUCE_BLOCK ? n - (n - i) % REDUCE_STRIDE : i + REDUCE_BLOCK;        \
      vf s0 = vf_splat(identity), s1 = s0, s2 = s0, s3 = s0;                                      \
      for (; i < end; i += REDUCE_STRIDE) {                                                       \
        vf x0 = vf_load(src + i), x1 = vf_load(src + i + LANES);                                  \
        vf x2 = vf_load(src + i + 2 * LANES), x3 = vf_load(src + i + 3 * LANES);                  \
        s0 = op(s0, term(x0));                                                                    \
        s1 = op(s1, term(x1));                                                                    \
        s2 = op(s2, term(x2));                                                                    \
        s3 = op(s3, term(x3));                                                                    \
      }                                                                                           \
      total = op(total, op(op(s0, s1), op(s2, s3)));                                              \
    }                                                                                             \
    for (; n - i >= LANES; i += LANES) total = op(total, term(vf_load(src + i)));                 \
    if (i < n) total = op(total, term(vf_load_part(src + i, n - i, fill)));                       \
    return VF_FOLDED(total, op);                                                                  \
  }                                                                                               \
  static float reduce_##name(int64_t n, const float *src) { return name(n, src); }

MK_REDUCE_ROW(row_sum, 0.0f, 0.0f, MK_PLUS, MK_ITSELF)
MK_REDUCE_ROW(row_sum_squares, 0.0f, 0.0f, MK_PLUS, MK_SQUARE)
MK_REDUCE_ROW(row_sum_abs, 0.0f, 0.0f, MK_PLUS, vf_abs)
MK_REDUCE_ROW(row_prod, 1.0f, 1.0f, MK_TIMES, MK_ITSELF)

// The row's extremum, NaN if there is one: NaNs are looked for beside the comparison, which
// passes over them. `better` says which of two elements is the best so far.
#define MK_REDUCE_EXTREMUM(name, worst, better)                                                   \
  MK_INLINE float name(int64_t n, const float *src) {                                             \
    vf b0 = vf_splat(worst), b1 = b0, b2 = b0, b3 = b0;                                           \
    vi nan = vi_splat(0);                                                                         \
    int64_t i = 0;                                                                                \
    for (; n - i >= REDUCE_STRIDE; i += REDUCE_STRIDE) {                                          \
      vf x0 = vf_load(src + i), x1 = vf_load(src + i + LANES);                                    \
      vf x2 = vf_load(src + i + 2 * LANES), x3 = vf_load(src + i + 3 * LANES);                    \
      nan |= ~((x0 == x0) & (x1 == x1) & (x2 == x2) & (x3 == x3));                                \
      b0 = better(x0, b0);                                                                        \
      b1 = better(x1, b1);                                                                        \
      b2 = better(x2, b2);                                                                        \
      b3 = better(x3, b3);                                                                        \
    }                                                                                             \
    for (; i < n; i += LANES) {                                                                   \
      vf x = n - i >= LANES ? vf_load(src + i) : vf_load_part(src + i, n - i, worst);             \
      nan |= x != x;                                                                              \
      b0 = better(x, b0);                                                                         \
    }                                                                                             \
    if (vi_any(nan)) return __builtin_nanf("");                                                   \
    b0 = better(b1, b0);                                                                          \
    b2 = better(b3, b2);                                                                          \
    b0 = better(b2, b0);                                                                          \
    return VF_FOLDED(b0, better);                                                                 \
  }                                                                                               \
  static float reduce_##name(int64_t n, const float *src) { return name(n, src); }

MK_REDUCE_EXTREMUM(row_max, -__builtin_inff(), vf_larger)
MK_REDUCE_EXTREMUM(row_min, __builtin_inff(), vf_smaller)

// The row's maximum, NaNs passed over.
MK_INLINE vf row_top(int64_t n, const float *src) {
  const vf lowest = vf_splat(-__builtin_inff());
  vf b0 = lowest, b1 = lowest, b2 = lowest, b3 = lowest;
  int64_t i = 0;
  for (; n - i >= REDUCE_STRIDE; i += REDUCE_STRIDE) {
    b0 = vf_larger(vf_load(src + i), b0);
    b1 = vf_larger(vf_load(src + i + LANES), b1);
    b2 = vf_larger(vf_load(src + i + 2 * LANES), b2);
    b3 = vf_larger(vf_load(src + i + 3 * LANES), b3);
  }
  for (; i < n; i += LANES) {
    vf x = n - i >= LANES ? vf_load(src + i) : vf_load_part(src + i, n - i, -__builtin_inff());
    b0 = vf_larger(x, b0);
  }
  return vf_larger(vf_larger(b3, b2), vf_larger(b1, b0));
}

MK_INLINE float max_of_lanes(vf v) { return VF_FOLDED(v, vf_larger); }

#endif
