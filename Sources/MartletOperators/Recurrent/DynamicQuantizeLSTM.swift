import MartletBackends
import MartletCore

/// LSTM with weights of 8-bit integers: X is quantised to uint8 by its own range as a whole, each row's
/// state anew in each step by its own; sums are exact in int32, all else is float32.
///
/// As LSTM, but W [directions, input, 4·H] and R [directions, H, 4·H] are int8 or uint8, each with
/// scales and zero points [directions] or [directions, 4·H]. A row's steps do not depend on the others
/// beyond the range of X. Complexity: 2·steps·batch·4·H·(input + H) integer operations per direction.
/// Source: com.microsoft DynamicQuantizeLSTM of ONNX Runtime 1.32.
package struct DynamicQuantizeLSTM: PreparingOperator {
  package static let schema = OperatorSchema(
    name: "DynamicQuantizeLSTM", domain: OperatorID.microsoftDomain,
    inputs: [
      "X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P", "W_scale",
      "W_zero_point", "R_scale", "R_zero_point",
    ], outputs: ["Y", "Y_h", "Y_c"],
    attributes: LSTM.schema.attributes.filter { $0.key != "layout" })

  private let cell: RecurrentCell
  private let attributes: RecurrentAttributes
  private let outputCount: Int
  /// By input, W and R, and direction, where they are constants.
  private let panels: [[PackedIntegerWeight]?]

  package init(_ node: OperatorNode) throws(MartletError) {
    cell = .lstm(couplesGates: try node.attributes.bool("input_forget", default: false))
    attributes = try RecurrentAttributes(
      node.attributes, defaults: ["Sigmoid", "Tanh", "Tanh"])
    outputCount = min(max(node.outputCount, 1), Self.schema.outputs.count)
    let directions = attributes.directions
    panels = (1...2).map { index in
      node.constant(index).map { _ in
        (0..<directions).map { _ in PackedIntegerWeight(node.prepared) }
      }
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let shapes = try RecurrentShapes(
      inputs, Self.schema, attributes, gates: cell.gateCount, hasQuantizedWeights: true)
    return shapes.outputs.prefix(outputCount).map { ValueType(dtype: .float32, shape: $0) }
  }

  package func prepare(
    _ inputs: [ValueType?], _ preparation: Preparation
  ) throws(MartletError) -> [Int] {
    var replaced: [Int] = []
    for index in 1...2 {
      guard let panels = panels[index - 1], let weight = inputs.type(index)?.constant,
        weight.rank == 3, weight.count > 0, weight.dtype == .int8 || weight.dtype == .uint8,
        weight.shape[0] == attributes.directions
      else { continue }
      var isPacked = true
      for (direction, panel) in panels.enumerated() {
        let matrix = weight.selected(axis: 0, direction)
        if try panel.matrix(matrix, preparation.pool) == nil { isPacked = false }
      }
      if isPacked { replaced.append(index) }
    }
    return replaced
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    _ = try inputs.required(0, like: .float32)
    for index in 1...2 { _ = try inputs.byte(index) }
    let types = (0..<inputs.count).map { index in
      inputs.optional(index).map { ValueType(dtype: $0.dtype, shape: $0.shape.map { .known($0) }) }
    }
    let shapes = try RecurrentShapes(
      types, Self.schema, attributes, gates: cell.gateCount, hasQuantizedWeights: true)
    let lengths = try inputs.optionalIntegers(4, context)
    if let lengths { try shapes.check(lengths) }
    let call = try RecurrentCall(
      inputs, shapes, attributes, outputCount: outputCount, hasCells: true, context)
    let range = try DynamicRange(call.rows, context)
    let codes = try context.scratch(.uint8, call.rows.shape)
    range.quantize(
      UnsafePointer(call.rows.typed(Float.self)), call.rows.count, into: codes.pointer,
      pool: context.pool)
    for direction in 0..<attributes.directions {
      let w = try weight(1, direction, inputs, context)
      let gates = try product(codes, range, w, call.bias(direction), call.width, context)
      var problem = RecurrentProblem(
        cell: cell, activations: attributes.activations[direction],
        gates: try gates.reshaped(call.x.shape.dropLast() + [4 * call.width]),
        weights: [try weight(2, direction, inputs, context)],
        hidden: call.hidden.selected(axis: 0, direction), mode: context.mode)
      problem.cells = call.cells?.selected(axis: 0, direction)
      problem.output = call.y.selected(axis: 1, direction)
      problem.isReverse = attributes.isReverse[direction]
      problem.clip = attributes.clip
      problem.lengths = lengths
      problem.peepholes = call.peepholes?.selected(axis: 0, direction)
      if let execution = try Backends.run(problem, context.workspace) { context.note(execution) }
    }
    try call.deliver(context)
  }

  /// Input `index`, W or R, of a direction.
  private func weight(
    _ index: Int, _ direction: Int, _ inputs: Inputs, _ context: RunContext
  ) throws(MartletError) -> RecurrentProblem.Weight {
    let whole = try inputs.byte(index)
    let matrix = whole.selected(axis: 0, direction)
    let place = index == 1 ? 8 : 10
    func parameter(_ index: Int, _ dtype: DType) throws(MartletError) -> Tensor {
      let tensor = try inputs.required(index, like: dtype == .float32 ? dtype : whole.dtype)
      let (directions, columns) = (attributes.directions, matrix.shape[1])
      guard tensor.shape == [directions] || tensor.shape == [directions, columns] else {
        throw .shape(
          Self.schema.name, inputs.name(index),
          expected: "[\(directions)] or [\(directions), \(columns)]",
          actual: Shape.text(tensor.shape), input: inputs.name(index))
      }
      let dense = try context.dense(tensor, dtype)
      return dense.selected(axis: 0, direction)
    }
    return RecurrentProblem.Weight(
      matrix: matrix, packed: nil,
      quantization: RecurrentProblem.Quantization(
        scales: try parameter(place, .float32), zeros: try parameter(place + 1, .int32),
        packed: try panels[index - 1]?[direction].matrix(matrix, context.pool)))
  }

  /// The inputs' part of the gates, [steps · batch, 4·H], with both biases.
  private func product(
    _ codes: Tensor, _ range: DynamicRange, _ weight: RecurrentProblem.Weight, _ bias: Tensor?,
    _ width: Int, _ context: RunContext
  ) throws(MartletError) -> Tensor {
    let (matrix, columns) = (weight.matrix, weight.matrix.shape[1])
    let result = try context.scratch(.float32, [codes.shape[0], columns])
    guard let quantization = weight.quantization else { return result }
    var problem = IntegerProblem(
      m: codes.shape[0], n: columns, k: codes.shape[1],
      lhs: MatrixView(codes.pointer, .uint8, rowStride: codes.shape[1]),
      rhs: MatrixView(
        matrix.pointer, matrix.dtype, rowStride: matrix.strides[0],
        columnStride: matrix.strides[1]),
      dst: MatrixView(result.pointer, .float32, rowStride: columns))
    problem.packedRHS = quantization.packed
    problem.lhsZero = .one(range.zero)
    let zeros = UnsafePointer(quantization.zeros.typed(Int32.self))
    problem.rhsZero = quantization.zeros.count == 1 ? .one(zeros.pointee) : .each(zeros)
    let scales = UnsafePointer(quantization.scales.typed(Float.self))
    problem.epilogue.scale = range.scale
    if quantization.scales.count == 1 {
      problem.epilogue.scale *= scales.pointee
    } else {
      problem.epilogue.columnScale = scales
    }
    if let bias {
      let sum = try context.scratch(.float32, [columns])
      try Elementwise.binary(
        .add, bias.sliced(axis: 0, start: 0, count: columns, step: 1),
        bias.sliced(axis: 0, start: columns, count: columns, step: 1), into: sum,
        context.workspace)
      problem.epilogue.columnAddend = UnsafePointer(sum.typed(Float.self))
    }
    context.note(try Backends.multiply([problem], pool: context.pool))
    return result
  }
}
