import MartletBackends
import MartletCore

/// How alike rows of features and support vectors are: the kernel of a support vector machine, in float64.
///
/// LINEAR x·v, POLY (gamma x·v + coef0)^degree, RBF exp(-gamma |x - v|^2), SIGMOID tanh(gamma x·v + coef0).
/// The distance is taken from products, |x|^2 - 2 x·v + |v|^2, whose errors float64 keeps far below those
/// of float32 inputs.
struct SupportVectors: Sendable {
  private enum Kernel: String {
    case linear = "LINEAR"
    case polynomial = "POLY"
    case radial = "RBF"
    case sigmoid = "SIGMOID"
  }

  static let attributes = [
    "coefficients": "of the support vectors", "kernel_params": "gamma, coef0 and degree; 0",
    "kernel_type": "LINEAR, POLY, RBF or SIGMOID", "post_transform": PostTransform.text,
    "rho": "what is added to each decision",
    "support_vectors": "one after the other; without them the coefficients are the vectors",
  ]

  let vectors: EstimatorWeights
  private let kernel: Kernel
  private let gamma: Double
  private let offset: Double
  private let degree: Double
  /// |v|^2 of each vector.
  private let lengths: [Double]
  private let operatorName: String

  /// `isLinear`: whatever the attributes say.
  init(
    _ attributes: Attributes, _ values: [Float], count: Int, isLinear: Bool
  ) throws(MartletError) {
    operatorName = attributes.operatorName
    guard count > 0, !values.isEmpty, values.count % count == 0 else {
      throw MartletError(
        .invalidArgument,
        "\(operatorName): \(values.count) numbers cannot be those of \(count) vectors",
        operatorName: operatorName, input: "support_vectors", expected: "a multiple of \(count)",
        actual: "\(values.count)")
    }
    let name = try attributes.string("kernel_type", default: "LINEAR")
    guard let kernel = Kernel(rawValue: name) else {
      throw MartletError(
        .invalidArgument,
        "\(operatorName): kernel_type is '\(name)', expected LINEAR, POLY, RBF or SIGMOID",
        operatorName: operatorName, input: "kernel_type", expected: "LINEAR, POLY, RBF or SIGMOID",
        actual: name)
    }
    self.kernel = isLinear ? .linear : kernel
    let parameters = try attributes.optionalFloats("kernel_params") ?? []
    guard parameters.isEmpty || parameters.count == 3 else {
      throw MartletError(
        .invalidArgument, "\(operatorName): kernel_params has \(parameters.count) elements",
        operatorName: operatorName, input: "kernel_params", expected: "gamma, coef0 and degree",
        actual: "\(parameters.count) elements")
    }
    gamma = parameters.isEmpty ? 0 : Double(parameters[0])
    offset = parameters.isEmpty ? 0 : Double(parameters[1])
    degree = parameters.isEmpty ? 0 : Double(parameters[2])
    let width = values.count / count
    vectors = try EstimatorWeights(values, rows: count, columns: width)
    var lengths: [Double] = []
    if kernel == .radial, !isLinear {
      lengths.reserveCapacity(count)
      for vector in 0..<count {
        var sum = 0.0
        for value in values[vector * width..<(vector + 1) * width] {
          sum += Double(value) * Double(value)
        }
        lengths.append(sum)
      }
    }
    self.lengths = lengths
  }

  /// Rows that are compared at once.
  static let batch = 256

  /// [x.rows, vectors], in scratch memory; x is of float64, contiguous and as wide as the vectors.
  func kernels(
    _ x: Tensor, into result: Tensor, _ context: RunContext
  ) throws(MartletError) {
    try vectors.multiply(x, into: result, operatorName: operatorName, context)
    if kernel == .linear { return }
    let (count, width) = (vectors.rows, vectors.columns)
    let (rows, values) = (result.typed(Double.self), x.typed(Double.self))
    context.forEachRange(x.shape[0], nanoseconds: 15 * count + width) { range in
      for row in range {
        let own = rows + row * count
        switch kernel {
        case .linear: break
        case .polynomial:
          for i in 0..<count { own[i] = Double.power(gamma * own[i] + offset, degree) }
        case .sigmoid: for i in 0..<count { own[i] = Double.tanh(gamma * own[i] + offset) }
        case .radial:
          var length = 0.0
          for i in 0..<width { length += values[row * width + i] * values[row * width + i] }
          for i in 0..<count {
            // Rounding may leave less than nothing of a distance.
            let distance = max(length - 2 * own[i] + lengths[i], 0)
            own[i] = Double.exp(-gamma * distance)
          }
        }
      }
    }
  }

  /// Input 0 as rows of float64, and `body` for batches of it: the first row, and the kernels of each.
  func forEachBatch(
    _ inputs: Inputs, _ x: FeatureRows, _ context: RunContext,
    _ body: (_ first: Int, _ rows: Int, _ kernels: UnsafeMutablePointer<Double>) -> Void
  ) throws(MartletError) {
    try x.check(width: vectors.columns, inputs)
    let size = min(SupportVectors.batch, x.rows)
    let result = try context.scratch(.float64, [size, vectors.rows])
    for first in stride(from: 0, to: x.rows, by: max(size, 1)) {
      try context.checkpoint?()
      let rows = min(size, x.rows - first)
      let part = x.tensor.sliced(axis: 0, start: first, count: rows, step: 1)
      let place = result.sliced(axis: 0, start: 0, count: rows, step: 1)
      try kernels(part, into: place, context)
      body(first, rows, place.typed(Double.self))
    }
  }
}
