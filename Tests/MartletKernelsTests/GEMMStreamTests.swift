import MartletKernels
import Testing

@Suite("GEMM streams")
struct GEMMStreamTests {
  @Test(
    "A stream gives the bits of the tiles and touches nothing outside",
    arguments: KernelRow.runnable, GuardedBuffer.Edge.allCases)
  func matchesTiles(row: KernelRow, edge: GuardedBuffer.Edge) throws {
    let nr = row.nr
    for m in 1...Int(row.row.pointee.stream_mr) {
      for n in [1, nr - 1, nr, 2 * nr + 1, 4 * nr, 5 * nr - 2] {
        for k in [0, 1, 7, 40] {
          let product = try GEMMProduct(
            row, m: m, n: n, k: k, padding: k % 2 * 5, edge: edge, seed: UInt64(n))
          let tiled = try product.tiled(mRows: row.mr, slice: max(k, 1))
          #expect(product.streamed() == tiled, "\(m)x\(n)x\(k)")
        }
      }
    }
  }

  @Test("A long k, which is cut into slices, keeps the bits", arguments: KernelRow.runnable)
  func longK(row: KernelRow) throws {
    for m in 1...Int(row.row.pointee.stream_mr) {
      let product = try GEMMProduct(row, m: m, n: 4 * row.nr + 1, k: 1031)
      let tiled = try product.tiled(mRows: row.mr, slice: 1031)
      #expect(product.streamed() == tiled, "\(m) rows")
    }
  }

  @Test("Epilogues reach every panel", arguments: KernelRow.runnable)
  func epilogues(row: KernelRow) throws {
    let all: EpilogueChoice = [.alpha, .biasN, .biasM, .residual, .relu]
    for m in 1...Int(row.row.pointee.stream_mr) {
      for n in [row.nr, 4 * row.nr + 3] {
        let product = try GEMMProduct(row, m: m, n: n, k: 11, padding: 1)
        let tiled = try product.tiled(mRows: row.mr, slice: 11, choice: all)
        let bits = product.streamed(choice: all)
        #expect(bits == tiled)
        #expect(product.worstError(bits, choice: all) <= 1)
      }
    }
  }
}
