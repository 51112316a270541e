// Integer products for AVX2.
//
// VPMADDUBSW saturates its 16-bit pairs, so panels are widened to 16 bits on loading and multiplied
// by VPMADDWD, which is exact: 6x16, twelve sums, two vectors of the panel, one broadcast and one
// product fill the sixteen registers. Widening takes a thirteenth of the operations; a panel that
// many rows meet is widened once for all of them (4 to 7 points of the peak, Benchmarks/kernels).
#define MK_TARGET avx2
#include "../target_begin.h"
#if MK_TARGET_PRESENT
// clang-format off
#include "lanes.h"
#define INT8_KR 2
MK_INLINE vi int8_line(const void *p) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p));
}
MK_INLINE vi int8_dot(vi c, vi a, vi b) { return _mm256_add_epi32(c, _mm256_madd_epi16(a, b)); }
#include "../int8_body.h"
#include "../peak_body.h"
// clang-format on

enum { MR = 6, NR = 16, PANEL_VECTORS = NR / VL };

#define TILES(M) INT8_TILE(M, 1, PANEL_VECTORS) INT8_TILE(M, 2, PANEL_VECTORS)
TILES(1)
TILES(2)
TILES(3)
TILES(4)
TILES(5)
TILES(6)
#define ROW(M) {int8_tile_##M##x1, int8_tile_##M##x2}
static const int8_tile_fn tiles[MR][PANEL_VECTORS] = {ROW(1), ROW(2), ROW(3),
                                                      ROW(4), ROW(5), ROW(6)};

#define WIDE_TILES(M) INT8_WIDE_TILE(M, 1, PANEL_VECTORS) INT8_WIDE_TILE(M, 2, PANEL_VECTORS)
WIDE_TILES(1)
WIDE_TILES(2)
WIDE_TILES(3)
WIDE_TILES(4)
WIDE_TILES(5)
WIDE_TILES(6)
#define WIDE_ROW(M) {int8_wide_tile_##M##x1, int8_wide_tile_##M##x2}
static const int8_tile_fn wide_tiles[MR][PANEL_VECTORS] = {WIDE_ROW(1), WIDE_ROW(2), WIDE_ROW(3),
                                                           WIDE_ROW(4), WIDE_ROW(5), WIDE_ROW(6)};

static void wide_tile(const mk_int8_tile *t) {
  if (t->m > 0 && t->n > 0) wide_tiles[t->m - 1][(t->n - 1) / VL](t);
}
static void widen(int64_t k, const void *panel, void *wide) {
  int8_widen_body(PANEL_VECTORS, k, (const char *)panel, (char *)wide);
}
static void tile(const mk_int8_tile *t) {
  if (t->m > 0 && t->n > 0) tiles[t->m - 1][(t->n - 1) / VL](t);
}
static void pack_rhs(const mk_int8_pack_rhs *p) { int8_pack_rhs_body(NR, p); }

PEAK_INTEGER(mk_peak_int8_avx2, int8_dot, INT8_KR)

// clang-format off
const mk_int8_row mk_int8_row_avx2 = {
  .name = "gemm_s32_s16_s8_6x16", .lhs = MK_I16, .mr = MR, .nr = NR, .kr = INT8_KR, .kc = 2048,
  .mc = 96, .tile = tile, .pack_lhs = int8_pack_lhs, .pack_rhs = pack_rhs, .finish = mk_finish_avx2,
  .wide_tile = wide_tile,
  .widen = widen, .quantize = mk_quantize_avx2, .dequantize = mk_dequantize_avx2,
};
// clang-format on
#endif
#include "../target_end.h"
