import MartletKernels
import Testing

@Suite("Vector reductions")
struct VectorsReduceTests {
  private static let sum = MK_REDUCE_SUM
  private static let max = MK_REDUCE_MAX
  private static let min = MK_REDUCE_MIN
  private static let squares = MK_REDUCE_SUM_SQUARES
  private static let absolutes = MK_REDUCE_SUM_ABS
  private static let product = MK_REDUCE_PROD

  private static let lengths = Array(0...70) + [127, 128, 129, 255, 1000, 4096, 4097, 20_001]

  @Test("Rows of all lengths agree with float64", arguments: VectorTable.runnable)
  func agrees(table: VectorTable) throws {
    var generator = SeededGenerator(seed: 11)
    for n in Self.lengths {
      for edge in GuardedBuffer.Edge.allCases {
        let row = try GuardedBuffer(n * 4, edge)
        let x = (0..<n).map { _ in generator.value() * 5 }
        for i in 0..<n { row.floats()[i] = x[i] }
        func got(_ op: Int) throws -> Double {
          let function = try #require(table.reduce(op))
          return Double(function(Int64(n), row.floats()))
        }
        let wide = x.map(Double.init)
        let magnitude = wide.reduce(0) { $0 + abs($1) }
        let square = wide.reduce(0) { $0 + $1 * $1 }
        let sum = try got(Self.sum)
        #expect(abs(sum - wide.reduce(0, +)) <= 2e-6 * magnitude, "\(n)")
        let absolutes = try got(Self.absolutes)
        #expect(abs(absolutes - magnitude) <= 2e-6 * magnitude, "\(n)")
        let squares = try got(Self.squares)
        #expect(abs(squares - square) <= 2e-6 * square, "\(n)")
        let (largest, least) = (try got(Self.max), try got(Self.min))
        #expect(largest == wide.max() ?? -Double.infinity)
        #expect(least == wide.min() ?? Double.infinity)
        for i in 0..<n { row.floats()[i] = 1 + x[i] / 1000 }
        let factor = (0..<n).reduce(1.0) { $0 * Double(row.floats()[$1]) }
        let product = try got(Self.product)
        #expect(abs(product - factor) <= factor * Double(n) * 1.2e-7, "\(n)")
      }
    }
  }

  @Test("A long sum of equal terms stays accurate", arguments: VectorTable.runnable)
  func longSum(table: VectorTable) throws {
    let x = [Float](repeating: 0.1, count: 3_000_000)
    let want = Double(Float(0.1)) * 3e6
    let function = try #require(table.reduce(Self.sum))
    let got = Double(function(Int64(x.count), x))
    #expect(abs(got - want) <= 2e-5 * want)
  }

  @Test("Extrema find a NaN wherever it is", arguments: VectorTable.runnable)
  func nans(table: VectorTable) throws {
    let largest = try #require(table.reduce(Self.max))
    let least = try #require(table.reduce(Self.min))
    for n in [1, 5, 16, 33, 64, 70, 200] {
      for at in 0..<n {
        var x = [Float](repeating: 1, count: n)
        x[at] = at % 2 == 0 ? .nan : -.nan
        x[(at + 1) % n] = n > 1 ? .infinity : x[(at + 1) % n]
        #expect(largest(Int64(n), x).isNaN, "\(n) at \(at)")
        #expect(least(Int64(n), x).isNaN, "\(n) at \(at)")
      }
    }
  }

  @Test("The bits are those of the row, wherever it stands", arguments: VectorTable.runnable)
  func alignment(table: VectorTable) throws {
    var generator = SeededGenerator(seed: 5)
    let x = (0..<1000).map { _ in generator.value() }
    for op in 0..<mk_vector_table.reduceCount {
      let function = try #require(table.reduce(op))
      let want = function(1000, x).bitPattern
      for offset in 1...17 {
        let moved = [Float](repeating: 9, count: offset) + x + [9]
        let got = moved.withUnsafeBufferPointer { buffer in
          buffer.baseAddress.map { function(1000, $0 + offset).bitPattern }
        }
        #expect(got == want, "op \(op), offset \(offset)")
      }
    }
  }

  @Test("Accumulation keeps NaN and uses every element", arguments: VectorTable.runnable)
  func accumulation(table: VectorTable) throws {
    var generator = SeededGenerator(seed: 6)
    let start = (0..<50).map { _ in generator.value() }
    let x = (0..<50).map { $0 == 20 ? Float.nan : generator.value() }
    let formulas: [(Int, (Float, Float) -> Double)] = [
      (Self.sum, { Double($0) + Double($1) }), (Self.max, { Double($0 > $1 ? $0 : $1) }),
      (Self.min, { Double($0 < $1 ? $0 : $1) }),
      (Self.squares, { Double($0) + Double($1) * Double($1) }),
      (Self.absolutes, { Double($0) + Double(abs($1)) }),
      (Self.product, { Double($0) * Double($1) }),
    ]
    for (op, formula) in formulas {
      var acc = start
      let function = try #require(table.accumulate(op))
      function(50, x, &acc)
      for i in 0..<50 {
        if i == 20 {
          #expect(acc[i].isNaN)
        } else {
          #expect(abs(Double(acc[i]) - formula(start[i], x[i])) <= 1.2e-7, "op \(op)")
        }
      }
    }
  }
}
