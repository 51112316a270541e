// Packing of a convolution's implicit im2col matrix, written once against lanes.h.
//
// The columns of a panel fall into runs that share an output row. For one line (one tap) a run
// reads one row of the image with a constant step, so it is moved a vector at a time, with the
// lanes that fall into the padding masked to zero.
#ifndef MARTLET_KERNELS_CONV_BODY_H
#define MARTLET_KERNELS_CONV_BODY_H

enum { CONV_MAX_NR = 64 };

typedef struct conv_run {
  int64_t column, count;  // where in the panel's line
  int64_t d, h, w;        // image coordinates of tap 0 at the run's first column
} conv_run;

// Row index k taken apart.
typedef struct conv_tap {
  int64_t c, d, h, w;
} conv_tap;

MK_INLINE conv_tap conv_tap_at(const mk_pack_conv *p, int64_t k) {
  conv_tap tap;
  tap.w = k % p->ker_w, k /= p->ker_w;
  tap.h = k % p->ker_h, k /= p->ker_h;
  tap.d = k % p->ker_d, tap.c = k / p->ker_d;
  return tap;
}
MK_INLINE void conv_next_tap(const mk_pack_conv *p, conv_tap *tap) {
  if (++tap->w < p->ker_w) return;
  tap->w = 0;
  if (++tap->h < p->ker_h) return;
  tap->h = 0;
  if (++tap->d < p->ker_d) return;
  tap->d = 0;
  tap->c++;
}

// The runs of `count` columns from column index n.
MK_INLINE int conv_runs(const mk_pack_conv *p, int64_t n, int64_t count, conv_run *runs) {
  int64_t w = n % p->out_w, h = n / p->out_w % p->out_h, d = n / p->out_w / p->out_h;
  int used = 0;
  for (int64_t column = 0; column < count;) {
    const int64_t left = count - column, row = p->out_w - w, length = row < left ? row : left;
    runs[used++] = (conv_run){column, length, d * p->stride_d - p->pad_d,
                              h * p->stride_h - p->pad_h, w * p->stride_w - p->pad_w};
    column += length;
    w = 0;
    if (++h == p->out_h) h = 0, d++;
  }
  return used;
}

// The image row that a run reads for a tap; null where it lies in the padding.
MK_INLINE const float *conv_row(const mk_pack_conv *p, const conv_run *run, const conv_tap *tap) {
  const int64_t d = run->d + tap->d * p->dil_d, h = run->h + tap->h * p->dil_h;
  if (d < 0 || d >= p->in_d || h < 0 || h >= p->in_h) return NULL;
  return p->src + ((tap->c * p->in_d + d) * p->in_h + h) * p->in_w;
}

// Lanes i < count of row[w + i * step], zero outside 0 <= index < width and for a null row. Lanes
// past count hold anything.
MK_INLINE vf conv_lanes(const float *row, int64_t w, int64_t step, int64_t count, int64_t width) {
  if (!row) return vf_zero();
  if (step == 1 || step == 2) {
    if (w >= 0 && w + step * VL <= width)
      return step == 1 ? vf_load(row + w) : vf_load_even(row + w);
    const int64_t before = w < 0 ? (step - 1 - w) / step : 0;
    const int64_t inside = w < width ? (width - w + step - 1) / step : 0;
    const int64_t low = before < VL ? before : VL, high = count < inside ? count : inside;
    if (low >= high) return vf_zero();
    return step == 1 ? vf_load_between(row + w, low, high)
                     : vf_load_even_between(row + w, low, high);
  }
  float lanes[VL] = {0};
  for (int64_t i = 0; i < count && i < VL; i++, w += step)
    if (w >= 0 && w < width) lanes[i] = row[w];
  return vf_load(lanes);
}

MK_INLINE void conv_panel(const pack_kind kind, const int nr, const int64_t step,
                          const mk_pack_conv *p, int64_t n, int64_t columns, char *dst) {
  const int kr = pack_kr(kind);
  const int64_t lines = (p->k + kr - 1) / kr, line_bytes = nr * 4;
  conv_run runs[CONV_MAX_NR];
  const int used = conv_runs(p, n, columns, runs);
  conv_tap tap = conv_tap_at(p, p->k0);
  for (int64_t line = 0; line < lines; line++, dst += line_bytes) {
    conv_tap odd = tap;
    const bool has_odd = kind != PACK_F32 && line * kr + 1 < p->k;
    if (has_odd) conv_next_tap(p, &odd);
    const int64_t w = tap.w * p->dil_w, odd_w = odd.w * p->dil_w;
    for (int r = 0; r < used; r++) {
      const conv_run *run = &runs[r];
      const float *row = conv_row(p, run, &tap);
      const float *odd_row = has_odd ? conv_row(p, run, &odd) : NULL;
      for (int64_t i = 0; i < run->count; i += VL) {
        const int64_t at = run->w + i * step, left = run->count - i;
        const vf even_lanes = conv_lanes(row, at + w, step, left, p->in_w);
        vi lanes = (vi)even_lanes;
        if (kind != PACK_F32)
          lanes = vi_pair_bf16(even_lanes, conv_lanes(odd_row, at + odd_w, step, left, p->in_w));
        // Lanes past the run are written over by the next run or the next line; only where
        // neither follows must they stay unwritten.
        const int64_t column = run->column + i;
        if (column + VL <= nr || line + 1 < lines)
          vi_store(dst + column * 4, lanes);
        else
          vi_store_tail(dst + column * 4, v_first(nr - column), lanes);
      }
    }
    for (int64_t j = columns; j < nr; j++) memset(dst + j * 4, 0, 4);
    tap = odd;
    conv_next_tap(p, &tap);
  }
}

MK_INLINE void pack_conv_body(const pack_kind kind, const int nr, const mk_pack_conv *p) {
  const int64_t plane = p->in_d * p->in_h * p->in_w;
  const bool pointwise =
      p->ker_d == 1 && p->ker_h == 1 && p->ker_w == 1 && p->stride_d == 1 && p->stride_h == 1 &&
      p->stride_w == 1 && p->pad_d == 0 && p->pad_h == 0 && p->pad_w == 0 &&
      p->out_d == p->in_d && p->out_h == p->in_h && p->out_w == p->in_w;
  if (pointwise) {  // im2col is the image itself
    const mk_pack_rhs rhs = {
      .k = p->k, .n = p->n, .src = p->src + p->k0 * plane + p->n0, .k_stride = plane * 4,
      .n_stride = 4, .dst = p->dst, .dst_panel_stride = p->dst_panel_stride};
    pack_contiguous(kind, nr, &rhs);
    return;
  }
  char *dst = (char *)p->dst;
  for (int64_t j = 0; j < p->n; j += nr, dst += p->dst_panel_stride) {
    const int64_t columns = p->n - j < nr ? p->n - j : nr;
    if (p->stride_w == 1)
      conv_panel(kind, nr, 1, p, p->n0 + j, columns, dst);
    else if (p->stride_w == 2)
      conv_panel(kind, nr, 2, p, p->n0 + j, columns, dst);
    else
      conv_panel(kind, nr, p->stride_w, p, p->n0 + j, columns, dst);
  }
}

#endif
