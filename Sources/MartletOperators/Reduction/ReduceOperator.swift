import MartletBackends
import MartletCore

/// An operator that folds the axes given as its second input (all, if there are none).
///
/// 16-bit floats are folded in float32 and rounded once; integers wrap, and their means and roots
/// truncate. Source: ONNX Reduce*-18.
package protocol ReduceOperator: Operator {
  static var function: ReduceFunction { get }
  var options: ReduceOptions { get }
}

/// The attributes that all reductions share.
package struct ReduceOptions: Sendable {
  let keepsDimensions: Bool
  let emptyAxesMeanNone: Bool

  init(_ node: OperatorNode) throws(MartletError) {
    keepsDimensions = try node.attributes.bool("keepdims", default: true)
    emptyAxesMeanNone = try node.attributes.bool("noop_with_empty_axes", default: false)
  }
}

extension ReduceOperator {
  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    guard let data = inputs.type(0) else { return [.unknown()] }
    guard let shape = data.shape else { return [.unknown(data.dtype)] }
    let hasAxes = inputs.count > 1 && inputs[1] != nil
    guard let axes = hasAxes ? inputs.type(1)?.knownIntegers : [] else {
      let rank = options.keepsDimensions ? shape.count : nil
      return [
        ValueType(dtype: data.dtype, shape: rank.map { Inference.unknownShape(rank: $0) })
      ]
    }
    let reduced = try self.reduced(axes, shape.count)
    return [
      ValueType(
        dtype: data.dtype,
        shape: shape.indices.compactMap { axis in
          reduced.contains(axis) ? (options.keepsDimensions ? .known(1) : nil) : shape[axis]
        })
    ]
  }

  private func reduced(_ axes: [Int], _ rank: Int) throws(MartletError) -> Set<Int> {
    if axes.isEmpty { return options.emptyAxesMeanNone ? [] : Set(0..<rank) }
    return try Axes.normalized(axes, rank: rank, operatorName: Self.schema.name)
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    var data = try inputs.required(0)
    let dtype = data.dtype
    if dtype == .bool {
      // Max and min of truth values: of their bytes, once these are 0 and 1.
      switch Self.function {
      case .max, .min: data = try context.converted(data, to: .uint8)
      default:
        throw .dtype(Self.schema.name, "data", expected: "a number type", actual: dtype)
      }
    }
    let axes = try inputs.optionalIntegers(1) ?? []
    let reduced = try self.reduced(axes, data.rank)
    let shape = data.shape.indices.compactMap { axis in
      reduced.contains(axis) ? (options.keepsDimensions ? 1 : nil) : data.shape[axis]
    }
    data = try context.converted(data, to: data.dtype.computeType)
    let result =
      data.dtype == dtype
      ? try context.output(0, dtype, shape) : try context.scratch(data.dtype, shape)
    try Reduction.reduce(Self.function, data, axes: reduced, into: result, context.workspace)
    context.deliver(try context.finish(result, as: dtype))
  }
}

extension OperatorSchema {
  static func reduction(_ name: String) -> OperatorSchema {
    OperatorSchema(
      name: name, inputs: ["data", "axes"], requiredInputs: 1, outputs: ["reduced"],
      attributes: [
        "keepdims": "whether folded axes stay with extent 1, 1",
        "noop_with_empty_axes": "whether no axes means to fold none, 0",
      ])
  }
}
