// Packing of right-hand sides, written once against lanes.h and compiled per instruction set.
//
// As in gemm_body.h a panel is a sequence of lines of nr 32-bit lanes, one line per group of kr
// consecutive k: an f32, or a pair of bf16 with the even k in the lower half.
#ifndef MARTLET_KERNELS_PACK_BODY_H
#define MARTLET_KERNELS_PACK_BODY_H

typedef enum pack_kind {
  PACK_F32,          // f32 as it is
  PACK_F32_TO_BF16,  // f32 rounded to bf16 pairs
  PACK_BF16          // bf16 pairs
} pack_kind;

enum {
  PACK_BLOCK_BYTES = 512,  // of a contiguous source row taken at a time
  PACK_ROWS_AHEAD = 8
};

MK_INLINE int pack_kr(const pack_kind kind) { return kind == PACK_F32 ? 1 : 2; }
MK_INLINE int pack_source_bytes(const pack_kind kind) { return kind == PACK_BF16 ? 2 : 4; }

MK_INLINE uint32_t pack_rounded(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return (bits | 0x400000u) >> 16;
  return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

// One 32-bit lane from the elements at `even` and `odd`; null is zero.
MK_INLINE uint32_t pack_lane(const pack_kind kind, const char *even, const char *odd) {
  if (kind == PACK_BF16) {
    uint16_t low = 0, high = 0;
    if (even) memcpy(&low, even, 2);
    if (odd) memcpy(&high, odd, 2);
    return low | (uint32_t)high << 16;
  }
  float low = 0, high = 0;
  if (even) memcpy(&low, even, 4);
  if (odd) memcpy(&high, odd, 4);
  uint32_t bits;
  memcpy(&bits, &low, 4);
  return kind == PACK_F32 ? bits : pack_rounded(low) | pack_rounded(high) << 16;
}

// VL lanes from contiguous columns of two source rows; a null odd row is zero.
MK_INLINE vi pack_columns(const pack_kind kind, const char *even, const char *odd) {
  if (kind == PACK_F32) return vi_load(even);
  if (kind == PACK_BF16)
    return odd ? vi_join_u16(vi_load_u16(even), vi_load_u16(odd)) : vi_load_u16(even);
  return vi_pair_bf16(vf_load(even), odd ? vf_load(odd) : vf_zero());
}
MK_INLINE vi pack_columns_tail(const pack_kind kind, const char *even, const char *odd,
                               v_tail tail) {
  if (kind == PACK_F32) return vi_load_tail(even, tail);
  if (kind == PACK_BF16)
    return odd ? vi_join_u16(vi_load_u16_tail(even, tail), vi_load_u16_tail(odd, tail))
               : vi_load_u16_tail(even, tail);
  return vi_pair_bf16(vf_load_tail(even, tail), odd ? vf_load_tail(odd, tail) : vf_zero());
}

// Columns contiguous. Walks blocks of several panels, so that source rows are read in long runs, and
// asks for rows ahead: each lies in a page of its own, where the processor does not look by itself.
MK_INLINE void pack_contiguous(const pack_kind kind, const int nr, const mk_pack_rhs *p) {
  const int kr = pack_kr(kind), bytes = pack_source_bytes(kind);
  const int64_t line_bytes = nr * 4;
  const int64_t block = PACK_BLOCK_BYTES / bytes > nr ? PACK_BLOCK_BYTES / bytes / nr * nr : nr;
  for (int64_t n0 = 0; n0 < p->n; n0 += block) {
    const int64_t columns = p->n - n0 < block ? p->n - n0 : block;
    for (int64_t k = 0, line = 0; k < p->k; k += kr, line++) {
      const char *even = (const char *)p->src + k * p->k_stride + n0 * bytes;
      const char *odd = k + 1 < p->k ? even + p->k_stride : NULL;
      char *dst = (char *)p->dst + n0 / nr * p->dst_panel_stride + line * line_bytes;
      int64_t j = 0;
      if (k + PACK_ROWS_AHEAD < p->k) {
        for (int64_t b = 0; b < columns * bytes; b += 64)
          v_prefetch(even + PACK_ROWS_AHEAD * p->k_stride + b);
      }
      for (; j + nr <= columns; j += nr, dst += p->dst_panel_stride) {
        MK_UNROLL for (int v = 0; v < nr; v += VL)
          vi_store(dst + v * 4,
                   pack_columns(kind, even + (j + v) * bytes, odd ? odd + (j + v) * bytes : NULL));
      }
      if (j == columns) continue;
      for (int v = 0; v < nr; v += VL) {
        const int64_t left = columns - j - v;
        vi lanes = vi_set1(0);
        if (left > 0)
          lanes = pack_columns_tail(kind, even + (j + v) * bytes,
                                    odd ? odd + (j + v) * bytes : NULL,
                                    v_first(left < VL ? left : VL));
        vi_store(dst + v * 4, lanes);
      }
    }
  }
}

// Lines first_line.. of one panel, an element at a time, for any strides.
MK_INLINE void pack_any(const pack_kind kind, const int nr, const mk_pack_rhs *p, int64_t panel,
                        int64_t first_line) {
  const int kr = pack_kr(kind);
  const int64_t columns = p->n - panel * nr < nr ? p->n - panel * nr : nr;
  const char *src = (const char *)p->src + panel * nr * p->n_stride;
  char *dst = (char *)p->dst + panel * p->dst_panel_stride + first_line * nr * 4;
  for (int64_t k = first_line * kr; k < p->k; k += kr) {
    for (int64_t j = 0; j < nr; j++, dst += 4) {
      const char *even = src + k * p->k_stride + j * p->n_stride;
      const uint32_t lane =
        j < columns ? pack_lane(kind, even, k + 1 < p->k ? even + p->k_stride : NULL) : 0;
      memcpy(dst, &lane, 4);
    }
  }
}

// VL groups of one column that lies contiguous along k, as one vector.
MK_INLINE vi pack_groups(const pack_kind kind, const char *column) {
  if (kind != PACK_F32_TO_BF16) return vi_load(column);
  return vi_pairs_of_row(vf_load(column), vf_load(column + 4 * VL));
}
MK_INLINE vi pack_groups_tail(const pack_kind kind, const char *column, int64_t groups) {
  if (kind != PACK_F32_TO_BF16) return vi_load_tail(column, v_first(groups));
  const int64_t first = 2 * groups < VL ? 2 * groups : VL, second = 2 * groups - first;
  const vf low = vf_load_tail(column, v_first(first));
  return vi_pairs_of_row(low,
                         second > 0 ? vf_load_tail(column + 4 * VL, v_first(second)) : vf_zero());
}

// k contiguous (a transposed weight): square blocks of VL columns by VL groups.
MK_INLINE void pack_transposed(const pack_kind kind, const int nr, const mk_pack_rhs *p) {
  const int kr = pack_kr(kind), group_bytes = kr * pack_source_bytes(kind);
  const int64_t line_bytes = nr * 4, lines = p->k / kr;
  for (int64_t panel = 0; panel * nr < p->n; panel++) {
    const int64_t columns = p->n - panel * nr;
    const char *src = (const char *)p->src + panel * nr * p->n_stride;
    char *dst = (char *)p->dst + panel * p->dst_panel_stride;
    for (int64_t line = 0; line < lines; line += VL) {
      const int64_t left = lines - line < VL ? lines - line : VL;
      for (int j = 0; j < nr; j += VL) {
        vi block[VL];
        const char *corner = src + j * p->n_stride + line * group_bytes;
        if (left == VL && columns >= j + VL) {
          MK_UNROLL for (int i = 0; i < VL; i++)
            block[i] = pack_groups(kind, corner + i * p->n_stride);
        } else {
          for (int i = 0; i < VL; i++)
            block[i] = j + i < columns ? pack_groups_tail(kind, corner + i * p->n_stride, left)
                                       : vi_set1(0);
        }
        vi_transpose(block);
        char *to = dst + line * line_bytes + j * 4;
        if (left == VL) {
          MK_UNROLL for (int i = 0; i < VL; i++) vi_store(to + i * line_bytes, block[i]);
        } else {
          for (int64_t i = 0; i < left; i++) vi_store(to + i * line_bytes, block[i]);
        }
      }
    }
    pack_any(kind, nr, p, panel, lines);  // the half group of an odd k
  }
}

MK_INLINE void pack_rhs_body(const pack_kind kind, const int nr, const mk_pack_rhs *p) {
  if (p->n_stride == pack_source_bytes(kind)) {
    pack_contiguous(kind, nr, p);
  } else if (p->k_stride == pack_source_bytes(kind)) {
    pack_transposed(kind, nr, p);
  } else {
    for (int64_t panel = 0; panel * nr < p->n; panel++) pack_any(kind, nr, p, panel, 0);
  }
}

#endif
