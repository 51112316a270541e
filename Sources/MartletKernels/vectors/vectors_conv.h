// Depthwise convolution of channel planes.
//
// A pass computes some output rows of one or two vectors of columns in registers. Tap column after
// tap column it holds that column's weights too, loads every input row once, straight from the
// image, and gives it to all output rows that it is a tap of. Lanes outside the image's width are
// masked out of the load; rows outside its height are left out.
#ifndef MARTLET_VECTORS_CONV_H
#define MARTLET_VECTORS_CONV_H

#include "vectors_window.h"

enum {
  DEPTHWISE_ROWS = 7,  // of a pass at most; networks' images are often multiples of 7
  DEPTHWISE_VECTORS = 2,
  DEPTHWISE_TALL = 64  // input rows of a pass at most; beyond, outputs are computed one by one
};

MK_INLINE float depthwise_finish(float v, float bias, const mk_depthwise *d) {
  v = v + bias;
  if (d->act == MK_ACT_RELU) return v < 0.0f ? 0.0f : v;
  if (d->act == MK_ACT_CLAMP) {
    v = v < d->lo ? d->lo : v;
    return v > d->hi ? d->hi : v;
  }
  return v;
}

// One output plane.
typedef struct depthwise_plane {
  const float *src, *weight;
  float *dst, bias;
} depthwise_plane;

MK_INLINE depthwise_plane depthwise_plane_at(const mk_depthwise *d, int64_t plane) {
  return (depthwise_plane){.src = d->src + plane / d->multiplier * d->in_h * d->in_w,
                           .weight = d->weight + plane * d->ker_h * d->ker_w,
                           .dst = d->dst + (plane - d->first) * d->out_h * d->out_w,
                           .bias = d->bias ? d->bias[plane] : 0.0f};
}

// Output by output: any shape, and the definition of the result.
static MK_RARE void depthwise_plain(const mk_depthwise *d, int64_t plane) {
  depthwise_plane p = depthwise_plane_at(d, plane);
  for (int64_t y = d->y0; y < d->y1; y++) {
    int64_t ky0, ky1;
    taps_inside(y, d->stride_h, d->pad_h, d->dil_h, d->ker_h, d->in_h, &ky0, &ky1);
    for (int64_t x = 0; x < d->out_w; x++) {
      int64_t kx0, kx1;
      taps_inside(x, d->stride_w, d->pad_w, d->dil_w, d->ker_w, d->in_w, &kx0, &kx1);
      float sum = 0.0f;
      for (int64_t kx = kx0; kx < kx1; kx++) {
        const float *column = p.src + x * d->stride_w - d->pad_w + kx * d->dil_w;
        for (int64_t ky = ky0; ky < ky1; ky++) {
          float v = column[(y * d->stride_h - d->pad_h + ky * d->dil_h) * d->in_w];
          sum = scalar_fma(p.weight[ky * d->ker_w + kx], v, sum);
        }
      }
      p.dst[y * d->out_w + x] = depthwise_finish(sum, p.bias, d);
    }
  }
}

// Bias and activation as one clamp, whose bounds are infinite where nothing is to be cut.
typedef struct depthwise_end {
  vf bias, lo, hi;
} depthwise_end;

MK_INLINE depthwise_end end_of(const mk_depthwise *d, float bias) {
  const float infinity = __builtin_inff();
  bool clamp = d->act == MK_ACT_CLAMP, relu = d->act == MK_ACT_RELU;
  return (depthwise_end){.bias = vf_splat(bias),
                         .lo = vf_splat(clamp  ? d->lo
                                        : relu ? 0.0f
                                               : -infinity),
                         .hi = vf_splat(clamp ? d->hi : infinity)};
}

// What passes read and write: all columns of some output rows.
typedef struct depthwise_rows {
  const float *in[DEPTHWISE_TALL];  // input rows; null outside the image
  int64_t row_step, tap_step;       // in `in`, from output row to output row and from tap to tap
  const float *weight;
  depthwise_end end;
  float *dst;
  int64_t dst_step, count;  // floats between output rows, and rows that exist
  bool spills;              // the output rows are neighbours
} depthwise_rows;

// The lanes of columns first, first + 1 ... that are inside the image.
MK_INLINE vi columns_inside(int64_t first, int64_t width) {
  const vi column = vi_lane_numbers() + (int32_t)first;
  return (column >= 0) & (column < (int32_t)width);
}

// One vector of input columns, of a stride of two in the order of vf_even_mixed.
MK_INLINE vf depthwise_load(const int stride, const bool masked, const float *from,
                            const vi masks[2]) {
  const vf first = masked ? vf_load_masked(from, masks[0]) : vf_load(from);
  if (stride == 1) return first;
  return vf_even_mixed(first,
                       masked ? vf_load_masked(from + LANES, masks[1]) : vf_load(from + LANES));
}

// The shape of a pass, constant where it is used: `vectors` is how many it has where no tap is
// outside the width, else it has one. ker_h 0 stands for any kernel height, stride_h and dilation of
// the rows.
typedef struct depthwise_shape {
  int ker_h, stride_h, stride_w, rows, vectors;
} depthwise_shape;

// Stores what a pass has computed where rows are missing or a vector is wider than the image.
static __attribute__((noinline)) void depthwise_store(const mk_depthwise *d,
                                                      const depthwise_rows *p, const vf *v,
                                                      int64_t vectors, int64_t x) {
  float *dst = p->dst + x;
  // A whole vector may reach into the pass's next rows, which are written after it.
  const int64_t reached = ceil_div(LANES, d->out_w) - 1;
  const int64_t whole = reached == 0 || p->spills ? p->count - reached : 0;
  for (int64_t r = 0; r < p->count; r++, dst += p->dst_step) {
    for (int64_t c = 0; c < vectors; c++, v++) {
      if (r < whole) {
        vf_store(dst + c * LANES, *v);
      } else {
        vf_store_part(dst, *v, d->out_w);
      }
    }
  }
}

// `vectors` vectors of columns from x on. Not masked: all taps of all lanes are inside the width.
MK_INLINE void depthwise_pass(const depthwise_shape z, const int vectors, const bool masked,
                              const mk_depthwise *d, const depthwise_rows *p, int64_t x) {
  vf sum[DEPTHWISE_ROWS][DEPTHWISE_VECTORS];
#define EACH_SUM                             \
  MK_UNROLL for (int r = 0; r < z.rows; r++) \
    MK_UNROLL for (int c = 0; c < vectors; c++)
  EACH_SUM sum[r][c] = vf_splat(0.0f);
  int64_t column = x * z.stride_w - d->pad_w;
  for (int64_t kx = 0; kx < d->ker_w; kx++, column += d->dil_w) {
    // Rows are addressed by it; else each has a pointer of its own, kept in memory, to be moved on.
    __asm__("" : "+r"(column));
    vi masks[2];
    if (masked) {
      masks[0] = columns_inside(column, d->in_w);
      masks[1] = columns_inside(column + LANES, d->in_w);
    }
    vf w[8], v[DEPTHWISE_VECTORS];
    MK_UNROLL for (int ky = 0; ky < z.ker_h; ky++) w[ky] = vf_splat(p->weight[ky * d->ker_w + kx]);
    MK_UNROLL for (int i = 0; z.ker_h > 0 && i < (z.rows - 1) * z.stride_h + z.ker_h; i++) {
      const float *row = p->in[i];
      if (!row) continue;
      MK_UNROLL for (int c = 0; c < vectors; c++)
        v[c] = depthwise_load(z.stride_w, masked, row + column + c * z.stride_w * LANES, masks);
      MK_UNROLL for (int ky = 0; ky < z.ker_h; ky++) {
        const int r = (i - ky) / z.stride_h;
        if (i < ky || (i - ky) % z.stride_h != 0 || r >= z.rows) continue;
        MK_UNROLL for (int c = 0; c < vectors; c++) sum[r][c] = vf_fma(w[ky], v[c], sum[r][c]);
      }
    }
    for (int64_t ky = 0; z.ker_h == 0 && ky < d->ker_h; ky++) {
      const vf each = vf_splat(p->weight[ky * d->ker_w + kx]);
      const float *const *in = p->in + ky * p->tap_step;
      MK_UNROLL for (int r = 0; r < z.rows; r++) {
        const float *row = in[r * p->row_step];
        if (!row) continue;
        MK_UNROLL for (int c = 0; c < vectors; c++) {
          v[c] = depthwise_load(z.stride_w, masked, row + column + c * z.stride_w * LANES, masks);
          sum[r][c] = vf_fma(each, v[c], sum[r][c]);
        }
      }
    }
  }
  EACH_SUM {
    sum[r][c] = vf_clamp(sum[r][c] + p->end.bias, p->end.lo, p->end.hi);
    if (z.stride_w == 2) sum[r][c] = vf_unmixed(sum[r][c]);
  }
  if (p->count == z.rows && d->out_w >= LANES) {
    float *dst = p->dst + x;
    EACH_SUM vf_store(dst + r * p->dst_step + c * LANES, sum[r][c]);
  } else {
    vf sums[DEPTHWISE_ROWS * DEPTHWISE_VECTORS];
    EACH_SUM sums[r * vectors + c] = sum[r][c];
    depthwise_store(d, p, sums, vectors, x);
  }
#undef EACH_SUM
}

// All columns of some output rows; the last vector ends where the row does.
MK_INLINE void depthwise_run(const depthwise_shape z, const mk_depthwise *d,
                             const depthwise_rows *p) {
  // Of a whole pass, from its first lane's first tap on.
  const int64_t reach = (d->ker_w - 1) * d->dil_w + z.stride_w * z.vectors * LANES;
  int64_t x = 0;
  while (x < d->out_w) {
    const int64_t column = x * z.stride_w - d->pad_w;
    if (column >= 0 && column + reach <= d->in_w && x + z.vectors * LANES <= d->out_w) {
      depthwise_pass(z, z.vectors, false, d, p, x);
      x += z.vectors * LANES;
    } else {
      depthwise_pass(z, 1, true, d, p, max64(0, min64(x, d->out_w - LANES)));
      x += LANES;
    }
  }
}

// Which passes a plane is cut into. Where the rows are dilated, output rows that far apart share
// input rows: a pass takes every `apart`th row.
typedef struct depthwise_plan {
  void (*run)(const mk_depthwise *, const depthwise_rows *);
  int32_t ker_h, stride_h, stride_w, rows;  // of the pass
  int64_t apart, row_step, tap_step;        // the steps as in depthwise_rows
  int64_t in_rows;                          // input rows that a pass looks at
} depthwise_plan;

#define DEPTHWISE(k, sh, sw, r, v)                                  \
  static void depthwise_##k##_##sh##sw##_##r##x##v(                 \
      const mk_depthwise *d, const depthwise_rows *p) {             \
    depthwise_run((depthwise_shape){k, sh, sw, r, v}, d, p);        \
  }
#define DEPTHWISE_PLAN(k, sh, sw, r, v)                                                  \
  {.run = depthwise_##k##_##sh##sw##_##r##x##v, .ker_h = k, .stride_h = sh, .stride_w = sw, \
   .rows = r}
DEPTHWISE(0, 0, 1, 4, 2)
DEPTHWISE(0, 0, 2, 4, 2)
#if MK_VECTOR_BYTES > 16
DEPTHWISE(3, 1, 1, 7, 1)
DEPTHWISE(3, 1, 1, 4, 2)
DEPTHWISE(3, 2, 1, 4, 2)
DEPTHWISE(3, 2, 2, 7, 1)
DEPTHWISE(5, 1, 1, 7, 1)
DEPTHWISE(5, 1, 1, 4, 2)
DEPTHWISE(5, 2, 1, 4, 2)
DEPTHWISE(5, 2, 2, 7, 1)
DEPTHWISE(7, 1, 1, 7, 1)
#endif

// clang-format off
static const depthwise_plan depthwise_plans[] = {
#if MK_VECTOR_BYTES > 16
  DEPTHWISE_PLAN(3, 1, 1, 4, 2), DEPTHWISE_PLAN(3, 1, 1, 7, 1), DEPTHWISE_PLAN(3, 2, 1, 4, 2),
  DEPTHWISE_PLAN(3, 2, 2, 7, 1), DEPTHWISE_PLAN(5, 1, 1, 4, 2), DEPTHWISE_PLAN(5, 1, 1, 7, 1),
  DEPTHWISE_PLAN(5, 2, 1, 4, 2), DEPTHWISE_PLAN(5, 2, 2, 7, 1), DEPTHWISE_PLAN(7, 1, 1, 7, 1),
#endif
  DEPTHWISE_PLAN(0, 0, 1, 4, 2), DEPTHWISE_PLAN(0, 0, 2, 4, 2)};
// clang-format on
#undef DEPTHWISE
#undef DEPTHWISE_PLAN

// False where no pass fits.
MK_INLINE bool plan_depthwise(const mk_depthwise *d, depthwise_plan *plan) {
  const int64_t far = INT32_MAX / 4;  // columns are counted in 32 bits
  if (d->in_w > far || d->out_w > far || d->pad_w > far || d->dil_w > far / d->ker_w) return false;
  const int64_t tall = DEPTHWISE_TALL;
  if (d->ker_h > tall || d->dil_h > tall || d->stride_h > tall) return false;
  const bool near = d->stride_h == 1 || d->dil_h == 1;
  // Two vectors of few rows where both are mostly inside, or where there are no more rows.
  const bool wide = d->out_w >= 3 * LANES && (d->ker_h == 3 || d->out_h <= 4);
  for (size_t i = 0; i < sizeof depthwise_plans / sizeof depthwise_plans[0]; i++) {
    *plan = depthwise_plans[i];
    if (plan->stride_w != d->stride_w) continue;
    if (plan->ker_h > 0) {
      if (plan->ker_h != d->ker_h || plan->stride_h != d->stride_h || !near) continue;
      if (plan->rows < DEPTHWISE_ROWS && d->stride_h == 1 && !wide) continue;
    }
    plan->apart = d->stride_h == 1 ? d->dil_h : 1;
    plan->tap_step = d->dil_h / plan->apart;
    plan->row_step = d->stride_h;
    plan->in_rows = (plan->rows - 1) * plan->row_step + (d->ker_h - 1) * plan->tap_step + 1;
    return plan->in_rows <= tall;
  }
  return false;
}

// Taps outside the image are zeros in a masked load, which add nothing to a sum as long as the
// weight is finite.
MK_INLINE bool weights_are_finite(const float *weight, int64_t count) {
  vf sum = vf_splat(0.0f);
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES) {
    vf w = vf_load(weight + i);
    sum += w - w;
  }
  vf rest = vf_load_part(weight + i, count - i, 0.0f);
  sum += rest - rest;
  return !vi_any(sum != sum);
}

static void depthwise(const mk_depthwise *d) {
#if MK_VECTOR_BYTES == 64
  if (d->out_w <= LANES / 2) {  // half of every vector would be idle
    mk_vectors_avx2.depthwise(d);
    return;
  }
#endif
  depthwise_plan plan;
  const int64_t taps = d->ker_h * d->ker_w;
  if (!plan_depthwise(d, &plan) ||
      !weights_are_finite(d->weight + d->first * taps, d->planes * taps)) {
    for (int64_t plane = 0; plane < d->planes; plane++) depthwise_plain(d, d->first + plane);
    return;
  }
  depthwise_rows rows = {.row_step = plan.row_step,
                         .tap_step = plan.tap_step,
                         .dst_step = plan.apart * d->out_w,
                         .spills = plan.apart == 1};
  for (int64_t i = 0; i < d->planes; i++) {
    const depthwise_plane plane = depthwise_plane_at(d, d->first + i);
    rows.weight = plane.weight;
    rows.end = end_of(d, plane.bias);
    for (int64_t phase = 0; phase < min64(plan.apart, d->y1 - d->y0); phase++) {
      const int64_t count = (d->y1 - d->y0 - phase + plan.apart - 1) / plan.apart;
      for (int64_t next = 0; next < count; next += plan.rows) {
        const int64_t first = max64(0, min64(next, count - plan.rows));
        const int64_t y = d->y0 + phase + first * plan.apart;
        for (int64_t r = 0; r < plan.in_rows; r++) {
          const int64_t in = y * d->stride_h - d->pad_h + r * plan.apart;
          rows.in[r] = in >= 0 && in < d->in_h ? plane.src + in * d->in_w : NULL;
        }
        rows.dst = plane.dst + y * d->out_w;
        rows.count = min64(plan.rows, count - first);
        plan.run(d, &rows);
      }
    }
  }
}

#endif
