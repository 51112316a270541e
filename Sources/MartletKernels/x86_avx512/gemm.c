// GEMM rows for AVX-512.
//
// f32 14x32: 28 sums, two vectors of the panel and one broadcast of the lhs fill 31 of the 32
// registers.
#define MK_TARGET_AVX512
#include "../target_begin.h"
#if MK_TARGET_PRESENT
// clang-format off
#include "lanes.h"
#include "../gemm_body.h"
#include "../pack_body.h"
#include "../conv_body.h"
// clang-format on

enum { F32_MR = 14, NR = 32, PANEL_VECTORS = NR / VL };

#define F32(M)                                       \
  GEMM_TILE(f32_tile, GEMM_F32, M, 1, PANEL_VECTORS) \
  GEMM_TILE(f32_tile, GEMM_F32, M, 2, PANEL_VECTORS)
F32(1) F32(2) F32(3) F32(4) F32(5) F32(6) F32(7)
F32(8) F32(9) F32(10) F32(11) F32(12) F32(13) F32(14)

#define ROW(PREFIX, M) {PREFIX##_##M##x1, PREFIX##_##M##x2}
static const gemm_tile_fn f32_tiles[F32_MR][PANEL_VECTORS] = {
  ROW(f32_tile, 1),  ROW(f32_tile, 2),  ROW(f32_tile, 3),  ROW(f32_tile, 4),  ROW(f32_tile, 5),
  ROW(f32_tile, 6),  ROW(f32_tile, 7),  ROW(f32_tile, 8),  ROW(f32_tile, 9),  ROW(f32_tile, 10),
  ROW(f32_tile, 11), ROW(f32_tile, 12), ROW(f32_tile, 13), ROW(f32_tile, 14)};

static void f32_any_tile(const mk_gemm_tile *t, bool dst_bf16, int64_t ahead_step) {
  if (t->m > 0 && t->n > 0) f32_tiles[t->m - 1][(t->n - 1) / VL](t, dst_bf16, ahead_step);
}
static void f32_tile(const mk_gemm_tile *t) { f32_any_tile(t, false, 0); }

GEMM_STREAM(f32_stream_1, GEMM_F32, 1, 4, PANEL_VECTORS)
GEMM_STREAM(f32_stream_2, GEMM_F32, 2, 2, PANEL_VECTORS)
GEMM_STREAM(f32_stream_3, GEMM_F32, 3, 2, PANEL_VECTORS)

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
  gemm_small(f32_any_tile, F32_MR, NR, s, f32_stream_panels(s));
}

GEMM_PACKERS(f32, PACK_F32, NR)

static void f32_columns(const mk_gemm_stream *s) { gemm_columns(f32_any_tile, f32_pack_f32, s); }

const mk_gemm_row mk_gemm_rows_avx512[MK_AVX512_ROWS] = {
  {
    .name = "gemm_f32_f32_f32_14x32",
    .dst = MK_F32, .lhs = MK_F32, .rhs = MK_F32,
    .mr = F32_MR, .nr = NR, .kr = 1, .stream_mr = GEMM_STREAM_ROWS, .kc = 512, .mc = 168,
    .columns_mr = GEMM_COLUMNS_ROWS, .vector = VL,
    .tile = f32_tile, .stream = f32_stream, .columns = f32_columns, .small = f32_small,
    .pack_rhs_f32 = f32_pack_f32, .pack_rhs_same = f32_pack_f32, .pack_conv = f32_pack_conv,
  },
};
#endif
#include "../target_end.h"
