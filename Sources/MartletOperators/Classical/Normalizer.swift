import MartletBackends
import MartletCore

/// Each row of X over its maximum, over the sum of its magnitudes, or over its length; a row over 0 stays
/// as it is. Given as float32, sums in float64.
///
/// MAX divides by the greatest value, not by the greatest magnitude, and L1 by the sum of magnitudes, as
/// ONNX Runtime does. Source: ONNX Normalizer-1 (ai.onnx.ml).
package struct Normalizer: Operator {
  package static let schema = OperatorSchema(
    name: "Normalizer", domain: OperatorID.machineLearningDomain, inputs: ["X"], outputs: ["Y"],
    attributes: ["norm": "MAX, L1 or L2; MAX"])

  private enum Norm: String {
    case max = "MAX"
    case l1 = "L1"
    case l2 = "L2"
  }

  private let norm: Norm

  package init(_ node: OperatorNode) throws(MartletError) {
    let name = try node.attributes.string("norm", default: "MAX")
    guard let norm = Norm(rawValue: name) else {
      throw MartletError(
        .invalidArgument, "\(Self.schema.name): norm is '\(name)', expected MAX, L1 or L2",
        operatorName: Self.schema.name, input: "norm", expected: "MAX, L1 or L2", actual: name)
    }
    self.norm = norm
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    _ = try FeatureRows.rows(inputs.type(0), Self.schema)
    return [ValueType(dtype: .float32, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let given = try inputs.required(0, FeatureRows.isTaken, FeatureRows.taken)
    let isSingle = given.dtype == .float32
    let x = try FeatureRows(given, as: isSingle ? .float32 : .float64, inputs, context)
    let output = try context.output(0, .float32, given.shape)
    if isSingle {
      run(x, output, context, Float.self) { Double($0) }
    } else {
      run(x, output, context, Double.self) { $0 }
    }
    context.deliver(output)
  }

  private func run<T: RealElement>(
    _ x: FeatureRows, _ output: Tensor, _ context: RunContext, _: T.Type, _ wide: (T) -> Double
  ) {
    let (source, results) = (x.tensor.typed(T.self), output.typed(Float.self))
    let width = x.width
    guard width > 0 else { return }
    context.forEachRange(x.rows, nanoseconds: 2 * width) { rows in
      for row in rows {
        let (from, to) = (source + row * width, results + row * width)
        var divisor = norm == .max ? wide(from[0]) : 0
        for i in 0..<width {
          let value = wide(from[i])
          switch norm {
          case .max: divisor = value > divisor ? value : divisor
          case .l1: divisor += abs(value)
          case .l2: divisor += value * value
          }
        }
        if norm == .l2 { divisor = divisor.squareRoot() }
        if divisor == 0 { divisor = 1 }
        for i in 0..<width { to[i] = Float(wide(from[i]) / divisor) }
      }
    }
  }
}
