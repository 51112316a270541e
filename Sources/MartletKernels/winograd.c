// Weights of Winograd's convolution, once per weight: plain C in double.
#include "internal.h"

#include <string.h>

// Channels at a time: a cache line of each point, whose rows may all lie in one set of a cache.
enum { CHANNELS = 16, MOST_POINTS = 6 };
typedef double lanes[CHANNELS];

// Three taps to n points (see vectors_winograd.h): (1, p, p^2) . g over the product of the distances
// to the other finite points.
static inline void winograd_points(int32_t m, const lanes g0, const lanes g1, const lanes g2,
                                   lanes points[MOST_POINTS]) {
  if (m == 2) {
    for (int c = 0; c < CHANNELS; c++) {
      points[0][c] = -g0[c];
      points[1][c] = (g0[c] + g2[c] + g1[c]) / 2;
      points[2][c] = (g0[c] + g2[c] - g1[c]) / 2;
      points[3][c] = g2[c];
    }
    return;
  }
  // For p^2 = 1/2 the distances multiply to -3/2, for p^2 = 2 to 6.
  const double root = 1.41421356237309504880;
  for (int c = 0; c < CHANNELS; c++) {
    const double even_a = (g0[c] + g2[c] / 2) / -1.5, odd_a = g1[c] * (root / 2) / -1.5;
    const double even_b = (g0[c] + g2[c] * 2) / 6, odd_b = g1[c] * root / 6;
    points[0][c] = g0[c];
    points[1][c] = even_a + odd_a;
    points[2][c] = even_a - odd_a;
    points[3][c] = even_b + odd_b;
    points[4][c] = even_b - odd_b;
    points[5][c] = g2[c];
  }
}

void mk_winograd_weights(int32_t m, int64_t channels, const float *src, float *dst,
                         int64_t point_stride) {
  const int32_t n = m + 2;
  for (int64_t first = 0; first < channels; first += CHANNELS) {
    const int64_t count = channels - first < CHANNELS ? channels - first : CHANNELS;
    lanes taps[9], columns[3][MOST_POINTS], points[MOST_POINTS];
    if (count < CHANNELS) memset(taps, 0, sizeof taps);
    for (int64_t c = 0; c < count; c++)
      for (int i = 0; i < 9; i++) taps[i][c] = src[(first + c) * 9 + i];
    for (int x = 0; x < 3; x++) winograd_points(m, taps[x], taps[x + 3], taps[x + 6], columns[x]);
    for (int32_t y = 0; y < n; y++) {
      winograd_points(m, columns[0][y], columns[1][y], columns[2][y], points);
      for (int32_t x = 0; x < n; x++) {
        float line[CHANNELS];
        for (int c = 0; c < CHANNELS; c++) line[c] = (float)points[x][c];
        char *to = (char *)dst + (y * n + x) * point_stride + first * 4;
        if (count == CHANNELS) memcpy(to, line, sizeof line);
        else memcpy(to, line, (size_t)count * 4);
      }
    }
  }
}
