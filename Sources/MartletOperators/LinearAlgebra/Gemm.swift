import MartletBackends
import MartletCore

/// Y = activation(alpha * A' @ B' + beta * C + residual) for matrices, C broadcast to Y.
///
/// Complexity: 2·M·N·K floating-point operations. Source: ONNX Gemm-13; `residual` and `activation`
/// are Martlet's own, for graph passes.
package struct Gemm: PreparingOperator {
  package static let schema = OperatorSchema(
    name: "Gemm", inputs: ["A", "B", "C", "residual"], requiredInputs: 2, outputs: ["Y"],
    attributes: FusedActivation.attributes.merging([
      "alpha": "A factor of the product (1).",
      "beta": "A factor of C (1).",
      "transA": "Whether A is transposed (0).",
      "transB": "Whether B is transposed (0).",
    ]) { first, _ in first }, traits: [.anyAddress(inputs: [1])])

  private let alpha: Float
  private let beta: Float
  private let transposesA: Bool
  private let transposesB: Bool
  private let activation: Activation
  private let weight: PackedWeight?

  package init(_ node: OperatorNode) throws(MartletError) {
    alpha = try node.attributes.float("alpha", default: 1)
    beta = try node.attributes.float("beta", default: 1)
    transposesA = try node.attributes.bool("transA", default: false)
    transposesB = try node.attributes.bool("transB", default: false)
    activation = try FusedActivation.parse(node.attributes)
    weight = node.constant(1).map { _ in PackedWeight(node.prepared) }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let dtype = inputs.type(0)?.dtype ?? inputs.type(1)?.dtype
    for index in 0...1 {
      guard let shape = inputs.type(index)?.shape, shape.count != 2 else { continue }
      throw .shape(
        "Gemm", "\(Self.schema.inputs[index]) is no matrix", expected: "rank 2",
        actual: Inference.text(shape), input: Self.schema.inputs[index])
    }
    let a = inputs.type(0)?.shape
    let b = inputs.type(1)?.shape
    let rows = a.map { $0[transposesA ? 1 : 0] } ?? .unknown
    let columns = b.map { $0[transposesB ? 0 : 1] } ?? .unknown
    if let a, let b, case .known(let x) = a[transposesA ? 0 : 1],
      case .known(let y) = b[transposesB ? 1 : 0], x != y
    {
      throw .shape(
        "Gemm", "inner extents differ", expected: "K=\(x)",
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
      "Gemm", lhs: transposesA ? a.matrixTransposed : a, rhs: rhs)
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
        "Gemm", "\(inputs.name(index)) is no matrix", expected: "rank 2",
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
