import MartletBackends
import MartletCore

/// The Einstein sum of any number of inputs. Pairs of inputs are multiplied as batched matrices,
/// from left to right, each axis summed out as soon as nothing later names it.
///
/// Source: ONNX Einsum-12.
package struct Einsum: Operator {
  package static let schema = OperatorSchema(
    name: "Einsum", inputs: ["Inputs"], isVariadic: true, outputs: ["Output"],
    attributes: ["equation": "as in bij,bjk->bik, required"], traits: [.view(of: 0)])
  private typealias Label = EinsumEquation.Label
  private let equation: EinsumEquation

  package init(_ node: OperatorNode) throws(MartletError) {
    equation = try EinsumEquation(try node.attributes.string("equation", default: ""))
    guard equation.inputs.count == node.inputCount else {
      throw MartletError(
        .invalidArgument,
        "Einsum: '\(equation.text)' has \(equation.inputs.count) terms, the node has \(node.inputCount) inputs",
        operatorName: "Einsum", input: "equation", expected: "\(node.inputCount) terms",
        actual: "\(equation.inputs.count)")
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let dtype = inputs.type(0)?.dtype
    var extents: [Label: Dimension] = [:]
    var ellipsisCount = 0
    for (index, input) in inputs.enumerated() {
      guard let shape = input?.shape else { return [.unknown(dtype)] }
      let labels = try equation.labels(index, rank: shape.count)
      ellipsisCount = max(ellipsisCount, labels.count - equation.inputs[index].letters.count)
      for (label, extent) in zip(labels, shape) {
        let known = extents[label]
        if known == nil || known == .known(1) || known == .unknown {
          extents[label] = extent
        } else if case .known(let value) = extent, value != 1 {
          extents[label] = extent
        }
      }
    }
    let output = equation.outputLabels(ellipsisCount: ellipsisCount)
    return [ValueType(dtype: dtype, shape: output.map { extents[$0] ?? .unknown })]
  }

  /// A tensor whose axes have names.
  private struct Operand {
    var tensor: Tensor
    var labels: [Label]

    /// Axes in the order of `wanted`, which names each of them.
    func ordered(_ wanted: [Label]) throws(MartletError) -> Tensor {
      try tensor.permuted(wanted.compactMap { labels.firstIndex(of: $0) })
    }

    func extents(_ wanted: [Label]) -> [Int] {
      wanted.compactMap { labels.firstIndex(of: $0) }.map { tensor.shape[$0] }
    }
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let dtype = try inputs.required(0, { $0 != .bool }, "a number type").dtype
    var operands: [Operand] = []
    var ellipsisCount = 0
    for index in 0..<inputs.count {
      let tensor = try inputs.required(index, like: dtype)
      let labels = try equation.labels(index, rank: tensor.rank)
      ellipsisCount = max(ellipsisCount, labels.count - equation.inputs[index].letters.count)
      operands.append(try diagonal(Operand(tensor: tensor, labels: labels)))
    }
    let output = equation.outputLabels(ellipsisCount: ellipsisCount)
    try checkExtents(operands)
    var result = operands[0]
    for index in 1..<max(operands.count, 1) {
      var needed = Set(output)
      for later in operands[(index + 1)...] { needed.formUnion(later.labels) }
      result = try contract(result, operands[index], keeping: needed, context)
    }
    result = try summed(result, keeping: Set(output), context)
    context.deliver(try result.ordered(output))
  }

  /// A label that occurs twice in a term walks the diagonal: one axis with both strides.
  private func diagonal(_ operand: Operand) throws(MartletError) -> Operand {
    var (labels, shape, strides) = ([Label](), [Int](), [Int]())
    for (axis, label) in operand.labels.enumerated() {
      guard let first = labels.firstIndex(of: label) else {
        labels.append(label)
        shape.append(operand.tensor.shape[axis])
        strides.append(operand.tensor.strides[axis])
        continue
      }
      guard shape[first] == operand.tensor.shape[axis] else {
        throw mismatch(operand.tensor.shape)
      }
      strides[first] = strides[first] &+ operand.tensor.strides[axis]
    }
    if labels.count == operand.labels.count { return operand }
    return Operand(tensor: try operand.tensor.restrided(shape, strides: strides), labels: labels)
  }

  private func checkExtents(_ operands: [Operand]) throws(MartletError) {
    var extents: [Label: Int] = [:]
    for operand in operands {
      for (label, extent) in zip(operand.labels, operand.tensor.shape) {
        guard let known = extents[label], known != 1 else {
          extents[label] = extent
          continue
        }
        guard extent == known || extent == 1 else { throw mismatch(operand.tensor.shape) }
      }
    }
  }

  private func mismatch(_ shape: [Int]) -> MartletError {
    .shape(
      "Einsum", "axes of one name differ in '\(equation.text)'", expected: "equal extents",
      actual: Shape.text(shape))
  }

  /// `operand` without the axes that nothing needs any more.
  private func summed(_ operand: Operand, keeping needed: Set<Label>, _ context: RunContext)
    throws(MartletError) -> Operand
  {
    let dropped = operand.labels.indices.filter { !needed.contains(operand.labels[$0]) }
    if dropped.isEmpty { return operand }
    let kept = operand.labels.filter(needed.contains)
    let wide = try context.converted(operand.tensor, to: operand.tensor.dtype.computeType)
    let sum = try context.scratch(wide.dtype, operand.extents(kept))
    try Reduction.reduce(.sum, wide, axes: Set(dropped), into: sum, context.workspace)
    return Operand(
      tensor: try context.converted(sum, to: operand.tensor.dtype), labels: kept)
  }

  private func contract(
    _ a: Operand, _ b: Operand, keeping needed: Set<Label>, _ context: RunContext
  ) throws(MartletError) -> Operand {
    let lhs = try summed(a, keeping: needed.union(b.labels), context)
    let rhs = try summed(b, keeping: needed.union(a.labels), context)
    let shared = lhs.labels.filter(rhs.labels.contains)
    let batch = shared.filter(needed.contains)
    let inner = shared.filter { !needed.contains($0) }
    let rows = lhs.labels.filter { !rhs.labels.contains($0) }
    let columns = rhs.labels.filter { !lhs.labels.contains($0) }
    // An axis of extent 1 on one side only broadcasts; as a matrix's K it would not.
    let innerExtents = zip(lhs.extents(inner), rhs.extents(inner)).map { max($0, $1) }
    let left = try spread(lhs, inner, innerExtents, order: batch + rows + inner)
    let right = try spread(rhs, inner, innerExtents, order: batch + inner + columns)
    let k = innerExtents.reduce(1, *)
    let leftBatch = lhs.extents(batch)
    let rightBatch = rhs.extents(batch)
    let (rowExtents, columnExtents) = (lhs.extents(rows), rhs.extents(columns))
    let (m, n) = (rowExtents.reduce(1, *), columnExtents.reduce(1, *))
    let x = try left.viewed(as: leftBatch + [m, k], context)
    let y = try right.viewed(as: rightBatch + [k, n], context)
    let work = try MatrixProduct("Einsum", lhs: x, rhs: y)
    let product = try context.scratch(x.dtype, try work.shape())
    try work.run(into: product, context)
    let batchShape = Array(product.shape.dropLast(2))
    return Operand(
      tensor: try product.reshaped(batchShape + rowExtents + columnExtents),
      labels: batch + rows + columns)
  }

  /// The operand's axes in `order`, those of `inner` broadcast to their common extents.
  private func spread(_ operand: Operand, _ inner: [Label], _ extents: [Int], order: [Label])
    throws(MartletError) -> Tensor
  {
    let tensor = try operand.ordered(order)
    var shape = tensor.shape
    for (label, extent) in zip(inner, extents) {
      if let axis = order.firstIndex(of: label) { shape[axis] = extent }
    }
    return shape == tensor.shape ? tensor : try tensor.broadcast(to: shape)
  }
}
