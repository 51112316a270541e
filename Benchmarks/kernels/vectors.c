// Measures the vector kernels on one core, with their operands in L1, in L2 and in memory: GB/s (what
// is read plus what is written), elements per cycle, and the share of the rate at which the same core
// copies (or, for reductions, reads) as much. Where arithmetic is the limit, elements per cycle say
// how far. Every figure is the best of several rounds.
//
// Usage: vectors [ISA]
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "limits.h"

enum { LEVELS = 3 };
static const char *const level_names[LEVELS] = {"L1", "L2", "DRAM"};
// Bytes of all operands of a case together.
static const int64_t level_bytes[LEVELS] = {24 << 10, 512 << 10, 128 << 20};

static const mk_vector_table *table;
static double ghz, copies[LEVELS], reads[LEVELS];

typedef struct operands {
  int64_t n, width, rows;  // n = rows * width elements
  float *x, *y, *out;
} operands;

typedef void (*work)(const operands *o, int op);

static double best_of(work run, const operands *o, int op, double budget) {
  double best = 1e9, spent = 0;
  for (int round = 0; round < 200 && (round < 5 || spent < budget); round++) {
    const int64_t repeat = o->n < (1 << 18) ? (1 << 18) / o->n + 1 : 1;
    const double start = seconds_now();
    for (int64_t i = 0; i < repeat; i++) run(o, op);
    const double time = (seconds_now() - start) / (double)repeat;
    spent += time * (double)repeat;
    if (time < best) best = time;
  }
  return best;
}

// `arrays`: how many arrays of the operands' size a case touches; `written` of them are written.
static void measure(const char *name, work run, int op, int arrays, int written, int64_t width) {
  printf("%-22s", name);
  for (int level = 0; level < LEVELS; level++) {
    operands o = {.width = width};
    o.n = level_bytes[level] / 4 / arrays;
    if (width > 0) {
      o.rows = o.n / width > 0 ? o.n / width : 1;
      o.n = o.rows * width;
    }
    const size_t bytes = (size_t)(o.n * 4 + 8191) / 4096 * 4096;
    o.x = aligned_alloc(4096, bytes), o.y = aligned_alloc(4096, bytes);
    o.out = aligned_alloc(4096, bytes);
    if (!o.x || !o.y || !o.out) exit(1);
    for (int64_t i = 0; i < o.n; i++)
      o.x[i] = (float)(i * 7919 % 1009 - 504) / 101, o.y[i] = o.x[i] + 7;
    memset(o.out, 0, bytes);
    const double time = best_of(run, &o, op, 0.04);
    const double rate = (double)o.n * 4 * arrays / time / 1e9;
    const double limit = written ? copies[level] : reads[level];
    printf(" | %7.1f %6.2f %5.0f%%", rate, (double)o.n / time / 1e9 / ghz, 100 * rate / limit);
    free(o.x), free(o.y), free(o.out);
  }
  puts("");
}

static void unary(const operands *o, int op) { table->unary[op](o->n, o->x, o->out, 0.5f, 1); }
static void binary(const operands *o, int op) { table->binary[op](o->n, o->x, 1, o->y, 1, o->out); }
static volatile float sink;
static void reduce(const operands *o, int op) { sink = table->reduce[op](o->n, o->x); }
static void reduce_rows(const operands *o, int op) {
  for (int64_t r = 0; r < o->rows; r++)
    o->out[r] = table->reduce[op](o->width, o->x + r * o->width);
}
static void accumulate(const operands *o, int op) {
  for (int64_t r = 0; r < o->rows; r++)
    table->accumulate[op](o->width, o->x + r * o->width, o->out);
}
static void softmax(const operands *o, int op) {
  (void)op;
  for (int64_t r = 0; r < o->rows; r++)
    table->softmax(o->width, o->x + r * o->width, o->out + r * o->width);
}
static void layer_norm(const operands *o, int op) {
  (void)op;
  for (int64_t r = 0; r < o->rows; r++)
    table->layer_norm(o->width, o->x + r * o->width, o->y, o->y, 1e-5f, o->out + r * o->width, NULL,
                      NULL);
}
static void rms_norm(const operands *o, int op) {
  (void)op;
  for (int64_t r = 0; r < o->rows; r++)
    table->rms_norm(o->width, o->x + r * o->width, o->y, 1e-5f, o->out + r * o->width);
}
static void transpose(const operands *o, int op) {
  (void)op;
  table->transpose32(o->rows, o->width, o->x, o->width * 4, o->out, o->rows * 4);
}
static void copy_2d(const operands *o, int size) {
  const int64_t width = o->width * 4 / size;
  mk_copy_2d(size, width, o->rows, o->x, size, width * size, o->out, o->rows * size, size);
}
static void to_bf16(const operands *o, int op) {
  (void)op;
  table->f32_to_bf16(o->n, o->x, (uint16_t *)o->out);
}
static void from_f16(const operands *o, int op) {
  (void)op;
  table->f16_to_f32(o->n, (const uint16_t *)o->x, o->out);
}

int main(int argc, char **argv) {
  const mk_isa *isa = best_isa(argc > 1 ? argv[1] : NULL);
  table = isa->vectors;
  ghz = clock_ghz();
  printf("%s at %.2f GHz", isa->name, ghz);
  for (int level = 0; level < LEVELS; level++) {
    copies[level] = copy_gbs(level_bytes[level] / 2);
    reads[level] = read_gbs(level_bytes[level]);
    printf("; %s copies %.0f GB/s, reads %.0f", level_names[level], copies[level], reads[level]);
  }
  printf("\nGB/s, elements per cycle, share of the copy (reductions: read) rate\n");
  printf("%-22s | L1                   | L2                   | DRAM\n", "");
  static const struct {
    int op;
    const char *name;
  } unaries[] = {{MK_UNARY_COPY, "copy"},
                 {MK_UNARY_RELU, "relu"},
                 {MK_UNARY_AFFINE, "affine"},
                 {MK_UNARY_EXP, "exp"},
                 {MK_UNARY_LOG, "log"},
                 {MK_UNARY_TANH, "tanh"},
                 {MK_UNARY_ERF, "erf"},
                 {MK_UNARY_SIGMOID, "sigmoid"},
                 {MK_UNARY_SILU, "silu"},
                 {MK_UNARY_GELU, "gelu"},
                 {MK_UNARY_GELU_TANH, "gelu, tanh form"},
                 {MK_UNARY_SIN, "sin"}};
  for (size_t i = 0; i < sizeof unaries / sizeof unaries[0]; i++)
    measure(unaries[i].name, unary, unaries[i].op, 2, 1, 0);
  measure("add", binary, MK_BINARY_ADD, 3, 1, 0);
  measure("pow", binary, MK_BINARY_POW, 3, 1, 0);
  measure("softmax of 128", softmax, 0, 2, 1, 128);
  measure("softmax of 1024", softmax, 0, 2, 1, 1024);
  measure("layer norm of 128", layer_norm, 0, 2, 1, 128);
  measure("layer norm of 1024", layer_norm, 0, 2, 1, 1024);
  measure("RMS norm of 1024", rms_norm, 0, 2, 1, 1024);
  measure("sum", reduce, MK_REDUCE_SUM, 1, 0, 0);
  measure("max", reduce, MK_REDUCE_MAX, 1, 0, 0);
  measure("sums of 64", reduce_rows, MK_REDUCE_SUM, 1, 0, 64);
  measure("sum of rows of 1024", accumulate, MK_REDUCE_SUM, 1, 0, 1024);
  measure("transpose, 64 wide", transpose, 0, 2, 1, 64);
  measure("transpose, 1024 wide", transpose, 0, 2, 1, 1024);
  measure("copy_2d turned, 4 B", copy_2d, 4, 2, 1, 64);
  measure("copy_2d turned, 2 B", copy_2d, 2, 2, 1, 64);
  measure("f32 to bf16", to_bf16, 0, 2, 1, 0);
  measure("f16 to f32", from_f16, 0, 2, 1, 0);
  return 0;
}
