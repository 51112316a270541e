import MartletCore
import MartletOperators

/// What a caller hands to a run, held against what the graph says.
extension Plan {
  /// What an extent of an input must be.
  enum InputExtent: Sendable {
    case any
    case known(Int)
    /// As every other extent of this symbol, which has a number among those of all inputs.
    case symbol(Int)
  }

  /// By input of the graph its extents, nil where not even the rank is known; and how many symbols they
  /// speak of. With numbers for symbols a run looks up no names.
  static func inputExtents(_ graph: Graph) -> (extents: [[InputExtent]?], symbolCount: Int) {
    var symbols: [String: Int] = [:]
    let extents = graph.inputs.map { id in
      graph.values[id].type.shape?.map { dimension -> InputExtent in
        switch dimension {
        case .unknown, .expression: return .any
        case .known(let extent): return .known(extent)
        case .symbol(let name):
          let number = symbols[name] ?? symbols.count
          symbols[name] = number
          return .symbol(number)
        }
      }
    }
    return (extents, symbols.count)
  }

  /// The first extent that was met of a symbol, and the input that has it.
  private typealias Met = (extent: Int, input: Int)

  /// Checks number, dtypes and shapes of the inputs; equal symbols must have equal extents.
  ///
  /// `loosely`, they need not, and a scalar may be a tensor: as the graph with `loosenInputs` has it.
  package func checkInputs(_ inputs: [Value], loosely: Bool = false) throws(MartletError) {
    try checkCount(inputs.count)
    for index in inputs.indices {
      if case .tensor(let tensor) = inputs[index], tensor.dtype == inputTypes[index] { continue }
      try checkType(inputs[index], graph.inputs[index])
    }
    var met = [Met?](repeating: nil, count: symbolCount)
    for index in inputs.indices {
      guard let tensor = inputs[index].tensor else { continue }
      try check(index, tensor.layout.shape, &met, loosely) {
        "\(tensor.dtype)\(Shape.text(tensor.shape))"
      }
    }
  }

  /// Checks number and shapes of inputs that are yet to come; `loosely` as `checkInputs`.
  package func checkShapes(_ shapes: [[Int]], loosely: Bool = false) throws(MartletError) {
    try checkCount(shapes.count)
    var met = [Met?](repeating: nil, count: symbolCount)
    for (index, shape) in shapes.enumerated() {
      _ = try Shape.elementCount(shape)
      try check(index, shape, &met, loosely) { Shape.text(shape) }
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
    _ index: Int, _ given: [Int], _ met: inout [Met?], _ loosely: Bool, actual: () -> String
  ) throws(MartletError) {
    guard let wanted = inputExtents[index], !(loosely && wanted.isEmpty) else { return }
    func refused(_ detail: String, expected: String? = nil, actual: String) -> MartletError {
      let value = graph.values[graph.inputs[index]]
      return MartletError(
        .invalidShape, "input '\(value.name)': \(detail)", input: value.name,
        expected: expected ?? value.type.text, actual: actual)
    }
    var type: String { graph.values[graph.inputs[index]].type.text }
    guard wanted.count == given.count else {
      throw refused(
        "expected \(type) of \(wanted.count) dimensions, got \(actual())", actual: actual())
    }
    for axis in wanted.indices {
      let extent = given[axis]
      switch wanted[axis] {
      case .any: continue
      case .known(let known):
        guard known == extent else {
          throw refused(
            "expected \(type), got \(actual()) (axis \(axis): \(extent) instead of \(known))",
            actual: actual())
        }
      case .symbol(let number):
        guard !loosely, let earlier = met[number] else {
          met[number] = (extent, index)
          continue
        }
        guard earlier.extent == extent else {
          let symbol = graph.values[graph.inputs[index]].type.shape?[axis].description ?? ""
          let other = graph.values[graph.inputs[earlier.input]].name
          throw refused(
            "'\(symbol)' (axis \(axis)) is \(extent), but \(earlier.extent) in input '\(other)'",
            expected: "\(symbol) = \(earlier.extent)", actual: "\(extent)")
        }
      }
    }
  }

  /// Checks all but the extents of an input.
  private func checkType(_ value: Value, _ id: ValueID) throws(MartletError) {
    let (name, type) = (graph.values[id].name, graph.values[id].type)
    if case .state(let state) = value {
      do throws(MartletError) { try state.checkCurrent() } catch {
        var error = error
        error.input = name
        throw error
      }
    }
    guard let tensor = value.tensor, type.compound == nil else {
      return try checkKind(value, type, of: name)
    }
    guard let dtype = type.dtype, dtype != tensor.dtype else { return }
    let actual = "\(tensor.dtype)\(Shape.text(tensor.shape))"
    throw MartletError(
      .invalidDType, "input '\(name)': expected \(type.text), got \(actual)", input: name,
      expected: type.text, actual: actual)
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
