import MartletBackends
import MartletCore

/// What MatMul, Gemm, Linear and their fused forms have in common: activation(alpha * lhs @ rhs + terms).
///
/// lhs: [..., M, K] and rhs: [..., K, N] of any strides; batch axes broadcast. Terms broadcast to
/// the result and are added in order, each times its factor. f32, bf16 and f16 sums are f32 and
/// rounded once at the end; f64 and integers run product and terms one after another.
struct MatrixProduct {
  struct Term {
    var tensor: Tensor
    var factor: Float
  }

  var operatorName: String
  var lhs: Tensor
  var rhs: Tensor
  var alpha: Float = 1
  var terms: [Term] = []
  var activation: UnaryFunction?
  /// rhs packed before.
  var packed: PackedMatrix?

  init(_ operatorName: String, lhs: Tensor, rhs: Tensor) throws(MartletError) {
    self.operatorName = operatorName
    self.lhs = lhs
    self.rhs = rhs
    let k = lhs.shape[lhs.rank - 1]
    let rhsK = rhs.shape[rhs.rank - 2]
    guard k == rhsK else {
      throw MartletError(
        .invalidShape,
        "\(operatorName): lhs has K=\(k), rhs has K=\(rhsK) (shapes \(Shape.text(lhs.shape)) and \(Shape.text(rhs.shape)))",
        operatorName: operatorName, expected: "K=\(k)", actual: "K=\(rhsK)")
    }
    guard lhs.dtype == rhs.dtype else {
      throw .dtype(operatorName, "rhs", expected: "\(lhs.dtype) as lhs", actual: rhs.dtype)
    }
    guard lhs.dtype != .bool else {
      throw .dtype(operatorName, "lhs", expected: "a number type", actual: lhs.dtype)
    }
  }

  var m: Int { lhs.shape[lhs.rank - 2] }
  var n: Int { rhs.shape[rhs.rank - 1] }
  var k: Int { lhs.shape[lhs.rank - 1] }

  /// The result's shape, [batch..., M, N]; throws where the batches do not broadcast.
  func shape() throws(MartletError) -> [Int] {
    guard
      let batch = Shape.broadcast(
        Array(lhs.shape.dropLast(2)), Array(rhs.shape.dropLast(2)))
    else {
      throw .shape(
        operatorName, "batches do not broadcast",
        expected: "a shape that broadcasts with \(Shape.text(lhs.shape))",
        actual: Shape.text(rhs.shape))
    }
    return batch + [m, n]
  }

  /// Computes into `dst`, contiguous, of `shape()` and lhs's dtype.
  func run(into dst: Tensor, _ context: RunContext) throws(MartletError) {
    // An empty result may have extents whose products do not fit.
    if dst.count == 0 { return }
    let isFused =
      lhs.dtype == .float32 || lhs.dtype == .bfloat16 || lhs.dtype == .float16
    guard isFused, let slots = Slots(terms, n: n) else {
      return try runStepwise(into: dst, context)
    }
    let bias = try slots.bias.map { bias throws(MartletError) in
      try context.contiguous(try context.converted(bias, to: .float32))
    }
    let residual = try slots.residual.map { residual throws(MartletError) in
      try context.converted(residual.tensor, to: .float32)
    }
    let problem = try fusedProblem(
      into: dst, context.mode, bias: bias, residual, factor: slots.residual?.factor ?? 1)
    context.note(try Backends.run(problem, pool: context.pool))
  }

  /// What `run` does, for tensors that stay where they are; nil where that is more than one product.
  func bound(into dst: Tensor, mode: MathMode) -> (any BoundWork)? {
    guard dst.count > 0, lhs.dtype == .float32 || lhs.dtype == .bfloat16,
      let slots = Slots(terms, n: n),
      slots.bias.map({ $0.dtype == .float32 && $0.isContiguous }) ?? true,
      slots.residual.map({ $0.tensor.dtype == .float32 }) ?? true,
      let problem = try? fusedProblem(
        into: dst, mode, bias: slots.bias, slots.residual?.tensor,
        factor: slots.residual?.factor ?? 1)
    else { return nil }
    return (try? Backends.bind(problem)) ?? nil
  }

  /// The product with all that happens to its sums; `bias` and `residual` are of float32.
  private func fusedProblem(
    into dst: Tensor, _ mode: MathMode, bias: Tensor?, _ residual: Tensor?, factor: Float
  ) throws(MartletError) -> GEMMProblem {
    var problem = try problem(into: dst, mode)
    problem.epilogue.alpha = alpha
    problem.epilogue.activation = activation
    if let bias { problem.epilogue.columnBias = UnsafePointer(bias.typed(Float.self)) }
    if let residual { try attach(residual, factor: factor, to: &problem, shape: dst.shape) }
    return problem
  }

  /// Which term goes where in the epilogue; nil where they do not fit it.
  private struct Slots {
    var bias: Tensor?
    var residual: Term?

    init?(_ terms: [Term], n: Int) {
      for term in terms {
        if bias == nil, residual == nil, term.factor == 1, term.tensor.shape == [n] {
          bias = term.tensor
        } else if residual == nil {
          residual = term
        } else {
          return nil
        }
      }
    }
  }

  private func problem(into dst: Tensor, _ mode: MathMode) throws(MartletError) -> GEMMProblem {
    func view(_ tensor: Tensor) -> MatrixView {
      MatrixView(
        tensor.pointer, tensor.dtype, rowStride: tensor.strides[tensor.rank - 2],
        columnStride: tensor.strides[tensor.rank - 1])
    }
    var problem = GEMMProblem(
      m: m, n: n, k: k, lhs: view(lhs), rhs: view(rhs),
      dst: MatrixView(dst.pointer, dst.dtype, rowStride: n), mode: mode)
    problem.packedRHS = packed
    let batch = dst.shape.dropLast(2)
    let lhsStrides = MatrixProduct.batchStrides(lhs, strides: lhs.strides, rank: dst.rank)
    // A packed rhs moves by matrices.
    let rhsStrides = MatrixProduct.batchStrides(
      rhs, strides: packed == nil ? rhs.strides : Shape.contiguousStrides(rhs.shape.dropLast(2)),
      rank: dst.rank)
    for (axis, count) in batch.enumerated() {
      problem.batch.append(
        BatchAxis(
          count: count, lhsStride: lhsStrides[axis], rhsStride: rhsStrides[axis],
          dstStride: dst.strides[axis]))
    }
    return problem
  }

  /// Strides of the batch axes, 0 where the tensor is broadcast.
  private static func batchStrides(_ tensor: Tensor, strides: [Int], rank: Int) -> [Int] {
    let own = zip(tensor.shape.dropLast(2), strides).map { $0 == 1 ? 0 : $1 }
    return [Int](repeating: 0, count: rank - tensor.rank) + own
  }

  private func attach(
    _ residual: Tensor, factor: Float, to problem: inout GEMMProblem, shape: [Int]
  ) throws(MartletError) {
    let wide = try residual.broadcast(to: shape)
    problem.epilogue.beta = factor
    problem.epilogue.residual = MatrixView(
      wide.pointer, .float32, rowStride: wide.strides[wide.rank - 2],
      columnStride: wide.strides[wide.rank - 1])
    for axis in problem.batch.indices { problem.batch[axis].residualStride = wide.strides[axis] }
  }

  /// Product, terms and activation one after another in the operands' own type.
  private func runStepwise(into dst: Tensor, _ context: RunContext) throws(MartletError) {
    context.note(try Backends.run(try problem(into: dst, context.mode), pool: context.pool))
    if alpha != 1 {
      try Elementwise.binary(.mul, dst, try scalar(alpha, context), into: dst, context.workspace)
    }
    for term in terms {
      var addend = try context.converted(term.tensor, to: dst.dtype)
      if term.factor != 1 {
        let scaled = try context.scratch(dst.dtype, addend.shape)
        try Elementwise.binary(
          .mul, addend, try scalar(term.factor, context), into: scaled, context.workspace)
        addend = scaled
      }
      try Elementwise.binary(.add, dst, addend, into: dst, context.workspace)
    }
    if let activation {
      try Elementwise.unary(activation, dst, into: dst, context.workspace)
    }
  }

  /// `value` in the operands' type.
  private func scalar(_ value: Float, _ context: RunContext) throws(MartletError) -> Tensor {
    guard lhs.dtype.isFloatingPoint || value == value.rounded() else {
      throw MartletError(
        .unsupported, "\(operatorName): a factor of \(value) for \(lhs.dtype) operands",
        operatorName: operatorName, expected: "an integral factor", actual: "\(value)")
    }
    return try context.scalar(Double(value), lhs.dtype)
  }
}
