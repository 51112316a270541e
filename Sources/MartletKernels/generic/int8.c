// Integer products in portable C: 2x16 is what sixteen SSE2 registers hold.
#define MK_TARGET generic
#include "../target_begin.h"
// clang-format off
#include "lanes.h"
#define INT8_KR 2
typedef int8_t int8_half __attribute__((vector_size(VL * 2)));
typedef int16_t int8_words __attribute__((vector_size(VL * 4)));
typedef int32_t int8_products __attribute__((vector_size(VL * 8)));
MK_INLINE vi int8_line(const void *p) {
  int8_half bytes;
  memcpy(&bytes, p, sizeof bytes);
  return (vi)__builtin_convertvector(bytes, int8_words);
}
// Clang makes one PMADDWD of it for SSE2.
MK_INLINE vi int8_dot(vi c, vi a, vi b) {
  const int8_products products = __builtin_convertvector((int8_words)a, int8_products) *
                                 __builtin_convertvector((int8_words)b, int8_products);
  return c + (vi)(__builtin_shufflevector(products, products, 0, 2, 4, 6) +
                  __builtin_shufflevector(products, products, 1, 3, 5, 7));
}
#include "../int8_body.h"
#include "../peak_body.h"
// clang-format on

enum { MR = 2, NR = 16, PANEL_VECTORS = NR / VL };

#define TILES(M)                                                \
  INT8_TILE(M, 1, PANEL_VECTORS) INT8_TILE(M, 2, PANEL_VECTORS) \
  INT8_TILE(M, 3, PANEL_VECTORS) INT8_TILE(M, 4, PANEL_VECTORS)
TILES(1)
TILES(2)
#define ROW(M) {int8_tile_##M##x1, int8_tile_##M##x2, int8_tile_##M##x3, int8_tile_##M##x4}
static const int8_tile_fn tiles[MR][PANEL_VECTORS] = {ROW(1), ROW(2)};

static void tile(const mk_int8_tile *t) {
  if (t->m > 0 && t->n > 0) tiles[t->m - 1][(t->n - 1) / VL](t);
}
static void pack_rhs(const mk_int8_pack_rhs *p) { int8_pack_rhs_body(NR, p); }

PEAK_INTEGER(mk_peak_int8_generic, int8_dot, INT8_KR)

// clang-format off
const mk_int8_row mk_int8_row_generic = {
  .name = "gemm_s32_s16_s8_2x16", .lhs = MK_I16, .mr = MR, .nr = NR, .kr = INT8_KR, .kc = 512,
  .mc = 144, .tile = tile, .pack_lhs = int8_pack_lhs, .pack_rhs = pack_rhs, .finish = mk_finish_generic,
  .quantize = mk_quantize_generic, .dequantize = mk_dequantize_generic,
};
// clang-format on
#include "../target_end.h"
