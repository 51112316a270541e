// The transforms of Winograd's convolution F(m x m, 3 x 3), m = 2 or 4, with n = m + 2 points a side.
//
// A vector holds one place of the tile for several tiles. Along the rows of the image vectors run
// over pixels: the vertical half of the transform is done there, and one interleaving per tile
// row leads from pixels to tiles or back. m is a constant wherever a body is inlined.
#ifndef MARTLET_VECTORS_WINOGRAD_H
#define MARTLET_VECTORS_WINOGRAD_H

#include "vectors_lanes.h"

enum {
  WINOGRAD_N = 6,         // points a side, at most
  WINOGRAD_COLUMNS = 64,  // tiles at a time: a multiple of every panel's width
  WINOGRAD_ROW = WINOGRAD_COLUMNS + LANES,
  WINOGRAD_LINE = 4 * WINOGRAD_COLUMNS + 5 * LANES
};

// Tiles side by side in one tile row.
typedef struct winograd_piece {
  int64_t column, count;  // the first tile's among those at hand, and how many
  int64_t image, y, x;    // the first tile's image, tile row and tile column
} winograd_piece;

// The pieces of tiles first ..< first + count, image by image; returns how many.
MK_INLINE int winograd_pieces(const mk_winograd_tiles *t, int64_t first, int64_t count,
                              winograd_piece *pieces) {
  int used = 0;
  int64_t x = first % t->tiles_w, y = first / t->tiles_w % t->tiles_h;
  int64_t image = first / t->tiles_w / t->tiles_h;
  for (int64_t column = 0; column < count;) {
    int64_t run = t->tiles_w - x;
    if (run > count - column) run = count - column;
    pieces[used++] = (winograd_piece){column, run, image, y, x};
    column += run;
    x = 0;
    if (++y == t->tiles_h) y = 0, image++;
  }
  return used;
}

// The points are 0, 1, -1 for m = 2, and 0, sqrt(1/2), -sqrt(1/2), sqrt(2), -sqrt(2) for m = 4, and
// infinity: of those tried the ones with the least error.
#define WINOGRAD_A 0.70710678f
#define WINOGRAD_B 1.41421356f

// n values of the image to n points.
MK_INLINE void winograd_in(const int m, const vf *d, vf *r) {
  if (m == 2) {
    r[0] = d[2] - d[0];
    r[1] = d[2] + d[1];
    r[2] = d[2] - d[1];
    r[3] = d[3] - d[1];
    return;
  }
  const vf a = vf_splat(WINOGRAD_A), b = vf_splat(WINOGRAD_B);
  const vf two = vf_splat(-2.0f), half = vf_splat(-0.5f), sum = vf_splat(-2.5f);
  const vf even_a = vf_fma(two, d[2], d[4]), odd_a = vf_fma(two, d[1], d[3]);
  const vf even_b = vf_fma(half, d[2], d[4]), odd_b = vf_fma(half, d[1], d[3]);
  r[0] = vf_fma(sum, d[2], d[4] + d[0]);
  r[1] = vf_fma(a, odd_a, even_a);
  r[2] = vf_fma(-a, odd_a, even_a);
  r[3] = vf_fma(b, odd_b, even_b);
  r[4] = vf_fma(-b, odd_b, even_b);
  r[5] = vf_fma(sum, d[3], d[5] + d[1]);
}

// n points to m values of the result.
MK_INLINE void winograd_out(const int m, const vf *s, vf *y) {
  const vf sum_a = s[1] + s[2], diff_a = s[1] - s[2];
  if (m == 2) {
    y[0] = s[0] + sum_a;
    y[1] = diff_a + s[3];
    return;
  }
  const vf sum_b = s[3] + s[4], diff_b = s[3] - s[4];
  const vf a = vf_splat(WINOGRAD_A), b = vf_splat(WINOGRAD_B);
  const vf a_cubed = vf_splat(0.35355339f), b_cubed = vf_splat(2.82842712f);
  y[0] = s[0] + (sum_a + sum_b);
  y[1] = vf_fma(b, diff_b, a * diff_a);
  y[2] = vf_fma(vf_splat(2.0f), sum_b, vf_splat(0.5f) * sum_a);
  y[3] = vf_fma(b_cubed, diff_b, vf_fma(a_cubed, diff_a, s[5]));
}

// Every m-th of the floats from p, from each of the first `count` (m or 2) on.
MK_INLINE void winograd_split(const int m, const int count, const float *p, vf *lanes) {
  const vf low = vf_load(p), high = vf_load(p + LANES);
  if (m == 2) {
    lanes[0] = vf_even(low, high);
    lanes[1] = vf_odd(low, high);
    return;
  }
  const vf next = vf_load(p + 2 * LANES), last = vf_load(p + 3 * LANES);
  const vf even[2] = {vf_even(low, high), vf_even(next, last)};
  const vf odd[2] = {vf_odd(low, high), vf_odd(next, last)};
  lanes[0] = vf_even(even[0], even[1]);
  lanes[1] = vf_even(odd[0], odd[1]);
  if (count == 2) return;
  lanes[2] = vf_odd(even[0], even[1]);
  lanes[3] = vf_odd(odd[0], odd[1]);
}

// One tile row of one channel: n rows of the image under the vertical transform, as lines of pixels.
MK_INLINE void winograd_lines(const int m, const mk_winograd_tiles *t, const float *plane,
                              const winograd_piece *piece, float (*lines)[WINOGRAD_LINE]) {
  const int n = m + 2;
  const int64_t y = piece->y * m - t->pad_h, x = piece->x * m - t->pad_w;
  const int64_t length = piece->count * m + 2;
  const int64_t low = x < 0 ? (-x < length ? -x : length) : 0;
  int64_t high = t->in_w - x < length ? t->in_w - x : length;
  if (high < low) high = low;
  for (int64_t at = low; at < high; at += LANES) {
    vf d[WINOGRAD_N], r[WINOGRAD_N];
    MK_UNROLL for (int i = 0; i < n; i++) {
      const float *row = plane + (y + i) * t->in_w + x + at;
      d[i] = (uint64_t)(y + i) >= (uint64_t)t->in_h ? vf_splat(0.0f)
             : high - at >= LANES                   ? vf_load(row)
                                                    : vf_load_part(row, high - at, 0.0f);
    }
    winograd_in(m, d, r);
    MK_UNROLL for (int i = 0; i < n; i++) vf_store(&lines[i][at], r[i]);
  }
  for (int i = 0; i < n; i++) {
    for (int64_t at = 0; at < low; at++) lines[i][at] = 0.0f;
    for (int64_t at = high; at < length; at++) lines[i][at] = 0.0f;
  }
}

MK_INLINE void winograd_input_body(const int m, const mk_winograd_input *p) {
  const int n = m + 2;
  const mk_winograd_tiles *t = &p->tiles;
  float lines[WINOGRAD_N][WINOGRAD_LINE];
  float grid[WINOGRAD_N * WINOGRAD_N][WINOGRAD_ROW];
  winograd_piece pieces[WINOGRAD_COLUMNS];
  memset(lines, 0, sizeof lines);
  for (int64_t first = 0; first < p->count; first += WINOGRAD_COLUMNS) {
    const int64_t left = p->count - first;
    const int64_t columns = left < WINOGRAD_COLUMNS ? left : WINOGRAD_COLUMNS;
    const int used = winograd_pieces(t, p->first + first, columns, pieces);
    for (int64_t c = 0; c < p->channels; c++) {
      for (int i = 0; i < used; i++) {
        const winograd_piece *piece = &pieces[i];
        const float *plane = p->src + piece->image * p->image_step + c * t->in_h * t->in_w;
        winograd_lines(m, t, plane, piece, lines);
        // What is stored past the piece is written over by the next one, or is not of a tile.
        for (int64_t at = 0; at < piece->count; at += LANES) {
          MK_ROLLED for (int y = 0; y < n; y++) {
            vf lanes[WINOGRAD_N];
            winograd_split(m, m, &lines[y][at * m], lanes);
            winograd_split(m, 2, &lines[y][(at + 1) * m], lanes + m);
            MK_UNROLL for (int x = 0; x < n; x++)
              vf_store(&grid[y * n + x][piece->column + at], lanes[x]);
          }
        }
      }
      for (int64_t at = 0; at < columns; at += LANES) {
        const int64_t column = first + at;
        char *dst = (char *)p->dst + column / p->nr * p->panel_stride +
                    (c * p->nr + column % p->nr) * 4;
        MK_ROLLED for (int y = 0; y < n; y++) {
          vf d[WINOGRAD_N], r[WINOGRAD_N];
          MK_UNROLL for (int x = 0; x < n; x++) d[x] = vf_load(&grid[y * n + x][at]);
          winograd_in(m, d, r);
          MK_UNROLL for (int x = 0; x < n; x++)
            vf_store((float *)(dst + (y * n + x) * p->point_stride), r[x]);
        }
      }
    }
  }
}

static void winograd_input(const mk_winograd_input *p) {
  if (p->tiles.m == 2) winograd_input_body(2, p);
  else winograd_input_body(4, p);
}

// lanes[j] of m vectors as m vectors of neighbours: element i of lanes[j] goes to m * i + j.
MK_INLINE void winograd_join(const int m, const vf *lanes, float *to) {
  if (m == 2) {
    vf_store(to, vf_lower_pairs(lanes[0], lanes[1]));
    vf_store(to + LANES, vf_upper_pairs(lanes[0], lanes[1]));
    return;
  }
  const vf even[2] = {vf_lower_pairs(lanes[0], lanes[2]), vf_upper_pairs(lanes[0], lanes[2])};
  const vf odd[2] = {vf_lower_pairs(lanes[1], lanes[3]), vf_upper_pairs(lanes[1], lanes[3])};
  MK_UNROLL for (int i = 0; i < 2; i++) {
    vf_store(to + 2 * i * LANES, vf_lower_pairs(even[i], odd[i]));
    vf_store(to + (2 * i + 1) * LANES, vf_upper_pairs(even[i], odd[i]));
  }
}

// One row of a piece's pixels under bias, residual and activation.
MK_INLINE void winograd_finish(const mk_winograd_output *p, float bias, const float *line,
                               int64_t count, const float *residual, float *dst) {
  const float infinity = __builtin_inff();
  const vf lo = vf_splat(p->act == MK_ACT_CLAMP ? p->lo : p->act == MK_ACT_RELU ? 0 : -infinity);
  const vf hi = vf_splat(p->act == MK_ACT_CLAMP ? p->hi : infinity), add = vf_splat(bias);
  for (int64_t x = 0; x < count; x += LANES) {
    const int64_t left = count - x;
    vf v = vf_load(line + x) + add;
    if (residual)
      v = v + (left >= LANES ? vf_load(residual + x) : vf_load_part(residual + x, left, 0.0f));
    v = vf_at_most(vf_at_least(v, lo), hi);
    if (left >= LANES) vf_store(dst + x, v);
    else vf_store_part(dst + x, v, left);
  }
  if (p->function) p->function(count, dst, dst, p->a, p->b);
}

MK_INLINE void winograd_output_body(const int m, const mk_winograd_output *p) {
  const int n = m + 2;
  const mk_winograd_tiles *t = &p->tiles;
  float grid[16][4 * LANES + WINOGRAD_ROW];
  float line[WINOGRAD_LINE];
  winograd_piece pieces[WINOGRAD_COLUMNS];
  for (int64_t first = 0; first < p->count; first += WINOGRAD_COLUMNS) {
    const int64_t left = p->count - first;
    const int64_t columns = left < WINOGRAD_COLUMNS ? left : WINOGRAD_COLUMNS;
    const int used = winograd_pieces(t, p->first + first, columns, pieces);
    for (int64_t c = 0; c < p->channels; c++) {
      for (int64_t at = 0; at < columns; at += LANES) {
        vf half[WINOGRAD_N][4];
        const char *src = (const char *)p->src + c * p->row_stride + (first + at) * 4;
        MK_ROLLED for (int y = 0; y < n; y++) {
          vf s[WINOGRAD_N];
          MK_UNROLL for (int x = 0; x < n; x++)
            s[x] = vf_load((const float *)(src + (y * n + x) * p->point_stride));
          winograd_out(m, s, half[y]);
        }
        MK_ROLLED for (int x = 0; x < m; x++) {
          vf column[WINOGRAD_N], y[4];
          MK_UNROLL for (int i = 0; i < n; i++) column[i] = half[i][x];
          winograd_out(m, column, y);
          MK_UNROLL for (int i = 0; i < m; i++) vf_store(&grid[i * m + x][at], y[i]);
        }
      }
      const float bias = p->bias ? p->bias[c] : 0.0f;
      for (int i = 0; i < used; i++) {
        const winograd_piece *piece = &pieces[i];
        const int64_t x0 = piece->x * m;
        const int64_t width = piece->count * m < t->out_w - x0 ? piece->count * m : t->out_w - x0;
        for (int y = 0; y < m && piece->y * m + y < t->out_h; y++) {
          for (int64_t at = 0; at < piece->count; at += LANES) {
            vf lanes[4];
            MK_UNROLL for (int x = 0; x < m; x++)
              lanes[x] = vf_load(&grid[y * m + x][piece->column + at]);
            winograd_join(m, lanes, &line[at * m]);
          }
          const int64_t to = piece->image * p->image_step +
                             (c * t->out_h + piece->y * m + y) * t->out_w + x0;
          winograd_finish(p, bias, line, width, p->residual ? p->residual + to : NULL, p->dst + to);
        }
      }
    }
  }
}

static void winograd_output(const mk_winograd_output *p) {
  if (p->tiles.m == 2) winograd_output_body(2, p);
  else winograd_output_body(4, p);
}

#undef WINOGRAD_A
#undef WINOGRAD_B
#endif
