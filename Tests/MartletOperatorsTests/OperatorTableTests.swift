import Glibc
import MartletBackends
import MartletCore
import Testing

@testable import MartletOperators

@Suite struct OperatorTableTests {
  @Test("names are unique, and every operator says what its inputs and outputs are") func schemas()
  {
    let ids = OperatorTable.all.map { $0.schema.id }
    #expect(Set(ids).count == ids.count)
    for type in OperatorTable.all {
      let schema = type.schema
      #expect(!schema.outputs.isEmpty && schema.requiredInputs <= schema.inputs.count, "\(schema)")
      #expect(schema.attributes.values.allSatisfy { !$0.isEmpty }, "\(schema.name)")
    }
  }

  @Test("each operator of Martlet's own domain says what it is in others', and none other does")
  func decompositions() {
    for type in OperatorTable.all {
      let schema = type.schema
      let isOwn = schema.id.domain == OperatorID.martletDomain
      #expect(isOwn == (type is any MartletOperator.Type), "\(schema.name)")
      let domains = ["", OperatorID.machineLearningDomain, OperatorID.microsoftDomain]
      #expect(isOwn || domains.contains(schema.id.domain), "\(schema.name)")
      guard let slots = schema.traits.epilogue else { continue }
      let form = OperatorTable.lookup(slots.form)?.schema
      #expect(form?.traits.epilogue?.form == slots.form, "\(schema.name)")
      #expect(form?.inputs.starts(with: schema.inputs) == true, "\(schema.name)")
      #expect(
        schema.attributes.keys.allSatisfy { form?.attributes[$0] != nil }
          && form?.attributes["activation"] != nil, "\(schema.name)")
    }
  }

  @Test("operators of ONNX's take what ONNX gives them and nothing else")
  func noExtras() throws {
    let extras: [(String, Int, [String: AttributeValue])] = [
      ("MatMul", 3, [:]), ("MatMul", 2, ["alpha": .float(2)]),
      ("MatMul", 2, ["trans_a": .int(1)]), ("MatMul", 2, ["activation": .string("Relu")]),
      ("Gemm", 4, [:]), ("Gemm", 2, ["activation": .string("Relu")]), ("Conv", 4, [:]),
      ("Conv", 2, ["activation": .string("Relu")]), ("Attention", 3, ["broadcast": .int(1)]),
    ]
    for (name, count, attributes) in extras {
      let node = OperatorNode(
        attributes: Attributes(attributes, operatorName: name),
        constants: [Tensor?](repeating: nil, count: count), inputCount: count, outputCount: 1)
      let error = #expect(throws: MartletError.self) {
        try OperatorTable.make(OperatorID(name), node)
      }
      #expect(error?.operatorName == name && error?.actual != nil, "\(name) \(attributes)")
    }
  }

  @Test("no operator traps, whatever its inputs and attributes", arguments: 0..<4)
  func arbitraryCalls(_ seed: Int) throws {
    var random = Generator(state: UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 &+ 1)
    let context = makeContext()
    let traces = getenv("MARTLET_TRACE_CALLS") != nil
    for type in OperatorTable.all {
      let schema = type.schema
      for _ in 0..<50 {
        let count = schema.isVariadic ? random.int(1...4) : random.int(0...schema.inputs.count)
        let rank = random.int(0...5)
        let dtype = DType.allCases[random.int(0...DType.allCases.count - 1)]
        var inputs: [Tensor?] = []
        for _ in 0..<count { inputs.append(try random.tensor(rank, dtype)) }
        var attributes: [String: AttributeValue] = [:]
        for name in schema.attributes.keys.sorted() where random.int(0...2) > 0 {
          attributes[name] = try random.attribute()
        }
        // Half of the time the inputs are constants, which operators may look at when they are made.
        let isConstant = random.int(0...1) == 0
        let node = OperatorNode(
          attributes: Attributes(attributes, operatorName: schema.name),
          constants: isConstant ? inputs : [Tensor?](repeating: nil, count: count),
          inputCount: count, outputCount: random.int(0...max(schema.outputs.count, 3)))
        let types = inputs.map { tensor in
          tensor.map {
            ValueType(
              dtype: $0.dtype, shape: random.int(0...3) == 0 ? nil : $0.shape.map { .known($0) },
              constant: isConstant ? $0 : nil)
          }
        }
        if traces { print("\(schema.name) \(attributes) \(inputs)") }
        // Any outcome but a crash will do; where a run succeeds, what was inferred must hold.
        guard let made = try? OperatorTable.make(schema.id, node) else { continue }
        let inferred = try? made.infer(types)
        guard let results = try? made.results(inputs, context) else { continue }
        for (result, type) in zip(results, inferred ?? []) {
          Self.check(result, type, "\(schema.name) \(attributes) \(inputs)")
        }
        if !isConstant {
          let symbolic = try? made.infer(inputs.map { $0.map(Self.symbolic) })
          for (result, type) in zip(results, symbolic ?? []) {
            Self.check(result, type, "\(schema.name) \(attributes) \(inputs) by symbols")
          }
        }
        for result in results {
          for (slot, input) in inputs.enumerated() where input?.storage === result.storage {
            #expect(
              schema.traits.viewedInputs.contains(slot),
              "\(schema.name) \(attributes) gives a view of input \(slot), which it does not declare"
            )
          }
        }
        // Every element can be read.
        for result in results where result.count < 1 << 20 {
          _ = SmallTensors.doubles(result)
          _ = result.strings
        }
      }
    }
  }

  /// Calls that are large enough to be cut into pieces.
  static let largeCalls: [(name: String, shape: [Int], axis: Int?)] = [
    ("Gelu", [70_001], nil), ("Exp", [3, 30_011], nil), ("Softmax", [61, 1_003], -1),
    ("Softmax", [7, 333, 31], 1), ("ReduceSum", [5, 40_001], -1), ("ReduceSum", [2_003, 67], 0),
    ("ReduceLogSumExp", [3, 5_001, 7], 1), ("ReduceMean", [5, 7, 1_111, 3], 2),
    ("LpNormalization", [201, 303], -1), ("CumSum", [31, 2_001], 1),
  ]

  @Test("bits do not depend on threads, nor on where the elements lie", arguments: largeCalls)
  func sameBits(_ call: (name: String, shape: [Int], axis: Int?)) throws {
    let count = call.shape.reduce(1, *)
    let padded = try Tensor(uninitialized: .float32, [count + 3])
    let x = try Tensor(uninitialized: .float32, call.shape)
    let shifted = try Tensor(
      storage: padded.storage, dtype: .float32, shape: call.shape, byteOffset: 12)
    for index in 0..<count {
      let value = Float((index &* 7919) % 2003) / 211 - 4.5
      x.typed(Float.self)[index] = value
      shifted.typed(Float.self)[index] = value
    }
    var attributes: [String: AttributeValue] = [:]
    var inputs: [Tensor?] = []
    if let axis = call.axis {
      if call.name.hasPrefix("Reduce") || call.name == "CumSum" {
        inputs = [try ints([axis])]
      } else {
        attributes["axis"] = .int(axis)
      }
    }
    defer { try? ThreadPool.shared.setThreadCount(0) }
    try ThreadPool.shared.setThreadCount(1)
    let alone = try run(call.name, [x] + inputs, attributes)[0].values
    for threads in [2, 3] {
      try ThreadPool.shared.setThreadCount(threads)
      #expect(try values(call.name, [shifted] + inputs, attributes) == alone)
    }
  }

  private static func check(_ result: Tensor, _ type: ValueType, _ call: String) {
    if let dtype = type.dtype { #expect(dtype == result.dtype, "\(call)") }
    guard let shape = type.shape else { return }
    #expect(shape.count == result.rank, "\(call)")
    for (dimension, extent) in zip(shape, result.shape) {
      if let known = dimension.evaluated(value) { #expect(known == extent, "\(call)") }
    }
    guard let elements = type.elements else { return }
    let values = SmallTensors.integers(result)
    #expect(elements.count == values.count, "\(call)")
    for (dimension, element) in zip(elements, values) {
      if let known = dimension.evaluated(value) { #expect(known == element, "\(call)") }
    }
  }

  /// The type of a tensor whose extents and elements are symbols that are named for their values.
  /// Of the elements, those are that can be extents (a 0 means something else in a reshape).
  private static func symbolic(_ tensor: Tensor) -> ValueType {
    func symbol(_ value: Int) -> Dimension { .symbol("d\(value)") }
    var type = ValueType(dtype: tensor.dtype, shape: tensor.shape.map(symbol))
    if tensor.dtype == .int64, tensor.rank <= 1 {
      type.shape = tensor.shape.map { .known($0) }
      type.elements = SmallTensors.integers(tensor).map { $0 > 0 ? symbol($0) : .known($0) }
    }
    return type
  }

  private static func value(_ symbol: String) -> Int? { Int(symbol.dropFirst()) }
}

/// Small arbitrary tensors and attributes.
private struct Generator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }

  mutating func int(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + Int(next() >> 11 % UInt64(range.count))
  }

  mutating func number() -> Double {
    let odd: [Double] = [0, 1, -1, 2, 3, -2, 0.5, 1e30, -1e30, .nan, .infinity, 7, 300]
    return int(0...3) == 0 ? odd[int(0...odd.count - 1)] : Double(int(-3...6))
  }

  mutating func integer() -> Int {
    let odd = [Int.max, .min, 1 << 40, -(1 << 33), 37]
    return int(0...9) == 0 ? odd[int(0...odd.count - 1)] : int(-3...5)
  }

  mutating func tensor(_ rank: Int, _ dtype: DType) throws -> Tensor? {
    switch int(0...11) {
    case 0: return nil
    case 1...4:
      // A vector or scalar of int64, as shapes, axes and indices come.
      let isScalar = int(0...3) == 0
      let count = isScalar ? 1 : int(0...4)
      return try ints((0..<count).map { _ in integer() }, isScalar ? [] : [count])
    default: break
    }
    let rank = int(0...3) == 0 ? int(0...5) : rank
    let shape = (0..<rank).map { _ in int(0...7) == 0 ? 0 : int(1...4) }
    let type = int(0...4) == 0 ? DType.allCases[int(0...DType.allCases.count - 1)] : dtype
    // No 32-bit integer that, taken for an extent, asks for gigabytes that can be had.
    let values = (0..<shape.reduce(1, *)).map { _ in
      type.isInteger ? Double(int(type.isSignedInteger ? -3...6 : 0...6)) : number()
    }
    let dense = try MartletOperatorsTests.tensor(values, shape, type)
    guard rank > 1, !type.isPacked, int(0...2) == 0 else { return dense }
    return try dense.permuted(Array((0..<rank).reversed()))
  }

  mutating func attribute() throws -> AttributeValue {
    switch int(0...9) {
    case 0...4: .int(integer())
    case 5: .float(Float(number()))
    case 6: .ints((0..<int(0...4)).map { _ in integer() })
    case 7: .floats((0..<int(0...3)).map { _ in Float(number()) })
    case 8:
      .string(
        [
          "", "none", "linear", "cubic", "nearest", "add", "edge", "reflect", "wrap", "LEFT", "CRD",
          "tanh", "SAME_UPPER", "floor", "align_corners", "NOTSET",
        ][int(0...15)])
    default: .tensor(try ints([int(0...3)]))
    }
  }
}
