// Integer products for AVX-VNNI.
#define MK_TARGET avxvnni
#include "../target_begin.h"
#if MK_TARGET_PRESENT
// clang-format off
#include "../x86_avx2/lanes.h"
#define INT8_KR 4
MK_INLINE vi int8_line(const void *p) { return vi_load(p); }
MK_INLINE vi int8_dot(vi c, vi a, vi b) { return _mm256_dpbusd_avx_epi32(c, a, b); }
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

static void tile(const mk_int8_tile *t) {
  if (t->m > 0 && t->n > 0) tiles[t->m - 1][(t->n - 1) / VL](t);
}
static void pack_rhs(const mk_int8_pack_rhs *p) { int8_pack_rhs_body(NR, p); }

PEAK_INTEGER(mk_peak_int8_avxvnni, int8_dot, INT8_KR)

// clang-format off
static const mk_int8_row row = {
  .name = "gemm_s32_u8_s8_6x16", .lhs = MK_U8, .mr = MR, .nr = NR, .kr = INT8_KR, .kc = 2048,
  .mc = 144, .tile = tile, .pack_lhs = int8_pack_lhs, .pack_rhs = pack_rhs, .finish = mk_finish_avx2,
  .quantize = mk_quantize_avx2, .dequantize = mk_dequantize_avx2,
};

const mk_isa mk_isa_avxvnni = {
  MK_ISA_avxvnni(MK_FACTS), .vectors = &mk_vectors_avx2, .int8_row = &row,
  .peak_int8 = mk_peak_int8_avxvnni,
};
// clang-format on
#endif
#include "../target_end.h"
