// Convolution on bf16 units without an im2col matrix (mk_conv_dot): a tile is a few output pixels by a
// panel of output channels, whose sums stay in registers over taps and channels.
//
// A pixel is a pointer into the window, so that pixels of different output rows share a tile. They are
// dealt to areas, all pixels of which have the same taps within the image: no zero of the padding is
// multiplied, and no tile asks which taps it has.
#ifndef MARTLET_KERNELS_AVX512BF16_CONV_DOT_H
#define MARTLET_KERNELS_AVX512BF16_CONV_DOT_H

enum {
  DOT_PIXELS = 6,  // by four vectors of channels: 24 sums, as many as a tile of the product
  DOT_VECTORS = 4,
  DOT_GROUPED_PIXELS = 7,     // by one vector
  DOT_GROUPED_CHANNELS = 16,  // of a pixel, eight pairs: what vi_pick reads
  DOT_SPANS = 16              // areas along an axis at a time
};

// ---------------------------------------------------------------------------- tiles

// One area by some taps. `src` of a pixel: bytes from the window to its first tap; of a tap: from there on.
// `other` of a pixel: floats from sums; of a tap: bytes from weights.
typedef struct dot_area {
  const char *src, *weights;
  const mk_conv_place *pixels, *taps;
  int64_t pixel_count, tap_count;
  int64_t pairs;     // of channels a tap
  bool accumulates;  // sums go on from what they hold, else from zero
  float *sums;
  // What comes next, fetched evenly by all tiles: `ahead_step` bytes a pair.
  const char *ahead;
  int64_t ahead_step;
  const vi *picks;  // grouped: which pair of a pixel each lane takes, for each pair of a group
} dot_area;

MK_INLINE void dot_tile(const int count, const dot_area *s, const mk_conv_place *pixels,
                        const char *ahead) {
  vf c[DOT_PIXELS][DOT_VECTORS];
  MK_UNROLL for (int i = 0; i < count; i++) MK_UNROLL for (int v = 0; v < DOT_VECTORS; v++)
    c[i][v] = s->accumulates ? vf_load(s->sums + pixels[i].other + v * VL) : vf_zero();
  const int64_t bytes = s->pairs * 4;
  for (const mk_conv_place *tap = s->taps, *end = tap + s->tap_count; tap < end; tap++) {
    const char *from = s->src + tap->src + bytes, *weights = s->weights + tap->other;
    const char *at[DOT_PIXELS];
    MK_UNROLL for (int i = 0; i < count; i++) {
      at[i] = from + pixels[i].src;
      __asm__("" : "+r"(at[i]));  // a register each, or the compiler adds in the loop
    }
    for (int64_t b = -bytes; b < 0; b += 4) {
      vi line[DOT_VECTORS];
      MK_UNROLL for (int v = 0; v < DOT_VECTORS; v++) line[v] = vi_load(weights + v * VL * 4);
      MK_UNROLL for (int i = 0; i < count; i++) {
        uint32_t pair;
        memcpy(&pair, at[i] + b, 4);
        const vi each = vi_set1(pair);
        MK_UNROLL for (int v = 0; v < DOT_VECTORS; v++) c[i][v] = vf_dot(c[i][v], each, line[v]);
      }
      v_prefetch(ahead);
      v_prefetch(ahead + 64);
      weights += DOT_VECTORS * VL * 4;
      ahead += s->ahead_step;
    }
  }
  MK_UNROLL for (int i = 0; i < count; i++) MK_UNROLL for (int v = 0; v < DOT_VECTORS; v++)
    vf_store(s->sums + pixels[i].other + v * VL, c[i][v]);
}

// `pairs` of 8 are all of a pixel: its lanes belong to one group.
MK_INLINE void dot_grouped_tile(const int count, const int pairs, const dot_area *s,
                                const mk_conv_place *pixels) {
  vf c[DOT_GROUPED_PIXELS];
  MK_UNROLL for (int i = 0; i < count; i++) c[i] = vf_zero();
  for (const mk_conv_place *tap = s->taps, *end = tap + s->tap_count; tap < end; tap++) {
    const char *from = s->src + tap->src, *weights = s->weights + tap->other;
    MK_UNROLL for (int p = 0; p < pairs; p++) {
      const vi line = vi_load(weights + p * VL * 4);
      MK_UNROLL for (int i = 0; i < count; i++) {
        const char *at = from + pixels[i].src;
        uint32_t pair;
        memcpy(&pair, at + p * 4, 4);
        c[i] = vf_dot(c[i], pairs == 8 ? vi_set1(pair) : vi_pick(at, s->picks[p]), line);
      }
    }
  }
  MK_UNROLL for (int i = 0; i < count; i++) vf_store(s->sums + pixels[i].other, c[i]);
}

typedef void (*dot_tile_fn)(const dot_area *, const mk_conv_place *, const char *ahead);

#define DOT_TILE(M)                                                                        \
  static void dot_tile_##M(const dot_area *s, const mk_conv_place *p, const char *ahead) { \
    dot_tile(M, s, p, ahead);                                                              \
  }
#define DOT_GROUPED(M, P)                                                                          \
  static void dot_grouped_##M##_##P(const dot_area *s, const mk_conv_place *p, const char *ahead) { \
    (void)ahead;                                                                                   \
    dot_grouped_tile(M, P, s, p);                                                                  \
  }
#define DOT_GROUPED_1(M) DOT_GROUPED(M, 1)
#define DOT_GROUPED_2(M) DOT_GROUPED(M, 2)
#define DOT_GROUPED_4(M) DOT_GROUPED(M, 4)
#define DOT_GROUPED_8(M) DOT_GROUPED(M, 8)
MK_EACH(6, DOT_TILE)
MK_EACH(7, DOT_GROUPED_1)
MK_EACH(7, DOT_GROUPED_2)
MK_EACH(7, DOT_GROUPED_4)
MK_EACH(7, DOT_GROUPED_8)

#define DOT_TILE_OF(M) dot_tile_##M,
#define DOT_GROUPED_1_OF(M) dot_grouped_##M##_1,
#define DOT_GROUPED_2_OF(M) dot_grouped_##M##_2,
#define DOT_GROUPED_4_OF(M) dot_grouped_##M##_4,
#define DOT_GROUPED_8_OF(M) dot_grouped_##M##_8,
static const dot_tile_fn dot_tiles[] = {MK_EACH(6, DOT_TILE_OF)};
static const dot_tile_fn dot_grouped_1[] = {MK_EACH(7, DOT_GROUPED_1_OF)};
static const dot_tile_fn dot_grouped_2[] = {MK_EACH(7, DOT_GROUPED_2_OF)};
static const dot_tile_fn dot_grouped_4[] = {MK_EACH(7, DOT_GROUPED_4_OF)};
static const dot_tile_fn dot_grouped_8[] = {MK_EACH(7, DOT_GROUPED_8_OF)};

static int64_t dot_tile_count(int64_t pixels, int64_t most) { return (pixels + most - 1) / most; }

// All pixels of an area, dealt evenly to tiles of at most `most`.
static void dot_run(const dot_tile_fn *tiles, int64_t most, const dot_area *s) {
  const int64_t count = dot_tile_count(s->pixel_count, most);
  if (count <= 0) return;
  const int64_t height = s->pixel_count / count, higher = s->pixel_count % count;
  const mk_conv_place *pixels = s->pixels;
  const char *ahead = s->ahead;
  for (int64_t i = 0; i < count; i++) {
    const int64_t m = i < higher ? height + 1 : height;
    tiles[m - 1](s, pixels, ahead);
    pixels += m;
    ahead += s->ahead_step * s->pairs * s->tap_count;
  }
}

// ---------------------------------------------------------------------------- areas

// Output positions begin ..< end along an axis and the taps low ..< high that they have in the image.
typedef struct dot_span {
  int64_t begin, end, low, high;
} dot_span;

// The spans of positions from `begin` on, of `count` in all, of which position 0 has its first tap at
// `first`: as many as there is room for. Their number, and through *end where they end.
static int dot_spans(int64_t begin, int64_t count, int64_t first, int64_t input, int64_t kernel,
                     int64_t stride, int64_t dilation, dot_span *spans, int64_t *end) {
  int used = 0;
  int64_t o = begin;
  for (first += begin * stride; o < count; o++, first += stride) {
    int64_t low = first >= 0 ? 0 : (dilation - 1 - first) / dilation;
    if (low > kernel) low = kernel;
    int64_t high = first < input ? (input - 1 - first) / dilation + 1 : low;
    if (high > kernel) high = kernel;
    if (high < low) high = low;
    if (used > 0 && spans[used - 1].low == low && spans[used - 1].high == high) {
      spans[used - 1].end = o + 1;
    } else {
      if (used == DOT_SPANS) break;
      spans[used++] = (dot_span){o, o + 1, low, high};
    }
  }
  *end = o;
  return used;
}

typedef struct dot_grid {
  dot_span down[DOT_SPANS], across[DOT_SPANS];
  int vertical, horizontal;
  int64_t pixel_bytes, row_bytes, tap_bytes;
} dot_grid;

static int64_t dot_pixels(const dot_span *down, const dot_span *across) {
  return (down->end - down->begin) * (across->end - across->begin);
}

// The taps of an area among first ..< stop, into `taps` unless null; their number.
static int64_t dot_taps(const mk_conv_dot *s, const dot_grid *grid, int64_t first, int64_t stop,
                        const dot_span *down, const dot_span *across, mk_conv_place *taps) {
  int64_t used = 0;
  int64_t kh = first / s->ker_w, kw = first % s->ker_w - 1;
  for (int64_t t = first; t < stop; t++) {
    if (++kw == s->ker_w) kw = 0, kh++;
    if (kh < down->low || kh >= down->high || kw < across->low || kw >= across->high) continue;
    if (taps)
      taps[used] = (mk_conv_place){
        (int32_t)(kh * s->dil_h * grid->row_bytes + kw * s->dil_w * grid->pixel_bytes),
        (int32_t)(t * grid->tap_bytes)};
    used++;
  }
  return used;
}

// Lists the places of a grid's pixels, area by area; returns the place behind them.
static mk_conv_place *dot_places(const mk_conv_dot *s, int64_t lanes, const dot_grid *grid) {
  mk_conv_place *place = s->places;
  for (int v = 0; v < grid->vertical; v++)
    for (int h = 0; h < grid->horizontal; h++)
      for (int64_t y = grid->down[v].begin; y < grid->down[v].end; y++)
        for (int64_t x = grid->across[h].begin; x < grid->across[h].end; x++)
          *place++ = (mk_conv_place){
            (int32_t)(y * s->stride_h * grid->row_bytes + x * s->stride_w * grid->pixel_bytes),
            (int32_t)((y * s->columns + x) * lanes)};
  return place;
}

// Calls `run` for each grid that the block falls into: one, unless its kernel has more than a few taps.
MK_INLINE void dot_grids(void (*run)(const mk_conv_dot *, const dot_grid *, mk_conv_place *),
                         const mk_conv_dot *s, int64_t lanes, int64_t pairs) {
  dot_grid grid = {.pixel_bytes = s->channels * 2, .tap_bytes = pairs * lanes * 4};
  grid.row_bytes = s->width * grid.pixel_bytes;
  for (int64_t y = 0, y_end; y < s->rows; y = y_end) {
    grid.vertical =
      dot_spans(y, s->rows, s->h, s->in_h, s->ker_h, s->stride_h, s->dil_h, grid.down, &y_end);
    for (int64_t x = 0, x_end; x < s->columns; x = x_end) {
      grid.horizontal = dot_spans(x, s->columns, s->w, s->in_w, s->ker_w, s->stride_w, s->dil_w,
                                  grid.across, &x_end);
      run(s, &grid, dot_places(s, lanes, &grid));
    }
  }
}

// Terms at a time: some whole taps, or some channels of one.
typedef struct dot_block {
  int64_t taps, channels;
} dot_block;

static dot_block dot_block_of(const mk_conv_dot *s) {
  const int64_t count = s->ker_h * s->ker_w, most = s->depth / s->channels;
  if (most >= 1) {
    const int64_t parts = (count + most - 1) / most;
    return (dot_block){(count + parts - 1) / parts, s->channels};
  }
  const int64_t parts = (s->channels + s->depth - 1) / s->depth;
  const int64_t channels = (s->channels + parts - 1) / parts;
  return (dot_block){1, channels + (channels & 1)};
}

static void dot_sums_of(const mk_conv_dot *s, const dot_grid *grid, mk_conv_place *taps) {
  enum { LANES = DOT_VECTORS * VL };
  bool begun[DOT_SPANS][DOT_SPANS] = {{false}};
  const int64_t count = s->ker_h * s->ker_w;
  const dot_block block = dot_block_of(s);
  for (int64_t t = 0; t < count; t += block.taps) {
    const int64_t stop = t + block.taps < count ? t + block.taps : count;
    for (int64_t c = 0; c < s->channels; c += block.channels) {
      const int64_t depth = s->channels - c < block.channels ? s->channels - c : block.channels;
      const bool is_last = stop == count && c + depth == s->channels;
      const char *weights = (const char *)s->weights + c / 2 * LANES * 4;
      // The weights that follow, and the pairs of all tiles that share in fetching them.
      const char *next = is_last ? (const char *)s->next
                         : c + depth < s->channels
                           ? weights + depth / 2 * LANES * 4
                           : (const char *)s->weights + stop * grid->tap_bytes;
      int64_t pairs = 0;
      for (int v = 0; v < grid->vertical; v++)
        for (int h = 0; h < grid->horizontal; h++)
          pairs += dot_tile_count(dot_pixels(&grid->down[v], &grid->across[h]), DOT_PIXELS) *
                   dot_taps(s, grid, t, stop, &grid->down[v], &grid->across[h], NULL) * (depth / 2);
      dot_area area = {.src = (const char *)s->src + c * 2,
                       .weights = weights,
                       .pixels = s->places,
                       .taps = taps,
                       .pairs = depth / 2,
                       .sums = s->sums,
                       .ahead = next ? next : weights};
      if (next && pairs > 0)
        area.ahead_step = ((stop - t) * (depth / 2) * LANES * 4 + pairs - 1) / pairs;
      for (int v = 0; v < grid->vertical; v++) {
        for (int h = 0; h < grid->horizontal; h++) {
          area.tap_count = dot_taps(s, grid, t, stop, &grid->down[v], &grid->across[h], taps);
          area.pixel_count = dot_pixels(&grid->down[v], &grid->across[h]);
          area.accumulates = begun[v][h];
          if (area.tap_count > 0 || (is_last && !begun[v][h])) {
            dot_run(dot_tiles, DOT_PIXELS, &area);
            area.ahead += area.ahead_step * area.tap_count * area.pairs *
                          dot_tile_count(area.pixel_count, DOT_PIXELS);
            begun[v][h] = true;
          }
          area.pixels += area.pixel_count;
        }
      }
    }
  }
}

static void dot_sums(const mk_conv_dot *s) {
  dot_grids(dot_sums_of, s, DOT_VECTORS * VL, s->channels / 2);
}

static void dot_grouped_of(const mk_conv_dot *s, const dot_grid *grid, mk_conv_place *taps) {
  vi picks[DOT_GROUPED_CHANNELS / 2];
  for (int64_t p = 0; p < s->group_pairs; p++) {
    uint32_t lanes[VL];
    for (int64_t i = 0; i < VL; i++) lanes[i] = (uint32_t)(i / s->group_lanes * s->group_pairs + p);
    picks[p] = vi_load(lanes);
  }
  const dot_tile_fn *const tiles = s->group_pairs == 8   ? dot_grouped_8
                                   : s->group_pairs == 4 ? dot_grouped_4
                                   : s->group_pairs == 2 ? dot_grouped_2
                                                         : dot_grouped_1;
  dot_area area = {.src = (const char *)s->src,
                   .weights = (const char *)s->weights,
                   .pixels = s->places,
                   .taps = taps,
                   .pairs = s->group_pairs,
                   .sums = s->sums,
                   .picks = picks};
  for (int v = 0; v < grid->vertical; v++) {
    for (int h = 0; h < grid->horizontal; h++) {
      area.tap_count =
        dot_taps(s, grid, 0, s->ker_h * s->ker_w, &grid->down[v], &grid->across[h], taps);
      area.pixel_count = dot_pixels(&grid->down[v], &grid->across[h]);
      dot_run(tiles, DOT_GROUPED_PIXELS, &area);
      area.pixels += area.pixel_count;
    }
  }
}

static void dot_grouped(const mk_conv_dot *s) { dot_grids(dot_grouped_of, s, VL, s->group_pairs); }

// --------------------------------------------------------------------------- window

enum { WINDOW_AHEAD = 512 };  // bytes of each plane

MK_INLINE vf window_load(const int step, const float *p, v_tail tail, v_span even) {
  return step == 2 ? vf_load_even_span(p, even) : vf_load_tail(p, tail);
}

static __attribute__((noinline)) bool window_has_denormals(const int step, const float *src,
                                                           int64_t plane, int64_t pixels,
                                                           int64_t pairs) {
  const v_tail tail = v_first(pixels);
  const v_span even = v_span_of(0, pixels);
  for (int64_t i = 0; i < 2 * pairs; i += 2)
    if (dot_has_denormals(window_load(step, src + i * plane, tail, even),
                          window_load(step, src + (i + 1) * plane, tail, even)))
      return true;
  return false;
}

// At most VL pixels of at most VL pairs of channels, planes `plane` elements apart; `width` pairs are
// written, those behind `pairs` zeros.
MK_INLINE void window_block(const int step, const float *src, int64_t plane, int64_t pixels,
                            int64_t pairs, int64_t width, uint16_t *dst, int64_t dst_channels) {
  const v_tail tail = v_first(pixels);
  const v_span even = v_span_of(0, pixels);
  vi block[VL];
  dot_doubt doubt = dot_sure();
  MK_UNROLL for (int i = 0; i < VL; i++) {
    block[i] = vi_set1(0);
    if (i >= pairs) continue;
    const float *first = src + 2 * i * plane, *second = first + plane;
    block[i] = dot_pairs_of_lines(window_load(step, first, tail, even),
                                  window_load(step, second, tail, even), &doubt);
    v_prefetch((const char *)first + WINDOW_AHEAD);
    v_prefetch((const char *)second + WINDOW_AHEAD);
  }
  if (dot_is_doubtful(doubt) && window_has_denormals(step, src, plane, pixels, pairs)) {
    vi exact[VL];
    MK_ROLLED for (int64_t i = 0; i < pairs; i++)
      exact[i] = vi_pair_bf16(window_load(step, src + 2 * i * plane, tail, even),
                              window_load(step, src + (2 * i + 1) * plane, tail, even));
    MK_UNROLL for (int i = 0; i < VL; i++) if (i < pairs) block[i] = exact[i];
  }
  vi_transpose(block);
  if (width == VL && pixels == VL) {
    MK_UNROLL for (int i = 0; i < VL; i++) vi_store(dst + i * dst_channels, block[i]);
    return;
  }
  const v_tail some = v_first(width);
  for (int64_t i = 0; i < pixels; i++) vi_store_tail(dst + i * dst_channels, some, block[i]);
}

// Some planes at a time over all rows: each is read in one run, of which the processor could not follow
// as many by itself.
MK_INLINE void window_body(const int step, const mk_conv_window *w) {
  const int64_t plane = w->in_h * w->in_w;
  for (int64_t c = 0; c < w->dst_channels; c += 2 * VL) {
    const int64_t width = w->dst_channels - c < 2 * VL ? (w->dst_channels - c) / 2 : VL;
    const int64_t left = w->channels > c ? (w->channels - c) / 2 : 0;
    const int64_t pairs = left < width ? left : width;
    for (int64_t y = 0; y < w->height; y++) {
      const float *src = w->src + c * plane + (w->y0 + y * step) * w->in_w + w->x0;
      uint16_t *const line = w->dst + y * w->dst_stride + c;
      for (int64_t x = 0; x < w->width; x += VL)
        window_block(step, src + x * step, plane, w->width - x < VL ? w->width - x : VL, pairs,
                     width, line + x * w->dst_channels, w->dst_channels);
    }
  }
}

static void dot_window(const mk_conv_window *w) {
  if (w->step == 2) window_body(2, w);
  else window_body(1, w);
}

// clang-format off
static const mk_conv_dot_kernels bf16_conv_dot = {
  .lanes = DOT_VECTORS * VL, .grouped_lanes = VL, .grouped_channels = DOT_GROUPED_CHANNELS,
  .window = dot_window, .sums = dot_sums, .grouped = dot_grouped};
// clang-format on

#endif
