// Measures the limits of limits.h. With LIMITS_MAIN a program that prints them as JSON.
#include "limits.h"

#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double seconds_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

const mk_isa *best_isa(const char *name) {
  int32_t count;
  const mk_isa *const *list = mk_isa_list(&count);
  const uint32_t features = mk_cpu_features();
  const mk_isa *best = list[0];
  for (int32_t i = 0; i < count; i++) {
    if ((list[i]->needs & ~features) || !mk_isa_passes(list[i])) continue;
    if (name && strcmp(name, list[i]->name) != 0) continue;
    best = list[i];
  }
  return best;
}

double fma_gflops(const mk_isa *isa) {
  double best = 0;
  for (int round = 0; round < 20; round++) {
    const double start = seconds_now();
    const int64_t operations = isa->peak_f32(40000);
    const double rate = (double)operations / (seconds_now() - start) / 1e9;
    if (rate > best) best = rate;
  }
  return best;
}

double clock_ghz(void) {
  double best = 0;
  for (int round = 0; round < 20; round++) {
    uint64_t x = 1;
    const double start = seconds_now();
    for (int i = 0; i < 200000; i++) {
      __asm__ volatile(
        "add $1, %0\n\tadd $3, %0\n\tadd $5, %0\n\tadd $7, %0\n\tadd $9, %0\n\t"
        "add $11, %0\n\tadd $13, %0\n\tadd $15, %0"
        : "+r"(x));
    }
    const double rate = 8 * 200000.0 / (seconds_now() - start) / 1e9;
    if (rate > best) best = rate;
  }
  return best;
}

__attribute__((target("avx2"))) static double move_gbs(int64_t bytes, int copies) {
  char *from = aligned_alloc(4096, (size_t)(bytes + 4095) / 4096 * 4096);
  char *to = aligned_alloc(4096, (size_t)(bytes + 4095) / 4096 * 4096);
  if (!from || !to) exit(1);
  memset(from, 1, (size_t)bytes);
  memset(to, 2, (size_t)bytes);
  double best = 0;
  const int64_t rounds = bytes < (1 << 22) ? (1 << 24) / bytes : 1;
  __m256i sum = _mm256_setzero_si256();
  for (int repetition = 0; repetition < 25; repetition++) {
    const double start = seconds_now();
    for (int64_t round = 0; round < rounds; round++) {
      for (int64_t i = 0; i + 128 <= bytes; i += 128) {
        for (int v = 0; v < 128; v += 32) {
          const __m256i x = _mm256_load_si256((const __m256i *)(from + i + v));
          if (copies) {
            _mm256_store_si256((__m256i *)(to + i + v), x);
          } else {
            sum = _mm256_xor_si256(sum, x);
          }
        }
      }
      __asm__ volatile("" : "+x"(sum) : : "memory");
    }
    const double moved = (double)(bytes * rounds) * (copies ? 2 : 1);
    const double rate = moved / (seconds_now() - start) / 1e9;
    if (rate > best) best = rate;
  }
  free(from);
  free(to);
  return best;
}

double read_gbs(int64_t bytes) { return move_gbs(bytes, 0); }
double copy_gbs(int64_t bytes) { return move_gbs(bytes, 1); }

#ifdef LIMITS_MAIN
int main(void) {
  const mk_isa *isa = best_isa(NULL);
  printf("{\"isa\": \"%s\", \"clock_ghz\": %.3f, \"fma_gflops\": %.1f", isa->name, clock_ghz(),
         fma_gflops(isa));
  const struct {
    const char *name;
    int64_t bytes;
  } sizes[] = {{"l1", 12 << 10}, {"l2", 320 << 10}, {"dram", 192 << 20}};
  for (int i = 0; i < 3; i++)
    printf(", \"read_%s_gbs\": %.1f, \"copy_%s_gbs\": %.1f", sizes[i].name,
           read_gbs(sizes[i].bytes), sizes[i].name, copy_gbs(sizes[i].bytes));
  printf("}\n");
  return 0;
}
#endif
