// Maximum and average pooling of one plane.
#ifndef MARTLET_VECTORS_POOL_H
#define MARTLET_VECTORS_POOL_H

#include "vectors_window.h"

// A wider kernel is computed output by output; `POOL_BLOCK` vectors of a row go side by side.
enum { POOL_TAPS = 64, POOL_BLOCK = 4 };

// How many taps of one axis count for an average: those inside the image, or, with padding
// counted, those inside the padded extent.
MK_INLINE int64_t counted_taps(int64_t o, int64_t stride, int64_t pad, int64_t pad_end,
                               int64_t dil, int64_t ker, int64_t extent, bool padding) {
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

// Output by output, for windows that no tile has room for.
static MK_RARE void pool2d_plain(const mk_pool2d *p) {
  for (int64_t y = 0; y < p->out_h; y++) {
    int64_t ky0, ky1;
    taps_inside(y, p->stride_h, p->pad_h, p->dil_h, p->ker_h, p->in_h, &ky0, &ky1);
    for (int64_t x = 0; x < p->out_w; x++) {
      int64_t kx0, kx1;
      taps_inside(x, p->stride_w, p->pad_w, p->dil_w, p->ker_w, p->in_w, &kx0, &kx1);
      float v = p->is_max ? -__builtin_inff() : 0.0f;
      for (int64_t ky = ky0; ky < ky1; ky++) {
        const float *row = p->src + (y * p->stride_h - p->pad_h + ky * p->dil_h) * p->in_w;
        for (int64_t kx = kx0; kx < kx1; kx++) {
          float tap = row[x * p->stride_w - p->pad_w + kx * p->dil_w];
          v = p->is_max ? pool_max(v, tap) : v + tap;
        }
      }
      if (!p->is_max) v = v / (float)(counted_rows(p, y) * counted_columns(p, x));
      p->dst[y * p->out_w + x] = v;
    }
  }
}

// `count` vectors of one output row; a maximum looks for NaNs beside the comparisons, which pass
// over them. `counted` holds the tap columns that count for an average's outputs.
MK_INLINE void pool2d_block(const float *from, int64_t row_step, int64_t rows, int64_t ker_w,
                            const int64_t *offsets, const float *counted, float counted_rows,
                            int count, bool is_max, float *dst, int64_t left) {
  vf v[POOL_BLOCK];
  vi nan[POOL_BLOCK];
  MK_UNROLL for (int c = 0; c < count; c++) {
    v[c] = vf_splat(is_max ? -__builtin_inff() : 0.0f);
    nan[c] = vi_splat(0);
  }
  for (int64_t ky = 0; ky < rows; ky++) {
    for (int64_t kx = 0; kx < ker_w; kx++) {
      const float *taps = from + ky * row_step + offsets[kx];
      MK_UNROLL for (int c = 0; c < count; c++) {
        vf tap = vf_load(taps + c * LANES);
        if (is_max) {
          nan[c] |= tap != tap;
          v[c] = vf_larger(tap, v[c]);
        } else {
          v[c] = v[c] + tap;
        }
      }
    }
  }
  MK_UNROLL for (int c = 0; c < count; c++) {
    vf y = is_max ? vf_select(nan[c], vf_splat(__builtin_nanf("")), v[c])
                  : v[c] / (vf_load(counted + c * LANES) * vf_splat(counted_rows));
    if (left - c * LANES >= LANES) {
      vf_store(dst + c * LANES, y);
    } else {
      vf_store_part(dst + c * LANES, y, left - c * LANES);
    }
  }
}

MK_INLINE void pool2d_tile(const mk_pool2d *p, const window *w, const window_tile *t,
                           int64_t ker_w, bool is_max) {
  int64_t offsets[POOL_TAPS];
  for (int64_t k = 0; k < ker_w; k++) offsets[k] = tap_offset(w, t, k);
  int64_t row_step = w->dil_h * t->row, columns = min64(t->columns, p->out_w - t->x0);
  float counted[WINDOW_COLUMNS];
  for (int64_t x = 0; !is_max && x < t->columns; x++) {
    counted[x] = (float)counted_columns(p, min64(t->x0 + x, p->out_w - 1));
  }
  for (int64_t y = 0; y < t->rows; y++) {
    int64_t ky0, ky1;
    taps_inside(t->y0 + y, w->stride_h, w->pad_h, w->dil_h, w->ker_h, w->in_h, &ky0, &ky1);
    const float *from = t->buffer + (y * w->stride_h + ky0 * w->dil_h) * t->row;
    float rows = is_max ? 0.0f : (float)counted_rows(p, t->y0 + y);
    float *dst = p->dst + (t->y0 + y) * p->out_w + t->x0;
    int64_t x = 0;
    for (; x + POOL_BLOCK * LANES <= columns; x += POOL_BLOCK * LANES) {
      pool2d_block(from + x, row_step, ky1 - ky0, ker_w, offsets, counted + x, rows, POOL_BLOCK,
                   is_max, dst + x, POOL_BLOCK * LANES);
    }
    for (; x < columns; x += LANES) {
      pool2d_block(from + x, row_step, ky1 - ky0, ker_w, offsets, counted + x, rows, 1, is_max,
                   dst + x, columns - x);
    }
  }
}

static void pool2d_tile_max(const mk_pool2d *p, const window *w, const window_tile *t) {
  if (p->ker_w == 2) {
    pool2d_tile(p, w, t, 2, true);
  } else if (p->ker_w == 3) {
    pool2d_tile(p, w, t, 3, true);
  } else {
    pool2d_tile(p, w, t, p->ker_w, true);
  }
}

static void pool2d_tile_average(const mk_pool2d *p, const window *w, const window_tile *t) {
  pool2d_tile(p, w, t, p->ker_w, false);
}

static void pool2d(const mk_pool2d *p) {
  window w = {
    .src = p->src, .in_h = p->in_h, .in_w = p->in_w, .out_h = p->out_h, .out_w = p->out_w,
    .ker_h = p->ker_h, .ker_w = p->ker_w, .stride_h = p->stride_h, .stride_w = p->stride_w,
    .dil_h = p->dil_h, .dil_w = p->dil_w, .pad_h = p->pad_h, .pad_w = p->pad_w};
  window_tile t;
  if (p->out_w * 4 < LANES || p->ker_w > POOL_TAPS || !plan_tile(&w, &t)) {
    pool2d_plain(p);
    return;
  }
  _Alignas(64) float buffer[WINDOW_FLOATS];
  t.buffer = buffer;
  int64_t rows = t.rows;
  // Outside taps are neutral: nothing exceeds by -Inf, and a zero adds nothing.
  float fill = p->is_max ? -__builtin_inff() : 0.0f;
  for (t.x0 = 0; t.x0 < p->out_w; t.x0 += t.columns) {
    for (t.y0 = 0; t.y0 < p->out_h; t.y0 += rows) {
      t.rows = min64(rows, p->out_h - t.y0);
      load_window_tile(&w, &t, fill);
      if (p->is_max) {
        pool2d_tile_max(p, &w, &t);
      } else {
        pool2d_tile_average(p, &w, &t);
      }
    }
  }
}

#endif
