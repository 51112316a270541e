import MartletBackends
import MartletCore

/// The extents of a recurrent layer, found and checked from its inputs' types: before a run as far as
/// they are known, in a run all of them.
struct RecurrentShapes {
  private(set) var steps = Dimension.unknown
  private(set) var batch = Dimension.unknown
  private(set) var input = Dimension.unknown
  private(set) var hidden = Dimension.unknown
  private let schema: OperatorSchema
  private let directions: Int
  private let gates: Int
  private let isBatchFirst: Bool
  /// Whether W and R are integers and lie the other way, [directions, input, gates].
  private let hasQuantizedWeights: Bool

  /// What an input's axis holds; widths are multiples of the state's.
  private enum Extent {
    case directions, steps, batch, input
    case width(Int)
  }

  /// - Throws: `invalidShape` for an extent that contradicts another or is 0, `invalidDType`,
  ///   `invalidArgument` for lengths outside 0 ... steps.
  init(
    _ inputs: [ValueType?], _ schema: OperatorSchema, _ attributes: RecurrentAttributes,
    gates: Int, hasQuantizedWeights: Bool = false
  ) throws(MartletError) {
    self.schema = schema
    self.hasQuantizedWeights = hasQuantizedWeights
    self.gates = gates
    directions = attributes.directions
    isBatchFirst = attributes.isBatchFirst
    if let size = attributes.hiddenSize { hidden = .known(size) }
    for index in schema.inputs.indices.prefix(8) {
      guard let type = inputs.type(index) else { continue }
      try check(type.dtype, at: index, x: inputs.type(0)?.dtype)
      if let shape = type.shape { try bind(shape, at: index) }
    }
    if let lengths = inputs.type(4)?.knownIntegers { try check(lengths) }
  }

  private func check(_ dtype: DType?, at index: Int, x: DType?) throws(MartletError) {
    guard let dtype else { return }
    let name = schema.inputs[index]
    if index == 4 {
      if dtype != .int32 { throw .dtype(schema.name, name, expected: "int32", actual: dtype) }
    } else if hasQuantizedWeights, 1...2 ~= index {
      guard dtype == .int8 || dtype == .uint8 else {
        throw .dtype(schema.name, name, expected: "int8 or uint8", actual: dtype)
      }
    } else if !dtype.isFloatingPoint {
      throw .dtype(schema.name, name, expected: "a floating-point type", actual: dtype)
    } else if let x, dtype != x {
      throw .dtype(schema.name, name, expected: "\(x) as X", actual: dtype)
    }
  }

  /// Throws unless all `lengths` lie in 0 ... steps.
  func check(_ lengths: [Int]) throws(MartletError) {
    guard case .known(let steps) = steps, let wrong = lengths.first(where: { !(0...steps ~= $0) })
    else { return }
    throw MartletError(
      .invalidArgument,
      "\(schema.name): \(schema.inputs[4]): expected lengths of 0 to \(steps), got \(wrong)",
      operatorName: schema.name, input: schema.inputs[4], expected: "0 ... \(steps)",
      actual: "\(wrong)")
  }

  private func extents(_ index: Int) -> [Extent] {
    switch index {
    case 0: isBatchFirst ? [.batch, .steps, .input] : [.steps, .batch, .input]
    case 1 where hasQuantizedWeights: [.directions, .input, .width(gates)]
    case 2 where hasQuantizedWeights: [.directions, .width(1), .width(gates)]
    case 1: [.directions, .width(gates), .input]
    case 2: [.directions, .width(gates), .width(1)]
    case 3: [.directions, .width(2 * gates)]
    case 4: [.batch]
    case 5, 6: isBatchFirst ? [.batch, .directions, .width(1)] : [.directions, .batch, .width(1)]
    default: [.directions, .width(3)]
    }
  }

  private mutating func bind(_ shape: [Dimension], at index: Int) throws(MartletError) {
    let extents = extents(index)
    let before = self
    let fits = shape.count == extents.count && zip(extents, shape).allSatisfy { bind($0, $1) }
    if !fits {
      throw .shape(
        schema.name, schema.inputs[index], expected: before.text(extents),
        actual: Inference.text(shape), input: schema.inputs[index])
    }
  }

  /// Whether an axis of `dimension` fits what is known, which grows by it.
  private mutating func bind(_ extent: Extent, _ dimension: Dimension) -> Bool {
    switch extent {
    case .directions:
      if case .known(let value) = dimension { return value == directions }
      return true
    case .steps: return Self.join(&steps, dimension, atLeast: 1)
    case .batch: return Self.join(&batch, dimension, atLeast: 1)
    case .input: return Self.join(&input, dimension, atLeast: 0)
    case .width(1): return Self.join(&hidden, dimension, atLeast: 1)
    case .width(let factor):
      guard case .known(let value) = dimension else { return true }
      let (quotient, rest) = value.quotientAndRemainder(dividingBy: factor)
      return rest == 0 && Self.join(&hidden, .known(quotient), atLeast: 1)
    }
  }

  private static func join(
    _ known: inout Dimension, _ dimension: Dimension, atLeast least: Int
  ) -> Bool {
    switch (known, dimension) {
    case (_, .unknown): return true
    case (.known(let a), .known(let b)): return a == b
    case (.known, .symbol): return true
    case (_, .known(let value)) where value < least: return false
    default:
      known = dimension
      return true
    }
  }

  private func text(_ extents: [Extent]) -> String {
    func name(_ dimension: Dimension, _ name: String) -> String {
      dimension == .unknown ? name : dimension.description
    }
    let parts = extents.map { extent in
      switch extent {
      case .directions: return "\(directions)"
      case .steps: return name(steps, "steps > 0")
      case .batch: return name(batch, "batch > 0")
      case .input: return name(input, "input")
      case .width(1): return name(hidden, "hidden > 0")
      case .width(let factor):
        let product = Inference.times(hidden, .known(factor))
        return name(product, "\(factor) * hidden")
      }
    }
    return "[" + parts.joined(separator: ", ") + "]"
  }

  /// The shapes of Y, Y_h and Y_c.
  var outputs: [[Dimension]] {
    let count = Dimension.known(directions)
    let state = isBatchFirst ? [batch, count, hidden] : [count, batch, hidden]
    let y = isBatchFirst ? [batch, steps, count, hidden] : [steps, count, batch, hidden]
    return [y, state, state]
  }

  /// The extents as numbers; throws where an input was missing.
  func numbers() throws(MartletError) -> (steps: Int, batch: Int, input: Int, hidden: Int) {
    guard case .known(let steps) = steps, case .known(let batch) = batch,
      case .known(let input) = input, case .known(let hidden) = hidden
    else { throw MartletError(.internalError, "\(schema.name): an extent is not known") }
    return (steps, batch, input, hidden)
  }
}
