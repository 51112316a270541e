// Reading between elements, against plain C: to the bit.
#include "harness.h"

#include <math.h>
#include <stdlib.h>

#pragma STDC FP_CONTRACT OFF

enum { X, GRID, OUT, OFFSETS, WEIGHTS, PAIRED };

static const mk_vector_table *table;

// A coordinate of an axis: mostly on it, now and then outside, on a border or no number.
static float random_coordinate(void) {
  static const float odd[] = {-1, 1, 0, NAN, INFINITY, -INFINITY, 1e30f, -1e30f, -1.0001f, 1.0001f};
  return random_below(12) == 0 ? odd[random_below(10)] : 1.3f * random_unit();
}

typedef struct taps {
  int64_t element[2];  // -1: outside
  float weight[2];
} taps;

static taps taps_of(float coordinate, int64_t extent, bool aligns, bool border) {
  const float length = (float)extent;
  float place = aligns ? (coordinate + 1) / 2 * (length - 1) : ((coordinate + 1) * length - 1) / 2;
  const float least = aligns ? 0 : -0.5f, most = aligns ? length - 1 : length - 0.5f;
  if (border && (place < least || place > most))
    place = place < 0 ? 0 : place < length - 1 ? place : length - 1;
  taps t;
  if (!(place > -0x1p30f && place < 0x1p30f)) {
    if (!border) return (taps){{-1, -1}, {1, 0}};
    place = 0;
  }
  const float below = floorf(place);
  t.weight[1] = place - below;
  t.weight[0] = 1 - t.weight[1];
  for (int i = 0; i < 2; i++) {
    int64_t at = (int64_t)below + i;
    if (at < 0) at = border ? 0 : -1;
    if (at >= extent) at = border ? extent - 1 : -1;
    t.element[i] = at;
  }
  return t;
}

static void test_grid(int round) {
  const int64_t n = 1 + random_below(70), stride = (n + 15) / 16 * 16 + 16 * random_below(2);
  mk_grid_points g = {.n = n,
                      .height = (int32_t)(1 + random_below(9)),
                      .width = (int32_t)(1 + random_below(12)),
                      .aligns = round & 1,
                      .border = round & 2,
                      .stride = stride};
  float *grid = slot_memory(GRID, n * 8, true);
  for (int64_t i = 0; i < 2 * n; i++)
    grid[i] = round % 5 ? 0.8f * random_unit() : random_coordinate();
  const int64_t count = (int64_t)g.height * g.width;
  float *plane = slot_memory(X, count * 4, round % 3 != 0);
  for (int64_t i = 0; i < count; i++) plane[i] = random_below(40) ? random_unit() : INFINITY;
  g.grid = grid;
  g.offsets = slot_memory(OFFSETS, 16 * stride, true);
  g.weights = slot_memory(WEIGHTS, 16 * stride, true);
  g.is_paired = slot_memory(PAIRED, n / 4 + 1, true);
  float *dst = slot_memory(OUT, n * 4, true);
  table->grid_points(&g);
  table->grid_mix(&g, plane, dst);
  bool right = fringe_is_whole(OUT) && fringe_is_whole(OFFSETS) && fringe_is_whole(WEIGHTS) &&
               fringe_is_whole(PAIRED);
  for (int64_t i = 0; i < n; i++) {
    const taps x = taps_of(grid[2 * i], g.width, g.aligns, g.border);
    const taps y = taps_of(grid[2 * i + 1], g.height, g.aligns, g.border);
    float part[2];
    for (int r = 0; r < 2; r++) {
      float read[2];
      for (int c = 0; c < 2; c++)
        read[c] =
          y.element[r] < 0 || x.element[c] < 0 ? 0 : plane[y.element[r] * g.width + x.element[c]];
      part[r] = y.weight[r] * x.weight[0] * read[0] + y.weight[r] * x.weight[1] * read[1];
    }
    right &= same(dst[i], part[0] + part[1]);
  }
  check(right, "grid of %lld points in %dx%d, form %d", (long long)n, g.height, g.width, round & 3);
}

static void test_mixing(void) {
  const int64_t n = 1 + random_below(70), extent = 2 + random_below(50);
  float *line = slot_memory(X, extent * 4, true), *weights = slot_memory(WEIGHTS, n * 8, true);
  int32_t *places = slot_memory(OFFSETS, n * 4, true);
  float *dst = slot_memory(OUT, n * 4, true);
  for (int64_t i = 0; i < extent; i++) line[i] = random_below(20) ? random_unit() : INFINITY;
  for (int64_t i = 0; i < n; i++) {
    places[i] = (int32_t)random_below(extent - 1);
    weights[i] = random_below(6) ? random_unit() : 0;
    weights[n + i] = random_below(6) ? random_unit() : 0;
  }
  table->mix_neighbours(n, line, places, weights, dst);
  bool right = fringe_is_whole(OUT);
  for (int64_t i = 0; i < n; i++) {
    float sum = 0;
    if (weights[i] != 0) sum += weights[i] * line[places[i]];
    if (weights[n + i] != 0) sum += weights[n + i] * line[places[i] + 1];
    right &= same(dst[i], sum);
  }
  check(right, "mix_neighbours of %lld", (long long)n);

  float *x = slot_memory(X, n * 4, true), *y = slot_memory(GRID, n * 4, true);
  float *mixed = slot_memory(OUT, n * 4, true);
  for (int64_t i = 0; i < n; i++) x[i] = random_unit(), y[i] = random_unit();
  const float a = random_unit(), b = random_unit();
  table->mix_lines(n, a, x, b, y, mixed);
  right = fringe_is_whole(OUT);
  for (int64_t i = 0; i < n; i++) {
    float sum = 0;
    sum += a * x[i];
    sum += b * y[i];
    right &= same(mixed[i], sum);
  }
  check(right, "mix_lines of %lld", (long long)n);
}

static void test_first(void) {
  const int64_t n = random_below(200), at = random_below(2 * n + 1);
  float *src = slot_memory(X, n * 4, true);
  const float bound = random_unit();
  for (int above = 0; above < 2; above++) {
    for (int64_t i = 0; i < n; i++) {
      const float off = random_below(4) ? fabsf(random_unit()) : 0;
      src[i] = above ? bound - off : bound + off;
    }
    if (at < n) src[at] = random_below(3) ? (above ? bound + 1 : bound - 1) : NAN;
    const int64_t found = (above ? table->first_above : table->first_below)(n, src, bound);
    check(found == (at < n ? at : n), "first_%s of %lld: %lld, not %lld", above ? "above" : "below",
          (long long)n, (long long)found, (long long)(at < n ? at : n));
  }
}

void test_sampling(const mk_isa *isa) {
  table = isa->vectors;
  begin_section(isa->name, "sampling");
  for (int round = 0; round < 400; round++) test_grid(round);
  for (int round = 0; round < 200; round++) test_mixing();
  for (int round = 0; round < 200; round++) test_first();
}

// The same code on all instruction sets.

static void test_gather(int round) {
  const int32_t size = 1 << random_below(4);
  const bool is_long = round & 1;
  const int64_t n = random_below(50), extent = 1 + random_below(20), step = random_below(2);
  const int64_t stride = step ? n : 1;
  const int64_t elements = step ? extent * stride : extent;
  uint8_t *src = slot_memory(X, elements * size, true);
  for (int64_t i = 0; i < elements * size; i++) src[i] = (uint8_t)random_bits();
  uint8_t *indices = slot_memory(OFFSETS, n * (is_long ? 8 : 4), true);
  const int64_t fault = round % 3 ? n : random_below(n + 1);
  for (int64_t i = 0; i < n; i++) {
    int64_t index = random_below(2 * extent) - extent;
    if (i == fault) index = random_below(2) ? extent + random_below(3) : -extent - 1;
    const int32_t narrow = (int32_t)index;
    memcpy(indices + i * (is_long ? 8 : 4), is_long ? (void *)&index : (void *)&narrow,
           is_long ? 8 : 4);
  }
  uint8_t *dst = slot_memory(OUT, n * size, true);
  const int64_t moved = mk_gather(size, n, indices, is_long, extent, src, stride, step, dst);
  bool right = moved == fault && fringe_is_whole(OUT);
  for (int64_t i = 0; i < moved; i++) {
    int64_t index = 0;
    int32_t narrow = 0;
    memcpy(is_long ? (void *)&index : (void *)&narrow, indices + i * (is_long ? 8 : 4),
           is_long ? 8 : 4);
    if (!is_long) index = narrow;
    if (index < 0) index += extent;
    right &= memcmp(dst + i * size, src + (index * stride + i * step) * size, (size_t)size) == 0;
  }
  check(right, "gather of %lld elements of %d bytes", (long long)n, size);
}

static int64_t random_long(void) {
  const uint64_t bits = (uint64_t)random_bits() << 32 | random_bits();
  const int64_t value = (int64_t)(bits >> random_below(64));
  return random_below(2) ? value : (int64_t)(0 - (uint64_t)value);
}

static void test_divide(int round) {
  enum { N = 16 };
  int64_t src[N], dst[N];
  int64_t divisor = random_long();
  if (round % 4 == 0)
    divisor = (int64_t)((1ull << random_below(64)) + (uint64_t)random_below(3) - 1);
  if (divisor == 0) divisor = -1;
  for (int i = 0; i < N; i++) src[i] = random_long();
  src[0] = INT64_MIN, src[1] = INT64_MAX;
  src[2] = (int64_t)((uint64_t)divisor * (random_bits() >> 8)),
  src[3] = src[2] - (src[2] > INT64_MIN);
  mk_divide_i64(N, src, divisor, dst);
  bool right = true;
  for (int i = 0; i < N; i++)
    right &= dst[i] == (divisor == -1 ? (int64_t)(0 - (uint64_t)src[i]) : src[i] / divisor);
  check(right, "division by %lld", (long long)divisor);
}

void test_indexing(void) {
  begin_section("all", "indexing");
  for (int round = 0; round < 300; round++) test_gather(round);
  for (int round = 0; round < 2000; round++) test_divide(round);
}
