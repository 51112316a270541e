// Any operator by name, and its attributes.
#include "conformance.h"

static const float six[6] = {-1, 0.5f, 2, 3, -4, 5};
static int64_t shape[] = {2, 3};

static bool holds_floats(const martlet_tensor *tensor, const float *expected, int count) {
  double wide[16];
  for (int i = 0; i < count; ++i) wide[i] = expected[i];
  return distance(tensor, wide, count) < 1e-6;
}

static void table(void) {
  size_t count = 0;
  bool has_conv = false;
  while (martlet_op_name_at(count)) {
    has_conv = has_conv || strcmp(martlet_op_name_at(count), "Add") == 0;
    count += 1;
  }
  check(count >= 40 && has_conv, "there are %d operators", (int)count);
  check(martlet_op_name_at(SIZE_MAX) == NULL, "and none past the last");
}

static void running(martlet_tensor *x) {
  martlet_tensor *inputs[] = {x, x}, *outputs[1] = {NULL};
  check_ok(martlet_op_run("Add", NULL, MARTLET_MATH_DEFAULT, inputs, 2, outputs, 1));
  const float doubled[] = {-2, 1, 4, 6, -8, 10};
  check(holds_floats(outputs[0], doubled, 6), "Add adds");
  martlet_tensor *own = outputs[0];
  check_ok(martlet_op_run("Mul", NULL, MARTLET_MATH_DEFAULT, inputs, 2, outputs, 1));
  const float squares[] = {1, 0.25f, 4, 9, 16, 25};
  check(outputs[0] == own && holds_floats(own, squares, 6), "Mul writes to the caller's tensor");
  martlet_tensor_release(own);

  // Martlet's own operators go by their whole names and without their domain.
  martlet_tensor *silu[2] = {NULL, NULL};
  check_ok(martlet_op_run("ai.martlet.Silu", NULL, MARTLET_MATH_DEFAULT, inputs, 1, silu, 1));
  check_ok(martlet_op_run("Silu", NULL, MARTLET_MATH_DEFAULT, inputs, 1, silu + 1, 1));
  const float expected[] = {-0.26894143f, 0.31122968f,  1.76159418f,
                            2.85772240f,  -0.07194484f, 4.96653575f};
  check(holds_floats(silu[0], expected, 6) && same_bits(silu[0], silu[1]), "Silu has two names");
  for (int i = 0; i < 2; ++i) martlet_tensor_release(silu[i]);

  martlet_attributes *attributes = NULL;
  int64_t axes[] = {1, 0};
  check_ok(martlet_attributes_create(&attributes));
  check_ok(martlet_attributes_set_ints(attributes, "perm", axes, 2));
  outputs[0] = NULL;
  check_ok(martlet_op_run("Transpose", attributes, MARTLET_MATH_DEFAULT, inputs, 1, outputs, 1));
  const float transposed[] = {-1, 3, 0.5f, -4, 2, 5};
  int64_t transposed_shape[] = {3, 2};
  check(has_shape(outputs[0], 2, transposed_shape) && holds_floats(outputs[0], transposed, 6),
        "Transpose takes its attribute");
  martlet_tensor_release(outputs[0]);
  check_ok(martlet_attributes_release(attributes));

  check_ok(martlet_attributes_create(&attributes));
  check_ok(martlet_attributes_set_float(attributes, "alpha", 0.5f));
  outputs[0] = NULL;
  check_ok(martlet_op_run("LeakyRelu", attributes, MARTLET_MATH_DEFAULT, inputs, 1, outputs, 1));
  const float leaky[] = {-0.5f, 0.5f, 2, 3, -2, 5};
  check(holds_floats(outputs[0], leaky, 6), "LeakyRelu takes a float");
  martlet_tensor_release(outputs[0]);
  check_ok(martlet_attributes_release(attributes));

  check_ok(martlet_attributes_create(&attributes));
  check_ok(martlet_attributes_set_int(attributes, "axis", 1));
  outputs[0] = NULL;
  check_ok(martlet_op_run("Concat", attributes, MARTLET_MATH_DEFAULT, inputs, 2, outputs, 1));
  int64_t joined[] = {2, 6};
  check(has_shape(outputs[0], 2, joined), "Concat takes any number of inputs");
  martlet_tensor_release(outputs[0]);
  check_ok(martlet_attributes_release(attributes));

  martlet_tensor *clipped[] = {x, NULL, NULL};
  float limit = 1;
  check_ok(martlet_tensor_from_data(&limit, 4, MARTLET_FLOAT32, 0, NULL, &clipped[2]));
  outputs[0] = NULL;
  check_ok(martlet_op_run("Clip", NULL, MARTLET_MATH_DEFAULT, clipped, 3, outputs, 1));
  const float below[] = {-1, 0.5f, 1, 1, -4, 1};
  check(holds_floats(outputs[0], below, 6), "an optional input in the middle may be NULL");
  martlet_tensor_release(outputs[0]);
  martlet_tensor_release(clipped[2]);

  martlet_tensor *reshaped[] = {x, NULL};
  int64_t target[] = {3, 2}, two[] = {2};
  check_ok(martlet_tensor_from_data(target, 16, MARTLET_INT64, 1, two, &reshaped[1]));
  outputs[0] = NULL;
  check_ok(martlet_op_run("Reshape", NULL, MARTLET_MATH_DEFAULT, reshaped, 2, outputs, 1));
  check(has_shape(outputs[0], 2, target) && holds_floats(outputs[0], six, 6), "Reshape reshapes");
  martlet_tensor_release(outputs[0]);
  martlet_tensor_release(reshaped[1]);
}

static void given_results(void) {
  float memory[12];
  int64_t shape[] = {3, 4}, halves[] = {3, 2}, strides[] = {4, 1};
  martlet_tensor *inputs[] = {NULL}, *halved[2] = {NULL, NULL};
  martlet_attributes *attributes = NULL;
  check_ok(martlet_attributes_create(&attributes));
  check_ok(martlet_attributes_set_int(attributes, "axis", 1));
  check_ok(martlet_tensor_wrap(memory, 48, MARTLET_FLOAT32, 2, shape, &inputs[0]));
  for (int i = 0; i < 12; ++i) memory[i] = (float)i;
  for (int side = 0; side < 2; ++side) {
    /* The halves of the input itself, changed about. */
    check_ok(martlet_tensor_wrap_strided(memory, sizeof memory, side == 0 ? 8 : 0, MARTLET_FLOAT32,
                                         2, halves, strides, 0, NULL, NULL, &halved[side]));
  }
  check_ok(martlet_op_run("Split", attributes, MARTLET_MATH_DEFAULT, inputs, 1, halved, 2));
  check(memory[0] == 2 && memory[1] == 3 && memory[2] == 0 && memory[3] == 1 && memory[8] == 10 &&
          memory[11] == 9,
        "results may be given the input's own memory, half by half");
  martlet_tensor_release(halved[0]);
  check_ok(martlet_tensor_wrap_strided(memory, sizeof memory, 4, MARTLET_FLOAT32, 2, halves,
                                       strides, 0, NULL, NULL, &halved[0]));
  check_status(MARTLET_INVALID_ARGUMENT,
               martlet_op_run("Split", attributes, MARTLET_MATH_DEFAULT, inputs, 1, halved, 2));
  check_says(martlet_last_error()->input, "outputs[1]", "input");
  check_says(martlet_last_error()->message, "shares memory", "message");
  for (int side = 0; side < 2; ++side) martlet_tensor_release(halved[side]);
  martlet_tensor_release(inputs[0]);
  martlet_attributes_release(attributes);
}

static void failing(martlet_tensor *x) {
  martlet_tensor *inputs[] = {x, x, NULL}, *outputs[2] = {NULL, NULL};
#define RUN(name, attributes, n, m) \
  martlet_op_run(name, attributes, MARTLET_MATH_DEFAULT, inputs, n, outputs, m)
  check_status(MARTLET_NOT_FOUND, RUN("Frobnicate", NULL, 1, 1));
  check_says(martlet_last_error()->operator_name, "Frobnicate", "operator");
  check_status(MARTLET_INVALID_ARGUMENT, RUN(NULL, NULL, 1, 1));
  check_status(MARTLET_INVALID_ARGUMENT, RUN("Add", NULL, 1, 1));
  check_status(MARTLET_INVALID_ARGUMENT, RUN("Add", NULL, 3, 1));
  check_status(MARTLET_INVALID_ARGUMENT, RUN("Add", NULL, 0, 1));
  check_status(MARTLET_INVALID_ARGUMENT, RUN("Add", NULL, 2, 0));
  check_status(MARTLET_INVALID_ARGUMENT, RUN("Add", NULL, 2, 2));
  check_status(MARTLET_INVALID_ARGUMENT, RUN("Add", NULL, SIZE_MAX, 1));
  check_status(MARTLET_INVALID_ARGUMENT, RUN("Add", NULL, 2, SIZE_MAX));
  inputs[1] = NULL;
  check_status(MARTLET_INVALID_ARGUMENT, RUN("Add", NULL, 2, 1));
  check_says(martlet_last_error()->message, "missing", "message");
  inputs[1] = (martlet_tensor *)outputs;
  check_status(MARTLET_INVALID_HANDLE, RUN("Add", NULL, 2, 1));
  check_says(martlet_last_error()->input, "inputs[1]", "input");
  check_status(MARTLET_INVALID_ARGUMENT,
               martlet_op_run("Add", NULL, MARTLET_MATH_DEFAULT, NULL, 2, outputs, 1));
  check_status(MARTLET_INVALID_ARGUMENT,
               martlet_op_run("Abs", NULL, MARTLET_MATH_DEFAULT, inputs, 1, NULL, 1));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_op_run("Abs", NULL, -7, inputs, 1, outputs, 1));
  check_status(MARTLET_INVALID_HANDLE, RUN("Abs", (martlet_attributes *)x, 1, 1));
  int64_t other_shape[] = {4, 5};
  check_ok(martlet_tensor_create_zeroed(MARTLET_FLOAT32, 2, other_shape, &inputs[1]));
  check_status(MARTLET_INVALID_SHAPE, RUN("Add", NULL, 2, 1));
  check_says(martlet_last_error()->operator_name, "Add", "operator");
  martlet_tensor_release(inputs[1]);
  check_ok(martlet_tensor_create_zeroed(MARTLET_INT32, 2, shape, &inputs[1]));
  check_status(MARTLET_INVALID_DTYPE, RUN("Add", NULL, 2, 1));
  martlet_tensor_release(inputs[1]);
  inputs[1] = x;

  martlet_attributes *attributes = NULL;
  check_ok(martlet_attributes_create(&attributes));
  check_ok(martlet_attributes_set_int(attributes, "colour", 3));
  check_status(MARTLET_NOT_FOUND, RUN("Add", attributes, 2, 1));
  check_says(martlet_last_error()->input, "colour", "input");
  martlet_attributes_release(attributes);
  check_ok(martlet_attributes_create(&attributes));
  check_ok(martlet_attributes_set_string(attributes, "axis", "one"));
  check_status(MARTLET_INVALID_ARGUMENT, RUN("Concat", attributes, 2, 1));
  check_ok(martlet_attributes_set_int(attributes, "axis", 1LL << 62));
  check_status(MARTLET_INVALID_SHAPE, RUN("Concat", attributes, 2, 1));
  check_ok(martlet_attributes_set_int(attributes, "axis", 0));
  check_ok(RUN("Concat", attributes, 2, 1));
  martlet_tensor_release(outputs[0]);

  const char *words[] = {"a", NULL};
  float numbers[] = {1};
  check_ok(martlet_attributes_set_strings(attributes, "words", words, 1));
  check_ok(martlet_attributes_set_floats(attributes, "numbers", numbers, 1));
  check_ok(martlet_attributes_set_ints(attributes, "none", NULL, 0));
  check_ok(martlet_attributes_set_tensor(attributes, "value", x));
  check_status(MARTLET_INVALID_ARGUMENT,
               martlet_attributes_set_strings(attributes, "words", words, 2));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_attributes_set_ints(attributes, "none", NULL, 1));
  check_status(MARTLET_INVALID_ARGUMENT,
               martlet_attributes_set_ints(attributes, "n", shape, SIZE_MAX / 4));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_attributes_set_int(attributes, NULL, 1));
  check_status(MARTLET_INVALID_ARGUMENT, martlet_attributes_set_string(attributes, "s", NULL));
  check_status(MARTLET_INVALID_HANDLE, martlet_attributes_set_tensor(attributes, "t", NULL));
  check_ok(martlet_attributes_retain(attributes));
  check_ok(martlet_attributes_release(attributes));
  check_ok(martlet_attributes_release(attributes));
}

int main(void) {
  martlet_tensor *x = NULL;
  check_ok(martlet_tensor_from_data(six, sizeof six, MARTLET_FLOAT32, 2, shape, &x));
  table();
  running(x);
  given_results();
  failing(x);
  running(x);
  check_ok(martlet_tensor_release(x));
  return finish();
}
