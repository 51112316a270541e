import MartletCore
import Testing

@testable import MartletOperators

@Suite struct DimensionTests {
  private let h = Dimension.symbol("h")
  private let past = Dimension.symbol("past")

  private func plus(_ a: Dimension, _ b: Int) -> Dimension { Inference.plus(a, .known(b)) }
  private func times(_ a: Dimension, _ b: Int) -> Dimension { Inference.times(a, .known(b)) }

  @Test("expressions read as they are meant") func text() {
    #expect(plus(past, 1).description == "past + 1")
    #expect(times(h, 2).description == "2*h")
    #expect(Inference.divided(h, by: 2).description == "h/2")
    #expect(Inference.divided(plus(h, 1), by: 2).description == "(h + 1)/2")
    #expect(Inference.minus(h, past).description == "h - past")
    #expect(Inference.minus(.known(0), h).description == "-h")
    #expect(Inference.times(plus(h, 1), plus(past, -1)).description == "h*past - h + past - 1")
  }

  @Test("what is equal is equal however it was written") func normalForm() {
    #expect(plus(plus(past, 3), -3) == past)
    #expect(Inference.minus(h, h) == .known(0))
    #expect(Inference.plus(h, h) == times(h, 2))
    #expect(Inference.plus(h, past) == Inference.plus(past, h))
    #expect(Inference.times(h, past) == Inference.times(past, h))
    #expect(Inference.divided(times(h, 6), by: 4) == Inference.divided(times(h, 3), by: 2))
    #expect(Inference.divided(plus(times(h, 4), 5), by: 4) == plus(h, 1))
    #expect(
      Inference.divided(Inference.divided(h, by: 2), by: 3) == Inference.divided(h, by: 6))
    #expect(
      Inference.divided(plus(Inference.divided(h, by: 2), 1), by: 2)
        == Inference.divided(plus(h, 2), by: 4))
    #expect(Inference.divided(plus(h, -1), by: 2) == plus(Inference.divided(plus(h, 1), by: 2), -1))
    #expect(
      Inference.exactQuotient(Inference.times(times(h, 6), past), times(h, 2)) == times(past, 3))
  }

  @Test("what overflows, is unknown or grows too long is unknown") func bounds() {
    #expect(times(times(h, .max), 2) == .unknown)
    #expect(plus(plus(h, .max), 1) == .unknown)
    #expect(Inference.times(.known(.max), .known(2)) == .unknown)
    #expect(Inference.minus(.known(.min), .known(1)) == .unknown)
    #expect(Inference.minus(h, .known(.min)) == .unknown)
    #expect(Inference.minus(.unknown, .unknown) == .unknown)
    #expect(Inference.divided(h, by: 0) == .unknown)
    #expect(Inference.exactQuotient(h, .known(0)) == .unknown)
    var sum = Dimension.known(0)
    for index in 0..<16 { sum = Inference.plus(sum, .symbol("s\(index)")) }
    #expect(sum != .unknown)
    #expect(Inference.plus(sum, .symbol("another")) == .unknown)
    #expect(Inference.times(sum, sum) == .unknown)
    var power = h
    for _ in 0..<100 { power = Inference.times(power, h) }
    #expect(power == .unknown)
    var nested = h
    for index in 0..<100 {
      nested = Inference.divided(plus(Inference.times(nested, past), index), by: 7)
    }
    #expect(nested == .unknown)
  }

  @Test("an extent is at least what its constant says") func lowerBounds() {
    #expect(plus(past, 1).lowerBound == 1)
    #expect(h.lowerBound == 0)
    #expect(Dimension.known(-2).lowerBound == -2)
    #expect(Inference.minus(h, past).lowerBound == nil)
    #expect(Dimension.unknown.lowerBound == nil)
    #expect(plus(past, 1).isAtLeast(past))
    #expect(!past.isAtLeast(plus(past, 1)))
  }

  @Test("random arithmetic gives what numbers give", arguments: 0..<200) func random(_ seed: Int) {
    var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 | 1
    func next(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    let values = ["a": next(9), "b": next(50), "c": 1 + next(4)]
    var pool: [(dimension: Dimension, value: Int)] = values.keys.sorted().map {
      (.symbol($0), values[$0] ?? 0)
    }
    pool.append((.known(next(7)), 0))
    pool[3].value = pool[3].dimension.evaluated { _ in nil } ?? 0
    for _ in 0..<12 {
      let (x, y) = (pool[next(pool.count)], pool[next(pool.count)])
      let result: (Dimension, Int)
      switch next(4) {
      case 0: result = (Inference.plus(x.dimension, y.dimension), x.value + y.value)
      case 1: result = (Inference.minus(x.dimension, y.dimension), x.value - y.value)
      case 2: result = (Inference.times(x.dimension, y.dimension), x.value &* y.value)
      default:
        let divisor = 1 + next(6)
        let quotient = (Double(x.value) / Double(divisor)).rounded(.down)
        result = (Inference.divided(x.dimension, by: divisor), Int(quotient))
      }
      guard result.0 != .unknown, result.1.magnitude < 1 << 40 else { continue }
      #expect(result.0.evaluated { values[$0] } == result.1, "\(result.0) for \(values)")
      if let bound = result.0.lowerBound { #expect(bound <= result.1) }
      pool.append((result.0, result.1))
    }
  }

  // MARK: - Operators

  private func shape(
    _ name: String, _ inputs: [ValueType?], _ attributes: [String: AttributeValue] = [:],
    outputs: Int = 1
  ) throws -> [String] {
    try infer(name, inputs, attributes, outputs: outputs).map { type in
      Inference.text(type.shape ?? [])
    }
  }

  private func elements(_ values: Dimension...) -> ValueType {
    ValueType(dtype: .int64, shape: [.known(values.count)], elements: values)
  }

  private func floats(_ shape: Dimension...) -> ValueType {
    ValueType(dtype: .float32, shape: shape)
  }

  @Test("operators keep what they compute of extents") func operators() throws {
    let image = floats(.known(1), .known(4), h, .symbol("w"))
    let cache = floats(.known(1), past)
    #expect(
      try shape("Concat", [cache, floats(.known(1), .known(1))], ["axis": .int(1)])
        == ["[1, past + 1]"])
    #expect(
      try shape(
        "Reshape",
        [
          floats(.symbol("n"), plus(past, 1), .known(8)),
          elements(.symbol("n"), .known(-1), .known(2), .known(4)),
        ])
        == ["[n, past + 1, 2, 4]"])
    #expect(
      try shape("Reshape", [floats(.symbol("n"), h, .known(8)), elements(.known(-1), .known(16))])
        == ["[(h*n)/2, 16]"])
    #expect(
      try shape("Reshape", [floats(.symbol("n"), h, .known(8)), elements(.known(-1), .known(4))])
        == ["[2*h*n, 4]"])
    #expect(try shape("Flatten", [image], ["axis": .int(2)]) == ["[4, h*w]"])
    let grown = floats(.known(1), plus(past, 1))
    let axis = elements(.known(1))
    #expect(
      try shape("Slice", [grown, elements(.known(-1)), elements(.known(.max)), axis]) == ["[1, 1]"])
    #expect(
      try shape("Slice", [grown, elements(.known(0)), elements(.known(-1)), axis])
        == ["[1, past]"])
    #expect(
      try shape("Slice", [grown, elements(past), elements(plus(past, 1)), axis]) == ["[1, 1]"])
    #expect(
      try shape("Slice", [cache, elements(.known(1)), elements(.known(3)), axis]) == ["[1, ?]"])
    #expect(
      try shape(
        "Slice", [cache, elements(.known(0)), elements(.known(.max)), axis, elements(.known(2))])
        == ["[1, (past + 1)/2]"])
    let pads = elements(
      .known(0), .known(0), .known(1), .known(2), .known(0), .known(0), .known(1), .known(2))
    #expect(try shape("Pad", [image, pads]) == ["[1, 4, h + 2, w + 4]"])
    #expect(
      try shape("Tile", [cache, elements(.known(3), .known(2))]) == ["[3, 2*past]"])
    #expect(
      try shape("Split", [floats(times(h, 2))], ["axis": .int(0)], outputs: 2) == ["[h]", "[h]"])
    #expect(
      try shape("DepthToSpace", [image], ["blocksize": .int(2)]) == ["[1, 1, 2*h, 2*w]"])
    #expect(
      try shape("SpaceToDepth", [image], ["blocksize": .int(2)]) == ["[1, 16, h/2, w/2]"])
    #expect(
      try shape("Range", [elements(past), elements(plus(past, 3)), elements(.known(1))]) == ["[3]"])
  }

  @Test("windows say what they give for any extent") func windows() throws {
    let image = floats(.known(1), .known(4), h, .symbol("w"))
    let weights = floats(.known(8), .known(4), .known(3), .known(3))
    #expect(
      try shape(
        "Conv", [image, weights], ["pads": .ints([1, 1, 1, 1]), "strides": .ints([2, 1])])
        == ["[1, 8, (h + 1)/2, w]"])
    #expect(try shape("Conv", [image, weights]) == ["[1, 8, h - 2, w - 2]"])
    #expect(
      try shape(
        "Conv", [image, weights], ["auto_pad": .string("SAME_UPPER"), "strides": .ints([2, 1])])
        == ["[1, 8, (h + 1)/2, w]"])
    #expect(
      try shape("MaxPool", [image], ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])])
        == ["[1, 4, h/2, w/2]"])
    #expect(
      try shape(
        "MaxPool", [image],
        ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2]), "ceil_mode": .int(1)])
        == ["[1, 4, ?, ?]"])
    let scales = try ValueType(
      dtype: .float32, shape: [.known(4)], constant: tensor([1, 1, 2, 0.5]))
    #expect(try shape("Resize", [image, nil, scales]) == ["[1, 4, 2*h, w/2]"])
  }

  @Test("arithmetic on elements keeps what it computes") func arithmetic() throws {
    func element(_ name: String, _ a: Dimension, _ b: Dimension) throws -> Dimension? {
      try infer(name, [elements(a), elements(b)])[0].elements?.first
    }
    #expect(try element("Add", past, .known(1)) == plus(past, 1))
    #expect(try element("Sub", plus(past, 1), .known(1)) == past)
    #expect(try element("Div", times(h, 4), .known(2)) == times(h, 2))
    #expect(try element("Div", Inference.minus(h, past), .known(2)) == .unknown)
    #expect(try element("Mod", times(h, 4), .known(2)) == .known(0))
    #expect(try element("Equal", plus(past, 1), .known(0)) == .known(0))
    #expect(try element("Greater", plus(past, 1), .known(0)) == .known(1))
    #expect(try element("Equal", past, .known(0)) == .unknown)
  }
}
