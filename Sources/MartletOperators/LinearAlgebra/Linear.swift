import MartletBackends
import MartletCore

/// Y = activation(X @ weight^T + bias + residual): X [..., K], weight [N, K], bias [N], Y [..., N].
///
/// Martlet's own, PyTorch's `linear`. Complexity: 2·rows·N·K floating-point operations.
package struct Linear: PreparingOperator, MartletOperator {
  package static let schema = OperatorSchema(
    name: "Linear", domain: OperatorID.martletDomain, inputs: ["X", "weight", "bias", "residual"],
    requiredInputs: 2,
    outputs: ["Y"], attributes: FusedActivation.attributes,
    traits: [.anyAddress(inputs: [1]), .epilogue(slots)])

  static let slots = EpilogueSlots(form: .martlet("Linear"), columnBias: 2)

  private let activation: FusedActivation?
  private let weight: PackedWeight?

  package init(_ node: OperatorNode) throws(MartletError) {
    activation = try FusedActivation(node.attributes)
    weight = node.constant(1).map { _ in PackedWeight(node.prepared) }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let dtype = inputs.type(0)?.dtype ?? inputs.type(1)?.dtype
    guard let x = inputs.type(0)?.shape else { return [.unknown(dtype)] }
    let w = inputs.type(1)?.shape
    if x.isEmpty || (w?.count ?? 2) != 2 {
      throw .shape(
        Self.schema.name, "ranks", expected: "X [..., K], weight [N, K]",
        actual: "\(Inference.text(x)) and \(Inference.text(w ?? []))")
    }
    if let w, case .known(let a) = x[x.count - 1], case .known(let b) = w[1], a != b {
      throw .shape(
        Self.schema.name, "inner extents differ", expected: "K=\(a)",
        actual: "\(Inference.text(x)) by \(Inference.text(w))")
    }
    return [ValueType(dtype: dtype, shape: x.dropLast() + [w?[0] ?? .unknown])]
  }

  package func prepare(
    _ inputs: [ValueType?], _ preparation: Preparation
  ) throws(MartletError) -> [Int] {
    guard let constant = inputs.type(1)?.constant, constant.rank == 2 else { return [] }
    return try weight.prepare(constant.matrixTransposed, input: 1, preparation)
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
    let x = try inputs.required(0)
    let w = try inputs.required(1)
    guard x.rank > 0, w.rank == 2 else {
      throw .shape(
        Self.schema.name, "ranks", expected: "X [..., K], weight [N, K]",
        actual: "\(Shape.text(x.shape)) and \(Shape.text(w.shape))")
    }
    let lhs = x.rank == 1 ? try x.restrided([1] + x.shape, strides: [0] + x.strides) : x
    let rhs = w.matrixTransposed
    var product = try MatrixProduct(Self.schema.name, lhs: lhs, rhs: rhs)
    product.activation = activation?.function
    product.packed = try weight?.matrix(rhs, mode: mode, pool: pool)
    if let bias = inputs.optional(2) {
      guard bias.shape == [product.n] else {
        throw .shape(
          Self.schema.name, "bias", expected: "[\(product.n)]", actual: Shape.text(bias.shape),
          input: "bias")
      }
      product.terms.append(MatrixProduct.Term(tensor: bias, factor: 1))
    }
    let shape = Array(x.shape.dropLast() + [product.n])
    if let residual = inputs.optional(3) {
      product.terms.append(
        MatrixProduct.Term(tensor: try residual.broadcast(to: shape), factor: 1))
    }
    return (product, shape)
  }

  package func decompose(_ inputs: [ValueType?]) -> FunctionBody {
    var body = FunctionBody(Self.schema, inputs)
    let weight = body.add("Transpose", [body.input(1)], ["perm": .ints([1, 0])])
    let y = body.adding(2...3, to: body.add("MatMul", [body.input(0), weight]))
    body.outputs = [activation?.decompose(y, into: &body) ?? y]
    return body
  }
}
