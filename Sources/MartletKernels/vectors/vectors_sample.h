// Reading between elements: the points of a grid in a plane, places of a line, and the search for what
// lies beyond a bound.
#ifndef MARTLET_VECTORS_SAMPLE_H
#define MARTLET_VECTORS_SAMPLE_H

#include "vectors_elementwise.h"

typedef float vff __attribute__((vector_size(2 * MK_VECTOR_BYTES)));

// The even and the odd of twice as many floats as a vector has.
#if MK_VECTOR_BYTES == 16
#define VF_EVEN_OF(v) __builtin_shufflevector(v, v, 0, 2, 4, 6)
#define VF_ODD_OF(v) __builtin_shufflevector(v, v, 1, 3, 5, 7)
#elif MK_VECTOR_BYTES == 32
#define VF_EVEN_OF(v) __builtin_shufflevector(v, v, 0, 2, 4, 6, 8, 10, 12, 14)
#define VF_ODD_OF(v) __builtin_shufflevector(v, v, 1, 3, 5, 7, 9, 11, 13, 15)
#else
#define VF_EVEN_OF(v) \
  __builtin_shufflevector(v, v, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#define VF_ODD_OF(v) \
  __builtin_shufflevector(v, v, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)
#endif

// For each lane the element at its offset and the one after it, both of which exist.
MK_INLINE vff neighbours(const float *p, const int32_t *offsets) {
  vl pairs;
  MK_UNROLL for (int i = 0; i < LANES; i++) {
    int64_t pair;
    __builtin_memcpy(&pair, p + offsets[i], 8);
    pairs[i] = pair;
  }
  return (vff)pairs;
}

// ---------------------------------------------------------------------- points of a grid

// Where a vector of coordinates falls on an axis: the two elements around it, which of them are
// inside (all bits set), and how far it is from the first.
typedef struct grid_axis {
  vi first, second, has_first, has_second;
  vf fraction;
} grid_axis;

MK_INLINE grid_axis grid_axis_of(vf coordinate, int32_t extent, bool aligns, bool border) {
  const float length = (float)extent;
  const vi none = vi_splat(0);
  vf place;
  if (aligns) place = (coordinate + 1.0f) * 0.5f * (length - 1.0f);
  else place = ((coordinate + 1.0f) * length - 1.0f) * 0.5f;
  if (border) {
    const float least = aligns ? 0.0f : -0.5f, most = aligns ? (float)(extent - 1) : length - 0.5f;
    const vi beyond = (place < least) | (place > most);
    const vf near = vf_smaller(vf_splat(length - 1.0f), place);
    place = vf_select(beyond, vf_select(place < 0.0f, vf_splat(0.0f), near), place);
  }
  const vi is_place = (place > -0x1p30f) & (place < 0x1p30f);
  place = vf_select(is_place, place, vf_splat(0.0f));
  const vf floor = vf_floor(place);
  grid_axis axis = {.fraction = place - floor};
  axis.first = __builtin_convertvector(floor, vi);
  axis.second = axis.first + 1;
  const vi last = vi_splat(extent - 1);
  if (border) {
    axis.first = vi_select(axis.first < none, none, axis.first);
    axis.first = vi_select(axis.first > last, last, axis.first);
    axis.second = vi_select(axis.second < none, none, axis.second);
    axis.second = vi_select(axis.second > last, last, axis.second);
    axis.has_first = axis.has_second = ~none;
  } else {
    axis.has_first = is_place & (axis.first >= none) & (axis.first <= last);
    axis.has_second = is_place & (axis.second >= none) & (axis.second <= last);
    axis.first &= axis.has_first;
    axis.second &= axis.has_second;
  }
  return axis;
}

static void grid_points(const mk_grid_points *g) {
  for (int64_t i = 0; i < g->n; i += LANES) {
    vff points = {0};
    const int64_t count = g->n - i < LANES ? g->n - i : LANES;
    if (count == LANES) __builtin_memcpy(&points, g->grid + 2 * i, sizeof points);
    else memcpy(&points, g->grid + 2 * i, (size_t)count * 8);
    const grid_axis x = grid_axis_of(VF_EVEN_OF(points), g->width, g->aligns, g->border);
    const grid_axis y = grid_axis_of(VF_ODD_OF(points), g->height, g->aligns, g->border);
    const vf x_weights[2] = {1.0f - x.fraction, x.fraction};
    const vf y_weights[2] = {1.0f - y.fraction, y.fraction};
    const vi columns[2] = {x.first, x.second}, rows[2] = {y.first * g->width, y.second * g->width};
    const vi has_column[2] = {x.has_first, x.has_second};
    const vi has_row[2] = {y.has_first, y.has_second};
    MK_UNROLL for (int tap = 0; tap < 4; tap++) {
      const int r = tap / 2, c = tap % 2;
      const vi offsets = (rows[r] + columns[c]) | ~(has_row[r] & has_column[c]);
      const vf weights = y_weights[r] * x_weights[c];
      __builtin_memcpy(g->offsets + tap * g->stride + i, &offsets, sizeof offsets);
      vf_store(g->weights + tap * g->stride + i, weights);
    }
    const vi lone = ~(x.has_first & x.has_second & y.has_first & y.has_second) |
                    (x.second != x.first + 1);
    g->is_paired[i / LANES] = count == LANES && !vi_any(lone);
  }
}

static void grid_mix(const mk_grid_points *g, const float *plane, float *dst) {
  const int32_t *offsets = g->offsets;
  const float *weights = g->weights;
  const int64_t s = g->stride;
  for (int64_t i = 0; i < g->n; i += LANES, offsets += LANES, weights += LANES) {
    if (g->is_paired[i / LANES]) {
      const vff above = neighbours(plane, offsets), below = neighbours(plane, offsets + 2 * s);
      const vf first = vf_load(weights) * VF_EVEN_OF(above) +
                       vf_load(weights + s) * VF_ODD_OF(above);
      const vf second = vf_load(weights + 2 * s) * VF_EVEN_OF(below) +
                        vf_load(weights + 3 * s) * VF_ODD_OF(below);
      vf_store(dst + i, first + second);
      continue;
    }
    const int64_t count = g->n - i < LANES ? g->n - i : LANES;
    for (int64_t j = 0; j < count; j++) {
      float read[4];
      for (int tap = 0; tap < 4; tap++) {
        const int32_t offset = offsets[tap * s + j];
        read[tap] = offset >= 0 ? plane[offset] : 0;
      }
      dst[i + j] = (weights[j] * read[0] + weights[s + j] * read[1]) +
                   (weights[2 * s + j] * read[2] + weights[3 * s + j] * read[3]);
    }
  }
}

// ----------------------------------------------------------------------- places of a line

static void mix_neighbours(int64_t n, const float *line, const int32_t *places,
                           const float *weights, float *dst) {
  const float *others = weights + n;
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    const vff pairs = neighbours(line, places + i);
    const vf a = vf_load(weights + i), b = vf_load(others + i);
    // What weighs nothing is not read as a number.
    const vf first = vf_select(a != 0.0f, VF_EVEN_OF(pairs), vf_splat(0.0f));
    const vf second = vf_select(b != 0.0f, VF_ODD_OF(pairs), vf_splat(0.0f));
    vf_store(dst + i, (0.0f + a * first) + b * second);
  }
  for (; i < n; i++) {
    const float a = weights[i], b = others[i];
    const float first = a != 0.0f ? line[places[i]] : 0.0f;
    const float second = b != 0.0f ? line[places[i] + 1] : 0.0f;
    dst[i] = (0.0f + a * first) + b * second;
  }
}

static void mix_lines(int64_t n, float a, const float *x, float b, const float *y, float *dst) {
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    vf_store(dst + i, (0.0f + a * vf_load(x + i)) + b * vf_load(y + i));
  for (; i < n; i++) dst[i] = (0.0f + a * x[i]) + b * y[i];
}

// ------------------------------------------------------------------------------ searches

#define MK_BEYOND(name, is_within)                                                         \
  static int64_t first_##name(int64_t n, const float *src, float bound) {                  \
    int64_t i = 0;                                                                         \
    for (; i + 4 * LANES <= n; i += 4 * LANES) {                                           \
      vi beyond = vi_splat(0);                                                             \
      MK_UNROLL for (int k = 0; k < 4; k++) {                                              \
        const vf v = vf_load(src + i + k * LANES);                                         \
        beyond |= ~(v is_within bound);                                                    \
      }                                                                                    \
      if (vi_any(beyond)) break;                                                           \
    }                                                                                      \
    for (; i < n; i++)                                                                     \
      if (!(src[i] is_within bound)) return i;                                             \
    return n;                                                                              \
  }

MK_BEYOND(above, <=)
MK_BEYOND(below, >=)

#endif
