// Maximum and average pooling of one plane.
#ifndef MARTLET_VECTORS_POOL_H
#define MARTLET_VECTORS_POOL_H

#include "vectors_window.h"

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

// A NaN in v replaces, a NaN in best stays.
MK_INLINE vf pool_max_lanes(vf best, vf v) {
  return vf_select(v != v, v, vf_select(v > best, v, best));
}

// Output by output, for windows that no tile has room for.
static void pool2d_plain(const mk_pool2d *p) {
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

MK_INLINE void pool2d_columns(const mk_pool2d *p, const window *w, const window_tile *t,
                              int64_t column, int64_t ker_w, bool is_max) {
  int64_t left = p->out_w - t->x0 - column;
  float counts[LANES];
  if (!is_max) {
    for (int64_t i = 0; i < LANES; i++) {
      counts[i] = (float)counted_columns(p, min64(t->x0 + column + i, p->out_w - 1));
    }
  }
  for (int64_t y = 0; y < t->rows; y++) {
    int64_t ky0, ky1;
    taps_inside(t->y0 + y, w->stride_h, w->pad_h, w->dil_h, w->ker_h, w->in_h, &ky0, &ky1);
    const float *rows = t->buffer + y * w->stride_h * t->row + column;
    vf v = vf_splat(is_max ? -__builtin_inff() : 0.0f);
    for (int64_t ky = ky0; ky < ky1; ky++) {
      const float *row = rows + ky * w->dil_h * t->row;
      for (int64_t kx = 0; kx < ker_w; kx++) {
        vf tap = vf_load(row + tap_offset(w, t, kx));
        v = is_max ? pool_max_lanes(v, tap) : v + tap;
      }
    }
    if (!is_max) v = v / (vf_load(counts) * vf_splat((float)counted_rows(p, t->y0 + y)));
    float *dst = p->dst + (t->y0 + y) * p->out_w + t->x0 + column;
    if (left >= LANES) {
      vf_store(dst, v);
    } else {
      vf_store_part(dst, v, left);
    }
  }
}

MK_INLINE void pool2d_tile(const mk_pool2d *p, const window *w, const window_tile *t,
                           int64_t ker_w, bool is_max) {
  for (int64_t column = 0; column < t->columns && t->x0 + column < p->out_w; column += LANES) {
    pool2d_columns(p, w, t, column, ker_w, is_max);
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
  if (p->out_w * 4 < LANES || !plan_tile(&w, &t)) {
    pool2d_plain(p);
    return;
  }
  float buffer[WINDOW_FLOATS];
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
