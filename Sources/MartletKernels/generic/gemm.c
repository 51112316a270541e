// GEMM rows in portable C: 6x8 is what sixteen SSE2 registers hold; NEON's thirty-two would take
// more, but its own rows are to come.
#define MK_TARGET_GENERIC
#include "../target_begin.h"
// clang-format off
#include "lanes.h"
#include "../gemm_body.h"
#include "../pack_body.h"
#include "../conv_body.h"
#include "../conv_direct.h"
// clang-format on

enum { F32_MR = 6, BF16_MR = 4, NR = 8, PANEL_VECTORS = NR / VL };

#define F32(M)                                       \
  GEMM_TILE(f32_tile, GEMM_F32, M, 1, PANEL_VECTORS) \
  GEMM_TILE(f32_tile, GEMM_F32, M, 2, PANEL_VECTORS)
F32(1) F32(2) F32(3) F32(4) F32(5) F32(6)
#define BF16(M)                                              \
  GEMM_TILE(bf16_tile, GEMM_BF16_WIDEN, M, 1, PANEL_VECTORS) \
  GEMM_TILE(bf16_tile, GEMM_BF16_WIDEN, M, 2, PANEL_VECTORS)
BF16(1) BF16(2) BF16(3) BF16(4)

#define ROW(PREFIX, M) {PREFIX##_##M##x1, PREFIX##_##M##x2}
static const gemm_tile_fn f32_tiles[F32_MR][PANEL_VECTORS] = {
  ROW(f32_tile, 1), ROW(f32_tile, 2), ROW(f32_tile, 3),
  ROW(f32_tile, 4), ROW(f32_tile, 5), ROW(f32_tile, 6)};
static const gemm_tile_fn bf16_tiles[BF16_MR][PANEL_VECTORS] = {
  ROW(bf16_tile, 1), ROW(bf16_tile, 2), ROW(bf16_tile, 3), ROW(bf16_tile, 4)};

static void f32_any_tile(const mk_gemm_tile *t, bool dst_bf16, int64_t ahead_step) {
  if (t->m > 0 && t->n > 0) f32_tiles[t->m - 1][(t->n - 1) / VL](t, dst_bf16, ahead_step);
}
static void bf16_any_tile(const mk_gemm_tile *t, bool dst_bf16, int64_t ahead_step) {
  if (t->m > 0 && t->n > 0) bf16_tiles[t->m - 1][(t->n - 1) / VL](t, dst_bf16, ahead_step);
}
static void f32_tile(const mk_gemm_tile *t) { f32_any_tile(t, false, 0); }
static void bf16_tile_to_f32(const mk_gemm_tile *t) { bf16_any_tile(t, false, 0); }
static void bf16_tile_to_bf16(const mk_gemm_tile *t) { bf16_any_tile(t, true, 0); }

GEMM_STREAM(f32_stream_1, GEMM_F32, 1, 4, PANEL_VECTORS)
GEMM_STREAM(f32_stream_2, GEMM_F32, 2, 2, PANEL_VECTORS)
GEMM_STREAM(f32_stream_3, GEMM_F32, 3, 2, PANEL_VECTORS)
GEMM_STREAM(bf16_stream_1, GEMM_BF16_WIDEN, 1, 3, PANEL_VECTORS)
GEMM_STREAM(bf16_stream_2, GEMM_BF16_WIDEN, 2, 2, PANEL_VECTORS)

// Panels of few rows that run side by side; returns the first that is left.
static int64_t f32_stream_panels(const mk_gemm_stream *s) {
  switch (s->m) {
    case 1: return f32_stream_1(s, false);
    case 2: return f32_stream_2(s, false);
    case 3: return f32_stream_3(s, false);
    default: return 0;
  }
}
static void f32_stream(const mk_gemm_stream *s) {
  gemm_stream_tiles(GEMM_F32, F32_MR, NR, f32_any_tile, s, f32_stream_panels(s), false);
}
static void f32_small(const mk_gemm_stream *s) {
  gemm_small(f32_any_tile, F32_MR, 0, NR, s, f32_stream_panels(s));
}
static void bf16_stream(const mk_gemm_stream *s, bool dst_bf16) {
  int64_t panel = 0;
  switch (s->m) {
    case 1: panel = bf16_stream_1(s, dst_bf16); break;
    case 2: panel = bf16_stream_2(s, dst_bf16); break;
  }
  gemm_stream_tiles(GEMM_BF16_WIDEN, BF16_MR, NR, bf16_any_tile, s, panel, dst_bf16);
}
static void bf16_stream_to_f32(const mk_gemm_stream *s) { bf16_stream(s, false); }
static void bf16_stream_to_bf16(const mk_gemm_stream *s) { bf16_stream(s, true); }

GEMM_PACKERS(f32, PACK_F32, NR)

static void f32_columns(const mk_gemm_stream *s) { gemm_columns(f32_any_tile, f32_pack_f32, s); }
GEMM_PACKERS(bf16, PACK_F32_TO_BF16, NR)
static void bf16_pack_same(const mk_pack_rhs *p) { pack_rhs_body(PACK_BF16, NR, p); }

// Pixels of a tile by one and by two vectors of channels.
enum { DIRECT_ONE = 6, DIRECT_TWO = 6 };
DIRECT_TILE(1, 1) DIRECT_TILE(2, 1) DIRECT_TILE(3, 1) DIRECT_TILE(4, 1) DIRECT_TILE(5, 1)
DIRECT_TILE(6, 1)
DIRECT_TILE(1, 2) DIRECT_TILE(2, 2) DIRECT_TILE(3, 2) DIRECT_TILE(4, 2) DIRECT_TILE(5, 2)
DIRECT_TILE(6, 2)
static const direct_tile_fn direct_one[DIRECT_ONE] = {
  direct_1x1, direct_2x1, direct_3x1, direct_4x1, direct_5x1, direct_6x1};
static const direct_tile_fn direct_two[DIRECT_TWO] = {
  direct_1x2, direct_2x2, direct_3x2, direct_4x2, direct_5x2, direct_6x2};
static void f32_conv_sums(const mk_conv_sums *s) {
  if (s->n <= VL)
    direct_sums(direct_one, DIRECT_ONE, s);
  else
    direct_sums(direct_two, DIRECT_TWO, s);
}
static const mk_conv_kernels f32_conv = {
  .pixels = DIRECT_TWO, .tile_width = 8, .sums = f32_conv_sums, .band = direct_band,
  .gather = direct_gather, .finish = direct_finish};

const mk_gemm_row mk_gemm_rows_generic[MK_GENERIC_ROWS] = {
  {
    .name = "gemm_f32_f32_f32_6x8",
    .dst = MK_F32, .lhs = MK_F32, .rhs = MK_F32,
    .mr = F32_MR, .nr = NR, .kr = 1, .stream_mr = GEMM_STREAM_ROWS, .kc = 256, .mc = 144,
    .columns_mr = GEMM_COLUMNS_ROWS, .vector = VL,
    .tile = f32_tile, .stream = f32_stream, .columns = f32_columns, .small = f32_small,
    .pack_rhs_f32 = f32_pack_f32, .pack_rhs_same = f32_pack_f32, .pack_conv = f32_pack_conv,
    .conv = &f32_conv,
  },
  {
    .name = "gemm_f32_bf16_bf16_4x8",
    .dst = MK_F32, .lhs = MK_BF16, .rhs = MK_BF16,
    .mr = BF16_MR, .nr = NR, .kr = 2, .stream_mr = GEMM_STREAM_ROWS, .kc = 512, .mc = 144,
    .tile = bf16_tile_to_f32, .stream = bf16_stream_to_f32,
    .pack_rhs_f32 = bf16_pack_f32, .pack_rhs_same = bf16_pack_same, .pack_conv = bf16_pack_conv,
  },
  {
    .name = "gemm_bf16_bf16_bf16_4x8",
    .dst = MK_BF16, .lhs = MK_BF16, .rhs = MK_BF16,
    .mr = BF16_MR, .nr = NR, .kr = 2, .stream_mr = GEMM_STREAM_ROWS, .kc = 512, .mc = 144,
    .tile = bf16_tile_to_bf16, .stream = bf16_stream_to_bf16,
    .pack_rhs_f32 = bf16_pack_f32, .pack_rhs_same = bf16_pack_same, .pack_conv = bf16_pack_conv,
  },
};
#include "../target_end.h"
