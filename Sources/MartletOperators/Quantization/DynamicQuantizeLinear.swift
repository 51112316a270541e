import MartletBackends
import MartletCore

/// x quantised to uint8 by its own range, which always contains 0: y_scale = (max - min) / 255,
/// y_zero_point = saturate(round(-min / y_scale)), y = saturate(round(x / y_scale) + y_zero_point).
///
/// x: float32 of any shape. Where all of x is 0 (or there is none) the scale is 1.
/// Source: ONNX DynamicQuantizeLinear-11; the scale of zeros as ONNX Runtime has it.
package struct DynamicQuantizeLinear: Operator {
  package static let schema = OperatorSchema(
    name: "DynamicQuantizeLinear", inputs: ["x"], outputs: ["y", "y_scale", "y_zero_point"])

  package init(_ node: OperatorNode) throws(MartletError) {}

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [
      ValueType(dtype: .uint8, shape: inputs.type(0)?.shape),
      ValueType(dtype: .float32, shape: []), ValueType(dtype: .uint8, shape: []),
    ]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try context.contiguous(try inputs.required(0, like: .float32))
    let range = try DynamicRange(x, context)
    let y = try context.output(0, .uint8, x.shape)
    let scale = try context.output(1, .float32, [])
    let zero = try context.output(2, .uint8, [])
    scale.typed(Float.self).pointee = range.scale
    zero.typed(UInt8.self).pointee = UInt8(range.zero)
    range.quantize(
      UnsafePointer(x.typed(Float.self)), x.count, into: y.pointer, pool: context.pool)
    context.deliver(y, scale, zero)
  }
}

extension DynamicRange {
  /// That of all elements of a contiguous float32 tensor.
  init(_ x: Tensor, _ context: RunContext) throws(MartletError) {
    guard x.count > 0 else {
      self.init(least: 0, most: 0)
      return
    }
    let flat = try x.reshaped([x.count])
    let extremes = try context.scratch(.float32, [2])
    for (index, function) in [ReduceFunction.min, .max].enumerated() {
      let target = extremes.sliced(axis: 0, start: index, count: 1, step: 1)
      try Reduction.reduce(function, flat, axes: [0], into: target, context.workspace)
    }
    let values = extremes.typed(Float.self)
    self.init(least: values[0], most: values[1])
  }
}
