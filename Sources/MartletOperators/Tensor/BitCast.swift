import MartletBackends
import MartletCore

/// The bits of the input taken for elements of another dtype, as wide as its own. A view.
/// Source: ONNX BitCast-26.
package struct BitCast: Operator {
  package static let schema = OperatorSchema(
    name: "BitCast", inputs: ["input"],
    attributes: ["to": "the dtype's number in ONNX, required"],
    traits: [.view(of: 0), .narrow(.carried)])
  private let target: DType

  package init(_ node: OperatorNode) throws(MartletError) {
    guard let to = try node.attributes.optionalInt("to") else {
      throw MartletError(
        .invalidArgument, "BitCast: attribute 'to' is missing", operatorName: "BitCast",
        input: "to", expected: "a dtype", actual: "nothing")
    }
    target = try DType.fromONNX(
      to, operatorName: "BitCast", attribute: "to", permitsNarrow: true)
  }

  private func check(_ dtype: DType) throws(MartletError) {
    guard dtype.bitWidth == target.bitWidth else {
      throw .dtype(
        "BitCast", "input", expected: "a type of \(target.bitWidth) bits, as \(target) has",
        actual: dtype)
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    if let dtype = inputs.type(0)?.dtype { try check(dtype) }
    return [ValueType(dtype: target, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.required(0)
    try check(input.dtype)
    context.deliver(
      Tensor(
        unchecked: input.storage, dtype: target, layout: input.layout,
        byteOffset: input.byteOffset))
  }
}
