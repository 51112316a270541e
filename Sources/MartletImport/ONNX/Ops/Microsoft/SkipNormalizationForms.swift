import MartletCore
import MartletGraph
import MartletOperators

/// SkipLayerNormalization and SkipSimplifiedLayerNormalization: a sum, then LayerNormalization or
/// RMSNormalization over the last axis. 16-bit floats are computed in float32 and rounded once.
///
/// Source: com.microsoft of ONNX Runtime 1.32.
enum SkipNormalizationForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    let isSimplified = node.op.name == "SkipSimplifiedLayerNormalization"
    let epsilon = try node.takeFloat("epsilon") ?? 1e-12
    try node.checkAllTaken()
    let input = try node.required(0, "input")
    let skip = try node.required(1, "skip")
    if let rank = converter.rank(of: skip), rank < 2 {
      throw node.error(.invalidModel, "input 'skip' is of rank \(rank), expected 2 or 3")
    }
    var sum = try converter.widened(input, for: node)
    for case let term? in [skip, node.input(isSimplified ? 3 : 4)] {
      let term = try converter.widened(term, for: node)
      sum = try converter.emitInner("Add", [sum, term], for: node)
    }
    let scale = try converter.widened(try node.required(2, "gamma"), for: node)
    if isSimplified {
      let y = try converter.emitInner(
        "RMSNormalization", [sum, scale], ["epsilon": .float(epsilon)], for: node)
      try converter.emitNarrowed(y, like: input, output: 0, for: node)
      try statistics(of: sum, epsilon, &converter, node)
    } else {
      let shift = try node.input(3).map { beta throws(MartletError) in
        try converter.widened(beta, for: node)
      }
      let hasStatistics = node.isWanted(1) || node.isWanted(2)
      let results = try converter.emitInner(
        "LayerNormalization", [sum, scale, shift], ["epsilon": .float(epsilon)],
        outputs: hasStatistics ? 3 : 1, for: node)
      try converter.emitNarrowed(results[0], like: input, output: 0, for: node)
      for (index, result) in results.enumerated().dropFirst() {
        converter.bind(node, output: index, to: result)
      }
    }
    try converter.emitNarrowed(sum, like: input, output: 3, for: node)
  }

  /// The mean, which is 0, and 1 / rms, where somebody wants them.
  private static func statistics(
    of x: ValueID, _ epsilon: Float, _ converter: inout ONNXConverter, _ node: ImportedNode
  ) throws(MartletError) {
    guard node.isWanted(1) || node.isWanted(2) else { return }
    let inverse = try inverseRMS(x, axes: [-1], epsilon, &converter, node)
    converter.bind(node, output: 2, to: inverse)
    let shape = try converter.shape(inverse, for: node)
    try converter.emit("ConstantOfShape", [shape], output: 1, for: node)
  }

  /// 1 / sqrt(mean of squares + epsilon) over `axes`, which stay with extent 1.
  static func inverseRMS(
    _ x: ValueID, axes: [Int], _ epsilon: Float, _ converter: inout ONNXConverter,
    _ node: ImportedNode
  ) throws(MartletError) -> ValueID {
    let squares = try converter.emitInner("Mul", [x, x], for: node)
    let mean = try converter.emitInner(
      "ReduceMean", [squares, try converter.constant(axes, for: node)], for: node)
    let addend = try converter.scalar(epsilon, like: mean, for: node)
    let sum = try converter.emitInner("Add", [mean, addend], for: node)
    let root = try converter.emitInner("Sqrt", [sum], for: node)
    return try converter.emitInner("Reciprocal", [root], for: node)
  }
}

/// SimplifiedLayerNormalization, which ONNX Runtime puts into ONNX's own domain: RMSNormalization with
/// a second output.
enum SimplifiedLayerNormalizationForms {
  static func convert(_ converter: inout ONNXConverter, _ node: ImportedNode) throws(MartletError) {
    var node = node
    let axis = try node.takeInt("axis") ?? -1
    let epsilon = try node.takeFloat("epsilon") ?? 1e-5
    _ = try node.takeInt("stash_type")
    try node.checkAllTaken()
    var input = try node.required(0, "X")
    var scale = try node.required(1, "scale")
    // The result is of the scale's type, whatever X is.
    let type = converter.dtype(of: scale)
    if let type, let other = converter.dtype(of: input), type != other {
      input = try converter.cast(try converter.widened(input, for: node), to: .float32, for: node)
      scale = try converter.cast(scale, to: .float32, for: node)
      let y = try converter.emitInner(
        "RMSNormalization", [input, scale], ["axis": .int(axis), "epsilon": .float(epsilon)],
        for: node)
      try converter.emit("Cast", [y], ["to": .int(Int(type.rawValue))], output: 0, for: node)
    } else {
      try converter.emit(
        "RMSNormalization", [input, scale], ["axis": .int(axis), "epsilon": .float(epsilon)],
        output: 0, for: node)
    }
    guard node.isWanted(1) else { return }
    let rank = try converter.knownRank(of: input, "X", for: node)
    let first = try Shape.normalizedAxis(axis, rank: rank, operatorName: node.op.name)
    let x = try converter.widened(input, for: node)
    let inverse = try SkipNormalizationForms.inverseRMS(
      x, axes: Array(first..<rank), epsilon, &converter, node)
    converter.bind(node, output: 1, to: inverse)
  }
}
