// Maximum and average pooling of planes: down the rows, then along them.
#ifndef MARTLET_VECTORS_POOL_H
#define MARTLET_VECTORS_POOL_H

#include "vectors_window.h"

// 16 KiB of finished rows: half of the smallest level-1 cache.
enum { POOL_FLOATS = 4096, POOL_COLUMNS = 1024 };

// How many taps of one axis count for an average: those inside the image, or, with padding
// counted, those inside the padded extent.
MK_INLINE int64_t counted_taps(int64_t o, int64_t stride, int64_t pad, int64_t pad_end, int64_t dil,
                               int64_t ker, int64_t extent, bool padding) {
  int64_t lo, hi;
  int64_t before = padding ? pad : 0, after = padding ? pad_end : 0;
  taps_inside(o, stride, pad - before, dil, ker, extent + before + after, &lo, &hi);
  return hi - lo;
}

MK_INLINE int64_t counted_rows(const mk_pool2d *p, int64_t y) {
  return counted_taps(y, p->stride_h, p->pad_h, p->pad_h_end, p->dil_h, p->ker_h, p->in_h,
                      p->count_include_pad);
}

MK_INLINE int64_t counted_columns(const mk_pool2d *p, int64_t x) {
  return counted_taps(x, p->stride_w, p->pad_w, p->pad_w_end, p->dil_w, p->ker_w, p->in_w,
                      p->count_include_pad);
}

// NaN once seen stays: it is never below anything.
MK_INLINE float pool_max(float best, float v) { return v > best || v != v ? v : best; }

// Outputs y0 ..< y1 by x0 ..< x1 of a plane one by one: any shape, and NaN.
static MK_RARE void pool2d_plain(const mk_pool2d *p, int64_t plane, int64_t y0, int64_t y1,
                                 int64_t x0, int64_t x1) {
  const float *src = p->src + plane * p->in_h * p->in_w;
  float *dst = p->dst + plane * p->out_h * p->out_w;
  for (int64_t y = y0; y < y1; y++) {
    int64_t ky0, ky1;
    taps_inside(y, p->stride_h, p->pad_h, p->dil_h, p->ker_h, p->in_h, &ky0, &ky1);
    for (int64_t x = x0; x < x1; x++) {
      int64_t kx0, kx1;
      taps_inside(x, p->stride_w, p->pad_w, p->dil_w, p->ker_w, p->in_w, &kx0, &kx1);
      float v = p->is_max ? -__builtin_inff() : 0.0f;
      for (int64_t ky = ky0; ky < ky1; ky++) {
        const float *row = src + (y * p->stride_h - p->pad_h + ky * p->dil_h) * p->in_w;
        for (int64_t kx = kx0; kx < kx1; kx++) {
          float tap = row[x * p->stride_w - p->pad_w + kx * p->dil_w];
          v = p->is_max ? pool_max(v, tap) : v + tap;
        }
      }
      if (!p->is_max) v = v / (float)(counted_rows(p, y) * counted_columns(p, x));
      dst[y * p->out_w + x] = v;
    }
  }
}

// Outside taps are neutral: nothing exceeds by -Inf, and a zero adds nothing.
MK_INLINE float pool_neutral(bool is_max) { return is_max ? -__builtin_inff() : 0.0f; }

MK_INLINE vf pool_join(const bool is_max, vf v, vf tap) {
  return is_max ? vf_larger(tap, v) : v + tap;
}

// `vectors` vectors down `rows` rows; NaNs, which comparisons pass over, are noted on the way.
MK_INLINE void pool_down_vectors(const bool is_max, const int vectors, const float *from,
                                 int64_t row_step, int64_t rows, vf *v, vi *nan) {
  MK_UNROLL for (int c = 0; c < vectors; c++) v[c] = vf_load(from + c * LANES);
  int64_t r = 1;
  for (; r + 2 <= rows; r += 2, from += 2 * row_step) {
    MK_UNROLL for (int c = 0; c < vectors; c++) {
      const vf a = vf_load(from + row_step + c * LANES);
      const vf b = vf_load(from + 2 * row_step + c * LANES);
      if (is_max) *nan |= (a != a) | (b != b);
      v[c] = pool_join(is_max, pool_join(is_max, v[c], a), b);
    }
  }
  // NaN in what v began with is still there but for the taps after it: look at that row once more.
  MK_UNROLL for (int c = 0; c < vectors; c++) {
    const vf first = vf_load(from - (r - 1) * row_step + c * LANES);
    const vf last = r < rows ? vf_load(from + row_step + c * LANES) : first;
    if (is_max) *nan |= (first != first) | (last != last);
    if (r < rows) v[c] = pool_join(is_max, v[c], last);
  }
}

// Columns lo ..< hi, at least a vector of them, from whole vectors; the last two may share columns.
MK_INLINE void pool_down_within(const bool is_max, const int64_t rows, const float *from,
                                int64_t row_step, int64_t lo, int64_t hi, float *dst, vi *nan) {
  int64_t i = lo;
  vf v[2];
  for (; i + 2 * LANES <= hi; i += 2 * LANES) {
    pool_down_vectors(is_max, 2, from + i, row_step, rows, v, nan);
    vf_store(dst + i, v[0]);
    vf_store(dst + i + LANES, v[1]);
  }
  for (; i < hi; i += LANES) {
    i = min64(i, hi - LANES);
    pool_down_vectors(is_max, 1, from + i, row_step, rows, v, nan);
    vf_store(dst + i, v[0]);
  }
}

// Columns first ..< first + length of the image, all taps of output row y joined, with the neutral
// element outside the image. Whole vectors are written, in ascending order.
MK_INLINE void pool_down(const bool is_max, const mk_pool2d *p, const float *src, int64_t y,
                         int64_t first, int64_t length, float *dst, vi *nan) {
  const vf neutral = vf_splat(pool_neutral(is_max));
  int64_t ky0, ky1;
  taps_inside(y, p->stride_h, p->pad_h, p->dil_h, p->ker_h, p->in_h, &ky0, &ky1);
  const int64_t lo = max64(0, min64(length, -first));
  const int64_t hi = ky0 < ky1 ? max64(lo, min64(length, p->in_w - first)) : lo;
  const int64_t rows = ky1 - ky0, row_step = p->dil_h * p->in_w;
  const float *from = src + (y * p->stride_h - p->pad_h + ky0 * p->dil_h) * p->in_w + first;
  for (int64_t i = 0; i < lo; i += LANES) vf_store(dst + i, neutral);
  if (hi - lo >= LANES) {
    if (rows == 2) {
      pool_down_within(is_max, 2, from, row_step, lo, hi, dst, nan);
    } else if (rows == 3) {
      pool_down_within(is_max, 3, from, row_step, lo, hi, dst, nan);
    } else {
      pool_down_within(is_max, rows, from, row_step, lo, hi, dst, nan);
    }
  } else if (lo < hi) {
    vf v = neutral;
    for (int64_t r = 0; r < rows; r++) {
      const vf tap = vf_load_part(from + r * row_step + lo, hi - lo, pool_neutral(is_max));
      if (is_max) *nan |= tap != tap;
      v = pool_join(is_max, v, tap);
    }
    vf_store(dst + lo, v);
  }
  for (int64_t i = hi; i < length; i += LANES) vf_store(dst + i, neutral);
}

// The tap of LANES outputs at `from`, of a stride of two in the order of vf_even_mixed.
MK_INLINE vf pool_tap(const int stride, int64_t any_stride, const float *from) {
  if (stride == 1) return vf_load(from);
  if (stride == 2) return vf_even_mixed(vf_load(from), vf_load(from + LANES));
  vf v;
  for (int i = 0; i < LANES; i++) v[i] = from[i * any_stride];
  return v;
}

// LANES outputs of a row from what pool_down left; `counted` are the taps that count, by column.
MK_INLINE vf pool_along_vector(const bool is_max, const int stride, const int64_t ker_w,
                               const mk_pool2d *p, const float *row, int64_t x,
                               const float *counted, float counted_rows) {
  const int64_t step = stride ? stride : p->stride_w, dil = p->dil_w;
  const float *from = row + x * step;
  vf v = pool_tap(stride, step, from);
  for (int64_t k = 1; k < ker_w; k++)
    v = pool_join(is_max, v, pool_tap(stride, step, from + k * dil));
  if (stride == 2) v = vf_unmixed(v);
  return is_max ? v : v / (vf_load(counted + x) * vf_splat(counted_rows));
}

MK_INLINE void pool_along(const bool is_max, const int stride, const int64_t ker_w,
                          const mk_pool2d *p, const float *row, int64_t columns,
                          const float *counted, float counted_rows, float *dst) {
  int64_t x = 0;
  for (; x + LANES <= columns; x += LANES)
    vf_store(dst + x, pool_along_vector(is_max, stride, ker_w, p, row, x, counted, counted_rows));
  if (x == columns) return;
  if (x > 0) x = columns - LANES;  // some of them once more
  const vf v = pool_along_vector(is_max, stride, ker_w, p, row, x, counted, counted_rows);
  if (x > 0) {
    vf_store(dst + x, v);
  } else {
    vf_store_part(dst, v, columns);
  }
}

// Output columns x0 ..< x0 + columns of all planes: some rows down into the buffer, then along it.
MK_INLINE void pool2d_columns(const bool is_max, const mk_pool2d *p, int64_t x0, int64_t columns,
                              int64_t length) {
  _Alignas(64) float buffer[POOL_FLOATS + LANES];
  float counted[POOL_COLUMNS];
  for (int64_t x = 0; !is_max && x < whole_vectors(columns); x++)
    counted[x] = (float)counted_columns(p, min64(x0 + x, p->out_w - 1));
  const int64_t batch = min64(p->out_h, POOL_FLOATS / length);
  for (int64_t plane = 0; plane < p->planes; plane++) {
    const float *src = p->src + plane * p->in_h * p->in_w;
    for (int64_t y0 = 0; y0 < p->out_h; y0 += batch) {
      const int64_t rows = min64(batch, p->out_h - y0);
      vi nan = vi_splat(0);
      for (int64_t r = 0; r < rows; r++)
        pool_down(is_max, p, src, y0 + r, x0 * p->stride_w - p->pad_w, length, buffer + r * length,
                  &nan);
      if (is_max && vi_any(nan)) {
        pool2d_plain(p, plane, y0, y0 + rows, x0, x0 + columns);
        continue;
      }
      for (int64_t r = 0; r < rows; r++) {
        const float *row = buffer + r * length;
        const float down = is_max ? 0.0f : (float)counted_rows(p, y0 + r);
        float *dst = p->dst + (plane * p->out_h + y0 + r) * p->out_w + x0;
#define POOL_ALONG(stride, ker_w) \
  pool_along(is_max, stride, ker_w, p, row, columns, counted, down, dst)
        if (p->stride_w == 1) {
          p->ker_w == 3 ? POOL_ALONG(1, 3) : POOL_ALONG(1, p->ker_w);
        } else if (p->stride_w == 2) {
          p->ker_w == 2   ? POOL_ALONG(2, 2)
          : p->ker_w == 3 ? POOL_ALONG(2, 3)
                          : POOL_ALONG(2, p->ker_w);
        } else {
          POOL_ALONG(0, p->ker_w);
        }
#undef POOL_ALONG
      }
    }
  }
}

static __attribute__((noinline)) void pool2d_max(const mk_pool2d *p, int64_t x0, int64_t columns,
                                                 int64_t length) {
  pool2d_columns(true, p, x0, columns, length);
}

static __attribute__((noinline)) void pool2d_average(const mk_pool2d *p, int64_t x0,
                                                     int64_t columns, int64_t length) {
  pool2d_columns(false, p, x0, columns, length);
}

static void pool2d(const mk_pool2d *p) {
  const int64_t most = POOL_FLOATS;
  int64_t columns = 0, reach = 0;
  if (p->stride_w <= most && p->ker_w <= most && p->dil_w <= most) {
    reach = (p->ker_w - 1) * p->dil_w;  // past the last output's first tap
    columns = min64((most - reach) / p->stride_w / LANES * LANES, POOL_COLUMNS);
  }
  if (columns < LANES) {
    for (int64_t plane = 0; plane < p->planes; plane++)
      pool2d_plain(p, plane, 0, p->out_h, 0, p->out_w);
    return;
  }
  for (int64_t x0 = 0; x0 < p->out_w; x0 += columns) {
    const int64_t count = min64(columns, p->out_w - x0);
    const int64_t length = whole_vectors(whole_vectors(count) * p->stride_w + reach);
    (p->is_max ? pool2d_max : pool2d_average)(p, x0, count, min64(length, most));
  }
}

#endif
