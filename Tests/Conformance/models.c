// A model from memory and from a file: what it says of itself, runs, contexts, reports, callbacks.
#include "conformance.h"
#include "onnx_bytes.h"

#include <sys/wait.h>
#include <unistd.h>

static const float x_values[2 * MLP_IN] = {1, 0.5f, -1, 2, 0.25f, -3, 1, 0.125f};
static const int64_t x_shape[] = {2, MLP_IN}, y_shape[] = {2, MLP_OUT};

static martlet_model *load(const martlet_model_options *options) {
  onnx_bytes file = onnx_mlp();
  martlet_model *model = NULL;
  check_ok(martlet_model_load_memory(file.data, file.size, options, &model));
  memset(file.data, 0, file.size);
  free(file.data);
  return model;
}

static martlet_tensor *input(void) {
  martlet_tensor *x = NULL;
  check_ok(martlet_tensor_from_data(x_values, sizeof x_values, MARTLET_FLOAT32, 2, x_shape, &x));
  return x;
}

static void expected_outputs(double *y, double *hidden) {
  for (int i = 0; i < 2; ++i) {
    double sum = 0;
    for (int j = 0; j < MLP_OUT; ++j) {
      double value = mlp_bias[j];
      for (int p = 0; p < MLP_IN; ++p)
        value += (double)x_values[i * MLP_IN + p] * mlp_weight[p * MLP_OUT + j];
      hidden[i * MLP_OUT + j] = value > 0 ? value : 0;
      sum += exp(hidden[i * MLP_OUT + j]);
    }
    for (int j = 0; j < MLP_OUT; ++j) y[i * MLP_OUT + j] = exp(hidden[i * MLP_OUT + j]) / sum;
  }
}

static void description(martlet_model *model) {
  size_t inputs = 0, outputs = 0, entries = 0;
  const martlet_value_info *info = NULL;
  check_ok(martlet_model_input_count(model, &inputs));
  check_ok(martlet_model_output_count(model, &outputs));
  check(inputs == 1 && outputs == 2, "one input, two outputs");
  check_ok(martlet_model_input(model, 0, &info));
  check(strcmp(info->name, "x") == 0 && info->dtype == MARTLET_FLOAT32 && info->rank == 2,
        "the input is x, float32, of rank 2");
  check(info->shape[0] == -1 && strcmp(info->symbols[0], "N") == 0 && info->shape[1] == MLP_IN &&
          info->symbols[1] == NULL,
        "its shape is N by 4");
  check_ok(martlet_model_output(model, 1, &info));
  check(strcmp(info->name, "hidden") == 0 && info->rank == 2, "the second output is hidden");
  check_status(MARTLET_INVALID_ARGUMENT, martlet_model_input(model, 1, &info));
  check(info == NULL, "a result is NULL on failure");
  check_status(MARTLET_INVALID_ARGUMENT, martlet_model_output(model, SIZE_MAX, &info));
  check_ok(martlet_model_metadata_count(model, &entries));
  bool producer = false, own = false, opset = false;
  for (size_t i = 0; i < entries; ++i) {
    const char *key = NULL, *value = NULL;
    check_ok(martlet_model_metadata(model, i, &key, &value));
    producer = producer || (!strcmp(key, "producer") && !strcmp(value, "conformance"));
    own = own || (!strcmp(key, "colour") && !strcmp(value, "blue"));
    opset = opset || (!strcmp(key, "opset") && !strcmp(value, "17"));
  }
  check(producer && own && opset, "the metadata names the producer, the opset and its own entry");
  const char *key = "", *value = "";
  check_status(MARTLET_INVALID_ARGUMENT, martlet_model_metadata(model, entries, &key, &value));
}

static void running(martlet_model *model) {
  double y[6], hidden[6];
  expected_outputs(y, hidden);
  martlet_tensor *x = input(), *outputs[2] = {NULL, NULL};
  check_ok(martlet_model_run(model, &x, 1, outputs, 2));
  check(has_shape(outputs[0], 2, y_shape) && distance(outputs[0], y, 6) < 1e-6 &&
          distance(outputs[1], hidden, 6) < 1e-6,
        "a run computes both outputs");
  martlet_tensor *only = NULL;
  check_ok(martlet_model_run(model, &x, 1, &only, 1));
  check(same_bits(only, outputs[0]), "the first output may be asked for alone, with the same bits");
  martlet_tensor_release(only);

  martlet_context *context = NULL;
  check_ok(martlet_context_create(model, &context));
  const char *in_names[] = {"x"}, *out_names[] = {"hidden", "y"};
  martlet_tensor *named[2] = {NULL, NULL};
  check_ok(martlet_context_run_named(context, in_names, &x, 1, out_names, named, 2));
  check(same_bits(named[0], outputs[1]) && same_bits(named[1], outputs[0]), "outputs by name");
  martlet_tensor_release(named[0]);
  martlet_tensor_release(named[1]);

  float memory[12], gapped[24];
  int64_t gaps[] = {12, 4};
  named[0] = named[1] = NULL;
  check_ok(martlet_tensor_wrap(memory, sizeof memory, MARTLET_FLOAT32, 2, y_shape, &named[0]));
  check_ok(martlet_tensor_wrap_strided(gapped, sizeof gapped, 0, MARTLET_FLOAT32, 2, y_shape, gaps,
                                       0, NULL, NULL, &named[1]));
  for (int round = 0; round < 3; ++round) {
    memset(memory, 0, sizeof memory);
    memset(gapped, 0, sizeof gapped);
    check_ok(martlet_context_run(context, &x, 1, named, 2));
    check(same_bits(named[0], outputs[0]) && same_bits(named[1], outputs[1]),
          "outputs go to the caller's memory, of any strides");
  }
  martlet_tensor_release(named[0]);
  martlet_tensor_release(named[1]);

  // An input without a copy, and with strides.
  float columns[8];
  int64_t column_strides[] = {1, 2};
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < MLP_IN; ++j) columns[j * 2 + i] = x_values[i * MLP_IN + j];
  martlet_tensor *strided = NULL;
  check_ok(martlet_tensor_wrap_strided(columns, sizeof columns, 0, MARTLET_FLOAT32, 2, x_shape,
                                       column_strides, MARTLET_WRAP_READ_ONLY, NULL, NULL,
                                       &strided));
  only = NULL;
  check_ok(martlet_context_run(context, &strided, 1, &only, 1));
  check(same_bits(only, outputs[0]), "an input may have any strides");
  martlet_tensor_release(only);
  martlet_tensor_release(strided);

  int64_t empty_shape[] = {0, MLP_IN}, empty_y[] = {0, MLP_OUT};
  martlet_tensor *empty = NULL;
  check_ok(martlet_tensor_create(MARTLET_FLOAT32, 2, empty_shape, &empty));
  only = NULL;
  check_ok(martlet_context_run(context, &empty, 1, &only, 1));
  check(has_shape(only, 2, empty_y), "a batch of nothing gives nothing");
  martlet_tensor_release(only);
  martlet_tensor_release(empty);

  int64_t live = -1, kept = -1, peak = -1;
  check_ok(martlet_context_memory(context, &live, &kept, &peak));
  check(peak > 0 && live >= 0 && live <= peak && kept >= 0 && kept <= 2 * peak,
        "memory: %d live, %d kept, %d at most", (int)live, (int)kept, (int)peak);
  check_ok(martlet_context_trim(context));
  check_ok(martlet_context_memory(context, NULL, &kept, NULL));
  check(kept == 0, "nothing is kept after a trim");

  // Results outlive the context, and the context keeps the model.
  only = NULL;
  check_ok(martlet_context_run(context, &x, 1, &only, 1));
  check_ok(martlet_context_retain(context));
  check_ok(martlet_context_release(context));
  check_ok(martlet_context_release(context));
  check(same_bits(only, outputs[0]), "a result outlives its context");
  martlet_tensor_release(only);
  martlet_tensor_release(outputs[0]);
  martlet_tensor_release(outputs[1]);
  martlet_tensor_release(x);
}

static void reports(martlet_model *model) {
  martlet_context *context = NULL;
  martlet_tensor *x = input(), *y = NULL;
  const char *text = "";
  size_t nodes = 9;
  const martlet_node_info *info = NULL;
  check_ok(martlet_context_create(model, &context));
  check_ok(martlet_context_node_count(context, &nodes));
  check(nodes == 0, "no nodes before a run");
  check_status(MARTLET_INVALID_STATE, martlet_context_precision_report(context, &text));
  check(text == NULL, "a result is NULL on failure");
  check_status(MARTLET_INVALID_STATE, martlet_context_profile(context, &text));
  check_ok(martlet_context_set_profiling(context, true));
  check_ok(martlet_math_mode_push(MARTLET_MATH_BF16));
  check_ok(martlet_context_run(context, &x, 1, &y, 1));
  check_ok(martlet_math_mode_pop());
  check_ok(martlet_context_precision_report(context, &text));
  check(strstr(text, "mode BF16") && strstr(text, "dense"),
        "the report tells of the mode and node");
  check_ok(martlet_context_profile(context, &text));
  check(strstr(text, "dense") != NULL, "so does the profile");
  check_ok(martlet_context_node_count(context, &nodes));
  bool product = false;
  int64_t time = 0;
  for (size_t i = 0; i < nodes; ++i) {
    check_ok(martlet_context_node(context, i, &info));
    time += info->nanoseconds;
    if (info->precision == NULL) continue;
    product = true;
    check(strcmp(info->precision, "bf16") == 0 || info->reason != NULL, "%s ran as %s by %s %s: %s",
          info->node, info->precision, info->backend, info->kernel,
          info->reason ? info->reason : "as the mode says");
  }
  check(product && time > 0, "a matrix product is reported, and the nodes took %d ns", (int)time);
  check_status(MARTLET_INVALID_ARGUMENT, martlet_context_node(context, nodes, &info));
  check_ok(martlet_context_release(context));
  martlet_tensor_release(x);
  martlet_tensor_release(y);
}

// Under a cap without bf16 units BF16 mode is accepted, runs in FP32 and says so.
static int capped(void) {
  martlet_set_isa("generic");
  martlet_model *model = load(NULL);
  martlet_context *context = NULL;
  martlet_tensor *x = input(), *exact = NULL, *fast = NULL;
  const martlet_node_info *info = NULL;
  int result = 1;
  if (martlet_context_create(model, &context) || martlet_context_run(context, &x, 1, &exact, 1) ||
      martlet_set_float32_fast_math_mode("BF16") || martlet_context_run(context, &x, 1, &fast, 1))
    return 2;
  for (size_t i = 0; martlet_context_node(context, i, &info) == MARTLET_OK; ++i)
    if (info->precision && strcmp(info->precision, "fp32") == 0 && info->reason) result = 0;
  if (!same_bits(exact, fast)) result = 3;
  martlet_tensor_release(x);
  martlet_tensor_release(exact);
  martlet_tensor_release(fast);
  martlet_context_release(context);
  martlet_model_release(model);
  return result;
}

static int calls;
static double last_fraction;
static bool fell;
static bool count_calls(void *user, double fraction, const char *stage) {
  calls += 1;
  fell = fell || fraction < last_fraction || fraction > 1 || stage[0] == 0;
  last_fraction = fraction;
  return user == NULL;
}

static void callbacks(void) {
  martlet_model_options options = {0};
  options.struct_size = sizeof options;
  options.progress = count_calls;
  last_fraction = 0;
  martlet_model *model = load(&options), *none = NULL;
  check(calls > 0 && !fell, "loading tells of its progress %d times, never falling", calls);
  onnx_bytes file = onnx_mlp();
  options.progress_user = &calls;
  check_status(MARTLET_CANCELLED, martlet_model_load_memory(file.data, file.size, &options, &none));
  check(none == NULL, "a cancelled load gives nothing");
  free(file.data);

  martlet_context *context = NULL;
  martlet_tensor *x = input(), *y = NULL;
  check_ok(martlet_context_create(model, &context));
  calls = 0;
  last_fraction = 0;
  fell = false;
  check_ok(martlet_context_set_progress(context, count_calls, NULL));
  check_ok(martlet_context_run(context, &x, 1, &y, 1));
  check(calls > 0 && !fell && last_fraction == 1, "a run tells of its progress up to 1");
  martlet_tensor_release(y);
  y = NULL;
  check_ok(martlet_context_set_progress(context, count_calls, &calls));
  check_status(MARTLET_CANCELLED, martlet_context_run(context, &x, 1, &y, 1));
  check(y == NULL, "a cancelled run gives nothing");
  check_ok(martlet_context_set_progress(context, NULL, NULL));
  check_ok(martlet_context_run(context, &x, 1, &y, 1));
  martlet_tensor_release(x);
  martlet_tensor_release(y);
  martlet_context_release(context);
  martlet_model_release(model);
}

static void memory(void) {
  martlet_model *model = load(NULL);
  martlet_memory now = {0};
  check_status(MARTLET_INVALID_ARGUMENT, martlet_model_memory(model, &now));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_model_memory(model, NULL));
  struct {
    size_t struct_size;
    int64_t constants_bytes, mapped_bytes;
    int64_t behind[2];
  } older = {.struct_size = 24, .behind = {77, 78}};
  check_ok(martlet_model_memory(model, (martlet_memory *)(void *)&older));
  check(older.constants_bytes > 0 && older.behind[0] == 77 && older.behind[1] == 78,
        "an older, shorter struct is filled, and nothing behind it");
  struct {
    martlet_memory known;
    int64_t later[2];
  } newer = {.known.struct_size = sizeof newer, .later = {77, 78}};
  check_ok(martlet_model_memory(model, &newer.known));
  check(newer.known.constants_bytes == older.constants_bytes && newer.later[1] == 0,
        "a newer one too, with 0 in what is not known");
  now.struct_size = sizeof now;
  check_ok(martlet_model_memory(model, &now));
  const int64_t weights = (MLP_IN * MLP_OUT + MLP_OUT) * (int64_t)sizeof(float);
  check(now.constants_bytes == weights, "the constants are %d bytes", (int)weights);
  check(now.mapped_bytes == 0, "none of them is in a mapped file");
  check(now.prepared_bytes >= MLP_IN * MLP_OUT * 4, "the weight was packed while it was loaded");
  check(now.arena_bytes == 0 && now.peak_bytes == 0, "nothing has run");
  const int64_t shape[] = {2, MLP_IN}, wrong[] = {2, MLP_IN + 1};
  const int64_t *shapes[] = {shape};
  const int32_t rank = 2;
  int64_t bytes = 0;
  check_ok(martlet_model_result_bytes(model, shapes, &rank, 1, &bytes));
  check(bytes >= 2 * 2 * MLP_OUT * 4, "results of two rows take %d bytes", (int)bytes);
  check_status(MARTLET_INVALID_ARGUMENT,
               martlet_model_result_bytes(model, shapes, &rank, 0, &bytes));
  check(bytes == -1, "a failure leaves -1");
  shapes[0] = wrong;
  check_status(MARTLET_INVALID_SHAPE, martlet_model_result_bytes(model, shapes, &rank, 1, &bytes));
  check_says(martlet_last_error()->input, "x", "input");
  martlet_tensor *x = input(), *y = NULL;
  for (int run = 0; run < 3; ++run) {
    check_ok(martlet_model_run(model, &x, 1, &y, 1));
    martlet_tensor_release(y);
    y = NULL;
  }
  check_ok(martlet_model_memory(model, &now));
  check(now.peak_bytes > 0, "the last run had %d bytes in use", (int)now.peak_bytes);
  martlet_tensor_release(x);
  martlet_model_release(model);
}

static void options(void) {
  onnx_bytes file = onnx_mlp();
  martlet_model *model = NULL;
  martlet_model_options options = {0};
  const char *keys[] = {"optimize", "borrow_memory", "winograd", "prepare"};
  const char *values[] = {"0", "1", "0", "0"};
  check_status(MARTLET_INVALID_ARGUMENT,
               martlet_model_load_memory(file.data, file.size, &options, &model));
  options.struct_size = sizeof options;
  options.keys = keys;
  options.values = values;
  options.option_count = 4;
  options.math_mode = "strict";
  check_ok(martlet_model_load_memory(file.data, file.size, &options, &model));
  martlet_tensor *x = input(), *y = NULL, *same = NULL;
  martlet_model *plain = load(NULL);
  check_ok(martlet_set_float32_fast_math_mode("BF16"));
  check_ok(martlet_model_run(model, &x, 1, &y, 1));
  check_ok(martlet_set_float32_fast_math_mode("FP32"));
  check_ok(martlet_model_run(plain, &x, 1, &same, 1));
  check(same_bits(y, same), "borrowed, as it was written, with a mode of its own: the same bits");
  check_ok(martlet_model_release(model));
  check_ok(martlet_model_release(plain));
  martlet_tensor_release(x);
  martlet_tensor_release(y);
  martlet_tensor_release(same);

  options.math_mode = "FP12";
  check_status(MARTLET_NOT_FOUND,
               martlet_model_load_memory(file.data, file.size, &options, &model));
  options.math_mode = NULL;
  keys[0] = "optimise";
  check_status(MARTLET_NOT_FOUND,
               martlet_model_load_memory(file.data, file.size, &options, &model));
  check_says(martlet_last_error()->input, "optimise", "input");
  keys[0] = "optimize";
  values[0] = "yes";
  check_status(MARTLET_INVALID_ARGUMENT,
               martlet_model_load_memory(file.data, file.size, &options, &model));
  values[0] = NULL;
  check_status(MARTLET_INVALID_ARGUMENT,
               martlet_model_load_memory(file.data, file.size, &options, &model));
  options.keys = NULL;
  check_status(MARTLET_INVALID_ARGUMENT,
               martlet_model_load_memory(file.data, file.size, &options, &model));
  check(model == NULL, "a result is NULL on failure");
  free(file.data);
}

static void from_file(void) {
  const char *folder = getenv("TMPDIR");
  char path[4096];
  snprintf(path, sizeof path, "%s/mlp.onnx", folder ? folder : "/tmp");
  onnx_bytes file = onnx_mlp();
  FILE *out = fopen(path, "wb");
  check(out && fwrite(file.data, 1, file.size, out) == file.size && fclose(out) == 0,
        "a model file");
  martlet_model *model = NULL, *memory = load(NULL);
  check_ok(martlet_model_load(path, NULL, &model));
  unlink(path);
  martlet_tensor *x = input(), *y = NULL, *same = NULL;
  check_ok(martlet_model_run(model, &x, 1, &y, 1));
  check_ok(martlet_model_run(memory, &x, 1, &same, 1));
  check(same_bits(y, same), "from a file, even a removed one, it runs as from memory");
  martlet_context *context = NULL;
  check_ok(martlet_context_create(model, &context));
  check_ok(martlet_model_release(model));
  check_ok(martlet_context_run(context, &x, 1, &y, 1));
  check(same_bits(y, same), "a context keeps its model alive");
  check_status(MARTLET_INVALID_HANDLE, martlet_context_create(model, &context));
  check(context == NULL, "a released model makes no contexts");
  martlet_model_options options = {0};
  const char *key = "borrow_memory", *value = "1";
  options.struct_size = sizeof options;
  options.keys = &key;
  options.values = &value;
  options.option_count = 1;
  check_status(MARTLET_NOT_FOUND, martlet_model_load(path, &options, &model));
  check_says(martlet_last_error()->input, "borrow_memory", "input");
  martlet_tensor_release(x);
  martlet_tensor_release(y);
  martlet_tensor_release(same);
  martlet_model_release(memory);
  free(file.data);
}

// Options of runs: of the model, and of a context that has them otherwise.
static void options_of_runs(martlet_model *model) {
  martlet_context *context = NULL;
  martlet_tensor *x = input(), *y = NULL;
  check_ok(martlet_context_create(model, &context));
#define SET(name, value) martlet_context_set_option(context, name, value)
  check_ok(SET("max_memory_bytes", "8"));
  check_status(MARTLET_LIMIT_EXCEEDED, martlet_context_run(context, &x, 1, &y, 1));
  check(y == NULL, "a slot stays NULL on failure");
  check_says(martlet_last_error()->input, "max_memory_bytes", "input");
  check(martlet_last_error()->node != NULL, "the error names the node");
  check_ok(SET("max_memory_bytes", "1000000"));
  check_ok(martlet_context_run(context, &x, 1, &y, 1));
  check_ok(SET("max_memory_bytes", "0"));
  check_ok(SET("max_milliseconds", "600000"));
  check_ok(martlet_context_run(context, &x, 1, &y, 1));
  check_status(MARTLET_INVALID_ARGUMENT, SET("max_milliseconds", "-1"));
  check_ok(SET("max_milliseconds", "0"));
  check_ok(SET("max_loop_iterations", "1"));
  check_ok(SET("winograd", "0"));
  check_ok(martlet_context_run(context, &x, 1, &y, 1));
  check_status(MARTLET_NOT_FOUND, SET("optimize", "1"));
  check_says(martlet_last_error()->expected, "max_loop_iterations", "expected");
  check_status(MARTLET_INVALID_ARGUMENT, SET("max_memory_bytes", "-1"));
  check_status(MARTLET_INVALID_ARGUMENT, SET("max_memory_bytes", "many"));
  check_status(MARTLET_INVALID_ARGUMENT, SET("max_memory_bytes", ""));
  check_status(MARTLET_INVALID_ARGUMENT, SET("winograd", "2"));
  check_status(MARTLET_INVALID_ARGUMENT, SET(NULL, "1"));
  check_status(MARTLET_INVALID_ARGUMENT, SET("winograd", NULL));
  check_status(MARTLET_INVALID_HANDLE, martlet_context_set_option(NULL, "winograd", "1"));
#undef SET
  const char *key = "max_memory_bytes", *value = "8";
  martlet_model_options options = {0};
  options.struct_size = sizeof options;
  options.keys = &key;
  options.values = &value;
  options.option_count = 1;
  martlet_model *limited = load(&options);
  martlet_tensor *z = NULL;
  check_status(MARTLET_LIMIT_EXCEEDED, martlet_model_run(limited, &x, 1, &z, 1));
  martlet_context *free_of_it = NULL;
  check_ok(martlet_context_create(limited, &free_of_it));
  check_status(MARTLET_LIMIT_EXCEEDED, martlet_context_run(free_of_it, &x, 1, &z, 1));
  check_ok(martlet_context_set_option(free_of_it, key, "0"));
  check_ok(martlet_context_run(free_of_it, &x, 1, &z, 1));
  check(same_bits(y, z), "options of runs change no bits");
  check(strcmp(martlet_status_name(MARTLET_LIMIT_EXCEEDED), "LIMIT_EXCEEDED") == 0,
        "the status has its name");
  martlet_context_release(free_of_it);
  martlet_context_release(context);
  martlet_model_release(limited);
  martlet_tensor_release(x);
  martlet_tensor_release(y);
  martlet_tensor_release(z);
}

static void wrong_runs(martlet_model *model) {
  martlet_context *context = NULL;
  check_ok(martlet_context_create(model, &context));
  martlet_tensor *x = input(), *y = NULL, *pair[] = {x, x}, *slots[3] = {NULL, NULL, NULL};
  const char *in[] = {"x", "x"}, *misnamed[] = {"X"}, *out[] = {"y", "y"}, *no_out[] = {"z"};
  check_status(MARTLET_INVALID_ARGUMENT, martlet_context_run(context, NULL, 0, &y, 1));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_context_run(context, pair, 2, &y, 1));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_context_run(context, &x, SIZE_MAX, &y, 1));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_context_run(context, &x, 1, slots, 0));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_context_run(context, &x, 1, slots, 3));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_context_run(context, &x, 1, NULL, 1));
  pair[0] = NULL;
  check_status(MARTLET_INVALID_ARGUMENT, martlet_context_run(context, pair, 1, &y, 1));
  pair[0] = (martlet_tensor *)context;
  check_status(MARTLET_INVALID_HANDLE, martlet_context_run(context, pair, 1, &y, 1));
  pair[0] = x;
  check_status(MARTLET_INVALID_HANDLE, martlet_context_run((martlet_context *)model, &x, 1, &y, 1));
  check_status(MARTLET_INVALID_HANDLE, martlet_model_run((martlet_model *)context, &x, 1, &y, 1));
#define NAMED(ins, n, outs, m) martlet_context_run_named(context, ins, pair, n, outs, slots, m)
  check_status(MARTLET_NOT_FOUND, NAMED(misnamed, 1, NULL, 1));
  check_says(martlet_last_error()->message, "'x'", "message");
  check_status(MARTLET_INVALID_ARGUMENT, NAMED(in, 2, NULL, 1));
  check_status(MARTLET_INVALID_ARGUMENT, NAMED(in, 0, NULL, 1));
  check_says(martlet_last_error()->input, "x", "input");
  check_status(MARTLET_NOT_FOUND, NAMED(in, 1, no_out, 1));
  check_status(MARTLET_INVALID_ARGUMENT, NAMED(in, 1, out, 2));
  check_status(MARTLET_INVALID_ARGUMENT, NAMED(NULL, 1, NULL, 1));

  int64_t wide[] = {2, MLP_IN + 1}, line[] = {MLP_IN}, other[] = {3, MLP_OUT};
  martlet_tensor *bad = NULL;
  check_ok(martlet_tensor_create_zeroed(MARTLET_FLOAT32, 2, wide, &bad));
  check_status(MARTLET_INVALID_SHAPE, martlet_context_run(context, &bad, 1, &y, 1));
  check_says(martlet_last_error()->message, "x", "message");
  martlet_tensor_release(bad);
  check_ok(martlet_tensor_create_zeroed(MARTLET_FLOAT32, 1, line, &bad));
  check_status(MARTLET_INVALID_SHAPE, martlet_context_run(context, &bad, 1, &y, 1));
  martlet_tensor_release(bad);
  check_ok(martlet_tensor_create_zeroed(MARTLET_FLOAT64, 2, x_shape, &bad));
  check_status(MARTLET_INVALID_DTYPE, martlet_context_run(context, &bad, 1, &y, 1));
  martlet_tensor_release(bad);
  check_ok(martlet_tensor_create_zeroed(MARTLET_FLOAT32, 2, other, &bad));
  slots[0] = bad;
  check_status(MARTLET_INVALID_SHAPE, martlet_context_run(context, &x, 1, slots, 1));
  check(slots[0] == bad, "a slot keeps its tensor on failure");
  martlet_tensor_release(bad);
  check_ok(martlet_tensor_create_zeroed(MARTLET_INT32, 2, y_shape, &bad));
  slots[0] = bad;
  check_status(MARTLET_INVALID_DTYPE, martlet_context_run(context, &x, 1, slots, 1));
  martlet_tensor_release(bad);
  check(y == NULL, "a slot stays NULL on failure");
  check_ok(martlet_context_run(context, &x, 1, &y, 1));
  double expected[6], hidden[6];
  expected_outputs(expected, hidden);
  check(distance(y, expected, 6) < 1e-6, "a later correct run works");
  martlet_tensor_release(x);
  martlet_tensor_release(y);
  martlet_context_release(context);
}

// Nodes may share a name; each has a time of its own.
static void same_names(void) {
  const int64_t shape[] = {64, 64};
  onnx_bytes graph = {0};
  onnx_message(&graph, 1, onnx_node("Sin", "n", "x", "a"));
  onnx_message(&graph, 1, onnx_node("Cos", "n", "a", "y"));
  onnx_message(&graph, 11, onnx_value("x", 1, 2, shape));
  onnx_message(&graph, 12, onnx_value("y", 1, 2, shape));
  onnx_bytes file = onnx_model(graph);
  martlet_model *model = NULL;
  martlet_context *context = NULL;
  martlet_tensor *x = NULL, *y = NULL;
  check_ok(martlet_model_load_memory(file.data, file.size, NULL, &model));
  check_ok(martlet_context_create(model, &context));
  check_ok(martlet_tensor_create_zeroed(MARTLET_FLOAT32, 2, shape, &x));
  check_ok(martlet_context_set_profiling(context, true));
  check_ok(martlet_context_run(context, &x, 1, &y, 1));
  size_t nodes = 0;
  check_ok(martlet_context_node_count(context, &nodes));
  check(nodes == 2, "two nodes of one name are two rows");
  for (size_t i = 0; i < nodes; ++i) {
    const martlet_node_info *info = NULL;
    check_ok(martlet_context_node(context, i, &info));
    check(info->nanoseconds > 0, "%s %s has a time of its own", info->operator_name, info->node);
  }
  martlet_tensor_release(x);
  martlet_tensor_release(y);
  martlet_context_release(context);
  martlet_model_release(model);
  free(file.data);
}

// Slots that hold inputs, while other outputs are views of those inputs; an output listed twice.
static void aliasing(void) {
  const int64_t shape[] = {2, 2};
  onnx_bytes graph = {0};
  const char *outputs[] = {"minus", "turned", "same", "minus"};
  onnx_message(&graph, 1, onnx_node("Neg", "n", "x", "minus"));
  onnx_message(&graph, 1, onnx_node("Transpose", "t", "x", "turned"));
  onnx_message(&graph, 1, onnx_node("Identity", "i", "x", "same"));
  onnx_text(&graph, 2, "aliasing");
  onnx_message(&graph, 11, onnx_value("x", 1, 2, shape));
  for (int i = 0; i < 4; ++i) onnx_message(&graph, 12, onnx_value(outputs[i], 1, 2, shape));
  onnx_bytes file = onnx_model(graph);
  martlet_model *model = NULL;
  martlet_context *context = NULL;
  check_ok(martlet_model_load_memory(file.data, file.size, NULL, &model));
  check_ok(martlet_context_create(model, &context));
  const double expected[4][4] = {{-1, -2, -3, -4}, {1, 3, 2, 4}, {1, 2, 3, 4}, {-1, -2, -3, -4}};
  const char *in[] = {"x"};
  for (int which = 0; which < 5; ++which) {
    float values[4] = {1, 2, 3, 4};
    martlet_tensor *x = NULL, *slots[5] = {NULL, NULL, NULL, NULL, NULL};
    check_ok(martlet_tensor_wrap(values, sizeof values, MARTLET_FLOAT32, 2, shape, &x));
    slots[which] = x;
    check_ok(which % 2 ? martlet_context_run(context, &x, 1, slots, 4)
                       : martlet_context_run_named(context, in, &x, 1, outputs, slots, 4));
    for (int i = 0; i < 4; ++i)
      check(distance(slots[i], expected[i], 4) == 0, "output %d with the input in slot %d", i,
            which);
    for (int i = 0; i < 4; ++i)
      if (slots[i] != x) martlet_tensor_release(slots[i]);
    martlet_tensor_release(x);
  }
  martlet_context_release(context);
  martlet_model_release(model);
  free(file.data);

  // Two inputs change places.
  onnx_bytes swap = {0};
  onnx_message(&swap, 1, onnx_node("Identity", "i", "a", "p"));
  onnx_message(&swap, 1, onnx_node("Identity", "j", "b", "q"));
  onnx_message(&swap, 11, onnx_value("a", 1, 2, shape));
  onnx_message(&swap, 11, onnx_value("b", 1, 2, shape));
  onnx_message(&swap, 12, onnx_value("p", 1, 2, shape));
  onnx_message(&swap, 12, onnx_value("q", 1, 2, shape));
  file = onnx_model(swap);
  check_ok(martlet_model_load_memory(file.data, file.size, NULL, &model));
  float first[4] = {1, 2, 3, 4}, second[4] = {5, 6, 7, 8};
  martlet_tensor *pair[2] = {NULL, NULL};
  check_ok(martlet_tensor_wrap(first, sizeof first, MARTLET_FLOAT32, 2, shape, &pair[0]));
  check_ok(martlet_tensor_wrap(second, sizeof second, MARTLET_FLOAT32, 2, shape, &pair[1]));
  martlet_tensor *crossed[] = {pair[1], pair[0]};
  check_ok(martlet_model_run(model, pair, 2, crossed, 2));
  check(first[0] == 5 && second[0] == 1, "two inputs change places");
  martlet_tensor_release(pair[0]);
  martlet_tensor_release(pair[1]);
  martlet_model_release(model);
  free(file.data);
}

// y = x * k, where k is 2 and an input too: a run may give it another value, of an extent that x's does
// not have, though one name stands for both.
static void replaced(void) {
  const int64_t any[] = {-1}, one[] = {1}, three[] = {3};
  const float two = 2, five = 5, x_data[] = {1, 2, 3};
  onnx_bytes graph = {0};
  onnx_message(&graph, 1, onnx_node("Mul", "scale", "x k", "y"));
  onnx_message(&graph, 5, onnx_tensor("k", 1, 1, one, &two, sizeof two));
  onnx_message(&graph, 11, onnx_value("x", 1, 1, any));
  onnx_message(&graph, 11, onnx_value("k", 1, 1, any));
  onnx_message(&graph, 12, onnx_value("y", 1, 1, any));
  onnx_bytes file = onnx_model(graph);
  martlet_model *model = NULL;
  check_ok(martlet_model_load_memory(file.data, file.size, NULL, &model));
  size_t inputs = 0, count = 0;
  const martlet_value_info *info = NULL;
  check_ok(martlet_model_input_count(model, &inputs));
  check_ok(martlet_model_replaceable_count(model, &count));
  check(inputs == 1 && count == 1, "x must be given, k may be");
  check_ok(martlet_model_replaceable(model, 0, &info));
  check(strcmp(info->name, "k") == 0 && info->dtype == MARTLET_FLOAT32 && info->rank == 1,
        "what may be replaced is k");
  check_status(MARTLET_INVALID_ARGUMENT, martlet_model_replaceable(model, 1, &info));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_model_replaceable_count(model, NULL));
  martlet_tensor *given[2] = {NULL, NULL}, *y = NULL;
  check_ok(martlet_tensor_from_data(x_data, sizeof x_data, MARTLET_FLOAT32, 1, three, &given[0]));
  check_ok(martlet_tensor_from_data(&five, sizeof five, MARTLET_FLOAT32, 1, one, &given[1]));
  martlet_context *context = NULL;
  check_ok(martlet_context_create(model, &context));
  const char *names[] = {"x", "k"}, *twice[] = {"k", "k"};
  const double as_is[] = {2, 4, 6}, other[] = {5, 10, 15};
  for (int round = 0; round < 2; ++round) {
    check_ok(martlet_context_run_named(context, names, given, 1, NULL, &y, 1));
    check(distance(y, as_is, 3) == 0, "k has its own value");
    check_ok(martlet_tensor_release(y));
    y = NULL;
    check_ok(martlet_context_run_named(context, names, given, 2, NULL, &y, 1));
    check(distance(y, other, 3) == 0, "k has the run's value");
    check_ok(martlet_tensor_release(y));
    y = NULL;
  }
  check_status(MARTLET_INVALID_ARGUMENT,
               martlet_context_run_named(context, twice, given, 2, NULL, &y, 1));
  martlet_context_release(context);
  martlet_model_release(model);

  // Two inputs whose extents have one name.
  graph = (onnx_bytes){0};
  onnx_message(&graph, 1, onnx_node("Add", "add", "x z", "y"));
  onnx_message(&graph, 11, onnx_value("x", 1, 1, any));
  onnx_message(&graph, 11, onnx_value("z", 1, 1, any));
  onnx_message(&graph, 12, onnx_value("y", 1, 1, any));
  free(file.data);
  file = onnx_model(graph);
  const char *keys[] = {"strict_shapes"}, *values[] = {"1"};
  martlet_model_options options = {
    .struct_size = sizeof options, .keys = keys, .values = values, .option_count = 1};
  const double sums[] = {6, 7, 8};
  check_ok(martlet_model_load_memory(file.data, file.size, NULL, &model));
  check_ok(martlet_model_run(model, given, 2, &y, 1));
  check(distance(y, sums, 3) == 0, "extents of one name may differ");
  martlet_tensor_release(y);
  y = NULL;
  martlet_model_release(model);
  check_ok(martlet_model_load_memory(file.data, file.size, &options, &model));
  check_status(MARTLET_INVALID_SHAPE, martlet_model_run(model, given, 2, &y, 1));
  check_says(martlet_last_error()->input, "z", "input");
  values[0] = "perhaps";
  martlet_model_release(model);
  check_status(MARTLET_INVALID_ARGUMENT,
               martlet_model_load_memory(file.data, file.size, &options, &model));
  martlet_tensor_release(given[0]);
  martlet_tensor_release(given[1]);
  free(file.data);
}

int main(void) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    int result = capped();
    fflush(stdout);
    _exit(result);
  }
  int status = 0;
  waitpid(child, &status, 0);
  check(WIFEXITED(status) && WEXITSTATUS(status) == 0,
        "capped below bf16 units, BF16 runs as FP32 and says so (%d)", status);

  martlet_model *model = load(NULL);
  if (model == NULL) return finish();
  description(model);
  running(model);
  reports(model);
  options_of_runs(model);
  wrong_runs(model);
  check_ok(martlet_model_retain(model));
  check_ok(martlet_model_release(model));
  check_ok(martlet_model_release(model));
  check_status(MARTLET_INVALID_HANDLE, martlet_model_release(model));
  callbacks();
  memory();
  options();
  from_file();
  aliasing();
  same_names();
  replaced();
  return finish();
}
