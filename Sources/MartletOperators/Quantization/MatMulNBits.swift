import MartletBackends
import MartletCore

/// Y = A @ W^T + bias, the weight W [N, K] of integers of 2, 4 or 8 bits in blocks along K:
/// W[n, k] = (B[n, k] - zero_points[n, block]) * scales[n, block].
///
/// A [..., K]; B uint8 [N, blocks, block_size · bits / 8], packed from the lowest bits of a byte up;
/// scales [N, blocks]; zero_points packed as B with rows of whole bytes, or of A's type [N, blocks],
/// 2^(bits-1) where absent; g_idx [K] names the block of each k; bias [N]. An empty B stands for zeros.
///
/// B stays as it is: some rows of W at a time are expanded to float32, which the product reads. So the
/// result is that of a float32 product, whatever `accuracy_level` permits. Complexity: 2·M·N·K
/// floating-point operations; workspace for up to 2 MiB of W, or one row.
/// Source: com.microsoft MatMulNBits of ONNX Runtime 1.32.
package struct MatMulNBits: Operator {
  package static let schema = OperatorSchema(
    name: "MatMulNBits", domain: OperatorID.microsoftDomain,
    inputs: ["A", "B", "scales", "zero_points", "g_idx", "bias"], requiredInputs: 3,
    outputs: ["Y"],
    attributes: [
      "K": "The extent that the product sums over.", "N": "Rows of W.",
      "accuracy_level": "The least precision of the product; it is float32's (0).",
      "bits": "Bits of an element: 2, 4 or 8 (4).",
      "block_size": "Elements of a block: a power of two, 16 or more.",
      "weight_prepacked": "Not supported (0).",
    ])

  private let k: Int
  private let n: Int
  private let bits: Int
  private let block: Int
  private let prepared: PreparedConstants
  private let scales: HeldForm<PreparedTensor>?

  /// Elements of W that are expanded at a time.
  private static let tile = 1 << 19

  package init(_ node: OperatorNode) throws(MartletError) {
    let attributes = node.attributes
    func number(
      _ name: String, default fallback: Int? = nil, _ expected: String, _ fits: (Int) -> Bool
    ) throws(MartletError) -> Int {
      let value = try attributes.optionalInt(name) ?? fallback
      guard let value, fits(value) else {
        let actual = value.map { "\($0)" } ?? "nothing"
        throw MartletError(
          .invalidArgument,
          "\(Self.schema.name): attribute '\(name)': expected \(expected), got \(actual)",
          operatorName: Self.schema.name, input: name, expected: expected, actual: actual)
      }
      return value
    }
    k = try number("K", "0 or more") { $0 >= 0 }
    n = try number("N", "0 or more") { $0 >= 0 }
    bits = try number("bits", default: 4, "2, 4 or 8") { [2, 4, 8].contains($0) }
    block = try number("block_size", "a power of two, 16 or more") {
      $0 >= 16 && $0 <= 1 << 30 && $0 & ($0 - 1) == 0
    }
    _ = try attributes.int("accuracy_level", default: 0)
    let packing = try attributes.int("weight_prepacked", default: 0)
    guard packing == 0 else {
      throw MartletError(
        .unsupported, "\(Self.schema.name): weight_prepacked \(packing) is not supported",
        operatorName: Self.schema.name, input: "weight_prepacked", expected: "0",
        actual: "\(packing)")
    }
    prepared = node.prepared
    scales = node.constant(2).map { _ in HeldForm() }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let a = inputs.type(0)
    return [ValueType(dtype: a?.dtype, shape: a?.shape.map { $0.dropLast() + [.known(n)] })]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let a = try inputs.required(
      0, { $0.isFloatingPoint && $0 != .float64 && !$0.isNarrow },
      "float32, float16 or bfloat16")
    guard a.rank > 0, a.shape[a.rank - 1] == k else {
      throw .shape(
        Self.schema.name, "A", expected: "[..., \(k)]", actual: Shape.text(a.shape), input: "A")
    }
    let rows = a.shape.dropLast().reduce(1, *)
    let shape = Array(a.shape.dropLast()) + [n]
    let result =
      try a.dtype == .float32
      ? context.output(0, .float32, shape) : context.scratch(.float32, shape)
    let bias = try inputs.optional(5).map { bias throws(MartletError) in
      guard bias.shape == [n], bias.dtype.isFloatingPoint else {
        throw .shape(
          Self.schema.name, "bias", expected: "[\(n)]", actual: Shape.text(bias.shape),
          input: "bias")
      }
      return try context.dense(bias, .float32)
    }
    let b = try inputs.required(1, like: .uint8)
    if result.count > 0 {
      if b.count == 0 {
        try fill(result, bias, context)
      } else {
        let x = try context.dense(a, .float32)
        try multiply(x, try matrix(inputs, b, context), rows, bias, into: result, context)
      }
    }
    context.deliver(try context.finish(result, as: a.dtype))
  }

  private func fill(
    _ result: Tensor, _ bias: Tensor?, _ context: RunContext
  ) throws(MartletError) {
    guard let bias else { return Copying.zero(result) }
    Copying.copy(try bias.broadcast(to: result.shape), into: result, context.workspace)
  }

  private func multiply(
    _ x: Tensor, _ matrix: BlockedMatrix, _ rows: Int, _ bias: Tensor?, into result: Tensor,
    _ context: RunContext
  ) throws(MartletError) {
    let count = min(n, max(1, Self.tile / max(k, 1)))
    let weights = try context.scratch(.float32, [count, k])
    let target = result.typed(Float.self)
    for first in stride(from: 0, to: n, by: count) {
      let columns = min(count, n - first)
      matrix.expand(first..<first + columns, into: weights.typed(Float.self), pool: context.pool)
      var problem = GEMMProblem(
        m: rows, n: columns, k: k, lhs: MatrixView(x.pointer, .float32, rowStride: k),
        rhs: MatrixView(weights.pointer, .float32, rowStride: 1, columnStride: k),
        dst: MatrixView(target + first, .float32, rowStride: n), mode: context.mode)
      problem.epilogue.columnBias = bias.map { UnsafePointer($0.typed(Float.self)) + first }
      let execution = try Backends.run(problem, pool: context.pool)
      if first == 0 { context.note(execution) }
    }
  }

  /// The weight, its parts checked and kept alive by `context` and `inputs`.
  private func matrix(
    _ inputs: Inputs, _ b: Tensor, _ context: RunContext
  ) throws(MartletError) -> BlockedMatrix {
    func fault(_ index: Int, _ expected: String, _ tensor: Tensor) -> MartletError {
      .shape(
        Self.schema.name, inputs.name(index), expected: expected,
        actual: Shape.text(tensor.shape), input: inputs.name(index))
    }
    let blocks = k == 0 ? 0 : (k - 1) / block + 1
    let (blob, count) = (block / 8 * bits, try Shape.elementCount([n, blocks]))
    guard b.count == (try Shape.elementCount([n, blocks, blob])) else {
      throw fault(1, "[\(n), \(blocks), \(blob)]", b)
    }
    let factors = try inputs.float(2)
    guard factors.count == count else { throw fault(2, "[\(n), \(blocks)]", factors) }
    var zeros = BlockedMatrix.Zeros.one(1 << (Int32(bits) - 1))
    if let tensor = inputs.optional(3) {
      if tensor.dtype == .uint8 {
        let bytes = (blocks * bits + 7) / 8
        guard tensor.count == (try Shape.elementCount([n, bytes])) else {
          throw fault(3, "[\(n), \(bytes)] packed", tensor)
        }
        let dense = try context.contiguous(tensor)
        zeros = .packed(UnsafePointer(dense.typed(UInt8.self)))
      } else {
        let tensor = try inputs.float(3)
        guard tensor.count == count else { throw fault(3, "[\(n), \(blocks)]", tensor) }
        let dense = try context.dense(tensor, .float32)
        zeros = .floats(UnsafePointer(dense.typed(Float.self)))
      }
    }
    let dense = try context.contiguous(b)
    var matrix = BlockedMatrix(
      bits: bits, n: n, k: k, block: block, elements: UnsafePointer(dense.typed(UInt8.self)),
      scales: UnsafePointer(try scales(factors, context).typed(Float.self)), zeros: zeros)
    if inputs.optional(4) != nil {
      let groups = try inputs.required(4, like: .int32)
      guard groups.shape == [k] else { throw fault(4, "[\(k)]", groups) }
      let dense = try context.contiguous(groups)
      let indices = dense.typed(Int32.self)
      for index in 0..<k where !(0..<Int32(clamping: blocks)).contains(indices[index]) {
        throw MartletError(
          .invalidArgument,
          "\(Self.schema.name): g_idx names block \(indices[index]) of \(blocks)",
          operatorName: Self.schema.name, input: "g_idx", expected: "0 ..< \(blocks)",
          actual: "\(indices[index])")
      }
      matrix.groups = UnsafePointer(indices)
    }
    return matrix
  }

  /// The scales as float32, made once of constants.
  private func scales(_ tensor: Tensor, _ context: RunContext) throws(MartletError) -> Tensor {
    guard tensor.dtype != .float32, let scales else { return try context.dense(tensor, .float32) }
    return try scales { () throws(MartletError) in
      try prepared.form("float32", of: tensor) { () throws(MartletError) in
        let wide = try Tensor(uninitialized: .float32, tensor.shape)
        try Casting.cast(tensor, into: wide, context.workspace)
        return PreparedTensor(wide)
      }
    }.tensor
  }
}
