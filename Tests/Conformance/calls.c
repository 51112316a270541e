// Calls the C functions in random order, on random handles: live ones, of another kind, released, NULL
// and addresses that are none; with extents, dtypes, counts and options that fit and that do not. All of
// it obeys the header, so every call must give a status, and a message where that is an error.
// Usage: calls [STEPS [SEED [KIB]]]; the seed is printed. An error of ours shows as a signal, or under
// AddressSanitizer. With KIB: the same in children of which RLIMIT_AS leaves 0, KIB, 2 KIB ... up to 64 MB
// of headroom, where calls may also find that there is no memory.
#include "conformance.h"
#include "onnx_bytes.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

enum { HANDLES = 48, DATA = 4096 };
static uint64_t state;
static uint64_t next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}
static int64_t below(int64_t count) { return (int64_t)(next() % (uint64_t)count); }
static bool one_in(int64_t count) { return below(count) == 0; }

// What was made, of whatever kind, some of it released; and where elements may lie.
typedef enum kind { TENSOR, VALUE, MODEL, CONTEXT, ATTRIBUTES, POOL } kind;
static struct {
  void *handle;
  kind kind;
  bool is_released;
} handles[HANDLES];
static float data[DATA];
static int64_t integers[DATA / 2];  // small ones: many are extents
static long counts[32], failures_seen;
static bool is_short;    // of memory: then an error may have no message
static onnx_bytes file;  // of a model

static void *some(kind wanted) {
  if (one_in(40)) return NULL;
  if (one_in(200)) return data;
  for (int tries = 0; tries < 24; ++tries) {
    int index = (int)below(HANDLES);
    if (handles[index].handle == NULL) continue;
    if ((handles[index].kind == wanted && !handles[index].is_released) || one_in(60))
      return handles[index].handle;
  }
  return NULL;
}

static martlet_status release(void *handle, kind kind) {
  switch (kind) {
    case TENSOR: return martlet_tensor_release(handle);
    case VALUE: return martlet_value_release(handle);
    case MODEL: return martlet_model_release(handle);
    case CONTEXT: return martlet_context_release(handle);
    case ATTRIBUTES: return martlet_attributes_release(handle);
    case POOL: return martlet_pool_release(handle);
  }
  return MARTLET_OK;
}

static void told(martlet_status status) {
  if (status < 0 || status >= 32) {
    check(false, "a status out of range: %d", status);
    return;
  }
  counts[status] += 1;
  if (status == MARTLET_OK || is_short) return;
  const martlet_error *error = martlet_last_error();
  if (error->status != status || error->message == NULL || error->message[0] == 0) {
    check(false, "no message for %s", martlet_status_name(status));
    failures_seen += 1;
  }
}

static void keep(void *handle, kind kind) {
  if (handle == NULL) return;
  int index = (int)below(HANDLES);
  if (handles[index].handle != NULL && !handles[index].is_released)
    told(release(handles[index].handle, handles[index].kind));
  handles[index].handle = handle;
  handles[index].kind = kind;
  handles[index].is_released = false;
}

static void drop(void) {
  int index = (int)below(HANDLES);
  if (handles[index].handle == NULL || handles[index].is_released) return;
  told(release(handles[index].handle, handles[index].kind));
  handles[index].is_released = true;
}

static int64_t extent(void) {
  static const int64_t odd[] = {0, 0, -1, INT64_MAX, INT64_MIN, (int64_t)1 << 40, 300, 33};
  if (one_in(30)) return odd[below(8)];
  return 1 + below(5);
}

static int32_t rank_of(int64_t *shape) {
  int32_t rank = (int32_t)below(5);
  for (int axis = 0; axis < 8; ++axis) shape[axis] = extent();
  if (one_in(60)) return (int32_t)(below(200) - 20);
  return rank;
}

static martlet_dtype dtype(void) {
  if (one_in(2)) return MARTLET_FLOAT32;
  return (martlet_dtype)(below(34) - 2);
}

static martlet_math_mode mode(void) { return (martlet_math_mode)(below(8) - 2); }

// Where elements of this dtype may lie, as many bytes as `data` has.
static void *memory_for(martlet_dtype type) {
  return type == MARTLET_FLOAT32 || one_in(20) ? (void *)data : (void *)integers;
}

static void make_tensor(void) {
  int64_t shape[256], strides[256];
  for (int axis = 0; axis < 256; ++axis) shape[axis] = strides[axis] = 1;
  int32_t rank = rank_of(shape);
  size_t bytes = one_in(4) ? (size_t)below(sizeof data + 1) : sizeof data;
  martlet_tensor *made = NULL;
  martlet_dtype type = dtype();
  void *memory = memory_for(type);
  switch (below(7)) {
    case 0: told(martlet_tensor_create_zeroed(type, rank, shape, &made)); break;
    case 1: told(martlet_tensor_from_data(memory, bytes, type, rank, shape, &made)); break;
    case 2: told(martlet_tensor_wrap(memory, bytes, type, rank, shape, &made)); break;
    case 3:
      for (int axis = 0; axis < 8; ++axis) strides[axis] = one_in(6) ? extent() - 3 : below(8);
      told(martlet_tensor_wrap_strided(memory, bytes, (size_t)(below(16) * (one_in(9) ? 1 : 4)),
                                       type, rank, shape, strides, (uint32_t)below(3), NULL, NULL,
                                       &made));
      break;
    case 4: told(martlet_tensor_convert(some(TENSOR), dtype(), &made)); break;
    case 5: told(martlet_tensor_copy(some(TENSOR), &made)); break;
    default: {
      const char *strings[] = {"a", "", "long enough to have memory of its own", "d"};
      size_t sizes[] = {1, 0, 38, 1};
      int64_t count = 1 + below(4);
      told(martlet_tensor_from_strings(strings, one_in(2) ? sizes : NULL, 1, &count, &made));
    }
  }
  keep(made, TENSOR);
}

static void look(void) {
  const martlet_tensor *tensor = some(TENSOR);
  martlet_dtype type;
  int32_t rank;
  const int64_t *extents;
  int64_t count;
  size_t bytes = 0, size;
  bool flag;
  const void *elements;
  void *writable;
  const char *string;
  told(martlet_tensor_dtype(tensor, &type));
  told(martlet_tensor_shape(tensor, one_in(20) ? NULL : &rank, &extents));
  told(martlet_tensor_strides(tensor, &extents));
  told(martlet_tensor_element_count(tensor, &count));
  told(martlet_tensor_byte_count(tensor, &bytes));
  told(martlet_tensor_is_contiguous(tensor, &flag));
  told(martlet_tensor_is_read_only(tensor, &flag));
  told(martlet_tensor_data(tensor, &elements));
  told(martlet_tensor_mutable_data((martlet_tensor *)tensor, &writable));
  told(martlet_tensor_string(tensor, extent() - 1, &string, &size));
  char *buffer = malloc(bytes + 1);
  if (buffer != NULL) told(martlet_tensor_read(tensor, buffer, one_in(8) ? bytes / 2 : bytes));
  free(buffer);
}

static void exchange(void) {
  struct DLManagedTensorVersioned *managed = NULL;
  martlet_tensor *made = NULL;
  told(martlet_tensor_to_dlpack(some(TENSOR), &managed));
  if (managed != NULL) told(martlet_tensor_from_dlpack(managed, &made));
  keep(made, TENSOR);
}

static void function(void) {
  // A slot holds NULL or a tensor of the caller's, which lives on there.
  martlet_tensor *given = one_in(4) ? some(TENSOR) : NULL, *result = given;
  switch (below(8)) {
    case 0: told(martlet_matmul(some(TENSOR), some(TENSOR), mode(), &result)); break;
    case 1:
      told(martlet_linear(some(TENSOR), some(TENSOR), one_in(2) ? NULL : some(TENSOR), mode(),
                          &result));
      break;
    case 2: {
      int64_t numbers[8];
      for (int axis = 0; axis < 8; ++axis) numbers[axis] = extent();
      martlet_conv_options options = {.struct_size = sizeof options, .groups = extent() - 1};
      if (one_in(3)) options.strides = numbers;
      if (one_in(3)) options.dilations = numbers;
      if (one_in(3)) options.pads = numbers;
      told(martlet_conv(some(TENSOR), some(TENSOR), one_in(2) ? NULL : some(TENSOR), &options,
                        mode(), &result));
      break;
    }
    case 3: told(martlet_softmax(some(TENSOR), extent() - 3, &result)); break;
    case 4:
      told(martlet_layer_norm(some(TENSOR), some(TENSOR), one_in(2) ? NULL : some(TENSOR),
                              extent() - 3, 1e-5f, &result));
      break;
    case 5: told(martlet_gelu(some(TENSOR), one_in(2), &result)); break;
    case 6:
      told(martlet_attention(some(TENSOR), some(TENSOR), some(TENSOR),
                             one_in(2) ? NULL : some(TENSOR), 0, one_in(2), mode(), &result));
      break;
    default: result = given = NULL; told(martlet_pack(some(TENSOR), &result));
  }
  if (result != given) keep(result, TENSOR);
}

static const char *const names[] = {"axis",     "axes",         "perm",    "to",           "alpha",
                                    "mode",     "strides",      "pads",    "kernel_shape", "group",
                                    "keepdims", "no such name", "equation"};

static void attribute(void) {
  martlet_attributes *set = some(ATTRIBUTES);
  if (set == NULL || one_in(6)) {
    martlet_attributes *made = NULL;
    told(martlet_attributes_create(&made));
    keep(made, ATTRIBUTES);
    return;
  }
  const char *name = names[below(13)];
  int64_t numbers[4] = {extent(), extent(), extent(), extent()};
  float reals[4] = {0.5f, -1, INFINITY, NAN};
  switch (below(7)) {
    case 0: told(martlet_attributes_set_int(set, name, extent() - 2)); break;
    case 1: told(martlet_attributes_set_float(set, name, reals[below(4)])); break;
    case 2:
      told(martlet_attributes_set_string(set, name, one_in(2) ? "ij,jk->ik" : "nearest"));
      break;
    case 3: told(martlet_attributes_set_ints(set, name, numbers, (size_t)below(5))); break;
    case 4: told(martlet_attributes_set_floats(set, name, reals, (size_t)below(5))); break;
    case 5: told(martlet_attributes_set_strings(set, name, names, (size_t)below(5))); break;
    default: told(martlet_attributes_set_tensor(set, name, some(TENSOR)));
  }
}

static void operator_call(void) {
  static size_t operators;
  while (martlet_op_name_at(operators) != NULL) operators += 1;
  martlet_tensor *inputs[4], *outputs[3], *given[3];
  size_t input_count = (size_t)below(5), output_count = 1 + (size_t)below(3);
  for (int i = 0; i < 4; ++i) inputs[i] = one_in(8) ? NULL : some(TENSOR);
  for (int i = 0; i < 3; ++i) outputs[i] = given[i] = one_in(9) ? some(TENSOR) : NULL;
  told(martlet_op_run(martlet_op_name_at((size_t)below((int64_t)operators)),
                      one_in(2) ? NULL : some(ATTRIBUTES), mode(), inputs, input_count, outputs,
                      output_count));
  for (size_t i = 0; i < output_count; ++i)
    if (outputs[i] != given[i]) keep(outputs[i], TENSOR);
}

static bool report(void *user, double fraction, const char *stage) {
  (void)user;
  (void)stage;
  (void)fraction;
  return !one_in(20);
}

static void model(void) {
  martlet_model *loaded = some(MODEL);
  if (loaded == NULL || one_in(20)) {
    uint8_t bytes[1024];
    memcpy(bytes, file.data, file.size);
    for (int i = 0; one_in(3) && i < 3; ++i) bytes[below((int64_t)file.size)] ^= 1 << below(8);
    const char *keys[] = {"optimize", "winograd", "max_memory_bytes", "no such key"};
    const char *values[] = {"1", "0", "100000", "x"};
    martlet_model_options options = {.struct_size = sizeof options,
                                     .keys = keys,
                                     .values = values,
                                     .option_count = (size_t)(one_in(9) ? 4 : below(4)),
                                     .pool = one_in(2) ? NULL : some(POOL)};
    if (one_in(3)) options.progress = report;
    martlet_model *made = NULL;
    told(martlet_model_load_memory(bytes, one_in(9) ? file.size / 2 : file.size,
                                   one_in(2) ? NULL : &options, &made));
    keep(made, MODEL);
    return;
  }
  size_t count;
  const martlet_value_info *info;
  const char *key, *value;
  martlet_memory memory = {.struct_size = sizeof memory};
  int64_t shape[2] = {extent(), MLP_IN}, bytes;
  const int64_t *shapes[] = {shape};
  int32_t rank = 2;
  told(martlet_model_input_count(loaded, &count));
  told(martlet_model_input(loaded, (size_t)below(3), &info));
  told(martlet_model_output(loaded, (size_t)below(3), &info));
  told(martlet_model_metadata(loaded, (size_t)below(3), &key, &value));
  told(martlet_model_memory(loaded, &memory));
  told(martlet_model_result_bytes(loaded, shapes, &rank, 1, &bytes));
  martlet_context *context = NULL;
  if (one_in(3)) told(martlet_context_create(loaded, &context));
  keep(context, CONTEXT);
  if (one_in(9)) told(martlet_model_trim(loaded));
}

static void run(void) {
  martlet_tensor *input = NULL, *outputs[2] = {NULL, NULL}, *given[2];
  int64_t shape[2] = {1 + below(4), MLP_IN};
  if (one_in(2)) told(martlet_tensor_wrap(data, sizeof data, MARTLET_FLOAT32, 2, shape, &input));
  keep(input, TENSOR);
  if (input == NULL) input = some(TENSOR);
  for (int i = 0; i < 2; ++i) outputs[i] = given[i] = one_in(8) ? some(TENSOR) : NULL;
  const char *input_names[] = {one_in(12) ? "y" : "x"}, *output_names[] = {"hidden", "y"};
  size_t wanted = 1 + (size_t)below(2);
  martlet_context *context = some(CONTEXT);
  switch (below(7)) {
    case 0: told(martlet_model_run(some(MODEL), &input, 1, outputs, wanted)); break;
    case 1:
      told(martlet_context_run(context, &input, (size_t)below(3) > 0, outputs, wanted));
      break;
    case 2:
      told(
        martlet_context_run_named(context, input_names, &input, 1, output_names, outputs, wanted));
      break;
    case 3: {
      martlet_value *value = some(VALUE), *results[2] = {NULL, NULL};
      told(martlet_context_run_values(context, &value, 1, results, 2));
      keep(results[0], VALUE);
      keep(results[1], VALUE);
      break;
    }
    case 4:
      told(martlet_context_set_option(context, one_in(4) ? "no such" : "max_milliseconds",
                                      one_in(4) ? "-1" : "1000"));
      told(martlet_context_set_progress(context, one_in(2) ? report : NULL, NULL));
      break;
    case 5: told(martlet_context_set_pool(context, one_in(2) ? NULL : some(POOL))); break;
    default: {
      size_t count;
      const martlet_node_info *info;
      const char *text;
      int64_t live, kept, peak;
      told(martlet_context_set_profiling(context, one_in(2)));
      told(martlet_context_node_count(context, &count));
      told(martlet_context_node(context, (size_t)below(4), &info));
      told(martlet_context_precision_report(context, &text));
      told(martlet_context_profile(context, &text));
      told(martlet_context_memory(context, &live, &kept, &peak));
      told(martlet_context_trim(context));
    }
  }
  for (int i = 0; i < 2; ++i)
    if (outputs[i] != given[i]) keep(outputs[i], TENSOR);
}

static void value(void) {
  martlet_value *parts[3] = {some(VALUE), some(VALUE), some(VALUE)}, *made = NULL;
  martlet_tensor *tensor = NULL;
  martlet_value_kind kind;
  size_t count;
  switch (below(9)) {
    case 0: told(martlet_value_create_sequence(parts, (size_t)below(4), dtype(), &made)); break;
    case 1: told(martlet_value_create_optional(one_in(3) ? NULL : parts[0], &made)); break;
    case 2: told(martlet_value_create_map(some(TENSOR), parts, (size_t)below(4), &made)); break;
    case 3:
      told(martlet_value_create_state(some(TENSOR), (int32_t)below(4), extent(), &made));
      break;
    case 4: told(martlet_value_element(parts[0], (size_t)below(3), &made)); break;
    case 5: told(martlet_value_keys(parts[0], &tensor)); break;
    case 6: told(martlet_value_tensor(parts[0], &tensor)); break;
    case 7:
      told(martlet_value_kind_of(parts[0], &kind));
      told(martlet_value_count(parts[0], &count));
      break;
    default: told(martlet_value_from_tensor(some(TENSOR), &made));
  }
  keep(made, VALUE);
  keep(tensor, TENSOR);
}

static void settings(void) {
  switch (below(7)) {
    case 0: told(martlet_set_num_threads((int32_t)below(5) - 1)); break;
    case 1: told(martlet_set_spin_microseconds((int32_t)below(200) - 10)); break;
    case 2: told(martlet_math_mode_push(mode())); break;
    case 3: told(martlet_math_mode_pop()); break;
    case 4: told(martlet_set_float32_fast_math_mode(one_in(3) ? "no such mode" : "FP32")); break;
    case 5: told(martlet_trim()); break;
    default: {
      martlet_pool_options options = {.struct_size = sizeof options,
                                      .thread_count = (int32_t)below(5) - 1};
      martlet_pool *pool = NULL;
      int32_t count;
      told(martlet_pool_create(&options, &pool));
      keep(pool, POOL);
      told(martlet_pool_thread_count(some(POOL), &count));
    }
  }
}

static void call(long steps, uint64_t seed) {
  state = seed * 2 + 1;
  for (int i = 0; i < DATA; ++i) data[i] = (float)below(2000) / 1000 - 1;
  for (int i = 0; i < DATA / 2; ++i) integers[i] = below(7) - 1;
  for (long step = 0; step < steps; ++step) {
    switch (below(20)) {
      case 0:
      case 1:
      case 2:
      case 3: make_tensor(); break;
      case 4: look(); break;
      case 5: exchange(); break;
      case 6:
      case 7:
      case 8: function(); break;
      case 9: attribute(); break;
      case 10:
      case 11:
      case 12: operator_call(); break;
      case 13:
      case 14: model(); break;
      case 15:
      case 16: run(); break;
      case 17: value(); break;
      case 18: settings(); break;
      default: drop();
    }
  }
  for (int i = 0; i < HANDLES; ++i)
    if (handles[i].handle != NULL && !handles[i].is_released)
      told(release(handles[i].handle, handles[i].kind));
}

static size_t address_space(void) {
  char text[64] = {0};
  int statm = open("/proc/self/statm", O_RDONLY);
  if (statm < 0 || read(statm, text, sizeof text - 1) <= 0) return 0;
  close(statm);
  return strtoul(text, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

static void leave(size_t bytes) {
  struct rlimit limit = {bytes, RLIM_INFINITY};
  setrlimit(RLIMIT_AS, &limit);
}

static int sweep(long steps, uint64_t seed, size_t bytes) {
  int children = 0, dead = 0;
  for (size_t headroom = 0; headroom <= 64u << 20; headroom += bytes, ++children) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
      is_short = true;
      leave(address_space() + headroom);
      call(steps, seed + (uint64_t)children);
      _exit(0);
    }
    int status = 0;
    if (child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status)) continue;
    if (dead++ == 0)
      printf("        %ld calls, seed %llu, headroom %zu: signal %d\n", steps,
             (unsigned long long)(seed + (uint64_t)children), headroom, WTERMSIG(status));
  }
  check(dead == 0, "of %d children with little memory %d died", children, dead);
  return finish();
}

int main(int argc, char **argv) {
  long steps = argc > 1 ? atol(argv[1]) : 20000;
  uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 20261130;
  size_t bytes = argc > 3 ? (size_t)atol(argv[3]) << 10 : 0;
  printf("seed %llu\n", (unsigned long long)seed);
  file = onnx_mlp();
  if (bytes > 0 && file.size <= 1024) return sweep(steps, seed, bytes);
#if !defined(SANITIZED)
  // What asks for more is refused, not granted by a system that does not have it.
  leave((size_t)4 << 30);
#endif
  call(steps, seed);
  for (int i = 0; i < 32; ++i)
    if (counts[i] > 0) printf("        %-18s %ld\n", martlet_status_name(i), counts[i]);
  check(file.size <= 1024, "the model's file is small");
  check(failures_seen == 0, "every error has a message");
  check(counts[MARTLET_OK] > steps / 4, "a quarter of the calls and more succeed");
  check(counts[MARTLET_INVALID_HANDLE] > 0, "some met handles that are none");
  return finish();
}
