// Where the system has no more memory, calls say so: each is made in a child of which RLIMIT_AS leaves
// a little, from nothing to 64 MB, and must end with OK or OUT_OF_MEMORY, and the child by itself.
#define _GNU_SOURCE 1
#include "conformance.h"
#include "onnx_bytes.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_OWN_ALLOCATOR 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__) || \
  !defined(__x86_64__)
#define HAS_OWN_ALLOCATOR 1
#endif

static const int64_t one[] = {1};
static onnx_bytes chain, mlp;
static martlet_model *model, *long_model;
static martlet_context *context, *long_context;
static martlet_tensor *x, *single;

static const char *numbered(char *to, const char *name, int index) {
  snprintf(to, 64, "%s%d", name, index);
  return to;
}

static onnx_bytes chain_of(int count) {
  onnx_bytes graph = {0};
  char from[64], to[64], name[64];
  for (int i = 0; i < count; ++i)
    onnx_message(&graph, 1,
                 onnx_node(i % 2 ? "Neg" : "Sin", numbered(name, "n", i), numbered(from, "v", i),
                           numbered(to, "v", i + 1)));
  onnx_text(&graph, 2, "chain");
  onnx_message(&graph, 11, onnx_value("v0", 1, 1, one));
  onnx_message(&graph, 12, onnx_value(to, 1, 1, one));
  return onnx_model(graph);
}

// ---- What is done with little memory; the status of the first call that fails

static martlet_status load(onnx_bytes file) {
  martlet_model *loaded = NULL;
  martlet_status status = martlet_model_load_memory(file.data, file.size, NULL, &loaded);
  martlet_model_release(loaded);
  return status;
}

static martlet_status loading(void) { return load(chain); }

static martlet_status loading_small(void) {
  martlet_status status = MARTLET_OK;
  for (int i = 0; i < 20 && !status; ++i) status = load(mlp);
  return status;
}

static martlet_status runs_of(martlet_context *runs, martlet_tensor *input) {
  martlet_status status = MARTLET_OK;
  for (int i = 0; i < 4 && !status; ++i) {
    martlet_tensor *y = NULL;
    status = martlet_context_run(runs, &input, 1, &y, 1);
    martlet_tensor_release(y);
  }
  return status;
}

static martlet_status running(void) { return runs_of(context, x); }
static martlet_status running_long(void) { return runs_of(long_context, single); }

static martlet_status running_models(void) {
  martlet_status status = MARTLET_OK;
  for (int i = 0; i < 4 && !status; ++i) {
    martlet_tensor *y = NULL;
    status = martlet_model_run(long_model, &single, 1, &y, 1);
    martlet_tensor_release(y);
  }
  return status;
}

// Until there is no more of it.
static martlet_status contexts(void) {
  martlet_status status = MARTLET_OK;
  for (int i = 0; i < 100000 && !status; ++i) {
    martlet_context *made = NULL;
    status = martlet_context_create(long_model, &made);
  }
  return status;
}

static martlet_status attributes(void) {
  martlet_status status = MARTLET_OK;
  char name[64];
  for (int i = 0; i < 100000 && !status; ++i) {
    martlet_attributes *set = NULL;
    status = martlet_attributes_create(&set);
    for (int k = 0; k < 10 && !status; ++k)
      status = martlet_attributes_set_string(set, numbered(name, "attribute number ", k),
                                             "a value that is too long to be kept inline");
  }
  return status;
}

static martlet_status tensors(void) {
  martlet_status status = MARTLET_OK;
  const int64_t shape[] = {1 << 12};
  for (int i = 0; i < 100000 && !status; ++i) {
    martlet_tensor *made = NULL;
    status = martlet_tensor_create(MARTLET_FLOAT32, 1, shape, &made);
  }
  return status;
}

static martlet_status strings(void) {
  martlet_status status = MARTLET_OK;
  static const char *texts[64];
  const int64_t shape[] = {64};
  for (int i = 0; i < 64; ++i) texts[i] = "a string that is too long to be kept inline";
  for (int i = 0; i < 100000 && !status; ++i) {
    martlet_tensor *made = NULL;
    status = martlet_tensor_from_strings(texts, NULL, 1, shape, &made);
  }
  return status;
}

static martlet_status sequences(void) {
  martlet_status status = MARTLET_OK;
  for (int i = 0; i < 100000 && !status; ++i) {
    martlet_value *elements[64] = {NULL}, *sequence = NULL;
    for (int k = 0; k < 64 && !status; ++k)
      status = martlet_value_from_tensor(single, &elements[k]);
    if (!status) status = martlet_value_create_sequence(elements, 64, MARTLET_FLOAT32, &sequence);
  }
  return status;
}

static martlet_status eager(void) {
  martlet_status status = MARTLET_OK;
  const char *names[] = {"Sin", "Softmax", "Relu", "Transpose", "Shape", "ReduceSum", "Flatten"};
  for (int i = 0; i < 7 && !status; ++i) {
    martlet_tensor *y = NULL;
    status = martlet_op_run(names[i], NULL, MARTLET_MATH_DEFAULT, &x, 1, &y, 1);
    martlet_tensor_release(y);
  }
  return status;
}

// Calls that fail anyhow must fail as they do, or for want of memory.
static martlet_status failing(void) {
  martlet_tensor *y = NULL;
  for (int i = 0; i < 100; ++i) {
    martlet_status status =
      martlet_op_run("NoSuchOperatorAtAllIHope", NULL, MARTLET_MATH_DEFAULT, &x, 1, &y, 1);
    if (status != MARTLET_NOT_FOUND) return status;
  }
  return MARTLET_OK;
}

// ---- Children

static void use_stack(void) {
  volatile char stack[512 << 10];
  for (size_t i = 0; i < sizeof stack; i += 4096) stack[i] = 1;
}

static size_t address_space(void) {
  char text[64] = {0};
  int file = open("/proc/self/statm", O_RDONLY);
  if (file < 0 || read(file, text, sizeof text - 1) <= 0) return 0;
  close(file);
  return strtoul(text, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

// How the child ended: its exit status, or 256 and the signal.
static int outcome(martlet_status (*act)(void), size_t headroom) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    use_stack();
    struct rlimit limit = {address_space() + headroom, RLIM_INFINITY};
    setrlimit(RLIMIT_AS, &limit);
    martlet_status status = act();
    _exit(status == MARTLET_OK ? 0 : status == MARTLET_OUT_OF_MEMORY ? 1 : 100 + (int)status);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return 255;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static size_t step;  // in bytes; 0: finer where there is less

static void sweep(const char *what, martlet_status (*act)(void)) {
  int fine = 0, refused = 0, others = 0, first = 0;
  size_t at = 0;
  for (size_t headroom = 0; headroom <= 64u << 20; headroom += step                   ? step
                                                               : headroom < 1u << 20  ? 64u << 10
                                                               : headroom < 16u << 20 ? 1u << 20
                                                                                      : 8u << 20) {
    int end = outcome(act, headroom);
    if (end == 0) fine += 1;
    else if (end == 1) refused += 1;
    else if (others++ == 0) {
      first = end;
      at = headroom;
    }
  }
  if (!check(others == 0, "%s: %d times OK, %d times OUT_OF_MEMORY", what, fine, refused))
    printf("        %d times neither, first at %zu bytes: %s %d\n", others, at,
           first >= 256 ? "signal" : "exit", first & 255);
}

// With a number of KiB: each so many KiB of headroom are tried.
int main(int count, char **arguments) {
  if (count > 1) step = (size_t)atoi(arguments[1]) << 10;
#ifdef HAS_OWN_ALLOCATOR
  puts("0 passed, 0 failed (not tried under this allocator)");
  return 0;
#endif
  check_ok(martlet_set_num_threads(1));
  const int64_t shape[] = {64, MLP_IN};
  uint64_t state = 1;
  chain = chain_of(5000);
  mlp = onnx_mlp();
  x = random_tensor(&state, 2, shape, NULL);
  single = random_tensor(&state, 1, one, NULL);
  check_ok(martlet_model_load_memory(mlp.data, mlp.size, NULL, &model));
  check_ok(martlet_model_load_memory(chain.data, chain.size, NULL, &long_model));
  check_ok(martlet_context_create(model, &context));
  check_ok(martlet_context_create(long_model, &long_context));
  sweep("loading 5,000 nodes", loading);
  sweep("loading small models", loading_small);
  sweep("first runs", running);
  sweep("first runs of 5,000 nodes", running_long);
  sweep("runs of a model without a context", running_models);
  sweep("as many contexts as there can be", contexts);
  sweep("as many attributes as there can be", attributes);
  sweep("as many tensors as there can be", tensors);
  sweep("as many strings as there can be", strings);
  sweep("as many sequences as there can be", sequences);
  sweep("operators by themselves", eager);
  sweep("calls that fail", failing);
  return finish();
}
