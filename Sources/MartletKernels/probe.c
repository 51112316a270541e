// Self-checks of the rows against plain C, run once before an instruction set is trusted.
#include "internal.h"

#include <string.h>

enum { PROBE_MAX_M = 14, PROBE_MAX_N = 64, PROBE_MAX_K = 8 };

// Small whole numbers: exact in bf16, and every sum of theirs is exact in f32 and in bf16.
static float small_number(int64_t i) { return (float)((i * 7 + i / 3) % 5 - 2); }

static uint16_t upper_half(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return (uint16_t)(bits >> 16);
}

static void put(void *at, int64_t i, int32_t dtype, float value) {
  const uint16_t half = upper_half(value);
  if (dtype == MK_BF16) memcpy((char *)at + 2 * i, &half, 2);
  else memcpy((char *)at + 4 * i, &value, 4);
}

static bool holds(const void *at, int64_t i, int32_t dtype, float value) {
  const uint16_t half = upper_half(value);
  return dtype == MK_BF16 ? memcmp((const char *)at + 2 * i, &half, 2) == 0
                          : memcmp((const char *)at + 4 * i, &value, 4) == 0;
}

static bool probe_shape(const mk_gemm_row *row, int64_t m, int64_t n, int64_t k, bool stream) {
  const float untouched = 99;
  float rhs[PROBE_MAX_K * PROBE_MAX_N], panel[PROBE_MAX_K * PROBE_MAX_N];
  float lhs[PROBE_MAX_M * PROBE_MAX_K], acc[PROBE_MAX_M * PROBE_MAX_N];
  float dst[PROBE_MAX_M * PROBE_MAX_N + 1];
  const int64_t dst_bytes = row->dst == MK_BF16 ? 2 : 4, lhs_bytes = row->lhs == MK_BF16 ? 2 : 4;
  for (int64_t i = 0; i < k * n; i++) rhs[i] = small_number(i + 1);
  for (int64_t i = 0; i < m * k; i++) put(lhs, i, row->lhs, small_number(i + 5));
  for (int64_t i = 0; i <= m * n; i++) put(dst, i, row->dst, untouched);

  const mk_pack_rhs pack = {.k = k,
                            .n = n,
                            .src = rhs,
                            .k_stride = n * 4,
                            .n_stride = 4,
                            .dst = panel,
                            .dst_panel_stride = sizeof panel};
  row->pack_rhs_f32(&pack);
  if (stream) {
    const mk_gemm_stream s = {.m = m,
                              .n = n,
                              .k = k,
                              .lhs = lhs,
                              .lhs_stride = k * lhs_bytes,
                              .rhs = panel,
                              .rhs_panel_stride = sizeof panel,
                              .dst = dst,
                              .dst_stride = n * dst_bytes};
    row->stream(&s);
  } else {
    const mk_gemm_tile t = {.m = m,
                            .n = n,
                            .k = k,
                            .lhs = lhs,
                            .lhs_stride = k * lhs_bytes,
                            .rhs = panel,
                            .acc = acc,
                            .acc_stride = n * 4,
                            .dst = dst,
                            .dst_stride = n * dst_bytes,
                            .flags = MK_FIRST_K | MK_LAST_K};
    row->tile(&t);
  }
  for (int64_t i = 0; i < m; i++) {
    for (int64_t j = 0; j < n; j++) {
      float sum = 0;
      for (int64_t p = 0; p < k; p++)
        sum += small_number(i * k + p + 5) * small_number(p * n + j + 1);
      if (!holds(dst, i * n + j, row->dst, sum)) return false;
    }
  }
  return holds(dst, m * n, row->dst, untouched);
}

static bool probe_gemm_row(const mk_gemm_row *row) {
  const int64_t ms[] = {1, row->mr - 1, row->mr}, ns[] = {1, row->nr - 1, row->nr};
  const int64_t ks[] = {0, 1, 5, PROBE_MAX_K};
  if (row->mr > PROBE_MAX_M || row->nr > PROBE_MAX_N) return false;
  for (int m = 0; m < 3; m++) {
    for (int n = 0; n < 3; n++) {
      for (int k = 0; k < 4; k++) {
        if (!probe_shape(row, ms[m], ns[n], ks[k], false)) return false;
        if (ms[m] <= row->stream_mr && !probe_shape(row, ms[m], ns[n], ks[k], true)) return false;
      }
    }
  }
  return true;
}

// Every third value is the lowest or the highest, where saturating instructions would show.
static uint8_t probe_byte(int64_t i) {
  return i % 3 == 0 ? (i % 2 ? 0x80 : 0x7f) : i % 3 == 1 ? 0xff : (uint8_t)(i * 37);
}
static int32_t probe_value(int64_t i, bool is_signed) {
  return is_signed ? (int8_t)probe_byte(i) : probe_byte(i);
}

static bool probe_int8_shape(const mk_int8_row *row, int64_t m, int64_t n, int64_t k,
                             bool is_signed) {
  uint8_t source[PROBE_MAX_K * PROBE_MAX_N], panel[PROBE_MAX_K * PROBE_MAX_N];
  int16_t lhs[PROBE_MAX_M * PROBE_MAX_K];
  int32_t dst[PROBE_MAX_M * PROBE_MAX_N + 1], row_sum[PROBE_MAX_M] = {0};
  int32_t row_zero[PROBE_MAX_M], column_zero[PROBE_MAX_N], column_sum[PROBE_MAX_N] = {0};
  const int32_t untouched = 99, half = 128, lhs_zero = row->lhs == MK_U8 && is_signed ? half : 0;
  for (int64_t i = 0; i < k * n; i++) source[i] = probe_byte(i + 1);
  for (int64_t i = 0; i <= m * n; i++) dst[i] = untouched;
  row->pack_rhs(&(mk_int8_pack_rhs){.k = k,
                                    .n = n,
                                    .src = source,
                                    .k_stride = n,
                                    .n_stride = 1,
                                    .is_signed = is_signed,
                                    .dst = panel,
                                    .dst_panel_stride = sizeof panel,
                                    .sums = column_sum});
  for (int64_t i = 0; i < m * k; i++) source[i] = probe_byte(i);
  const int64_t stride = PROBE_MAX_K * (row->lhs == MK_U8 ? 1 : 2);
  row->pack_lhs(&(mk_int8_pack_lhs){.m = m,
                                    .k = k,
                                    .src = source,
                                    .m_stride = k,
                                    .k_stride = 1,
                                    .is_signed = is_signed,
                                    .dst = lhs,
                                    .dst_stride = stride,
                                    .sums = row_sum});
  row->tile(&(mk_int8_tile){.m = m,
                            .n = n,
                            .k = k,
                            .lhs = lhs,
                            .lhs_stride = stride,
                            .rhs = panel,
                            .dst = dst,
                            .dst_stride = n * 4});
  for (int64_t i = 0; i < m; i++) row_zero[i] = lhs_zero, row_sum[i] -= (int32_t)k * lhs_zero;
  for (int64_t j = 0; j < n; j++) column_zero[j] = is_signed ? 0 : -half;
  row->finish(&(mk_int8_finish){.m = m,
                                .n = n,
                                .src = dst,
                                .src_stride = n * 4,
                                .dst = dst,
                                .dst_stride = n * 4,
                                .dst_type = MK_I32,
                                .row_zero = row_zero,
                                .column_sum = column_sum,
                                .row_sum = row_sum,
                                .column_zero = column_zero});
  for (int64_t i = 0; i < m; i++) {
    for (int64_t j = 0; j < n; j++) {
      int32_t sum = 0;
      for (int64_t p = 0; p < k; p++)
        sum += probe_value(i * k + p, is_signed) * probe_value(p * n + j + 1, is_signed);
      if (dst[i * n + j] != sum) return false;
    }
  }
  return dst[m * n] == untouched;
}

static bool probe_int8_row(const mk_int8_row *row) {
  const int64_t ms[] = {1, row->mr}, ns[] = {1, row->nr - 1, row->nr};
  const int64_t ks[] = {0, 1, 5, PROBE_MAX_K};
  if (row->mr > PROBE_MAX_M || row->nr > PROBE_MAX_N) return false;
  for (int m = 0; m < 2; m++)
    for (int n = 0; n < 3; n++)
      for (int k = 0; k < 4; k++)
        for (int is_signed = 0; is_signed < 2; is_signed++)
          if (!probe_int8_shape(row, ms[m], ns[n], ks[k], is_signed)) return false;
  return true;
}

bool mk_isa_passes(const mk_isa *isa) {
  bool passes = isa->check == NULL || isa->check();
  for (int32_t r = 0; passes && r < isa->gemm_row_count; r++) {
    const mk_gemm_row *const row = &isa->gemm_rows[r];
    if (row->begin) row->begin();
    passes = probe_gemm_row(row);
    if (row->end) row->end();
  }
  if (passes && isa->int8_row) {
    const mk_int8_row *const row = isa->int8_row;
    if (row->begin) row->begin();
    passes = probe_int8_row(row);
    if (row->end) row->end();
  }
  return passes;
}
