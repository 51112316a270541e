// Children of fork use the library, whatever other threads of their parents were at.
// Usage: forks [COUNT]   COUNT: children in each form; 40
#include "conformance.h"
#include "onnx_bytes.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

// Seconds after which a child hangs: it needs a few milliseconds.
enum { PATIENCE = 20, BUSY_THREADS = 3, ROWS = 3, K = 96, N = 80 };
static int children = 40;
static onnx_bytes file;
static float x_values[ROWS * MLP_IN], a_values[ROWS * K], b_values[K * N];

typedef struct outcome {
  int forked, hung, died, wrong;
} outcome;

// ---------------------------------------------------------------- what children do

static martlet_tensor *wrapped(float *values, int64_t rows, int64_t columns) {
  int64_t shape[] = {rows, columns};
  martlet_tensor *tensor = NULL;
  size_t bytes = (size_t)(rows * columns) * sizeof *values;
  martlet_tensor_wrap(values, bytes, MARTLET_FLOAT32, 2, shape, &tensor);
  return tensor;
}

// a times `weight`, the same as the sums of the doubles.
static bool product_is_right(martlet_tensor *weight) {
  double expected[ROWS * N] = {0};
  for (int i = 0; i < ROWS; ++i)
    for (int k = 0; k < K; ++k)
      for (int j = 0; j < N; ++j)
        expected[i * N + j] += (double)a_values[i * K + k] * b_values[k * N + j];
  martlet_tensor *a = wrapped(a_values, ROWS, K), *y = NULL;
  bool right = martlet_matmul(a, weight, MARTLET_MATH_FP32, &y) == MARTLET_OK &&
               distance(y, expected, ROWS * N) < 1e-5;
  martlet_tensor_release(a);
  martlet_tensor_release(y);
  return right;
}

// Each row of the model's outcome is a distribution.
static bool run_is_right(martlet_model *model) {
  martlet_tensor *x = wrapped(x_values, ROWS, MLP_IN), *y = NULL;
  bool right = martlet_model_run(model, &x, 1, &y, 1) == MARTLET_OK;
  float *values = right ? read_floats(y, NULL) : NULL;
  for (int i = 0; right && i < ROWS; ++i) {
    float sum = 0;
    for (int j = 0; j < MLP_OUT; ++j) sum += values[i * MLP_OUT + j];
    right = fabsf(sum - 1) < 1e-5f;
  }
  free(values);
  martlet_tensor_release(x);
  martlet_tensor_release(y);
  return right;
}

// NULL where all went well.
static void *use(void *unused) {
  (void)unused;
  martlet_model *model = NULL;
  martlet_tensor *b = wrapped(b_values, K, N), *packed = NULL;
  bool right = strcmp(martlet_dtype_name(MARTLET_FLOAT32), "float32") == 0 &&
               martlet_model_load_memory(file.data, file.size, NULL, &model) == MARTLET_OK &&
               run_is_right(model) && product_is_right(b) &&
               martlet_pack(b, &packed) == MARTLET_OK && product_is_right(packed) &&
               martlet_tensor_shape(NULL, NULL, NULL) == MARTLET_INVALID_HANDLE &&
               martlet_last_error()->message[0] != 0;
  martlet_model_release(model);
  martlet_tensor_release(packed);
  martlet_tensor_release(b);
  return right ? NULL : (void *)1;
}

// Uses the library on `count` threads at once, this one with them.
static int use_on_threads(int count) {
  pthread_t threads[8];
  for (int i = 1; i < count; ++i) pthread_create(&threads[i], NULL, use, NULL);
  int wrong = use(NULL) != NULL;
  for (int i = 1; i < count; ++i) {
    void *result = NULL;
    pthread_join(threads[i], &result);
    wrong += result != NULL;
  }
  return wrong;
}

// ---------------------------------------------------------------- forms

// Forks one child that does `body`, and counts what came of it.
static void child(outcome *all, int (*body)(void)) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    alarm(PATIENCE);
    _exit(body());
  }
  int status = 0;
  waitpid(pid, &status, 0);
  all->forked += 1;
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) all->hung += 1;
  else if (WIFSIGNALED(status)) all->died += 1;
  else all->wrong += WEXITSTATUS(status) != 0;
}

static void report(outcome all, const char *form) {
  check(all.forked >= children && all.hung + all.died + all.wrong == 0,
        "%s: of %d children %d hung, %d died, %d were wrong", form, all.forked, all.hung, all.died,
        all.wrong);
}

static int three_at_once(void) { return use_on_threads(3); }
static int alone(void) { return use(NULL) != NULL; }

static volatile bool stop;
static martlet_model *shared_model;
static martlet_tensor *shared_weight;

static void *busy(void *number) {
  while (!stop) {
    if ((intptr_t)number == 0) martlet_dtype_name(MARTLET_FLOAT32);
    else if ((intptr_t)number == 1) run_is_right(shared_model);
    else use(NULL);
  }
  return NULL;
}

static int busy_child(void) {
  return !run_is_right(shared_model) || !product_is_right(shared_weight) || use(NULL) != NULL;
}

// A weight's panels are made by whoever multiplies with it first.
static void *pack(void *unused) {
  (void)unused;
  while (!stop) {
    martlet_tensor *b = wrapped(b_values, K, N), *fresh = NULL;
    martlet_pack(b, &fresh);
    martlet_tensor *before = __atomic_exchange_n(&shared_weight, fresh, __ATOMIC_SEQ_CST);
    product_is_right(fresh);
    martlet_tensor_release(before);
    martlet_tensor_release(b);
  }
  return NULL;
}

static int packing_child(void) {
  martlet_tensor *weight = __atomic_load_n(&shared_weight, __ATOMIC_SEQ_CST);
  bool right = true;
  // It may have been released just when the process forked.
  if (martlet_tensor_retain(weight) == MARTLET_OK) right = product_is_right(weight);
  return !right || use(NULL) != NULL;
}

static void with_threads(int count, void *(*work)(void *), int (*body)(void), const char *form) {
  pthread_t threads[8];
  outcome all = {0};
  stop = false;
  for (int i = 0; i < count; ++i) pthread_create(&threads[i], NULL, work, (void *)(intptr_t)i);
  for (int i = 0; i < children; ++i) {
    child(&all, body);
    usleep((useconds_t)(i % 7 * 50));
  }
  stop = true;
  for (int i = 0; i < count; ++i) pthread_join(threads[i], NULL);
  report(all, form);
}

// A process that has not used the library does so on two threads, and forks meanwhile.
enum { FORKS_OF_EACH = 4 };
static int first_user(void) {
  pthread_t threads[2];
  outcome all = {0};
  for (int i = 0; i < 2; ++i) pthread_create(&threads[i], NULL, use, NULL);
  for (int i = 0; i < FORKS_OF_EACH; ++i) {
    usleep((useconds_t)(getpid() % 97 * 10 * i));
    child(&all, alone);
  }
  int wrong = all.hung + all.died + all.wrong;
  for (int i = 0; i < 2; ++i) {
    void *result = NULL;
    pthread_join(threads[i], &result);
    wrong += result != NULL;
  }
  return wrong;
}

int main(int count, char **arguments) {
  if (count > 1) children = atoi(arguments[1]);
  uint64_t state = 3;
  for (int i = 0; i < ROWS * MLP_IN; ++i) x_values[i] = sample(&state);
  for (int i = 0; i < ROWS * K; ++i) a_values[i] = sample(&state);
  for (int i = 0; i < K * N; ++i) b_values[i] = sample(&state);
  file = onnx_mlp();

  outcome first = {0};
  for (int i = 0; i < children; i += FORKS_OF_EACH) child(&first, first_user);
  first.forked *= FORKS_OF_EACH;
  report(first, "while the library is used for the first time");

  outcome idle = {0};
  martlet_version();
  for (int i = 0; i < children; ++i) child(&idle, three_at_once);
  report(idle, "of a process that has only loaded it, three threads at once");

  check(use_on_threads(2) == 0, "the parent uses it");
  outcome resting = {0};
  for (int i = 0; i < children; ++i) child(&resting, three_at_once);
  report(resting, "of a process that has used it, three threads at once");

  check_ok(martlet_set_num_threads(3));
  martlet_tensor *b = wrapped(b_values, K, N);
  check_ok(martlet_model_load_memory(file.data, file.size, NULL, &shared_model));
  check_ok(martlet_pack(b, &shared_weight));
  with_threads(BUSY_THREADS, busy, busy_child, "beside threads that load, compute and ask");
  with_threads(2, pack, packing_child, "beside threads that pack");
  check(use_on_threads(2) == 0, "the parent goes on");

  martlet_model_release(shared_model);
  martlet_tensor_release(shared_weight);
  martlet_tensor_release(b);
  free(file.data);
  return finish();
}
