// Classifies a handwritten digit with BF16 on: Examples/models/digits.onnx is the model.
//   c++ -std=c++17 digits.cpp $(pkg-config --cflags --libs martlet) -o digits && ./digits
//   digits.onnx
#include <martlet.hpp>

#include <algorithm>
#include <cstdio>

int main(int argc, char **argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: digits MODEL\n");
    return 2;
  }
  try {
    martlet::set_float32_fast_math_mode("BF16");
    const auto model = martlet::model::load(argv[1]);

    std::vector<float> image(8 * 8);
    for (std::size_t row = 0; row < 8; ++row)
      image[row * 8 + 3] = image[row * 8 + 4] = 1;  // a thick stroke: 1

    // The image where it lies, without a copy; several go by a first extent of more than 1.
    const auto outputs = model.run({{"image", martlet::tensor::wrap(image, {1, 1, 8, 8})}});
    const auto scores = outputs["probabilities"].to_vector<float>();
    const auto best = std::max_element(scores.begin(), scores.end());
    std::printf("it is a %d, with probability %.2f\n", static_cast<int>(best - scores.begin()),
                static_cast<double>(*best));
  } catch (const martlet::error &error) {
    std::fprintf(stderr, "digits: %s\n", error.what());
    return 1;
  }
}
