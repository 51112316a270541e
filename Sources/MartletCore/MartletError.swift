/// Why a call failed: a code, a sentence, and the place in the model it speaks of.
///
/// The message states the operator, what was expected and what was got, for example
/// `matmul: lhs has K=64, rhs has K=32`.
public struct MartletError: Error, Sendable, CustomStringConvertible {
  /// The kinds of failure. Raw values are those of `martlet_status` and never change.
  public enum Code: Int32, Sendable, CaseIterable {
    /// An argument is null, out of range or contradicts another.
    case invalidArgument = 1
    /// A shape, stride or size does not fit the operation, or overflows.
    case invalidShape = 2
    /// A data type that the operation does not take.
    case invalidDType = 3
    /// A name (operator, input, output, option, mode, file) that does not exist.
    case notFound = 4
    /// A file could not be read or written.
    case io = 5
    /// A model file is malformed: truncated, inconsistent or cyclic.
    case invalidModel = 6
    /// Valid, but not supported by this build.
    case unsupported = 7
    /// Memory could not be allocated.
    case outOfMemory = 8
    /// The caller's progress callback asked to stop.
    case cancelled = 9
    /// A handle of another kind, or one already released.
    case invalidHandle = 10
    /// The call is not allowed in this state.
    case invalidState = 11
    /// A fault of Martlet itself; please report it.
    case internalError = 12
    /// A run met a limit that its options set.
    case limitExceeded = 13
  }

  public var code: Code
  public var message: String
  /// The name of the node in the model, if one is to blame.
  public var node: String?
  /// The operator's name.
  public var operatorName: String?
  /// The name of the input or attribute.
  public var input: String?
  public var expected: String?
  public var actual: String?

  public init(
    _ code: Code, _ message: String, node: String? = nil, operatorName: String? = nil,
    input: String? = nil, expected: String? = nil, actual: String? = nil
  ) {
    self.code = code
    self.message = message
    self.node = node
    self.operatorName = operatorName
    self.input = input
    self.expected = expected
    self.actual = actual
  }

  /// A shape error of `operatorName`, worded "op: what: expected …, got …".
  package static func shape(
    _ operatorName: String, _ what: String, expected: String, actual: String, input: String? = nil
  ) -> MartletError {
    MartletError(
      .invalidShape, "\(operatorName): \(what): expected \(expected), got \(actual)",
      operatorName: operatorName, input: input, expected: expected, actual: actual)
  }

  /// A data-type error of `operatorName`.
  package static func dtype(
    _ operatorName: String, _ input: String, expected: String, actual: DType
  ) -> MartletError {
    MartletError(
      .invalidDType, "\(operatorName): \(input) has dtype \(actual), expected \(expected)",
      operatorName: operatorName, input: input, expected: expected, actual: "\(actual)")
  }

  public var description: String {
    if let node, !message.hasPrefix("node '\(node)'") { return "node '\(node)': \(message)" }
    return message
  }
}
