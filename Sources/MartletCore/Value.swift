/// What slots, operators and handles carry.
package enum Value: Sendable {
  case tensor(Tensor)
  /// Values of one kind, in order.
  case sequence(ValueSequence)
  /// A value that may be missing: nil where it is.
  indirect case optional(Value?)
  /// Values by keys.
  case map(ValueMap)
  /// A tensor that grows in place; operators that do not know of it read it as a tensor.
  case state(State)

  /// Types and values nested deeper than this are refused, so that what walks them needs a bounded
  /// stack.
  package static let maximumDepth = 16
  /// Values of more tensors than this are refused where a caller makes them: parts may be shared, so
  /// that a few of them nested stand for more than can be walked.
  package static let maximumTensorCount = 1 << 22

  /// Levels of nesting; 1 for a tensor.
  package var depth: Int {
    switch self {
    case .tensor, .state, .optional(nil): 1
    case .optional(let value?): 1 + value.depth
    case .sequence(let sequence): sequence.depth
    case .map(let map): map.depth
    }
  }

  /// Tensors in it, those that stand in it twice counted twice.
  package var tensorCount: Int {
    switch self {
    case .tensor, .state: 1
    case .optional(let value): value?.tensorCount ?? 0
    case .sequence(let sequence): sequence.tensorCount
    case .map(let map): map.tensorCount
    }
  }

  /// The tensor, where it is one or can be read as one.
  package var tensor: Tensor? {
    switch self {
    case .tensor(let tensor): tensor
    case .state(let state): state.tensor
    default: nil
    }
  }

  /// Whether it is a tensor of anything but strings, as most are.
  @inlinable package var isNumbers: Bool {
    if case .tensor(let tensor) = self { tensor.dtype != .string } else { false }
  }

  /// What it is, for messages: `float32[2, 3]`, `a sequence of 3`, `an empty optional`.
  package var summary: String {
    switch self {
    case .tensor(let tensor): "\(tensor.dtype)\(Shape.text(tensor.shape))"
    case .sequence(let sequence): "a sequence of \(sequence.elements.count)"
    case .optional(nil): "an empty optional"
    case .optional(let value?): "an optional of \(value.summary)"
    case .map(let map): "a map of \(map.values.count)"
    case .state(let state): "a state \(state.tensor.dtype)\(Shape.text(state.tensor.shape))"
    }
  }
}

extension Value {
  /// Levels and tensors of what holds these parts.
  static func extent(of parts: [Value]) -> (depth: Int, tensorCount: Int) {
    var (depth, count) = (0, 0)
    for part in parts {
      depth = max(depth, part.depth)
      let (sum, overflow) = count.addingReportingOverflow(part.tensorCount)
      count = overflow ? .max : sum
    }
    return (depth + 1, count)
  }

  /// Whether any tensor in it lies where another run may write over it; asked again and again of a
  /// sequence that is handed on, its elements are looked at once.
  package var liesInArena: Bool {
    switch self {
    case .tensor(let tensor): tensor.storage.isArena
    case .sequence(let sequence): sequence.liesInArena
    case .optional(let value): value?.liesInArena ?? false
    case .map(let map): map.keys.storage.isArena || map.values.contains { $0.liesInArena }
    case .state: false
    }
  }

  /// Whether any tensor in it satisfies `predicate`.
  package func contains(_ predicate: (Tensor) -> Bool) -> Bool {
    switch self {
    case .tensor(let tensor): predicate(tensor)
    case .sequence(let sequence): sequence.elements.contains { $0.contains(predicate) }
    case .optional(let value): value?.contains(predicate) ?? false
    case .map(let map): map.values.contains { $0.contains(predicate) }
    case .state(let state): predicate(state.tensor)
    }
  }

  /// Calls `body` with each tensor in it.
  package func forEachTensor(_ body: (Tensor) -> Void) {
    _ = contains { tensor in
      body(tensor)
      return false
    }
  }

  /// The same value with each tensor in it replaced; a state stays as it is.
  package func mapTensors(
    _ replacement: (Tensor) throws(MartletError) -> Tensor
  ) throws(MartletError) -> Value {
    switch self {
    case .tensor(let tensor): return .tensor(try replacement(tensor))
    case .sequence(let sequence):
      var elements: [Value] = []
      elements.reserveCapacity(sequence.elements.count)
      for element in sequence.elements { elements.append(try element.mapTensors(replacement)) }
      return .sequence(try ValueSequence(elements, dtype: sequence.dtype, sequence.claim))
    case .optional(let value):
      guard let value else { return self }
      return .optional(try value.mapTensors(replacement))
    case .map(let map):
      var values: [Value] = []
      values.reserveCapacity(map.values.count)
      for value in map.values { values.append(try value.mapTensors(replacement)) }
      return .map(ValueMap(keys: try replacement(map.keys), values: values))
    case .state: return self
    }
  }
}

/// Values by keys that are int64 or string: immutable, shared by the values that hold it.
package final class ValueMap: Sendable {
  /// A vector with a key for each value, in no order that means anything.
  package let keys: Tensor
  package let values: [Value]
  fileprivate let depth: Int
  fileprivate let tensorCount: Int

  package init(keys: Tensor, values: [Value]) {
    self.keys = keys
    self.values = values
    (depth, tensorCount) = Value.extent(of: values)
  }
}
