// Sliding windows over planes: what depthwise convolution and pooling share.
#ifndef MARTLET_VECTORS_WINDOW_H
#define MARTLET_VECTORS_WINDOW_H

#include "vectors_elementwise.h"

// Code for odd shapes, kept small.
#define MK_RARE __attribute__((noinline, minsize))

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

#endif
