// GEMM rows in portable C: 6x8 is what sixteen SSE2 registers hold; NEON's thirty-two would take
// more, but its own rows are to come.
#define MK_TARGET generic
#include "../target_begin.h"
// clang-format off
#include "lanes.h"
#include "../gemm_body.h"
#include "../pack_body.h"
#include "../conv_body.h"
#define DIRECT_ONE 6
#define DIRECT_TWO 6
#include "../conv_direct.h"

enum { NR = 2 * VL };
#define F32_MR 6
#define F32_TALL_MR 0
GEMM_STREAM(f32_stream_3, GEMM_F32, 3, 2, 2)
static int64_t f32_stream_more(const mk_gemm_stream *s) {
  return s->m == 3 ? f32_stream_3(s, false) : 0;
}
#include "../gemm_f32.h"
#include "../gemm_bf16_widen.h"
// clang-format on

// See vf_fma of lanes.h.
#if defined(__aarch64__) || defined(__FMA__)
enum { GENERIC_SUMS = MK_SUMS_FUSED };
#else
enum { GENERIC_SUMS = MK_SUMS_ROUNDED_TWICE };
#endif

// clang-format off
static const mk_conv_kernels f32_conv = {
  .pixels = DIRECT_TWO, .tile_width = 8, .sums = direct_sums, .band = direct_band,
  .gather = direct_gather, .finish = direct_finish};
// clang-format on

#define BLOCKS(KC)                                                      \
  {.kc = KC, .mc = 144, .packing_kc = KC, .packing_mc = 144, .columns = 256, \
   .copying_columns = 1024, .copying_rows = 0}

// clang-format off
static const mk_gemm_row rows[] = {
  {
    .name = "gemm_f32_f32_f32_6x8",
    .dst = MK_F32, .lhs = MK_F32, .rhs = MK_F32, .arithmetic = GENERIC_SUMS,
    .mr = F32_MR, .nr = NR, .kr = 1, .stream_mr = GEMM_STREAM_ROWS,
    .blocks = BLOCKS(256), .rate = 40,
    .columns_mr = GEMM_COLUMNS_ROWS, .vector = VL, .few_columns = GEMM_FEW_COLUMNS,
    .few_behind = GEMM_FEW_BEHIND,
    .tile = f32_tile, .stream = f32_stream, .columns = f32_columns, .small = f32_small,
    .pack_rhs_f32 = f32_pack_f32, .pack_rhs_same = f32_pack_f32, .pack_conv = f32_pack_conv,
    .conv = &f32_conv,
  },
  {
    .name = "gemm_f32_bf16_bf16_4x8",
    .dst = MK_F32, .lhs = MK_BF16, .rhs = MK_BF16, .arithmetic = GENERIC_SUMS,
    .mr = BF16_MR, .nr = NR, .kr = 2, .stream_mr = GEMM_STREAM_ROWS,
    .blocks = BLOCKS(512), .rate = 40,
    .tile = bf16_tile_to_f32, .stream = bf16_stream_to_f32,
    .pack_rhs_f32 = bf16_pack_f32, .pack_rhs_same = bf16_pack_same, .pack_conv = bf16_pack_conv,
  },
  {
    .name = "gemm_bf16_bf16_bf16_4x8",
    .dst = MK_BF16, .lhs = MK_BF16, .rhs = MK_BF16, .arithmetic = GENERIC_SUMS,
    .mr = BF16_MR, .nr = NR, .kr = 2, .stream_mr = GEMM_STREAM_ROWS,
    .blocks = BLOCKS(512), .rate = 40,
    .tile = bf16_tile_to_bf16, .stream = bf16_stream_to_bf16,
    .pack_rhs_f32 = bf16_pack_f32, .pack_rhs_same = bf16_pack_same, .pack_conv = bf16_pack_conv,
  },
};

const mk_isa mk_isa_generic = {
  MK_ISA_generic(MK_FACTS), MK_GEMM_ROWS(rows), .vectors = &mk_vectors_generic,
  .peak_f32 = mk_peak_f32_generic, .int8_row = &mk_int8_row_generic,
  .peak_int8 = mk_peak_int8_generic,
};
// clang-format on
#include "../target_end.h"
