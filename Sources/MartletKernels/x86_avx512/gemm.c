// GEMM rows for AVX-512.
//
// f32 14x32: 28 sums, two vectors of the panel and one broadcast of the lhs fill 31 of the 32
// registers.
#define MK_TARGET avx512
#include "../target_begin.h"
#if MK_TARGET_PRESENT
// clang-format off
#include "lanes.h"
#include "../gemm_body.h"
#include "../pack_body.h"
#include "../conv_body.h"
#define DIRECT_ONE 8
#define DIRECT_TWO 8
#include "../conv_direct.h"

enum { NR = 2 * VL };
#define F32_MR 14
#define F32_TALL_MR 0
GEMM_STREAM(f32_stream_3, GEMM_F32, 3, 2, 2)
static int64_t f32_stream_more(const mk_gemm_stream *s) {
  return s->m == 3 ? f32_stream_3(s, false) : 0;
}
#include "../gemm_f32.h"
// clang-format on

static void f32_conv_sums(const mk_conv_sums *s) {
  if (s->n <= VL / 2)  // half of every vector would be idle
    mk_isa_avx2.gemm_rows[0].conv->sums(s);
  else direct_sums(s);
}
// clang-format off
static const mk_conv_kernels f32_conv = {
  .pixels = DIRECT_TWO, .tile_width = 16, .sums = f32_conv_sums, .band = direct_band,
  .gather = direct_gather, .finish = direct_finish};

static const mk_gemm_row rows[] = {
  {
    .name = "gemm_f32_f32_f32_14x32",
    .dst = MK_F32, .lhs = MK_F32, .rhs = MK_F32, .arithmetic = MK_SUMS_FUSED,
    .mr = F32_MR, .nr = NR, .kr = 1, .stream_mr = GEMM_STREAM_ROWS,
    // Against blocks of 512 by 168 and 256 columns 1.7% in the geometric mean of 512^3, 1024^3,
    // 128x768x768, 128x3072x768, 128x768x3072, 197x768x768, 3136x64x576, 512x2048x4096 and
    // 32x2048x2048 (martlet bench gemm, packed rhs, one thread). Items that pack were not measured.
    .blocks = {.kc = 1024, .mc = 168, .packing_kc = 512, .packing_mc = 168, .columns = 512,
               .copying_columns = 1024, .copying_rows = 0},
    .rate = 55,
    .columns_mr = GEMM_COLUMNS_ROWS, .vector = VL, .few_columns = GEMM_FEW_COLUMNS,
    .few_behind = GEMM_FEW_BEHIND,
    .tile = f32_tile, .stream = f32_stream, .columns = f32_columns, .small = f32_small,
    .pack_rhs_f32 = f32_pack_f32, .pack_rhs_same = f32_pack_f32, .pack_conv = f32_pack_conv,
    .conv = &f32_conv,
  },
};

const mk_isa mk_isa_avx512 = {
  MK_ISA_avx512(MK_FACTS), MK_GEMM_ROWS(rows), .vectors = &mk_vectors_avx512,
  .peak_f32 = mk_peak_f32_avx512,
};
// clang-format on
#endif
#include "../target_end.h"
