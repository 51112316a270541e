import MartletCore
import MartletOperators
import Testing

@testable import MartletGraph

extension Tensor {
  /// A scalar.
  static func int64(_ value: Int) throws -> Tensor {
    let tensor = try Tensor(uninitialized: .int64, [])
    tensor.typed(Int64.self)[0] = Int64(value)
    return tensor
  }

  /// A scalar.
  static func flag(_ value: Bool) throws -> Tensor {
    let tensor = try Tensor(uninitialized: .bool, [])
    tensor.typed(UInt8.self)[0] = value ? 1 : 0
    return tensor
  }

  /// The elements in order, byte by byte.
  func bytes() throws -> [UInt8] {
    let dense = isContiguous ? self : try copied()
    return Array(
      UnsafeRawBufferPointer(start: dense.pointer, count: dense.byteCount))
  }

  static func floats(_ shape: [Int], _ values: [Float]) throws -> Tensor {
    let tensor = try Tensor(uninitialized: .float32, shape)
    for index in 0..<tensor.count { tensor.typed(Float.self)[index] = values[index % values.count] }
    return tensor
  }

  /// Reproducible values in -2..<2.
  static func noise(_ shape: [Int], seed: UInt64 = 1) throws -> Tensor {
    let tensor = try Tensor(uninitialized: .float32, shape)
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    for index in 0..<tensor.count {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      tensor.typed(Float.self)[index] = Float(state >> 40) / Float(1 << 22) - 2
    }
    return tensor
  }

  static func int64s(_ values: [Int]) throws -> Tensor {
    let tensor = try Tensor(uninitialized: .int64, [values.count])
    for (index, value) in values.enumerated() { tensor.typed(Int64.self)[index] = Int64(value) }
    return tensor
  }

  var floats: [Float] {
    guard let dense = isContiguous ? self : try? copied() else { return [] }
    return (0..<count).map { dense.typed(Float.self)[$0] }
  }
}

extension Graph {
  mutating func weight(_ name: String, _ shape: [Int], _ values: [Float]) throws -> ValueID {
    addConstant(name, try Tensor.floats(shape, values))
  }

  /// Adds a node with one output of its own name.
  mutating func node(
    _ operatorName: String, _ inputs: [ValueID?], _ attributes: [String: AttributeValue] = [:]
  ) -> ValueID {
    let name = "\(operatorName)\(nodes.count)"
    return addNode(
      OperatorTable.id(named: operatorName), name: name, inputs: inputs, outputs: [name],
      attributes: attributes)[0]
  }

  mutating func output(_ id: ValueID) {
    outputs.append(GraphOutput(name: values[id].name, value: id))
  }

  var operatorNames: [String] { nodes.map(\.op.description) }

  /// The graph after type inference and these passes.
  func after(_ passes: Pass...) throws -> Graph {
    var graph = self
    try graph.inferTypes()
    for pass in passes { try pass.apply(&graph) }
    DeadCode.remove(&graph)
    try graph.verify()
    try graph.expectRoundTrip()
    return graph
  }

  /// Checks that the text reads back as the same graph.
  func expectRoundTrip(sourceLocation: SourceLocation = #_sourceLocation) throws {
    let written = text
    let parsed = try Graph(parsing: written.text, constants: written.constants)
    #expect(parsed.text.text == written.text, sourceLocation: sourceLocation)
    #expect(parsed.isSame(as: self), "\(written.text)", sourceLocation: sourceLocation)
  }

  /// Whether both have the same nodes on the same values, but for how values are numbered.
  func isSame(as other: Graph) -> Bool {
    guard name == other.name, inputs.count == other.inputs.count,
      nodes.count == other.nodes.count, outputs.count == other.outputs.count
    else { return false }
    var ids: [ValueID: ValueID] = [:]
    func match(_ mine: ValueID, _ theirs: ValueID) -> Bool {
      if let known = ids[mine] { return known == theirs }
      ids[mine] = theirs
      let (a, b) = (values[mine], other.values[theirs])
      var (x, y) = (a.type, b.type)
      if let constant = x.constant, let otherConstant = y.constant {
        guard constant.isSameContent(as: otherConstant) else { return false }
      }
      (x.constant, y.constant) = (nil, nil)
      return a.name == b.name && x.isSame(as: y)
    }
    guard zip(inputs, other.inputs).allSatisfy(match) else { return false }
    for (node, otherNode) in zip(nodes, other.nodes) {
      guard node.name == otherNode.name, node.op == otherNode.op,
        node.fused == otherNode.fused, node.inputs.count == otherNode.inputs.count,
        node.outputs.count == otherNode.outputs.count,
        node.regions.count == otherNode.regions.count,
        node.attributes.count == otherNode.attributes.count
      else { return false }
      for (a, b) in zip(node.inputs, otherNode.inputs) {
        switch (a, b) {
        case (nil, nil): continue
        case (let a?, let b?): guard match(a, b) else { return false }
        default: return false
        }
      }
      for (a, b) in zip(node.regions, otherNode.regions) {
        guard a.name == b.name, a.captures.count == b.captures.count,
          zip(a.captures, b.captures).allSatisfy(match), a.graph.isSame(as: b.graph)
        else { return false }
      }
      guard zip(node.outputs, otherNode.outputs).allSatisfy(match) else { return false }
      for (name, value) in node.attributes {
        guard let otherValue = otherNode.attributes[name], value.isSame(as: otherValue) else {
          return false
        }
      }
    }
    return zip(outputs, other.outputs).allSatisfy {
      $0.name == $1.name && match($0.value, $1.value) && $0.declared.isSame(as: $1.declared)
    }
  }

  /// One run's results; two further runs, whose memory is laid out beforehand, must give the same.
  func run(_ inputs: [Tensor], mode: MathMode? = nil) throws -> [Tensor] {
    let executor = Executor(try Plan(self))
    var options = RunOptions()
    options.mode = mode
    let results = try executor.run(inputs, options: options)
    for _ in 0..<2 {
      for (first, again) in zip(results, try executor.run(inputs, options: options)) {
        #expect(first.shape == again.shape && first.dtype == again.dtype)
        #expect(try first.bytes() == again.bytes())
      }
    }
    return results
  }

  /// Checks that two graphs give the same results, within `tolerance` of the largest.
  func expectSame(
    as other: Graph, _ inputs: [Tensor], tolerance: Float = 1e-6,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    var reference = self
    try reference.inferTypes()
    let expected = try reference.run(inputs)
    let actual = try other.run(inputs)
    for (a, b) in zip(expected, actual) {
      #expect(a.shape == b.shape, sourceLocation: sourceLocation)
      let largest = a.floats.map(abs).max() ?? 0
      for (x, y) in zip(a.floats, b.floats) {
        #expect(abs(x - y) <= tolerance * max(largest, 1), sourceLocation: sourceLocation)
      }
    }
  }
}

extension Tensor {
  /// Equal dtype, shape and bits.
  func isSameContent(as other: Tensor) -> Bool {
    guard dtype == other.dtype, shape == other.shape else { return false }
    if dtype == .string {
      return strings.map { Array($0.utf8) } == other.strings.map { Array($0.utf8) }
    }
    guard let mine = try? copied(), let theirs = try? other.copied() else { return false }
    return UnsafeRawBufferPointer(start: mine.pointer, count: byteCount)
      .elementsEqual(
        UnsafeRawBufferPointer(start: theirs.pointer, count: byteCount))
  }
}

extension AttributeValue {
  func isSame(as other: AttributeValue) -> Bool {
    switch (self, other) {
    case (.int(let a), .int(let b)): a == b
    case (.float(let a), .float(let b)): a.bitPattern == b.bitPattern
    case (.string(let a), .string(let b)): Array(a.utf8) == Array(b.utf8)
    case (.ints(let a), .ints(let b)): a == b
    case (.floats(let a), .floats(let b)): a.map(\.bitPattern) == b.map(\.bitPattern)
    case (.strings(let a), .strings(let b)): a.map { Array($0.utf8) } == b.map { Array($0.utf8) }
    case (.tensor(let a), .tensor(let b)): a.isSameContent(as: b)
    case (.type(let a), .type(let b)): a == b
    default: false
    }
  }
}

/// The error that `body` throws; records an issue when it throws none.
func martletError(
  _ body: () throws -> Void, sourceLocation: SourceLocation = #_sourceLocation
) -> MartletError? {
  do {
    try body()
  } catch {
    if let known = error as? MartletError { return known }
    Issue.record("another error: \(error)", sourceLocation: sourceLocation)
    return nil
  }
  Issue.record("nothing was thrown", sourceLocation: sourceLocation)
  return nil
}
