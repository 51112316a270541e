import MartletCore
import MartletOperators

@testable import MartletGraph

/// Reproducible small numbers.
struct RandomSource {
  private var state: UInt64

  init(seed: Int) { state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 | 1 }

  mutating func bits() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state >> 24
  }

  /// Below `bound`.
  mutating func next(_ bound: Int) -> Int { Int(bits() % UInt64(max(bound, 1))) }
}

/// Graphs of operators that do not exist, with everything that a graph can have.
struct RandomGraph {
  private var random: RandomSource

  init(seed: Int) { random = RandomSource(seed: seed) }

  private mutating func name() -> String {
    let scalars = Array("ab_.%\"\\ \n\t\u{0}\u{7f}é\u{301}🦜,(".unicodeScalars)
    var name = String.UnicodeScalarView()
    for _ in 0..<random.next(6) { name.append(scalars[random.next(scalars.count)]) }
    return String(name)
  }

  private mutating func dimension() -> Dimension {
    switch random.next(6) {
    case 0: return .unknown
    case 1: return .known(random.next(100))
    case 2: return .symbol(name())
    default:
      var sum = Dimension.symbol("n")
      for _ in 0..<random.next(4) {
        switch random.next(4) {
        case 0: sum = Inference.plus(sum, .known(random.next(9) - 4))
        case 1: sum = Inference.times(sum, random.next(2) == 0 ? .symbol(name()) : .known(3))
        case 2: sum = Inference.minus(.symbol("m"), sum)
        default: sum = Inference.divided(sum, by: 1 + random.next(4))
        }
      }
      return sum
    }
  }

  private mutating func type(depth: Int = 0) -> ValueType {
    if depth < 3, random.next(5) == 0 {
      let inner = type(depth: depth + 1).kind
      switch random.next(3) {
      case 0: return ValueType(.sequence(of: inner))
      case 1: return ValueType(.optional(of: inner))
      default: return ValueType(.map(key: .string, value: inner))
      }
    }
    let dtype = random.next(4) == 0 ? nil : DType.allCases[random.next(DType.allCases.count)]
    guard random.next(4) > 0 else { return ValueType(dtype: dtype, shape: nil) }
    var type = ValueType(dtype: dtype, shape: (0..<random.next(4)).map { _ in dimension() })
    if random.next(4) == 0 { type.elements = (0..<random.next(3)).map { _ in dimension() } }
    return type
  }

  private mutating func tensor() throws -> Tensor {
    let dtype = DType.allCases[random.next(DType.allCases.count)]
    let shape = (0..<random.next(3)).map { _ in random.next(9) }
    if dtype == .string {
      return try Tensor(strings: (0..<shape.reduce(1, *)).map { _ in name() }, shape)
    }
    let tensor = try Tensor(uninitialized: dtype, shape)
    for byte in 0..<tensor.byteCount {
      tensor.pointer.storeBytes(
        of: UInt8(truncatingIfNeeded: random.bits()), toByteOffset: byte, as: UInt8.self)
    }
    // Packed elements have one order only.
    return !dtype.isPacked && random.next(3) == 0
      ? try tensor.permuted(Array((0..<tensor.rank).reversed())) : tensor
  }

  private mutating func attribute() throws -> AttributeValue {
    func float(_ bits: UInt64) -> Float { Float(bitPattern: UInt32(truncatingIfNeeded: bits)) }
    switch random.next(8) {
    case 0: return .int(Int(truncatingIfNeeded: random.bits() &* random.bits()))
    case 1: return .float(float(random.bits()))
    case 2: return .string(name())
    case 3: return .ints((0..<random.next(4)).map { _ in random.next(99) - 50 })
    case 4: return .floats((0..<random.next(4)).map { _ in float(random.bits()) })
    case 6: return .type(type().kind)
    case 5: return .strings((0..<random.next(4)).map { _ in name() })
    default: return .tensor(try tensor())
    }
  }

  /// A graph whose last `captured` inputs say nothing of their types.
  mutating func graph(captured: Int, depth: Int) throws -> Graph {
    var graph = Graph(name: name())
    for _ in 0..<random.next(3) { graph.inputs.append(graph.addValue(name(), type())) }
    for _ in 0..<captured { graph.inputs.append(graph.addValue(name())) }
    for _ in 0..<random.next(3) { _ = graph.addConstant(name(), try tensor()) }
    // A value that nothing refers to is not written.
    if random.next(2) == 0 { _ = graph.addValue("unused") }
    for _ in 0..<random.next(5) {
      let readable = graph.values.indices.filter { graph.values[$0].name != "unused" }
      func pick() -> ValueID? { readable.isEmpty ? nil : readable[random.next(readable.count)] }
      let inputs = (0..<random.next(3)).map { _ in random.next(4) == 0 ? nil : pick() }
      var attributes: [String: AttributeValue] = [:]
      for _ in 0..<random.next(3) { attributes[name()] = try attribute() }
      var regions: [Region] = []
      if depth < 3, random.next(3) == 0 {
        for index in 0...random.next(2) {
          let captures = (0..<random.next(3)).compactMap { _ in pick() }
          regions.append(
            Region(
              name: "r\(index)", graph: try self.graph(captured: captures.count, depth: depth + 1),
              captures: captures))
        }
      }
      let outputs = graph.addNode(
        OperatorID(name(), domain: random.next(2) == 0 ? "" : name()), name: name(), inputs: inputs,
        outputs: (0..<random.next(3)).map { _ in name() }, attributes: attributes, regions: regions)
      for id in outputs { graph.values[id].type = type() }
      if random.next(4) == 0 { graph.nodes[graph.nodes.count - 1].fused = [name()] }
    }
    let readable = graph.values.indices.filter { graph.values[$0].name != "unused" }
    for _ in 0..<random.next(3) where !readable.isEmpty {
      graph.outputs.append(
        GraphOutput(
          name: name(), value: readable[random.next(readable.count)], declared: type()))
    }
    return graph
  }
}
