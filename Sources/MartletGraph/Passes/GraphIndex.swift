import Glibc
import MartletCore
import MartletOperators

/// Which node makes and which nodes read each value, and questions that patterns ask of it. A
/// `GraphEditor` keeps it true.
struct GraphIndex {
  /// By value: the position of the node that makes it; nil for inputs and constants.
  private var makers: [Int?]
  /// By value: the positions of the nodes that read it, once for each time.
  private var readers: [[Int]]
  /// By value: how often it is an output of the graph.
  private let outputUses: [ValueID: Int]

  init(_ graph: Graph) {
    makers = [Int?](repeating: nil, count: graph.values.count)
    readers = [[Int]](repeating: [], count: graph.values.count)
    outputUses = graph.outputs.reduce(into: [:]) { $0[$1.value, default: 0] += 1 }
    for (position, node) in graph.nodes.enumerated() { insert(node, at: position) }
  }

  // MARK: - Asking

  /// The node that makes `id` as its first output, if it is of one of these operators (none given: of
  /// any).
  func producer(_ id: ValueID?, _ ops: OperatorID..., in graph: Graph) -> Node? {
    guard let id, let position = position(of: id) else { return nil }
    let node = graph.nodes[position]
    return (ops.isEmpty || ops.contains(node.op)) && node.outputs.first == id ? node : nil
  }

  /// The position of the node that makes `id`, or nil.
  func position(of id: ValueID) -> Int? { id < makers.count ? makers[id] : nil }

  /// The positions of the nodes that read `id`, once for each time.
  func readers(of id: ValueID) -> [Int] { id < readers.count ? readers[id] : [] }

  /// Whether anything reads `id` (the graph's outputs count as readers).
  func isRead(_ id: ValueID) -> Bool { !isRead(id, times: 0) }

  /// Whether one node alone reads `id` (the graph's outputs count as readers).
  func isReadOnce(_ id: ValueID) -> Bool { isRead(id, times: 1) }

  /// Whether `id` is read so often (the graph's outputs count as readers).
  func isRead(_ id: ValueID, times: Int) -> Bool {
    readers(of: id).count + (outputUses[id] ?? 0) == times
  }

  // MARK: - Keeping it true

  mutating func insert(_ node: Node, at position: Int) {
    for id in node.outputs {
      while makers.count <= id { makers.append(nil) }
      makers[id] = position
    }
    for id in node.reads {
      while readers.count <= id { readers.append([]) }
      readers[id].append(position)
    }
  }

  mutating func remove(_ node: Node, at position: Int) {
    for id in node.outputs where makers[id] == position { makers[id] = nil }
    for id in node.reads {
      if let place = readers[id].firstIndex(of: position) { readers[id].remove(at: place) }
    }
  }
}

extension Graph {
  /// The value of a float32 constant with one element.
  func scalar(_ id: ValueID?) -> Double? {
    guard let id, let constant = values[id].constant, constant.count == 1,
      constant.dtype == .float32
    else { return nil }
    return Double(constant.pointer.loadUnaligned(as: Float.self))
  }

  /// Of two inputs, one a scalar constant: the other and the scalar.
  ///
  /// The constant must not raise the rank of the result.
  func scalarOperand(_ node: Node) -> (value: ValueID, scalar: Double)? {
    guard node.inputs.count == 2 else { return nil }
    for (valueSlot, scalarSlot) in [(0, 1), (1, 0)] {
      if let value = node.inputs[valueSlot], let number = scalar(node.inputs[scalarSlot]),
        let constant = node.inputs[scalarSlot], keepsShape(of: value, with: constant)
      {
        return (value, number)
      }
    }
    return nil
  }

  /// Whether broadcasting a one-element constant against `id` leaves the shape of `id`.
  private func keepsShape(of id: ValueID, with constant: ValueID) -> Bool {
    let rank = values[constant].constant?.rank ?? 0
    return rank == 0 || values[id].type.shape.map { $0.count >= rank } ?? false
  }

  /// Whether `id` is float32, as far as is known.
  func isFloat32(_ id: ValueID?) -> Bool {
    id.map { values[$0].type.dtype == .float32 } ?? false
  }

  /// Whether both are known to have the same shape in every run.
  func haveSameShape(_ a: ValueID, _ b: ValueID) -> Bool {
    guard let x = values[a].type.shape, let y = values[b].type.shape else { return false }
    return x == y && !x.contains(.unknown)
  }

  /// The elements of a float32 constant in row-major order.
  func floats(_ id: ValueID?) -> [Float]? {
    guard let id, let constant = values[id].constant, constant.dtype == .float32,
      let dense = constant.isContiguous ? constant : try? constant.copied()
    else { return nil }
    return [Float](unsafeUninitializedCapacity: dense.count) { buffer, count in
      count = dense.count
      if let base = buffer.baseAddress, count > 0 { memcpy(base, dense.pointer, 4 * count) }
    }
  }

  mutating func addConstant(_ name: String, _ shape: [Int], _ elements: [Float])
    throws(MartletError) -> ValueID
  {
    let tensor = try Tensor(uninitialized: .float32, shape)
    elements.withUnsafeBytes { source in
      if let base = source.baseAddress { memcpy(tensor.pointer, base, source.count) }
    }
    return addConstant(name, tensor)
  }
}

extension Node {
  func input(_ index: Int) -> ValueID? { index < inputs.count ? inputs[index] : nil }

  func int(_ attribute: String, default fallback: Int) -> Int {
    if case .int(let value) = attributes[attribute] { value } else { fallback }
  }

  func float(_ attribute: String, default fallback: Float) -> Float {
    if case .float(let value) = attributes[attribute] { value } else { fallback }
  }

  /// This node turned into another operator that also does the work of `others`.
  func becoming(
    _ op: OperatorID, inputs: [ValueID?], attributes: [String: AttributeValue] = [:],
    absorbing others: [Node] = []
  ) -> Node {
    var node = self
    node.op = op
    node.inputs = inputs
    node.attributes = attributes
    for other in others { node.fused += [other.name] + other.fused }
    return node
  }
}
