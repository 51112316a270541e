import MartletCore
import MartletOperators

/// Folds what scales and shifts a convolution's channels into its weights and bias:
/// BatchNormalization, a product with and a sum of a constant per channel.
enum ConvolutionFolding {
  static let pass = Pass("convolution-folding") { graph throws(MartletError) in
    try GraphEditor.edit(&graph) { editor throws(MartletError) in
      // A folded convolution may be followed by a further step.
      for position in editor.positions where editor.isLive(position) {
        let node = editor.graph.nodes[position]
        guard let (input, step) = step(node, editor.graph),
          let convolution = editor.index.producer(input, "Conv", in: editor.graph),
          editor.index.isReadOnce(input),
          let folded = try fold(step, into: convolution, node, &editor)
        else { continue }
        try editor.replace(position, with: folded)
      }
    }
  }

  /// y = x * scale + shift per channel; a nil list leaves as it is.
  private struct Step {
    var scale: [Float]?
    var shift: [Float]?
  }

  private static func step(_ node: Node, _ graph: Graph) -> (ValueID, Step)? {
    switch node.op {
    case "BatchNormalization":
      guard let x = node.input(0), let scale = graph.floats(node.input(1)),
        let bias = graph.floats(node.input(2)), let mean = graph.floats(node.input(3)),
        let variance = graph.floats(node.input(4)), scale.count == bias.count,
        scale.count == mean.count, scale.count == variance.count, node.outputs.count == 1,
        node.int("training_mode", default: 0) == 0
      else { return nil }
      let epsilon = Double(node.float("epsilon", default: 1e-5))
      let factors = zip(scale, variance).map { Double($0) / (Double($1) + epsilon).squareRoot() }
      let shifts = scale.indices.map { Double(bias[$0]) - Double(mean[$0]) * factors[$0] }
      return (x, Step(scale: factors.map { Float($0) }, shift: shifts.map { Float($0) }))
    case "Mul", "Add":
      for (first, second) in [(0, 1), (1, 0)] {
        guard let x = node.input(first), let vector = channelVector(node.input(second), x, graph)
        else { continue }
        return (
          x, node.op == "Mul" ? Step(scale: vector) : Step(shift: vector)
        )
      }
      return nil
    default: return nil
    }
  }

  /// A constant of shape [1, C, 1, …] or [C, 1, …] against x of rank R, or one element.
  private static func channelVector(_ id: ValueID?, _ x: ValueID, _ graph: Graph) -> [Float]? {
    guard let id, let constant = graph.values[id].constant, let shape = graph.values[x].type.shape,
      constant.rank <= shape.count, shape.count >= 3
    else { return nil }
    let padded = [Int](repeating: 1, count: shape.count - constant.rank) + constant.shape
    for (axis, extent) in padded.enumerated() where axis != 1 && extent != 1 { return nil }
    return graph.floats(id)
  }

  private static func fold(_ step: Step, into node: Node, _ last: Node, _ editor: inout GraphEditor)
    throws(MartletError) -> Node?
  {
    guard let weightID = node.input(1), let weights = editor.graph.values[weightID].constant,
      weights.dtype == .float32, weights.rank >= 3, weights.shape[0] > 0
    else { return nil }
    let shape = weights.shape
    let channels = shape[0]
    var bias = [Float](repeating: 0, count: channels)
    if let id = node.input(2) {
      guard let given = editor.graph.floats(id), given.count == channels else { return nil }
      bias = given
    }
    func perChannel(_ values: [Float]) -> [Float]? {
      if values.count == channels { return values }
      return values.count == 1 ? [Float](repeating: values[0], count: channels) : nil
    }
    var newWeights: ValueID = weightID
    if let scale = step.scale {
      guard let scale = perChannel(scale) else { return nil }
      let scaled = try weights.copied()
      let size = weights.count / channels
      let elements = scaled.typed(Float.self)
      for channel in 0..<channels {
        let factor = scale[channel]
        for element in channel * size..<(channel + 1) * size { elements[element] *= factor }
        bias[channel] *= factor
      }
      newWeights = editor.addConstant(editor.graph.values[weightID].name, scaled)
    }
    if let shift = step.shift {
      guard let shift = perChannel(shift) else { return nil }
      for channel in 0..<channels { bias[channel] += shift[channel] }
    }
    let newBias = try editor.addConstant("\(node.name)/bias", [channels], bias)
    var folded = node
    folded.inputs = [node.input(0), newWeights, newBias]
    folded.outputs = last.outputs
    folded.fused += [last.name] + last.fused
    return folded
  }
}
