// Integer rows against plain C, to the bit: packing, tiles, finishing, quantising.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness.h"

#pragma STDC FP_CONTRACT OFF

enum { LHS, RHS, PACKED, PANEL, DST, OUT, SUMS, COLUMNS, ROWS, SCALES };

static int64_t round_up(int64_t a, int64_t b) { return (a + b - 1) / b * b; }

// Random bytes; now and then all extreme, where saturating instructions would show.
static void draw_bytes(uint8_t *p, int64_t count) {
  const int64_t kind = random_below(4);
  for (int64_t i = 0; i < count; i++) {
    const uint32_t bits = random_bits();
    p[i] = kind == 0   ? (bits & 1 ? 0x80 : 0x7f)
           : kind == 1 ? (bits & 1 ? 0xff : 0x80)
                       : (uint8_t)bits;
  }
}

static int32_t value(uint8_t byte, bool is_signed) { return is_signed ? (int8_t)byte : byte; }

// A matrix of bytes with any strides: rows or columns contiguous, or neither.
typedef struct bytes {
  uint8_t *first;
  int64_t row_stride, column_stride;
} bytes;
static bytes make_bytes(int slot, int64_t rows, int64_t columns) {
  const int64_t gap = random_below(3), kind = random_below(4);
  bytes b;
  int64_t size;
  if (kind < 2) {
    b.row_stride = columns + gap, b.column_stride = 1;
    size = rows == 0 ? 0 : (rows - 1) * b.row_stride + columns;
  } else {
    b.column_stride = (kind == 2 ? rows : rows * 2) + gap, b.row_stride = kind == 2 ? 1 : 2;
    size = columns == 0 || rows == 0
             ? 0
             : (columns - 1) * b.column_stride + (rows - 1) * b.row_stride + 1;
  }
  b.first = slot_memory(slot, size, true);
  draw_bytes(b.first, size);
  return b;
}
static int32_t at(bytes b, int64_t i, int64_t j, bool is_signed) {
  return value(b.first[i * b.row_stride + j * b.column_stride], is_signed);
}

static void test_product(const mk_int8_row *row, int64_t m, int64_t n, int64_t k) {
  const bool lhs_signed = random_below(2), rhs_signed = random_below(2);
  const bytes a = make_bytes(LHS, m, k), b = make_bytes(RHS, k, n);
  const int64_t element = row->lhs == MK_U8 ? 1 : 2, depth = round_up(k, row->kr);
  const int64_t lhs_stride = depth * element + random_below(3) * 4;
  char *lhs = slot_memory(PACKED, m > 0 ? (m - 1) * lhs_stride + depth * element : 0, true);
  const int64_t panel_bytes = depth * row->nr;
  char *panel = slot_memory(PANEL, panel_bytes, true);
  int32_t *row_sums = slot_memory(ROWS, m * 4, true);
  int32_t *column_sums = slot_memory(COLUMNS, row->nr * 4, true);
  memset(row_sums, 0, (size_t)m * 4);
  memset(column_sums, 0, (size_t)row->nr * 4);
  row->pack_lhs(&(mk_int8_pack_lhs){.m = m,
                                    .k = k,
                                    .src = a.first,
                                    .m_stride = a.row_stride,
                                    .k_stride = a.column_stride,
                                    .is_signed = lhs_signed,
                                    .dst = lhs,
                                    .dst_stride = lhs_stride,
                                    .sums = row_sums});
  row->pack_rhs(&(mk_int8_pack_rhs){.k = k,
                                    .n = n,
                                    .src = b.first,
                                    .k_stride = b.row_stride,
                                    .n_stride = b.column_stride,
                                    .is_signed = rhs_signed,
                                    .dst = panel,
                                    .dst_panel_stride = panel_bytes,
                                    .sums = column_sums});
  const int64_t step = n * 4 + 4 * random_below(4);
  const rows dst = make_rows(DST, m, n * 4, random_below(6) == 0 ? -step : step, true);
  const int64_t cut = random_below(3) == 0 ? k : random_below(k + 1) / row->kr * row->kr;
  const bool is_wide = row->wide_tile && random_below(2);
  const char *rhs = panel;
  int64_t line_bytes = row->nr * row->kr;
  if (is_wide) {
    line_bytes = row->nr * 4;
    char *wide = slot_memory(OUT, depth / row->kr * line_bytes, true);
    row->widen(k, panel, wide);
    rhs = wide;
  }
  void (*const tile)(const mk_int8_tile *) = is_wide ? row->wide_tile : row->tile;
  tile(&(mk_int8_tile){.m = m,
                       .n = n,
                       .k = cut,
                       .lhs = lhs,
                       .lhs_stride = lhs_stride,
                       .rhs = rhs,
                       .dst = (int32_t *)dst.first,
                       .dst_stride = dst.stride});
  if (cut < k)
    tile(&(mk_int8_tile){.m = m,
                         .n = n,
                         .k = k - cut,
                         .lhs = lhs + cut * element,
                         .lhs_stride = lhs_stride,
                         .rhs = rhs + cut / row->kr * line_bytes,
                         .dst = (int32_t *)dst.first,
                         .dst_stride = dst.stride,
                         .accumulates = true,
                         .prefetch = panel});
  const int32_t lhs_shift = row->lhs == MK_U8 && lhs_signed ? 128 : 0;
  const int32_t rhs_shift = rhs_signed ? 0 : -128;
  int64_t wrong = 0;
  for (int64_t i = 0; i < m; i++) {
    const int32_t *line = (const int32_t *)(dst.first + i * dst.stride);
    uint32_t row_sum = 0;
    for (int64_t p = 0; p < k; p++) row_sum += (uint32_t)(at(a, i, p, lhs_signed) + lhs_shift);
    wrong += row_sums[i] != (int32_t)row_sum;
    for (int64_t j = 0; j < n; j++) {
      uint32_t sum = 0;
      for (int64_t p = 0; p < k; p++)
        sum +=
          (uint32_t)((at(a, i, p, lhs_signed) + lhs_shift) * (at(b, p, j, rhs_signed) + rhs_shift));
      wrong += line[j] != (int32_t)sum;
    }
  }
  for (int64_t j = 0; j < n; j++) {
    uint32_t sum = 0;
    for (int64_t p = 0; p < k; p++) sum += (uint32_t)(at(b, p, j, rhs_signed) + rhs_shift);
    wrong += column_sums[j] != (int32_t)sum;
  }
  for (int64_t j = n; j < row->nr; j++) wrong += column_sums[j] != 0;
  check(wrong == 0, "%s m=%lld n=%lld k=%lld %s x %s: %lld wrong", row->name, (long long)m,
        (long long)n, (long long)k, lhs_signed ? "s8" : "u8", rhs_signed ? "s8" : "u8",
        (long long)wrong);
  check(wipe_rows(&dst) && fringe_is_whole(PANEL) && fringe_is_whole(COLUMNS) &&
          fringe_is_whole(ROWS) && fringe_is_whole(PACKED),
        "%s m=%lld n=%lld k=%lld: wrote outside", row->name, (long long)m, (long long)n,
        (long long)k);
}

static int32_t rounded(float x, int32_t zero, int32_t lo, int32_t hi) {
  if (!(x > (float)(lo - zero))) return lo;
  if (x > (float)(hi - zero)) return hi;
  return (int32_t)nearbyintf(x) + zero;
}

static void *drawn_words(int slot, int64_t count, bool are_floats) {
  uint32_t *p = slot_memory(slot, count * 4, true);
  for (int64_t i = 0; i < count; i++)
    p[i] = are_floats ? bits_of((1.5f + random_unit()) * 0x1p-24f) : random_bits() >> 20;
  return p;
}

static void test_finish(const mk_int8_row *row, int64_t m, int64_t n) {
  static const int32_t types[] = {MK_I32, MK_F32, MK_U8, MK_I8};
  const int32_t type = types[random_below(4)];
  const int64_t size = type == MK_I32 || type == MK_F32 ? 4 : 1;
  rows src = make_rows(DST, m, n * 4, n * 4 + 4 * random_below(3), true);
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) ((uint32_t *)(src.first + i * src.stride))[j] = random_bits();
  rows dst = make_rows(OUT, m, n * size, n * size + size * random_below(3), true);
  const int64_t choice = random_bits();
  mk_int8_finish f = {.m = m,
                      .n = n,
                      .src = (int32_t *)src.first,
                      .src_stride = src.stride,
                      .dst = dst.first,
                      .dst_stride = dst.stride,
                      .dst_type = type,
                      .lo = type == MK_U8 ? 0 : -128,
                      .hi = type == MK_U8 ? 255 : 127};
  f.scale = 1.5f + random_unit();
  f.zero = f.lo + (int32_t)random_below(256);
  if (choice & 1) {
    f.row_zero = drawn_words(ROWS, m, false);
    f.column_sum = drawn_words(COLUMNS, n, false);
  }
  if (choice & 2) {
    f.row_sum = drawn_words(LHS, m, false);
    f.column_zero = drawn_words(RHS, n, false);
  }
  if (choice & 4) f.row_bias = drawn_words(SUMS, m, false);
  if (choice & 8) f.column_bias = drawn_words(PANEL, n, false);
  f.row_scale = drawn_words(SCALES, m, true);
  if (choice & 16) f.column_scale = drawn_words(PACKED, n, true);
  row->finish(&f);
  int64_t wrong = 0;
  for (int64_t i = 0; i < m; i++) {
    for (int64_t j = 0; j < n; j++) {
      uint32_t v = ((const uint32_t *)(src.first + i * src.stride))[j];
      if (f.row_zero) v -= (uint32_t)f.row_zero[i] * (uint32_t)f.column_sum[j];
      if (f.row_sum) v -= (uint32_t)f.row_sum[i] * (uint32_t)f.column_zero[j];
      if (f.row_bias) v += (uint32_t)f.row_bias[i];
      if (f.column_bias) v += (uint32_t)f.column_bias[j];
      const float scale = f.scale * f.row_scale[i] * (f.column_scale ? f.column_scale[j] : 1);
      const float x = (float)(int32_t)v * scale;
      const char *got = dst.first + i * dst.stride + j * size;
      const int32_t q = rounded(x, f.zero, f.lo, f.hi);
      const uint8_t byte = (uint8_t)q;
      if (type == MK_I32) wrong += memcmp(got, &v, 4) != 0;
      else if (type == MK_F32) wrong += memcmp(got, &x, 4) != 0;
      else wrong += memcmp(got, &byte, 1) != 0;
    }
  }
  check(wrong == 0, "%s finish into %d m=%lld n=%lld: %lld wrong", row->name, type, (long long)m,
        (long long)n, (long long)wrong);
  check(wipe_rows(&dst), "%s finish m=%lld n=%lld: wrote outside", row->name, (long long)m,
        (long long)n);
}

static void test_quantize(const mk_int8_row *row, int64_t n) {
  static const int32_t types[] = {MK_U8, MK_I8, MK_U16, MK_I16, MK_I32};
  static const int32_t least[] = {0, -128, 0, -32768}, most[] = {255, 127, 65535, 32767};
  const int64_t t = random_below(5), width = t < 2 ? 1 : t < 4 ? 2 : 4;
  const bool varies = random_below(2), has_zeros = varies && random_below(2);
  float *scales = varies ? drawn_words(SCALES, n, true) : NULL;
  int32_t *zeros = has_zeros ? drawn_words(COLUMNS, n, false) : NULL;
  const float scale = (1.5f + random_unit()) * 0x1p-24f;
  int32_t zero = 0;
  if (t < 4) {
    zero = least[t] + (int32_t)random_below(most[t] - least[t] + 1);
    for (int64_t i = 0; zeros && i < n; i++)
      zeros[i] = least[t] + (int32_t)random_below(most[t] - least[t] + 1);
    float *src = slot_memory(LHS, n * 4, true);
    for (int64_t i = 0; i < n; i++) {
      // Halves among them, and everything that is out of range.
      const float whole = (float)random_below(2 * (most[t] - least[t])) / 2 - (float)most[t] / 2;
      src[i] = (varies ? scales[i] : scale) * whole;
      if (random_below(16) == 0) src[i] = float_of(random_bits());
    }
    char *dst = slot_memory(OUT, n * width, true);
    row->quantize(&(mk_quantize){.n = n,
                                 .src = src,
                                 .dst = dst,
                                 .dst_type = types[t],
                                 .scale = scale,
                                 .zero = zero,
                                 .scales = scales,
                                 .zeros = zeros});
    int64_t wrong = 0;
    for (int64_t i = 0; i < n; i++) {
      const int32_t z = zeros ? zeros[i] : zero;
      const int32_t q = rounded(src[i] / (varies ? scales[i] : scale), z, least[t], most[t]);
      wrong += memcmp(dst + i * width, &q, (size_t)width) != 0;
    }
    check(wrong == 0 && fringe_is_whole(OUT), "%s quantize to %d n=%lld: %lld wrong", row->name,
          types[t], (long long)n, (long long)wrong);
  }
  uint8_t *from = slot_memory(RHS, n * width, true);
  draw_bytes(from, n * width);
  float *back = slot_memory(DST, n * 4, true);
  row->dequantize(&(mk_dequantize){.n = n,
                                   .src = from,
                                   .src_type = types[t],
                                   .dst = back,
                                   .scale = scale,
                                   .zero = zero,
                                   .scales = scales,
                                   .zeros = zeros});
  int64_t wrong = 0;
  for (int64_t i = 0; i < n; i++) {
    int32_t v = 0;
    memcpy(&v, from + i * width, (size_t)width);
    if (types[t] == MK_I8) v = (int8_t)v;
    if (types[t] == MK_I16) v = (int16_t)v;
    const int32_t moved = (int32_t)((uint32_t)v - (uint32_t)(zeros ? zeros[i] : zero));
    wrong += bits_of(back[i]) != bits_of((float)moved * (varies ? scales[i] : scale));
  }
  check(wrong == 0 && fringe_is_whole(DST), "%s dequantize from %d n=%lld: %lld wrong", row->name,
        types[t], (long long)n, (long long)wrong);
}

void test_int8_row(const mk_isa *isa) {
  const mk_int8_row *row = isa->int8_row;
  begin_section(isa->name, "integer products");
  if (row->begin) row->begin();
  for (int64_t m = 0; m <= row->mr; m++)
    for (int64_t n = 0; n <= row->nr; n++)
      for (int64_t k = 0; k <= 9; k++) test_product(row, m, n, k);
  for (int i = 0; i < 300; i++)
    test_product(row, 1 + random_below(row->mr), 1 + random_below(row->nr), random_below(700));
  // Sums that wrap around.
  test_product(row, row->mr, row->nr, 8000);
  if (row->end) row->end();
  begin_section(isa->name, "finishing");
  for (int i = 0; i < 2000; i++) test_finish(row, random_below(4), random_below(50));
  begin_section(isa->name, "quantising");
  for (int i = 0; i < 2000; i++) test_quantize(row, random_below(80));
}
