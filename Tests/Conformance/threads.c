// Many threads at once, the caller's scheduler, and forked children.
#include "conformance.h"
#include "onnx_bytes.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { M = 160, K = 200, N = 180, THREADS = 8 };
static float *a_values, *b_values;
static martlet_tensor *lhs, *rhs, *packed, *reference;
static martlet_model *model;
static martlet_context *shared_context;

static bool multiply(martlet_tensor *weight) {
  martlet_tensor *result = NULL;
  bool same = martlet_matmul(lhs, weight, MARTLET_MATH_FP32, &result) == MARTLET_OK &&
              same_bits(result, reference);
  martlet_tensor_release(result);
  return same;
}

static void settings(void) {
  check_ok(martlet_set_num_threads(3));
  check(martlet_get_num_threads() == 3, "the thread count is set");
  check_status(MARTLET_INVALID_ARGUMENT, martlet_set_num_threads(-1));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_set_num_threads(100000));
  check(martlet_get_num_threads() == 3, "a failed call changes nothing");
  check_ok(martlet_set_num_threads(0));
  check(martlet_get_num_threads() >= 1, "0 goes back to the default");
  check_ok(martlet_set_spin_microseconds(0));
  check(martlet_get_spin_microseconds() == 0, "the spin budget may be 0");
  check(multiply(rhs), "and work is done all the same");
  check_status(MARTLET_INVALID_ARGUMENT, martlet_set_spin_microseconds(-1));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_set_spin_microseconds(2000000));
  check_ok(martlet_set_spin_microseconds(100));
  for (int32_t count = 1; count <= 5; ++count) {
    check_ok(martlet_set_num_threads(count));
    check(multiply(rhs) && multiply(packed), "the bits are the same with %d threads", (int)count);
  }
}

static int scheduled;
static void backwards(void *user, int64_t count, martlet_task task, void *context) {
  *(int *)user += (int)count;
  for (int64_t i = count - 1; i >= 0; --i) task(context, i);
}

static void own_scheduler(void) {
  check_ok(martlet_set_num_threads(4));
  check_ok(martlet_set_parallel_for(backwards, &scheduled));
  check(multiply(rhs), "the caller's scheduler gives the same bits");
  check(scheduled > 0, "it was given %d tasks", scheduled);
  check_ok(martlet_set_parallel_for(NULL, NULL));
  int before = scheduled;
  check(multiply(rhs) && scheduled == before, "and is left again");
}

// Pools of the caller's own, with models and contexts that outlive them.
static void own_pools(void) {
  float x_values[2 * MLP_IN];
  uint64_t state = 5;
  for (int i = 0; i < 2 * MLP_IN; ++i) x_values[i] = sample(&state);
  int64_t shape[] = {2, MLP_IN};
  martlet_tensor *x = NULL, *first = NULL;
  check_ok(martlet_tensor_from_data(x_values, sizeof x_values, MARTLET_FLOAT32, 2, shape, &x));
  check_ok(martlet_model_run(model, &x, 1, &first, 1));
  int32_t count = 0;
  for (int32_t threads = 0; threads <= 4; ++threads) {
    martlet_pool_options options = {.struct_size = sizeof options, .thread_count = threads};
    martlet_pool *pool = NULL;
    check_ok(martlet_pool_create(&options, &pool));
    check_ok(martlet_pool_thread_count(pool, &count));
    check(threads == 0 ? count >= 1 : count == threads, "a pool has %d threads", (int)count);
    onnx_bytes file = onnx_mlp();
    martlet_model_options load = {.struct_size = sizeof load, .pool = pool};
    martlet_model *own = NULL;
    martlet_context *context = NULL;
    martlet_tensor *y = NULL, *z = NULL;
    check_ok(martlet_model_load_memory(file.data, file.size, &load, &own));
    free(file.data);
    check_ok(martlet_context_create(model, &context));
    check_ok(martlet_context_set_pool(context, pool));
    check_ok(martlet_pool_release(pool));
    check_ok(martlet_model_run(own, &x, 1, &y, 1));
    check_ok(martlet_context_run(context, &x, 1, &z, 1));
    check(same_bits(y, first) && same_bits(z, first), "every pool gives the same bits");
    check_ok(martlet_context_set_pool(context, NULL));
    check_status(MARTLET_INVALID_HANDLE, martlet_context_set_pool(context, pool));
    check_status(MARTLET_INVALID_HANDLE, martlet_context_set_pool(context, (martlet_pool *)model));
    load.pool = pool;
    martlet_model *none = NULL;
    check_status(MARTLET_INVALID_HANDLE, martlet_model_load_memory("x", 1, &load, &none));
    martlet_context_release(context);
    martlet_model_release(own);
    martlet_tensor_release(y);
    martlet_tensor_release(z);
  }
  int called = 0;
  martlet_pool_options options = {.struct_size = sizeof options,
                                  .thread_count = 3,
                                  .parallel_for = backwards,
                                  .parallel_for_user = &called};
  martlet_pool *pool = NULL;
  check_ok(martlet_pool_create(&options, &pool));
  check_ok(martlet_pool_retain(pool));
  check_ok(martlet_pool_release(pool));
  check_ok(martlet_pool_release(pool));
  check_status(MARTLET_INVALID_HANDLE, martlet_pool_release(pool));
  check_ok(martlet_pool_release(NULL));
  options.thread_count = 2000;
  check_status(MARTLET_INVALID_ARGUMENT, martlet_pool_create(&options, &pool));
  check(pool == NULL, "a refused pool is NULL");
  options.thread_count = -1;
  check_status(MARTLET_INVALID_ARGUMENT, martlet_pool_create(&options, &pool));
  options.thread_count = 0;
  const int32_t bad[] = {-1, 1 << 20, INT32_MAX};
  options.processor_count = 1;
  for (int i = 0; i < 3; ++i) {
    options.processors = &bad[i];
    check_status(MARTLET_INVALID_ARGUMENT, martlet_pool_create(&options, &pool));
  }
  options.processors = NULL;
  check_status(MARTLET_INVALID_ARGUMENT, martlet_pool_create(&options, &pool));
  options.processors = bad;
  options.processor_count = SIZE_MAX;
  check_status(MARTLET_INVALID_ARGUMENT, martlet_pool_create(&options, &pool));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_pool_create(NULL, NULL));
  check_ok(martlet_pool_create(NULL, &pool));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_pool_thread_count(pool, NULL));
  check_ok(martlet_pool_release(pool));
  martlet_tensor_release(x);
  martlet_tensor_release(first);
}

static void *worker(void *number) {
  long failures = 0, index = (long)(intptr_t)number;
  float x_values[2 * MLP_IN];
  uint64_t state = 7;
  for (int i = 0; i < 2 * MLP_IN; ++i) x_values[i] = sample(&state);
  int64_t shape[] = {2, MLP_IN};
  martlet_tensor *x = NULL, *first = NULL;
  martlet_context *context = NULL;
  failures += martlet_tensor_from_data(x_values, sizeof x_values, MARTLET_FLOAT32, 2, shape, &x) !=
              0;
  failures += martlet_context_create(model, &context) != 0;
  failures += martlet_model_run(model, &x, 1, &first, 1) != 0;
  for (int round = 0; round < 40; ++round) {
    martlet_tensor *y = NULL, *z = NULL;
    failures += martlet_context_run(context, &x, 1, &y, 1) != 0 || !same_bits(y, first);
    failures += martlet_model_run(model, &x, 1, &z, 1) != 0 || !same_bits(z, first);
    failures += round % 8 == 0 && !multiply(index % 2 ? rhs : packed);
    failures += martlet_set_float32_fast_math_mode("nonsense") != MARTLET_NOT_FOUND;
    failures += strstr(martlet_last_error()->message, "nonsense") == NULL;
    martlet_tensor_release(y);
    martlet_tensor_release(z);
    y = NULL;
    // The context of everybody: a run, or a refusal; never a mix.
    martlet_status status = martlet_context_run(shared_context, &x, 1, &y, 1);
    if (status == MARTLET_OK) {
      failures += !same_bits(y, first);
    } else {
      failures += status != MARTLET_INVALID_STATE;
    }
    if (status == MARTLET_OK) martlet_tensor_release(y);
  }
  martlet_tensor_release(x);
  martlet_tensor_release(first);
  martlet_context_release(context);
  return (void *)(intptr_t)failures;
}

static void eight_threads(void) {
  pthread_t threads[THREADS];
  long failures = 0;
  for (long i = 0; i < THREADS; ++i) pthread_create(&threads[i], NULL, worker, (void *)(intptr_t)i);
  for (int i = 0; i < THREADS; ++i) {
    void *result = NULL;
    pthread_join(threads[i], &result);
    failures += (long)(intptr_t)result;
  }
  check(failures == 0, "8 threads share a model and a packed weight (%d failures)", (int)failures);
}

// Calls with a handle that another thread releases: each has the tensor, or finds no handle.
static martlet_tensor *passing;
static int passing_faults;
static bool passing_ends;

static void *use_passing(void *unused) {
  (void)unused;
  while (!__atomic_load_n(&passing_ends, __ATOMIC_RELAXED)) {
    martlet_tensor *handle = __atomic_load_n(&passing, __ATOMIC_ACQUIRE);
    int64_t count = 7;
    martlet_status status = martlet_tensor_element_count(handle, &count);
    bool fine = status == MARTLET_INVALID_HANDLE || (status == MARTLET_OK && count == 7);
    status = martlet_tensor_retain(handle);
    if (status == MARTLET_OK) {
      void *data = NULL;
      fine = fine && martlet_tensor_mutable_data(handle, &data) == MARTLET_OK;
      // What is held stays: nobody else may free it. Others may write there at the same time.
      if (fine) __atomic_store_n((uint32_t *)data, 1, __ATOMIC_RELAXED);
      fine = fine && martlet_tensor_release(handle) == MARTLET_OK;
    } else {
      fine = fine && status == MARTLET_INVALID_HANDLE;
    }
    if (!fine) __atomic_fetch_add(&passing_faults, 1, __ATOMIC_RELAXED);
  }
  return NULL;
}

static void released_while_used(void) {
  enum { USERS = 3, RELEASES = 60000 };
  pthread_t users[USERS];
  int64_t shape[] = {7};
  int failures = 0;
  for (int i = 0; i < USERS; ++i) pthread_create(&users[i], NULL, use_passing, NULL);
  for (int i = 0; i < RELEASES; ++i) {
    martlet_tensor *handle = NULL;
    failures += martlet_tensor_create(MARTLET_FLOAT32, 1, shape, &handle) != MARTLET_OK;
    __atomic_store_n(&passing, handle, __ATOMIC_RELEASE);
    failures += martlet_tensor_release(handle) != MARTLET_OK;
  }
  __atomic_store_n(&passing_ends, true, __ATOMIC_RELAXED);
  for (int i = 0; i < USERS; ++i) pthread_join(users[i], NULL);
  check(failures == 0 && passing_faults == 0,
        "%d handles released while %d threads use them (%d faults)", RELEASES, USERS,
        failures + passing_faults);
}

static int child(void) {
  if (!multiply(rhs) || !multiply(packed)) return 1;
  if (worker((void *)(intptr_t)0)) return 2;
  return 0;
}

static void *forker(void *unused) {
  (void)unused;
  int failures = 0;
  for (int round = 0; round < 3; ++round) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
      alarm(60);  // a child that hangs is a failure too
      _exit(child());
    }
    int status = 0;
    waitpid(pid, &status, 0);
    failures += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
  }
  return (void *)(intptr_t)failures;
}

int main(void) {
  uint64_t state = 11;
  int64_t a_shape[] = {M, K}, b_shape[] = {K, N};
  lhs = random_tensor(&state, 2, a_shape, &a_values);
  rhs = random_tensor(&state, 2, b_shape, &b_values);
  onnx_bytes file = onnx_mlp();
  check_ok(martlet_matmul(lhs, rhs, MARTLET_MATH_FP32, &reference));
  check_ok(martlet_pack(rhs, &packed));
  check_ok(martlet_model_load_memory(file.data, file.size, NULL, &model));
  check_ok(martlet_context_create(model, &shared_context));
  if (failed) return finish();
  settings();
  own_scheduler();
  own_pools();
  released_while_used();
  check_ok(martlet_set_num_threads(4));
  eight_threads();
  check(forker(NULL) == NULL,
        "a forked child computes the same, after its parent has used threads");
  pthread_t thread;
  void *failures = NULL;
  pthread_create(&thread, NULL, forker, NULL);
  pthread_join(thread, &failures);
  check(failures == NULL, "so does one that is forked by another thread");
  eight_threads();
  martlet_context_release(shared_context);
  martlet_model_release(model);
  martlet_tensor_release(lhs);
  martlet_tensor_release(rhs);
  martlet_tensor_release(packed);
  martlet_tensor_release(reference);
  free(a_values);
  free(b_values);
  free(file.data);
  return finish();
}
