// All of a small f32 product, or of one of few columns, in one call: made of gemm_body.h, for rows whose
// panels are two vectors wide.
#ifndef MARTLET_KERNELS_GEMM_SMALL_H
#define MARTLET_KERNELS_GEMM_SMALL_H

enum {
  // Columns at most whose lanes are rows. Sixteen registers hold no more than four beside a block.
  GEMM_FEW_COLUMNS = VL < 16 ? 4 : 8,
  // The same behind one whole vector of columns, whose lhs is then read twice. With vectors of 8 two
  // vectors for all are faster (512x12x1024: 1.3 times, AVX2).
  GEMM_FEW_BEHIND = VL < 16 ? 0 : 4,
  // K from which more than four columns are faster so than as tiles: turning a block costs 64 shuffles
  // and each sum two moves (estimated from instruction counts, AVX-512).
  GEMM_FEW_K = 32,
  GEMM_SHORT_K = 64,  // up to which a panel read again costs less than a tile's call (AVX2)
};

// c[n columns][blocks of rows] += a column of lhs in turned blocks * the words at rhs.
MK_INLINE void gemm_narrow_step(const int n, const int blocks, vi (*block)[VL], int p,
                                const char *rhs, vf (*c)[GEMM_MAX_NV]) {
  MK_UNROLL for (int j = 0; j < n; j++) {
    uint32_t bits;
    memcpy(&bits, rhs + j * 4, 4);
    MK_UNROLL for (int b = 0; b < blocks; b++)
      c[j][b] = vf_fma((vf)block[b][p], (vf)vi_set1(bits), c[j][b]);
  }
}

// Rows i ... of n columns, few, whose lanes are `blocks` vectors of rows: lhs is turned in
// registers, for columns would leave most lanes idle.
MK_INLINE void gemm_narrow_body(const int n, const int blocks, const mk_gemm_stream *s, int64_t i,
                                int64_t line) {
  const mk_epilogue *epilogue = s->epilogue;
  const char *lhs = (const char *)s->lhs + i * s->lhs_stride, *rhs = (const char *)s->rhs;
  vf c[GEMM_MAX_MR][GEMM_MAX_NV];
  MK_UNROLL for (int j = 0; j < n; j++) MK_UNROLL for (int b = 0; b < blocks; b++)
    c[j][b] = vf_zero();
  for (int64_t k = s->k; k > 0; k -= VL, lhs += 4 * VL) {
    vi block[2][VL];
    if (k >= VL) {
      MK_UNROLL for (int b = 0; b < blocks; b++) {
        MK_UNROLL for (int r = 0; r < VL; r++) {
          const char *row = lhs + (b * VL + r) * s->lhs_stride;
          block[b][r] = vi_load(row);
          v_prefetch(row + GEMM_COLUMNS_PREFETCH_BYTES);
        }
        vi_transpose(block[b]);
      }
      MK_UNROLL for (int p = 0; p < VL; p++, rhs += line)
        gemm_narrow_step(n, blocks, block, p, rhs, c);
    } else {
      const v_tail tail = v_first(k);
      MK_UNROLL for (int b = 0; b < blocks; b++) {
        MK_UNROLL for (int r = 0; r < VL; r++)
          block[b][r] = vi_load_tail(lhs + (b * VL + r) * s->lhs_stride, tail);
        vi_transpose(block[b]);
      }
      for (int p = 0; p < k; p++, rhs += line) gemm_narrow_step(n, blocks, block, p, rhs, c);
    }
  }
  // To the epilogue what are rows are columns.
  mk_epilogue turned;
  if (epilogue) {
    turned = *epilogue;
    turned.bias_m = epilogue->bias_n;
    turned.bias_n = epilogue->bias_m ? epilogue->bias_m + i : NULL;
    gemm_epilogue(n, blocks, v_first(VL), &turned, c);
  }
  float sums[GEMM_FEW_COLUMNS][2 * VL];
  MK_UNROLL for (int j = 0; j < n; j++) MK_UNROLL for (int b = 0; b < blocks; b++)
    vf_store(&sums[j][b * VL], c[j][b]);
  char *dst = (char *)s->dst + i * s->dst_stride;
  for (int r = 0; r < blocks * VL; r++, dst += s->dst_stride)
    MK_UNROLL for (int j = 0; j < n; j++) memcpy(dst + j * 4, &sums[j][r], 4);
}

// All rows of n columns. The last rows fill their vectors with those before them, which are
// computed again. One vector of rows at a time where L1 does not hold a line of each of two, where
// rows straddle lines, or where there are more sums (Benchmarks/sweep.py, AVX2).
MK_INLINE void gemm_narrow(const int n, const mk_gemm_stream *s, int64_t line) {
  const bool pairs = s->m >= 2 * VL && !(s->l1_rows && s->l1_rows < 2 * VL) &&
                     (n == 1 || (n < 4 && (s->lhs_stride % 64 == 0 || s->k <= VL)));
  int64_t i = 0;
  if (pairs)
    for (; s->m - i > VL; i += 2 * VL)
      gemm_narrow_body(n, 2, s, i + 2 * VL <= s->m ? i : s->m - 2 * VL, line);
  for (; i < s->m; i += VL) gemm_narrow_body(n, 1, s, i + VL <= s->m ? i : s->m - VL, line);
}

// The columns of `s`, which are few, or false: a residual might be read after it has been written,
// and of two biases the other would be added first.
static bool gemm_few_columns(const mk_gemm_stream *s, int nr) {
  const mk_epilogue *e = s->epilogue;
  if (s->m < VL || (e && (e->residual || (e->bias_n && e->bias_m)))) return false;
  if (s->n > 4 && s->k < GEMM_FEW_K) return false;
  const int64_t line = s->rhs_line_stride ? s->rhs_line_stride : (int64_t)nr * 4;
  switch (s->n) {
    case 1: gemm_narrow(1, s, line); return true;
    case 2: gemm_narrow(2, s, line); return true;
    case 3: gemm_narrow(3, s, line); return true;
    case 4: gemm_narrow(4, s, line); return true;
#define GEMM_MORE_COLUMNS(N) \
    case N: if (N <= GEMM_FEW_COLUMNS) gemm_narrow(N, s, line); return N <= GEMM_FEW_COLUMNS;
      GEMM_MORE_COLUMNS(5)
      GEMM_MORE_COLUMNS(6)
      GEMM_MORE_COLUMNS(7)
      GEMM_MORE_COLUMNS(8)
#undef GEMM_MORE_COLUMNS
    default: return false;
  }
}

// The whole panels of `s`, some rows after the other; returns the first panel left over.
MK_INLINE int64_t gemm_small_panels(const gemm_panels_fn *panels, int mr, const mk_gemm_stream *s) {
  const int64_t parts = (s->m + mr - 1) / mr;
  int64_t panel = 0;
  for (int64_t index = 0, i = 0; index < parts; index++) {
    mk_epilogue moved;
    mk_gemm_stream part = *s;
    part.m = s->m / parts + (index < s->m % parts);
    part.lhs = (const char *)s->lhs + i * s->lhs_stride;
    part.dst = (char *)s->dst + i * s->dst_stride;
    part.epilogue = gemm_epilogue_at(s->epilogue, i, 0, &moved);
    panel = panels[part.m - 1](&part, false);
    i += part.m;
  }
  return panel;
}

// The small function of an f32 row, from first_panel on. The last columns of an rhs in place fill
// their vectors with those before them, which are computed again. Where there are too few, lines are
// copied, some at a time; dst holds the sums in between.
MK_INLINE void gemm_small(gemm_tile_fn tile, const gemm_panels_fn *panels, int mr, int tall_mr,
                          int nr, const mk_gemm_stream *s, int64_t first_panel) {
  enum { LINES = 256 };
  if (s->l1_rows) {
    if (s->l1_rows < tall_mr) tall_mr = 0;
    if (s->l1_rows < mr) mr = (int)s->l1_rows;
  }
  char copy[LINES * GEMM_MAX_NR * 2] __attribute__((aligned(64)));
  if (first_panel == 0 && s->n >= 2 * nr && (s->m <= mr || s->k <= GEMM_SHORT_K))
    first_panel = gemm_small_panels(panels, mr, s);
  for (int64_t panel = first_panel; panel * nr < s->n; panel++) {
    int64_t j = panel * nr;
    mk_epilogue moved;
    mk_gemm_tile t = {.n = s->n - j < nr ? s->n - j : nr,
                      .lhs_stride = s->lhs_stride,
                      .acc_stride = s->dst_stride,
                      .dst_stride = s->dst_stride};
    const char *from = (const char *)s->rhs + panel * s->rhs_panel_stride;
    // Few columns at the end, perhaps behind one vector of them, go by rows.
    const bool behind = t.n > VL && t.n <= VL + GEMM_FEW_BEHIND;
    const int64_t before = behind ? VL : 0;
    if ((behind || t.n <= GEMM_FEW_COLUMNS) && (panel + before == 0 || s->k > GEMM_SHORT_K)) {
      mk_gemm_stream few = *s;
      few.n = t.n - before;
      few.rhs = from + before * 4;
      few.dst = (char *)s->dst + (j + before) * 4;
      few.epilogue = gemm_epilogue_at(s->epilogue, 0, j + before, &moved);
      if (gemm_few_columns(&few, nr)) {
        if (before == 0) return;
        t.n = before;
      }
    }
    const int64_t filled = (t.n + VL - 1) / VL * VL;
    if (t.n < filled && filled <= s->n && gemm_may_repeat(s)) {
      t.n = filled;
      j = s->n - filled;
      from = (const char *)s->rhs + j * 4;
    }
    const bool copies = s->rhs_line_stride && t.n < filled;
    // From the last row but one a vector reaches no further than the last.
    const bool spills = t.n == s->n && s->dst_stride == s->n * 4 && filled <= 2 * t.n &&
                        !(s->epilogue && s->epilogue->residual);
    const int64_t tall = tall_mr > 0 && t.n <= VL ? s->m / tall_mr : 0;
    const int64_t rest = s->m - tall * tall_mr, tiles = (rest + mr - 1) / mr;
    // Of lines that follow each other all but the last may be read to their vectors' end: one tile
    // does without the copy.
    int64_t in_place = copies ? 0 : s->k;
    if (copies && s->k > GEMM_SHORT_K && tall + tiles == 1 && s->rhs_line_stride == s->n * 4)
      in_place = s->k - (filled + s->n - 1) / s->n;
    int64_t p = 0;
    do {
      t.k = s->k - p;
      t.rhs = from;
      t.rhs_line_stride = s->rhs_line_stride;
      if (p < in_place) {
        t.k = in_place;
        from += in_place * s->rhs_line_stride;
      } else {
        const v_tail tail = v_first(t.n - (filled - VL));
        t.k = t.k < LINES ? t.k : LINES;
        t.rhs = copy;
        t.rhs_line_stride = filled * 4;
        char *to = copy;
        for (int64_t i = 0; i < t.k; i++, from += s->rhs_line_stride, to += filled * 4) {
          int64_t v = 0;
          for (; v < filled - VL; v += VL) vi_store(to + v * 4, vi_load(from + v * 4));
          vi_store(to + v * 4, vi_load_tail(from + v * 4, tail));
        }
      }
      t.flags = (p == 0 ? MK_FIRST_K : 0u) | (p + t.k == s->k ? MK_LAST_K : 0u);
      if (spills && t.k == s->k) t.flags |= GEMM_SPILLS;
      for (int64_t i = 0, index = -tall; index < tiles; index++) {
        t.m = index < 0 ? tall_mr : rest / tiles + (index < rest % tiles);
        t.lhs = (const char *)s->lhs + i * s->lhs_stride + p * 4;
        t.dst = (char *)s->dst + i * s->dst_stride + j * 4;
        t.acc = t.dst;
        t.epilogue = gemm_epilogue_at(s->epilogue, i, j, &moved);
        tile(&t, false);
        i += t.m;
      }
      p += t.k;
    } while (p < s->k);
  }
}

#endif
