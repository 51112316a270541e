// GEMM rows for AVX2 and FMA.
//
// f32 6x16, and 12x8 for the last columns: twelve sums, two vectors of the panel and one broadcast
// of the lhs fill fifteen of the sixteen registers. bf16 4x16: eight sums, four widened vectors of
// the panel and two of the lhs.
#define MK_TARGET avx2
#include "../target_begin.h"
#if MK_TARGET_PRESENT
// clang-format off
#include "lanes.h"
#include "../gemm_body.h"
#include "../pack_body.h"
#include "../conv_body.h"
#define DIRECT_ONE 8
#define DIRECT_TWO 6
#include "../conv_direct.h"
// clang-format on

enum { NR = 2 * VL, PANEL_VECTORS = 2 };

// Seven or eight rows, three panels at a time: four rows by three vectors have twelve chains of
// multiply-adds where four by one panel have eight, too few to hide their latency.
enum {
  TRIPLE = 3,
  TRIPLE_LINES = 128
};  // panels, and the lines of each that the passes take turns on

// Where sums are kept between two slices: the caller's own where flags say so.
typedef struct triple_sums {
  char *acc;
  int64_t stride;
  bool starts, ends;  // zero at first; finished and written to dst at last
} triple_sums;

// Sums of mr rows from row i by three of the six vectors of the panels at column j, from vector
// `first` on.
MK_INLINE void triple_body(const int mr, const int first, const mk_gemm_stream *s, int64_t i,
                           int64_t j, int64_t k, const char *lhs, const char *rhs,
                           const char *ahead, triple_sums sums) {
  const v_tail whole = v_first(VL);
  vf c[GEMM_MAX_MR][GEMM_MAX_NV];
  char *acc = sums.acc + i * sums.stride + first * (int64_t)sizeof(vf);
  MK_UNROLL for (int r = 0; r < mr; r++) MK_UNROLL for (int v = 0; v < TRIPLE; v++)
    c[r][v] = sums.starts ? vf_zero() : gemm_load(TRIPLE, v, acc + r * sums.stride, whole);
  const int64_t line = s->rhs_line_stride ? s->rhs_line_stride : NR * 4;
  const int64_t stride = s->lhs_stride, panel = s->rhs_panel_stride;
  const int64_t at[TRIPLE] = {
    first / PANEL_VECTORS * panel + first % PANEL_VECTORS * 32,
    (first + 1) / PANEL_VECTORS * panel + (first + 1) % PANEL_VECTORS * 32,
    (first + 2) / PANEL_VECTORS * panel + (first + 2) % PANEL_VECTORS * 32};
  const char *a = lhs + i * stride, *last = lhs + (i + 3) * stride;
  for (; k > 0; k--) {
    vf b[TRIPLE];
    MK_UNROLL for (int v = 0; v < TRIPLE; v++) b[v] = vf_load(rhs + at[v]);
    v_prefetch(ahead);
    MK_UNROLL for (int r = 0; r < mr; r++) {
      uint32_t bits;
      memcpy(&bits, r < 3 ? a + r * stride : last, 4);
      const vf x = (vf)vi_set1(bits);
      MK_UNROLL for (int v = 0; v < TRIPLE; v++) c[r][v] = vf_fma(x, b[v], c[r][v]);
      // One word at a time: there is one register for it.
      __asm__("" : "+r"(a), "+r"(last), "+x"(c[r][0]), "+x"(c[r][1]), "+x"(c[r][2]));
    }
    a += 4, last += 4, rhs += line, ahead += line;
  }
  if (!sums.ends) {
    gemm_store(mr, TRIPLE, whole, whole, acc, sums.stride, c);
    return;
  }
  mk_epilogue moved;
  j += first * VL;
  gemm_finish(mr, TRIPLE, whole, whole, gemm_epilogue_at(s->epilogue, i, j, &moved),
              (char *)s->dst + i * s->dst_stride + j * 4, s->dst_stride, false, c);
}

// Returns the first panel that is left. Each of four passes over a slice fetches one panel's part of
// the next slice, the fourth again the third's.
static int64_t f32_stream_triples(const mk_gemm_stream *s) {
  float own[GEMM_STREAM_ROWS * TRIPLE * NR];
  const bool in_place = s->rhs_line_stride != 0;
  const int64_t line = in_place ? s->rhs_line_stride : NR * 4, next = s->rhs_panel_stride;
  int64_t panel = 0;
  for (; (panel + TRIPLE) * NR <= s->n; panel += TRIPLE) {
    const int64_t j = panel * NR;
    const char *rhs = (const char *)s->rhs + panel * next;
    triple_sums sums = {.acc = s->flags ? (char *)(s->acc + j) : (char *)own,
                        .stride = s->flags ? s->acc_stride : TRIPLE * NR * 4};
    int64_t p = 0;
    do {
      const int64_t depth = s->k - p < TRIPLE_LINES ? s->k - p : TRIPLE_LINES;
      const char *lhs = (const char *)s->lhs + p * 4, *lines = rhs + p * line;
      const char *ahead = in_place            ? lines + GEMM_IN_PLACE_PREFETCH_BYTES
                          : p + depth == s->k ? rhs + TRIPLE * next
                                              : lines + depth * line;
      sums.starts = p == 0 && !(s->flags & MK_RESUME);
      sums.ends = p + depth == s->k && !(s->flags & MK_SUSPEND);
      triple_body(4, 0, s, 0, j, depth, lhs, lines, ahead, sums);
      triple_body(4, 3, s, 0, j, depth, lhs, lines, ahead + next, sums);
      ahead += 2 * next;
      if (s->m == 8) {
        triple_body(4, 0, s, 4, j, depth, lhs, lines, ahead, sums);
        triple_body(4, 3, s, 4, j, depth, lhs, lines, ahead, sums);
      } else {
        triple_body(3, 0, s, 4, j, depth, lhs, lines, ahead, sums);
        triple_body(3, 3, s, 4, j, depth, lhs, lines, ahead, sums);
      }
      p += depth;
    } while (p < s->k);
  }
  return panel;
}

static int64_t f32_stream_more(const mk_gemm_stream *s) {
  return s->m == 7 || s->m == 8 ? f32_stream_triples(s) : 0;
}
#define F32_MR 6
#define F32_TALL_MR 12
// clang-format off
#include "../gemm_f32.h"
#include "../gemm_bf16_widen.h"
// clang-format on

// clang-format off
static const mk_conv_kernels f32_conv = {
  .pixels = DIRECT_TWO, .tile_width = 8, .sums = direct_sums, .band = direct_band,
  .gather = direct_gather, .finish = direct_finish};
// clang-format on

// Columns of an item: 256 to 512 were up to 5% faster than 1024 at 2048^3 (martlet bench gemm).
#define BLOCKS(MC)                                                       \
  {.kc = 1024, .mc = MC, .packing_kc = 1024, .packing_mc = MC, .columns = 256, \
   .copying_columns = 1024, .copying_rows = 0}

// clang-format off
static const mk_gemm_row rows[] = {
  {
    .name = "gemm_f32_f32_f32_6x16",
    .dst = MK_F32, .lhs = MK_F32, .rhs = MK_F32, .arithmetic = MK_SUMS_FUSED,
    .mr = F32_MR, .nr = NR, .kr = 1, .stream_mr = GEMM_STREAM_ROWS,
    .blocks = BLOCKS(96), .rate = 40,
    .columns_mr = GEMM_COLUMNS_ROWS, .vector = VL, .few_columns = GEMM_FEW_COLUMNS,
    .few_behind = GEMM_FEW_BEHIND,
    .tall_mr = F32_TALL_MR,
    .tile = f32_tile, .stream = f32_stream, .columns = f32_columns, .small = f32_small,
    .pack_rhs_f32 = f32_pack_f32, .pack_rhs_same = f32_pack_f32, .pack_conv = f32_pack_conv,
    .conv = &f32_conv,
  },
  {
    .name = "gemm_f32_bf16_bf16_4x16",
    .dst = MK_F32, .lhs = MK_BF16, .rhs = MK_BF16, .arithmetic = MK_SUMS_FUSED,
    .mr = BF16_MR, .nr = NR, .kr = 2, .stream_mr = GEMM_STREAM_ROWS,
    .blocks = BLOCKS(144), .rate = 40,
    .tile = bf16_tile_to_f32, .stream = bf16_stream_to_f32,
    .pack_rhs_f32 = bf16_pack_f32, .pack_rhs_same = bf16_pack_same, .pack_conv = bf16_pack_conv,
  },
  {
    .name = "gemm_bf16_bf16_bf16_4x16",
    .dst = MK_BF16, .lhs = MK_BF16, .rhs = MK_BF16, .arithmetic = MK_SUMS_FUSED,
    .mr = BF16_MR, .nr = NR, .kr = 2, .stream_mr = GEMM_STREAM_ROWS,
    .blocks = BLOCKS(144), .rate = 40,
    .tile = bf16_tile_to_bf16, .stream = bf16_stream_to_bf16,
    .pack_rhs_f32 = bf16_pack_f32, .pack_rhs_same = bf16_pack_same, .pack_conv = bf16_pack_conv,
  },
};

const mk_isa mk_isa_avx2 = {
  MK_ISA_avx2(MK_FACTS), MK_GEMM_ROWS(rows), .vectors = &mk_vectors_avx2,
  .peak_f32 = mk_peak_f32_avx2, .int8_row = &mk_int8_row_avx2, .peak_int8 = mk_peak_int8_avx2,
};
// clang-format on
#endif
#include "../target_end.h"
