// The limits that the header states: stack, rank, and what names and file names may hold.
#define _GNU_SOURCE 1
#include "conformance.h"
#include "onnx_bytes.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_LARGE_FRAMES 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define HAS_LARGE_FRAMES 1
#endif

// As the header states them.
enum { STACK = 128 << 10, STACK_OF_NESTED = 1 << 20, DEPTH = 64, MOST_RANK = 32 };

static const int64_t one[] = {1};

// y = sin(x) within `depth` nodes If, one inside the other.
static onnx_bytes nested(int depth) {
  onnx_bytes graph = {0};
  char name[64];
  snprintf(name, sizeof name, "y%d", depth);
  if (depth == 0) {
    onnx_message(&graph, 1, onnx_node("Sin", "sin", "x", name));
  } else {
    onnx_bytes node = onnx_node("If", name, "condition", name);
    for (int branch = 0; branch < 2; ++branch) {
      onnx_bytes attribute = {0}, inner = {0};
      if (branch == 0) {
        inner = nested(depth - 1);
      } else {
        onnx_message(&inner, 1, onnx_node("Neg", "neg", "x", "n"));
        onnx_text(&inner, 2, "else");
        onnx_message(&inner, 12, onnx_value("n", 1, 1, one));
      }
      onnx_text(&attribute, 1, branch == 0 ? "then_branch" : "else_branch");
      onnx_message(&attribute, 6, inner);
      onnx_int(&attribute, 20, 5);
      onnx_message(&node, 5, attribute);
    }
    onnx_message(&graph, 1, node);
  }
  onnx_text(&graph, 2, name);
  onnx_message(&graph, 12, onnx_value(name, 1, 1, one));
  return graph;
}

static martlet_status loads_and_runs(onnx_bytes file, martlet_tensor **inputs, size_t count) {
  martlet_model *model = NULL;
  martlet_context *context = NULL;
  martlet_tensor *y = NULL;
  martlet_status status = martlet_model_load_memory(file.data, file.size, NULL, &model);
  if (!status) status = martlet_context_create(model, &context);
  for (int run = 0; run < 3 && !status; ++run) {
    status = martlet_context_run(context, inputs, count, &y, 1);
    martlet_tensor_release(y);
    y = NULL;
  }
  martlet_context_release(context);
  martlet_model_release(model);
  return status;
}

static void *with_little_stack(void *is_nested) {
  const int64_t shape[] = {2, MLP_IN};
  const float values[2 * MLP_IN] = {0};
  const uint8_t yes = 1;
  martlet_tensor *x = NULL, *scalar = NULL, *condition = NULL, *y = NULL;
  check_ok(martlet_tensor_from_data(values, sizeof values, MARTLET_FLOAT32, 2, shape, &x));
  check_ok(martlet_tensor_from_data(values, sizeof *values, MARTLET_FLOAT32, 1, one, &scalar));
  check_ok(martlet_tensor_from_data(&yes, 1, MARTLET_BOOL, 0, NULL, &condition));
  check_ok(martlet_softmax(x, -1, &y));
  martlet_tensor_release(y);
  onnx_bytes mlp = onnx_mlp();
  check(loads_and_runs(mlp, &x, 1) == MARTLET_OK, "a model is loaded and run");
  free(mlp.data);
  if (is_nested != NULL) {
    onnx_bytes graph = nested(DEPTH - 1);
    onnx_message(&graph, 11, onnx_value("x", 1, 1, one));
    onnx_message(&graph, 11, onnx_value("condition", 9, 0, one));
    onnx_bytes file = onnx_model(graph);
    martlet_tensor *both[] = {scalar, condition};
    martlet_status status = loads_and_runs(file, both, 2);
    check(status == MARTLET_OK, "a model nested as deep as can be is loaded and run: %s",
          status ? martlet_last_error()->message : "OK");
    free(file.data);
  }
  martlet_tensor_release(x);
  martlet_tensor_release(scalar);
  martlet_tensor_release(condition);
  return NULL;
}

static void stack(size_t bytes, bool is_nested) {
#ifdef HAS_LARGE_FRAMES
  return;
#endif
  pthread_attr_t attributes;
  pthread_t thread;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, bytes);
  check(pthread_create(&thread, &attributes, with_little_stack, is_nested ? &thread : NULL) == 0,
        "a thread has %zu KiB of stack", bytes >> 10);
  pthread_join(thread, NULL);
  pthread_attr_destroy(&attributes);
}

static void ranks(void) {
  int64_t shape[MOST_RANK + 1];
  for (int axis = 0; axis <= MOST_RANK; ++axis) shape[axis] = 1;
  martlet_tensor *tensor = NULL;
  check_ok(martlet_tensor_create(MARTLET_FLOAT32, MOST_RANK, shape, &tensor));
  martlet_tensor_release(tensor);
  check_status(MARTLET_INVALID_SHAPE,
               martlet_tensor_create(MARTLET_FLOAT32, MOST_RANK + 1, shape, &tensor));
  for (int extra = 0; extra <= 1; ++extra) {
    martlet_model *model = NULL;
    onnx_bytes graph = {0};
    onnx_message(&graph, 1, onnx_node("Relu", "n", "x", "y"));
    onnx_text(&graph, 2, "ranks");
    onnx_message(&graph, 11, onnx_value("x", 1, MOST_RANK + extra, shape));
    onnx_message(&graph, 12, onnx_value("y", 1, 1, one));
    onnx_bytes file = onnx_model(graph);
    check_status(extra ? MARTLET_INVALID_MODEL : MARTLET_OK,
                 martlet_model_load_memory(file.data, file.size, NULL, &model));
    martlet_model_release(model);
    free(file.data);
  }
}

// A value's name in a file of 3 bytes, of which the second is `middle`.
static void name_with(char middle, martlet_status expected) {
  const char name[] = {'x', middle, 'y'};
  onnx_bytes node = {0}, graph = {0}, info = {0};
  onnx_blob(&node, 1, name, sizeof name);
  onnx_text(&node, 2, "z");
  onnx_text(&node, 4, "Relu");
  onnx_blob(&info, 1, name, sizeof name);
  onnx_message(&graph, 1, node);
  onnx_text(&graph, 2, "names");
  onnx_message(&graph, 11, info);
  onnx_message(&graph, 12, onnx_value("z", 1, 1, one));
  onnx_bytes file = onnx_model(graph);
  martlet_model *model = NULL;
  check_status(expected, martlet_model_load_memory(file.data, file.size, NULL, &model));
  martlet_model_release(model);
  free(file.data);
}

static void names(void) {
  name_with('.', MARTLET_OK);
  name_with(0, MARTLET_INVALID_MODEL);
  name_with((char)0xFF, MARTLET_INVALID_MODEL);
  martlet_attributes *set = NULL;
  check_ok(martlet_attributes_create(&set));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_attributes_set_int(set, "a\xFFz", 1));
  martlet_attributes_release(set);
}

static void write_file(const char *path, const void *data, size_t size) {
  FILE *file = fopen(path, "wb");
  if (!check(file != NULL && fwrite(data, 1, size, file) == size, "a file is written")) return;
  fclose(file);
}

// A model whose weight W lies in the file `location` beside it.
static onnx_bytes external(const char *location) {
  onnx_bytes graph = {0}, tensor = {0}, entry = {0};
  onnx_int(&tensor, 1, 1);
  onnx_int(&tensor, 2, 1);
  onnx_text(&tensor, 8, "W");
  onnx_text(&entry, 1, "location");
  onnx_text(&entry, 2, location);
  onnx_message(&tensor, 13, entry);
  onnx_int(&tensor, 14, 1);
  onnx_message(&graph, 1, onnx_node("Add", "n", "x W", "y"));
  onnx_text(&graph, 2, "external");
  onnx_message(&graph, 5, tensor);
  onnx_message(&graph, 11, onnx_value("x", 1, 1, one));
  onnx_message(&graph, 12, onnx_value("y", 1, 1, one));
  return onnx_model(graph);
}

static void files(void) {
  const char *temporary = getenv("TMPDIR");
  char folder[512], path[600], other[600];
  snprintf(folder, sizeof folder, "%s/martlet-limits-XXXXXX", temporary ? temporary : "/tmp");
  if (!check(mkdtemp(folder) != NULL, "there is a folder for files")) return;
  martlet_model *model = NULL;
  onnx_bytes mlp = onnx_mlp();
  snprintf(path, sizeof path, "%s/caf\xE9.onnx", folder);
  write_file(path, mlp.data, mlp.size);
  check_status(MARTLET_INVALID_ARGUMENT, martlet_model_load(path, NULL, &model));
  check_says(martlet_last_error()->message, "UTF-8", "message");
  unlink(path);
  snprintf(path, sizeof path, "%s/caf\xC3\xA9.onnx", folder);
  write_file(path, mlp.data, mlp.size);
  check_ok(martlet_model_load(path, NULL, &model));
  martlet_model_release(model);
  unlink(path);
  free(mlp.data);

  // Links: to a file beside the model, and out of its folder.
  const float weight = 2;
  char inside[600], link[600];
  snprintf(inside, sizeof inside, "%s/model", folder);
  mkdir(inside, 0755);
  snprintf(other, sizeof other, "%s/outside.bin", folder);
  write_file(other, &weight, sizeof weight);
  snprintf(path, sizeof path, "%s/model/inside.bin", folder);
  write_file(path, &weight, sizeof weight);
  snprintf(link, sizeof link, "%s/model/weights.bin", folder);
  onnx_bytes file = external("weights.bin");
  snprintf(inside, sizeof inside, "%s/model/model.onnx", folder);
  write_file(inside, file.data, file.size);
  check(symlink("inside.bin", link) == 0, "a link leads to a file beside the model");
  check_ok(martlet_model_load(inside, NULL, &model));
  martlet_model_release(model);
  unlink(link);
  check(symlink("../outside.bin", link) == 0, "a link leads out of the model's folder");
  model = NULL;
  check_status(MARTLET_INVALID_MODEL, martlet_model_load(inside, NULL, &model));
  free(file.data);
  unlink(link);
  unlink(inside);
  unlink(path);
  unlink(other);
  snprintf(inside, sizeof inside, "%s/model", folder);
  rmdir(inside);
  rmdir(folder);
}

int main(int count, char **arguments) {
  // With a number of KiB: whether so much stack is enough; with anything behind it, for nested graphs.
  if (count > 1) {
    stack((size_t)atoi(arguments[1]) << 10, count > 2);
    return finish();
  }
  stack(STACK, false);
  stack(STACK_OF_NESTED, true);
  ranks();
  names();
  files();
  return finish();
}
