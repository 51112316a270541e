// martlet.hpp with exceptions: every class and function of it, on a model and beside one.
// Usage: wrapper MODEL   (Examples/models/digits.onnx)
#include "doors.hpp"

#include <array>
#include <cmath>
#include <fstream>
#include <map>
#include <stdexcept>
#include <thread>
#if __cplusplus >= 202002L
#include <span>
#endif

using martlet::dtype;
using martlet::status;
using martlet::tensor;

// The status of the martlet::error that `call` throws; ok where it throws none.
template <class Call>
static status failure_of(const Call &call) {
  try {
    call();
    return status::ok;
  } catch (const martlet::error &error) {
    // What a message is made of is in it.
    for (const auto part :
         {error.node(), error.operator_name(), error.input(), error.expected(), error.actual()})
      if (std::string_view(error.what()).find(part) == std::string_view::npos)
        check(false, ("the message holds its parts: " + std::string(error.what()) + ": " +
                      std::string(part))
                       .c_str());
    return error.what()[0] ? error.status() : status::ok;
  }
}

static bool equal(const std::vector<std::int64_t> &a, std::initializer_list<std::int64_t> b) {
  return a == std::vector<std::int64_t>(b);
}

static bool are(const tensor &tensor, const std::vector<float> &expected) {
  const auto found = tensor.to_vector<float>();
  bool holds = found.size() == expected.size();
  for (std::size_t i = 0; holds && i < found.size(); ++i)
    holds = std::abs(found[i] - expected[i]) < 1e-6f;
  return holds;
}

static void errors() {
  const martlet::error none;
  check(none.status() == status::ok && none.what()[0] == 0 && none.input().empty(),
        "an error that is none has no message");
  try {
    martlet::set_float32_fast_math_mode("BF61");
    check(false, "an unknown mode throws");
  } catch (const std::exception &caught) {
    const auto &error = dynamic_cast<const martlet::error &>(caught);
    const martlet::error copy = error;
    check(copy.status() == status::not_found && copy.actual().find("BF61") != copy.actual().npos &&
            copy.expected().find("BF16") != copy.expected().npos && copy.node().empty(),
          "an error is a std::exception with the fields of martlet_error");
    check(std::string_view(martlet::name(copy.status())) == "NOT_FOUND", "a status has a name");
  }
  check(failure_of([] { martlet::set_num_threads(-1); }) == status::invalid_argument,
        "threads out of range");
  check(failure_of([] { martlet::set_isa("quantum"); }) == status::not_found,
        "an unknown instruction set");
}

static void process() {
  check(martlet::version() == MARTLET_VERSION &&
          std::string_view(martlet::version_string()).size() >= 5,
        "header and library have one version");
  check(martlet::cpu_name()[0] && martlet::cpu_isa()[0] && martlet::cpu_features() != nullptr,
        "the processor has a name and an instruction set");
  int chosen = 0;
  for (const auto &row : martlet::isas()) chosen += row.is_chosen;
  check(chosen == 1 && !martlet::kernels().empty(), "one instruction set is chosen, and kernels");
  const std::int32_t threads = martlet::num_threads();
  martlet::set_num_threads(1);
  check(martlet::num_threads() == 1, "threads are set");
  martlet::set_num_threads(threads);
  martlet::set_spin_microseconds(50);
  check(martlet::spin_microseconds() == 50, "the spin budget is set");
  check(martlet::memory_in_use() >= 0, "memory is counted");
  martlet::trim();
}

static void modes() {
  using martlet::math_mode;
  martlet::set_float32_fast_math_mode("bf16");
  check(martlet::float32_fast_math_mode() == math_mode::bf16, "a mode by name, in any case");
  martlet::set_float32_fast_math_mode(math_mode::fp32);
  {
    const auto outer = martlet::math_mode_scope::enter(math_mode::any);
    auto inner = martlet::math_mode_scope::enter(math_mode::bf16);
    check(martlet::float32_fast_math_mode() == math_mode::bf16, "a scope's mode holds in it");
    auto moved = std::move(inner);
    moved.leave();
    moved.leave();
    check(martlet::float32_fast_math_mode() == math_mode::any, "a scope is left once");
  }
  check(martlet::float32_fast_math_mode() == math_mode::fp32, "after the scopes all is as before");
  check(failure_of([] { auto none = martlet::math_mode_scope::enter(math_mode::inherit); }) ==
          status::invalid_argument,
        "inherit is no mode to set");
  check(std::string_view(martlet::name(math_mode::tf32)) == "TF32", "a mode has a name");
}

static void tensors() {
  check(martlet::dtype_of<float> == dtype::float32 && martlet::dtype_of<bool> == dtype::boolean &&
          martlet::dtype_of<long long> == dtype::int64 && martlet::dtype_of<long> == dtype::int64 &&
          martlet::dtype_of<const unsigned char> == dtype::uint8 &&
          martlet::dtype_of<char> == dtype::unknown && martlet::dtype_of<void *> == dtype::unknown,
        "C++ types have dtypes");
  check(std::string_view(martlet::name(dtype::int4)) == "int4" && martlet::bits(dtype::int4) == 4,
        "dtypes have names and bits");

  const std::vector<float> six = {1, 2, 3, 4, 5, 6};
  const tensor copied = tensor::from(six, {2, 3});
  check(copied.dtype() == dtype::float32 && equal(copied.shape(), {2, 3}) &&
          equal(copied.strides(), {3, 1}) && copied.size() == 6 && copied.byte_count() == 24 &&
          copied.is_contiguous() && !copied.is_read_only(),
        "a tensor says what it is like");
  check(copied.to_vector<float>() == six && copied.elements<float>().size() == 6 &&
          copied.elements<float>()[5] == 6,
        "its elements are those that were given");
  check(tensor::from({2.5}, {}).to_vector<double>() == std::vector<double>{2.5},
        "a scalar has no extents");
  const std::array<std::int64_t, 2> ids = {7, 8};
  std::uint8_t bytes[] = {1, 2, 3};
  check(tensor::from(ids, {2}).dtype() == dtype::int64 &&
          tensor::from(bytes, {3}).to_vector<std::uint8_t>()[2] == 3,
        "arrays become tensors");
  check(tensor::zeros(dtype::int32, {4}).to_vector<std::int32_t>() == std::vector<std::int32_t>(4),
        "a tensor of zeros");
  check(tensor::empty(dtype::float64, {3, 0}).to_vector<double>().empty() &&
          tensor::empty(dtype::float64, {3, 0}).size() == 0,
        "a tensor of no elements");

  std::vector<float> memory(12);
  tensor wrapped = tensor::wrap(memory, {3, 4});
  memory[5] = 8;
  check(wrapped.elements<float>()[5] == 8, "wrapped memory is not copied");
  wrapped.mutable_elements<float>()[6] = 9;
  check(memory[6] == 9, "and may be written");
  const tensor column = tensor::wrap(memory, {3}, {4}, 2);
  check(column.to_vector<float>() == std::vector<float>{0, 9, 0} && !column.is_contiguous(),
        "strides and a first element");
  check(tensor::wrap(six, {6}, {-1}, 5).to_vector<float>() ==
          std::vector<float>(six.rbegin(), six.rend()),
        "strides may be negative");
  check(tensor::wrap(six, {6}).is_read_only() &&
          failure_of([&] { tensor::wrap(six, {6}).is_read_only(); }) == status::ok,
        "constants are wrapped read-only");
  check(failure_of([&] {
          auto constant = tensor::wrap(six, {6});
          constant.mutable_elements<float>();
        }) == status::invalid_argument,
        "and cannot be written");

  std::vector<float> given = {1, 2};
  const float *where = given.data();
  check(failure_of([&] { tensor::take(std::move(given), {3}); }) == status::invalid_shape &&
          given.size() == 2,
        "a vector that cannot be taken stays");
  const tensor taken = tensor::take(std::move(given), {2});
  check(taken.elements<float>().data() == where, "a vector's memory is taken without a copy");
  check(tensor::take(std::vector<float>(), {0}).size() == 0, "so is a vector of nothing");

  float room[6] = {};
  copied.read(room);
  check(room[5] == 6, "elements are read into the caller's memory");
  std::int16_t short_room[6];
  check(failure_of([&] { copied.read(short_room); }) == status::invalid_dtype,
        "of their own type alone");
  check(failure_of([&] { copied.read(martlet::span<float>(room, 5)); }) == status::invalid_shape,
        "and all of them");
  copied.read_bytes(room, sizeof room);
  check(failure_of([&] { column.elements<float>(); }) == status::invalid_argument,
        "elements with gaps have no span");
  const tensor packed = column.copy();
  check(packed.elements<float>()[1] == 9, "a copy has none");
  check(copied.convert(dtype::int64).to_vector<std::int64_t>()[3] == 4, "a tensor is converted");
  check(
    tensor::from({true, false}, {2}).to_vector<std::uint8_t>() == std::vector<std::uint8_t>{1, 0},
    "bool is read as bytes");
  const martlet::bfloat16 two = {0x4000};
  check(are(tensor::from({two}, {1}).convert(dtype::float32), {2}), "bfloat16 is its bits");

  const std::vector<std::string> words = {"a", std::string("b\0c", 3), "ü"};
  check(tensor::from(words, {3}).to_vector<std::string>() == words &&
          tensor::from(words, {3}).dtype() == dtype::string,
        "a tensor of strings");
  for (const auto &shape : std::vector<std::vector<std::int64_t>>{
         {2}, {4}, {-3}, {3, 0}, {INT64_MAX, INT64_MAX, 3}, std::vector<std::int64_t>(40, 1)})
    check(failure_of([&] { tensor::from(words, shape); }) == status::invalid_shape,
          "strings that do not have the shape");
  for (const auto &shape : std::vector<std::vector<std::int64_t>>{
         {5}, {-6}, {INT64_MAX, INT64_MAX}, std::vector<std::int64_t>(40, 1)})
    check(failure_of([&] { tensor::from(six, shape); }) == status::invalid_shape &&
            failure_of([&] { tensor::zeros(dtype::float32, {-1}); }) == status::invalid_shape,
          "numbers that do not have the shape");
  check(failure_of([&] { tensor::wrap(memory, {2, 2}, {1}); }) == status::invalid_shape &&
          failure_of([&] { tensor::wrap(memory, {2}, {1}, SIZE_MAX); }) == status::invalid_shape &&
          failure_of([&] { tensor::wrap(memory, {13}); }) == status::invalid_shape &&
          failure_of([&] { tensor::wrap(memory, {12}, {}, 1); }) == status::invalid_shape,
        "memory that is too short");
  check(failure_of([] { tensor::zeros(static_cast<dtype>(99), {1}); }) == status::invalid_dtype,
        "a dtype that is none");

  tensor shared = copied;
  shared.mutable_elements<float>()[0] = 11;
  check(copied.elements<float>()[0] == 11, "a copy of a handle is the same tensor");
  const tensor lent = tensor::from_dlpack(copied.to_dlpack());
  check(lent.elements<float>().data() == copied.elements<float>().data(),
        "DLPack shares the elements");

  const std::int64_t rows = 2;
  const std::vector<std::int64_t> extents = {rows, 3};
  check(equal(tensor::from(six, extents).shape(), {2, 3}), "a shape may be a vector");
#if __cplusplus >= 202002L
  const std::span<const float> view(six);
  const std::span<const float> back = lent.elements<float>();
  check(tensor::wrap(view, std::span(extents)).size() == 6 && back.size() == 6,
        "std::span goes in and comes out");
#endif
}

static void handles() {
  tensor first = tensor::zeros(dtype::float32, {2});
  tensor second = std::move(first);
  check(second && !first && !tensor(), "a handle that was moved from is empty");
  check(failure_of([&] { first.shape(); }) == status::invalid_handle &&
          failure_of([&] { first.to_vector<float>(); }) == status::invalid_handle &&
          failure_of([&] { martlet::softmax(first); }) == status::invalid_handle &&
          failure_of([&] { tensor().dtype(); }) == status::invalid_handle,
        "every call refuses it");
  check(failure_of([&] { martlet::linear(second, second, first); }) == status::invalid_handle,
        "also where an input may be left out");
  tensor copy_of_empty = first;
  check(!copy_of_empty, "its copies are empty too");
  first = second;
  first = static_cast<const tensor &>(first);
  check(first.size() == 2, "it may be assigned to");
  martlet_tensor *raw = first.detach();
  check(!first && raw != nullptr && tensor().detach() == nullptr, "a handle goes to C");
  first = tensor::adopt(raw);
  check(first.size() == 2 && first.get() == raw, "and comes back");
  const std::int64_t before = martlet::memory_in_use();
  for (int round = 0; round < 100; ++round) {
    tensor one = tensor::zeros(dtype::float32, {1000});
    tensor two = one, three = std::move(one);
    two = three;
  }
  check(martlet::memory_in_use() == before, "handles let go of what they stand for");
}

static void functions() {
  const tensor a = tensor::from({1.f, 2.f, 3.f, 4.f}, {2, 2});
  const tensor ones = tensor::from({1.f, 1.f}, {2});
  check(are(martlet::matmul(a, a), {7, 10, 15, 22}), "matmul");
  check(are(martlet::linear(a, a, ones), {6, 12, 12, 26}) &&
          are(martlet::linear(a, martlet::pack(a)), {5, 11, 11, 25}),
        "linear, with a packed weight too");
  const tensor image = tensor::from({1.f, 2.f, 3.f, 4.f}, {1, 1, 2, 2});
  const tensor kernel = tensor::from({1.f, 1.f, 1.f, 1.f}, {1, 1, 2, 2});
  check(are(martlet::conv(image, kernel), {10}), "conv");
  martlet::conv_options padded;
  padded.pads = {0, 0, 1, 1};
  padded.strides = {2, 2};
  check(are(martlet::conv(image, kernel, {}, padded), {10}), "conv with options");
  padded.pads = {1};
  check(failure_of([&] { martlet::conv(image, kernel, {}, padded); }) == status::invalid_argument &&
          failure_of([&] { martlet::conv(a, kernel, {}, padded); }) == status::invalid_argument,
        "options for other axes");
  check(are(martlet::softmax(tensor::from({0.f, 0.f}, {2})), {0.5f, 0.5f}), "softmax");
  check(are(martlet::layer_norm(tensor::from({-1.f, 1.f}, {2}), {}, ones, -1, 0), {0, 2}),
        "layer_norm");
  check(are(martlet::gelu(tensor::from({0.f}, {1})), {0}), "gelu");
  check(are(martlet::attention(a, a, tensor::from({1.f, 1.f, 1.f, 1.f}, {2, 2})), {1, 1, 1, 1}),
        "attention");
  check(failure_of([&] { martlet::matmul(a, ones, static_cast<martlet::math_mode>(9)); }) ==
          status::invalid_argument,
        "a mode that is none");

  using martlet::op_run;
  check(are(op_run("Softmax", {tensor::from({0.f, 0.f}, {1, 2})}, {{"axis", 0}})[0], {1, 1}),
        "an operator with an attribute");
  check(are(op_run("Split", {a}, {{"axis", 1}, {"num_outputs", 2}}, 2)[1], {2, 4}),
        "an operator with two outputs");
  check(are(op_run("Clip", {a, tensor(), tensor::from({2.f}, {})})[0], {1, 2, 2, 2}),
        "an input that is left out");
  check(
    are(op_run("Conv", {image, kernel}, {{"pads", {0, 0, 1, 1}}, {"strides", {2, 2}}})[0], {10}),
    "lists of numbers");
  check(are(op_run("Constant", {}, {{"value", a}})[0], {1, 2, 3, 4}) &&
          are(op_run("Constant", {}, {{"value_float", 0.5}})[0], {0.5f}) &&
          are(op_run("Constant", {}, {{"value_floats", {0.5, 1.0}}})[0], {0.5f, 1}) &&
          op_run("Constant", {}, {{"value_ints", std::vector<std::int64_t>{3}}})[0].size() == 1 &&
          op_run("Constant", {}, {{"value_strings", {"x", "y"}}})[0].to_vector<std::string>()[1] ==
            "y" &&
          op_run("Constant", {}, {{"value_string", "z"}})[0].to_vector<std::string>()[0] == "z",
        "attributes of every kind");
  check(failure_of([&] { op_run("Sotfmax", {a}); }) == status::not_found &&
          failure_of([&] { op_run("Softmax", {a}, {{"axes", 1}}); }) == status::not_found &&
          failure_of([&] { op_run("Softmax", {a}, {}, SIZE_MAX); }) == status::invalid_argument &&
          failure_of([&] { op_run("Softmax", {a}, {}, 0); }) == status::invalid_argument &&
          failure_of([&] { op_run("Softmax", {}); }) == status::invalid_argument &&
          failure_of([&] { op_run(std::string("Soft\0max", 8), {a}); }) == status::invalid_argument,
        "operators that are not called so");
  check(martlet::operators().size() > 100, "operators have names");
}

static tensor stroke() {
  std::vector<float> image(64);
  for (std::size_t row = 0; row < 8; ++row) image[row * 8 + 3] = image[row * 8 + 4] = 1;
  return tensor::take(std::move(image), {1, 1, 8, 8});
}

static void models(const std::string &path) {
  const auto model = martlet::model::load(path);
  const auto inputs = model.inputs(), outputs = model.outputs();
  check(inputs.size() == 1 && inputs[0].name == "image" && inputs[0].dtype == dtype::float32 &&
          inputs[0].rank == 4 && inputs[0].shape == std::vector<std::int64_t>{-1, 1, 8, 8} &&
          inputs[0].symbols[0] == "batch" && inputs[0].symbols[1].empty() &&
          inputs[0].kind == martlet::value_kind::tensor &&
          inputs[0].type == "float32[batch, 1, 8, 8]",
        "a model says what it takes");
  check(outputs.size() == 1 && outputs[0].name == "probabilities" && model.replaceable().empty(),
        "and what it gives");
  bool names_graph = false;
  for (const auto &[key, value] : model.metadata())
    names_graph |= key == "graph" && value == "digits";
  check(names_graph, "and of its file");
  check(model.memory().constants_bytes > 0 &&
          model.result_bytes(std::vector<std::vector<std::int64_t>>{{1, 1, 8, 8}}).value_or(0) > 0,
        "and what memory it takes");
  check(failure_of([&] { model.result_bytes({}); }) == status::invalid_argument,
        "memory for inputs that are not all there");

  const auto by_order = model.run({stroke()});
  const auto by_name = model.run({{"image", stroke()}}, {"probabilities"});
  const auto all = model.run({{"image", stroke()}});
  const auto scores = by_order[0].to_vector<float>();
  check(scores.size() == 10 && scores[1] > 0.9f, "a run reads the digit");
  check(by_name["probabilities"].to_vector<float>() == scores && by_name.size() == 1 &&
          all.at(0).to_vector<float>() == scores && all.begin()->first == "probabilities",
        "by name it gives the same bits");
  check(failure_of([&] { by_name["probability"]; }) == status::not_found &&
          failure_of([&] { by_name[1]; }) == status::invalid_argument,
        "results that are not there");

  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  check(martlet::model::load_memory(bytes).run({stroke()})[0].to_vector<float>() == scores,
        "a model from memory");

  int told = 0;
  martlet::model_options options;
  options.math_mode = "FP32";
  options.settings = {{"winograd", "0"}, {"prepare", "0"}};
  options.pool = martlet::pool::make();
  options.progress = [&](double fraction, std::string_view stage) {
    told += fraction >= 0 && fraction <= 1 && !stage.empty();
    return true;
  };
  check(
    martlet::model::load(path, options).run({stroke()})[0].to_vector<float>()[1] > 0.9f && told > 0,
    "options of a load, and its progress");
  options.progress = [](double, std::string_view) { return false; };
  check(failure_of([&] { martlet::model::load(path, options); }) == status::cancelled,
        "a load is cancelled");
  options.progress = [](double, std::string_view) -> bool { throw std::out_of_range("enough"); };
  try {
    martlet::model::load(path, options);
    check(false, "what a progress function throws comes out");
  } catch (const std::out_of_range &thrown) {
    check(thrown.what() == std::string("enough"), "what a progress function throws comes out");
  }
  options.progress = {};
  options.settings = {{"wingrad", "0"}};
  check(failure_of([&] { martlet::model::load(path, options); }) == status::not_found,
        "an option that is none");

  martlet::model shared = model;
  std::vector<std::thread> threads;
  std::vector<int> right(4);
  for (std::size_t i = 0; i < right.size(); ++i)
    threads.emplace_back(
      [&, i] { right[i] = shared.run({stroke()})[0].to_vector<float>() == scores; });
  for (auto &thread : threads) thread.join();
  check(right == std::vector<int>(4, 1), "a model runs on several threads at once");
  model.trim();
}

static void contexts(const std::string &path) {
  auto context = martlet::context::make(martlet::model::load(path));
  check(failure_of([&] { context.precision_report(); }) == status::invalid_state &&
          context.nodes().empty(),
        "before the first run there is no report");
  context.set_profiling(true);
  const auto scores = context.run({stroke()})[0].to_vector<float>();
  check(context.run({{"image", stroke()}})["probabilities"].to_vector<float>() == scores,
        "a context runs in order and by name");
  check(context.nodes().size() == 7 && !context.nodes()[0].operator_name.empty() &&
          context.precision_report().find("mode") != std::string::npos &&
          context.profile().find("Conv") != std::string::npos,
        "reports");
  check(context.memory().peak_bytes > 0, "memory");
  context.trim();
  check(context.memory().kept_bytes == 0, "nothing is kept after a trim");

  std::vector<float> memory(10);
  tensor slot = tensor::wrap(memory, {1, 10}), made;
  context.run_into({stroke()}, {&slot, 1});
  context.run_into({stroke()}, {&made, 1});
  check(memory == scores && made.to_vector<float>() == scores,
        "results go to the caller's memory, or to new tensors");
  tensor wrong = tensor::zeros(dtype::float32, {1, 9});
  check(failure_of([&] { context.run_into({stroke()}, {&wrong, 1}); }) == status::invalid_shape &&
          failure_of([&] { context.run_into({stroke()}, {}); }) == status::invalid_argument,
        "slots that do not fit");

  int told = 0;
  context.set_progress([&](double, std::string_view stage) {
    told += stage == "run";
    return true;
  });
  context.run({stroke()});
  check(told > 0, "progress of a run");
  auto moved = std::move(context);
  check(!context && failure_of([&] { context.run({stroke()}); }) == status::invalid_handle,
        "a context that was moved from is empty");
  moved.run({stroke()});
  moved.set_progress([](double, std::string_view) { return false; });
  check(failure_of([&] { moved.run({stroke()}); }) == status::cancelled, "a run is cancelled");
  moved.set_progress([](double, std::string_view) -> bool { throw std::out_of_range("enough"); });
  bool came_out = false;
  try {
    moved.run({stroke()});
  } catch (const std::out_of_range &) {
    came_out = true;
  }
  check(came_out, "what a progress function throws comes out of the run");
  status within = status::ok;
  moved.set_progress([&](double, std::string_view) {
    within = failure_of([&] { moved.run({stroke()}); });
    moved.set_progress({});
    return true;
  });
  moved.run({stroke()});
  check(within == status::invalid_state, "a context that is running does not run within itself");
  moved.set_progress({});
  check(moved.run({stroke()})[0].to_vector<float>() == scores, "and then it runs again");
  moved.set_option("max_memory_bytes", "1");
  check(failure_of([&] { moved.run({stroke()}); }) == status::limit_exceeded, "a limit is met");
  moved.set_option("max_memory_bytes", "0");
  martlet::pool_options one;
  one.thread_count = 1;
  const auto pool = martlet::pool::make(one);
  moved.set_pool(pool);
  check(pool.thread_count() == 1 && moved.run({stroke()})[0].to_vector<float>() == scores,
        "a pool of one's own");
  one.thread_count = 5000;
  check(failure_of([&] { martlet::pool::make(one); }) == status::invalid_argument,
        "a pool of too many threads");
  check(moved.run_values({martlet::value::from(stroke())})[0].tensor().to_vector<float>() == scores,
        "a run with values");
}

static void values() {
  using martlet::value;
  using martlet::value_kind;
  const value one = value::from(tensor::from({1.f}, {1}));
  const value two = value::from(tensor::from({1.f, 2.f}, {2}));
  const value sequence = value::sequence({one, two});
  check(sequence.kind() == value_kind::sequence && sequence.size() == 2 &&
          sequence.at(1).tensor().size() == 2,
        "a sequence");
  check(value::sequence({}, dtype::int64).size() == 0, "a sequence of nothing");
  check(value::optional().size() == 0 && value::optional(one).at(0).kind() == value_kind::tensor,
        "optionals");
  const value map = value::map(tensor::from(std::vector<std::string>{"a", "b"}, {2}), {one, two});
  check(map.kind() == value_kind::map && map.keys().to_vector<std::string>()[1] == "b", "a map");
  const value state = value::state(tensor::zeros(dtype::float32, {2, 0, 3}), 1, 8);
  check(state.kind() == value_kind::state && state.tensor().size() == 0, "a state");
  check(failure_of([&] { sequence.at(2); }) == status::invalid_argument &&
          failure_of([&] { sequence.tensor(); }) == status::invalid_argument &&
          failure_of([&] { one.keys(); }) == status::invalid_argument &&
          failure_of([&] { value::sequence({one, sequence}); }) == status::invalid_dtype &&
          failure_of([&] { value::sequence({one, value()}); }) == status::invalid_handle &&
          failure_of([] { value().kind(); }) == status::invalid_handle,
        "values that are not asked so");
}

// Tests/Doors/write_models.py says what is in them.
static void small_models() {
  using martlet::value;
  using martlet::value_kind;
  const auto grow = martlet::model::load("Tests/Doors/grow.onnx");
  const tensor past = tensor::from({1.f, 2.f}, {1, 1, 2}), x = tensor::from({3.f, 4.f}, {1, 1, 2});
  const tensor b = tensor::from({0.f, 1.f}, {2});
  check(grow.outputs()[1].kind == value_kind::sequence && grow.outputs()[1].rank == -1 &&
          grow.replaceable().size() == 1 && grow.replaceable()[0].name == "b",
        "a model with a sequence, and with an initialiser that is an input");
  const std::vector<std::string> wanted = {"z", "y"};
  const auto usual = grow.run({{"x", x}, {"past", past}}, wanted);
  check(usual.begin()->first == "z" && are(usual["z"], {13, 24}) && are(usual["y"], {1, 2, 3, 4}),
        "inputs and outputs in another order than the model's");
  check(are(grow.run({{"past", past}, {"x", x}}, {"y"})["y"], {1, 2, 3, 4}),
        "the first output alone");
  check(are(grow.run({{"x", x}, {"b", b}, {"past", past}}, wanted)["z"], {3, 5}),
        "an initialiser has another value for a run");
  check(failure_of([&] { grow.run({{"x", x}, {"past", past}}, {"z", "b"}); }) == status::not_found,
        "an output that is none");
  check(failure_of([&] { grow.run({{"x", x}, {"x", x}}, wanted); }) == status::invalid_argument &&
          failure_of([&] { grow.run({{"x", x}}, wanted); }) == status::invalid_argument &&
          failure_of([&] { grow.run({{"x", x}, {"past", past}, {"c", b}}, wanted); }) ==
            status::not_found,
        "inputs that are named twice, are not there, or are none");
  check(failure_of([&] { grow.run({past, x}); }) == status::unsupported, "a sequence is no tensor");

  auto context = martlet::context::make(grow);
  value cache = value::state(past, 1, 8);
  const value step = value::from(x);
  for (std::int64_t length = 2; length < 12; ++length) {
    const auto results = context.run_values({cache, step});
    check(results[1].size() == 2 && are(results[1].at(0).tensor(), {3, 4}),
          "a run gives a sequence");
    cache = results[0];
    check(cache.kind() == value_kind::state && equal(cache.tensor().shape(), {1, length, 2}),
          "and a state that has grown");
  }
  check(failure_of([&] { context.run_values({cache, value::sequence({step})}); }) ==
          status::invalid_argument,
        "a sequence is no tensor's place");

  const auto many = martlet::model::load("Tests/Doors/many.onnx");
  std::vector<float> numbers(65);
  numbers[64] = 7;
  const auto each = many.run({{"x", tensor::wrap(numbers, {65})}});
  const auto last = many.run({{"x", tensor::wrap(numbers, {65})}}, {"y64"});
  check(each.size() == 65 && are(each["y64"], {7}) && are(last[0], {7}), "a model of many outputs");
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  errors();
  process();
  modes();
  tensors();
  handles();
  functions();
  models(argv[1]);
  contexts(argv[1]);
  values();
  small_models();
  return finish();
}
