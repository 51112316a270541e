import Glibc
import MartletCore
import MartletKernels
import Synchronization

/// Products of float64 and of integers in tiles over packed strips of rhs: each element sums in the
/// order of k, float64 by fused multiply-adds where the processor has them. Integers wrap around.
struct PlainProduct {
  private let problem: GEMMProblem
  private let fold: BatchFold

  init(_ problem: GEMMProblem) throws(MartletError) {
    self.problem = problem
    fold = BatchFold(problem)
    guard problem.packedRHS == nil else {
      throw MartletError(
        .invalidDType, "matmul: a packed rhs is f32 or bf16, not \(problem.lhs.dtype)")
    }
    guard problem.epilogue.isPlain || problem.lhs.dtype == .float64 else {
      throw MartletError(
        .unsupported, "matmul: products of \(problem.lhs.dtype) take no epilogue")
    }
  }

  func run(on pool: ThreadPool) throws(MartletError) -> Execution {
    let dtype = problem.lhs.dtype
    let vectors = VectorKernels.chosen
    guard let tile = vectors.plain(dtype) else {
      throw .dtype("matmul", "lhs", expected: "float64 or an integer", actual: dtype)
    }
    let size = dtype.wholeByteCount
    let loop = TileLoop(
      problem: fold.problem, fold: fold, tile: tile, size: size,
      width: Int(vectors.table.plain_bytes) / size)
    let isComplete =
      loop.isShort
      ? (0..<loop.itemCount).allSatisfy(loop.run)
      : loop.run(on: pool)
    guard isComplete else {
      throw MartletError(.outOfMemory, "matmul: no memory to pack \(dtype) operands in")
    }
    let name = dtype == .float64 ? "fp64" : "\(dtype)"
    return Execution(backend: "native", kernel: "plain tiles", precision: name)
  }

  /// The product as items of some rows and one strip of columns each.
  private struct TileLoop {
    let problem: GEMMProblem
    let fold: BatchFold
    let tile: mk_plain_fn
    /// Bytes of an element.
    let size: Int
    /// Columns of a strip.
    let width: Int

    /// Rows that share a packed strip: packing is then some per cent of the time.
    private static let rowsPerItem = 128
    /// Depth of a packed strip, which stays in a core's first caches.
    private static let depth = 512
    private static let rowsPerTile = 4

    private var rowItems: Int { (problem.m + TileLoop.rowsPerItem - 1) / TileLoop.rowsPerItem }
    private var strips: Int { (problem.n + width - 1) / width }
    var itemCount: Int { fold.count * rowItems * strips }
    var isShort: Bool {
      // In floating point: a broadcast operand may be longer than any memory.
      Double(fold.count * problem.m) * Double(problem.n) * Double(max(problem.k, 1))
        < Double(GEMMPlan.serialWork)
    }

    /// All items; false where there was no memory.
    func run(on pool: ThreadPool) -> Bool {
      let isComplete = Atomic<Bool>(true)
      let perChunk = max(1, itemCount / 256)
      pool.parallelFor((itemCount + perChunk - 1) / perChunk) { chunk in
        for item in chunk * perChunk..<min((chunk + 1) * perChunk, itemCount) where !run(item) {
          isComplete.store(false, ordering: .relaxed)
        }
      }
      return isComplete.load(ordering: .relaxed)
    }

    /// One item; false where there was no memory.
    func run(_ item: Int) -> Bool {
      let (rest, strip) = item.quotientAndRemainder(dividingBy: strips)
      let (matrix, block) = rest.quotientAndRemainder(dividingBy: rowItems)
      let firstRow = block * TileLoop.rowsPerItem
      let rows = firstRow..<min(firstRow + TileLoop.rowsPerItem, problem.m)
      let firstColumn = strip * width
      let columns = firstColumn..<min(firstColumn + width, problem.n)
      let panelBytes = min(max(problem.k, 1), TileLoop.depth) * width * size
      let edgeBytes = columns.count < width ? rows.count * width * size : 0
      return ThreadScratch.withBytes(panelBytes + edgeBytes, .item) { scratch in
        multiply(rows, columns, fold.offsets(matrix), panel: scratch, edge: scratch + panelBytes)
      }
    }

    private func multiply(
      _ rows: Range<Int>, _ columns: Range<Int>,
      _ offsets: (lhs: Int, rhs: Int, dst: Int, residual: Int), panel: UnsafeMutableRawPointer,
      edge: UnsafeMutableRawPointer
    ) {
      let lhs = problem.lhs.pointer + offsets.lhs * size
      let rhs =
        problem.rhs.pointer + (offsets.rhs + columns.lowerBound * problem.rhs.columnStride) * size
      let dst = problem.dst.pointer + (offsets.dst + columns.lowerBound) * size
      let isEdge = columns.count < width
      var job = mk_plain_tile()
      job.lhs_row = Int64(problem.lhs.rowStride)
      job.lhs_column = Int64(problem.lhs.columnStride)
      job.rhs = UnsafeRawPointer(panel)
      job.dst_row = Int64(isEdge ? width : problem.dst.rowStride)
      // The order of k is kept: a later block adds to what the one before has left.
      var p = 0
      repeat {
        let depth = min(TileLoop.depth, problem.k - p)
        pack(rhs + p * problem.rhs.rowStride * size, depth, columns.count, into: panel)
        job.k = Int64(depth)
        job.adds = p > 0
        for row in stride(from: rows.lowerBound, to: rows.upperBound, by: TileLoop.rowsPerTile) {
          job.rows = Int64(min(TileLoop.rowsPerTile, rows.upperBound - row))
          job.lhs = UnsafeRawPointer(
            lhs + (row * problem.lhs.rowStride + p * problem.lhs.columnStride) * size)
          job.dst =
            isEdge
            ? edge + (row - rows.lowerBound) * width * size
            : dst + row * problem.dst.rowStride * size
          tile(&job)
        }
        p += depth
      } while p < problem.k
      if isEdge {
        for row in rows {
          memcpy(
            dst + row * problem.dst.rowStride * size, edge + (row - rows.lowerBound) * width * size,
            columns.count * size)
        }
      }
      if problem.lhs.dtype == .float64, !problem.epilogue.isPlain {
        for row in rows {
          applyEpilogue(
            dst.assumingMemoryBound(to: Double.self) + row * problem.dst.rowStride, row, columns,
            residualOffset: offsets.residual)
        }
      }
    }

    /// `depth` rows of `count` columns next to each other, the rest of a strip's width zero.
    private func pack(
      _ rhs: UnsafeMutableRawPointer, _ depth: Int, _ count: Int,
      into panel: UnsafeMutableRawPointer
    ) {
      guard depth > 0 else { return }
      if count < width { memset(panel, 0, depth * width * size) }
      mk_copy_2d(
        Int32(size), Int64(depth), Int64(count), rhs, Int64(problem.rhs.rowStride * size),
        Int64(problem.rhs.columnStride * size), panel, Int64(width * size), Int64(size))
    }

    private func applyEpilogue(
      _ sums: UnsafeMutablePointer<Double>, _ row: Int, _ columns: Range<Int>, residualOffset: Int
    ) {
      for (index, column) in columns.enumerated() {
        sums[index] = problem.epilogue.apply(
          sums[index], i: row, j: column, residualOffset: residualOffset)
      }
    }
  }
}

extension Epilogue {
  /// Whether results are the sums themselves.
  fileprivate var isPlain: Bool {
    alpha == 1 && columnBias == nil && rowBias == nil && residual == nil && activation == nil
  }

  /// The epilogue of one element in float64; `residualOffset` is that of the batch, in elements.
  func apply(_ sum: Double, i: Int, j: Int, residualOffset: Int) -> Double {
    var value = Double(alpha) * sum
    if let columnBias { value += Double(columnBias[j]) }
    if let rowBias { value += Double(rowBias[i]) }
    if let residual {
      let index = residualOffset + i * residual.rowStride + j * residual.columnStride
      let element = residual.pointer.assumingMemoryBound(to: Float.self)[index]
      value += Double(beta) * Double(element)
    }
    return activation?.apply(value) ?? value
  }
}
