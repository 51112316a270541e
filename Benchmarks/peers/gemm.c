// Matrix products of Martlet and of its peers, interleaved in one process.
//
// Usage: gemm THREADS ROUNDS MxNxK...
// Prints one JSON object a line for each case, variant and engine:
//   {"case": "128x768x768", "variant": "float32, packed", "engine": "onednn", "ms": [...]}
// ms: one product's time in each round. In a round the engines take turns; a turn is one
// product that wakes the engine's threads and then as many as fill a millisecond.
//
// Variants: operands float32; "packed": the right one prepared before; "BF16 mode": float32 in and
// out, multiplied as bf16, conversion within the time; "bfloat16": bf16 operands, float32 out.
// Compiled in: oneDNN with -DHAVE_ONEDNN, a CBLAS with -DSGEMM=its cblas_sgemm and
// -DSET_THREADS=its openblas_set_num_threads (64-bit integers).
#include <martlet.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef HAVE_ONEDNN
#include <dnnl.h>
void omp_set_num_threads(int count);
#endif
#ifdef SGEMM
void SGEMM(int order, int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, float alpha,
           const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
           int64_t ldc);
void SET_THREADS(int count);
#endif

enum { MAX_ENGINES = 3, MAX_ROUNDS = 101 };
enum { TURN_NS = 1000000 };

typedef struct product {
  int64_t m, n, k;
  float *a, *b, *c;
} product;

typedef enum variant {
  FLOAT32,
  FLOAT32_PACKED,
  BF16_MODE,
  BF16_MODE_PACKED,
  BFLOAT16_PACKED,
  VARIANTS
} variant;
static const char *const variant_names[VARIANTS] = {"float32", "float32, packed", "BF16 mode",
                                                    "BF16 mode, packed", "bfloat16, packed"};

// One engine's way to compute one variant of one product.
typedef struct engine {
  const char *name;
  void (*run)(void *state);
  void *state;
  double ms[MAX_ROUNDS];
} engine;

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// ---------------------------------------------------------------------------------- Martlet

typedef struct martlet_state {
  martlet_tensor *a, *b, *c;
  martlet_math_mode mode;
} martlet_state;

static void must(martlet_status status) {
  if (status == MARTLET_OK) return;
  fprintf(stderr, "martlet: %s\n", martlet_last_error()->message);
  exit(1);
}

static void martlet_run(void *state) {
  martlet_state *s = state;
  must(martlet_matmul(s->a, s->b, s->mode, &s->c));
}

static martlet_tensor *tensor_of(float *data, int64_t rows, int64_t columns, bool bf16) {
  const int64_t shape[2] = {rows, columns};
  martlet_tensor *tensor = NULL, *converted = NULL;  // a slot that is not null is written into
  must(martlet_tensor_wrap(data, (size_t)(rows * columns) * 4, MARTLET_FLOAT32, 2, shape, &tensor));
  if (!bf16) return tensor;
  must(martlet_tensor_convert(tensor, MARTLET_BFLOAT16, &converted));
  martlet_tensor_release(tensor);
  return converted;
}

static void *martlet_prepare(const product *p, variant v) {
  martlet_state *s = calloc(1, sizeof *s);
  const bool bf16 = v == BFLOAT16_PACKED;
  s->mode = v == FLOAT32 || v == FLOAT32_PACKED ? MARTLET_MATH_FP32 : MARTLET_MATH_BF16;
  s->a = tensor_of(p->a, p->m, p->k, bf16);
  s->b = tensor_of(p->b, p->k, p->n, bf16);
  if (!bf16) s->c = tensor_of(p->c, p->m, p->n, false);
  if (v == FLOAT32 || v == BF16_MODE) return s;
  martlet_tensor *packed;
  must(martlet_pack(s->b, &packed));
  martlet_tensor_release(s->b);
  s->b = packed;
  return s;
}

static void martlet_finish(void *state) {
  martlet_state *s = state;
  martlet_tensor_release(s->a);
  martlet_tensor_release(s->b);
  martlet_tensor_release(s->c);
  free(s);
}

// ----------------------------------------------------------------------------------- oneDNN

#ifdef HAVE_ONEDNN
typedef struct onednn_state {
  dnnl_stream_t stream;
  dnnl_primitive_t product, convert_a, convert_b;
  dnnl_memory_t a, b, c, wide_a, wide_b;
} onednn_state;

static void reorder(onednn_state *s, dnnl_primitive_t primitive, dnnl_memory_t from,
                    dnnl_memory_t to) {
  const dnnl_exec_arg_t arguments[2] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
  dnnl_primitive_execute(primitive, s->stream, 2, arguments);
}

static void onednn_run(void *state) {
  onednn_state *s = state;
  if (s->convert_a) reorder(s, s->convert_a, s->wide_a, s->a);
  if (s->convert_b) reorder(s, s->convert_b, s->wide_b, s->b);
  const dnnl_exec_arg_t arguments[3] = {
    {DNNL_ARG_SRC, s->a}, {DNNL_ARG_WEIGHTS, s->b}, {DNNL_ARG_DST, s->c}};
  dnnl_primitive_execute(s->product, s->stream, 3, arguments);
  dnnl_stream_wait(s->stream);
}

static dnnl_primitive_t reorder_of(dnnl_engine_t cpu, dnnl_memory_t from, dnnl_memory_t to) {
  const_dnnl_memory_desc_t from_desc, to_desc;
  dnnl_primitive_desc_t desc;
  dnnl_primitive_t primitive;
  dnnl_memory_get_memory_desc(from, &from_desc);
  dnnl_memory_get_memory_desc(to, &to_desc);
  if (dnnl_reorder_primitive_desc_create(&desc, from_desc, cpu, to_desc, cpu, NULL)) return NULL;
  if (dnnl_primitive_create(&primitive, desc)) return NULL;
  return primitive;
}

// Null where oneDNN has no such product on this processor.
static void *onednn_prepare(const product *p, variant v) {
  static dnnl_engine_t cpu;
  if (!cpu && dnnl_engine_create(&cpu, dnnl_cpu, 0)) return NULL;
  onednn_state *s = calloc(1, sizeof *s);
  const bool bf16 = v >= BF16_MODE, packed = v != FLOAT32 && v != BF16_MODE;
  const dnnl_data_type_t type = bf16 ? dnnl_bf16 : dnnl_f32;
  const dnnl_dims_t a_dims = {p->m, p->k}, b_dims = {p->k, p->n}, c_dims = {p->m, p->n};
  dnnl_memory_desc_t a, b, c, wide_a, wide_b;
  dnnl_primitive_desc_t desc;
  dnnl_memory_desc_create_with_tag(&wide_a, 2, a_dims, dnnl_f32, dnnl_ab);
  dnnl_memory_desc_create_with_tag(&wide_b, 2, b_dims, dnnl_f32, dnnl_ab);
  dnnl_memory_desc_create_with_tag(&a, 2, a_dims, type, dnnl_ab);
  dnnl_memory_desc_create_with_tag(&b, 2, b_dims, type,
                                   packed || bf16 ? dnnl_format_tag_any : dnnl_ab);
  dnnl_memory_desc_create_with_tag(&c, 2, c_dims, dnnl_f32, dnnl_ab);
  if (dnnl_matmul_primitive_desc_create(&desc, cpu, a, b, NULL, c, NULL)) return NULL;
  dnnl_primitive_create(&s->product, desc);
  dnnl_stream_create(&s->stream, cpu, dnnl_stream_default_flags);
  dnnl_memory_create(&s->wide_a, wide_a, cpu, p->a);
  dnnl_memory_create(&s->wide_b, wide_b, cpu, p->b);
  dnnl_memory_create(&s->a, dnnl_primitive_desc_query_md(desc, dnnl_query_src_md, 0), cpu,
                     bf16 ? DNNL_MEMORY_ALLOCATE : p->a);
  dnnl_memory_create(&s->b, dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0), cpu,
                     packed || bf16 ? DNNL_MEMORY_ALLOCATE : p->b);
  dnnl_memory_create(&s->c, c, cpu, p->c);
  if (bf16) s->convert_a = reorder_of(cpu, s->wide_a, s->a);
  if (packed || bf16) s->convert_b = reorder_of(cpu, s->wide_b, s->b);
  onednn_run(s);
  if (packed) s->convert_b = NULL;
  if (v == BFLOAT16_PACKED) s->convert_a = NULL;
  return s;
}

static void onednn_finish(void *state) {
  onednn_state *s = state;
  dnnl_memory_t memories[] = {s->a, s->b, s->c, s->wide_a, s->wide_b};
  for (int i = 0; i < 5; i++) dnnl_memory_destroy(memories[i]);
  dnnl_primitive_destroy(s->product);
  dnnl_stream_destroy(s->stream);
  free(s);
}
#endif

// ------------------------------------------------------------------------------------- BLAS

#ifdef SGEMM
static void blas_run(void *state) {
  const product *p = state;
  SGEMM(101, 111, 111, p->m, p->n, p->k, 1, p->a, p->k, p->b, p->n, 0, p->c, p->n);
}
static void *blas_prepare(const product *p, variant v) {
  if (v != FLOAT32) return NULL;
  product *copy = malloc(sizeof *copy);
  *copy = *p;
  return copy;
}
#endif

// ------------------------------------------------------------------------------------ timing

static float *filled(int64_t count, uint32_t seed) {
  float *values = aligned_alloc(64, ((size_t)count * 4 + 63) / 64 * 64);
  for (int64_t i = 0; i < count; i++) {
    seed = seed * 1664525u + 1013904223u;
    values[i] = (float)(int32_t)seed / 2147483648.0f;
  }
  return values;
}

static void measure(const char *name, const product *p, variant v, int rounds) {
  engine engines[MAX_ENGINES];
  int count = 0;
  void *const own = martlet_prepare(p, v);
  engines[count++] = (engine){.name = "martlet", .run = martlet_run, .state = own};
#ifdef HAVE_ONEDNN
  void *const onednn = onednn_prepare(p, v);
  if (onednn) engines[count++] = (engine){.name = "onednn", .run = onednn_run, .state = onednn};
#endif
#ifdef SGEMM
  void *const blas = blas_prepare(p, v);
  if (blas) engines[count++] = (engine){.name = "openblas", .run = blas_run, .state = blas};
#endif
  int64_t repeats = 1;
  for (int round = -1; round < rounds; round++) {
    for (int e = 0; e < count; e++) {
      engines[e].run(engines[e].state);
      const int64_t start = now();
      for (int64_t i = 0; i < repeats; i++) engines[e].run(engines[e].state);
      const int64_t ns = now() - start;
      if (round >= 0) engines[e].ms[round] = (double)ns / 1e6 / (double)repeats;
      else if (e == 0) repeats = 1 + TURN_NS / (ns + 1);
    }
  }
  for (int e = 0; e < count; e++) {
    printf("{\"case\": \"%s\", \"variant\": \"%s\", \"engine\": \"%s\", \"ms\": [", name,
           variant_names[v], engines[e].name);
    for (int round = 0; round < rounds; round++)
      printf("%s%.6f", round ? ", " : "", engines[e].ms[round]);
    puts("]}");
  }
  fflush(stdout);
  martlet_finish(own);
#ifdef HAVE_ONEDNN
  if (onednn) onednn_finish(onednn);
#endif
#ifdef SGEMM
  free(blas);
#endif
}

int main(int argc, char **argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: gemm THREADS ROUNDS MxNxK...\n");
    return 2;
  }
  const int threads = atoi(argv[1]);
  int rounds = atoi(argv[2]);
  if (rounds < 1) rounds = 1;
  if (rounds > MAX_ROUNDS) rounds = MAX_ROUNDS;
  must(martlet_set_num_threads(threads));
#ifdef HAVE_ONEDNN
  omp_set_num_threads(threads);
#endif
#ifdef SGEMM
  SET_THREADS(threads);
#endif
  const bool has_bf16 = strstr(martlet_cpu_isa(), "bf16") != NULL;
  for (int i = 3; i < argc; i++) {
    long long m, n, k;
    if (sscanf(argv[i], "%lldx%lldx%lld", &m, &n, &k) != 3 || m < 1 || n < 1 || k < 1) {
      fprintf(stderr, "gemm: %s is not MxNxK\n", argv[i]);
      return 2;
    }
    product p = {
      .m = m, .n = n, .k = k, .a = filled(m * k, 1), .b = filled(k * n, 2), .c = filled(m * n, 3)};
    // Without bf16 units BF16 mode runs as FP32, which is measured already.
    for (int v = 0; v < (has_bf16 ? VARIANTS : BF16_MODE); v++)
      measure(argv[i], &p, (variant)v, rounds);
    free(p.a), free(p.b), free(p.c);
  }
  return 0;
}
