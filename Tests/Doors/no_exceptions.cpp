// martlet.hpp with -fno-exceptions: expected<T>, whose empty value every call refuses.
// Usage: no_exceptions MODEL   (Examples/models/digits.onnx)
#include "doors.hpp"

using martlet::status;
using martlet::tensor;

static void successes(const char *path) {
  check(martlet::set_float32_fast_math_mode("FP32").has_value(), "a call without a value");
  const auto model = martlet::model::load(path);
  const auto x = tensor::zeros(martlet::dtype::float32, {1, 1, 8, 8});
  check(model && x && model.error().status() == status::ok, "values are there");
  const auto outputs = model->run({*x});
  const auto named = model->run({{"image", *x}});
  check(outputs && outputs->size() == 1 && named && named->size() == 1, "runs");
  const auto scores = (*outputs)[0].to_vector<float>();
  const auto same = named.value()["probabilities"].value().to_vector<float>();
  check(scores->size() == 10 && *scores == *same, "with the same results");
  check(martlet::op_run("Relu", {*x}).value().size() == 1, "an operator");
  auto context = martlet::context::make(*model);
  tensor made;
  check(context && context->run_into({*x}, {&made, 1}) && made.size().value() == 10,
        "a context can be moved out of its result");
  auto own = std::move(context).value();
  check(own.set_progress([](double, std::string_view) { return false; }) &&
          own.run({*x}).error().status() == status::cancelled,
        "a run is cancelled");
}

static void failures() {
  const auto model = martlet::model::load("nowhere.onnx");
  check(!model && model.error().status() == status::not_found &&
          std::string_view(model.error().what()).find("nowhere.onnx") != std::string_view::npos,
        "a failure has an error");
  check(!*model && model->run({tensor()}).error().status() == status::invalid_handle &&
          model->inputs().value().empty(),
        "its value is empty, and calls refuse it");
  auto context = martlet::context::make(*model);
  check(!context && context->run({{"image", tensor()}}).error().status() == status::invalid_handle,
        "as a context is");
  const auto none = tensor().to_vector<float>();
  check(!none && none->empty() && !tensor().shape() && tensor().shape()->empty(),
        "nothing has no elements");
  const auto one = tensor::from({1.f}, {1});
  const auto elements = one->elements<double>();
  check(!elements && elements->empty() && elements.error().status() == status::invalid_dtype,
        "elements of another type");
  check(!martlet::math_mode_scope::enter(martlet::math_mode::inherit), "a scope of no mode");
  check(!martlet::value::sequence({martlet::value()}), "a value of nothing");
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  successes(argv[1]);
  failures();
  return finish();
}
