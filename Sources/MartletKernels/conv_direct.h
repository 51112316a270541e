// Convolution without an im2col matrix, written once against lanes.h: output channels are the lanes,
// a tile is a few pixels by one or two vectors of channels, and what a term multiplies is one element
// of the image, broadcast from where it lies.
//
// A sum is one multiply-add chain over its terms in their order, as in gemm_body.h: the same terms
// give the bits that a product with the packed im2col matrix gives.
//
// DIRECT_ONE and DIRECT_TWO are defined before: the pixels of a tile by one and by two vectors of
// channels at most, counts of MK_EACH's.
#ifndef MARTLET_KERNELS_CONV_DIRECT_H
#define MARTLET_KERNELS_CONV_DIRECT_H

enum {
  DIRECT_MAX_PIXELS = 8,
  DIRECT_MAX_VECTORS = 2,
  DIRECT_STEP = 8  // terms for which a tile asks for one line ahead
};

// What tiles fetch into L1 for the call that follows: the lines after this call's weights. Each tile
// fetches its share of them, `step` bytes for every DIRECT_STEP terms.
typedef struct direct_ahead {
  const char *at;
  int64_t step;
} direct_ahead;

// `count` pixels by nv vectors of channels.
MK_INLINE void direct_tile(const int count, const int nv, const mk_conv_sums *s,
                           const mk_conv_place *pixels, direct_ahead ahead) {
  const char *at[DIRECT_MAX_PIXELS];
  vf c[DIRECT_MAX_PIXELS][DIRECT_MAX_VECTORS];
  MK_UNROLL for (int i = 0; i < count; i++) {
    at[i] = (const char *)(s->src + pixels[i].src);
    MK_UNROLL for (int j = 0; j < nv; j++)
      c[i][j] = s->accumulates ? vf_load(s->sums + pixels[i].other + j * VL) : vf_zero();
  }
  const mk_conv_place *term = s->terms, *const end = term + s->term_count;
  while (term < end) {
    const mk_conv_place *const stop = end - term > DIRECT_STEP ? term + DIRECT_STEP : end;
    __builtin_prefetch(ahead.at);
    ahead.at += ahead.step;
    for (; term < stop; term++) {
      const int64_t from = (int64_t)term->src * 4;
      const float *weights = s->weights + term->other;
      vf w[DIRECT_MAX_VECTORS];
      MK_UNROLL for (int j = 0; j < nv; j++) w[j] = vf_load(weights + j * VL);
      MK_UNROLL for (int i = 0; i < count; i++) {
        float x;
        memcpy(&x, at[i] + from, 4);
        const vf each = vf_set1(x);
        MK_UNROLL for (int j = 0; j < nv; j++) c[i][j] = vf_fma(each, w[j], c[i][j]);
      }
    }
  }
  float *const sums = s->sums;
  MK_UNROLL for (int i = 0; i < count; i++) {
    float *to = sums + pixels[i].other;
    MK_UNROLL for (int j = 0; j < nv; j++) vf_store(to + j * VL, c[i][j]);
  }
}

typedef void (*direct_tile_fn)(const mk_conv_sums *s, const mk_conv_place *pixels,
                               direct_ahead ahead);

// The tile of exactly M pixels by V vectors.
#define DIRECT_TILE(M, V)                                                          \
  static void direct_##M##x##V(const mk_conv_sums *s, const mk_conv_place *pixels, \
                               direct_ahead ahead) {                               \
    direct_tile(M, V, s, pixels, ahead);                                           \
  }
#define DIRECT_ONE_TILE(M) DIRECT_TILE(M, 1)
#define DIRECT_TWO_TILE(M) DIRECT_TILE(M, 2)
MK_EACH(DIRECT_ONE, DIRECT_ONE_TILE)
MK_EACH(DIRECT_TWO, DIRECT_TWO_TILE)
#define DIRECT_ONE_OF(M) direct_##M##x1,
#define DIRECT_TWO_OF(M) direct_##M##x2,
static const direct_tile_fn direct_one[DIRECT_ONE] = {MK_EACH(DIRECT_ONE, DIRECT_ONE_OF)};
static const direct_tile_fn direct_two[DIRECT_TWO] = {MK_EACH(DIRECT_TWO, DIRECT_TWO_OF)};

// All pixels in tiles of at most mr, dealt evenly; tiles[m - 1] takes m.
MK_INLINE void direct_tiles(const direct_tile_fn *tiles, int mr, const mk_conv_sums *s) {
  const int64_t count = (s->pixel_count + mr - 1) / mr;
  if (count <= 0) return;
  const int64_t height = s->pixel_count / count, higher = s->pixel_count % count;
  const mk_conv_place *pixels = s->pixels;
  // As many bytes as this call's weights span; few tiles fetch only some of their lines.
  const int64_t terms = s->term_count, span = terms > 0 ? s->terms[terms - 1].other : 0;
  direct_ahead ahead = {.at = (const char *)(s->weights + span)};
  if (terms > 0) ahead.step = (DIRECT_STEP * 4 * span + terms * count - 1) / (terms * count);
  for (int64_t i = 0; i < count; i++) {
    const int64_t m = i < higher ? height + 1 : height;
    tiles[m - 1](s, pixels, ahead);
    ahead.at += terms / DIRECT_STEP * ahead.step;
    pixels += m;
  }
}

static void direct_sums(const mk_conv_sums *s) {
  if (s->n <= VL) direct_tiles(direct_one, DIRECT_ONE, s);
  else direct_tiles(direct_two, DIRECT_TWO, s);
}

// Every store is of whole vectors, in ascending order: what reaches too far is written over.
static void direct_band(const mk_conv_band *b) {
  const float *plane = b->src;
  float *dst = b->dst;
  // Columns of the band before, within and behind the image.
  const int64_t before = b->x0 < 0 ? -b->x0 : 0;
  const int64_t first = b->x0 < 0 ? 0 : b->x0;
  int64_t within = b->in_w - first;
  if (within > b->columns - before) within = b->columns - before;
  for (int64_t p = 0; p < b->planes; p++, plane += b->in_h * b->in_w) {
    for (int64_t r = 0; r < b->rows; r++, dst += b->columns) {
      const int64_t y = b->y0 + r;
      const bool is_inside = y >= 0 && y < b->in_h && within > 0;
      int64_t x = 0;
      if (is_inside) {
        const float *row = plane + y * b->in_w + first;
        for (; x < before; x += VL) vf_store(dst + x, vf_zero());
        float *to = dst + before;
        for (x = 0; x + VL <= within; x += VL) vf_store(to + x, vf_load(row + x));
        if (x < within) {
          vf_store(to + x, vf_load_tail(row + x, v_first(within - x)));
          x += VL;
        }
        x += before;
      }
      for (; x < b->columns; x += VL) vf_store(dst + x, vf_zero());
    }
  }
}

enum { DIRECT_GATHERED = 16 };  // channels that tiles take turns on: their lines stay in L1

// `count` pixels of channels c ..< end.
MK_INLINE void direct_gather_tile(const mk_conv_gather *g, int64_t c, int64_t end,
                                  const mk_conv_place *pixels, int64_t count, float *dst) {
  const int64_t width = g->tile_width, stride = g->channel_stride;
  bool is_run = true;
  for (int64_t i = 1; i < count; i++) is_run &= pixels[i].src == pixels[0].src + i;
  dst += c * width;
  if (is_run) {
    // Whole vectors, as long as they end before the last channel's last pixel.
    const float *src = g->src + c * stride + pixels[0].src;
    const int64_t last = (g->channels - 1) * stride + count - width;
    int64_t whole = last < 0 ? 0 : last / stride + 1;
    if (whole > end) whole = end;
    if (width == VL)
      for (; c < whole; c++, src += stride, dst += VL) vf_store(dst, vf_load(src));
    else
      for (; c < whole; c++, src += stride, dst += width)
        for (int64_t i = 0; i < width; i += VL) vf_store(dst + i, vf_load(src + i));
  }
  for (; c < end; c++, dst += width)
    for (int64_t i = 0; i < count; i++) dst[i] = g->src[c * stride + pixels[i].src];
}

static void direct_gather(const mk_conv_gather *g) {
  const int64_t tiles = (g->count + g->most - 1) / g->most;
  if (tiles <= 0) return;
  const int64_t height = g->count / tiles, higher = g->count % tiles;
  for (int64_t c = 0; c < g->channels; c += DIRECT_GATHERED) {
    const int64_t end = c + DIRECT_GATHERED < g->channels ? c + DIRECT_GATHERED : g->channels;
    const mk_conv_place *pixels = g->pixels;
    for (int64_t tile = 0; tile < tiles; tile++) {
      const int64_t count = tile < higher ? height + 1 : height;
      direct_gather_tile(g, c, end, pixels, count, g->dst + tile * g->channels * g->tile_width);
      pixels += count;
    }
  }
}

// What becomes of a sum: bounds are infinite where nothing is to be cut, and the bias that adds
// nothing to any number is -0.
typedef struct direct_end {
  vf bias, lo, hi;
} direct_end;

MK_INLINE direct_end direct_end_of(const mk_conv_finish *f, int64_t j, int64_t channels) {
  const float infinity = __builtin_inff();
  const bool clamp = f->act == MK_ACT_CLAMP, relu = f->act == MK_ACT_RELU;
  return (direct_end){
    .bias = f->bias ? vf_load_tail(f->bias + j, v_first(channels)) : vf_set1(-0.0f),
    .lo = vf_set1(clamp  ? f->lo
                  : relu ? 0.0f
                         : -infinity),
    .hi = vf_set1(clamp ? f->hi : infinity)};
}

// Pixels i ..., at most VL, of a vector of channels from j on, with their bias, turned into lines.
MK_INLINE void direct_turn(const mk_conv_finish *f, int64_t i, int64_t rows, int64_t j, vf bias,
                           vi v[VL]) {
  const float *sums = f->sums + i * f->sums_stride + j;
  MK_UNROLL for (int r = 0; r < VL; r++, sums += f->sums_stride)
    v[r] = (vi)(r < rows ? vf_add(vf_load(sums), bias) : vf_zero());
  vi_transpose(v);
}

MK_INLINE vf direct_clamp(const direct_end *end, vf x) {
  return vf_at_most(end->hi, vf_at_least(end->lo, x));
}

// All whole vectors of pixels of a whole vector of channels; returns the first pixel left over.
MK_INLINE int64_t direct_finish_blocks(const bool adds, const mk_conv_finish *f, int64_t j) {
  const direct_end end = direct_end_of(f, j, VL);
  const int64_t stride = f->dst_stride;
  float *dst = f->dst + j * stride;
  const float *residual = adds ? f->residual + j * stride : NULL;
  int64_t i = 0;
  for (; i + VL <= f->pixels; i += VL) {
    vi v[VL];
    direct_turn(f, i, VL, j, end.bias, v);
    float *to = dst + i;
    const float *from = adds ? residual + i : NULL;
    MK_UNROLL for (int c = 0; c < VL; c++) {
      vf x = (vf)v[c];
      if (adds) x = vf_add(x, vf_load(from)), from += stride;
      vf_store(to, direct_clamp(&end, x));
      to += stride;
    }
  }
  return i;
}

static __attribute__((noinline, minsize)) void direct_finish_rest(const mk_conv_finish *f,
                                                                  int64_t i, int64_t j) {
  const int64_t channels = f->n - j < VL ? f->n - j : VL;
  const direct_end end = direct_end_of(f, j, channels);
  for (; i < f->pixels; i += VL) {
    vi v[VL];
    const int64_t rows = f->pixels - i < VL ? f->pixels - i : VL;
    const v_tail tail = v_first(rows);
    direct_turn(f, i, rows, j, end.bias, v);
    MK_ROLLED for (int64_t c = 0; c < channels; c++) {
      const int64_t offset = (j + c) * f->dst_stride + i;
      vf x = (vf)v[c];
      if (f->residual) x = vf_add(x, vf_load_tail(f->residual + offset, tail));
      vf_store_tail(f->dst + offset, tail, direct_clamp(&end, x));
    }
  }
}

static void direct_finish(const mk_conv_finish *f) {
  for (int64_t j = 0; j < f->n; j += VL) {
    int64_t i = 0;
    if (j + VL <= f->n)
      i = f->residual ? direct_finish_blocks(true, f, j) : direct_finish_blocks(false, f, j);
    if (i < f->pixels) direct_finish_rest(f, i, j);
    if (!f->function) continue;
    const int64_t end = j + VL < f->n ? j + VL : f->n;
    for (int64_t c = j; c < end; c++) {
      float *line = f->dst + c * f->dst_stride;
      f->function(f->pixels, line, line, f->a, f->b);
    }
  }
}

#endif
