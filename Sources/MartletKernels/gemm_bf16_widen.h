// The functions of bf16 rows that widen to f32, made of gemm_body.h and pack_body.h: tiles of four
// rows by panels of two vectors. A gemm.c includes it after it has defined NR, a panel's columns.
#ifndef MARTLET_KERNELS_GEMM_BF16_WIDEN_H
#define MARTLET_KERNELS_GEMM_BF16_WIDEN_H

#define BF16_MR 4

#define BF16_TILES(M)                            \
  GEMM_TILE(bf16_tile, GEMM_BF16_WIDEN, M, 1, 2) \
  GEMM_TILE(bf16_tile, GEMM_BF16_WIDEN, M, 2, 2)
MK_EACH(BF16_MR, BF16_TILES)
#define BF16_TILES_OF(M) {bf16_tile_##M##x1, bf16_tile_##M##x2},
static const gemm_tile_fn bf16_tiles[BF16_MR][2] = {MK_EACH(BF16_MR, BF16_TILES_OF)};

static void bf16_any_tile(const mk_gemm_tile *t, bool dst_bf16) {
  if (t->m > 0 && t->n > 0) bf16_tiles[t->m - 1][(t->n - 1) / VL](t, dst_bf16);
}
static void bf16_tile_to_f32(const mk_gemm_tile *t) { bf16_any_tile(t, false); }
static void bf16_tile_to_bf16(const mk_gemm_tile *t) { bf16_any_tile(t, true); }

GEMM_STREAM(bf16_stream_1, GEMM_BF16_WIDEN, 1, 3, 2)
GEMM_STREAM(bf16_stream_2, GEMM_BF16_WIDEN, 2, 2, 2)

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

GEMM_PACKERS(bf16, PACK_F32_TO_BF16, NR)
static void bf16_pack_same(const mk_pack_rhs *p) { pack_rhs_body(PACK_BF16, NR, p); }

#endif
