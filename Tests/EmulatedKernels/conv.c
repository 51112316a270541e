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
    place[i] = (mk_conv_place){(int32_t)random_below(image / 2),
                               (int32_t)((i + turn) % pixels * row->nr)};
  for (int64_t t = 0; t < terms; t++)
    term[t] = (mk_conv_place){(int32_t)random_below(image / 2),
                              (int32_t)(random_below(lines) * row->nr)};
  const mk_conv_sums job = {
    .pixel_count = pixels, .term_count = terms, .n = n, .src = src, .pixels = place,
    .terms = term, .weights = weights, .sums = sums, .accumulates = random_below(2)};
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
  check(right, "sums of %lld pixels by %lld channels, %lld terms", (long long)pixels,
        (long long)n, (long long)terms);
}

static void test_band(const mk_gemm_row *row) {
  const int64_t h = 1 + random_below(6), w = 1 + random_below(random_below(2) ? 6 : 70);
  const int64_t planes = 1 + random_below(4);
  const mk_conv_band band = {
    .planes = planes, .src = floats(IMAGE, planes * h * w, random_below(2)), .in_h = h,
    .in_w = w, .y0 = random_below(9) - 4, .rows = 1 + random_below(8),
    .x0 = random_below(30) - 20, .columns = 1 + random_below(90)};
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
  row->conv->gather(&(mk_conv_gather){
    .channels = channels, .src = src, .channel_stride = stride, .pixels = place, .count = count,
    .most = most, .dst = dst, .tile_width = width});
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
  mk_conv_finish job = {
    .pixels = pixels, .n = n, .sums = sums, .sums_stride = sums_stride, .dst_stride = stride,
    .dst = floats(LINES, lines, true), .act = (int32_t)random_below(3), .lo = -0.25f,
    .hi = 0.5f, .a = 2, .b = 1};
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

void test_conv_kernels(const mk_isa *isa, const mk_gemm_row *row, bool fused) {
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
