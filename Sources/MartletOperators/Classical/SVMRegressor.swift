import MartletBackends
import MartletCore

/// What a support vector machine says of each row of X: [N, F] to [N, 1], float32, in float64 within.
/// With `one_class` 1 where that is above 0, else -1. Source: ONNX SVMRegressor-1 (ai.onnx.ml).
package struct SVMRegressor: Operator {
  package static let schema = OperatorSchema(
    name: "SVMRegressor", domain: OperatorID.machineLearningDomain, inputs: ["X"], outputs: ["Y"],
    attributes: [
      "n_supports": "how many support vectors there are; 0",
      "one_class": "whether only the side counts, 0",
    ].merging(SupportVectors.attributes) { first, _ in first })
  private let vectors: SupportVectors
  /// Of each support vector; empty where the coefficients are the only vector.
  private let coefficients: [Double]
  private let rho: Double
  private let isOneClass: Bool
  private let transform: PostTransform

  package init(_ node: OperatorNode) throws(MartletError) {
    let attributes = node.attributes
    let count = try attributes.int("n_supports", default: 0)
    let coefficients = try attributes.optionalFloats("coefficients") ?? []
    let rho = try attributes.optionalFloats("rho") ?? []
    guard count >= 0, count == 0 || coefficients.count == count, rho.count >= 1 else {
      throw MartletError(
        .invalidArgument,
        "\(Self.schema.name): \(count) support vectors have \(coefficients.count) coefficients and \(rho.count) rho",
        operatorName: Self.schema.name, input: "coefficients",
        expected: "\(count) coefficients and a rho", actual: "\(coefficients.count), \(rho.count)")
    }
    let isLinear = count == 0
    vectors = try SupportVectors(
      attributes,
      isLinear ? coefficients : try attributes.optionalFloats("support_vectors") ?? [],
      count: isLinear ? 1 : count, isLinear: isLinear)
    self.coefficients = isLinear ? [] : coefficients.map { Double($0) }
    self.rho = Double(rho[0])
    isOneClass = try attributes.bool("one_class", default: false)
    transform = try PostTransform(attributes)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let rows = try FeatureRows.rows(inputs.type(0), Self.schema)
    return [ValueType(dtype: .float32, shape: [rows, .known(1)])]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try FeatureRows(inputs, as: .float64, context)
    let output = try context.output(0, .float32, [x.rows, 1])
    let results = output.typed(Float.self)
    let count = vectors.vectors.rows
    try vectors.forEachBatch(inputs, x, context) { first, rows, kernels in
      for row in 0..<rows {
        var sum = coefficients.isEmpty ? kernels[row] : 0
        for (i, coefficient) in coefficients.enumerated() {
          sum += coefficient * kernels[row * count + i]
        }
        sum += rho
        if isOneClass {
          sum = sum > 0 ? 1 : -1
        } else {
          transform.apply(&sum, 1)
        }
        results[first + row] = Float(sum)
      }
    }
    context.deliver(output)
  }
}
