import Glibc
import MartletKernels
import Testing

@Suite("Softmax and norms")
struct VectorsNormTests {
  private static let lengths = Array(1...70) + [128, 255, 1000, 4097]

  private func row(_ n: Int, _ generator: inout SeededGenerator) -> [Float] {
    (0..<n).map { _ in generator.value() * 8 }
  }

  private func place(_ x: [Float], _ edge: GuardedBuffer.Edge) throws -> GuardedBuffer {
    let buffer = try GuardedBuffer(x.count * 4, edge)
    for i in x.indices { buffer.floats()[i] = x[i] }
    return buffer
  }

  @Test("Softmax agrees with float64, in place too", arguments: VectorTable.runnable)
  func softmax(table: VectorTable) throws {
    var generator = SeededGenerator(seed: 21)
    for n in Self.lengths {
      for edge in GuardedBuffer.Edge.allCases {
        let x = row(n, &generator)
        let largest = Double(x.max() ?? 0)
        let sum = x.reduce(0.0) { $0 + exp(Double($1) - largest) }
        let (src, dst) = (try place(x, edge), try GuardedBuffer(n * 4, edge))
        table.table.pointee.softmax(Int64(n), src.floats(), dst.floats())
        for i in 0..<n {
          // The difference from the maximum is rounded before the exponential.
          let distance = Double(x[i]) - largest
          let want = exp(distance) / sum
          let bound = want * (4e-7 + 6e-8 * abs(distance))
          #expect(abs(Double(dst.floats()[i]) - want) <= bound, "\(n), \(i)")
        }
        table.table.pointee.softmax(Int64(n), src.floats(), src.floats())
        #expect(memcmp(src.bytes, dst.bytes, n * 4) == 0, "\(n) in place")

        let again = try place(x, edge)
        table.table.pointee.log_softmax(Int64(n), again.floats(), dst.floats())
        for i in 0..<n {
          let want = Double(x[i]) - largest - log(sum)
          #expect(abs(Double(dst.floats()[i]) - want) <= 1e-6 + 2.4e-7 * abs(want), "\(n), \(i)")
        }
        table.table.pointee.log_softmax(Int64(n), again.floats(), again.floats())
        #expect(memcmp(again.bytes, dst.bytes, n * 4) == 0, "\(n) in place")
      }
    }
  }

  @Test("Softmax of infinities and NaN", arguments: VectorTable.runnable)
  func softmaxSpecials(table: VectorTable) {
    for n in [1, 7, 8, 16, 33, 70] {
      func softmax(_ x: [Float]) -> [Float] {
        var y = x
        table.table.pointee.softmax(Int64(n), x, &y)
        return y
      }
      #expect(softmax([Float](repeating: -.infinity, count: n)).allSatisfy { $0.isNaN })
      var x = [Float](repeating: -.infinity, count: n)
      x[n / 2] = 3
      let one = softmax(x)
      #expect(one.indices.allSatisfy { one[$0] == ($0 == n / 2 ? 1 : 0) })
      x[n - 1] = .nan
      #expect(softmax(x).allSatisfy { $0.isNaN })
      // A denormal share is kept.
      if n > 1 {
        x = [Float](repeating: 0, count: n)
        x[0] = -100
        #expect(ulps(softmax(x)[0], exp(-100) / Double(n - 1)) <= 1)
      }
    }
  }

  @Test(
    "Layer norm agrees with float64 with and without scale and bias",
    arguments: VectorTable.runnable)
  func layerNorm(table: VectorTable) throws {
    var generator = SeededGenerator(seed: 22)
    for n in Self.lengths {
      for edge in GuardedBuffer.Edge.allCases {
        let x = row(n, &generator).map { $0 + 3 }
        let (scale, bias) = (row(n, &generator), row(n, &generator))
        let mean = x.reduce(0.0) { $0 + Double($1) } / Double(n)
        let variance = x.reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / Double(n)
        let factor = 1 / (variance + 1e-5).squareRoot()
        let (scaleRow, biasRow) = (try place(scale, edge), try place(bias, edge))
        for form in 0..<4 {
          let (src, dst) = (try place(x, edge), try GuardedBuffer(n * 4, edge))
          let (hasScale, hasBias) = (form & 1 != 0, form & 2 != 0)
          var (meanOut, factorOut): (Float, Float) = (0, 0)
          table.table.pointee.layer_norm(
            Int64(n), src.floats(), hasScale ? scaleRow.floats() : nil,
            hasBias ? biasRow.floats() : nil, 1e-5, dst.floats(), &meanOut, &factorOut)
          #expect(abs(Double(meanOut) - mean) <= 2e-6)
          #expect(n == 1 || abs(Double(factorOut) - factor) <= 4e-6 * factor)
          for i in 0..<n {
            let s = hasScale ? Double(scale[i]) : 1
            let normal = (Double(x[i]) - mean) * factor
            let want = normal * s + (hasBias ? Double(bias[i]) : 0)
            let bound = 1e-5 * (abs(s) * (1 + abs(normal)) + abs(want)) + 4e-6 * abs(s) * factor
            #expect(abs(Double(dst.floats()[i]) - want) <= bound, "\(n), \(i)")
          }
          table.table.pointee.layer_norm(
            Int64(n), src.floats(), hasScale ? scaleRow.floats() : nil,
            hasBias ? biasRow.floats() : nil, 1e-5, src.floats(), nil, nil)
          #expect(memcmp(src.bytes, dst.bytes, n * 4) == 0, "\(n) in place")
        }
      }
    }
  }

  @Test("A large mean costs layer norm little", arguments: VectorTable.runnable)
  func largeMean(table: VectorTable) {
    let x = (0..<512).map { Float(10_000 + $0 % 2) }
    var y = x
    var (mean, factor): (Float, Float) = (0, 0)
    table.table.pointee.layer_norm(512, x, nil, nil, 0, &y, &mean, &factor)
    #expect(mean == 10_000.5 && factor == 2)
    #expect(y.indices.allSatisfy { y[$0] == ($0 % 2 == 0 ? -1 : 1) })
  }

  @Test("RMS norm agrees with float64", arguments: VectorTable.runnable)
  func rmsNorm(table: VectorTable) throws {
    var generator = SeededGenerator(seed: 23)
    for n in Self.lengths {
      for edge in GuardedBuffer.Edge.allCases {
        let (x, scale) = (row(n, &generator), row(n, &generator))
        let square = x.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(n)
        let factor = 1 / (square + 1e-6).squareRoot()
        let scaleRow = try place(scale, edge)
        for hasScale in [false, true] {
          let (src, dst) = (try place(x, edge), try GuardedBuffer(n * 4, edge))
          table.table.pointee.rms_norm(
            Int64(n), src.floats(), hasScale ? scaleRow.floats() : nil, 1e-6, dst.floats())
          for i in 0..<n {
            let want = Double(x[i]) * factor * (hasScale ? Double(scale[i]) : 1)
            #expect(abs(Double(dst.floats()[i]) - want) <= 2e-6 * abs(want), "\(n), \(i)")
          }
          table.table.pointee.rms_norm(
            Int64(n), src.floats(), hasScale ? scaleRow.floats() : nil, 1e-6, src.floats())
          #expect(memcmp(src.bytes, dst.bytes, n * 4) == 0, "\(n) in place")
        }
      }
    }
  }
}
