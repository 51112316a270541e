import MartletKernels
import Testing

@Suite("Packing of right-hand sides")
struct PackTests {
  /// How a source lies in memory, in elements.
  enum Layout: CaseIterable, Sendable {
    case rows, paddedRows, transposed, paddedTransposed, strided, reversed
  }

  static let special: [Float] = [
    .infinity, -.infinity, .nan, Float(bitPattern: 0x7f80_0001), Float(bitPattern: 0xffbf_ffff),
    0, -0.0, 0x1p-149, Float(bitPattern: 0x007f_ffff), Float(bitPattern: 0x0000_8000),
    .greatestFiniteMagnitude, Float(bitPattern: 0x3f80_8000), Float(bitPattern: 0x3f81_8000),
  ]

  private func check(_ row: KernelRow, _ layout: Layout, k: Int, n: Int, sameType: Bool) throws {
    let bytes = sameType && row.isBF16 ? 2 : 4
    let (kStep, nStep): (Int, Int) =
      switch layout {
      case .rows: (n, 1)
      case .paddedRows: (n + 3, 1)
      case .transposed: (1, k)
      case .paddedTransposed: (1, k + 5)
      case .strided: (2 * n + 1, 2)
      case .reversed: (-n, 1)
      }
    let extent = k == 0 || n == 0 ? 0 : abs(kStep) * (k - 1) + nStep * (n - 1) + 1
    for edge in GuardedBuffer.Edge.allCases {
      let source = try GuardedBuffer(extent * bytes, edge)
      let start = kStep < 0 ? -kStep * max(k - 1, 0) : 0
      var random = SeededGenerator(seed: UInt64(k * 100 + n))
      var expected = [UInt32](repeating: 0, count: row.panels(n) * row.panelBytes(k) / 4)
      for p in 0..<k {
        for j in 0..<n {
          let pick = Int(random.next() % 64)
          let value = pick < Self.special.count ? Self.special[pick] : random.value()
          let at = source.bytes + (start + p * kStep + j * nStep) * bytes
          let half = roundedToBF16(value)
          if bytes == 2 {
            at.storeBytes(of: half, as: UInt16.self)
          } else {
            at.storeBytes(of: value, as: Float.self)
          }
          let line = j / row.nr * row.panelBytes(k) / 4 + p / row.kr * row.nr + j % row.nr
          expected[line] |=
            row.isBF16 ? UInt32(half) << (p % 2 == 0 ? 0 : 16) : value.bitPattern
        }
      }
      let panels = try GuardedBuffer(expected.count * 4, edge)
      var pack = mk_pack_rhs()
      (pack.k, pack.n) = (Int64(k), Int64(n))
      pack.src = UnsafeRawPointer(source.bytes + start * bytes)
      (pack.k_stride, pack.n_stride) = (Int64(kStep * bytes), Int64(nStep * bytes))
      pack.dst = panels.bytes
      pack.dst_panel_stride = Int64(row.panelBytes(k))
      if sameType {
        row.row.pointee.pack_rhs_same(&pack)
      } else {
        row.row.pointee.pack_rhs_f32(&pack)
      }
      let packed = (0..<expected.count).map {
        panels.bytes.load(fromByteOffset: $0 * 4, as: UInt32.self)
      }
      #expect(packed == expected, "k \(k), n \(n), \(edge)")
    }
  }

  @Test(
    "Panels hold the source's bits, rounded where they must be", arguments: KernelRow.runnable,
    Layout.allCases)
  func layouts(row: KernelRow, layout: Layout) throws {
    for sameType in [false, true] {
      for k in [0, 1, 2, 7, 8, 16, 17, 33] {
        for n in [0, 1, 5, row.nr - 1, row.nr, row.nr + 1, 3 * row.nr + 2] {
          try check(row, layout, k: k, n: n, sameType: sameType)
        }
      }
    }
  }

  @Test("A source wider than a block of panels", arguments: KernelRow.runnable)
  func wide(row: KernelRow) throws {
    for sameType in [false, true] {
      try check(row, .rows, k: 5, n: 300, sameType: sameType)
      try check(row, .transposed, k: 70, n: 2 * row.nr + 9, sameType: sameType)
    }
  }
}
