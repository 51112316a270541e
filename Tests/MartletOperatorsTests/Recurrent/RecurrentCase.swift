import Glibc
import MartletBackends
import MartletCore
import Testing

@testable import MartletOperators

/// Numbers from a seed.
struct RecurrentRandom {
  private var state: UInt64

  init(_ seed: Int) { state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 &+ 0x1234_5678_9ABC_DEF1 }

  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }

  mutating func int(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + Int((next() >> 11) % UInt64(range.count))
  }

  mutating func chance(_ percent: Int) -> Bool { int(0...99) < percent }

  mutating func pick<T>(_ values: [T]) -> T { values[int(0...values.count - 1)] }

  /// Evenly from -limit ... limit, of few enough bits that float32 holds them.
  mutating func number(_ limit: Double) -> Double {
    (Double(int(0...1 << 16)) / Double(1 << 15) - 1) * limit
  }
}

/// One call of LSTM, GRU or RNN: what there is of inputs and attributes.
struct RecurrentCase {
  var name: String
  var steps = 3
  var batch = 2
  var input = 4
  var hidden = 5
  var directions = ["forward"]
  var isBatchFirst = false
  var flag = false  // input_forget or linear_before_reset
  var clip: Double?
  var activations: [String] = []
  var alphas: [Double] = []
  var betas: [Double] = []
  var dtype = DType.float32
  var lengths: [Int]?
  /// X, W, R, B, nil for the lengths, initial_h, initial_c, P, as they are read by an oracle.
  var tensors: [Tensor?] = []
  var seed = 0

  var gates: Int { ["LSTM": 4, "GRU": 3, "RNN": 1][name] ?? 0 }
  var functions: Int { ["LSTM": 3, "GRU": 2, "RNN": 1][name] ?? 0 }
  var outputs: Int { name == "LSTM" ? 3 : 2 }

  init(_ name: String) { self.name = name }

  /// Anything that is allowed.
  static func random(_ name: String, seed: Int) throws -> RecurrentCase {
    var random = RecurrentRandom(seed)
    var result = RecurrentCase(name)
    result.seed = seed
    result.steps = random.int(1...6)
    result.batch = random.int(1...5)
    result.input = random.int(1...9)
    result.hidden = random.pick([1, 2, 3, 7, 8, 9, 16, 17, 33, 70])
    result.directions = random.pick([["forward"], ["reverse"], ["forward", "reverse"]])
    result.isBatchFirst = random.chance(30)
    result.flag = random.chance(50)
    result.clip = random.chance(30) ? 0.25 * Double(random.int(1...8)) : nil
    result.dtype = random.pick([.float32, .float32, .float32, .float64, .float16, .bfloat16])
    if random.chance(50) {
      for _ in 0..<result.directions.count * result.functions {
        result.activations.append(random.pick(ActivationTable.rows(for: .recurrent).map(\.name)))
      }
      for _ in 0..<random.int(0...4) { result.alphas.append(0.5 + random.number(0.375)) }
      for _ in 0..<random.int(0...3) { result.betas.append(0.5 + random.number(0.375)) }
    }
    if random.chance(50) {
      let steps = result.steps
      result.lengths = (0..<result.batch).map { _ in random.int(0...steps) }
    }
    try result.fill(&random, optional: 50)
    return result
  }

  /// Makes the tensors; an optional one is there in so many of a hundred cases.
  mutating func fill(_ random: inout RecurrentRandom, optional percent: Int) throws {
    let d = directions.count
    func make(_ shape: [Int], _ limit: Double) throws -> Tensor {
      try tensor((0..<shape.reduce(1, *)).map { _ in random.number(limit) }, shape, dtype)
    }
    let limit = 1 / Double(hidden).squareRoot()
    let state = isBatchFirst ? [batch, d, hidden] : [d, batch, hidden]
    tensors = [
      try make((isBatchFirst ? [batch, steps] : [steps, batch]) + [input], 1),
      try make([d, gates * hidden, input], 0.7),
      try make([d, gates * hidden, hidden], limit),
      random.chance(percent) ? try make([d, 2 * gates * hidden], 0.5) : nil, nil,
      random.chance(percent) ? try make(state, 1) : nil,
    ]
    guard name == "LSTM" else { return }
    tensors.append(random.chance(percent) ? try make(state, 1) : nil)
    tensors.append(random.chance(percent) ? try make([d, 3 * hidden], 0.5) : nil)
  }

  var attributes: [String: AttributeValue] {
    var result: [String: AttributeValue] = ["layout": .int(isBatchFirst ? 1 : 0)]
    result["direction"] = .string(directions.count == 2 ? "bidirectional" : directions[0])
    if let clip { result["clip"] = .float(Float(clip)) }
    if !activations.isEmpty { result["activations"] = .strings(activations) }
    if !alphas.isEmpty { result["activation_alpha"] = .floats(alphas.map { Float($0) }) }
    if !betas.isEmpty { result["activation_beta"] = .floats(betas.map { Float($0) }) }
    if name == "LSTM" { result["input_forget"] = .int(flag ? 1 : 0) }
    if name == "GRU" { result["linear_before_reset"] = .int(flag ? 1 : 0) }
    if seed % 2 == 0 { result["hidden_size"] = .int(hidden) }
    return result
  }

  func inputs() throws -> [Tensor?] {
    var inputs = tensors
    if let lengths { inputs[4] = try tensor(lengths.map { Double($0) }, nil, .int32) }
    return inputs
  }

  /// The outputs on `context`, W and R as constants or not.
  func run(
    on context: RunContext = makeContext(), constants: Bool = false, outputs: Int? = nil
  ) throws -> [Tensor] {
    let inputs = try inputs()
    let isWeight = { (index: Int) in constants && (1...2 ~= index) }
    let node = OperatorNode(
      attributes: Attributes(attributes, operatorName: name),
      constants: inputs.enumerated().map { isWeight($0) ? $1 : nil }, inputCount: inputs.count,
      outputCount: outputs ?? self.outputs)
    let made = try OperatorTable.make(OperatorID(name), node)
    let types = inputs.map { tensor in
      tensor.map { ValueType(dtype: $0.dtype, shape: $0.shape.map { .known($0) }) }
    }
    let inferred = try made.infer(types)
    let results = try made.results(inputs, context)
    #expect(inferred.map(\.shape) == results.map { $0.shape.map { .known($0) } }, "\(self)")
    #expect(inferred.map(\.dtype) == results.map(\.dtype), "\(self)")
    return results
  }

  /// The case with row `row` of its batch alone.
  func alone(_ row: Int) -> RecurrentCase {
    var result = self
    result.batch = 1
    result.lengths = lengths.map { [$0[row]] }
    for index in [0, 5, 6] where index < tensors.count {
      let axis = isBatchFirst ? 0 : 1
      result.tensors[index] = tensors[index]?.sliced(axis: axis, start: row, count: 1, step: 1)
    }
    return result
  }
}
