import MartletCore
import MartletOperators

/// What a caller hands to a run, held against what the graph says.
extension Plan {
  /// What a tensor for an input must be, so that it is found right quickly; what is wrong is put into
  /// words by `checkInputs`.
  struct InputCheck: Sendable {
    enum Axis: Sendable, Equatable {
      case any
      case known(Int)
      /// A symbol's number among those of all inputs.
      case symbol(Int)
    }

    let dtype: DType
    let axes: [Axis]
  }

  /// By input of the graph, where it is a tensor whose dtype and rank are known; and how many symbols
  /// they speak of.
  static func inputChecks(_ graph: Graph) -> (checks: [InputCheck?], symbols: Int) {
    var symbols: [String: Int] = [:]
    let checks = graph.inputs.map { id -> InputCheck? in
      let type = graph.values[id].type
      guard type.compound == nil, let dtype = type.dtype, let shape = type.shape else { return nil }
      let axes = shape.map { dimension -> InputCheck.Axis in
        switch dimension {
        case .unknown, .expression: return .any
        case .known(let extent): return .known(extent)
        case .symbol(let name):
          let number = symbols[name] ?? symbols.count
          symbols[name] = number
          return .symbol(number)
        }
      }
      return InputCheck(dtype: dtype, axes: axes)
    }
    return (checks, symbols.count)
  }

  /// Whether all inputs are tensors that are surely right.
  private func areRight(_ inputs: [Value]) -> Bool {
    guard inputs.count == inputChecks.count else { return false }
    return withUnsafeTemporaryAllocation(of: Int.self, capacity: symbolCount) { extents in
      extents.initialize(repeating: -1)
      for index in inputs.indices {
        guard case .tensor(let tensor) = inputs[index], let check = inputChecks[index],
          tensor.dtype == check.dtype, tensor.rank == check.axes.count
        else { return false }
        for axis in check.axes.indices {
          let extent = tensor.layout.shape[axis]
          switch check.axes[axis] {
          case .any: continue
          case .known(let wanted): if extent != wanted { return false }
          case .symbol(let number):
            if extents[number] >= 0, extents[number] != extent { return false }
            extents[number] = extent
          }
        }
      }
      return true
    }
  }

  /// Checks number, dtypes and shapes of the inputs; equal symbols must have equal extents.
  func checkInputs(_ inputs: [Value]) throws(MartletError) {
    if areRight(inputs) { return }
    try checkCount(inputs.count)
    for (id, value) in zip(graph.inputs, inputs) {
      let (name, type) = (graph.values[id].name, graph.values[id].type)
      if case .state(let state) = value {
        do throws(MartletError) { try state.checkCurrent() } catch {
          var error = error
          error.input = name
          throw error
        }
      }
      guard let tensor = value.tensor, type.compound == nil else {
        try checkKind(value, type, of: name)
        continue
      }
      if let dtype = type.dtype, dtype != tensor.dtype {
        let actual = "\(tensor.dtype)\(Shape.text(tensor.shape))"
        throw MartletError(
          .invalidDType, "input '\(name)': expected \(type.text), got \(actual)", input: name,
          expected: type.text, actual: actual)
      }
    }
    var extents: [String: (extent: Int, input: String)] = [:]
    for (id, value) in zip(graph.inputs, inputs) {
      guard let tensor = value.tensor else { continue }
      try check(id, tensor.shape, &extents) { "\(tensor.dtype)\(Shape.text(tensor.shape))" }
    }
  }

  /// Checks number and shapes of inputs that are yet to come.
  func checkShapes(_ shapes: [[Int]]) throws(MartletError) {
    try checkCount(shapes.count)
    var extents: [String: (extent: Int, input: String)] = [:]
    for (id, shape) in zip(graph.inputs, shapes) {
      _ = try Shape.elementCount(shape)
      try check(id, shape, &extents) { Shape.text(shape) }
    }
  }

  private func checkCount(_ count: Int) throws(MartletError) {
    guard count == graph.inputs.count else {
      throw MartletError(
        .invalidArgument, "expected \(graph.inputs.count) inputs, got \(count)",
        expected: "\(graph.inputs.count) inputs", actual: "\(count)")
    }
  }

  private func check(
    _ id: ValueID, _ given: [Int], _ extents: inout [String: (extent: Int, input: String)],
    actual: () -> String
  ) throws(MartletError) {
    let (name, type) = (graph.values[id].name, graph.values[id].type)
    guard let shape = type.shape else { return }
    guard shape.count == given.count else {
      throw MartletError(
        .invalidShape,
        "input '\(name)': expected \(type.text) of \(shape.count) dimensions, got \(actual())",
        input: name, expected: type.text, actual: actual())
    }
    for (axis, (dimension, extent)) in zip(shape, given).enumerated() {
      switch dimension {
      case .unknown, .expression: continue
      case .known(let wanted):
        guard wanted == extent else {
          throw MartletError(
            .invalidShape,
            "input '\(name)': expected \(type.text), got \(actual()) (axis \(axis): \(extent) instead of \(wanted))",
            input: name, expected: type.text, actual: actual())
        }
      case .symbol(let symbol):
        guard let earlier = extents[symbol] else {
          extents[symbol] = (extent, name)
          continue
        }
        guard earlier.extent == extent else {
          throw MartletError(
            .invalidShape,
            "input '\(name)': '\(symbol)' (axis \(axis)) is \(extent), but \(earlier.extent) in input '\(earlier.input)'",
            input: name, expected: "\(symbol) = \(earlier.extent)", actual: "\(extent)")
        }
      }
    }
  }

  /// Checks an input that is no tensor, or should be none.
  private func checkKind(_ value: Value, _ type: ValueType, of name: String) throws(MartletError) {
    guard !value.agrees(with: type.kind) else { return }
    let actual = value.kind.text
    throw MartletError(
      .invalidArgument, "input '\(name)': expected \(type.text), got \(actual)", input: name,
      expected: type.text, actual: actual)
  }

  /// What a run may write its outputs to; checks number, dtypes and, as far as known, shapes too.
  func destinations(_ given: [Tensor?]) throws(MartletError) -> Destinations {
    guard given.contains(where: { $0 != nil }) else { return .none }
    guard given.count <= graph.outputs.count else {
      throw MartletError(
        .invalidArgument,
        "\(given.count) destinations were given for \(graph.outputs.count) outputs",
        expected: "at most \(graph.outputs.count)", actual: "\(given.count)")
    }
    for case (let index, let destination?) in given.enumerated() {
      let (name, type) = (graph.outputs[index].name, graph.values[graph.outputs[index].value].type)
      guard type.compound == nil, type.dtype != .string else {
        throw MartletError(
          .invalidArgument,
          "output '\(name)' is \(type.text), which cannot be written into a given tensor",
          input: name, expected: "no destination", actual: "a tensor")
      }
      let fits =
        type.shape.map { shape in
          shape.count == destination.rank
            && zip(shape, destination.shape).allSatisfy { dimension, extent in
              if case .known(let wanted) = dimension { wanted == extent } else { true }
            }
        } ?? true
      guard fits, type.dtype == nil || type.dtype == destination.dtype else {
        let actual = "\(destination.dtype)\(Shape.text(destination.shape))"
        throw MartletError(
          type.dtype == nil || type.dtype == destination.dtype ? .invalidShape : .invalidDType,
          "output '\(name)' is \(type.text), but its destination is \(actual)",
          input: name, expected: type.text, actual: actual)
      }
    }
    return try Destinations(given) { graph.outputs[$0].name }
  }
}
