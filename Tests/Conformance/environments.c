// The caller's floating-point environment is no matter to results, and is as before afterwards.
#define _GNU_SOURCE
#include "conformance.h"
#include "onnx_bytes.h"

#include <fenv.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __x86_64__
#include <xmmintrin.h>
#endif

enum { ROWS = 60, INNER = 70, COLUMNS = 50, RESULTS = 6, MOST_THREADS = 3 };

// ---------------------------------------------------------------- environments

typedef struct environment {
  const char *name;
  int rounding;
  bool flushes, takes_for_zero;  // denormal results; denormal operands
  int traps;
} environment;

static const environment environments[] = {
  {"the default", FE_TONEAREST, false, false, 0},
  {"rounding up", FE_UPWARD, false, false, 0},
  {"rounding down", FE_DOWNWARD, false, false, 0},
  {"rounding to zero", FE_TOWARDZERO, false, false, 0},
  {"denormal results flushed", FE_TONEAREST, true, false, 0},
  {"denormal operands taken for zero", FE_TONEAREST, false, true, 0},
  {"denormals gone, rounding down", FE_DOWNWARD, true, true, 0},
  {"all exceptions trapped", FE_TONEAREST, false, false, FE_ALL_EXCEPT},
};
enum { ENVIRONMENTS = sizeof environments / sizeof environments[0] };

// The register that says how this thread computes, its exception flags among it.
static uint64_t control(void) {
#if defined(__x86_64__)
  return _mm_getcsr();
#elif defined(__aarch64__)
  uint64_t control, flags;
  __asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(control), "=r"(flags));
  return control << 32 | flags;
#else
  return (uint64_t)fegetround();
#endif
}

static void enter(const environment *to) {
  fesetenv(FE_DFL_ENV);
  fesetround(to->rounding);
#if defined(__x86_64__)
  _mm_setcsr(_mm_getcsr() | (to->flushes ? 0x8000 : 0) | (to->takes_for_zero ? 0x40 : 0));
#elif defined(__aarch64__)
  uint64_t flag = to->flushes || to->takes_for_zero ? (uint64_t)1 << 24 : 0, was;
  __asm__ volatile("mrs %0, fpcr" : "=r"(was));
  __asm__ volatile("msr fpcr, %0" ::"r"(was | flag));
#endif
  if (to->traps) feenableexcept(to->traps);
  else feraiseexcept(FE_DIVBYZERO);  // a flag of the caller's, which it finds again
}

// ---------------------------------------------------------------- results

static float *large, *small, *weights;
static onnx_bytes file;

static martlet_tensor *wrapped(float *values, int64_t rows, int64_t columns) {
  int64_t shape[] = {rows, columns};
  martlet_tensor *tensor = NULL;
  size_t bytes = (size_t)(rows * columns) * sizeof *values;
  martlet_tensor_wrap(values, bytes, MARTLET_FLOAT32, 2, shape, &tensor);
  return tensor;
}

static bool compute(martlet_tensor *results[RESULTS]) {
  martlet_tensor *a = wrapped(large, ROWS, INNER), *tiny = wrapped(small, ROWS, INNER);
  martlet_tensor *b = wrapped(weights, INNER, COLUMNS), *x = wrapped(large, 40, MLP_IN);
  martlet_model *model = NULL;
  for (int i = 0; i < RESULTS; ++i) results[i] = NULL;
  bool done = !martlet_matmul(a, b, MARTLET_MATH_FP32, &results[0]) &&
              !martlet_matmul(tiny, b, MARTLET_MATH_FP32, &results[1]) &&
              !martlet_softmax(a, -1, &results[2]) && !martlet_gelu(a, false, &results[3]) &&
              !martlet_matmul(a, b, MARTLET_MATH_BF16, &results[4]) &&
              !martlet_model_load_memory(file.data, file.size, NULL, &model) &&
              !martlet_model_run(model, &x, 1, &results[5], 1);
  martlet_model_release(model);
  martlet_tensor_release(a);
  martlet_tensor_release(tiny);
  martlet_tensor_release(b);
  martlet_tensor_release(x);
  return done;
}

static void drop(martlet_tensor *results[RESULTS]) {
  for (int i = 0; i < RESULTS; ++i) martlet_tensor_release(results[i]);
}

// Tasks on threads of the caller's own, each in whatever environment it began in.
typedef struct share {
  const environment *environment;
  int64_t first, count, step;
  martlet_task task;
  void *context;
} share;

static void *run_share(void *argument) {
  share *of = argument;
  enter(of->environment);
  for (int64_t i = of->first; i < of->count; i += of->step) of->task(of->context, i);
  return NULL;
}

static void on_own_threads(void *user, int64_t count, martlet_task task, void *context) {
  pthread_t threads[MOST_THREADS];
  share shares[MOST_THREADS];
  for (int i = 0; i < MOST_THREADS; ++i) {
    shares[i] = (share){user, i, count, MOST_THREADS, task, context};
    pthread_create(&threads[i], NULL, run_share, &shares[i]);
  }
  for (int i = 0; i < MOST_THREADS; ++i) pthread_join(threads[i], NULL);
}

// What went wrong in a process that calls the library for the first time in `to`: bits of it.
static int first_calls(const environment *to, const char *isa) {
  martlet_tensor *results[RESULTS];
  enter(to);
  uint64_t before = control();
  bool is_same = strcmp(martlet_cpu_isa(), isa) == 0;
  bool is_kept = control() == before;
  bool is_done = compute(results);
  is_kept = is_kept && control() == before;
  fesetenv(FE_DFL_ENV);
  return (is_same ? 0 : 1) + (is_kept ? 0 : 2) + (is_done ? 0 : 4);
}

static int in_child(const environment *to, const char *isa) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) _exit(first_calls(to, isa));
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// The instruction set that a process settles on in the default environment.
static void settle(char *isa, size_t size) {
  int ends[2];
  if (pipe(ends)) exit(2);
  if (fork() == 0) {
    const char *name = martlet_cpu_isa();
    _exit(write(ends[1], name, strlen(name) + 1) < 0);
  }
  close(ends[1]);
  ssize_t got = read(ends[0], isa, size - 1);
  isa[got > 0 ? got : 0] = 0;
  close(ends[0]);
  wait(NULL);
}

static void compare(const environment *to, int32_t threads, martlet_tensor *expected[RESULTS],
                    const char *who) {
  martlet_tensor *results[RESULTS];
  martlet_set_num_threads(threads);
  enter(to);
  uint64_t before = control();
  bool done = compute(results);
  bool kept = control() == before;
  fesetenv(FE_DFL_ENV);
  for (int i = 0; done && i < RESULTS; ++i) done = same_bits(results[i], expected[i]);
  check(done, "%s: the same bits on %d %s", to->name, (int)threads, who);
  check(kept, "and the caller's environment is as before");
  drop(results);
}

int main(void) {
  uint64_t state = 17;
  char isa[64];
  file = onnx_mlp();
  settle(isa, sizeof isa);
  large = malloc(ROWS * INNER * sizeof *large);
  small = malloc(ROWS * INNER * sizeof *small);
  weights = malloc(INNER * COLUMNS * sizeof *weights);
  for (int i = 0; i < ROWS * INNER; ++i) large[i] = 3 * sample(&state);
  for (int i = 0; i < ROWS * INNER; ++i) small[i] = sample(&state) * 1e-39f;  // denormals
  for (int i = 0; i < INNER * COLUMNS; ++i) weights[i] = sample(&state);
  for (int i = 0; i < ENVIRONMENTS; ++i) {
    int faults = in_child(&environments[i], isa);
    check(faults == 0, "the first calls, %s: %s, kept, done (%d)", environments[i].name, isa,
          faults);
  }

  martlet_tensor *expected[RESULTS];
  check_ok(martlet_set_num_threads(1));
  check(compute(expected), "results in the default environment");
  check_ok(martlet_set_spin_microseconds(0));
  for (int i = 0; i < ENVIRONMENTS; ++i)
    for (int32_t threads = 1; threads <= MOST_THREADS; ++threads)
      compare(&environments[i], threads, expected, "threads");
  for (int i = 0; i < ENVIRONMENTS; ++i) {
    check_ok(martlet_set_parallel_for(on_own_threads, (void *)&environments[i]));
    compare(&environments[i], MOST_THREADS, expected, "threads of the caller's");
  }
  check_ok(martlet_set_parallel_for(NULL, NULL));
  drop(expected);
  free(large);
  free(small);
  free(weights);
  free(file.data);
  return finish();
}
