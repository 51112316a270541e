import CMartlet
import Glibc
import MartletCore
import MartletPlatform

/// The one place where errors become statuses: runs `body`, keeps what it throws as the thread's
/// last error and returns its code. All of it is done in the library's floating-point environment.
///
/// A message that does not speak of an operator or node begins with the C function's name.
func boundary(
  _ function: StaticString = #function, _ body: () throws(MartletError) -> Void
) -> martlet_status {
  let environment = mp_environment_enter()
  defer { mp_environment_leave(environment) }
  if MemoryReserve.isSpent, !givesBack(function) { return LastError.recordOutOfMemory() }
  do throws(MartletError) {
    try body()
    return MartletStatus.ok
  } catch {
    var described = error
    if error.operatorName == nil, error.node == nil {
      described.message = "\(baseName(function)): \(error.message)"
    } else {
      described.message = error.description
    }
    described.message += described.unsaid
    LastError.record(described)
    return error.code.rawValue
  }
}

/// As `boundary`, for a function that has no status: what `body` gives, in the library's floating-point
/// environment.
func infallible<Result>(_ body: () -> Result) -> Result { FloatingPointEnvironment.own(body) }

/// A `boundary` that gives what `value` makes of the object behind `handle` out through `result`, where
/// `nothing` stands on failure. Throws `invalidHandle`, and `invalidArgument` for a result that is NULL.
func answer<Object: HandleObject, Value>(
  _ handle: OpaquePointer?, _ parameter: String, through result: UnsafeMutablePointer<Value>?,
  _ resultName: String, or nothing: Value, function: StaticString = #function,
  _ value: (Object) throws(MartletError) -> Value
) -> martlet_status {
  result?.pointee = nothing
  return boundary(function) { () throws(MartletError) in
    let object = try HandleTable.shared.resolve(handle, parameter, as: Object.self)
    try required(result, resultName).pointee = try value(object)
  }
}

extension MartletError {
  /// What the fields say and the message does not, in parentheses; else empty.
  fileprivate var unsaid: String {
    let fields = [
      (operatorName, "operator "), (input, "input "), (expected, "expected "), (actual, "got "),
    ]
    var parts: [String] = []
    for case (let field?, let label) in fields where !message.holds(field) {
      parts.append(label + field)
    }
    return parts.isEmpty ? "" : " (" + parts.joined(separator: ", ") + ")"
  }
}

extension String {
  /// Whether `other` occurs in this text, byte by byte.
  fileprivate func holds(_ other: String) -> Bool {
    if other.isEmpty { return true }
    guard other.utf8.count <= utf8.count else { return false }
    let search = ByteSearch(Array(other.utf8))
    return Array(utf8).withUnsafeBufferPointer { search.first(in: $0, from: 0) } != nil
  }
}

enum MartletStatus {
  static let ok: martlet_status = 0
}

/// Whether the C function only gives back what the caller has: that goes on where memory has run out.
private func givesBack(_ function: StaticString) -> Bool {
  function.withUTF8Buffer { name in
    ["_release(_:)", "_trim(_:)", "_trim()", "_pop()"].contains { (ending: StaticString) in
      ending.withUTF8Buffer { name.count >= $0.count && name.suffix($0.count).elementsEqual($0) }
    }
  }
}

/// `martlet_x` of `martlet_x(_:_:)`.
private func baseName(_ function: StaticString) -> String {
  String("\(function)".prefix { $0 != "(" })
}

// MARK: - Arguments

/// Throws `invalidArgument` for NULL.
func required<Pointer>(_ pointer: Pointer?, _ parameter: String) throws(MartletError) -> Pointer {
  guard let pointer else {
    throw MartletError(
      .invalidArgument, "\(parameter) is NULL", input: parameter, expected: "a valid pointer",
      actual: "NULL")
  }
  return pointer
}

/// The string at `pointer`; throws `invalidArgument` for NULL and for what is not UTF-8.
func text(_ pointer: UnsafePointer<CChar>?, _ parameter: String) throws(MartletError) -> String {
  let pointer = try required(pointer, parameter)
  let length = strlen(pointer)
  if length >= 1 << 20 { try MemoryReserve.checkRoom(4 * length) }
  let bytes = UnsafeRawBufferPointer(start: pointer, count: length)
  guard let text = String(validating: bytes, as: UTF8.self) else {
    throw MartletError(
      .invalidArgument, "\(parameter) is not UTF-8: '\(String(cString: pointer))'",
      input: parameter, expected: "UTF-8", actual: "other bytes")
  }
  return text
}

/// The `count` values at `pointer`, which may be NULL when there are none; throws
/// `invalidArgument` for NULL and for a count that no memory could hold.
func array<Element>(
  _ pointer: UnsafePointer<Element>?, _ count: Int, _ parameter: String
) throws(MartletError) -> UnsafeBufferPointer<Element> {
  guard count >= 0, count <= Int.max / max(MemoryLayout<Element>.stride, 1) else {
    throw MartletError(
      .invalidArgument, "the number of \(parameter) is out of range", input: parameter,
      actual: "\(UInt(bitPattern: count))")
  }
  if count == 0 { return UnsafeBufferPointer(start: nil, count: 0) }
  // What is made of each takes no more.
  if count >= 4096 {
    let (bytes, overflow) = count.multipliedReportingOverflow(by: 64)
    try MemoryReserve.checkRoom(overflow ? .max : bytes)
  }
  return UnsafeBufferPointer(start: try required(pointer, parameter), count: count)
}

/// A size_t as an Int; throws `invalidArgument` when it is past what can be addressed.
func size(_ value: Int, _ parameter: String) throws(MartletError) -> Int {
  guard value >= 0 else {
    throw MartletError(
      .invalidArgument, "\(parameter) is out of range", input: parameter,
      actual: "\(UInt(bitPattern: value))")
  }
  return value
}

/// A dtype whose elements lie in memory as they are: not string.
func dtype(_ value: martlet_dtype, _ parameter: String = "dtype") throws(MartletError) -> DType {
  let dtype = try anyDType(value, parameter)
  guard dtype != .string else {
    throw MartletError(
      .invalidDType, "\(parameter) is string, of which tensors are made string by string",
      input: parameter, expected: "a dtype of numbers", actual: "string")
  }
  return dtype
}

func anyDType(
  _ value: martlet_dtype, _ parameter: String = "dtype"
) throws(MartletError) -> DType {
  guard let dtype = DType(rawValue: value) else {
    throw MartletError(
      .invalidDType, "\(parameter) is \(value), which is no dtype", input: parameter,
      expected: "a martlet_dtype", actual: "\(value)")
  }
  return dtype
}

func mathMode(_ value: martlet_math_mode) throws(MartletError) -> MathMode {
  guard let mode = MathMode(rawValue: value) else {
    throw MartletError(
      .invalidArgument, "mode is \(value), which is no fast-math mode", input: "mode",
      expected: "a martlet_math_mode", actual: "\(value)")
  }
  return mode
}

/// The mode of a call: MARTLET_MATH_DEFAULT is no argument.
func effectiveMode(_ value: martlet_math_mode) throws(MartletError) -> MathMode {
  if value == -1 { return MathMode.effective() }
  return MathMode.effective(argument: try mathMode(value))
}

/// `rank` extents or strides; NULL is fine when the rank is 0.
func extents(
  _ pointer: UnsafePointer<Int64>?, _ rank: Int32, _ parameter: String
) throws(MartletError) -> [Int] {
  guard rank >= 0, rank <= Shape.maximumRank else {
    throw MartletError(
      .invalidShape, "rank is \(rank), expected 0...\(Shape.maximumRank)", input: "rank",
      expected: "0...\(Shape.maximumRank)", actual: "\(rank)")
  }
  return try array(pointer, Int(rank), parameter).map { Int($0) }
}

/// The `count` strings at `pointer`; throws `invalidArgument` for NULL, the array or a string.
func texts(_ pointer: UnsafePointer<UnsafePointer<CChar>?>?, _ count: Int, _ parameter: String)
  throws(MartletError) -> [String]
{
  var result: [String] = []
  for (index, string) in try array(pointer, count, parameter).enumerated() {
    result.append(try text(string, "\(parameter)[\(index)]"))
  }
  return result
}
