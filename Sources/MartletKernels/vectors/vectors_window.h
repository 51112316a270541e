// Sliding windows over one plane: what depthwise convolution and pooling share.
//
// A tile of the plane is copied into a small buffer, with a fill value where the image ends and
// with its columns sorted by their remainder modulo the stride ("phases"), so that every tap of
// LANES neighbouring outputs is one contiguous load that stays inside the buffer.
#ifndef MARTLET_VECTORS_WINDOW_H
#define MARTLET_VECTORS_WINDOW_H

#include "vectors_elementwise.h"

// 16 KiB: half of the smallest level-1 cache, and little enough for any thread's stack.
enum { WINDOW_FLOATS = 4096, WINDOW_COLUMNS = 1024 };

// Code for odd shapes, kept small.
#define MK_RARE __attribute__((noinline, minsize))

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

// ceil(a / b) for b > 0
MK_INLINE int64_t ceil_div(int64_t a, int64_t b) {
  if (b == 1) return a;
  int64_t q = a / b;
  return q * b < a ? q + 1 : q;
}

MK_INLINE int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
MK_INLINE int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

// The taps k in [*lo, *hi) of one axis that fall on elements 0..<extent for output `o`.
MK_INLINE void taps_inside(int64_t o, int64_t stride, int64_t pad, int64_t dil, int64_t ker,
                           int64_t extent, int64_t *lo, int64_t *hi) {
  int64_t first = o * stride - pad;
  *lo = first >= 0 ? 0 : min64(ker, ceil_div(-first, dil));
  *hi = first + (ker - 1) * dil < extent ? ker : max64(*lo, ceil_div(extent - first, dil));
}

MK_INLINE int64_t whole_vectors(int64_t n) { return (n + LANES - 1) / LANES * LANES; }

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
  int64_t widest = WINDOW_FLOATS / kernel_rows / w->stride_w / LANES * LANES - reach;
  if (widest < LANES) return false;
  t->columns = min64(whole_vectors(min64(w->out_w, WINDOW_COLUMNS)), widest / LANES * LANES);
  t->phase = whole_vectors(t->columns + reach);
  t->row = t->phase * w->stride_w;
  t->rows = min64(w->out_h, (WINDOW_FLOATS / t->row - kernel_rows) / w->stride_h + 1);
  return true;
}

// Copies one input row into a buffer row.
MK_INLINE void load_window_row(const window *w, const window_tile *t, const float *row,
                               float fill, float *dst) {
  int64_t first = t->x0 * w->stride_w - w->pad_w;  // input column of phase 0, index 0
  int64_t extent = w->in_w, stride = w->stride_w;
  if (stride == 1) {
    for (int64_t i = 0; i < t->phase; i += LANES) {
      int64_t x = first + i;
      vf_store(dst + i, vf_load_lanes(row + x, -x, extent - x, fill));
    }
  } else if (stride == 2) {
    for (int64_t i = 0; i < t->phase; i += LANES) {
      int64_t x = first + 2 * i, next = x + LANES;
      vf a = vf_load_lanes(row + x, -x, extent - x, fill);
      vf b = vf_load_lanes(row + next, -next, extent - next, fill);
      vf_store(dst + i, vf_even(a, b));
      vf_store(dst + t->phase + i, vf_odd(a, b));
    }
  } else {
    for (int64_t p = 0; p < stride; p++) {
      for (int64_t i = 0; i < t->phase; i++) {
        int64_t x = first + p + i * stride;
        dst[p * t->phase + i] = x >= 0 && x < extent ? row[x] : fill;
      }
    }
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

#endif
