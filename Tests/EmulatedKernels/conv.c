// Convolution without an im2col matrix against plain C: sums, bands of the image with their padding,
// gathered pixels, and the way from sums to lines of pixels.
#include <math.h>

#include "harness.h"

#pragma STDC FP_CONTRACT OFF

enum { IMAGE, WEIGHTS, SUMS, PIXELS, TERMS, LINES, BIAS, RESIDUAL };

static float *floats(int slot, int64_t count, bool at_end) {
  float *p = slot_memory(slot, count * 4, at_end);
  for (int64_t i = 0; i < count; i++) p[i] = random_unit();
  return p;
}

static void test_sums(const mk_gemm_row *row, bool fused, int64_t pixels, int64_t n) {
  const int64_t terms = random_below(40), image = 200, lines = terms + 3;
  const bool at_end = random_below(2);
  const float *src = floats(IMAGE, image, at_end);
  const float *weights = floats(WEIGHTS, lines * row->nr, at_end);
  float *sums = floats(SUMS, pixels * row->nr, at_end);
  mk_conv_place *place = slot_memory(PIXELS, pixels * (int64_t)sizeof *place, true);
  mk_conv_place *term = slot_memory(TERMS, terms * (int64_t)sizeof *term, true);
  // Pixels in any order, terms in any order, so that all strides and jumps occur.
  const int64_t turn = pixels > 1 ? random_below(pixels) : 0;
  for (int64_t i = 0; i < pixels; i++)
    place[i] =
      (mk_conv_place){(int32_t)random_below(image / 2), (int32_t)((i + turn) % pixels * row->nr)};
  for (int64_t t = 0; t < terms; t++)
    term[t] =
      (mk_conv_place){(int32_t)random_below(image / 2), (int32_t)(random_below(lines) * row->nr)};
  const mk_conv_sums job = {.pixel_count = pixels,
                            .term_count = terms,
                            .n = n,
                            .src = src,
                            .pixels = place,
                            .terms = term,
                            .weights = weights,
                            .sums = sums,
                            .accumulates = random_below(2)};
  float expected[64 * 64];
  for (int64_t i = 0; i < pixels; i++) {
    for (int64_t j = 0; j < n; j++) {
      float sum = job.accumulates ? sums[place[i].other + j] : 0;
      for (int64_t t = 0; t < terms; t++) {
        const float x = src[place[i].src + term[t].src], w = weights[term[t].other + j];
        sum = fused ? fmaf(x, w, sum) : sum + x * w;
      }
      expected[i * n + j] = sum;
    }
  }
  row->conv->sums(&job);
  bool right = fringe_is_whole(SUMS);
  for (int64_t i = 0; i < pixels; i++)
    for (int64_t j = 0; j < n; j++)
      right &= bits_of(sums[place[i].other + j]) == bits_of(expected[i * n + j]);
  check(right, "sums of %lld pixels by %lld channels, %lld terms", (long long)pixels, (long long)n,
        (long long)terms);
}

static void test_band(const mk_gemm_row *row) {
  const int64_t h = 1 + random_below(6), w = 1 + random_below(random_below(2) ? 6 : 70);
  const int64_t planes = 1 + random_below(4);
  const mk_conv_band band = {.planes = planes,
                             .src = floats(IMAGE, planes * h * w, random_below(2)),
                             .in_h = h,
                             .in_w = w,
                             .y0 = random_below(9) - 4,
                             .rows = 1 + random_below(8),
                             .x0 = random_below(30) - 20,
                             .columns = 1 + random_below(90)};
  const int64_t count = planes * band.rows * band.columns;
  mk_conv_band job = band;
  job.dst = floats(LINES, count + 16, true);
  row->conv->band(&job);
  bool right = true;
  for (int64_t i = 0; i < count; i++) {
    const int64_t x = band.x0 + i % band.columns, y = band.y0 + i / band.columns % band.rows;
    const bool inside = x >= 0 && x < w && y >= 0 && y < h;
    const float *plane = band.src + i / band.columns / band.rows * h * w;
    right &= bits_of(job.dst[i]) == (inside ? bits_of(plane[y * w + x]) : 0);
  }
  check(right, "band of %lldx%lld from %lld, %lld of %lldx%lld", (long long)band.rows,
        (long long)band.columns, (long long)band.y0, (long long)band.x0, (long long)h,
        (long long)w);
}

static void test_gather(const mk_gemm_row *row, int64_t count, bool is_run) {
  const int64_t channels = 1 + random_below(40), stride = count + random_below(20);
  const int64_t width = row->conv->tile_width, first = random_below(stride - count + 1);
  const int64_t most = 1 + random_below(width), tiles = (count + most - 1) / most;
  const float *src = floats(IMAGE, channels * stride, true);
  mk_conv_place *place = slot_memory(PIXELS, count * (int64_t)sizeof *place, true);
  for (int64_t i = 0; i < count; i++)
    place[i] = (mk_conv_place){(int32_t)(is_run ? first + i : random_below(stride)), 0};
  float *dst = floats(LINES, tiles * channels * width, true);
  row->conv->gather(&(mk_conv_gather){.channels = channels,
                                      .src = src,
                                      .channel_stride = stride,
                                      .pixels = place,
                                      .count = count,
                                      .most = most,
                                      .dst = dst,
                                      .tile_width = width});
  bool right = fringe_is_whole(LINES);
  int64_t next = 0;
  for (int64_t tile = 0; tile < tiles; tile++) {
    const int64_t height = count / tiles + (tile < count % tiles);
    for (int64_t c = 0; c < channels; c++)
      for (int64_t i = 0; i < height; i++)
        right &= bits_of(dst[(tile * channels + c) * width + i]) ==
                 bits_of(src[c * stride + place[next + i].src]);
    next += height;
  }
  check(right, "gather of %lld pixels, %lld channels", (long long)count, (long long)channels);
}

static void twice(int64_t n, const float *src, float *dst, float a, float b) {
  for (int64_t i = 0; i < n; i++) dst[i] = a * src[i] + b;
}

static void test_finish(const mk_gemm_row *row, int64_t pixels, int64_t n) {
  const int64_t stride = pixels + random_below(9), sums_stride = row->nr;
  const int64_t lines = (n - 1) * stride + pixels;
  const float *sums = floats(SUMS, pixels * sums_stride, true);
  mk_conv_finish job = {.pixels = pixels,
                        .n = n,
                        .sums = sums,
                        .sums_stride = sums_stride,
                        .dst_stride = stride,
                        .dst = floats(LINES, lines, true),
                        .act = (int32_t)random_below(3),
                        .lo = -0.25f,
                        .hi = 0.5f,
                        .a = 2,
                        .b = 1};
  if (random_below(2)) job.bias = floats(BIAS, n, true);
  const int64_t aliasing = random_below(3);
  if (aliasing == 1) job.residual = floats(RESIDUAL, lines, true);
  if (aliasing == 2) job.residual = job.dst;
  if (random_below(3) == 0) job.function = twice;
  float expected[64 * 64];
  for (int64_t i = 0; i < pixels; i++) {
    for (int64_t j = 0; j < n; j++) {
      float v = sums[i * sums_stride + j];
      if (job.bias) v = v + job.bias[j];
      if (job.residual) v = v + job.residual[j * stride + i];
      if (job.act == MK_ACT_RELU) v = v < 0 ? 0 : v;
      if (job.act == MK_ACT_CLAMP) v = v < job.lo ? job.lo : v > job.hi ? job.hi : v;
      if (job.function) twice(1, &v, &v, 2, 1);
      expected[i * n + j] = v;
    }
  }
  float between[64 * 80];
  memcpy(between, job.dst, (size_t)lines * 4);
  row->conv->finish(&job);
  bool right = fringe_is_whole(LINES);
  for (int64_t at = 0; at < lines; at++) {
    const int64_t i = at % stride, j = at / stride;
    right &= i < pixels ? same(job.dst[at], expected[i * n + j])
                        : bits_of(job.dst[at]) == bits_of(between[at]);
  }
  check(right, "finish of %lld pixels by %lld channels", (long long)pixels, (long long)n);
}

// ------------------------------------------------------------------------- bf16 units

static uint16_t *halves(int slot, int64_t count, bool at_end) {
  uint16_t *p = slot_memory(slot, count * 2, at_end);
  for (int64_t i = 0; i < count; i++) p[i] = (uint16_t)(bits_of(random_unit()) >> 16);
  return p;
}

// Denormals and what rounds to them count as zero in a product, so a window may hold either.
static bool same_in_product(uint16_t a, uint16_t b) {
  return a == b || ((a & 0x7f80) == 0 && (b & 0x7f80) == 0);
}

static void test_window(const mk_conv_dot_kernels *kernels) {
  const int64_t channels = 2 * (1 + random_below(20)), more = 2 * random_below(9);
  const int64_t step = 1 + random_below(2);
  mk_conv_window job = {.channels = channels,
                        .y0 = random_below(3),
                        .x0 = random_below(20),
                        .step = step,
                        .height = 1 + random_below(6),
                        .width = 1 + random_below(40),
                        .dst_channels = channels + (random_below(4) == 0 ? more : 0)};
  job.in_h = job.y0 + (job.height - 1) * step + 1 + random_below(2);
  job.in_w = job.x0 + (job.width - 1) * step + 1 + random_below(2);
  job.dst_stride = job.width * job.dst_channels + random_below(9);
  const int64_t plane = job.in_h * job.in_w;
  float *src = floats(IMAGE, channels * plane, random_below(2));
  const bool has_tiny = random_below(4) == 0, has_zeros = random_below(4) == 0;
  for (int64_t i = 0; i < channels * plane; i++) {
    if (has_tiny && random_below(3) == 0)
      src[i] = float_of(random_bits() & (random_below(2) ? 0x81ffffffu : 0xffffffffu));
    if (has_zeros && random_below(2)) src[i] = random_below(2) ? 0.0f : -0.0f;
  }
  job.src = src;
  const int64_t count = (job.height - 1) * job.dst_stride + job.width * job.dst_channels;
  job.dst = halves(LINES, count, true);
  uint16_t *const before = slot_memory(RESIDUAL, count * 2, true);
  memcpy(before, job.dst, (size_t)count * 2);
  kernels->window(&job);
  bool right = fringe_is_whole(LINES);
  for (int64_t i = 0; i < count; i++) {
    const int64_t y = i / job.dst_stride, at = i % job.dst_stride;
    const int64_t c = at % job.dst_channels, x = at / job.dst_channels;
    uint16_t expected = 0;
    if (x >= job.width) expected = before[i];
    else if (c < channels)
      expected = round_to_bf16(src[c * plane + (job.y0 + y * step) * job.in_w + job.x0 + x * step]);
    right &= same_in_product(job.dst[i], expected);
  }
  check(right, "window of %lldx%lld pixels, %lld of %lld channels, step %lld",
        (long long)job.height, (long long)job.width, (long long)channels,
        (long long)job.dst_channels, (long long)step);
}

// Sums of output pixels whose taps may lie outside the image, against one pair after the other.
static void test_dot(const mk_gemm_row *row, bool is_grouped) {
  const mk_conv_dot_kernels *const kernels = row->conv_dot;
  static const int64_t group_pairs[] = {1, 2, 4, 8};
  const int64_t lanes = is_grouped ? kernels->grouped_lanes : kernels->lanes;
  const int64_t in_group = is_grouped ? group_pairs[random_below(4)] : 1 + random_below(20);
  const int64_t group_lanes = lanes * in_group * 2 / kernels->grouped_channels *
                              (random_below(3) == 0 ? 2 : 1);
  const int64_t channels = is_grouped ? kernels->grouped_channels : in_group * 2;
  mk_conv_dot job = {.in_h = 1 + random_below(9),
                     .in_w = 1 + random_below(9),
                     .h = -random_below(4),
                     .w = -random_below(4),
                     .channels = channels,
                     .ker_h = 1 + random_below(4),
                     .ker_w = 1 + random_below(4),
                     .stride_h = 1 + random_below(3),
                     .stride_w = 1 + random_below(3),
                     .dil_h = 1 + random_below(3),
                     .dil_w = 1 + random_below(3),
                     .rows = 1 + random_below(4),
                     .columns = 1 + random_below(9),
                     .depth = 2 * (1 + random_below(random_below(2) ? 20 : 200)),
                     .group_lanes = group_lanes > lanes ? lanes : group_lanes,
                     .group_pairs = in_group};
  if (random_below(8) == 0) {  // more areas than a kernel has at a time
    job.rows = 1 + random_below(2), job.columns = 40, job.in_w = 5 + random_below(45);
    job.ker_w = 30, job.w = -25, job.stride_w = 1, job.dil_w = 1;
  }
  const int64_t taps = job.ker_h * job.ker_w, pixels = job.rows * job.columns;
  // The window is the image and nothing around it.
  job.width = job.in_w;
  const uint16_t *const src = halves(IMAGE, job.in_h * job.in_w * channels, random_below(2));
  const uint16_t *const weights = halves(WEIGHTS, taps * in_group * lanes * 2, true);
  job.src = src + (job.h * job.width + job.w) * channels;
  job.weights = weights;
  job.next = random_below(2) ? weights : NULL;
  job.places = slot_memory(PIXELS, (pixels + taps) * (int64_t)sizeof *job.places, true);
  job.sums = floats(SUMS, pixels * lanes, true);
  (is_grouped ? kernels->grouped : kernels->sums)(&job);
  bool right = fringe_is_whole(SUMS) && fringe_is_whole(PIXELS);
  for (int64_t i = 0; i < pixels; i++) {
    for (int64_t j = 0; j < lanes; j++) {
      const int64_t group = is_grouped ? j / job.group_lanes : 0;
      double sum = 0, magnitude = 0;
      for (int64_t t = 0; t < taps; t++) {
        const int64_t y = job.h + i / job.columns * job.stride_h + t / job.ker_w * job.dil_h;
        const int64_t x = job.w + i % job.columns * job.stride_w + t % job.ker_w * job.dil_w;
        if (y < 0 || y >= job.in_h || x < 0 || x >= job.in_w) continue;
        for (int64_t c = 0; c < in_group * 2; c++) {
          const double product =
            (double)widen(src[(y * job.width + x) * channels + group * in_group * 2 + c]) *
            widen(weights[((t * in_group + c / 2) * lanes + j) * 2 + c % 2]);
          sum += product;
          magnitude += fabs(product);
        }
      }
      right &= fabs(job.sums[i * lanes + j] - sum) <=
               magnitude * (double)(taps * in_group * 2) * 0x1p-23;
    }
  }
  check(right, "%s of %lldx%lld pixels, %lldx%lld taps of %lld pairs",
        is_grouped ? "groups" : "sums", (long long)job.rows, (long long)job.columns,
        (long long)job.ker_h, (long long)job.ker_w, (long long)in_group);
}

// The chain over (kh, kw, channel) in blocks of any depth is that of one.
static void test_dot_order(const mk_gemm_row *row) {
  enum { PIXELS_HERE = 13, PAIRS = 9, TAPS = 6 };
  const int64_t lanes = row->conv_dot->lanes;
  mk_conv_dot job = {.in_h = 9,
                     .in_w = 40,
                     .channels = PAIRS * 2,
                     .ker_h = 2,
                     .ker_w = 3,
                     .stride_h = 1,
                     .stride_w = 1,
                     .dil_h = 1,
                     .dil_w = 1,
                     .rows = 1,
                     .columns = PIXELS_HERE,
                     .width = PIXELS_HERE + 2};
  uint16_t *const src = halves(IMAGE, 2 * job.width * PAIRS * 2, true);
  uint16_t *const weights = halves(WEIGHTS, TAPS * PAIRS * lanes * 2, true);
  job.src = src;
  job.weights = weights;
  job.places = slot_memory(PIXELS, (PIXELS_HERE + TAPS) * (int64_t)sizeof *job.places, true);
  float expected[64];
  for (int64_t depth = 2; depth <= 200; depth += 2 + depth / 8) {
    job.depth = depth;
    job.sums = floats(SUMS, PIXELS_HERE * lanes, true);
    row->conv_dot->sums(&job);
    for (int64_t i = 0; i < PIXELS_HERE; i++) {
      // A tile of the product makes the same chain of the pixel's taps one after the other.
      uint16_t *line = slot_memory(TERMS, TAPS * PAIRS * 4, true);
      for (int64_t t = 0; t < TAPS; t++)
        memcpy(line + t * PAIRS * 2, src + ((t / 3) * job.width + i + t % 3) * PAIRS * 2,
               PAIRS * 4);
      const mk_gemm_tile tile = {.m = 1,
                                 .n = lanes,
                                 .k = TAPS * PAIRS * 2,
                                 .lhs = line,
                                 .lhs_stride = TAPS * PAIRS * 4,
                                 .rhs = weights,
                                 .acc = expected,
                                 .acc_stride = lanes * 4,
                                 .dst = expected,
                                 .dst_stride = lanes * 4,
                                 .flags = MK_FIRST_K | MK_LAST_K};
      row->tile(&tile);
      check(memcmp(job.sums + i * lanes, expected, (size_t)lanes * 4) == 0,
            "sums in blocks of %lld terms: not the bits of a tile of the product",
            (long long)depth);
    }
  }
}

static void test_dot_kernels(const mk_isa *isa, const mk_gemm_row *row) {
  begin_section(isa->name, "convolution on bf16 units");
  for (int i = 0; i < 400; i++) test_window(row->conv_dot);
  for (int i = 0; i < 300; i++) test_dot(row, i % 3 == 0);
  test_dot_order(row);
}

void test_conv_kernels(const mk_isa *isa, const mk_gemm_row *row, bool fused) {
  if (row->conv_dot) test_dot_kernels(isa, row);
  if (!row->conv) return;
  begin_section(isa->name, "convolution");
  for (int64_t pixels = 0; pixels <= 2 * row->conv->pixels + 3; pixels++)
    for (int64_t n = 1; n <= row->nr; n++) test_sums(row, fused, pixels, n);
  for (int i = 0; i < 400; i++) test_band(row);
  for (int64_t count = 1; count <= 3 * row->conv->tile_width; count++)
    for (int i = 0; i < 12; i++) test_gather(row, count, i % 3 != 0);
  for (int64_t pixels = 1; pixels <= 40; pixels++)
    for (int64_t n = 1; n <= row->nr; n++) test_finish(row, pixels, n);
}
