import MartletBackends
import MartletCore

/// What Gemm and FusedGemm have in common: activation(alpha * A' @ B' + beta * C + residual), A, B, C
/// and residual inputs 0 to 3, where the operator has them.
package struct GemmProduct: SharedWork {
  static let attributes = [
    "alpha": "A factor of the product (1).",
    "beta": "A factor of C (1).",
    "transA": "Whether A is transposed (0).",
    "transB": "Whether B is transposed (0).",
  ]

  private let operatorName: String
  private let alpha: Float
  private let beta: Float
  private let transposesA: Bool
  private let transposesB: Bool
  var activation: UnaryFunction?
  private let weight: PackedWeight?

  init(_ node: OperatorNode) throws(MartletError) {
    operatorName = node.attributes.operatorName
    alpha = try node.attributes.float("alpha", default: 1)
    beta = try node.attributes.float("beta", default: 1)
    transposesA = try node.attributes.bool("transA", default: false)
    transposesB = try node.attributes.bool("transB", default: false)
    weight = node.constant(1).map { _ in PackedWeight(node.prepared) }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let dtype = inputs.type(0)?.dtype ?? inputs.type(1)?.dtype
    for index in 0...1 {
      guard let shape = inputs.type(index)?.shape, shape.count != 2 else { continue }
      throw .shape(
        operatorName, "\(Gemm.schema.inputs[index]) is no matrix", expected: "rank 2",
        actual: Inference.text(shape), input: Gemm.schema.inputs[index])
    }
    let a = inputs.type(0)?.shape
    let b = inputs.type(1)?.shape
    let rows = a.map { $0[transposesA ? 1 : 0] } ?? .unknown
    let columns = b.map { $0[transposesB ? 0 : 1] } ?? .unknown
    if let a, let b, case .known(let x) = a[transposesA ? 0 : 1],
      case .known(let y) = b[transposesB ? 1 : 0], x != y
    {
      throw .shape(
        operatorName, "inner extents differ", expected: "K=\(x)",
        actual: "\(Inference.text(a)) by \(Inference.text(b))")
    }
    return [ValueType(dtype: dtype, shape: [rows, columns])]
  }

  package func prepare(
    _ inputs: [ValueType?], _ preparation: Preparation
  ) throws(MartletError) -> [Int] {
    guard let constant = inputs.type(1)?.constant, constant.rank == 2 else { return [] }
    return try weight.prepare(
      transposesB ? constant.matrixTransposed : constant, input: 1, preparation)
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let product = try product(inputs, context.mode, context.pool)
    let output = try context.output(0, product.lhs.dtype, [product.m, product.n])
    try product.run(into: output, context)
    context.deliver(output)
  }

  package func bind(
    _ inputs: Inputs, into place: Tensor, _ preparation: Preparation
  ) -> (any BoundWork)? {
    guard let product = try? product(inputs, preparation.mode, preparation.pool),
      place.dtype == product.lhs.dtype, place.shape == [product.m, product.n]
    else { return nil }
    return product.bound(into: place, mode: preparation.mode)
  }

  private func product(
    _ inputs: Inputs, _ mode: MathMode, _ pool: ThreadPool
  ) throws(MartletError) -> MatrixProduct {
    let a = try matrix(inputs, 0)
    let b = try matrix(inputs, 1)
    let rhs = transposesB ? b.matrixTransposed : b
    var product = try MatrixProduct(
      operatorName, lhs: transposesA ? a.matrixTransposed : a, rhs: rhs)
    product.alpha = alpha
    product.activation = activation
    product.packed = try weight?.matrix(rhs, mode: mode, pool: pool)
    for (index, factor) in [(2, beta), (3, Float(1))] {
      guard let term = inputs.optional(index), factor != 0 else { continue }
      product.terms.append(MatrixProduct.Term(tensor: term.withoutUnitRows, factor: factor))
    }
    return product
  }

  private func matrix(_ inputs: Inputs, _ index: Int) throws(MartletError) -> Tensor {
    let tensor = try inputs.required(index)
    guard tensor.rank == 2 else {
      throw .shape(
        operatorName, "\(inputs.name(index)) is no matrix", expected: "rank 2",
        actual: Shape.text(tensor.shape), input: inputs.name(index))
    }
    return tensor
  }
}

extension Tensor {
  /// [1, N] as [N]; anything else as it is.
  fileprivate var withoutUnitRows: Tensor {
    guard rank == 2, shape[0] == 1 else { return self }
    return Tensor(
      unchecked: storage, dtype: dtype, shape: [shape[1]], strides: [strides[1]],
      byteOffset: byteOffset)
  }
}
