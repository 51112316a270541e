import MartletBackends
import MartletCore

/// What LSTM, GRU and RNN are: the inputs' product for all steps at once, then each direction's steps.
///
/// Inputs are X, W, R, B, sequence_lens, initial_h, initial_c, P; outputs Y, Y_h, Y_c. 16-bit floats
/// are computed in float32 and rounded once, on their way out.
package struct RecurrentLayers: SharedWork {
  private let schema: OperatorSchema
  private let cell: RecurrentCell
  private let attributes: RecurrentAttributes
  private let weights: RecurrentWeights
  private let outputCount: Int

  init(
    _ schema: OperatorSchema, _ cell: RecurrentCell, _ attributes: RecurrentAttributes,
    _ node: OperatorNode
  ) throws(MartletError) {
    self.schema = schema
    self.cell = cell
    self.attributes = attributes
    weights = RecurrentWeights(node, cell, directions: attributes.directions)
    outputCount = min(max(node.outputCount, 1), schema.outputs.count)
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let shapes = try RecurrentShapes(inputs, schema, attributes, gates: cell.gateCount)
    let dtype = inputs.type(0)?.dtype ?? inputs.type(1)?.dtype ?? inputs.type(2)?.dtype
    return shapes.outputs.prefix(outputCount).map { ValueType(dtype: dtype, shape: $0) }
  }

  package func prepare(
    _ inputs: [ValueType?], _ preparation: Preparation
  ) throws(MartletError) -> [Int] {
    try weights.prepare(inputs, directions: attributes.directions, preparation)
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try inputs.float(0)
    for index in 1...2 { _ = try inputs.required(index, like: x.dtype) }
    let types = (0..<inputs.count).map { index in
      inputs.optional(index).map { ValueType(dtype: $0.dtype, shape: $0.shape.map { .known($0) }) }
    }
    let shapes = try RecurrentShapes(types, schema, attributes, gates: cell.gateCount)
    let lengths = try inputs.optionalIntegers(4, context)
    if let lengths { try shapes.check(lengths) }
    let call = try RecurrentCall(
      inputs, shapes, attributes, outputCount: outputCount, hasCells: schema.outputs.count > 2,
      context)
    let w = try weights.tensor(1, try inputs.required(1), context)
    let r = try weights.tensor(2, try inputs.required(2), context)
    for direction in 0..<attributes.directions {
      var problem = RecurrentProblem(
        cell: cell, activations: attributes.activations[direction],
        gates: try gates(
          call, try weights.input(w, direction: direction, context), direction, context),
        weights: try weights.state(
          r, direction: direction, isReused: call.steps > 1, context),
        hidden: call.hidden.selected(axis: 0, direction), mode: context.mode)
      problem.cells = call.cells?.selected(axis: 0, direction)
      problem.output = try call.stepMajor(
        call.y.selected(axis: call.isBatchFirst ? 2 : 1, direction))
      problem.isReverse = attributes.isReverse[direction]
      problem.clip = attributes.clip
      problem.lengths = lengths
      if cell == .gru(resetsProduct: true) {
        problem.productBias = call.bias(direction)?.sliced(
          axis: 0, start: 5 * call.width, count: call.width, step: 1)
      }
      problem.peepholes = call.peepholes?.selected(axis: 0, direction)
      if let execution = try Backends.run(problem, context.workspace) { context.note(execution) }
    }
    try call.deliver(context)
  }

  /// The inputs' part of the gates, [steps, batch, G·H].
  private func gates(
    _ call: RecurrentCall, _ weight: RecurrentProblem.Weight, _ direction: Int,
    _ context: RunContext
  ) throws(MartletError) -> Tensor {
    var product = try MatrixProduct(schema.name, lhs: call.rows, rhs: weight.matrix)
    product.packed = weight.packed
    if let bias = try sum(call.bias(direction), call.width, context) {
      product.terms = [MatrixProduct.Term(tensor: bias, factor: 1)]
    }
    let result = try context.scratch(call.dtype, [call.rows.shape[0], weight.matrix.shape[1]])
    try product.run(into: result, context)
    return try call.stepMajor(result.reshaped(call.x.shape.dropLast() + [weight.matrix.shape[1]]))
  }

  /// [G·H]: the biases of W and R together, but for that of R which a GRU resets.
  private func sum(
    _ bias: Tensor?, _ width: Int, _ context: RunContext
  ) throws(MartletError) -> Tensor? {
    guard let bias else { return nil }
    let count = cell.gateCount * width
    let shared = cell == .gru(resetsProduct: true) ? count - width : count
    func part(_ start: Int, _ count: Int) -> Tensor {
      bias.sliced(axis: 0, start: start, count: count, step: 1)
    }
    let result = try context.scratch(bias.dtype, [count])
    try Elementwise.binary(
      .add, part(0, shared), part(count, shared),
      into: result.sliced(axis: 0, start: 0, count: shared, step: 1), context.workspace)
    if shared < count {
      Copying.copy(
        part(shared, count - shared),
        into: result.sliced(axis: 0, start: shared, count: count - shared, step: 1),
        context.workspace)
    }
    return result
  }
}
