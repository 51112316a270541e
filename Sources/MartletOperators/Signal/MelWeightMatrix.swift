import MartletBackends
import MartletCore

/// The weights [dft_length / 2 + 1, num_mel_bins] of the bins of a spectrum in triangles of equal width
/// on the mel scale, 2595 log10(1 + f / 700).
///
/// Triangles begin, peak and end at whole bins, computed in float64. What of them lies beyond the
/// spectrum is left out. Source: ONNX MelWeightMatrix-17.
package struct MelWeightMatrix: Operator {
  package static let schema = OperatorSchema(
    name: "MelWeightMatrix",
    inputs: [
      "num_mel_bins", "dft_length", "sample_rate", "lower_edge_hertz", "upper_edge_hertz",
    ], attributes: ["output_datatype": "the output's type, float32"])
  private let dtype: DType

  package init(_ node: OperatorNode) throws(MartletError) {
    dtype = try OutputDataType.of(node.attributes)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let bins = inputs.type(0)?.knownElements?.first ?? .unknown
    let length = inputs.type(1)?.knownElements?.first ?? .unknown
    let rows = Inference.plus(Inference.divided(length, by: 2), .known(1))
    return [ValueType(dtype: dtype, shape: Inference.shape(from: [rows, bins]))]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let bins = try number(inputs, 0, from: 0)
    let length = try number(inputs, 1, from: 0)
    let rate = try number(inputs, 2, from: 1)
    let (lower, upper) = (try edge(inputs, 3), try edge(inputs, 4))
    guard lower <= upper else {
      throw MartletError(
        .invalidArgument, "MelWeightMatrix: from \(lower) to \(upper) Hz",
        operatorName: "MelWeightMatrix", input: "upper_edge_hertz", expected: ">= \(lower)",
        actual: "\(upper)")
    }
    let rows = length / 2 + 1
    let matrix =
      try dtype == .float64
      ? context.output(0, .float64, [rows, bins]) : context.scratch(.float64, [rows, bins])
    Copying.zero(matrix)
    func mel(_ hertz: Double) -> Double { 2595 * Double.log1p(hertz / 700) / Double.log(10) }
    let first = mel(lower)
    let step = (mel(upper) - first) / Double(bins + 2)
    func place(_ index: Int) -> Int {
      let hertz = 700 * Double.expm1((Double(index) * step + first) / 2595 * Double.log(10))
      let bin = (Double(length + 1) * hertz / Double(rate)).rounded(.down)
      return Int(min(bin, 0x1p60))
    }
    let weights = matrix.typed(Double.self)
    for bin in 0..<(matrix.count > 0 ? bins : 0) {
      let (left, peak, right) = (place(bin), place(bin + 1), place(bin + 2))
      for row in left..<max(left, min(peak, rows)) {
        weights[row * bins + bin] = Double(row - left) / Double(peak - left)
      }
      if peak < rows { weights[peak * bins + bin] = 1 }
      for row in min(peak + 1, rows)..<max(min(peak + 1, rows), min(right, rows)) {
        weights[row * bins + bin] = Double(right - row) / Double(right - peak)
      }
    }
    context.deliver(try context.finish(matrix, as: dtype))
  }

  private func number(
    _ inputs: Inputs, _ index: Int, from least: Int
  ) throws(MartletError) -> Int {
    let value = try inputs.integer(index)
    guard (least...1 << 40).contains(value) else { throw error(inputs, index, "\(value)", least) }
    return value
  }

  private func edge(_ inputs: Inputs, _ index: Int) throws(MartletError) -> Double {
    _ = try inputs.float(index)
    let value = try inputs.number(index)
    guard value >= 0, value < 0x1p40 else { throw error(inputs, index, "\(value)", 0) }
    return value
  }

  private func error(
    _ inputs: Inputs, _ index: Int, _ actual: String, _ least: Int
  ) -> MartletError {
    MartletError(
      .invalidArgument, "MelWeightMatrix: \(inputs.name(index)) is \(actual)",
      operatorName: "MelWeightMatrix", input: inputs.name(index),
      expected: "\(least)...\(1 << 40)", actual: actual)
  }
}
