// The functions of an f32 row whose panels are two vectors wide, made of gemm_body.h and pack_body.h.
// A gemm.c includes it after it has defined
//   NR                columns of a panel, two vectors
//   F32_MR            rows of the tiles, one of MK_EACH's counts
//   F32_TALL_MR       see mk_gemm_row's tall_mr; 0: none
//   f32_stream_more   runs what it can of a stream of three rows or more; returns the first panel left
#ifndef MARTLET_KERNELS_GEMM_F32_H
#define MARTLET_KERNELS_GEMM_F32_H

#include "gemm_small.h"

#define F32_TILES(M)                     \
  GEMM_TILE(f32_tile, GEMM_F32, M, 1, 2) \
  GEMM_TILE(f32_tile, GEMM_F32, M, 2, 2)
MK_EACH(F32_MR, F32_TILES)
#define F32_TILES_OF(M) {f32_tile_##M##x1, f32_tile_##M##x2},
static const gemm_tile_fn f32_tiles[F32_MR][2] = {MK_EACH(F32_MR, F32_TILES_OF)};

#define F32_PANELS(M) GEMM_STREAM(f32_panels_##M, GEMM_F32, M, 1, 2)
MK_EACH(F32_MR, F32_PANELS)
#define F32_PANELS_OF(M) f32_panels_##M,
static const gemm_panels_fn f32_panels[F32_MR] = {MK_EACH(F32_MR, F32_PANELS_OF)};

static void f32_tall_tile(const mk_gemm_tile *t) {
  gemm_tile_body(GEMM_F32, F32_TALL_MR, 1, 2, t, false);
}
static void f32_any_tile(const mk_gemm_tile *t, bool dst_bf16) {
  if (t->m <= 0 || t->n <= 0) return;
  if (F32_TALL_MR > 0 && t->m == F32_TALL_MR) f32_tall_tile(t);
  else f32_tiles[t->m - 1][(t->n - 1) / VL](t, dst_bf16);
}
static void f32_tile(const mk_gemm_tile *t) { f32_any_tile(t, false); }

GEMM_STREAM(f32_stream_1, GEMM_F32, 1, 4, 2)
GEMM_STREAM(f32_stream_2, GEMM_F32, 2, 2, 2)

// Panels of few rows that run side by side; returns the first that is left.
static int64_t f32_stream_panels(const mk_gemm_stream *s) {
  switch (s->m) {
    case 1: return f32_stream_1(s, false);
    case 2: return f32_stream_2(s, false);
    default: return f32_stream_more(s);
  }
}
static void f32_stream(const mk_gemm_stream *s) {
  gemm_stream_tiles(GEMM_F32, F32_MR, NR, f32_any_tile, s, f32_stream_panels(s), false);
}
static void f32_small(const mk_gemm_stream *s) {
  gemm_small(f32_any_tile, f32_panels, F32_MR, F32_TALL_MR, NR, s, f32_stream_panels(s));
}

GEMM_PACKERS(f32, PACK_F32, NR)

static void f32_columns(const mk_gemm_stream *s) { gemm_columns(f32_any_tile, f32_pack_f32, s); }

#endif
