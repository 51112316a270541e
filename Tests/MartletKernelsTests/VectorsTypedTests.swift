import MartletKernels
import Testing

/// A type of elements and its number among the kernels' types.
private struct ElementType: CustomTestStringConvertible, Sendable {
  let testDescription: String
  let number: Int
  let size: Int
  /// An element's value, which is whole or a float.
  let value: @Sendable (UnsafeRawPointer) -> Value
  /// What conversion makes of a value.
  let converted: @Sendable (Value) -> [UInt8]

  enum Value {
    case real(Double)
    case whole(Int64)
    case large(UInt64)
  }

  static let all: [ElementType] = [
    ElementType(
      testDescription: "float32", number: MK_TYPE_F32, size: 4,
      value: { .real(Double($0.loadUnaligned(as: Float.self))) },
      converted: { value in
        switch value {
        case .real(let real): bytes(Float(real))
        case .whole(let whole): bytes(Float(whole))
        case .large(let large): bytes(Float(large))
        }
      }),
    ElementType(
      testDescription: "float64", number: MK_TYPE_F64, size: 8,
      value: { .real($0.loadUnaligned(as: Double.self)) },
      converted: { value in
        switch value {
        case .real(let real): bytes(real)
        case .whole(let whole): bytes(Double(whole))
        case .large(let large): bytes(Double(large))
        }
      }),
    integer("int8", MK_TYPE_I8, Int8.self), integer("int16", MK_TYPE_I16, Int16.self),
    integer("int32", MK_TYPE_I32, Int32.self), integer("int64", MK_TYPE_I64, Int64.self),
    integer("uint8", MK_TYPE_U8, UInt8.self), integer("uint16", MK_TYPE_U16, UInt16.self),
    integer("uint32", MK_TYPE_U32, UInt32.self),
    ElementType(
      testDescription: "uint64", number: MK_TYPE_U64, size: 8,
      value: { .large($0.loadUnaligned(as: UInt64.self)) },
      converted: { bytes(integer(of: $0, as: UInt64.self)) }),
    ElementType(
      testDescription: "bool", number: MK_TYPE_BOOL, size: 1,
      value: { .whole($0.load(as: UInt8.self) == 0 ? 0 : 1) },
      converted: { value in
        switch value {
        case .real(let real): [real == 0 ? 0 : 1]
        case .whole(let whole): [whole == 0 ? 0 : 1]
        case .large(let large): [large == 0 ? 0 : 1]
        }
      }),
  ]

  private static func integer<T: FixedWidthInteger & Sendable>(
    _ name: String, _ number: Int, _: T.Type
  ) -> ElementType {
    ElementType(
      testDescription: name, number: number, size: MemoryLayout<T>.size,
      value: { .whole(Int64($0.loadUnaligned(as: T.self))) },
      converted: { bytes(integer(of: $0, as: T.self)) })
  }

  private static func bytes<T>(_ value: T) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }

  /// By docs/numerics.md: of integers the low bits; floats truncated to the int32 (or int64) with its
  /// least number for what is beyond it, of which narrower types are the low bits.
  private static func integer<T: FixedWidthInteger>(of value: Value, as _: T.Type) -> T {
    switch value {
    case .whole(let whole): return T(truncatingIfNeeded: whole)
    case .large(let large): return T(truncatingIfNeeded: large)
    case .real(let real):
      let isWide = T.bitWidth == 64
      let half = isWide ? 0x1p63 : 0x1p31
      func signed(_ real: Double) -> Int64 {
        let whole = real.rounded(.towardZero)
        return whole >= -half && whole < half ? Int64(whole) : Int64(-half)
      }
      if !T.isSigned, T.bitWidth >= 32, real >= half {
        return T(truncatingIfNeeded: signed(real - half)) ^ (1 << (T.bitWidth - 1))
      }
      return T(truncatingIfNeeded: signed(real))
    }
  }
}

@Suite("Loops over elements of any type")
struct VectorsTypedTests {
  /// Elements of odd and of random bits.
  private func elements(_ type: ElementType, _ count: Int) -> [UInt8] {
    var generator = SeededGenerator(seed: UInt64(type.number + 1))
    var bytes = (0..<count * type.size).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    let reals: [Double] = [
      0, -0.0, 0.5, -0.5, 1.5, 254.9, 255, 256, -1, -128.7, 32767.5, -32769, 2_147_483_647,
      2_147_483_648, -2_147_483_648, -2_147_483_648.5, -2_147_483_649, 4_294_967_295.5,
      4_294_967_296,
      0x1p62, 0x1p63, -0x1p63, 0x1.8p63, 0x1p64, 1e20, -1e20, .infinity, -.infinity, .nan,
    ]
    for (index, real) in reals.enumerated() where (index + 1) * type.size <= bytes.count {
      let special =
        type.number == MK_TYPE_F32
        ? withUnsafeBytes(of: Float(real)) { Array($0) } : withUnsafeBytes(of: real) { Array($0) }
      guard special.count == type.size, type.testDescription.hasPrefix("float") else { continue }
      bytes.replaceSubrange(index * type.size..<(index + 1) * type.size, with: special)
    }
    return bytes
  }

  private func cast(_ table: VectorTable, _ from: ElementType, _ to: ElementType) -> mk_cast_fn {
    withUnsafeBytes(of: table.table.pointee.cast) {
      $0.assumingMemoryBound(to: mk_cast_fn.self)[from.number * MK_TYPE_COUNT + to.number]
    }
  }

  @Test("each type converts to each other as it is defined", arguments: VectorTable.runnable)
  func conversions(table: VectorTable) {
    for from in ElementType.all {
      for count in [0, 1, 7, 16, 33, 300] {
        let src = elements(from, count)
        for to in ElementType.all {
          var dst = [UInt8](repeating: 0xA5, count: (count + 1) * to.size)
          src.withUnsafeBytes { src in
            cast(table, from, to)(Int64(count), src.baseAddress ?? UnsafeRawPointer(dst), &dst)
            for i in 0..<count {
              let value = from.value(src.baseAddress! + i * from.size)
              let got = Array(dst[i * to.size..<(i + 1) * to.size])
              if case .real(let real) = value, real.isNaN, to.testDescription.hasPrefix("float") {
                #expect(got.withUnsafeBytes { isNaN(to.value($0.baseAddress!)) })
              } else {
                #expect(got == to.converted(value), "\(value) from \(from) to \(to)")
              }
            }
          }
          #expect(dst.suffix(to.size).allSatisfy { $0 == 0xA5 }, "beyond the end: \(from) to \(to)")
        }
      }
    }
  }

  private func isNaN(_ value: ElementType.Value) -> Bool {
    if case .real(let real) = value { return real.isNaN }
    return false
  }

  @Test("each type compares as it is defined, with steps of 0 too", arguments: VectorTable.runnable)
  func comparisons(table: VectorTable) {
    for type in ElementType.all {
      let functions = withUnsafeBytes(of: table.table.pointee.compare) {
        Array($0.assumingMemoryBound(to: mk_compare_fn.self))
      }
      let (x, y) = (elements(type, 100), Array(elements(type, 101).suffix(100 * type.size)))
      for function in 0..<(type.number == MK_TYPE_BOOL ? 1 : MK_COMPARE_COUNT) {
        for (xStep, yStep) in [(1, 1), (0, 1), (1, 0), (0, 0)] {
          var dst = [UInt8](repeating: 7, count: 101)
          x.withUnsafeBytes { x in
            y.withUnsafeBytes { y in
              functions[function * MK_TYPE_COUNT + type.number](
                100, x.baseAddress!, Int64(xStep), y.baseAddress!, Int64(yStep), &dst)
              for i in 0..<100 {
                let a = type.value(x.baseAddress! + i * xStep * type.size)
                let b = type.value(y.baseAddress! + i * yStep * type.size)
                #expect(dst[i] == (holds(function, a, b) ? 1 : 0), "\(type): \(a), \(b)")
              }
            }
          }
          #expect(dst[100] == 7)
        }
      }
    }
  }

  private func holds(
    _ function: Int, _ a: ElementType.Value, _ b: ElementType.Value
  ) -> Bool {
    func compare<T: Comparable>(_ a: T, _ b: T) -> Bool {
      function == MK_COMPARE_EQUAL ? a == b : function == MK_COMPARE_LESS ? a < b : a <= b
    }
    switch (a, b) {
    case (.real(let a), .real(let b)): return compare(a, b)
    case (.whole(let a), .whole(let b)): return compare(a, b)
    case (.large(let a), .large(let b)): return compare(a, b)
    default: return false
    }
  }

  @Test("tiles of products sum in order, and integers wrap", arguments: VectorTable.runnable)
  func products(table: VectorTable) {
    let tiles = withUnsafeBytes(of: table.table.pointee.plain) {
      Array($0.assumingMemoryBound(to: mk_plain_fn.self))
    }
    check(table, tiles[MK_PLAIN_U8], UInt8.self)
    check(table, tiles[MK_PLAIN_U16], UInt16.self)
    check(table, tiles[MK_PLAIN_U32], UInt32.self)
    check(table, tiles[MK_PLAIN_U64], UInt64.self)
    var generator = SeededGenerator(seed: 5)
    let columns = Int(table.table.pointee.plain_bytes) / 8
    let lhs = (0..<4 * 20).map { _ in Double(generator.value()) }
    let rhs = (0..<20 * columns).map { _ in Double(generator.value()) }
    var dst = [Double](repeating: 0, count: 4 * columns)
    run(tiles[MK_PLAIN_F64], rows: 4, 20, lhs, rhs, &dst, columns)
    for r in 0..<4 {
      for c in 0..<columns {
        var sum = 0.0
        for p in 0..<20 {
          let (a, b) = (lhs[r * 20 + p], rhs[p * columns + c])
          sum = table.fuses ? sum.addingProduct(a, b) : sum + a * b
        }
        #expect(dst[r * columns + c] == sum)
      }
    }
  }

  private func check<T: FixedWidthInteger>(_ table: VectorTable, _ tile: mk_plain_fn, _: T.Type) {
    var generator = SeededGenerator(seed: UInt64(T.bitWidth))
    let columns = Int(table.table.pointee.plain_bytes) / MemoryLayout<T>.size
    let lhs = (0..<4 * 20).map { _ in T(truncatingIfNeeded: generator.next()) }
    let rhs = (0..<20 * columns).map { _ in T(truncatingIfNeeded: generator.next()) }
    for rows in 1...4 {
      var dst = [T](repeating: 99, count: rows * columns + 1)
      run(tile, rows: rows, 20, lhs, rhs, &dst, columns)
      for r in 0..<rows {
        for c in 0..<columns {
          let sum = (0..<20).reduce(T.zero) { $0 &+ lhs[r * 20 + $1] &* rhs[$1 * columns + c] }
          #expect(dst[r * columns + c] == sum)
        }
      }
      #expect(dst[rows * columns] == 99)
    }
  }

  /// In two blocks of the depth, of which the second adds to the first.
  private func run<T>(
    _ tile: mk_plain_fn, rows: Int, _ depth: Int, _ lhs: [T], _ rhs: [T], _ dst: inout [T],
    _ columns: Int
  ) {
    lhs.withUnsafeBufferPointer { lhs in
      rhs.withUnsafeBufferPointer { rhs in
        dst.withUnsafeMutableBufferPointer { dst in
          for (start, count) in [(0, 13), (13, depth - 13)] {
            var job = mk_plain_tile(
              rows: Int64(rows), k: Int64(count), lhs: lhs.baseAddress! + start,
              lhs_row: Int64(depth), lhs_column: 1, rhs: rhs.baseAddress! + start * columns,
              dst: dst.baseAddress!, dst_row: Int64(columns), adds: start > 0)
            tile(&job)
          }
        }
      }
    }
  }
}
