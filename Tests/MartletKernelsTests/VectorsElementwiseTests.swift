import MartletKernels
import Testing

/// An entry whose result is defined to the bit by arithmetic on floats.
struct ExactUnary: CustomTestStringConvertible, Sendable {
  let testDescription: String
  let op: Int
  var a: Float = 0
  var b: Float = 0
  let value: @Sendable (Float) -> Float

  static func clamped(_ x: Float, _ lo: Float, _ hi: Float) -> Float {
    x < lo ? lo : x > hi ? hi : x
  }

  static let all: [ExactUnary] = [
    ExactUnary(testDescription: "copy", op: MK_UNARY_COPY) { $0 },
    ExactUnary(testDescription: "neg", op: MK_UNARY_NEG) { -$0 },
    ExactUnary(testDescription: "abs", op: MK_UNARY_ABS) { abs($0) },
    ExactUnary(testDescription: "relu", op: MK_UNARY_RELU) { $0 < 0 ? 0 : $0 },
    ExactUnary(testDescription: "leaky relu", op: MK_UNARY_LEAKY_RELU, a: 0.01) {
      $0 < 0 ? 0.01 * $0 : $0
    },
    ExactUnary(testDescription: "clamp", op: MK_UNARY_CLAMP, a: -1, b: 2.5) {
      clamped($0, -1, 2.5)
    },
    ExactUnary(
      testDescription: "hard sigmoid", op: MK_UNARY_HARD_SIGMOID, a: 0.2, b: 0.5
    ) { clamped(0.2 * $0 + 0.5, 0, 1) },
    ExactUnary(testDescription: "hard swish", op: MK_UNARY_HARD_SWISH) {
      $0 * clamped($0 * (1 / 6) + 0.5, 0, 1)
    },
    ExactUnary(testDescription: "affine", op: MK_UNARY_AFFINE, a: 1.1, b: -0.3) {
      1.1 * $0 + -0.3
    },
  ]
}

@Suite("Vector elementwise")
struct VectorsElementwiseTests {
  private func same(_ x: Float, _ y: Float) -> Bool {
    x.bitPattern == y.bitPattern || x.isNaN && y.isNaN
  }

  @Test(
    "Simple entries give the bits of their formula", arguments: VectorTable.runnable,
    ExactUnary.all)
  func exact(table: VectorTable, entry: ExactUnary) {
    var wrong: [Float] = []
    sampledFloats { x in
      let y = table.unary(entry.op, x, entry.a, entry.b)
      for i in x.indices where !same(y[i], entry.value(x[i])) { wrong.append(x[i]) }
    }
    #expect(wrong.isEmpty, "\(wrong.prefix(5))")
  }

  @Test("Binary entries give the bits of their formula", arguments: VectorTable.runnable)
  func binary(table: VectorTable) {
    let formulas: [(Int, (Float, Float) -> Float)] = [
      (MK_BINARY_ADD, { $0 + $1 }), (MK_BINARY_SUB, { $0 - $1 }),
      (MK_BINARY_MUL, { $0 * $1 }), (MK_BINARY_DIV, { $0 / $1 }),
      (MK_BINARY_MIN, { $0.isNaN ? $0 : $0 < $1 ? $0 : $1 }),
      (MK_BINARY_MAX, { $0.isNaN ? $0 : $0 > $1 ? $0 : $1 }),
      (MK_BINARY_PRELU, { $0 < 0 ? $0 * $1 : $0 }),
    ]
    let values = specialFloats + specialFloats.map { -$0 }
    let x = values.flatMap { [Float](repeating: $0, count: values.count) }
    let y = values.flatMap { _ in values }
    for (op, formula) in formulas {
      let both = table.binary(op, x, y)
      #expect(x.indices.allSatisfy { same(both[$0], formula(x[$0], y[$0])) }, "op \(op)")
      for value in values {
        let (right, left) = (table.binary(op, x, [value]), table.binary(op, [value], y))
        #expect(x.indices.allSatisfy { same(right[$0], formula(x[$0], value)) }, "op \(op)")
        #expect(y.indices.allSatisfy { same(left[$0], formula(value, y[$0])) }, "op \(op)")
      }
    }
  }

  @Test("Two scalar operands fill the row", arguments: VectorTable.runnable)
  func scalars(table: VectorTable) {
    for n in 0...40 {
      var z = [Float](repeating: -1, count: n + 1)
      table.binary(MK_BINARY_ADD)?(Int64(n), [2], 0, [3], 0, &z)
      #expect(z == [Float](repeating: 5, count: n) + [-1])
    }
  }

  @Test(
    "An element's bits depend on neither length nor position, nothing outside is touched",
    arguments: VectorTable.runnable, 0..<mk_vector_table.unaryCount)
  func unaryTails(table: VectorTable, op: Int) throws {
    var generator = SeededGenerator(seed: UInt64(op))
    let x = (0..<150).map { _ in generator.value() * 6 }
    let whole = table.unary(op, x, 0.7, 1.3).map(\.bitPattern)
    let function = try #require(table.unary(op))
    for n in 0...70 {
      for offset in [0, 1, 2, 3, 5, 8, 13, 31, 64, 79] {
        for edge in GuardedBuffer.Edge.allCases {
          let (src, dst) = (try GuardedBuffer(n * 4, edge), try GuardedBuffer(n * 4, edge))
          for i in 0..<n { src.floats()[i] = x[offset + i] }
          function(Int64(n), src.floats(), dst.floats(), 0.7, 1.3)
          function(Int64(n), src.floats(), src.floats(), 0.7, 1.3)
          let expected = Array(whole[offset..<offset + n])
          #expect((0..<n).map { dst.floats()[$0].bitPattern } == expected, "\(n) at \(offset)")
          #expect((0..<n).map { src.floats()[$0].bitPattern } == expected, "\(n) in place")
        }
      }
    }
  }

  @Test(
    "Binary entries and accumulations do not depend on length or position either",
    arguments: VectorTable.runnable, 0..<mk_vector_table.binaryCount)
  func binaryTails(table: VectorTable, op: Int) throws {
    var generator = SeededGenerator(seed: UInt64(100 + op))
    let x = (0..<100).map { _ in generator.value() * 6 }
    let y = (0..<100).map { _ in generator.value() * 3 }
    let function = try #require(table.binary(op))
    let whole = table.binary(op, x, y).map(\.bitPattern)
    let accumulate = op < mk_vector_table.reduceCount ? table.accumulate(op) : nil
    var accumulated = x
    accumulate?(100, y, &accumulated)
    for n in 0...70 {
      for offset in [0, 1, 7, 16, 29] {
        for edge in GuardedBuffer.Edge.allCases {
          let (lhs, rhs) = (try GuardedBuffer(n * 4, edge), try GuardedBuffer(n * 4, edge))
          let dst = try GuardedBuffer(n * 4, edge)
          for i in 0..<n {
            lhs.floats()[i] = x[offset + i]
            rhs.floats()[i] = y[offset + i]
          }
          function(Int64(n), lhs.floats(), 1, rhs.floats(), 1, dst.floats())
          let expected = Array(whole[offset..<offset + n])
          #expect((0..<n).map { dst.floats()[$0].bitPattern } == expected, "\(n) at \(offset)")
          if let accumulate {
            for i in 0..<n { dst.floats()[i] = x[offset + i] }
            accumulate(Int64(n), rhs.floats(), dst.floats())
            let sums = accumulated[offset..<offset + n].map(\.bitPattern)
            #expect((0..<n).map { dst.floats()[$0].bitPattern } == sums, "\(n) accumulated")
          }
          function(Int64(n), lhs.floats(), 1, rhs.floats(), 1, lhs.floats())
          #expect((0..<n).map { lhs.floats()[$0].bitPattern } == expected, "\(n) in place")
        }
      }
    }
  }
}
