// GEMM rows against plain C: packing, tiles with their edges and epilogues, streams.
//
// The oracle computes each element's sum in the order that the header pins, hence compares bits.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness.h"

#pragma STDC FP_CONTRACT OFF

enum { LHS, RHS, PANEL, ACC, DST, BIAS_N, BIAS_M, RESIDUAL, SOURCE };

static int64_t size_of(int32_t dtype) { return dtype == MK_BF16 ? 2 : 4; }

static float element(const void *p, int64_t i, int32_t dtype) {
  if (dtype == MK_BF16) {
    uint16_t h;
    memcpy(&h, (const char *)p + 2 * i, 2);
    return widen(h);
  }
  float x;
  memcpy(&x, (const char *)p + 4 * i, 4);
  return x;
}

static void put(void *p, int64_t i, int32_t dtype, float x) {
  const uint16_t h = round_to_bf16(x);
  if (dtype == MK_BF16) memcpy((char *)p + 2 * i, &h, 2);
  else memcpy((char *)p + 4 * i, &x, 4);
}

typedef enum values { ORDINARY, WIDE_RANGE, SPECIAL } values;

static float draw(values kind) {
  if (kind == SPECIAL && random_below(24) == 0) {
    static const uint32_t odd[] = {0x7f800000, 0xff800000, 0x7fc12345, 0xffa00001, 1,
                                   0x807fffff, 0x00800000, 0x7f7fffff, 0x80000000, 0x00010000,
                                   0x3f808000, 0x007f7fff, 0x807f8000};
    return float_of(odd[random_below(sizeof odd / sizeof odd[0])]);
  }
  if (kind == WIDE_RANGE) return ldexpf(random_unit(), (int)random_below(140) - 90);
  return random_unit();
}

// ------------------------------------------------------------------------------- the sums

static float flushed(float x) {
  const uint32_t u = bits_of(x);
  return u & 0x7f800000 ? x : float_of(u & 0x80000000);
}

// One step of VDPBF16PS: a fused multiply-add with denormals taken and given as zeros.
static float dot_step(float a, float b, float sum) {
  return flushed(fmaf(flushed(a), flushed(b), flushed(sum)));
}

// Row i by column j, k terms onto `sum`.
static float sum_onto(float sum, product_order order, const float *a, const float *b, int64_t k) {
  if (order == ROUNDED_TWICE) {
    for (int64_t p = 0; p < k; p++) sum += a[p] * b[p];
    return sum;
  }
  if (order == CHAIN) {
    for (int64_t p = 0; p < k; p++) sum = fmaf(a[p], b[p], sum);
    return sum;
  }
  for (int64_t p = 0; p < k; p += 2) {
    const bool whole = p + 1 < k;
    sum = dot_step(whole ? a[p + 1] : 0, whole ? b[p + 1] : 0, sum);
    sum = dot_step(a[p], b[p], sum);
  }
  return sum;
}

static float finished(float v, const mk_epilogue *e, int64_t i, int64_t j) {
  if (!e) return v;
  v = e->alpha * v;
  if (e->bias_n) v = v + e->bias_n[j];
  if (e->bias_m) v = v + e->bias_m[i];
  if (e->residual)
    v = v + e->beta * ((const float *)((const char *)e->residual + i * e->residual_stride))[j];
  if (e->act == MK_ACT_RELU) v = v < 0 ? 0 : v;
  if (e->act == MK_ACT_CLAMP) {
    v = v < e->lo ? e->lo : v;
    v = v > e->hi ? e->hi : v;
  }
  return v;
}

// The problem as plain matrices: lhs[i * k + p] and rhs[j * k + p].
typedef struct problem {
  int64_t m, n, k;
  float *lhs, *rhs;
} problem;

static problem make_problem(const mk_gemm_row *row, int64_t m, int64_t n, int64_t k, values kind) {
  problem q = {m, n, k, malloc((size_t)(m * k + 1) * 4), malloc((size_t)(n * k + 1) * 4)};
  for (int64_t i = 0; i < m * k; i++)
    q.lhs[i] = row->lhs == MK_BF16 ? widen(round_to_bf16(draw(kind))) : draw(kind);
  for (int64_t i = 0; i < n * k; i++) q.rhs[i] = draw(kind);
  return q;
}

static void free_problem(problem *q) {
  free(q->lhs);
  free(q->rhs);
}

// Packs rhs through the row's own packer, then rounds the plain copy as the row does.
static const char *pack_problem(const mk_gemm_row *row, problem *q, int64_t *panel_stride) {
  const int64_t panels = (q->n + row->nr - 1) / row->nr;
  const int64_t bytes = (q->k + row->kr - 1) / row->kr * row->kr * row->nr * size_of(row->rhs);
  *panel_stride = bytes + 64 * random_below(2);
  rows panel = make_rows(PANEL, panels, bytes, *panel_stride, true);
  float *source = slot_memory(RHS, q->n * q->k * 4, true);
  memcpy(source, q->rhs, (size_t)(q->n * q->k) * 4);
  row->pack_rhs_f32(&(mk_pack_rhs){.k = q->k,
                                   .n = q->n,
                                   .src = source,
                                   .k_stride = 4,
                                   .n_stride = q->k * 4,
                                   .dst = panel.first,
                                   .dst_panel_stride = *panel_stride});
  for (int64_t i = 0; row->rhs == MK_BF16 && i < q->n * q->k; i++)
    q->rhs[i] = widen(round_to_bf16(q->rhs[i]));
  // What stands behind an odd k is not read as a number: callers may leave out rows of a panel.
  if (row->rhs == MK_BF16 && q->k % 2 != 0 && random_below(2)) {
    const uint16_t nan = 0x7fc0;
    for (int64_t i = 0; i < panels; i++)
      for (int64_t j = 0; j < row->nr; j++)
        memcpy(panel.first + i * *panel_stride + q->k / 2 * row->nr * 4 + j * 4 + 2, &nan, 2);
  }
  return panel.first;
}

static mk_epilogue *make_epilogue(mk_epilogue *e, int64_t m, int64_t n, bool alias, rows *dst) {
  const int64_t choice = random_below(8);
  if (choice == 0 && !alias) return NULL;
  *e = (mk_epilogue){.alpha = choice & 1 ? 1 : random_unit(), .beta = random_unit()};
  if (random_below(2)) {
    float *bias = slot_memory(BIAS_N, n * 4, true);
    for (int64_t j = 0; j < n; j++) bias[j] = random_unit();
    e->bias_n = bias;
  }
  if (random_below(2)) {
    float *bias = slot_memory(BIAS_M, m * 4, true);
    for (int64_t i = 0; i < m; i++) bias[i] = random_unit();
    e->bias_m = bias;
  }
  if (alias || random_below(2)) {
    const int64_t gap = random_below(3) * 4, step = n * 4 + gap;
    const int64_t stride = random_below(4) == 0 ? 0 : random_below(4) == 0 ? -step : step;
    const rows r = alias ? *dst : make_rows(RESIDUAL, m, n * 4, stride, true);
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) put(r.first + i * r.stride, j, MK_F32, random_unit());
    e->residual = (const float *)r.first;
    e->residual_stride = r.stride;
  }
  e->act = (int32_t)random_below(3);
  e->lo = -0.25f;
  e->hi = 0.5f;
  return e;
}

// Whether dst[i][j] is what the row must give for row i, column j.
static bool element_holds(const mk_gemm_row *row, product_order order, const problem *q,
                          const mk_epilogue *e, int64_t i, int64_t j, float got, float *expected) {
  const float *a = q->lhs + i * q->k, *b = q->rhs + j * q->k;
  const float sum = sum_onto(0, order, a, b, q->k);
  const float v = finished(sum, e, i, j);
  *expected = row->dst == MK_BF16 ? widen(round_to_bf16(v)) : v;
  if (same(*expected, got)) return true;
  if (order != DOT_WITHIN_BOUND) return false;
  double size = 0;
  for (int64_t p = 0; p < q->k; p++) size += fabs((double)a[p] * (double)b[p]);
  double bound = (double)(4 * q->k + 8) * 0x1p-24 * size + 0x1p-22;
  if (row->dst == MK_BF16) bound += fabs((double)*expected) * 0x1p-8;
  return fabs((double)got - (double)*expected) <= bound;
}

// -------------------------------------------------------------------------------- packing

static void check_panels(const mk_gemm_row *row, const char *what, const rows *panels, int64_t k,
                         int64_t n, const uint32_t *expected) {
  bool whole = true;
  int64_t bad_k = -1, bad_j = -1;
  for (int64_t panel = 0; panel < panels->count; panel++) {
    const char *at = panels->first + panel * panels->stride;
    for (int64_t p = 0; p < (k + row->kr - 1) / row->kr * row->kr; p++) {
      for (int64_t c = 0; c < row->nr; c++) {
        const int64_t j = panel * row->nr + c;
        const int64_t index = (p / row->kr * row->nr + c) * row->kr + p % row->kr;
        uint32_t got = 0;
        memcpy(&got, at + index * size_of(row->rhs), (size_t)size_of(row->rhs));
        const uint32_t want = p < k && j < n ? expected[p * n + j] : 0;
        if (got != want && whole) whole = false, bad_k = p, bad_j = j;
      }
    }
  }
  check(whole, "%s %s k=%lld n=%lld: wrong at k %lld, column %lld", row->name, what, (long long)k,
        (long long)n, (long long)bad_k, (long long)bad_j);
  check(wipe_rows(panels), "%s %s k=%lld n=%lld: wrote outside the panels", row->name, what,
        (long long)k, (long long)n);
}

static rows make_panels(const mk_gemm_row *row, int64_t k, int64_t n) {
  const int64_t bytes = (k + row->kr - 1) / row->kr * row->kr * row->nr * size_of(row->rhs);
  return make_rows(PANEL, (n + row->nr - 1) / row->nr, bytes, bytes + 4 * random_below(20), true);
}

static void test_pack_rhs(const mk_gemm_row *row) {
  const int64_t nr = row->nr;
  const int64_t ks[] = {0, 1, 2, 3, 15, 16, 17, 33, 64, 70};
  const int64_t ns[] = {1, nr - 1, nr, nr + 1, 2 * nr + nr / 2 + 1, 4 * nr};
  enum { COLUMNS, TRANSPOSED, SPACED, BACKWARD, BROADCAST, LAYOUTS };
  for (size_t ki = 0; ki < sizeof ks / sizeof ks[0]; ki++) {
    for (size_t ni = 0; ni < sizeof ns / sizeof ns[0]; ni++) {
      for (int layout = 0; layout < LAYOUTS; layout++) {
        const int64_t k = ks[ki], n = ns[ni];
        const bool from_same = row->rhs == MK_BF16 && random_below(2);
        const int64_t size = from_same ? 2 : 4;
        const int64_t gap = size * random_below(3);
        rows r;
        int64_t k_stride, n_stride;
        if (layout == TRANSPOSED) {
          r = make_rows(SOURCE, n, k * size, k * size + gap, true);
          k_stride = size, n_stride = r.stride;
        } else {
          const int64_t spread = layout == SPACED ? 3 : 1;
          const int64_t row_bytes = ((n - 1) * spread + 1) * size, step = row_bytes + gap;
          r = make_rows(SOURCE, k, row_bytes,
                        layout == BACKWARD    ? -step
                        : layout == BROADCAST ? 0
                                              : step,
                        true);
          k_stride = r.stride, n_stride = spread * size;
        }
        uint32_t *expected = calloc((size_t)(k * n + 1), 4);
        for (int64_t p = 0; p < k; p++) {
          for (int64_t j = 0; j < n; j++) {
            char *at = r.first + p * k_stride + j * n_stride;
            if (layout != BROADCAST || p == 0) {
              const uint32_t u = bits_of(draw(random_below(2) ? SPECIAL : ORDINARY));
              const uint16_t h = (uint16_t)(u >> 16);
              memcpy(at, size == 2 ? (const void *)&h : (const void *)&u, (size_t)size);
            }
            expected[p * n + j] = bits_of(element(at, 0, size == 2 ? MK_BF16 : MK_F32));
            if (size == 2) expected[p * n + j] >>= 16;
            if (size == 4 && row->rhs == MK_BF16)
              expected[p * n + j] = round_to_bf16(element(at, 0, MK_F32));
          }
        }
        rows panels = make_panels(row, k, n);
        const mk_pack_rhs pack = {.k = k,
                                  .n = n,
                                  .src = r.first,
                                  .k_stride = k_stride,
                                  .n_stride = n_stride,
                                  .dst = panels.first,
                                  .dst_panel_stride = panels.stride};
        (from_same || row->rhs == MK_F32 ? row->pack_rhs_same : row->pack_rhs_f32)(&pack);
        char what[48];
        snprintf(what, sizeof what, "pack_rhs (%d-byte source, layout %d)", (int)size, layout);
        check_panels(row, what, &panels, k, n, expected);
        free(expected);
      }
    }
  }
}

static void test_pack_conv(const mk_gemm_row *row) {
  for (int round = 0; round < 60; round++) {
    const bool deep = round % 6 == 0;
    mk_pack_conv c = {.in_d = deep ? 1 + random_below(4) : 1,
                      .in_h = 1 + random_below(9),
                      .in_w = 1 + random_below(round % 3 ? 12 : 45),
                      .ker_d = deep ? 1 + random_below(3) : 1,
                      .ker_h = 1 + random_below(3),
                      .ker_w = 1 + random_below(4),
                      .stride_d = 1 + random_below(2),
                      .stride_h = 1 + random_below(3),
                      .stride_w = 1 + random_below(3),
                      .dil_d = 1,
                      .dil_h = 1 + random_below(2),
                      .dil_w = 1 + random_below(2),
                      .pad_d = deep ? random_below(2) : 0,
                      .pad_h = random_below(3),
                      .pad_w = random_below(3)};
    // The outputs that symmetric padding gives, and one more of ceil_mode now and then.
    const int64_t d = (c.in_d + 2 * c.pad_d - c.dil_d * (c.ker_d - 1) - 1);
    const int64_t h = (c.in_h + 2 * c.pad_h - c.dil_h * (c.ker_h - 1) - 1);
    const int64_t w = (c.in_w + 2 * c.pad_w - c.dil_w * (c.ker_w - 1) - 1);
    if (d < 0 || h < 0 || w < 0) continue;
    c.out_d = d / c.stride_d + 1;
    c.out_h = h / c.stride_h + 1;
    c.out_w = w / c.stride_w + 1 + random_below(2);
    const int64_t channels = 1 + random_below(5);
    const int64_t all_k = channels * c.ker_d * c.ker_h * c.ker_w;
    const int64_t all_n = c.out_d * c.out_h * c.out_w;
    c.k0 = round % 2 ? random_below((all_k + 1) / 2) / row->kr * row->kr : 0;
    c.n0 = round % 2 ? random_below(all_n) : 0;
    c.k = all_k - c.k0, c.n = all_n - c.n0;
    if (round % 4 == 3 && c.k > 2) c.k -= random_below(c.k);

    const int64_t image = channels * c.in_d * c.in_h * c.in_w;
    float *src = slot_memory(SOURCE, image * 4, round % 2);
    for (int64_t i = 0; i < image; i++) src[i] = draw(SPECIAL);
    c.src = src;
    c.channels = channels;
    uint32_t *expected = calloc((size_t)(c.k * c.n + 1), 4);
    for (int64_t p = 0; p < c.k; p++) {
      // By channel, then tap; where the rhs is bf16 by tap, then channel.
      const int64_t taps = c.ker_d * c.ker_h * c.ker_w, at = c.k0 + p;
      const int64_t channel = row->rhs == MK_BF16 ? at % channels : at / taps;
      int64_t t = row->rhs == MK_BF16 ? at / channels : at % taps;
      const int64_t kw = t % c.ker_w, kh = (t /= c.ker_w) % c.ker_h, kd = t / c.ker_h;
      for (int64_t j = 0; j < c.n; j++) {
        int64_t o = c.n0 + j;
        const int64_t ow = o % c.out_w, oh = (o /= c.out_w) % c.out_h, od = o / c.out_h;
        const int64_t z = od * c.stride_d - c.pad_d + kd * c.dil_d;
        const int64_t y = oh * c.stride_h - c.pad_h + kh * c.dil_h;
        const int64_t x = ow * c.stride_w - c.pad_w + kw * c.dil_w;
        const bool inside = z >= 0 && z < c.in_d && y >= 0 && y < c.in_h && x >= 0 && x < c.in_w;
        const float v = inside ? src[((channel * c.in_d + z) * c.in_h + y) * c.in_w + x] : 0;
        expected[p * c.n + j] = row->rhs == MK_BF16 ? round_to_bf16(v) : bits_of(v);
      }
    }
    rows panels = make_panels(row, c.k, c.n);
    c.dst = panels.first;
    c.dst_panel_stride = panels.stride;
    row->pack_conv(&c);
    char what[160];
    snprintf(what, sizeof what,
             "pack_conv %lldx%lldx%lld by %lldx%lldx%lld stride %lld %lld dil %lld %lld",
             (long long)c.in_d, (long long)c.in_h, (long long)c.in_w, (long long)c.ker_d,
             (long long)c.ker_h, (long long)c.ker_w, (long long)c.stride_h, (long long)c.stride_w,
             (long long)c.dil_h, (long long)c.dil_w);
    check_panels(row, what, &panels, c.k, c.n, expected);
    free(expected);
  }
}

// ------------------------------------------------------------------------------- rounding

// A bf16 as the row's products take it.
static uint16_t taken(uint16_t half, bool flushes) {
  return flushes && !(half & 0x7f80) ? half & 0x8000 : half;
}

// The numbers `first` on, `step` apart, `n` of them; a zero between every two where `gaps`.
static void check_round(const mk_gemm_row *row, bool flushes, uint32_t first, uint32_t step,
                        int64_t n, bool gaps) {
  const int64_t gap = random_below(16) * 4;
  float *src = (float *)((char *)slot_memory(SOURCE, n * 4 + gap, true) + gap);
  rows dst = make_rows(DST, 1, n * 2, n * 2, true);
  for (int64_t i = 0; i < n; i++) src[i] = float_of(gaps && i % 2 ? 0 : first + (uint32_t)i * step);
  row->round(n, src, (uint16_t *)dst.first);
  int64_t wrong = 0;
  uint32_t at = 0;
  for (int64_t i = 0; i < n; i++) {
    uint16_t got;
    memcpy(&got, dst.first + 2 * i, 2);
    if (taken(got, flushes) == taken(round_to_bf16(src[i]), flushes)) continue;
    if (wrong++ == 0) at = bits_of(src[i]);
  }
  check(wrong == 0, "%s round of %lld from %08x: %lld wrong, the first %08x", row->name,
        (long long)n, first, (long long)wrong, at);
  check(wipe_rows(&dst), "%s round of %lld: wrote outside its row", row->name, (long long)n);
}

// Every upper half of a float by lower halves that are below, at and above a tie; the numbers around
// the least normal one, among which are the denormals that round to it; every length.
static void test_round(const mk_gemm_row *row, product_order order) {
  static const uint32_t lower[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
  const bool flushes = order == DOT_WITHIN_BOUND || order == DOT_PINNED;
  for (size_t i = 0; i < sizeof lower / sizeof lower[0]; i++)
    for (uint32_t upper = 0; upper < 0x10000; upper += 1024)
      check_round(row, flushes, upper << 16 | lower[i], 0x10000, 1024, i % 2);
  for (uint32_t sign = 0; sign < 2; sign++)
    for (uint32_t start = 0x007f0000; start < 0x00820000; start += 1024)
      check_round(row, flushes, sign << 31 | start, 1, 1024, start % 2048 != 0);
  for (int64_t n = 0; n < 100; n++)
    check_round(row, flushes, random_bits(), random_bits(), n, false);
}

// ---------------------------------------------------------------------------- tile, stream

static rows put_lhs(const mk_gemm_row *row, problem *q, bool repeated) {
  const int64_t size = size_of(row->lhs), bytes = q->k * size;
  const int64_t step = bytes + size * random_below(5);
  const int64_t stride = repeated ? 0 : random_below(6) == 0 ? -step : step;
  rows r = make_rows(LHS, q->m, bytes, stride, true);
  if (repeated)
    for (int64_t i = 1; i < q->m; i++) memcpy(q->lhs + i * q->k, q->lhs, (size_t)q->k * 4);
  for (int64_t i = 0; i < q->m; i++)
    for (int64_t p = 0; p < q->k; p++) put(r.first + i * stride, p, row->lhs, q->lhs[i * q->k + p]);
  return r;
}

static void check_dst(const mk_gemm_row *row, product_order order, const char *what,
                      const problem *q, const mk_epilogue *e, const rows *dst) {
  int64_t wrong = 0, at_i = 0, at_j = 0;
  float got = 0, expected = 0;
  for (int64_t i = 0; i < q->m; i++) {
    for (int64_t j = 0; j < q->n; j++) {
      float want;
      const float x = element(dst->first + i * dst->stride, j, row->dst);
      if (element_holds(row, order, q, e, i, j, x, &want)) continue;
      if (wrong++ == 0) at_i = i, at_j = j, got = x, expected = want;
    }
  }
  check(wrong == 0, "%s %s m=%lld n=%lld k=%lld: %lld wrong, [%lld][%lld] is %a, not %a", row->name,
        what, (long long)q->m, (long long)q->n, (long long)q->k, (long long)wrong, (long long)at_i,
        (long long)at_j, (double)got, (double)expected);
}

static rows make_dst(const mk_gemm_row *row, int64_t m, int64_t n) {
  const int64_t bytes = n * size_of(row->dst), step = bytes + 4 * random_below(4);
  return make_rows(DST, m, bytes, random_below(6) == 0 ? -step : step, true);
}

static void test_tile(const mk_gemm_row *row, product_order order, int64_t m, int64_t n, int64_t k,
                      values kind) {
  problem q = make_problem(row, m, n, k, kind);
  int64_t panel_stride;
  const char *panel = pack_problem(row, &q, &panel_stride);
  const rows lhs = put_lhs(row, &q, random_below(8) == 0);
  rows dst = make_dst(row, m, n);
  // The residual may be the destination itself, unless partial sums are kept there.
  const bool into_dst = row->dst == MK_F32 && random_below(2);
  const bool alias = row->dst == MK_F32 && !into_dst && random_below(6) == 0;
  mk_epilogue space, *e = make_epilogue(&space, m, n, alias, &dst);
  float *kept = NULL;
  mk_epilogue oracle;
  if (e) oracle = *e;
  if (alias) {
    kept = malloc((size_t)(m * n + 1) * 4);
    for (int64_t i = 0; i < m; i++) memcpy(kept + i * n, dst.first + i * dst.stride, (size_t)n * 4);
    oracle.residual = kept;
    oracle.residual_stride = n * 4;
  }
  rows acc = into_dst ? dst : make_rows(ACC, m, n * 4, n * 4 + 4 * random_below(3), true);

  const int64_t parts = 1 + random_below(3);
  int64_t done = 0;
  for (int64_t part = 0; part < parts; part++) {
    const bool last = part == parts - 1;
    const int64_t depth = last ? k - done : random_below((k - done) / row->kr + 1) * row->kr;
    row->tile(&(mk_gemm_tile){.m = m,
                              .n = n,
                              .k = depth,
                              .lhs = lhs.first + done * size_of(row->lhs),
                              .lhs_stride = lhs.stride,
                              .rhs = panel + done * row->nr * size_of(row->rhs),
                              .acc = (float *)acc.first,
                              .acc_stride = acc.stride,
                              .dst = dst.first,
                              .dst_stride = dst.stride,
                              .epilogue = last ? e : NULL,
                              .flags = (part == 0 ? MK_FIRST_K : 0u) | (last ? MK_LAST_K : 0u),
                              .prefetch = random_below(2) ? panel : NULL,
                              .prefetch_step = 8 * random_below(9)});
    done += depth;
    if (!last && !into_dst && !alias) {
      const rows untouched = {dst.slot, 0, 0, 0, dst.first};
      check(wipe_rows(&untouched), "%s tile: dst written before the last k", row->name);
    }
  }
  check_dst(row, order, "tile", &q, e ? &oracle : NULL, &dst);
  check(wipe_rows(&dst) && (into_dst || wipe_rows(&acc)),
        "%s tile m=%lld n=%lld k=%lld: wrote outside its rows", row->name, (long long)m,
        (long long)n, (long long)k);
  free(kept);
  free_problem(&q);
}

static void test_stream(const mk_gemm_row *row, product_order order, int64_t m, int64_t n,
                        int64_t k, values kind) {
  problem q = make_problem(row, m, n, k, kind);
  int64_t panel_stride;
  const char *panels = pack_problem(row, &q, &panel_stride);
  const rows lhs = put_lhs(row, &q, random_below(8) == 0);
  rows dst = make_dst(row, m, n);
  mk_epilogue space, *e = make_epilogue(&space, m, n, false, &dst);
  row->stream(&(mk_gemm_stream){.m = m,
                                .n = n,
                                .k = k,
                                .lhs = lhs.first,
                                .lhs_stride = lhs.stride,
                                .rhs = panels,
                                .rhs_panel_stride = panel_stride,
                                .dst = dst.first,
                                .dst_stride = dst.stride,
                                .epilogue = e});
  check_dst(row, order, "stream", &q, e, &dst);
  check(wipe_rows(&dst), "%s stream m=%lld n=%lld k=%lld: wrote outside its rows", row->name,
        (long long)m, (long long)n, (long long)k);
  free_problem(&q);
}

// The whole of a small product, its rhs packed or in place against a forbidden page.
static void test_small(const mk_gemm_row *row, product_order order, int64_t m, int64_t n, int64_t k,
                       values kind) {
  problem q = make_problem(row, m, n, k, kind);
  const rows lhs = put_lhs(row, &q, random_below(8) == 0);
  const int64_t l1_rows = random_below(2) ? 0 : 1 + random_below(2 * row->mr);
  if (random_below(3) == 0) {
    int64_t panel_stride;
    const char *panels = pack_problem(row, &q, &panel_stride);
    rows dst = make_dst(row, m, n);
    mk_epilogue space, *e = make_epilogue(&space, m, n, false, &dst);
    row->small(&(mk_gemm_stream){.m = m,
                                 .n = n,
                                 .k = k,
                                 .lhs = lhs.first,
                                 .lhs_stride = lhs.stride,
                                 .rhs = panels,
                                 .rhs_panel_stride = panel_stride,
                                 .dst = dst.first,
                                 .dst_stride = dst.stride,
                                 .epilogue = e,
                                 .l1_rows = l1_rows});
    check_dst(row, order, "small packed", &q, e, &dst);
    check(wipe_rows(&dst), "%s small packed m=%lld n=%lld k=%lld: wrote outside its rows",
          row->name, (long long)m, (long long)n, (long long)k);
    free_problem(&q);
    return;
  }
  const int64_t stride = n * 4 + (k > 1 ? 4 * random_below(4) : 0);
  rows rhs = make_rows(SOURCE, k, n * 4, random_below(6) == 0 ? -stride : stride, true);
  for (int64_t p = 0; p < k; p++)
    for (int64_t j = 0; j < n; j++)
      memcpy(rhs.first + p * rhs.stride + j * 4, q.rhs + j * k + p, 4);
  rows dst = make_dst(row, m, n);
  mk_epilogue space, *e = make_epilogue(&space, m, n, false, &dst);
  row->small(&(mk_gemm_stream){.m = m,
                               .n = n,
                               .k = k,
                               .lhs = lhs.first,
                               .lhs_stride = lhs.stride,
                               .rhs = rhs.first,
                               .rhs_panel_stride = row->nr * 4,
                               .rhs_line_stride = rhs.stride,
                               .dst = dst.first,
                               .dst_stride = dst.stride,
                               .epilogue = e,
                               .l1_rows = l1_rows});
  check_dst(row, order, "small", &q, e, &dst);
  check(wipe_rows(&dst), "%s small m=%lld n=%lld k=%lld: wrote outside its rows", row->name,
        (long long)m, (long long)n, (long long)k);
  free_problem(&q);
}

// The whole of a small product on bf16 panels, of a bf16 lhs or of one that is rounded on the way: within
// the bounds of the order, and the very bits of the tile.
static void test_small_bf16(const mk_gemm_row *row, product_order order, int64_t m, int64_t n,
                            int64_t k, values kind, bool rounds) {
  problem q = make_problem(row, m, n, k, kind);
  int64_t panel_stride;
  const char *panels = pack_problem(row, &q, &panel_stride);
  const rows rounded = put_lhs(row, &q, false);
  rows lhs = rounded;
  if (rounds) {
    const int64_t step = k * 4 + 4 * random_below(4);
    lhs = make_rows(SOURCE, m, k * 4, random_below(6) == 0 ? -step : step, true);
    for (int64_t i = 0; i < m; i++) {
      for (int64_t p = 0; p < k; p++) {
        const float x = draw(kind);
        put(lhs.first + i * lhs.stride, p, MK_F32, x);
        put(rounded.first + i * rounded.stride, p, MK_BF16, x);
        q.lhs[i * k + p] = widen(round_to_bf16(x));
      }
    }
  }
  rows dst = make_dst(row, m, n);
  mk_epilogue space, *e = make_epilogue(&space, m, n, false, &dst);
  if (e) e->residual = NULL;
  row->small(&(mk_gemm_stream){.m = m,
                               .n = n,
                               .k = k,
                               .lhs = lhs.first,
                               .lhs_stride = lhs.stride,
                               .rhs = panels,
                               .rhs_panel_stride = panel_stride,
                               .dst = dst.first,
                               .dst_stride = dst.stride,
                               .epilogue = e,
                               .flags = rounds ? MK_ROUND_LHS : 0});
  check_dst(row, order, rounds ? "small, rounding" : "small", &q, e, &dst);
  const int64_t size = size_of(row->dst);
  char *tiled = slot_memory(ACC, n * size, true);
  bool equal = true;
  for (int64_t i = 0; i < m; i++) {
    for (int64_t j = 0; j < n; j += row->nr) {
      mk_epilogue moved;
      if (e) {
        moved = *e;
        if (e->bias_n) moved.bias_n += j;
        if (e->bias_m) moved.bias_m += i;
      }
      row->tile(&(mk_gemm_tile){.m = 1,
                                .n = n - j < row->nr ? n - j : row->nr,
                                .k = k,
                                .lhs = rounded.first + i * rounded.stride,
                                .rhs = panels + j / row->nr * panel_stride,
                                .dst = tiled + j * size,
                                .epilogue = e ? &moved : NULL,
                                .flags = MK_FIRST_K | MK_LAST_K});
    }
    equal &= memcmp(tiled, dst.first + i * dst.stride, (size_t)(n * size)) == 0;
  }
  check(equal, "%s small m=%lld n=%lld k=%lld: the tile has other bits", row->name, (long long)m,
        (long long)n, (long long)k);
  check(wipe_rows(&dst), "%s small m=%lld n=%lld k=%lld: wrote outside its rows", row->name,
        (long long)m, (long long)n, (long long)k);
  free_problem(&q);
}

// f32 rows on an rhs in place, each matrix of it against a forbidden page: rows through the stream in
// slices of k and through tiles, and columns that are contiguous along k.
static void test_in_place(const mk_gemm_row *row, product_order order, int64_t m, int64_t n,
                          int64_t k, values kind) {
  problem q = make_problem(row, m, n, k, kind);
  const rows lhs = put_lhs(row, &q, false);
  char *rhs = slot_memory(SOURCE, n * k * 4, true);
  if (n % row->vector == 0 && n > 0) {
    for (int64_t i = 0; i < n * k; i++) memcpy(rhs + i * 4, q.rhs + i % n * k + i / n, 4);
    for (int through = 0; through < 2; through++) {
      rows dst = make_dst(row, m, n);
      mk_epilogue space, *e = make_epilogue(&space, m, n, false, &dst);
      float *sums = (float *)slot_memory(ACC, m * n * 4, true);
      const int64_t slice = 1 + random_below(k + 1);
      int64_t p = 0;
      do {
        const int64_t depth = k - p < slice ? k - p : slice;
        const bool first = p == 0, last = p + depth >= k;
        if (through == 0) {
          row->stream(
            &(mk_gemm_stream){.m = m,
                              .n = n,
                              .k = depth,
                              .lhs = lhs.first + p * 4,
                              .lhs_stride = lhs.stride,
                              .rhs = rhs + p * n * 4,
                              .rhs_panel_stride = row->nr * 4,
                              .rhs_line_stride = n * 4,
                              .dst = dst.first,
                              .dst_stride = dst.stride,
                              .epilogue = e,
                              .acc = sums,
                              .acc_stride = n * 4,
                              .flags = (first ? 0u : MK_RESUME) | (last ? 0u : MK_SUSPEND)});
        } else if (m <= row->mr && n <= row->nr) {
          row->tile(&(mk_gemm_tile){.m = m,
                                    .n = n,
                                    .k = depth,
                                    .lhs = lhs.first + p * 4,
                                    .lhs_stride = lhs.stride,
                                    .rhs = rhs + p * n * 4,
                                    .rhs_line_stride = n * 4,
                                    .dst = dst.first,
                                    .dst_stride = dst.stride,
                                    .epilogue = e,
                                    .acc = sums,
                                    .acc_stride = n * 4,
                                    .flags = (first ? MK_FIRST_K : 0u) | (last ? MK_LAST_K : 0u)});
        }
        p += depth;
      } while (p < k);
      if (through == 1 && (m > row->mr || n > row->nr)) continue;
      check_dst(row, order, through ? "tile in place" : "stream in place", &q, e, &dst);
      check(wipe_rows(&dst), "%s in place m=%lld n=%lld k=%lld: wrote outside its rows", row->name,
            (long long)m, (long long)n, (long long)k);
    }
  }
  if (m <= row->columns_mr) {
    if (n * k > 0) memcpy(rhs, q.rhs, (size_t)(n * k) * 4);
    rows dst = make_dst(row, m, n);
    mk_epilogue space, *e = make_epilogue(&space, m, n, false, &dst);
    row->columns(&(mk_gemm_stream){.m = m,
                                   .n = n,
                                   .k = k,
                                   .lhs = lhs.first,
                                   .lhs_stride = lhs.stride,
                                   .rhs = rhs,
                                   .rhs_line_stride = k * 4,
                                   .dst = dst.first,
                                   .dst_stride = dst.stride,
                                   .epilogue = e});
    check_dst(row, order, "columns", &q, e, &dst);
    check(wipe_rows(&dst), "%s columns m=%lld n=%lld k=%lld: wrote outside its rows", row->name,
          (long long)m, (long long)n, (long long)k);
  }
  free_problem(&q);
}

// Tile and stream give the same bits whatever a processor's products round to.
static void test_stream_is_tile(const mk_gemm_row *row, int64_t m, int64_t k) {
  const int64_t n = 5 * row->nr, size = size_of(row->dst);
  problem q = make_problem(row, m, n, k, ORDINARY);
  int64_t panel_stride;
  const char *panels = pack_problem(row, &q, &panel_stride);
  const rows lhs = put_lhs(row, &q, false);
  char *streamed = slot_memory(DST, m * n * size, true);
  char *tiled = slot_memory(ACC, m * n * size, true);
  row->stream(&(mk_gemm_stream){.m = m,
                                .n = n,
                                .k = k,
                                .lhs = lhs.first,
                                .lhs_stride = lhs.stride,
                                .rhs = panels,
                                .rhs_panel_stride = panel_stride,
                                .dst = streamed,
                                .dst_stride = n * size});
  for (int64_t j = 0; j < n; j += row->nr)
    for (int64_t i = 0; i < m; i += row->mr)
      row->tile(&(mk_gemm_tile){.m = m - i < row->mr ? m - i : row->mr,
                                .n = row->nr,
                                .k = k,
                                .lhs = lhs.first + i * lhs.stride,
                                .lhs_stride = lhs.stride,
                                .rhs = panels + j / row->nr * panel_stride,
                                .dst = tiled + (i * n + j) * size,
                                .dst_stride = n * size,
                                .flags = MK_FIRST_K | MK_LAST_K});
  check(memcmp(streamed, tiled, (size_t)(m * n * size)) == 0,
        "%s m=%lld k=%lld: stream and tile differ", row->name, (long long)m, (long long)k);
  free_problem(&q);
}

// bf16 rows on an f32 rhs in place, against a forbidden page: within the bounds of the order, and the
// very bits of the tile on packed panels.
static void test_rounding_in_place(const mk_gemm_row *row, product_order order, int64_t m,
                                   int64_t n, int64_t k, values kind, bool turned) {
  problem q = make_problem(row, m, n, k, kind);
  const int64_t count = turned ? n : k, length = turned ? k : n;
  const int64_t gap = 4 * random_below(4), step = length * 4 + gap;
  const rows rhs = make_rows(SOURCE, count, length * 4, random_below(6) == 0 ? -step : step, true);
  for (int64_t i = 0; i < count; i++)
    for (int64_t c = 0; c < length; c++)
      memcpy(rhs.first + i * rhs.stride + c * 4, q.rhs + (turned ? i * k + c : c * k + i), 4);
  int64_t panel_stride;
  const char *panels = pack_problem(row, &q, &panel_stride);
  const rows lhs = put_lhs(row, &q, false);
  rows dst = make_dst(row, m, n);
  mk_epilogue space, *e = make_epilogue(&space, m, n, false, &dst);
  (turned ? row->columns : row->lines)(&(mk_gemm_stream){.m = m,
                                                         .n = n,
                                                         .k = k,
                                                         .lhs = lhs.first,
                                                         .lhs_stride = lhs.stride,
                                                         .rhs = rhs.first,
                                                         .rhs_line_stride = rhs.stride,
                                                         .dst = dst.first,
                                                         .dst_stride = dst.stride,
                                                         .epilogue = e});
  const char *what = turned ? "columns" : "lines";
  check_dst(row, order, what, &q, e, &dst);
  float *tiled = slot_memory(ACC, m * n * 4, true);
  bool equal = true;
  for (int64_t j = 0; j < n; j += row->nr) {
    const int64_t columns = n - j < row->nr ? n - j : row->nr;
    mk_epilogue moved;
    if (e) {
      moved = *e;
      if (e->bias_n) moved.bias_n += j;
      if (e->residual) moved.residual += j;
    }
    row->tile(&(mk_gemm_tile){.m = m,
                              .n = columns,
                              .k = k,
                              .lhs = lhs.first,
                              .lhs_stride = lhs.stride,
                              .rhs = panels + j / row->nr * panel_stride,
                              .dst = tiled + j,
                              .dst_stride = n * 4,
                              .epilogue = e ? &moved : NULL,
                              .flags = MK_FIRST_K | MK_LAST_K});
  }
  for (int64_t i = 0; i < m; i++)
    equal &= memcmp(tiled + i * n, dst.first + i * dst.stride, (size_t)n * 4) == 0;
  check(equal, "%s %s m=%lld n=%lld k=%lld: the tile has other bits", row->name, what, (long long)m,
        (long long)n, (long long)k);
  check(wipe_rows(&dst), "%s %s m=%lld n=%lld k=%lld: wrote outside its rows", row->name, what,
        (long long)m, (long long)n, (long long)k);
  free_problem(&q);
}

static void test_row(const mk_isa *isa, const mk_gemm_row *row, product_order order) {
  begin_section(isa->name, "packing");
  test_pack_rhs(row);
  test_pack_conv(row);

  if (row->round) {
    begin_section(isa->name, "rounding");
    test_round(row, order);
  }

  begin_section(isa->name, "tile");
  const int64_t ks[] = {0, 1, 2, 3, 8, 33};
  int64_t ns[16], count = 0;
  for (int64_t edge = 16; edge < row->nr; edge += 16) {
    ns[count++] = edge;
    ns[count++] = edge + 1;
  }
  const int64_t always[] = {0, 1, 7, 8, 15, row->nr - 1, row->nr};
  for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
    if (always[i] <= row->nr) ns[count++] = always[i];
  for (int64_t m = 0; m <= row->mr; m++)
    for (int64_t n = 0; n < count; n++)
      for (size_t k = 0; k < sizeof ks / sizeof ks[0]; k++)
        test_tile(row, order, m, ns[n], ks[k], ORDINARY);
  test_tile(row, order, row->mr, row->nr, 500, ORDINARY);
  if (row->tall_mr > 0) {
    for (int64_t n = 0; n <= row->vector; n++)
      for (size_t k = 0; k < sizeof ks / sizeof ks[0]; k++)
        test_tile(row, order, row->tall_mr, n, ks[k], ORDINARY);
  }
  if (order != DOT_WITHIN_BOUND) {
    for (int i = 0; i < 40; i++) {
      const int64_t m = 1 + random_below(row->mr), n = 1 + random_below(row->nr);
      test_tile(row, order, m, n, 1 + random_below(40), WIDE_RANGE);
      test_tile(row, order, m, n, 1 + random_below(40), SPECIAL);
    }
  }

  begin_section(isa->name, "stream");
  for (int64_t m = 1; m <= row->stream_mr; m++) {
    const int64_t edges[] = {1, row->nr - 1, row->nr, row->nr + 1, 2 * row->nr, 4 * row->nr + 3};
    const int64_t depths[] = {0, 1, 2, 7, 32};
    for (size_t n = 0; n < sizeof edges / sizeof edges[0]; n++)
      for (size_t k = 0; k < sizeof depths / sizeof depths[0]; k++)
        test_stream(row, order, m, edges[n], depths[k], ORDINARY);
    // Deeper than the slices that a stream of many rows may cut k into.
    test_stream(row, order, m, row->nr + 5, 16384 / row->nr + 27, ORDINARY);
    test_stream(row, order, m, 7 * row->nr + 1, 5000 / row->nr, ORDINARY);
    if (order != DOT_WITHIN_BOUND) test_stream(row, order, m, 3 * row->nr, 21, SPECIAL);
    test_stream_is_tile(row, m, 45);
  }
  if (row->lines) {
    begin_section(isa->name, "rounding in place");
    const int64_t widths[] = {1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 80, 100, 130};
    const int64_t depths[] = {0, 1, 2, 15, 16, 31, 32, 33, 63, 64, 80, 97, 257};
    for (int64_t m = 1; m <= row->columns_mr; m++)
      for (size_t n = 0; n < sizeof widths / sizeof widths[0]; n++)
        for (size_t k = 0; k < sizeof depths / sizeof depths[0]; k++)
          for (int turned = 0; turned < 2; turned++)
            test_rounding_in_place(row, order, m, widths[n], depths[k], ORDINARY, turned);
    for (int i = 0; order != DOT_WITHIN_BOUND && i < 200; i++)
      test_rounding_in_place(row, order, 1 + random_below(row->columns_mr), 1 + random_below(100),
                             random_below(120), i % 4 < 2 ? SPECIAL : WIDE_RANGE, i % 2);
  }
  if (row->small && row->rhs == MK_BF16) {
    begin_section(isa->name, "small");
    const int64_t heights[] = {1, 2, 6, 7, 8, 9, 13, 64};
    const int64_t widths[] = {1, 17, row->nr, row->nr + 1, 2 * row->nr};
    const int64_t depths[] = {1, 2, 31, 32, 33, 64, 75, 300};
    for (size_t m = 0; m < sizeof heights / sizeof heights[0]; m++)
      for (size_t n = 0; n < sizeof widths / sizeof widths[0]; n++)
        for (size_t k = 0; k < sizeof depths / sizeof depths[0]; k++)
          for (int rounds = 0; rounds < 2; rounds++)
            test_small_bf16(row, order, heights[m], widths[n], depths[k], ORDINARY, rounds);
    test_small_bf16(row, order, 20, 70, row->small_k, ORDINARY, true);
    test_small_bf16(row, order, 20, 70, row->small_k + 100, ORDINARY, false);
    for (int i = 0; order != DOT_WITHIN_BOUND && i < 100; i++)
      test_small_bf16(row, order, 1 + random_below(30), 1 + random_below(100),
                      1 + random_below(120), i % 4 < 2 ? SPECIAL : WIDE_RANGE, i % 2);
  }
  if (row->vector == 0) return;

  begin_section(isa->name, "rhs in place");
  const int64_t widths[] = {1,           row->vector - 1,       row->vector, row->nr,
                            row->nr + 3, row->nr + row->vector, 5 * row->nr};
  const int64_t depths[] = {0, 1, row->vector - 1, row->vector, 2 * row->vector + 1, 75};
  for (int64_t m = 1; m <= row->stream_mr; m++)
    for (size_t n = 0; n < sizeof widths / sizeof widths[0]; n++)
      for (size_t k = 0; k < sizeof depths / sizeof depths[0]; k++)
        test_in_place(row, order, m, widths[n], depths[k], ORDINARY);
  for (int64_t m = 5; m <= row->stream_mr; m++)
    test_in_place(row, order, m, 4 * row->nr, 300, ORDINARY);
  for (int i = 0; i < 60; i++)
    test_in_place(row, order, 1 + random_below(row->stream_mr), 1 + random_below(3 * row->nr),
                  random_below(90), i % 2 ? SPECIAL : WIDE_RANGE);
  for (int64_t m = 1; m <= 2 * row->mr + 1; m++)
    for (size_t n = 0; n < sizeof widths / sizeof widths[0]; n++)
      for (size_t k = 0; k < sizeof depths / sizeof depths[0]; k++)
        test_small(row, order, m, widths[n], depths[k], ORDINARY);
  for (int i = 0; i < 60; i++)
    test_small(row, order, 1 + random_below(3 * row->mr), 1 + random_below(3 * row->nr),
               random_below(i % 3 ? 90 : 600), i % 2 ? SPECIAL : WIDE_RANGE);
  // Rows as lanes, alone and of the columns that panels leave; 1024 columns of lhs share cache sets.
  const int64_t vector = row->vector;
  const int64_t heights[] = {vector, 2 * vector - 1, 2 * vector, 2 * vector + 1, 5 * vector - 1};
  const int64_t lengths[] = {1, vector, 2 * vector + 1, 75, 1024};
  for (size_t m = 0; m < sizeof heights / sizeof heights[0]; m++)
    for (int64_t n = 1; n <= row->few_columns + 1; n++)
      for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
        test_small(row, order, heights[m], n, lengths[k], ORDINARY);
        test_small(row, order, heights[m], vector + n, lengths[k], ORDINARY);
        test_small(row, order, heights[m], row->nr + n, lengths[k], ORDINARY);
      }
  for (int i = 0; i < 60; i++)
    test_small(row, order, 1 + random_below(6 * vector), 1 + random_below(row->few_columns),
               random_below(i % 3 ? 90 : 600), i % 2 ? SPECIAL : WIDE_RANGE);
  // Whole panels of some rows after the other, and one tile that reads past its columns.
  for (int64_t m = 1; m <= 3 * row->mr; m++) {
    test_small(row, order, m, 3 * row->nr + 3, 9, ORDINARY);
    if (m <= row->mr) test_small(row, order, m, 1 + random_below(vector), 300, SPECIAL);
  }
}

void test_gemm_row(const mk_isa *isa, const mk_gemm_row *row, product_order order) {
  if (row->begin) row->begin();
  test_row(isa, row, order);
  if (row->end) row->end();
}
