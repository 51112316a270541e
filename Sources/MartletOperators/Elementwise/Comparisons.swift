import MartletBackends
import MartletCore

/// An operator that compares two inputs of one dtype, element by element with broadcasting, to bool.
package protocol ComparisonOperator: Operator {
  static var comparison: Comparison { get }
}

extension ComparisonOperator {
  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    try [
      Inference.binary(inputs, operatorName: Self.schema.name, dtype: .bool) { a, b in
        if case (.known(let x), .known(let y)) = (a, b) {
          return .known(Self.compare(x, y) ? 1 : 0)
        }
        // An extent is never negative: what exporters ask of shapes that may hold a -1.
        if case .known(let y) = b, let least = a.lowerBound, least > y {
          return .known(Self.compare(least, y) ? 1 : 0)
        }
        if case .known(let x) = a, let least = b.lowerBound, least > x {
          return .known(Self.compare(x, least) ? 1 : 0)
        }
        return .unknown
      }
    ]
  }

  private static func compare(_ x: Int, _ y: Int) -> Bool {
    switch comparison {
    case .equal: x == y
    case .less: x < y
    case .lessOrEqual: x <= y
    case .greater: x > y
    case .greaterOrEqual: x >= y
    }
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let isEqual = if case .equal = Self.comparison { true } else { false }
    let a = try inputs.required(0, { isEqual || $0 != .bool }, "a number type")
    let b = try inputs.required(1, like: a.dtype)
    let output = try context.output(0, .bool, try inputs.broadcastShape(0..<2))
    if a.dtype == .string {
      try StringComparison.equal(a, b, into: output, context)
    } else {
      try Elementwise.compare(Self.comparison, a, b, into: output, context.workspace)
    }
    context.deliver(output)
  }
}

/// A == B; NaN equals nothing, strings are compared byte by byte. Source: ONNX Equal-19.
package struct Equal: ComparisonOperator {
  package static let schema = OperatorSchema.binary(
    "Equal", traits: [.anyElement, .elementwise, .inPlace(with: [0, 1])])
  package static let comparison = Comparison.equal
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// A < B. Source: ONNX Less-13.
package struct Less: ComparisonOperator {
  package static let schema = OperatorSchema.binary("Less", traits: [.elementwise])
  package static let comparison = Comparison.less
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// A <= B. Source: ONNX LessOrEqual-16.
package struct LessOrEqual: ComparisonOperator {
  package static let schema = OperatorSchema.binary("LessOrEqual", traits: [.elementwise])
  package static let comparison = Comparison.lessOrEqual
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// A > B. Source: ONNX Greater-13.
package struct Greater: ComparisonOperator {
  package static let schema = OperatorSchema.binary("Greater", traits: [.elementwise])
  package static let comparison = Comparison.greater
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// A >= B. Source: ONNX GreaterOrEqual-16.
package struct GreaterOrEqual: ComparisonOperator {
  package static let schema = OperatorSchema.binary("GreaterOrEqual", traits: [.elementwise])
  package static let comparison = Comparison.greaterOrEqual
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// An operator that asks each float whether it is special.
package protocol FloatTestOperator: Operator {
  /// nil: no value passes.
  var test: FloatTest? { get }
}

extension FloatTestOperator {
  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    [ValueType(dtype: .bool, shape: inputs.type(0)?.shape)]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let input = try inputs.floatOrFloat8(0)
    let output = try context.output(0, .bool, input.shape)
    if let test {
      try Elementwise.test(test, input, into: output, context.workspace)
    } else {
      Copying.zero(output)
    }
    context.deliver(output)
  }
}

/// Whether each element is NaN. Source: ONNX IsNaN-20.
package struct IsNaN: FloatTestOperator {
  package static let schema = OperatorSchema.unary(
    "IsNaN", traits: [.elementwise, .narrow(.carried)])
  package let test: FloatTest? = .isNaN
  package init(_ node: OperatorNode) throws(MartletError) {}
}

/// Whether each element is an infinity of the signs asked for. Source: ONNX IsInf-20.
package struct IsInf: FloatTestOperator {
  package static let schema = OperatorSchema.unary(
    "IsInf",
    attributes: [
      "detect_negative": "whether -Inf counts, 1", "detect_positive": "whether +Inf counts, 1",
    ], traits: [.elementwise, .narrow(.carried)])
  package let test: FloatTest?

  package init(_ node: OperatorNode) throws(MartletError) {
    switch (
      try node.attributes.bool("detect_negative", default: true),
      try node.attributes.bool("detect_positive", default: true)
    ) {
    case (true, true): test = .isInfinite
    case (true, false): test = .isNegativeInfinite
    case (false, true): test = .isPositiveInfinite
    case (false, false): test = nil
    }
  }
}
