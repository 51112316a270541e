// Measures the integer row of every instruction set that this processor can run against its own
// multiply-add peak, one thread: packed tiles in the loops of a plain driver, and panels streamed from
// memory for one row. Best of several rounds in the thread's own CPU time.
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

static int64_t round_up(int64_t a, int64_t b) { return (a + b - 1) / b * b; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static char *filled(int64_t bytes) {
  char *data = aligned_alloc(4096, (size_t)round_up(bytes + 4096, 4096));
  if (!data) exit(1);
  for (int64_t i = 0; i < bytes; i++) data[i] = (char)(i * 7919 % 251);
  return data;
}

static double peak(const mk_isa *isa) {
  double best = 0;
  for (int round = 0; round < 5; round++) {
    const double start = seconds();
    const int64_t operations = isa->peak_int8(400000);
    const double rate = (double)operations / (seconds() - start);
    best = rate > best ? rate : best;
  }
  return best;
}

static void measure(const mk_isa *isa, int64_t m, int64_t n, int64_t k) {
  const mk_int8_row *row = isa->int8_row;
  const int64_t element = row->lhs == MK_I16 ? 2 : 1, depth = round_up(k, row->kr);
  const int64_t panel_bytes = depth * row->nr, lhs_stride = (depth * element / 64 | 1) * 64 + 64;
  char *lhs = filled(m * lhs_stride),
       *panels = filled(panel_bytes * round_up(n, row->nr) / row->nr);
  int32_t *dst = (int32_t *)filled(m * n * 4);
  const int64_t kc = m <= row->mr ? k : row->kc;
  double best = 1e9, limit = peak(isa);
  for (int round = 0; round < 9; round++) {
    const double start = seconds();
    for (int64_t k0 = 0; k0 < k; k0 += kc)
      for (int64_t m0 = 0; m0 < m; m0 += row->mc)
        for (int64_t j = 0; j < n; j += row->nr)
          for (int64_t i = m0; i < least(m0 + row->mc, m); i += row->mr)
            row->tile(&(mk_int8_tile){.m = least(row->mr, least(m0 + row->mc, m) - i),
                                      .n = least(row->nr, n - j),
                                      .k = least(kc, k - k0),
                                      .lhs = lhs + i * lhs_stride + k0 * element,
                                      .lhs_stride = lhs_stride,
                                      .rhs = panels + j / row->nr * panel_bytes + k0 * row->nr,
                                      .dst = dst + i * n + j,
                                      .dst_stride = n * 4,
                                      .accumulates = k0 > 0,
                                      .prefetch = NULL});
    const double time = seconds() - start;
    best = time < best ? time : best;
  }
  limit = peak(isa) > limit ? peak(isa) : limit;
  const double rate = 2.0 * (double)m * (double)n * (double)k / best;
  printf("  %5lld x %5lld x %5lld  %7.1f GOP/s  %5.1f%% of %.1f  %6.2f GB/s of panels\n",
         (long long)m, (long long)n, (long long)k, rate / 1e9, 100 * rate / limit, limit / 1e9,
         (double)(depth * round_up(n, row->nr)) / best / 1e9);
  free(lhs), free(panels), free(dst);
}

int main(int argc, char **argv) {
  int32_t count;
  const mk_isa *const *isas = mk_isa_list(&count);
  const uint32_t present = mk_cpu_features();
  for (int32_t i = 0; i < count; i++) {
    const mk_isa *isa = isas[i];
    if (!isa->int8_row || (isa->needs & ~present) || (argc > 1 && strcmp(argv[1], isa->name)))
      continue;
    printf("%s %s\n", isa->name, isa->int8_row->name);
    for (int64_t size = 256; size <= 2048; size *= 2) measure(isa, size, size, size);
    for (int64_t m = 1; m <= 8; m *= 2) measure(isa, m, 4096, 4096);
    measure(isa, 1, 16384, 16384);
  }
}
