// Packing of a convolution's implicit im2col matrix, written once against lanes.h.
//
// Panels are filled a few at a time, line by line, so that a row of the image is read for all of
// them while it is near. Their columns fall into pieces of at most one vector that share an output
// row and a panel. For one line (one tap) a piece reads one row of the image with a constant step;
// which of its lanes fall into the padding depends on the tap's kw alone and is worked out once.
#ifndef MARTLET_KERNELS_CONV_BODY_H
#define MARTLET_KERNELS_CONV_BODY_H

enum {
  CONV_BLOCK = 64,               // columns of the panels that are filled together
  CONV_MAX_PIECES = CONV_BLOCK,  // a piece holds at least one column
  CONV_MAX_SPANS = 128           // (piece, kw) pairs; a kernel with more goes element by element
};

typedef struct conv_piece {
  int64_t column, count;  // first lane in its panel's line, and lanes: at most VL
  char *dst;              // of that lane in the panel's first line
  int64_t d, h, w;        // image coordinates of tap 0 at the first column
  int64_t offset;         // of those coordinates within a channel
} conv_piece;

// Row index k taken apart: over (c, d, h, w) for f32, over (d, h, w, c) for bf16.
typedef struct conv_tap {
  int64_t c, d, h, w;
} conv_tap;

MK_INLINE bool conv_is_by_channel(const pack_kind kind) { return kind == PACK_F32; }

MK_INLINE conv_tap conv_tap_at(const pack_kind kind, const mk_pack_conv *p, int64_t k) {
  conv_tap tap;
  if (!conv_is_by_channel(kind)) tap.c = k % p->channels, k /= p->channels;
  tap.w = k % p->ker_w, k /= p->ker_w;
  tap.h = k % p->ker_h, k /= p->ker_h;
  tap.d = k % p->ker_d;
  if (conv_is_by_channel(kind)) tap.c = k / p->ker_d;
  return tap;
}

// Moves on by one k; true where that leaves the row of taps.
MK_INLINE bool conv_next_tap(const pack_kind kind, const mk_pack_conv *p, conv_tap *tap) {
  if (!conv_is_by_channel(kind)) {
    if (++tap->c < p->channels) return false;
    tap->c = 0;
  }
  if (++tap->w < p->ker_w) return false;
  tap->w = 0;
  if (++tap->h < p->ker_h) return true;
  tap->h = 0;
  if (++tap->d < p->ker_d) return true;
  tap->d = 0;
  tap->c++;
  return true;
}

// The pieces of `count` columns from column index n, whose first panel is at dst.
MK_INLINE int conv_pieces(const mk_pack_conv *p, const int nr, int64_t n, int64_t count, char *dst,
                          conv_piece *pieces) {
  int64_t w = n % p->out_w, h = n / p->out_w % p->out_h, d = n / p->out_w / p->out_h;
  int used = 0;
  for (int64_t j = 0; j < count;) {
    const int64_t column = j % nr;
    int64_t lanes = p->out_w - w;
    if (lanes > count - j) lanes = count - j;
    if (lanes > nr - column) lanes = nr - column;
    if (lanes > VL) lanes = VL;
    conv_piece *piece = &pieces[used++];
    *piece = (conv_piece){.column = column,
                          .count = lanes,
                          .dst = dst + j / nr * p->dst_panel_stride + column * 4,
                          .d = d * p->stride_d - p->pad_d,
                          .h = h * p->stride_h - p->pad_h,
                          .w = w * p->stride_w - p->pad_w};
    piece->offset = (piece->d * p->in_h + piece->h) * p->in_w + piece->w;
    j += lanes;
    w += lanes;
    if (w < p->out_w) continue;
    w = 0;
    if (++h == p->out_h) h = 0, d++;
  }
  return used;
}

// The lanes of a piece that lie within the image's width at a tap.
MK_INLINE v_span conv_span(const mk_pack_conv *p, const conv_piece *piece, int64_t step,
                           int64_t tap_w) {
  const int64_t w = piece->w + tap_w * p->dil_w, width = p->in_w;
  int64_t low = w < 0 ? (step - 1 - w) / step : 0;
  int64_t high = w < width ? (width - w + step - 1) / step : 0;
  if (high > piece->count) high = piece->count;
  if (low > high) low = high = 0;
  return v_span_of(low, high);
}

// For each piece where its row of the first channel starts for a row of taps (kw 0); null in the padding.
MK_INLINE void conv_rows(const mk_pack_conv *p, const conv_piece *pieces, int used,
                         const conv_tap *tap, const float **rows) {
  const int64_t d = tap->d * p->dil_d, h = tap->h * p->dil_h;
  const float *src = p->src + (d * p->in_h + h) * p->in_w;
  for (int i = 0; i < used; i++) {
    const bool within = (uint64_t)(pieces[i].d + d) < (uint64_t)p->in_d &&
                        (uint64_t)(pieces[i].h + h) < (uint64_t)p->in_h;
    rows[i] = within ? src + pieces[i].offset : NULL;
  }
}

// The lanes of a piece for any step, an element at a time.
MK_INLINE vf conv_sparse(const mk_pack_conv *p, const conv_piece *piece, const float *from,
                         int64_t tap_w) {
  const int64_t step = p->stride_w;
  int64_t w = piece->w + tap_w * p->dil_w;
  if (piece->count == VL && w >= 0 && w + (VL - 1) * step < p->in_w)
    return vf_load_step(from, step);
  float lanes[VL] = {0};
  for (int64_t i = 0; i < piece->count; i++, w += step)
    if (w >= 0 && w < p->in_w) lanes[i] = from[i * step];
  return vf_load(lanes);
}

// How conv_panels reads a row: by vectors with a step of one or two, or by elements.
enum { CONV_ANY_STEP = 0 };

// Fills the panels of up to CONV_BLOCK columns; false, and nothing done, when the kernel is too wide
// for this step.
MK_INLINE bool conv_panels(const pack_kind kind, const int nr, const int step,
                           const mk_pack_conv *p, int64_t n, int64_t columns, char *dst) {
  const int kr = pack_kr(kind);
  const int64_t lines = (p->k + kr - 1) / kr, line_bytes = nr * 4;
  const int64_t plane = p->in_d * p->in_h * p->in_w;
  conv_piece pieces[CONV_MAX_PIECES];
  v_span spans[CONV_MAX_SPANS];
  const int used = conv_pieces(p, nr, n, columns, dst, pieces);
  if (step != CONV_ANY_STEP && used * p->ker_w > CONV_MAX_SPANS) return false;
  if (step != CONV_ANY_STEP) {
    for (int64_t tap_w = 0; tap_w < p->ker_w; tap_w++)
      for (int i = 0; i < used; i++)
        spans[tap_w * used + i] = conv_span(p, &pieces[i], step, tap_w);
  }
  // The rows serve every tap of a row of taps; the odd tap of a pair may be in the next one.
  const float *rows[2][CONV_MAX_PIECES];
  int at = 0;
  conv_tap tap = conv_tap_at(kind, p, p->k0);
  if (lines > 0) conv_rows(p, pieces, used, &tap, rows[at]);
  for (int64_t line = 0; line < lines; line++) {
    const float **const even_rows = rows[at];
    const conv_tap even = tap;
    const bool has_odd = kind != PACK_F32 && line * kr + 1 < p->k;
    if (has_odd && conv_next_tap(kind, p, &tap))
      at ^= 1, conv_rows(p, pieces, used, &tap, rows[at]);
    const float **const odd_rows = rows[at];
    const int64_t offsets[2] = {even.c * plane + even.w * p->dil_w,
                                tap.c * plane + tap.w * p->dil_w};
    const v_span *const line_spans[2] = {spans + even.w * used, spans + tap.w * used};
    const int64_t taps[2] = {even.w, tap.w};
    for (int i = 0; i < used; i++) {
      const conv_piece *piece = &pieces[i];
      vf halves[2];
      MK_UNROLL for (int half = 0; half < kr; half++) {
        const float *row = half == 0 ? even_rows[i] : odd_rows[i];
        halves[half] = vf_zero();
        if (!row || (half == 1 && !has_odd)) continue;
        row += offsets[half];
        halves[half] = step == 1   ? vf_load_span(row, line_spans[half][i])
                       : step == 2 ? vf_load_even_span(row, line_spans[half][i])
                                   : conv_sparse(p, piece, row, taps[half]);
      }
      const vi lanes = kind == PACK_F32 ? (vi)halves[0] : vi_pair_bf16(halves[0], halves[1]);
      // Lanes past the piece are written over by the next piece or the next line; only where
      // neither follows must they stay unwritten.
      char *to = piece->dst + line * line_bytes;
      if (piece->column + VL <= nr || line + 1 < lines) vi_store(to, lanes);
      else vi_store_tail(to, v_first(nr - piece->column), lanes);
    }
    if (columns % nr != 0) {
      char *last = dst + columns / nr * p->dst_panel_stride + line * line_bytes;
      for (int64_t j = columns % nr; j < nr; j++) memset(last + j * 4, 0, 4);
    }
    if (line + 1 == lines) break;  // the next tap may not exist
    if (conv_next_tap(kind, p, &tap)) at ^= 1, conv_rows(p, pieces, used, &tap, rows[at]);
  }
  return true;
}

MK_INLINE void pack_conv_body(const pack_kind kind, const int nr, const mk_pack_conv *p) {
  const int64_t plane = p->in_d * p->in_h * p->in_w;
  const bool pointwise = p->ker_d == 1 && p->ker_h == 1 && p->ker_w == 1 && p->stride_d == 1 &&
                         p->stride_h == 1 && p->stride_w == 1 && p->pad_d == 0 && p->pad_h == 0 &&
                         p->pad_w == 0 && p->out_d == p->in_d && p->out_h == p->in_h &&
                         p->out_w == p->in_w;
  if (pointwise) {  // im2col is the image itself
    const mk_pack_rhs rhs = {.k = p->k,
                             .n = p->n,
                             .src = p->src + p->k0 * plane + p->n0,
                             .k_stride = plane * 4,
                             .n_stride = 4,
                             .dst = p->dst,
                             .dst_panel_stride = p->dst_panel_stride};
    pack_contiguous(kind, nr, &rhs);
    return;
  }
  const int64_t block = nr < CONV_BLOCK ? CONV_BLOCK / nr * nr : nr;
  for (int64_t j = 0; j < p->n; j += block) {
    char *dst = (char *)p->dst + j / nr * p->dst_panel_stride;
    const int64_t columns = p->n - j < block ? p->n - j : block;
    const bool done = p->stride_w == 1   ? conv_panels(kind, nr, 1, p, p->n0 + j, columns, dst)
                      : p->stride_w == 2 ? conv_panels(kind, nr, 2, p, p->n0 + j, columns, dst)
                                         : false;
    if (!done) conv_panels(kind, nr, CONV_ANY_STEP, p, p->n0 + j, columns, dst);
  }
}

#endif
