// Times float32 products through the C API on one thread, beside the memory that each has to move.
//   cc -O3 -march=native -Iinclude Benchmarks/sweep.c -o sweep -ldl
//   echo 31 64 97 | ./sweep .build-dist/lib/libmartlet.so
// Reads lines "M N K" and prints a line "M N K PLAIN PACKED MOVED" for each: microseconds, the best of
// the rounds, of the product as it is, with rhs packed before, and of reading lhs and rhs and writing
// dst once. The three run in turn, each repeated to about 150 us. sweep.py drives it.
#define _POSIX_C_SOURCE 200809L
#include <dlfcn.h>
#include <martlet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FUNCTIONS(X)                                                                         \
  X(martlet_set_num_threads) X(martlet_tensor_wrap) X(martlet_tensor_release) X(martlet_pack) \
  X(martlet_matmul)
#define DECLARE(name) static __typeof__(name) *f_##name;
FUNCTIONS(DECLARE)

enum { LARGEST = 4096 * 4096, ROUNDS = 4 };  // elements of a matrix
static float *operands[3];                   // lhs, rhs, dst
static martlet_tensor *tensors[3], *packed;
static uint64_t sink;

static double now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static void check(martlet_status status) {
  if (status == MARTLET_OK) return;
  fprintf(stderr, "sweep: the library returned %d\n", (int)status);
  exit(1);
}

// Reads lhs and rhs and writes dst, that row by row: rows that are no whole vectors cost what they
// cost.
static void move_memory(const int64_t (*shapes)[2]) {
  uint64_t sum = 0;
  for (int i = 0; i < 2; i++) {
    const uint64_t *words = (const uint64_t *)operands[i];
    for (int64_t j = 0; j < (shapes[i][0] * shapes[i][1] + 1) / 2; j++) sum ^= words[j];
  }
  sink ^= sum;
  int64_t rows = shapes[2][0], columns = shapes[2][1];
  if (columns < 16) {
    columns *= rows;
    rows = 1;
  }
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t j = 0; j < columns; j++) operands[2][row * columns + j] = 1;
    __asm__ volatile("" : : : "memory");
  }
}

// Microseconds of one of `repeats` runs of work 0 (as it is), 1 (packed) or 2 (memory alone).
static double time_of(int work, int64_t repeats, const int64_t (*shapes)[2]) {
  const double start = now_us();
  for (int64_t i = 0; i < repeats; i++) {
    if (work == 2) {
      move_memory(shapes);
    } else {
      check(
        f_martlet_matmul(tensors[0], work ? packed : tensors[1], MARTLET_MATH_FP32, &tensors[2]));
    }
  }
  return (now_us() - start) / (double)repeats;
}

static void measure(int64_t m, int64_t n, int64_t k) {
  const int64_t shapes[3][2] = {{m, k}, {k, n}, {m, n}};
  int64_t repeats[3];
  double best[3];
  for (int i = 0; i < 3; i++) {
    const size_t bytes = (size_t)(shapes[i][0] * shapes[i][1]) * sizeof(float);
    check(f_martlet_tensor_wrap(operands[i], bytes, MARTLET_FLOAT32, 2, shapes[i], &tensors[i]));
  }
  check(f_martlet_pack(tensors[1], &packed));
  for (int work = 0; work < 3; work++) {
    time_of(work, 1, shapes);  // warms up
    const double once = time_of(work, 1, shapes);
    best[work] = once;
    repeats[work] = once < 100 ? (int64_t)(150 / (once + 0.05)) : 1;
  }
  for (int round = 0; round < ROUNDS; round++) {
    for (int work = 0; work < 3; work++) {
      const double us = time_of(work, repeats[work], shapes);
      if (us < best[work]) best[work] = us;
    }
  }
  for (int i = 0; i < 3; i++) check(f_martlet_tensor_release(tensors[i]));
  check(f_martlet_tensor_release(packed));
  printf("%lld %lld %lld %.4f %.4f %.4f\n", (long long)m, (long long)n, (long long)k, best[0],
         best[1], best[2]);
  fflush(stdout);
}

int main(int argc, char **argv) {
  void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
  if (!library) {
    fprintf(stderr, "sweep LIBRARY: %s\n", argc > 1 ? dlerror() : "name libmartlet.so");
    return 1;
  }
#define FIND(name)                                            \
  if (!(f_##name = (__typeof__(name) *)dlsym(library, #name))) { \
    fprintf(stderr, "sweep: " #name " is missing\n");         \
    return 1;                                                 \
  }
  FUNCTIONS(FIND)
  check(f_martlet_set_num_threads(1));
  for (int i = 0; i < 3; i++) {
    operands[i] = aligned_alloc(4096, LARGEST * sizeof(float));
    if (!operands[i]) return 1;
    for (int64_t j = 0; j < LARGEST; j++) operands[i][j] = (float)(j % 251) / 125 - 1;
  }
  long long m, n, k;
  while (scanf("%lld %lld %lld", &m, &n, &k) == 3) {
    if (m < 1 || n < 1 || k < 1 || m > LARGEST || n > LARGEST || k > LARGEST || m * k > LARGEST ||
        k * n > LARGEST || m * n > LARGEST) {
      fprintf(stderr, "sweep: %lld %lld %lld is too large\n", m, n, k);
      return 1;
    }
    measure(m, n, k);
  }
  return 0;
}
