// Classifies a handwritten digit with BF16 on: Examples/models/digits.onnx is the model.
//   cc digits.c $(pkg-config --cflags --libs martlet) -o digits && ./digits digits.onnx
#include <martlet.h>
#include <stdio.h>

int main(int argc, char **argv) {
  float image[64] = {0}, scores[10];
  const int64_t in_shape[] = {1, 1, 8, 8}, out_shape[] = {1, 10};
  martlet_model *model = NULL;
  martlet_tensor *in = NULL, *out = NULL;
  for (int row = 0; row < 8; ++row)
    image[row * 8 + 3] = image[row * 8 + 4] = 1;  // a thick stroke: 1
  martlet_set_float32_fast_math_mode("BF16");
  if (argc < 2 || martlet_model_load(argv[1], NULL, &model) ||
      martlet_tensor_wrap(image, sizeof image, MARTLET_FLOAT32, 4, in_shape, &in) ||
      martlet_tensor_wrap(scores, sizeof scores, MARTLET_FLOAT32, 2, out_shape, &out) ||
      martlet_model_run(model, &in, 1, &out, 1)) {
    fprintf(stderr, "digits MODEL: %s\n", martlet_last_error()->message);
    return 1;
  }
  int best = 0;
  for (int digit = 1; digit < 10; ++digit) best = scores[digit] > scores[best] ? digit : best;
  printf("it is a %d, with probability %.2f\n", best, scores[best]);
  martlet_tensor_release(in);
  martlet_tensor_release(out);
  martlet_model_release(model);
  return 0;
}
