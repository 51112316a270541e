// Slips, and what martlet.hpp says to each: the rows of the table in docs/doors.md, which
// scripts/test-doors holds against it.
// Usage: slips MODEL   (Examples/models/digits.onnx)
#include "doors.hpp"

#include <fstream>

using martlet::dtype;
using martlet::tensor;

// A row of the table: the call, and what it throws.
#define SLIP(...)                                                           \
  try {                                                                     \
    static_cast<void>(__VA_ARGS__);                                       \
    std::printf("| `%s` | nothing |\n", #__VA_ARGS__);                      \
  } catch (const martlet::error &error) {                                   \
    std::printf("| `%s` | %s: %s |\n", #__VA_ARGS__, name(error.status()), error.what()); \
  }

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  const auto model = martlet::model::load(argv[1]);
  const tensor x = tensor::zeros(dtype::float32, {1, 1, 8, 8});
  std::vector<float> pixels(63);
  const std::vector<float> constants(64);

  SLIP(martlet::set_float32_fast_math_mode("BF61"))
  SLIP(martlet::set_num_threads(-1))
  SLIP(martlet::model::load("nowhere.onnx"))
  SLIP(martlet::model::load("Examples"))
  SLIP(martlet::model::load(""))
  SLIP(martlet::model::load(std::string("digits\0.onnx", 12)))
  SLIP(martlet::model::load("/dev/null"))
  SLIP(martlet::model::load_memory(std::string()))
  SLIP(martlet::model::load_memory(std::string("not a model")))
  SLIP(martlet::model::load(argv[1], {"BF61", {}, {}, {}}))
  SLIP(martlet::model::load(argv[1], {"", {}, {{"threads", "2"}}, {}}))
  SLIP(martlet::model::load(argv[1], {"", {}, {{"winograd", "yes"}}, {}}))

  SLIP(tensor::from(pixels, {1, 1, 8, 8}))
  SLIP(tensor::wrap(pixels, {1, 1, 8, 8}))
  SLIP(tensor::wrap(pixels, {7, 9}, {9}))
  SLIP(tensor::from(pixels, {-1, 63}))
  SLIP(tensor::from(std::vector<std::string>{"a", "b"}, {3}))
  SLIP(tensor::from(std::vector<std::string>{"a\xff"}, {1}))
  SLIP(x.to_vector<double>())
  SLIP(x.elements<std::int64_t>())
  SLIP(x.read(pixels))
  tensor read_only = tensor::wrap(constants, {64});
  SLIP(read_only.mutable_elements<float>())
  const tensor column = tensor::wrap(constants, {8}, {8});
  SLIP(column.elements<float>())

  SLIP(model.run({x, x}))
  SLIP(model.run({tensor()}))
  SLIP(model.run({tensor::zeros(dtype::int64, {1, 1, 8, 8})}))
  SLIP(model.run({tensor::zeros(dtype::float32, {1, 64})}))
  SLIP(model.run({tensor::zeros(dtype::float32, {1, 1, 28, 28})}))
  SLIP(model.run({{"imag", x}}))
  SLIP(model.run(martlet::named_tensors()))
  SLIP(model.run({{"image", x}, {"image", x}}))
  SLIP(model.run({{"image", x}}, {"scores"}))
  SLIP(model.run({{"image", x}})["scores"])
  SLIP(model.run({{"image", x}})[1])
  auto context = martlet::context::make(model);
  SLIP(context.precision_report())
  SLIP(context.set_option("max_milliseconds", "soon"))
  tensor out = tensor::zeros(dtype::float32, {10});
  SLIP(context.run_into({x}, {&out, 1}))

  SLIP(martlet::op_run("Softmax", {x}, {{"axes", 1}}))
  SLIP(martlet::op_run("Softmax", {x}, {{"axis", 4}}))
  SLIP(martlet::matmul(x, tensor::from(constants, {64})))

  tensor gone = tensor::zeros(dtype::float32, {1});
  const tensor kept = std::move(gone);
  SLIP(gone.shape())
  SLIP(martlet::matmul(kept, gone))
  SLIP(model.run({gone}))
  SLIP(tensor().to_vector<float>())
  return 0;
}
