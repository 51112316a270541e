// Weights of Winograd's convolution, once per weight: plain C in double.
#include "internal.h"

// Three taps to n points (see vectors_winograd.h): (1, p, p^2) . g over the product of the distances
// to the other finite points.
static __attribute__((noinline)) void winograd_points(int32_t m, const double *g, int64_t step,
                                                      double *points) {
  const double g0 = g[0], g1 = g[step], g2 = g[2 * step];
  if (m == 2) {
    points[0] = -g0;
    points[1] = (g0 + g2 + g1) / 2;
    points[2] = (g0 + g2 - g1) / 2;
    points[3] = g2;
    return;
  }
  // For p^2 = 1/2 the distances multiply to -3/2, for p^2 = 2 to 6.
  const double root = 1.41421356237309504880;
  const double even_a = (g0 + g2 / 2) / -1.5, odd_a = g1 * (root / 2) / -1.5;
  const double even_b = (g0 + g2 * 2) / 6, odd_b = g1 * root / 6;
  points[0] = g0;
  points[1] = even_a + odd_a;
  points[2] = even_a - odd_a;
  points[3] = even_b + odd_b;
  points[4] = even_b - odd_b;
  points[5] = g2;
}

void mk_winograd_weights(int32_t m, int64_t channels, const float *src, float *dst,
                         int64_t point_stride) {
  const int32_t n = m + 2;
  for (int64_t c = 0; c < channels; c++, src += 9) {
    double taps[9], half[6 * 3], points[6];
    for (int i = 0; i < 9; i++) taps[i] = src[i];
    for (int x = 0; x < 3; x++) {
      winograd_points(m, taps + x, 3, points);
      for (int32_t y = 0; y < n; y++) half[y * 3 + x] = points[y];
    }
    for (int32_t y = 0; y < n; y++) {
      winograd_points(m, half + y * 3, 1, points);
      for (int32_t x = 0; x < n; x++) {
        float *to = (float *)((char *)dst + (y * n + x) * point_stride);
        to[c] = (float)points[x];
      }
    }
  }
}
