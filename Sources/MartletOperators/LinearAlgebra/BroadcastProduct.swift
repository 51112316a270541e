import MartletBackends
import MartletCore

/// What MatMul and FusedMatMul have in common: activation(alpha * A @ B + bias + residual), A and B
/// inputs 0 and 1, bias and residual inputs 2 and 3 where the operator has them.
package struct BroadcastProduct: SharedWork {
  let operatorName: String
  var alpha: Float = 1
  var transposesA = false
  var transposesB = false
  var activation: UnaryFunction?
  let weight: PackedWeight?

  init(_ operatorName: String) {
    self.operatorName = operatorName
    weight = nil
  }

  /// The product of a node, with B packed where that is a constant.
  init(_ node: OperatorNode) {
    operatorName = node.attributes.operatorName
    weight = node.constant(1).flatMap { $0.rank >= 2 ? PackedWeight(node.prepared) : nil }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let dtype = inputs.type(0)?.dtype ?? inputs.type(1)?.dtype
    guard let a = inputs.type(0)?.shape, let b = inputs.type(1)?.shape else {
      return [.unknown(dtype)]
    }
    guard !a.isEmpty, !b.isEmpty else {
      throw .shape(
        operatorName, "an operand is a scalar", expected: "rank >= 1",
        actual: "\(Inference.text(a)) and \(Inference.text(b))")
    }
    let lhs = oriented(a.count == 1 ? [.known(1)] + a : a, transposesA && a.count > 1)
    let rhs = oriented(b.count == 1 ? b + [.known(1)] : b, transposesB && b.count > 1)
    if case .known(let x) = lhs[lhs.count - 1], case .known(let y) = rhs[rhs.count - 2], x != y {
      throw .shape(
        operatorName, "inner extents differ", expected: "K=\(x)",
        actual: "\(Inference.text(a)) by \(Inference.text(b))")
    }
    guard
      let batch = try Inference.broadcast(
        Array(lhs.dropLast(2)), Array(rhs.dropLast(2)), operatorName: operatorName)
    else { return [.unknown(dtype)] }
    let rows = a.count == 1 ? [] : [lhs[lhs.count - 2]]
    let columns = b.count == 1 ? [] : [rhs[rhs.count - 1]]
    return [ValueType(dtype: dtype, shape: batch + rows + columns)]
  }

  private func oriented(_ shape: [Dimension], _ isTransposed: Bool) -> [Dimension] {
    guard isTransposed else { return shape }
    var shape = shape
    shape.swapAt(shape.count - 1, shape.count - 2)
    return shape
  }

  package func prepare(
    _ inputs: [ValueType?], _ preparation: Preparation
  ) throws(MartletError) -> [Int] {
    let constant = inputs.type(1)?.constant
    return try weight.prepare(
      transposesB ? constant?.matrixTransposed : constant, input: 1, preparation)
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let (product, shape) = try product(inputs, context.mode, context.pool)
    let output = try context.output(0, product.lhs.dtype, shape)
    try product.run(into: try output.reshaped(try product.shape()), context)
    context.deliver(output)
  }

  package func bind(
    _ inputs: Inputs, into place: Tensor, _ preparation: Preparation
  ) -> (any BoundWork)? {
    guard let (product, shape) = try? product(inputs, preparation.mode, preparation.pool),
      place.dtype == product.lhs.dtype, place.shape == shape,
      let matrixShape = try? product.shape(), let dst = try? place.reshaped(matrixShape)
    else { return nil }
    return product.bound(into: dst, mode: preparation.mode)
  }

  /// The product of these inputs, and the shape of Y.
  private func product(
    _ inputs: Inputs, _ mode: MathMode, _ pool: ThreadPool
  ) throws(MartletError) -> (MatrixProduct, shape: [Int]) {
    let a = try inputs.required(
      0, { $0.isFloatingPoint || ($0.isInteger && $0.bitWidth >= 32) },
      "a floating-point type or an integer of 32 or 64 bits")
    let b = try inputs.required(1, like: a.dtype)
    guard a.rank > 0, b.rank > 0 else {
      throw .shape(
        operatorName, "an operand is a scalar", expected: "rank >= 1",
        actual: "\(Shape.text(a.shape)) and \(Shape.text(b.shape))")
    }
    let lhs =
      a.rank == 1
      ? try a.restrided([1] + a.shape, strides: [0] + a.strides)
      : transposesA ? a.matrixTransposed : a
    let rhs =
      b.rank == 1
      ? try b.restrided(b.shape + [1], strides: b.strides + [0])
      : transposesB ? b.matrixTransposed : b
    var product = try MatrixProduct(operatorName, lhs: lhs, rhs: rhs)
    product.alpha = alpha
    product.activation = activation
    product.packed = try weight?.matrix(rhs, mode: mode, pool: pool)
    // Terms broadcast to the result without the axes that stand for a vector.
    let matrixShape = try product.shape()
    var shape = Array(matrixShape.dropLast(2))
    if a.rank > 1 { shape.append(product.m) }
    if b.rank > 1 { shape.append(product.n) }
    for index in 2...3 {
      guard let term = inputs.optional(index) else { continue }
      product.terms.append(
        MatrixProduct.Term(
          tensor: try term.asMatrixTerm(of: shape, lhsRank: a.rank, rhsRank: b.rank), factor: 1))
    }
    return (product, shape)
  }
}

extension Tensor {
  /// The last two axes swapped.
  package var matrixTransposed: Tensor {
    var shape = shape
    var strides = strides
    shape.swapAt(rank - 1, rank - 2)
    strides.swapAt(rank - 1, rank - 2)
    return Tensor(
      unchecked: storage, dtype: dtype, shape: shape, strides: strides, byteOffset: byteOffset)
  }

  /// A term that broadcasts to a MatMul's result, with the axes restored that vectors have lost.
  fileprivate func asMatrixTerm(of result: [Int], lhsRank: Int, rhsRank: Int) throws(MartletError)
    -> Tensor
  {
    if lhsRank > 1, rhsRank > 1 { return self }
    let wide = try broadcast(to: result)
    var shape = wide.shape
    var strides = wide.strides
    if lhsRank == 1 {
      let axis = rhsRank == 1 ? shape.count : shape.count - 1
      shape.insert(1, at: axis)
      strides.insert(0, at: axis)
    }
    if rhsRank == 1 {
      shape.append(1)
      strides.append(0)
    }
    return try restrided(shape, strides: strides)
  }
}
