// Depthwise convolution of one channel plane.
#ifndef MARTLET_VECTORS_CONV_H
#define MARTLET_VECTORS_CONV_H

#include "vectors_window.h"

// A wider kernel is computed output by output. `DEPTHWISE_BLOCK` vectors of one output row go side
// by side, to hide the latency of their chains.
enum { DEPTHWISE_TAPS = 32, DEPTHWISE_BLOCK = 4 };

MK_INLINE float depthwise_finish(float v, const mk_depthwise *d) {
  v = v + d->bias;
  if (d->act == MK_ACT_RELU) return v < 0.0f ? 0.0f : v;
  if (d->act == MK_ACT_CLAMP) {
    v = v < d->lo ? d->lo : v;
    return v > d->hi ? d->hi : v;
  }
  return v;
}

// bias and activation as one clamp, whose bounds are infinite where nothing is to be cut.
typedef struct depthwise_end {
  vf bias, lo, hi;
} depthwise_end;

MK_INLINE depthwise_end end_of(const mk_depthwise *d) {
  const float infinity = __builtin_inff();
  bool clamp = d->act == MK_ACT_CLAMP, relu = d->act == MK_ACT_RELU;
  return (depthwise_end){
    .bias = vf_splat(d->bias),
    .lo = vf_splat(clamp ? d->lo : relu ? 0.0f : -infinity),
    .hi = vf_splat(clamp ? d->hi : infinity)};
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

// `count` vectors of one output row. `from` is the buffer row of the first tap row at the first
// column; ker_w, and rows where all are inside, are constants where this is inlined.
MK_INLINE void depthwise_block(const float *from, int64_t row_step, int64_t rows, int64_t ker_w,
                               const int64_t *offsets, const float *weight,
                               const depthwise_end *end, int count, float *dst, int64_t left) {
  vf sum[DEPTHWISE_BLOCK];
  MK_UNROLL for (int c = 0; c < count; c++) sum[c] = vf_splat(0.0f);
  for (int64_t ky = 0; ky < rows; ky++) {
    for (int64_t kx = 0; kx < ker_w; kx++) {
      const float *taps = from + ky * row_step + offsets[kx];
      vf w = vf_splat(weight[ky * ker_w + kx]);
      MK_UNROLL for (int c = 0; c < count; c++) {
        sum[c] = vf_fma(w, vf_load(taps + c * LANES), sum[c]);
      }
    }
  }
  MK_UNROLL for (int c = 0; c < count; c++) {
    vf v = vf_clamp(sum[c] + end->bias, end->lo, end->hi);
    if (left - c * LANES >= LANES) {
      vf_store(dst + c * LANES, v);
    } else {
      vf_store_part(dst + c * LANES, v, left - c * LANES);
    }
  }
}

MK_INLINE void depthwise_row(const float *from, int64_t row_step, int64_t rows, int64_t ker_w,
                             const int64_t *offsets, const float *weight,
                             const depthwise_end *end, float *dst, int64_t columns) {
  int64_t x = 0;
  for (; x + DEPTHWISE_BLOCK * LANES <= columns; x += DEPTHWISE_BLOCK * LANES) {
    depthwise_block(from + x, row_step, rows, ker_w, offsets, weight, end, DEPTHWISE_BLOCK,
                    dst + x, DEPTHWISE_BLOCK * LANES);
  }
  for (; x < columns; x += LANES) {
    depthwise_block(from + x, row_step, rows, ker_w, offsets, weight, end, 1, dst + x,
                    columns - x);
  }
}

// `unit`: stride and dilation along the row are 1, so that tap k stands at k.
MK_INLINE void depthwise_tile(const mk_depthwise *d, const window *w, const window_tile *t,
                              int64_t ker_h, int64_t ker_w, bool unit) {
  int64_t offsets[DEPTHWISE_TAPS];
  for (int64_t k = 0; k < ker_w; k++) offsets[k] = unit ? k : tap_offset(w, t, k);
  depthwise_end end = end_of(d);
  int64_t row_step = w->dil_h * t->row, columns = min64(t->columns, d->out_w - t->x0);
  for (int64_t y = 0; y < t->rows; y++) {
    int64_t ky0, ky1;
    taps_inside(t->y0 + y, w->stride_h, w->pad_h, w->dil_h, ker_h, w->in_h, &ky0, &ky1);
    const float *from = t->buffer + y * w->stride_h * t->row;
    float *dst = d->dst + (t->y0 + y) * d->out_w + t->x0;
    if (ky0 == 0 && ky1 == ker_h) {
      depthwise_row(from, row_step, ker_h, ker_w, offsets, d->weight, &end, dst, columns);
    } else {
      depthwise_row(from + ky0 * row_step, row_step, ky1 - ky0, ker_w, offsets,
                    d->weight + ky0 * ker_w, &end, dst, columns);
    }
  }
}

static void depthwise_tile_3x3(const mk_depthwise *d, const window *w, const window_tile *t) {
  if (w->stride_w == 1 && w->dil_w == 1) {
    depthwise_tile(d, w, t, 3, 3, true);
  } else {
    depthwise_tile(d, w, t, 3, 3, false);
  }
}

static void depthwise_tile_5x5(const mk_depthwise *d, const window *w, const window_tile *t) {
  if (w->stride_w == 1 && w->dil_w == 1) {
    depthwise_tile(d, w, t, 5, 5, true);
  } else {
    depthwise_tile(d, w, t, 5, 5, false);
  }
}

static void depthwise_tile_any(const mk_depthwise *d, const window *w, const window_tile *t) {
  depthwise_tile(d, w, t, d->ker_h, d->ker_w, false);
}

// Taps outside the image meet zeros in the buffer, which add nothing to a sum as long as the
// weight is finite.
MK_INLINE bool weights_are_finite(const mk_depthwise *d) {
  for (int64_t i = 0; i < d->ker_h * d->ker_w; i++) {
    if (!(d->weight[i] - d->weight[i] == 0.0f)) return false;
  }
  return true;
}

static void depthwise(const mk_depthwise *d) {
  window w = {
    .src = d->src, .in_h = d->in_h, .in_w = d->in_w, .out_h = d->out_h, .out_w = d->out_w,
    .ker_h = d->ker_h, .ker_w = d->ker_w, .stride_h = d->stride_h, .stride_w = d->stride_w,
    .dil_h = d->dil_h, .dil_w = d->dil_w, .pad_h = d->pad_h, .pad_w = d->pad_w};
  window_tile t;
  if (d->out_w * 4 < LANES || d->ker_w > DEPTHWISE_TAPS || !plan_tile(&w, &t) ||
      !weights_are_finite(d)) {
    depthwise_plain(d);
    return;
  }
  _Alignas(64) float buffer[WINDOW_FLOATS];
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
