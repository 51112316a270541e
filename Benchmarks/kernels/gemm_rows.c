// Measures every GEMM row that this processor can run against its own multiply-add peak, one
// thread: packed tiles, streamed rows, and packing. Every figure is the best of several rounds in
// the thread's own CPU time, and the peak is measured anew beside each, for clocks move.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "martlet_kernels.h"

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// Inputs that do nothing to the clock: normal numbers of both signs.
static void *filled(int64_t elements, int32_t dtype) {
  const int64_t bytes = dtype == MK_BF16 ? 2 : 4;
  char *data = aligned_alloc(4096, (size_t)((elements * bytes + 8191) / 4096 * 4096));
  if (!data) exit(1);
  for (int64_t i = 0; i < elements; i++) {
    const float value = (float)((i * 7919) % 201 - 100) / 64;
    uint32_t bits;
    memcpy(&bits, &value, 4);
    const uint16_t half = (uint16_t)(bits >> 16);
    memcpy(data + i * bytes, dtype == MK_BF16 ? (const void *)&half : (const void *)&value,
           (size_t)bytes);
  }
  return data;
}

static int64_t round_up(int64_t a, int64_t b) { return (a + b - 1) / b * b; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t bytes_of(int32_t dtype) { return dtype == MK_BF16 ? 2 : 4; }

typedef struct problem {
  const mk_gemm_row *row;
  int64_t m, n, k, panel_bytes;
  char *lhs, *panels;
  float *acc;
  char *dst;
} problem;

static problem make_problem(const mk_gemm_row *row, int64_t m, int64_t n, int64_t k) {
  const int64_t depth = round_up(k, row->kr);
  return (problem){.row = row,
                   .m = m,
                   .n = n,
                   .k = k,
                   .panel_bytes = depth * row->nr * bytes_of(row->rhs),
                   .lhs = filled(m * k, row->lhs),
                   .panels = filled(depth * round_up(n, row->nr), row->rhs),
                   .acc = filled(m * n, MK_F32),
                   .dst = filled(m * n, MK_F32)};
}

static void free_problem(problem *p) { free(p->lhs), free(p->panels), free(p->acc), free(p->dst); }

// The loops of a plain driver: kc slices, mc blocks of rows, panels, tiles.
static void run_tiles(const problem *p) {
  const mk_gemm_row *row = p->row;
  const int64_t kc = row->blocks.kc, mc = row->blocks.mc;
  for (int64_t k0 = 0; k0 < p->k; k0 += kc) {
    for (int64_t m0 = 0; m0 < p->m; m0 += mc) {
      const int64_t m_end = least(m0 + mc, p->m);
      for (int64_t j = 0; j < p->n; j += row->nr) {
        for (int64_t i = m0; i < m_end; i += row->mr) {
          const char *panel = p->panels + j / row->nr * p->panel_bytes +
                              k0 * row->nr * bytes_of(row->rhs);
          const bool last_rows = i + row->mr >= m_end;
          const mk_gemm_tile t = {
            .m = least(row->mr, m_end - i),
            .n = least(row->nr, p->n - j),
            .k = least(kc, p->k - k0),
            .lhs = p->lhs + (i * p->k + k0) * bytes_of(row->lhs),
            .lhs_stride = p->k * bytes_of(row->lhs),
            .rhs = panel,
            .acc = p->acc + i * p->n + j,
            .acc_stride = p->n * 4,
            .dst = p->dst + (i * p->n + j) * bytes_of(row->dst),
            .dst_stride = p->n * bytes_of(row->dst),
            .flags = (k0 == 0 ? MK_FIRST_K : 0u) | (k0 + kc >= p->k ? MK_LAST_K : 0u),
            .prefetch = last_rows && j + row->nr < p->n ? panel + p->panel_bytes : NULL};
          row->tile(&t);
        }
      }
    }
  }
}

static void run_stream(const problem *p) {
  const mk_gemm_stream s = {.m = p->m,
                            .n = p->n,
                            .k = p->k,
                            .lhs = p->lhs,
                            .lhs_stride = p->k * bytes_of(p->row->lhs),
                            .rhs = p->panels,
                            .rhs_panel_stride = p->panel_bytes,
                            .dst = p->dst,
                            .dst_stride = p->n * bytes_of(p->row->dst)};
  p->row->stream(&s);
}

static double best_of(void (*run)(const problem *), const problem *p, int rounds, double flops) {
  double best = 1e9;
  for (int r = 0; r < rounds; r++) {
    const double one_ms = 1e-3 * 2e11 / flops;  // short runs are repeated to about a millisecond
    const int times = one_ms < 1 ? 1 : (int)one_ms;
    const double start = seconds();
    for (int i = 0; i < times; i++) run(p);
    const double spent = (seconds() - start) / times;
    if (spent < best) best = spent;
  }
  return best;
}

static double peak(const mk_isa *isa, const mk_gemm_row *row) {
  // bf16 without bf16 units is widened and runs on the f32 ones.
  int64_t (*unit)(int64_t) = row->rhs == MK_BF16 && isa->peak_bf16 ? isa->peak_bf16 : isa->peak_f32;
  double best = 0;
  for (int r = 0; r < 5; r++) {
    const double start = seconds();
    const int64_t operations = unit(100000);
    const double rate = (double)operations / (seconds() - start);
    if (rate > best) best = rate;
  }
  return best;
}

static void measure_packing(const mk_gemm_row *row, int64_t k, int64_t n) {
  float *src = filled(k * n, MK_F32);
  const int64_t panel_bytes = round_up(k, row->kr) * row->nr * bytes_of(row->rhs);
  char *dst = filled(panel_bytes / 2 * (round_up(n, row->nr) / row->nr), MK_BF16);
  double best[2] = {1e9, 1e9};
  for (int r = 0; r < 20; r++) {
    for (int transposed = 0; transposed < 2; transposed++) {
      const mk_pack_rhs p = {.k = k,
                             .n = n,
                             .src = src,
                             .k_stride = transposed ? 4 : n * 4,
                             .n_stride = transposed ? k * 4 : 4,
                             .dst = dst,
                             .dst_panel_stride = panel_bytes};
      const double start = seconds();
      row->pack_rhs_f32(&p);
      const double spent = seconds() - start;
      if (spent < best[transposed]) best[transposed] = spent;
    }
  }
  printf("  pack f32 %lldx%lld: rows %.1f GB/s read, transposed %.1f GB/s read\n", (long long)k,
         (long long)n, (double)(k * n) * 4e-9 / best[0], (double)(k * n) * 4e-9 / best[1]);
  free(src), free(dst);
}

static void measure_conv(const mk_gemm_row *row, int64_t channels, int64_t side, int64_t kernel,
                         int64_t stride) {
  const int64_t pad = kernel / 2, out = (side + 2 * pad - kernel) / stride + 1;
  const int64_t k = channels * kernel * kernel, n = out * out;
  float *src = filled(channels * side * side, MK_F32);
  const int64_t panel_bytes = round_up(k, row->kr) * row->nr * bytes_of(row->rhs);
  char *dst = filled(panel_bytes / 2 * (round_up(n, row->nr) / row->nr), MK_BF16);
  const mk_pack_conv p = {.k = k,
                          .n = n,
                          .channels = channels,
                          .src = src,
                          .in_d = 1,
                          .in_h = side,
                          .in_w = side,
                          .ker_d = 1,
                          .ker_h = kernel,
                          .ker_w = kernel,
                          .out_d = 1,
                          .out_h = out,
                          .out_w = out,
                          .stride_d = 1,
                          .stride_h = stride,
                          .stride_w = stride,
                          .dil_d = 1,
                          .dil_h = 1,
                          .dil_w = 1,
                          .pad_h = pad,
                          .pad_w = pad,
                          .dst = dst,
                          .dst_panel_stride = panel_bytes};
  double best = 1e9;
  for (int r = 0; r < 10; r++) {
    const double start = seconds();
    row->pack_conv(&p);
    const double spent = seconds() - start;
    if (spent < best) best = spent;
  }
  printf("  pack conv c%lld %lldx%lld k%lld s%lld: %.2f ns a line of %d, %.1f GB/s of f32\n",
         (long long)channels, (long long)side, (long long)side, (long long)kernel,
         (long long)stride, best * 1e9 / (double)(k / row->kr * (round_up(n, row->nr) / row->nr)),
         row->nr, (double)(k * n) * 4e-9 / best);
  free(src), free(dst);
}

int main(int argc, char **argv) {
  int32_t count;
  const mk_isa *const *list = mk_isa_list(&count);
  const uint32_t features = mk_cpu_features();
  for (int32_t i = 0; i < count; i++) {
    if ((list[i]->needs & ~features) != 0 || !mk_isa_passes(list[i])) continue;
    if (argc > 1 && strcmp(argv[1], list[i]->name) != 0) continue;
    for (int32_t r = 0; r < list[i]->gemm_row_count; r++) {
      const mk_gemm_row *row = &list[i]->gemm_rows[r];
      printf("%s %s: peak %.1f GFLOP/s\n", list[i]->name, row->name, 1e-9 * peak(list[i], row));
      const int64_t sizes[][3] = {
        {64, 64, 64}, {256, 256, 256}, {1024, 1024, 1024}, {128, 768, 3072}, {1000, 1000, 1000}};
      for (int s = 0; s < 5; s++) {
        problem p = make_problem(row, sizes[s][0], sizes[s][1], sizes[s][2]);
        const double flops = 2.0 * (double)(p.m * p.n * p.k);
        const double top = peak(list[i], row), spent = best_of(run_tiles, &p, 7, flops);
        printf("  tiles %lldx%lldx%lld: %.1f GFLOP/s, %.0f%% of peak\n", (long long)p.m,
               (long long)p.n, (long long)p.k, 1e-9 * flops / spent, 100 * flops / spent / top);
        free_problem(&p);
      }
      for (int64_t m = 1; m <= row->stream_mr; m++) {
        // From memory, and from L2 as the steps of an LSTM read their weights.
        const int64_t streams[][2] = {{4096, 4096}, {512, 128}};
        for (int s = 0; s < 2; s++) {
          problem p = make_problem(row, m, streams[s][0], streams[s][1]);
          const double flops = 2.0 * (double)(p.m * p.n * p.k);
          const double spent = best_of(run_stream, &p, 5, flops);
          printf("  stream %lldx%lldx%lld: %.1f GFLOP/s, %.1f GB/s of panels\n", (long long)m,
                 (long long)p.n, (long long)p.k, 1e-9 * flops / spent,
                 1e-9 * (double)(p.n / row->nr * p.panel_bytes) / spent);
          free_problem(&p);
        }
      }
      measure_packing(row, 1024, 1024);
      measure_packing(row, 4096, 4096);
      measure_conv(row, 64, 56, 3, 1);
      measure_conv(row, 256, 14, 3, 1);
      measure_conv(row, 512, 7, 3, 1);
      measure_conv(row, 64, 56, 1, 1);
      measure_conv(row, 256, 56, 1, 2);
      measure_conv(row, 3, 224, 7, 2);
    }
  }
  return 0;
}
