import MartletCore
import MartletGraph
import MartletOperators

/// Common steps of operators that become several nodes.
extension ONNXConverter {
  /// The dtype of `value`, as far as it is known.
  func dtype(of value: ValueID?) -> DType? { type(of: value).dtype }

  /// A node that makes output `index` of `node`, named as in the file; none where nobody wants it.
  mutating func emit(
    _ op: OperatorID, _ inputs: [ValueID?], _ attributes: [String: AttributeValue] = [:],
    output index: Int, for node: ImportedNode
  ) throws(MartletError) {
    guard node.isWanted(index) else { return }
    var single = node
    single.outputs = [node.outputs[index]]
    try emit(op, inputs, attributes, for: single)
  }

  mutating func cast(
    _ value: ValueID, to dtype: DType, for node: ImportedNode
  ) throws(MartletError) -> ValueID {
    guard self.dtype(of: value) != dtype else { return value }
    return try emitInner("Cast", [value], ["to": .int(Int(dtype.rawValue))], for: node)
  }

  /// `value` as float32 where its floats have 16 bits, so that several nodes round once in all.
  mutating func widened(_ value: ValueID, for node: ImportedNode) throws(MartletError) -> ValueID {
    guard let dtype = dtype(of: value), dtype == .float16 || dtype == .bfloat16 else {
      return value
    }
    return try cast(value, to: .float32, for: node)
  }

  /// `value`, which comes from widened ones, in the dtype of `original` as output `index`.
  mutating func emitNarrowed(
    _ value: ValueID, like original: ValueID, output index: Int, for node: ImportedNode
  ) throws(MartletError) {
    guard node.isWanted(index) else { return }
    if let dtype = dtype(of: original), dtype == .float16 || dtype == .bfloat16 {
      try emit("Cast", [value], ["to": .int(Int(dtype.rawValue))], output: index, for: node)
    } else {
      bind(node, output: index, to: value)
    }
  }

  /// A scalar of the dtype of `other`.
  mutating func scalar(
    _ value: Float, like other: ValueID, for node: ImportedNode
  ) throws(MartletError) -> ValueID {
    let number = try constant([value], shape: [], for: node)
    guard dtype(of: other) != .float32 else { return number }
    return try emitInner("CastLike", [number, other], for: node)
  }

  /// `value` itself where `factor` is 1, else their product.
  mutating func scaled(
    _ value: ValueID, by factor: Float, for node: ImportedNode
  ) throws(MartletError) -> ValueID {
    guard factor != 1 else { return value }
    let factor = try scalar(factor, like: value, for: node)
    return try emitInner("Mul", [value, factor], for: node)
  }

  /// A scalar 0 of an integer dtype.
  mutating func zero(_ dtype: DType, for node: ImportedNode) throws(MartletError) -> ValueID {
    let tensor = try Tensor(uninitialized: dtype, [])
    tensor.pointer.initializeMemory(as: UInt8.self, repeating: 0, count: tensor.byteCount)
    return constant(tensor, for: node)
  }

  /// The sum of `value` and the terms that there are.
  mutating func adding(
    _ terms: [ValueID?], to value: ValueID, for node: ImportedNode
  ) throws(MartletError) -> ValueID {
    var sum = value
    for case let term? in terms { sum = try emitInner("Add", [sum, term], for: node) }
    return sum
  }

  /// Extents `start` to `end` of `value`, a vector.
  mutating func shape(
    _ value: ValueID, from start: Int = 0, to end: Int? = nil, for node: ImportedNode
  ) throws(MartletError) -> ValueID {
    var attributes: [String: AttributeValue] = ["start": .int(start)]
    attributes["end"] = end.map { .int($0) }
    return try emitInner("Shape", [value], attributes, for: node)
  }

  /// The single element of the vector `value` as a scalar.
  mutating func element(_ value: ValueID, for node: ImportedNode) throws(MartletError) -> ValueID {
    let scalar = try constant([Int](), for: node)
    return try emitInner("Reshape", [value, scalar], for: node)
  }

  /// 0, 1, ... below the scalar `count`, int64.
  mutating func range(_ count: ValueID, for node: ImportedNode) throws(MartletError) -> ValueID {
    let numbers = try (0...1).map { number throws(MartletError) in
      let tensor = try Tensor(uninitialized: .int64, [])
      tensor.typed(Int64.self)[0] = Int64(number)
      return constant(tensor, for: node)
    }
    return try emitInner("Range", [numbers[0], count, numbers[1]], for: node)
  }

  /// `value` with unit axes at `axes` of the result.
  mutating func unsqueezed(
    _ value: ValueID, _ axes: [Int], for node: ImportedNode
  ) throws(MartletError) -> ValueID {
    try emitInner("Unsqueeze", [value, try constant(axes, for: node)], for: node)
  }

  mutating func transposed(
    _ value: ValueID, _ permutation: [Int], for node: ImportedNode
  ) throws(MartletError) -> ValueID {
    try emitInner("Transpose", [value], ["perm": .ints(permutation)], for: node)
  }

  /// The rank of `value`, which must be known; `name` is what the operator calls it.
  func knownRank(
    of value: ValueID, _ name: String, for node: ImportedNode
  ) throws(MartletError) -> Int {
    guard let rank = rank(of: value) else {
      throw node.error(.unsupported, "input '\(name)' must be of known rank", input: name)
    }
    return rank
  }
}
