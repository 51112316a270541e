import CMartlet
import MartletCore

/// What a `martlet_value` handle stands for.
final class ValueObject: HandleObject, Sendable {
  static let kind = HandleKind.value

  let value: Value

  init(_ value: Value) { self.value = value }
}

extension HandleTable {
  /// The value of a handle.
  func value(_ handle: OpaquePointer?, _ parameter: String) throws(MartletError) -> Value {
    try resolve(handle, parameter, as: ValueObject.self).value
  }

  /// The values of `count` handles, none of which may be NULL.
  func values(
    _ handles: UnsafePointer<OpaquePointer?>?, _ count: Int, _ parameter: String
  ) throws(MartletError) -> [Value] {
    var values: [Value] = []
    for (index, handle) in try array(handles, count, parameter).enumerated() {
      values.append(try value(handle, "\(parameter)[\(index)]"))
    }
    return values
  }
}

extension Value {
  /// Throws `invalidArgument` where it is nested deeper, or of more tensors, than what walks it bears.
  func checkExtent() throws(MartletError) {
    guard depth <= Value.maximumDepth else {
      throw MartletError(
        .invalidArgument, "the value is nested deeper than \(Value.maximumDepth)",
        expected: "at most \(Value.maximumDepth) levels", actual: "\(depth)")
    }
    guard tensorCount <= Value.maximumTensorCount else {
      throw MartletError(
        .invalidArgument, "the value stands for \(tensorCount) tensors",
        expected: "at most \(Value.maximumTensorCount)", actual: "\(tensorCount)")
    }
  }
}
