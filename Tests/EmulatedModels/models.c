// Real models through the shipped library in FP32 and in BF16, against another runtime's results.
//
// Usage: models [--batch N] [--expect bf16|fp32] FOLDER...
//   FOLDER   holds model.onnx and the tensors `inputs` and `expected` that prepare.py wrote
//   --batch  rows of the batch whose rows are compared with the rows alone (default 7)
//   --expect what the products of BF16 mode have to run as (default bf16)
// Needs nothing but a C library, so it also runs where there is no Python: on an emulated processor.
#include "../Conformance/conformance.h"

enum { MAX_TENSORS = 8, MAX_RANK = 8 };
enum { MAX_THREADS = 3 };
static const double FP32_BOUND = 1e-5, BF16_BOUND = 2e-2, COSINE_BOUND = 0.999;

typedef struct array {
  char name[128];
  martlet_dtype dtype;
  int32_t rank;
  int64_t shape[MAX_RANK];
  size_t bytes;
  void *data;
} array;

typedef struct arrays {
  size_t count;
  array items[MAX_TENSORS];
} arrays;

static void stop(const char *what, const char *detail) {
  printf("not ok  %s: %s\n", what, detail);
  exit(1);
}
static void must(martlet_status status, const char *what) {
  if (status != MARTLET_OK) stop(what, martlet_last_error()->message);
}

// Records of one line, "NAME DTYPE RANK EXTENT...", each followed by the elements.
static arrays read_arrays(const char *folder, const char *name) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "rb");
  if (!file) stop("cannot open", path);
  arrays all = {0};
  int dtype;
  array *a = all.items;
  while (all.count < MAX_TENSORS && fscanf(file, "%127s %d %d", a->name, &dtype, &a->rank) == 3) {
    a->dtype = (martlet_dtype)dtype;
    if (a->rank > MAX_RANK) stop("too many extents", path);
    for (int32_t i = 0; i < a->rank; ++i) {
      long long extent;
      if (fscanf(file, "%lld", &extent) != 1) stop("malformed", path);
      a->shape[i] = extent;
    }
    unsigned long long bytes;
    if (fscanf(file, "%llu", &bytes) != 1 || fgetc(file) != '\n') stop("malformed", path);
    a->bytes = (size_t)bytes;
    a->data = malloc(a->bytes ? a->bytes : 1);
    if (!a->data || fread(a->data, 1, a->bytes, file) != a->bytes) stop("truncated", path);
    a = &all.items[++all.count];
  }
  fclose(file);
  if (all.count == 0) stop("nothing in", path);
  return all;
}

// Rows first, first + 1, ... of the inputs, `count` of them, beginning again at the end.
static arrays rows_of(const arrays *whole, int64_t first, int64_t count) {
  arrays part = *whole;
  for (size_t i = 0; i < part.count; ++i) {
    array *a = &part.items[i];
    const int64_t rows = a->shape[0];
    const size_t row_bytes = a->bytes / (size_t)rows;
    a->shape[0] = count;
    a->bytes = row_bytes * (size_t)count;
    char *data = malloc(a->bytes);
    for (int64_t row = 0; row < count; ++row)
      memcpy(data + (size_t)row * row_bytes,
             (char *)whole->items[i].data + (size_t)((first + row) % rows) * row_bytes, row_bytes);
    a->data = data;
  }
  return part;
}

static void free_arrays(arrays *all) {
  for (size_t i = 0; i < all->count; ++i) free(all->items[i].data);
}

// Runs by name: every input, and the outputs that are expected.
static arrays run(martlet_context *context, martlet_math_mode mode, const arrays *inputs,
                  const arrays *expected) {
  martlet_tensor *tensors[MAX_TENSORS], *results[MAX_TENSORS] = {0};
  const char *names[MAX_TENSORS], *wanted[MAX_TENSORS];
  for (size_t i = 0; i < inputs->count; ++i) {
    const array *a = &inputs->items[i];
    names[i] = a->name;
    must(martlet_tensor_from_data(a->data, a->bytes, a->dtype, a->rank, a->shape, &tensors[i]),
         a->name);
  }
  for (size_t i = 0; i < expected->count; ++i) wanted[i] = expected->items[i].name;
  must(martlet_math_mode_push(mode), "mode");
  must(martlet_context_run_named(context, names, tensors, inputs->count, wanted, results,
                                 expected->count),
       "run");
  must(martlet_math_mode_pop(), "mode");
  arrays out = {.count = expected->count};
  for (size_t i = 0; i < out.count; ++i) {
    array *a = &out.items[i];
    const int64_t *shape;
    snprintf(a->name, sizeof a->name, "%s", wanted[i]);
    must(martlet_tensor_dtype(results[i], &a->dtype), "dtype");
    must(martlet_tensor_shape(results[i], &a->rank, &shape), "shape");
    for (int32_t axis = 0; axis < a->rank && axis < MAX_RANK; ++axis) a->shape[axis] = shape[axis];
    must(martlet_tensor_byte_count(results[i], &a->bytes), "bytes");
    a->data = malloc(a->bytes ? a->bytes : 1);
    must(martlet_tensor_read(results[i], a->data, a->bytes), "read");
    martlet_tensor_release(results[i]);
  }
  for (size_t i = 0; i < inputs->count; ++i) martlet_tensor_release(tensors[i]);
  return out;
}

static bool have_same_bits(const arrays *a, const arrays *b) {
  for (size_t i = 0; i < a->count; ++i)
    if (a->items[i].bytes != b->items[i].bytes ||
        memcmp(a->items[i].data, b->items[i].data, a->items[i].bytes) != 0)
      return false;
  return true;
}

// Row `row` of the batch's results is the whole of the row's own.
static bool is_row_of(const arrays *single, const arrays *batch, size_t row) {
  for (size_t i = 0; i < single->count; ++i) {
    const array *s = &single->items[i], *b = &batch->items[i];
    if (b->bytes < (row + 1) * s->bytes ||
        memcmp(s->data, (char *)b->data + row * s->bytes, s->bytes) != 0)
      return false;
  }
  return true;
}

static void compare(const char *mode, const arrays *actual, const arrays *expected, double bound,
                    double cosine_bound) {
  for (size_t i = 0; i < expected->count; ++i) {
    const array *a = &actual->items[i], *e = &expected->items[i];
    if (!check(a->dtype == e->dtype && a->bytes == e->bytes, "%s %s: dtype and size", mode,
               e->name))
      continue;
    if (e->dtype != MARTLET_FLOAT32) {
      check(memcmp(a->data, e->data, e->bytes) == 0, "%s %s: equal", mode, e->name);
      continue;
    }
    const float *x = a->data, *y = e->data;
    const size_t count = e->bytes / sizeof *x;
    const size_t last = e->rank > 0 && e->shape[e->rank - 1] > 0 ? (size_t)e->shape[e->rank - 1]
                                                                 : 1;
    double error = 0, xx = 0, yy = 0, xy = 0;
    bool same_top = true;
    for (size_t j = 0; j < count; j += last) {
      size_t top_x = 0, top_y = 0;
      for (size_t k = 0; k < last && j + k < count; ++k) {
        const double p = x[j + k], q = y[j + k];
        error += (p - q) * (p - q), xx += p * p, yy += q * q, xy += p * q;
        if (p > x[j + top_x]) top_x = k;
        if (q > y[j + top_y]) top_y = k;
      }
      same_top = same_top && top_x == top_y;
    }
    const double relative = sqrt(error / (yy > 1e-60 ? yy : 1e-60));
    check(relative <= bound, "%s %s: relative L2 error %.2e", mode, e->name, relative);
    if (cosine_bound <= 0) continue;
    const double cosine = xy / sqrt(xx * yy);
    check(cosine >= cosine_bound || same_top, "%s %s: cosine %.6f, top-1 %s", mode, e->name, cosine,
          same_top ? "the same" : "differs");
  }
}

static void check_report(martlet_context *context, bool expects_bf16) {
  size_t count = 0, products = 0, bf16 = 0, unexplained = 0;
  must(martlet_context_node_count(context, &count), "report");
  const char *kernel = "none";
  for (size_t i = 0; i < count; ++i) {
    const martlet_node_info *info;
    must(martlet_context_node(context, i, &info), "report");
    if (!info->precision) continue;
    products += 1;
    if (strcmp(info->precision, "bf16") == 0) bf16 += 1, kernel = info->kernel;
    else if (!info->reason) unexplained += 1;
  }
  check(products > 0 && (expects_bf16 ? bf16 > 0 : bf16 == 0),
        "%zu of %zu products ran in bf16 (%s)", bf16, products, kernel);
  check(unexplained == 0, "%zu fp32 products have no reason", unexplained);
}

static void check_model(const char *folder, int64_t batch, bool expects_bf16) {
  printf("# %s\n", folder);
  char path[4096];
  snprintf(path, sizeof path, "%s/model.onnx", folder);
  arrays inputs = read_arrays(folder, "inputs"), expected = read_arrays(folder, "expected");
  martlet_model *model;
  martlet_context *context;
  must(martlet_set_num_threads(1), "threads");
  must(martlet_model_load(path, NULL, &model), path);
  must(martlet_context_create(model, &context), "context");

  const martlet_math_mode modes[2] = {MARTLET_MATH_FP32, MARTLET_MATH_BF16};
  arrays first[2];
  for (int m = 0; m < 2; ++m) {
    first[m] = run(context, modes[m], &inputs, &expected);
    if (m == 0) compare("FP32", &first[m], &expected, FP32_BOUND, 0);
    else compare("BF16", &first[m], &expected, BF16_BOUND, COSINE_BOUND);
  }
  check_report(context, expects_bf16);
  check(have_same_bits(&first[0], &first[1]) == !expects_bf16, "BF16 mode %s the bits of FP32",
        expects_bf16 ? "changes" : "gives");
  arrays again = run(context, MARTLET_MATH_FP32, &inputs, &expected);
  check(have_same_bits(&again, &first[0]), "BF16 off again gives the bits of never on");
  free_arrays(&again);

  for (int m = 0; m < 2; ++m) {
    const char *name = martlet_math_mode_name(modes[m]);
    for (int32_t threads = 2; threads <= MAX_THREADS; ++threads) {
      must(martlet_set_num_threads(threads), "threads");
      arrays other = run(context, modes[m], &inputs, &expected);
      check(have_same_bits(&other, &first[m]), "%s: %d threads give the bits of one", name,
            (int)threads);
      free_arrays(&other);
    }
    must(martlet_set_num_threads(2), "threads");
    arrays many = rows_of(&inputs, 0, batch);
    arrays together = run(context, modes[m], &many, &expected);
    for (int64_t row = 0; row < batch; ++row) {
      arrays one = rows_of(&inputs, row, 1);
      arrays alone = run(context, modes[m], &one, &expected);
      check(is_row_of(&alone, &together, (size_t)row),
            "%s: row %d alone has its bits in a batch of %d", name, (int)row, (int)batch);
      free_arrays(&one);
      free_arrays(&alone);
    }
    free_arrays(&many);
    free_arrays(&together);
    free_arrays(&first[m]);
  }
  martlet_context_release(context);
  martlet_model_release(model);
  free_arrays(&inputs);
  free_arrays(&expected);
}

int main(int argc, char **argv) {
  int64_t batch = 7;
  bool expects_bf16 = true;
  for (int i = 1; i < argc; ++i) {
    if (strcmp(argv[i], "--batch") == 0 && i + 1 < argc) batch = atoi(argv[++i]);
    else if (strcmp(argv[i], "--expect") == 0 && i + 1 < argc)
      expects_bf16 = strcmp(argv[++i], "bf16") == 0;
    else check_model(argv[i], batch, expects_bf16);
  }
  return finish();
}
