// Sliding windows over one plane: what depthwise convolution and pooling share.
//
// A tile of the plane is copied into a small buffer, with a fill value where the image ends and
// with its columns sorted by their remainder modulo the stride ("phases"), so that every tap of
// LANES neighbouring outputs is one contiguous load that stays inside the buffer.
#ifndef MARTLET_VECTORS_WINDOW_H
#define MARTLET_VECTORS_WINDOW_H

#include "vectors_elementwise.h"

// 16 KiB: half of the smallest level-1 cache, and little enough for any thread's stack.
enum { WINDOW_FLOATS = 4096 };

typedef struct window {
  const float *src;
  int64_t in_h, in_w, out_h, out_w;
  int64_t ker_h, ker_w, stride_h, stride_w, dil_h, dil_w, pad_h, pad_w;
} window;

// The part of a window's outputs whose input is in the buffer at one time.
typedef struct window_tile {
  int64_t y0, rows;        // output rows
  int64_t x0, columns;     // output columns
  int64_t phase;           // floats per phase of a buffer row
  int64_t row;             // floats per buffer row
  float *buffer;
} window_tile;

// floor(a / b) and ceil(a / b) for b > 0
MK_INLINE int64_t floor_div(int64_t a, int64_t b) {
  if (b == 1) return a;
  int64_t q = a / b;
  return q * b > a ? q - 1 : q;
}
MK_INLINE int64_t ceil_div(int64_t a, int64_t b) { return b == 1 ? a : -floor_div(-a, b); }

MK_INLINE int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
MK_INLINE int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

// The taps k in [*lo, *hi) of one axis that fall on elements 0..<extent for output `o`.
MK_INLINE void taps_inside(int64_t o, int64_t stride, int64_t pad, int64_t dil, int64_t ker,
                           int64_t extent, int64_t *lo, int64_t *hi) {
  int64_t first = o * stride - pad;
  *lo = first >= 0 ? 0 : min64(ker, ceil_div(-first, dil));
  *hi = first + (ker - 1) * dil < extent ? ker : max64(*lo, ceil_div(extent - first, dil));
}

// Chooses how many output rows and columns a tile has; false when not even one vector of one row
// has room for its input (the caller then computes output by output).
MK_INLINE bool plan_tile(const window *w, window_tile *t) {
  int64_t span = w->ker_w - 1;
  if (w->dil_w > WINDOW_FLOATS || span > WINDOW_FLOATS || w->stride_w > WINDOW_FLOATS ||
      w->dil_h > WINDOW_FLOATS || w->ker_h > WINDOW_FLOATS || w->stride_h > WINDOW_FLOATS) {
    return false;
  }
  int64_t reach = span * w->dil_w / w->stride_w;  // buffer columns past the last output's first tap
  int64_t kernel_rows = (w->ker_h - 1) * w->dil_h + 1;
  int64_t widest = WINDOW_FLOATS / kernel_rows / w->stride_w - reach;
  if (widest < LANES) return false;
  int64_t columns = (min64(w->out_w, WINDOW_FLOATS) + LANES - 1) / LANES * LANES;
  t->columns = min64(columns, widest / LANES * LANES);
  t->phase = t->columns + reach;
  t->row = t->phase * w->stride_w;
  t->rows = min64(w->out_h, (WINDOW_FLOATS / t->row - kernel_rows) / w->stride_h + 1);
  return true;
}

MK_INLINE void fill_floats(float *p, int64_t n, float value) {
  for (int64_t i = 0; i < n; i++) p[i] = value;
}

// Copies one input row into a buffer row.
static void load_window_row(const window *w, const window_tile *t, const float *row, float fill,
                            float *dst) {
  int64_t first = t->x0 * w->stride_w - w->pad_w;  // input column of phase 0, index 0
  int64_t stride = w->stride_w;
  int64_t begin[2] = {0, 0};
  if (stride == 2) {
    // Both phases at once where a whole pair of vectors is inside the image.
    int64_t i = first >= 0 ? 0 : (1 - first) / 2;
    begin[0] = begin[1] = i;
    for (; i + LANES <= t->phase && first + 2 * (i + LANES) <= w->in_w; i += LANES) {
      vf a = vf_load(row + first + 2 * i), b = vf_load(row + first + 2 * i + LANES);
      vf_store(dst + i, vf_even(a, b));
      vf_store(dst + t->phase + i, vf_odd(a, b));
    }
    // What is left before and after goes below, from these two indices on.
    int64_t done = i;
    for (int64_t p = 0; p < 2; p++) {
      float *to = dst + p * t->phase;
      for (int64_t j = 0; j < begin[p] && j < t->phase; j++) {
        int64_t x = first + p + 2 * j;
        to[j] = x >= 0 && x < w->in_w ? row[x] : fill;
      }
      for (int64_t j = done; j < t->phase; j++) {
        int64_t x = first + p + 2 * j;
        to[j] = x >= 0 && x < w->in_w ? row[x] : fill;
      }
    }
    return;
  }
  for (int64_t p = 0; p < stride; p++) {
    float *to = dst + p * t->phase;
    int64_t lo = min64(t->phase, max64(0, ceil_div(-first - p, stride)));
    int64_t hi = max64(lo, min64(t->phase, ceil_div(w->in_w - first - p, stride)));
    fill_floats(to, lo, fill);
    if (stride == 1) {
      int64_t i = lo;
      for (; i + LANES <= hi; i += LANES) vf_store(to + i, vf_load(row + first + i));
      for (; i < hi; i++) to[i] = row[first + i];
    } else {
      for (int64_t i = lo; i < hi; i++) to[i] = row[first + p + i * stride];
    }
    fill_floats(to + hi, t->phase - hi, fill);
  }
}

// Copies the input of the tile's outputs; rows outside the image are left alone, as nothing
// looks at them.
static void load_window_tile(const window *w, const window_tile *t, float fill) {
  int64_t first = t->y0 * w->stride_h - w->pad_h;
  int64_t rows = (t->rows - 1) * w->stride_h + (w->ker_h - 1) * w->dil_h + 1;
  int64_t lo = max64(0, -first), hi = min64(rows, w->in_h - first);
  for (int64_t r = lo; r < hi; r++) {
    load_window_row(w, t, w->src + (first + r) * w->in_w, fill, t->buffer + r * t->row);
  }
}

// Where tap column `k` of the tile's first output column stands in a buffer row.
MK_INLINE int64_t tap_offset(const window *w, const window_tile *t, int64_t k) {
  if (w->stride_w == 1) return k * w->dil_w;
  int64_t x = k * w->dil_w;
  return x % w->stride_w * t->phase + x / w->stride_w;
}

// The lanes of output columns x.. whose tap column `k` is inside the image.
MK_INLINE vi tap_mask(const window *w, int64_t x, int64_t k) {
  int64_t shift = w->pad_w - k * w->dil_w;
  int64_t lo = ceil_div(shift, w->stride_w) - x;
  int64_t hi = floor_div(w->in_w - 1 + shift, w->stride_w) + 1 - x;
  vi lane = vi_lane_numbers();
  return (lane >= (int32_t)max64(0, min64(lo, LANES))) &
         (lane < (int32_t)max64(0, min64(hi, LANES)));
}

#endif
