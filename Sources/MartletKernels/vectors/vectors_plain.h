// Tiles of products of float64 and of integers, which wrap around.
#ifndef MARTLET_VECTORS_PLAIN_H
#define MARTLET_VECTORS_PLAIN_H

#include "vectors_lanes.h"

enum { PLAIN_ROWS = 4 };

// dst[r][j] (added to, or anew) = the sum over p, in order, of lhs[r][p] * rhs[p][j], for up to
// PLAIN_ROWS rows and two vectors of columns; rhs is packed, two vectors for each p.
#define MK_PLAIN(name, T, MULTIPLY_ADD)                                                           \
  typedef T plain_##name __attribute__((vector_size(MK_VECTOR_BYTES)));                           \
  MK_INLINE void plain_rows_##name(int rows, const mk_plain_tile *t) {                            \
    enum { WIDTH = MK_VECTOR_BYTES / (int)sizeof(T) };                                            \
    plain_##name sums[PLAIN_ROWS][2];                                                             \
    MK_UNROLL for (int r = 0; r < rows; r++) {                                                    \
      if (t->adds) __builtin_memcpy(sums[r], (T *)t->dst + r * t->dst_row, sizeof sums[r]);       \
      else sums[r][0] = sums[r][1] = (plain_##name){0};                                           \
    }                                                                                             \
    const T *lhs = t->lhs, *rhs = t->rhs;                                                         \
    for (int64_t p = 0; p < t->k; p++, lhs += t->lhs_column, rhs += 2 * WIDTH) {                  \
      plain_##name b0, b1;                                                                        \
      __builtin_memcpy(&b0, rhs, sizeof b0);                                                      \
      __builtin_memcpy(&b1, rhs + WIDTH, sizeof b1);                                              \
      MK_UNROLL for (int r = 0; r < rows; r++) {                                                  \
        const plain_##name a = lhs[r * t->lhs_row] - (plain_##name){0};                           \
        sums[r][0] = MULTIPLY_ADD(a, b0, sums[r][0]);                                             \
        sums[r][1] = MULTIPLY_ADD(a, b1, sums[r][1]);                                             \
      }                                                                                           \
    }                                                                                             \
    MK_UNROLL for (int r = 0; r < rows; r++) {                                                    \
      __builtin_memcpy((T *)t->dst + r * t->dst_row, sums[r], sizeof sums[r]);                    \
    }                                                                                             \
  }                                                                                               \
  static void plain_tile_##name(const mk_plain_tile *t) {                                         \
    switch (t->rows) {                                                                            \
      case 1: plain_rows_##name(1, t); return;                                                    \
      case 2: plain_rows_##name(2, t); return;                                                    \
      case 3: plain_rows_##name(3, t); return;                                                    \
      case 4: plain_rows_##name(4, t); return;                                                    \
      default: return;                                                                            \
    }                                                                                             \
  }

#if MK_HAS_FMA
#define MK_PLAIN_FMA(a, b, c) __builtin_elementwise_fma(a, b, c)
#else
#define MK_PLAIN_FMA(a, b, c) ((a) * (b) + (c))
#endif
#define MK_PLAIN_WRAP(a, b, c) ((a) * (b) + (c))

MK_PLAIN(f64, double, MK_PLAIN_FMA)
// Unsigned: they wrap, and signed ones have the same bits.
MK_PLAIN(u8, uint8_t, MK_PLAIN_WRAP)
MK_PLAIN(u16, uint16_t, MK_PLAIN_WRAP)
MK_PLAIN(u32, uint32_t, MK_PLAIN_WRAP)
MK_PLAIN(u64, uint64_t, MK_PLAIN_WRAP)

#endif
