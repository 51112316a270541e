// martlet.hpp: Martlet from C++17 and later. Headers only, over martlet.h; link with libmartlet.
//
//     #include <martlet.hpp>
//
//     martlet::set_float32_fast_math_mode("BF16");
//     auto model = martlet::model::load("model.onnx");
//     std::vector<float> pixels(3 * 224 * 224);
//     auto outputs = model.run({martlet::tensor::from(pixels, {1, 3, 224, 224})});
//     std::vector<float> scores = outputs[0].to_vector<float>();
//
// RULES THAT HOLD FOR EVERYTHING HERE (those of martlet.h hold too)
//
//   Errors. What can fail returns result<T>. With exceptions that is T itself, and failures throw
//   martlet::error. Compiled with -fno-exceptions, or where MARTLET_NO_EXCEPTIONS is defined before
//   this is included, it is expected<T>: look whether it holds a value, or at its error(). Both may
//   be in one program. Statuses are those of martlet.h; a function's description names only its
//   own. No call ends the process, whatever it is given, but where the standard library does:
//   std::bad_alloc passes through, and is the end where there are no exceptions.
//
//   Handles. tensor, model, pool and value are handles: copies stand for the same object, as those
//   of std::shared_ptr do, and the last one lets go of it. context can be moved only. A handle that
//   was made without an object, or moved from, is empty: it is false, it may be assigned to and
//   destroyed, and every call with it fails with status::invalid_handle. Only where an input may be
//   left out does tensor() leave it out; one that was moved from is refused there too.
//
//   Threads. As martlet.h says: everything may be used by several threads at once, but one context,
//   one handle (the variable, not what it stands for) that is being assigned to, and elements that
//   are being written.
//
//   Text is UTF-8, and holds no NUL but in strings that are elements: status::invalid_argument.
//
//   Shapes and strides count elements, outermost axis first; rank is 32 at most.
//
//   Callbacks. What a progress function throws ends the call, which throws it again.
#ifndef MARTLET_HPP
#define MARTLET_HPP

#if __cplusplus < 201703L
#error "martlet.hpp needs C++17: compile with -std=c++17 or later, or use martlet.h"
#endif

#include <martlet.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>
#if __cplusplus >= 202002L
#include <span>
#endif

#if !defined(MARTLET_NO_EXCEPTIONS) && !defined(__cpp_exceptions)
#define MARTLET_NO_EXCEPTIONS
#endif

namespace martlet {

// Translation units with and without exceptions do not meet each other's functions.
#ifdef MARTLET_NO_EXCEPTIONS
inline namespace without_exceptions {
#else
inline namespace with_exceptions {
#endif

// ============================================================================== Spans

template <class T>
class span;

namespace detail {

template <class Range>
using element_of = std::remove_pointer_t<decltype(std::data(std::declval<Range &>()))>;

// A range that does not own its elements: it may be a temporary where they are borrowed.
template <class Range>
struct is_view : std::false_type {};
template <class T>
struct is_view<span<T>> : std::true_type {};
#if __cplusplus >= 202002L
template <class T, std::size_t size>
struct is_view<std::span<T, size>> : std::true_type {};
#endif

template <class Range>
using bare = std::remove_cv_t<std::remove_reference_t<Range>>;

template <class Range>
constexpr bool is_borrowable = std::is_lvalue_reference_v<Range> || is_view<bare<Range>>::value;

// Whether a span of T can be made of a Range: neighbouring elements of that type.
template <class Range, class T, class = void>
struct is_range_of : std::false_type {};
template <class Range, class T>
struct is_range_of<
  Range, T,
  std::void_t<element_of<Range>, decltype(std::size(std::declval<Range &>())),
              std::enable_if_t<std::is_convertible_v<element_of<Range> (*)[], T (*)[]>>>>
    : std::bool_constant<!std::is_same_v<bare<Range>, span<T>> &&
                         (std::is_const_v<T> || is_borrowable<Range>)> {};

}  // namespace detail

/// Elements in a row that belong to somebody else: a pointer and a number. Made of vectors, arrays,
/// std::span, ...; a span of constants also of a list in braces, for the length of one call.
template <class T>
class span {
 public:
  using element_type = T;
  using value_type = std::remove_cv_t<T>;
  using iterator = T *;

  constexpr span() noexcept = default;
  constexpr span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
  template <class Range, std::enable_if_t<detail::is_range_of<Range &&, T>::value, int> = 0>
  constexpr span(Range &&range) noexcept : data_(std::data(range)), size_(std::size(range)) {}
  template <class U = T, std::enable_if_t<std::is_const_v<U>, int> = 0>
  constexpr span(std::initializer_list<value_type> list) noexcept
      : data_(std::data(list)), size_(list.size()) {}

  constexpr T *data() const noexcept { return data_; }
  constexpr std::size_t size() const noexcept { return size_; }
  constexpr bool empty() const noexcept { return size_ == 0; }
  constexpr T *begin() const noexcept { return data_; }
  constexpr T *end() const noexcept { return data_ + size_; }
  /// The element at `index`, which must be below size(), as for an array.
  constexpr T &operator[](std::size_t index) const noexcept { return data_[index]; }

 private:
  T *data_ = nullptr;
  std::size_t size_ = 0;
};

/// A shape, or strides: one number for each axis.
using extents = span<const std::int64_t>;

// ============================================================================= Errors

/// Why a call failed; the values are those of martlet_status.
enum class status : martlet_status {
  ok = MARTLET_OK,
  invalid_argument = MARTLET_INVALID_ARGUMENT,
  invalid_shape = MARTLET_INVALID_SHAPE,
  invalid_dtype = MARTLET_INVALID_DTYPE,
  not_found = MARTLET_NOT_FOUND,
  io = MARTLET_IO,
  invalid_model = MARTLET_INVALID_MODEL,
  unsupported = MARTLET_UNSUPPORTED,
  out_of_memory = MARTLET_OUT_OF_MEMORY,
  cancelled = MARTLET_CANCELLED,
  invalid_handle = MARTLET_INVALID_HANDLE,
  invalid_state = MARTLET_INVALID_STATE,
  internal_error = MARTLET_INTERNAL_ERROR,
  limit_exceeded = MARTLET_LIMIT_EXCEEDED
};

/// A status's name, "INVALID_SHAPE". Lasts as long as the process.
inline const char *name(status status) noexcept {
  return martlet_status_name(static_cast<martlet_status>(status));
}

/// What went wrong. Copies are cheap.
class error : public std::exception {
 public:
  /// No error: status::ok and an empty message.
  error() noexcept = default;

  /// An error of the caller's own, or of this header's.
  error(martlet::status status, std::string message, std::string input = {},
        std::string expected = {}, std::string actual = {})
      : status_(status),
        texts_(std::make_shared<const texts>(texts{
          std::move(message), {}, {}, std::move(input), std::move(expected), std::move(actual)})) {}

  /// The calling thread's last failure in the C library; what has to be thrown after calls of
  /// martlet.h.
  static error last(martlet_status status) {
    const martlet_error *last = martlet_last_error();
    const auto text = [](const char *given) { return std::string(given ? given : ""); };
    texts found = {text(last->message), text(last->node),     text(last->operator_name),
                   text(last->input),   text(last->expected), text(last->actual)};
    // What a handle that was moved from holds is unknown to the library.
    const std::string stranger = "a pointer that is not a Martlet handle";
    const std::size_t place = found.message.find(stranger);
    if (status == MARTLET_INVALID_HANDLE && place != std::string::npos) {
      found.actual = "a handle that was moved from";
      found.message.replace(place, stranger.size(), found.actual);
    }
    error made;
    made.status_ = static_cast<martlet::status>(status);
    made.texts_ = std::make_shared<const texts>(std::move(found));
    return made;
  }

  martlet::status status() const noexcept { return status_; }
  /// One sentence with everything below in it. Lasts as long as a copy of the error.
  const char *what() const noexcept override { return texts_ ? texts_->message.c_str() : ""; }
  /// The parts of the message, for programs; each is empty where it does not apply. The node of the
  /// model that is to blame, and its operator; the input, attribute or option; what would have been
  /// right; what was given.
  std::string_view node() const noexcept { return part(&texts::node); }
  std::string_view operator_name() const noexcept { return part(&texts::operator_name); }
  std::string_view input() const noexcept { return part(&texts::input); }
  std::string_view expected() const noexcept { return part(&texts::expected); }
  std::string_view actual() const noexcept { return part(&texts::actual); }

 private:
  struct texts {
    std::string message, node, operator_name, input, expected, actual;
  };
  std::string_view part(std::string texts::*field) const noexcept {
    return texts_ ? std::string_view((*texts_).*field) : std::string_view();
  }

  martlet::status status_ = martlet::status::ok;
  std::shared_ptr<const texts> texts_;
};

/// A value, or the error for which there is none: what result<T> is without exceptions. The value
/// of a failure is an empty T (a handle that every call refuses, 0, a vector of nothing), so that
/// to look at it without asking is a further error, and never undefined.
template <class T>
class [[nodiscard]] expected {
 public:
  expected(T value) : value_(std::move(value)) {}
  expected(martlet::error error) : error_(std::move(error)) {}

  bool has_value() const noexcept { return error_.status() == status::ok; }
  explicit operator bool() const noexcept { return has_value(); }
  /// The failure; its status is status::ok where there is a value.
  const martlet::error &error() const noexcept { return error_; }
  T &value() & noexcept { return value_; }
  const T &value() const & noexcept { return value_; }
  T &&value() && noexcept { return std::move(value_); }
  T &operator*() & noexcept { return value_; }
  const T &operator*() const & noexcept { return value_; }
  T &&operator*() && noexcept { return std::move(value_); }
  T *operator->() noexcept { return &value_; }
  const T *operator->() const noexcept { return &value_; }

 private:
  T value_{};
  martlet::error error_;
};

/// The error of a call without a value, or none.
template <>
class [[nodiscard]] expected<void> {
 public:
  expected() noexcept = default;
  expected(martlet::error error) : error_(std::move(error)) {}

  bool has_value() const noexcept { return error_.status() == status::ok; }
  explicit operator bool() const noexcept { return has_value(); }
  const martlet::error &error() const noexcept { return error_; }

 private:
  martlet::error error_;
};

#ifdef MARTLET_NO_EXCEPTIONS
template <class T>
using result = expected<T>;
#else
/// What can fail returns this: T, or an exception (see the rules at the top).
template <class T>
using result = T;
#endif

namespace detail {

template <class T>
result<T> fail(error wrong) {
#ifdef MARTLET_NO_EXCEPTIONS
  return result<T>(std::move(wrong));
#else
  throw wrong;
#endif
}

template <class T>
result<T> give(martlet_status status, T value) {
  if (status != MARTLET_OK) return fail<T>(error::last(status));
  return value;
}

inline result<void> done(martlet_status status) {
  if (status != MARTLET_OK) return fail<void>(error::last(status));
  return result<void>();
}

// The message for text with a NUL, which C would read as shorter than it is.
inline std::optional<error> nul_in(const std::string &text, const char *what) {
  if (text.find('\0') == std::string::npos) return std::nullopt;
  return error(status::invalid_argument,
               std::string(what) + " is \"" + text.c_str() + "\\0...\", which holds a NUL", what);
}

inline std::string text(const char *given) { return given ? given : ""; }

// What a rank beyond the library's limit becomes, so that it says so.
inline std::int32_t rank(extents shape) noexcept {
  return shape.size() > 1000 ? 1000 : static_cast<std::int32_t>(shape.size());
}

inline std::string number(std::size_t number) { return std::to_string(number); }

// How many elements a shape has; the greatest number where it overflows, 0 where an extent is
// negative, at which the library will look.
inline std::size_t count(extents shape) noexcept {
  std::size_t count = 1;
  for (const std::int64_t extent : shape) {
    if (extent <= 0) return 0;
    const auto factor = static_cast<std::size_t>(extent);
    count = count > SIZE_MAX / factor ? SIZE_MAX : count * factor;
  }
  return count;
}

// -------------------------------------------------------------------- Handles

// What a handle that was moved from holds. It is no handle, and the library says so.
alignas(16) inline char moved_from[16];

template <class Object, martlet_status (*retain)(Object *), martlet_status (*drop)(Object *)>
class handle {
 public:
  /// Empty.
  handle() noexcept = default;
  handle(const handle &other) noexcept : object_(other.object_) {
    if (other && retain(object_) != MARTLET_OK) object_ = moved();
  }
  handle(handle &&other) noexcept : object_(std::exchange(other.object_, moved())) {}
  handle &operator=(const handle &other) noexcept {
    handle copy(other);
    std::swap(object_, copy.object_);
    return *this;
  }
  handle &operator=(handle &&other) noexcept {
    handle taken(std::move(other));
    std::swap(object_, taken.object_);
    return *this;
  }
  ~handle() {
    if (*this) drop(object_);
  }

  /// Whether it stands for an object.
  explicit operator bool() const noexcept { return object_ != nullptr && object_ != moved(); }
  /// The handle for calls of martlet.h, which this one goes on owning.
  Object *get() const noexcept { return object_; }
  /// The handle for calls of martlet.h, to be released by the caller; this one is empty afterwards.
  Object *detach() noexcept {
    Object *object = std::exchange(object_, nullptr);
    return object == moved() ? nullptr : object;
  }

 protected:
  explicit handle(Object *object) noexcept : object_(object) {}

 private:
  static Object *moved() noexcept { return reinterpret_cast<Object *>(moved_from); }

  Object *object_ = nullptr;
};

template <class Handle>
using object_of = std::remove_pointer_t<decltype(std::declval<Handle>().get())>;

// The C handles of `handles`, in their order.
template <class Handle>
std::vector<object_of<Handle> *> objects(span<const Handle> handles) {
  std::vector<object_of<Handle> *> objects;
  objects.reserve(handles.size());
  for (const Handle &handle : handles) objects.push_back(handle.get());
  return objects;
}

}  // namespace detail

// =================================================================== Versions, processor

/// The library's version: major * 10000 + minor * 100 + patch. MARTLET_VERSION is the header's.
inline std::int32_t version() noexcept { return martlet_version(); }

/// The library's version as text, "0.1.0".
inline const char *version_string() noexcept { return martlet_version_string(); }

/// The processor's name as it calls itself.
inline const char *cpu_name() noexcept { return martlet_cpu_name(); }

/// The features found that matter here, separated by spaces ("avx2 fma f16c").
inline const char *cpu_features() noexcept { return martlet_cpu_features(); }

/// The instruction set in use: "generic", "avx2", "avx512bf16", .... Settles the choice.
inline const char *cpu_isa() noexcept { return martlet_cpu_isa(); }

/// Caps the instruction set; see martlet_set_isa(). status::not_found for an unknown name,
/// status::invalid_state when the choice has been settled already.
inline result<void> set_isa(const std::string &name) {
  if (auto wrong = detail::nul_in(name, "set_isa: name")) return detail::fail<void>(*wrong);
  return detail::done(martlet_set_isa(name.c_str()));
}

/// The instruction sets that the library knows, from the most portable up; the texts last as long
/// as the process. Settles the choice.
inline std::vector<martlet_isa_info> isas() {
  std::vector<martlet_isa_info> rows;
  while (const martlet_isa_info *row = martlet_isa_info_at(rows.size())) rows.push_back(*row);
  return rows;
}

/// The kernel families in use; the texts last as long as the process. Settles the choice.
inline std::vector<martlet_kernel_info> kernels() {
  std::vector<martlet_kernel_info> rows;
  while (const martlet_kernel_info *row = martlet_kernel_info_at(rows.size())) rows.push_back(*row);
  return rows;
}

/// Bytes of tensor memory that the library has allocated and not freed; borrowed and mapped memory
/// does not count.
inline std::int64_t memory_in_use() noexcept { return martlet_memory_in_use(); }

/// Gives memory that is kept for next runs back to the system, for all models.
inline result<void> trim() { return detail::done(martlet_trim()); }

// ================================================================================ Threads

/// Sets how many threads a computation uses at most, the caller's own included: 1...1024, 0 for the
/// default. Results do not depend on it. status::invalid_argument when out of range.
inline result<void> set_num_threads(std::int32_t count) {
  return detail::done(martlet_set_num_threads(count));
}
inline std::int32_t num_threads() noexcept { return martlet_get_num_threads(); }

/// Sets how long idle workers spin for more work before they sleep: 0...1000000 microseconds.
/// status::invalid_argument when out of range.
inline result<void> set_spin_microseconds(std::int32_t microseconds) {
  return detail::done(martlet_set_spin_microseconds(microseconds));
}
inline std::int32_t spin_microseconds() noexcept { return martlet_get_spin_microseconds(); }

/// What a pool is like.
struct pool_options {
  /// 1...1024 threads, the caller's included; 0: one for each of `processors`, or the default.
  std::int32_t thread_count = 0;
  /// Where its threads may run: numbers as in /proc/cpuinfo. Empty: where the threads that call
  /// may.
  std::vector<std::int32_t> processors{};
  /// A scheduler to use instead of threads of the pool's own; valid as long as the pool is. It
  /// throws nothing.
  martlet_parallel_for parallel_for = nullptr;
  void *parallel_for_user = nullptr;
};

/// Threads of one's own, for models and contexts.
class pool : public detail::handle<martlet_pool, martlet_pool_retain, martlet_pool_release> {
 public:
  pool() noexcept = default;

  /// Takes over a reference that martlet.h gave.
  static pool adopt(martlet_pool *object) noexcept { return pool(object); }

  /// Makes a pool. status::invalid_argument for a number of threads out of range or a processor
  /// that the calling thread may not use.
  static result<pool> make(const pool_options &options = {}) {
    martlet_pool_options given = {};
    given.struct_size = sizeof given;
    given.thread_count = options.thread_count;
    given.processors = options.processors.empty() ? nullptr : options.processors.data();
    given.processor_count = options.processors.size();
    given.parallel_for = options.parallel_for;
    given.parallel_for_user = options.parallel_for_user;
    martlet_pool *made = nullptr;
    const martlet_status status = martlet_pool_create(&given, &made);
    return detail::give(status, pool(made));
  }

  /// How many threads a computation on it uses at most, the caller's own included.
  result<std::int32_t> thread_count() const {
    std::int32_t count = 0;
    const martlet_status status = martlet_pool_thread_count(get(), &count);
    return detail::give(status, count);
  }

 private:
  explicit pool(martlet_pool *object) noexcept : handle(object) {}
};

// ================================================================ float32 fast-math modes

/// What float32 products may be lowered to; martlet.h, section 5, says how modes go together.
enum class math_mode : martlet_math_mode {
  inherit = MARTLET_MATH_DEFAULT,  ///< as an argument: the scope or the process decides
  fp32 = MARTLET_MATH_FP32,
  bf16 = MARTLET_MATH_BF16,
  tf32 = MARTLET_MATH_TF32,
  f16 = MARTLET_MATH_F16,
  any = MARTLET_MATH_ANY
};

/// A mode's name, "BF16".
inline const char *name(math_mode mode) noexcept {
  return martlet_math_mode_name(static_cast<martlet_math_mode>(mode));
}

/// Sets the process's mode by name: the one line that makes a float32 model bf16-fast.
/// FP32 (STRICT, IEEE, HIGHEST), BF16, TF32, F16 or ANY, in any case; status::not_found, with the
/// list, for another name.
inline result<void> set_float32_fast_math_mode(const std::string &name) {
  if (auto wrong = detail::nul_in(name, "set_float32_fast_math_mode: name"))
    return detail::fail<void>(*wrong);
  return detail::done(martlet_set_float32_fast_math_mode(name.c_str()));
}

/// Sets the process's mode. status::invalid_argument for math_mode::inherit.
inline result<void> set_float32_fast_math_mode(math_mode mode) {
  return detail::done(martlet_math_mode_set(static_cast<martlet_math_mode>(mode)));
}

/// The mode in force for the calling thread.
inline math_mode float32_fast_math_mode() noexcept {
  return static_cast<math_mode>(martlet_math_mode_effective());
}

/// A mode for the calling thread, as long as this lives; scopes are left in the opposite order in
/// which they were entered, on their thread.
class [[nodiscard]] math_mode_scope {
 public:
  /// No scope.
  math_mode_scope() noexcept = default;

  /// Enters a scope. status::invalid_argument for math_mode::inherit, status::invalid_state where
  /// 64 are within each other already.
  static result<math_mode_scope> enter(math_mode mode) {
    const martlet_status status = martlet_math_mode_push(static_cast<martlet_math_mode>(mode));
    return detail::give(status, math_mode_scope(status == MARTLET_OK));
  }

  math_mode_scope(math_mode_scope &&other) noexcept
      : is_entered_(std::exchange(other.is_entered_, false)) {}
  math_mode_scope &operator=(math_mode_scope &&other) noexcept {
    if (this != &other) {
      leave();
      is_entered_ = std::exchange(other.is_entered_, false);
    }
    return *this;
  }
  ~math_mode_scope() { leave(); }

  void leave() noexcept {
    if (std::exchange(is_entered_, false)) martlet_math_mode_pop();
  }

 private:
  explicit math_mode_scope(bool is_entered) noexcept : is_entered_(is_entered) {}

  bool is_entered_ = false;
};

// ================================================================================= Dtypes

/// Element types; the values are those of ONNX's TensorProto.DataType.
enum class dtype : martlet_dtype {
  unknown = MARTLET_DTYPE_UNKNOWN,
  float32 = MARTLET_FLOAT32,
  uint8 = MARTLET_UINT8,
  int8 = MARTLET_INT8,
  uint16 = MARTLET_UINT16,
  int16 = MARTLET_INT16,
  int32 = MARTLET_INT32,
  int64 = MARTLET_INT64,
  string = MARTLET_STRING,
  boolean = MARTLET_BOOL,
  float16 = MARTLET_FLOAT16,
  float64 = MARTLET_FLOAT64,
  uint32 = MARTLET_UINT32,
  uint64 = MARTLET_UINT64,
  bfloat16 = MARTLET_BFLOAT16,
  float8e4m3fn = MARTLET_FLOAT8E4M3FN,
  float8e4m3fnuz = MARTLET_FLOAT8E4M3FNUZ,
  float8e5m2 = MARTLET_FLOAT8E5M2,
  float8e5m2fnuz = MARTLET_FLOAT8E5M2FNUZ,
  uint4 = MARTLET_UINT4,
  int4 = MARTLET_INT4,
  float4e2m1 = MARTLET_FLOAT4E2M1,
  float8e8m0 = MARTLET_FLOAT8E8M0,
  uint2 = MARTLET_UINT2,
  int2 = MARTLET_INT2,
  float6e2m3 = MARTLET_FLOAT6E2M3,
  float6e3m2 = MARTLET_FLOAT6E3M2
};

/// A dtype's name, "float32".
inline const char *name(dtype dtype) noexcept {
  return martlet_dtype_name(static_cast<martlet_dtype>(dtype));
}

/// Bits of one element; 0 for strings. Elements of less than 8 are packed, see
/// martlet_dtype_bits().
inline std::int32_t bits(dtype dtype) noexcept {
  return martlet_dtype_bits(static_cast<martlet_dtype>(dtype));
}

/// float16 and bfloat16 as elements: their 16 bits. tensor::convert() makes numbers of them.
struct float16 {
  std::uint16_t bits;
};
struct bfloat16 {
  std::uint16_t bits;
};

namespace detail {

template <class T>
constexpr dtype dtype_of_number() {
  if constexpr (std::is_same_v<T, bool>) return dtype::boolean;
  else if constexpr (std::is_same_v<T, float>) return dtype::float32;
  else if constexpr (std::is_same_v<T, double>) return dtype::float64;
  else if constexpr (std::is_same_v<T, float16>) return dtype::float16;
  else if constexpr (std::is_same_v<T, bfloat16>) return dtype::bfloat16;
  else if constexpr (std::is_same_v<T, std::string>) return dtype::string;
  else if constexpr (!std::is_integral_v<T> || std::is_same_v<T, char> ||
                     std::is_same_v<T, wchar_t> || std::is_same_v<T, char16_t> ||
                     std::is_same_v<T, char32_t>)
    return dtype::unknown;
  else if constexpr (sizeof(T) == 1) return std::is_signed_v<T> ? dtype::int8 : dtype::uint8;
  else if constexpr (sizeof(T) == 2) return std::is_signed_v<T> ? dtype::int16 : dtype::uint16;
  else if constexpr (sizeof(T) == 4) return std::is_signed_v<T> ? dtype::int32 : dtype::uint32;
  else if constexpr (sizeof(T) == 8) return std::is_signed_v<T> ? dtype::int64 : dtype::uint64;
  else return dtype::unknown;
}

}  // namespace detail

/// The dtype of a C++ type; dtype::unknown where there is none.
template <class T>
constexpr dtype dtype_of = detail::dtype_of_number<std::remove_cv_t<T>>();

// ================================================================================ Tensors

/// An n-dimensional array: elements, a dtype, a shape and strides. Copies share the elements.
class tensor
    : public detail::handle<martlet_tensor, martlet_tensor_retain, martlet_tensor_release> {
 public:
  /// Empty: among the inputs of an operator, one that is left out.
  tensor() noexcept = default;

  /// Takes over a reference that martlet.h gave.
  static tensor adopt(martlet_tensor *object) noexcept { return tensor(object); }

  // ---------------------------------------------------------------- making

  /// A tensor with unspecified elements. status::invalid_dtype; status::invalid_shape for a rank
  /// out of range, a negative extent or a size that overflows: so below too.
  static result<tensor> empty(martlet::dtype dtype, extents shape) {
    martlet_tensor *made = nullptr;
    const martlet_status status = martlet_tensor_create(static_cast<martlet_dtype>(dtype),
                                                        detail::rank(shape), shape.data(), &made);
    return detail::give(status, tensor(made));
  }

  /// A tensor of zeros.
  static result<tensor> zeros(martlet::dtype dtype, extents shape) {
    martlet_tensor *made = nullptr;
    const martlet_status status = martlet_tensor_create_zeroed(
      static_cast<martlet_dtype>(dtype), detail::rank(shape), shape.data(), &made);
    return detail::give(status, tensor(made));
  }

  /// A tensor with a copy of elements, row-major: a vector, an array, a span, a list in braces, of
  /// numbers or std::string. `tensor::from({2.0f}, {})` is a scalar.
  /// status::invalid_shape when there are not as many as the shape says.
  template <class Range>
  static result<tensor> from(const Range &elements, extents shape) {
    using T = std::remove_cv_t<detail::element_of<const Range>>;
    static_assert(dtype_of<T> != martlet::dtype::unknown, "tensors have no elements of this type");
    if constexpr (std::is_same_v<T, std::string>) {
      return from_strings(span<const std::string>(elements), shape);
    } else {
      return from_bytes(std::data(elements), std::size(elements) * sizeof(T), dtype_of<T>, shape);
    }
  }
  template <class T>
  static result<tensor> from(std::initializer_list<T> elements, extents shape) {
    return from<std::initializer_list<T>>(elements, shape);
  }

  /// A tensor over memory of the caller's, without a copy: a vector, an array, a span. The memory
  /// must stay valid until the last handle of the tensor is gone, and of results that are views of
  /// it (op_run()). It may be written through the tensor unless its elements are constants.
  ///
  /// strides: one for each axis, 0 or negative too; empty: row-major without gaps.
  /// first: the element that lies at index 0, 0, ....
  /// status::invalid_shape when an element lies outside the memory.
  template <class Range>
  static result<tensor> wrap(Range &&memory, extents shape, extents strides = {},
                             std::size_t first = 0) {
    static_assert(detail::is_borrowable<Range &&>,
                  "wrap() borrows, and this is a temporary: use from() or take()");
    using T = detail::element_of<Range>;
    static_assert(
      dtype_of<T> != martlet::dtype::unknown && !std::is_same_v<std::remove_cv_t<T>, std::string>,
      "tensors of other people's memory have no elements of this type");
    const std::size_t bytes = std::size(memory) * sizeof(T);
    return wrap_bytes(const_cast<std::remove_cv_t<T> *>(std::data(memory)), bytes, dtype_of<T>,
                      shape, strides, first > std::size(memory) ? bytes : first * sizeof(T),
                      std::is_const_v<T>);
  }

  /// A tensor over a vector's memory, without a copy; it lives as long as the tensor. The vector is
  /// empty afterwards, or, on failure, as it was.
  /// status::invalid_shape when there are fewer elements than the shape says.
  template <class T>
  static result<tensor> take(std::vector<T> &&elements, extents shape) {
    static_assert(dtype_of<T> != martlet::dtype::unknown && !std::is_same_v<T, std::string> &&
                    !std::is_same_v<T, bool>,
                  "such a vector cannot be taken: use from()");
    auto kept = std::make_unique<std::vector<T>>();
    const martlet_deleter forget = [](void *vector, void *) {
      delete static_cast<std::vector<T> *>(vector);
    };
    martlet_tensor *made = nullptr;
    const martlet_status status = martlet_tensor_wrap_strided(
      elements.data(), elements.size() * sizeof(T), 0, static_cast<martlet_dtype>(dtype_of<T>),
      detail::rank(shape), shape.data(), nullptr, 0, forget, kept.get(), &made);
    // Elements stay where they are.
    if (status == MARTLET_OK) kept.release()->swap(elements);
    return detail::give(status, tensor(made));
  }

  /// As from(), of bytes: for dtypes that C++ has no type for. status::invalid_shape unless they
  /// are exactly as many as the shape takes.
  static result<tensor> from_bytes(const void *data, std::size_t bytes, martlet::dtype dtype,
                                   extents shape) {
    martlet_tensor *made = nullptr;
    const martlet_status status = martlet_tensor_from_data(
      data, bytes, static_cast<martlet_dtype>(dtype), detail::rank(shape), shape.data(), &made);
    return detail::give(status, tensor(made));
  }

  /// As wrap(), of bytes; `first` counts bytes. status::invalid_argument for misaligned elements.
  static result<tensor> wrap_bytes(void *memory, std::size_t bytes, martlet::dtype dtype,
                                   extents shape, extents strides = {}, std::size_t first = 0,
                                   bool is_read_only = false) {
    if (!strides.empty() && strides.size() != shape.size()) {
      return detail::fail<tensor>(
        error(status::invalid_shape,
              "tensor::wrap: expected " + detail::number(shape.size()) +
                " strides for a shape of that rank, got " + detail::number(strides.size()),
              "strides", detail::number(shape.size()), detail::number(strides.size())));
    }
    martlet_tensor *made = nullptr;
    const martlet_status status = martlet_tensor_wrap_strided(
      memory, bytes, first, static_cast<martlet_dtype>(dtype), detail::rank(shape), shape.data(),
      strides.data(), is_read_only ? std::uint32_t{MARTLET_WRAP_READ_ONLY} : 0, nullptr, nullptr,
      &made);
    return detail::give(status, tensor(made));
  }

  /// Takes over a DLPack tensor, see martlet_tensor_from_dlpack(); on failure it stays the
  /// caller's.
  static result<tensor> from_dlpack(DLManagedTensorVersioned *managed) {
    martlet_tensor *made = nullptr;
    const martlet_status status = martlet_tensor_from_dlpack(managed, &made);
    return detail::give(status, tensor(made));
  }

  /// A DLPack tensor that shares the elements, owned by the caller, who calls its deleter.
  result<DLManagedTensorVersioned *> to_dlpack() const {
    DLManagedTensorVersioned *managed = nullptr;
    const martlet_status status = martlet_tensor_to_dlpack(get(), &managed);
    return detail::give(status, managed);
  }

  // ---------------------------------------------------------------- what it is like

  result<martlet::dtype> dtype() const {
    martlet_dtype found = MARTLET_DTYPE_UNKNOWN;
    const martlet_status status = martlet_tensor_dtype(get(), &found);
    return detail::give(status, static_cast<martlet::dtype>(found));
  }

  /// The extents, one for each axis.
  result<std::vector<std::int64_t>> shape() const {
    return axes([](const martlet_tensor *, const std::int64_t **) { return MARTLET_OK; });
  }

  /// The strides in elements, one for each axis.
  result<std::vector<std::int64_t>> strides() const { return axes(martlet_tensor_strides); }

  /// Number of elements.
  result<std::size_t> size() const {
    std::int64_t count = 0;
    const martlet_status status = martlet_tensor_element_count(get(), &count);
    return detail::give(status, static_cast<std::size_t>(count));
  }

  /// Bytes of the elements alone; gaps do not count.
  result<std::size_t> byte_count() const {
    std::size_t bytes = 0;
    const martlet_status status = martlet_tensor_byte_count(get(), &bytes);
    return detail::give(status, bytes);
  }

  /// Whether the elements lie row-major without gaps.
  result<bool> is_contiguous() const {
    bool found = false;
    const martlet_status status = martlet_tensor_is_contiguous(get(), &found);
    return detail::give(status, found);
  }

  /// Whether the elements may not be written.
  result<bool> is_read_only() const {
    bool found = false;
    const martlet_status status = martlet_tensor_is_read_only(get(), &found);
    return detail::give(status, found);
  }

  // ---------------------------------------------------------------- elements

  /// The elements where they lie, row-major; valid as long as a handle of the tensor.
  /// T: the dtype's, as dtype_of has it; std::uint8_t for bool, whose bytes need not be 0 or 1 if
  /// they
  ///   came from elsewhere.
  /// status::invalid_dtype for another T, status::invalid_argument for elements with gaps
  /// (to_vector() reads those).
  template <class T>
  result<span<const T>> elements() const & {
    const void *data = nullptr;
    auto wrong =
      elements_at<T>("tensor::elements", [&] { return martlet_tensor_data(get(), &data); });
    if (wrong) return detail::fail<span<const T>>(*wrong);
    return span<const T>(static_cast<const T *>(data), count());
  }
  template <class T>
  result<span<const T>> elements() const && = delete;

  /// As elements(), for writing. status::invalid_argument for a tensor that is read-only.
  template <class T>
  result<span<T>> mutable_elements() & {
    void *data = nullptr;
    auto wrong = elements_at<T>("tensor::mutable_elements",
                                [&] { return martlet_tensor_mutable_data(get(), &data); });
    if (wrong) return detail::fail<span<T>>(*wrong);
    return span<T>(static_cast<T *>(data), count());
  }

  /// A copy of the elements, row-major, whatever the strides. T as for elements(), or std::string.
  template <class T>
  result<std::vector<T>> to_vector() const {
    auto wrong = other_dtype<T>("tensor::to_vector");
    if (wrong) return detail::fail<std::vector<T>>(*wrong);
    std::vector<T> elements(count());
    if constexpr (std::is_same_v<T, std::string>) {
      for (std::size_t index = 0; index < elements.size(); ++index) {
        const char *bytes = nullptr;
        std::size_t size = 0;
        const martlet_status status =
          martlet_tensor_string(get(), static_cast<std::int64_t>(index), &bytes, &size);
        if (status != MARTLET_OK) return detail::fail<std::vector<T>>(error::last(status));
        elements[index].assign(bytes, size);
      }
      return detail::give(MARTLET_OK, std::move(elements));
    } else {
      const martlet_status status =
        martlet_tensor_read(get(), elements.data(), elements.size() * sizeof(T));
      return detail::give(status, std::move(elements));
    }
  }

  /// Copies the elements, row-major, into memory of the caller's: a vector, an array, a span.
  /// status::invalid_dtype for other elements, status::invalid_shape when there is room for fewer.
  template <class Range>
  result<void> read(Range &&to) const {
    using T = detail::element_of<Range>;
    static_assert(!std::is_const_v<T>, "constants cannot be written");
    if (auto wrong = other_dtype<T>("tensor::read")) return detail::fail<void>(*wrong);
    return detail::done(martlet_tensor_read(get(), std::data(to), std::size(to) * sizeof(T)));
  }

  /// As read(), the bytes of any dtype but strings.
  result<void> read_bytes(void *to, std::size_t bytes) const {
    return detail::done(martlet_tensor_read(get(), to, bytes));
  }

  /// The same elements in a tensor of their own, without gaps.
  result<tensor> copy() const {
    martlet_tensor *made = nullptr;
    const martlet_status status = martlet_tensor_copy(get(), &made);
    return detail::give(status, tensor(made));
  }

  /// The elements converted to another dtype, as martlet_tensor_convert() says.
  result<tensor> convert(martlet::dtype dtype) const {
    martlet_tensor *made = nullptr;
    const martlet_status status =
      martlet_tensor_convert(get(), static_cast<martlet_dtype>(dtype), &made);
    return detail::give(status, tensor(made));
  }

 private:
  explicit tensor(martlet_tensor *object) noexcept : handle(object) {}

  static result<tensor> from_strings(span<const std::string> strings, extents shape) {
    // The library reads as many as the shape has.
    if (const std::size_t wanted = detail::count(shape); wanted != strings.size()) {
      return detail::fail<tensor>(
        error(status::invalid_shape,
              "tensor::from: the shape has " + detail::number(wanted) +
                " elements, and there are " + detail::number(strings.size()) + " strings",
              "shape", detail::number(strings.size()), detail::number(wanted)));
    }
    std::vector<const char *> texts;
    std::vector<std::size_t> sizes;
    for (const std::string &string : strings) {
      texts.push_back(string.data());
      sizes.push_back(string.size());
    }
    martlet_tensor *made = nullptr;
    const martlet_status status = martlet_tensor_from_strings(
      texts.data(), sizes.data(), detail::rank(shape), shape.data(), &made);
    return detail::give(status, tensor(made));
  }

  // The extents, or what `look` finds in their place.
  template <class Look>
  result<std::vector<std::int64_t>> axes(const Look &look) const {
    std::int32_t rank = 0;
    const std::int64_t *found = nullptr;
    martlet_status status = martlet_tensor_shape(get(), &rank, &found);
    if (status == MARTLET_OK) status = look(get(), &found);
    if (status != MARTLET_OK) rank = 0;
    return detail::give(status, std::vector<std::int64_t>(found, found + rank));
  }

  // Of a tensor whose dtype was looked at.
  std::size_t count() const noexcept {
    std::int64_t count = 0;
    martlet_tensor_element_count(get(), &count);
    return static_cast<std::size_t>(count);
  }

  template <class T>
  std::optional<error> other_dtype(const char *call) const {
    static_assert(dtype_of<T> != martlet::dtype::unknown, "tensors have no elements of this type");
    static_assert(!std::is_same_v<T, bool>, "read tensors of bool as std::uint8_t");
    martlet_dtype found = MARTLET_DTYPE_UNKNOWN;
    const martlet_status status = martlet_tensor_dtype(get(), &found);
    if (status != MARTLET_OK) return error::last(status);
    const bool is_bool = found == MARTLET_BOOL && std::is_same_v<T, std::uint8_t>;
    if (found == static_cast<martlet_dtype>(dtype_of<T>) || is_bool) return std::nullopt;
    const std::string own = martlet_dtype_name(found), asked = name(dtype_of<T>);
    return error(martlet::status::invalid_dtype,
                 std::string(call) + ": the tensor's elements are " + own + ", not " + asked, "",
                 own, asked);
  }

  template <class T, class Look>
  std::optional<error> elements_at(const char *call, const Look &look) const {
    static_assert(!std::is_same_v<T, std::string>, "strings have no address: use to_vector()");
    if (auto wrong = other_dtype<T>(call)) return wrong;
    bool is_contiguous = false;
    martlet_status status = martlet_tensor_is_contiguous(get(), &is_contiguous);
    if (status == MARTLET_OK) status = look();
    if (status != MARTLET_OK) return error::last(status);
    if (is_contiguous) return std::nullopt;
    return error(
      martlet::status::invalid_argument,
      std::string(call) + ": the elements do not lie in a row; to_vector() or copy() puts them so");
  }
};

/// Tensors by name, in an order: inputs in any, outputs in that in which they were asked for.
class named_tensors {
 public:
  using entry = std::pair<std::string, tensor>;

  named_tensors() = default;
  named_tensors(std::initializer_list<entry> entries) : entries_(entries) {}

  void add(std::string name, tensor tensor) {
    entries_.emplace_back(std::move(name), std::move(tensor));
  }
  /// The tensor of a name. status::not_found, with the names that there are, for another.
  result<tensor> at(std::string_view name) const {
    std::string names;
    for (const entry &one : entries_) {
      if (one.first == name) return one.second;
      names += (names.empty() ? "'" : ", '") + one.first + "'";
    }
    const std::string asked = "'" + std::string(name) + "'";
    return detail::fail<tensor>(
      error(status::not_found,
            "there is no tensor " + asked + ", there are " + (names.empty() ? "none" : names), "",
            names, asked));
  }
  /// The index-th tensor. status::invalid_argument when out of range.
  result<tensor> at(std::size_t index) const {
    if (index < entries_.size()) return entries_[index].second;
    const std::string range = "0..<" + detail::number(entries_.size());
    return detail::fail<tensor>(
      error(status::invalid_argument,
            "there is no tensor " + detail::number(index) + ": expected " + range, "", range,
            detail::number(index)));
  }
  result<tensor> operator[](std::string_view name) const { return at(name); }
  result<tensor> operator[](std::size_t index) const { return at(index); }

  std::size_t size() const noexcept { return entries_.size(); }
  bool empty() const noexcept { return entries_.empty(); }
  auto begin() const noexcept { return entries_.begin(); }
  auto end() const noexcept { return entries_.end(); }

 private:
  std::vector<entry> entries_;
};

// ============================================================ Functions, any operator by name

/// A named value of an operator: `{"axis", 1}`, `{"mode", "linear"}`, `{"pads", {1, 1, 1, 1}}`.
class attribute {
 public:
  using value_type = std::variant<std::int64_t, float, std::string, std::vector<std::int64_t>,
                                  std::vector<float>, std::vector<std::string>, tensor>;

  template <class T, std::enable_if_t<std::is_arithmetic_v<T>, int> = 0>
  attribute(std::string key, T number) : name(std::move(key)), value(kept(number)) {}
  template <class T, std::enable_if_t<std::is_arithmetic_v<T>, int> = 0>
  attribute(std::string key, std::initializer_list<T> numbers)
      : name(std::move(key)), value(kept(numbers)) {}
  attribute(std::string key, std::initializer_list<const char *> texts)
      : name(std::move(key)), value(std::vector<std::string>(texts.begin(), texts.end())) {}
  attribute(std::string key, const char *text)
      : name(std::move(key)), value(std::string(text ? text : "")) {}
  attribute(std::string key, value_type any) : name(std::move(key)), value(std::move(any)) {}

  std::string name;
  value_type value;

 private:
  template <class T>
  using number_of = std::conditional_t<std::is_integral_v<T>, std::int64_t, float>;

  template <class T>
  static number_of<T> kept(T number) {
    static_assert(std::is_floating_point_v<T> || std::is_signed_v<T> || sizeof(T) < 8,
                  "attributes are int64: convert the value");
    return static_cast<number_of<T>>(number);
  }
  template <class T>
  static std::vector<number_of<T>> kept(std::initializer_list<T> numbers) {
    std::vector<number_of<T>> all;
    for (const T number : numbers) all.push_back(kept(number));
    return all;
  }
};

namespace detail {

// The C set of attributes.
class attribute_set
    : public handle<martlet_attributes, martlet_attributes_retain, martlet_attributes_release> {
 public:
  attribute_set() noexcept = default;

  std::optional<error> fill(span<const attribute> attributes) {
    martlet_attributes *made = nullptr;
    if (const martlet_status status = martlet_attributes_create(&made); status != MARTLET_OK)
      return error::last(status);
    *this = attribute_set(made);
    for (const attribute &one : attributes) {
      if (auto wrong = nul_in(one.name, "attribute name")) return wrong;
      std::optional<error> wrong;
      const martlet_status status = std::visit(
        [&](const auto &value) { return set(one.name.c_str(), value, wrong); }, one.value);
      if (wrong) return wrong;
      if (status != MARTLET_OK) return error::last(status);
    }
    return std::nullopt;
  }

 private:
  explicit attribute_set(martlet_attributes *object) noexcept : handle(object) {}

  using maybe = std::optional<error>;
  martlet_status set(const char *name, std::int64_t value, maybe &) const {
    return martlet_attributes_set_int(get(), name, value);
  }
  martlet_status set(const char *name, float value, maybe &) const {
    return martlet_attributes_set_float(get(), name, value);
  }
  martlet_status set(const char *name, const std::string &value, maybe &wrong) const {
    wrong = nul_in(value, name);
    return martlet_attributes_set_string(get(), name, value.c_str());
  }
  martlet_status set(const char *name, const std::vector<std::int64_t> &values, maybe &) const {
    return martlet_attributes_set_ints(get(), name, values.data(), values.size());
  }
  martlet_status set(const char *name, const std::vector<float> &values, maybe &) const {
    return martlet_attributes_set_floats(get(), name, values.data(), values.size());
  }
  martlet_status set(const char *name, const std::vector<std::string> &values, maybe &wrong) const {
    std::vector<const char *> texts;
    for (const std::string &value : values) {
      if (!wrong) wrong = nul_in(value, name);
      texts.push_back(value.c_str());
    }
    return martlet_attributes_set_strings(get(), name, texts.data(), texts.size());
  }
  martlet_status set(const char *name, const tensor &value, maybe &) const {
    return martlet_attributes_set_tensor(get(), name, value.get());
  }
};

// Result slots: empty ones of `tensors` are made by the call, into the others it writes.
class slots {
 public:
  explicit slots(span<tensor> tensors)
      : tensors_(tensors), objects_(objects<tensor>({tensors.data(), tensors.size()})) {}

  martlet_tensor **data() noexcept { return objects_.data(); }
  // After success.
  void receive() noexcept {
    for (std::size_t index = 0; index < objects_.size(); ++index)
      if (tensors_[index].get() == nullptr) tensors_[index] = tensor::adopt(objects_[index]);
  }

 private:
  span<tensor> tensors_;
  std::vector<martlet_tensor *> objects_;
};

inline martlet_math_mode code(math_mode mode) noexcept {
  return static_cast<martlet_math_mode>(mode);
}

// The tensor that a C function makes through its slot.
template <class Call>
result<tensor> make(const Call &call) {
  martlet_tensor *made = nullptr;
  const martlet_status status = call(&made);
  return give(status, tensor::adopt(made));
}

}  // namespace detail

/// Matrix product as NumPy's matmul. lhs: [..., M, K] or [K]; rhs: [..., K, N] or [K]; leading axes
/// broadcast; both of one dtype: floats, 32- and 64-bit integers. Gives [..., M, N].
/// Here and below: status::invalid_shape and status::invalid_dtype for inputs that do not fit
/// together.
inline result<tensor> matmul(const tensor &lhs, const tensor &rhs,
                             math_mode mode = math_mode::inherit) {
  return detail::make([&](martlet_tensor **result) {
    return martlet_matmul(lhs.get(), rhs.get(), detail::code(mode), result);
  });
}

/// A fully connected layer, input @ weight^T + bias. input: [..., K]; weight: [N, K]; bias: [N],
/// empty for none. Gives [..., N].
inline result<tensor> linear(const tensor &input, const tensor &weight, const tensor &bias = {},
                             math_mode mode = math_mode::inherit) {
  return detail::make([&](martlet_tensor **result) {
    return martlet_linear(input.get(), weight.get(), bias.get(), detail::code(mode), result);
  });
}

/// How a convolution walks its input; what is empty is 1 for each spatial axis, pads are 0.
struct conv_options {
  std::vector<std::int64_t> strides{};    ///< one per spatial axis, >= 1
  std::vector<std::int64_t> dilations{};  ///< one per spatial axis, >= 1
  std::vector<std::int64_t> pads{};       ///< all leading pads, then all trailing ones, >= 0
  std::int64_t groups = 1;
};

/// Convolution (cross-correlation) over one, two or three spatial axes. input: [batch, C, axes...];
/// weight: [M, C / groups, kernel...]; bias: [M], empty for none. Gives [batch, M, axes...].
/// status::invalid_argument for a bad option.
inline result<tensor> conv(const tensor &input, const tensor &weight, const tensor &bias = {},
                           const conv_options &options = {}, math_mode mode = math_mode::inherit) {
  // The library reads as many numbers as the input has spatial axes.
  std::int32_t rank = 0;
  const martlet_status status = martlet_tensor_shape(input.get(), &rank, nullptr);
  if (status != MARTLET_OK) return detail::fail<tensor>(error::last(status));
  const std::size_t axes = rank > 2 ? static_cast<std::size_t>(rank) - 2 : 0;
  const auto given = [](const std::vector<std::int64_t> &numbers) {
    return numbers.empty() ? nullptr : numbers.data();
  };
  const struct {
    const char *name;
    std::size_t count, wanted;
  } lists[] = {{"strides", options.strides.size(), axes},
               {"dilations", options.dilations.size(), axes},
               {"pads", options.pads.size(), 2 * axes}};
  for (const auto &list : lists) {
    if (list.count == 0 || list.count == list.wanted) continue;
    return detail::fail<tensor>(
      error(status::invalid_argument,
            "conv: expected " + detail::number(list.wanted) + " " + list.name + " for " +
              detail::number(axes) + " spatial axes, got " + detail::number(list.count),
            list.name, detail::number(list.wanted), detail::number(list.count)));
  }
  martlet_conv_options c_options = {};
  c_options.struct_size = sizeof c_options;
  c_options.strides = given(options.strides);
  c_options.dilations = given(options.dilations);
  c_options.pads = given(options.pads);
  c_options.groups = options.groups;
  return detail::make([&](martlet_tensor **result) {
    return martlet_conv(input.get(), weight.get(), bias.get(), &c_options, detail::code(mode),
                        result);
  });
}

/// Softmax along one axis, -rank...rank-1: exp(x - max) / sum.
inline result<tensor> softmax(const tensor &input, std::int64_t axis = -1) {
  return detail::make(
    [&](martlet_tensor **result) { return martlet_softmax(input.get(), axis, result); });
}

/// Layer normalisation over the axes from `axis` to the last. scale, bias: of the normalised axes'
/// shape, empty for 1 and 0. status::invalid_argument for an epsilon that is negative or NaN.
inline result<tensor> layer_norm(const tensor &input, const tensor &scale = {},
                                 const tensor &bias = {}, std::int64_t axis = -1,
                                 float epsilon = 1e-5f) {
  return detail::make([&](martlet_tensor **result) {
    return martlet_layer_norm(input.get(), scale.get(), bias.get(), axis, epsilon, result);
  });
}

/// Gaussian error linear unit, x/2 (1 + erf(x / sqrt 2)), or its approximation with tanh.
inline result<tensor> gelu(const tensor &input, bool use_tanh = false) {
  return detail::make(
    [&](martlet_tensor **result) { return martlet_gelu(input.get(), use_tanh, result); });
}

/// Scaled dot-product attention. query: [batch, heads, L, D]; key: [batch, kv_heads, S, D]; value:
/// [batch, kv_heads, S, Dv]; mask: broadcasts to [batch, heads, L, S], bool or the query's dtype,
/// empty for none; scale: 0 for 1 / sqrt(D). Gives [batch, heads, L, Dv].
/// status::invalid_argument for a scale that is not finite.
inline result<tensor> attention(const tensor &query, const tensor &key, const tensor &value,
                                const tensor &mask = {}, bool is_causal = false, float scale = 0,
                                math_mode mode = math_mode::inherit) {
  return detail::make([&](martlet_tensor **result) {
    return martlet_attention(query.get(), key.get(), value.get(), mask.get(), scale, is_causal,
                             detail::code(mode), result);
  });
}

/// Prepares a weight that is used many times: a read-only copy to be given wherever a tensor can.
inline result<tensor> pack(const tensor &weight) {
  return detail::make([&](martlet_tensor **result) { return martlet_pack(weight.get(), result); });
}

/// The operators that op_run() knows; the names last as long as the process.
inline std::vector<const char *> operators() {
  std::vector<const char *> names;
  while (const char *name = martlet_op_name_at(names.size())) names.push_back(name);
  return names;
}

/// Runs one operator of ONNX, at its newest supported opset, or of Martlet's own.
///
///     auto y = martlet::op_run("Softmax", {x}, {{"axis", 1}})[0];
///
/// inputs: in the operator's order; empty ones are left out.  output_count: the first so many.
/// A result may be a view of an input, whose memory it keeps.
/// status::not_found for an unknown operator or attribute, status::invalid_argument for a wrong
/// number of inputs or outputs or a bad attribute.
inline result<std::vector<tensor>> op_run(const std::string &name, span<const tensor> inputs,
                                          span<const attribute> attributes = {},
                                          std::size_t output_count = 1,
                                          math_mode mode = math_mode::inherit) {
  using results = std::vector<tensor>;
  if (auto wrong = detail::nul_in(name, "op_run: name")) return detail::fail<results>(*wrong);
  detail::attribute_set set;
  if (auto wrong = set.fill(attributes)) return detail::fail<results>(*wrong);
  if (output_count > 1 << 16) {
    return detail::fail<results>(
      error(status::invalid_argument,
            "op_run: " + detail::number(output_count) + " outputs of " + name + " were asked for",
            "", "", detail::number(output_count)));
  }
  results outputs(output_count);
  detail::slots slots(outputs);
  const auto objects = detail::objects(inputs);
  const martlet_status status = martlet_op_run(name.c_str(), set.get(), detail::code(mode),
                                               objects.data(), objects.size(), slots.data(),
                                               output_count);
  if (status != MARTLET_OK) return detail::fail<results>(error::last(status));
  slots.receive();
  return detail::give(status, std::move(outputs));
}

// ================================================================================= Models

/// Told how far a long call has come, on the thread that made it: a fraction from 0 to 1, and a
/// word for what is done ("read", "convert", "optimize", "prepare"; "run"). Returns false to
/// cancel, which makes the call fail with status::cancelled.
using progress_function = std::function<bool(double fraction, std::string_view stage)>;

namespace detail {

struct progress_call {
  progress_function function;
#ifndef MARTLET_NO_EXCEPTIONS
  std::exception_ptr thrown = nullptr;
#endif

  static bool tell(void *user, double fraction, const char *stage) noexcept {
    auto *call = static_cast<progress_call *>(user);
#ifndef MARTLET_NO_EXCEPTIONS
    try {
      return call->function(fraction, stage);
    } catch (...) {
      call->thrown = std::current_exception();
      return false;
    }
#else
    return call->function(fraction, stage);
#endif
  }

  // After the call: throws what the function has thrown.
  void rethrow() {
#ifndef MARTLET_NO_EXCEPTIONS
    if (thrown) std::rethrow_exception(std::exchange(thrown, nullptr));
#endif
  }
};

}  // namespace detail

enum class value_kind : martlet_value_kind {
  tensor = MARTLET_VALUE_TENSOR,
  sequence = MARTLET_VALUE_SEQUENCE,
  optional = MARTLET_VALUE_OPTIONAL,
  map = MARTLET_VALUE_MAP,
  state = MARTLET_VALUE_STATE
};

/// An input or output of a model.
struct value_info {
  std::string name;
  martlet::dtype dtype = dtype::unknown;  ///< unknown when the model does not say
  std::int32_t rank = -1;                 ///< -1 when the model does not say
  std::vector<std::int64_t> shape;        ///< the extents; -1 where known at run time only
  std::vector<std::string> symbols;  ///< names of extents that go by one ("batch"), "" elsewhere
  value_kind kind = value_kind::tensor;
  std::string type;  ///< all that the model says: "float32[n, 3]", "sequence(string)"
};

/// How to load a model.
struct model_options {
  std::string math_mode{};       ///< the model's own fast-math mode; empty: the one in force
  progress_function progress{};  ///< told about the loading
  std::vector<std::pair<std::string, std::string>> settings{};  ///< further options (martlet.h, 12)
  martlet::pool pool{};  ///< whose threads run it; empty: the process's
};

/// A loaded model: immutable, used by any number of threads at once.
class model : public detail::handle<martlet_model, martlet_model_retain, martlet_model_release> {
 public:
  model() noexcept = default;

  /// Takes over a reference that martlet.h gave.
  static model adopt(martlet_model *object) noexcept { return model(object); }

  /// Loads an ONNX file, which must not be changed in place while the model is in use; external
  /// data is looked for beside it. status::not_found when there is none or for an unknown option or
  /// mode; status::io when it cannot be read; status::invalid_model when it is malformed;
  /// status::unsupported when it uses what the library lacks; status::cancelled;
  /// status::invalid_argument for a bad option.
  static result<model> load(const std::string &path, const model_options &options = {}) {
    if (auto wrong = detail::nul_in(path, "model::load: path")) return detail::fail<model>(*wrong);
    return load_with(options, [&](const martlet_model_options *given, martlet_model **made) {
      return martlet_model_load(path.c_str(), given, made);
    });
  }

  /// Loads an ONNX model from the bytes of its file, which are copied (unless the setting
  /// "borrow_memory" says otherwise). Statuses as of load(), and status::unsupported for external
  /// data.
  template <class Range>
  static result<model> load_memory(const Range &bytes, const model_options &options = {}) {
    static_assert(sizeof(*std::data(bytes)) == 1,
                  "a file's bytes: of char, unsigned char, std::byte");
    return load_with(options, [&](const martlet_model_options *given, martlet_model **made) {
      return martlet_model_load_memory(std::data(bytes), std::size(bytes), given, made);
    });
  }

  /// What a run takes, and what it gives, in order.
  result<std::vector<value_info>> inputs() const {
    return ports(martlet_model_input_count, martlet_model_input);
  }
  result<std::vector<value_info>> outputs() const {
    return ports(martlet_model_output_count, martlet_model_output);
  }
  /// Initialisers that are inputs too: runs by name may be given other values for them.
  result<std::vector<value_info>> replaceable() const {
    return ports(martlet_model_replaceable_count, martlet_model_replaceable);
  }

  /// What the file says of itself ("producer", "graph", "opset", ...), and its own entries.
  result<std::vector<std::pair<std::string, std::string>>> metadata() const {
    using entries = std::vector<std::pair<std::string, std::string>>;
    std::size_t count = 0;
    martlet_status status = martlet_model_metadata_count(get(), &count);
    entries found;
    for (std::size_t index = 0; status == MARTLET_OK && index < count; ++index) {
      const char *key = nullptr, *value = nullptr;
      status = martlet_model_metadata(get(), index, &key, &value);
      found.emplace_back(detail::text(key), detail::text(value));
    }
    return detail::give(status, std::move(found));
  }

  /// Bytes that the model takes now.
  result<martlet_memory> memory() const {
    martlet_memory memory = {};
    memory.struct_size = sizeof memory;
    const martlet_status status = martlet_model_memory(get(), &memory);
    return detail::give(status, memory);
  }

  /// Bytes that the results of a run take at once, for inputs of given shapes, in order; none where
  /// that depends on the inputs' elements. status::invalid_argument for a wrong number of shapes,
  /// status::invalid_shape for one that does not fit.
  result<std::optional<std::int64_t>> result_bytes(
    span<const std::vector<std::int64_t>> shapes) const {
    std::vector<const std::int64_t *> given;
    std::vector<std::int32_t> ranks;
    for (const auto &shape : shapes) {
      given.push_back(shape.data());
      ranks.push_back(detail::rank(shape));
    }
    std::int64_t bytes = -1;
    const martlet_status status =
      martlet_model_result_bytes(get(), given.data(), ranks.data(), shapes.size(), &bytes);
    return detail::give(status, bytes < 0 ? std::nullopt : std::optional<std::int64_t>(bytes));
  }

  /// Gives memory that is kept for the next runs back to the system.
  result<void> trim() const { return detail::done(martlet_model_trim(get())); }

  /// Runs the model once: all inputs and all outputs, in its order. Results are tensors of their
  /// own. status::invalid_argument for a wrong number of inputs or an empty one,
  /// status::invalid_shape or status::invalid_dtype, with the names, for one that does not fit;
  /// status::limit_exceeded.
  result<std::vector<tensor>> run(span<const tensor> inputs) const {
    std::size_t count = 0;
    martlet_status status = martlet_model_output_count(get(), &count);
    std::vector<tensor> outputs(count);
    if (status == MARTLET_OK) status = run_slots(inputs, outputs);
    return detail::give(status, std::move(outputs));
  }

  /// Runs the model once, by name: inputs in any order, and the outputs that are named, or
  /// all.
  ///
  ///     auto outputs = model.run({{"image", x}}, {"probabilities"});
  ///     auto scores = outputs["probabilities"].to_vector<float>();
  ///
  /// status::not_found for a name that the model does not have, status::invalid_argument for a
  /// missing or repeated one, and those of the other run().
  result<named_tensors> run(const named_tensors &inputs,
                            span<const std::string> output_names = {}) const;

 private:
  explicit model(martlet_model *object) noexcept : handle(object) {}

  martlet_status run_slots(span<const tensor> inputs, span<tensor> outputs) const {
    detail::slots slots(outputs);
    const auto objects = detail::objects(inputs);
    const martlet_status status =
      martlet_model_run(get(), objects.data(), objects.size(), slots.data(), outputs.size());
    if (status == MARTLET_OK) slots.receive();
    return status;
  }

  template <class Load>
  static result<model> load_with(const model_options &options, const Load &load) {
    std::vector<const char *> keys, values;
    auto wrong = detail::nul_in(options.math_mode, "model_options: math_mode");
    for (const auto &[key, value] : options.settings) {
      if (!wrong) wrong = detail::nul_in(key, "model_options: a setting's name");
      if (!wrong) wrong = detail::nul_in(value, "model_options: a setting's value");
      keys.push_back(key.c_str());
      values.push_back(value.c_str());
    }
    if (wrong) return detail::fail<model>(*wrong);
    detail::progress_call progress{options.progress};
    martlet_model_options given = {};
    given.struct_size = sizeof given;
    given.math_mode = options.math_mode.empty() ? nullptr : options.math_mode.c_str();
    given.progress = options.progress ? detail::progress_call::tell : nullptr;
    given.progress_user = &progress;
    given.keys = keys.data();
    given.values = values.data();
    given.option_count = keys.size();
    given.pool = options.pool.get();
    martlet_model *made = nullptr;
    const martlet_status status = load(&given, &made);
    model loaded(made);
    progress.rethrow();
    return detail::give(status, std::move(loaded));
  }

  using count_function = martlet_status (*)(const martlet_model *, std::size_t *);
  using info_function = martlet_status (*)(const martlet_model *, std::size_t,
                                           const martlet_value_info **);

  // The names of inputs or outputs, as long as the model lasts; none where there are many.
  std::vector<std::string_view> names(count_function count_of, info_function info_at) const {
    std::size_t count = 0;
    if (count_of(get(), &count) != MARTLET_OK || count > 64) count = 0;
    std::vector<std::string_view> names(count);
    for (std::size_t index = 0; index < count; ++index) {
      const martlet_value_info *info = nullptr;
      if (info_at(get(), index, &info) != MARTLET_OK) return {};
      names[index] = info->name;
    }
    return names;
  }

  result<std::vector<value_info>> ports(count_function count_of, info_function info_at) const {
    std::size_t count = 0;
    martlet_status status = count_of(get(), &count);
    std::vector<value_info> infos;
    for (std::size_t index = 0; status == MARTLET_OK && index < count; ++index) {
      const martlet_value_info *from = nullptr;
      status = info_at(get(), index, &from);
      if (status != MARTLET_OK) break;
      value_info info;
      info.name = detail::text(from->name);
      info.dtype = static_cast<martlet::dtype>(from->dtype);
      info.rank = from->rank;
      info.kind = static_cast<value_kind>(from->kind);
      info.type = detail::text(from->type);
      for (std::int32_t axis = 0; axis < from->rank; ++axis) {
        info.shape.push_back(from->shape[axis]);
        info.symbols.push_back(detail::text(from->symbols[axis]));
      }
      infos.push_back(std::move(info));
    }
    return detail::give(status, std::move(infos));
  }
};

// ================================================================================= Values

/// What the inputs and outputs of models are: tensors mostly, and sequences, optionals, maps and
/// states. Immutable; copies stand for the same value.
class value : public detail::handle<martlet_value, martlet_value_retain, martlet_value_release> {
 public:
  /// Empty. optional() without an argument is an optional without a value.
  value() noexcept = default;

  /// Takes over a reference that martlet.h gave.
  static value adopt(martlet_value *object) noexcept { return value(object); }

  /// A tensor as a value; it shares the elements, which must not be written while it is in use.
  static result<value> from(const tensor &tensor) {
    return make(
      [&](martlet_value **made) { return martlet_value_from_tensor(tensor.get(), made); });
  }

  /// A sequence of values of one kind and dtype, of any shapes.
  /// dtype: of the tensors in a sequence of none.
  /// status::invalid_dtype, naming the element, for one that is not as the first;
  /// status::invalid_argument for values nested deeper than 16: so below too.
  static result<value> sequence(span<const value> elements,
                                martlet::dtype dtype = martlet::dtype::unknown) {
    const auto objects = detail::objects(elements);
    return make([&](martlet_value **made) {
      return martlet_value_create_sequence(objects.data(), objects.size(),
                                           static_cast<martlet_dtype>(dtype), made);
    });
  }

  /// An optional: with a value, or, where it is empty, without.
  static result<value> optional(const value &element = {}) {
    return make(
      [&](martlet_value **made) { return martlet_value_create_optional(element.get(), made); });
  }

  /// A map. keys: a vector of int64 or string.  values: one for each key.
  /// status::invalid_dtype or status::invalid_shape for other keys.
  static result<value> map(const tensor &keys, span<const value> values) {
    const auto objects = detail::objects(values);
    return make([&](martlet_value **made) {
      return martlet_value_create_map(keys.get(), objects.data(), objects.size(), made);
    });
  }

  /// A state: a tensor that operators append to in place, see martlet_value_create_state().
  /// initial: its first elements, which are copied.  axis: the one that grows, 0...rank-1.
  /// capacity: the extent along it that there is room for.
  static result<value> state(const tensor &initial, std::int32_t axis, std::int64_t capacity) {
    return make([&](martlet_value **made) {
      return martlet_value_create_state(initial.get(), axis, capacity, made);
    });
  }

  result<value_kind> kind() const {
    martlet_value_kind kind = 0;
    const martlet_status status = martlet_value_kind_of(get(), &kind);
    return detail::give(status, static_cast<value_kind>(kind));
  }

  /// How many values there are in it: elements of a sequence, values of a map, 1 or 0 in an
  /// optional, 0 in a tensor or state.
  result<std::size_t> size() const {
    std::size_t count = 0;
    const martlet_status status = martlet_value_count(get(), &count);
    return detail::give(status, count);
  }

  /// One of the values in it. status::invalid_argument when out of range.
  result<value> at(std::size_t index) const {
    return make([&](martlet_value **made) { return martlet_value_element(get(), index, made); });
  }

  /// The keys of a map, one for each of its values. status::invalid_argument for another kind.
  result<martlet::tensor> keys() const {
    return detail::make([&](martlet_tensor **keys) { return martlet_value_keys(get(), keys); });
  }

  /// The tensor that it is; of a state its elements, read-only and strided, which a run may write
  /// over. status::invalid_argument for another kind, status::invalid_state for a state that is
  /// used up.
  result<martlet::tensor> tensor() const {
    return detail::make(
      [&](martlet_tensor **tensor) { return martlet_value_tensor(get(), tensor); });
  }

 private:
  explicit value(martlet_value *object) noexcept : handle(object) {}

  template <class Make>
  static result<value> make(const Make &make) {
    martlet_value *made = nullptr;
    const martlet_status status = make(&made);
    return detail::give(status, value(made));
  }
};

// =========================================================================== Run contexts

/// What one node did in the last run; see martlet_node_info.
struct node_info {
  std::string node, operator_name;
  std::string precision, kernel, backend;  ///< of its products; empty where it has none
  std::string reason;                      ///< why not the mode's own precision; empty when it is
  std::int64_t nanoseconds = 0;  ///< mean time over the runs since profiling was turned on, or 0
};

/// Bytes of a context's results and scratch.
struct context_memory {
  std::int64_t live_bytes = 0;  ///< in tensors that exist now
  std::int64_t kept_bytes = 0;  ///< kept for the next run
  std::int64_t peak_bytes = 0;  ///< the most that was ever live
};

/// The state of one run at a time: memory that is used again, and what is known of the last run.
/// One thread at a time: another that comes between gets status::invalid_state. It can be moved
/// only.
class context {
 public:
  /// Empty.
  context() noexcept = default;

  /// Makes a context for a model, which it keeps alive.
  static result<context> make(const model &model) {
    martlet_context *made = nullptr;
    const martlet_status status = martlet_context_create(model.get(), &made);
    return detail::give(status, context(made, model));
  }

  context(context &&) noexcept = default;
  context &operator=(context &&other) noexcept {
    context taken(std::move(other));
    std::swap(object_, taken.object_);
    std::swap(model_, taken.model_);
    std::swap(progress_, taken.progress_);
    return *this;
  }
  ~context() {
    // Whoever else has a reference is told nothing any more.
    if (progress_) martlet_context_set_progress(get(), nullptr, nullptr);
  }

  explicit operator bool() const noexcept { return static_cast<bool>(object_); }
  /// The handle for calls of martlet.h, which this one goes on owning.
  martlet_context *get() const noexcept { return object_.get(); }

  /// Runs the model once: as model::run(), and status::cancelled where the progress function says
  /// so.
  result<std::vector<tensor>> run(span<const tensor> inputs) {
    const told_function told(progress_);
    std::vector<tensor> outputs;
    martlet_status status = make_slots(outputs);
    if (status == MARTLET_OK) status = fill_slots(inputs, outputs);
    told.rethrow();
    return detail::give(status, std::move(outputs));
  }

  /// Runs the model once, into the first outputs.size() outputs: where one is empty it becomes a
  /// new tensor, the others are written, and have the result's dtype and shape (martlet.h, "Result
  /// slots").
  ///
  ///     std::vector<float> scores(10);
  ///     martlet::tensor out = martlet::tensor::wrap(scores, {1, 10});
  ///     context.run_into({x}, {&out, 1});
  ///
  /// On failure none has changed, but perhaps in its elements.
  result<void> run_into(span<const tensor> inputs, span<tensor> outputs) {
    const told_function told(progress_);
    const martlet_status status = fill_slots(inputs, outputs);
    told.rethrow();
    return detail::done(status);
  }

  /// Runs the model once, by name: as model::run(), without the cost of making a context.
  result<named_tensors> run(const named_tensors &inputs,
                            span<const std::string> output_names = {}) {
    const told_function told(progress_);
    std::vector<std::string> names(output_names.begin(), output_names.end());
    std::vector<const char *> in_names, out_names;
    std::vector<martlet_tensor *> objects;
    std::optional<error> wrong;
    for (const auto &[name, tensor] : inputs) {
      if (!wrong) wrong = detail::nul_in(name, "run: an input's name");
      in_names.push_back(name.c_str());
      objects.push_back(tensor.get());
    }
    for (const std::string &name : names) {
      if (!wrong) wrong = detail::nul_in(name, "run: an output's name");
      out_names.push_back(name.c_str());
    }
    if (wrong) return detail::fail<named_tensors>(*wrong);
    std::vector<tensor> outputs(names.size());
    martlet_status status = MARTLET_OK;
    if (names.empty()) status = make_slots(outputs);
    detail::slots slots(outputs);
    if (status == MARTLET_OK)
      status = martlet_context_run_named(get(), in_names.data(), objects.data(), objects.size(),
                                         names.empty() ? nullptr : out_names.data(), slots.data(),
                                         outputs.size());
    told.rethrow();
    if (status == MARTLET_OK) slots.receive();
    named_tensors named;
    for (std::size_t index = 0; status == MARTLET_OK && index < outputs.size(); ++index) {
      const martlet_value_info *info = nullptr;
      if (names.empty()) status = martlet_model_output(model_.get(), index, &info);
      named.add(info ? detail::text(info->name) : std::move(names[index]),
                std::move(outputs[index]));
    }
    return detail::give(status, std::move(named));
  }

  /// As run(), with values of any kind. status::invalid_argument, besides, for an input of another
  /// kind than the model's, naming it.
  result<std::vector<value>> run_values(span<const value> inputs) {
    const told_function told(progress_);
    std::size_t count = 0;
    martlet_status status = martlet_model_output_count(model_.get(), &count);
    std::vector<value> outputs(count);
    std::vector<martlet_value *> slots(count);
    const auto objects = detail::objects(inputs);
    if (status == MARTLET_OK)
      status =
        martlet_context_run_values(get(), objects.data(), objects.size(), slots.data(), count);
    for (std::size_t index = 0; status == MARTLET_OK && index < count; ++index)
      outputs[index] = value::adopt(slots[index]);
    told.rethrow();
    return detail::give(status, std::move(outputs));
  }

  /// Sets who is told about runs, twice a millisecond at most, and may cancel them between two
  /// nodes and between two iterations of a loop; an empty function: nobody.
  result<void> set_progress(progress_function progress) {
    auto call = progress ? std::make_shared<detail::progress_call>() : nullptr;
    if (call) call->function = std::move(progress);
    const martlet_status status =
      martlet_context_set_progress(get(), call ? detail::progress_call::tell : nullptr, call.get());
    if (status == MARTLET_OK) progress_ = std::move(call);
    return detail::done(status);
  }

  /// Sets an option of the runs from the next one on: "winograd", "max_loop_iterations",
  /// "max_memory_bytes", "max_milliseconds", "flush_denormals" (martlet.h, 12). status::not_found
  /// for another name, status::invalid_argument for a bad value.
  result<void> set_option(const std::string &name, const std::string &value) {
    if (auto wrong = detail::nul_in(name, "set_option: name")) return detail::fail<void>(*wrong);
    if (auto wrong = detail::nul_in(value, "set_option: value")) return detail::fail<void>(*wrong);
    return detail::done(martlet_context_set_option(get(), name.c_str(), value.c_str()));
  }

  /// Sets whose threads run it from the next run on; an empty pool: the process's.
  result<void> set_pool(const pool &pool) {
    return detail::done(martlet_context_set_pool(get(), pool.get()));
  }

  /// Turns the measuring of nodes on (anew) or off, for runs from now on.
  result<void> set_profiling(bool is_enabled) {
    return detail::done(martlet_context_set_profiling(get(), is_enabled));
  }

  /// What the nodes of the last successful run did, in the order of running; none before the first.
  result<std::vector<node_info>> nodes() const {
    std::size_t count = 0;
    martlet_status status = martlet_context_node_count(get(), &count);
    std::vector<node_info> rows;
    for (std::size_t index = 0; status == MARTLET_OK && index < count; ++index) {
      const martlet_node_info *row = nullptr;
      status = martlet_context_node(get(), index, &row);
      if (status != MARTLET_OK) break;
      rows.push_back({detail::text(row->node), detail::text(row->operator_name),
                      detail::text(row->precision), detail::text(row->kernel),
                      detail::text(row->backend), detail::text(row->reason), row->nanoseconds});
    }
    return detail::give(status, std::move(rows));
  }

  /// What each node with matrix products of the last successful run ran as, and why, for people.
  /// status::invalid_state before the first.
  result<std::string> precision_report() const {
    const char *text = nullptr;
    const martlet_status status = martlet_context_precision_report(get(), &text);
    return detail::give(status, detail::text(text));
  }

  /// Mean times by operator, then by node, for people. status::invalid_state unless a run has
  /// succeeded with profiling on.
  result<std::string> profile() const {
    const char *text = nullptr;
    const martlet_status status = martlet_context_profile(get(), &text);
    return detail::give(status, detail::text(text));
  }

  result<context_memory> memory() const {
    context_memory found;
    const martlet_status status =
      martlet_context_memory(get(), &found.live_bytes, &found.kept_bytes, &found.peak_bytes);
    return detail::give(status, found);
  }

  /// Gives the memory that is kept for the next run back to the system.
  result<void> trim() { return detail::done(martlet_context_trim(get())); }

 private:
  class reference
      : public detail::handle<martlet_context, martlet_context_retain, martlet_context_release> {
   public:
    reference() noexcept = default;
    explicit reference(martlet_context *object) noexcept : handle(object) {}
  };

  context(martlet_context *made, const model &model) noexcept : object_(made), model_(model) {}

  // As many empty tensors as the model has outputs.
  martlet_status make_slots(std::vector<tensor> &outputs) const {
    std::size_t count = 0;
    const martlet_status status = martlet_model_output_count(model_.get(), &count);
    outputs.resize(count);
    return status;
  }

  martlet_status fill_slots(span<const tensor> inputs, span<tensor> outputs) {
    detail::slots slots(outputs);
    const auto objects = detail::objects(inputs);
    const martlet_status status =
      martlet_context_run(get(), objects.data(), objects.size(), slots.data(), outputs.size());
    if (status == MARTLET_OK) slots.receive();
    return status;
  }

  // The progress function of a run, which may set another one and then lasts until the run ends.
  class told_function {
   public:
    explicit told_function(std::shared_ptr<detail::progress_call> call) noexcept
        : call_(std::move(call)) {}
    // After the call: throws what the function has thrown.
    void rethrow() const {
      if (call_) call_->rethrow();
    }

   private:
    std::shared_ptr<detail::progress_call> call_;
  };

  reference object_;
  model model_;
  std::shared_ptr<detail::progress_call> progress_;
};

inline result<named_tensors> model::run(const named_tensors &inputs,
                                        span<const std::string> output_names) const {
  // All inputs, and outputs as the model has them first: these need no context to be made, which is
  // slower. It is what knows other names, and says what is wrong with them.
  const auto in = names(martlet_model_input_count, martlet_model_input);
  auto out = names(martlet_model_output_count, martlet_model_output);
  std::vector<tensor> ordered(in.size());
  std::size_t given = 0;
  for (const auto &[name, tensor] : inputs) {
    const std::size_t place =
      static_cast<std::size_t>(std::find(in.begin(), in.end(), name) - in.begin());
    if (place == in.size() || ordered[place].get() != nullptr) break;
    ordered[place] = tensor;
    ++given;
  }
  const bool is_usual = given == in.size() && given == inputs.size() && !in.empty() &&
                        output_names.size() <= out.size() && !out.empty() &&
                        std::equal(output_names.begin(), output_names.end(), out.begin());
  if (!is_usual) {
    auto made = context::make(*this);
#ifdef MARTLET_NO_EXCEPTIONS
    if (!made) return made.error();
    return made->run(inputs, output_names);
#else
    return made.run(inputs, output_names);
#endif
  }
  if (!output_names.empty()) out.resize(output_names.size());
  std::vector<tensor> outputs(out.size());
  const martlet_status status = run_slots(ordered, outputs);
  named_tensors named;
  for (std::size_t index = 0; status == MARTLET_OK && index < out.size(); ++index)
    named.add(std::string(out[index]), std::move(outputs[index]));
  return detail::give(status, std::move(named));
}

}  // inline namespace

}  // namespace martlet

#if __cplusplus >= 202002L
template <class T>
inline constexpr bool std::ranges::enable_borrowed_range<martlet::span<T>> = true;
#endif

#endif
