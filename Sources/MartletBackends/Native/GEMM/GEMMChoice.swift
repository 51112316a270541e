import MartletCore

/// What the driver of a float product is free to choose. No choice changes a bit of a result.
package struct GEMMChoice: Hashable, Sendable {
  /// The ways that rhs can take to the kernels.
  package enum Route: String, CaseIterable, Sendable {
    /// Panels packed before, streamed past a few rows.
    case stream
    /// Panels packed before, tile by tile.
    case tiles
    /// rhs is read where it lies.
    case inPlace = "in-place"
    /// Every work item packs what it uses.
    case packItems = "pack-items"
    /// rhs is packed once for all threads.
    case packShared = "pack-shared"
  }

  package var route: Route
  /// K block and lhs rows of a cache block.
  package var kc: Int
  package var mc: Int
  /// Rows and columns of one work item.
  package var rows: Int
  package var columns: Int
  /// Rows of a tile at most.
  package var tileRows: Int

  package init(route: Route, kc: Int, mc: Int, rows: Int, columns: Int, tileRows: Int) {
    self.route = route
    self.kc = kc
    self.mc = mc
    self.rows = rows
    self.columns = columns
    self.tileRows = tileRows
  }
}

/// What a choice is made for: the product's extents and the form of its operands.
package struct GEMMShape: Hashable, Sendable {
  /// How an operand lies in memory.
  package enum Form: String, CaseIterable, Sendable {
    /// Packed before.
    case packed
    /// Rows contiguous.
    case rows
    /// Columns contiguous.
    case columns
    /// Strided both ways, or of another type than the kernels multiply.
    case other
  }

  package var m: Int
  package var n: Int
  package var k: Int
  package var matrices: Int
  package var threads: Int
  /// The type that is multiplied, float32 or bfloat16.
  package var type: DType
  package var lhs: Form
  package var rhs: Form

  package init(
    m: Int, n: Int, k: Int, matrices: Int = 1, threads: Int, type: DType, lhs: Form, rhs: Form
  ) {
    self.m = m
    self.n = n
    self.k = k
    self.matrices = matrices
    self.threads = threads
    self.type = type
    self.lhs = lhs
    self.rhs = rhs
  }

  /// Multiply-adds of all matrices.
  var work: Double { Double(m) * Double(n) * Double(k) * Double(matrices) }

  /// About how long one thread takes on `row`: at its rate, and 32 bytes of rhs a nanosecond.
  func nanoseconds(on row: GEMMRow) -> Int {
    let bytes = Double(n) * Double(k) * Double(matrices) * Double(type.wholeByteCount)
    return Int(min(max(work / Double(row.rate), bytes / 32), 1e15))
  }

  /// The form of `view` for kernels of `type`.
  static func form(_ view: MatrixView, type: DType, rows: Int, columns: Int) -> Form {
    guard view.dtype == type else { return .other }
    if columns <= 1, view.rowStride == 1 { return .columns }
    // A stride of 0 between rows means packed panels to the kernels.
    if view.rowStride != 0, view.columnStride == 1 || columns <= 1 { return .rows }
    return view.rowStride == 1 || rows <= 1 ? .columns : .other
  }

  /// The routes that a product of this shape can take on `row`, the plainest first.
  func routes(on row: GEMMRow) -> [GEMMChoice.Route] {
    if rhs == .packed { return m <= row.streamMR ? [.tiles, .stream] : [.tiles] }
    let readsInPlace =
      row.vector > 0 && (rhs == .rows || (rhs == .columns && m <= row.columnsMR))
    return readsInPlace ? [.packItems, .packShared, .inPlace] : [.packItems, .packShared]
  }

  /// rhs of this many bytes, read in place by many rows, stays in L1 with what else is there.
  private static let smallRHS = 16 << 10

  /// Whether many rows may read a [k, n] rhs in place, `stride` bytes between its rows.
  static func readsInPlace(k: Int, n: Int, stride: Int) -> Bool {
    // Rows a power of two apart share their cache sets.
    k * n * 4 <= smallRHS && (stride % 1024 != 0 || k <= 32)
  }

  /// Multiply-adds of one matrix from which packing rhs for all threads pays.
  private static let sharedWork = 1e7

  /// The cost model's route. `sharesRHS`: all matrices have the same rhs; `rhsStride`: bytes between
  /// its rows.
  func route(on row: GEMMRow, sharesRHS: Bool, rhsStride: Int) -> GEMMChoice.Route {
    if rhs == .packed { return m <= row.streamMR ? .stream : .tiles }
    if row.vector > 0, rhs == .columns, m <= row.columnsMR { return .inPlace }
    if row.vector > 0, rhs == .rows {
      if m <= row.streamMR { return .inPlace }
      if m <= 2 * row.blocks.packingMC, GEMMShape.readsInPlace(k: k, n: n, stride: rhsStride) {
        return .inPlace
      }
    }
    if m <= 2 * row.blocks.packingMC && !(sharesRHS && matrices > 1) { return .packItems }
    if sharesRHS { return .packShared }
    return Double(m) * Double(n) * Double(k) < GEMMShape.sharedWork ? .packItems : .packShared
  }
}
