// A program of the previous header, which lies beside it, on today's library: its options structs are
// as long as they were then.
#include "../conformance.h"
#include "../onnx_bytes.h"

static bool count(void *user, double fraction, const char *stage) {
  (void)fraction, (void)stage;
  *(int *)user += 1;
  return true;
}

static void a_model(void) {
  static const float values[MLP_IN] = {1, 0.5f, -1, 2};
  static const int64_t shape[] = {1, MLP_IN};
  const char *keys[] = {"optimize", "winograd"}, *settings[] = {"0", "0"};
  int calls = 0;
  martlet_model_options options = {0};
  options.struct_size = sizeof options;
  options.math_mode = "FP32";
  options.progress = count;
  options.progress_user = &calls;
  options.keys = keys;
  options.values = settings;
  options.option_count = 2;
  onnx_bytes file = onnx_mlp();
  martlet_model *model = NULL;
  martlet_context *context = NULL;
  martlet_tensor *x = NULL, *y = NULL, *same = NULL;
  check_ok(martlet_model_load_memory(file.data, file.size, &options, &model));
  free(file.data);
  check(calls > 0, "the progress function of the options is called");
  check_ok(martlet_tensor_from_data(values, sizeof values, MARTLET_FLOAT32, 2, shape, &x));
  check_ok(martlet_model_run(model, &x, 1, &y, 1));
  check_ok(martlet_context_create(model, &context));
  check_ok(martlet_context_run(context, &x, 1, &same, 1));
  const void *a = NULL, *b = NULL;
  check_ok(martlet_tensor_data(y, &a));
  check_ok(martlet_tensor_data(same, &b));
  check(memcmp(a, b, MLP_OUT * sizeof(float)) == 0, "model and context give the same bits");
  keys[1] = "windograd";
  martlet_model *none = NULL;
  check_status(MARTLET_NOT_FOUND, martlet_model_load_memory("x", 1, &options, &none));
  check_ok(martlet_tensor_release(x));
  check_ok(martlet_tensor_release(y));
  check_ok(martlet_tensor_release(same));
  check_ok(martlet_context_release(context));
  check_ok(martlet_model_release(model));
}

static void a_convolution(void) {
  static const float pixels[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, ones[4] = {1, 1, 1, 1};
  static const int64_t image[] = {1, 1, 3, 3}, kernel[] = {1, 1, 2, 2}, steps[] = {1, 1};
  static const int64_t pads[] = {0, 0, 1, 1};
  martlet_conv_options options = {0};
  options.struct_size = sizeof options;
  options.strides = steps;
  options.pads = pads;
  options.groups = 1;
  martlet_tensor *x = NULL, *w = NULL, *y = NULL;
  check_ok(martlet_tensor_from_data(pixels, sizeof pixels, MARTLET_FLOAT32, 4, image, &x));
  check_ok(martlet_tensor_from_data(ones, sizeof ones, MARTLET_FLOAT32, 4, kernel, &w));
  check_ok(martlet_conv(x, w, NULL, &options, MARTLET_MATH_FP32, &y));
  static const float expected[9] = {12, 16, 9, 24, 28, 15, 15, 17, 9};
  const void *data = NULL;
  check_ok(martlet_tensor_data(y, &data));
  check(memcmp(data, expected, sizeof expected) == 0, "a convolution with options is right");
  check_ok(martlet_tensor_release(x));
  check_ok(martlet_tensor_release(w));
  check_ok(martlet_tensor_release(y));
}

int main(void) {
  check(martlet_version() >= MARTLET_VERSION, "the library is not older than the program");
  a_model();
  a_convolution();
  return finish();
}
