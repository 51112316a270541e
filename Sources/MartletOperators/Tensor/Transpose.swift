import MartletBackends
import MartletCore

/// The axes in another order, reversed by default. A view. Source: ONNX Transpose-24.
package struct Transpose: Operator {
  package static let schema = OperatorSchema(
    name: "Transpose", inputs: ["data"], outputs: ["transposed"],
    attributes: ["perm": "axis i of the output is axis perm[i] of the input; reversed"],
    traits: [.anyElement, .view(of: 0), .narrow(.moved)])
  private let permutation: [Int]?

  package init(_ node: OperatorNode) throws(MartletError) {
    permutation = try node.attributes.optionalInts("perm")
  }

  private func order(_ rank: Int) throws(MartletError) -> [Int] {
    guard let permutation else { return Array((0..<rank).reversed()) }
    guard permutation.count == rank else {
      throw .shape(
        "Transpose", "perm does not fit the input", expected: "\(rank) axes",
        actual: Shape.text(permutation), input: "perm")
    }
    var result: [Int] = []
    for axis in permutation {
      result.append(try Shape.normalizedAxis(axis, rank: rank, operatorName: "Transpose"))
    }
    guard Set(result).count == rank else {
      throw .shape(
        "Transpose", "perm is no permutation", expected: "each axis once",
        actual: Shape.text(permutation), input: "perm")
    }
    return result
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard let data = inputs.type(0) else { return [.unknown()] }
    guard let shape = data.shape else { return [.unknown(data.dtype)] }
    let order = try order(shape.count)
    var result = ValueType(dtype: data.dtype, shape: order.map { shape[$0] })
    if shape.count <= 1 { result.elements = data.knownElements }
    return [result]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let data = try inputs.required(0)
    context.deliver(try data.permuted(try order(data.rank)))
  }
}
