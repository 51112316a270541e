import MartletBackends
import MartletCore

/// A 1 at the category that each element of X is, zeros elsewhere: `[...]` to `[..., categories]`, float32.
/// Floats are categories of what is before their point. Source: ONNX OneHotEncoder-1 (ai.onnx.ml).
package struct OneHotEncoder: Operator {
  package static let schema = OperatorSchema(
    name: "OneHotEncoder", domain: OperatorID.machineLearningDomain, inputs: ["X"], outputs: ["Y"],
    attributes: [
      "cats_int64s": "the categories of numbers", "cats_strings": "or those of strings",
      "zeros": "whether what is no category is all zeros, or an error; 1",
    ], traits: [.anyElement])
  private let categories: KeyTable
  private let isLenient: Bool

  package init(_ node: OperatorNode) throws(MartletError) {
    categories = try KeyTable(node.attributes, integers: "cats_int64s", texts: "cats_strings")
    isLenient = try node.attributes.bool("zeros", default: true)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [
      ValueType(
        dtype: .float32, shape: inputs.type(0)?.shape.map { $0 + [.known(categories.count)] })
    ]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let takesText = categories.dtype == .string
    let x = try inputs.required(
      0, { takesText ? $0 == .string : FeatureRows.isTaken($0) },
      takesText ? "string" : FeatureRows.taken)
    let output = try context.output(0, .float32, x.shape + [categories.count])
    let results = output.typed(Float.self)
    results.update(repeating: 0, count: output.count)
    let places = try categories.places(x, Self.schema.name, context)
    for element in 0..<x.count {
      let place = Int(places[element])
      if place >= 0 {
        results[element * categories.count + place] = 1
      } else if !isLenient {
        throw MartletError(
          .invalidArgument,
          "\(Self.schema.name): element \(element) of X is none of the \(categories.count) categories",
          operatorName: Self.schema.name, input: "X",
          expected: "one of the categories, as zeros is 0", actual: "another")
      }
    }
    context.deliver(output)
  }
}
