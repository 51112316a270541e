// What a caller gives more of costs in proportion: files and calls are made 16 times as large in each
// way that they can be, and the work must grow by less than 2.6 at each doubling. What is quadratic
// would take 256 times as long, what is linear 16 times: no load of the machine takes one for the other.
#define _GNU_SOURCE 1
#include "conformance.h"
#include "onnx_bytes.h"

#include <time.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SLOW 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__x86_64__)
#define IS_SLOW 1 // or emulated
#endif

static const int64_t one[] = {1};

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static const char *numbered(char *to, const char *name, int index) {
  snprintf(to, 64, "%s%d", name, index);
  return to;
}

// "f" followed by `length` times the letter a.
static char *long_name(int length) {
  char *name = malloc((size_t)length + 2);
  memset(name, 'a', (size_t)length + 1);
  name[0] = 'f';
  name[length + 1] = 0;
  return name;
}

static void add_input(onnx_bytes *graph, const char *name) {
  onnx_message(graph, 11, onnx_value(name, 1, 1, one));
}

static void add_output(onnx_bytes *graph, const char *name) {
  onnx_message(graph, 12, onnx_value(name, 1, 1, one));
}

// Loads, which must end in this status, and lets go of everything; how long that took.
static double load_for(onnx_bytes file, martlet_status expected) {
  martlet_model *model = NULL;
  double begin = seconds();
  martlet_status status = martlet_model_load_memory(file.data, file.size, NULL, &model);
  martlet_model_release(model);
  double taken = seconds() - begin;
  if (status != expected)
    check(false, "loads with %s: %s", martlet_status_name(expected), martlet_last_error()->message);
  free(file.data);
  return taken;
}

static double load(onnx_bytes file) { return load_for(file, MARTLET_OK); }

// ---- Files

static onnx_bytes chain(int count, bool is_backwards) {
  onnx_bytes graph = {0};
  char from[64], to[64], name[64];
  for (int i = 0; i < count; ++i) {
    int node = is_backwards ? count - 1 - i : i;
    numbered(from, "v", node);
    numbered(to, "v", node + 1);
    onnx_message(&graph, 1,
                 onnx_node(node % 2 ? "Neg" : "Sin", numbered(name, "n", node), from, to));
  }
  onnx_text(&graph, 2, "chain");
  add_input(&graph, "v0");
  add_output(&graph, numbered(to, "v", count));
  return onnx_model(graph);
}

static double nodes(int count) { return load(chain(count, false)); }
static double nodes_backwards(int count) { return load(chain(count, true)); }

// x, and y as the only node's result.
static onnx_bytes around(onnx_bytes node) {
  onnx_bytes graph = {0};
  onnx_message(&graph, 1, node);
  onnx_text(&graph, 2, "around");
  add_input(&graph, "x");
  add_output(&graph, "y");
  return graph;
}

// The same letters over and over: what looks for one such name in another must not begin anew each time.
static double operator_name(int length) {
  char *name = long_name(length);
  onnx_bytes node = onnx_node(name + 1, "n", "x", "y");
  onnx_text(&node, 7, name + 1);
  double taken = load_for(onnx_model(around(node)), MARTLET_UNSUPPORTED);
  free(name);
  return taken;
}

static double value_name(int length) {
  char *name = long_name(length);
  double taken =
    load_for(onnx_model(around(onnx_node("Relu", "n", name, "y"))), MARTLET_INVALID_MODEL);
  free(name);
  return taken;
}

static double unknown_operators(int count) {
  onnx_bytes graph = {0};
  char name[64], to[64];
  for (int i = 0; i < count; ++i)
    onnx_message(&graph, 1, onnx_node(numbered(name, "Op", i), "", "x", numbered(to, "y", i)));
  onnx_text(&graph, 2, "unknown");
  add_input(&graph, "x");
  add_output(&graph, "y0");
  return load_for(onnx_model(graph), MARTLET_UNSUPPORTED);
}

static double attributes(int count) {
  onnx_bytes node = onnx_node("Relu", "n", "x", "y");
  for (int i = 0; i < count; ++i) {
    char name[64];
    onnx_bytes attribute = {0};
    onnx_text(&attribute, 1, numbered(name, "attribute", i));
    onnx_int(&attribute, 3, i);
    onnx_int(&attribute, 20, 2);
    onnx_message(&node, 5, attribute);
  }
  onnx_bytes file = onnx_model(around(node));
  martlet_model *model = NULL;
  double begin = seconds();
  (void)martlet_model_load_memory(file.data, file.size, NULL, &model);
  martlet_model_release(model);
  double taken = seconds() - begin;
  free(file.data);
  return taken;
}

static double initialisers(int count) {
  const float value = 1;
  onnx_bytes graph = around(onnx_node("Relu", "n", "x", "y"));
  char name[64];
  for (int i = 0; i < count; ++i)
    onnx_message(&graph, 5, onnx_tensor(numbered(name, "w", i), 1, 1, one, &value, sizeof value));
  return load(onnx_model(graph));
}

static double dims(int count) {
  const float value = 1;
  int64_t *shape = malloc((size_t)count * sizeof *shape);
  for (int i = 0; i < count; ++i) shape[i] = 1;
  onnx_bytes graph = around(onnx_node("Relu", "n", "x", "y"));
  onnx_message(&graph, 5, onnx_tensor("w", 1, count, shape, &value, sizeof value));
  free(shape);
  return load_for(onnx_model(graph), MARTLET_INVALID_MODEL);
}

static double metadata(int count) {
  onnx_bytes file = onnx_model(around(onnx_node("Relu", "n", "x", "y")));
  char name[64];
  for (int i = 0; i < count; ++i) {
    onnx_bytes entry = {0};
    onnx_text(&entry, 1, numbered(name, "key", i));
    onnx_text(&entry, 2, "value");
    onnx_message(&file, 14, entry);
  }
  return load(file);
}

// `functions` of one node each, of which call i calls function i % functions.
static double calls(int count, int functions) {
  onnx_bytes graph = {0};
  char from[64] = "x", to[64], name[64];
  for (int i = 0; i < count; ++i) {
    onnx_bytes node = onnx_node(numbered(name, "F", i % functions), "", from, numbered(to, "v", i));
    onnx_text(&node, 7, "local");
    onnx_message(&graph, 1, node);
    strcpy(from, to);
  }
  onnx_text(&graph, 2, "calls");
  add_input(&graph, "x");
  add_output(&graph, to);
  onnx_bytes file = onnx_model(graph), opset = {0};
  onnx_text(&opset, 1, "local");
  onnx_int(&opset, 2, 1);
  onnx_message(&file, 8, opset);
  for (int i = 0; i < functions; ++i) {
    onnx_bytes function = {0}, own = {0};
    onnx_text(&function, 1, numbered(name, "F", i));
    onnx_text(&function, 4, "a");
    onnx_text(&function, 5, "b");
    onnx_message(&function, 7, onnx_node("Sin", "inner", "a", "b"));
    onnx_int(&own, 2, 17);
    onnx_message(&function, 9, own);
    onnx_text(&function, 10, "local");
    onnx_message(&file, 25, function);
  }
  return load(file);
}

static double functions(int count) { return calls(count, count); }
static double function_calls(int count) { return calls(count, 1); }

// `count` nodes If, each of which adds x in one branch and negates it in the other; the condition is
// an initialiser, whose branch takes the node's place, or an input.
static double branches(int count, bool is_constant) {
  onnx_bytes graph = {0};
  char from[64] = "x", to[64], name[64];
  const uint8_t yes = 1;
  for (int i = 0; i < count; ++i) {
    onnx_bytes node = onnx_node("If", numbered(name, "if", i), "condition", numbered(to, "v", i));
    for (int branch = 0; branch < 2; ++branch) {
      onnx_bytes body = {0}, attribute = {0};
      char result[64];
      numbered(result, branch ? "then" : "else", i);
      onnx_message(&body, 1, onnx_node(branch ? "Sin" : "Neg", result, from, result));
      onnx_text(&body, 2, result);
      add_output(&body, result);
      onnx_text(&attribute, 1, branch ? "then_branch" : "else_branch");
      onnx_message(&attribute, 6, body);
      onnx_int(&attribute, 20, 5);
      onnx_message(&node, 5, attribute);
    }
    onnx_message(&graph, 1, node);
    strcpy(from, to);
  }
  onnx_text(&graph, 2, "branches");
  if (is_constant) onnx_message(&graph, 5, onnx_tensor("condition", 9, 0, one, &yes, 1));
  else onnx_message(&graph, 11, onnx_value("condition", 9, 0, one));
  add_input(&graph, "x");
  add_output(&graph, to);
  return load(onnx_model(graph));
}

static double constant_branches(int count) { return branches(count, true); }
static double open_branches(int count) { return branches(count, false); }

// ---- Runs

// Runs a model of `count` inputs and outputs y = sin(x), in the model's order or by names in another;
// with `is_twice`, each result is listed as two outputs.
static double ports(int count, bool is_named, bool has_places, bool is_twice) {
  onnx_bytes graph = {0};
  char *names = malloc((size_t)count * 2 * 64);
  size_t results = (size_t)count * (is_twice ? 2 : 1);
  const char **in = malloc((size_t)count * sizeof *in), **out = malloc(results * sizeof *out);
  martlet_tensor **x = malloc((size_t)count * sizeof *x), **y = calloc(results, sizeof *y);
  float *memory = malloc(results * sizeof *memory);
  for (int i = 0; i < count; ++i) {
    int place = count - 1 - i;
    in[place] = numbered(names + 128 * i, "input", i);
    out[place] = numbered(names + 128 * i + 64, "output", i);
    if (is_twice) out[place + count] = out[place];
    onnx_message(&graph, 1, onnx_node("Sin", "", in[place], out[place]));
    add_input(&graph, in[place]);
    x[place] = NULL;
    (void)martlet_tensor_create_zeroed(MARTLET_FLOAT32, 1, one, &x[place]);
  }
  onnx_text(&graph, 2, "ports");
  for (int i = 0; i < count; ++i) add_output(&graph, names + 128 * i + 64);
  if (is_twice)
    for (int i = 0; i < count; ++i) add_output(&graph, names + 128 * i + 64);
  if (has_places)
    for (size_t i = 0; i < results; ++i)
      (void)martlet_tensor_wrap(memory + i, sizeof *memory, MARTLET_FLOAT32, 1, one, &y[i]);
  onnx_bytes file = onnx_model(graph);
  martlet_model *model = NULL;
  martlet_context *context = NULL;
  (void)martlet_model_load_memory(file.data, file.size, NULL, &model);
  (void)martlet_context_create(model, &context);
  double begin = seconds();
  martlet_status status =
    is_named ? martlet_context_run_named(context, in, x, (size_t)count, out, y, results)
             : martlet_context_run(context, x, (size_t)count, y, results);
  double taken = seconds() - begin;
  if (status != MARTLET_OK) check(false, "a run: %s", martlet_last_error()->message);
  for (size_t i = 0; i < results; ++i) martlet_tensor_release(y[i]);
  for (int i = 0; i < count; ++i) martlet_tensor_release(x[i]);
  martlet_context_release(context);
  martlet_model_release(model);
  free(file.data);
  free(names);
  free(in);
  free(out);
  free(x);
  free(y);
  free(memory);
  return taken;
}

static double ports_in_order(int count) { return ports(count, false, false, false); }
static double ports_with_places(int count) { return ports(count, false, true, false); }
static double ports_by_name(int count) { return ports(count, true, true, false); }
static double ports_listed_twice(int count) { return ports(count, true, false, true); }

static double unknown_name(int length) {
  char *name = long_name(length);
  onnx_bytes file = onnx_mlp();
  martlet_model *model = NULL;
  martlet_context *context = NULL;
  const float values[MLP_IN] = {0};
  const int64_t shape[] = {1, MLP_IN};
  martlet_tensor *x = NULL, *y = NULL;
  (void)martlet_tensor_from_data(values, sizeof values, MARTLET_FLOAT32, 2, shape, &x);
  (void)martlet_model_load_memory(file.data, file.size, NULL, &model);
  (void)martlet_context_create(model, &context);
  const char *names[] = {name};
  double begin = seconds();
  martlet_status status = martlet_context_run_named(context, names, &x, 1, NULL, &y, 1);
  double taken = seconds() - begin;
  if (status != MARTLET_NOT_FOUND) check(false, "an unknown input is not found");
  martlet_context_release(context);
  martlet_model_release(model);
  martlet_tensor_release(x);
  free(file.data);
  free(name);
  return taken;
}

// ---- Calls

static double eager_name(int length) {
  char *name = long_name(length);
  martlet_tensor *y = NULL;
  double begin = seconds();
  martlet_status status = martlet_op_run(name, NULL, MARTLET_MATH_DEFAULT, NULL, 0, &y, 1);
  double taken = seconds() - begin;
  if (status != MARTLET_NOT_FOUND) check(false, "an unknown operator is not found");
  free(name);
  return taken;
}

static double attribute_sets(int count) {
  martlet_attributes *set = NULL;
  char name[64];
  double begin = seconds();
  (void)martlet_attributes_create(&set);
  for (int i = 0; i < count; ++i)
    (void)martlet_attributes_set_int(set, numbered(name, "attribute", i), i);
  martlet_attributes_release(set);
  return seconds() - begin;
}

static double sequences(int count) {
  martlet_tensor *x = NULL;
  martlet_value **elements = malloc((size_t)count * sizeof *elements), *sequence = NULL;
  (void)martlet_tensor_create_zeroed(MARTLET_FLOAT32, 1, one, &x);
  double begin = seconds();
  for (int i = 0; i < count; ++i) (void)martlet_value_from_tensor(x, &elements[i]);
  martlet_status status =
    martlet_value_create_sequence(elements, (size_t)count, MARTLET_FLOAT32, &sequence);
  for (int i = 0; i < count; ++i) martlet_value_release(elements[i]);
  for (int i = 0; i < count && status == MARTLET_OK; ++i) {
    martlet_value *element = NULL;
    (void)martlet_value_element(sequence, (size_t)i, &element);
    martlet_value_release(element);
  }
  martlet_value_release(sequence);
  double taken = seconds() - begin;
  if (status != MARTLET_OK) check(false, "a sequence: %s", martlet_last_error()->message);
  martlet_tensor_release(x);
  free(elements);
  return taken;
}

static double strings(int count) {
  const char **texts = malloc((size_t)count * sizeof *texts);
  const int64_t shape[] = {count};
  martlet_tensor *x = NULL;
  for (int i = 0; i < count; ++i) texts[i] = "a string of some length";
  double begin = seconds();
  (void)martlet_tensor_from_strings(texts, NULL, 1, shape, &x);
  martlet_tensor_release(x);
  double taken = seconds() - begin;
  free(texts);
  return taken;
}

// ---- Growth

static double least(double (*cost)(int), int count, int times) {
  double best = cost(count);
  for (int i = 1; i < times; ++i) {
    double next = cost(count);
    if (next < best) best = next;
  }
  return best;
}

static void grows(const char *what, double (*cost)(int), int count) {
  double few = least(cost, count, 5), many = least(cost, 16 * count, 2);
  // 2.6 for each of four doublings. Less than half a millisecond says nothing.
  double most = 2.6 * 2.6 * 2.6 * 2.6 * (few > 5e-4 ? few : 5e-4);
  // What a busy machine takes longer for is tried again: what is quadratic is too slow each time.
  for (int again = 0; again < 6 && many >= most; ++again) {
    double next = cost(16 * count);
    if (next < many) many = next;
  }
  check(many < most, "%s: %d take %.2f ms, 16 times as many %.2f ms", what, count, few * 1e3,
        many * 1e3);
}

int main(void) {
#ifdef IS_SLOW
  puts("0 passed, 0 failed (not timed here)");
  return 0;
#endif
  check_ok(martlet_set_num_threads(1));
  grows("nodes", nodes, 500);
  grows("nodes that stand last to first", nodes_backwards, 500);
  grows("letters of an operator's name in a file", operator_name, 50000);
  grows("letters of a value's name in a file", value_name, 50000);
  grows("unknown operators", unknown_operators, 500);
  grows("attributes of a node", attributes, 1000);
  grows("initialisers", initialisers, 1000);
  grows("dimensions of an initialiser", dims, 20000);
  grows("metadata", metadata, 1000);
  grows("functions", functions, 300);
  grows("calls of a function", function_calls, 500);
  grows("branches that are decided at load", constant_branches, 250);
  grows("branches that are decided in the run", open_branches, 100);
  grows("inputs and outputs", ports_in_order, 500);
  grows("inputs and outputs with places given", ports_with_places, 500);
  grows("inputs and outputs by name", ports_by_name, 500);
  grows("outputs that are listed twice, by name", ports_listed_twice, 500);
  grows("letters of an input's name in a run", unknown_name, 50000);
  grows("letters of an operator's name in a call", eager_name, 50000);
  grows("attributes of a set", attribute_sets, 2000);
  grows("elements of a sequence", sequences, 1000);
  grows("strings of a tensor", strings, 5000);
  return finish();
}
