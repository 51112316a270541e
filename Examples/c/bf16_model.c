// What BF16 does for a model: latency in FP32 and BF16, the speed-up, and how far the results agree.
// Usage: bf16_model MODEL name=file.npy ... [--runs N] [--json]
//   cc -O2 bf16_model.c $(pkg-config --cflags --libs martlet) -lm -o bf16_model
#define _POSIX_C_SOURCE 200809L
#include <martlet.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "npy.h"

enum { MAX_PORTS = 64, WARM_UP = 3 };

typedef struct agreement {
  double cosine;       // of all elements of all outputs, the lowest output's
  long rows, matches;  // of the first output along its last axis: same largest element
} agreement;

static int fail(const char *what) {
  fprintf(stderr, "bf16_model: %s: %s\n", what, martlet_last_error()->message);
  return 1;
}

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values, int count) {
  qsort(values, (size_t)count, sizeof *values, by_value);
  return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

// One run in `mode` with outputs made anew; returns its time, negative on failure.
static double run(martlet_context *context, martlet_math_mode mode, const char *const *names,
                  martlet_tensor **inputs, size_t input_count, martlet_tensor **outputs,
                  size_t output_count) {
  for (size_t i = 0; i < output_count; ++i) {
    martlet_tensor_release(outputs[i]);
    outputs[i] = NULL;
  }
  martlet_math_mode_push(mode);
  double start = now_ms();
  martlet_status status =
    martlet_context_run_named(context, names, inputs, input_count, NULL, outputs, output_count);
  double taken = now_ms() - start;
  martlet_math_mode_pop();
  return status == MARTLET_OK ? taken : -1;
}

// Adds output `index`'s agreement; outputs that are not floating point are left out.
static void compare(size_t index, martlet_tensor *exact, martlet_tensor *fast, agreement *sum) {
  martlet_tensor *pair[2] = {exact, fast}, *wide[2] = {NULL, NULL};
  const float *values[2] = {NULL, NULL};
  martlet_dtype dtype = 0;
  int64_t count = 0;
  int32_t rank = 0;
  const int64_t *shape = NULL;
  martlet_tensor_dtype(exact, &dtype);
  martlet_tensor_shape(exact, &rank, &shape);
  martlet_tensor_element_count(exact, &count);
  if (dtype != MARTLET_FLOAT32 && dtype != MARTLET_FLOAT64 && dtype != MARTLET_FLOAT16 &&
      dtype != MARTLET_BFLOAT16)
    return;
  for (int i = 0; i < 2; ++i)
    if (martlet_tensor_convert(pair[i], MARTLET_FLOAT32, &wide[i]) ||
        martlet_tensor_data(wide[i], (const void **)&values[i]))
      goto done;
  double dot = 0, norm_exact = 0, norm_fast = 0;
  for (int64_t i = 0; i < count; ++i) {
    dot += (double)values[0][i] * values[1][i];
    norm_exact += (double)values[0][i] * values[0][i];
    norm_fast += (double)values[1][i] * values[1][i];
  }
  if (norm_exact > 0 && norm_fast > 0)
    sum->cosine = fmin(sum->cosine, dot / sqrt(norm_exact) / sqrt(norm_fast));
  if (index == 0 && count > 0) {
    int64_t width = rank > 0 ? shape[rank - 1] : 1;
    for (int64_t row = 0; row < count / width; ++row) {
      int64_t best[2] = {0, 0};
      for (int i = 0; i < 2; ++i)
        for (int64_t j = 1; j < width; ++j)
          if (values[i][row * width + j] > values[i][row * width + best[i]]) best[i] = j;
      sum->rows += 1;
      sum->matches += best[0] == best[1];
    }
  }
done:
  martlet_tensor_release(wide[0]);
  martlet_tensor_release(wide[1]);
}

// How many rows of the precision report are products, and how many of those ran in bf16; the
// reason why others did not, if one is given.
static void count_products(martlet_context *context, size_t *products, size_t *lowered,
                           char *reason, size_t capacity) {
  const martlet_node_info *info = NULL;
  for (size_t i = 0; martlet_context_node(context, i, &info) == MARTLET_OK; ++i) {
    if (info->precision == NULL) continue;
    *products += 1;
    *lowered += strcmp(info->precision, "bf16") == 0;
    if (info->reason && reason[0] == 0) snprintf(reason, capacity, "%s", info->reason);
  }
}

// Prints `text` as a JSON string.
static void print_json(const char *text) {
  putchar('"');
  for (; *text; ++text) {
    unsigned char c = (unsigned char)*text;
    if (c == '"' || c == '\\') printf("\\%c", c);
    else if (c < 32) printf("\\u%04x", c);
    else putchar(c);
  }
  putchar('"');
}

int main(int argc, char **argv) {
  const char *path = NULL, *names[MAX_PORTS];
  martlet_tensor *inputs[MAX_PORTS];
  size_t input_count = 0, output_count = 0;
  int runs = 20, json = 0;
  for (int i = 1; i < argc; ++i) {
    char *equals = strchr(argv[i], '=');
    if (strcmp(argv[i], "--json") == 0) {
      json = 1;
    } else if (strcmp(argv[i], "--runs") == 0 && i + 1 < argc) {
      runs = atoi(argv[++i]);
    } else if (path == NULL && argv[i][0] != '-') {
      path = argv[i];
    } else if (equals && input_count < MAX_PORTS) {
      *equals = 0;
      names[input_count] = argv[i];
      inputs[input_count] = npy_read(equals + 1);
      if (inputs[input_count++] == NULL) return 1;
    } else {
      path = NULL;
      break;
    }
  }
  if (path == NULL || runs < 1) {
    fprintf(stderr, "usage: bf16_model MODEL name=file.npy ... [--runs N] [--json]\n");
    return 2;
  }

  martlet_model *model = NULL;
  martlet_context *contexts[2] = {NULL, NULL};
  martlet_tensor *outputs[2][MAX_PORTS] = {{NULL}, {NULL}};
  static const martlet_math_mode modes[2] = {MARTLET_MATH_FP32, MARTLET_MATH_BF16};
  if (martlet_model_load(path, NULL, &model)) return fail("load");
  if (martlet_model_output_count(model, &output_count)) return fail("outputs");
  if (output_count > MAX_PORTS) output_count = MAX_PORTS;
  double *times[2];
  for (int m = 0; m < 2; ++m) {
    if (martlet_context_create(model, &contexts[m])) return fail("context");
    if (!(times[m] = malloc((size_t)runs * sizeof **times))) return 1;
  }
  // The two modes take turns, so that whatever else the machine does hits both alike.
  for (int i = -WARM_UP; i < runs; ++i)
    for (int m = 0; m < 2; ++m) {
      double taken =
        run(contexts[m], modes[m], names, inputs, input_count, outputs[m], output_count);
      if (taken < 0) return fail("run");
      if (i >= 0) times[m][i] = taken;
    }

  agreement result = {1, 0, 0};
  for (size_t i = 0; i < output_count; ++i) compare(i, outputs[0][i], outputs[1][i], &result);
  double fp32 = median(times[0], runs), bf16 = median(times[1], runs);
  double top1 = result.rows ? (double)result.matches / (double)result.rows : 1;
  size_t products = 0, lowered = 0;
  char reason[200] = "";
  count_products(contexts[1], &products, &lowered, reason, sizeof reason);
  if (json) {
    printf("{\"model\": ");
    print_json(path);
    printf(
      ", \"isa\": \"%s\", \"threads\": %d, \"runs\": %d, \"fp32_ms\": %.4f, \"bf16_ms\": %.4f, "
      "\"speedup\": %.3f, \"cosine\": %.6f, \"top1\": %.4f, \"products\": %zu, "
      "\"bf16_products\": %zu, \"reason\": ",
      martlet_cpu_isa(), (int)martlet_get_num_threads(), runs, fp32, bf16, fp32 / bf16,
      result.cosine, top1, products, lowered);
    print_json(reason);
    printf("}\n");
  } else {
    printf("%s on %s, %s, %d threads, median of %d runs each\n", path, martlet_cpu_name(),
           martlet_cpu_isa(), (int)martlet_get_num_threads(), runs);
    printf("  FP32 %8.3f ms\n  BF16 %8.3f ms   speed-up %.2f\n", fp32, bf16, fp32 / bf16);
    printf("  cosine similarity %.6f, same top-1 in %ld of %ld rows\n", result.cosine,
           result.matches, result.rows);
    printf("  %zu of %zu matrix products in bf16%s%s\n", lowered, products, reason[0] ? ": " : "",
           reason);
  }
  for (int m = 0; m < 2; ++m) {
    for (size_t i = 0; i < output_count; ++i) martlet_tensor_release(outputs[m][i]);
    martlet_context_release(contexts[m]);
    free(times[m]);
  }
  for (size_t i = 0; i < input_count; ++i) martlet_tensor_release(inputs[i]);
  martlet_model_release(model);
  return 0;
}
