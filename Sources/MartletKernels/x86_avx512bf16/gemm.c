// GEMM rows for AVX-512 BF16.
//
// 6x64: 24 sums, four vectors of the panel and one broadcast of the lhs fill 29 of the 32
// registers; 8x64 would spill.
#define MK_TARGET avx512bf16
#include "../target_begin.h"
#if MK_TARGET_PRESENT
// clang-format off
#include "../x86_avx512/lanes.h"
#include "dot.h"
#include "../gemm_body.h"
#include "../pack_body.h"
#include "../conv_body.h"
#include "in_place.h"
#include "conv_dot.h"
// clang-format on

enum { BF16_MR = 6, NR = 64, PANEL_VECTORS = NR / VL };

#define BF16(M)                                           \
  GEMM_TILE(bf16_tile, GEMM_BF16_DOT, M, 1, PANEL_VECTORS) \
  GEMM_TILE(bf16_tile, GEMM_BF16_DOT, M, 2, PANEL_VECTORS) \
  GEMM_TILE(bf16_tile, GEMM_BF16_DOT, M, 3, PANEL_VECTORS) \
  GEMM_TILE(bf16_tile, GEMM_BF16_DOT, M, 4, PANEL_VECTORS)
BF16(1)
BF16(2)
BF16(3)
BF16(4)
BF16(5)
BF16(6)

#define ROW(PREFIX, M) {PREFIX##_##M##x1, PREFIX##_##M##x2, PREFIX##_##M##x3, PREFIX##_##M##x4}
static const gemm_tile_fn bf16_tiles[BF16_MR][PANEL_VECTORS] = {
  ROW(bf16_tile, 1), ROW(bf16_tile, 2), ROW(bf16_tile, 3),
  ROW(bf16_tile, 4), ROW(bf16_tile, 5), ROW(bf16_tile, 6)};

static void bf16_any_tile(const mk_gemm_tile *t, bool dst_bf16) {
  if (t->m > 0 && t->n > 0) bf16_tiles[t->m - 1][(t->n - 1) / VL](t, dst_bf16);
}
static void bf16_tile_to_f32(const mk_gemm_tile *t) { bf16_any_tile(t, false); }
static void bf16_tile_to_bf16(const mk_gemm_tile *t) { bf16_any_tile(t, true); }

GEMM_STREAM(bf16_stream_1, GEMM_BF16_DOT, 1, 2, PANEL_VECTORS)

static void bf16_stream(const mk_gemm_stream *s, bool dst_bf16) {
  const int64_t panel = s->m == 1 ? bf16_stream_1(s, dst_bf16) : 0;
  gemm_stream_tiles(GEMM_BF16_DOT, BF16_MR, NR, bf16_any_tile, s, panel, dst_bf16);
}
static void bf16_stream_to_f32(const mk_gemm_stream *s) { bf16_stream(s, false); }
static void bf16_stream_to_bf16(const mk_gemm_stream *s) { bf16_stream(s, true); }

IN_PLACE_COLUMNS(bf16_columns_1, 1)
IN_PLACE_COLUMNS(bf16_columns_2, 2)
IN_PLACE_COLUMNS(bf16_columns_3, 3)
IN_PLACE_COLUMNS(bf16_columns_4, 4)
IN_PLACE_LINES(bf16_lines_1, 1)
IN_PLACE_LINES(bf16_lines_2, 2)
IN_PLACE_LINES(bf16_lines_3, 3)
IN_PLACE_LINES(bf16_lines_4, 4)

static void bf16_columns(const mk_gemm_stream *s) {
  static int64_t (*const whole[IN_PLACE_ROWS])(const mk_gemm_stream *, int64_t, float *) = {
    bf16_columns_1, bf16_columns_2, bf16_columns_3, bf16_columns_4};
  in_place_columns(whole, s);
}
static void bf16_lines(const mk_gemm_stream *s) {
  static void (*const rows[IN_PLACE_ROWS])(const mk_gemm_stream *) = {bf16_lines_1, bf16_lines_2,
                                                                      bf16_lines_3, bf16_lines_4};
  rows[s->m - 1](s);
}

GEMM_PACKERS(bf16, PACK_F32_TO_BF16, NR)
static void bf16_pack_same(const mk_pack_rhs *p) { pack_rhs_body(PACK_BF16, NR, p); }

static void bf16_round(int64_t n, const float *src, uint16_t *dst) {
  for (; n >= 2 * VL; n -= 2 * VL, src += 2 * VL, dst += 2 * VL) {
    const vf first = vf_load(src), second = vf_load(src + VL);
    dot_doubt doubt = dot_sure();
    vi pairs = dot_pairs_of_row(first, second, &doubt);
    if (dot_is_doubtful(doubt) && dot_has_denormals(first, second))
      pairs = vi_pairs_of_row(first, second);
    vi_store(dst, pairs);
  }
  for (; n > 0; n -= VL, src += VL, dst += VL) {
    const v_tail tail = v_first(n < VL ? n : VL);
    vf_store_bf16_tail(dst, tail, vf_load_tail(src, tail));
  }
}

// Against 1024 by 144 and 1024 columns these blocks gained 1.2% in the geometric mean of the products
// that x86_avx512/gemm.c names, 128x768x3072 3% and 512x2048x4096 5% (martlet bench gemm in BF16 mode,
// packed rhs, one thread). Items of 18 rows, four for each of two threads, cost 128x768x768 and
// 128x768x3072 a tenth against 66 (two threads). What reads lhs in place, and items that pack, were
// not measured: they keep sums and panels of the size that f32 has.
#define BLOCKS                                                                    \
  {.kc = 2048, .mc = 288, .packing_kc = 1024, .packing_mc = 144, .columns = 512,  \
   .copying_columns = 4096, .copying_rows = 72}

// clang-format off
#include "small.h"
// clang-format on
static void bf16_small_to_f32(const mk_gemm_stream *s) { small_rounding(s, false); }
static void bf16_small_to_bf16(const mk_gemm_stream *s) { small_rounding(s, true); }

// clang-format off
static const mk_gemm_row rows[] = {
  {
    .name = "gemm_f32_bf16_bf16_6x64",
    .dst = MK_F32, .lhs = MK_BF16, .rhs = MK_BF16, .arithmetic = MK_SUMS_DOT,
    .mr = BF16_MR, .nr = NR, .kr = 2, .stream_mr = GEMM_STREAM_ROWS,
    .blocks = BLOCKS, .rate = 110,
    .columns_mr = IN_PLACE_ROWS,
    .small_k = SMALL_K,
    .tile = bf16_tile_to_f32, .stream = bf16_stream_to_f32, .small = bf16_small_to_f32,
    .columns = bf16_columns, .lines = bf16_lines, .conv_dot = &bf16_conv_dot,
    .pack_rhs_f32 = bf16_pack_f32, .pack_rhs_same = bf16_pack_same, .pack_conv = bf16_pack_conv,
    .round = bf16_round,
  },
  {
    .name = "gemm_bf16_bf16_bf16_6x64",
    .dst = MK_BF16, .lhs = MK_BF16, .rhs = MK_BF16, .arithmetic = MK_SUMS_DOT,
    .mr = BF16_MR, .nr = NR, .kr = 2, .stream_mr = GEMM_STREAM_ROWS,
    .blocks = BLOCKS, .rate = 110,
    .small_k = SMALL_K,
    .tile = bf16_tile_to_bf16, .stream = bf16_stream_to_bf16, .small = bf16_small_to_bf16,
    .pack_rhs_f32 = bf16_pack_f32, .pack_rhs_same = bf16_pack_same, .pack_conv = bf16_pack_conv,
    .round = bf16_round,
  },
};
// clang-format on

// Ties of either kind, NaN, Inf and what overflows, in both orders of elements.
static bool probe_rounding(void) {
  static const uint32_t bits[] = {0x3f808000, 0x3f818000, 0x3f808001, 0xff800000, 0x7f800001,
                                  0xffc12345, 0x7f7fffff, 0x00800000, 0xbf7fffff};
  enum { COUNT = sizeof bits / sizeof bits[0] };
  vi values[2];
  for (int i = 0; i < 2 * VL; i++) memcpy((char *)values + i * 4, &bits[i * 5 % COUNT], 4);
  const vf first = (vf)values[0], second = (vf)values[1];
  dot_doubt doubt = dot_sure();
  const vi got[] = {dot_pairs_of_row(first, second, &doubt),
                    dot_pairs_of_lines(first, second, &doubt)};
  const vi expected[] = {vi_pairs_of_row(first, second), vi_pair_bf16(first, second)};
  return memcmp(got, expected, sizeof got) == 0 && !dot_is_doubtful(doubt);
}

// Whole numbers and Inf only: processors differ in how the two products of a pair are rounded and
// in what becomes of denormals, not in these.
static bool checks(void) {
  float sums[VL], expected[VL];
  uint32_t a[VL], b[VL];
  for (int i = 0; i < VL; i++) {
    const float even = (float)(i - 3), odd = (float)(5 - i), x = 2, y = (float)(i + 1);
    a[i] = pack_rounded(even) | pack_rounded(odd) << 16;
    b[i] = pack_rounded(x) | pack_rounded(y) << 16;
    sums[i] = (float)i / 4;
    expected[i] = sums[i] + even * x + odd * y;
  }
  a[VL - 1] = 0x7f80u << 16 | 0x3f80u;  // Inf in the odd half
  expected[VL - 1] = __builtin_inff();
  vf_store(sums, vf_dot(vf_load(sums), vi_load(a), vi_load(b)));
  return memcmp(sums, expected, sizeof sums) == 0 && probe_rounding();
}

// clang-format off
const mk_isa mk_isa_avx512bf16 = {
  MK_ISA_avx512bf16(MK_FACTS), .check = checks, MK_GEMM_ROWS(rows),
  .vectors = &mk_vectors_avx512, .peak_f32 = mk_peak_f32_avx512,
  .peak_bf16 = mk_peak_bf16_avx512bf16,
};
// clang-format on
#endif
#include "../target_end.h"
