// The GEMM tile and stream bodies, written once against lanes.h and compiled per instruction set.
//
// Both element types share one geometry: a "group" is four bytes of a lhs row (one f32, or a pair
// of bf16) and one line of nr 32-bit lanes of the packed panel. A body's shape arguments (kind,
// mr, nv ...) are constants at every call, so that after inlining the sums live in registers.
//
// An element's sum is one multiply-add chain over ascending k wherever it is computed: splitting k
// over several calls stores and reloads it exactly, hence all shapes of an ISA give the same bits.
#ifndef MARTLET_KERNELS_GEMM_BODY_H
#define MARTLET_KERNELS_GEMM_BODY_H

typedef enum gemm_kind {
  GEMM_F32,         // f32 by f32
  GEMM_BF16_WIDEN,  // bf16 pairs widened to f32: two multiply-adds, even k first
  GEMM_BF16_DOT     // bf16 pairs, one vf_dot
} gemm_kind;

#ifndef GEMM_HAS_DOT
MK_INLINE vf vf_dot(vf sum, vi a, vi b) {  // for targets that never ask for GEMM_BF16_DOT
  (void)a, (void)b;
  return sum;
}
#endif

enum {
  GEMM_MAX_MR = 14,
  GEMM_MAX_NV = 8,  // vectors across, summed over the panels that one body runs at once
  GEMM_STREAM_ROWS = 8,
  GEMM_COLUMNS_ROWS = 4,
  GEMM_COLUMNS_SLICE = 64,  // k of columns that are packed at a time
  GEMM_MAX_NR = 64,
  GEMM_PREFETCH_BYTES = 1024,  // how far ahead of itself a tile asks for its own panel
  // The same for streams, of several panels at once and of one: 4096 and 64 lines a slice cost
  // 4 to 8 rows a third of their speed (AVX2, 4096 x 4096).
  GEMM_STREAM_PREFETCH_BYTES = 1536,
  GEMM_PANEL_PREFETCH_BYTES = 12288,
  GEMM_SLICE_LINES = 512,              // of a panel that a stream's parts take turns on
  GEMM_IN_PLACE_PREFETCH_BYTES = 512,  // of each row of an rhs in place
  GEMM_COLUMNS_PREFETCH_BYTES = 512    // of each column that lies contiguous
};

// One group: c[mr][nv] += lhs words * rhs lines. `bytes` of each lhs word exist, four or, for the
// last element of an odd k, two; then the odd half of the line counts as zero, for a panel may go on
// with rows that the caller's k leaves out.
MK_INLINE void gemm_step(const gemm_kind kind, const int bytes, const int mr, const int nv,
                         const int panel_vectors, const char *const *a, int64_t lhs_stride,
                         const char *rhs, int64_t panel_stride, vf (*c)[GEMM_MAX_NV]) {
  vi line[GEMM_MAX_NV];
  vf even[GEMM_MAX_NV], odd[GEMM_MAX_NV];
  MK_UNROLL for (int j = 0; j < nv; j++) {
    line[j] =
      vi_load(rhs + (j / panel_vectors) * panel_stride + (j % panel_vectors) * (int64_t)sizeof(vi));
    if (kind == GEMM_BF16_DOT && bytes == 2) line[j] = line[j] & vi_set1(0xffffu);
    if (kind == GEMM_BF16_WIDEN) even[j] = vf_even(line[j]), odd[j] = vf_odd(line[j]);
  }
  MK_UNROLL for (int i = 0; i < mr; i++) {
    uint32_t bits = 0;
    memcpy(&bits, a[i / 3] + i % 3 * lhs_stride, (size_t)bytes);
    const vi word = vi_set1(bits);
    if (kind == GEMM_BF16_WIDEN) {
      const vf a_even = vf_even(word), a_odd = vf_odd(word);
      MK_UNROLL for (int j = 0; j < nv; j++) c[i][j] = vf_fma(a_even, even[j], c[i][j]);
      if (bytes == 2) continue;
      MK_UNROLL for (int j = 0; j < nv; j++) c[i][j] = vf_fma(a_odd, odd[j], c[i][j]);
    } else {
      MK_UNROLL for (int j = 0; j < nv; j++) c[i][j] = kind == GEMM_BF16_DOT
                                                         ? vf_dot(c[i][j], word, line[j])
                                                         : vf_fma((vf)word, (vf)line[j], c[i][j]);
    }
  }
}

// c[mr][nv] += lhs[mr x k] * the panels at rhs. Vector j of a line lies in panel j / panel_vectors;
// lines follow each other by line_stride.
// `ahead` is fetched a line per group, moving on by ahead_step.
MK_INLINE void gemm_accumulate(const gemm_kind kind, const int mr, const int nv,
                               const int panel_vectors, int64_t k, const char *lhs,
                               int64_t lhs_stride, const char *rhs, int64_t line_stride,
                               int64_t panel_stride, const char *ahead, int64_t ahead_step,
                               vf (*c)[GEMM_MAX_NV]) {
  const int64_t line_bytes = (int64_t)panel_vectors * (int64_t)sizeof(vi);
  const int panels = (nv + panel_vectors - 1) / panel_vectors;
  int64_t groups = kind == GEMM_F32 ? k : k / 2;
  // Every third row has a pointer; its neighbours are one and two strides away, which the
  // addressing modes give for nothing. One pointer a row would not leave registers enough.
  const char *a[(GEMM_MAX_MR + 2) / 3];
  MK_UNROLL for (int i = 0; i < mr; i += 3) a[i / 3] = lhs + i * lhs_stride;

  for (; groups > 0; groups--) {
    gemm_step(kind, 4, mr, nv, panel_vectors, a, lhs_stride, rhs, panel_stride, c);
    MK_UNROLL for (int p = 0; p < panels; p++) {
      MK_UNROLL for (int64_t b = 0; b < line_bytes; b += 64)
        v_prefetch(ahead + p * panel_stride + b);
    }
    MK_UNROLL for (int i = 0; i < mr; i += 3) {
      a[i / 3] += 4;
      // Hides what the pointers have in common, or the compiler keeps one and computes the other
      // addresses anew for every group, or one a row and spills them.
      __asm__("" : "+r"(a[i / 3]));
    }
    rhs += line_stride;
    ahead += ahead_step;
  }
  if (kind != GEMM_F32 && (k & 1))
    gemm_step(kind, 2, mr, nv, panel_vectors, a, lhs_stride, rhs, panel_stride, c);
}

// The last vector of a row of nv may be partial.
MK_INLINE vf gemm_load(const int nv, const int j, const void *row, v_tail tail) {
  const char *p = (const char *)row + j * (int64_t)sizeof(vf);
  return j == nv - 1 ? vf_load_tail(p, tail) : vf_load(p);
}

// `above`: lanes of the last vector that are written in all rows but the last.
MK_INLINE void gemm_store(const int mr, const int nv, v_tail above, v_tail tail, char *dst,
                          int64_t stride, vf (*c)[GEMM_MAX_NV]) {
  MK_UNROLL for (int i = 0; i < mr; i++) {
    char *row = dst + i * stride;
    MK_UNROLL for (int j = 0; j < nv - 1; j++) vf_store(row + j * (int64_t)sizeof(vf), c[i][j]);
    vf_store_tail(row + (nv - 1) * (int64_t)sizeof(vf), i < mr - 1 ? above : tail, c[i][nv - 1]);
  }
}

// The epilogue of mk_epilogue on sums in registers; every product and sum is rounded on its own.
MK_INLINE void gemm_epilogue(const int mr, const int nv, v_tail tail, const mk_epilogue *e,
                             vf (*c)[GEMM_MAX_NV]) {
#define EACH_SUM                             \
  MK_UNROLL for (int i = 0; i < mr; i++) \
    MK_UNROLL for (int j = 0; j < nv; j++)
  if (e->alpha != 1) {
    const vf alpha = vf_set1(e->alpha);
    EACH_SUM c[i][j] = vf_mul(alpha, c[i][j]);
  }
  if (e->bias_n) {
    vf bias[GEMM_MAX_NV];
    MK_UNROLL for (int j = 0; j < nv; j++) bias[j] = gemm_load(nv, j, e->bias_n, tail);
    EACH_SUM c[i][j] = vf_add(c[i][j], bias[j]);
  }
  if (e->bias_m) {
    EACH_SUM c[i][j] = vf_add(c[i][j], vf_set1(e->bias_m[i]));
  }
  if (e->residual) {
    const char *residual = (const char *)e->residual;
    const vf beta = vf_set1(e->beta);
    EACH_SUM c[i][j] =
      vf_add(c[i][j], vf_mul(beta, gemm_load(nv, j, residual + i * e->residual_stride, tail)));
  }
  if (e->act == MK_ACT_RELU) {
    const vf zero = vf_zero();
    EACH_SUM c[i][j] = vf_at_least(zero, c[i][j]);
  } else if (e->act == MK_ACT_CLAMP) {
    const vf lo = vf_set1(e->lo), hi = vf_set1(e->hi);
    EACH_SUM c[i][j] = vf_at_most(hi, vf_at_least(lo, c[i][j]));
  }
#undef EACH_SUM
}

MK_INLINE void gemm_finish(const int mr, const int nv, v_tail above, v_tail tail,
                           const mk_epilogue *e, char *dst, int64_t dst_stride, bool dst_bf16,
                           vf (*c)[GEMM_MAX_NV]) {
  if (e) gemm_epilogue(mr, nv, tail, e, c);
  if (!dst_bf16) {
    gemm_store(mr, nv, above, tail, dst, dst_stride, c);
    return;
  }
  MK_UNROLL for (int i = 0; i < mr; i++) {
    char *row = dst + i * dst_stride;
    MK_UNROLL for (int j = 0; j < nv - 1; j++) vf_store_bf16(row + j * 2 * VL, c[i][j]);
    vf_store_bf16_tail(row + (nv - 1) * 2 * VL, tail, c[i][nv - 1]);
  }
}

// A tile's flag beside MK_FIRST_K and MK_LAST_K: the rows of dst follow each other and the tiles too,
// so that what a whole vector writes past its row is written over.
enum { GEMM_SPILLS = 4 };

// One tile of exactly mr rows and nv vectors, the last of them perhaps partial.
MK_INLINE void gemm_tile_body(const gemm_kind kind, const int mr, const int nv,
                              const int panel_vectors, const mk_gemm_tile *t, bool dst_bf16) {
  const v_tail tail = v_first(t->n - (nv - 1) * VL);
  const bool last = (t->flags & MK_LAST_K) != 0;
  vf c[GEMM_MAX_MR][GEMM_MAX_NV];
  if (t->flags & MK_FIRST_K) {
    // Only a destination needs fetching ahead; sums of an earlier call are read at once.
    const char *dst = (const char *)(last ? t->dst : t->acc);
    const int64_t stride = last ? t->dst_stride : t->acc_stride;
    MK_UNROLL for (int i = 0; i < mr; i++) {
      MK_UNROLL for (int b = 0; b < nv * (int)sizeof(vf); b += 64) v_prefetch(dst + i * stride + b);
      MK_UNROLL for (int j = 0; j < nv; j++) c[i][j] = vf_zero();
    }
  } else {
    MK_UNROLL for (int i = 0; i < mr; i++) MK_UNROLL for (int j = 0; j < nv; j++)
      c[i][j] = gemm_load(nv, j, (const char *)t->acc + i * t->acc_stride, tail);
  }
  const char *rhs = (const char *)t->rhs;
  const int64_t packed_line = (int64_t)panel_vectors * (int64_t)sizeof(vi);
  const int64_t line = t->rhs_line_stride ? t->rhs_line_stride : packed_line;
  const char *ahead = t->prefetch ? (const char *)t->prefetch
                                  : rhs + GEMM_PREFETCH_BYTES / packed_line * line;
  const int64_t ahead_step = t->prefetch && t->prefetch_step ? t->prefetch_step : line;
  gemm_accumulate(kind, mr, nv, panel_vectors, t->k, (const char *)t->lhs, t->lhs_stride, rhs, line,
                  0, ahead, ahead_step, c);
  if (last)
    gemm_finish(mr, nv, t->flags & GEMM_SPILLS ? v_first(VL) : tail, tail, t->epilogue,
                (char *)t->dst, t->dst_stride, dst_bf16, c);
  else gemm_store(mr, nv, tail, tail, (char *)t->acc, t->acc_stride, c);
}

// All whole panels of a stream of some rows; returns the first panel left over.
typedef int64_t (*gemm_panels_fn)(const mk_gemm_stream *s, bool dst_bf16);

typedef void (*gemm_tile_fn)(const mk_gemm_tile *t, bool dst_bf16);

// The epilogue as the tile at row i, column j sees it; *moved holds it.
MK_INLINE const mk_epilogue *gemm_epilogue_at(const mk_epilogue *e, int64_t i, int64_t j,
                                              mk_epilogue *moved) {
  if (!e) return NULL;
  *moved = *e;
  if (e->bias_n) moved->bias_n += j;
  if (e->bias_m) moved->bias_m += i;
  if (e->residual)
    moved->residual = (const float *)((const char *)e->residual + i * e->residual_stride) + j;
  return moved;
}

// What a stream asks for: `bytes` further on in a packed panel; in place, where the same lines go
// on after what is read next.
MK_INLINE int64_t gemm_stream_ahead(const mk_gemm_stream *s, int64_t bytes) {
  return s->rhs_line_stride ? GEMM_IN_PLACE_PREFETCH_BYTES : bytes;
}

// Whether columns may be computed twice, so that the last ones fill their vectors: an rhs in place
// has no panels to keep to, and nothing that is read from dst is there any more the second time.
MK_INLINE bool gemm_may_repeat(const mk_gemm_stream *s) {
  return s->rhs_line_stride != 0 && s->flags == 0 && !(s->epilogue && s->epilogue->residual);
}

// One group of whole panels from column j on for exactly mr rows: several panels side by side give
// few rows the independent chains that hide the latency of a multiply-add.
MK_INLINE void gemm_stream_body(const gemm_kind kind, const int mr, const int panels,
                                const int panel_vectors, const mk_gemm_stream *s, int64_t j,
                                bool dst_bf16) {
  const int nv = panels * panel_vectors;
  const v_tail whole = v_first(VL);
  char *acc = (char *)s->acc + j * 4;
  vf c[GEMM_MAX_MR][GEMM_MAX_NV];
  MK_UNROLL for (int i = 0; i < mr; i++) MK_UNROLL for (int v = 0; v < nv; v++)
    c[i][v] = s->flags & MK_RESUME ? gemm_load(nv, v, acc + i * s->acc_stride, whole) : vf_zero();
  const char *rhs = (const char *)s->rhs +
                    (s->rhs_line_stride ? j * 4 : j / (panel_vectors * VL) * s->rhs_panel_stride);
  const int64_t packed_line = (int64_t)panel_vectors * (int64_t)sizeof(vi);
  const int64_t line = s->rhs_line_stride ? s->rhs_line_stride : packed_line;
  gemm_accumulate(kind, mr, nv, panel_vectors, s->k, (const char *)s->lhs, s->lhs_stride, rhs, line,
                  s->rhs_panel_stride, rhs + gemm_stream_ahead(s, GEMM_STREAM_PREFETCH_BYTES), line,
                  c);
  if (s->flags & MK_SUSPEND) {
    gemm_store(mr, nv, whole, whole, acc, s->acc_stride, c);
    return;
  }
  mk_epilogue moved;
  gemm_finish(mr, nv, whole, whole, gemm_epilogue_at(s->epilogue, 0, j, &moved),
              (char *)s->dst + j * (dst_bf16 ? 2 : 4), s->dst_stride, dst_bf16, c);
}

// Panels first_panel.. of a stream through tiles of at most mr rows. More rows than that run over
// a slice of k that stays in L1, so that the panel still comes from memory once.
static void gemm_stream_tiles(const gemm_kind kind, int mr, int nr, gemm_tile_fn tile,
                              const mk_gemm_stream *s, int64_t first_panel, bool dst_bf16) {
  const int kr = kind == GEMM_F32 ? 1 : 2;
  const bool in_place = s->rhs_line_stride != 0;
  const int64_t line_bytes = in_place ? s->rhs_line_stride : (int64_t)nr * 4;
  const int64_t slice_bytes = GEMM_SLICE_LINES * line_bytes;
  const int64_t parts = (s->m + mr - 1) / mr, part_rows = (s->m + parts - 1) / parts;
  const bool resumes = (s->flags & MK_RESUME) != 0, suspends = (s->flags & MK_SUSPEND) != 0;
  const int64_t slice = parts == 1 ? s->k : GEMM_SLICE_LINES * kr;
  float sums[GEMM_STREAM_ROWS * GEMM_MAX_NR];
  for (int64_t panel = first_panel; panel * nr < s->n; panel++) {
    const int64_t j = panel * nr;
    // Sums between slices are kept here, unless the caller wants them before or after.
    float *acc = s->flags ? s->acc + j : sums;
    const int64_t acc_stride = s->flags ? s->acc_stride : (int64_t)nr * 4;
    int64_t p = 0;
    do {
      const int64_t depth = s->k - p < slice ? s->k - p : slice;
      const char *rhs = (const char *)s->rhs + panel * s->rhs_panel_stride + p / kr * line_bytes;
      for (int64_t i = 0; i < s->m; i += part_rows) {
        mk_epilogue moved;
        mk_gemm_tile t = {
          .m = s->m - i < part_rows ? s->m - i : part_rows,
          .n = s->n - j < nr ? s->n - j : nr,
          .k = depth,
          .lhs = (const char *)s->lhs + i * s->lhs_stride + p / kr * 4,
          .lhs_stride = s->lhs_stride,
          .rhs = rhs,
          .acc = (float *)((char *)acc + i * acc_stride),
          .acc_stride = acc_stride,
          .dst = (char *)s->dst + i * s->dst_stride + j * (dst_bf16 ? 2 : 4),
          .dst_stride = s->dst_stride,
          .flags = (p == 0 && !resumes ? MK_FIRST_K : 0u) |
                   (p + depth == s->k && !suspends ? MK_LAST_K : 0u),
          .epilogue = gemm_epilogue_at(s->epilogue, i, j, &moved),
          // Each part fetches its share of the next slice, to keep memory busy all the time.
          .prefetch = parts == 1 || in_place
                        ? rhs + gemm_stream_ahead(s, GEMM_PANEL_PREFETCH_BYTES)
                        : rhs + slice_bytes + i / part_rows * (slice_bytes / parts),
          .prefetch_step = in_place ? 0 : line_bytes / parts,
          .rhs_line_stride = s->rhs_line_stride,
        };
        tile(&t, dst_bf16);
      }
      p += depth;
    } while (p < s->k);
  }
}

// Sums of mr rows by two vectors of columns from j on, each column contiguous along k and turned in
// registers, over the whole vectors of k. Returns how much of k that is.
MK_INLINE int64_t gemm_columns_body(const int mr, const mk_gemm_stream *s, int64_t j, float *sums) {
  const char *lhs = (const char *)s->lhs;
  const char *rhs = (const char *)s->rhs + j * s->rhs_line_stride;
  vf c[GEMM_COLUMNS_ROWS][2];
  MK_UNROLL for (int r = 0; r < mr; r++) c[r][0] = c[r][1] = vf_zero();
  int64_t k = 0;
  for (; k + VL <= s->k; k += VL, lhs += 4 * VL, rhs += 4 * VL) {
    MK_UNROLL for (int b = 0; b < 2; b++) {
      vi block[VL];
      MK_UNROLL for (int i = 0; i < VL; i++) {
        const char *column = rhs + (b * VL + i) * s->rhs_line_stride;
        block[i] = vi_load(column);
        v_prefetch(column + GEMM_COLUMNS_PREFETCH_BYTES);
      }
      vi_transpose(block);
      MK_UNROLL for (int i = 0; i < VL; i++) {
        MK_UNROLL for (int r = 0; r < mr; r++) {
          uint32_t bits;
          memcpy(&bits, lhs + r * s->lhs_stride + i * 4, 4);
          c[r][b] = vf_fma((vf)vi_set1(bits), (vf)block[i], c[r][b]);
        }
      }
    }
  }
  MK_UNROLL for (int r = 0; r < mr; r++) {
    vf_store(sums + 2 * r * VL, c[r][0]);
    vf_store(sums + (2 * r + 1) * VL, c[r][1]);
  }
  return k;
}

// The columns function of an f32 row whose panels are two vectors wide. What the bodies leave of k,
// and a strip that is narrower, is packed slice by slice for the tile, which also finishes the sums.
MK_INLINE void gemm_columns(gemm_tile_fn tile, void (*pack)(const mk_pack_rhs *),
                            const mk_gemm_stream *s) {
  enum { WIDTH = 2 * VL };
  float sums[GEMM_COLUMNS_ROWS * WIDTH], panel[GEMM_COLUMNS_SLICE * WIDTH];
  for (int64_t j = 0; j < s->n; j += WIDTH) {
    const int64_t columns = s->n - j < WIDTH ? s->n - j : WIDTH;
    const char *rhs = (const char *)s->rhs + j * s->rhs_line_stride;
    int64_t k = 0;
    // Columns a multiple of 4 KiB apart share a cache set, which does not hold a line of each: packing
    // them in turn is up to 1.9 times as fast (2 to 4 rows, AVX2).
    if (columns == WIDTH && (s->m == 1 || s->rhs_line_stride % 4096 != 0)) {
      switch (s->m) {
        case 1: k = gemm_columns_body(1, s, j, sums); break;
        case 2: k = gemm_columns_body(2, s, j, sums); break;
        case 3: k = gemm_columns_body(3, s, j, sums); break;
        case 4: k = gemm_columns_body(4, s, j, sums); break;
      }
    }
    int64_t depth;
    do {
      depth = s->k - k < GEMM_COLUMNS_SLICE ? s->k - k : GEMM_COLUMNS_SLICE;
      const mk_pack_rhs p = {.k = depth,
                             .n = columns,
                             .src = rhs + k * 4,
                             .k_stride = 4,
                             .n_stride = s->rhs_line_stride,
                             .dst = panel};
      if (depth > 0) pack(&p);
      mk_epilogue moved;
      const mk_gemm_tile t = {
        .m = s->m,
        .n = columns,
        .k = depth,
        .lhs = (const char *)s->lhs + k * 4,
        .lhs_stride = s->lhs_stride,
        .rhs = panel,
        .acc = sums,
        .acc_stride = WIDTH * 4,
        .dst = (char *)s->dst + j * 4,
        .dst_stride = s->dst_stride,
        .flags = (k == 0 ? MK_FIRST_K : 0u) | (k + depth == s->k ? MK_LAST_K : 0u),
        .epilogue = gemm_epilogue_at(s->epilogue, 0, j, &moved)};
      tile(&t, false);
      k += depth;
    } while (k < s->k);
  }
}

// What the gemm.c of each instruction set is made of. TILE defines PREFIX_MxV, the tile of exactly
// M rows and V vectors; STREAM defines NAME, which runs whole groups of PANELS panels for exactly
// M rows and returns the first panel left over.
#define GEMM_TILE(PREFIX, KIND, M, V, PANEL_VECTORS)                            \
  static void PREFIX##_##M##x##V(const mk_gemm_tile *t, bool dst_bf16) {        \
    gemm_tile_body(KIND, M, V, PANEL_VECTORS, t, KIND != GEMM_F32 && dst_bf16); \
  }
#define GEMM_STREAM(NAME, KIND, M, PANELS, PANEL_VECTORS)                                  \
  static int64_t NAME(const mk_gemm_stream *s, bool dst_bf16) {                            \
    enum { NR = PANEL_VECTORS * VL, WIDTH = PANELS * NR };                                 \
    const bool repeats = gemm_may_repeat(s);                                               \
    int64_t j = 0;                                                                         \
    while (j + WIDTH <= s->n || (repeats && 0 < j && j < s->n)) {                          \
      if (j + WIDTH > s->n) j = s->n - WIDTH;                                              \
      gemm_stream_body(KIND, M, PANELS, PANEL_VECTORS, s, j, KIND != GEMM_F32 && dst_bf16); \
      j += WIDTH;                                                                          \
    }                                                                                      \
    return (j + NR - 1) / NR;                                                              \
  }

// The functions of a row's public face.
#define GEMM_PACKERS(PREFIX, KIND_F32, NR)                                                     \
  static void PREFIX##_pack_f32(const mk_pack_rhs *p) { pack_rhs_body(KIND_F32, NR, p); }      \
  static void PREFIX##_pack_conv(const mk_pack_conv *p) { pack_conv_body(KIND_F32, NR, p); }

#endif
