import MartletKernels
import Testing

@Suite("GEMM tiles")
struct GEMMTileTests {
  @Test("Every instruction set that the processor has passes its own probe")
  func probes() {
    #expect(!KernelRow.isas.isEmpty)
    for isa in KernelRow.isas { #expect(mk_isa_passes(isa)) }
  }

  @Test("A row's facts hold together", arguments: KernelRow.runnable)
  func facts(row: KernelRow) {
    let facts = row.row.pointee
    #expect(row.name.hasSuffix("\(row.mr)x\(row.nr)"))
    let blocks = facts.blocks
    #expect(blocks.kc > 0 && blocks.kc % facts.kr == 0)
    #expect(blocks.packing_kc > 0 && blocks.packing_kc % facts.kr == 0)
    #expect(facts.kr == (row.isBF16 ? 2 : 1))
    #expect(blocks.mc >= facts.mr && blocks.packing_mc >= facts.mr)
    #expect(blocks.columns >= facts.nr && blocks.copying_columns >= facts.nr)
    #expect(facts.stream_mr == 8 && facts.rate > 0)
  }

  @Test(
    "Edges agree with float64 and touch nothing outside", arguments: KernelRow.runnable,
    GuardedBuffer.Edge.allCases)
  func edges(row: KernelRow, edge: GuardedBuffer.Edge) throws {
    let (mr, nr) = (row.mr, row.nr)
    for m in [0, 1, 2, mr - 1, mr] {
      for n in [0, 1, nr / 2 - 1, nr / 2, nr / 2 + 1, nr - 1, nr] {
        for k in [0, 1, 2, 3, 17, 64] {
          let product = try GEMMProduct(row, m: m, n: n, k: k, padding: k % 2 * 3, edge: edge)
          let bits = try product.tiled(mRows: mr, slice: max(k, 1))
          #expect(product.worstError(bits) <= 1, "\(m)x\(n)x\(k)")
        }
      }
    }
  }

  @Test("Every number of rows gives the bits of the others", arguments: KernelRow.runnable)
  func rowsAgree(row: KernelRow) throws {
    let product = try GEMMProduct(row, m: row.mr, n: row.nr - 3, k: 75)
    let whole = try product.tiled(mRows: row.mr, slice: 75)
    for rows in 1..<row.mr {
      #expect(try product.tiled(mRows: rows, slice: 75) == whole, "\(rows) rows at a time")
    }
  }

  @Test("A column's bits do not depend on its neighbours", arguments: KernelRow.runnable)
  func columnsAgree(row: KernelRow) throws {
    let (m, n, k) = (row.mr, row.nr, 33)
    let product = try GEMMProduct(row, m: m, n: n, k: k)
    let whole = try product.tiled(mRows: m, slice: k)
    for narrow in stride(from: 1, to: n, by: 5) {
      let part = try GEMMProduct(row, m: m, n: narrow, k: k) { lhs, rhs in
        lhs = product.lhsValues
        for p in 0..<k {
          for j in 0..<narrow { rhs[p * narrow + j] = product.rhsValues[p * n + j] }
        }
      }
      let bits = try part.tiled(mRows: m, slice: k)
      for i in 0..<m {
        #expect(Array(bits[i * narrow..<(i + 1) * narrow]) == Array(whole[i * n..<i * n + narrow]))
      }
    }
  }

  @Test("Slices of k give the bits of one call", arguments: KernelRow.runnable)
  func slices(row: KernelRow) throws {
    for n in [1, row.nr - 1, row.nr] {
      let product = try GEMMProduct(row, m: row.mr - 1, n: n, k: 77, padding: 1)
      let whole = try product.tiled(mRows: row.mr, slice: 77, choice: [.alpha, .biasN])
      for slice in [2, 10, 76] {
        let bits = try product.tiled(mRows: row.mr, slice: slice, choice: [.alpha, .biasN])
        #expect(bits == whole, "slices of \(slice)")
        guard !row.storesBF16 else { continue }
        let inPlace = try product.tiled(
          mRows: row.mr, slice: slice, choice: [.alpha, .biasN], accumulateInDestination: true)
        #expect(inPlace == whole, "slices of \(slice), summed in dst")
      }
    }
  }

  static let choices: [EpilogueChoice] = [
    [], .alpha, .biasN, .biasM, .residual, .relu, .clamp,
    [.alpha, .biasN, .biasM, .residual, .relu], [.alpha, .biasN, .biasM, .residual, .clamp],
  ]

  @Test("Epilogues agree with float64", arguments: KernelRow.runnable, choices)
  func epilogues(row: KernelRow, choice: EpilogueChoice) throws {
    for (m, n) in [(row.mr, row.nr), (row.mr - 1, row.nr - 1), (1, 1), (2, row.nr / 2 + 1)] {
      for k in [0, 9] {
        let product = try GEMMProduct(row, m: m, n: n, k: k, padding: 2)
        let bits = try product.tiled(mRows: row.mr, slice: max(k, 1), choice: choice)
        #expect(product.worstError(bits, choice: choice) <= 1, "\(m)x\(n)x\(k)")
      }
    }
  }

  @Test("A residual may be the destination", arguments: KernelRow.runnable)
  func residualInPlace(row: KernelRow) throws {
    guard !row.storesBF16 else { return }
    let product = try GEMMProduct(row, m: row.mr, n: row.nr - 1, k: 12)
    let apart = try product.tiled(mRows: row.mr, slice: 12, choice: .residual)
    product.copyResidualToDestination()
    let together = try product.tiled(
      mRows: row.mr, slice: 12, choice: [.residual, .residualIsDestination])
    #expect(apart == together)
  }

  @Test("Inf and NaN come through as the sum has them", arguments: KernelRow.runnable)
  func nonFinite(row: KernelRow) throws {
    let (m, n, k) = (row.mr, row.nr, 5)
    for choice: EpilogueChoice in [[], .relu, .clamp] {
      let product = try GEMMProduct(row, m: m, n: n, k: k) { lhs, rhs in
        for i in lhs.indices { lhs[i] = abs(lhs[i]) + 1 }
        for i in rhs.indices { rhs[i] = abs(rhs[i]) + 1 }
        lhs[0 * k + 2] = .infinity
        lhs[1 * k + 4] = .nan
        rhs[1 * n + 3] = -.infinity
      }
      let bits = try product.tiled(mRows: row.mr, slice: k, choice: choice)
      let values = bits.map(Float.init(bitPattern:))
      for j in 0..<n {
        #expect(values[n + j].isNaN)  // the row with the NaN
        let clamped: Float = choice == .clamp ? 0.5 : .infinity
        if j != 3 { #expect(values[j] == clamped) }
      }
      #expect(values[3].isNaN)  // Inf - Inf
      let lowest: Float = choice == .relu ? 0 : choice == .clamp ? -0.25 : -.infinity
      for i in 2..<m { #expect(values[i * n + 3] == lowest) }
    }
  }

  @Test("Denormals are kept, or counted as zero by VDPBF16PS", arguments: KernelRow.runnable)
  func denormals(row: KernelRow) throws {
    let product = try GEMMProduct(row, m: 1, n: 1, k: 1) { lhs, rhs in
      lhs[0] = 0x1p-130
      rhs[0] = 8
    }
    let bits = try product.tiled(mRows: row.mr, slice: 1)
    let value = Float(bitPattern: bits[0])
    #expect(value == 0x1p-127 || (row.usesDotInstruction && value == 0))
  }
}
