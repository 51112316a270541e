// Softmax and the norms of one row, in place allowed. Bits depend on the row's values and length.
#ifndef MARTLET_VECTORS_NORM_H
#define MARTLET_VECTORS_NORM_H

#include "vectors_reduce.h"

// The sum over the row of term(x), where term may also store; x is `fill` past the end.
// Four partial sums per stride hide the latency of the additions.
#define MK_SUM_TERMS(n, src, fill, term)                                                          \
  ({                                                                                              \
    vf s0 = vf_splat(0.0f), s1 = s0, s2 = s0, s3 = s0;                                            \
    int64_t i = 0;                                                                                \
    for (; (n) - i >= REDUCE_STRIDE; i += REDUCE_STRIDE) {                                        \
      s0 = s0 + term(vf_load((src) + i), i, LANES);                                               \
      s1 = s1 + term(vf_load((src) + i + LANES), i + LANES, LANES);                               \
      s2 = s2 + term(vf_load((src) + i + 2 * LANES), i + 2 * LANES, LANES);                       \
      s3 = s3 + term(vf_load((src) + i + 3 * LANES), i + 3 * LANES, LANES);                       \
    }                                                                                             \
    for (; (n) - i >= LANES; i += LANES) s0 = s0 + term(vf_load((src) + i), i, LANES);            \
    if (i < (n)) s1 = s1 + term(vf_load_part((src) + i, (n) - i, fill), i, (n) - i);              \
    sum_of_lanes((s0 + s1) + (s2 + s3));                                                          \
  })

MK_INLINE void store_lanes(float *p, vf v, int64_t n) {
  if (n >= LANES) {
    vf_store(p, v);
  } else {
    vf_store_part(p, v, n);
  }
}

// The sum of e^(x - max) over the row, each term also stored at dst unless that is null. One vector
// of partial sums keeps up with the exponential; long rows are summed in blocks.
MK_INLINE float sum_of_exponentials(int64_t n, const float *src, vf max, float *dst) {
  enum { BLOCK = 64 * LANES };
  vf total = vf_splat(0.0f);
  int64_t i = 0;
  while (n - i >= LANES) {
    int64_t end = n - i < BLOCK ? n - (n - i) % LANES : i + BLOCK;
    vf sum = vf_splat(0.0f);
    _Pragma(MK_HEAVY) for (; i < end; i += LANES) {
      vf e = vf_exp(vf_load(src + i) - max);
      if (dst) vf_store(dst + i, e);
      sum = sum + e;
    }
    total = total + sum;
  }
  if (i < n) {
    vf e = vf_exp(vf_load_part(src + i, n - i, -__builtin_inff()) - max);
    if (dst) vf_store_part(dst + i, e, n - i);
    // Lanes past the end are zero unless the maximum is infinite: then the row is NaN anyhow.
    total = total + e;
  }
  return sum_of_lanes(total);
}

MK_INLINE float scalar_of(vf v) { return v[0]; }

static void softmax(int64_t n, const float *src, float *dst) {
  if (n <= 0) return;
  vf max = vf_splat(max_of_lanes(row_top(n, src)));
  float sum = sum_of_exponentials(n, src, max, dst);
  mul_f32(n, dst, 1, &(float){1.0f / sum}, 0, dst);
}

static void log_softmax(int64_t n, const float *src, float *dst) {
  if (n <= 0) return;
  vf max = vf_splat(max_of_lanes(row_top(n, src)));
  float sum = sum_of_exponentials(n, src, max, 0);
  vf log_sum = vf_log(vf_splat(sum));
  for (int64_t i = 0; i < n; i += LANES) {
    int64_t count = n - i;
    vf x = count >= LANES ? vf_load(src + i) : vf_load_part(src + i, count, 0.0f);
    store_lanes(dst + i, (x - max) - log_sum, count);
  }
}

MK_INLINE vf normalized(vf x, vf mean, vf factor, const float *scale, const float *bias,
                        int64_t n) {
  vf y = (x - mean) * factor;
  if (scale) y = y * (n >= LANES ? vf_load(scale) : vf_load_part(scale, n, 0.0f));
  if (bias) y = y + (n >= LANES ? vf_load(bias) : vf_load_part(bias, n, 0.0f));
  return y;
}

// dst = (src - mean) * factor, then * scale and + bias where given.
MK_INLINE void normalize_row(int64_t n, const float *src, vf mean, vf factor, const float *scale,
                             const float *bias, float *dst) {
  int64_t i = 0;
  _Pragma(MK_LIGHT) for (; n - i >= LANES; i += LANES) {
    vf y =
      normalized(vf_load(src + i), mean, factor, scale ? scale + i : 0, bias ? bias + i : 0, LANES);
    vf_store(dst + i, y);
  }
  if (i < n) {
    vf y = normalized(vf_load_part(src + i, n - i, 0.0f), mean, factor, scale ? scale + i : 0,
                      bias ? bias + i : 0, n - i);
    vf_store_part(dst + i, y, n - i);
  }
}

MK_INLINE vf squared_deviation(vf x, vf mean, int64_t count) {
  vf d = x - mean;
  d = d * d;
  return count >= LANES ? d : (vf)((vi_lane_numbers() < (int32_t)count) & (vi)d);
}

// 1 / sqrt(sum / n + epsilon), through the vector square root: no call, the same bits everywhere.
MK_INLINE float inverse_root(float sum, int64_t n, float epsilon) {
  return scalar_of(1.0f / vf_sqrt(vf_splat(sum / (float)n + epsilon)));
}

static void layer_norm(int64_t n, const float *src, const float *scale, const float *bias,
                       float epsilon, float *dst, float *mean_out, float *inv_std_out) {
  if (n <= 0) return;
  float mean_value = row_sum(n, src) / (float)n;
  vf mean = vf_splat(mean_value);
#define MK_TERM(x, at, count) squared_deviation(x, mean, count)
  float sum = MK_SUM_TERMS(n, src, 0.0f, MK_TERM);
#undef MK_TERM
  float inv_std = inverse_root(sum, n, epsilon);
  if (mean_out) *mean_out = mean_value;
  if (inv_std_out) *inv_std_out = inv_std;
  vf factor = vf_splat(inv_std);
  if (scale && bias) {
    normalize_row(n, src, mean, factor, scale, bias, dst);
  } else if (scale) {
    normalize_row(n, src, mean, factor, scale, 0, dst);
  } else {
    normalize_row(n, src, mean, factor, 0, bias, dst);
  }
}

static void rms_norm(int64_t n, const float *src, const float *scale, float epsilon, float *dst) {
  if (n <= 0) return;
  vf factor = vf_splat(inverse_root(row_sum_squares(n, src), n, epsilon));
  // x - 0 keeps every x, the sign of a zero included.
  if (scale) {
    normalize_row(n, src, vf_splat(0.0f), factor, scale, 0, dst);
  } else {
    normalize_row(n, src, vf_splat(0.0f), factor, 0, 0, dst);
  }
}

#endif
