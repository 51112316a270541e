// The softmax of fused attention: rows of scores against one block of keys, and the union of two
// blocks. An entry's place in the sums is that of its key, so entries that weigh nothing, wherever
// they are, leave the others' bits alone.
#ifndef MARTLET_VECTORS_ATTENTION_H
#define MARTLET_VECTORS_ATTENTION_H

#include "vectors_convert.h"
#include "vectors_norm.h"

// e^x for x <= 0, within 3 * 2^-24 and |x| * 2^-25 relative, 1 at 0; results below 2^-126 may be zero.
//
// 2^(x log2 e) with a polynomial of degree 5 (a minimax fit) about the nearest integer exponent.
// What softmax divides by holds the same error as what it divides, and long sums hold more.
MK_INLINE vf vf_exp_weight(vf x) {
  enum { BIAS = 127 };
  x = vf_at_least(x, vf_splat(-88.0f));  // whose exponent, -127, makes the scale below zero
  const vf shifted = vf_fma(x, vf_splat(LOG2_E), vf_splat(ROUNDING + BIAS));
  const vf f = vf_fma(x, vf_splat(LOG2_E), vf_splat(ROUNDING + BIAS) - shifted);
  vf p = vf_splat(0x1.5bda40p-10f);
  p = vf_fma(p, f, vf_splat(0x1.3ce8acp-7f));
  p = vf_fma(p, f, vf_splat(0x1.c6b6d8p-5f));
  p = vf_fma(p, f, vf_splat(0x1.ebf9c2p-3f));
  p = vf_fma(p, f, vf_splat(0x1.62e42ap-1f));
  p = vf_fma(p, f, vf_splat(1.0f));
  return p * (vf)((vi)shifted << 23);
}

// The subtrahend of a row whose maximum is `max`: -Inf - -Inf must stay -Inf.
MK_INLINE float attention_base(float max) { return max == -__builtin_inff() ? 0.0f : max; }

// -Inf in the lanes whose flag, of `count` at most LANES, is zero.
MK_INLINE vf hide_flagged(vf x, const uint8_t *flags, int64_t count) {
  typedef uint8_t bytes __attribute__((vector_size(LANES)));
  bytes b = {0};
  if (count >= LANES) {
    __builtin_memcpy(&b, flags, LANES);
  } else {
    copy_elements(&b, flags, count, 1);
  }
  vi shown = __builtin_convertvector(b, vi) != 0;
  return vf_select(shown, x, vf_splat(-__builtin_inff()));
}

// Softcap and the mask on `count` scores from i on, the lanes past them being -Inf already; those before
// the entry `first` become -Inf.
MK_INLINE vf attention_adjusted(vf x, const void *mask, int32_t kind, int64_t i, int64_t count,
                                int64_t first, float softcap) {
  const vf hidden = vf_splat(-__builtin_inff());
  if (softcap > 0.0f) {
    x = softcap * vf_tanh(x * (1.0f / softcap));
    if (count < LANES) x = vf_select(vi_lane_numbers() >= (int32_t)count, hidden, x);
  }
  if (kind == MK_MASK_ADD) {
    const float *m = (const float *)mask + i;
    x = x + (count >= LANES ? vf_load(m) : vf_load_part(m, count, 0.0f));
  }
  if (kind == MK_MASK_BYTES) x = hide_flagged(x, (const uint8_t *)mask + i, count);
  if (i < first) {
    const int32_t before = first - i < LANES ? (int32_t)(first - i) : LANES;
    x = vf_select(vi_lane_numbers() < before, hidden, x);
  }
  return x;
}

// Maxima of so many rows go side by side: each is a long way down to one lane. Then their weights go
// row by row, whose constants fit the registers; what is in between stays in L1.
enum { SOFTMAX_ROWS = 4, SOFTMAX_CHUNK = 16 };

// One row's scores adjusted in place. Returns its maximum, NaNs passed over (they come back through
// the sum).
static float attention_adjust_row(const mk_attention_rows *a, float *scores, const void *mask,
                                  int64_t first, int64_t kept) {
  const int32_t kind = mask ? a->mask_kind : MK_MASK_NONE;
  vf top = vf_splat(-__builtin_inff());
  for (int64_t i = 0; i < kept; i += LANES) {
    int64_t count = kept - i;
    vf x = count >= LANES ? vf_load(scores + i)
                          : vf_load_part(scores + i, count, -__builtin_inff());
    x = attention_adjusted(x, mask, kind, i, count, first, a->softcap);
    vf_store(scores + i, x);
    top = vf_larger(x, top);
  }
  return max_of_lanes(top);
}

// Maxima of rows whose first `common` entries all count.
MK_INLINE void attention_maxima(int rows, float *const *scores, const int64_t *kept, int64_t common,
                                float *max) {
  vf top[SOFTMAX_ROWS];
  MK_UNROLL for (int r = 0; r < rows; r++) top[r] = vf_splat(-__builtin_inff());
  for (int64_t i = 0; i < common; i += LANES)
    MK_UNROLL for (int r = 0; r < rows; r++) top[r] = vf_larger(vf_load(scores[r] + i), top[r]);
  for (int r = 0; r < rows; r++) {
    for (int64_t i = common; i < kept[r]; i += LANES) {
      const int64_t left = kept[r] - i;
      top[r] = vf_larger(left >= LANES ? vf_load(scores[r] + i)
                                       : vf_load_part(scores[r] + i, left, -__builtin_inff()),
                         top[r]);
    }
  }
  MK_UNROLL for (int r = 0; r < rows; r++) max[r] = max_of_lanes(top[r]);
}

MK_INLINE void store_weights(bool is_bf16, void *weights, int64_t i, vf w) {
  if (is_bf16) {
    vh h = bf16_from_f32(w);
    __builtin_memcpy((uint16_t *)weights + i, &h, sizeof h);
  } else {
    vf_store((float *)weights + i, w);
  }
}

// A row's weights; returns their sum: the entry at i belongs to lane i % LANES of the partial sums.
MK_INLINE float attention_weights(bool is_bf16, float *scores, int64_t kept, int64_t filled,
                                  float max) {
  const vf base = vf_splat(attention_base(max));
  vf sum = vf_splat(0.0f);
  int64_t i = 0;
  for (; i < kept; i += LANES) {
    const int64_t left = kept - i;
    const vf x = left >= LANES ? vf_load(scores + i)
                               : vf_load_part(scores + i, left, -__builtin_inff());
    const vf w = vf_exp_weight(x - base);
    store_weights(is_bf16, scores, i, w);
    sum = sum + w;
  }
  for (; i < filled; i += LANES) store_weights(is_bf16, scores, i, vf_splat(0.0f));
  return sum_of_lanes(sum);
}

MK_INLINE void attention_row_maxima(int rows, const mk_attention_rows *a, int64_t first) {
  float *scores[SOFTMAX_ROWS];
  const int64_t *kept = a->kept + first;
  int64_t common = a->filled;
  for (int r = 0; r < rows; r++) {
    scores[r] = (float *)((char *)a->scores + (first + r) * a->stride);
    common = kept[r] < common ? kept[r] : common;
  }
  if (!a->masks && !a->hidden && !(a->softcap > 0.0f)) {
    attention_maxima(rows, scores, kept, common - common % LANES, a->max + first);
    return;
  }
  for (int r = 0; r < rows; r++)
    a->max[first + r] = attention_adjust_row(a, scores[r], a->masks ? a->masks[first + r] : 0,
                                             a->hidden ? a->hidden[first + r] : 0, kept[r]);
}

static void attention_softmax(const mk_attention_rows *a) {
  for (int64_t start = 0; start < a->rows; start += SOFTMAX_CHUNK) {
    const int64_t end = a->rows - start < SOFTMAX_CHUNK ? a->rows : start + SOFTMAX_CHUNK;
    int64_t row = start;
    for (; row + SOFTMAX_ROWS <= end; row += SOFTMAX_ROWS)
      attention_row_maxima(SOFTMAX_ROWS, a, row);
    for (; row < end; row++) attention_row_maxima(1, a, row);
    for (row = start; row < end; row++) {
      float *scores = (float *)((char *)a->scores + row * a->stride);
      const float max = a->max[row];
      a->sum[row] = a->weights_bf16
                      ? attention_weights(true, scores, a->kept[row], a->filled, max)
                      : attention_weights(false, scores, a->kept[row], a->filled, max);
    }
  }
}

static void attention_merge(const mk_attention_union *u) {
  for (int64_t row = 0; row < u->rows; row++) {
    float *sums = (float *)((char *)u->sums + row * u->sums_stride);
    const float *block = (const float *)((const char *)u->block + row * u->block_stride);
    float old = u->max[row], new = u->block_max[row];
    float max = new > old ? new : old;
    float base = attention_base(max);
    vf keep = vf_exp_weight(vf_splat(old - base)), take = vf_exp_weight(vf_splat(new - base));
    u->max[row] = max;
    u->sum[row] =
      scalar_of(vf_fma(keep, vf_splat(u->sum[row]), take * vf_splat(u->block_sum[row])));
    for (int64_t i = 0; i < u->width; i += LANES) {
      int64_t count = u->width - i;
      vf x = count >= LANES ? vf_load(sums + i) : vf_load_part(sums + i, count, 0.0f);
      vf y = count >= LANES ? vf_load(block + i) : vf_load_part(block + i, count, 0.0f);
      store_lanes(sums + i, vf_fma(keep, x, take * y), count);
    }
  }
}

// ---------------------------------------------------------------------------- few queries

// As many keys as a block of the transpose has rows: one vector, a lane per key.
typedef float vk __attribute__((vector_size(4 * BLOCK)));

// *a * b + c
MK_INLINE vk vk_fma(const float *a, vk b, vk c) {
  int32_t bits;  // as in vf_splat
  __builtin_memcpy(&bits, a, sizeof bits);
  const vk all = (vk)((vt){0} + bits);
#if MK_HAS_FMA
  return __builtin_elementwise_fma(all, b, c);
#else
  return all * b + c;
#endif
}

// Elements 0 ..< BLOCK of BLOCK rows, element by element: turned[e] holds element e of each row.
MK_INLINE void turn_keys(const char *src, int64_t stride, vk turned[BLOCK]) {
  typedef float quarter __attribute__((vector_size(16)));
  MK_UNROLL for (int e = 0; e < BLOCK; e += 4) {
    vk r[4], t[4];
    MK_UNROLL for (int i = 0; i < 4; i++) {
      quarter low;
      __builtin_memcpy(&low, src + i * stride + e * 4, 16);
#if MK_VECTOR_BYTES == 16
      r[i] = low;
#else
      // Halves of rows i and i + 4 joined at once: then nothing has to cross between halves.
      quarter high;
      __builtin_memcpy(&high, src + 4 * stride + i * stride + e * 4, 16);
      r[i] = __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7);
#endif
    }
#if MK_VECTOR_BYTES == 16
#define MK_LOWER_PAIRS(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define MK_UPPER_PAIRS(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define MK_LOWER_HALVES(a, b) __builtin_shufflevector(a, b, 0, 1, 4, 5)
#define MK_UPPER_HALVES(a, b) __builtin_shufflevector(a, b, 2, 3, 6, 7)
#else
#define MK_LOWER_PAIRS(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define MK_UPPER_PAIRS(a, b) __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define MK_LOWER_HALVES(a, b) __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define MK_UPPER_HALVES(a, b) __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#endif
    t[0] = MK_LOWER_PAIRS(r[0], r[1]);
    t[1] = MK_UPPER_PAIRS(r[0], r[1]);
    t[2] = MK_LOWER_PAIRS(r[2], r[3]);
    t[3] = MK_UPPER_PAIRS(r[2], r[3]);
    turned[e] = MK_LOWER_HALVES(t[0], t[2]);
    turned[e + 1] = MK_UPPER_HALVES(t[0], t[2]);
    turned[e + 2] = MK_LOWER_HALVES(t[1], t[3]);
    turned[e + 3] = MK_UPPER_HALVES(t[1], t[3]);
#undef MK_LOWER_PAIRS
#undef MK_UPPER_PAIRS
#undef MK_LOWER_HALVES
#undef MK_UPPER_HALVES
  }
}

// Several rows take turns on so many lines that stay in L1.
enum { FEW_ROWS = 4, MIXTURE_LINES = 64 };

// The rows from `row` on that a body takes; those past the end are the last one again.
MK_INLINE void few_rows_of(const mk_few_rows *f, const int rows, int64_t row, const float **lhs) {
  MK_UNROLL for (int r = 0; r < rows; r++) {
    const int64_t i = row + r < f->m ? row + r : f->m - 1;
    lhs[r] = (const float *)((const char *)f->lhs + i * f->lhs_stride);
  }
}

// Products of some queries with the whole blocks at j, whose chains over k, a multiple of BLOCK, hide
// each other's latency.
MK_INLINE void attention_products_body(const int rows, const int blocks, const mk_few_rows *f,
                                       int64_t row, int64_t j) {
  const int64_t stride = f->rhs_stride;
  const char *rhs = (const char *)f->rhs + j * stride;
  const float *lhs[FEW_ROWS];
  few_rows_of(f, rows, row, lhs);
  vk c[4][FEW_ROWS];
  MK_UNROLL for (int b = 0; b < blocks; b++) MK_UNROLL for (int r = 0; r < rows; r++)
    c[b][r] = (vk){0};
  for (int64_t p = 0; p < f->k; p += BLOCK, rhs += BLOCK * 4) {
    const char *from = rhs;
    MK_UNROLL for (int b = 0; b < blocks; b++, from += BLOCK * stride) {
      __asm__ volatile("" : "+r"(from) : : "memory");  // one pointer and one block at a time
      vk turned[BLOCK];
      turn_keys(from, stride, turned);
      MK_UNROLL for (int e = 0; e < BLOCK; e++) MK_UNROLL for (int r = 0; r < rows; r++)
        c[b][r] = vk_fma(lhs[r] + p + e, turned[e], c[b][r]);
      if (p % 16 == 0) {  // a line of each key of the next blocks
        const char *ahead = from + blocks * BLOCK * stride;
        MK_UNROLL for (int i = 0; i < BLOCK; i++, ahead += stride) __builtin_prefetch(ahead, 0, 3);
      }
    }
  }
  MK_UNROLL for (int r = 0; r < rows; r++) {
    if (row + r >= f->m) break;
    float *dst = (float *)((char *)f->dst + (row + r) * f->dst_stride) + j;
    MK_UNROLL for (int b = 0; b < blocks; b++) {
      const vk y = f->alpha * c[b][r];
      __builtin_memcpy(dst + b * BLOCK, &y, sizeof y);
    }
  }
}

// Any shape: keys turned by blocks on the stack, as many as fill the latency of a chain.
static void attention_products_any(const mk_few_rows *f) {
  enum { KEYS = 32, DEPTH = 64, VECTORS = KEYS / LANES };
  float turned[DEPTH * KEYS];
  for (int64_t j0 = 0; j0 < f->n; j0 += KEYS) {
    const int64_t keys = f->n - j0 < KEYS ? f->n - j0 : KEYS;
    const char *rhs = (const char *)f->rhs + j0 * f->rhs_stride;
    if (keys < KEYS || f->k == 0) __builtin_memset(turned, 0, sizeof turned);
    int64_t p0 = 0;
    do {
      const int64_t depth = f->k - p0 < DEPTH ? f->k - p0 : DEPTH;
      transpose32(keys, depth, rhs + p0 * 4, f->rhs_stride, turned, KEYS * 4);
      for (int64_t i = 0; i < f->m; i++) {
        const float *lhs = (const float *)((const char *)f->lhs + i * f->lhs_stride) + p0;
        float *dst = (float *)((char *)f->dst + i * f->dst_stride) + j0;
        vf c[VECTORS];
        MK_UNROLL for (int v = 0; v < VECTORS; v++) {
          const int64_t left = keys - v * LANES;
          c[v] = p0 == 0 || left <= 0 ? vf_splat(0.0f)
                 : left >= LANES      ? vf_load(dst + v * LANES)
                                      : vf_load_part(dst + v * LANES, left, 0.0f);
        }
        _Pragma(MK_HEAVY) for (int64_t p = 0; p < depth; p++) {
          const vf x = vf_splat(lhs[p]);
          MK_UNROLL for (int v = 0; v < VECTORS; v++)
            c[v] = vf_fma(x, vf_load(turned + p * KEYS + v * LANES), c[v]);
        }
        const bool last = p0 + depth == f->k;
        MK_UNROLL for (int v = 0; v < VECTORS; v++) {
          const int64_t left = keys - v * LANES;
          const vf sum = last ? f->alpha * c[v] : c[v];
          if (left > 0) store_lanes(dst + v * LANES, sum, left);
        }
      }
      p0 += depth;
    } while (p0 < f->k);
  }
}

static void attention_products(const mk_few_rows *f) {
  enum { ALONE = 4, TOGETHER = 2 };
  const int64_t keys = (f->m == 1 ? ALONE : TOGETHER) * BLOCK;
  if (f->k % BLOCK != 0 || f->n < keys) {
    attention_products_any(f);
    return;
  }
  for (int64_t row = 0; row < f->m; row += FEW_ROWS) {
    for (int64_t next = 0; next < f->n; next += keys) {
      const int64_t j = next < f->n - keys ? next : f->n - keys;  // some of the last ones once more
      if (f->m == 1) {
        attention_products_body(1, ALONE, f, row, j);
      } else if (f->m == 2) {
        attention_products_body(2, TOGETHER, f, row, j);
      } else {
        attention_products_body(FEW_ROWS, TOGETHER, f, row, j);
      }
    }
  }
}

// Mixtures of some rows in `vectors` whole vectors of columns from j on, or in a part of one, over the
// lines p0 ..< p1: the sums before them are in dst.
MK_INLINE void attention_mixtures_body(const int rows, const int vectors, const bool is_part,
                                       const mk_few_rows *f, int64_t row, int64_t j, int64_t p0,
                                       int64_t p1) {
  const int64_t left = f->n - j;
  const float *lhs[FEW_ROWS];
  float *dst[FEW_ROWS];
  vf c[FEW_ROWS][8];
  few_rows_of(f, rows, row, lhs);
  MK_UNROLL for (int r = 0; r < rows; r++) {
    const int64_t i = row + r < f->m ? row + r : f->m - 1;
    dst[r] = (float *)((char *)f->dst + i * f->dst_stride) + j;
    MK_UNROLL for (int v = 0; v < vectors; v++) c[r][v] = p0 == 0 ? vf_splat(0.0f)
                                                          : is_part
                                                            ? vf_load_part(dst[r], left, 0.0f)
                                                            : vf_load(dst[r] + v * LANES);
  }
  const char *line = (const char *)(f->rhs + j) + p0 * f->rhs_stride;
  for (int64_t p = p0; p < p1; p++, line += f->rhs_stride) {
    vf y[8];
    MK_UNROLL for (int v = 0; v < vectors; v++)
      y[v] = is_part ? vf_load_part((const float *)line, left, 0.0f)
                     : vf_load((const float *)line + v * LANES);
    MK_UNROLL for (int r = 0; r < rows; r++) {
      const vf x = vf_splat(lhs[r][p]);
      MK_UNROLL for (int v = 0; v < vectors; v++) c[r][v] = vf_fma(x, y[v], c[r][v]);
    }
    // Columns of lines, each of which lies elsewhere, no processor foresees.
    if (rows > 1) __builtin_prefetch(line + MIXTURE_LINES * f->rhs_stride, 0, 3);
  }
  // A row that was taken twice is stored twice.
  MK_UNROLL for (int r = 0; r < rows; r++) MK_UNROLL for (int v = 0; v < vectors; v++) {
    if (is_part) {
      vf_store_part(dst[r], c[r][v], left);
    } else {
      vf_store(dst[r] + v * LANES, c[r][v]);
    }
  }
}

// Columns from j on in groups of vectors, then in single ones.
#define MK_MIXTURES(rows, vectors)                                                               \
  for (; f->n - j >= (vectors) * LANES; j += (vectors) * LANES)                                  \
    attention_mixtures_body(rows, vectors, false, f, row, j, p, end);                            \
  for (; f->n - j >= LANES; j += LANES)                                                          \
    attention_mixtures_body(rows, 1, false, f, row, j, p, end);

static void attention_mixtures(const mk_few_rows *f) {
  const int64_t lines = f->m == 1 ? f->k : MIXTURE_LINES;
  int64_t p = 0;
  do {
    const int64_t end = f->k - p < lines ? f->k : p + lines;
    for (int64_t row = 0; row < f->m; row += FEW_ROWS) {
      int64_t j = 0;
      if (f->m == 1) {
        MK_MIXTURES(1, 8)
      } else if (f->m == 2) {
        MK_MIXTURES(2, 4)
      } else {
        MK_MIXTURES(FEW_ROWS, 2)
      }
      if (j < f->n) attention_mixtures_body(FEW_ROWS, 1, true, f, row, j, p, end);
    }
    p = end;
  } while (p < f->k);
}
#undef MK_MIXTURES

// The addition of zero turns -0 into 0, whatever hidden keys came after.
static void attention_finish(int64_t rows, int64_t width, const float *src, int64_t src_stride,
                             const float *sum, float *dst, int64_t dst_stride) {
  for (int64_t row = 0; row < rows; row++) {
    const float *from = (const float *)((const char *)src + row * src_stride);
    float *to = (float *)((char *)dst + row * dst_stride);
    const vf factor = vf_splat(1.0f / sum[row]), zero = vf_splat(0.0f);
    int64_t i = 0;
    for (; width - i >= LANES; i += LANES) vf_store(to + i, factor * vf_load(from + i) + zero);
    if (i < width)
      vf_store_part(to + i, factor * vf_load_part(from + i, width - i, 0.0f) + zero, width - i);
  }
}

#endif
