// Depthwise convolution of one channel plane.
#ifndef MARTLET_VECTORS_CONV_H
#define MARTLET_VECTORS_CONV_H

#include "vectors_window.h"

// A wider kernel is computed output by output.
enum { DEPTHWISE_TAPS = 32 };

MK_INLINE float depthwise_finish(float v, const mk_depthwise *d) {
  v = v + d->bias;
  if (d->act == MK_ACT_RELU) return v < 0.0f ? 0.0f : v;
  if (d->act == MK_ACT_CLAMP) {
    v = v < d->lo ? d->lo : v;
    return v > d->hi ? d->hi : v;
  }
  return v;
}

MK_INLINE vf depthwise_finish_lanes(vf v, const mk_depthwise *d) {
  v = v + vf_splat(d->bias);
  if (d->act == MK_ACT_RELU) return vf_at_least(v, vf_splat(0.0f));
  if (d->act == MK_ACT_CLAMP) return vf_clamp(v, vf_splat(d->lo), vf_splat(d->hi));
  return v;
}

// Output by output: any shape, and the definition of the result.
static void depthwise_plain(const mk_depthwise *d) {
  for (int64_t y = 0; y < d->out_h; y++) {
    int64_t ky0, ky1;
    taps_inside(y, d->stride_h, d->pad_h, d->dil_h, d->ker_h, d->in_h, &ky0, &ky1);
    for (int64_t x = 0; x < d->out_w; x++) {
      int64_t kx0, kx1;
      taps_inside(x, d->stride_w, d->pad_w, d->dil_w, d->ker_w, d->in_w, &kx0, &kx1);
      float sum = 0.0f;
      for (int64_t ky = ky0; ky < ky1; ky++) {
        const float *row = d->src + (y * d->stride_h - d->pad_h + ky * d->dil_h) * d->in_w;
        for (int64_t kx = kx0; kx < kx1; kx++) {
          float v = row[x * d->stride_w - d->pad_w + kx * d->dil_w];
          sum = scalar_fma(d->weight[ky * d->ker_w + kx], v, sum);
        }
      }
      d->dst[y * d->out_w + x] = depthwise_finish(sum, d);
    }
  }
}

// One vector of output columns, down all rows of the tile. ker_h and ker_w are constants where
// this is inlined for the kernels that matter. `masked`: some taps of some lanes are outside.
MK_INLINE void depthwise_columns(const mk_depthwise *d, const window *w, const window_tile *t,
                                 int64_t column, int64_t ker_h, int64_t ker_w, bool masked) {
  int64_t offsets[DEPTHWISE_TAPS];
  vi masks[DEPTHWISE_TAPS];
  for (int64_t k = 0; k < ker_w; k++) {
    offsets[k] = tap_offset(w, t, k);
    if (masked) masks[k] = tap_mask(w, t->x0 + column, k);
  }
  int64_t left = d->out_w - t->x0 - column;
  for (int64_t y = 0; y < t->rows; y++) {
    int64_t ky0, ky1;
    taps_inside(t->y0 + y, w->stride_h, w->pad_h, w->dil_h, ker_h, w->in_h, &ky0, &ky1);
    const float *rows = t->buffer + y * w->stride_h * t->row + column;
    vf sum = vf_splat(0.0f);
#define MK_TAP(ky, kx)                                                                            \
  do {                                                                                            \
    vf v = vf_load(rows + (ky) * w->dil_h * t->row + offsets[kx]);                                \
    vf next = vf_fma(vf_splat(d->weight[(ky) * ker_w + (kx)]), v, sum);                           \
    sum = masked ? vf_select(masks[kx], next, sum) : next;                                        \
  } while (0)
    if (ky0 == 0 && ky1 == ker_h) {
      for (int64_t ky = 0; ky < ker_h; ky++) {
        for (int64_t kx = 0; kx < ker_w; kx++) MK_TAP(ky, kx);
      }
    } else {
      for (int64_t ky = ky0; ky < ky1; ky++) {
        for (int64_t kx = 0; kx < ker_w; kx++) MK_TAP(ky, kx);
      }
    }
#undef MK_TAP
    sum = depthwise_finish_lanes(sum, d);
    float *dst = d->dst + (t->y0 + y) * d->out_w + t->x0 + column;
    if (left >= LANES) {
      vf_store(dst, sum);
    } else {
      vf_store_part(dst, sum, left);
    }
  }
}

MK_INLINE void depthwise_tile(const mk_depthwise *d, const window *w, const window_tile *t,
                              int64_t ker_h, int64_t ker_w) {
  for (int64_t column = 0; column < t->columns && t->x0 + column < d->out_w; column += LANES) {
    int64_t x = t->x0 + column, last = min64(x + LANES, d->out_w) - 1;
    bool inside = x * w->stride_w >= w->pad_w &&
                  last * w->stride_w - w->pad_w + (ker_w - 1) * w->dil_w < w->in_w;
    if (inside) {
      depthwise_columns(d, w, t, column, ker_h, ker_w, false);
    } else {
      depthwise_columns(d, w, t, column, ker_h, ker_w, true);
    }
  }
}

static void depthwise_tile_3x3(const mk_depthwise *d, const window *w, const window_tile *t) {
  depthwise_tile(d, w, t, 3, 3);
}

static void depthwise_tile_5x5(const mk_depthwise *d, const window *w, const window_tile *t) {
  depthwise_tile(d, w, t, 5, 5);
}

static void depthwise_tile_any(const mk_depthwise *d, const window *w, const window_tile *t) {
  depthwise_tile(d, w, t, d->ker_h, d->ker_w);
}

static void depthwise(const mk_depthwise *d) {
  window w = {
    .src = d->src, .in_h = d->in_h, .in_w = d->in_w, .out_h = d->out_h, .out_w = d->out_w,
    .ker_h = d->ker_h, .ker_w = d->ker_w, .stride_h = d->stride_h, .stride_w = d->stride_w,
    .dil_h = d->dil_h, .dil_w = d->dil_w, .pad_h = d->pad_h, .pad_w = d->pad_w};
  window_tile t;
  if (d->out_w * 4 < LANES || d->ker_w > DEPTHWISE_TAPS || !plan_tile(&w, &t)) {
    depthwise_plain(d);
    return;
  }
  float buffer[WINDOW_FLOATS];
  t.buffer = buffer;
  int64_t rows = t.rows;
  for (t.x0 = 0; t.x0 < d->out_w; t.x0 += t.columns) {
    for (t.y0 = 0; t.y0 < d->out_h; t.y0 += rows) {
      t.rows = min64(rows, d->out_h - t.y0);
      load_window_tile(&w, &t, 0.0f);
      if (d->ker_h == 3 && d->ker_w == 3) {
        depthwise_tile_3x3(d, &w, &t);
      } else if (d->ker_h == 5 && d->ker_w == 5) {
        depthwise_tile_5x5(d, &w, &t);
      } else {
        depthwise_tile_any(d, &w, &t);
      }
    }
  }
}

#endif
