import Glibc
import MartletKernels
import Testing

/// f16 to f32 by its definition.
private func widenedHalf(_ half: UInt16) -> Float {
  let sign: Float = half & 0x8000 == 0 ? 1 : -1
  let exponent = Int(half >> 10 & 31)
  let mantissa = Float(half & 0x3ff)
  if exponent == 31 { return mantissa == 0 ? sign * .infinity : .nan }
  if exponent == 0 { return sign * mantissa * 0x1p-24 }
  return sign * (1024 + mantissa) * scalbnf(1, Int32(exponent - 25))
}

/// f32 to f16, nearest even, by looking for the nearest half.
private func roundedToHalf(_ x: Float) -> UInt16 {
  let sign: UInt16 = x.sign == .minus ? 0x8000 : 0
  if x.isNaN { return sign | 0x7e00 | UInt16(x.bitPattern >> 13 & 0x3ff) }
  let magnitude = Double(abs(x))
  if magnitude >= 65520 { return sign | 0x7c00 }
  let exponent = magnitude < 0x1p-14 ? -14 : Int(magnitude.exponent)
  let units = (magnitude / scalbn(1, exponent - 10)).rounded(.toNearestOrEven)
  if exponent == -14 && units < 1024 { return sign | UInt16(units) }
  return sign | UInt16((exponent + 14) * 1024 + Int(units))
}

@Suite("Vector conversions")
struct VectorsConvertTests {
  @Test("f32 rounds to nearest even bf16 and f16", arguments: VectorTable.runnable)
  func narrow(table: VectorTable) {
    var wrong: [Float] = []
    func check(_ x: [Float]) {
      var bf16 = [UInt16](repeating: 0, count: x.count)
      var f16 = bf16
      table.table.pointee.f32_to_bf16(Int64(x.count), x, &bf16)
      table.table.pointee.f32_to_f16(Int64(x.count), x, &f16)
      for i in x.indices where bf16[i] != roundedToBF16(x[i]) || f16[i] != roundedToHalf(x[i]) {
        wrong.append(x[i])
      }
    }
    sampledFloats(check)
    // Halves, their neighbours and the ties between them
    for half in UInt16.min...UInt16.max {
      let x = widenedHalf(half)
      let tie = (x + widenedHalf(half &+ 1)) / 2
      check([x, x.nextUp, x.nextDown, tie, tie.nextUp, tie.nextDown])
    }
    #expect(wrong.isEmpty, "\(wrong.prefix(5))")
  }

  @Test("Every bf16 and every f16 widens exactly", arguments: VectorTable.runnable)
  func widen(table: VectorTable) {
    let all = Array(UInt16.min...UInt16.max)
    var x = [Float](repeating: 0, count: all.count)
    table.table.pointee.bf16_to_f32(Int64(all.count), all, &x)
    #expect(all.indices.allSatisfy { x[$0].bitPattern == UInt32(all[$0]) << 16 })
    table.table.pointee.f16_to_f32(Int64(all.count), all, &x)
    for half in all {
      let (got, want) = (x[Int(half)], widenedHalf(half))
      #expect(got.bitPattern == want.bitPattern || got.isNaN && want.isNaN, "\(half)")
      if got.isNaN {
        #expect(got.bitPattern & 0x40_0000 != 0 && got.sign == (half < 0x8000 ? .plus : .minus))
      }
    }
  }

  @Test("Tails convert like the rest and touch nothing outside", arguments: VectorTable.runnable)
  func tails(table: VectorTable) throws {
    var generator = SeededGenerator(seed: 31)
    for n in 0...70 {
      for edge in GuardedBuffer.Edge.allCases {
        let (wide, narrow) = (try GuardedBuffer(n * 4, edge), try GuardedBuffer(n * 2, edge))
        let back = try GuardedBuffer(n * 4, edge)
        for i in 0..<n { wide.floats()[i] = generator.value() * 100 }
        let vectors = table.table.pointee
        vectors.f32_to_bf16(Int64(n), wide.floats(), narrow.words())
        vectors.bf16_to_f32(Int64(n), narrow.words(), back.floats())
        for i in 0..<n {
          #expect(narrow.words()[i] == roundedToBF16(wide.floats()[i]), "\(n), \(i)")
          #expect(back.floats()[i] == widened(narrow.words()[i]), "\(n), \(i)")
        }
        vectors.f32_to_f16(Int64(n), wide.floats(), narrow.words())
        vectors.f16_to_f32(Int64(n), narrow.words(), back.floats())
        for i in 0..<n {
          #expect(narrow.words()[i] == roundedToHalf(wide.floats()[i]), "\(n), \(i)")
          #expect(back.floats()[i] == widenedHalf(narrow.words()[i]), "\(n), \(i)")
        }
      }
    }
  }

  @Test("A transpose moves every bit and touches nothing outside", arguments: VectorTable.runnable)
  func transpose(table: VectorTable) throws {
    for rows in [0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33] {
      for columns in [0, 1, 3, 4, 7, 8, 9, 15, 16, 17, 24, 40] {
        for edge in GuardedBuffer.Edge.allCases {
          // The last row has no padding behind it: it may end at a page.
          let (from, to) = (columns + 3, rows + 2)
          let src = try GuardedBuffer(max(0, (rows - 1) * from + columns) * 4, edge)
          let dst = try GuardedBuffer(max(0, (columns - 1) * to + rows) * 4, edge)
          let (x, y) = (
            src.bytes.assumingMemoryBound(to: UInt32.self),
            dst.bytes.assumingMemoryBound(to: UInt32.self)
          )
          for r in 0..<rows {
            for c in 0..<columns { x[r * from + c] = 0x7f80_0000 | UInt32(r * 1000 + c) }
          }
          table.table.pointee.transpose32(
            Int64(rows), Int64(columns), x, Int64(from * 4), y, Int64(to * 4))
          for c in 0..<columns {
            for r in 0..<rows {
              #expect(y[c * to + r] == x[r * from + c], "\(rows)x\(columns) at \(r), \(c)")
            }
            for gap in rows..<to where columns > 0 && c < columns - 1 {
              #expect(y[c * to + gap] == .max)
            }
          }
        }
      }
    }
  }
}
