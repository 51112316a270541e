// Files that are no models, or broken ones: each a status and a message, and the process lives on.
#include "conformance.h"
#include "onnx_bytes.h"

#include <sys/stat.h>
#include <unistd.h>

static const int64_t four[] = {4}, x_shape[] = {-1, MLP_IN};

static martlet_status load_status(const void *data, size_t size) {
  martlet_model *model = NULL;
  martlet_status status = martlet_model_load_memory(data, size, NULL, &model);
  if (status == MARTLET_OK) martlet_model_release(model);
  else if (model != NULL) return -1;
  return status;
}

// One line for a graph that must be refused with this status.
static void check_graph(martlet_status expected, onnx_bytes graph, const char *mention,
                        const char *what) {
  onnx_bytes file = onnx_model(graph);
  martlet_status status = load_status(file.data, file.size);
  const martlet_error *error = martlet_last_error();
  bool holds = status == expected && strstr(error->message, mention) != NULL;
  if (!check(holds, "%s: %s", martlet_status_name(expected), what))
    printf("        got %s: %s\n", martlet_status_name(status), error->message);
  free(file.data);
}

static onnx_bytes ports(onnx_bytes graph) {
  onnx_text(&graph, 2, "broken");
  onnx_message(&graph, 11, onnx_value("x", 1, 1, four));
  onnx_message(&graph, 12, onnx_value("y", 1, 1, four));
  return graph;
}

static void graphs(void) {
  onnx_bytes graph = {0};
  onnx_message(&graph, 1, onnx_node("Add", "ahead", "x b", "a"));
  onnx_message(&graph, 1, onnx_node("Relu", "behind", "a", "b"));
  onnx_message(&graph, 1, onnx_node("Relu", "last", "b", "y"));
  check_graph(MARTLET_INVALID_MODEL, ports(graph), "cycl", "a cyclic graph");

  memset(&graph, 0, sizeof graph);
  onnx_message(&graph, 1, onnx_node("Frobnicate", "odd", "x", "y"));
  check_graph(MARTLET_UNSUPPORTED, ports(graph), "Frobnicate", "an unknown operator");

  memset(&graph, 0, sizeof graph);
  onnx_message(&graph, 1, onnx_node("Add", "lonely", "x nothing", "y"));
  check_graph(MARTLET_INVALID_MODEL, ports(graph), "nothing", "a value that nobody computes");

  memset(&graph, 0, sizeof graph);
  onnx_message(&graph, 1, onnx_node("Relu", "elsewhere", "x", "z"));
  check_graph(MARTLET_INVALID_MODEL, ports(graph), "y", "an output that nobody computes");

  memset(&graph, 0, sizeof graph);
  onnx_message(&graph, 1, onnx_node("Relu", "one", "x", "y"));
  onnx_message(&graph, 1, onnx_node("Abs", "two", "x", "y"));
  check_graph(MARTLET_INVALID_MODEL, ports(graph), "y", "a value that two nodes compute");

  static const struct {
    int64_t extent;
    size_t bytes;
    const char *what;
  } weights[] = {{4, 8, "an initialiser with too few bytes"},
                 {1LL << 40, 16, "an initialiser larger than the file"},
                 {INT64_MAX, 16, "an initialiser whose size overflows"},
                 {-4, 16, "an initialiser with a negative extent"}};
  for (size_t i = 0; i < sizeof weights / sizeof weights[0]; ++i) {
    memset(&graph, 0, sizeof graph);
    onnx_message(&graph, 1, onnx_node("Add", "sum", "x w", "y"));
    onnx_message(&graph, 5,
                 onnx_tensor("w", 1, 1, &weights[i].extent, mlp_weight, weights[i].bytes));
    check_graph(MARTLET_INVALID_MODEL, ports(graph), "w", weights[i].what);
  }
}

static void files(void) {
  const char *folder = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
  char path[4096];
  martlet_model *model = NULL;
  snprintf(path, sizeof path, "%s/none/model.onnx", folder);
  check_status(MARTLET_NOT_FOUND, martlet_model_load(path, NULL, &model));
  check_says(martlet_last_error()->message, "none/model.onnx", "message");
  check_status(MARTLET_IO, martlet_model_load(folder, NULL, &model));
  check_says(martlet_last_error()->message, "directory", "message");
  check_status(MARTLET_INVALID_ARGUMENT, martlet_model_load(NULL, NULL, &model));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_model_load(path, NULL, NULL));
  check(martlet_model_load("", NULL, &model) != MARTLET_OK, "an empty path is refused");
  snprintf(path, sizeof path, "%s/empty.onnx", folder);
  FILE *file = fopen(path, "wb");
  fclose(file);
  check_status(MARTLET_INVALID_MODEL, martlet_model_load(path, NULL, &model));
  file = fopen(path, "wb");
  for (int i = 0; i < 5000; ++i) fputs("# Not a model\n", file);
  fclose(file);
  check_status(MARTLET_INVALID_MODEL, martlet_model_load(path, NULL, &model));
  unlink(path);
  snprintf(path, sizeof path, "%s/pipe.onnx", folder);
  if (mkfifo(path, 0600) == 0) check_status(MARTLET_IO, martlet_model_load(path, NULL, &model));
  unlink(path);
  check(model == NULL, "a result is NULL on failure");
  check_status(MARTLET_INVALID_MODEL, martlet_model_load_memory("", 0, NULL, &model));
  check_status(MARTLET_INVALID_MODEL, martlet_model_load_memory(NULL, 0, NULL, &model));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_model_load_memory(NULL, 10, NULL, &model));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_model_load_memory("x", SIZE_MAX, NULL, &model));
}

// Every prefix of a good file, and every bit of it flipped: loading and running end in a status.
static void damage(void) {
  onnx_bytes file = onnx_mlp();
  int refused = 0, internal = 0;
  for (size_t size = 0; size < file.size; ++size) {
    uint8_t *part = malloc(size ? size : 1);  // its own block, so that reading past it is seen
    memcpy(part, file.data, size);
    martlet_status status = load_status(part, size);
    refused += status != MARTLET_OK;
    internal += status == MARTLET_INTERNAL_ERROR || status == -1;
    free(part);
  }
  check(internal == 0 && refused > (int)file.size / 2, "%d of %d truncated files are refused",
        refused, (int)file.size);
  float values[MLP_IN] = {1, 2, 3, 4};
  int64_t shape[] = {1, MLP_IN};
  martlet_tensor *x = NULL;
  check_ok(martlet_tensor_wrap(values, sizeof values, MARTLET_FLOAT32, 2, shape, &x));
  int loaded = 0, ran = 0;
  uint8_t *copy = malloc(file.size);
  for (size_t bit = 0; bit < file.size * 8; ++bit) {
    memcpy(copy, file.data, file.size);
    copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
    martlet_model *model = NULL;
    martlet_tensor *y = NULL;
    martlet_status status = martlet_model_load_memory(copy, file.size, NULL, &model);
    if (status == MARTLET_OK) {
      loaded += 1;
      status = martlet_model_run(model, &x, 1, &y, 1);
      ran += status == MARTLET_OK;
    }
    if (status == MARTLET_INTERNAL_ERROR) {
      internal += 1;
      printf("        bit %d: %s\n", (int)bit, martlet_last_error()->message);
    }
    martlet_tensor_release(y);
    martlet_model_release(model);
  }
  check(internal == 0, "of %d flipped bits %d load and %d run, and none ends badly",
        (int)file.size * 8, loaded, ran);
  check(load_status(file.data, file.size) == MARTLET_OK, "the file itself loads afterwards");
  martlet_tensor_release(x);
  free(copy);
  free(file.data);
}

// Deep and wide nesting must not exhaust the stack.
static void nesting(void) {
  onnx_bytes inner = {0};
  for (int depth = 0; depth < 5000; ++depth) {
    onnx_bytes attribute = {0}, node = {0}, graph = {0};
    onnx_text(&attribute, 1, "then_branch");
    onnx_message(&attribute, 6, inner);
    onnx_int(&attribute, 20, 5);
    onnx_text(&node, 4, "If");
    onnx_message(&node, 5, attribute);
    onnx_message(&graph, 1, node);
    inner = graph;
  }
  onnx_bytes file = onnx_model(inner);
  check(load_status(file.data, file.size) != MARTLET_OK,
        "graphs nested 5000 deep are refused: %.60s", martlet_last_error()->message);
  free(file.data);

  onnx_bytes graph = {0};
  char from[32] = "x", to[32];
  for (int i = 0; i < 20000; ++i) {
    snprintf(to, sizeof to, i == 19999 ? "y" : "v%d", i);
    onnx_message(&graph, 1, onnx_node("Relu", to, from, to));
    memcpy(from, to, sizeof to);
  }
  file = onnx_model(ports(graph));
  check(load_status(file.data, file.size) == MARTLET_OK, "a chain of 20000 nodes loads: %.60s",
        martlet_last_error()->message);
  free(file.data);
}

int main(void) {
  (void)x_shape;
  graphs();
  files();
  damage();
  nesting();
  return finish();
}
