// All of a small product on packed panels: a loop over tiles here costs less than one over calls, and
// the lhs is rounded on the way to them. The bits are the tiles'.
// A gemm.c includes it after it has defined BF16_MR, NR, bf16_any_tile, bf16_stream and bf16_round.
#ifndef MARTLET_KERNELS_AVX512BF16_SMALL_H
#define MARTLET_KERNELS_AVX512BF16_SMALL_H

enum {
  SMALL_K = 1024,                 // of an lhs that is rounded, at most
  SMALL_ROUNDED_BYTES = 16 << 10  // of rounded rows at a time: a tile's at least; half of L1
};

// The product of a bf16 lhs. A panel stays in L1 while the rows pass over it.
static void small_product(const mk_gemm_stream *s, bool dst_bf16) {
  if (s->m <= GEMM_STREAM_ROWS) {
    bf16_stream(s, dst_bf16);
    return;
  }
  const int64_t tiles = (s->m + BF16_MR - 1) / BF16_MR;
  for (int64_t j = 0; j < s->n; j += NR) {
    mk_gemm_tile t = {.n = s->n - j < NR ? s->n - j : NR,
                      .k = s->k,
                      .lhs_stride = s->lhs_stride,
                      .rhs = (const char *)s->rhs + j / NR * s->rhs_panel_stride,
                      .dst_stride = s->dst_stride,
                      .flags = MK_FIRST_K | MK_LAST_K};
    for (int64_t index = 0, i = 0; index < tiles; index++) {
      mk_epilogue moved;
      t.m = s->m / tiles + (index < s->m % tiles);
      t.lhs = (const char *)s->lhs + i * s->lhs_stride;
      t.dst = (char *)s->dst + i * s->dst_stride + j * (dst_bf16 ? 2 : 4);
      t.epilogue = gemm_epilogue_at(s->epilogue, i, j, &moved);
      bf16_any_tile(&t, dst_bf16);
      i += t.m;
    }
  }
}

static void small_rounding(const mk_gemm_stream *s, bool dst_bf16) {
  if (!(s->flags & MK_ROUND_LHS)) {
    small_product(s, dst_bf16);
    return;
  }
  char rounded[SMALL_ROUNDED_BYTES] __attribute__((aligned(64)));
  // An odd number of lines, so that the rows of a tile fall into different cache sets.
  const int64_t stride = ((s->k * 2 + 63) / 64 | 1) * 64;
  const int64_t most = SMALL_ROUNDED_BYTES / stride / BF16_MR * BF16_MR;
  for (int64_t i = 0; i < s->m; i += most) {
    mk_epilogue moved;
    mk_gemm_stream part = *s;
    part.flags = 0;
    part.m = s->m - i < most ? s->m - i : most;
    part.lhs = rounded;
    part.lhs_stride = stride;
    part.dst = (char *)s->dst + i * s->dst_stride;
    part.epilogue = gemm_epilogue_at(s->epilogue, i, 0, &moved);
    for (int64_t r = 0; r < part.m; r++)
      bf16_round(s->k, (const float *)((const char *)s->lhs + (i + r) * s->lhs_stride),
                 (uint16_t *)(rounded + r * stride));
    small_product(&part, dst_bf16);
  }
}

#endif
