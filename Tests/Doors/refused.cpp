// What does not compile, because it could not be right: -DREFUSED=n for the n-th, 0 for none.
#include <martlet.hpp>

using martlet::tensor;

void refused(const tensor &x, const martlet::context &context) {
#if REFUSED == 1
  // A temporary is gone before the tensor that borrows it.
  tensor::wrap(std::vector<float>(4), {4});
#elif REFUSED == 2
  // So are the elements of a tensor that is one.
  tensor::from({1.f}, {1}).elements<float>();
#elif REFUSED == 3
  // Elements of bool from elsewhere may be neither 0 nor 1.
  x.elements<bool>();
#elif REFUSED == 4
  // No dtype.
  tensor::from(std::vector<char>(4), {4});
#elif REFUSED == 5
  // Strings have no address.
  x.elements<std::string>();
#elif REFUSED == 6
  // One run at a time: no copies.
  martlet::context copy = context;
#elif REFUSED == 7
  martlet::op_run("Softmax", {x}, {{"axis", std::uint64_t(1)}});
#elif REFUSED == 8
  const std::vector<float> room(4);
  x.read(room);
#elif REFUSED == 9
  martlet::span<float> dangling = std::vector<float>(4);
#endif
  static_cast<void>(x);
  static_cast<void>(context);
}
