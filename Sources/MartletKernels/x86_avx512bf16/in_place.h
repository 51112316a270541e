// Few rows by an f32 rhs in place, rounded to bf16 on the way into registers: the bits are those of
// the packed rhs, for the same pairs meet in the same order in one chain of vf_dot.
#ifndef MARTLET_KERNELS_AVX512BF16_IN_PLACE_H
#define MARTLET_KERNELS_AVX512BF16_IN_PLACE_H

enum {
  IN_PLACE_ROWS = GEMM_COLUMNS_ROWS,
  COLUMN_VECTORS = 2,  // whose chains take turns
  LINE_VECTORS = 4,
  IN_PLACE_WIDTH = LINE_VECTORS * VL,  // elements between rows of sums
  IN_PLACE_AHEAD = 512,                // bytes, of a long column or line
  LINES_AHEAD = 32                     // of short ones
};

// Sums on their way out: `columns` of them from j on, of all rows.
static void in_place_finish(const mk_gemm_stream *s, int64_t j, int64_t columns,
                            const float *sums) {
  for (int64_t i = 0; i < s->m; i++) {
    for (int64_t v = 0; v < columns; v += VL) {
      const v_tail tail = v_first(columns - v < VL ? columns - v : VL);
      vf c[GEMM_MAX_MR][GEMM_MAX_NV];
      c[0][0] = vf_load(sums + i * IN_PLACE_WIDTH + v);
      mk_epilogue moved;
      gemm_finish(1, 1, tail, tail, gemm_epilogue_at(s->epilogue, i, j + v, &moved),
                  (char *)s->dst + i * s->dst_stride + (j + v) * 4, s->dst_stride, false, c);
    }
  }
}

// Sums of mr rows by COLUMN_VECTORS vectors of columns from j on, each column contiguous along k, over
// whole vectors of pairs. Returns how much of k that is.
MK_INLINE int64_t in_place_columns_body(const int mr, const mk_gemm_stream *s, int64_t j,
                                        float *sums) {
  const int64_t stride = s->rhs_line_stride;
  const char *lhs = (const char *)s->lhs;
  const char *rhs = (const char *)s->rhs + j * stride;
  const int64_t ahead = s->k * 4 > 2 * IN_PLACE_AHEAD ? IN_PLACE_AHEAD
                                                      : COLUMN_VECTORS * VL * stride;
  vf c[GEMM_MAX_MR][COLUMN_VECTORS];
  MK_UNROLL for (int r = 0; r < mr; r++) MK_UNROLL for (int b = 0; b < COLUMN_VECTORS; b++)
    c[r][b] = vf_zero();
  int64_t k = 0;
  for (; k + 2 * VL <= s->k; k += 2 * VL, lhs += 4 * VL, rhs += 8 * VL) {
    const char *column = rhs;
    MK_UNROLL for (int b = 0; b < COLUMN_VECTORS; b++) {
      const char *const first = column;
      vi block[VL];
      dot_doubt doubt = dot_sure();
      MK_UNROLL for (int i = 0; i < VL; i++, column += stride) {
        block[i] = dot_pairs_of_row(vf_load(column), vf_load(column + 4 * VL), &doubt);
        v_prefetch(column + ahead);
        v_prefetch(column + ahead + 64);
      }
      if (dot_is_doubtful(doubt)) {
        vi exact[VL];
        MK_ROLLED for (int i = 0; i < VL; i++)
          exact[i] = pack_groups(PACK_F32_TO_BF16, first + i * stride);
        MK_UNROLL for (int i = 0; i < VL; i++) block[i] = exact[i];
      }
      vi_transpose(block);
      MK_UNROLL for (int i = 0; i < VL; i++) {
        MK_UNROLL for (int r = 0; r < mr; r++) {
          uint32_t word;
          memcpy(&word, lhs + r * s->lhs_stride + i * 4, 4);
          c[r][b] = vf_dot(c[r][b], vi_set1(word), block[i]);
        }
      }
    }
  }
  MK_UNROLL for (int r = 0; r < mr; r++) MK_UNROLL for (int b = 0; b < COLUMN_VECTORS; b++)
    vf_store(sums + r * IN_PLACE_WIDTH + b * VL, c[r][b]);
  return k;
}

#define IN_PLACE_COLUMNS(NAME, M)                                           \
  static int64_t NAME(const mk_gemm_stream *s, int64_t j, float *sums) {    \
    return in_place_columns_body(M, s, j, sums);                            \
  }

// What is left of k onto the sums of at most a vector of columns from j on.
static void in_place_rest(const mk_gemm_stream *s, int64_t j, int64_t columns, int64_t k,
                          float *sums) {
  const char *rhs = (const char *)s->rhs + j * s->rhs_line_stride;
  for (; k < s->k; k += 2 * VL) {
    const int64_t depth = s->k - k < 2 * VL ? s->k - k : 2 * VL;
    const int64_t low = depth < VL ? depth : VL;
    vi block[VL];
    for (int i = 0; i < VL; i++) {
      if (i >= columns) {
        block[i] = vi_set1(0);
        continue;
      }
      const char *column = rhs + i * s->rhs_line_stride + k * 4;
      block[i] = vi_pairs_of_row(
        vf_load_tail(column, v_first(low)),
        depth > low ? vf_load_tail(column + 4 * VL, v_first(depth - low)) : vf_zero());
    }
    vi_transpose(block);
    for (int64_t r = 0; r < s->m; r++) {
      const char *lhs = (const char *)s->lhs + r * s->lhs_stride + k * 2;
      vf c = vf_load(sums + r * IN_PLACE_WIDTH);
      int64_t i = 0;
      uint32_t word = 0;
      for (; 2 * i + 1 < depth; i++) {
        memcpy(&word, lhs + i * 4, 4);
        c = vf_dot(c, vi_set1(word), block[i]);
      }
      if (2 * i < depth) {
        word = 0;
        memcpy(&word, lhs + i * 4, 2);
        c = vf_dot(c, vi_set1(word), block[i]);
      }
      vf_store(sums + r * IN_PLACE_WIDTH, c);
    }
  }
}

// The columns function of a bf16 row; `whole` are its bodies by the number of rows.
MK_INLINE void in_place_columns(int64_t (*const whole[IN_PLACE_ROWS])(const mk_gemm_stream *,
                                                                      int64_t, float *),
                                const mk_gemm_stream *s) {
  enum { WIDTH = COLUMN_VECTORS * VL };
  float sums[IN_PLACE_ROWS * IN_PLACE_WIDTH];
  for (int64_t next = 0; next < s->n; next += WIDTH) {
    int64_t j = next, columns = s->n - j;
    if (columns > WIDTH) columns = WIDTH;
    if (columns < WIDTH && j > 0 && !(s->epilogue && s->epilogue->residual)) {
      columns = WIDTH;
      j = s->n - WIDTH;  // some of the last ones once more
    }
    int64_t k = 0;
    if (columns == WIDTH) {
      k = whole[s->m - 1](s, j, sums);
    } else {
      memset(sums, 0, sizeof sums);
    }
    for (int64_t v = 0; k < s->k && v < columns; v += VL)
      in_place_rest(s, j + v, columns - v, k, sums + v);
    in_place_finish(s, j, columns, sums);
  }
}

// c[mr][nv] += the pair of each row at lhs by that of each column at rhs; without the odd line the
// second half of a pair is zero. The last vector may be a part.
MK_INLINE void in_place_line(const bool has_odd, const int mr, const int nv, const char *lhs,
                             int64_t lhs_stride, const char *rhs, int64_t stride, v_tail tail,
                             vf (*c)[LINE_VECTORS]) {
  vf even[LINE_VECTORS], odd[LINE_VECTORS];
  vi line[LINE_VECTORS];
  dot_doubt doubt = dot_sure();
  MK_UNROLL for (int v = 0; v < nv; v++) {
    even[v] = gemm_load(nv, v, rhs, tail);
    odd[v] = has_odd ? gemm_load(nv, v, rhs + stride, tail) : vf_zero();
    line[v] = has_odd ? dot_pairs_of_lines(even[v], odd[v], &doubt) : vi_pair_bf16(even[v], odd[v]);
  }
  if (dot_is_doubtful(doubt)) {
    MK_UNROLL for (int v = 0; v < nv; v++) line[v] = vi_pair_bf16(even[v], odd[v]);
  }
  MK_UNROLL for (int r = 0; r < mr; r++) {
    uint32_t word = 0;
    memcpy(&word, lhs + r * lhs_stride, has_odd ? 4 : 2);
    MK_UNROLL for (int v = 0; v < nv; v++) c[r][v] = vf_dot(c[r][v], vi_set1(word), line[v]);
  }
}

// Sums of mr rows by nv vectors of columns from j on, columns contiguous; the last vector may be a
// part.
MK_INLINE void in_place_lines_body(const int mr, const int nv, const mk_gemm_stream *s, int64_t j) {
  const int64_t stride = s->rhs_line_stride, left = s->n - j - (nv - 1) * VL;
  const v_tail tail = v_first(left < VL ? left : VL);
  const char *lhs = (const char *)s->lhs;
  const char *rhs = (const char *)s->rhs + j * 4;
  const int64_t ahead = s->n * 4 > 2 * IN_PLACE_AHEAD ? IN_PLACE_AHEAD : LINES_AHEAD * stride;
  vf c[GEMM_MAX_MR][LINE_VECTORS];
  MK_UNROLL for (int r = 0; r < mr; r++) MK_UNROLL for (int v = 0; v < nv; v++) c[r][v] = vf_zero();
  for (int64_t pairs = s->k / 2; pairs > 0; pairs--, lhs += 4, rhs += 2 * stride) {
    MK_UNROLL for (int v = 0; v < nv; v++) {
      v_prefetch(rhs + ahead + v * 64);
      v_prefetch(rhs + ahead + stride + v * 64);
    }
    in_place_line(true, mr, nv, lhs, s->lhs_stride, rhs, stride, tail, c);
  }
  if (s->k & 1) in_place_line(false, mr, nv, lhs, s->lhs_stride, rhs, stride, tail, c);
  float sums[IN_PLACE_ROWS * IN_PLACE_WIDTH];
  MK_UNROLL for (int r = 0; r < mr; r++) MK_UNROLL for (int v = 0; v < nv; v++)
    vf_store(sums + r * IN_PLACE_WIDTH + v * VL, c[r][v]);
  in_place_finish(s, j, s->n - j < nv * VL ? s->n - j : nv * VL, sums);
}

// The lines function of a bf16 row for exactly M rows.
#define IN_PLACE_LINES(NAME, M)                                            \
  static void NAME(const mk_gemm_stream *s) {                              \
    int64_t j = 0;                                                         \
    for (; j + IN_PLACE_WIDTH <= s->n; j += IN_PLACE_WIDTH)                \
      in_place_lines_body(M, LINE_VECTORS, s, j);                          \
    for (; j < s->n; j += VL) in_place_lines_body(M, 1, s, j);             \
  }

#endif
