// The softmax of fused attention: rows of scores against one block of keys, and the union of two
// blocks. An entry's place in the sums is that of its key, so entries that weigh nothing, wherever
// they are, leave the others' bits alone.
#ifndef MARTLET_VECTORS_ATTENTION_H
#define MARTLET_VECTORS_ATTENTION_H

#include "vectors_convert.h"
#include "vectors_norm.h"

// e^x for x <= 0; results below 2^-126 are zero.
MK_INLINE vf vf_exp_weight(vf x) {
  exponential e = exp_split(vf_at_least(x, vf_splat(-104.0f)));
  vf s = (vf)(__builtin_elementwise_max(e.exponent + 127, vi_splat(0)) << 23);
  return vf_fma(e.fraction, s, s);
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

// The mask and softcap on `count` scores, the lanes past them being -Inf already.
MK_INLINE vf attention_adjusted(vf x, const void *mask, int32_t kind, int64_t i, int64_t count,
                                float softcap) {
  vf added = vf_splat(0.0f);
  if (kind == MK_MASK_ADD) {
    const float *m = (const float *)mask + i;
    added = count >= LANES ? vf_load(m) : vf_load_part(m, count, 0.0f);
    x = x + added;
  }
  if (softcap > 0.0f) {
    vf capped = softcap * vf_tanh(x * (1.0f / softcap));
    vi hidden = added == -__builtin_inff();
    if (count < LANES) hidden |= vi_lane_numbers() >= (int32_t)count;
    x = vf_select(hidden, vf_splat(-__builtin_inff()), capped);
  }
  if (kind == MK_MASK_BYTES) x = hide_flagged(x, (const uint8_t *)mask + i, count);
  return x;
}

// The row's maximum, NaNs passed over (they come back through the sum).
MK_INLINE float attention_row_max(const mk_attention_rows *a, float *scores, const void *mask,
                                  int64_t kept) {
  if (mask || a->softcap > 0.0f) {
    const int32_t kind = mask ? a->mask_kind : MK_MASK_NONE;
    vf top = vf_splat(-__builtin_inff());
    for (int64_t i = 0; i < kept; i += LANES) {
      int64_t count = kept - i;
      vf x = count >= LANES ? vf_load(scores + i)
                            : vf_load_part(scores + i, count, -__builtin_inff());
      x = attention_adjusted(x, mask, kind, i, count, a->softcap);
      vf_store(scores + i, x);
      top = vf_larger(x, top);
    }
    return max_of_lanes(top);
  }
  return max_of_lanes(row_top(kept, scores));
}

MK_INLINE void store_weights(bool is_bf16, void *weights, int64_t i, vf w) {
  if (is_bf16) {
    vh h = bf16_from_f32(w);
    __builtin_memcpy((uint16_t *)weights + i, &h, sizeof h);
  } else {
    vf_store((float *)weights + i, w);
  }
}

// Weights and their sum: the entry at i belongs to lane i % LANES of the partial sums, of which one
// vector keeps up with the exponential.
MK_INLINE float attention_row_weights(bool is_bf16, const float *scores, void *weights, vf base,
                                      int64_t kept, int64_t filled) {
  vf sum = vf_splat(0.0f);
  int64_t i = 0;
  _Pragma(MK_HEAVY) for (; kept - i >= LANES; i += LANES) {
    vf w = vf_exp_weight(vf_load(scores + i) - base);
    store_weights(is_bf16, weights, i, w);
    sum = sum + w;
  }
  if (i < kept) {
    vf x = vf_load_part(scores + i, kept - i, -__builtin_inff());
    vf w = vf_exp_weight(x - base);
    store_weights(is_bf16, weights, i, w);
    sum = sum + w;
    i += LANES;
  }
  for (; i < filled; i += LANES) store_weights(is_bf16, weights, i, vf_splat(0.0f));
  return sum_of_lanes(sum);
}

static void attention_softmax(const mk_attention_rows *a) {
  // A few rows' maxima before their weights: the way down to one lane is long.
  enum { TOGETHER = 4 };
  for (int64_t first = 0; first < a->rows; first += TOGETHER) {
    const int64_t end = first + TOGETHER < a->rows ? first + TOGETHER : a->rows;
    for (int64_t row = first; row < end; row++) {
      float *scores = (float *)((char *)a->scores + row * a->stride);
      a->max[row] = attention_row_max(a, scores, a->masks ? a->masks[row] : 0, a->kept[row]);
    }
    for (int64_t row = first; row < end; row++) {
      float *scores = (float *)((char *)a->scores + row * a->stride);
      const vf base = vf_splat(attention_base(a->max[row]));
      const int64_t kept = a->kept[row];
      a->sum[row] = a->weights_bf16
                        ? attention_row_weights(true, scores, scores, base, kept, a->filled)
                        : attention_row_weights(false, scores, scores, base, kept, a->filled);
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
    u->sum[row] = scalar_of(
        vf_fma(keep, vf_splat(u->sum[row]), take * vf_splat(u->block_sum[row])));
    for (int64_t i = 0; i < u->width; i += LANES) {
      int64_t count = u->width - i;
      vf x = count >= LANES ? vf_load(sums + i) : vf_load_part(sums + i, count, 0.0f);
      vf y = count >= LANES ? vf_load(block + i) : vf_load_part(block + i, count, 0.0f);
      store_lanes(sums + i, vf_fma(keep, x, take * y), count);
    }
  }
}

// Keys turned by blocks on the stack: a chain over k per key, as many keys as fill the latency.
static void attention_products(const mk_few_rows *f) {
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

static void attention_mixtures(const mk_few_rows *f) {
  enum { VECTORS = 8, COLUMNS = VECTORS * LANES };
  for (int64_t i = 0; i < f->m; i++) {
    const float *lhs = (const float *)((const char *)f->lhs + i * f->lhs_stride);
    float *dst = (float *)((char *)f->dst + i * f->dst_stride);
    int64_t j = 0;
    for (; f->n - j >= COLUMNS; j += COLUMNS) {
      vf c[VECTORS];
      MK_UNROLL for (int v = 0; v < VECTORS; v++) c[v] = vf_splat(0.0f);
      const char *line = (const char *)(f->rhs + j);
      for (int64_t p = 0; p < f->k; p++, line += f->rhs_stride) {
        const vf x = vf_splat(lhs[p]);
        MK_UNROLL for (int v = 0; v < VECTORS; v++)
          c[v] = vf_fma(x, vf_load((const float *)line + v * LANES), c[v]);
      }
      MK_UNROLL for (int v = 0; v < VECTORS; v++) vf_store(dst + j + v * LANES, c[v]);
    }
    for (; j < f->n; j += LANES) {
      const int64_t count = f->n - j;
      vf c = vf_splat(0.0f);
      const char *line = (const char *)(f->rhs + j);
      for (int64_t p = 0; p < f->k; p++, line += f->rhs_stride) {
        const vf y = count >= LANES ? vf_load((const float *)line)
                                    : vf_load_part((const float *)line, count, 0.0f);
        c = vf_fma(vf_splat(lhs[p]), y, c);
      }
      store_lanes(dst + j, c, count);
    }
  }
}

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
