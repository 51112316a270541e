// Integer products, written once against lanes.h and compiled per instruction set; the file that
// includes this defines first
//   INT8_KR          consecutive k that one 32-bit lane of the lhs covers: 2 (s16) or 4 (u8)
//   int8_line(p)     VL lanes of a panel: VL * INT8_KR bytes, widened as int8_dot takes them
//   int8_dot(c, a, b)  per lane c + the products of a's INT8_KR elements and b's, wrapping
//
// Integers sum exactly in any order, so every shape and split gives the same bits.
#ifndef MARTLET_KERNELS_INT8_BODY_H
#define MARTLET_KERNELS_INT8_BODY_H

enum {
  INT8_MAX_MR = 6,
  INT8_MAX_NV = 4,
  INT8_UNROLL = 2,
  INT8_LINE_BYTES = VL * INT8_KR,  // of one vector of a panel's line
  INT8_WIDE_BYTES = VL * 4,        // of the same in a widened panel
  // How far ahead of itself a tile asks for panels: nearer, a stream from memory was up to a
  // quarter slower (Benchmarks/kernels, 1x16384x16384).
  INT8_PREFETCH_BYTES = 8192
};

// One group of INT8_KR k: c[mr][nv] += lhs words * rhs line, `is_wide` where it was widened before.
MK_INLINE void int8_step(const bool is_wide, const int mr, const int nv, const char *const *a,
                         int64_t lhs_stride, const int offset, const char *rhs,
                         vi (*c)[INT8_MAX_NV]) {
  vi line[INT8_MAX_NV];
  MK_UNROLL for (int j = 0; j < nv; j++) line[j] = is_wide ? vi_load(rhs + j * INT8_WIDE_BYTES)
                                                           : int8_line(rhs + j * INT8_LINE_BYTES);
  MK_UNROLL for (int i = 0; i < mr; i++) {
    uint32_t bits;
    memcpy(&bits, a[i / 3] + i % 3 * lhs_stride + offset, 4);
    const vi word = vi_set1(bits);
    MK_UNROLL for (int j = 0; j < nv; j++) c[i][j] = int8_dot(c[i][j], word, line[j]);
  }
}

// One tile of exactly mr rows and nv vectors of panels of panel_vectors.
MK_INLINE void int8_tile_body(const bool is_wide, const int mr, const int nv,
                              const int panel_vectors, const mk_int8_tile *t) {
  const v_tail tail = v_first(t->n - (nv - 1) * VL);
  const int line_bytes = panel_vectors * (is_wide ? INT8_WIDE_BYTES : INT8_LINE_BYTES);
  vi c[INT8_MAX_MR][INT8_MAX_NV];
  MK_UNROLL for (int i = 0; i < mr; i++) {
    const char *row = (const char *)t->dst + i * t->dst_stride;
    MK_UNROLL for (int j = 0; j < nv; j++) {
      c[i][j] = vi_set1(0);
      if (!t->accumulates) continue;
      c[i][j] = j == nv - 1 ? vi_load_tail(row + j * VL * 4, tail) : vi_load(row + j * VL * 4);
    }
  }
  // Every third row has a pointer, as in gemm_body.h.
  const char *a[(INT8_MAX_MR + 2) / 3];
  MK_UNROLL for (int i = 0; i < mr; i += 3) a[i / 3] = (const char *)t->lhs + i * t->lhs_stride;
  const char *rhs = (const char *)t->rhs;
  const char *ahead = t->prefetch ? (const char *)t->prefetch : rhs + INT8_PREFETCH_BYTES;
  int64_t groups = (t->k + INT8_KR - 1) / INT8_KR;
  for (; groups >= INT8_UNROLL; groups -= INT8_UNROLL) {
    MK_UNROLL for (int u = 0; u < INT8_UNROLL; u++)
      int8_step(is_wide, mr, nv, a, t->lhs_stride, 4 * u, rhs + u * line_bytes, c);
    MK_UNROLL for (int b = 0; b < INT8_UNROLL * line_bytes; b += 64) v_prefetch(ahead + b);
    MK_UNROLL for (int i = 0; i < mr; i += 3) {
      a[i / 3] += 4 * INT8_UNROLL;
      __asm__("" : "+r"(a[i / 3]));
    }
    rhs += INT8_UNROLL * line_bytes;
    ahead += INT8_UNROLL * line_bytes;
  }
  if (groups > 0) int8_step(is_wide, mr, nv, a, t->lhs_stride, 0, rhs, c);
  MK_UNROLL for (int i = 0; i < mr; i++) {
    char *row = (char *)t->dst + i * t->dst_stride;
    MK_UNROLL for (int j = 0; j < nv - 1; j++) vi_store(row + j * VL * 4, c[i][j]);
    vi_store_tail(row + (nv - 1) * VL * 4, tail, c[i][nv - 1]);
  }
}

typedef void (*int8_tile_fn)(const mk_int8_tile *t);

#define INT8_TILE(M, V, PANEL_VECTORS)                                         \
  static void int8_tile_##M##x##V(const mk_int8_tile *t) {                     \
    int8_tile_body(false, M, V, PANEL_VECTORS, t);                             \
  }
#define INT8_WIDE_TILE(M, V, PANEL_VECTORS)                       \
  static void int8_wide_tile_##M##x##V(const mk_int8_tile *t) {   \
    int8_tile_body(true, M, V, PANEL_VECTORS, t);                 \
  }

// A panel of k rows, its elements as int8_dot takes them.
MK_INLINE void int8_widen_body(const int panel_vectors, int64_t k, const char *panel, char *wide) {
  const int64_t vectors = (k + INT8_KR - 1) / INT8_KR * panel_vectors;
  for (int64_t v = 0; v < vectors; v++)
    vi_store(wide + v * INT8_WIDE_BYTES, int8_line(panel + v * INT8_LINE_BYTES));
}

// Columns' sums as packed, added: panels of `lines` lines.
MK_INLINE void int8_panel_sums(const int panel_vectors, const char *panel, int64_t lines,
                               int32_t *sums) {
  const vi ones = vi_set1(INT8_KR == 2 ? 0x00010001u : 0x01010101u);
  vi c[INT8_MAX_NV];
  MK_UNROLL for (int j = 0; j < panel_vectors; j++) c[j] = vi_load(sums + j * VL);
  for (; lines > 0; lines--, panel += panel_vectors * INT8_LINE_BYTES) {
    MK_UNROLL for (int j = 0; j < panel_vectors; j++)
      c[j] = int8_dot(c[j], ones, int8_line(panel + j * INT8_LINE_BYTES));
  }
  MK_UNROLL for (int j = 0; j < panel_vectors; j++) vi_store(sums + j * VL, c[j]);
}

// ---------------------------------------------------------------------------- packing

typedef uint8_t int8_bytes __attribute__((vector_size(16)));

MK_INLINE int8_bytes int8_load_bytes(const char *p, int64_t count) {
  int8_bytes v = {0};
  if (count >= 16) {
    memcpy(&v, p, 16);
  } else {
    for (int64_t i = 0; i < count; i++) v[i] = (uint8_t)p[i];
  }
  return v;
}

// One group of rows, columns j..j+16 of which `columns` exist, into `to`.
MK_INLINE void int8_interleave(const int8_bytes *rows, char *to) {
  const int8_bytes ab_low = __builtin_shufflevector(rows[0], rows[1], 0, 16, 1, 17, 2, 18, 3, 19, 4,
                                                    20, 5, 21, 6, 22, 7, 23);
  const int8_bytes ab_high = __builtin_shufflevector(rows[0], rows[1], 8, 24, 9, 25, 10, 26, 11, 27,
                                                     12, 28, 13, 29, 14, 30, 15, 31);
#if INT8_KR == 2
  memcpy(to, &ab_low, 16);
  memcpy(to + 16, &ab_high, 16);
#else
  const int8_bytes cd_low = __builtin_shufflevector(rows[2], rows[3], 0, 16, 1, 17, 2, 18, 3, 19, 4,
                                                    20, 5, 21, 6, 22, 7, 23);
  const int8_bytes cd_high = __builtin_shufflevector(rows[2], rows[3], 8, 24, 9, 25, 10, 26, 11, 27,
                                                     12, 28, 13, 29, 14, 30, 15, 31);
#define INT8_PAIRS_LOW 0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23
#define INT8_PAIRS_HIGH 8, 9, 24, 25, 10, 11, 26, 27, 12, 13, 28, 29, 14, 15, 30, 31
  const int8_bytes quads[4] = {__builtin_shufflevector(ab_low, cd_low, INT8_PAIRS_LOW),
                               __builtin_shufflevector(ab_low, cd_low, INT8_PAIRS_HIGH),
                               __builtin_shufflevector(ab_high, cd_high, INT8_PAIRS_LOW),
                               __builtin_shufflevector(ab_high, cd_high, INT8_PAIRS_HIGH)};
  memcpy(to, quads, 64);
#endif
}

// Columns contiguous; nr is a multiple of 16.
MK_INLINE void int8_pack_contiguous(const int nr, const mk_int8_pack_rhs *p) {
  const int64_t line_bytes = (int64_t)nr * INT8_KR, full = (p->n + nr - 1) / nr * nr;
  const uint8_t flip = p->is_signed ? 0 : 0x80;
  for (int64_t k = 0; k < p->k; k += INT8_KR) {
    const char *src = (const char *)p->src + k * p->k_stride;
    for (int64_t j = 0; j < full; j += 16) {
      int8_bytes rows[INT8_KR];
      MK_UNROLL for (int r = 0; r < INT8_KR; r++) {
        rows[r] = (int8_bytes){0};
        if (k + r >= p->k || j >= p->n) continue;
        // Columns and rows that do not exist stay zero whatever the sign.
        rows[r] = int8_load_bytes(src + r * p->k_stride + j, p->n - j);
        if (flip == 0) continue;
        if (p->n - j >= 16) {
          rows[r] ^= flip;
        } else {
          for (int64_t i = 0; i < p->n - j; i++) rows[r][i] ^= flip;
        }
      }
      int8_interleave(rows, (char *)p->dst + j / nr * p->dst_panel_stride +
                              k / INT8_KR * line_bytes + j % nr * INT8_KR);
    }
  }
}

// Any strides, a lane at a time; where k is contiguous, so are a lane's bytes.
MK_INLINE void int8_pack_any(const int nr, const mk_int8_pack_rhs *p) {
  const uint32_t flips = p->is_signed ? 0 : INT8_KR == 2 ? 0x8080u : 0x80808080u;
  const int64_t whole = p->k / INT8_KR * INT8_KR;
  for (int64_t j = 0; j < (p->n + nr - 1) / nr * nr; j++) {
    const char *src = (const char *)p->src + j * p->n_stride;
    char *to = (char *)p->dst + j / nr * p->dst_panel_stride + j % nr * INT8_KR;
    int64_t k = 0;
    if (j >= p->n) {
      for (; k < p->k; k += INT8_KR, to += nr * INT8_KR) memset(to, 0, INT8_KR);
      continue;
    }
    if (p->k_stride == 1) {
      for (; k < whole; k += INT8_KR, to += nr * INT8_KR) {
        uint32_t lane = 0;
        memcpy(&lane, src + k, INT8_KR);
        lane ^= flips;
        memcpy(to, &lane, INT8_KR);
      }
    }
    for (; k < p->k; k += INT8_KR, to += nr * INT8_KR) {
      for (int r = 0; r < INT8_KR; r++)
        to[r] = k + r < p->k ? (char)(src[(k + r) * p->k_stride] ^ (char)flips) : 0;
    }
  }
}

MK_INLINE void int8_pack_rhs_body(const int nr, const mk_int8_pack_rhs *p) {
  if (p->n_stride == 1) int8_pack_contiguous(nr, p);
  else int8_pack_any(nr, p);
  if (!p->sums) return;
  for (int64_t j = 0; j < p->n; j += nr)
    int8_panel_sums(nr / VL, (const char *)p->dst + j / nr * p->dst_panel_stride,
                    (p->k + INT8_KR - 1) / INT8_KR, p->sums + j);
}

// Vectorised by the compiler.
MK_INLINE int32_t int8_pack_row(const uint8_t *restrict src, int64_t k, bool is_signed,
                                void *restrict dst) {
  int32_t sum = 0;
#if INT8_KR == 2
  int16_t *to = (int16_t *)dst;
  if (is_signed) {
    for (int64_t p = 0; p < k; p++) to[p] = (int8_t)src[p], sum += (int8_t)src[p];
  } else {
    for (int64_t p = 0; p < k; p++) to[p] = src[p], sum += src[p];
  }
#else
  uint8_t *to = (uint8_t *)dst;
  const uint8_t flip = is_signed ? 0x80 : 0;
  for (int64_t p = 0; p < k; p++) {
    const uint8_t value = src[p] ^ flip;
    to[p] = value, sum += value;
  }
#endif
  return sum;
}

static void int8_pack_lhs(const mk_int8_pack_lhs *p) {
  enum { ELEMENT = 4 / INT8_KR, GATHERED = 256 };
  const int64_t padded = (p->k + INT8_KR - 1) / INT8_KR * INT8_KR;
  for (int64_t i = 0; i < p->m; i++) {
    const uint8_t *src = (const uint8_t *)p->src + i * p->m_stride;
    char *dst = (char *)p->dst + i * p->dst_stride;
    int32_t sum = 0;
    if (p->k_stride == 1) {
      sum = int8_pack_row(src, p->k, p->is_signed, dst);
    } else {
      uint8_t gathered[GATHERED];
      for (int64_t k = 0; k < p->k; k += GATHERED) {
        const int64_t count = p->k - k < GATHERED ? p->k - k : GATHERED;
        for (int64_t q = 0; q < count; q++) gathered[q] = src[(k + q) * p->k_stride];
        sum += int8_pack_row(gathered, count, p->is_signed, dst + k * ELEMENT);
      }
    }
    memset(dst + p->k * ELEMENT, 0, (size_t)((padded - p->k) * ELEMENT));
    if (p->sums) p->sums[i] += sum;
  }
}

#endif
